"""The fund's entries as a series: what is read, what is refused, where intervals are missing."""

from typing import Any

import pytest
from fund.cases_fund import FEE, HOUR, MINUTE, FundVenue
from reference import clock
from venue import START

from auditkit.fund.series import Gap, PoolSeries, Series
from auditkit.verify.errors import Malformed, NotVerified, Refuted, Unsupported

TWO = {"BTC": ("BTC", 0), "USDT": ("USDT", 0)}


def series_of(venue: FundVenue, **wanted: Any) -> Series:
    return Series.read(venue.read(), **wanted)


def only(series: Series) -> PoolSeries:
    [pool] = series.pools.values()
    return pool


def at(minute: float) -> int:
    return START + round(minute * MINUTE)


# What is read.


def test_a_pool_s_rows_are_columns() -> None:
    venue = FundVenue()
    venue.minute(1, 70, BTC=[("liquidation_fee", 5), ("liquidation_fee", 6), ("correction", 1)])
    venue.minute(2, 80, BTC=[("operator_injection", 9), ("correction", -4), ("draw", -2)])
    pool = only(series_of(venue))
    assert (pool.pool, pool.asset, pool.decimals, len(pool)) == ("BTC", "BTC", 8, 2)
    assert (list(pool.seqs), list(pool.times)) == ([1, 2], [at(1), at(2)])
    assert (pool.opening, pool.closing, pool.open_interest) == ([0, 12], [12, 15], [70, 80])
    assert pool.credits == {
        "liquidation_surplus": [0, 0],
        "liquidation_fee": [11, 0],
        "operator_injection": [0, 9],
        "correction": [1, 0],
    }
    assert pool.debits == {"draw": [0, 2], "correction": [0, 4]}
    assert [pool.due(row) for row in (0, 1)] == [12, 15]
    assert pool.money(123_456_789_012) == "1,234.56789012 BTC"
    assert pool.money(-1) == "-0.00000001 BTC"


def test_other_statements_are_passed_over_and_the_end_is_the_log_s() -> None:
    venue = FundVenue()
    venue.snapshot("BTC", {"margin": {"anna": 5}})
    venue.minutes(1, 3)
    venue.event("BTC", {"carol": 9})
    venue.minute(4)
    series = series_of(venue)
    assert [policy.seq for policy in series.policies] == [0]
    assert list(series.seqs) == [s["seq"] for s in venue.said if "/fund/" in s["format"]]
    assert series.end == at(4) + 1000
    assert series.size == len(venue.said)


def test_pools_that_are_not_asked_for_are_left_out() -> None:
    venue = FundVenue(pools=TWO, assets={"BTC": 8, "USDT": 6})
    venue.minutes(1, 2, BTC=FEE)
    assert set(series_of(venue).pools) == {("BTC", "BTC"), ("USDT", "USDT")}
    series = series_of(venue, pools=["USDT"])
    assert only(series).pool == "USDT"
    assert len(series.seqs) == len(only(series)) == 2


def test_entries_that_are_older_than_wanted_are_counted_and_not_read() -> None:
    venue = FundVenue()
    venue.minutes(1, 10, BTC=FEE)
    venue.entries[3] = venue.entries[3].replace(b'"closing":"15"', b'"closing":"015"')
    assert only(series_of(venue, since=at(4))).closing == [20, 25, 30, 35, 40, 45, 50]
    assert series_of(venue, since=at(4)).skipped == 3
    assert series_of(venue, since=at(99)).skipped == 10
    with pytest.raises(Malformed, match="amount"):
        series_of(venue)


@pytest.mark.parametrize("since", [0, -1, -(10**18)])
def test_nothing_is_older_than_that(since: int) -> None:
    venue = FundVenue()
    venue.minutes(1, 3)
    assert len(series_of(venue, since=since).seqs) == 3


def test_a_pool_whose_asset_changes_is_another_one() -> None:
    venue = FundVenue(pools={"main": ("BTC", 0)}, assets={"BTC": 8, "USDT": 6})
    venue.minute(1)
    venue.policy(pools={"main": {"asset": "USDT", "floor": "0"}})
    venue.minute(2)
    pools = series_of(venue).pools
    assert {name: list(pool.seqs) for name, pool in pools.items()} == {
        ("main", "BTC"): [1],
        ("main", "USDT"): [3],
    }
    assert pools["main", "USDT"].decimals == 6


def test_a_pool_that_no_policy_names_has_no_asset() -> None:
    venue = FundVenue()
    venue.minute(1, BTC=FEE)
    venue.change(1, "BTC", pool="other")
    pools = series_of(venue).pools
    assert len(pools["BTC", "BTC"]) == 0
    assert pools["other", ""].money(5) == "5 base units"


# What is refused.


@pytest.mark.parametrize(
    ("edits", "kind", "words"),
    [
        ({"seq": 3}, Refuted, "another seq"),
        ({"venue": "elsewhere.example"}, Refuted, "another seq or venue"),
        ({"time": clock(at(1))}, Refuted, "time is not after"),
        ({"pools": 7}, Malformed, "not a list"),
        ({"format": "auditkit/fund/2"}, Unsupported, "format"),
        ({"format": "fund"}, Unsupported, "format"),
    ],
)
def test_an_entry_that_cannot_be_believed(
    edits: dict[str, object], kind: type[NotVerified], words: str
) -> None:
    venue = FundVenue()
    venue.minutes(1, 3)
    venue.restate(2, **edits)
    with pytest.raises(kind, match=f"entry 2.*: .*{words}"):
        series_of(venue)


def test_an_entry_that_may_be_anything_is_refused_and_another_kind_s_is_not() -> None:
    for entry, fine in ((b"nothing", False), (b'{"format":"auditkit/loss/1",', True)):
        venue = FundVenue()
        venue.minute(1)
        venue.log("key")
        venue.minute(2)
        venue.entries[2] = entry
        if fine:
            assert list(series_of(venue).seqs) == [1, 3]
        else:
            with pytest.raises(Malformed, match=r"entry 2.*: not JSON"):
                series_of(venue)


# Gaps.


def gaps(venue: FundVenue, **wanted: Any) -> list[Gap]:
    return series_of(venue).gaps(**wanted)


def test_an_entry_every_minute_leaves_no_gap_at_whatever_second() -> None:
    venue = FundVenue()
    for number, second in enumerate((1, 59, 0, 0.5, 59.999), 1):
        venue.minute(number + second / 60)
    assert gaps(venue) == []


def test_a_missing_hour() -> None:
    venue = FundVenue()
    venue.minutes(1, 10)
    venue.minutes(71, 80)
    assert gaps(venue) == [Gap(at(10), at(71), 60)]


def test_the_log_s_begin_and_end_bound_the_series() -> None:
    venue = FundVenue()
    venue.minute(3)
    venue.wait(5 * MINUTE)
    assert gaps(venue) == [Gap(START + 1000, at(3), 2), Gap(at(3), at(8) + 1000, 4)]


def test_two_entries_of_a_minute_do_not_fill_another() -> None:
    venue = FundVenue()
    for number in (1, 1.2, 1.9, 3):
        venue.minute(number)
    assert gaps(venue) == [Gap(at(1.9), at(3), 1)]


def test_a_log_without_fund_entries_is_one_gap_and_without_pools_none() -> None:
    venue = FundVenue()
    venue.wait(5 * MINUTE)
    assert gaps(venue) == [Gap(START + 1000, START + 5 * MINUTE + 2000, 4)]
    venue = FundVenue()
    venue.policy(pools={})
    venue.wait(5 * MINUTE)
    assert gaps(venue) == []


def test_each_time_has_the_interval_of_its_policy() -> None:
    venue = FundVenue()
    venue.minutes(1, 3)
    venue.policy(fund_interval_ms=HOUR)
    venue.minute(61)
    venue.minute(241)
    venue.policy(fund_interval_ms=MINUTE)
    venue.minute(245)
    assert gaps(venue) == [Gap(at(61), at(241), 2), Gap(at(241) + 1000, at(245), 3)]


def test_a_policy_that_keeps_the_interval_hides_no_minute() -> None:
    venue = FundVenue()
    venue.minute(1)
    venue.now = at(2)
    venue.policy(deadline_ms=1)
    venue.minute(4)
    assert gaps(venue) == [Gap(at(1), at(4), 2)]


def test_no_interval_is_no_gap() -> None:
    venue = FundVenue(fund_interval_ms=0)
    venue.minute(1)
    venue.minute(100)
    assert gaps(venue) == []


def test_a_pool_is_due_while_the_policy_has_it() -> None:
    venue = FundVenue()
    both = venue.rules["pools"] | {"side": {"asset": "BTC", "floor": "0"}}
    venue.minutes(1, 5)
    venue.policy(pools=both)
    venue.minutes(6, 7)
    venue.said[8]["pools"].pop()
    venue.restate(8)
    venue.minutes(8, 9)
    venue.policy(pools={"BTC": both["BTC"]})
    venue.minutes(10, 20)
    series = series_of(venue)
    assert series.gaps() == []
    assert series.gaps(series.pools["BTC", "BTC"]) == []
    assert series.gaps(series.pools["side", "BTC"]) == [Gap(at(6), at(8), 1)]


def test_gaps_since_a_time() -> None:
    venue = FundVenue()
    for number in (1, 5, 10, 20):
        venue.minute(number)
    for read_since in (None, at(7)):
        series = series_of(venue, since=read_since)
        assert series.gaps(since=at(7)) == [Gap(at(7), at(10), 2), Gap(at(10), at(20), 9)]
