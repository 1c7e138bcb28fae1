"""A ledger in blocks of 65,536 leaves: the unit that is hashed, stored and checked at once.

A block's leaves are the aligned subtree of that many leaves, or what there is
of the last one. Of its nodes those of height 6 and above are kept: what lies
below a stem of 64 leaves is hashed again when one of them is proven.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from hashlib import sha256

import numpy as np

from auditkit.ledger import hashing
from auditkit.ledger.columns import Balances, total
from auditkit.ledger.engine import Bytes
from auditkit.ledger.runs import Rows, accounts_of
from auditkit.ledger.stored import BLOCK, SALT_BYTES, STEM_HEIGHT


def cut(pieces: Iterable[Rows]) -> Iterator[Rows]:
    """The same rows in the same order, in blocks of `BLOCK`; the last one may have fewer."""
    held: list[Rows] = []
    for piece in pieces:
        held.append(piece)
        if sum(map(len, held)) < BLOCK:
            continue
        rows = Rows.joined(held)
        whole = len(rows) // BLOCK * BLOCK
        for start in range(0, whole, BLOCK):
            yield rows.slice(start, start + BLOCK)
        held = [rows.slice(whole, len(rows))]
    if sum(map(len, held)):
        yield Rows.joined(held)


@dataclass(frozen=True, slots=True)
class Block:
    """One block, hashed.

    `parts` are the bytes that are stored of its salts, amounts and names, and
    `sums` the SHA-256 of each. `levels` are its nodes from the height of a stem up
    to its root, shape (k, 48) each, or its root alone where it is lower than that.
    """

    count: int
    total: int
    parts: tuple[Bytes, Bytes, Bytes] = field(repr=False)
    sums: tuple[bytes, ...] = field(repr=False)
    levels: tuple[Bytes, ...] = field(repr=False)

    @classmethod
    def of(cls, rows: Rows) -> "Block":
        """Hash the rows of a block, 1 to `BLOCK`. Raises InputError if a sum reaches 2^128."""
        balances = rows.balances
        ends, letters = hashing.parts(balances.accounts)
        parts = (
            np.ascontiguousarray(rows.salts).reshape(-1),
            balances.amounts.astype(">u8").reshape(-1).view(np.uint8),
            np.concatenate((np.diff(ends).astype(np.uint8), letters)),
        )
        level = hashing.leaf_nodes(rows.salts, balances.amounts, balances.accounts)
        levels = []
        for height in range(BLOCK.bit_length()):
            if height >= STEM_HEIGHT or len(level) == 1:
                levels.append(level)
            if len(level) == 1:
                break
            level = hashing.parents(level)
        sums = tuple(sha256(part.data).digest() for part in parts)
        return cls(len(rows), total(balances.amounts), parts, sums, tuple(levels))

    def level(self, height: int) -> Bytes:
        """Its nodes of a height from `STEM_HEIGHT` up; the root, promoted, above itself."""
        place = height - STEM_HEIGHT
        return self.levels[place] if place < len(self.levels) else self.levels[-1]


class Crown:
    """The nodes of a whole ledger from the height of a stem up, as blocks are added in order."""

    def __init__(self) -> None:
        self.count = 0
        heights = range(STEM_HEIGHT, BLOCK.bit_length())
        self._levels: list[list[Bytes]] = [[] for _ in heights]

    def add(self, block: Block) -> None:
        """The next block from the left."""
        self.count += block.count
        for place, level in enumerate(self._levels):
            level.append(block.level(STEM_HEIGHT + place))

    def levels(self) -> Iterator[Bytes]:
        """The levels from stems up to the root, shape (k, 48) each; none where there is no block.

        Raises InputError if a sum reaches 2^128.
        """
        if not self.count:
            return
        for parts in self._levels:
            level = np.concatenate(parts)
            yield level
            if len(level) == 1:
                return
        while len(level) > 1:
            level = hashing.parents(level)
            yield level


def rows_of(salts: Bytes, amounts: Bytes, names: Bytes) -> Rows:
    """The rows of a block, from the bytes that are stored of it.

    Raises ValueError if they are not of equally many rows.
    """
    words = amounts.view(">u8").reshape(-1, 2).astype(np.uint64)
    lengths, letters = names[: len(words)], names[len(words) :]
    own = salts.reshape(-1, SALT_BYTES)
    if not len(own) == len(words) == len(lengths) or int(lengths.sum(dtype=int)) != len(letters):
        raise ValueError("the parts of a block are not of the same rows")
    return Rows(own, Balances(accounts_of(lengths, letters), words))
