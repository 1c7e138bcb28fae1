"""The arrows between the rooms: what an auditor runs must not depend on what published."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2] / "auditkit"
# What each room may import of the others, besides the kernel; anything at the top is for all.
MAY = {
    "verify": set(),
    "log": set(),
    "fund": {"log"},
    "ledger": set(),
    "margin": {"ledger"},
    "publish": {"log", "fund", "ledger", "margin"},
    "audit": {"log", "fund", "ledger", "margin"},
    "follow": {"log"},
    "witness": {"log"},
}
TOP = {"connection", "database", "errors", "files", "keyfile", "money", "secret", "tomlfile"}


def imported(path: Path) -> set[str]:
    """The rooms that a file imports, wherever in it."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        names = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
        names += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        found |= {name.split(".")[1] for name in names if name.startswith("auditkit.")}
    return found


@pytest.mark.parametrize("room", MAY)
def test_a_room_imports_only_what_it_may(room: str) -> None:
    files = sorted((ROOT / room).glob("*.py"))
    assert files
    allowed = MAY[room] | {room, "verify"} | (set() if room == "verify" else TOP)
    odd = {path.name: sorted(imported(path) - allowed) for path in files}
    assert not {name: rooms for name, rooms in odd.items() if rooms}
