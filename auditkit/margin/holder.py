"""One account of a margin book at its marks, position by position, for people who look into it."""

from dataclasses import dataclass
from fractions import Fraction

import pyarrow as pa
import pyarrow.compute as pc

from auditkit.errors import InputError, shown
from auditkit.margin.book import SCALE
from auditkit.margin.equity import Equity
from auditkit.margin.ranking import queue


@dataclass(frozen=True, slots=True)
class Held:
    """A position at its mark: profit and value in base units, exact; price and size as they are.

    `bankruptcy` is None where no price above 0 is one. `place` is the
    position's in the order of deleveraging, from 1, of `candidates`; None if it
    is none.
    """

    contract: str
    side: int
    size: Fraction
    entry: Fraction
    mark: Fraction
    value: Fraction
    profit: Fraction
    bankruptcy: Fraction | None
    place: int | None
    candidates: int


@dataclass(frozen=True, slots=True)
class Holder:
    """An account: what is in its wallet, its equity floored to base units, and its positions."""

    account: str
    wallet: int
    equity: int
    positions: tuple[Held, ...]

    @classmethod
    def of(cls, equity: Equity, account: str, rank: str) -> "Holder":
        """The account of that name. Raises InputError if the book has none."""
        book = equity.book
        wanted = pa.scalar(account.encode("utf-8", "replace"), pa.binary())
        row = pc.index(book.accounts, wanted).as_py()
        if row < 0:
            raise InputError(f"the margin book of {book.asset} has no account {shown(account)}")
        exact = equity.exact(row)
        held = list(book.held(row))
        whole = sum((equity.value(position) for position in held), Fraction(0))
        positions = (_held(equity, position, exact / whole, rank) for position in held)
        return cls(account, int(book.wallet[row]), int(equity.units[row]), tuple(positions))


def _held(equity: Equity, position: int, share: Fraction, rank: str) -> Held:
    book, contract = equity.book, equity.book.contract_of(position)
    side, size, value = int(book.side[position]), book.size_of(position), equity.value(position)
    mark = equity.marks[contract.name]
    ranked = queue(equity, contract.name, side, rank).tolist()
    return Held(
        contract=contract.name,
        side=side,
        size=size,
        entry=Fraction(book.entry[position], SCALE),
        mark=mark,
        value=value,
        profit=equity.profit_of(position),
        bankruptcy=contract.bankruptcy_price(side, size, mark, share * value),
        place=ranked.index(position) + 1 if position in ranked else None,
        candidates=len(ranked),
    )


def nearest(value: Fraction, digits: int = 6) -> str:
    """A number to so many significant digits, the nearest; of two, the even one."""
    exponent = 0
    while abs(value) >= 10 ** (exponent + 1):
        exponent += 1
    while value and abs(value) < Fraction(10) ** exponent:
        exponent -= 1
    places = max(0, digits - 1 - exponent)
    scaled = round(value * 10**places)
    whole, fraction = divmod(abs(scaled), 10**places)
    text = f"{whole}.{fraction:0{places}d}".rstrip("0").rstrip(".") if places else str(whole)
    return f"-{text}" if scaled < 0 else text
