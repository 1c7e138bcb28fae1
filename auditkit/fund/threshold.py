"""The fund against its mean open interest, exact, entry by entry (SPEC.md §5, `oi_threshold`).

An asset's fund is the sum of its pools, and so is its open interest. The mean
is over one sample an interval, the last entry of each: a venue that logs more
entries does not weigh more. The window of an entry at time t is what is later
than t - `oi_window_days` and not later than t; the samples that it lacks are
stated as coverage, never guessed. With m samples that add up to S, a balance b
is below a threshold of n/d if b * m * d < n * S, in integers.
"""

from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction

from auditkit.fund.series import DAY_MS, Series
from auditkit.verify.elements import time_text
from auditkit.verify.statements import Policy


def percent(ratio: Fraction) -> str:
    """A ratio with two decimals, rounded down: what is below 20 % never shows as 20.00 %."""
    hundredths = ratio.numerator * 10_000 // ratio.denominator
    return f"{hundredths // 100}.{hundredths % 100:02d} %"


@dataclass(frozen=True, slots=True)
class Level:
    """An asset's fund at one time, beside the samples in its window.

    `interest` is the sum of the samples, `expected` how many a whole window has.
    """

    time: int
    balance: int
    interest: int
    samples: int
    expected: int
    threshold: tuple[int, int]

    @property
    def below(self) -> bool:
        """Whether the fund is strictly below the threshold; without open interest it never is."""
        share, whole = self.threshold
        return self.balance * self.samples * whole < share * self.interest

    @property
    def ratio(self) -> Fraction | None:
        """The fund by the mean open interest; None if there is no open interest."""
        return Fraction(self.balance * self.samples, self.interest) if self.interest else None

    @property
    def coverage(self) -> Fraction:
        """The samples that there are, by those of a whole window."""
        return min(Fraction(self.samples, self.expected or 1), Fraction(self.expected > 0))

    @property
    def text(self) -> str:
        """The ratio for people: rounded down, and exactly."""
        ratio = self.ratio
        shown = "no open interest" if ratio is None else f"{percent(ratio)} ({ratio})"
        return f"{shown} at {time_text(self.time)}"

    def thinner(self, other: "Level") -> bool:
        """Whether fewer of the samples of a whole window are there."""
        return self.samples * other.expected < other.samples * self.expected

    def lower(self, other: "Level") -> bool:
        """Whether the ratio is lower than the other's, for levels that have open interest."""
        mine = self.balance * self.samples * other.interest
        return mine < other.balance * other.samples * self.interest


@dataclass(slots=True)
class Stretch:
    """Entries in a row that are below: the times of the first and the last, how many intervals."""

    start: int
    end: int
    minutes: int
    lowest: Level


@dataclass(slots=True)
class Watch:
    """One asset's fund over a time: `minutes` are the intervals that have an entry.

    `idle` is how many entries have no open interest in their window. `least`
    is the level of the lowest coverage, `last` the last one.
    """

    asset: str
    decimals: int
    minutes: int = 0
    idle: int = 0
    stretches: list[Stretch] = field(default_factory=list)
    least: Level | None = None
    last: Level | None = None
    _minute: tuple[int, int] | None = None
    _low: tuple[int, int] | None = None
    _below: bool = False

    @property
    def under(self) -> int:
        """In how many intervals the fund was below the threshold."""
        return sum(stretch.minutes for stretch in self.stretches)

    def numbers(self) -> list[tuple[str, str]]:
        """What was compared, by name, for people; nothing where no entry was."""
        if self.last is None or self.least is None:
            return []
        n, d = self.last.threshold
        found = [
            ("threshold", f"{n}/{d} of the mean open interest"),
            ("intervals", f"{self.minutes}, {self.under} of them below"),
            ("last", self.last.text),
        ]
        for name, level in (("lowest coverage", self.least), ("last coverage", self.last)):
            samples = f"{level.samples} of {level.expected} samples"
            text = f"{percent(level.coverage)}: {samples} at {time_text(level.time)}"
            found.append((name, text))
        if self.idle:
            found.append(("without open interest", f"{self.idle} entries, never below"))
        return found

    def see(self, level: Level, minute: tuple[int, int]) -> None:
        """Count one entry, of that interval."""
        self.minutes += minute != self._minute
        self.idle += not level.interest
        if self.least is None or level.thinner(self.least):
            self.least = level
        self.last, self._minute = level, minute
        below = level.below
        if below and not self._below:
            self.stretches.append(Stretch(level.time, level.time, 0, level))
        if below:
            stretch = self.stretches[-1]
            stretch.end = level.time
            stretch.minutes += minute != self._low
            self._low = minute
            if level.lower(stretch.lowest):
                stretch.lowest = level
        self._below = below


@dataclass(slots=True)
class _Window:
    """The samples so far and their running sums."""

    times: list[int] = field(default_factory=list)
    sums: list[int] = field(default_factory=lambda: [0])
    minute: tuple[int, int] | None = None

    def see(self, policy: Policy, time: int, balance: int, interest: int) -> Level:
        """Take the sample of an entry, and measure its balance."""
        interval = policy.fund_interval_ms
        minute = (interval, time // interval if interval else time)
        if minute == self.minute:
            self.times.pop()
            self.sums.pop()
        self.minute = minute
        self.times.append(time)
        self.sums.append(self.sums[-1] + interest)
        window = policy.oi_window_days * DAY_MS
        first = bisect_right(self.times, time - window)
        return Level(
            time,
            balance,
            self.sums[-1] - self.sums[first],
            len(self.times) - first,
            window // interval if interval else 0,
            policy.oi_threshold,
        )


def watches(series: Series, since: int = -1) -> list[Watch]:
    """Every asset that has a pool, its entries later than `since` measured."""
    return [_watch(series, asset, since) for asset in sorted({a for _, a in series.pools if a})]


def _watch(series: Series, asset: str, since: int) -> Watch:
    decimals = next(pool.decimals for pool in series.pools.values() if pool.asset == asset)
    found, window = Watch(asset, decimals), _Window()
    for policy, time, balance, interest in _entries(series, asset):
        level = window.see(policy, time, balance, interest)
        if time > since and window.minute is not None:
            found.see(level, window.minute)
    return found


def _entries(series: Series, asset: str) -> Iterator[tuple[Policy, int, int, int]]:
    """Policy, time, balance and open interest of the entries that list a pool of the asset."""
    for span in series.spans():
        sums: dict[int, tuple[int, int]] = {}
        for name, pool in span.policy.pools.items():
            rows = series.pools.get((name, pool.asset))
            if rows is None or pool.asset != asset:
                continue
            for row in rows.between(span.low, span.high):
                balance, interest = sums.get(rows.times[row], (0, 0))
                closing, open_interest = rows.closing[row], rows.open_interest[row]
                sums[rows.times[row]] = (balance + closing, interest + open_interest)
        for time in sorted(sums):
            yield span.policy, time, *sums[time]
