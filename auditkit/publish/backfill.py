"""The fund's history in bulk, from before the venue went public (SPEC.md §5, `fund`).

It comes as a table with a row for each pool and time, or as a pools.toml whose
feeds name saved answers. All of it is read, booked and found to hold before
the first entry is logged. Then it is published in slices, each under a signed
checkpoint; a run that was interrupted is run again, and goes on where the log
ends.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from auditkit.errors import InputError, place
from auditkit.publish import clock, fund, past
from auditkit.publish.fund import Movements
from auditkit.publish.past import Past
from auditkit.publish.signers import SomeSigners
from auditkit.publish.venue import Venue
from auditkit.verify.elements import time_text
from auditkit.verify.history import MAX_ENTRY_BYTES
from auditkit.verify.records import PoolRow
from auditkit.verify.statements import Fund, Policy, parse

SLICE = 10_000
"""The most entries of one checkpoint."""
SLICE_ROWS = 100_000
"""The most rows of pools in them, so that a slice fits in memory."""
# Two entries need a millisecond between them for the index that may end a slice.
_APART = 2
_BLOCK = 1000
_FEW = 50


@dataclass(frozen=True, slots=True)
class Backfilled:
    """What a backfill did: entries of the fund appended, and found in the log already."""

    appended: int
    known: int
    notes: tuple[str, ...]


def publish(
    venue: Venue,
    signer: SomeSigners,
    path: Path,
    progress: Callable[[int, int], None] | None = None,
) -> Backfilled:
    """Log all that the file tells and the log does not have yet.

    `progress` hears after each slice how many entries are logged, and of how
    many. Raises InputError; what earlier slices logged stays.
    """
    size, policy = len(venue.history), venue.log.policy(venue.last_index().policy)
    told = past.read(path, policy)
    _check_times(told)
    count, known, notes = len(told.times), _known(venue, size, told), []
    step = max(1, min(SLICE, SLICE_ROWS // len(policy.pools)))
    for start in range(known, count, step):
        end = min(start + step, count)
        with venue.publishing(signer, told.times[start]) as draft:
            if draft.seq != size:
                raise InputError(
                    f"{place(path)}: somebody else published meanwhile; run the same command again"
                )
            held = {row.pool: row.closing for row in draft.last_fund_rows()}
            drawn = fund.unbooked_draws(draft)
            if start == known:
                notes = _check(told, known, policy, held, drawn)
            for time, rows, _ in _entries(told, start, end, held, drawn):
                draft.add(Fund, time=time, pools=rows)
        size += end - start + 1
        if progress is not None:
            progress(end, count)
    return Backfilled(count - known, known, tuple(notes))


def _check_times(told: Past) -> None:
    for at, (before, time) in enumerate(pairwise(told.times), 1):
        if time - before < _APART:
            raise told.refuse(at, f"is less than {_APART} ms after the one before; leave one out")
    if told.times[-1] > (now := clock.now()):
        at = bisect_right(told.times, now)
        raise told.refuse(at, f"is ahead of the clock, {time_text(now)}; leave out what is to come")


def _known(venue: Venue, size: int, told: Past) -> int:
    """How many of the times the log has already. Raises InputError if it has other entries."""
    last = venue.last_index().time
    count = bisect_right(told.times, last)
    moves, at = told.between(0, count), 0
    for logged in _logged(venue, size, told.times[0]) if count else ():
        if at == count or told.times[at] < logged.time:
            break
        if told.times[at] > logged.time:
            continue
        if pool := _different(logged, next(moves)):
            raise told.refuse(
                at, f"differs from entry {logged.seq} of the log, and what is logged stays", pool
            )
        at += 1
    if at < count:
        raise told.refuse(
            at,
            f"is not after the log's last, {time_text(last)}, and the log has no such entry; leave "
            "it out, or make the venue with a --time before its history begins",
        )
    return count


def _different(logged: Fund, moved: Mapping[str, Movements]) -> str:
    """The first pool of which the entry says anything else, or which it has alone; "" if none."""
    rows = {row.pool: row for row in logged.pools}
    for pool, now in moved.items():
        if (row := rows.pop(pool, None)) is None:
            return pool
        drawn = [debit.amount for debit in row.debits if debit.kind == "draw"]
        try:
            if fund.booked(pool, row.opening, drawn, now)[0] != row:
                return pool
        except InputError:
            return pool
    return min(rows, default="")


def _logged(venue: Venue, size: int, since: int) -> Iterator[Fund]:
    """The fund entries of the log from that time on."""

    def time_of(seq: int) -> int:
        return parse(venue.history.entry(seq).decode("ascii")).time

    first = bisect_left(range(size), since, key=time_of)
    for start in range(first, size, _BLOCK):
        for entry in venue.history.entries(start, min(start + _BLOCK, size)):
            statement = parse(entry.decode("ascii"))
            if isinstance(statement, Fund):
                yield statement


_Entry = tuple[int, tuple[PoolRow, ...], list[tuple[str, int, str]]]
"""A time, its rows, and each correction without a stated cause: its pool, amount and source."""


def _entries(
    told: Past, start: int, end: int, held: Mapping[str, int], drawn: Mapping[str, Sequence[int]]
) -> Iterator[_Entry]:
    """The entries of these times, from what each pool held before; the first books the draws."""
    closing, due = dict(held), dict(drawn)
    for at, moved in enumerate(told.between(start, end), start):
        rows, unexplained = [], []
        for pool, now in moved.items():
            try:
                row, rest = fund.booked(pool, closing.get(pool, 0), due.pop(pool, ()), now)
            except InputError as error:
                raise told.refuse(at, f"cannot be booked: {error}", pool) from None
            closing[pool] = row.closing
            rows.append(row)
            if rest:
                unexplained.append((pool, rest, now.source))
        yield told.times[at], tuple(rows), unexplained


def _check(
    told: Past,
    known: int,
    policy: Policy,
    held: Mapping[str, int],
    drawn: Mapping[str, Sequence[int]],
) -> list[str]:
    """Book all that is to come, and say what of it has no stated cause. Raises InputError."""
    found: dict[tuple[str, bool], list[int]] = {}
    sources: dict[str, str] = {}
    entries = _entries(told, known, len(told.times), held, drawn)
    for at, (time, rows, unexplained) in enumerate(entries, known):
        for pool, rest, source in unexplained:
            found.setdefault((pool, rest < 0), []).append(rest)
            sources[pool] = source
        if len(rows) > _FEW:
            # Its seq is not known yet, and may have more digits.
            length = len(Fund(policy.venue, at, time, rows).encode()) + 16
            if length > MAX_ENTRY_BYTES:
                raise told.refuse(at, f"makes an entry of {length} bytes; sum up its movements")
    return [
        fund.note(policy, pool, rests, sources[pool]) for (pool, _), rests in sorted(found.items())
    ]
