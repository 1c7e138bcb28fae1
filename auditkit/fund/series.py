"""The fund's entries of a verified log as a series, pool by pool (SPEC.md §5, `fund`).

A series says what the venue signed and judges none of it: whether the entries
follow from each other is for `audit/series.py`. Times are milliseconds since
1970, amounts base units.
"""

import re
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Self

from auditkit.log.entries import CREDITS, DEBITS, read_entry
from auditkit.log.published import Log
from auditkit.money import format_amount
from auditkit.verify.elements import time_text
from auditkit.verify.errors import Refuted, inside
from auditkit.verify.records import PoolRow
from auditkit.verify.statements import KINDS, Fund, Policy, Statement

DAY_MS = 86_400_000

# In canonical text a quote is never part of a string, so the bytes tell kind and time.
_FORMAT = re.compile(rb'"format":"([^"]*)"')
_TIME = re.compile(rb'"time":"([^"]*)"')


@dataclass(frozen=True, slots=True)
class Gap:
    """How many intervals have no entry, between two times that have one or bound the series."""

    start: int
    end: int
    missing: int


@dataclass(slots=True)
class PoolSeries:
    """One pool's rows in the order of the log, as columns of equal length.

    `credits` and `debits` hold by kind what an entry books of it in all.
    """

    pool: str
    asset: str
    decimals: int
    seqs: "array[int]" = field(default_factory=lambda: array("q"))
    times: "array[int]" = field(default_factory=lambda: array("q"))
    opening: list[int] = field(default_factory=list)
    closing: list[int] = field(default_factory=list)
    open_interest: list[int] = field(default_factory=list)
    credits: dict[str, list[int]] = field(default_factory=lambda: {kind: [] for kind in CREDITS})
    debits: dict[str, list[int]] = field(default_factory=lambda: {kind: [] for kind in DEBITS})

    def __len__(self) -> int:
        return len(self.seqs)

    def add(self, entry: Fund, row: PoolRow) -> None:
        """Append the pool's row of an entry."""
        self.seqs.append(entry.seq)
        self.times.append(entry.time)
        self.opening.append(row.opening)
        self.closing.append(row.closing)
        self.open_interest.append(row.open_interest)
        for columns, moves in ((self.credits, row.credits), (self.debits, row.debits)):
            for column in columns.values():
                column.append(0)
            for move in moves:
                columns[move.kind][-1] += move.amount

    def due(self, row: int) -> int:
        """What a row's closing has to be; below 0 where it books more than there is."""
        added = sum(column[row] for column in self.credits.values())
        taken = sum(column[row] for column in self.debits.values())
        return self.opening[row] + added - taken

    def money(self, units: int) -> str:
        """Base units, which may be negative, as text such as `1.25000000 BTC`."""
        text = format_amount(abs(units), self.decimals)
        return f"{'-' if units < 0 else ''}{text} {self.asset or 'base units'}"

    def within(self, policy: Policy) -> bool:
        """Whether the policy has this pool, of this asset."""
        pool = policy.pools.get(self.pool)
        return pool is not None and pool.asset == self.asset

    def rows(self, since: int) -> range:
        """The rows that are later than `since`."""
        return range(bisect_right(self.times, since), len(self))

    def between(self, low: int, high: int) -> range:
        """The rows of the entries with low <= seq < high."""
        return range(bisect_left(self.seqs, low), bisect_left(self.seqs, high))


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of the log under one policy: the seqs low <= seq < high, and its times."""

    policy: Policy
    low: int
    high: int
    start: int
    end: int


@dataclass(slots=True)
class Series:
    """Every fund entry of a log: `seqs` and `times` of all, and the pools' rows by pool and asset.

    A pool whose asset changes is another one from then on. A pool that no
    policy names has the asset "". `skipped` entries were older than wanted.
    """

    size: int
    start: int
    end: int = 0
    skipped: int = 0
    policies: list[Policy] = field(default_factory=list)
    seqs: "array[int]" = field(default_factory=lambda: array("q"))
    times: "array[int]" = field(default_factory=lambda: array("q"))
    pools: dict[tuple[str, str], PoolSeries] = field(default_factory=dict)
    _assets: dict[str, str] = field(default_factory=dict)

    @classmethod
    def read(cls, log: Log, pools: Collection[str] | None = None, since: int | None = None) -> Self:
        """The rows of these pools (None: of all) in the entries that are not before `since`.

        Raises Malformed or Unsupported where an entry cannot be read that may
        be the fund's, Refuted where one says another place or an earlier time.
        """
        found = cls(len(log), since or 0)
        oldest = time_text(since).encode() if since and since > 0 else b""
        for seq, entry in enumerate(log.entries):
            kind = _kind(entry)
            if kind is Fund and oldest and (at := _TIME.search(entry)) and at[1] < oldest:
                found.skipped += 1
            elif kind in (None, Fund, Policy):
                with inside(f"entry {seq}"):
                    found._see(_placed(log, seq), pools)
        if len(log):
            with inside(f"entry {len(log) - 1}"):
                found.end = max(found.end, _placed(log, len(log) - 1).time)
        return found

    def _see(self, statement: Statement, pools: Collection[str] | None) -> None:
        if statement.time <= self.end:
            raise Refuted(
                "the time is not after that of the entries before",
                expected=f"after {time_text(self.end)}",
                found=time_text(statement.time),
            )
        self.end = statement.time
        if isinstance(statement, Policy):
            self.policies.append(statement)
            for name, pool in statement.pools.items():
                self._assets[name] = pool.asset
                if pools is None or name in pools:
                    self._pool(name, statement)
        elif isinstance(statement, Fund):
            self.seqs.append(statement.seq)
            self.times.append(statement.time)
            for row in statement.pools:
                if pools is None or row.pool in pools:
                    self._pool(row.pool, None).add(statement, row)

    def _pool(self, name: str, policy: Policy | None) -> PoolSeries:
        asset = self._assets.get(name, "")
        if (name, asset) not in self.pools:
            decimals = policy.assets[asset] if policy else 0
            self.pools[name, asset] = PoolSeries(name, asset, decimals)
        return self.pools[name, asset]

    def spans(self) -> Iterator[Span]:
        """The log cut where its policy changes."""
        ends = [(policy.seq, policy.time) for policy in self.policies[1:]]
        for policy, (high, end) in zip(self.policies, [*ends, (self.size, self.end)], strict=False):
            yield Span(policy, policy.seq, high, policy.time, end)

    def gaps(self, pool: PoolSeries | None = None, since: int = 0) -> list[Gap]:
        """Where intervals passed without an entry (or without that pool in it) since a time.

        Time is cut into the policy's intervals, numbered from 1970. Not counted
        are those that a change of the policy or the log's end falls into, nor
        any while the policy has no pool, or not this one.
        """

        def wanted(policy: Policy) -> bool:
            return bool(policy.pools) if pool is None else pool.within(policy)

        since, times = max(since, self.start), self.times if pool is None else pool.times
        found: list[Gap] = []
        for interval, low, high in _intervals(self.spans(), wanted):
            start, end = max(low, since), high
            if interval and start < end:
                inner = times[bisect_right(times, start) : bisect_left(times, end)]
                found += _missed([start, *inner, end], interval)
        return found


def _intervals(
    spans: Iterable[Span], wanted: Callable[[Policy], bool]
) -> Iterator[tuple[int, int, int]]:
    """(interval, start, end) of the times in which entries are due every so often."""
    current: tuple[int, int, int] | None = None
    for span in spans:
        interval = span.policy.fund_interval_ms if wanted(span.policy) else 0
        if current and current[0] == interval:
            current = (interval, current[1], span.end)
            continue
        if current:
            yield current
        current = (interval, span.start, span.end)
    if current:
        yield current


def _missed(times: Iterable[int], interval: int) -> Iterator[Gap]:
    for start, end in pairwise(times):
        missing = end // interval - start // interval - 1
        if missing > 0:
            yield Gap(start, end, missing)


def _kind(entry: bytes) -> type[Statement] | None:
    """What an entry says it is; None if that is nothing this version knows."""
    match = _FORMAT.search(entry)
    return KINDS.get(match[1].decode("latin-1")) if match else None


def _placed(log: Log, seq: int) -> Statement:
    """The statement at `seq`, which is not kept: a log has many."""
    statement = read_entry(log.entries[seq])
    if (statement.seq, statement.venue) != (seq, log.key.name):
        raise Refuted(
            "the statement says another seq or venue than its place in the log",
            expected=f"{seq} of {log.key.name}",
            found=f"{statement.seq} of {statement.venue}",
        )
    return statement
