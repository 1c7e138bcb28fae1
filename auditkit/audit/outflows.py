"""C1: what corrections took out of the fund right before an event needed it."""

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from typing import TypeVar

from auditkit.fund.series import DAY_MS, PoolSeries, Series, Span
from auditkit.verify.statements import Adl, Deficit, Draw, Run

R = TypeVar("R", bound=Run)


def outflows(
    series: Series, spans: Sequence[Span], runs: Sequence[Run]
) -> Iterator[tuple[int, int, str, str, str]]:
    """Corrections that took money out of a pool in the day before an event that lacked it.

    The event lacked it if its draw covered less than was left to cover, or if
    the pool had no more than its floor. What was corrected back does not count.
    Of each event: the seq and time of the last such entry, and what is wrong
    with it, what was due and what was found.
    """
    for deficit in (run for run in runs if isinstance(run, Deficit)):
        held = [span.policy for span in spans if span.low < deficit.seq < span.high]
        named = series.pools.get((deficit.pool, deficit.asset))
        if named is None or not held or not named.within(policy := held[0]):
            continue
        name = (deficit.asset, deficit.event)
        run = [r for r in runs if (r.asset, r.event) == name and r.seq > deficit.seq]
        draw, adl = _first(run, Draw), _first(run, Adl)
        short = 0
        if draw and "draw" in policy.waterfall:
            earlier = policy.waterfall[: policy.waterfall.index("draw")]
            rest = deficit.ledger.total - (adl.ledger.total if adl and "adl" in earlier else 0)
            short = max(0, rest - draw.drawn)
        # What left with a pool that was dropped would have been there to be drawn.
        gone = [
            pool
            for (_, asset), pool in series.pools.items()
            if asset == deficit.asset and not pool.within(policy)
        ]
        for pool in (named, *gone):
            until = bisect_left(pool.seqs, draw.seq if draw else deficit.seq)
            rows = range(bisect_left(pool.times, deficit.confirmed - DAY_MS), until)
            taken = _taken(pool, rows)
            low = pool is named and rows and pool.closing[rows[-1]] <= policy.pools[pool.pool].floor
            if taken and (short or low):
                last, total = max(taken), sum(taken.values())
                before = deficit.confirmed - pool.times[last]
                when = f"{abs(before)} ms {'before' if before >= 0 else 'after'} it was confirmed"
                found = f"{pool.money(total)} taken out, the draw {pool.money(short)} short"
                what = f"correction of pool {pool.pool} by event {deficit.event}, {when}"
                due = "nothing taken out in the day before"
                yield pool.seqs[last], pool.times[last], what, due, found


def _first(runs: Iterable[Run], kind: type[R]) -> R | None:
    return next((run for run in runs if isinstance(run, kind)), None)


def _taken(pool: PoolSeries, rows: range) -> dict[int, int]:
    """By row, what corrections took out and no later one put back."""
    found: dict[int, int] = {}
    back = 0
    for row in reversed(rows):
        back += pool.credits["correction"][row]
        out = pool.debits["correction"][row]
        undone = min(back, out)
        back -= undone
        if out > undone:
            found[row] = out - undone
    return found
