"""The batch path says byte for byte what auditkit.verify.sumtree says, few rows or many."""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ledger import by_hand
from ledger.by_hand import LIMIT, SECRET, Leaf
from ledger.in_small import in_pieces, names

from auditkit.errors import InputError
from auditkit.ledger import engine, hashing, stored
from auditkit.ledger.columns import limbs
from auditkit.verify import sumtree

amounts = st.one_of(st.integers(0, LIMIT - 1), st.integers(0, 1 << 70), st.just(0))
salts = st.binary(min_size=32, max_size=32)
rows = st.lists(st.tuples(salts, amounts, names), max_size=40)
both_paths = pytest.mark.parametrize("many", [True, False], ids=["engine", "loop"])


@contextmanager
def path_taken(many: bool) -> Iterator[None]:
    """The engine in chunks of 7 rows, so that there are many, or the loop."""
    with in_pieces(chunk=7) if many else nullcontext():
        yield


def column(names: list[str]) -> pa.Array:
    return pa.array([name.encode() for name in names], pa.binary())


def matrix(values: list[bytes], width: int) -> engine.Bytes:
    return np.frombuffer(b"".join(values), np.uint8).reshape(-1, width)


def leaf_nodes(of: list[Leaf]) -> list[bytes]:
    nodes = hashing.leaf_nodes(
        matrix([salt for salt, _, _ in of], 32),
        limbs(amount for _, amount, _ in of),
        column([account for _, _, account in of]),
    )
    return [node.tobytes() for node in nodes]


@both_paths
@settings(deadline=None)
@given(rows=rows)
def test_leaves_are_those_of_sumtree(many: bool, rows: list[Leaf]) -> None:
    with path_taken(many):
        found = leaf_nodes(rows)
    assert found == [sumtree.leaf(*row).encode() for row in rows]


@both_paths
@settings(deadline=None)
@given(rows=st.lists(st.tuples(names, st.one_of(st.integers(0, 20), st.integers(0, 10**9 - 1)))))
def test_salts_are_those_of_hmac(many: bool, rows: list[tuple[str, int]]) -> None:
    chunks = np.array([chunk for _, chunk in rows], np.int64)
    with path_taken(many):
        found = hashing.hmac_salts(SECRET, column([account for account, _ in rows]), chunks)
    wanted = [by_hand.salt(account, chunk) for account, chunk in rows]
    assert [salt.tobytes() for salt in found] == wanted
    assert [stored.salt(SECRET, a.encode(), chunk) for a, chunk in rows] == wanted


@pytest.mark.parametrize("digits", range(1, 9))
def test_chunk_numbers_of_every_width(digits: int) -> None:
    chunks = [10**digits - 1, 10**digits, 10**digits + 1]
    found = hashing.hmac_salts(SECRET, column(["a"] * 3), np.array(chunks, np.int32))
    assert [salt.tobytes() for salt in found] == [by_hand.salt("a", chunk) for chunk in chunks]


@both_paths
@settings(deadline=None)
@given(nodes=st.lists(st.tuples(st.integers(0, LIMIT // 64), salts), min_size=1, max_size=40))
def test_a_level_is_pairs_and_what_is_promoted(many: bool, nodes: list[tuple[int, bytes]]) -> None:
    level = [sumtree.Node(*node) for node in nodes]
    with path_taken(many):
        above = hashing.parents(matrix([node.encode() for node in level], 48))
    pairs = zip(level[::2], level[1::2], strict=False)
    wanted = [sumtree.parent(*pair) for pair in pairs] + level[len(level) // 2 * 2 :]
    assert [node.tobytes() for node in above] == [node.encode() for node in wanted]


@both_paths
@settings(deadline=None)
@given(sums=st.lists(st.integers(LIMIT // 2 - 3, LIMIT // 2 + 3), min_size=2, max_size=9))
def test_parents_refuse_sums_of_2_to_the_128(many: bool, sums: list[int]) -> None:
    level = matrix([sumtree.Node(amount, bytes(32)).encode() for amount in sums], 48)
    pairs = list(zip(sums[::2], sums[1::2], strict=False))
    with path_taken(many):
        if any(left + right >= LIMIT for left, right in pairs):
            with pytest.raises(InputError, match="reaches 2\\^128"):
                hashing.parents(level)
        else:
            above = [int.from_bytes(node[:16].tobytes(), "big") for node in hashing.parents(level)]
            assert above[: len(pairs)] == [left + right for left, right in pairs]


@pytest.mark.parametrize(
    ("left", "right"),
    [
        (LIMIT - 1, 1),
        (LIMIT - 1, LIMIT - 1),
        ((1 << 64) - 1, LIMIT - (1 << 64) + 1),
        (LIMIT // 2, LIMIT // 2),
    ],
)
def test_every_way_to_overflow_is_refused(left: int, right: int) -> None:
    level = matrix([sumtree.Node(amount, bytes(32)).encode() for amount in (left, right)], 48)
    with pytest.raises(InputError, match="reaches 2\\^128"):
        hashing.parents(level)


def test_columns_that_are_not_contiguous_are_hashed_as_they_read() -> None:
    random = np.random.default_rng(1)
    wide = random.integers(0, 256, (40, 80), np.uint8)
    salts, amounts = wide[::2, 3:35], random.integers(0, 2**63, (20, 4)).astype(np.uint64)[:, ::2]
    names = column([f"u{row % 3}" for row in range(20)])
    nodes = hashing.leaf_nodes(salts, amounts, names)
    assert np.array_equal(nodes, hashing.leaf_nodes(salts.copy(), amounts.copy(), names))
    apart = np.repeat(nodes, 2, axis=0)[::2]
    assert np.array_equal(hashing.parents(apart), hashing.parents(nodes))


def test_names_may_be_a_slice_of_a_longer_column() -> None:
    names = column(["one", "two", "three", "four"])
    zeros = np.zeros(2, np.int64)
    assert np.array_equal(
        hashing.hmac_salts(SECRET, names.slice(1, 2), zeros),
        hashing.hmac_salts(SECRET, column(["two", "three"]), zeros),
    )


@given(st.lists(names), st.integers(0, 9), st.integers(0, 9))
def test_parts_are_the_bytes_of_the_names(of: list[str], start: int, count: int) -> None:
    ends, data = hashing.parts(column(of).slice(start, count))
    text, wanted = data.tobytes(), [name.encode() for name in of[start : start + count]]
    assert ends[0] == 0
    assert text == b"".join(wanted)
    assert [text[a:b] for a, b in pairwise(ends)] == wanted


@pytest.mark.parametrize("size", [0, 31, 33, 64])
def test_a_secret_has_32_bytes(size: int) -> None:
    with pytest.raises(InputError, match="32 bytes"):
        hashing.hmac_salts(bytes(size), column(["a"]), np.zeros(1, np.int64))


@pytest.mark.parametrize("name", ["", "a" * 129, "a" * 70_000])
def test_a_name_has_1_to_128_bytes(name: str) -> None:
    names = column(["anna", name])
    with pytest.raises(InputError, match="1 to 128 bytes"):
        hashing.hmac_salts(SECRET, names, np.zeros(2, np.int64))
    with pytest.raises(InputError, match="1 to 128 bytes"):
        hashing.leaf_nodes(np.zeros((2, 32), np.uint8), limbs([1, 2]), names)
