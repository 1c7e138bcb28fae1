"""The static files that anyone may read (SPEC.md §4): C2SP tlog-tiles, checkpoints, the vkey.

Everything here can be made again from the log, with the same bytes. A file
other than `checkpoint` is never rewritten with other bytes.
"""

import os
import tempfile
from pathlib import Path

from auditkit.errors import DamagedError
from auditkit.publish.history import History
from auditkit.verify.errors import Malformed
from auditkit.verify.note import Checkpoint, VerifierKey

BUNDLE = 256


def write_file(path: Path, data: bytes, mode: int = 0o644) -> None:
    """Write, fsync and rename, so that a reader sees the old file or the new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=".", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fchmod(file.fileno(), mode)
            os.fsync(file.fileno())
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def sync_folder(path: Path) -> None:
    """Make a folder's names durable."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def bundle_path(number: int, width: int = BUNDLE) -> str:
    """The path of entry bundle `number`, partial if it holds fewer than 256 entries."""
    digits = f"{number:03d}"
    digits = digits.zfill(-(-len(digits) // 3) * 3)
    groups = [digits[i : i + 3] for i in range(0, len(digits), 3)]
    name = "/".join([*("x" + group for group in groups[:-1]), groups[-1]])
    return f"tile/entries/{name}" + ("" if width == BUNDLE else f".p/{width}")


def bundle(entries: list[bytes]) -> bytes:
    """Entries behind their lengths, each a big-endian uint16."""
    return b"".join(len(entry).to_bytes(2, "big") + entry for entry in entries)


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
        Raises DamagedError if more was published than the log holds.
        """
        published = self._published_size()
        if published > history.sizes()[-1]:
            raise DamagedError(
                f"{history.path}: holds {history.sizes()[-1]} entries, but {published} were "
                "published; it is an older copy and must not be continued"
            )
        if published == history.sizes()[-1]:
            return
        for size in history.sizes():
            if not (self.root / f"checkpoints/{size}").exists():
                self._write_entries(history, size)
                self._write_once(f"checkpoints/{size}", str(history.head(size).note).encode())
        write_file(self.root / "checkpoint", str(history.head(history.sizes()[-1]).note).encode())

    def _published_size(self) -> int:
        path = self.root / "checkpoint"
        if not path.exists():
            return 0
        try:
            return Checkpoint.parse(path.read_text("utf-8")).size
        except (Malformed, UnicodeDecodeError):
            raise DamagedError(f"{path}: is not a checkpoint; restore it") from None

    def _write_entries(self, history: History, size: int) -> None:
        full, rest = divmod(size, BUNDLE)
        for number in range(full):
            name = bundle_path(number)
            if not (self.root / name).exists():
                start = number * BUNDLE
                self._write_once(name, bundle(history.entries(start, start + BUNDLE)))
        if rest:
            self._write_once(bundle_path(full, rest), bundle(history.entries(full * BUNDLE, size)))
