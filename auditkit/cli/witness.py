"""Commands for whoever is a witness of logs, such as an auditor: witness."""

import json
import signal
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated, Any

import typer

from auditkit.cli import witnessed
from auditkit.cli.cosigned import read_policy
from auditkit.cli.customer import FORMAT
from auditkit.cli.newkey import OUTPUT, PLAIN, write_key
from auditkit.cli.options import PASSPHRASE
from auditkit.cli.passphrase import Passphrases
from auditkit.cli.result import Code, Format, Result
from auditkit.cli.terminal import Page, clean, coloured, write
from auditkit.cli.trust import read_key
from auditkit.cli.witnessed import STATE
from auditkit.errors import InputError
from auditkit.verify.elements import time_text

if TYPE_CHECKING:
    from auditkit.verify.note import VerifierKey
    from auditkit.witness.server import Server
    from auditkit.witness.witness import Answer

LOOPBACK = "127.0.0.1"
witness = typer.Typer(help="Be a witness: cosign the heads of logs that only grow.")
key = typer.Typer(help="Make and show a witness's key.")
witness.add_typer(key, name="key")
KEY = Annotated[Path, typer.Option("--key", metavar="FILE", help="The witness's key file.")]


def register(app: typer.Typer) -> None:
    """Add these commands to the application."""
    witness.command("show")(witnessed.show)
    app.add_typer(witness, name="witness", rich_help_panel="Auditor")


@key.command("new")
def key_new(
    name: Annotated[
        str,
        typer.Argument(metavar="NAME", help="The witness's name, such as auditor.example/witness."),
    ],
    output: OUTPUT,
    passphrase_file: PASSPHRASE = None,
    no_passphrase: PLAIN = False,
    form: FORMAT = Format.TEXT,
) -> int:
    """Make a witness's key: encrypted PKCS#8 PEM, mode 0600."""
    from auditkit.witness.keys import Cosigner

    whom = "Give this verifier key to those who rely on you"
    make = partial(Cosigner.generate, name)
    return write_key(make, output, passphrase_file, no_passphrase, whom, form)


@key.command("show")
def key_show(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The witness's key file.")],
    form: FORMAT = Format.TEXT,
) -> int:
    """Print the verifier key that a witness's key file names."""
    from auditkit.witness.keys import CosignerFile

    verifier = CosignerFile(file).verifier
    page = Page()
    page.exact(verifier)
    return Result(Code.OK, "shown", page, {"vkey": str(verifier)}).show(form)


@witness.command("init")
def witness_init(state: STATE, key: KEY, form: FORMAT = Format.TEXT) -> int:
    """Make the empty state of a new key. Nothing else ever makes one."""
    from auditkit.witness.keys import CosignerFile
    from auditkit.witness.state import State

    verifier = CosignerFile(key).verifier
    State.init(state, verifier)
    page = Page()
    page.line(f"Wrote {state}, the state of:")
    page.exact(verifier)
    page.line(
        "The two belong together. If this folder is ever lost, or an older copy of it restored, "
        "do not make another for the same key: it would have forgotten what it signed. Make a new "
        "key.",
        "warn",
    )
    return Result(Code.OK, "written", page, {"state": str(state), "vkey": str(verifier)}).show(form)


@witness.command("serve")
def witness_serve(
    key: KEY,
    state: STATE,
    log: Annotated[
        list[str] | None,
        typer.Option(
            metavar="VKEY|FILE",
            help="The verifier key of a log to watch, or a file with it. May be repeated.",
        ),
    ] = None,
    policy: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="A policy file: the logs it lists are watched."),
    ] = None,
    port: Annotated[
        int, typer.Option(metavar="N", min=0, max=65535, help="0: any that is free.")
    ] = 0,
    host: Annotated[str, typer.Option(metavar="ADDRESS", help="Where to listen.")] = LOOPBACK,
    passphrase_file: PASSPHRASE = None,
    form: FORMAT = Format.TEXT,
) -> int:
    """Answer logs that ask for cosignatures (C2SP tlog-witness), until stopped.

    Says a line for every request; with --format json each is an object.
    """
    from auditkit.witness.keys import CosignerFile
    from auditkit.witness.server import Server
    from auditkit.witness.state import State
    from auditkit.witness.witness import Witness

    logs = [read_key(text, "--log") for text in log or ()]
    logs += read_policy(policy).logs if policy is not None else ()
    if not logs:
        raise InputError("no log to watch; give --log, or a --policy that lists logs")
    cosigner = Passphrases(passphrase_file).open(CosignerFile(key))
    with State(state, cosigner.verifier) as opened:
        server = Server(Witness(cosigner, opened, logs), host, port, partial(_say, form))
        try:
            with _until_stopped(server):
                _greet(form, server.url, str(cosigner.verifier), logs, host)
                server.serve_forever()
        finally:
            server.server_close()
    stopped = Page()
    stopped.line("Stopped.")
    _line(form, {"verdict": "stopped"}, stopped)
    return Code.OK


class _Stopped(BaseException):
    """SIGTERM: whoever runs the server wants it to end, and nothing is wrong."""


@contextmanager
def _until_stopped(server: "Server") -> Iterator[None]:
    """SIGTERM ends the block, and nothing more; Ctrl-C is an interruption as everywhere.

    Neither is raised just where the server happens to be: it ends between two connections.
    """
    reasons = {signal.SIGTERM: _Stopped(), signal.SIGINT: KeyboardInterrupt()}

    def stop(number: int, frame: FrameType | None) -> None:
        server.end(reasons[signal.Signals(number)])

    before = {number: signal.signal(number, stop) for number in reasons}
    try:
        with suppress(_Stopped):
            yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _greet(form: Format, url: str, vkey: str, logs: "Sequence[VerifierKey]", host: str) -> None:
    """Where the witness answers, for which logs."""
    names = list(dict.fromkeys(watched.name for watched in logs))
    page = Page()
    page.line(f"Witness {vkey} answers at {url}/add-checkpoint")
    for name in names:
        page.line(f"Watches {name}")
    _line(form, {"verdict": "listening", "url": url, "vkey": vkey, "logs": names}, page)
    if not is_loopback(host):
        note = Page()
        note.line(
            f"NOTE: {host} may be reached by others, without TLS. Put a proxy in front that has "
            "TLS and limits how often one may ask."
        )
        write(note.render(colour=False, columns=None), error=True)


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches what listens at that address."""
    import ipaddress

    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _say(form: Format, answer: "Answer") -> None:
    """A line for each request, and what is wrong where something is."""
    page = Page()
    when = time_text(time.time_ns() // 1_000_000)
    asked = f" {answer.origin} of {answer.size} entries" if answer.size is not None else ""
    said = "" if answer.status == 200 else f": {answer.body.strip()}"
    page.line(f"{when} {answer.status}{asked or f' {answer.origin}'.rstrip()}{said}")
    if answer.fork is not None:
        first, second = answer.fork.first, answer.fork.second
        page.line(
            f"FORK: {answer.origin} signed two histories, at {first.size} and {second.size} "
            "entries. The evidence is kept: auditkit witness show",
            "bad",
        )
    if answer.trouble:
        page.line(f"ERROR: {answer.trouble}", "bad")
    data = {
        "verdict": "fork" if answer.fork is not None else "answered",
        "time": when,
        "status": answer.status,
        "origin": answer.origin,
        "size": answer.size,
        "said": clean(answer.body.strip()),
        "trouble": clean(answer.trouble),
    }
    _line(form, data, page)


def _line(form: Format, data: dict[str, Any], page: Page) -> None:
    """Say it as it happens: an object a line for programs, a page for people."""
    if form is Format.JSON:
        write(json.dumps(data).replace("\x7f", "\\u007f") + "\n")
    else:
        write(page.render(colour=coloured(), columns=None))
