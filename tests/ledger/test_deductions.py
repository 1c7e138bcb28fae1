"""The loss rule over a whole ledger is the sum of what it says of each leaf, and exact."""

import json
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any
from unittest import mock

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ledger import by_hand
from ledger.by_hand import LIMIT, VECTORS, needs_vectors
from ledger.in_small import in_pieces

from auditkit.errors import InputError
from auditkit.ledger import deductions
from auditkit.ledger.columns import Balances, Limbs, integers, limbs
from auditkit.ledger.deductions import Sharing, after_loss, left, portion


@contextmanager
def in_stretches(of: int = 3) -> Iterator[None]:
    """So many leaves at a time, by the crew."""
    with in_pieces(), mock.patch.object(deductions, "_STRETCH", of):
        yield


both_ways = pytest.mark.parametrize("large", [False, True], ids=["at-once", "in-stretches"])


def way(large: bool) -> Any:
    return in_stretches() if large else nullcontext()


def vectors(name: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads((VECTORS / name).read_text())
    return found


def ledger(amounts: list[int]) -> Balances:
    """Rows in leaf order."""
    return Balances.of((f"a{row}", amount) for row, amount in enumerate(amounts))


def numbers(found: Limbs) -> list[int]:
    assert found.dtype == np.uint64
    assert found.shape == (len(found), 2)
    return list(integers(found))


def borne(amounts: list[int], loss: int) -> list[int]:
    """What each leaf bears, by the whole ledger, and what is left of it."""
    before = ledger(amounts)
    after = after_loss(before, loss)
    assert after.accounts.equals(before.accounts)
    assert numbers(before.amounts) == amounts
    kept = numbers(after.amounts)
    assert sum(kept) == sum(amounts) - loss
    return [one - other for one, other in zip(amounts, kept, strict=True)]


@st.composite
def losses(draw: st.DrawFn) -> tuple[list[int], int, list[int]]:
    """The amounts of a ledger of any size below 2^128, a loss, and recoveries of it."""
    rows = draw(st.integers(1, 20))
    most = draw(st.integers(2, 128))
    sizes = st.one_of(st.integers(0, 3), st.integers(0, ((1 << most) - 1) // rows))
    amounts = draw(st.lists(sizes, min_size=rows, max_size=rows))
    whole = sum(amounts)
    loss = draw(st.one_of(st.integers(0, whole), st.sampled_from([whole, whole // 2])))
    recovered: list[int] = []
    while sum(recovered) < loss and len(recovered) < 5 and draw(st.booleans()):
        outstanding = loss - sum(recovered)
        recovered.append(draw(st.one_of(st.integers(1, outstanding), st.just(outstanding))))
    return amounts, loss, recovered


@needs_vectors
@both_ways
def test_shares_are_those_of_the_vectors(large: bool) -> None:
    for case in vectors("shares.json"):
        amounts = [int(amount) for amount in case["amounts"]]
        wanted = [int(share) for share in case["deductions"]]
        with way(large):
            assert borne(amounts, int(case["loss"])) == wanted
        sharing = Sharing(sum(amounts), int(case["loss"]))
        assert numbers(sharing.borne(0, limbs(amounts))) == wanted


@needs_vectors
def test_recoveries_are_those_of_the_vectors() -> None:
    for case in vectors("recoveries.json"):
        amounts = [int(amount) for amount in case["amounts"]]
        recovered = [int(amount) for amount in case["recoveries"]]
        for k in range(len(recovered)):
            sharing = Sharing(sum(amounts), int(case["loss"]), recovered[: k + 1])
            wanted = [int(share) for share in case["paid"][k]]
            assert numbers(sharing.paid(0, limbs(amounts))) == wanted


@both_ways
@settings(deadline=None)
@given(losses())
def test_a_loss_is_shared_leaf_by_leaf_and_in_full(
    large: bool, case: tuple[list[int], int, list[int]]
) -> None:
    amounts, loss, _ = case
    with way(large):
        found = borne(amounts, loss)
    assert found == by_hand.borne(amounts, loss)
    assert sum(found) == loss
    assert all(0 <= share <= amount for share, amount in zip(found, amounts, strict=True))


@settings(deadline=None)
@given(losses(), st.integers(0, 20))
def test_neighbours_bear_and_get_what_they_do_in_the_whole(
    case: tuple[list[int], int, list[int]], cut: int
) -> None:
    amounts, loss, recovered = case
    sharing = Sharing(sum(amounts), loss, tuple(recovered))
    pieces = [(0, amounts[:cut]), (sum(amounts[:cut]), amounts[cut:])]
    shares = [numbers(sharing.borne(prefix, limbs(piece))) for prefix, piece in pieces]
    assert shares[0] + shares[1] == by_hand.borne(amounts, loss)
    paid = [numbers(sharing.paid(prefix, limbs(piece))) for prefix, piece in pieces]
    if recovered:
        assert paid[0] + paid[1] == by_hand.paid(amounts, loss, recovered)
        assert sum(paid[0] + paid[1]) == recovered[-1]
    else:
        assert not any(paid[0] + paid[1])


@settings(deadline=None)
@given(losses())
def test_nobody_gets_more_than_was_borne(case: tuple[list[int], int, list[int]]) -> None:
    amounts, loss, recovered = case
    rest = by_hand.borne(amounts, loss)
    for k in range(len(recovered)):
        sharing = Sharing(sum(amounts), loss, recovered[: k + 1])
        paid = numbers(sharing.paid(0, limbs(amounts)))
        rest = [one - share for one, share in zip(rest, paid, strict=True)]
        assert min(rest) >= 0
    assert sum(rest) == loss - sum(recovered)


@pytest.mark.parametrize("bits", [1, 31, 32, 33, 63, 64, 65, 95, 96, 97, 127, 128])
@pytest.mark.parametrize("loss", ["nothing", "one", "half", "all-but-one", "all"])
def test_totals_of_every_width(bits: int, loss: str) -> None:
    """Whole numbers and what is just beside them, where a rounded factor would show."""
    top = (1 << bits) - 2
    amounts = [top // 2, 1, 0, top // 4, top - top // 2 - top // 4 - 1, 0]
    amounts = [max(0, amount) for amount in amounts]
    whole = sum(amounts)
    share = {"nothing": 0, "one": 1, "half": whole // 2, "all-but-one": whole - 1, "all": whole}
    if 0 <= share[loss] <= whole:
        found = Sharing(whole, share[loss]).borne(0, limbs(amounts))
        assert numbers(found) == by_hand.borne(amounts, share[loss])


def test_exact_divisions_are_not_one_too_few_or_many() -> None:
    for whole in (2, 10, 1 << 32, 6 << 62, 1 << 64, (1 << 64) + 6, 1 << 96, LIMIT - 2):
        amounts = [2, *[whole // 10 // 2 * 2] * 9]
        amounts = [whole - sum(amounts[1:]), *amounts[1:]]
        found = Sharing(whole, whole // 2).borne(0, limbs(amounts))
        assert numbers(found) == [amount // 2 for amount in amounts]


@both_ways
def test_totals_above_2_to_the_63_across_stretches(large: bool) -> None:
    """Sums of such digits have no room in a float, nor in a signed word."""
    for size in (1 << 62, (1 << 63) + 1, (1 << 64) - 1, (1 << 96) + 12345, (1 << 122) - 1):
        amounts = [size - place for place in range(37)]
        with way(large):
            assert borne(amounts, sum(amounts) // 3) == by_hand.borne(amounts, sum(amounts) // 3)


def test_many_large_amounts_at_once() -> None:
    amounts = [(1 << 111) - 1 - place * 7 for place in range(deductions._STRETCH + 3)]
    loss = sum(amounts) * 2 // 3
    assert borne(amounts, loss) == by_hand.borne(amounts, loss)


@given(st.data())
def test_a_portion_is_the_floor(data: Any) -> None:
    whole = data.draw(st.one_of(st.integers(1, LIMIT - 1), st.integers(1, 1 << 70)))
    part = data.draw(st.one_of(st.integers(1, whole), st.just(whole)))
    of = data.draw(st.lists(st.one_of(st.integers(0, whole), st.just(whole)), min_size=1))
    # Where x * part is a multiple of the whole, or just below one, an error would show first.
    of += [min(whole, -(-k * whole // part)) for k in range(3)]
    digits = [np.array([x >> 32 * i & 0xFFFFFFFF for x in of], np.uint64) for i in range(4)]
    found = portion(digits, part, whole)
    assert len(found) == 4
    assert [
        sum(int(digit[row]) << 32 * i for i, digit in enumerate(found)) for row in range(len(of))
    ] == [x * part // whole for x in of]


@given(st.lists(st.tuples(st.integers(0, LIMIT - 1), st.integers(0, LIMIT - 1))))
def test_what_is_left(pairs: list[tuple[int, int]]) -> None:
    pairs = [(max(pair), min(pair)) for pair in pairs]
    found = left(limbs(a for a, _ in pairs), limbs(b for _, b in pairs))
    assert numbers(found) == [a - b for a, b in pairs]


def test_everything_can_be_lost_and_returned() -> None:
    amounts = [LIMIT - 3, 0, 2]
    assert borne(amounts, LIMIT - 1) == amounts
    sharing = Sharing(LIMIT - 1, LIMIT - 1, [LIMIT - 1])
    assert numbers(sharing.paid(0, limbs(amounts))) == amounts


def test_an_empty_ledger_loses_nothing() -> None:
    assert len(after_loss(Balances.of([]), 0)) == 0
    assert numbers(Sharing(0, 0).borne(0, limbs([0, 0]))) == [0, 0]
    with pytest.raises(InputError, match="total of 0"):
        after_loss(Balances.of([]), 1)


@pytest.mark.parametrize("loss", [-1, 4])
def test_a_loss_is_not_above_the_total(loss: int) -> None:
    with pytest.raises(InputError, match=f"a loss of {loss} cannot be shared .* a total of 3"):
        Sharing(3, loss)
    with pytest.raises(InputError, match="cannot be shared"):
        after_loss(ledger([1, 2]), loss)


@pytest.mark.parametrize(
    ("recovered", "outstanding"),
    [([0], 2), ([-1], 2), ([3], 2), ([1, 2], 1), ([2, 1], 0), ([3, 1], 2), ([1, 0, 1], 1)],
)
def test_no_more_returns_than_is_outstanding(recovered: list[int], outstanding: int) -> None:
    with pytest.raises(InputError, match=f"where {outstanding} is outstanding"):
        Sharing(4, 2, recovered)
