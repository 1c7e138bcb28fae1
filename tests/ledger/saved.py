"""Tables on disk, of few rows but many pieces."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

import pyarrow as pa
import pyarrow.csv
import pyarrow.ipc
import pyarrow.parquet

from auditkit.ledger import tables

ENDINGS = (".parquet", ".csv", ".arrow")


@contextmanager
def few_at_a_time() -> Iterator[None]:
    """Batches of 3 rows, and of 200 bytes of CSV."""
    with mock.patch.object(tables, "BATCH", 3), mock.patch.object(tables, "_CSV_BLOCK", 200):
        yield


def save(path: Path, columns: Mapping[str, Any], group: int = 7) -> Path:
    """A table in row groups or record batches of `group`."""
    table = pa.table(columns)
    if path.suffix == ".parquet":
        pa.parquet.write_table(table, path, row_group_size=group)
    elif path.suffix == ".csv":
        pa.csv.write_csv(table, path)
    else:
        with pa.ipc.new_file(path, table.schema) as file:
            file.write_table(table, max_chunksize=group)
    return path
