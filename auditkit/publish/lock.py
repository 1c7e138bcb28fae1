"""One publisher at a time: an advisory lock that the system drops when its holder dies."""

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
    deadline = time.monotonic() + LOCK_SECONDS
    while True:
        with try_lock(path) as held:
            if held:
                yield
                return
        if time.monotonic() > deadline:
            raise InputError(f"{path.parent}: another publisher holds the venue; try again later")
        time.sleep(0.05)


@contextmanager
def try_lock(path: Path) -> Iterator[bool]:
    """Whether the lock could be had at once; held until the end of the block."""
    try:
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    except PermissionError:
        yield False  # A reader without write access cannot settle anything.
        return
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True
    finally:
        os.close(handle)
