"""The ledger's sum tree (SPEC.md §2): leaf, parent, the root a path implies, prefix.

A node's value is 48 bytes: 16 of a big-endian sum, 32 of a SHA-256 hash. A
parent hashes the sums *and* the hashes of both children, so that no total on
the way up can be understated.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256

from auditkit.verify import shape
from auditkit.verify.elements import AMOUNT_LIMIT
from auditkit.verify.errors import Refuted

NODE_BYTES = 48
LEAF_PREFIX = b"\x02"
PARENT_PREFIX = b"\x03"
MAX_LEAVES_OF_ONE_ACCOUNT = 16


@dataclass(frozen=True, slots=True)
class Node:
    """A sum in base units below 2^128, and the 32-byte hash that binds it."""

    sum: int
    hash: bytes

    def encode(self) -> bytes:
        """The node's 48 bytes."""
        return self.sum.to_bytes(16, "big") + self.hash

    @classmethod
    def decode(cls, value: bytes) -> "Node":
        """Read a node from exactly 48 bytes."""
        return cls(int.from_bytes(value[:16], "big"), value[16:])


EMPTY = Node(0, sha256(b"").digest())


def leaf(salt: bytes, amount: int, account: str) -> Node:
    """The leaf of `account` (ASCII) with `amount` base units under a 32-byte `salt`."""
    units = amount.to_bytes(16, "big")
    return Node(amount, sha256(LEAF_PREFIX + salt + units + account.encode("ascii")).digest())


def parent(left: Node, right: Node) -> Node:
    """The node over two children. Raises Refuted if the sum reaches 2^128."""
    total = left.sum + right.sum
    if total >= AMOUNT_LIMIT:
        raise Refuted("a sum on the path reaches 2^128", expected="below 2^128", found=total)
    return Node(total, sha256(PARENT_PREFIX + left.encode() + right.encode()).digest())


def climb(start: Node, index: int, size: int, path: Sequence[Node]) -> tuple[Node, int]:
    """The root that `path` implies for leaf `start` at `index` of `size`, and the leaf's prefix.

    The prefix is the total of everything before the leaf: the sum of all left
    siblings. Raises Refuted if the index or the path's length do not fit the
    size, or a sum overflows.
    """
    if index >= size:
        raise Refuted("the leaf's index is outside the ledger", expected=f"< {size}", found=index)
    sides = list(shape.siblings(index, size))
    if len(path) != len(sides):
        raise Refuted(
            "the ledger path is too " + ("short" if len(path) < len(sides) else "long"),
            expected=f"{len(sides)} nodes",
            found=f"{len(path)} nodes",
        )
    node, prefix = start, 0
    for on_left, sibling in zip(sides, path, strict=True):
        if on_left:
            prefix += sibling.sum
            node = parent(sibling, node)
        else:
            node = parent(node, sibling)
    return node, prefix
