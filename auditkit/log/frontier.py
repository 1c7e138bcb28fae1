"""The right edge of a log's tree (SPEC.md §4): enough to append, and to know the root."""

from collections.abc import Iterable
from typing import Self

from auditkit.verify.history import EMPTY_ROOT, node_hash


class Frontier:
    """The perfect subtrees of a log, from the left."""

    def __init__(self, leaves: Iterable[bytes] = ()) -> None:
        self.size = 0
        self._peaks: list[bytes] = []
        for leaf in leaves:
            self.append(leaf)

    @classmethod
    def of(cls, size: int, peaks: bytes) -> Self:
        """The frontier that was kept as `peaks`: 32 bytes for every bit of the size."""
        found = cls()
        found.size = size
        found._peaks = [peaks[at : at + 32] for at in range(0, len(peaks), 32)]
        return found

    def peaks(self) -> bytes:
        """The roots of the subtrees, to be kept."""
        return b"".join(self._peaks)

    def append(self, leaf: bytes) -> None:
        """Add one leaf hash."""
        node, rest, height = leaf, self.size, 0
        self.size += 1
        self._seen(height, node)
        while rest & 1:
            node = node_hash(self._peaks.pop(), node)
            rest, height = rest >> 1, height + 1
            self._seen(height, node)
        self._peaks.append(node)

    def _seen(self, height: int, node: bytes) -> None:
        """The root of another perfect subtree, in the tree that has `size` leaves by now."""

    def root(self) -> bytes:
        """The root over everything appended."""
        if not self._peaks:
            return EMPTY_ROOT
        root = self._peaks[-1]
        for peak in reversed(self._peaks[:-1]):
            root = node_hash(peak, root)
        return root
