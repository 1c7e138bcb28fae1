"""What a procedure found: pass, fail with the rows, or not decidable with what is missing.

An audit is a list of procedures and findings, never an opinion. Nothing passes
by absence: without an input a finding is open and names that input, and a
procedure that compared nothing is open too. A report has no clock and no
paths of its own, so the same inputs always give the same bytes.
"""

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import wraps
from typing import TYPE_CHECKING, Concatenate, ParamSpec, Protocol, TypeVar

if TYPE_CHECKING:
    from auditkit.log.published import Log

FORMAT = "auditkit/audit/1"
MAX_ROWS = 100
"""A report holds at most so many failing rows of a finding; how many there are it always says."""

TITLES: Mapping[str, str] = {
    "LOG": "The published log keeps every rule that a log alone can show to be broken",
    "A1": "The policy was logged before the reference and did not change until the loss was over",
    "A2": "Every ledger rebuilds from its rows and secret to the signed root, count and total",
    "A3": "Equity is the wallet plus the profit at the logged marks, account by account",
    "A4": "Liquidations against the bankruptcy price: surpluses reached the fund, shortfalls count",
    "B1": "Nobody was deleveraged while a higher rank stayed open, each at the bankruptcy price",
    "B2": "Deleveraging ended only when no candidate was left, or nothing was left to cover",
    "C1": "Every fund entry follows from the one before: each pool, each interval, to the unit",
    "C2": "The fund was drawn to its floor before anything was shared, from that pool alone",
    "C3": "Injections are fund entries of their own, logged before the loss was fixed",
    "D1": "The deficit from two sides: negative equities, and claims less what the book holds",
    "E1": "Nobody fell, vanished or left the sharing book without an entry of their own",
    "E2": "Every account's deduction is the rule's, to the unit",
    "G1": "Before less the loss is after: same accounts, none grew, nothing in between",
    "H1": "The loss was logged and applied within the deadline",
    "H2": "The fund was never below the policy's share of its mean open interest",
    "S1": "Accounts drawn from the books by a seed are in the signed ledgers with their balances",
}
"""What each procedure does, by its id, in the order of a report."""


class Verdict(StrEnum):
    """How a procedure ended."""

    PASS = "pass"  # noqa: S105
    FAIL = "fail"
    OPEN = "not decidable"


class Missing(Exception):
    """An input without which a procedure cannot decide; its text names it for the reader."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What one procedure found about one subject; every number is text with its unit.

    `compared` names what was compared, `rows` are the first failing ones of
    `failing`, `missing` the inputs without which more cannot be said, and
    `command` is what makes this finding again.
    """

    procedure: str
    subject: str
    verdict: Verdict
    compared: tuple[tuple[str, str], ...]
    rows: tuple[Mapping[str, str], ...]
    failing: int
    missing: tuple[str, ...]
    command: str = ""

    def write(self) -> dict[str, object]:
        """The finding as a JSON object."""
        return {
            "procedure": self.procedure,
            "title": TITLES[self.procedure],
            "subject": self.subject,
            "verdict": self.verdict.value,
            "compared": [{"name": name, "value": value} for name, value in self.compared],
            "failing": self.failing,
            "rows": [dict(row) for row in self.rows],
            "missing": list(self.missing),
            "command": self.command,
        }


def finding(
    procedure: str,
    subject: str,
    *,
    compared: Iterable[tuple[str, str]],
    rows: Sequence[Mapping[str, str]] = (),
    failing: int | None = None,
    missing: Iterable[str] = (),
) -> Finding:
    """A finding whose verdict follows from what is given.

    Rows make it fail; then what is missing, or that nothing was compared,
    leaves it open; only then it passes. `failing` counts the failing rows
    where `rows` holds only the first of them.
    """
    pairs, lacks = tuple(compared), tuple(dict.fromkeys(missing))
    count = len(rows) if failing is None else failing
    if not count and not lacks and not pairs:
        lacks = ("anything to compare",)
    verdict = Verdict.FAIL if count else Verdict.OPEN if lacks else Verdict.PASS
    return Finding(procedure, subject, verdict, pairs, tuple(rows[:MAX_ROWS]), count, lacks)


class Subject(Protocol):
    """What a procedure is about."""

    @property
    def subject(self) -> str:
        """Its name in a report, such as "event crash-1"."""
        ...


S = TypeVar("S", bound=Subject)
P = ParamSpec("P")
_Procedure = Callable[Concatenate[S, P], Finding]


def decided(procedure: str) -> Callable[[_Procedure[S, P]], _Procedure[S, P]]:
    """Makes a procedure that raises Missing end open, with that input named."""

    def decorate(work: _Procedure[S, P]) -> _Procedure[S, P]:
        @wraps(work)
        def run(about: S, /, *args: P.args, **kwargs: P.kwargs) -> Finding:
            try:
                return work(about, *args, **kwargs)
            except Missing as missing:
                return finding(procedure, about.subject, compared=(), missing=[str(missing)])

        return run

    return decorate


@dataclass(frozen=True, slots=True)
class Report:
    """The findings of one audit, in order, and what they are about: names and values as text."""

    findings: tuple[Finding, ...]
    about: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, log: "Log", findings: Iterable[Finding]) -> "Report":
        """The report of an audit of that log."""
        about = {
            "venue": log.checkpoint.origin,
            "log size": str(log.checkpoint.size),
            "log root": log.checkpoint.root.hex(),
            "key id": log.key.id.hex(),
        }
        return cls(tuple(findings), about)

    @property
    def verdict(self) -> Verdict:
        """The worst: one that fails, else one that is open; without findings nothing is decided."""
        found = {finding.verdict for finding in self.findings}
        for verdict in (Verdict.FAIL, Verdict.OPEN):
            if verdict in found:
                return verdict
        return Verdict.PASS if found else Verdict.OPEN

    def counts(self) -> dict[Verdict, int]:
        """How many findings there are of each verdict."""
        found = [finding.verdict for finding in self.findings]
        return {verdict: found.count(verdict) for verdict in Verdict}

    def to_json(self) -> str:
        """One JSON object, in ASCII with a final line break."""
        report = {
            "format": FORMAT,
            "about": dict(self.about),
            "verdict": self.verdict.value,
            "findings": [finding.write() for finding in self.findings],
        }
        return json.dumps(report, indent=2) + "\n"

    def to_markdown(self) -> str:
        """The same for people. Whatever came from a file is inert in it."""
        return "\n".join(_lines(self)) + "\n"


def _lines(report: Report) -> Iterator[str]:
    yield from ("# Procedures and findings", "")
    yield "This is a list of procedures and what each of them found. It is not an opinion."
    if report.about:
        yield from ("", *_table(("", ""), report.about.items()))
    counts = report.counts()
    yield from ("", ", ".join(f"{counts[verdict]} {verdict.value}" for verdict in Verdict) + ".")
    head = ("procedure", "subject", "verdict", "failing rows")
    short = [(f.procedure, f.subject, f.verdict.value, str(f.failing)) for f in report.findings]
    yield from ("", *_table(head, short))
    for found in report.findings:
        yield from _section(found)


def _section(found: Finding) -> Iterator[str]:
    yield from ("", f"## {found.procedure}: {found.verdict.value}", "")
    yield f"{TITLES[found.procedure]}. Subject: {escaped(found.subject)}."
    if found.compared:
        yield from ("", *_table(("compared", ""), found.compared))
    if found.missing:
        yield from ("", "Missing:", "", *(f"- {escaped(name)}" for name in found.missing))
    if found.rows:
        shown = "" if found.failing == len(found.rows) else f"; the first {len(found.rows)}"
        yield from ("", f"Failing rows: {found.failing}{shown}.", "")
        names = list(dict.fromkeys(name for row in found.rows for name in row))
        yield from _table(names, ([row.get(name, "") for name in names] for row in found.rows))
    if found.command:
        yield from ("", f"To find this again: {escaped(found.command)}")


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    for row in (head, None, *rows):
        cells = ["---"] * len(head) if row is None else map(escaped, row)
        yield "| " + " | ".join(cells) + " |"


_MARKUP = re.compile(r"[\\`*_\[\]<>|&~#!@$]|(?<=:)/|(?<=www)\.", re.IGNORECASE)


def escaped(text: str) -> str:
    """Text that Markdown shows as it is: markup escaped, all but printable ASCII spelled out."""
    plain = "".join(c if " " <= c <= "~" else f"\\u{{{ord(c):x}}}" for c in text)
    return _MARKUP.sub(lambda match: "\\" + match[0], plain)
