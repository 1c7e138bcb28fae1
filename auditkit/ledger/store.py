"""A stored ledger by columns: its rows and nodes, block by block (SPEC.md §2)."""

from collections.abc import Iterator

import numpy as np

from auditkit.ledger import blocks, engine, hashing
from auditkit.ledger.columns import Balances
from auditkit.ledger.engine import Bytes
from auditkit.ledger.runs import Rows
from auditkit.ledger.sealed import damaged
from auditkit.ledger.stored import BLOCK, PARTS, STEM_HEIGHT, Stored, sizes
from auditkit.verify.sumtree import NODE_BYTES


class Ledger(Stored):
    """A stored ledger whose rows are read in bulk."""

    def rows(self) -> Iterator[tuple[int, Rows]]:
        """Block by block: the total of all before it, and its rows. Raises DamagedError.

        A block's part of the files is let go when the next one is asked for,
        so that a process that reads them all does not seem to hold them all.
        """

        def read(number: int) -> tuple[int, Rows]:
            parts = (np.frombuffer(self.part(name, number), np.uint8) for name in PARTS)
            try:
                return self.blocks[number].prefix, blocks.rows_of(*parts)
            except ValueError:
                raise damaged(self.directory, "does not hold a ledger's columns") from None

        for number, found in enumerate(engine.ahead(read, range(len(self.blocks)))):
            yield found
            self.release(number)

    def balances(self) -> Balances:
        """The accounts and amounts in the order of the leaves. Raises DamagedError."""
        return Balances.joined([rows.balances for _, rows in self.rows()])

    def held(self) -> Iterator[Balances]:
        """Block by block, the rows with an amount above 0. Raises DamagedError."""
        for _, rows in self.rows():
            yield rows.balances.held()

    def levels_over(self, number: int, rows: Rows) -> Iterator[tuple[Bytes, int]]:
        """The levels that paths from a block lead through, upward, but for the root.

        Of each, nodes, shape (k, 48), and the index of the first of them.
        `rows` are the block's: below its root the nodes are hashed again.
        """
        balances = rows.balances
        level = hashing.leaf_nodes(rows.salts, balances.amounts, balances.accounts)
        for height in range((self.count - 1).bit_length()):
            if height < BLOCK.bit_length() - 1:
                yield level, number * BLOCK >> height
                level = hashing.parents(level)
            else:
                yield self.level(height), 0

    def level(self, height: int) -> Bytes:
        """The nodes of a height from a stem's up, shape (k, 48). Raises DamagedError."""
        self.check_nodes()
        counts = sizes(self.count)
        start = sum(counts[: height - STEM_HEIGHT])
        nodes = np.frombuffer(self._data["nodes"], np.uint8).reshape(-1, NODE_BYTES)
        return nodes[start : start + counts[height - STEM_HEIGHT]]
