"""A venue of the tests with its published folder, and a follower of it."""

from collections.abc import Sequence
from copy import deepcopy
from pathlib import Path

import tiled
from refusals import market
from venue import Venue

from auditkit.follow.follower import Follower, Round
from auditkit.follow.fsck import Checked, Fsck
from auditkit.follow.source import Folder, Source
from auditkit.follow.state import Known, Memory, State, read_memory
from auditkit.verify.note import VerifierKey

Files = dict[str, bytes]


class Site:
    """A published folder as a venue fills it; each head is signed once, when it is published."""

    def __init__(self, folder: Path, venue: Venue | None = None) -> None:
        self.folder = folder
        self.venue = venue or market()
        self.notes: dict[int, str] = {}

    def publish(self, *, index: bool = True) -> int:
        """Log an index and publish; the size of the head."""
        note = self.venue.publish(index)
        size = self.venue.heads[-1]
        self.notes[size] = note
        self.write(size)
        return size

    def write(self, size: int) -> None:
        """The files of that size, and the head that was signed for it."""
        entries = self.venue.entries
        tiled.write(self.folder, tiled.hash_tiles(entries, size) | tiled.bundles(entries, size))
        note = self.notes[size].encode()
        first = f"{self.venue.keys[0][0].vkey}\n".encode()
        heads = {f"checkpoints/{size}": note, "checkpoint": note, "venue.vkey": first}
        tiled.write(self.folder, heads)
        if len(self.venue.keys) > 1:
            keys = (VerifierKey.parse(signer.vkey) for signer, _ in self.venue.keys)
            named = {f"keys/{key.id.hex()}.vkey": f"{key}\n".encode() for key in keys}
            tiled.write(self.folder, named)

    def twin(self, folder: Path) -> "Site":
        """The same venue so far, which goes on by itself, and publishes to another folder."""
        signers = {id(signer): signer for signer, _ in self.venue.keys}
        twin = Site(folder, deepcopy(self.venue, signers))
        twin.notes = dict(self.notes)
        for size in self.notes:
            twin.write(size)
        return twin

    @property
    def key(self) -> VerifierKey:
        return VerifierKey.parse(self.venue.vkey)

    def minutes(self, count: int) -> None:
        """So many more entries of the fund."""
        for _ in range(count):
            self.venue.fund(BTC=[("liquidation_fee", 3)])


def follow(
    source: Source | Path,
    state: Path,
    key: VerifierKey,
    accept: Sequence[tuple[str, int]] = (),
) -> Round:
    """One round."""
    where = Folder(source) if isinstance(source, Path) else source
    with State.opened(state) as held:
        return Follower(where, held, key, [Known(*each) for each in accept]).round()


def memory(state: Path) -> Memory:
    return read_memory(state / "follower.json")


def fsck(folder: Path, key: VerifierKey) -> Checked:
    return Fsck(folder, key).run()


def is_sound(folder: Path, key: VerifierKey) -> bool:
    """Whether nothing at all is wrong with a folder."""
    found = fsck(folder, key)
    whole = found.head is not None and found.ruled == found.head.size
    return whole and not (found.problems or found.breaches or found.others or found.beyond)


def files(folder: Path) -> Files:
    """All files of a folder, but for a follower's lock."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.name != "follower.lock"
    }
