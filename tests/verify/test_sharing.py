"""SPEC.md §3: the loss rule and recoveries, exact whatever the amounts."""

from fractions import Fraction

import reference
from hypothesis import given
from hypothesis import strategies as st

from auditkit.verify.sharing import deduction, payouts

TOP = 2**128 - 1
SMALL = st.integers(0, 50)
amounts_of_a_ledger = st.lists(
    st.one_of(SMALL, st.integers(0, 10**12), st.integers(0, TOP)), min_size=1, max_size=20
).filter(lambda amounts: sum(amounts) <= TOP)


@st.composite
def losses(draw: st.DrawFn) -> tuple[list[int], int]:
    amounts = draw(amounts_of_a_ledger)
    return amounts, draw(st.integers(0, sum(amounts)) | st.sampled_from([0, sum(amounts)]))


@st.composite
def recoveries(draw: st.DrawFn) -> tuple[list[int], int, list[int]]:
    amounts, loss = draw(losses())
    outstanding, recovered = loss, []
    while outstanding and draw(st.booleans()):
        recovered.append(draw(st.integers(1, outstanding) | st.just(1) | st.just(outstanding)))
        outstanding -= recovered[-1]
    return amounts, loss, recovered


def shared(amounts: list[int], loss: int) -> list[int]:
    total = sum(amounts)
    return [deduction(sum(amounts[:i]), e, total, loss) for i, e in enumerate(amounts)]


def returned(amounts: list[int], loss: int, recovered: list[int]) -> list[list[int]]:
    total = sum(amounts)
    return [payouts(sum(amounts[:i]), e, total, loss, recovered) for i, e in enumerate(amounts)]


def test_a_loss_of_two_thirds_rounds_by_place() -> None:
    assert shared([1, 1, 1], 2) == [0, 1, 1]
    assert shared([1000, 700, 700, 333, 1, 0], 501) == [183, 128, 128, 61, 1, 0]


def test_nothing_is_shared_where_nothing_is() -> None:
    assert deduction(0, 0, 0, 0) == 0
    assert payouts(0, 0, 0, 0, []) == []
    assert shared([5, 6], 0) == [0, 0]


def test_all_is_taken_where_all_is_lost() -> None:
    assert shared([5, 0, TOP - 5], TOP) == [5, 0, TOP - 5]


def test_a_recovery_acts_on_what_is_still_outstanding() -> None:
    assert payouts(0, 10, 10, 9, [4, 4, 1]) == [4, 4, 1]
    assert returned([1, 1, 839427, 0, 1], 791411, [267279, 1, 524131]) == [
        [0, 0, 0],
        [0, 0, 1],
        [267278, 1, 524130],
        [0, 0, 0],
        [1, 0, 0],
    ]


@given(losses())
def test_deductions_add_up_and_are_fair_to_a_unit(case: tuple[list[int], int]) -> None:
    amounts, loss = case
    shares = shared(amounts, loss)
    assert sum(shares) == loss
    for amount, share in zip(amounts, shares, strict=True):
        assert 0 <= share <= amount
        assert not amount or abs(share - Fraction(amount * loss, sum(amounts))) < 1


@given(losses())
def test_deductions_are_those_of_the_definition(case: tuple[list[int], int]) -> None:
    assert shared(*case) == reference.deductions(*case)


@given(recoveries())
def test_recoveries_are_exact_and_never_more_than_was_borne(
    case: tuple[list[int], int, list[int]],
) -> None:
    amounts, loss, recovered = case
    rows = returned(amounts, loss, recovered)
    assert [sum(column) for column in zip(*rows, strict=True)] == recovered
    for row, borne in zip(rows, shared(amounts, loss), strict=True):
        assert all(paid >= 0 for paid in row)
        assert sum(row) <= borne
        assert sum(recovered) < loss or sum(row) == borne


@given(recoveries())
def test_recoveries_are_those_of_the_definition(
    case: tuple[list[int], int, list[int]],
) -> None:
    rows = returned(*case)
    assert [list(column) for column in zip(*rows, strict=True)] == reference.returned(*case)[1:]
