"""Commands for exchanges: key, venue. Their rooms are imported when they run."""

from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from auditkit.cli import keys, prove, publish, witnessing
from auditkit.cli.customer import FORMAT
from auditkit.cli.newkey import OUTPUT, PLAIN, write_key
from auditkit.cli.options import (
    DIR,
    PANEL,
    PASSPHRASE,
    POLICY,
    SIGNER,
    TIMED,
    TOKEN,
    VENUE,
    VENUE_TOO,
    told,
    venue_folder,
)
from auditkit.cli.passphrase import Passphrases, open_signer
from auditkit.cli.result import Code, Format, Result
from auditkit.cli.signing import new_signer
from auditkit.cli.terminal import Page
from auditkit.errors import InputError

key = typer.Typer(help="Make and show signing keys.")
venue = typer.Typer(help="Make and look after a venue.")


def register(app: typer.Typer) -> None:
    """Add these commands to the application."""
    key.command("vkey")(keys.key_vkey)
    key.command("rotate")(keys.key_rotate)
    venue.command("signer")(keys.venue_signer)
    venue.command("witnesses")(witnessing.venue_witnesses)
    venue.command("witness-again")(witnessing.venue_witness_again)
    app.add_typer(key, name="key", rich_help_panel=PANEL)
    app.add_typer(venue, name="venue", rich_help_panel=PANEL)
    app.add_typer(publish.publish, name="publish", rich_help_panel=PANEL)
    app.command("prove", rich_help_panel=PANEL)(prove.prove)


@key.command("new")
def key_new(
    origin: Annotated[
        str, typer.Argument(metavar="ORIGIN", help="The venue, such as exchange.example/audit.")
    ],
    output: OUTPUT,
    passphrase_file: PASSPHRASE = None,
    no_passphrase: PLAIN = False,
    form: FORMAT = Format.TEXT,
) -> int:
    """Make a signing key: encrypted PKCS#8 PEM, mode 0600, which OpenSSL opens too."""
    from auditkit.publish.keys import Signer

    whom = "Publish this verifier key"
    make = partial(Signer.generate, origin)
    return write_key(make, output, passphrase_file, no_passphrase, whom, form)


@key.command("show")
def key_show(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The key file.")],
    passphrase_file: PASSPHRASE = None,
    form: FORMAT = Format.TEXT,
) -> int:
    """Print the verifier key of a key file."""
    verifier = open_signer(file, passphrase_file).verifier
    page = Page()
    page.exact(verifier)
    return Result(Code.OK, "shown", page, {"vkey": str(verifier)}).show(form)


@venue.command("init")
def venue_init(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="The folder to make.")],
    key: Annotated[
        str,
        typer.Option(
            metavar="FILE|VKEY", help="The key file; of a command or a token, its verifier key."
        ),
    ],
    policy: POLICY,
    signer_command: SIGNER = None,
    pkcs11: TOKEN = None,
    passphrase_file: PASSPHRASE = None,
    time: TIMED = None,
    form: FORMAT = Format.TEXT,
) -> int:
    """Make a venue: its log with the policy as entry 0, and a first signed checkpoint."""
    from auditkit.cli.published import show_published
    from auditkit.publish import policy as policies
    from auditkit.publish.venue import Venue

    fields, start = policies.read(policy), told(time)
    passphrases = Passphrases(passphrase_file)
    signer, place = new_signer(key, signer_command, pkcs11, "--key", passphrases)
    Venue.init(folder, signer, place, fields, start)
    return show_published(folder, 0, (), form)


@venue.command("secret")
def venue_secret(
    folder: VENUE,
    seq: Annotated[
        int, typer.Option(metavar="SEQ", min=0, help="The statement that holds the ledger.")
    ],
    ledger: Annotated[str, typer.Option(metavar="LEDGER", help="The ledger, such as BTC/margin.")],
    form: FORMAT = Format.TEXT,
) -> int:
    """Hand one ledger's secret to an auditor, and no more than that one."""
    from auditkit.publish.venue import Venue

    asset, _, book = ledger.partition("/")
    with Venue(folder) as opened:
        if seq >= len(opened.history):
            raise InputError(f"--seq: the log has {len(opened.history)} entries")
        link = opened.log.link(seq)
        if link.asset != asset or book not in link.ledgers_shown():
            held = ", ".join(f"{link.asset}/{name}" for name in link.ledgers_shown()) or "none"
            raise InputError(f"--ledger: statement {seq} has no ledger {ledger}; it has {held}")
        secret = opened.ledgers.secret(seq, book).hex()
    page = Page()
    page.exact(secret)
    return Result(Code.OK, "secret", page, {"secret": secret}).show(form)


@venue.command("serve")
def venue_serve(
    port: Annotated[
        int, typer.Option(metavar="N", min=0, max=65535, help="The port; 0: one that is free.")
    ],
    given: DIR = None,
    in_venue: VENUE_TOO = None,
    host: Annotated[
        str, typer.Option(metavar="ADDRESS", help="The address; left out: this machine alone.")
    ] = "127.0.0.1",
    form: FORMAT = Format.TEXT,
) -> int:
    """Serve the public folder over HTTP for trials, read-only, until Ctrl-C."""
    from auditkit.log.serve import serve

    public = venue_folder(given, in_venue) / "public"

    def started(address: str) -> None:
        page = Page()
        page.line(f"SERVING {public}, until Ctrl-C, at")
        page.exact(address)
        data = {"public": str(public), "url": address}
        Result(Code.OK, "serving", page, data).show(form)

    serve(public, host, port, started)
    return Code.OK


@venue.command("handover")
def venue_handover(
    folder: VENUE,
    output: Annotated[
        Path, typer.Option("-o", "--output", metavar="DIR", help="The folder to make.")
    ],
    event: Annotated[
        list[str] | None,
        typer.Option(
            metavar="ID",
            help="An event's run, its reference and the day before it. May be repeated.",
        ),
    ] = None,
    seq: Annotated[
        list[int] | None,
        typer.Option(metavar="SEQ", min=0, help="A statement's ledgers. May be repeated."),
    ] = None,
    form: FORMAT = Format.TEXT,
) -> int:
    """Write the ledgers and secrets that an auditor asks for.

    Without --event and --seq: those of the last snapshot of every asset.
    """
    from auditkit.publish import handover
    from auditkit.publish.venue import Venue

    with Venue(folder) as opened:
        wanted = [link for name in event or () for link in handover.of_event(opened, name)]
        for number in seq or ():
            if number >= len(opened.history):
                raise InputError(f"--seq: the log has {len(opened.history)} entries")
            wanted.append(opened.log.link(number))
        files = handover.write(opened, wanted or handover.newest(opened), output)
    page = Page()
    page.line(f"Wrote {output}, for the auditor alone: whoever has a secret can link its leaves.")
    for file in files:
        page.item(str(file))
    data = {"folder": str(output), "files": [str(file) for file in files]}
    return Result(Code.OK, "written", page, data).show(form)
