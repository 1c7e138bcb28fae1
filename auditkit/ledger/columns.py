"""Columns of a ledger before it is a tree: account names, and amounts as 128-bit integers."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from auditkit.errors import InputError

NAMES_LIMIT = 1 << 31
"""An Arrow `binary` array has 32-bit offsets: it holds fewer bytes than this."""

Limbs = npt.NDArray[np.uint64]
"""Amounts in base units, shape (n, 2): the high and the low 64 bits of each."""


@dataclass(frozen=True, slots=True)
class Balances:
    """The rows of one ledger, in any order.

    `accounts` is an Arrow `binary` array (32-bit offsets) of n account names
    in the spelling of SPEC.md §1, without nulls; `amounts` has shape (n, 2).
    A split account has several rows.
    """

    accounts: pa.Array
    amounts: Limbs

    def __len__(self) -> int:
        return len(self.accounts)

    @classmethod
    def of(cls, rows: Iterable[tuple[str, int]]) -> "Balances":
        """Balances from (account, base units) pairs, for small ledgers."""
        pairs = list(rows)
        names = [name.encode("ascii") for name, _ in pairs]
        return cls(pa.array(names, pa.binary()), limbs(amount for _, amount in pairs))

    def take(self, places: npt.NDArray[np.integer[Any]]) -> "Balances":
        """The rows at these places."""
        amounts = np.take(self.amounts, places, axis=0)
        return Balances(self.accounts.take(pa.array(places)), amounts)

    def slice(self, start: int, stop: int) -> "Balances":
        """The rows start <= i < stop, without a copy."""
        return Balances(self.accounts.slice(start, stop - start), self.amounts[start:stop])

    def held(self) -> "Balances":
        """The rows with an amount above 0."""
        return self.take(np.flatnonzero(self.amounts.any(axis=1)))

    @classmethod
    def joined(cls, pieces: Sequence["Balances"]) -> "Balances":
        """All rows of the pieces. Raises InputError if the names have 2 GiB or more in all."""
        names = [pa.array([], pa.binary()), *(piece.accounts for piece in pieces)]
        if sum(pc.sum(pc.binary_length(part)).as_py() or 0 for part in names) >= NAMES_LIMIT:
            raise InputError(
                "the account names of a ledger are over 2 GiB in all: too many at once"
            )
        amounts = [np.empty((0, 2), np.uint64), *(piece.amounts for piece in pieces)]
        return cls(pa.concat_arrays(names), np.concatenate(amounts))

    def rows(self) -> Iterator[tuple[str, int]]:
        """The (account, base units) pairs."""
        for name, amount in zip(self.accounts.to_pylist(), integers(self.amounts), strict=True):
            yield name.decode("ascii"), amount


def limbs(amounts: Iterable[int]) -> Limbs:
    """Python integers, each 0 <= a < 2^128, as limbs of shape (n, 2)."""
    data = b"".join(amount.to_bytes(16, "big") for amount in amounts)
    return np.frombuffer(data, ">u8").reshape(-1, 2).astype(np.uint64)


def integers(amounts: Limbs) -> Iterator[int]:
    """The amounts as Python integers."""
    for high, low in amounts.tolist():
        yield high << 64 | low


def total(amounts: Limbs) -> int:
    """The exact sum, as a Python integer that may exceed 2^128.

    Sums of 32-bit halves fit 64 bits for up to 2^32 rows, so nothing wraps.
    """
    result = 0
    for position, column in ((64, amounts[:, 0]), (0, amounts[:, 1])):
        result += int((column >> np.uint64(32)).sum(dtype=np.uint64)) << (position + 32)
        result += int((column & np.uint64(0xFFFFFFFF)).sum(dtype=np.uint64)) << position
    return result


def sums(left: Limbs, right: Limbs) -> tuple[Limbs, bool]:
    """The sum of each pair of amounts, shape (n, 2), and whether one of them reaches 2^128."""
    found = left + right
    carry = (found[:, 1] < left[:, 1]).astype(np.uint64)
    wrapped = found[:, 0] < left[:, 0]
    found[:, 0] += carry
    return found, bool((wrapped | (found[:, 0] < carry)).any())


def sums_at(amounts: Limbs, starts: npt.NDArray[np.integer[Any]]) -> tuple[Limbs, bool]:
    """The sum from each start to the next, shape (len(starts), 2); whether one reaches 2^128."""
    low, half = np.uint64(0xFFFFFFFF), np.uint64(32)
    digits = [part for i in (1, 0) for part in (amounts[:, i] & low, amounts[:, i] >> half)]
    totals = [np.add.reduceat(digit, starts) for digit in digits]
    for place in range(3):
        totals[place + 1] += totals[place] >> half
    lows = [total & low for total in totals]
    found = np.column_stack((lows[2] | lows[3] << half, lows[0] | lows[1] << half))
    return found, bool((totals[3] >> half).any())
