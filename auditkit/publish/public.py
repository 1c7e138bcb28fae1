"""The static files that anyone may read (SPEC.md §4): C2SP tlog-tiles, checkpoints, the vkey.

Everything here can be made again from the log, with the same bytes. A file
other than `checkpoint` is never rewritten with other bytes.
"""

import os
from bisect import bisect_right
from pathlib import Path

from auditkit.errors import DamagedError
from auditkit.log.bundles import BUNDLE, bundle_path, pack
from auditkit.publish.history import History
from auditkit.verify.errors import Malformed
from auditkit.verify.note import Checkpoint, VerifierKey


def write_file(path: Path, data: bytes, mode: int = 0o644) -> None:
    """Write, fsync and rename, so that a reader sees the old file or the new one.

    The draft's name is always the same, so that what a killed writer left
    behind is gone once the same file is written again.
    """
    _make_folder(path.parent)
    draft = path.with_name(f".{path.name}.draft")
    draft.unlink(missing_ok=True)
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fchmod(file.fileno(), mode)
            os.fsync(file.fileno())
        draft.replace(path)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def _make_folder(path: Path) -> None:
    """Make a folder and those above it, and make their names durable."""
    if not path.is_dir():
        _make_folder(path.parent)
        path.mkdir(exist_ok=True)
        sync_folder(path.parent)


def sync_folder(path: Path) -> None:
    """Make a folder's names durable."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


class Public:
    """The folder `public/` of a venue."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def _write_once(self, name: str, data: bytes) -> None:
        path = self.root / name
        if not path.exists():
            write_file(path, data)
        elif path.read_bytes() != data:
            raise DamagedError(f"{path}: differs from what was published; restore it")

    def write_key(self, key: VerifierKey) -> None:
        """Write the venue's verifier key."""
        self._write_once("venue.vkey", f"{key}\n".encode())

    def bring_up_to(self, history: History) -> None:
        """Publish every signed head that is not public yet, and the entries it covers.

        The name `checkpoint` moves last, so that whatever it promises is there.
        Raises DamagedError.
        """
        note = b""
        for size in self.missing(history):
            note = str(history.head(size).note).encode()
            self._write_entries(history, size)
            self._write_once(f"checkpoints/{size}", note)
        if note:
            write_file(self.root / "checkpoint", note)

    def missing(self, history: History) -> list[int]:
        """The sizes of the signed heads that are not public yet, ascending.

        Raises DamagedError if what was published is not of this log, or is
        more than it holds: an older copy of a log must not be continued.
        """
        path = self.root / "checkpoint"
        sizes = history.sizes()
        last = max(sizes, default=0)
        if not path.exists():
            names = [p.name for p in (self.root / "checkpoints").glob("*") if p.name.isdecimal()]
            self._refuse_older(history, last, max(map(int, names), default=0))
            return sizes
        try:
            published = Checkpoint.parse(path.read_text("utf-8"))
        except (Malformed, UnicodeDecodeError):
            raise DamagedError(f"{path}: is not a checkpoint; restore it") from None
        self._refuse_older(history, last, published.size)
        if published.size not in sizes or published != history.head(published.size):
            raise DamagedError(f"{path}: is not a head of {history.path}; restore the right one")
        return sizes[bisect_right(sizes, published.size) :]

    @staticmethod
    def _refuse_older(history: History, last: int, published: int) -> None:
        if published > last:
            raise DamagedError(
                f"{history.path}: holds {last} entries, but {published} were published; "
                "it is an older copy and must not be continued"
            )

    def _write_entries(self, history: History, size: int) -> None:
        full, rest = divmod(size, BUNDLE)
        for number in range(full):
            name = bundle_path(number)
            if not (self.root / name).exists():
                start = number * BUNDLE
                self._write_once(name, pack(history.entries(start, start + BUNDLE)))
        if rest:
            self._write_once(bundle_path(full, rest), pack(history.entries(full * BUNDLE, size)))
