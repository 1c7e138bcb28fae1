"""A list of closings against a margin book: the engine's is accepted, and no other one."""

from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from itertools import combinations
from typing import Any

import pytest
from audit.cases_audit import CROWD, LINEAR, closing, equities, margin_book
from hypothesis import example, given
from hypothesis import strategies as st

from auditkit.audit.findings import MAX_ROWS
from auditkit.audit.replay import Replay, agrees, replay
from auditkit.ledger.columns import total
from auditkit.margin.bankrupt import deficits
from auditkit.margin.book import SCALE
from auditkit.margin.closings import Closing
from auditkit.margin.contracts import parse_price
from auditkit.margin.equity import Equity
from auditkit.publish.adl import Deleveraging, deleverage
from auditkit.verify.statements import ADL_RANKS

# Somebody's list against the engine's, for any book.


def run(
    equity: Equity, rank: str, rest: int | None, *, draw_first: bool
) -> tuple[int, Deleveraging]:
    """What is to cover, and what the engine closes: all, what a draw leaves, or what is said."""
    due = total(deficits(equity, "P").amounts)
    cover = due if rest is None else max(0, due - rest) if draw_first else rest
    return cover, deleverage(equity, "P", rank, cover)


CASES = (
    equities(),
    st.sampled_from(ADL_RANKS),
    st.none() | st.integers(0, 40),
    st.booleans(),
)


def test_the_crowd_s_list_has_many_rows() -> None:
    for rank in ADL_RANKS:
        _, did = run(CROWD, rank, None, draw_first=False)
        assert len(did.closings) > 5
        assert len({(row.bankrupt, row.contract) for row in did.closings}) == 3


@given(*CASES)
@example(CROWD, ADL_RANKS[0], None, False)
@example(CROWD, ADL_RANKS[1], 7, True)
def test_an_honest_list_is_accepted(
    equity: Equity, rank: str, rest: int | None, draw_first: bool
) -> None:
    cover, did = run(equity, rank, rest, draw_first=draw_first)
    found = replay(equity, did.closings, "P", rank, cover)
    assert (found.failing, found.problems) == (0, [])
    assert found.rest == cover - sum(did.absorbed().values())
    assert found.candidates == did.candidates
    assert not found.rest or not list(found.left_open())


def refused(equity: Equity, rank: str, cover: int, rows: Sequence[Closing]) -> Replay:
    found = replay(equity, rows, "P", rank, cover)
    assert found.failing
    assert len(found.problems) == min(found.failing, MAX_ROWS)
    return found


@given(*CASES)
@example(CROWD, ADL_RANKS[0], None, False)
@example(CROWD, ADL_RANKS[1], 7, True)
def test_no_two_accounts_can_change_places(
    equity: Equity, rank: str, rest: int | None, draw_first: bool
) -> None:
    cover, did = run(equity, rank, rest, draw_first=draw_first)
    rows = did.closings
    for i, j in combinations(range(len(rows)), 2):
        if rows[i].account != rows[j].account:
            mine, other = (
                replace(rows[i], account=rows[j].account),
                replace(rows[j], account=rows[i].account),
            )
            swapped = [*rows[:i], mine, *rows[i + 1 : j], other, *rows[j + 1 :]]
            # A row that now closes further what the one before it closed makes that too large.
            assert refused(equity, rank, cover, swapped).problems[0]["what"] in ("rank", "size")


@given(*CASES)
@example(CROWD, ADL_RANKS[0], None, False)
@example(CROWD, ADL_RANKS[1], 7, True)
def test_no_row_can_be_left_out(
    equity: Equity, rank: str, rest: int | None, draw_first: bool
) -> None:
    cover, did = run(equity, rank, rest, draw_first=draw_first)
    rows = did.closings
    if not rows:
        return
    for i in range(len(rows) - 1):
        found = refused(equity, rank, cover, [*rows[:i], *rows[i + 1 :]])
        assert found.problems[0]["row"] == str(i + 1)
        assert found.problems[0]["what"] in ("rank", "order")
    # Of the last one nothing is seen in the rows: but then a rest is left, and somebody with it.
    # If the signed ledger denies that rest, it is another one than the list adds up to.
    found = replay(equity, rows[:-1], "P", rank, cover)
    assert (found.failing, found.rest) == (0, cover - sum(x.absorbed for x in rows[:-1]))
    assert found.rest
    assert rows[-1].account in str(list(found.left_open()))


@given(*CASES)
@example(CROWD, ADL_RANKS[0], None, False)
@example(CROWD, ADL_RANKS[1], 7, True)
def test_no_size_and_no_amount_can_be_another(
    equity: Equity, rank: str, rest: int | None, draw_first: bool
) -> None:
    cover, did = run(equity, rank, rest, draw_first=draw_first)
    rows = did.closings
    for i, row in enumerate(rows):
        others = {1, row.size - 1, row.size + 1, row.size // 2, 2 * row.size}
        for size in others - {0, row.size}:
            changed = replace(row, size=size)
            found = refused(equity, rank, cover, [*rows[:i], changed, *rows[i + 1 :]])
            assert (found.problems[0]["row"], found.problems[0]["what"]) == (str(i + 1), "size")
        for absorbed in {0, row.absorbed - 1, row.absorbed + 1} - {-1, row.absorbed}:
            changed = replace(row, absorbed=absorbed)
            found = refused(equity, rank, cover, [*rows[:i], changed, *rows[i + 1 :]])
            # One lie is one row: what follows is judged by what should have been absorbed.
            assert [(x["row"], x["what"]) for x in found.problems] == [(str(i + 1), "absorbed")]


@given(*CASES)
@example(CROWD, ADL_RANKS[0], None, False)
@example(CROWD, ADL_RANKS[1], 7, True)
def test_no_price_can_be_another(
    equity: Equity, rank: str, rest: int | None, draw_first: bool
) -> None:
    cover, did = run(equity, rank, rest, draw_first=draw_first)
    rows = did.closings
    for i, row in enumerate(rows):
        exact = parse_price(row.price, "")
        for price in (exact * 2 + 1, exact + Fraction(1, 10**9)):
            changed = replace(row, price=f"{price.numerator}/{price.denominator}")
            found = refused(equity, rank, cover, [*rows[:i], changed, *rows[i + 1 :]])
            assert [(x["row"], x["what"]) for x in found.problems] == [(str(i + 1), "price")]


@given(*CASES)
@example(CROWD, ADL_RANKS[0], None, False)
@example(CROWD, ADL_RANKS[1], 7, True)
def test_a_closing_may_be_told_in_several_rows(
    equity: Equity, rank: str, rest: int | None, draw_first: bool
) -> None:
    cover, did = run(equity, rank, rest, draw_first=draw_first)
    rows: list[Closing] = []
    for row in did.closings:
        size, absorbed = row.size // 2, row.absorbed // 3
        rows += [replace(row, size=size, absorbed=absorbed)] if size else []
        absorbed = row.absorbed - absorbed if size else row.absorbed
        rows.append(replace(row, size=row.size - size, absorbed=absorbed))
    found = replay(equity, rows, "P", rank, cover)
    assert (found.failing, found.rest) == (0, cover - sum(did.absorbed().values()))


@given(*CASES)
@example(CROWD, ADL_RANKS[0], None, False)
@example(CROWD, ADL_RANKS[1], 7, True)
def test_nothing_is_closed_where_nothing_is_to_cover(
    equity: Equity, rank: str, rest: int | None, draw_first: bool
) -> None:
    _, did = run(equity, rank, rest, draw_first=draw_first)
    found = replay(equity, did.closings, "P", rank, 0)
    assert found.failing == len(did.closings)
    assert {row["what"] for row in found.problems} <= {"rest"}


# Prices.


@pytest.mark.parametrize(
    ("text", "price", "good"),
    [
        ("95", "95", True),
        ("95.0", "95", True),
        ("96", "95", False),
        ("95.1", "95.195", False),
        ("95.1", "95.2", False),
        ("95.1", "95", False),
        ("7407.41", "200000/27", True),
        ("7407.40", "200000/27", False),
        ("7407.42", "200000/27", False),
        ("7407.39", "200000/27", False),
        ("7407", "200000/27", True),
        ("200000/27", "200000/27", True),
        ("400000/54", "200000/27", True),
        ("200001/27", "200000/27", False),
        ("95/1", "95.5", False),
        ("0.00001", "0.0000149", True),
        ("0.00001", "0.00002", False),
    ],
)
def test_a_price_may_be_rounded_to_its_own_last_digit(text: str, price: str, good: bool) -> None:
    assert agrees(text, Fraction(price)) is good


# One row at a time, on the book of `cases_audit`.

RANK = "profit-desc-leverage-asc"


def book(more: Sequence[tuple[int, int, int, int, int]] = ()) -> Equity:
    """Accounts a anna, b bert, c carl, d dora, e gone; and a second bankrupt one, f, on demand."""
    positions = [(0, 0, -1, 6, 100), (1, 0, -1, 3, 95), (3, 0, -1, 1, 80), (4, 0, 1, 10, 100)]
    scaled = [
        (a, c, s, size * SCALE, entry * SCALE) for a, c, s, size, entry in (*positions, *more)
    ]
    wallets = [10000, 10000, 30000, 10000, 5000, 0][: 6 if more else 5]
    return Equity.at(margin_book(wallets, scaled), {"OIL": Fraction(90)})


def row(account: str, size: int, absorbed: int, **changes: Any) -> Closing:
    """A closing against e, at 95."""
    return replace(closing(account, size, absorbed, bankrupt="e"), **changes)


HONEST = (row("a", 6, 30), row("b", 3, 15))
TWO = ((5, 0, 1, 2, 95),)  # f, short 10 by 2 from 95: bankrupt at 95.


def told_as(rows: Sequence[Closing], rest: int = 5000, equity: Equity | None = None) -> list[str]:
    """What is wrong with a list."""
    found = replay(equity or book(), rows, "P", RANK, rest)
    assert found.failing == len(found.problems)
    return [f"{x['row']} {x['what']}: {x['expected']} | {x['found']}" for x in found.problems]


def test_the_book_s_own_list() -> None:
    assert told_as(HONEST) == []
    assert [
        (x.account, x.size, x.absorbed) for x in deleverage(book(), "P", RANK, 5000).closings
    ] == [(x.account, x.size, x.absorbed) for x in HONEST]


def test_a_friend_is_skipped() -> None:
    assert told_as([HONEST[1]]) == ["1 rank: a, rank 1 | b, rank 2"]


def test_one_who_lost_is_closed_as_if_he_had_won() -> None:
    assert told_as([*HONEST, row("d", 1, 5)]) == ["3 rank: nobody | d, no candidate"]


@pytest.mark.parametrize("name", ["c", "e", "zz"])
def test_accounts_without_such_a_position(name: str) -> None:
    assert told_as([*HONEST, row(name, 1, 5)]) == [f"3 rank: nobody | {name}, no open position"]
    assert told_as([row(name, 6, 30), *HONEST], 8000) == [
        f"1 rank: a, rank 1 | {name}, no open position",
        "2 size: 4 | 6",
        "2 absorbed: 20.00 USD | 30.00 USD",
        "3 rank: nobody | b, rank 2",
    ]


def test_a_bankrupt_position_that_is_none() -> None:
    rows = [row("a", 6, 30, bankrupt="c"), row("a", 6, 30, side=-1)]
    assert told_as(rows) == [
        "1 bankrupt position: one of an account below 0 | none",
        "2 bankrupt position: one of an account below 0 | none",
    ]


def test_bankrupt_positions_have_their_order() -> None:
    equity = book(TWO)
    first, second = row("a", 6, 30), row("b", 3, 15)
    assert told_as([first, second], 6000, equity) == []
    late = row("b", 2, 10, bankrupt="f")
    assert told_as([first, late], 6000, equity) == [
        "2 order: e, OIL long, by b, rank 2 first | passed over"
    ]
    assert told_as([row("a", 2, 10, bankrupt="f"), row("a", 4, 20)], 6000, equity) == [
        "1 order: e, OIL long, by a, rank 1 first | passed over",
        "2 order: by contract, account, long before short | after f, OIL long",
    ]


def test_more_than_is_left_of_either_side() -> None:
    assert told_as([row("a", 7, 35), row("b", 3, 15)]) == ["1 size: 6 | 7"]
    many = [row("a", 6, 30), row("b", 3, 15), row("b", 1, 5)]
    # Two rows of one closing are one, which is larger than what bert has open.
    assert told_as(many) == ["2 size: 3 | 4"]


def test_less_than_could_be_closed() -> None:
    assert told_as([row("a", 5, 25), row("b", 3, 15)]) == [
        "1 size: 6 | 5",
        "2 rank: a, rank 1 | b, rank 2",
    ]


def test_amounts_follow_from_sizes() -> None:
    assert told_as([row("a", 6, 29), row("b", 3, 15)]) == ["1 absorbed: 30.00 USD | 29.00 USD"]


def test_the_last_row_reaches_the_rest_and_no_more() -> None:
    assert told_as([row("a", 2, 10)], 1000) == []
    assert told_as([row("a", 6, 30)], 1000) == [
        "1 size: 2 | 6",
        "1 absorbed: 10.00 USD | 30.00 USD",
    ]
    assert told_as([row("a", 6, 10)], 1000) == ["1 size: 2 | 6"]
    assert told_as([row("a", 2, 10), row("b", 1, 5)], 1000) == [
        "2 rest: nothing left to cover | 1 closed"
    ]


def test_the_last_row_may_reach_the_rest_in_a_fraction_of_its_size() -> None:
    # 5 of 10 units of size absorb 25.00, so that 1 base unit is 0.002.
    least = replace(row("a", 1, 0), size=2 * SCALE // 1000, absorbed=1)
    assert told_as([least], 1) == []
    assert told_as([replace(least, size=least.size + 1)], 1) == [
        "1 size: 0.002 | 0.002000000000000001"
    ]


def test_a_candidate_without_equity_left_is_passed_over() -> None:
    equity = book()
    equity.units[0] = 500
    assert told_as([row("a", 1, 5), row("b", 3, 15)], equity=equity) == []
    assert told_as([row("a", 2, 10), row("b", 3, 15)], equity=equity) == ["1 size: 1 | 2"]


def test_positions_without_a_price_or_a_shortage_are_passed_over() -> None:
    # Of 1 unit, the second position's part is 0: the first one's is all.
    positions = [
        (0, 0, 1, SCALE, 100 * SCALE),
        (0, 1, 1, SCALE, SCALE),
        (1, 1, -1, SCALE, 2 * SCALE),
    ]
    contracts = (LINEAR, replace(LINEAR, name="TIN"))
    equity = Equity.at(
        margin_book([999, 10000], positions, contracts), {"OIL": Fraction(90), "TIN": Fraction(1)}
    )
    assert equity.units.tolist() == [-1, 10100]
    parts = [
        (turn.position.contract, turn.position.short)
        for turn in Replay.of(equity, "P", RANK, 1).turns
    ]
    assert parts == [("OIL", 0), ("TIN", 1)]
    wrong = Closing("a", "OIL", 1, "b", SCALE, "90", 0)
    assert told_as([wrong], 1, equity) == ["1 rank: nobody | b, no open position"]


def test_what_is_left_open() -> None:
    found = replay(book(), HONEST[:1], "P", RANK, 5000)
    assert list(found.left_open()) == [
        {
            "bankrupt": "e",
            "position": "OIL long",
            "what": "could be closed further",
            "left": "4",
            "found": "b, rank 2, open for 3",
        }
    ]
    assert list(replay(book(), HONEST, "P", RANK, 5000).left_open()) == []


def test_only_the_first_problems_are_kept_and_all_are_counted() -> None:
    # Told alternately, so that no two rows are of one closing.
    rows = [row(name, 1, 5, price="96") for _ in range(70) for name in ("c", "d")]
    found = replay(book(), rows, "P", RANK, 5000)
    assert len(found.problems) == MAX_ROWS
    assert found.failing == 2 * len(rows)
