"""What every test of the audit starts from."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from crash import Crash

from auditkit.log.chain import Reader


@pytest.fixture(autouse=True, scope="module")
def no_waiting() -> Iterator[None]:
    """fsync only says whether it was given a file that is open."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda descriptor: os.fstat(descriptor) and None)
        yield


@pytest.fixture
def start(tmp_path: Path) -> Crash:
    """The exchange before it published anything."""
    return Crash(tmp_path)


@pytest.fixture
def careless(monkeypatch: pytest.MonkeyPatch) -> None:
    """An exchange that signs what the kernel would refuse."""
    monkeypatch.setattr(Reader, "check", lambda *_: None)


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory, no_waiting: None) -> Crash:
    """The whole story, told honestly, for all tests of a module to copy."""
    crash = Crash(tmp_path_factory.mktemp("told"))
    crash.snapshot()
    crash.loss()
    return crash


@pytest.fixture
def crash(told: Crash, tmp_path: Path) -> Crash:
    """The whole story, in files of one test's own."""
    return told.copy(tmp_path / "crash")
