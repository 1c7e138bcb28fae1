"""What executors do: salt rows, bring accounts together, hash blocks (SPEC.md §2).

All of it is the local engine's own code. Salts are uniform, so a ledger is cut
into parts by the first 32 bits of its salts, and each part is put in order and
hashed by one executor. The ledger's secret travels in these objects alone.
"""

from base64 import b64decode, b64encode
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import chain, pairwise

import numpy as np
import pyarrow as pa

from auditkit.ledger import blocks, hashing
from auditkit.ledger.blocks import Block
from auditkit.ledger.columns import Balances
from auditkit.ledger.runs import Rows
from auditkit.ledger.sorting import Met, meet
from auditkit.ledger.stored import BLOCK
from auditkit.secret import Secret
from auditkit.spark.cells import Mapped
from auditkit.spark.packed import Kind, Piece, joined
from auditkit.spark.refusals import told

PARTED = "part int, rows string"
"""Rows on their way to the parts of a ledger: the part, and packed rows in base64.

They are text there because Spark takes many times longer to hand bytes to Python.
"""

Batches = Iterable[pa.RecordBatch]
Parted = tuple[int, bytes]
"""A part, and packed rows of it."""


def parted(row: tuple[int, str]) -> Parted:
    """A row of PARTED."""
    return row[0], b64decode(row[1])


@dataclass(frozen=True, slots=True)
class Salting:
    """How the rows of a ledger are salted, and in how many parts it is cut."""

    secret: Secret = field(repr=False)
    parts: int

    @told
    def own(self, mapped: Mapped, batches: Batches) -> Iterator[pa.RecordBatch]:
        """The rows of the books. Raises InputError for what is no account or no amount."""
        held: list[Balances] = []
        for batch in batches:
            held.append(mapped.balances(batch))
            if sum(map(len, held)) >= BLOCK:
                yield self._parted(Kind.OWN, Balances.joined(held))
                held = []
        yield self._parted(Kind.OWN, Balances.joined(held))

    @told
    def given(self, batches: Batches) -> Iterator[pa.RecordBatch]:
        """Rows that the driver packed, whose salts are not salts yet."""
        for batch in batches:
            for packed in batch.column(0):
                piece = Piece.unpack(packed.as_py())
                yield self._parted(piece.kind, piece.rows.balances)

    def _parted(self, kind: Kind, balances: Balances) -> pa.RecordBatch:
        numbers = np.zeros(len(balances), np.int32)
        salts = hashing.hmac_salts(self.secret, balances.accounts, numbers)
        pairs = list(self.by_part(kind, Rows(salts, balances)))
        columns = [
            pa.array([part for part, _ in pairs], pa.int32()),
            pa.array([b64encode(packed) for _, packed in pairs], pa.binary()).cast(pa.string()),
        ]
        return pa.record_batch(columns, ["part", "rows"])

    def by_part(self, kind: Kind, rows: Rows) -> Iterator[Parted]:
        """The rows of each part that has any."""
        first = np.ascontiguousarray(rows.salts[:, :4]).view(">u4").reshape(-1).astype(np.uint64)
        parts = (first * np.uint64(self.parts)) >> np.uint64(32)
        order = np.argsort(parts, kind="stable")
        rows, parts = rows.take(order), parts[order]
        begins = np.flatnonzero(np.diff(parts, prepend=np.uint64(self.parts)))
        for begin, end in pairwise([*begins.tolist(), len(rows)]):
            yield int(parts[begin]), Piece(kind, rows.slice(begin, end)).pack()


@dataclass(frozen=True, slots=True)
class Count:
    """What a part comes to: its leaves, of them accounts carried alone and rows that moved."""

    leaves: int
    carried: int
    moved: int


@dataclass(frozen=True, slots=True)
class Meeting:
    """How the rows of an account meet; it may have `most`."""

    salting: Salting
    most: int

    @told
    def moved(self, pairs: Iterable[Parted]) -> Iterator[Parted]:
        """The rows of one part, and once more those that have salts elsewhere.

        Raises InputError for an account with too many rows.
        """
        held = list(pairs)
        yield from held
        later = self._met([Piece.unpack(packed) for _, packed in held])
        salts = hashing.hmac_salts(self.salting.secret, later.later.accounts, later.numbers)
        yield from self.salting.by_part(Kind.MOVED, Rows(salts, later.later))

    @told
    def settled(self, pairs: Iterable[Parted]) -> Iterator[Count | bytes]:
        """What one part comes to, then its leaves in order, packed by no more than a block.

        Raises InputError for an account with too many rows.
        """
        pieces = [Piece.unpack(packed) for _, packed in pairs]
        moved = sum(len(piece.rows) for piece in pieces if piece.kind is Kind.MOVED)
        met = self._met(pieces)
        yield Count(len(met.first), met.carried, moved)
        for start in range(0, len(met.first), BLOCK):
            yield Piece(Kind.OWN, met.first.slice(start, start + BLOCK)).pack()

    def _met(self, pieces: list[Piece]) -> Met:
        return meet(*joined(pieces), self.most)


@dataclass(frozen=True, slots=True)
class Cutting:
    """How parts are cut into blocks: `starts` are the leaves before each of them."""

    starts: tuple[int, ...]

    @told
    def hashed(self, part: int, settled: Iterable[Count | bytes]) -> Iterator[Block | bytes]:
        """The whole blocks of one part, and packed rows of those that it shares with others.

        Raises InputError if a sum reaches 2^128.
        """
        pieces = (Piece.unpack(packed).rows for packed in settled if isinstance(packed, bytes))
        left = -self.starts[part] % BLOCK
        for rows in pieces:
            edge = rows.slice(0, left)
            left -= len(edge)
            if len(edge):
                yield Piece(Kind.OWN, edge).pack()
            if not left:
                inner = chain([rows.slice(len(edge), len(rows))], pieces)
                for block in blocks.cut(inner):
                    whole = len(block) == BLOCK
                    yield Block.of(block) if whole else Piece(Kind.OWN, block).pack()
