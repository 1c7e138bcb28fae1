"""Columns are exact: what is taken, cut, joined or added up is what Python says of the rows."""

from itertools import pairwise
from unittest import mock

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from ledger.by_hand import LIMIT, Row
from ledger.in_small import names

from auditkit.errors import InputError
from auditkit.ledger import columns
from auditkit.ledger.columns import Balances, integers, limbs, sums, sums_at, total

HALF = 1 << 64
wide = st.one_of(
    st.integers(0, LIMIT - 1),
    st.integers(LIMIT - 3, LIMIT - 1),
    st.integers(HALF - 3, HALF + 3),
    st.integers(0, 3),
)
rows = st.lists(st.tuples(names, wide), max_size=20)


def of(balances: Balances) -> list[Row]:
    assert len(balances) == len(balances.accounts) == len(balances.amounts)
    assert balances.amounts.shape == (len(balances), 2)
    return list(balances.rows())


@given(rows)
def test_rows_are_what_they_were_made_of(rows: list[Row]) -> None:
    balances = Balances.of(rows)
    assert of(balances) == rows
    assert balances.accounts.type == "binary"
    assert list(integers(limbs(amount for _, amount in rows))) == [amount for _, amount in rows]


@given(rows, st.lists(st.integers(0, 19), max_size=30))
def test_rows_at_places(rows: list[Row], places: list[int]) -> None:
    places = [place for place in places if place < len(rows)]
    taken = Balances.of(rows).take(np.array(places, np.int64))
    assert of(taken) == [rows[place] for place in places]


@given(rows, st.integers(0, 20), st.integers(0, 20), st.integers(0, 20))
def test_a_slice_of_a_slice(rows: list[Row], start: int, first: int, last: int) -> None:
    first, last = sorted((first, last))
    sliced = Balances.of(rows).slice(min(start, len(rows)), len(rows))
    rows = rows[start:]
    last = min(last, len(rows))
    first = min(first, last)
    assert of(sliced.slice(first, last)) == rows[first:last]
    order = np.arange(last - first)[::-1]
    assert of(sliced.slice(first, last).take(order)) == rows[first:last][::-1]


@given(st.lists(rows, max_size=5))
def test_pieces_joined(pieces: list[list[Row]]) -> None:
    joined = Balances.joined([Balances.of(piece).slice(0, len(piece)) for piece in pieces])
    assert of(joined) == [row for piece in pieces for row in piece]
    assert joined.accounts.type == "binary"
    assert joined.amounts.dtype == np.uint64


def test_a_slice_is_joined_for_what_it_is() -> None:
    whole = Balances.of([("anna", 1), ("bert", 2), ("carl", 3)])
    joined = Balances.joined([whole.slice(1, 2), whole.slice(0, 0), whole.slice(2, 3)])
    assert of(joined) == [("bert", 2), ("carl", 3)]


def test_names_of_2_gib_are_not_joined() -> None:
    pieces = [Balances.of([("anna", 1)]), Balances.of([("bert", 2), ("carl", 3)])]
    with mock.patch.object(columns, "NAMES_LIMIT", 13):
        assert len(Balances.joined(pieces)) == 3
    with (
        mock.patch.object(columns, "NAMES_LIMIT", 12),
        pytest.raises(InputError, match="over 2 GiB"),
    ):
        Balances.joined(pieces)


@given(rows)
def test_what_is_held_is_above_0(rows: list[Row]) -> None:
    rows = [*rows, ("zero", 0), ("high", HALF), ("low", 1)]
    assert of(Balances.of(rows).held()) == [row for row in rows if row[1]]


@given(st.lists(wide, max_size=30))
def test_a_total_is_exact_whatever_it_reaches(amounts: list[int]) -> None:
    assert total(limbs(amounts)) == sum(amounts)


@given(st.lists(st.tuples(wide, wide)))
def test_sums_of_pairs(pairs: list[tuple[int, int]]) -> None:
    left, right = limbs(a for a, _ in pairs), limbs(b for _, b in pairs)
    kept = left.copy(), right.copy()
    found, wrapped = sums(left, right)
    assert list(integers(found)) == [(a + b) % LIMIT for a, b in pairs]
    assert wrapped == any(a + b >= LIMIT for a, b in pairs)
    assert np.array_equal(left, kept[0])
    assert np.array_equal(right, kept[1])


few = st.one_of(st.integers(0, (LIMIT - 1) // 8), wide)


@given(st.lists(st.lists(few, min_size=1, max_size=8), min_size=1))
def test_sums_from_each_start_to_the_next(groups: list[list[int]]) -> None:
    starts = np.cumsum([0, *map(len, groups)])[:-1]
    found, beyond = sums_at(limbs(amount for group in groups for amount in group), starts)
    assert list(integers(found)) == [sum(group) % LIMIT for group in groups]
    assert beyond == any(sum(group) >= LIMIT for group in groups)


def test_sums_carry_through_every_digit() -> None:
    amounts = [(1 << 96) - 1, 1, HALF - 1, 1, (1 << 32) - 1, 1, LIMIT - 2, 1]
    found, beyond = sums_at(limbs(amounts), np.arange(0, 8, 2))
    pairs = list(pairwise(amounts))[::2]
    assert list(integers(found)) == [a + b for a, b in pairs]
    assert not beyond
