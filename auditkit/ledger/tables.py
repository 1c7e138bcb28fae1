"""Opening Parquet, CSV and Arrow files as columns that keep every value as it was written.

Nothing is inferred, rounded or repaired on the way in: CSV cells stay text,
and what cannot be read is refused in one line that names the file and, where
there is one, the row (1-based, data rows only), the column and the value.
"""

import errno
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.ipc
import pyarrow.parquet

from auditkit.errors import InputError, place, shown
from auditkit.ledger.cells import Column

BATCH = 1 << 17
"""Rows that are read at once, at most."""
_CLIP = 200
_PART = 1 << 24
_CSV_BLOCK = 1 << 22
_CELL_BYTES, _GROUP_BYTES = 1 << 10, 1 << 20
"""So many bytes a row, and besides for a row group, may a Parquet column have unpacked."""


def read_columns(
    path: Path, names: Sequence[str], alone: bool = False, at_will: Sequence[str] = ()
) -> dict[str, Column]:
    """The named columns of a table file, whole. Raises as `batches`."""
    pieces = list(batches(path, names, alone, at_will))
    found = {}
    for name, column in pieces[0].items():
        # The first piece is empty, and may lack the type of those that a file without one has.
        chunks = [piece[name].data for piece in pieces[1:]] or [column.data]
        found[name] = Column(path, name, pa.chunked_array(chunks).combine_chunks())
    return found


def batches(
    path: Path, names: Sequence[str], alone: bool = False, at_will: Sequence[str] = ()
) -> Iterator[dict[str, Column]]:
    """The named columns of a table file, whose ending tells the format, a few rows at a time.

    The first piece has no rows. With `alone` the table must have no other
    column; those of `at_will` are read where they are. Raises InputError when
    the file is missing or damaged or its header is not as it must be; a disk
    that fails is the OSError it is.
    """

    def choose(header: Sequence[str]) -> list[str]:
        _check_header(path, header, names, alone)
        return [*names, *(name for name in at_will if name in header)]

    if path.exists() and not (path.is_file() or path.is_dir()):
        raise InputError(f"{place(path)}: is no ordinary file; name a table")
    row = 0
    try:
        for table in _reader(path)(path, choose):
            yield {
                name: Column(path, name, _flat(table.column(name)), start=row)
                for name in table.column_names
            }
            row += table.num_rows
    except FileNotFoundError:
        raise InputError(f"{place(path)}: there is no such file") from None
    except (OSError, pa.ArrowException, UnicodeDecodeError) as error:
        # Arrow reports damage as OSError too; EIO alone is the disk's own word. Names
        # of columns that are not UTF-8 come as UnicodeDecodeError.
        if isinstance(error, OSError) and error.errno == errno.EIO:
            raise
        reason = " ".join(str(error).split())[:_CLIP]
        reason = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in reason)
        raise InputError(f"{place(path)}: cannot be read ({reason}); export it again") from None


def find_tables(folder: Path, pattern: str) -> list[Path]:
    """The table files that a name, glob or folder means, relative to `folder`, sorted.

    A folder means every table directly in it. A folder inside that one is
    refused: customers must not be left out because nobody said how deep to look.
    """
    target = folder / pattern
    if target.exists():
        found = [target]
    elif any(mark in pattern for mark in "*?["):
        base = Path(target.anchor) if Path(pattern).is_absolute() else folder
        try:
            found = sorted(base.glob(str(target.relative_to(base))))
        except ValueError as error:
            raise InputError(f"{shown(pattern)} is no glob ({error})") from None
    else:
        found = []
    if not found:
        raise InputError(f"{shown(pattern)} matches no file")
    tables = [table for path in found for table in (_inside(path) if path.is_dir() else [path])]
    for table in tables:
        _reader(table)
    return tables


def _reader(path: Path) -> "_Reader":
    reader = _READERS.get(path.suffix.lower())
    if reader is None:
        raise InputError(f"{place(path)}: unknown ending; tables end in {_ENDINGS}")
    return reader


def _inside(folder: Path) -> list[Path]:
    entries = sorted(folder.iterdir())
    for entry in entries:
        if entry.is_dir() and not entry.name.startswith("."):
            raise InputError(
                f"{place(entry)}: a folder inside a folder of tables; name it in files, "
                "or write a glob such as **/*.parquet"
            )
    tables = [entry for entry in entries if entry.suffix.lower() in _READERS]
    if not tables:
        raise InputError(f"{place(folder)}: no table in this folder; tables end in {_ENDINGS}")
    return tables


def _check_header(path: Path, header: Sequence[str], names: Sequence[str], alone: bool) -> None:
    """Refuses names that occur twice, that are missing or, with `alone`, that are not asked for."""
    listed = ", ".join(shown(name) for name in header[:40]) + (", ..." if len(header) > 40 else "")
    seen: set[str] = set()
    for name in header:
        if name in seen:
            raise InputError(
                f"{place(path)}: column {shown(name)} occurs twice; give each column its own name"
            )
        seen.add(name)
    for name in names:
        if name not in header:
            raise InputError(
                f"{place(path)}: there is no column {shown(name)}; there are {listed or 'none'}"
            )
    if alone and len(header) > len(names):
        wanted = " and ".join(shown(name) for name in names)
        raise InputError(f"{place(path)}: the columns must be {wanted} alone; there are {listed}")


def _flat(data: pa.ChunkedArray) -> pa.Array:
    """One array without dictionaries, and with 64-bit offsets, which text cannot overflow."""
    if pa.types.is_dictionary(data.type):
        chunks = [_flat(pa.chunked_array([c.dictionary])).take(c.indices) for c in data.chunks]
        data = pa.chunked_array(chunks, _flat(pa.chunked_array([], data.type.value_type)).type)
    if pa.types.is_string(data.type) or pa.types.is_string_view(data.type):
        data = data.cast(pa.large_string())
    return data.combine_chunks()


_Choose = Callable[[Sequence[str]], list[str]]
"""The columns to read of those that a header has. Raises InputError."""
_Reader = Callable[[Path, _Choose], Iterator[pa.Table]]
"""Yields a table without rows, then the rows."""


def _read_parquet(path: Path, choose: _Choose) -> Iterator[pa.Table]:
    with pa.parquet.ParquetFile(path, page_checksum_verification=True) as file:
        names = choose(file.schema_arrow.names)
        _refuse_huge(path, file.metadata, names)
        yield file.schema_arrow.empty_table().select(names)
        for batch in file.iter_batches(BATCH, columns=names):
            yield pa.Table.from_batches([batch])


def _refuse_huge(path: Path, about: pa.parquet.FileMetaData, names: Sequence[str]) -> None:
    """Refuses a column of huge cells before it is unpacked, as far as the file's footer tells."""
    for number in range(about.num_row_groups):
        group = about.row_group(number)
        most = _GROUP_BYTES + _CELL_BYTES * group.num_rows
        for column in map(group.column, range(group.num_columns)):
            if column.path_in_schema in names and column.total_uncompressed_size > most:
                raise InputError(
                    f"{place(path)}: column {shown(column.path_in_schema)} has "
                    f"{column.total_uncompressed_size} bytes for {group.num_rows} rows; no cell "
                    "has to be so long"
                )


def _read_arrow(path: Path, choose: _Choose) -> Iterator[pa.Table]:
    with pa.OSFile(str(path)) as source:
        schema = pa.ipc.open_file(source).schema
        names = choose(schema.names)
        yield schema.empty_table().select(names)
        wanted = pa.ipc.IpcReadOptions(included_fields=[schema.names.index(n) for n in names])
        file = pa.ipc.open_file(source, options=wanted)
        for number in range(file.num_record_batches):
            table = pa.Table.from_batches([file.get_batch(number)])
            # The buffers come as they are in the file: nothing may follow an offset before this.
            table.validate(full=True)
            for start in range(0, table.num_rows, BATCH):
                yield table.slice(start, BATCH)


def _read_csv(path: Path, choose: _Choose) -> Iterator[pa.Table]:
    # One thread, because only then are broken rows numbered.
    reading = pa.csv.ReadOptions(use_threads=False, block_size=_CSV_BLOCK)
    parsing = pa.csv.ParseOptions(newlines_in_values=True)
    rows = 0
    try:
        with pa.csv.open_csv(_source(path), reading, parsing) as head:
            names = choose(head.schema.names)
        as_text = pa.csv.ConvertOptions(
            include_columns=names,
            column_types={name: pa.string() for name in names},
            check_utf8=False,
        )
        with pa.csv.open_csv(_source(path), reading, parsing, as_text) as file:
            yield file.schema.empty_table()
            for batch in file:
                rows += batch.num_rows
                yield pa.Table.from_batches([batch])
    except pa.ArrowInvalid:
        _refuse_uneven(path, reading)
        raise
    _check_lines(path, rows)


def _refuse_uneven(path: Path, reading: pa.csv.ReadOptions) -> None:
    """Raises InputError if a row has more or fewer cells than the header: by its number."""
    try:
        # Arrow drops what it raises over a broken row that is not UTF-8, so it gets none to see.
        path.read_bytes().decode("utf-8")
    except UnicodeDecodeError as error:
        raise InputError(f"{place(path)}: byte {error.start} is not UTF-8 text") from None
    bad: list[pa.csv.InvalidRow] = []

    def remember(row: pa.csv.InvalidRow) -> str:
        bad.append(row)
        return "error"

    parsing = pa.csv.ParseOptions(newlines_in_values=True, invalid_row_handler=remember)
    with suppress(pa.ArrowInvalid):
        pa.csv.read_csv(_source(path), reading, parsing)
    if bad:
        cells = f"row {bad[0].number - 1} has {bad[0].actual_columns} cells"
        raise InputError(
            f"{place(path)}: {cells} where the header has {bad[0].expected_columns} "
            f"({shown(bad[0].text)}); export it again"
        )


def _source(path: Path) -> Path | pa.BufferReader:
    """A header alone is an empty table, even where no line break ends it, as Arrow wants."""
    with path.open("rb") as file:
        start = file.read(1 << 16)
    whole = 0 < len(start) < 1 << 16 and not start.endswith((b"\n", b"\r"))
    return pa.BufferReader(start + b"\n") if whole else path


def _check_lines(path: Path, rows: int) -> None:
    """Refuses a file that has more lines than rows and a header; empty lines are neither.

    Arrow takes a quote that is never closed for a cell up to the end of the
    file, and the customers in it would be gone without a word.
    """
    if _count_lines(path) == rows + 1:
        return
    with path.open(encoding="latin-1") as lines:
        filled = (line for line in lines if line != "\n")
        row = next((row for row, line in enumerate(filled) if line.count('"') % 2), 0)
    raise InputError(
        f"{place(path)}: row {row}: a quoted cell does not end in its line; "
        "close the quote, or leave out cells of several lines"
    )


def _count_lines(path: Path) -> int:
    """Lines that are not empty: each begins where a byte that is no line break follows one."""
    count = 0
    after = True
    with path.open("rb") as file:
        while part := file.read(_PART):
            data = np.frombuffer(part, np.uint8)
            breaks = (data == ord("\n")) | (data == ord("\r"))
            count += int(np.count_nonzero(breaks[:-1] & ~breaks[1:])) + (after and not breaks[0])
            after = bool(breaks[-1])
    return count


_READERS: dict[str, _Reader] = {
    ".parquet": _read_parquet,
    ".csv": _read_csv,
    ".arrow": _read_arrow,
    ".feather": _read_arrow,
}
_ENDINGS = ", ".join(_READERS)
