"""Which procedures an audit runs, on what, and in which order (docs/auditing.md)."""

from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

from auditkit.audit.adl import b1, b2
from auditkit.audit.case import Case
from auditkit.audit.findings import Finding, finding
from auditkit.audit.fund import c2, c3
from auditkit.audit.ledgers import Stated, a2, a2_of
from auditkit.audit.liquidations import a4
from auditkit.audit.positions import a3, d1
from auditkit.audit.sample import s1
from auditkit.audit.sharing import e1, e2, g1
from auditkit.audit.timing import a1, h1
from auditkit.errors import InputError
from auditkit.log.monitor import breaches
from auditkit.log.published import Log
from auditkit.verify.errors import NotVerified
from auditkit.verify.statements import Deficit, Snapshot

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


def unreadable(error: NotVerified) -> Finding:
    """LOG, of a log that its own signature contradicts: nothing else can be looked at."""
    row = {"entry": "", "rule": error.verdict, "what": str(error)}
    return finding("LOG", "the whole log", compared=(), rows=[row])


def of_event(case: Case, only: Sequence[str] = ()) -> Iterable[Finding]:
    """The procedures about one event; `only` those of these ids, all without any."""
    for name, procedure in EVENT.items():
        if not only or name in only:
            yield _run(name, case, procedure)


def of_books(stated: Stated) -> Finding:
    """A2 of one statement against the venue's own tables."""
    return _run("A2", stated, a2_of)


def of_sample(stated: Stated, count: int, seed: str) -> Finding:
    """S1: `count` accounts of the books, drawn by `seed`."""
    return _run("S1", stated, lambda about: s1(about, count, seed))


T = TypeVar("T", Case, Stated)


def _run(name: str, about: T, procedure: Callable[[T], Finding]) -> Finding:
    try:
        return procedure(about)
    except NotVerified as error:
        lacks = f"statements that can be read (see LOG: {error})"
        return finding(name, about.subject, compared=(), missing=[lacks])


def events(log: Log) -> list[str]:
    """The names of the log's events, in order."""
    return list(dict.fromkeys(deficit.event for deficit in log.of(Deficit)))


def newest_snapshots(log: Log) -> list[int]:
    """The seq of every asset's last snapshot, in the order of the log."""
    found = {snapshot.asset: snapshot.seq for snapshot in log.of(Snapshot)}
    if not found:
        raise InputError("the log has no snapshot, so there is nothing to hold the books against")
    return sorted(found.values())
