"""Hash tiles (SPEC.md §4): the tree of a log in files of 256 hashes, as C2SP tlog-tiles has them.

A tile of level 0 holds the hashes of 256 entries, one of level L + 1 the roots
of 256 whole tiles of level L. From a few of them comes any root or path, so
nobody has to read the whole log. Nothing here is believed: what a tree yields
is compared with a signed root, or checked by the kernel against one.
"""

import errno
from collections.abc import Callable, Iterator
from pathlib import Path

from auditkit.errors import InputError, place
from auditkit.log.bundles import BUNDLE, numbered
from auditkit.verify import shape
from auditkit.verify.errors import Refuted
from auditkit.verify.history import EMPTY_ROOT, node_hash

TILE = BUNDLE
"""A whole tile holds so many hashes."""
HASH = 32
HEIGHT = 8
"""The levels of the tree from one level of tiles to the next: 256 is 2**8."""
_KEPT = 256


def tile_path(level: int, number: int, width: int = TILE) -> str:
    """The path of a tile of hashes below the published folder, partial if it is not whole."""
    return f"tile/{level}/{numbered(number, width)}"


def tiles(size: int, after: int = 0) -> Iterator[tuple[int, int, int]]:
    """(level, number, width) of each tile of a tree of `size` leaves.

    With `after`, only those that the tree of so many leaves did not have:
    O(log size) of them where little was appended. From the lowest level up.
    """
    level = 0
    while count := size >> HEIGHT * level:
        before = after >> HEIGHT * level
        for number in range(before // TILE, -(-count // TILE)):
            width = min(TILE, count - number * TILE)
            if count != before:
                yield level, number, width
        level += 1


def tile_root(hashes: bytes) -> bytes:
    """The root over the hashes of a tile, or of an aligned part of one: 2**n of 32 bytes each."""
    level = [hashes[at : at + HASH] for at in range(0, len(hashes), HASH)]
    while len(level) > 1:
        level = [node_hash(*pair) for pair in zip(level[::2], level[1::2], strict=True)]
    return level[0]


def folder(root: Path) -> Callable[[str], bytes]:
    """Reads files below a published folder; what is no ordinary file is none.

    Raises FileNotFoundError where one is absent.
    """

    def read(path: str) -> bytes:
        found = root / path
        if not found.is_file():
            raise FileNotFoundError(errno.ENOENT, "no such file", str(found))
        # No tile is larger; of what claims to be one, no more than that is read.
        with found.open("rb") as file:
            return file.read(TILE * HASH + 1)

    return read


class Tree:
    """The tree of the first `size` entries of a log, read through its tiles.

    `read` gives a file's exact bytes by its path and raises FileNotFoundError
    where there is none. A tile that this tree has in part may be there only
    whole, from a later size. Raises InputError where a tile is missing or has
    another length, Refuted where it is asked for what the tree does not have.
    """

    def __init__(self, size: int, read: Callable[[str], bytes]) -> None:
        self.size = size
        self._read = read
        self._tiles: dict[tuple[int, int], bytes] = {}

    def root(self) -> bytes:
        """The RFC 9162 root."""
        return self.prefix_root(self.size)

    def prefix_root(self, size: int) -> bytes:
        """The root of the first `size` leaves, 0 <= size <= self.size."""
        if not 0 <= size <= self.size:
            raise Refuted("the log is smaller", expected=f"up to {self.size} entries", found=size)
        return self._span(0, size) if size else EMPTY_ROOT

    def hash(self, level: int, index: int) -> bytes:
        """The root of the `index`-th perfect subtree of 2**level leaves."""
        if not 0 <= index < self.size >> level:
            raise Refuted(
                "the tree has no such node",
                expected=f"below {self.size >> level} at level {level}",
                found=index,
            )
        above, inside = divmod(level, HEIGHT)
        number, first = divmod(index << inside, TILE)
        hashes = self.tile(above, number)
        return tile_root(hashes[first * HASH : (first + (1 << inside)) * HASH])

    def tile(self, level: int, number: int) -> bytes:
        """The hashes of a tile, as many as this tree has of it."""
        key = (level, number)
        if key not in self._tiles:
            width = min(TILE, (self.size >> HEIGHT * level) - number * TILE)
            while len(self._tiles) >= _KEPT:
                del self._tiles[next(iter(self._tiles))]
            self._tiles[key] = self.fetch(level, number, width)
        return self._tiles[key]

    def fetch(self, level: int, number: int, width: int) -> bytes:
        """The first `width` hashes of a tile, which this tree has, from where it is kept."""
        # Partial tiles may be gone once the whole one is there.
        for there in dict.fromkeys((width, TILE)):
            path = tile_path(level, number, there)
            try:
                data = self._read(path)
            except FileNotFoundError:
                continue
            if len(data) != there * HASH:
                raise InputError(
                    f"{place(Path(path))}: is not {there} hashes of {HASH} bytes; fetch it again"
                )
            return data[: width * HASH]
        raise InputError(
            f"{tile_path(level, number, width)}: no such file; give the whole published folder, "
            "with what it lacks fetched again"
        )

    def inclusion(self, seq: int) -> tuple[bytes, ...]:
        """The RFC 9162 §2.1.3.1 path from entry `seq` to the root."""
        if not 0 <= seq < self.size:
            raise Refuted(
                "the entry is outside the log", expected=f"seq below {self.size}", found=seq
            )
        path: list[bytes] = []
        start, end = 0, self.size
        while end - start > 1:
            middle = start + shape.split(end - start)
            if seq < middle:
                path.append(self._span(middle, end))
                end = middle
            else:
                path.append(self._span(start, middle))
                start = middle
        return tuple(reversed(path))

    def consistency(self, size: int) -> tuple[bytes, ...]:
        """The RFC 9162 §2.1.4.1 path from the tree of the first `size` leaves to this one."""
        if not 0 < size <= self.size:
            raise Refuted(
                "consistency needs 0 < earlier size <= later size",
                found=f"{size} and {self.size}",
            )
        path: list[bytes] = []
        start, end = 0, self.size
        while size != end:
            middle = start + shape.split(end - start)
            if size <= middle:
                path.append(self._span(middle, end))
                end = middle
            else:
                path.append(self._span(start, middle))
                start = middle
        if start:  # Else it is the earlier root itself, which whoever checks has.
            path.append(self._span(start, end))
        return tuple(reversed(path))

    def _span(self, start: int, end: int) -> bytes:
        """The root over the leaves start <= i < end of a subtree: of its perfect parts."""
        peaks, at = [], start
        for level in range((end - start).bit_length() - 1, -1, -1):
            if (end - start) >> level & 1:
                peaks.append(self.hash(level, at >> level))
                at += 1 << level
        root = peaks.pop()
        while peaks:
            root = node_hash(peaks.pop(), root)
        return root
