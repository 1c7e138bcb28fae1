"""The batch path says byte for byte what auditkit.verify.sumtree says, few rows or many."""

import hashlib
import hmac
from collections.abc import Iterator
from contextlib import contextmanager
from unittest import mock

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from auditkit.errors import InputError
from auditkit.ledger import engine, hashing, tree
from auditkit.ledger.columns import limbs
from auditkit.verify import sumtree

SECRET = bytes(range(32))
LIMIT = 1 << 128

accounts = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=128)
amounts = st.one_of(st.integers(0, LIMIT - 1), st.integers(0, 1 << 70), st.just(0))
salts = st.binary(min_size=32, max_size=32)
rows = st.lists(st.tuples(salts, amounts, accounts), max_size=40)
both_paths = pytest.mark.parametrize("small", [0, 1 << 30], ids=["engine", "loop"])


@contextmanager
def path_taken(small: int) -> Iterator[None]:
    """Below `small` rows the loop, else the engine in chunks of 7 rows, so that there are many."""
    with mock.patch.object(engine, "SMALL", small), mock.patch.object(engine, "CHUNK", 7):
        yield


def column(names: list[str]) -> pa.Array:
    return pa.array([name.encode() for name in names], pa.binary())


def matrix(values: list[bytes], width: int) -> engine.Bytes:
    return np.frombuffer(b"".join(values), np.uint8).reshape(-1, width)


@both_paths
@settings(max_examples=40, deadline=None)
@given(rows=rows)
def test_leaves_are_those_of_sumtree(small: int, rows: list[tuple[bytes, int, str]]) -> None:
    with path_taken(small):
        nodes = hashing.leaf_nodes(
            matrix([salt for salt, _, _ in rows], 32),
            limbs(amount for _, amount, _ in rows),
            column([account for _, _, account in rows]),
        )
    assert [node.tobytes() for node in nodes] == [sumtree.leaf(*row).encode() for row in rows]


@both_paths
@settings(max_examples=40, deadline=None)
@given(rows=st.lists(st.tuples(accounts, st.integers(0, 1200)), max_size=40))
def test_salts_are_those_of_hmac(small: int, rows: list[tuple[str, int]]) -> None:
    chunks = np.array([chunk for _, chunk in rows], np.int64)
    with path_taken(small):
        found = hashing.hmac_salts(SECRET, column([account for account, _ in rows]), chunks)
    wanted = [
        hmac.new(SECRET, account.encode() + b"\0" + str(chunk).encode(), "sha256").digest()
        for account, chunk in rows
    ]
    assert [salt.tobytes() for salt in found] == wanted
    assert [hashing.salt(SECRET, a.encode(), chunk) for a, chunk in rows] == wanted


@both_paths
@settings(max_examples=40, deadline=None)
@given(nodes=st.lists(st.tuples(st.integers(0, LIMIT // 64), salts), min_size=1, max_size=40))
def test_levels_and_paths_are_those_of_climb(small: int, nodes: list[tuple[int, bytes]]) -> None:
    leaves = [sumtree.Node(*node) for node in nodes]
    with path_taken(small):
        levels = list(tree.levels(matrix([leaf.encode() for leaf in leaves], 48)))
    assert [len(level) for level in levels] == tree.sizes(len(leaves))
    root = levels[-1][0].tobytes()
    for index, leaf in enumerate(leaves):
        path = [sumtree.Node.decode(node) for node in tree.path(levels, index)]
        top, prefix = sumtree.climb(leaf, index, len(leaves), path)
        assert top.encode() == root
        assert prefix == sum(leaf.sum for leaf in leaves[:index])


@both_paths
@settings(max_examples=40, deadline=None)
@given(sums=st.lists(st.integers(LIMIT // 2 - 3, LIMIT // 2 + 3), min_size=2, max_size=9))
def test_parents_refuse_sums_of_2_to_the_128(small: int, sums: list[int]) -> None:
    level = matrix([sumtree.Node(amount, bytes(32)).encode() for amount in sums], 48)
    pairs = list(zip(sums[::2], sums[1::2], strict=False))
    with path_taken(small):
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


@pytest.mark.parametrize("count", [0, 1, 2, engine.SMALL - 1, engine.SMALL, 20_001])
@pytest.mark.parametrize("width", [1, 97])
def test_rows_keep_their_order(count: int, width: int) -> None:
    data = np.random.default_rng(count).integers(0, 256, (count, width), np.uint8)
    found = hashing.sha256_rows(data)
    assert found.shape == (count, 32)
    assert [h.tobytes() for h in found] == [hashlib.sha256(row.tobytes()).digest() for row in data]


def test_rows_that_are_not_contiguous_are_hashed_as_they_read() -> None:
    data = np.random.default_rng(1).integers(0, 256, (5000, 20), np.uint8)
    assert np.array_equal(
        hashing.sha256_rows(data[:, 3:9]), hashing.sha256_rows(data[:, 3:9].copy())
    )


def test_names_may_be_a_slice_of_a_longer_column() -> None:
    names = column(["one", "two", "three", "four"])
    zeros = np.zeros(2, np.int64)
    assert np.array_equal(
        hashing.hmac_salts(SECRET, names.slice(1, 2), zeros),
        hashing.hmac_salts(SECRET, column(["two", "three"]), zeros),
    )


def test_an_engine_that_shuffles_rows_is_noticed() -> None:
    in_order = engine._hashes

    def shuffled(found: pa.Array) -> engine.Bytes:
        return in_order(found)[::-1]

    rows = np.arange(64, dtype=np.uint8).reshape(-1, 2)
    reversing = mock.patch.object(engine, "_hashes", shuffled)
    with path_taken(0), reversing, pytest.raises(RuntimeError, match="order"):
        hashing.sha256_rows(rows)


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
