"""SPEC.md §2: the sum tree, held against the naive one of reference.py."""

import pytest
import reference
from refusals import refused

from auditkit.verify import history, sumtree
from auditkit.verify.errors import Refuted
from auditkit.verify.sumtree import EMPTY, Node

TOP = 2**128 - 1


def leaves(size: int) -> list[reference.Leaf]:
    return [reference.Leaf(bytes([i]) * 32, 7 * i + 1, f"account-{i}") for i in range(size)]


def start(leaf: reference.Leaf) -> Node:
    return sumtree.leaf(leaf.salt, leaf.amount, leaf.account)


@pytest.mark.parametrize("size", range(1, 36))
def test_every_leaf_climbs_to_the_root_and_learns_its_prefix(size: int) -> None:
    nodes = [leaf.node for leaf in leaves(size)]
    for i, leaf in enumerate(leaves(size)):
        path = [Node.decode(node) for node in reference.sum_path(i, nodes)]
        root, prefix = sumtree.climb(start(leaf), i, size, path)
        assert root.encode() == reference.sum_root(nodes)
        assert prefix == sum(leaf.amount for leaf in leaves(size)[:i])


def test_a_ledger_without_leaves_has_the_empty_root() -> None:
    assert EMPTY.encode() == reference.EMPTY == bytes(16) + EMPTY.hash


def test_a_node_is_48_bytes_both_ways() -> None:
    node = Node(TOP, b"\x05" * 32)
    assert Node.decode(node.encode()) == node
    assert len(node.encode()) == sumtree.NODE_BYTES


def test_an_odd_last_leaf_is_promoted_and_not_repeated() -> None:
    first, second, third = (start(leaf) for leaf in leaves(3))
    pair = sumtree.parent(first, second)
    root, prefix = sumtree.climb(third, 2, 3, [pair])
    assert root == sumtree.parent(pair, third)
    assert (root.sum, prefix) == (1 + 8 + 15, 9)


def test_a_path_of_another_length_is_false() -> None:
    first, second, third = (start(leaf) for leaf in leaves(3))
    pair = sumtree.parent(first, second)
    with refused(Refuted, "the ledger path is too short; expected 2 nodes; found 1 nodes"):
        sumtree.climb(first, 0, 3, [second])
    with refused(Refuted, "the ledger path is too long; expected 1 nodes; found 2 nodes"):
        sumtree.climb(third, 2, 3, [pair, pair])
    with refused(Refuted, "the ledger path is too long"):
        sumtree.climb(first, 0, 1, [second])


def test_an_index_outside_the_ledger_is_false() -> None:
    for index, size in ((1, 1), (3, 3), (0, 0), (2**52, 3)):
        with refused(Refuted, "the leaf's index is outside the ledger"):
            sumtree.climb(EMPTY, index, size, [])


def test_a_sum_may_reach_the_limit_but_not_pass_it() -> None:
    low, high = Node(1, b"\x01" * 32), Node(TOP - 1, b"\x02" * 32)
    assert sumtree.parent(low, high).sum == TOP
    for left, right in ((Node(2, low.hash), high), (high, Node(2, low.hash))):
        with refused(Refuted, "a sum on the path reaches 2^128"):
            sumtree.parent(left, right)


def test_a_parent_binds_both_sums_and_both_hashes_in_order() -> None:
    left, right = Node(3, b"\x01" * 32), Node(4, b"\x02" * 32)
    others = (
        sumtree.parent(right, left),
        sumtree.parent(Node(4, left.hash), Node(3, right.hash)),
        sumtree.parent(Node(3, right.hash), Node(4, right.hash)),
        sumtree.parent(Node(3, left.hash), Node(4, left.hash)),
    )
    assert sumtree.parent(left, right).sum == 7
    assert all(sumtree.parent(left, right).hash != other.hash for other in others)


def test_a_leaf_binds_salt_amount_and_account() -> None:
    leaf = sumtree.leaf(b"\x01" * 32, 11, "0")
    assert leaf.sum == 11
    others = (
        sumtree.leaf(b"\x02" * 32, 11, "0"),
        sumtree.leaf(b"\x01" * 32, 1, "10"),
        sumtree.leaf(b"\x01" * 32, 11, "1"),
    )
    assert all(leaf.hash != other.hash for other in others)


def test_the_four_kinds_of_node_never_stand_for_each_other() -> None:
    left, right = Node(3, b"\x01" * 32), Node(4, b"\x02" * 32)
    body = left.encode() + right.encode()
    parent = sumtree.parent(left, right).hash
    assert parent not in (history.leaf_hash(body), history.node_hash(body[:48], body[48:]))
    assert len({sumtree.LEAF_PREFIX, sumtree.PARENT_PREFIX, b"\x00", b"\x01"}) == 4
    salt, rest = body[:32], body[32:]
    account = rest[16:].replace(b"\x00", b"0").decode("latin-1")
    assert sumtree.leaf(salt, int.from_bytes(rest[:16], "big"), account[:1]).hash != parent
