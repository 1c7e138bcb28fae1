"""A disk that is full is told with the file it was to take."""

import errno
import os
import resource
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import numpy as np
import pytest

from auditkit.files import naming, write_file
from auditkit.follow.mirror import Mirror, Stage
from auditkit.ledger.runs import Runs
from auditkit.publish.keys import Signer

MUCH = bytes(1 << 16)


@contextmanager
def full() -> Iterator[None]:
    """No file grows any further; the system names none, just as where a disk is full."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def whole_file(folder: Path) -> None:
    write_file(folder / "a", MUCH)


def mirror(folder: Path) -> None:
    Stage(Mirror(folder, None)).put(0, [MUCH[:1000]])


def key_file(folder: Path) -> None:
    Signer.generate("exchange.example").write(folder / "key.pem", None)


def runs(folder: Path) -> None:
    with closing(Runs(folder)) as found:
        found._write(0, np.zeros(1 << 16, np.uint8))


@pytest.mark.parametrize(
    ("write", "name"),
    [
        (whole_file, "a"),
        (mirror, "new/tile/entries/000.p/1"),
        (key_file, "key.pem"),
        (runs, ""),
    ],
)
def test_a_full_disk_is_told_with_the_file(
    tmp_path: Path, write: Callable[[Path], None], name: str
) -> None:
    with full(), pytest.raises(OSError, match="File too large") as caught:
        write(tmp_path)
    assert caught.value.filename == str(tmp_path / name)
    assert caught.value.errno == errno.EFBIG


def test_so_is_one_that_fails_at_the_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", refuse)
    with pytest.raises(OSError, match="No space left") as caught:
        write_file(tmp_path / "a", b"a")
    assert caught.value.filename == str(tmp_path / "a")


def test_a_name_that_the_system_gave_is_kept(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError) as caught, naming(tmp_path):
        (tmp_path / "gone").read_bytes()
    assert caught.value.filename == str(tmp_path / "gone")
