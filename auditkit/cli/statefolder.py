"""The folder of `verify --state`: one process at a time, and files that are replaced as a whole."""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from auditkit.errors import InputError, place
from auditkit.files import write_file


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """The folder, made if it is not there, while nobody else is in such a block with it.

    Raises InputError if it cannot be a folder.
    """
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
    except FileExistsError:
        raise InputError(f"--state: {place(folder)}: is a file, not a folder") from None
    except FileNotFoundError:
        raise InputError(f"--state: {place(folder.parent)}: no such folder") from None
    with (folder / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def replace(path: Path, text: str) -> None:
    """Put a file's new text in place of the old, which stays until the new one is on the disk.

    Raises OSError, whose words say that the verdict stands and only the memory of it is lost.
    """
    try:
        write_file(path, text.encode("ascii"))
    except OSError as problem:
        why = f"verified, but that cannot be remembered: {problem.strerror or problem}"
        raise OSError(problem.errno, why, str(path)) from None
