"""From balances to a ledger's tree, in memory (SPEC.md §2): salts, order, levels, leaves."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa

from auditkit.errors import InputError
from auditkit.ledger.columns import Balances
from auditkit.ledger.engine import Bytes, Numbers
from auditkit.ledger.hashing import SUM_BYTES, hmac_salts, parents
from auditkit.verify import sumtree
from auditkit.verify.elements import PADDING_ACCOUNT
from auditkit.verify.sumtree import MAX_LEAVES_OF_ONE_ACCOUNT, Node, climb


def arrange(balances: Balances, secret: bytes) -> tuple[Bytes, Balances]:
    """The salts of a ledger's leaves, shape (n, 32) and ascending, and the balances in that order.

    The rows of one account are numbered by ascending amount. Raises InputError
    if an account has more than 16 of them; padding may have any number.
    """
    salts, order = _salted(balances, secret)
    with ThreadPoolExecutor(1) as aside:
        accounts = aside.submit(balances.accounts.take, pa.array(order))
        amounts = np.take(balances.amounts, order, axis=0)
        salts = np.take(salts, order, axis=0)
        return salts, Balances(accounts.result(), amounts)


def _salted(balances: Balances, secret: bytes) -> tuple[Bytes, Numbers]:
    """Each row's salt, and the order of the rows by salt."""
    numbers = np.zeros(len(balances), np.int32)
    salts = hmac_salts(secret, balances.accounts, numbers)
    order, alike = by_salt(salts)
    if len(alike):
        # Rows of one account are found by the salt that they share while all are numbered 0,
        # so that a ledger without split balances never has to compare names.
        _number_chunks(numbers, alike, salts, balances)
        later = np.flatnonzero(numbers)
        salts[later] = hmac_salts(secret, balances.accounts.take(pa.array(later)), numbers[later])
        order, _ = by_salt(salts)
    return salts, order


def by_salt(salts: Bytes) -> tuple[Numbers, Numbers]:
    """The ascending order of salts (n, 32), and the rows that share their first 8 bytes."""
    words = salts.view(">u8")
    first = words[:, 0].astype(np.uint64)
    order = np.argsort(first)
    sorted_first = first[order]
    equal = np.flatnonzero(sorted_first[1:] == sorted_first[:-1])
    if not len(equal):
        return order, equal
    # Sorting on 8 of the 32 bytes is twenty times faster, and enough but for these rows.
    alike = np.union1d(equal, equal + 1)
    rows = order[alike]
    order[alike] = rows[np.lexsort(words[rows].T[::-1])]
    return order, rows


def _number_chunks(numbers: Numbers, rows: Numbers, salts: Bytes, balances: Balances) -> None:
    """Number the `rows` that share a salt by ascending amount, into `numbers`."""
    words = np.hstack([salts.view(">u8")[rows].astype(np.uint64), balances.amounts[rows]])
    order = np.lexsort(words.T[::-1])
    rows, words = rows[order], words[order]
    starts = np.ones(len(rows), np.bool_)
    starts[1:] = (words[1:, :4] != words[:-1, :4]).any(axis=1)
    first = np.flatnonzero(starts)
    counts = np.diff(first, append=len(rows))
    numbers[rows] = np.arange(len(rows)) - np.repeat(first, counts)
    for run in np.flatnonzero(counts > MAX_LEAVES_OF_ONE_ACCOUNT):
        account = balances.accounts[int(rows[first[run]])].as_py().decode("ascii")
        if account != PADDING_ACCOUNT:
            raise InputError(
                f"account {account} has {counts[run]} rows; a ledger holds at most"
                f" {MAX_LEAVES_OF_ONE_ACCOUNT} of one account: add some of them up"
            )


def sizes(leaves: int) -> list[int]:
    """The number of nodes of each level over `leaves` leaves, leaves first, the root's last."""
    found = [leaves]
    while found[-1] > 1:
        found.append((found[-1] + 1) // 2)
    return found


def levels(leaves: Bytes) -> Iterator[Bytes]:
    """All levels over `leaves`, shape (n, 48), leaves first. InputError if a sum reaches 2^128."""
    level = leaves
    yield level
    while len(level) > 1:
        level = parents(level)
        yield level


def cut(leaves: Bytes, above: Bytes) -> list[Bytes]:
    """All levels again, from the leaves' and from those above one after the other."""
    found = [leaves]
    for size in sizes(len(leaves))[1:]:
        found.append(above[:size])
        above = above[size:]
    return found


def path(tree: Sequence[Bytes], index: int) -> tuple[bytes, ...]:
    """The 48-byte siblings from leaf `index` up to the root; promoted nodes have none."""
    found = []
    for level in tree[:-1]:
        sibling = index ^ 1
        if sibling < len(level):
            found.append(level[sibling].tobytes())
        index >>= 1
    return tuple(found)


@dataclass(frozen=True, slots=True)
class Leaf:
    """One leaf of an account: its place, its base units, its secret salt, its siblings upward."""

    index: int
    amount: int
    salt: bytes = field(repr=False)
    path: tuple[bytes, ...] = field(repr=False)

    def root(self, account: str, leaves: int) -> Node:
        """The root that its path implies in a ledger of so many leaves. Raises Refuted."""
        start = sumtree.leaf(self.salt, self.amount, account)
        root, _ = climb(start, self.index, leaves, [Node.decode(node) for node in self.path])
        return root


def leaf(tree: Sequence[Bytes], index: int, salt: bytes) -> Leaf:
    """The leaf at `index`, with the amount and the path that the tree has for it."""
    amount = int.from_bytes(tree[0][index, :SUM_BYTES].tobytes(), "big")
    return Leaf(index, amount, salt, path(tree, index))
