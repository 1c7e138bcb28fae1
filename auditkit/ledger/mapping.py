"""What a books.toml may say.

units = "natural"                     amounts such as 1.25 (default), or "base"
as_of = "2025-10-10T20:30:00.000Z"    time of the balances; optional
[source]
files = ["accounts.parquet"]          names, globs or folders, relative to this file
account = "account"                   column
split = false                         default: one row an account
[[ledger]]                            wide: one block an amount column
asset = "BTC"
book = "margin"                       default: the policy's sharing book
column = "btc"
[long]                                or long: columns that name asset, book and amount
asset = "asset"
book = "book"                         default: all in the policy's sharing book
amount = "amount"
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from auditkit.errors import shown
from auditkit.tomlfile import Table
from auditkit.verify.elements import ASSET, CUSTOMER_BOOK, TIME

Units = Literal["natural", "base"]


@dataclass(frozen=True, slots=True)
class WideLedger:
    """One amount column. `book` None stands for the policy's sharing book."""

    asset: str
    book: str | None
    column: str


@dataclass(frozen=True, slots=True)
class LongColumns:
    """The columns that name asset, book and amount. `book` None: all in the sharing book."""

    asset: str
    book: str | None
    amount: str


@dataclass(frozen=True, slots=True)
class Mapping:
    """A books.toml that was read. `patterns` are its names, globs and folders of files."""

    source: Table
    patterns: tuple[str, ...]
    units: Units
    as_of: int | None
    account: str
    split: bool
    wide: tuple[WideLedger, ...]
    long: LongColumns | None

    @classmethod
    def read(cls, path: Path) -> "Mapping":
        """Read a books.toml. Raises InputError."""
        top = Table.read(path)
        source = top.table("source")
        patterns = source.take("files", list)
        account, split = source.take("account", str), source.take("split", bool, False)
        source.close()
        for pattern in patterns:
            if not isinstance(pattern, str) or not pattern:
                raise source.refuse("files", "must be a list of names, globs or folders in quotes")
        units = _units(top)
        as_of = top.element("as_of", TIME) if top.take("as_of", str, "") else None
        wide, long = _wide(top, account), _long(top, account)
        top.close()
        if bool(wide) == (long is not None):
            raise top.refuse("[[ledger]] and [long]:", "exactly one of the two must be there")
        return cls(source, tuple(patterns), units, as_of, account, split, wide, long)


def _units(top: Table) -> Units:
    given = top.take("units", str, "natural")
    for units in ("natural", "base"):
        if given == units:
            return units
    raise top.refuse("units", f'must be "natural" or "base", not {shown(given)}')


def _different(top: Table, columns: dict[str, str]) -> None:
    """Refuses a column that is mapped to two meanings, which counts its numbers twice."""
    seen: dict[str, str] = {}
    for meaning, column in columns.items():
        if column in seen:
            raise top.refuse(meaning, f"is column {shown(column)}, as is {seen[column]}")
        seen[column] = meaning


def _wide(top: Table, account: str) -> tuple[WideLedger, ...]:
    ledgers: list[WideLedger] = []
    columns = {"account": account}
    for number, block in enumerate(top.tables("ledger"), 1):
        asset, column = block.element("asset", ASSET), block.take("column", str)
        book = block.element("book", CUSTOMER_BOOK) if "book" in block else None
        block.close()
        if any((asset, book) == (ledger.asset, ledger.book) for ledger in ledgers):
            raise block.refuse("asset", f"{asset} has a block of the same book before")
        ledgers.append(WideLedger(asset, book, column))
        columns[f"[[ledger]] {number}: column"] = column
    _different(top, columns)
    return tuple(ledgers)


def _long(top: Table, account: str) -> LongColumns | None:
    if "long" not in top:
        top.take("long", dict, {})
        return None
    section = top.table("long")
    asset, amount = section.take("asset", str), section.take("amount", str)
    book = section.take("book", str) if "book" in section else None
    section.close()
    columns = {"asset": asset, "amount": amount} | ({"book": book} if book else {})
    _different(top, {"account": account} | {f"[long] {key}": columns[key] for key in columns})
    return LongColumns(asset, book, amount)
