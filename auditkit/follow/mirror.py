"""A log's files in the follower's own folder, and those of a round that nobody believes yet.

The files are those of the published folder: entries in bundles, and the hash
tiles that the follower computed from them. So the folder can be checked with
`fsck`, and be published itself. A round puts its files into a folder of their
own, `new`; they are moved to the others once a signed root has shown that they
are the venue's.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path

from auditkit.errors import DamagedError, InputError, place
from auditkit.files import naming
from auditkit.follow.disk import move, remove
from auditkit.follow.source import Folder, read_bundle, split, tile_reader
from auditkit.log.bundles import BUNDLE, bundle_path, pack, unpack
from auditkit.log.growth import Growth, Tile
from auditkit.log.tiles import HASH, HEIGHT, TILE, Tree, tile_path
from auditkit.verify.errors import NotVerified, Refuted
from auditkit.verify.history import leaf_hash
from auditkit.verify.note import Checkpoint

NEW = "new"


class Mirror:
    """The log below a folder as far as the head `head`, which it was downloaded under."""

    def __init__(self, root: Path, head: Checkpoint | None) -> None:
        self.root = root
        self.size = head.size if head else 0
        self._head = head
        self._folder = Folder(root)
        self.tree = Tree(self.size, tile_reader(self._folder))
        self._bundle: tuple[int, list[bytes]] = (-1, [])

    def growth(self) -> Growth:
        """The tree, to be extended. Raises DamagedError if it is not that of the head."""
        try:
            growth = Growth.of_tree(self.tree)
        except InputError as error:
            raise self._damaged(str(error)) from None
        if self._head is not None and growth.root() != self._head.root:
            raise self._damaged("its hash tiles are not those of the head it remembers")
        return growth

    def bundle(self, number: int) -> list[bytes]:
        """As many entries of a bundle as the log has."""
        if self._bundle[0] != number:
            width = min(BUNDLE, self.size - number * BUNDLE)
            try:
                self._bundle = number, read_bundle(self._folder, number, width)
            except NotVerified as error:
                raise self._damaged(str(error)) from None
        return self._bundle[1]

    def entry(self, seq: int) -> bytes:
        """An entry, held against its hash. Raises DamagedError."""
        number, at = divmod(seq, BUNDLE)
        entry = self.bundle(number)[at]
        try:
            hashes = self.tree.tile(0, number)
        except InputError as error:
            raise self._damaged(str(error)) from None
        if leaf_hash(entry) != hashes[at * HASH : (at + 1) * HASH]:
            raise self._damaged(f"entry {seq} does not fit its hash")
        return entry

    def entries(self, seqs: Iterable[int]) -> Iterator[tuple[int, bytes]]:
        """Some of the entries, with their seqs."""
        return ((seq, self.entry(seq)) for seq in seqs)

    def _damaged(self, what: str) -> DamagedError:
        return DamagedError(
            f"{place(self.root)}: {what}; check it with auditkit fsck, and follow from nothing "
            "into a new folder"
        )

    def tidy(self, before: int) -> None:
        """Remove the partial files of what was not whole at `before` entries, and is now."""
        level = 0
        while count := self.size >> HEIGHT * level:
            for number in range((before >> HEIGHT * level) // TILE, count // TILE):
                remove(self.root / f"{tile_path(level, number)}.p")
                if level == 0:
                    remove(self.root / f"{bundle_path(number)}.p")
            level += 1


class Stage:
    """The files of a round, in the folder `new` of a mirror."""

    def __init__(self, mirror: Mirror) -> None:
        self._mirror = mirror
        self._root = mirror.root / NEW
        self._names: list[str] = []
        self._bundles: dict[int, str] = {}
        self._last: tuple[int, list[bytes]] = (-1, [])
        self.reused = False
        """Whether a bundle came from an earlier round that was interrupted."""

    def had(self, number: int) -> list[bytes] | None:
        """A whole bundle that an interrupted round left; nobody has checked it."""
        path = self._root / bundle_path(number)
        if not path.is_file():
            return None
        try:
            entries = split(path.read_bytes(), BUNDLE, str(path))
        except Refuted:
            return None
        self.reused = True
        return entries

    def put(self, number: int, entries: list[bytes]) -> None:
        """Keep a bundle."""
        name = bundle_path(number, len(entries))
        self._write(name, pack(entries))
        self._bundles[number] = name
        self._last = number, entries

    def put_tiles(self, tiles: Iterable[Tile]) -> None:
        """Keep tiles of hashes."""
        for level, number, hashes in tiles:
            self._write(tile_path(level, number, len(hashes) // HASH), hashes)

    def _write(self, name: str, data: bytes) -> None:
        path = self._root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with naming(path):
            path.write_bytes(data)
        self._names.append(name)

    def entry(self, seq: int) -> bytes:
        """An entry of this round, or of the mirror."""
        number, at = divmod(seq, BUNDLE)
        return self._mirror.entry(seq) if seq < self._mirror.size else self._bundle(number)[at]

    def bundles(self) -> Iterator[tuple[int, str, list[bytes]]]:
        """The bundles of this round: the number, the path and the entries of each."""
        return ((number, name, self._bundle(number)) for number, name in self._bundles.items())

    def _bundle(self, number: int) -> list[bytes]:
        if self._last[0] != number:
            data = (self._root / self._bundles[number]).read_bytes()
            self._last = number, list(unpack(data))
        return self._last[1]

    def accept(self) -> None:
        """Move the files of this round to those of the mirror; durable at the end."""
        move(self._names, self._root, self._mirror.root)
        self.clear()

    def clear(self) -> None:
        """Forget what this round, or an interrupted one, fetched."""
        remove(self._root)
        self._names.clear()
        self._bundles.clear()
        self.reused = False
