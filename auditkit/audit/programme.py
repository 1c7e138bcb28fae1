"""Which procedures an audit runs, on what, and in which order (docs/auditing.md)."""

from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

from auditkit.audit.adl import b1, b2
from auditkit.audit.case import Case
from auditkit.audit.findings import Finding, finding
from auditkit.audit.fund import c2, c3
from auditkit.audit.handover import Handover
from auditkit.audit.leaving import e1
from auditkit.audit.ledgers import Stated, a2, a2_of
from auditkit.audit.liquidations import a4
from auditkit.audit.positions import a3, d1
from auditkit.audit.sample import s1
from auditkit.audit.series import fund_findings
from auditkit.audit.sharing import e2, g1
from auditkit.audit.timing import a1, h1
from auditkit.errors import InputError
from auditkit.log.monitor import breaches
from auditkit.log.published import Log
from auditkit.margin.eventfile import EventFile
from auditkit.verify.errors import NotVerified
from auditkit.verify.statements import Deficit, Snapshot, Statement

EVENT: dict[str, Callable[[Case], Finding]] = {
    "A1": a1,
    "A2": a2,
    "A3": a3,
    "A4": a4,
    "B1": b1,
    "B2": b2,
    "C2": c2,
    "C3": c3,
    "D1": d1,
    "E1": e1,
    "E2": e2,
    "G1": g1,
    "H1": h1,
}
"""The procedures about one event, by id."""


def of_log(log: Log) -> Finding:
    """LOG: every rule that the whole log shows."""
    found = breaches(log)
    newer = [b.what for b in found if b.rule == "unsupported"]
    rows = [
        {"entry": str(b.seq), "rule": b.rule, "what": b.what}
        for b in found
        if b.rule != "unsupported"
    ]
    compared = [("entries", str(len(log))), ("root", log.checkpoint.root.hex())]
    missing = [f"a newer auditkit ({what})" for what in newer]
    return finding("LOG", "the whole log", compared=compared, rows=rows, missing=missing)


def of_fund(log: Log) -> Iterable[Finding]:
    """C1 and H2: the fund's series from its first entry to its last, read once."""
    return fund_findings(log)


def unreadable(error: NotVerified) -> Finding:
    """LOG, of a log that its own signature contradicts: nothing else can be looked at."""
    row = {"entry": "", "rule": error.verdict, "what": str(error)}
    return finding("LOG", "the whole log", compared=(), rows=[row])


def of_named(
    log: Log, event: str, handover: Handover, inputs: EventFile | None, only: Sequence[str] = ()
) -> Iterable[Finding]:
    """The procedures about the event of that name; `only` those of these ids, all without any.

    Where the log has no such event that can be read, none is decidable.
    """
    try:
        case = Case.find(log, event, handover, inputs)
    except (NotVerified, InputError) as error:
        for name in EVENT:
            if not only or name in only:
                yield finding(name, f"event {event}", compared=(), missing=[_unread(error)])
        return
    yield from of_event(case, only)


def of_event(case: Case, only: Sequence[str] = ()) -> Iterable[Finding]:
    """The procedures about one event."""
    for name, procedure in EVENT.items():
        if not only or name in only:
            yield _run(name, case, procedure)


def of_books(stated: Stated) -> Finding:
    """A2 of one statement against the venue's own tables."""
    return _run("A2", stated, a2_of)


def of_sample(stated: Stated, count: int, seed: str) -> Finding:
    """S1: `count` accounts of the books, drawn by `seed`."""
    return _run("S1", stated, lambda about: s1(about, count, seed))


def books_at(log: Log, seq: int, handover: Handover, books: Path | None) -> Finding:
    """A2 of the statement at `seq` against the venue's own tables."""
    try:
        return of_books(Stated.find(log, seq, handover, books))
    except NotVerified as error:
        return finding("A2", f"entry {seq}", compared=(), missing=[_unread(error)])


def sample_at(
    log: Log, seq: int, handover: Handover, books: Path | None, count: int, seed: str | None
) -> Finding:
    """S1: `count` accounts of the books, drawn by `seed`, in the statement at `seq`."""
    if seed is None:
        lacks = ["a seed that the venue could not foresee (--seed)"]
        return finding("S1", f"entry {seq}", compared=(), missing=lacks)
    try:
        return of_sample(Stated.find(log, seq, handover, books), count, seed)
    except NotVerified as error:
        return finding("S1", f"entry {seq}", compared=(), missing=[_unread(error)])


def _unread(error: Exception) -> str:
    return f"statements that can be read (see LOG: {error})"


T = TypeVar("T", Case, Stated)


def _run(name: str, about: T, procedure: Callable[[T], Finding]) -> Finding:
    try:
        return procedure(about)
    except NotVerified as error:
        return finding(name, about.subject, compared=(), missing=[_unread(error)])


def events(log: Log) -> list[str]:
    """The names of the log's events, in order, as far as they can be read."""
    return list(dict.fromkeys(link.event for link in _readable(log) if isinstance(link, Deficit)))


def newest_snapshots(log: Log) -> list[int]:
    """The seq of every asset's last snapshot, in the order of the log. Raises InputError."""
    found = {link.asset: link.seq for link in _readable(log) if isinstance(link, Snapshot)}
    if not found:
        raise InputError("the log has no snapshot, so there is nothing to hold the books against")
    return sorted(found.values())


def _readable(log: Log) -> Iterable[Statement]:
    """The statements that can be read; LOG names the others."""
    for seq in range(len(log)):
        with suppress(NotVerified):
            yield log[seq]
