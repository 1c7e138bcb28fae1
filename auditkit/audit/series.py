"""C1 and H2: whether the fund's entries follow from each other, and how full it was.

C1 goes pool by pool: what each opens with and adds up to, that every interval
and every pool is there, that draws are booked as they were logged, and that no
correction took what an event needed (`outflows.py`). Whether a draw itself was
right is for C2.
"""

from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import groupby

from auditkit.audit.findings import MAX_ROWS, Finding, finding
from auditkit.audit.outflows import outflows
from auditkit.fund.series import DAY_MS, PoolSeries, Series, Span
from auditkit.fund.threshold import watches
from auditkit.log.published import Log
from auditkit.verify.elements import time_text
from auditkit.verify.errors import NotVerified
from auditkit.verify.statements import Draw, Run

SUBJECT = "the insurance fund"

Row = dict[str, str]


def c1(log: Log) -> Finding:
    """The entries of the fund follow from each other, and none is missing."""
    return _of(log, ["C1"])[0]


def h2(log: Log) -> Finding:
    """The fund was never below the policy's threshold."""
    return _of(log, ["H2"])[0]


def fund_findings(log: Log) -> list[Finding]:
    """C1 and H2, of one reading of the log."""
    return _of(log, list(_PROCEDURES))


def _of(log: Log, names: Sequence[str]) -> list[Finding]:
    try:
        series = Series.read(log)
        return [_PROCEDURES[name](log, series) for name in names]
    except NotVerified as error:
        lacks = f"statements that can be read (see LOG: {error})"
        return [finding(name, SUBJECT, compared=(), missing=[lacks]) for name in names]


def _c1(log: Log, series: Series) -> Finding:
    spans = list(series.spans())
    rows = list(_gaps(series))
    for pool in series.pools.values():
        draws = [d for d in log.of(Draw) if (d.pool, d.asset) == (pool.pool, pool.asset)]
        rows += _chain(pool, spans)
        rows += _left(pool, spans, draws)
        rows += _booked(series, pool, draws)
        rows += _unlisted(series, pool, spans)
    for seq, time, *said in outflows(series, spans, log.of(Run)):
        rows.append(_row(seq, time, *said))
    missing = _lacks(series)
    compared = [] if missing else _numbers(series)
    return finding("C1", SUBJECT, compared=compared, rows=_ordered(rows), missing=missing)


def _ordered(rows: Iterable[Row]) -> list[Row]:
    return sorted(rows, key=lambda row: int(row["entry"]))


def _row(seq: int, time: int, what: str, expected: str, found: str) -> Row:
    place = {"entry": str(seq), "time": time_text(time)}
    return {**place, "what": what, "expected": expected, "found": found}


def _lacks(series: Series) -> list[str]:
    """Without what nothing, or not everything, can be compared."""
    if not any(policy.pools for policy in series.policies):
        return ["a policy with a pool"]
    idle = [str(p.seq) for p in series.policies if p.pools and not p.fund_interval_ms]
    found = [f"fund_interval_ms above 0 (policy {seq})" for seq in idle]
    return found if series.seqs else [*found, "a fund entry"]


def _gaps(series: Series) -> Iterator[Row]:
    stood = sorted(
        [*zip(series.times, series.seqs, strict=True), *((p.time, p.seq) for p in series.policies)]
    )
    for gap in series.gaps():
        _, seq = stood[bisect_right(stood, (gap.start, series.size)) - 1]
        what = f"intervals without a fund entry: {gap.missing}"
        yield _row(
            seq, gap.start, what, "an entry every interval", f"none until {time_text(gap.end)}"
        )


def _chain(pool: PoolSeries, spans: Sequence[Span]) -> Iterator[Row]:
    """What the pool adds up to, and that it opens as it closed; 0 if it is new."""
    away = [(span.low, span.high) for span in spans if not pool.within(span.policy)]
    for row, seq in enumerate(pool.seqs):
        opening, due, name = pool.opening[row], pool.due(row), f"pool {pool.pool}"
        place, said = (seq, pool.times[row]), pool.money(opening)
        if row == 0 or any(pool.seqs[row - 1] < low and high <= seq for low, high in away):
            if opening:
                yield _row(*place, f"the new {name} opens with money in it", pool.money(0), said)
        # An entry that adds up wrong was reported: the next may open with what it should have.
        elif opening != (closed := pool.closing[row - 1]) and opening != pool.due(row - 1):
            yield _row(*place, f"{name} does not open as it closed", pool.money(closed), said)
        if pool.closing[row] != due:
            found = pool.money(pool.closing[row])
            yield _row(*place, f"{name} adds up wrong", pool.money(due), found)


def _left(pool: PoolSeries, spans: Sequence[Span], draws: Sequence[Draw]) -> Iterator[Row]:
    """A pool leaves the policy only with nothing in it, draws not booked yet taken off."""
    entered: int | None = None
    for span in spans:
        if pool.within(span.policy):
            entered = span.low if entered is None else entered
        elif entered is not None:
            rows = pool.between(entered, span.low)
            entered = None
            if not rows:
                continue
            booked = pool.seqs[rows[-1]]
            left = pool.closing[rows[-1]]
            left -= sum(draw.drawn for draw in draws if booked < draw.seq < span.low)
            if left > 0:
                what = f"pool {pool.pool} left the policy with money in it"
                yield _row(span.low, span.start, what, pool.money(0), pool.money(left))


def _booked(series: Series, pool: PoolSeries, draws: Sequence[Draw]) -> Iterator[Row]:
    """What an entry books as drawn is what was logged since the entry before."""
    logged: Counter[int] = Counter()
    for draw in draws:
        logged[bisect_left(series.seqs, draw.seq)] += draw.drawn
    due = {series.seqs[i]: units for i, units in logged.items() if i < len(series.seqs)}
    for seq, time, booked in zip(pool.seqs, pool.times, pool.debits["draw"], strict=True):
        if booked != due.get(seq, 0):
            what = f"pool {pool.pool} books other draws than were logged"
            yield _row(seq, time, what, pool.money(due.get(seq, 0)), pool.money(booked))


def _unlisted(series: Series, pool: PoolSeries, spans: Sequence[Span]) -> Iterator[Row]:
    """Every entry lists the policy's pools and no other; entries in a row are one row."""
    for span in spans:
        first, last = (bisect_left(series.seqs, seq) for seq in (span.low, span.high))
        listed, due = pool.between(span.low, span.high), pool.within(span.policy)
        if len(listed) == (last - first if due else 0):
            continue
        has = {pool.seqs[row] for row in listed}
        wrong = (i for i in range(first, last) if (series.seqs[i] in has) != due)
        for _, group in groupby(enumerate(wrong), lambda pair: pair[1] - pair[0]):
            entries = [i for _, i in group]
            what = f"pool {pool.pool}" if due else f"pool {pool.pool}, of no policy's, is listed"
            expected = f"listed as policy {span.policy.seq} has it" if due else "no such pool"
            found = f"entries {'without' if due else 'with'} it: {len(entries)}, "
            found += f"up to {time_text(series.times[entries[-1]])}"
            yield _row(series.seqs[entries[0]], series.times[entries[0]], what, expected, found)


def _numbers(series: Series) -> list[tuple[str, str]]:
    """What was compared; injections and corrections one by one."""
    policy, first = series.policies[-1], series.times[0]
    days = (series.end - first) // DAY_MS
    younger = "" if days >= policy.fund_history_days else "; the log has no more"
    found = [
        (
            "fund entries",
            f"{len(series.seqs)}, {time_text(first)} to {time_text(series.times[-1])}",
        ),
        *(
            (f"interval by policy {p.seq}, {time_text(p.time)}", f"{p.fund_interval_ms} ms")
            for p in series.policies
        ),
        ("history", f"{days} of {policy.fund_history_days} days{younger}"),
    ]
    listed: list[tuple[int, str, str]] = []
    for pool in filter(len, series.pools.values()):
        found.append((f"pool {pool.pool}", f"{len(pool)} entries, {pool.money(pool.closing[-1])}"))
        for what, sign, column in (
            ("injection", 1, pool.credits["operator_injection"]),
            ("correction", 1, pool.credits["correction"]),
            ("correction", -1, pool.debits["correction"]),
        ):
            moves = [row for row, units in enumerate(column) if units]
            if moves:
                total = pool.money(sign * sum(column))
                found.append((f"{what}s of pool {pool.pool}", f"{len(moves)}: {total}"))
            for row in moves:
                name = f"{what} of pool {pool.pool}, entry {pool.seqs[row]}"
                text = f"{pool.money(sign * column[row])} at {time_text(pool.times[row])}"
                listed.append((pool.seqs[row], name, text))
    listed.sort()
    found += [(name, text) for _, name, text in listed[:MAX_ROWS]]
    if len(listed) > MAX_ROWS:
        found.append(("not listed here", f"{len(listed) - MAX_ROWS} more of them"))
    return found


def _h2(_: Log, series: Series) -> Finding:
    rows: list[Row] = []
    compared: list[tuple[str, str]] = []
    missing = _lacks(series)
    blind = [str(p.seq) for p in series.policies if p.pools and not p.oi_window_days]
    missing += [f"oi_window_days above 0 (policy {seq})" for seq in blind]
    for watch in watches(series):
        if watch.last is None:
            missing.append(f"a fund entry that lists a pool of {watch.asset}")
            continue
        compared += [(f"{watch.asset}, {name}", text) for name, text in watch.numbers()]
        for stretch in watch.stretches:
            seq = series.seqs[bisect_left(series.times, stretch.start)]
            n, d = stretch.lowest.threshold
            what = f"intervals with the fund of {watch.asset} below: {stretch.minutes}, "
            what += f"up to {time_text(stretch.end)}"
            due = f"at least {n}/{d} of the mean open interest"
            rows.append(_row(seq, stretch.start, what, due, stretch.lowest.text))
    return finding("H2", SUBJECT, compared=compared, rows=_ordered(rows), missing=missing)


_PROCEDURES: dict[str, Callable[[Log, Series], Finding]] = {"C1": _c1, "H2": _h2}
