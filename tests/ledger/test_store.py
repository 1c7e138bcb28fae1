"""A stored ledger is read by columns, block by block, as it was built."""

from pathlib import Path

import numpy as np
import pytest
from ledger import by_hand
from ledger.by_hand import SECRET, assert_holds
from ledger.in_small import MANY, blocks_of, in_pieces

from auditkit.errors import DamagedError
from auditkit.ledger.builder import build
from auditkit.ledger.columns import Balances
from auditkit.ledger.store import Ledger

SHAPES = [(8, 2), (8, 4), (8, 8), (2, 2)]


def test_what_was_built_is_read_again(large: Path) -> None:
    ledger = Ledger.open(large, SECRET)
    assert [len(rows) for _, rows in ledger.rows()] == [8, 8, 5]
    assert_holds(ledger, MANY)
    with in_pieces():
        assert_holds(ledger, MANY)


def test_rows_are_those_of_the_first_block_before_the_last_is_read(large: Path) -> None:
    data = bytearray((large / "amounts").read_bytes())
    data[-1] ^= 1
    (large / "amounts").write_bytes(data)
    rows = Ledger.open(large, SECRET).rows()
    assert [len(next(rows)[1]) for _ in range(2)] == [8, 8]
    with pytest.raises(DamagedError, match=f"{large}/amounts "):
        next(rows)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("count", [0, 1, 2, 3, 7, 8, 9, 16, 17, 31, 33, 64, 65])
def test_levels_are_those_of_the_tree(tmp_path: Path, shape: tuple[int, int], count: int) -> None:
    rows = [(f"u{place}", place) for place in range(count)]
    wanted = by_hand.levels(by_hand.leaves(rows))
    stem = shape[1].bit_length() - 1
    with blocks_of(*shape):
        ledger = build(tmp_path / "ledger", Balances.of(rows), SECRET)
        nodes = b""
        for height in range(stem, len(wanted)):
            level = ledger.level(height)
            assert level.shape == (len(wanted[height]), 48)
            assert [node.tobytes() for node in level] == [n.encode() for n in wanted[height]]
            nodes += level.tobytes()
        if 0 < len(wanted) <= stem and count:
            [root] = ledger.level(stem)
            nodes = root.tobytes()
            assert nodes == wanted[-1][0].encode()
        assert (tmp_path / "ledger" / "nodes").read_bytes() == nodes


def test_columns_that_were_read_can_be_built_again(large: Path) -> None:
    """They are views of files, in a byte order of their own: nothing of that may show."""
    balances = Ledger.open(large, SECRET).balances()
    assert balances.amounts.dtype == np.uint64
    assert balances.accounts.type == "binary"
    again = build(large.with_name("again"), balances, bytes(32))
    assert next(again.held()).amounts.flags.writeable
    assert sorted(again.balances().rows()) == sorted(MANY)
