"""Every entry and every hash tile of a folder, read once.

Two trees are computed. One is that of the bundles. The other takes the leaves
of a bundle from its tile of hashes wherever the two differ, unless the tile
above says that the bundle is right. Whichever tree has the signed root tells
the wrong files: `judge.py`. Mostly they do not differ, and there is but one.
"""

from collections.abc import Callable, Collection
from pathlib import Path

from auditkit.follow.inventory import Inventory
from auditkit.follow.source import Folder, split
from auditkit.log.bundles import BUNDLE
from auditkit.log.growth import Growth
from auditkit.log.tiles import HASH, HEIGHT, TILE, tile_root
from auditkit.verify.errors import Refuted
from auditkit.verify.history import MAX_ENTRY_BYTES, leaf_hash

MAX_SUSPECTS = 1000
"""So many bundles that do not fit their tiles are told one by one."""


class Files:
    """Reads the bundles and tiles of a folder."""

    def __init__(self, root: Path, found: Inventory) -> None:
        self.found = found
        self._folder = Folder(root)

    def bundle(self, path: str, width: int) -> tuple[list[bytes], bytes]:
        """The entries of a bundle's file, and its bytes. Raises Refuted if it is no such bundle."""
        data = self._folder.read(path, width * (2 + MAX_ENTRY_BYTES))
        return split(data, width, ""), data

    def hashes(self, path: str, width: int) -> bytes | None:
        """The hashes of a tile's file; None if it has another length."""
        try:
            data = self._folder.read(path, TILE * HASH)
        except Refuted:
            return None
        return data if len(data) == width * HASH else None

    def same(self, path: str, data: bytes) -> bool:
        """Whether a file has exactly these bytes."""
        try:
            return self._folder.read(path, len(data)) == data
        except Refuted:
            return False

    def widest_bundle(self, number: int, needed: int) -> tuple[list[bytes] | None, bytes]:
        """The widest file of a bundle that can be read and has so many entries."""
        widths = self.found.bundles.get(number, {})
        for width in sorted((w for w in widths if w >= needed), reverse=True):
            try:
                return self.bundle(widths[width], width)
            except Refuted:
                continue
        return None, b""

    def widest_tile(self, level: int, number: int, needed: int) -> bytes | None:
        """The first hashes of the widest file of a tile that has its length, and so many."""
        widths = self.found.tiles.get((level, number), {})
        for width in sorted((w for w in widths if w >= needed), reverse=True):
            if (data := self.hashes(widths[width], width)) is not None:
                return data[: needed * HASH]
        return None

    def widths(self, number: int) -> set[int]:
        """How many entries the files of a bundle and its tile should have."""
        return {*self.found.bundles.get(number, {}), *self.found.tiles.get((0, number), {})}

    def beyond(self, size: int) -> int:
        """How many files hold what is behind the entry that ends a log of that size."""
        count = 0
        for number, widths in self.found.bundles.items():
            count += sum(number * BUNDLE + width > size for width in widths)
        for (level, number), widths in self.found.tiles.items():
            end = size >> HEIGHT * level
            count += sum(number * TILE + width > end for width in widths)
        return count


class Side:
    """A tree, its roots at the sizes asked for, and its tiles above level 0."""

    def __init__(self, sizes: Collection[int]) -> None:
        self.growth = Growth()
        self.roots = {0: self.growth.root()}
        self.upper: dict[tuple[int, int], bytes] = {}
        self._sizes = frozenset(sizes)

    def copy(self) -> "Side":
        """The same so far."""
        other = Side(self._sizes)
        other.growth = self.growth.copy()
        other.roots, other.upper = dict(self.roots), dict(self.upper)
        return other

    def extend(self, leaves: bytes) -> None:
        """Append leaves of 32 bytes each."""
        growth, sizes = self.growth, self._sizes
        for at in range(0, len(leaves), HASH):
            growth.append(leaves[at : at + HASH])
            if growth.size in sizes:
                self.roots[growth.size] = growth.root()
        for level, number, hashes in growth.take_full():
            if level:
                self.upper[level, number] = hashes

    def all_upper(self) -> dict[tuple[int, int], bytes]:
        """The tiles above level 0, those at the right end included."""
        edge = {(level, number): hashes for level, number, hashes in self.growth.edge() if level}
        return self.upper | edge


class Survey:
    """The entries and tiles of a folder, up to `size` entries.

    After `walk`, `bundles` and `tiles` are the two trees, and the leaves of
    `suspects` by bundle number are those of both, where any file did not fit.
    `seen` entries were there as entries from the first one on.
    """

    def __init__(self, files: Files, size: int, sizes: Collection[int]) -> None:
        """`sizes` are those at which roots are asked for."""
        self.files, self.size = files, size
        self.seen = 0
        self.bundles = Side({size, *sizes})
        self.tiles = self.bundles
        self.suspects: dict[int, tuple[bytes, bytes]] = {}
        self.more = 0
        """The suspects that are not told one by one."""

    @property
    def end(self) -> int:
        """How many entries are in the trees: fewer than `size` where files are missing."""
        return self.bundles.growth.size

    def walk(self, see: Callable[[bytes], None], done: Callable[[int, int], None]) -> None:
        """Read everything; `see` gets the entries as far as they are there without a gap.

        It ends with the first bundle of which not all that is needed is there.
        """
        for number in range(-(-self.size // BUNDLE)):
            needed = min(BUNDLE, self.size - number * BUNDLE)
            width, entries, raw, tile = self._widest(number, needed)
            if not width:
                self.suspects[number] = b"", b""
                break
            own = None if entries is None else b"".join(map(leaf_hash, entries[:width]))
            sides = self._sides(number, own, tile)
            if not self._fits(number, raw, own, tile):
                self._suspect(number, *sides)
            self._extend(*sides)
            if entries is not None and self.seen == number * BUNDLE:
                for entry in entries[:width]:
                    see(entry)
                self.seen += width
            done(self.end, self.size)
            if width < needed:
                break

    def _widest(
        self, number: int, needed: int
    ) -> tuple[int, list[bytes] | None, bytes, bytes | None]:
        """As many entries and hashes of a bundle as are needed; else those of partial files.

        How many they are, the entries, the bytes of their file, and the hashes.
        """
        narrower = (width for width in self.files.widths(number) if width < needed)
        for width in (needed, *sorted(narrower, reverse=True)):
            entries, raw = self.files.widest_bundle(number, width)
            tile = self.files.widest_tile(0, number, width)
            if entries is not None or tile is not None:
                return width, entries, raw, tile
        return 0, None, b"", None

    def _sides(self, number: int, own: bytes | None, tile: bytes | None) -> tuple[bytes, bytes]:
        """The leaves of a bundle in each tree; one of its files can be read."""
        if own is None or tile is None:
            either = own or tile or b""
            return either, either
        told = self.files.widest_tile(1, number // TILE, number % TILE + 1)
        if own != tile and told is not None and len(own) == TILE * HASH:
            return own, own if tile_root(own) == told[-HASH:] else tile
        return own, tile

    def _extend(self, own: bytes, tile: bytes) -> None:
        if own != tile and self.tiles is self.bundles:
            self.tiles = self.bundles.copy()
        self.bundles.extend(own)
        if self.tiles is not self.bundles:
            self.tiles.extend(tile)

    def _suspect(self, number: int, own: bytes, tile: bytes) -> None:
        if len(self.suspects) < MAX_SUSPECTS:
            self.suspects[number] = own, tile
        else:
            self.more += 1

    def _fits(self, number: int, raw: bytes, own: bytes | None, tile: bytes | None) -> bool:
        """Whether all files of a bundle and of its tile can be read, and agree."""
        files, ends, leaves = self.files, _ends(raw), own or tile or b""
        if own is None and files.found.bundles.get(number):
            return False
        if tile is not None and tile != leaves:
            return False
        for wide, path in files.found.bundles.get(number, {}).items():
            # The widest that can be read was read.
            if wide >= len(ends) or not files.same(path, raw[: ends[wide]]):
                return False
        for wide, path in files.found.tiles.get((0, number), {}).items():
            hashes = files.hashes(path, wide)
            if hashes is None or hashes[: len(leaves)] != leaves[: wide * HASH]:
                return False
        return True


def _ends(raw: bytes) -> list[int]:
    """Where each entry of a bundle ends: after none of them, after one, and so on."""
    ends, at = [0], 0
    while at < len(raw):
        at += 2 + int.from_bytes(raw[at : at + 2], "big")
        ends.append(at)
    return ends
