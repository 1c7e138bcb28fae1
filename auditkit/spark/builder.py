"""Rows that Spark brings into order -> a stored ledger (SPEC.md §2).

What is stored is byte for byte what the local `Builder` stores of the same
rows and the same secret, however many parts, executors and machines there are.
"""

import os
from collections.abc import Iterable, Iterator
from functools import partial
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from pyspark import StorageLevel

from auditkit.errors import InputError
from auditkit.ledger.blocks import Block, cut
from auditkit.ledger.builder import Builder, Writer
from auditkit.ledger.columns import Balances
from auditkit.ledger.engine import HASH_BYTES, Bytes
from auditkit.ledger.runs import Role, Rows
from auditkit.ledger.store import Ledger
from auditkit.ledger.stored import BLOCK
from auditkit.secret import Secret
from auditkit.spark.cells import Mapped
from auditkit.spark.packed import Kind, Piece
from auditkit.spark.refusals import plainly
from auditkit.spark.tasks import PARTED, Count, Cutting, Meeting, Salting, parted

if TYPE_CHECKING:
    from pyspark import RDD
    from pyspark.sql import DataFrame, SparkSession

PART = 1 << 20
"""Leaves of a part, about: an executor holds one in memory, and the driver at times two."""
_WINDOW = 1 << 26
"""Bytes of rows that the driver holds before it hands them to the executors."""


class SparkBuilder(Builder):
    """A builder whose rows are put in order and hashed by Spark's executors.

    It takes the draft and the secret of a local one, which is not used otherwise.
    """

    def __init__(
        self, spark: "SparkSession", local: Builder, most: int, parts: int | None = None
    ) -> None:
        """An account may have `most` rows. `parts` are chosen by the rows if they are not told."""
        self.secret, self._draft, self._sorter = local.secret, local._draft, local._sorter
        self._spark = spark
        self._most = most
        self._parts = parts
        self._read: list[tuple[DataFrame, Mapped]] = []
        self._given: list[DataFrame] = []
        self._window: list[bytes] = []
        self._rows = self._carried = 0

    @property
    def carried(self) -> int:
        """How many accounts of an earlier ledger alone the one published has, with 0."""
        return self._carried

    def read(self, frame: "DataFrame", mapped: Mapped, rows: int) -> None:
        """Take rows that Spark reads, about so many: account, amount and file."""
        self._read.append((frame, mapped))
        self._rows += rows

    def add(self, balances: Balances, role: Role = Role.OWN) -> None:
        """Take rows: the ledger's own, or what another ledger says of its accounts."""
        self._rows += len(balances)
        for start in range(0, len(balances), BLOCK):
            some = balances.slice(start, start + BLOCK)
            blank = np.zeros((len(some), HASH_BYTES), np.uint8)
            self._window.append(Piece(Kind(role), Rows(blank, some)).pack())
            if sum(map(len, self._window)) >= _WINDOW:
                self._hand_over()

    def _hand_over(self) -> None:
        """Give the rows held here to the executors, which keep them on their disks."""
        window, self._window = self._window, []
        if window:
            with plainly():
                frame = self._spark.createDataFrame(pa.table({"rows": window}))
                self._given.append(frame.localCheckpoint(True, StorageLevel.DISK_ONLY))

    def publish(self, directory: Path) -> Ledger:
        """Store the ledger as `directory`, which must not exist. Raises as `Builder`'s."""
        if os.path.lexists(directory):
            raise InputError(f"{directory} exists already; a ledger is never built over another")
        self._hand_over()
        store = Writer(self._draft)
        with plainly():
            settled = self._settled().persist(StorageLevel.DISK_ONLY)
            counts = settled.filter(lambda found: isinstance(found, Count)).collect()
            for block in _blocks(settled, [count.leaves for count in counts]):
                store.add(block)
        self._read, self._given = [], []
        self._carried = sum(count.carried for count in counts)
        store.publish(directory, self.secret, split=any(count.moved for count in counts))
        return Ledger.open(directory, self.secret)

    def _settled(self) -> "RDD[Any]":
        """The leaves of each part in order, after a count of them."""
        parts = self._parts or _parts(self._rows, self._spark.sparkContext.defaultParallelism)
        salting = Salting(Secret(self.secret), parts)
        frames = [
            frame.mapInArrow(partial(salting.own, mapped), PARTED) for frame, mapped in self._read
        ]
        frames += [frame.mapInArrow(salting.given, PARTED) for frame in self._given]
        context = self._spark.sparkContext
        rows: RDD[Any] = context.union(
            [context.parallelize([], 1), *(frame.rdd.map(parted) for frame in frames)]
        )
        meeting = Meeting(salting, self._most)
        met = rows.partitionBy(parts, int)
        if self._most > 1:
            # What is not an account's first leaf has another salt, and another place.
            met = met.mapPartitions(meeting.moved).partitionBy(parts, int)
        return met.mapPartitions(meeting.settled)


def _parts(rows: int, cores: int) -> int:
    """One for each core if that leaves them a block, and enough that none is too large."""
    return max(-(-rows // PART), min(cores, -(-rows // BLOCK)), 1)


def _blocks(settled: "RDD[Any]", leaves: list[int]) -> Iterator[Block]:
    """The blocks of a ledger in order, from parts of so many leaves."""
    starts = tuple(accumulate(leaves, initial=0))
    done = settled.mapPartitionsWithIndex(Cutting(starts).hashed).persist(StorageLevel.DISK_ONLY)
    # All parts at once, since they are fetched one after another.
    done.count()
    settled.unpersist()
    yield from whole(done.toLocalIterator(prefetchPartitions=True), starts[-1])
    done.unpersist()


def whole(found: Iterable[Block | bytes], leaves: int) -> Iterator[Block]:
    """All blocks in order, those hashed here of which parts have only some rows.

    Raises RuntimeError for rows out of order, missing or twice: they must never be signed.
    """
    count, last = 0, np.empty(0, np.uint8)
    for block in _joined(found):
        salts = np.concatenate((last, block.parts[0]))
        if count % BLOCK or not _ascending(salts.reshape(-1, HASH_BYTES)):
            raise RuntimeError("Spark did not keep the order of the rows")
        count, last = count + block.count, salts[-HASH_BYTES:]
        yield block
    if count != leaves:
        raise RuntimeError("Spark did not give every row once")


def _ascending(salts: Bytes) -> bool:
    words = salts.view(">u8").astype(np.uint64)
    low, high = words[:-1], words[1:]
    ascending = low[:, 0] < high[:, 0]
    unsure = np.flatnonzero(low[:, 0] == high[:, 0])
    ascending[unsure] = [low[row].tolist() < high[row].tolist() for row in unsure.tolist()]
    return bool(ascending.all())


def _joined(found: Iterable[Block | bytes]) -> Iterator[Block]:
    held: list[Rows] = []
    for each in found:
        if isinstance(each, bytes):
            held.append(Piece.unpack(each).rows)
        if isinstance(each, Block) or sum(map(len, held)) >= BLOCK:
            yield from map(Block.of, cut(held))
            held = []
        if isinstance(each, Block):
            yield each
    yield from map(Block.of, cut(held))
