"""Queues of deleveraging: exact, by every rank, and in the order of what is published."""

import json
import math
from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from auditkit.margin.book import SCALE, MarginBook
from auditkit.margin.contracts import Contract
from auditkit.margin.equity import Equity
from auditkit.margin.ranking import queue, score
from auditkit.verify.statements import ADL_RANKS

PUBLISHED = Path(__file__).resolve().parents[2].parent / "shared/vectors/loss/published.json"
LONG, SHORT = 1, -1
CONTRACTS = (
    Contract("I", True, "BTC", Fraction(10**3), Fraction(1, 200), None),
    Contract("L", False, "BTC", Fraction(7, 3), Fraction(3, 100), None),
)
Position = tuple[int, int]
"""Size and entry in units of 1 / SCALE."""


def equity_of(
    wallets: Mapping[str, int],
    positions: Mapping[tuple[str, str, int], Position],
    marks: Mapping[str, Fraction],
) -> Equity:
    """A book of the two contracts; every account has a wallet."""
    names = sorted(wallets)
    held = sorted(positions, key=lambda key: (key[0], key[1], -key[2]))
    contracts = [contract.name for contract in CONTRACTS]
    book = MarginBook(
        asset="BTC",
        decimals=0,
        contracts=CONTRACTS,
        accounts=pa.array([name.encode() for name in names], pa.binary()),
        wallet=np.array([wallets[name] for name in names], np.object_),
        leaves=np.ones(len(names), np.int64),
        owner=np.array([names.index(account) for account, _, _ in held], np.int64),
        contract=np.array([contracts.index(name) for _, name, _ in held], np.int64),
        side=np.array([side for _, _, side in held], np.int64),
        size=np.array([positions[key][0] for key in held], np.object_),
        entry=np.array([positions[key][1] for key in held], np.object_),
    )
    return Equity.at(book, marks)


def names(equity: Equity, rows: Any) -> list[str]:
    return [equity.book.account(int(equity.book.owner[row])) for row in rows]


few = st.sampled_from([1, 2, 3, 4, 6])
sizes = few.map(lambda n: n * SCALE) | st.integers(1, 10**24)
entries = few.map(lambda n: n * SCALE) | st.integers(SCALE // 1000, 10**22)


@st.composite
def worlds(draw: st.DrawFn) -> Equity:
    """Some accounts are alike in everything but their name, some in their profit alone."""
    accounts = draw(st.lists(st.sampled_from("abcdefgAB"), min_size=1, unique=True))
    wallets = {name: draw(few | st.integers(-10, 10**12)) for name in accounts}
    keys = st.tuples(
        st.sampled_from(accounts), st.sampled_from("IL"), st.sampled_from([LONG, SHORT])
    )
    positions = draw(st.dictionaries(keys, st.tuples(sizes, entries), max_size=20))
    for twin in draw(st.lists(st.sampled_from(accounts), max_size=4)):
        wallets[twin] = wallets[accounts[0]]
        for name in "IL":
            for side in (LONG, SHORT):
                positions.pop((twin, name, side), None)
                if (accounts[0], name, side) in positions:
                    positions[twin, name, side] = positions[accounts[0], name, side]
    mark = st.fractions(min_value=Fraction(1, 100), max_value=100, max_denominator=10**12)
    return equity_of(wallets, positions, {"I": draw(mark), "L": draw(mark)})


@pytest.mark.parametrize("rank", ADL_RANKS)
@given(worlds())
def test_a_queue_is_sorted_by_exact_scores(rank: str, equity: Equity) -> None:
    book = equity.book
    for contract in CONTRACTS:
        for side in (LONG, SHORT):
            eligible = [
                row
                for row in range(len(book.owner))
                if book.contract_of(row) == contract
                and book.side[row] == side
                and equity.profit_of(row) > 0
                and math.floor(equity.exact(int(book.owner[row]))) > 0
            ]
            scores = {row: tuple(-part for part in score(equity, row, rank)) for row in eligible}
            wanted = sorted(
                eligible, key=lambda row: (scores[row], book.accounts[book.owner[row]].as_py())
            )
            assert queue(equity, contract.name, side, rank).tolist() == wanted


def test_scores_by_hand() -> None:
    """A profit of 14 on a value of 56, and an equity of 24."""
    equity = equity_of({"a": 10}, {("a", "L", LONG): (6 * SCALE, 3 * SCALE)}, {"L": Fraction(4)})
    assert equity.profit_of(0) == 14
    assert equity.value(0) == 56
    leverage = Fraction(56, 24)
    margin = Fraction(3, 100) * 56
    assert score(equity, 0, "pnl-times-leverage") == (14 / margin * leverage,)
    assert score(equity, 0, "profit-desc-leverage-asc") == (Fraction(14), -leverage)


def test_the_two_ranks_differ() -> None:
    """b has won more; a has won less, on next to nothing."""
    positions = {("a", "L", LONG): (3 * SCALE, SCALE), ("b", "L", LONG): (6 * SCALE, SCALE)}
    equity = equity_of({"a": 1, "b": 1000, "c": 5}, positions, {"L": Fraction(2)})
    assert names(equity, queue(equity, "L", LONG, "pnl-times-leverage")) == ["a", "b"]
    assert names(equity, queue(equity, "L", LONG, "profit-desc-leverage-asc")) == ["b", "a"]


def test_of_equal_profits_the_lower_leverage_goes_first() -> None:
    """c is like b but has more equity; a wins as much with a larger size, and z is like c."""
    positions = {
        ("a", "L", LONG): (6 * SCALE, 3 * SCALE),
        ("b", "L", LONG): (3 * SCALE, 2 * SCALE),
        ("c", "L", LONG): (3 * SCALE, 2 * SCALE),
        ("z", "L", LONG): (3 * SCALE, 2 * SCALE),
    }
    equity = equity_of({"a": 10, "b": 10, "c": 11, "z": 11}, positions, {"L": Fraction(4)})
    assert {equity.profit_of(row) for row in range(4)} == {Fraction(14)}
    order = queue(equity, "L", LONG, "profit-desc-leverage-asc")
    assert names(equity, order) == ["c", "z", "b", "a"]


def test_the_least_difference_counts() -> None:
    """Entries a last digit apart, of equal accounts otherwise."""
    for name in ("I", "L"):
        entry = 5 * 10**25
        positions = {
            (account, name, LONG): (10**24, entry - number)
            for account, number in {"a": 0, "b": 1, "c": 3, "d": 2}.items()
        }
        wallets = dict.fromkeys("abcd", 1 << 126)
        equity = equity_of(wallets, positions, {name: Fraction(10**8)})
        assert len(set(equity.units)) == 1
        for rank in ADL_RANKS:
            assert names(equity, queue(equity, name, LONG, rank)) == ["c", "d", "b", "a"]


BIG = 10**20


@pytest.mark.parametrize(
    ("rank", "first", "second"),
    [
        # Profits of BIG and BIG + 1 parts, over equities of one more each.
        ("pnl-times-leverage", (BIG, SCALE, BIG + 1), (BIG + 1, SCALE, BIG + 2)),
        # The same profit on different sizes, each with an equity of one more.
        ("profit-desc-leverage-asc", (BIG + 1, BIG, BIG + 2), (BIG, BIG + 1, BIG + 1)),
    ],
)
def test_neighbouring_fractions_are_told_apart(
    rank: str, first: tuple[int, int, int], second: tuple[int, int, int]
) -> None:
    """They differ by one over the product of their denominators, and by nothing less."""
    mark = 1000 * SCALE
    positions, wallets = {}, {}
    for account, (size, gain, own) in {"a": first, "b": second}.items():
        positions[account, "L", LONG] = (size, mark - gain)
        wallets[account] = own - 7 * size * gain // (3 * SCALE**2)
    equity = equity_of(wallets, positions, {"L": Fraction(1000)})
    a, b = (score(equity, row, rank)[-1] for row in (0, 1))
    assert 0 < b - a < Fraction(100, BIG**2)
    assert names(equity, queue(equity, "L", LONG, rank)) == ["b", "a"]


def test_who_is_no_candidate() -> None:
    one = (SCALE, 2 * SCALE)
    positions = {
        ("even", "L", LONG): (SCALE, 3 * SCALE),
        ("loses", "L", LONG): (SCALE, 4 * SCALE),
        ("nothing", "L", LONG): one,
        ("short", "L", SHORT): (SCALE, 4 * SCALE),
        ("wins", "L", LONG): one,
    }
    wallets = {"even": 9, "loses": 9, "nothing": -2, "short": 9, "wins": 0}
    equity = equity_of(wallets, positions, {"L": Fraction(3)})
    # It has a third of a base unit left, which is none.
    assert equity.exact(2) == Fraction(1, 3)
    for rank in ADL_RANKS:
        assert names(equity, queue(equity, "L", LONG, rank)) == ["wins"]
        assert names(equity, queue(equity, "L", SHORT, rank)) == ["short"]
        assert queue(equity, "I", LONG, rank).tolist() == []
        assert queue(equity, "unheard-of", LONG, rank).tolist() == []


@pytest.mark.skipif(not PUBLISHED.is_file(), reason="the shared vectors are not here")
@pytest.mark.parametrize("rank", ADL_RANKS)
def test_a_published_queue(rank: str) -> None:
    """Of six longs the highest ranks are closed first, until a short of 20 is closed."""
    told = json.loads(PUBLISHED.read_text())["bitmex_adl"]
    longs = {str(long["id"]): long for long in told["longs"]}
    mark = Fraction(700)
    # Entries at which a profit is 210 times the published rank; all have the same equity.
    positions = {
        (account, "L", LONG): (
            long["qty"] * SCALE,
            int((mark - Fraction(90 * long["rank"], long["qty"])) * SCALE),
        )
        for account, long in longs.items()
    }
    wallets = {account: 10**6 - 210 * long["rank"] for account, long in longs.items()}
    equity = equity_of(wallets, positions, {"L": mark})
    left, closed = int(told["liquidated"]["qty"]), []
    for account in names(equity, queue(equity, "L", LONG, rank)):
        size = min(left, longs[account]["qty"])
        left -= size
        if size:
            closed.append({"id": int(account), "closed": size})
    assert closed == told["expected"]
