"""Columns of a ledger before it is a tree: account names, and amounts as 128-bit integers."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

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
