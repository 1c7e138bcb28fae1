"""Stored ledgers, small and as if they were large."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from ledger.by_hand import SECRET
from ledger.in_small import MANY, ROWS, blocks_of

from auditkit.ledger import stored
from auditkit.ledger.builder import build
from auditkit.ledger.columns import Balances


@pytest.fixture
def one(tmp_path: Path) -> Path:
    """The ledger of ROWS, which is read in full when it is opened."""
    build(tmp_path / "ledger", Balances.of(ROWS), SECRET)
    return tmp_path / "ledger"


@pytest.fixture
def large(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The ledger of MANY, in three blocks, which is not read when it is opened."""
    monkeypatch.setattr(stored, "_OPENING_BYTES", -1)
    with blocks_of(8, 2):
        build(tmp_path / "ledger", Balances.of(MANY), SECRET)
        yield tmp_path / "ledger"
