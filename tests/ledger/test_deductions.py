"""The loss rule over a whole ledger is the sum of what it says of each leaf, and exact."""

import json
from itertools import accumulate
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from auditkit.errors import InputError
from auditkit.ledger.columns import Balances, integers
from auditkit.ledger.deductions import after_loss, after_recovery
from auditkit.verify import sharing

VECTORS = Path(__file__).resolve().parents[2].parent / "shared" / "vectors" / "format"
LIMIT = 1 << 128

needs_vectors = pytest.mark.skipif(not VECTORS.is_dir(), reason="the shared vectors are not here")


def vectors(name: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads((VECTORS / name).read_text())
    return found


def ledger(amounts: list[int], owners: int = LIMIT) -> Balances:
    """Rows in leaf order; row i is of account i modulo `owners`."""
    return Balances.of((f"a{row % owners}", amount) for row, amount in enumerate(amounts))


def amounts_of(balances: Balances) -> list[int]:
    return list(integers(balances.amounts))


@st.composite
def losses(draw: st.DrawFn) -> tuple[list[int], int, list[int]]:
    """The amounts of a ledger with a total below 2^128, a loss, and recoveries of it."""
    rows = draw(st.integers(1, 20))
    amounts = [
        draw(st.one_of(st.integers(0, 3), st.integers(0, (LIMIT - 1) // rows))) for _ in range(rows)
    ]
    loss = draw(st.integers(0, sum(amounts)))
    recovered: list[int] = []
    while sum(recovered) < loss and len(recovered) < 5 and draw(st.booleans()):
        recovered.append(draw(st.integers(1, loss - sum(recovered))))
    return amounts, loss, recovered


@needs_vectors
def test_shares_are_those_of_the_vectors() -> None:
    for case in vectors("shares.json"):
        amounts = [int(amount) for amount in case["amounts"]]
        left = amounts_of(after_loss(ledger(amounts), int(case["loss"])))
        borne = [before - after for before, after in zip(amounts, left, strict=True)]
        assert borne == [int(share) for share in case["deductions"]]


@needs_vectors
def test_recoveries_are_those_of_the_vectors() -> None:
    for case in vectors("recoveries.json"):
        start = ledger([int(amount) for amount in case["amounts"]])
        recovered = [int(amount) for amount in case["recoveries"]]
        now = amounts_of(after_loss(start, int(case["loss"])))
        for k, amount in enumerate(recovered):
            held = after_recovery(ledger(now), start, int(case["loss"]), recovered[:k], amount)
            paid = [int(share) for share in case["paid"][k]]
            now = [one + share for one, share in zip(now, paid, strict=True)]
            assert amounts_of(held) == now


@settings(deadline=None)
@given(losses())
def test_a_loss_is_shared_leaf_by_leaf_and_in_full(case: tuple[list[int], int, list[int]]) -> None:
    amounts, loss, _ = case
    left = amounts_of(after_loss(ledger(amounts), loss))
    whole = sum(amounts)
    lines = zip(accumulate(amounts, initial=0), amounts, strict=False)
    assert left == [amount - sharing.deduction(p, amount, whole, loss) for p, amount in lines]
    assert sum(left) == whole - loss
    assert min(left) >= 0


@settings(deadline=None)
@given(losses(), st.integers(1, 20), st.randoms(use_true_random=False))
def test_recoveries_pay_each_account_for_its_leaves(
    case: tuple[list[int], int, list[int]], owners: int, random: Any
) -> None:
    amounts, loss, recovered = case
    start = ledger(amounts, owners)
    held = after_loss(start, loss)
    for k, amount in enumerate(recovered):
        rows = list(held.rows())
        random.shuffle(rows)
        before = Balances.of(rows)
        held = after_recovery(before, start, loss, recovered[:k], amount)
        assert held.accounts.equals(before.accounts)
        wanted = _paid_by_hand(start, loss, recovered[: k + 1])
        for row, (account, balance) in enumerate(rows):
            first = row == [name for name, _ in rows].index(account)
            share = wanted.get(account, 0) if first else 0
            assert amounts_of(held)[row] == balance + share
        assert sum(amounts_of(held)) == sum(amounts_of(before)) + amount


def _paid_by_hand(start: Balances, loss: int, recovered: list[int]) -> dict[str, int]:
    whole, prefix = sum(amounts_of(start)), 0
    paid: dict[str, int] = {}
    for account, amount in start.rows():
        share = sharing.payouts(prefix, amount, whole, loss, recovered)[-1]
        paid[account] = paid.get(account, 0) + share
        prefix += amount
    return paid


def test_everything_can_be_lost_and_returned() -> None:
    start = ledger([LIMIT - 3, 0, 2])
    nothing = after_loss(start, LIMIT - 1)
    assert amounts_of(nothing) == [0, 0, 0]
    again = after_recovery(nothing, start, LIMIT - 1, [], LIMIT - 1)
    assert amounts_of(again) == [LIMIT - 3, 0, 2]


def test_an_empty_ledger_loses_nothing() -> None:
    assert len(after_loss(Balances.of([]), 0)) == 0
    with pytest.raises(InputError, match="total of 0"):
        after_loss(Balances.of([]), 1)


@pytest.mark.parametrize("loss", [-1, 4])
def test_a_loss_is_not_above_the_total(loss: int) -> None:
    with pytest.raises(InputError, match="cannot be shared"):
        after_loss(ledger([1, 2]), loss)


@pytest.mark.parametrize(("earlier", "amount"), [([], 0), ([], 3), ([1], 2), ([2], 1), ([3], 1)])
def test_no_more_returns_than_is_outstanding(earlier: list[int], amount: int) -> None:
    start = ledger([2, 2])
    with pytest.raises(InputError, match="outstanding"):
        after_recovery(after_loss(start, 2), start, 2, earlier, amount)


def test_an_account_that_is_paid_must_be_carried() -> None:
    start = Balances.of([("anna", 5), ("bert", 5), ("carl", 0)])
    with pytest.raises(InputError, match=r"account bert is paid 1 .* carry it with amount 0"):
        after_recovery(Balances.of([("anna", 4)]), start, 2, [], 2)
    held = after_recovery(Balances.of([("bert", 0), ("anna", 4)]), start, 2, [], 2)
    assert list(held.rows()) == [("bert", 1), ("anna", 5)]


def test_a_recovery_does_not_push_the_total_over_the_limit() -> None:
    start = ledger([10])
    with pytest.raises(InputError, match="reaches 2\\^128"):
        after_recovery(Balances.of([("a0", LIMIT - 2)]), start, 5, [], 2)
