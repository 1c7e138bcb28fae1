"""C1 and H2: each lie about the fund's series is found with its time, and nothing else is."""

from typing import Any

import pytest
from fund.cases_fund import FEE, HOUR, MINUTE, FundVenue
from reference import clock
from venue import START

from auditkit.audit.findings import MAX_ROWS, Finding, Verdict
from auditkit.audit.series import SUBJECT, c1, fund_findings, h2

OI = 100
LEDGER = {"margin": {"anna": 500, "bert": 300}}
TWO = {"BTC": ("BTC", 0), "BTC-2": ("BTC", 0)}


def at(minute: float) -> str:
    return clock(START + round(minute * MINUTE))


def hours(**rules: Any) -> FundVenue:
    """Three honest hours: 1,000 units from the start, 5 a minute, open interest of 100."""
    venue = FundVenue(**rules)
    venue.snapshot("BTC", LEDGER)
    venue.minute(1, OI, BTC=[("operator_injection", 1000)])
    venue.minutes(2, 180, OI, BTC=FEE)
    return venue


def seq_at(venue: FundVenue, minute: int) -> int:
    """The seq of the fund's entry at that minute."""
    found = [s["seq"] for s in venue.said if s["time"] == at(minute)]
    assert len(found) == 1
    return int(found[0])


def rows(found: Finding) -> list[tuple[int, str, str, str, str]]:
    """Entry, time, what, expected and found of the failing rows."""
    assert found.failing == len(found.rows)
    return [(int(r["entry"]), r["time"], r["what"], r["expected"], r["found"]) for r in found.rows]


def only(venue: FundVenue, *expected: tuple[int, str, str, str, str]) -> None:
    """C1 has exactly these rows, and H2 none."""
    chain, threshold = fund_findings(venue.read())
    assert rows(chain) == list(expected)
    assert chain.verdict is Verdict.FAIL
    assert (threshold.verdict, threshold.rows) == (Verdict.PASS, ())


def units(amount: int) -> str:
    return f"{'-' if amount < 0 else ''}0.{abs(amount):08d} BTC"


# What is true.


def test_an_honest_series_passes_and_says_what_was_compared() -> None:
    chain, threshold = fund_findings(hours().read())
    assert (chain.procedure, chain.subject, chain.verdict) == ("C1", SUBJECT, Verdict.PASS)
    assert (threshold.procedure, threshold.subject, threshold.verdict) == (
        *("H2", SUBJECT),
        Verdict.PASS,
    )
    assert dict(chain.compared) == {
        "fund entries": f"180, {at(1)} to {at(180)}",
        "interval by policy 0, 2025-10-10T21:00:01.000Z": "60000 ms",
        "history": "0 of 90 days; the log has no more",
        "pool BTC": f"180 entries, {units(1895)}",
        "injections of pool BTC": f"1: {units(1000)}",
        "injection of pool BTC, entry 2": f"{units(1000)} at {at(1)}",
    }
    assert dict(threshold.compared) == {
        "BTC, threshold": "20/100 of the mean open interest",
        "BTC, intervals": "180, 0 of them below",
        "BTC, last": f"1895.00 % (379/20) at {at(180)}",
        "BTC, lowest coverage": f"0.00 %: 1 of 43200 samples at {at(1)}",
        "BTC, last coverage": f"0.41 %: 180 of 43200 samples at {at(180)}",
    }


def test_alone_they_find_the_same() -> None:
    log = hours().read()
    assert [c1(log), h2(log)] == fund_findings(log)


def test_an_honest_event_and_its_draw() -> None:
    venue = hours()
    venue.event("BTC", {"gone": 1990}, {"anna": 10})
    venue.minutes(181, 200, OI, BTC=FEE)
    chain, _ = fund_findings(venue.read())
    assert rows(chain) == []


def test_pools_that_come_and_leave_as_they_may() -> None:
    venue = hours()
    main = venue.rules["pools"]
    venue.policy(pools=main | {"side": {"asset": "BTC", "floor": "0"}})
    venue.minute(181, OI, BTC=FEE, side=[("liquidation_surplus", 7)])
    venue.minute(182, OI, side=[("correction", -7)])
    venue.policy(pools=main)
    venue.minutes(183, 190, OI)
    venue.policy(pools=main | {"side": {"asset": "BTC", "floor": "0"}})
    venue.minutes(191, 200, OI, side=FEE)
    assert c1(venue.read()).verdict is Verdict.PASS


def test_a_pool_that_a_draw_emptied_may_leave_before_that_is_booked() -> None:
    venue = hours(pools=TWO)
    venue.event("BTC", {"gone": 5000}, {"anna": 10}, pool="BTC")
    venue.policy(pools={"BTC-2": venue.rules["pools"]["BTC-2"]})
    venue.minutes(181, 182, OI)
    assert c1(venue.read()).verdict is Verdict.PASS
    del venue.closing["BTC"], venue.unbooked["BTC"]
    venue.policy(pools={name: {"asset": "BTC", "floor": "0"} for name in TWO})
    venue.minutes(183, 184, OI)
    assert c1(venue.read()).verdict is Verdict.PASS


def test_ninety_days_are_there() -> None:
    venue = FundVenue(fund_interval_ms=24 * HOUR)
    for day in range(1, 92):
        venue.minute(day * 24 * 60, BTC=FEE)
    found = c1(venue.read())
    assert found.verdict is Verdict.PASS
    assert dict(found.compared)["history"] == "90 of 90 days"


# Lies.


def test_a_missing_hour() -> None:
    venue = FundVenue()
    venue.minutes(1, 60, OI, BTC=[("liquidation_fee", 100)])
    venue.minutes(121, 180, OI, BTC=FEE)
    what = "intervals without a fund entry: 60"
    only(venue, (60, at(60), what, "an entry every interval", f"none until {at(121)}"))


@pytest.mark.parametrize("wrong", [-1, 1, 400])
def test_one_edited_closing(wrong: int) -> None:
    venue = hours()
    seq = seq_at(venue, 90)
    honest = int(venue.said[seq]["pools"][0]["closing"])
    venue.change(seq, "BTC", closing=str(honest + wrong))
    what = "pool BTC adds up wrong"
    only(venue, (seq, at(90), what, units(honest), units(honest + wrong)))


def test_an_edited_closing_that_the_next_entry_goes_on_from() -> None:
    venue = hours()
    venue.closing["BTC"] -= 300
    venue.minutes(181, 182, OI, BTC=FEE)
    seq = seq_at(venue, 180)
    venue.change(seq, "BTC", closing="1595")
    only(venue, (seq, at(180), "pool BTC adds up wrong", units(1895), units(1595)))


def test_one_edited_opening() -> None:
    venue = hours()
    venue.closing["BTC"] -= 300
    venue.minutes(181, 182, OI, BTC=FEE)
    seq = seq_at(venue, 181)
    only(venue, (seq, at(181), "pool BTC does not open as it closed", units(1895), units(1595)))


def test_a_row_that_books_more_than_there_is() -> None:
    venue = hours()
    seq = seq_at(venue, 180)
    venue.change(seq, "BTC", debits=[{"amount": "9000", "kind": "correction"}], closing="0")
    venue.minute(181, OI, BTC=[("operator_injection", 30)])
    venue.change(seq + 1, "BTC", opening="0", closing="30")
    chain = c1(venue.read())
    assert rows(chain) == [(seq, at(180), "pool BTC adds up wrong", units(-7105), units(0))]


def test_a_pool_dropped_by_a_policy_and_reborn_under_another_name() -> None:
    venue = hours()
    venue.now = START + 180 * MINUTE + 10_000
    venue.policy(pools={"fund": {"asset": "BTC", "floor": "0"}})
    venue.closing["fund"] = venue.closing.pop("BTC")
    venue.minutes(181, 200, OI, fund=FEE)
    seq = seq_at(venue, 181)
    only(
        venue,
        (
            seq - 1,
            at(180 + 11 / 60),
            "pool BTC left the policy with money in it",
            units(0),
            units(1895),
        ),
        (seq, at(181), "the new pool fund opens with money in it", units(0), units(1895)),
    )


def test_a_pool_dropped_and_reborn_without_a_policy() -> None:
    venue = hours()
    for minute in range(171, 181):
        venue.change(seq_at(venue, minute), "BTC", pool="fund")
    seq = seq_at(venue, 171)
    until = f"it: 10, up to {at(180)}"
    chain = c1(venue.read())
    assert sorted(rows(chain)) == [
        (seq, at(171), "pool BTC", "listed as policy 0 has it", f"entries without {until}"),
        (
            seq,
            at(171),
            "pool fund, of no policy's, is listed",
            "no such pool",
            f"entries with {until}",
        ),
        (
            *(seq, at(171), "the new pool fund opens with money in it"),
            *("0 base units", "1,845 base units"),
        ),
    ]


def test_a_pool_that_is_left_out_at_times() -> None:
    venue = hours(pools=TWO)
    for minute in (50, 51, 52, 90):
        seq = seq_at(venue, minute)
        kept = [row for row in venue.said[seq]["pools"] if row["pool"] == "BTC"]
        venue.restate(seq, pools=kept)
    listed = ("pool BTC-2", "listed as policy 0 has it")
    first, second = seq_at(venue, 50), seq_at(venue, 90)
    only(
        venue,
        (first, at(50), *listed, f"entries without it: 3, up to {at(52)}"),
        (second, at(90), *listed, f"entries without it: 1, up to {at(90)}"),
    )


def test_a_new_pool_with_money_in_it() -> None:
    venue = hours()
    venue.policy(pools=venue.rules["pools"] | {"side": {"asset": "BTC", "floor": "0"}})
    venue.closing["side"] = 7
    venue.minutes(181, 182, OI)
    seq = seq_at(venue, 181)
    only(venue, (seq, at(181), "the new pool side opens with money in it", units(0), units(7)))


def test_a_series_that_begins_late_or_ends_early() -> None:
    venue = FundVenue()
    venue.minutes(31, 60, OI, BTC=[("liquidation_fee", 100)])
    venue.wait(30 * MINUTE)
    what = "intervals without a fund entry: "
    due = "an entry every interval"
    only(
        venue,
        (0, clock(START + 1000), what + "30", due, f"none until {at(31)}"),
        (30, at(60), what + "29", due, f"none until {clock(START + 90 * MINUTE + 1000)}"),
    )


def test_a_draw_that_nobody_logged_or_of_another_amount() -> None:
    venue = hours()
    venue.minute(181, OI, BTC=[("draw", -7)])
    venue.event("BTC", {"gone": 90}, {"anna": 10})
    venue.unbooked["BTC"] = [60]
    venue.minute(182, OI)
    what = "pool BTC books other draws than were logged"
    assert rows(c1(venue.read())) == [
        (seq_at(venue, 181), at(181), what, units(0), units(7)),
        (seq_at(venue, 182), at(182), what, units(80), units(60)),
    ]


# Corrections before an event.


def emptied(
    amount: int = -1895, minute: int = 181, event: float = 182, **event_is: Any
) -> FundVenue:
    """A correction, and an event of 90 of which 10 are deleveraged, logged minutes later."""
    venue = hours()
    for number in range(181, int(event) + 1):
        moves = [("correction", amount)] if number == minute else []
        venue.minute(number, 0, BTC=moves)
    venue.now = START + round(event * MINUTE) + 1000
    venue.event("BTC", {"gone": 90}, {"anna": 10}, **{"event": "crash-1", **event_is})
    return venue


def found_taken(seq: int, minute: int, before: str, taken: int, short: int) -> tuple[Any, ...]:
    what = f"correction of pool BTC by event crash-1, {before} it was confirmed"
    found = f"{units(taken)} taken out, the draw {units(short)} short"
    return (seq, at(minute), what, "nothing taken out in the day before", found)


def test_a_correction_that_empties_the_pool_a_minute_before_an_event() -> None:
    venue = emptied()
    row = found_taken(seq_at(venue, 181), 181, "61500 ms before", 1895, 80)
    assert rows(c1(venue.read())) == [row]


def test_a_correction_that_leaves_too_little() -> None:
    venue = emptied(-1890)
    row = found_taken(seq_at(venue, 181), 181, "61500 ms before", 1890, 75)
    assert rows(c1(venue.read())) == [row]


def test_a_correction_that_leaves_enough_and_one_that_was_corrected() -> None:
    assert rows(c1(emptied(-1000).read())) == []
    venue = hours()
    venue.minute(181, BTC=[("correction", -1895)])
    venue.minute(182, BTC=[("correction", 1895)])
    venue.event("BTC", {"gone": 5000}, {"anna": 10})
    assert rows(c1(venue.read())) == []


def test_what_was_put_in_before_does_not_excuse_what_is_taken_out() -> None:
    venue = hours()
    venue.minute(181, BTC=[("correction", 1000)])
    venue.minute(182, BTC=[("correction", -2000)])
    venue.minute(183, BTC=[("correction", 500)])
    venue.event("BTC", {"gone": 5000}, {"anna": 10}, event="crash-1")
    row = found_taken(seq_at(venue, 182), 182, "60500 ms before", 1500, 3595)
    assert rows(c1(venue.read())) == [row]


def test_a_correction_between_confirmation_and_draw() -> None:
    confirmed = START + 181 * MINUTE + 500
    venue = hours()
    venue.minute(181)
    run = venue.deficit("BTC", {"gone": 90}, event="crash-1", confirmed=confirmed)
    run.adl({"anna": 10})
    venue.minute(182, BTC=[("correction", -1895)])
    run.draw()
    row = found_taken(seq_at(venue, 182), 182, "59500 ms after", 1895, 80)
    assert rows(c1(venue.read())) == [row]


@pytest.mark.parametrize("late", [False, True])
def test_a_correction_of_the_day_before_counts_and_an_older_one_does_not(late: bool) -> None:
    venue = FundVenue(fund_interval_ms=12 * HOUR)
    venue.minute(720, BTC=[("liquidation_fee", 50)])
    venue.minute(1440, BTC=[("correction", -50)])
    venue.minute(2160)
    venue.wait(720 * MINUTE)
    venue.deficit("BTC", {"gone": 90}, confirmed=START + 2880 * MINUTE + late)
    assert bool(rows(c1(venue.read()))) is not late


def test_another_pool_s_event_needs_no_money_of_this_one() -> None:
    venue = hours(pools=TWO)
    venue.minute(181, BTC=[("correction", -1895)])
    venue.event("BTC", {"gone": 90}, {"anna": 10}, pool="BTC-2")
    assert rows(c1(venue.read())) == []


def test_a_pool_kept_at_its_floor() -> None:
    venue = hours(pools={"BTC": ("BTC", 100)})
    venue.minute(181, BTC=[("correction", -1795)])
    venue.event("BTC", {"gone": 10}, {"anna": 10}, event="crash-1")
    row = found_taken(seq_at(venue, 181), 181, "500 ms before", 1795, 0)
    assert rows(c1(venue.read())) == [row]


def test_a_fund_that_pays_first_is_short_of_what_deleveraging_takes() -> None:
    venue = hours(waterfall=["draw", "adl"])
    venue.minute(181, BTC=[("correction", -1875)])
    venue.event("BTC", {"gone": 90}, {"anna": 70}, event="crash-1")
    row = found_taken(seq_at(venue, 181), 181, "500 ms before", 1875, 70)
    assert rows(c1(venue.read())) == [row]


# Everything at once.


def test_all_lies_at_once_are_all_found_in_order() -> None:
    venue = FundVenue(pools=TWO)
    venue.snapshot("BTC", LEDGER)
    venue.minute(1, 0, **{"BTC": [("operator_injection", 900)], "BTC-2": FEE})
    venue.minutes(2, 30)
    venue.minutes(91, 120)
    venue.change(seq_at(venue, 100), "BTC", closing="899")
    venue.policy(pools={"BTC": venue.rules["pools"]["BTC"]})
    venue.minutes(121, 130)
    venue.minute(131, BTC=[("correction", -900)])
    venue.event("BTC", {"gone": 90}, {"anna": 10}, event="crash-1")
    chain, threshold = fund_findings(venue.read())
    assert [(row["time"], row["what"]) for row in chain.rows] == [
        (at(30), "intervals without a fund entry: 60"),
        (at(100), "pool BTC adds up wrong"),
        (clock(START + 120 * MINUTE + 1000), "pool BTC-2 left the policy with money in it"),
        (at(131), "correction of pool BTC by event crash-1, 500 ms before it was confirmed"),
    ]
    listed = dict(chain.compared)
    assert listed["corrections of pool BTC"] == f"1: {units(-900)}"
    assert listed[f"correction of pool BTC, entry {seq_at(venue, 131)}"].endswith(at(131))
    assert threshold.verdict is Verdict.PASS


def test_corrections_and_injections_are_listed_up_to_a_bound() -> None:
    venue = FundVenue()
    for minute in range(1, MAX_ROWS + 8):
        venue.minute(minute, BTC=[("correction", 5)])
    found = c1(venue.read())
    assert found.verdict is Verdict.PASS
    listed = dict(found.compared)
    assert listed["corrections of pool BTC"] == f"{MAX_ROWS + 7}: {units(5 * MAX_ROWS + 35)}"
    assert sum(name.startswith("correction of") for name in listed) == MAX_ROWS
    assert listed["not listed here"] == "7 more of them"


# The threshold.


def test_a_fund_below_its_threshold_is_a_row_a_stretch() -> None:
    venue = FundVenue()
    venue.minute(1, OI, BTC=[("liquidation_fee", 20)])
    venue.minute(2, OI, BTC=[("correction", -1)])
    venue.minute(3, OI, BTC=[("correction", -9)])
    venue.minute(4, OI, BTC=[("correction", 10)])
    venue.minute(5, OI, BTC=[("correction", -1)])
    found = h2(venue.read())
    due = "at least 20/100 of the mean open interest"
    below = "intervals with the fund of BTC below"
    assert rows(found) == [
        (2, at(2), f"{below}: 2, up to {at(3)}", due, f"10.00 % (1/10) at {at(3)}"),
        (5, at(5), f"{below}: 1, up to {at(5)}", due, f"19.00 % (19/100) at {at(5)}"),
    ]
    assert dict(found.compared)["BTC, intervals"] == "5, 3 of them below"


def test_no_open_interest_passes_and_is_said() -> None:
    venue = FundVenue()
    venue.minutes(1, 3)
    found = h2(venue.read())
    assert found.verdict is Verdict.PASS
    assert dict(found.compared)["BTC, without open interest"] == "3 entries, never below"


# What cannot be decided.


def both(venue: FundVenue) -> list[tuple[Verdict, tuple[str, ...]]]:
    return [(found.verdict, found.missing) for found in fund_findings(venue.read())]


def test_no_fund_and_no_pool_are_open() -> None:
    assert both(FundVenue()) == [
        (Verdict.OPEN, ("a fund entry",)),
        (Verdict.OPEN, ("a fund entry", "a fund entry that lists a pool of BTC")),
    ]
    venue = FundVenue()
    venue.restate(0, pools={})
    assert both(venue) == 2 * [(Verdict.OPEN, ("a policy with a pool",))]


def test_no_interval_is_open() -> None:
    venue = FundVenue(fund_interval_ms=0)
    venue.minute(1, OI, BTC=[("liquidation_fee", 100)])
    lacks = "fund_interval_ms above 0 (policy 0)"
    assert both(venue) == 2 * [(Verdict.OPEN, (lacks,))]


@pytest.mark.parametrize(
    ("entry", "why"),
    [(b"nothing", "not JSON"), (b'{"format":"auditkit/fund/2"}', "format"), (b"\xff", "canonical")],
)
def test_an_entry_that_cannot_be_read_leaves_both_open(entry: bytes, why: str) -> None:
    venue = hours()
    venue.entries[7] = entry
    for verdict, missing in both(venue):
        assert verdict is Verdict.OPEN
        assert missing[0].startswith("statements that can be read (see LOG: entry 7")
        assert why in missing[0]


def test_a_window_of_no_days_decides_nothing() -> None:
    """Else a venue would be above a threshold over nothing."""
    venue = FundVenue(oi_window_days=0)
    venue.minutes(1, 3, interest=100)
    found = h2(venue.read())
    assert found.verdict is Verdict.OPEN
    assert "oi_window_days above 0 (policy 0)" in found.missing


def test_money_that_left_with_a_pool_is_found() -> None:
    """Corrected out of a pool, which then is dropped for an empty one of the same asset."""
    venue = FundVenue()
    venue.snapshot("BTC", {"margin": {"anna": 500}})
    venue.minute(1, BTC=[("liquidation_fee", 50)])
    venue.minute(2, BTC=[("correction", -50)])
    venue.policy(pools={"BTC2": {"asset": "BTC", "floor": "0"}})
    venue.snapshot("BTC")
    venue.minute(3)
    venue.event("BTC", {"gone": 5}, pool="BTC2")
    found = c1(venue.read())
    assert any("correction of pool BTC by event" in row["what"] for row in found.rows)
