"""What a ledger is, in plain Python: SPEC.md §2 and §3, a row at a time.

Nothing of auditkit.ledger computes here, and of auditkit.verify only the kernel.
"""

import hmac
from collections.abc import Iterable, Sequence
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from auditkit.verify import sharing, sumtree
from auditkit.verify.sumtree import Node

if TYPE_CHECKING:
    from auditkit.ledger.store import Ledger

SECRET = bytes(range(100, 132))
LIMIT = 1 << 128
VECTORS = Path(__file__).resolve().parents[2].parent / "shared" / "vectors" / "format"

needs_vectors = pytest.mark.skipif(not VECTORS.is_dir(), reason="the shared vectors are not here")

Row = tuple[str, int]
"""An account and base units."""
Leaf = tuple[bytes, int, str]
"""A salt, base units and an account."""


def salt(account: str, chunk: int, secret: bytes = SECRET) -> bytes:
    """The salt of an account's leaf with that chunk number."""
    return hmac.new(secret, account.encode() + b"\0" + str(chunk).encode(), "sha256").digest()


def leaves(rows: Iterable[Row], secret: bytes = SECRET) -> list[Leaf]:
    """The leaves of a ledger: an account's rows numbered by amount, all of them by salt."""
    chunks: dict[str, int] = {}
    found = []
    for account, amount in sorted(rows, key=lambda row: row[1]):
        chunk = chunks[account] = chunks.get(account, -1) + 1
        found.append((salt(account, chunk, secret), amount, account))
    return sorted(found)


def levels(of: Iterable[Leaf]) -> list[list[Node]]:
    """All levels over some leaves, those first and the root last."""
    found = [[sumtree.leaf(*leaf) for leaf in of] or [sumtree.EMPTY]]
    while len(level := found[-1]) > 1:
        pairs = zip(level[::2], level[1::2], strict=False)
        above = [sumtree.parent(*pair) for pair in pairs]
        found.append(above + level[2 * len(above) :])
    return found


def root(of: Iterable[Leaf]) -> Node:
    """The root over some leaves."""
    return levels(of)[-1][0]


def path(of: Sequence[Sequence[Node]], index: int) -> list[bytes]:
    """The siblings from a leaf up to the root, from all levels."""
    places = [(level, (index >> height) ^ 1) for height, level in enumerate(of)]
    return [level[place].encode() for level, place in places if place < len(level)]


def joined(own: Sequence[Row], paid: Sequence[Row], carried: Sequence[Row]) -> list[Row]:
    """The rows of a ledger, of which other ledgers say that accounts are paid or carried.

    A payment goes to the account's largest row. Raises KeyError where there is none.
    """
    held: dict[str, list[int]] = {}
    for account, amount in own:
        held.setdefault(account, []).append(amount)
    for account, amount in paid:
        held[account] = sorted(held[account])
        held[account][-1] += amount
    for account, _ in carried:
        held.setdefault(account, [0])
    return [(account, amount) for account, amounts in held.items() for amount in amounts]


def borne(amounts: Sequence[int], loss: int) -> list[int]:
    """What each of a ledger's leaves bears of a loss."""
    prefixes = accumulate(amounts, initial=0)
    whole = sum(amounts)
    return [sharing.deduction(p, a, whole, loss) for p, a in zip(prefixes, amounts, strict=False)]


def paid(amounts: Sequence[int], loss: int, recovered: Sequence[int]) -> list[int]:
    """What the last recovery pays each of a ledger's leaves."""
    prefixes = accumulate(amounts, initial=0)
    whole = sum(amounts)
    return [
        sharing.payouts(p, a, whole, loss, recovered)[-1]
        for p, a in zip(prefixes, amounts, strict=False)
    ]


def assert_holds(ledger: "Ledger", rows: Sequence[Row], some: Iterable[str] | None = None) -> None:
    """Everything that can be asked of `ledger` is what `rows` say; of `some` accounts, or all."""
    wanted = leaves(rows)
    tree = levels(wanted)
    assert Node(ledger.total, ledger.root) == tree[-1][0]
    assert len(ledger) == ledger.count == len(rows)
    assert_read(ledger, wanted)
    of_account: dict[str, list[int]] = {}
    for index, (_, _, account) in enumerate(wanted):
        of_account.setdefault(account, []).append(index)
    split = any(len(places) > 1 for places in of_account.values())
    assert ledger.split == split
    prefixes = list(accumulate((amount for _, amount, _ in wanted), initial=0))
    for account in of_account if some is None else some:
        found = ledger.leaves(account)
        own = sorted(wanted[index][1] for index in of_account[account])
        assert [leaf.amount for leaf in found] == own
        assert ledger.balance(account) == sum(own)
        for leaf in found:
            assert wanted[leaf.index] == (leaf.salt, leaf.amount, account)
            assert list(leaf.path) == path(tree, leaf.index)
            nodes = [Node.decode(node) for node in leaf.path]
            start = sumtree.leaf(leaf.salt, leaf.amount, account)
            climbed = sumtree.climb(start, leaf.index, len(rows), nodes)
            assert climbed == (tree[-1][0], prefixes[leaf.index])
            assert leaf.root(account, len(rows)) == tree[-1][0]


def assert_read(ledger: "Ledger", wanted: Sequence[Leaf]) -> None:
    """The rows of `ledger`, block by block, are these leaves."""
    held = [(account, amount) for _, amount, account in wanted]
    assert list(ledger.balances().rows()) == held
    above_zero = [row for piece in ledger.held() for row in piece.rows()]
    assert above_zero == [row for row in held if row[1]]
    before = place = 0
    for prefix, rows in ledger.rows():
        assert prefix == before
        assert [salt.tobytes() for salt in rows.salts] == [
            salt for salt, _, _ in wanted[place : place + len(rows)]
        ]
        assert list(rows.balances.rows()) == held[place : place + len(rows)]
        before += sum(amount for _, amount in rows.balances.rows())
        place += len(rows)
    assert place == len(wanted)
