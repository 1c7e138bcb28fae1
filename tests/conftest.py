"""Hypothesis profiles, and no network where none is needed.

AUDITKIT_HYPOTHESIS chooses the profile: fast (the default), balanced or thorough.
A test marked tool("name") is skipped where that program is absent; with
AUDITKIT_THOROUGH it fails there. A second word says what the program is tried on:
such tests are summed up in a table at the end (tests/foreign/report.py).
"""

import os
import socket
from collections.abc import Iterator
from typing import NoReturn

import pytest
from foreign.report import present, pytest_terminal_summary
from hypothesis import settings

__all__ = ["pytest_terminal_summary"]

# The fast profile always tries the same examples, so that a red build is red again.
settings.register_profile("fast", max_examples=40, deadline=None, derandomize=True, database=None)
settings.register_profile("balanced", max_examples=300, deadline=None)
settings.register_profile("thorough", max_examples=3000, deadline=None)
settings.load_profile(os.environ.get("AUDITKIT_HYPOTHESIS", "fast"))


def _refuse(*_: object, **__: object) -> NoReturn:
    raise AssertionError("the kernel opened a socket")


@pytest.fixture(autouse=True, scope="module")
def no_network(request: pytest.FixtureRequest) -> Iterator[None]:
    """In tests/verify, every socket that is opened is a failure."""
    with pytest.MonkeyPatch.context() as patch:
        if request.path.parent.name == "verify":
            patch.setattr(socket, "socket", _refuse)
            patch.setattr(socket, "create_connection", _refuse)
        yield


def pytest_runtest_setup(item: pytest.Item) -> None:
    markers = list(item.iter_markers("tool"))
    item.user_properties += [("tool", marker.args) for marker in markers]
    for marker in markers:
        if not present(marker.args[0]):
            say = pytest.fail if os.environ.get("AUDITKIT_THOROUGH") else pytest.skip
            say(f"{marker.args[0]} is not installed; see CONTRIBUTING.md")
