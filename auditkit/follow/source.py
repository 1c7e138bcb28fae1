"""Where a published log is read from. Whatever it says is checked by whoever asks (SPEC.md §4)."""

import errno
import time
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from auditkit.errors import InputError, place
from auditkit.log.bundles import BUNDLE, bundle_path, unpack
from auditkit.log.tiles import HASH, TILE, Tree
from auditkit.verify.errors import Incomplete, Malformed, Refuted, inside
from auditkit.verify.history import MAX_ENTRY_BYTES
from auditkit.verify.note import Checkpoint

MAX_NOTE_BYTES = 1 << 20


class FetchError(OSError):
    """Something could not be fetched now: another time it may."""

    def __init__(self, what: str, name: str) -> None:
        super().__init__(errno.EIO, what, name)


class Source(Protocol):
    """The files of a published log, by their paths below it."""

    name: str

    def read(self, path: str, most: int) -> bytes:
        """A file's exact bytes.

        Raises FileNotFoundError where there is none, Refuted where it has more
        than `most` bytes, and FetchError, or another OSError, where it cannot be read.
        """
        ...


class Folder:
    """A published folder on this machine."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.name = place(root)

    def read(self, path: str, most: int) -> bytes:
        """A file's exact bytes; what is no ordinary file is none."""
        found = self.root / path
        if not found.is_file():
            raise FileNotFoundError(errno.ENOENT, "no such file", str(found))
        with found.open("rb") as file:
            data = file.read(most + 1)
        return bounded(data, path, most)


class Fetched(Folder):
    """A folder that somebody else fills, of which a round reads no more than it may.

    By links, a few files can look like a log without end.
    """

    def __init__(self, root: Path, seconds: float, most: int) -> None:
        """So many seconds and bytes a round."""
        super().__init__(root)
        self._seconds, self._most = seconds, most
        self.begin()

    def begin(self) -> None:
        """Begin a round: its limits count from now."""
        self._until, self._left = time.monotonic() + self._seconds, self._most

    def read(self, path: str, most: int) -> bytes:
        """A file's exact bytes. Raises FetchError where a limit is reached, too."""
        if time.monotonic() >= self._until:
            what = f"not all could be had within {self._seconds:g} s"
            raise FetchError(what, place(self.root / path))
        data = super().read(path, most)
        self._left -= len(data)
        if self._left < 0:
            what = f"not all could be had within {self._most} bytes"
            raise FetchError(what, place(self.root / path))
        return data


def bounded(data: bytes, path: str, most: int) -> bytes:
    """The same bytes. Raises Refuted if they are more than `most`."""
    if len(data) > most:
        raise Refuted("has more bytes than it may have", expected=f"at most {most}", where=path)
    return data


def read_note(source: Source, path: str) -> Checkpoint:
    """The checkpoint in a file; nothing of it is believed yet.

    Raises FileNotFoundError, Malformed, Refuted, OSError.
    """
    data = source.read(path, MAX_NOTE_BYTES)
    with inside(path):
        try:
            return Checkpoint.parse(data.decode("utf-8"))
        except UnicodeDecodeError:
            raise Malformed("a checkpoint is UTF-8") from None


def read_bundle(source: Source, number: int, width: int) -> list[bytes]:
    """The first `width` entries of a bundle, whole or partial.

    Raises Incomplete where it is not there, Refuted where it is no such bundle.
    """
    for there in dict.fromkeys((width, BUNDLE)):
        path = bundle_path(number, there)
        try:
            data = source.read(path, there * (2 + MAX_ENTRY_BYTES))
        except FileNotFoundError:
            continue
        return split(data, there, path)[:width]
    path = bundle_path(number, width)
    raise Incomplete("the log is not served whole", found="no such file", where=path)


def split(data: bytes, width: int, path: str) -> list[bytes]:
    """The entries of a bundle of exactly `width`. Raises Refuted."""
    entries: list[bytes] = []
    try:
        entries += unpack(data)
    except ValueError as error:
        raise Refuted(str(error), where=path) from None
    if len(entries) != width:
        expected, found = f"{width} entries", f"{len(entries)} entries"
        raise Refuted("has another number of entries", expected=expected, found=found, where=path)
    return entries


def tree(source: Source, size: int) -> Tree:
    """The tree of that size through the hash tiles that are served."""
    return Tree(size, tile_reader(source))


def tile_reader(source: Source) -> Callable[[str], bytes]:
    """Reads hash tiles for `Tree`, which says what is odd with one that is too long."""

    def read(path: str) -> bytes:
        try:
            return source.read(path, TILE * HASH)
        except Refuted as error:
            raise InputError(str(error)) from None

    return read
