"""A books.toml whose tables Spark reads, from any path that it can."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa

from auditkit.errors import InputError, place
from auditkit.ledger import mapping
from auditkit.ledger.accounts import MOST_LEAVES
from auditkit.ledger.books import Books, Key
from auditkit.ledger.builder import Builder
from auditkit.ledger.mapping import LongColumns
from auditkit.spark.builder import SparkBuilder
from auditkit.spark.cells import Cells, Mapped
from auditkit.spark.files import Table, find, tables
from auditkit.spark.refusals import plainly

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

_LISTED = 20


@dataclass(frozen=True, slots=True)
class SparkBooks:
    """A books.toml that was read, and the tables that it means, as Spark finds them.

    `books` is what it says, without files. `parts` are chosen by the rows if they are not told.
    """

    spark: "SparkSession"
    books: Books
    uris: tuple[str, ...]
    parts: int | None = None

    @classmethod
    def read(cls, spark: "SparkSession", path: Path, parts: int | None = None) -> "SparkBooks":
        """Read a books.toml and find its files. Raises InputError."""
        said = mapping.Mapping.read(path)
        uris: dict[str, None] = {}
        for pattern in said.patterns:
            try:
                with plainly(InputError):
                    uris |= dict.fromkeys(find(spark, path.parent, pattern))
            except InputError as error:
                raise said.source.refuse("files", str(error)) from None
        books = Books(
            path, said.units, said.as_of, (), said.account, said.split, said.wide, said.long
        )
        return cls(spark, books, tuple(uris), parts)

    def over(self, local: Builder) -> SparkBuilder:
        """A builder of a ledger of these books, which takes the place of a local one."""
        most = MOST_LEAVES if self.books.split else 1
        return SparkBuilder(self.spark, local, most, self.parts)

    def builders(
        self,
        decimals: Mapping[str, int],
        books: Collection[str],
        default_book: str,
        new: Callable[[], Builder],
    ) -> dict[Key, Builder]:
        """A builder of each ledger by (asset, book), over a `new` one, with its rows.

        Of wide books every ledger they map occurs, if without rows; of long ones those
        that have any. Raises InputError, but of single values only once a ledger is built.
        """
        # Without files, this reads nothing but what the mapping and the policy say of each other.
        for _ in self.books.stream(decimals, books, default_book):
            pass
        found: dict[Key, SparkBuilder] = {}
        with plainly(InputError):
            long = self.books.long
            if long is None:
                pieces = self._wide(default_book)
            else:
                pieces = self._long(long, decimals, books, default_book)
            for key, table, amount in pieces:
                places = decimals[key[0]] if self.books.units == "natural" else 0
                mapped = Mapped(self.books.account, amount, places)
                # What is wrong with the types of columns shows in a table of no rows.
                try:
                    mapped.balances(_nothing(table.frame))
                except InputError as error:
                    raise InputError(f"{place(self.books.path)}: {error}") from None
                builder = found[key] = found.get(key) or self.over(new())
                builder.read(table.frame, mapped, table.rows)
        return dict(found)

    def _wide(self, default_book: str) -> Iterator[tuple[Key, Table, str]]:
        columns = [ledger.column for ledger in self.books.wide]
        for table in tables(self.spark, self.uris, [self.books.account, *columns]):
            for number, ledger in enumerate(self.books.wide, 1):
                frame = table.frame.select("c0", f"c{number}", "file")
                key = ledger.asset, ledger.book or default_book
                yield key, Table(frame, table.rows), ledger.column

    def _long(
        self, long: LongColumns, assets: Collection[str], books: Collection[str], default: str
    ) -> Iterator[tuple[Key, Table, str]]:
        naming = [_Naming("c2", long.asset, "assets", assets)]
        if long.book is not None:
            naming.append(_Naming("c3", long.book, "books", books))
        columns = [self.books.account, long.amount, *(name.column for name in naming)]
        for table in tables(self.spark, self.uris, columns):
            for (asset, *book), rows in _groups(table.frame, naming):
                frame = table.frame.where(table.frame["c2"] == asset)
                if book:
                    frame = frame.where(table.frame["c3"] == book[0])
                key = asset, book[0] if book else default
                yield key, Table(frame.select("c0", "c1", "file"), rows), long.amount


@dataclass(frozen=True, slots=True)
class _Naming:
    """A column that names assets or books, and which of them the policy knows."""

    place: str
    column: str
    kind: str
    known: Collection[str]

    def check(self, value: str | None, file: str) -> None:
        """Raises InputError for a name that the policy does not know, or none."""
        cell = Cells.of(self.column, pa.array([value], pa.string()), pa.array([file]))
        cell.require_values("every row needs one")
        if value not in self.known:
            names = sorted(self.known)
            listed = ", ".join(names[:_LISTED]) + (", ..." if len(names) > _LISTED else "")
            raise cell.refuse(0, f"is not in the policy, whose {self.kind} are {listed}")


def _groups(frame: "DataFrame", naming: Sequence[_Naming]) -> Iterator[tuple[list[str], int]]:
    """The names that occur together, and in how many rows. Raises InputError."""
    from pyspark.sql import functions as sql

    for name in naming:
        empty = _nothing(frame.select(name.place)).column(0)
        if not pa.types.is_string(empty.type):
            raise Cells.of(name.column, empty).refuse_type("store names as text")
    # Whatever is unknown falls into one group, however much of it there is.
    known = [
        sql.when(sql.col(n.place).isin(*n.known), sql.col(n.place)).alias(f"known_{n.place}")
        for n in naming
    ]
    first = sql.min(sql.struct("file", *(name.place for name in naming)))
    found = frame.groupBy(*known).agg(first.alias("first"), sql.count(sql.lit(1)).alias("rows"))
    for group in found.collect():
        for name in naming:
            name.check(group["first"][name.place], group["first"]["file"])
        yield [group["first"][name.place] for name in naming], group["rows"]


def _nothing(frame: "DataFrame") -> pa.RecordBatch:
    """No rows, in columns of the frame's types."""
    return pa.RecordBatch.from_pylist([], frame.limit(0).toArrow().schema)
