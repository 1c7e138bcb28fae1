"""A4: fills against the bankruptcy price, the fund and the deficit."""

from collections.abc import Mapping
from dataclasses import replace
from fractions import Fraction
from math import floor
from pathlib import Path

import numpy as np
import pytest
from audit.cases_audit import ADL, BEFORE, DEFICITS, EVENT, FILES, Desk, told
from hypothesis import given
from hypothesis import strategies as st
from venue import Venue

from auditkit.audit import liquidations
from auditkit.audit.findings import Finding, Verdict
from auditkit.audit.handover import Handover
from auditkit.audit.liquidations import Fills, a4
from auditkit.errors import InputError
from auditkit.margin.book import SCALE
from auditkit.margin.contracts import Contract

WON = ("hana", "OIL", "long", "2", "100", "10", "96")  # Bankrupt at 95: leaves 2.
LOST = ("lost", "OIL", "long", "2", "100", "10", "94")  # Is short 2.


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def surplus(desk: Desk, *amounts: int) -> Desk:
    """Credit surpluses to the pool."""
    for amount in amounts:
        desk.exchange.fund(None, USD=[("liquidation_surplus", amount)])
    return desk


def rows(found: Finding) -> list[Mapping[str, str]]:
    assert found.verdict is Verdict.FAIL
    return list(found.rows)


def test_surpluses_that_reached_the_fund(desk: Desk) -> None:
    desk = surplus(desk, 150, 250).publish()
    found = a4(desk.case(fills=desk.fills(WON, WON)))
    assert (found.verdict, found.rows) == (Verdict.PASS, ())
    assert dict(found.compared) == {
        "liquidations": "2",
        "surpluses": "4.00 USD",
        "short without a position left": "0.00 USD, 0 accounts",
        "credited to pool USD": "4.00 USD in 4 entries",
    }


def test_surpluses_that_the_venue_kept(desk: Desk) -> None:
    desk = surplus(desk, 150).publish()
    assert rows(a4(desk.case(fills=desk.fills(WON, WON)))) == [
        {"what": "liquidation_surplus of pool USD", "expected": "4.00 USD", "found": "1.50 USD"}
    ]


def test_surpluses_that_nobody_left(desk: Desk) -> None:
    desk = surplus(desk, 150).publish()
    assert rows(a4(desk.case(fills=desk.fills()))) == [
        {"what": "liquidation_surplus of pool USD", "expected": "0.00 USD", "found": "1.50 USD"}
    ]


def test_credits_of_before_the_reference_and_after_the_draw_are_others(desk: Desk) -> None:
    surplus(desk, 999)
    desk.exchange.snapshot({"USD": {"margin": {"anna": 10000}}})
    desk = surplus(surplus(desk, 400).publish(), 777)
    assert a4(desk.case(fills=desk.fills(WON, WON))).verdict is Verdict.PASS


def test_what_the_last_entry_before_the_draw_credits_counts(desk: Desk) -> None:
    pools = desk.exchange.pools_file({"USD": [("liquidation_surplus", 200)]})
    desk = desk.tell(pools=pools.name, before={**BEFORE, "carl": 30000})
    assert a4(desk.case(fills=desk.fills(WON))).verdict is Verdict.PASS


def test_fees_and_injections_are_no_surplus(desk: Desk) -> None:
    desk.exchange.fund(None, USD=[("liquidation_fee", 200), ("correction", 200)])
    desk.publish()
    assert [row["found"] for row in rows(a4(desk.case(fills=desk.fills(WON))))] == ["0.00 USD"]


def test_without_a_draw_credits_count_until_the_loss(tmp_path: Path) -> None:
    desk = surplus(Desk(tmp_path, waterfall=["adl"]), 200)
    desk.tell(before=BEFORE)
    assert a4(desk.case(fills=desk.fills(WON))).verdict is Verdict.PASS


SHORT = {**DEFICITS, "lost": 200}


def test_a_shortfall_that_is_in_the_deficit(desk: Desk) -> None:
    desk.tell(deficits=SHORT)
    found = a4(desk.case(fills=desk.fills(LOST)))
    assert (found.verdict, dict(found.compared)["short without a position left"]) == (
        Verdict.PASS,
        "2.00 USD, 1 accounts",
    )


@pytest.mark.parametrize("stated", [0, 199, 201])
def test_a_shortfall_that_is_not_what_the_deficit_says(desk: Desk, stated: int) -> None:
    desk.tell(deficits={**DEFICITS, **({"lost": stated} if stated else {})})
    assert rows(a4(desk.case(fills=desk.fills(LOST)))) == [
        {
            "account": "lost",
            "what": "short",
            "expected": "2.00 USD",
            "found": desk.case().money(stated),
        }
    ]


def test_several_fills_of_one_account_add_up(desk: Desk) -> None:
    rich = ("lost", "OIL", "short", "1", "100", "10.5", "109.25")  # Leaves 1.25.
    desk = surplus(desk, 125).tell(deficits={**DEFICITS, "lost": 275})
    assert a4(desk.case(fills=desk.fills(LOST, rich, LOST))).verdict is Verdict.PASS
    found = a4(desk.case(fills=desk.fills(LOST, rich)))
    assert [(row["expected"], row["found"]) for row in rows(found)] == [("0.75 USD", "2.75 USD")]


def test_an_account_that_left_more_than_it_was_short_is_not_short(desk: Desk) -> None:
    rich = ("lost", "OIL", "short", "1", "100", "20", "100")
    desk = surplus(desk, 2000).tell()
    assert a4(desk.case(fills=desk.fills(LOST, rich))).verdict is Verdict.PASS


def test_a_unit_left_over_and_nothing_left_over(desk: Desk) -> None:
    even = ("even", "OIL", "long", "2", "100", "10", "95")
    unit = ("unit", "OIL", "long", "2", "100", "10", "95.005")
    case = surplus(desk, 1).tell().case(fills=desk.fills(even, unit))
    found = dict(a4(case).compared)
    assert found["surpluses"] == "0.01 USD"
    assert found["short without a position left"] == "0.00 USD, 0 accounts"


def test_accounts_with_positions_are_judged_by_their_equity(desk: Desk) -> None:
    desk.tell()
    rows_ = [(name, *LOST[1:]) for name in ("anna", "gone", "dora")]
    assert a4(desk.case(fills=desk.fills(*rows_))).verdict is Verdict.PASS
    # A wallet alone is no position.
    found = a4(desk.case(fills=desk.fills(("carl", *LOST[1:]))))
    assert [row["account"] for row in rows(found)] == ["carl"]


def test_only_the_first_rows_are_shown_and_all_are_counted(desk: Desk) -> None:
    desk = surplus(desk, 1).tell()
    fills = desk.fills(*((f"x{i:03}", *LOST[1:]) for i in range(150)))
    found = a4(desk.case(fills=fills))
    assert (len(found.rows), found.failing) == (100, 151)


POOLS = {"USD": {"asset": "USD"}, "USD-2": {"asset": "USD"}}


def test_fills_of_other_pools_and_assets_are_others(tmp_path: Path) -> None:
    contracts = (
        "OIL,linear,1,USD,0.05,USD",
        "TIN,linear,1,USD,0.05,USD-2",
        "COIN,inverse,1,BTC,0.05,",
        "ANY,linear,1,USD,0.05,",
    )
    desk = Desk(tmp_path, replace(FILES, contracts=contracts), pools=POOLS)
    desk.exchange.fund(None, **{"USD-2": [("liquidation_surplus", 5)]})
    desk.exchange.policy(assets={"USD": 2, "BTC": 8})
    desk.exchange.snapshot({"USD": {"margin": {"anna": 10000}}})
    desk = surplus(desk, 200).tell()
    rows_ = [("x", name, *WON[2:]) for name in ("TIN", "ANY")]
    coin = ("x", "COIN", "long", "2", "100", "0.00000001", "96")
    found = a4(desk.case(fills=desk.fills(*rows_, coin)))
    assert (found.verdict, dict(found.compared)["liquidations"]) == (Verdict.PASS, "1")


def test_what_a4_needs(desk: Desk) -> None:
    desk.tell()
    assert a4(desk.case()).missing == (
        "fills (a table of liquidations in the market; fills = ... in the event's file)",
    )
    found = a4(desk.case(fills=desk.fills(), positions=None))
    assert (found.verdict, found.missing) == (
        Verdict.OPEN,
        ("positions (a positions.toml; positions = ... in the event's file)",),
    )
    found = a4(desk.case(Handover.none(), fills=desk.fills()))
    assert (found.verdict, found.missing) == (Verdict.OPEN, ("ledgers/6-deficit",))


def test_what_is_missing_hides_no_row(desk: Desk) -> None:
    desk = surplus(desk, 1).tell()
    found = a4(desk.case(Handover.none(), fills=desk.fills(LOST)))
    assert (found.verdict, found.failing, len(found.missing)) == (Verdict.FAIL, 1, 1)


def test_a_log_without_a_reference_or_a_loss(desk: Desk) -> None:
    desk.tell()
    inputs = replace(desk.inputs(), fills=desk.fills(WON))
    venue = Venue({"USD": 2})
    venue.snapshot("USD", {"margin": {"anna": 10000}})
    venue.deficit("USD", {"gone": 5000}, event=EVENT)
    lacks = ("the loss statement of event crash-1", "ledgers/2-deficit")
    assert a4(told(venue, inputs)).missing == lacks
    venue = Venue({"USD": 2})
    venue.event("USD", {"gone": 5000}, event=EVENT, until="draw")
    lacks = ("a snapshot of USD before event crash-1", "ledgers/1-deficit")
    assert a4(told(venue, inputs)).missing == lacks


@pytest.mark.parametrize(
    ("place", "value", "problem"),
    [
        (1, "GAS", "'GAS' is not in the table of contracts; add it there"),
        (2, "up", "'up' is no side"),
        (3, "0", "'0' is not above 0"),
        (4, "-1", "'-1' is negative"),
        (5, "1.001", "has 3 digits after the point where 2 are allowed"),
        (5, "-1", "'-1' is negative"),
        (6, "0", "'0' is not above 0"),
        (6, "1e2", "is no plain number"),
    ],
)
def test_tables_that_cannot_be_read(desk: Desk, place: int, value: str, problem: str) -> None:
    desk.tell()
    row = [*WON[:place], value, *WON[place + 1 :]]
    with pytest.raises(InputError, match=r"fills\.csv: row 2") as caught:
        a4(desk.case(fills=desk.fills(WON, row)))
    assert problem in str(caught.value)


# The textbooks' bankruptcy prices, and the columns against fractions.


def result(contract: Contract, side: int, *numbers: str) -> int:
    """The result of one fill: size, entry, margin in base units, price."""
    size, entry, margin, price = map(Fraction, numbers)
    gain = side * size * (price - entry) * SCALE * SCALE
    prices = np.array([int(entry * price * SCALE * SCALE)], object)
    kinds = np.zeros(1, np.int64)
    profit = liquidations._profit(np.array([int(gain)], object), prices, [contract], kinds)
    return int(margin) + int(profit[0])


BYBIT = Contract("BIT", False, "USD", Fraction(100), Fraction(1), None)
KRAKEN = Contract("XBT", True, "BTC", Fraction(10**8), Fraction(1), None)


@pytest.mark.parametrize(("price", "units"), [("489", 0), ("489.01", 100), ("488.99", -100)])
def test_a_linear_contract_of_a_textbook(price: str, units: int) -> None:
    assert result(BYBIT, 1, "100", "500", "110000", price) == units


@pytest.mark.parametrize(("price", "units"), [("7407.41", 4), ("7407.40", -14), ("8000", 10**6)])
def test_an_inverse_contract_of_a_textbook(price: str, units: int) -> None:
    # Bankrupt at 200000/27, which is 7407.407407...
    assert result(KRAKEN, 1, "1000", "8000", "1000000", price) == units


@given(
    st.booleans(),
    st.sampled_from([1, -1]),
    st.lists(st.integers(1, 10**20), min_size=3, max_size=3),
    st.integers(0, 10**6),
    st.fractions(Fraction(1, 1000), 1000),
)
def test_a_result_is_the_margin_and_the_profit(
    inverse: bool, side: int, numbers: list[int], margin: int, unit: Fraction
) -> None:
    contract = Contract("OIL", inverse, "USD", unit, Fraction(1), None)
    size, entry, price = numbers
    gain, prices = (np.array([n], object) for n in (side * size * (price - entry), entry * price))
    found = liquidations._profit(gain, prices, [contract], np.zeros(1, np.int64))
    held, entered, filled = (Fraction(number, SCALE) for number in numbers)
    exact = contract.profit(side, held, entered, filled)
    assert found[0] == floor(exact)
    bankrupt = contract.bankruptcy_price(side, held, entered, Fraction(margin))
    if bankrupt is not None:
        assert contract.profit(side, held, entered, bankrupt) == -margin


def test_fills_are_summed_by_account(desk: Desk) -> None:
    desk.tell(deficits=DEFICITS, adl=ADL)
    case = desk.case(fills=desk.fills(LOST, WON, LOST, ("b", *LOST[1:])))
    fills = Fills.read(case)
    assert fills.surplus() == 200
    assert dict(fills.short(case.book()).rows()) == {"lost": 400, "b": 200}
