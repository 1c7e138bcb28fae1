"""The threshold against cases computed by hand, and against a naive second reckoning.

Unless told otherwise a window is a day of four intervals of six hours, and
the threshold 20 %: with open interest of 100, 200, 300 and 400 the mean is
250, of which 20 % are 50.
"""

from collections.abc import Iterable
from fractions import Fraction
from typing import Any

import pytest
from fund.cases_fund import HOUR, MINUTE, FundVenue
from hypothesis import given
from hypothesis import strategies as st
from venue import START

from auditkit.fund.series import Series
from auditkit.fund.threshold import Watch, percent, watches

SIX = 6 * HOUR // MINUTE
DAY = 4 * SIX
RULES = {"fund_interval_ms": 6 * HOUR, "oi_window_days": 1}


def at(minute: float) -> int:
    return START + round(minute * MINUTE)


def entries(
    rows: Iterable[tuple[float, int, int]], venue: FundVenue | None = None, **rules: Any
) -> FundVenue:
    """Entries of (minute, balance, open interest); what moves the balance is a correction."""
    venue = venue or FundVenue(**{**RULES, **rules})
    for minute, balance, interest in rows:
        change = balance - venue.closing.get("BTC", 0)
        venue.minute(minute, interest, BTC=[("correction", change)])
    return venue


def watch(venue: FundVenue, since: int = -1) -> Watch:
    [found] = watches(Series.read(venue.read()), since)
    return found


def steps(*rows: tuple[int, int]) -> list[tuple[float, int, int]]:
    """(balance, open interest), six hours apart."""
    return [(SIX * (i + 1), *row) for i, row in enumerate(rows)]


def test_exactly_the_threshold_is_not_below() -> None:
    found = watch(entries(steps((500, 100), (500, 200), (500, 300), (50, 400))))
    assert found.last is not None
    assert (found.under, found.stretches) == (0, [])
    assert (found.last.samples, found.last.interest) == (4, 1000)
    assert found.last.ratio == Fraction(1, 5)
    assert found.last.coverage == 1
    assert found.last.text.startswith("20.00 % (1/5) at 2025-10-11T21:00")


def test_one_unit_below_is() -> None:
    found = watch(entries(steps((500, 100), (500, 200), (500, 300), (49, 400))))
    assert found.under == 1
    [stretch] = found.stretches
    assert (stretch.start, stretch.end, stretch.minutes) == (at(DAY), at(DAY), 1)
    assert stretch.lowest.ratio == Fraction(49, 250)
    assert stretch.lowest.text.startswith("19.60 % (49/250) at 2025-10-11T21:00")


def test_a_mean_that_is_no_integer_is_not_rounded() -> None:
    # 20 % of 302 / 3 are 20.13...
    for balance, below in ((20, 1), (21, 0)):
        found = watch(entries(steps((90, 100), (90, 101), (balance, 101))))
        assert found.under == below


def test_one_unit_below_never_shows_as_the_threshold() -> None:
    units = 6 * 10**37
    found = watch(entries(steps((units, 5 * units), (units - 1, 5 * units))))
    assert found.under == 1
    assert found.last is not None
    assert found.last.text.startswith(f"19.99 % ({units - 1}/{5 * units})")


def test_a_sample_leaves_the_window_after_exactly_its_days() -> None:
    # At the fifth entry the first is a whole day old: (200 + 300 + 400 + 500) / 4 = 350, so 70.
    rows = steps((500, 100), (500, 200), (500, 300), (500, 400))
    for balance, below in ((70, 0), (69, 1)):
        found = watch(entries([*rows, (5 * SIX, balance, 500)]))
        assert found.last is not None
        assert (found.last.samples, found.last.interest) == (4, 1400)
        assert found.under == below
    # A millisecond earlier it still counts: 1500 / 5 = 300, so 60.
    early = 5 * SIX - 1 / MINUTE
    for balance, below in ((60, 0), (59, 1)):
        found = watch(entries([*rows, (early, balance, 500)], fund_interval_ms=HOUR))
        assert found.last is not None
        assert (found.last.samples, found.last.interest) == (5, 1500)
        assert found.under == below


def test_fewer_samples_than_the_window_are_stated_and_not_guessed() -> None:
    # Two of four samples: (100 + 200) / 2 = 150, so 30.
    for balance, below in ((30, 0), (29, 1)):
        found = watch(entries(steps((500, 100), (balance, 200))))
        assert found.last is not None
        assert found.least is not None
        assert found.under == below
        assert found.last.coverage == Fraction(1, 2)
        assert found.least.coverage == Fraction(1, 4)
        assert found.least.time == at(SIX)
        numbers = dict(found.numbers())
        assert numbers["last coverage"].startswith("50.00 %: 2 of 4 samples at ")
        assert numbers["lowest coverage"].startswith("25.00 %: 1 of 4 samples at ")


def test_a_gap_lowers_the_coverage_and_the_mean_is_of_what_there_is() -> None:
    rows = [(SIX, 500, 100), (2 * SIX, 500, 200), (5 * SIX, 60, 400)]
    found = watch(entries(rows))
    assert found.last is not None
    assert (found.last.samples, found.last.interest) == (2, 600)
    assert found.last.coverage == Fraction(1, 2)
    assert found.under == 0
    assert watch(entries([*rows[:2], (5 * SIX, 59, 400)])).under == 1


def test_a_day_without_any_entry_leaves_its_own_sample() -> None:
    found = watch(entries([(SIX, 20, 100), (9 * SIX, 9, 50)]))
    assert found.last is not None
    assert (found.last.samples, found.last.interest, found.under) == (1, 50, 1)


def test_no_open_interest_at_all_is_never_below_and_is_said() -> None:
    found = watch(entries(steps((5, 0), (0, 0), (0, 0))))
    assert (found.minutes, found.under, found.idle) == (3, 0, 3)
    assert found.last is not None
    assert found.last.ratio is None
    assert dict(found.numbers())["without open interest"] == "3 entries, never below"
    assert found.last.text.startswith("no open interest at 2025-10-11T15:00")


def test_an_empty_fund_is_below_any_open_interest() -> None:
    found = watch(entries(steps((0, 0), (0, 1), (0, 0))))
    assert (found.under, found.idle) == (2, 1)
    assert found.stretches[0].lowest.ratio == 0


def test_entries_of_one_interval_are_one_sample_the_last() -> None:
    # Whoever logs nothing a thousand times does not lower the mean.
    rows = [*steps((500, 100)), *((2 * SIX + i, 500, 0) for i in range(150))]
    found = watch(entries([*rows, (2 * SIX + 150, 29, 200)]))
    assert found.last is not None
    assert (found.last.samples, found.last.interest, found.last.coverage) == (
        2,
        300,
        Fraction(1, 2),
    )
    assert (found.minutes, found.under) == (2, 1)


def test_stretches_are_entries_in_a_row() -> None:
    rows = steps((50, 100), (9, 100), (5, 100), (8, 100), (20, 100), (19, 100))
    found = watch(entries(rows))
    assert [(s.start, s.end, s.minutes) for s in found.stretches] == [
        (at(2 * SIX), at(4 * SIX), 3),
        (at(6 * SIX), at(6 * SIX), 1),
    ]
    assert [s.lowest.balance for s in found.stretches] == [5, 19]
    assert (found.minutes, found.under) == (6, 4)


def test_an_asset_s_pools_are_added_up() -> None:
    pools = {"a": ("BTC", 0), "b": ("BTC", 0), "c": ("USDT", 0)}
    venue = FundVenue(pools=pools, assets={"BTC": 8, "USDT": 6}, **RULES)
    moves = {"a": [("operator_injection", 12)], "b": [("operator_injection", 8)]}
    venue.minute(SIX, {"a": 30, "b": 70, "c": 10}, c=[("operator_injection", 1)], **moves)
    bitcoin, tether = watches(Series.read(venue.read()))
    assert (bitcoin.asset, bitcoin.under, tether.asset, tether.under) == ("BTC", 0, "USDT", 1)
    assert bitcoin.last is not None
    assert (bitcoin.last.balance, bitcoin.last.interest) == (20, 100)


def test_each_entry_is_measured_by_the_policy_that_holds() -> None:
    venue = entries(steps((30, 100)))
    venue.policy(oi_threshold=[1, 2])
    entries([(2 * SIX, 30, 100)], venue)
    venue.policy(oi_threshold=[1, 5], oi_window_days=2)
    entries([(9 * SIX, 30, 700)], venue)
    found = watch(venue)
    assert [(s.start, s.minutes) for s in found.stretches] == [(at(2 * SIX), 2)]
    assert found.last is not None
    assert (found.last.samples, found.last.expected, found.last.threshold) == (2, 8, (1, 5))


def test_a_pool_that_left_counts_no_more() -> None:
    pools = {"a": ("BTC", 0), "b": ("BTC", 0)}
    venue = FundVenue(pools=pools, **RULES)
    venue.minute(SIX, 50, a=[("operator_injection", 20)])
    venue.policy(pools={"b": venue.rules["pools"]["b"]})
    venue.minute(2 * SIX, 50)
    found = watch(venue)
    assert (found.minutes, found.under) == (2, 1)
    venue.policy(pools={})
    venue.minute(3 * SIX, 50)
    assert watch(venue).minutes == 2


@pytest.mark.parametrize("rules", [{"oi_window_days": 0}, {"fund_interval_ms": 0}])
def test_a_policy_without_window_or_interval(rules: dict[str, Any]) -> None:
    found = watch(entries(steps((9, 100)), **rules))
    assert found.last is not None
    assert (found.last.expected, found.last.coverage) == (0, Fraction(0))
    assert found.under == ("fund_interval_ms" in rules)


def test_only_what_is_later_counts_and_the_window_reaches_back() -> None:
    venue = entries(steps((9, 100), (9, 100), (90, 100), (9, 100)))
    found = watch(venue, since=at(2 * SIX))
    assert (found.minutes, found.under) == (2, 1)
    assert found.least is not None
    assert found.least.samples == 3


@pytest.mark.parametrize(
    ("ratio", "shown"),
    [
        (Fraction(0), "0.00 %"),
        (Fraction(1, 3), "33.33 %"),
        (Fraction(2, 3), "66.66 %"),
        (Fraction(10**9 - 1, 10**9), "99.99 %"),
        (Fraction(1), "100.00 %"),
        (Fraction(123456, 1000), "12345.60 %"),
    ],
)
def test_percentages_are_rounded_down(ratio: Fraction, shown: str) -> None:
    assert percent(ratio) == shown


@given(
    st.lists(
        st.tuples(st.integers(1, 600), st.integers(0, 60), st.integers(0, 200)),
        min_size=1,
        max_size=25,
    )
)
def test_as_whoever_adds_up_every_window_anew(rows: list[tuple[int, int, int]]) -> None:
    venue, minute, said = FundVenue(**RULES), 0, []
    for wait, balance, interest in rows:
        minute += wait
        said.append((minute, balance, interest))
    found = watch(entries(said, venue))
    below = set()
    for i, (now, balance, _) in enumerate(said):
        newest = {at(then) // (6 * HOUR): (then, sample) for then, _, sample in said[: i + 1]}
        samples = [sample for then, sample in newest.values() if then > now - DAY]
        if balance < Fraction(20, 100) * Fraction(sum(samples), len(samples)):
            below.add(at(now) // (6 * HOUR))
    numbers = {at(now) // (6 * HOUR) for now, *_ in said}
    assert (found.minutes, found.under) == (len(numbers), len(below))
