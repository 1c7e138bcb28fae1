"""Names, globs and folders -> tables that Spark reads, every value as it was written.

What `auditkit.ledger.tables` promises of files on one machine holds here too:
nothing is inferred, rounded, repaired or left out.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from auditkit.errors import InputError, shown
from auditkit.ledger.tables import find_tables
from auditkit.spark.cells import called
from auditkit.spark.lines import Lines, header_of

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

_REMOTE = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:/")
_GLOB = re.compile(r"([\\*?\[\]{}])")
_PARQUET = {
    "mergeSchema": "true",  # Else one file would tell the types, and the columns, of all others.
    "recursiveFileLookup": "true",
    "parquet.page.verify-checksum.enabled": "true",
}


@dataclass(frozen=True, slots=True)
class Table:
    """Files of one format: the columns asked for, c0, c1 and so on, and the file of each row.

    There are about so many `rows`.
    """

    frame: "DataFrame"
    rows: int


def find(spark: "SparkSession", folder: Path, pattern: str) -> list[str]:
    """The URIs of the tables that a name, glob or folder means, sorted.

    With a scheme, such as s3a://, it is Spark's, and means every table below
    it; without one it is a local file's, relative to `folder`. Raises InputError.
    """
    found: dict[str, int]
    if _REMOTE.match(pattern):
        listing = spark.read.format("binaryFile").option("recursiveFileLookup", "true")
        found = dict(listing.load(pattern).select("path", "length").collect())
        found = {uri: size for uri, size in found.items() if _ending(uri) in _READERS}
    else:
        paths = [path.resolve() for path in find_tables(folder, pattern)]
        found = {f"file://{path}": path.stat().st_size for path in paths}
    if not found:
        raise InputError(f"{shown(pattern)}: no table is there; tables end in {_ENDINGS}")
    for uri, size in found.items():
        if not size:
            raise InputError(f"{called(uri)}: is empty; a table begins with the names of columns")
    return sorted(found)


def tables(spark: "SparkSession", uris: Sequence[str], columns: Sequence[str]) -> list[Table]:
    """What the files hold in these columns. Raises InputError."""
    found = []
    for ending, read in _READERS.items():
        if mine := [uri for uri in uris if _ending(uri) == ending]:
            found.append(read(spark, mine, columns))
    for uri in uris:
        if _ending(uri) not in _READERS:
            raise InputError(f"{called(uri)}: Spark does not read such files; write {_ENDINGS}")
    return found


def _ending(uri: str) -> str:
    return Path(uri).suffix.lower()


def _literal(uris: Sequence[str]) -> list[str]:
    """The same names, where Spark would take them for globs."""
    return [_GLOB.sub(r"\\\1", uri) for uri in uris]


def _select(frame: "DataFrame", columns: Sequence[str]) -> "DataFrame":
    from pyspark.sql import functions

    quoted = [functions.col(f"`{name.replace('`', '``')}`") for name in columns]
    named = [column.alias(f"c{place}") for place, column in enumerate(quoted)]
    return frame.select(*named, functions.col("_metadata.file_path").alias("file"))


def _parquet(spark: "SparkSession", uris: Sequence[str], columns: Sequence[str]) -> Table:
    frame = spark.read.options(**_PARQUET).parquet(*_literal(uris))
    _require(columns, frame.columns, uris)
    return Table(_select(frame, columns), frame.count())


def _csv(spark: "SparkSession", uris: Sequence[str], columns: Sequence[str]) -> Table:
    from pyspark.sql import functions

    def text(of: Sequence[str]) -> "DataFrame":
        return spark.read.option("recursiveFileLookup", "true").text(_literal(of))

    start = functions.col("_metadata.file_block_start")
    first = text(uris[:1]).where((start == 0) & (functions.length("value") > 0)).first()
    if first is None:
        raise InputError(f"{called(uris[0])}: has no line; a table begins with names of columns")
    lines = Lines(called(uris[0]), first.value, tuple(columns))
    _require(columns, header_of(first.value), uris)
    schema = ", ".join([*(f"c{place} string" for place in range(len(columns))), "file string"])
    located = text(uris).select("value", functions.col("_metadata.file_path"), start)
    return Table(located.mapInArrow(lines.parse, schema), text(uris).count())


def _require(columns: Sequence[str], header: Sequence[str], uris: Sequence[str]) -> None:
    where = called(uris[0]) + (f" and {len(uris) - 1} more" if len(uris) > 1 else "")
    for name in header:
        if header.count(name) > 1:
            raise InputError(
                f"{where}: column {shown(name)} occurs twice; give each column its own name"
            )
    for name in columns:
        if name not in header:
            listed = ", ".join(shown(other) for other in header[:40])
            raise InputError(f"{where}: there is no column {shown(name)}; there are {listed}")


_Reader = Callable[["SparkSession", Sequence[str], Sequence[str]], Table]
_READERS: dict[str, _Reader] = {".parquet": _parquet, ".csv": _csv}
_ENDINGS = ", ".join(_READERS)
