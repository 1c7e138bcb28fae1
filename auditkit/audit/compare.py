"""Ledgers beside each other, account by account: exact, and in whole columns.

Ledgers of millions need not be in memory for that: they are split by bits of
their accounts' names, so that an account's rows of all sides meet in one part.
"""

import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from auditkit.errors import InputError
from auditkit.ledger import engine
from auditkit.ledger.columns import Balances, Limbs, integers, total
from auditkit.ledger.engine import Numbers
from auditkit.ledger.names import mixed, numbered
from auditkit.ledger.runs import PARTS, Rows, Run, Runs

Mask = npt.NDArray[np.bool_]

_KEY_BYTES = 8
_FEW = 1 << 15
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


def parts(*sides: Iterable[Balances]) -> Iterator[Joined]:
    """The sides joined part by part: an account is in one of them, with all that it has.

    Each side comes piece by piece, and few of all rows are in memory at a time;
    the others wait in a file without a name. Raises as `Joined.of`, and OSError.
    """
    pieces = ((side, piece) for side, given in enumerate(sides) for piece in given)
    begun: list[tuple[int, Balances]] = []
    count = 0
    for side, piece in pieces:
        begun.append((side, piece))
        count += len(piece)
        if count > engine.CHUNK:
            break
    else:
        yield Joined.of(*([p for s, p in begun if s == side] for side in range(len(sides))))
        return
    with tempfile.TemporaryDirectory(prefix="auditkit-") as folder:
        runs = Runs(Path(folder), _KEY_BYTES)
        try:
            yield from _parts(runs, chain(begun, pieces), len(sides))
        finally:
            runs.close()


def _parts(runs: Runs, pieces: Iterable[tuple[int, Balances]], sides: int) -> Iterator[Joined]:
    def keep(piece: tuple[int, Balances]) -> Run:
        side, balances = piece
        keys = mixed(balances.accounts).astype(">u8").view(np.uint8).reshape(-1, _KEY_BYTES)
        return runs.add(Rows(keys, balances), side)

    count = sum(run.count for run in engine.ahead(keep, _gathered(pieces)))
    step = PARTS
    while step > 1 and count * step > PARTS * engine.CHUNK:
        step //= 2

    def join(start: int) -> Joined:
        rows, side = runs.read(start, start + step, runs.all)
        return Joined.of(*([rows.balances.take(np.flatnonzero(side == s))] for s in range(sides)))

    yield from engine.ahead(join, range(0, PARTS, step))


def _gathered(pieces: Iterable[tuple[int, Balances]]) -> Iterator[tuple[int, Balances]]:
    """The same rows in fewer pieces, since each of a run's has its cost."""
    held: dict[int, list[Balances]] = {}
    for side, piece in pieces:
        held.setdefault(side, []).append(piece)
        if sum(map(len, held[side])) >= _FEW:
            yield side, Balances.joined(held.pop(side))
    for side, rest in held.items():
        yield side, Balances.joined(rest)


@dataclass(slots=True)
class Found:
    """The accounts that masks held for, over all parts: how many, and the first by account.

    Of those, at most `most`, `rows` have the name and what each side has.
    """

    most: int
    count: int = 0
    rows: list[tuple[str, tuple[int, ...]]] = field(default_factory=list)

    def add(self, joined: Joined, where: Mask) -> None:
        """Those of another part."""
        self.count += int(np.count_nonzero(where))
        self.rows = sorted([*self.rows, *joined.rows_of(where, self.most)])[: self.most]


@dataclass(frozen=True, slots=True)
class Differences:
    """The accounts that have another sum on the left than on the right.

    `count` says how many; `rows` are the first of them by account (bytewise):
    account, sum on the left, sum on the right. An account has up to `repeats` rows
    on the right.
    """

    count: int
    rows: list[tuple[str, int, int]]
    repeats: int


def differences(left: Iterable[Balances], right: Iterable[Balances], most: int) -> Differences:
    """Compare two ledgers, which come piece by piece, by what each account has in all.

    Who does not occur has nothing. At most `most` rows are kept.
    """
    found, repeats = Found(most), 0
    for joined in parts(left, right):
        repeats = max(repeats, int(joined.rows[1].max(initial=0)))
        found.add(joined, (joined.sums[0] != joined.sums[1]).any(axis=1))
    rows = [(name, has, had) for name, (has, had) in found.rows]
    return Differences(found.count, rows, repeats)


@dataclass(slots=True)
class Tally:
    """Pieces of a ledger as they pass by: how many rows they were, and what they add up to."""

    pieces: Iterable[Balances]
    rows: int = 0
    units: int = 0

    def __iter__(self) -> Iterator[Balances]:
        for piece in self.pieces:
            self.rows += len(piece)
            self.units += total(piece.amounts)
            yield piece


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
