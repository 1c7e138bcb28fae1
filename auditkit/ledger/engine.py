"""Many fixed-width rows -> SHA-256, on two threads.

Few rows are hashed one by one with hashlib, which spares a small ledger the
import of DataFusion; many go through DataFusion's vectorised `sha256`, a chunk
at a time.
"""

import hashlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

Bytes = npt.NDArray[np.uint8]
"""A matrix of bytes: one message, hash, salt or node a row."""

Numbers = npt.NDArray[np.integer[Any]]

HASH_BYTES = 32
# Below so many rows the hashlib loop is done before the engine has started.
SMALL = 4096
# Rows a thread has in hand; smaller chunks wait for the engine, larger ones for pages.
CHUNK = 1 << 17
THREADS = 2


class _Loop:
    """Digests one by one: for few rows."""

    def rows(self, count: int, width: int) -> Bytes:
        return np.empty((count, width), np.uint8)

    def digest(self, rows: Bytes) -> Bytes:
        width = rows.shape[1]
        data = rows.tobytes()
        ends = range(width, len(data) + 1, width)
        joined = b"".join(hashlib.sha256(data[end - width : end]).digest() for end in ends)
        return np.frombuffer(joined, np.uint8).reshape(-1, HASH_BYTES)


class _Engine:
    """One thread's DataFusion context of a single partition, which keeps the rows' order."""

    def __init__(self, most: int) -> None:
        import datafusion

        config = datafusion.SessionConfig().with_target_partitions(1).with_batch_size(most)
        self._context: Any = datafusion.SessionContext(config)
        self._hash: Any = datafusion.functions.sha256(datafusion.col("row")).alias("hash")
        self._scratch = np.empty(0, np.uint8)

    def rows(self, count: int, width: int) -> Bytes:
        """Room for `count` messages, the same each time: fresh pages cost more than hashing."""
        if self._scratch.size < count * width:
            self._scratch = np.empty(count * width, np.uint8)
        return self._scratch[: count * width].reshape(count, width)

    def digest(self, rows: Bytes) -> Bytes:
        count, width = rows.shape
        ends = np.arange(0, (count + 1) * width, width, dtype=np.int32)
        buffers = [None, pa.py_buffer(ends), pa.py_buffer(rows)]
        batch = pa.record_batch([pa.Array.from_buffers(pa.binary(), count, buffers)], ["row"])
        frame = self._context.create_dataframe([[batch]], name="rows")
        found = [_hashes(part.column(0)) for part in frame.select(self._hash).collect()]
        self._context.deregister_table("rows")
        hashes = found[0] if len(found) == 1 else np.concatenate(found)
        _check_order(rows, hashes)
        return hashes


Lane = _Loop | _Engine


def _hashes(column: pa.Array) -> Bytes:
    """The engine's answer as a matrix, without copying."""
    if column.null_count or column.type != pa.binary():
        raise RuntimeError(f"the engine's sha256 gave nulls or another type, {column.type}")
    first = np.frombuffer(column.buffers()[1], np.int32)[column.offset]
    data = np.frombuffer(column.buffers()[2], np.uint8)[first:]
    return data[: len(column) * HASH_BYTES].reshape(-1, HASH_BYTES)


def _check_order(rows: Bytes, hashes: Bytes) -> None:
    """Order is the engine's habit, not its promise; shuffled hashes must never be signed."""
    ends = _Loop().digest(rows[[0, -1]])
    if len(hashes) != len(rows) or not np.array_equal(ends, hashes[[0, -1]]):
        raise RuntimeError("the engine did not keep the order of the rows")


def in_chunks(count: int, work: Callable[[Lane, slice], None]) -> None:
    """Call `work` for all rows 0 <= i < count, a slice at a time, in no certain order."""
    if not count or count < SMALL:
        work(_Loop(), slice(0, count))
        return
    rounds = -(-count // (THREADS * CHUNK))
    size = -(-count // (THREADS * rounds))

    def run(first: int) -> None:
        lane = _Engine(size)
        for start in range(first, count, THREADS * size):
            work(lane, slice(start, min(start + size, count)))

    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(run, range(0, min(count, THREADS * size), size)))
