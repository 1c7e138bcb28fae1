"""Commands for auditors: audit log, fund, books, event, all ... Their rooms are imported late."""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from auditkit.cli.customer import FORMAT
from auditkit.cli.findings import Form, answer
from auditkit.cli.result import Format
from auditkit.cli.source import Source
from auditkit.cli.verdict import refused
from auditkit.errors import InputError, shown
from auditkit.verify.errors import NotVerified

if TYPE_CHECKING:
    from auditkit.audit.findings import Finding

audit = typer.Typer(help="Recompute what a venue published, from its log and its books.")

_VENUE = Annotated[
    Path | None, typer.Option("--venue", metavar="DIR", help="The venue's own folder; or")
]
_PUBLIC = Annotated[
    Path | None, typer.Option("--public", metavar="DIR", help="the folder that it published, with")
]
_KEY = Annotated[
    str | None,
    typer.Option(
        "--key",
        metavar="VKEY|FILE",
        help="the venue's verifier key, from elsewhere. Left out: the pinned one.",
    ),
]
_HANDOVER = Annotated[
    Path | None,
    typer.Option("--handover", metavar="DIR", help="What auditkit venue handover wrote for you."),
]
_BOOKS = Annotated[
    Path, typer.Option("--books", metavar="FILE", help="books.toml: the venue's own balances.")
]
_SEQS = Annotated[
    list[int] | None,
    typer.Option(
        "--seq",
        metavar="SEQ",
        min=0,
        help="The snapshot that the books are of. Left out: the last one of each asset.",
    ),
]
_EVENTS = Annotated[
    list[Path] | None,
    typer.Option(
        "--event", metavar="FILE", help="event.toml: the venue's inputs. May be repeated."
    ),
]
_ONLY = Annotated[
    list[str] | None,
    typer.Option("--only", metavar="ID", help="Only this procedure, such as E1. May be repeated."),
]
_COUNT = Annotated[int, typer.Option("-n", metavar="N", min=1, help="How many accounts to draw.")]
_OUTPUT = Annotated[
    Path | None,
    typer.Option(
        "-o", "--output", metavar="DIR", help="Write findings.json and findings.md there too."
    ),
]
_FORM = Annotated[Form, typer.Option("--format", metavar="FORMAT", help="text, json or markdown.")]


@audit.command("log")
def audit_log(
    venue: _VENUE = None,
    public: _PUBLIC = None,
    key: _KEY = None,
    output: _OUTPUT = None,
    form: _FORM = Form.TEXT,
) -> int:
    """Check the whole log: signature, every hash, every rule that a log alone shows."""

    def work(source: Source) -> Iterable["Finding"]:
        yield _log(source)

    return _audited(venue, public, key, None, output, form, work)


@audit.command("fund")
def audit_fund(
    venue: _VENUE = None,
    public: _PUBLIC = None,
    key: _KEY = None,
    output: _OUTPUT = None,
    form: _FORM = Form.TEXT,
) -> int:
    """Check the insurance fund from its first entry to its last (C1, H2)."""
    return _audited(venue, public, key, None, output, form, _fund)


@audit.command("books")
def audit_books(
    books: _BOOKS,
    venue: _VENUE = None,
    public: _PUBLIC = None,
    key: _KEY = None,
    handover: _HANDOVER = None,
    seq: _SEQS = None,
    output: _OUTPUT = None,
    form: _FORM = Form.TEXT,
) -> int:
    """Rebuild a snapshot's ledgers from the books to the signed roots (A2)."""

    def work(source: Source) -> Iterable["Finding"]:
        return _books(source, books, seq)

    return _audited(venue, public, key, handover, output, form, work)


@audit.command("event")
def audit_event(
    event: _EVENTS = None,
    name: Annotated[
        list[str] | None,
        typer.Option(metavar="ID", help="An event without such a file. May be repeated."),
    ] = None,
    venue: _VENUE = None,
    public: _PUBLIC = None,
    key: _KEY = None,
    handover: _HANDOVER = None,
    only: _ONLY = None,
    output: _OUTPUT = None,
    form: _FORM = Form.TEXT,
) -> int:
    """Recompute one loss: A1 to A4, B1, B2, C2, C3, D1, E1, E2, G1, H1."""
    if not event and not name:
        raise InputError("give --event FILE, or --name ID for an event without such a file")
    chosen = _known(only)

    def work(source: Source) -> Iterable["Finding"]:
        for path in event or ():
            yield from _event(source, path, None, chosen)
        for ident in name or ():
            yield from _event(source, None, ident, chosen)

    return _audited(venue, public, key, handover, output, form, work)


@audit.command("positions")
def audit_positions(
    event: Annotated[
        Path, typer.Option("--event", metavar="FILE", help="event.toml: marks and positions.")
    ],
    account: Annotated[str, typer.Option(metavar="NAME", help="The account to look at.")],
    venue: _VENUE = None,
    public: _PUBLIC = None,
    key: _KEY = None,
    form: FORMAT = Format.TEXT,
) -> int:
    """Show one account at the marks: equity, bankruptcy prices, place in deleveraging."""
    from auditkit.cli.positions import describe

    source = Source(venue, public, key, None)
    try:
        source.read()
        return describe(source.policy(), event, account).show(form)
    except NotVerified as error:
        return refused(error).show(form)


@audit.command("sample")
def audit_sample(
    books: _BOOKS,
    n: _COUNT,
    seed: Annotated[
        str, typer.Option(metavar="TEXT", help="What draws them; the venue must not foresee it.")
    ],
    venue: _VENUE = None,
    public: _PUBLIC = None,
    key: _KEY = None,
    handover: _HANDOVER = None,
    seq: _SEQS = None,
    output: _OUTPUT = None,
    form: _FORM = Form.TEXT,
) -> int:
    """Draw accounts from the books and find each in the signed ledgers (S1)."""

    def work(source: Source) -> Iterable["Finding"]:
        return _sample(source, books, seq, n, seed)

    return _audited(venue, public, key, handover, output, form, work)


@audit.command("all")
def audit_all(
    books: Annotated[
        Path | None,
        typer.Option("--books", metavar="FILE", help="books.toml: the venue's own balances."),
    ] = None,
    event: _EVENTS = None,
    n: _COUNT = 100,
    seed: Annotated[
        str | None, typer.Option(metavar="TEXT", help="What draws the sample (S1).")
    ] = None,
    venue: _VENUE = None,
    public: _PUBLIC = None,
    key: _KEY = None,
    handover: _HANDOVER = None,
    seq: _SEQS = None,
    output: _OUTPUT = None,
    form: _FORM = Form.TEXT,
) -> int:
    """Run every procedure: the log, the fund, the books, every event of the log, a sample."""

    def work(source: Source) -> Iterable["Finding"]:
        from auditkit.audit import programme
        from auditkit.margin.eventfile import EventFile

        files = {EventFile.read(path).event: path for path in event or ()}
        names = programme.events(source.log)
        yield _log(source)
        yield from _fund(source)
        yield from _books(source, books, seq)
        for name in dict.fromkeys((*names, *files)):
            yield from _event(source, files.get(name), name, ())
        yield from _sample(source, books, seq, n, seed)

    return _audited(venue, public, key, handover, output, form, work)


def _audited(
    venue: Path | None,
    public: Path | None,
    key: str | None,
    handover: Path | None,
    output: Path | None,
    form: Form,
    work: Callable[[Source], Iterable["Finding"]],
) -> int:
    """Open the log, run the procedures, and say what they found."""
    from auditkit.audit import programme
    from auditkit.audit.findings import Report

    source = Source(venue, public, key, handover)
    try:
        source.read()
    except NotVerified as error:
        # What the key does not vouch for is no log; nothing else of it is looked at.
        found = source.with_command(programme.unreadable(error), "log")
        return answer(Report((found,), {"venue": source.key.name}), output, form)
    report = Report.of(source.log, tuple(work(source)))
    return answer(report, output, form)


def _log(source: Source) -> "Finding":
    from auditkit.audit import programme

    return source.with_command(programme.of_log(source.log), "log")


def _fund(source: Source) -> Iterable["Finding"]:
    from auditkit.audit import programme

    for found in programme.of_fund(source.log):
        yield source.with_command(found, "fund")


def _books(source: Source, books: Path | None, seqs: Sequence[int] | None) -> Iterable["Finding"]:
    from auditkit.audit import programme

    for seq in seqs or programme.newest_snapshots(source.log):
        found = programme.books_at(source.log, seq, source.handed, books)
        yield source.with_command(found, "books", *_given("--books", books), "--seq", str(seq))


def _event(
    source: Source, path: Path | None, name: str | None, only: Sequence[str]
) -> Iterable["Finding"]:
    from auditkit.audit import programme
    from auditkit.margin.eventfile import EventFile

    inputs = None if path is None else EventFile.read(path)
    ident = inputs.event if inputs else str(name)
    given = ("--name", ident) if path is None else ("--event", str(path))
    for found in programme.of_named(source.log, ident, source.handed, inputs, only):
        yield source.with_command(found, "event", *given, "--only", found.procedure)


def _sample(
    source: Source, books: Path | None, seqs: Sequence[int] | None, count: int, seed: str | None
) -> Iterable["Finding"]:
    from auditkit.audit import programme

    for seq in seqs or programme.newest_snapshots(source.log):
        found = programme.sample_at(source.log, seq, source.handed, books, count, seed)
        drawn = ("-n", str(count), *_given("--seed", seed), *_given("--books", books))
        yield source.with_command(found, "sample", *drawn, "--seq", str(seq))


def _given(option: str, value: object) -> tuple[str, ...]:
    return () if value is None else (option, str(value))


def _known(only: Sequence[str] | None) -> list[str]:
    from auditkit.audit.programme import EVENT

    for name in only or ():
        if name not in EVENT:
            known = ", ".join(EVENT)
            raise InputError(f"--only: there is no procedure {shown(name)} of an event: {known}")
    return list(only or ())
