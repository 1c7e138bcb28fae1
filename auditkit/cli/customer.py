"""Commands for customers: verify, trust. Standard library, typer and the kernel only."""

import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import Annotated

import typer

from auditkit.cli import kinds, verdict
from auditkit.cli.cosigned import Witnesses, read_policy
from auditkit.cli.evidence import EVIDENCE, evidence_at
from auditkit.cli.expected import check_expected, expectation
from auditkit.cli.files import read_bytes, read_line
from auditkit.cli.remembered import NOTHING, remembered
from auditkit.cli.result import Code, Format, Result
from auditkit.cli.terminal import Page, is_terminal, width, write
from auditkit.cli.trust import TrustStore, read_key
from auditkit.errors import InputError
from auditkit.verify import check
from auditkit.verify.elements import ACCOUNT
from auditkit.verify.errors import Malformed, NotVerified, Step
from auditkit.verify.note import VerifierKey
from auditkit.verify.proof import MAX_BYTES, Proof

PANEL = "User"
FORMAT = Annotated[Format, typer.Option("--format", help="How to answer.")]
trust = typer.Typer(help="Pin the keys of venues you deal with.")


def register(app: typer.Typer) -> None:
    """Add these commands to the application."""
    app.command("verify", rich_help_panel=PANEL)(verify)
    from auditkit.cli import successor

    trust.command("update")(successor.trust_update)
    app.add_typer(trust, name="trust", rich_help_panel=PANEL)
    app.command("demo", rich_help_panel=PANEL)(demo)


def read_proof(name: str) -> bytes:
    """The bytes of a file, or of standard input for `-`; one byte more than a proof may have."""
    return read_bytes(name, MAX_BYTES + 1)


def verify(
    proof: Annotated[
        str, typer.Argument(metavar="PROOF", help="The proof file, or - for standard input.")
    ],
    key: Annotated[
        str | None,
        typer.Option(
            metavar="VKEY|FILE",
            help="The venue's verifier key, or a file with it. Left out: the pinned one.",
        ),
    ] = None,
    account: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Your own account name. Never taken from the file."),
    ] = None,
    expect: Annotated[
        list[str] | None,
        typer.Option(
            metavar="BALANCE",
            help="A balance you expect, such as BTC/margin=1.25. May be repeated.",
        ),
    ] = None,
    since: Annotated[
        int | None,
        typer.Option(
            metavar="SEQ", min=0, help="The seq of the index that ended what you verified last."
        ),
    ] = None,
    state: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Remember there what was verified, and demand that the next file extends it.",
        ),
    ] = None,
    evidence: EVIDENCE = None,
    policy: Annotated[
        str | None,
        typer.Option(
            metavar="FILE",
            help="Your own tlog-policy file: demand that so many of its witnesses cosigned.",
        ),
    ] = None,
    form: FORMAT = Format.TEXT,
    quiet: Annotated[
        bool, typer.Option("--quiet", "-q", help="Print nothing; the exit code tells.")
    ] = False,
) -> int:
    """Verify a proof file: is my balance counted, was I charged the right share?

    Exit codes: 0 verified, 1 failed, 2 malformed file or wrong usage, 3 not checked, 4 with
    --state: a fork, whose evidence is written to a file.
    """
    expected = [expectation(text) for text in expect or ()]
    wanted = None if policy is None else read_policy(policy)
    name = own_account(account, proof)
    data, last = read_proof(proof), NOTHING
    try:
        pinned = read_key(key, "--key") if key is not None else _pinned(data)
        with evidence_at(evidence), remembered(state, data, pinned, name, since) as last:
            proven = check.verify(data, pinned, name, since=last.since, head=last.head)
            for each in expected:
                check_expected(proven, *each)
            witnesses = Witnesses.of(wanted, proven.checkpoint, pinned)
            last.keep(proven)
    except NotVerified as error:
        found, advice = kinds.seen(error, data, kinds.PROOF)
        return verdict.refused(found, last.goes_on, advice).show(form, quiet=quiet)
    answer = verdict.verified(proven, _warnings(proven.key), last.report(), witnesses)
    return answer.show(form, quiet=quiet)


def _warnings(key: VerifierKey) -> list[str]:
    """What the customer should hear of a key that is not the one pinned."""
    pinned = key
    # Whoever gives a key needs no store, so a damaged one is no reason to stop.
    with suppress(InputError, OSError):
        pinned = TrustStore().keys().get(key.name, key)
    if pinned == key:
        return []
    return [
        f"this was checked with the key {key.id.hex()} that you gave, but {pinned.id.hex()} is the "
        f"one you pinned for {key.name}. Find out why they differ."
    ]


def own_account(given: str | None, proof: str) -> str:
    """The account name given, or asked for on a terminal. Raises InputError."""
    if given is None:
        asking = sys.stdin is not None and sys.stdin.isatty() and is_terminal(error=True)
        if proof == "-" or not asking:
            raise InputError("--account is missing: your own account name, as the venue knows it")
        write("Your account name at the venue: ", error=True)
        given = read_line().decode("utf-8", "replace").strip()
    try:
        return ACCOUNT.read(given)
    except Malformed as error:
        raise InputError(f"--account: {error}") from None


def _pinned(data: bytes) -> VerifierKey:
    """The key the customer pinned for the venue that the file claims to be of."""
    with Step("1", []):
        origin = Proof.parse(data).checkpoint.origin
    pinned = TrustStore().keys().get(origin)
    if pinned is None:
        raise InputError(
            f"--key is missing, and no key of {origin} is pinned; pin it with auditkit trust add"
        )
    return pinned


@trust.command("add")
def trust_add(
    key: Annotated[
        str, typer.Argument(metavar="VKEY|FILE", help="A verifier key, or a file with it.")
    ],
    form: FORMAT = Format.TEXT,
) -> int:
    """Pin a venue's verifier key, which you got from somewhere you trust."""
    given = read_key(key)
    store = TrustStore()
    store.add(given)
    page = Page()
    page.line(f"Pinned {given.name} with key {given.id.hex()}.")
    page.line(f"The pinned keys are in {store.path}.")
    data = {"venue": given.name, "key_id": given.id.hex(), "file": str(store.path)}
    return Result(Code.OK, "pinned", page, data).show(form)


@trust.command("list")
def trust_list(form: FORMAT = Format.TEXT) -> int:
    """List the pinned keys."""
    keys = TrustStore().keys()
    page = Page()
    for name in sorted(keys):
        page.exact(keys[name])
    if not keys:
        page.line("No key is pinned. Pin one with: auditkit trust add FILE")
    data = {"keys": {name: str(key) for name, key in keys.items()}}
    return Result(Code.OK, "pinned", page, data).show(form)


@trust.command("remove")
def trust_remove(
    venue: Annotated[
        str, typer.Argument(metavar="VENUE", help="The venue, such as exchange.example/audit.")
    ],
    form: FORMAT = Format.TEXT,
) -> int:
    """Forget a venue's pinned key."""
    TrustStore().remove(venue)
    page = Page()
    page.line(f"No key of {venue} is pinned any more.")
    return Result(Code.OK, "removed", page, {"venue": venue}).show(form)


def demo(
    folder: Annotated[
        Path | None,
        typer.Argument(metavar="[DIR]", help="Where to keep it; left out, it is thrown away."),
    ] = None,
) -> int:
    """Play a small exchange's crash: publish, prove, verify, and refuse a forged file."""
    from auditkit import demo as play
    from auditkit.cli.main import invoke

    # An hour and a half ago, so that the whole evening lies in the past.
    start = time.time_ns() // 1_000_000 - 5_400_000
    if folder is None:
        with tempfile.TemporaryDirectory() as name:
            done = play.run(Path(name), start, invoke, _say)
            _say("Its files are thrown away; to keep them, name a new folder: auditkit demo DIR")
    else:
        try:
            folder.mkdir(exist_ok=True)
        except FileExistsError:
            raise InputError(f"{folder}: is a file; name a new or empty folder") from None
        except FileNotFoundError:
            raise InputError(f"{folder.parent}: no such folder") from None
        done = play.run(folder, start, invoke, _say)
        _say(f"Everything is in {folder}; what anyone may read is in {folder / 'venue/public'}.")
    return Code.OK if done else Code.BUG


def _say(text: str) -> None:
    page = Page()
    for line in text.split("\n"):
        if line.startswith("$ "):
            page.exact(line)
        else:
            page.line(line)
    write(page.render(colour=False, columns=width()))
