"""Lines of CSV files -> columns of text, by the parser and the rules of `ledger.tables`.

Spark's own CSV reader mends what it cannot read. So Spark brings lines, of which
it says the file and the byte where their split of it starts, and nothing else.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

from auditkit.errors import InputError, shown
from auditkit.spark.cells import called
from auditkit.spark.refusals import told

_PARSING = pa.csv.ParseOptions(newlines_in_values=False)


def header_of(line: str) -> list[str]:
    """The names of columns in the first line of a file."""
    data = pa.BufferReader(line.encode() + b"\n")
    names: list[str] = pa.csv.read_csv(data, parse_options=_PARSING).column_names
    return names


@dataclass(frozen=True, slots=True)
class Lines:
    """How lines are read: `header` is the first one of the file `first`, and of every other."""

    first: str
    header: str
    columns: tuple[str, ...]

    @told
    def parse(self, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """The columns, then the file of each row, from batches of line, file and start of split.

        Raises InputError for a file that does not begin with the header, and a row of
        another length or whose quotes do not end in its line.
        """
        before: tuple[str, int] | None = None
        for batch in batches:
            # Every line is compared as bytes: nobody has looked whether they are UTF-8.
            lines = batch.column(0).cast(pa.binary())
            rows = np.flatnonzero(pc.binary_length(lines).to_numpy(zero_copy_only=False))
            if not len(rows):
                continue
            some = pa.array(rows)
            lines, files, starts = (column.take(some) for column in (lines, *batch.columns[1:]))
            begins, before = _begins(files, starts, before)
            for row in begins:
                if lines[row].as_py() != self.header.encode():
                    raise InputError(
                        f"{called(files[row].as_py())}: does not begin with the line "
                        f"{shown(self.header)}, as {self.first} does; Spark reads CSV files "
                        "of the same columns in the same order"
                    )
            data = np.delete(np.arange(len(rows)), begins)
            yield self._parsed(lines.take(pa.array(data)), files.take(pa.array(data)))

    def _parsed(self, lines: pa.Array, files: pa.Array) -> pa.RecordBatch:
        odd = np.asarray(pc.count_substring(lines, '"')) % 2 == 1
        if odd.any():
            raise _refused(lines, files, int(np.argmax(odd)), "has a quote that does not end in it")
        bad: list[int] = []

        def remember(row: pa.csv.InvalidRow) -> str:
            bad.append(row.number - 1)
            return "skip"

        names = header_of(self.header)
        table = pa.csv.read_csv(
            pa.BufferReader(_joined(lines)),
            pa.csv.ReadOptions(use_threads=False, column_names=names, block_size=1 << 30),
            pa.csv.ParseOptions(newlines_in_values=False, invalid_row_handler=remember),
            pa.csv.ConvertOptions(
                include_columns=self.columns,
                column_types={name: pa.string() for name in self.columns},
                check_utf8=False,
            ),
        )
        if bad:
            raise _refused(lines, files, bad[0], f"does not have {len(names)} cells")
        if table.num_rows != len(lines):
            raise _refused(lines, files, 0, "or one after it cannot be read")
        columns = [column.combine_chunks() for column in table.columns]
        outer = [*(f"c{place}" for place in range(len(columns))), "file"]
        return pa.record_batch([*columns, files], outer)


def _joined(lines: pa.Array) -> bytes:
    """The lines with their ends."""
    as_list = pa.ListArray.from_arrays(pa.array([0, len(lines)], pa.int32()), lines)
    text: bytes = pc.binary_join(as_list, b"\n")[0].as_py()
    return text + b"\n"


def _begins(
    files: pa.Array, starts: pa.Array, before: tuple[str, int] | None
) -> tuple[npt.NDArray[np.int64], tuple[str, int]]:
    """Which rows are the first of their files, and where the last row is from."""
    codes = files.dictionary_encode().indices.to_numpy()
    splits = starts.to_numpy()
    changes = np.flatnonzero((np.diff(codes) != 0) | (np.diff(splits) != 0)) + 1
    begins = [row for row in [0, *changes.tolist()] if splits[row] == 0]
    if begins and begins[0] == 0 and before == (files[0].as_py(), 0):
        del begins[0]
    return np.array(begins, np.int64), (files[-1].as_py(), int(splits[-1]))


def _refused(lines: pa.Array, files: pa.Array, row: int, problem: str) -> InputError:
    text = lines[row].as_py().decode("utf-8", "backslashreplace")
    return InputError(f"{called(files[row].as_py())}: the row {shown(text)} {problem}")
