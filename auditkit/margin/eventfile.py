"""An event.toml: one loss, and where everything lies that it is made of (docs/publishing.md)."""

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

from auditkit.errors import InputError
from auditkit.tomlfile import Table
from auditkit.verify import elements as e
from auditkit.verify.elements import Element, map_of
from auditkit.verify.errors import Malformed
from auditkit.verify.records import Mark, Source

_ANY_PRICES: Element[Any] = map_of(e.NAME, e.PRICE)
_COUNT: Element[Any] = e.COUNT
_BOOL: Element[Any] = e.BOOL
_LISTS = ("books", "deficits", "adl", "adl_candidates", "adl_exhausted")


@dataclass(frozen=True, slots=True)
class Lists:
    """What an exchange with an engine of its own found: who is short, who was closed, who shares.

    `books` is a books.toml; `deficits` and `adl` are tables of account and amount.
    """

    books: Path
    deficits: Path
    adl: Path | None
    candidates: int | None
    exhausted: bool | None


@dataclass(frozen=True, slots=True)
class EventFile:
    """An event.toml that was read. Paths are as they lie beside it, and None where left out.

    `positions` is the positions.toml that everything is computed from, for
    exchanges without `lists`. Only an auditor reads `closings` (the positions
    that deleveraging closed), `fills` (liquidations in the market), `entries`
    (the accounts' own journal) and `assets` (what the margin book holds, in
    natural units).
    """

    path: Path
    event: str
    pool: str
    confirmed: int
    marks: tuple[Mark, ...]
    pools: Path | None
    lists: Lists | None
    positions: Path | None
    closings: Path | None
    fills: Path | None
    entries: Path | None
    assets: str | None

    @classmethod
    def read(cls, path: Path) -> "EventFile":
        """Read an event.toml; files are relative to it. Raises InputError."""
        top = Table.read(path)

        def file(key: str) -> Path | None:
            name = top.perhaps(key, str)
            return None if name is None else path.parent / name

        found = cls(
            path=path,
            event=top.element("event", e.NAME),
            pool=top.element("pool", e.NAME),
            confirmed=top.element("confirmed", e.TIME),
            pools=file("pools"),
            lists=_lists(top, path.parent),
            positions=file("positions"),
            closings=file("closings"),
            fills=file("fills"),
            entries=file("entries"),
            assets=top.perhaps("assets", str),
            marks=tuple(sorted(map(_mark, top.tables("mark")), key=lambda mark: mark.contract)),
        )
        top.close()
        if not found.marks:
            raise top.refuse("mark", "is missing; add [[mark]] with contract and sources")
        return found

    def needed(self) -> Lists:
        """The lists. Raises InputError without them."""
        if self.lists is None:
            raise InputError(
                f"{self.path}: has no lists (books, deficits); add them, or let auditkit publish "
                "event compute them from positions"
            )
        return self.lists


def _lists(top: Table, folder: Path) -> Lists | None:
    if not any(key in top for key in _LISTS):
        for key in _LISTS:
            top.perhaps(key, str)
        return None
    adl = top.perhaps("adl", str)
    return Lists(
        books=folder / top.take("books", str),
        deficits=folder / top.take("deficits", str),
        adl=None if adl is None else folder / adl,
        candidates=top.element("adl_candidates", _COUNT, None),
        exhausted=top.element("adl_exhausted", _BOOL, None),
    )


def _mark(row: Table) -> Mark:
    contract = row.element("contract", e.NAME)
    prices = row.element("sources", _ANY_PRICES)
    if not prices:
        raise row.refuse("sources", 'is empty; write for example { a = "104782" }')
    row.close()
    sources = tuple(Source(name, prices[name]) for name in sorted(prices))
    try:
        return Mark(contract, e.PRICE.read(median(list(prices.values()))), sources)
    except Malformed as error:
        raise row.refuse("sources", f"the median: {error}") from None


def median(prices: list[str]) -> str:
    """The middle price, or exactly half the sum of the two middle ones, in canonical text."""
    units = sorted(map(e.price_units, prices))
    value = Fraction(units[(len(units) - 1) // 2] + units[len(units) // 2], 2 * 10**40)
    scaled = value * 10**41  # Half of a 40-digit fraction has at most 41 digits.
    whole, fraction = divmod(scaled.numerator // scaled.denominator, 10**41)
    return f"{whole}.{fraction:041d}".rstrip("0").rstrip(".")
