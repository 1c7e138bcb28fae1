"""One publisher at a time: an advisory lock that the system drops when its holder dies."""

import errno
import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from auditkit.errors import InputError

LOCK_SECONDS = 30.0


@contextmanager
def lock(path: Path) -> Iterator[None]:
    """Hold the venue's lock, waiting a while for another publisher."""
    handle = _open(path)
    try:
        deadline = time.monotonic() + LOCK_SECONDS
        while not _take(handle):
            if time.monotonic() > deadline:
                raise InputError(
                    f"{path.parent}: another publisher holds the venue; try again later"
                )
            time.sleep(0.05)
        yield
    finally:
        os.close(handle)


@contextmanager
def try_lock(path: Path) -> Iterator[bool]:
    """Whether the lock could be had at once; held until the end of the block."""
    try:
        handle = _open(path)
    except OSError as error:
        if error.errno not in (errno.EACCES, errno.EPERM, errno.EROFS):
            raise
        yield False  # A reader without write access cannot settle anything.
        return
    try:
        yield _take(handle)
    finally:
        os.close(handle)


def _open(path: Path) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT, 0o600)


def _take(handle: int) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
