"""Many fixed-width rows -> SHA-256, on two threads.

Few rows are hashed one by one with hashlib, which spares a small ledger the
import of DataFusion; many go through DataFusion's vectorised `sha256`, a chunk
at a time. The two threads of the crew do whatever takes long on a ledger; what
one of them hashes, it hashes itself.
"""

import hashlib
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cache
from typing import Any, TypeVar

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
_BATCH = 1 << 17


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

    def __init__(self) -> None:
        import datafusion

        config = datafusion.SessionConfig().with_target_partitions(1).with_batch_size(_BATCH)
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


_HERE = threading.local()
"""The lane of the thread that asks, if it is one of the crew."""

T = TypeVar("T")
R = TypeVar("R")


@cache
def crew() -> ThreadPoolExecutor:
    """The threads that work on ledgers, each with a lane of its own."""

    def join() -> None:
        _HERE.lane = None

    return ThreadPoolExecutor(THREADS, "ledger", join)


def ahead(work: Callable[[T], R], items: Iterable[T]) -> Iterator[R]:
    """What `work` makes of each item, in their order, by the crew.

    Only a few items are in hand at a time, so that memory stays bounded. What
    goes wrong with one is raised in its turn.
    """
    started: deque[Future[R]] = deque()
    try:
        for item in items:
            started.append(crew().submit(work, item))
            if len(started) > THREADS + 1:
                yield started.popleft().result()
        while started:
            yield started.popleft().result()
    finally:
        for future in started:
            future.cancel()


def in_chunks(count: int, work: Callable[[Lane, slice], None]) -> None:
    """Call `work` for all rows 0 <= i < count, a slice at a time, in no certain order.

    One of the crew does all of it by itself; for anybody else both do.
    """
    if count < SMALL:
        work(_Loop(), slice(0, count))
        return
    size = -(-count // -(-count // CHUNK))
    slices = [slice(start, min(start + size, count)) for start in range(0, count, size)]

    def run(part: slice) -> None:
        _HERE.lane = _HERE.lane or _Engine()
        work(_HERE.lane, part)

    for _ in map(run, slices) if hasattr(_HERE, "lane") else ahead(run, slices):
        pass
