"""The shape of an RFC 9162 tree (SPEC.md §2 and §4): who sits beside whom.

Both trees of auditkit, the ledger's sum tree and the history log, have this
shape: pairs from the left, an odd last node promoted unchanged.
"""

from collections.abc import Iterator


def siblings(index: int, size: int) -> Iterator[bool]:
    """The siblings on the path from leaf `index` of `size` leaves to the root, bottom up.

    Yields True where the sibling stands on the left, False where on the right,
    and nothing on a level where the node is promoted. Needs 0 <= index < size.
    The number of items is the exact length that an inclusion path must have.
    """
    last = size - 1
    while last:
        if index & 1:
            yield True
        elif index < last:
            yield False
        index >>= 1
        last >>= 1


def split(size: int) -> int:
    """The number of leaves below the left child of a root over `size` >= 2 leaves."""
    return 1 << ((size - 1).bit_length() - 1)
