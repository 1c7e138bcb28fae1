"""What the command line names: a file or standard input, read within bounds; a published folder."""

import errno
import sys
from pathlib import Path
from typing import BinaryIO

from auditkit.errors import InputError, place

_LINE = 1 << 16


def read_bytes(name: str, limit: int) -> bytes:
    """At most `limit` bytes. Raises InputError if there is no such file, OSError if it fails."""
    if name == "-":
        data = _standard_input().read(limit)
        if data is None:  # A pipe that does not wait has nothing yet.
            raise InputError("standard input has nothing to read")
        return data
    try:
        with Path(name).open("rb") as file:
            return file.read(limit)
    except (FileNotFoundError, NotADirectoryError):
        raise InputError(f"{name}: no such file") from None
    except IsADirectoryError:
        raise InputError(f"{name}: is a folder, not a file") from None
    except OSError as problem:
        if problem.errno == errno.ENAMETOOLONG:
            raise InputError(f"{name:.60}...: no file has so long a name") from None
        raise OSError(problem.errno, problem.strerror, name) from None


def read_line() -> bytes:
    """One line of standard input without its end; empty where there is none."""
    return _standard_input().readline(_LINE).rstrip(b"\r\n")


def public_folder(folder: Path, hint: str = "") -> Path:
    """The folder, if it may be a published one. Raises InputError; `hint` is for one not there."""
    if not folder.is_dir():
        raise InputError(f"{place(folder)}: no such folder{hint}")
    if not (folder / "checkpoint").exists() and (folder / "public/checkpoint").exists():
        raise InputError(f"{place(folder)}: is a venue's own folder; give its public/")
    return folder


def _standard_input() -> BinaryIO:
    # Whoever started us may have closed it, and then Python has None for it.
    if sys.stdin is None:
        raise InputError("standard input is closed")
    return sys.stdin.buffer
