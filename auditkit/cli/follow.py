"""Commands for whoever watches a log: follow, and fsck of its own file. Their rooms come late."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from auditkit.cli.customer import FORMAT
from auditkit.cli.evidence import evidence_at
from auditkit.cli.files import public_folder
from auditkit.cli.fsck import fsck
from auditkit.cli.result import Format
from auditkit.cli.terminal import is_terminal
from auditkit.cli.ticking import interval
from auditkit.cli.trust import TrustStore, read_key
from auditkit.errors import InputError, shown
from auditkit.verify.errors import Incomplete, NotVerified
from auditkit.verify.note import VerifierKey

if TYPE_CHECKING:
    from auditkit.follow.follower import Round
    from auditkit.follow.source import Fetched, Source
    from auditkit.follow.state import Known
    from auditkit.follow.web import Limits, Web

PANEL = "Auditor"
_KEY = Annotated[
    str | None,
    typer.Option(
        "--key",
        metavar="VKEY|FILE",
        help="The venue's verifier key, or a file with it, from elsewhere. Left out: the one that "
        "the state remembers, or the pinned one.",
    ),
]
_EVIDENCE = Annotated[
    Path | None,
    typer.Option(
        "--evidence",
        metavar="FILE|DIR",
        help="Where the evidence of a fork is written. Left out: into the state.",
    ),
]
_QUIET = Annotated[bool, typer.Option("--quiet", "-q", help="Print nothing; the exit code tells.")]
_MEGABYTE = 1_000_000
_HOST = re.compile(r"[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+(:[0-9]+)?(/[!-~]*)?\Z")


def register(app: typer.Typer) -> None:
    """Add these commands to the application."""
    app.command("follow", rich_help_panel=PANEL)(follow)
    app.command("fsck", rich_help_panel=PANEL)(fsck)


def follow(
    source: Annotated[str, typer.Argument(metavar="URL|DIR", help="Where the log is published.")],
    state: Annotated[
        Path,
        typer.Option(
            "--state", metavar="DIR", help="This follower's own folder, made if it is not there."
        ),
    ],
    key: _KEY = None,
    every: Annotated[
        str | None,
        typer.Option(metavar="TIME", help="Go on until interrupted: a round every 10m, say."),
    ] = None,
    accept: Annotated[
        list[str] | None,
        typer.Option(
            metavar="RULE:SEQ",
            help="A reported breach that you looked into: pass it from now on. May be repeated.",
        ),
    ] = None,
    evidence: _EVIDENCE = None,
    timeout: Annotated[
        str, typer.Option(metavar="TIME", help="The most that one answer of a server may take.")
    ] = "60s",
    most_time: Annotated[
        str, typer.Option(metavar="TIME", help="The most that fetching in one round may take.")
    ] = "1h",
    most_data: Annotated[
        int, typer.Option(metavar="MB", min=1, help="The most that one round may fetch, in MB.")
    ] = 16_000,
    form: FORMAT = Format.TEXT,
    quiet: _QUIET = False,
) -> int:
    """Follow a log: fetch what is new, recompute every hash, check every rule, remember the head.

    Exit codes: 0 all holds, 1 a rule is broken or something is false, 2 malformed or wrong usage,
    3 not checked, 4 a fork, whose evidence is written to a file.
    """
    from auditkit.cli import following
    from auditkit.follow.follower import Follower
    from auditkit.follow.state import State
    from auditkit.follow.web import Limits

    limits = Limits(
        _seconds(timeout, "--timeout"), _seconds(most_time, "--most-time"), most_data * _MEGABYTE
    )
    wait = None if every is None else interval(every) / 1000
    accepted = [_known(text) for text in accept or ()]
    with _opened(source, limits) as log, evidence_at(evidence or state):
        try:
            pinned = _key(log, state, key)
        except NotVerified as error:
            return following.refused(error).show(form, quiet=quiet)
        with State.opened(state) as held:

            def round_of() -> "Round":
                log.begin()
                progress = following.progress if is_terminal(error=True) else None
                return Follower(log, held, pinned, accepted, progress).round()

            if wait is not None:
                return following.rounds(round_of, log, wait, form, quiet=quiet)
            try:
                found = round_of()
            except NotVerified as error:
                return following.refused(error).show(form, quiet=quiet)
            return following.followed(found, log, state).show(form, quiet=quiet)


def _seconds(text: str, option: str) -> float:
    return interval(text, option) / 1000


def _known(text: str) -> "Known":
    from auditkit.follow.state import Known

    match = re.fullmatch(r"([a-z-]{1,32}):(0|[1-9][0-9]{0,14})", text, re.ASCII)
    if match is None:
        raise InputError(
            f"--accept: {shown(text)} is no breach; write its rule and entry, such as previous:17"
        )
    return Known(match[1], int(match[2]))


@contextmanager
def _opened(given: str, limits: "Limits") -> "Iterator[Fetched | Web]":
    """The published log at a URL or in a folder. Raises InputError."""
    from auditkit.follow.source import Fetched
    from auditkit.follow.web import Web

    if "://" not in given:
        hint = f"; a log on the web is https://{given}" if _HOST.match(given) else ""
        folder = public_folder(Path(given), hint)
        yield Fetched(folder, limits.round, limits.bytes)
        return
    web = Web(given, limits)
    try:
        yield web
    finally:
        web.close()


def _key(log: "Source", state: Path, given: str | None) -> VerifierKey:
    """The key that is given, remembered, or pinned for the venue that the head names."""
    from auditkit.follow.source import read_note
    from auditkit.follow.state import remembered

    if given is not None:
        return read_key(given, "--key")
    if (memory := remembered(state)) is not None:
        return memory.key
    try:
        origin = read_note(log, "checkpoint").origin
    except FileNotFoundError:
        raise Incomplete("no log is served there", found="no file checkpoint") from None
    pinned = TrustStore().keys().get(origin)
    if pinned is None:
        raise InputError(
            f"--key is missing, and no key of {origin} is pinned; pin it with auditkit trust add"
        )
    return pinned
