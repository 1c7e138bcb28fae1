"""A ledger cut into blocks has the levels of SPEC.md §2, whatever is left over at the end."""

import json
from collections.abc import Iterator
from hashlib import sha256
from itertools import accumulate, pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ledger import by_hand
from ledger.by_hand import LIMIT, VECTORS, Leaf, needs_vectors
from ledger.in_small import amounts, blocks_of, in_pieces, names

from auditkit.errors import InputError
from auditkit.ledger import blocks, stored
from auditkit.ledger.blocks import Block, Crown
from auditkit.ledger.columns import Balances
from auditkit.ledger.runs import Rows
from auditkit.verify import sumtree
from auditkit.verify.sumtree import Node

SHAPES = [(8, 2), (8, 4), (8, 8), (16, 4), (2, 2), (32, 2)]
"""Leaves of a block, and of a stem."""


def made(of: list[Leaf]) -> Rows:
    salts = np.frombuffer(b"".join(salt for salt, _, _ in of), np.uint8).reshape(-1, 32)
    return Rows(salts, Balances.of((account, amount) for _, amount, account in of))


def leaves_of(rows: Rows) -> list[Leaf]:
    found = zip(rows.salts, rows.balances.rows(), strict=True)
    return [(salt.tobytes(), amount, account) for salt, (account, amount) in found]


def some(count: int) -> list[Leaf]:
    """Leaves, of which every third account has 128 bytes and every other 1."""
    letters = [chr(letter) for letter in range(33, 127)]
    return [
        (
            sha256(b"%d" % place).digest(),
            place * 10**30,
            letters[place % 94] * (128 if place % 3 == 0 else 1 if place % 3 == 1 else place % 129),
        )
        for place in range(1, count + 1)
    ]


def stacked(of: list[Leaf]) -> list[list[Node]]:
    """The levels that blocks come to, one upon another."""
    crown = Crown()
    for rows in blocks.cut([made(of)]):
        crown.add(Block.of(rows))
    assert crown.count == len(of)
    return [[Node.decode(node.tobytes()) for node in level] for level in crown.levels()]


@given(st.lists(st.integers(0, 20), max_size=12), st.sampled_from(SHAPES))
def test_pieces_are_cut_into_blocks(sizes: list[int], shape: tuple[int, int]) -> None:
    leaves = some(sum(sizes))
    ends = list(accumulate(sizes, initial=0))
    pieces = [made(leaves[end - size : end]) for size, end in zip(sizes, ends[1:], strict=True)]
    with blocks_of(*shape):
        found = list(blocks.cut(pieces))
    counts = [len(rows) for rows in found]
    assert all(count == shape[0] for count in counts[:-1])
    assert all(1 <= count <= shape[0] for count in counts[-1:])
    assert [leaf for rows in found for leaf in leaves_of(rows)] == leaves


def test_a_block_is_there_before_the_next_is_read() -> None:
    taken = []

    def pieces() -> Iterator[Rows]:
        for start in range(0, 40, 4):
            taken.append(start)
            yield made(some(start + 4)[start:])

    with blocks_of(8, 2):
        for place, _ in enumerate(blocks.cut(pieces())):
            assert len(taken) == 2 * place + 2


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_levels_and_sizes_of_every_count(shape: tuple[int, int]) -> None:
    block, stem = shape
    leaves = some(4 * block + stem + 1)
    with blocks_of(*shape):
        for count in range(len(leaves) + 1):
            wanted = by_hand.levels(leaves[:count])
            height = min(stem.bit_length() - 1, len(wanted) - 1)
            found = stacked(leaves[:count])
            assert found == (wanted[height:] if count else [])
            assert stored.sizes(count) == [len(level) for level in found]


@pytest.mark.parametrize("count", [1, 63, 64, 65, 128, 129, 4095, 4096, 4097, 8200])
def test_levels_and_sizes_of_true_stems(count: int) -> None:
    wanted = by_hand.levels(some(count))
    found = stacked(some(count))
    assert found == wanted[min(6, len(wanted) - 1) :]
    assert stored.sizes(count) == [len(level) for level in found]


@given(st.integers(1, 1 << 40))
def test_sizes_halve_up_to_the_root(leaves: int) -> None:
    sizes = stored.sizes(leaves)
    assert sizes[0] == -(-leaves // 64)
    assert sizes[-1] == 1
    assert all(above == (below + 1) // 2 for below, above in pairwise(sizes))
    assert stored.sizes(0) == []


leaves_with_salts = st.lists(
    st.tuples(st.binary(min_size=32, max_size=32), amounts, names), min_size=1, max_size=40
)


@settings(deadline=None)
@given(leaves_with_salts, st.booleans())
def test_a_block_is_stored_as_it_reads(leaves: list[Leaf], large: bool) -> None:
    with in_pieces() if large else blocks_of(64, 2):
        block = Block.of(made(leaves))
    salts, units, accounts = (part.tobytes() for part in block.parts)
    assert salts == b"".join(salt for salt, _, _ in leaves)
    assert units == b"".join(amount.to_bytes(16, "big") for _, amount, _ in leaves)
    texts = [account.encode() for _, _, account in leaves]
    assert accounts == bytes(map(len, texts)) + b"".join(texts)
    assert block.sums == tuple(sha256(part).digest() for part in (salts, units, accounts))
    assert (block.count, block.total) == (len(leaves), sum(amount for _, amount, _ in leaves))
    [[root]] = block.levels[-1:]
    assert Node.decode(root.tobytes()) == by_hand.root(leaves)
    again = blocks.rows_of(*(np.frombuffer(part, np.uint8) for part in (salts, units, accounts)))
    assert leaves_of(again) == leaves


@pytest.mark.parametrize("part", range(3))
@pytest.mark.parametrize("change", [-32, 32])
def test_parts_of_different_rows_are_no_block(part: int, change: int) -> None:
    parts = list(Block.of(made(some(9))).parts)
    more = np.concatenate([parts[part], np.full(32, 1, np.uint8)])
    parts[part] = more if change > 0 else parts[part][:change]
    with pytest.raises(ValueError, match=r"not of the same rows"):
        blocks.rows_of(*parts)


def test_a_slice_of_rows_is_a_block_of_that_slice() -> None:
    leaves = some(20)
    found, wanted = Block.of(made(leaves).slice(3, 12)), Block.of(made(leaves[3:12]))
    assert [part.tobytes() for part in found.parts] == [part.tobytes() for part in wanted.parts]
    assert found.sums == wanted.sums
    assert found.levels[-1].tobytes() == wanted.levels[-1].tobytes()


@pytest.mark.parametrize("place", range(13))
def test_a_sum_of_2_to_the_128_is_refused_wherever_it_is_reached(place: int) -> None:
    """In one block of 4, or above several."""
    with blocks_of(4, 2):
        for amounts in ([LIMIT - 13, *[1] * 12], [LIMIT - 12, *[1] * 12]):
            amounts[0], amounts[place] = amounts[place], amounts[0]
            of = [(salt, n, name) for (salt, _, name), n in zip(some(13), amounts, strict=True)]
            if sum(amounts) == LIMIT:
                with pytest.raises(InputError, match="reaches 2\\^128"):
                    stacked(of)
            else:
                assert stacked(of)[-1] == [by_hand.root(of)]


@needs_vectors
@pytest.mark.parametrize("shape", [(1 << 16, 64), (8, 2), (2, 2)], ids=str)
def test_trees_are_those_of_the_vectors(shape: tuple[int, int]) -> None:
    for case in json.loads((VECTORS / "trees.json").read_text()):
        leaves = [
            (bytes.fromhex(leaf["salt"]), int(leaf["amount"]), leaf["account"])
            for leaf in case["leaves"]
        ]
        with blocks_of(*shape):
            levels = stacked(leaves)
        assert (levels[-1][0] if levels else sumtree.EMPTY).encode().hex() == case["root"]
        tree = by_hand.levels(leaves)
        paths = [by_hand.path(tree, index) for index in range(len(leaves))]
        assert [[node.hex() for node in path] for path in paths] == case["paths"]
