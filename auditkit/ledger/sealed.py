"""A folder of files that appears whole or not at all, sealed by a header.

The header's first line says what is in the folder, with the size and SHA-256 of
every file; its second line is the SHA-256 of its first. Of a file whose blocks
are summed elsewhere, the header has the size alone.
"""

import json
import os
import shutil
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from hashlib import sha256
from pathlib import Path
from typing import Any, Self

from auditkit.errors import DamagedError, InputError
from auditkit.files import naming

REMEDY = "restore the directory from a backup, or build it anew from the same books and secret"

_BACKLOG = 8
"""So many pieces wait for the disk at most; whoever brings another waits too."""
_FLUSH = 1 << 26
"""So many bytes are left to the system before the disk is asked to write."""


class Draft:
    """A folder in the making, gone at the end unless it was published.

    One thread writes while whoever makes the bytes goes on.
    """

    def __init__(self, path: Path, names: Sequence[str], plain: Sequence[str] = ()) -> None:
        """Make the folder `path` with these files; those of `plain` get no sum in the header."""
        self.path = path
        # What a killed build left behind holds salts, and no one else will clear it away.
        shutil.rmtree(path, ignore_errors=True)
        path.mkdir(0o700)
        self._files: dict[str, _File] = {}
        self._writes: deque[Future[None]] = deque()
        self._writer = ThreadPoolExecutor(1)
        try:
            for name in names:
                self._files[name] = _File(path / name, summed=name not in plain)
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Remove what was not published."""
        self._writer.shutdown(cancel_futures=True)
        for file in self._files.values():
            file.close()
        shutil.rmtree(self.path, ignore_errors=True)

    def write(self, name: str, piece: Any) -> None:
        """Append the bytes of `piece` to a file, in the background."""
        while len(self._writes) >= _BACKLOG:
            self._writes.popleft().result()
        self._writes.append(self._writer.submit(self._files[name].write, piece))

    def publish(self, header: dict[str, object], final: Path) -> None:
        """Wait for the files, seal them with the header, and move the folder into place."""
        while self._writes:
            self._writes.popleft().result()
        header["files"] = {name: file.seal() for name, file in self._files.items()}
        line = json.dumps(header, sort_keys=True, separators=(",", ":")).encode()
        with _File(self.path / "header") as file:
            file.write(b"%s\n%s\n" % (line, sha256(line).hexdigest().encode()))
            file.seal()
        _sync(self.path)
        self.path.rename(final)
        try:
            _sync(final.parent)
        except OSError:
            final.rename(self.path)
            raise


class _File:
    """A new file that only its owner can read, and the checksum of what was written to it."""

    def __init__(self, path: Path, *, summed: bool = True) -> None:
        self._path = path
        self._handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        self._digest = sha256() if summed else None
        self._size = self._flushed = 0

    def __enter__(self) -> "_File":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        os.close(self._handle)

    def write(self, piece: Any) -> None:
        if not memoryview(piece).nbytes:
            return
        data = memoryview(piece).cast("B")
        if self._digest is not None:
            self._digest.update(data)
        self._size += len(data)
        with naming(self._path):
            while len(data):
                data = data[os.write(self._handle, data) :]
        if self._size - self._flushed > _FLUSH:
            # While there is still hashing to do, the disk need not wait for the end.
            self._sync()

    def seal(self) -> dict[str, object]:
        """Wait until every byte is on the disk; say how many, and their SHA-256 if it is kept."""
        self._sync()
        summed = {} if self._digest is None else {"sha256": self._digest.hexdigest()}
        return {"bytes": self._size, **summed}

    def _sync(self) -> None:
        with naming(self._path):
            os.fsync(self._handle)
        self._flushed = self._size


def _sync(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def read_header(directory: Path, form: str) -> dict[str, Any]:
    """The header of a sealed folder. Raises DamagedError, or InputError for another format."""
    path = directory / "header"
    line, _, seal = or_missing(path, path.read_bytes).partition(b"\n")
    if seal != b"%s\n" % sha256(line).hexdigest().encode():
        raise damaged(path, "does not hold the bytes that were stored")
    header: Any = _json(line)
    if not isinstance(header, dict) or not isinstance(header.get("format"), str):
        raise damaged(path, "says no format")
    if header["format"] != form:
        raise InputError(
            f"{directory} is in the format {header['format']}, and this auditkit reads "
            f"{form}: use the auditkit that wrote it"
        )
    return header


def _json(line: bytes) -> Any:
    try:
        return json.loads(line)
    except (ValueError, RecursionError):
        return None


def or_missing(path: Path, read: Callable[[], Any]) -> Any:
    """What `read` gives. Raises DamagedError if the file is not there."""
    try:
        return read()
    except FileNotFoundError:
        raise damaged(path, "is missing") from None


def damaged(path: Path, what: str) -> DamagedError:
    """What to raise for a file that is not what was stored."""
    return DamagedError(f"{path} {what}: {REMEDY}")
