"""A folder of files that appears whole or not at all, sealed by a header with their checksums.

The header's first line says what is in the folder, with the size and SHA-256 of
every file; its second line is the SHA-256 of its first.
"""

import json
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

from auditkit.errors import DamagedError, InputError

REMEDY = "restore the directory from a backup, or build it anew from the same books and secret"


@contextmanager
def draft(directory: Path, names: Sequence[str]) -> Iterator["Draft"]:
    """A directory beside `directory`, gone at the end unless it was published."""
    path = directory.with_name(f".{directory.name}.draft")
    # What a killed build left behind holds salts, and no one else will clear it away.
    shutil.rmtree(path, ignore_errors=True)
    path.mkdir(0o700)
    try:
        with ExitStack() as stack:
            files = {name: stack.enter_context(_File(path / name)) for name in names}
            yield Draft(directory, path, files, stack.enter_context(ThreadPoolExecutor(1)))
    finally:
        shutil.rmtree(path, ignore_errors=True)


@dataclass(frozen=True, slots=True)
class Draft:
    """The files of a ledger before it is in place. One thread writes while hashing goes on."""

    final: Path
    path: Path
    files: dict[str, "_File"]
    writer: ThreadPoolExecutor
    writes: list[Future[None]] = field(default_factory=list)

    def write(self, name: str, piece: Any) -> None:
        """Append the bytes of `piece` to a file, in the background."""
        self.writes.append(self.writer.submit(self.files[name].write, piece))

    def publish(self, header: dict[str, object]) -> None:
        """Wait for the files, seal them with the header, and move the directory into place."""
        for write in self.writes:
            write.result()
        header["files"] = {name: file.seal() for name, file in self.files.items()}
        line = json.dumps(header, sort_keys=True, separators=(",", ":")).encode()
        with _File(self.path / "header") as file:
            file.write(b"%s\n%s\n" % (line, sha256(line).hexdigest().encode()))
            file.seal()
        _sync(self.path)
        self.path.rename(self.final)
        try:
            _sync(self.final.parent)
        except OSError:
            self.final.rename(self.path)
            raise


class _File:
    """A new file that only its owner can read, and the checksum of what was written to it."""

    def __init__(self, path: Path) -> None:
        self._file = os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb")
        self._digest, self._size = sha256(), 0

    def __enter__(self) -> "_File":
        return self

    def __exit__(self, *raised: object) -> None:
        self._file.close()

    def write(self, piece: Any) -> None:
        if memoryview(piece).nbytes:
            data = memoryview(piece).cast("B")
            self._digest.update(data)
            self._size += self._file.write(data)

    def seal(self) -> dict[str, object]:
        """Wait until every byte is on the disk; say how many, and their SHA-256."""
        self._file.flush()
        os.fsync(self._file.fileno())
        return {"bytes": self._size, "sha256": self._digest.hexdigest()}


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
    header: dict[str, Any] = json.loads(line)
    if header["format"] != form:
        raise InputError(f"{directory} is in the format {header['format']}: use a newer auditkit")
    return header


def or_missing(path: Path, read: Callable[[], Any]) -> Any:
    """What `read` gives. Raises DamagedError if the file is not there."""
    try:
        return read()
    except FileNotFoundError:
        raise damaged(path, "is missing") from None


def damaged(path: Path, what: str) -> DamagedError:
    """What to raise for a file that is not what was stored."""
    return DamagedError(f"{path} {what}: {REMEDY}")
