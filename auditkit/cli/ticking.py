"""publish fund over time: an entry every interval until interrupted, or history in bulk."""

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from auditkit.cli.result import Code, Format, Result
from auditkit.cli.terminal import Page, coloured, is_terminal, write
from auditkit.errors import InputError, shown
from auditkit.money import format_amount
from auditkit.verify.elements import time_text

if TYPE_CHECKING:
    from auditkit.publish.signers import Signers
    from auditkit.publish.ticker import Tick
    from auditkit.verify.statements import Policy

_UNITS = {"s": 1000, "m": 60_000, "h": 3_600_000}


def interval(text: str, option: str = "--every") -> int:
    """The milliseconds of text such as 60s, 1m or 1h. Raises InputError."""
    match = re.fullmatch(r"([1-9][0-9]{0,5})([smh])", text)
    if match is None:
        raise InputError(f"{option}: {shown(text)} is no interval; write for example 60s, 5m or 1h")
    return int(match[1]) * _UNITS[match[2]]


def run(
    folder: Path, signers: "Signers", pools: Path | None, command: str | None, every: int
) -> int:
    """Publish until interrupted, a line an interval. Never returns but by an exception."""
    from auditkit.publish.ticker import CommandSource, FileSource, Ticker
    from auditkit.publish.venue import Venue

    if pools is None and not str(command).strip():
        raise InputError("--command: is empty; name a command that prints a pools.toml")
    source = FileSource(pools) if pools else CommandSource(str(command), every // 2)
    ticker = Ticker(folder, signers, source, every)
    with Venue(folder) as venue:
        policy = venue.log.policy(venue.last_index().policy)
    if policy.fund_interval_ms != every:
        told = f"the policy promises an entry every {policy.fund_interval_ms} ms, not {every} ms"
        write(f"NOTE: {told}; what it promises and is not there is a gap.\n", error=True)
    ticker.run(lambda tick: _say(tick, policy))
    return Code.OK


def _say(tick: "Tick", policy: "Policy") -> None:
    page = Page()
    when = time_text(tick.start)
    if tick.entry is None:
        page.line(f"ERROR: {when} has no entry: {tick.problem}", "bad")
        write(page.render(colour=coloured(error=True), columns=None), error=True)
        return
    if tick.missed:
        gap = "1 interval has" if tick.missed == 1 else f"{tick.missed} intervals have"
        page.line(f"NOTE: {gap} no entry before {when}.", "warn")
    held = ", ".join(
        f"{row.pool} {_money(policy, row.pool, row.closing)}" for row in tick.entry.pools
    )
    page.line(f"PUBLISHED {when}: entry {tick.entry.seq}: {held}")
    for note in tick.notes:
        page.line(f"NOTE: {note}.", "warn")
    write(page.render(colour=coloured(), columns=None))


def _money(policy: "Policy", pool: str, units: int) -> str:
    known = policy.pools.get(pool)
    return (
        f"{format_amount(units, policy.assets[known.asset])} {known.asset}" if known else str(units)
    )


def backfill(folder: Path, signers: "Signers", path: Path, form: Format) -> int:
    """Publish history in bulk, and say how much of it."""
    from auditkit.publish import backfill as bulk
    from auditkit.publish.venue import Venue

    with Venue(folder) as venue:
        done = bulk.publish(venue, signers, path, _progress if is_terminal(error=True) else None)
        size = len(venue.history)
    page = Page()
    page.line(f"PUBLISHED {done.appended} entries of the fund; the log has {size}.", "good")
    if done.known:
        page.line(f"{done.known} were in the log already.")
    for note in done.notes:
        page.line(f"NOTE: {note}.", "warn")
    found: dict[str, Any] = {
        "appended": done.appended,
        "known": done.known,
        "size": size,
        "notes": list(done.notes),
    }
    return Result(Code.OK, "published", page, found).show(form)


def _progress(done: int, whole: int) -> None:
    write(f"\r{done} of {whole} entries" + ("\n" if done == whole else ""), error=True)
