"""Ledgers beside each other, account by account: exact, and in whole columns."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from auditkit.errors import InputError
from auditkit.ledger.columns import Balances, Limbs, integers
from auditkit.ledger.engine import Numbers
from auditkit.ledger.names import numbered

Mask = npt.NDArray[np.bool_]

_HALF = np.uint64(32)
_LOW = np.uint64(0xFFFFFFFF)


@dataclass(frozen=True, slots=True)
class Joined:
    """Several sides, each of one ledger or more, by the accounts that occur in any of them.

    `accounts` is an Arrow `large_binary` array of n names, in no order. For
    each side `sums` has what every account has there in all, shape (n, 2),
    and `rows` in how many rows, shape (n,): 0 where it does not occur.
    """

    accounts: pa.Array
    sums: tuple[Limbs, ...]
    rows: tuple[npt.NDArray[np.int64], ...]

    @classmethod
    def of(cls, *sides: Sequence[Balances]) -> "Joined":
        """Join the sides. Raises InputError where what one account has reaches 2^128."""
        tables = [ledger for side in sides for ledger in side]
        # With 64-bit offsets, names of several ledgers cannot overflow what one alone may hold.
        names = [ledger.accounts.cast(pa.large_binary()) for ledger in tables]
        joined = pa.concat_arrays([pa.array([], pa.large_binary()), *names])
        numbers, firsts = numbered(joined)
        codes = iter(np.split(numbers, np.cumsum([len(t) for t in tables])))
        count = len(firsts)
        sums, rows = [], []
        for side in sides:
            parts = [(next(codes), ledger.amounts) for ledger in side]
            sums.append(_sums(count, parts))
            rows.append(sum((np.bincount(c, minlength=count) for c, _ in parts), _zeros(count)))
        return cls(joined.take(pa.array(firsts)), tuple(sums), tuple(rows))

    def rows_of(self, where: Mask, most: int) -> Iterator[tuple[str, tuple[int, ...]]]:
        """The first accounts of those where the mask holds, by name, with what each side has."""
        chosen = np.flatnonzero(where)
        order = pc.sort_indices(self.accounts.take(pa.array(chosen, pa.int64()))).to_numpy()
        chosen = chosen[order[:most]]
        names = self.accounts.take(pa.array(chosen, pa.int64())).to_pylist()
        sides = [integers(sums[chosen]) for sums in self.sums]
        for name, *values in zip(names, *sides, strict=True):
            yield name.decode("ascii"), tuple(values)


@dataclass(frozen=True, slots=True)
class Differences:
    """The accounts that have another sum on the left than on the right."""

    joined: Joined
    where: Mask

    def __len__(self) -> int:
        return int(np.count_nonzero(self.where))

    def rows(self, most: int) -> list[tuple[str, int, int]]:
        """The first of them by account (bytewise): account, sum on the left, on the right."""
        found = self.joined.rows_of(self.where, most)
        return [(name, left, right) for name, (left, right) in found]


def differences(left: Balances, right: Balances) -> Differences:
    """Compare two ledgers by what each account has in all; who does not occur has nothing."""
    joined = Joined.of([left], [right])
    return Differences(joined, (joined.sums[0] != joined.sums[1]).any(axis=1))


def less(left: Limbs, right: Limbs) -> Mask:
    """Where the left amount is below the right one, shape (n,)."""
    below: Mask = (left[:, 0] < right[:, 0]) | (
        (left[:, 0] == right[:, 0]) & (left[:, 1] < right[:, 1])
    )
    return below


def _zeros(count: int) -> npt.NDArray[np.int64]:
    return np.zeros(count, np.int64)


def _sums(count: int, parts: Sequence[tuple[Numbers, Limbs]]) -> Limbs:
    """The exact sum of the amounts of each code, shape (count, 2).

    Sums of 32-bit digits fit 64 bits for up to 2^32 rows, so nothing wraps
    before the digits are carried.
    """
    digits = np.zeros((4, count), np.uint64)
    for codes, amounts in parts:
        for place, half in enumerate((amounts[:, 1], amounts[:, 0])):
            np.add.at(digits[2 * place], codes, half & _LOW)
            np.add.at(digits[2 * place + 1], codes, half >> _HALF)
    carry = np.zeros(count, np.uint64)
    for place in range(4):
        digits[place] += carry
        carry = digits[place] >> _HALF
        digits[place] &= _LOW
    if carry.any():
        raise InputError("what one account has in all reaches 2^128 base units; check the tables")
    return np.column_stack((digits[2] | digits[3] << _HALF, digits[0] | digits[1] << _HALF))
