"""A ledger restated with what other ledgers say of its accounts: SPEC.md §3, leaf by leaf."""

import tempfile
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ledger import by_hand
from ledger.by_hand import LIMIT, SECRET, Row, assert_holds
from ledger.in_small import blocks_of, books, in_pieces, names_in, rows_of

from auditkit.errors import InputError
from auditkit.ledger.builder import Builder, build
from auditkit.ledger.columns import Balances
from auditkit.ledger.deductions import Sharing, left
from auditkit.ledger.runs import Role
from auditkit.ledger.store import Ledger
from auditkit.verify.sumtree import Node


@pytest.mark.parametrize("large", [False, True])
@settings(deadline=None, max_examples=10)
@given(books, st.data())
def test_a_loss_and_its_recoveries_leaf_by_leaf(
    large: bool, held: dict[str, list[int]], data: Any
) -> None:
    """What `after` a loss is built of, and what a recovery pays to: SPEC.md §3 on each leaf."""
    rows = [*rows_of(held), ("anna", 3)]
    whole = sum(amount for _, amount in rows)
    loss = data.draw(st.integers(1, whole))
    first = data.draw(st.integers(1, loss))
    recovered = [first, *([loss - first] if first < loss else [])]
    folder, way = tempfile.TemporaryDirectory(), in_pieces() if large else nullcontext()
    with folder as name, blocks_of(8, 2), way:
        before = build(Path(name) / "before", Balances.of(rows), SECRET)
        with Builder(Path(name) / ".draft", bytes(32)) as builder:
            runs = builder.prepare(piece.balances for _, piece in before.rows())
            for run, (prefix, piece) in zip(runs, before.rows(), strict=True):
                amounts = piece.balances.amounts
                shares = Sharing(whole, loss).borne(prefix, amounts)
                builder.fill(run, left(amounts, shares))
            after = builder.publish(Path(name) / "after")
        of = [amount for _, amount, _ in by_hand.leaves(rows)]
        names = [account for _, _, account in by_hand.leaves(rows)]
        kept = [amount - share for amount, share in zip(of, by_hand.borne(of, loss), strict=True)]
        now = list(zip(names, kept, strict=True))
        assert_after(after, now)
        for k in range(len(recovered)):
            sharing = Sharing(whole, loss, recovered[: k + 1])
            with Builder(Path(name) / ".draft", bytes(32)) as builder:
                builder.add(after.balances())
                for prefix, piece in before.rows():
                    shares = sharing.paid(prefix, piece.balances.amounts)
                    builder.add(Balances(piece.balances.accounts, shares).held(), Role.PAID)
                after = builder.publish(Path(name) / f"paid-{k}")
            paid = by_hand.paid(of, loss, recovered[: k + 1])
            now = by_hand.joined(now, list(zip(names, paid, strict=True)), [])
            assert_after(after, now)
            assert after.total == whole - loss + sum(recovered[: k + 1])


def assert_after(ledger: Ledger, rows: list[Row]) -> None:
    wanted = by_hand.leaves(rows, bytes(32))
    assert list(ledger.balances().rows()) == [(account, amount) for _, amount, account in wanted]
    assert Node(ledger.total, ledger.root) == by_hand.root(wanted)


@pytest.mark.parametrize("most", [1, 16])
def test_the_departed_are_carried_once_and_counted(tmp_path: Path, most: int) -> None:
    own = [("anna", 7), ("bert", 0)] + [("anna", 8)] * (most > 1)
    earlier = [("anna", 5), ("anna", 1), ("carl", 2), ("carl", 3), ("dora", 1 << 100)]
    with Builder(tmp_path / ".draft", SECRET, most) as builder:
        builder.add(Balances.of(earlier), Role.CARRIED)
        builder.add(Balances.of(own))
        builder.add(Balances.of([("bert", 9), ("carl", 4)]), Role.CARRIED)
        assert_holds(builder.publish(tmp_path / "ledger"), [*own, ("carl", 0), ("dora", 0)])
        assert builder.carried == 2


def test_a_payment_without_a_row_leaves_nothing(tmp_path: Path) -> None:
    with Builder(tmp_path / ".draft", SECRET) as builder:
        builder.add(Balances.of([("anna", 4), ("carl", 0)]))
        builder.add(Balances.of([("anna", 1), ("bert", 1)]), Role.PAID)
        with pytest.raises(InputError, match=r"account bert is paid 1 .* carry it with amount 0"):
            builder.publish(tmp_path / "ledger")
    assert names_in(tmp_path) == []


def test_payments_go_to_the_largest_row(tmp_path: Path) -> None:
    own = [("bert", 0), ("anna", 4), ("anna", 9), ("anna", 9), ("carl", 1 << 70)]
    with Builder(tmp_path / ".draft", SECRET) as builder:
        builder.add(Balances.of([("anna", 1), ("bert", 5), ("anna", 1 << 100)]), Role.PAID)
        builder.add(Balances.of(own))
        builder.add(Balances.of([("anna", 2)]), Role.PAID)
        rows = [("bert", 5), *own[1:3], ("anna", 12 + (1 << 100)), own[-1]]
        assert_holds(builder.publish(tmp_path / "ledger"), rows)


def test_a_recovery_does_not_push_a_balance_over_the_limit(tmp_path: Path) -> None:
    with Builder(tmp_path / ".draft", SECRET) as builder:
        builder.add(Balances.of([("anna", LIMIT - 2)]))
        builder.add(Balances.of([("anna", 1), ("anna", 1)]), Role.PAID)
        with pytest.raises(InputError, match=r"with the recovery, .* reaches 2\^128"):
            builder.publish(tmp_path / "ledger")
    assert names_in(tmp_path) == []
