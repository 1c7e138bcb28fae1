"""Commands for exchanges: publish. Their rooms are imported when they run."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from auditkit.cli.customer import FORMAT
from auditkit.cli.options import BOOKS, KEY, PASSPHRASE, POLICY, TIMED, VENUE, told
from auditkit.cli.passphrase import Passphrases
from auditkit.cli.result import Format
from auditkit.cli.signing import open_signers
from auditkit.errors import InputError

if TYPE_CHECKING:
    from auditkit.publish.draft import Draft
    from auditkit.publish.signers import Signers
    from auditkit.publish.venue import Venue

publish = typer.Typer(help="Append signed statements to a venue's log.")


def _signers(folder: Path, key: KEY, passphrase_file: PASSPHRASE) -> "Signers":
    """All that sign the venue's next checkpoint."""
    from auditkit.publish.venue import Venue

    with Venue(folder) as opened:
        return open_signers(opened, key, Passphrases(passphrase_file))


@contextmanager
def _publishing(
    folder: Path, key: KEY, passphrase_file: PASSPHRASE, time: str | None
) -> "Iterator[tuple[Venue, Draft]]":
    from auditkit.publish.venue import Venue

    start = told(time)
    with Venue(folder) as opened:
        signers = open_signers(opened, key, Passphrases(passphrase_file))
        with opened.publishing(signers, start) as draft:
            yield opened, draft


def _publish(
    folder: Path,
    key: KEY,
    passphrase_file: PASSPHRASE,
    time: str | None,
    form: Format,
    work: "Callable[[Draft], object]",
) -> int:
    """Run one publish and say what it appended."""
    with _publishing(folder, key, passphrase_file, time) as (_, draft):
        start = draft.seq
        work(draft)
    from auditkit.cli.published import show_published

    return show_published(folder, start, draft.notes, form)


@publish.command("policy")
def publish_policy(
    folder: VENUE,
    policy: POLICY,
    key: KEY = None,
    passphrase_file: PASSPHRASE = None,
    time: TIMED = None,
    form: FORMAT = Format.TEXT,
) -> int:
    """Log a new policy."""
    from auditkit.publish import policy as policies

    fields = policies.read(policy)
    return _publish(
        folder, key, passphrase_file, time, form, lambda draft: policies.publish(draft, fields)
    )


class Engine(StrEnum):
    """What builds the ledgers of a snapshot."""

    LOCAL = "local"
    SPARK = "spark"


@publish.command("snapshot")
def publish_snapshot(
    folder: VENUE,
    books: BOOKS,
    engine: Annotated[
        Engine, typer.Option(help="spark: by many machines, as docs/scaling.md tells.")
    ] = Engine.LOCAL,
    master: Annotated[
        str | None,
        typer.Option(metavar="URL", help="With --engine spark: its master (default: local[*])."),
    ] = None,
    key: KEY = None,
    passphrase_file: PASSPHRASE = None,
    time: TIMED = None,
    form: FORMAT = Format.TEXT,
) -> int:
    """Publish the balances of every customer."""
    from auditkit.ledger.books import Books
    from auditkit.publish import snapshot

    if engine is Engine.SPARK:
        from auditkit.spark.session import LOCAL, session

        with session(master or LOCAL) as spark:
            from auditkit.spark.books import SparkBooks

            found = SparkBooks.read(spark, books)

            def work(draft: "Draft") -> object:
                return snapshot.publish(draft, found.books, found)

            return _publish(folder, key, passphrase_file, time, form, work)
    if master is not None:
        raise InputError("--master goes with --engine spark")
    mapped = Books.read(books)
    return _publish(
        folder, key, passphrase_file, time, form, lambda draft: snapshot.publish(draft, mapped)
    )


@publish.command("fund")
def publish_fund(
    folder: VENUE,
    pools: Annotated[
        Path | None, typer.Option(metavar="FILE", help="pools.toml: what moved the pools.")
    ] = None,
    every: Annotated[
        str | None,
        typer.Option(metavar="TIME", help="Go on: an entry for each interval, such as 60s."),
    ] = None,
    command: Annotated[
        str | None,
        typer.Option(metavar="TEXT", help="With --every: a command that prints a pools.toml."),
    ] = None,
    backfill: Annotated[
        Path | None, typer.Option(metavar="FILE", help="A table of history to publish in bulk.")
    ] = None,
    key: KEY = None,
    passphrase_file: PASSPHRASE = None,
    time: TIMED = None,
    form: FORMAT = Format.TEXT,
) -> int:
    """Publish the insurance fund: one entry, one each interval, or its history."""
    from auditkit.cli import ticking

    if [pools, command, backfill].count(None) != 2:
        raise InputError("give one of --pools, --command (with --every) and --backfill")
    if (every is None and command) or (every and backfill):
        raise InputError("--every goes with --pools or --command, and --command needs it")
    if time is not None and not (pools and every is None):
        raise InputError("--time is for a single entry; others have the times of their own")
    if every is not None:
        period = ticking.interval(every)
        return ticking.run(folder, _signers(folder, key, passphrase_file), pools, command, period)
    if backfill is not None:
        return ticking.backfill(folder, _signers(folder, key, passphrase_file), backfill, form)
    path = Path(str(pools))
    return _publish(
        folder,
        key,
        passphrase_file,
        time,
        form,
        lambda draft: _publish_once(draft, path),
    )


def _publish_once(draft: "Draft", path: Path) -> None:
    from auditkit.publish import fund

    fund.refuse_booked(path, draft.last_fund())
    fund.publish(draft, fund.read(path, draft.policy))


@publish.command("loss")
def publish_loss(
    folder: VENUE,
    event: Annotated[Path, typer.Option(metavar="FILE", help="event.toml: the lists of one loss.")],
    key: KEY = None,
    passphrase_file: PASSPHRASE = None,
    time: TIMED = None,
    form: FORMAT = Format.TEXT,
) -> int:
    """Publish the whole run of one loss from lists: deficit, stages, loss, applied."""
    from auditkit.margin.eventfile import EventFile
    from auditkit.publish import loss

    given = EventFile.read(event)
    return _publish(
        folder, key, passphrase_file, time, form, lambda draft: loss.publish(draft, given)
    )


@publish.command("event")
def publish_event(
    folder: VENUE,
    event: Annotated[
        list[Path],
        typer.Option(
            metavar="FILE",
            help="event.toml: marks and positions of one loss. May be repeated, for several "
            "assets of one crash.",
        ),
    ],
    key: KEY = None,
    passphrase_file: PASSPHRASE = None,
    time: TIMED = None,
    form: FORMAT = Format.TEXT,
) -> int:
    """Compute a loss from positions, and publish its run: equity, ADL, fund, shares."""
    from auditkit.margin.eventfile import EventFile
    from auditkit.publish import event as events

    given = [EventFile.read(path) for path in event]
    return _publish(
        folder, key, passphrase_file, time, form, lambda draft: events.publish(draft, given)
    )


@publish.command("recovery")
def publish_recovery(
    folder: VENUE,
    event: Annotated[str, typer.Option(metavar="ID", help="The event whose loss comes back.")],
    amount: Annotated[
        str, typer.Option(metavar="AMOUNT", help="How much came back, such as 1.25.")
    ],
    books: BOOKS,
    key: KEY = None,
    passphrase_file: PASSPHRASE = None,
    time: TIMED = None,
    form: FORMAT = Format.TEXT,
) -> int:
    """Publish money that came back, returned along a loss's shares."""
    from auditkit.ledger.books import Books
    from auditkit.publish import recovery

    mapped = Books.read(books)
    return _publish(
        folder,
        key,
        passphrase_file,
        time,
        form,
        lambda draft: recovery.publish(draft, event, amount, mapped),
    )
