"""Contracts: profit, value and bankruptcy price by hand and as published; prices as text."""

import json
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auditkit.errors import InputError
from auditkit.margin.contracts import Contract, parse_price, price_text

PUBLISHED = Path(__file__).resolve().parents[2].parent / "shared/vectors/loss/published.json"
LONG, SHORT = 1, -1

prices = st.fractions(min_value=Fraction(1, 10**6), max_value=10**9, max_denominator=10**12)
sides = st.sampled_from([LONG, SHORT])


def contract(inverse: bool = False, unit: Fraction = Fraction(1)) -> Contract:
    return Contract("X", inverse, "BTC", unit, Fraction(1, 100), None)


@pytest.mark.parametrize(
    ("inverse", "side", "size", "entry", "price", "profit", "value"),
    [
        (False, LONG, 3, 100, 110, 30, 330),
        (False, SHORT, 3, 100, 110, -30, 330),
        (False, SHORT, 3, 100, 90, 30, 270),
        (True, LONG, 1000, 8000, 10000, Fraction(1, 40), Fraction(1, 10)),
        (True, SHORT, 1000, 8000, 10000, Fraction(-1, 40), Fraction(1, 10)),
        (True, SHORT, 1000, 8000, 5000, Fraction(3, 40), Fraction(1, 5)),
    ],
)
def test_profit_and_value_by_hand(
    inverse: bool,
    side: int,
    size: int,
    entry: int,
    price: int,
    profit: Fraction,
    value: Fraction,
) -> None:
    for unit in (Fraction(1), Fraction(10**8, 1000)):
        x = contract(inverse, unit)
        assert x.profit(side, Fraction(size), Fraction(entry), Fraction(price)) == unit * profit
        assert x.value(Fraction(size), Fraction(price)) == unit * value


@given(prices)
def test_a_linear_bankruptcy_price_does_not_depend_on_the_mark(mark: Fraction) -> None:
    """100 long from 500 with 1,100 of collateral: all is gone at 489."""
    x = contract()
    equity = 1100 + x.profit(LONG, Fraction(100), Fraction(500), mark)
    assert x.bankruptcy_price(LONG, Fraction(100), mark, equity) == 489


@given(prices)
def test_an_inverse_bankruptcy_price_does_not_depend_on_the_mark(mark: Fraction) -> None:
    """1,000 contracts of 1 USD long from 8,000 with 0.01 BTC: 7407.41 is what is published."""
    x = contract(inverse=True, unit=Fraction(10**8))
    equity = 10**6 + x.profit(LONG, Fraction(1000), Fraction(8000), mark)
    price = x.bankruptcy_price(LONG, Fraction(1000), mark, equity)
    assert price == Fraction(200000, 27)
    assert round(price, 2) == Fraction("7407.41")


@pytest.mark.skipif(not PUBLISHED.is_file(), reason="the shared vectors are not here")
@pytest.mark.parametrize("name", ["bybit", "kraken"])
def test_published_bankruptcy_prices(name: str) -> None:
    told: dict[str, Any] = json.loads(PUBLISHED.read_text())[f"{name}_bankruptcy_price"]
    x = contract(inverse=name == "kraken")
    margin = told["margin_btc"] if name == "kraken" else told["margin"]
    size, entry = Fraction(told.get("size") or told["contracts"]), Fraction(told["entry"])
    equity = Fraction(margin) + Fraction(told.get("wallet", 0))
    price = x.bankruptcy_price({"long": 1}[told["side"]], size, entry, equity)
    assert price is not None
    places = len(told["bankruptcy"].partition(".")[2])
    assert round(price, places) == Fraction(told["bankruptcy"])


@given(st.booleans(), sides, prices, prices, prices, st.fractions(-(10**9), 10**9))
def test_at_the_bankruptcy_price_nothing_is_left(
    inverse: bool, side: int, size: Fraction, entry: Fraction, mark: Fraction, equity: Fraction
) -> None:
    x = contract(inverse, Fraction(10**8, 3))
    price = x.bankruptcy_price(side, size, mark, equity)
    if price is None:
        # Then even the most that the side can win, or the least it can lose, is not enough.
        best = x.unit * size * (1 / mark if inverse else mark)
        assert equity <= -best if side == (LONG if inverse else SHORT) else equity >= best
        return
    won = x.profit(side, size, entry, price) - x.profit(side, size, entry, mark)
    assert won == -equity


def test_where_no_price_above_0_leaves_nothing() -> None:
    one, mark = Fraction(1), Fraction(100)
    assert contract().bankruptcy_price(LONG, one, mark, Fraction(100)) is None
    assert contract().bankruptcy_price(LONG, one, mark, Fraction(99)) == 1
    assert contract(True).bankruptcy_price(SHORT, one, mark, Fraction(1, 100)) is None
    assert contract(True).bankruptcy_price(LONG, one, mark, Fraction(-1, 100)) is None


# Prices as text


@pytest.mark.parametrize(
    ("price", "text"),
    [
        (Fraction(489), "489"),
        (Fraction(1000), "1000"),
        (Fraction(1, 8), "0.125"),
        (Fraction("104782.5"), "104782.5"),
        (Fraction(200000, 27), "200000/27"),
        (Fraction(10**40 - 1), "9" * 40),
        (Fraction(10**40), f"{10**40}/1"),
        (Fraction(1, 10**39), "0." + "0" * 38 + "1"),
        (Fraction(1, 10**40), f"1/{10**40}"),
        (Fraction(10**39 + 5, 10**38), f"10.{'0' * 37}5"),
        (Fraction(10**40 + 5, 10**39), f"{(10**40 + 5) // 5}/{10**39 // 5}"),
    ],
)
def test_prices_are_decimals_of_40_digits_or_fractions(price: Fraction, text: str) -> None:
    assert price_text(price) == text
    assert parse_price(text, "here") == price


@given(st.fractions(min_value=Fraction(1, 10**60), max_value=10**60))
def test_prices_read_back(price: Fraction) -> None:
    assert parse_price(price_text(price), "here") == price


def test_a_fraction_of_thousands_of_digits_is_cut_off() -> None:
    """Python would refuse to write or read it."""
    huge = 10**5000
    assert price_text(Fraction(2 * huge, 3 * huge + 1)) == f"0.{'6' * 39}"
    assert price_text(Fraction(22 * huge, 3 * huge + 1)) == f"7.{'3' * 39}"
    assert price_text(Fraction(huge + 9, huge + 7)) == "1"
    assert len(price_text(Fraction(10**998, 10**999 + 7))) == 999 + 1 + 1000


@pytest.mark.parametrize(
    "text",
    [
        *("", "0", "0.0", "-1", "+1", "1e3", ".5", "5.", "007", "1_0", " 1", "1\n", "NaN", "inf"),
        *("1/0", "0/1", "-1/2", "1/2/3", "1 / 2", "01/2", "1.5/2", "/", "1/", "١", "9" * 1001),
        *("1" + "0" * 5000, "1/" + "9" * 1001),
    ],
)
def test_text_that_is_no_price(text: str) -> None:
    with pytest.raises(InputError, match=r"^row 7: .* is no price; write a number above 0") as told:
        parse_price(text, "row 7")
    assert str(told.value).isprintable()


def test_zeros_may_end_a_rounded_price() -> None:
    assert parse_price("7407.40", "here") == Fraction("7407.4")
    assert parse_price("6/4", "here") == Fraction(3, 2)
