"""A log's tree while it grows: its root at any moment, and the tiles as they fill (SPEC.md §4)."""

from typing import Self

from auditkit.log.frontier import Frontier
from auditkit.log.tiles import HASH, HEIGHT, TILE, Tree

Tile = tuple[int, int, bytes]
"""A tile's level, its number, and its hashes, 32 bytes each."""


class Growth(Frontier):
    """A tree of `size` leaves that is extended at its right end, one leaf hash at a time."""

    def __init__(self) -> None:
        super().__init__()
        self._edges: list[list[bytes]] = []
        self._full: list[Tile] = []

    @classmethod
    def of_tree(cls, tree: Tree) -> Self:
        """The same tree, read through its tiles, to be extended. Raises InputError, as `Tree`."""
        found, size = cls(), tree.size
        found.size = size
        for bit in reversed(range(size.bit_length())):
            if size >> bit & 1:
                found._peaks.append(tree.hash(bit, (size >> bit) - 1))
        level = 0
        while count := size >> HEIGHT * level:
            hashes = tree.tile(level, count // TILE) if count % TILE else b""
            found._edges.append([hashes[at : at + HASH] for at in range(0, len(hashes), HASH)])
            level += 1
        return found

    def copy(self) -> Self:
        """The same tree once more, to be extended in another way; without the full tiles so far."""
        other = type(self)()
        other.size, other._peaks = self.size, list(self._peaks)
        other._edges = [list(edge) for edge in self._edges]
        return other

    def _seen(self, height: int, node: bytes) -> None:
        level, below = divmod(height, HEIGHT)
        if below:
            return
        if level == len(self._edges):
            self._edges.append([])
        edge = self._edges[level]
        edge.append(node)
        if len(edge) == TILE:
            number = (self.size >> HEIGHT * (level + 1)) - 1
            self._full.append((level, number, b"".join(edge)))
            edge.clear()

    def take_full(self) -> list[Tile]:
        """The tiles that became full since the last call."""
        full, self._full = self._full, []
        return full

    def edge(self) -> list[Tile]:
        """The tiles at the right end that are not full."""
        return [
            (level, self.size >> HEIGHT * (level + 1), b"".join(edge))
            for level, edge in enumerate(self._edges)
            if edge
        ]
