"""The faces of a fund's series: for people with a chart, as one object, as a table."""

from collections.abc import Iterator, Sequence
from heapq import merge
from typing import Any

from auditkit.cli.chart import chart
from auditkit.cli.terminal import Page, coloured, width
from auditkit.errors import InputError, shown
from auditkit.fund.series import DAY_MS, Gap, PoolSeries, Series
from auditkit.fund.threshold import Level, Watch, watches
from auditkit.log.entries import CREDITS
from auditkit.log.published import Log
from auditkit.verify.elements import time_text
from auditkit.verify.statements import Policy

_LISTED = 10
_WORD = (
    "What the entries say is the venue's word, as it signed it. Whether they follow from each "
    "other: auditkit audit fund."
)


class View:
    """What is shown of a verified log: the pools wanted, so many days back from its end."""

    def __init__(self, log: Log, wanted: Sequence[str], days: int) -> None:
        """Raises InputError for unknown pools, and what `Series.read` raises."""
        policies = log.of(Policy)
        pools = {name: pool.asset for policy in policies for name, pool in policy.pools.items()}
        for name in wanted:
            if name not in pools:
                known = ", ".join(sorted(pools)) or "none"
                raise InputError(f"--pool: the venue has no pool {shown(name)}; its pools: {known}")
        assets = {pools[name] for name in wanted}
        related = {name for name, asset in pools.items() if asset in assets}
        end = log[len(log) - 1].time if len(log) else 0
        window = max((policy.oi_window_days for policy in policies), default=0)
        self.log, self.days, self.since = log, days, max(end - days * DAY_MS, 0)
        oldest = end - (days + window) * DAY_MS
        self.series = Series.read(log, related if wanted else None, oldest)
        if not self.series.seqs:
            raise InputError("the log has no fund entry, so there is nothing to show")
        found = self.series.pools.values()
        self.pools = [p for p in found if (p.pool in wanted or not wanted) and p.rows(self.since)]
        self.watches = watches(self.series, self.since)

    def _verified(self) -> str:
        """How much of the log was verified."""
        read, skipped = len(self.series.seqs), self.series.skipped
        older = f"; {skipped} older ones are not needed" if skipped else ""
        return (
            f"the signature and every hash of {len(self.log)} entries; "
            f"{read} fund entries parsed{older}"
        )

    def _first(self) -> str:
        """From when on the log is shown."""
        begun = self.series.policies[0].time if self.series.policies else 0
        return time_text(max(self.since, begun))

    def pages(self) -> Iterator[str]:
        """For people: a part for each pool, with its chart, and one for each asset."""
        page = Page()
        page.line(f"VERIFIED: {self._verified()}", "good")
        page.line(_WORD)
        shown_for = f"{self.days} days, {self._first()} to {time_text(self.series.end)}"
        about = [("venue", self.log.key.name), ("key id", self.log.key.id.hex())]
        page.pairs([*about, ("shown", shown_for)])
        yield _text(page)
        for pool in self.pools:
            page = Page()
            page.line(f"Pool {pool.pool}", "head")
            self._pool(page, pool)
            yield f"\n{_text(page)}{self._chart(pool)}"
        for watch in self.watches:
            page = Page()
            page.line(f"The fund of {watch.asset} against its mean open interest", "head")
            page.pairs(watch.numbers())
            lines = [
                f"intervals below: {s.minutes}, {time_text(s.start)} to {time_text(s.end)}; "
                f"lowest {s.lowest.text}"
                for s in watch.stretches
            ]
            _list(page, lines, "warn")
            yield f"\n{_text(page)}"

    def _pool(self, page: Page, pool: PoolSeries) -> None:
        rows = pool.rows(self.since)
        last, first = rows[-1], rows[0]
        balance = f"{pool.money(pool.closing[last])} at {time_text(pool.times[last])}"
        opened = f"{pool.money(pool.opening[first])} at {time_text(pool.times[first])}"
        moves = [
            (name, f"{pool.money(units)}, in {_entries(count)}" if count else "none")
            for name, units, count in _moves(pool, rows)
        ]
        page.pairs([("balance", balance), ("opened with", opened), *moves])
        if odd := _odd(pool, rows):
            page.line(f"NOTE: {odd} of its entries do not follow from the one before.", "warn")
        gaps = [
            f"intervals missing: {g.missing}, {time_text(g.start)} to {time_text(g.end)}"
            for g in self._gaps(pool)
        ]
        _list(page, gaps or ["no interval is missing"], "warn" if gaps else "")

    def _gaps(self, pool: PoolSeries) -> list[Gap]:
        return self.series.gaps(pool, self.since)

    def _chart(self, pool: PoolSeries) -> str:
        rows = pool.rows(self.since)
        times, closing = pool.times[rows[0] :], pool.closing[rows[0] :]
        gaps = [(gap.start, gap.end) for gap in self._gaps(pool)]
        lines = chart(times, closing, gaps, width() - 4)
        if not lines:
            return ""
        ends = [time_text(time)[:16].replace("T", " ") for time in (times[0], times[-1])]
        room = max(len(ends[0]) + 1, width() - 4 - len(ends[1]))
        top = Page()
        highest = pool.money(max(closing))
        top.item(f"{highest} is the top, 0 the bottom; the lowest of each time is drawn", "")
        foot = f"{ends[0]:{room}}{ends[1]}"
        return _text(top) + "".join(f"  {line}".rstrip() + "\n" for line in [*lines, foot])

    def table(self) -> Iterator[str]:
        """As CSV: a line for each pool and entry, in natural units."""
        names = [*CREDITS[:-1], "correction_in", "draw", "correction_out"]
        head = ["time", "seq", "pool", "asset", "opening", *names, "closing", "open_interest"]
        lines = [",".join(head)]
        for _, _, line in merge(*(_lines(pool, pool.rows(self.since)) for pool in self.pools)):
            lines.append(line)
            if len(lines) >= 1000:
                yield "\n".join(lines) + "\n"
                lines = []
        yield "".join(f"{line}\n" for line in lines)

    def data(self) -> dict[str, Any]:
        """As one object; amounts in base units and natural ones, ratios as exact fractions."""
        return {
            "venue": self.log.key.name,
            "key_id": self.log.key.id.hex(),
            "log_size": len(self.log),
            "fund_entries": len(self.series.seqs),
            "older_entries": self.series.skipped,
            "verified": self._verified(),
            "since": self._first(),
            "until": time_text(self.series.end),
            "pools": [self._data(pool) for pool in self.pools],
            "thresholds": [_watched(watch) for watch in self.watches],
        }

    def _data(self, pool: PoolSeries) -> dict[str, Any]:
        rows = pool.rows(self.since)
        return {
            "pool": pool.pool,
            "asset": pool.asset,
            "entries": len(rows),
            "opening": _amount(pool, pool.opening[rows[0]]),
            "balance": _amount(pool, pool.closing[rows[-1]]),
            "time": time_text(pool.times[rows[-1]]),
            "moves": [
                {"kind": kind, "entries": count, "amount": _amount(pool, units)}
                for kind, units, count in _moves(pool, rows)
            ],
            "not_following": _odd(pool, rows),
            "gaps": [
                {"from": time_text(g.start), "to": time_text(g.end), "missing": g.missing}
                for g in self._gaps(pool)
            ],
        }


def _text(page: Page) -> str:
    return page.render(colour=coloured(), columns=width())


def _list(page: Page, lines: Sequence[str], style: str) -> None:
    for line in lines[:_LISTED]:
        page.item(line, "-", style)
    if len(lines) > _LISTED:
        page.item(f"and {len(lines) - _LISTED} more; --format json has all", "-", style)


def _moves(pool: PoolSeries, rows: range) -> list[tuple[str, int, int]]:
    """Of every kind of movement: its name, what it adds up to, in how many entries it is."""
    columns = [*pool.credits.items(), *pool.debits.items()]
    names = [*list(pool.credits)[:-1], "correction in", "draw", "correction out"]
    cut = [column[rows[0] :] for _, column in columns]
    return [(n, sum(c), len(c) - c.count(0)) for n, c in zip(names, cut, strict=True)]


def _odd(pool: PoolSeries, rows: range) -> int:
    """How many rows add up wrong or do not open as the one before closed."""
    return sum(
        pool.closing[row] != pool.due(row)
        or (row > 0 and pool.opening[row] != pool.closing[row - 1])
        for row in rows
    )


def _plain(pool: PoolSeries, units: int) -> str:
    return pool.money(units).partition(" ")[0].replace(",", "")


def _amount(pool: PoolSeries, units: int) -> dict[str, str]:
    return {"units": str(units), "natural": _plain(pool, units)}


def _lines(pool: PoolSeries, rows: range) -> Iterator[tuple[int, str, str]]:
    columns = [pool.opening, *pool.credits.values(), *pool.debits.values()]
    columns += [pool.closing, pool.open_interest]
    for row in rows:
        amounts = [_plain(pool, column[row]) for column in columns]
        seq = pool.seqs[row]
        start = [time_text(pool.times[row]), str(seq), pool.pool, pool.asset]
        yield seq, pool.pool, ",".join([*start, *amounts])


def _watched(watch: Watch) -> dict[str, Any]:
    return {
        "asset": watch.asset,
        "intervals": watch.minutes,
        "below": watch.under,
        "without_open_interest": watch.idle,
        "last": _level(watch.last),
        "lowest_coverage": _level(watch.least),
        "stretches": [
            {
                "from": time_text(stretch.start),
                "to": time_text(stretch.end),
                "intervals": stretch.minutes,
                "lowest": _level(stretch.lowest),
            }
            for stretch in watch.stretches
        ],
    }


def _level(level: Level | None) -> dict[str, str] | None:
    """Exact fractions as text: the threshold, the fund by the mean, and the coverage."""
    if level is None:
        return None
    return {
        "time": time_text(level.time),
        "threshold": "/".join(map(str, level.threshold)),
        "ratio": "" if level.ratio is None else str(level.ratio),
        "coverage": str(level.coverage),
    }


def _entries(count: int) -> str:
    return "1 entry" if count == 1 else f"{count} entries"
