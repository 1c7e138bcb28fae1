"""SPEC.md §5, points 2 to 5: what each stage of a run must take of its deficit."""

from typing import Any

import pytest
from reference import Json
from refusals import MARGIN, crash, market, refused, seq_of, told, verify, without
from venue import Venue

from auditkit.verify.errors import Incomplete, Refuted


def lied(kind: str, **edits: object) -> Venue:
    """The usual crash with one lie."""
    venue = market()
    venue.lie(kind, **edits)
    crash(venue)
    return venue


def test_an_honest_run_is_reported() -> None:
    venue = market()
    crash(venue)
    [event] = told(venue).events
    assert event.draw is not None
    assert (event.deficit.ledger.total, event.absorbed, event.draw.drawn) == (90, 10, 40)
    assert (event.loss.socialized, event.loss.residual) == (40, 0)
    assert (event.balance, event.deducted) == (500_000, 24)


# Point 2.


def test_a_pool_that_the_policy_lacks_is_false() -> None:
    with refused(Refuted, "is not one of BTC; expected a pool of BTC; found ETH", "8"):
        told(lied("deficit", pool="ETH"))


def test_a_pool_of_another_asset_is_false() -> None:
    with refused(Refuted, "is not one of BTC; expected a pool of BTC; found USDT", "8"):
        told(lied("deficit", pool="USDT"))


def test_a_draw_from_another_pool_is_false() -> None:
    with refused(Refuted, "drawn from another pool; expected BTC; found USDT", "8"):
        told(lied("draw", pool="USDT"))


def test_a_rank_that_is_not_the_policys_is_false() -> None:
    with refused(Refuted, "the ADL rank is not the policy's; expected pnl-times-leverage", "8"):
        told(lied("adl", rank="profit-desc-leverage-asc"))


def test_a_loss_shared_by_another_book_is_false() -> None:
    venue = market()
    run = crash(venue, until="draw")
    run.loss("spot")
    with refused(Refuted, "shared by another book than the policy's; expected margin; found s"):
        told(venue)


# Point 3.


def marks(mark: str, *prices: str) -> list[Json]:
    sources = [{"name": f"s{i}", "price": price} for i, price in enumerate(prices)]
    return [{"contract": "BTC-PERP", "mark": mark, "sources": sources}]


@pytest.mark.parametrize(
    ("mark", "prices"),
    [
        ("7", ["7"]),
        ("7.5", ["8", "7"]),
        ("7", ["1", "9", "7"]),
        ("5", ["9", "1", "4", "6"]),
        ("0.05", ["0.1", "0"]),
        ("10", ["9", "10", "11"]),
        ("0." + "0" * 37 + "15", ["0." + "0" * 37 + "1", "0." + "0" * 37 + "2"]),
        ("9" * 40, ["9" * 40, "9" * 40]),
    ],
)
def test_a_mark_is_the_exact_median(mark: str, prices: list[str]) -> None:
    venue = market()
    crash(venue, marks=marks(mark, *prices))
    assert told(venue).events


@pytest.mark.parametrize(
    ("mark", "prices"),
    [
        ("8", ["7"]),
        ("7", ["8", "7"]),
        ("8", ["8", "7"]),
        ("7.4", ["8", "7"]),
        ("9", ["1", "9", "7"]),
        ("5.7", ["1", "9", "7"]),
        ("7", ["9", "1", "4", "6"]),
        ("4", ["9", "1", "4", "6"]),
        ("0", ["0.1", "0"]),
        ("0." + "0" * 37 + "2", ["0." + "0" * 37 + "1", "0." + "0" * 37 + "2"]),
    ],
)
def test_a_mark_that_is_not_the_median_is_false(mark: str, prices: list[str]) -> None:
    venue = market()
    crash(venue, marks=marks(mark, *prices))
    with refused(Refuted, "the mark of BTC-PERP is not the median of its sources", "8"):
        told(venue)


def test_every_mark_is_checked() -> None:
    venue = market()
    second = marks("8", "7")[0] | {"contract": "ETH-PERP"}
    crash(venue, marks=[*marks("7", "7"), second])
    with refused(Refuted, "the mark of ETH-PERP is not the median", "8"):
        told(venue)


# Point 4, ADL.


def test_adl_that_absorbs_more_than_was_left_is_false() -> None:
    venue = market()
    crash(venue, {"carol": 90}, adl={"dave": 91})
    with refused(Refuted, "ADL absorbed more than was left of the deficit; expected at most 90"):
        told(venue)


def test_adl_after_the_draw_absorbs_no_more_than_that_left() -> None:
    venue = market(waterfall=["draw", "adl"])
    crash(venue, {"carol": 90}, adl={"dave": 51})
    with refused(Refuted, "expected at most 50; found 51", "8"):
        told(venue)


def test_adl_that_leaves_a_deficit_is_exhausted() -> None:
    with refused(Refuted, "ADL left a deficit while candidates remained; expected exhausted", "8"):
        told(lied("adl", exhausted=False))


def test_adl_that_leaves_nothing_need_not_be_exhausted() -> None:
    venue = market()
    venue.lie("adl", exhausted=False)
    crash(venue, {"carol": 90}, adl={"dave": 90})
    assert told(venue).events[0].loss.socialized == 0


def test_a_stage_with_nothing_to_do_is_logged_with_0() -> None:
    venue = market()
    crash(venue, {"carol": 90}, adl={})
    crash(venue, {"carol": 90}, adl={"dave": 90})
    assert [event.absorbed for event in told(venue).events] == [0, 90]


# Point 4, the draw.


@pytest.mark.parametrize(
    ("floor", "deficit", "drawn"), [(0, 90, 40), (0, 13, 13), (15, 90, 25), (40, 9, 0), (41, 9, 0)]
)
def test_the_fund_is_drawn_down_to_its_floor(floor: int, deficit: int, drawn: int) -> None:
    venue = market(pools={"BTC": ("BTC", floor)})
    crash(venue, {"carol": deficit}, adl={})
    [event] = told(venue).events
    assert event.draw is not None
    assert (event.draw.drawn, event.draw.after) == (drawn, 40 - drawn)
    assert event.loss.socialized == deficit - drawn


@pytest.mark.parametrize("drawn", ["0", "39", "41", "80"])
def test_a_draw_of_more_or_less_is_false(drawn: str) -> None:
    with refused(Refuted, "the fund was not drawn as the rule says; expected 40 drawn: 80 to", "8"):
        told(lied("draw", drawn=drawn))


def test_a_draw_below_the_floor_is_false() -> None:
    venue = market(pools={"BTC": ("BTC", 15)})
    venue.lie("draw", drawn="26")
    crash(venue)
    with refused(Refuted, "expected 25 drawn: 80 to cover, 40 above a floor of 15", "8"):
        told(venue)


@pytest.mark.parametrize("after", ["1", "40"])
def test_a_pool_after_the_draw_that_does_not_add_up_is_false(after: str) -> None:
    with refused(Refuted, f"the pool after the draw does not add up; expected 0; found {after}"):
        told(lied("draw", after=after))


def test_a_draw_that_starts_elsewhere_than_the_fund_is_false() -> None:
    with refused(Refuted, "does not start at the fund's closing balance; expected 40; found 30"):
        told(lied("draw", before="30", drawn="30"))


def test_the_fund_entry_before_the_draw_is_missing() -> None:
    venue = market()
    crash(venue)
    venue.publish()
    with refused(Incomplete, "the fund entry 5 before the draw is missing", "8"):
        verify(venue, without(venue.prove("alice"), 5))


def test_a_draw_without_a_fund_entry_before_it_is_false() -> None:
    venue = market()
    run = crash(venue, until="deficit")
    run.adl({})
    run.link("draw", pool="BTC", before="0", drawn="0", after="0")
    run.loss()
    run.applied()
    with refused(Refuted, "the entry right before the draw is not the fund's; expected a fund"):
        told(venue)


def without_a_pool(rows: list[Json]) -> list[Json]:
    return rows[:1]


def with_another_pool(rows: list[Json]) -> list[Json]:
    return [*rows, rows[1] | {"pool": "ZZZ"}]


@pytest.mark.parametrize("edit", [without_a_pool, with_another_pool, lambda rows: []])
def test_a_fund_entry_that_does_not_list_every_pool_is_false(edit: Any) -> None:
    with refused(Refuted, "the fund entry does not list the policy's pools; expected BTC, USDT"):
        told(lied("fund", pools=edit))


@pytest.mark.parametrize("place", [0, 1])
@pytest.mark.parametrize(("field", "amount"), [("opening", "99"), ("closing", "99")])
def test_a_pool_that_does_not_add_up_is_false(place: int, field: str, amount: str) -> None:
    def edit(rows: list[Json]) -> list[Json]:
        return [row | ({field: amount} if i == place else {}) for i, row in enumerate(rows)]

    name = ("BTC", "USDT")[place]
    with refused(Refuted, f"pool {name} does not add up in fund entry 5", "8"):
        told(lied("fund", pools=edit))


def test_credits_before_the_draw_are_counted() -> None:
    venue = market()
    run = crash(venue, until="adl")
    venue.fund(BTC=[("operator_injection", 5), ("correction", 2)])
    venue.closing["BTC"] = 47
    run.link("draw", pool="BTC", before="47", drawn="47", after="0")
    run.rest = 33
    run.loss()
    run.applied()
    [event] = told(venue).events
    assert event.fund is not None
    assert event.loss.socialized == 33


def test_a_debit_right_before_the_draw_is_false() -> None:
    def edit(rows: list[Json]) -> list[Json]:
        debits = [{"amount": "30", "kind": "correction"}]
        return [rows[0] | {"debits": debits, "closing": "10"}, rows[1]]

    venue = market()
    run = crash(venue, until="adl")
    venue.lie("fund", pools=edit)
    venue.fund()
    run.link("draw", pool="BTC", before="10", drawn="10", after="0")
    run.rest = 70
    run.loss()
    run.applied()
    with refused(Refuted, "right before the draw books a debit; expected no debits; found corr"):
        told(venue)


def test_a_debit_of_another_pool_is_not_this_draws() -> None:
    def edit(rows: list[Json]) -> list[Json]:
        debits = [{"amount": "0", "kind": "correction"}]
        return [rows[0], rows[1] | {"debits": debits}]

    assert told(lied("fund", pools=edit)).events


def test_two_draws_are_booked_apart() -> None:
    venue = market()
    crash(venue)
    venue.fund(BTC=[("liquidation_fee", 9)])
    crash(venue)
    assert [event.draw and event.draw.drawn for event in told(venue).events] == [40, 9]


def test_false_goes_before_incomplete_in_step_8() -> None:
    venue = market()
    venue.lie("loss", residual="1")
    crash(venue)
    venue.publish()
    with refused(Refuted, "the waterfall does not add up", "8"):
        verify(venue, without(venue.prove("alice"), 5))


# Point 5.


def test_a_loss_that_does_not_add_up_is_false() -> None:
    for edits in ({"socialized": "39"}, {"socialized": "41"}, {"residual": "1"}):
        with refused(Refuted, "the waterfall does not add up; expected 40 left to share", "8"):
            told(lied("loss", **edits))


def test_a_residual_while_equity_is_left_is_false() -> None:
    with refused(Refuted, "a residual is stated while equity is left; expected 0; found 9", "8"):
        told(lied("loss", socialized="31", residual="9"))


def test_all_equity_may_be_lost_and_the_rest_is_residual() -> None:
    venue = market()
    crash(venue, {"carol": 800_017 + 50 + 3})
    [event] = told(venue).events
    assert (event.loss.socialized, event.loss.residual, event.deducted) == (800_017, 3, 500_000)


def test_more_than_all_equity_is_false() -> None:
    venue = market()
    venue.lie("loss", socialized="800020", residual="0")
    crash(venue, {"carol": 800_017 + 50 + 3})
    with refused(Refuted, "more is socialized than all equity; expected at most 800017", "8"):
        told(venue)


def test_a_loss_of_exactly_all_equity_leaves_no_residual() -> None:
    venue = market()
    crash(venue, {"carol": 800_017 + 50})
    assert told(venue).events[0].loss.residual == 0


def test_a_loss_over_an_empty_book_is_all_residual() -> None:
    venue = Venue()
    venue.snapshot("BTC", {"margin": {}, "spot": {"alice": 5}})
    crash(venue, {"carol": 90}, adl={})
    [event] = told(venue).events
    assert (event.loss.socialized, event.loss.residual, event.deducted) == (0, 90, None)


def test_the_policys_order_of_stages_is_the_runs() -> None:
    for waterfall in (["draw", "adl"], ["draw"], ["adl"], []):
        venue = market(waterfall=waterfall)
        crash(venue)
        [event] = told(venue).events
        absorbed, drawn = 10 * ("adl" in waterfall), 40 * ("draw" in waterfall)
        assert event.absorbed == absorbed
        assert event.loss.socialized == 90 - absorbed - drawn
        assert (event.fund is None) == ("draw" not in waterfall)
        assert f"absorbed {absorbed} + drawn {drawn} + " in told(venue).notes[-1].text


def test_the_fund_entry_is_reported_with_the_event() -> None:
    venue = market()
    crash(venue)
    [event] = told(venue).events
    assert event.fund is not None
    assert event.fund.seq == seq_of(venue, "draw") - 1
    assert event.reference is not None
    assert event.reference.ledgers_shown()["margin"].total == sum(MARGIN.values())


# As far as a file shows the fund's own entries without a gap, they follow one another.


def test_a_draw_that_the_next_fund_entry_does_not_book_is_false() -> None:
    venue = market()
    crash(venue)
    # The pool was emptied, but says that it still holds what was drawn, and is drawn again.
    venue.closing["BTC"], venue.unbooked = 40, {}
    crash(venue, event="second")
    with refused(
        Refuted,
        "does not book the draw 6 before it; expected a draw of 40 from pool BTC; found none",
        "8",
    ):
        told(venue)


def test_a_pool_that_opens_otherwise_than_it_closed_is_false() -> None:
    venue = Venue()
    venue.snapshot("BTC", {"margin": MARGIN})
    crash(venue)
    venue.closing["BTC"] = 40
    crash(venue, event="second")
    with refused(Refuted, "pool BTC does not open in fund entry 10 as it closed; expected 0", "8"):
        told(venue)


def test_what_entries_that_are_not_shown_did_to_a_pool_is_not_judged() -> None:
    venue = market()
    crash(venue)
    venue.fund(BTC=[("liquidation_fee", 7)])
    crash(venue, event="second")
    assert len(told(venue).events) == 2


def usdt_then_btc(**lie: object) -> Venue:
    """A draw of USDT, which the fund entry right before the draw of BTC books."""
    venue = market()
    venue.snapshot("USDT", {"margin": {"alice": 900}})
    venue.fund(USDT=[("liquidation_fee", 30)])
    venue.event("USDT", {"carol": 90})
    run = venue.deficit("BTC", {"carol": 90})
    run.adl({"dave": 10})
    if lie:
        venue.lie("fund", **lie)
    venue.fund()
    run.link("draw", pool="BTC", before="40", drawn="40", after="0")
    run.rest = 40
    run.loss()
    run.applied()
    return venue


def test_a_draw_of_another_pool_may_be_booked_right_before_a_draw() -> None:
    assert len(told(usdt_then_btc()).events) == 2


def test_a_correction_does_not_book_a_draw() -> None:
    def renamed(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return [
            row | {"debits": [debit | {"kind": "correction"} for debit in row["debits"]]}
            for row in rows
        ]

    with refused(Refuted, "expected a draw of 30 from pool USDT; found none", "8"):
        told(usdt_then_btc(pools=renamed))
