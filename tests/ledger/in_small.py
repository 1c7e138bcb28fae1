"""Small data through what only large data goes through, and the data itself."""

import json
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any
from unittest import mock

from hypothesis import strategies as st
from ledger.by_hand import LIMIT, Row

from auditkit.ledger import blocks, engine, sorting, store, stored
from auditkit.ledger.columns import Balances

ROWS = [("anna", 7), ("bert", 0), ("carl", 5), ("anna", 3), ("dora", 1 << 90), ("anna", 3)]
MANY = [*ROWS, *[(f"u{place}", place) for place in range(14)], ("x" * 128, 9)]
"""Three blocks of 8, the last with an odd end."""


@contextmanager
def blocks_of(block: int, stem: int) -> Iterator[None]:
    """Blocks of so many leaves, and stems of so many: powers of two."""
    sizes = {"BLOCK": block, "STEM": stem, "STEM_HEIGHT": stem.bit_length() - 1}
    with ExitStack() as patches:
        for module in (stored, blocks, store):
            for name in sizes.keys() & vars(module).keys():
                patches.enter_context(mock.patch.object(module, name, sizes[name]))
        yield


@contextmanager
def in_pieces(few: int = 5, chunk: int = 7) -> Iterator[None]:
    """Runs of so many rows, parts of about so many, and the crew for all that is done."""
    with (
        mock.patch.object(engine, "SMALL", 1),
        mock.patch.object(engine, "CHUNK", chunk),
        mock.patch.object(sorting, "_FEW", few),
    ):
        yield


def files_of(directory: Path) -> dict[str, bytes]:
    """Every file of a folder."""
    return {path.name: path.read_bytes() for path in directory.iterdir()}


def names_in(directory: Path) -> list[str]:
    """What lies in a folder."""
    return sorted(path.name for path in directory.iterdir())


def seal(directory: Path, header: object) -> None:
    """Give a stored ledger another header, which is sealed as the true one was."""
    line = json.dumps(header, sort_keys=True, separators=(",", ":")).encode()
    (directory / "header").write_bytes(line + b"\n" + sha256(line).hexdigest().encode() + b"\n")


def header_of(directory: Path) -> dict[str, Any]:
    """The header of a stored ledger."""
    found: dict[str, Any] = json.loads((directory / "header").read_bytes().splitlines()[0])
    return found


def pieces_of(rows: list[Row], sizes: list[int]) -> list[Balances]:
    """The rows in pieces of these sizes, taken again from the first when they are over."""
    found, start = [], 0
    while start < len(rows):
        for size in [*sizes, 1]:
            found.append(Balances.of(rows[start : start + size]))
            start += size
    return found


_LETTERS = st.characters(min_codepoint=33, max_codepoint=126)
names = st.one_of(
    st.text(_LETTERS, min_size=1, max_size=1).filter(lambda name: name != "-"),
    st.text(_LETTERS, min_size=2, max_size=12),
    st.text(_LETTERS, min_size=128, max_size=128),
)
"""Accounts of 1 to 128 bytes, often the one or the other."""

amounts = st.one_of(st.integers(0, 3), st.integers(0, 1 << 70), st.integers(0, LIMIT // 1024))
"""Base units, of which some are equal, and a thousand stay below 2^128."""

_rows = st.one_of(
    st.lists(amounts, min_size=1, max_size=3), st.lists(amounts, min_size=1, max_size=16)
)
books = st.dictionaries(names, _rows, max_size=12)
"""Accounts and their rows."""


def rows_of(held: dict[str, list[int]]) -> list[Row]:
    """The rows of books."""
    return [(account, amount) for account, rows in held.items() for amount in rows]
