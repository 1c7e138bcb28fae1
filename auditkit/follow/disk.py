"""A follower's folder: one process at a time, and files that move in only once they are safe."""

import fcntl
import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from auditkit.errors import InputError, place
from auditkit.files import sync


def move(names: Iterable[str], old: Path, new: Path) -> None:
    """Move files, by their paths below `old`, to the same below `new`; durable at the end."""
    folders: set[Path] = set()
    names = list(names)
    for name in names:
        sync(old / name)
    for name in names:
        target = new / name
        target.parent.mkdir(parents=True, exist_ok=True)
        (old / name).replace(target)
        # Up to the top, because folders may be new too.
        folders |= {each for each in target.parents if each.is_relative_to(new)}
    for folder in sorted(folders):
        sync(folder)


def remove(folder: Path) -> None:
    """Remove a folder and what is in it, if it is there."""
    with suppress(FileNotFoundError):
        shutil.rmtree(folder)


@contextmanager
def locked(path: Path, what: str) -> Iterator[None]:
    """Hold the lock that this file is. Raises InputError with `what` if another process has it."""
    handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise InputError(f"{place(path.parent)}: {what}") from None
        yield
    finally:
        os.close(handle)
