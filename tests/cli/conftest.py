"""What every test of the command line is given: a console of its own, and a shop with a venue."""

from pathlib import Path

import pytest
from console import Console, Shop, open_shop


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Shop:
    """A published venue with one honest proof file, for all tests of a file."""
    return open_shop(tmp_path_factory.mktemp("shop"))


@pytest.fixture
def console(tmp_path: Path) -> Console:
    """The command line, with settings that are nobody's own."""
    return Console(tmp_path)
