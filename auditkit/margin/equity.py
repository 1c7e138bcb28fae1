"""A margin book at its marks: the profit of every position, the equity of every account.

Profits are exact fractions, and an equity is their sum with the wallet, floored
to base units once. Adding millions of fractions of different denominators is
slow, so each is cut to units of 10^-30 first; where what was cut off can move
an account's floor, that account is added up in full.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import numpy.typing as npt

from auditkit.errors import InputError
from auditkit.margin.book import SCALE, MarginBook
from auditkit.margin.contracts import Contract
from auditkit.margin.signed import Integers

EQUITY_LIMIT = 1 << 127

# A power of ten, so that the profit of a linear contract is seldom cut at all.
_CUT = 10**30
_CHUNK = 1 << 16


@dataclass(frozen=True, slots=True)
class Equity:
    """What the A accounts of a margin book have at the marks of its contracts.

    The profit of position i is numerators[i] / denominators[i] base units,
    shapes (P,), denominators above 0 and not in lowest terms. `units`, shape
    (A,), is the equity floored to base units, negative for a bankrupt account.
    """

    book: MarginBook
    marks: Mapping[str, Fraction]
    numerators: Integers
    denominators: Integers
    units: Integers

    @classmethod
    def at(cls, book: MarginBook, marks: Mapping[str, Fraction]) -> "Equity":
        """The book at `marks`, by name of contract; those of other contracts are ignored.

        Raises InputError if a contract with positions has no mark above 0, or
        an equity reaches 2^127.
        """
        terms = _Terms.of(book, marks)
        numerators, denominators, cuts = (np.empty(len(book.owner), np.object_) for _ in range(3))
        inexact = np.empty(len(book.owner), np.bool_)
        # Chunk by chunk, so that what lies between the columns stays small.
        for start in range(0, len(book.owner), _CHUNK):
            rows = slice(start, start + _CHUNK)
            over, under = terms.profits(book, rows)
            scaled = over * _CUT
            cuts[rows] = scaled // under
            inexact[rows] = cuts[rows] * under != scaled
            numerators[rows], denominators[rows] = over, under
        units, unsure = _floored(book, cuts, inexact)
        found = cls(book, marks, numerators, denominators, units)
        for row in unsure.tolist():
            units[row] = math.floor(found.exact(row))
        _refuse_overflow(book, units)
        return found

    def exact(self, account: int) -> Fraction:
        """The equity of the account at that row, in base units."""
        profits = map(self.profit_of, self.book.held(account))
        return sum(profits, Fraction(int(self.book.wallet[account])))

    def value(self, position: int) -> Fraction:
        """What the position at that row is worth at its mark, in base units."""
        contract = self.book.contract_of(position)
        return contract.value(self.book.size_of(position), self.marks[contract.name])

    def profit_of(self, position: int) -> Fraction:
        """What the position at that row has won at its mark, in base units."""
        return Fraction(self.numerators[position], self.denominators[position])


@dataclass(frozen=True, slots=True)
class _Terms:
    """The profit of any position as side * size * (base - slope * entry) / divisor.

    Of inverse contracts, that is divided by the entry again. Sizes and entries
    are in units of 1 / SCALE; base, slope and divisor are integers by contract.
    """

    base: Integers
    slope: Integers
    divisor: Integers
    inverse: npt.NDArray[np.bool_]

    @classmethod
    def of(cls, book: MarginBook, marks: Mapping[str, Fraction]) -> "_Terms":
        base, slope, divisor = (np.full(len(book.contracts), 1, np.object_) for _ in range(3))
        for row in np.unique(book.contract).tolist():
            contract = book.contracts[row]
            mark = _mark(contract, marks)
            at_0 = contract.unit if contract.inverse else contract.unit * mark / SCALE
            fall = contract.unit / SCALE / (mark if contract.inverse else SCALE)
            divisor[row] = math.lcm(at_0.denominator, fall.denominator)
            base[row], slope[row] = int(at_0 * divisor[row]), int(fall * divisor[row])
        inverse = np.array([contract.inverse for contract in book.contracts], np.bool_)
        return cls(base, slope, divisor, inverse)

    def profits(self, book: MarginBook, rows: slice) -> tuple[Integers, Integers]:
        """The numerators and denominators of some positions' profits."""
        contract, entry = book.contract[rows], book.entry[rows]
        gain = self.base[contract] - self.slope[contract] * entry
        over = book.side[rows].astype(np.object_) * book.size[rows] * gain
        return over, self.divisor[contract] * np.where(self.inverse[contract], entry, 1)


def _mark(contract: Contract, marks: Mapping[str, Fraction]) -> Fraction:
    mark = marks.get(contract.name)
    if mark is None:
        raise InputError(f"contract {contract.name} has positions but no mark; add its [[mark]]")
    if mark <= 0:
        raise InputError(f"the mark of contract {contract.name} is {mark}; it must be above 0")
    return mark


def _floored(
    book: MarginBook, cuts: Integers, inexact: npt.NDArray[np.bool_]
) -> tuple[Integers, npt.NDArray[np.int64]]:
    """The floored equities, and the rows of those that may be 1 too low.

    Of k profits that were cut, each lost less than one of 10^-30: together
    more than nothing and less than k of them.
    """
    units = book.wallet.copy()
    if not len(cuts):
        return units, np.empty(0, np.int64)
    starts = np.flatnonzero(np.diff(book.owner, prepend=-1))
    owners = book.owner[starts]
    sums = np.add.reduceat(cuts, starts)
    units[owners] += sums // _CUT
    lost = np.add.reduceat(inexact.astype(np.int64), starts)
    unsure = (sums % _CUT + lost > _CUT).astype(np.bool_)
    return units, owners[unsure]


def _refuse_overflow(book: MarginBook, units: Integers) -> None:
    beyond = (abs(units) >= EQUITY_LIMIT).astype(np.bool_)
    if beyond.any():
        name = book.account(int(np.argmax(beyond)))
        raise InputError(
            f"the equity of account {name} reaches 2^127 base units of {book.asset}; check the "
            "sizes and entries of its positions, the multipliers and the policy's decimals"
        )
