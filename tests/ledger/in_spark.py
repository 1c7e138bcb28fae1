"""The same books by this process and by Spark, and what is stored of them."""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq
from ledger.by_hand import SECRET, Row
from ledger.in_small import files_of

from auditkit.ledger.books import Books
from auditkit.ledger.builder import Builder
from auditkit.ledger.columns import Balances
from auditkit.ledger.runs import Role
from auditkit.publish.snapshot import Engine, Local
from auditkit.spark.books import SparkBooks

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

POLICY = ({"BTC": 8, "USDT": 2}, ["margin", "spot"], "margin")
WIDE = (
    '[source]\nfiles = ["*.{}"]\naccount = "account"\n[[ledger]]\nasset = "BTC"\ncolumn = "btc"\n'
)
LONG = (
    '[source]\nfiles = ["*.{}"]\naccount = "account"\n'
    '[long]\nasset = "asset"\nbook = "book"\namount = "amount"\n'
)

Stored = dict[str, dict[str, bytes]]
"""The files of every ledger, by its asset and book."""


def write_books(folder: Path, mapping: str, files: Mapping[str, str | bytes | pa.Table]) -> Path:
    """A books.toml and its tables."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, held in files.items():
        if isinstance(held, pa.Table):
            pq.write_table(held, folder / name, write_page_checksum=True, row_group_size=20_000)
        else:
            (folder / name).write_bytes(held.encode() if isinstance(held, str) else held)
    (folder / "books.toml").write_text(mapping)
    return folder / "books.toml"


def stored(engine: Engine, most: int, into: Path, gone: Balances) -> Stored:
    """What an engine stores of its books, and of accounts of an earlier ledger."""
    into.mkdir()
    found, drafts = {}, (into / f".{number}" for number in range(99))
    with ExitStack() as open_:

        def new() -> Builder:
            return open_.enter_context(Builder(next(drafts), SECRET, most))

        for key, builder in engine.builders(*POLICY, new).items():
            builder.add(gone, Role.CARRIED)
            name = "-".join(key)
            found[name] = files_of(builder.publish(into / name).directory)
    return found


class Both:
    """What both engines make of some books; everything lies in one folder."""

    def __init__(self, spark: "SparkSession", folder: Path) -> None:
        self.spark, self._folder, self._runs = spark, folder, 0

    def _into(self) -> Path:
        self._runs += 1
        return self._folder / f"stored-{self._runs}"

    def here(self, path: Path, gone: list[Row] | None = None) -> Stored:
        """By this process."""
        books = Books.read(path)
        return stored(Local(books), 16 if books.split else 1, self._into(), Balances.of(gone or []))

    def there(self, path: Path, parts: int | None = 2, gone: list[Row] | None = None) -> Stored:
        """By Spark."""
        engine = SparkBooks.read(self.spark, path, parts)
        return stored(engine, 1, self._into(), Balances.of(gone or []))


def many(accounts: int) -> tuple[list[Row], list[Row]]:
    """Rows of accounts of 1 to 128 bytes, of which some are split; others of an earlier ledger."""
    rows: list[Row] = []
    for number in range(accounts):
        name = f"{number}".rjust(1 + number % 128, "x")
        count = 16 if number % 1000 == 3 else 1 + (number % 5 == 0)
        rows += [(name, (number * 7919 + row) << number % 80) for row in range(count)]
    # An order that has nothing to do with names and salts.
    rows.sort(key=lambda row: hash((row[1], len(row[0]))))
    gone = [(f"left{number}", number) for number in range(accounts // 10)]
    return rows, [*gone, *rows[:1000]]


def tables(rows: list[Row], count: int) -> Iterator[pa.Table]:
    """The rows in so many tables, amounts as text in base units."""
    for start in range(count):
        names, amounts = zip(*rows[start::count], strict=True)
        yield pa.table({"account": names, "btc": [str(amount) for amount in amounts]})
