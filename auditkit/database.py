"""What SQLite raises, in the words of the rest: OSError, DamagedError or InputError."""

import errno
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from auditkit.errors import DamagedError, InputError, place

# SQLite's own codes for what is the disk's fault, and for another program's lock.
_DISK = {
    sqlite3.SQLITE_IOERR: errno.EIO,
    sqlite3.SQLITE_FULL: errno.ENOSPC,
    sqlite3.SQLITE_CANTOPEN: errno.EACCES,
    sqlite3.SQLITE_PERM: errno.EACCES,
    sqlite3.SQLITE_READONLY: errno.EROFS,
}
_LOCKED = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)


@contextmanager
def plainly(path: Path, what: str = "the history log") -> Iterator[None]:
    """Whatever goes wrong in the block with the file at `path`, which holds `what`."""
    try:
        yield
    except sqlite3.DatabaseError as error:
        code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_CORRUPT) & 0xFF
        if code in _DISK:
            raise OSError(_DISK[code], str(error), str(path)) from None
        if code in _LOCKED:
            raise InputError(
                f"{place(path)}: another program holds {what}; try again later"
            ) from None
        raise DamagedError(f"{place(path)}: {what} cannot be read: {error}") from None
