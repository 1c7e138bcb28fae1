"""Commands for exchanges: key, venue, publish, prove. Their rooms are imported when they run."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from auditkit.cli.customer import FORMAT
from auditkit.cli.files import read_bytes
from auditkit.cli.passphrase import asked_twice, open_signer
from auditkit.cli.result import Code, Format, Result
from auditkit.cli.terminal import Page, write_bytes
from auditkit.errors import InputError
from auditkit.money import format_amount
from auditkit.verify.elements import TIME, time_text
from auditkit.verify.errors import Malformed
from auditkit.verify.statements import AssetStatement, Statement

if TYPE_CHECKING:
    from auditkit.publish.draft import Draft
    from auditkit.publish.venue import Venue

PANEL = "Publisher"
_ACCOUNTS_LIMIT = 1 << 32
_SHOWN = 20
key = typer.Typer(help="Make and show signing keys.")
venue = typer.Typer(help="Make and look after a venue.")
publish = typer.Typer(help="Append signed statements to a venue's log.")

PASSPHRASE = Annotated[
    str | None,
    typer.Option("--passphrase-file", metavar="FILE|-", help="Where the passphrase is."),
]
VENUE = Annotated[Path, typer.Option("--venue", metavar="DIR", help="The venue's folder.")]
KEY = Annotated[
    Path | None,
    typer.Option(
        "--key", metavar="FILE", help="The key file. Left out: the one told to venue init."
    ),
]
POLICY = Annotated[
    Path,
    typer.Option("--policy", metavar="FILE", help="policy.toml: assets, pools and what differs."),
]
BOOKS = Annotated[
    Path, typer.Option("--books", metavar="FILE", help="books.toml: where the balances are.")
]
TIMED = Annotated[
    str | None,
    typer.Option(
        "--time",
        metavar="TIME",
        help="The time of the first statement, such as 2025-10-10T21:16:14.831Z; "
        "each further one is a millisecond later. Left out: the clock.",
    ),
]


def register(app: typer.Typer) -> None:
    """Add these commands to the application."""
    app.add_typer(key, name="key", rich_help_panel=PANEL)
    app.add_typer(venue, name="venue", rich_help_panel=PANEL)
    app.add_typer(publish, name="publish", rich_help_panel=PANEL)
    app.command("prove", rich_help_panel=PANEL)(prove)


def _told(text: str | None) -> int | None:
    try:
        return None if text is None else TIME.read(text)
    except Malformed as error:
        raise InputError(f"--time: {error}") from None


@key.command("new")
def key_new(
    origin: Annotated[
        str, typer.Argument(metavar="ORIGIN", help="The venue, such as exchange.example/audit.")
    ],
    output: Annotated[
        Path, typer.Option("-o", "--output", metavar="FILE", help="The key file to write.")
    ],
    passphrase_file: PASSPHRASE = None,
    no_passphrase: Annotated[
        bool, typer.Option("--no-passphrase", help="Leave the key file unencrypted.")
    ] = False,
    form: FORMAT = Format.TEXT,
) -> int:
    """Make a signing key: encrypted PKCS#8 PEM, mode 0600, which OpenSSL opens too."""
    from auditkit.publish.keys import Signer

    if no_passphrase and passphrase_file is not None:
        raise InputError("--no-passphrase and --passphrase-file exclude each other")
    signer = Signer.generate(origin)
    if output.exists():
        raise InputError(f"{output}: exists; a key file is never overwritten")
    signer.write(output, None if no_passphrase else asked_twice(passphrase_file))
    page = Page()
    page.line(f"Wrote {output}. Keep it secret and keep a copy. Publish this verifier key:")
    page.exact(signer.verifier)
    data = {"file": str(output), "vkey": str(signer.verifier)}
    return Result(Code.OK, "written", page, data).show(form)


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
    key: Annotated[Path, typer.Option(metavar="FILE", help="The key file.")],
    policy: POLICY,
    passphrase_file: PASSPHRASE = None,
    time: TIMED = None,
    form: FORMAT = Format.TEXT,
) -> int:
    """Make a venue: its log with the policy as entry 0, and a first signed checkpoint."""
    from auditkit.publish import policy as policies
    from auditkit.publish.venue import Venue

    fields, told = policies.read(policy), _told(time)
    Venue.init(folder, open_signer(key, passphrase_file), key, fields, told)
    with Venue(folder) as made:
        return _published(made, 0).show(form)


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


@contextmanager
def _publishing(
    folder: Path, key: Path | None, source: str | None, time: str | None
) -> "Iterator[tuple[Venue, Draft]]":
    from auditkit.publish.venue import Venue

    told = _told(time)
    with Venue(folder) as opened:
        signer = open_signer(key or opened.key_file, source)
        with opened.publishing(signer, told) as draft:
            yield opened, draft


def _published(opened: "Venue", start: int) -> Result:
    """What was appended, from entry `start` on."""
    size = len(opened.history)
    entries = [opened.log[seq] for seq in range(start, size)]
    page = Page()
    page.line(
        f"PUBLISHED {len(entries)} entries; the log has {size}, signed by "
        f"{opened.key.name} {opened.key.id.hex()}",
        "good",
    )
    rows: list[dict[str, Any]] = []
    for entry in entries:
        page.item(f"{entry.kind}{_totals(opened, entry)}", str(entry.seq))
        rows.append({"seq": entry.seq, "kind": entry.kind, "time": time_text(entry.time)})
    page.line(f"Public files: {opened.public.root}")
    data = {"size": size, "entries": rows, "public": str(opened.public.root)}
    return Result(Code.OK, "published", page, data)


def _totals(opened: "Venue", entry: Statement) -> str:
    """The asset and the ledgers of a statement, if it has them."""
    if not isinstance(entry, AssetStatement):
        return ""
    decimals = opened.log.policy(entry.policy).assets[entry.asset]
    ledgers = ", ".join(
        f"{book} {format_amount(ledger.total, decimals)} in {ledger.accounts} leaves"
        for book, ledger in entry.ledgers_shown().items()
    )
    return f" {entry.asset}" + (f": {ledgers}" if ledgers else "")


def _publish(
    folder: Path,
    key: Path | None,
    source: str | None,
    time: str | None,
    form: Format,
    work: "Callable[[Draft], object]",
) -> int:
    """Run one publish and say what it appended."""
    with _publishing(folder, key, source, time) as (opened, draft):
        start = draft.seq
        work(draft)
    from auditkit.publish.venue import Venue

    with Venue(folder) as opened:
        return _published(opened, start).show(form)


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


@publish.command("snapshot")
def publish_snapshot(
    folder: VENUE,
    books: BOOKS,
    key: KEY = None,
    passphrase_file: PASSPHRASE = None,
    time: TIMED = None,
    form: FORMAT = Format.TEXT,
) -> int:
    """Publish the balances of every customer."""
    from auditkit.ledger.books import Books
    from auditkit.publish import snapshot

    mapped = Books.read(books)
    return _publish(
        folder, key, passphrase_file, time, form, lambda draft: snapshot.publish(draft, mapped)
    )


@publish.command("fund")
def publish_fund(
    folder: VENUE,
    pools: Annotated[Path, typer.Option(metavar="FILE", help="pools.toml: what moved the pools.")],
    key: KEY = None,
    passphrase_file: PASSPHRASE = None,
    time: TIMED = None,
    form: FORMAT = Format.TEXT,
) -> int:
    """Publish one entry of the insurance fund."""
    from auditkit.publish import fund

    return _publish(
        folder,
        key,
        passphrase_file,
        time,
        form,
        lambda draft: fund.publish(draft, fund.read(pools, draft.policy)),
    )


@publish.command("loss")
def publish_loss(
    folder: VENUE,
    event: Annotated[Path, typer.Option(metavar="FILE", help="event.toml: the lists of one loss.")],
    key: KEY = None,
    passphrase_file: PASSPHRASE = None,
    time: TIMED = None,
    form: FORMAT = Format.TEXT,
) -> int:
    """Publish the whole run of one loss: deficit, stages, loss, applied."""
    from auditkit.publish import loss

    given = loss.EventFile.read(event)
    return _publish(
        folder, key, passphrase_file, time, form, lambda draft: loss.publish(draft, given)
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
    from auditkit.publish import loss

    mapped = Books.read(books)
    return _publish(
        folder,
        key,
        passphrase_file,
        time,
        form,
        lambda draft: loss.publish_recovery(draft, event, amount, mapped),
    )


def prove(
    folder: VENUE,
    account: Annotated[
        str | None, typer.Option(metavar="NAME", help="The account to prove.")
    ] = None,
    accounts: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Many accounts, one a line; -o is then a folder."),
    ] = None,
    asset: Annotated[
        list[str] | None, typer.Option(metavar="ASSET", help="Only this asset. May be repeated.")
    ] = None,
    since: Annotated[
        int | None,
        typer.Option(
            metavar="SEQ", min=0, help="The seq of the index that the customer verified last."
        ),
    ] = None,
    output: Annotated[
        str | None,
        typer.Option(
            "-o", "--output", metavar="FILE|-", help="The file to write; left out or -: print it."
        ),
    ] = None,
    form: FORMAT = Format.TEXT,
) -> int:
    """Write customers' proof files. Each is verified before it is written."""
    from auditkit.publish.proofs import Prover
    from auditkit.publish.public import write_file
    from auditkit.publish.venue import Venue

    if (account is None) == (accounts is None):
        raise InputError("give either --account or --accounts")
    with Venue(folder) as opened:
        prover = Prover(opened, since)
        if accounts is not None:
            return _prove_many(prover, accounts, output, asset or []).show(form)
        data = prover.prove(account or "", asset or [])
        if output in (None, "-"):
            write_bytes(data)
            return Code.OK
        if Path(str(output)).is_dir():
            raise InputError(f"{output}: is a folder; name a file")
        write_file(Path(str(output)), data, 0o600)
    page = Page()
    page.line(f"Wrote {output}: {len(data)} bytes, verified. It is private to that customer.")
    found = {"file": str(output), "bytes": len(data)}
    return Result(Code.OK, "written", page, found).show(form)


def _prove_many(prover: Any, accounts: Path, output: str | None, assets: list[str]) -> Result:
    from auditkit.publish.proofs import file_name
    from auditkit.publish.public import write_file

    folder = Path(output or "")
    if output is None or not folder.is_dir():
        raise InputError("-o: name a folder that exists, for one file an account")
    try:
        names = read_bytes(str(accounts), _ACCOUNTS_LIMIT).decode("ascii").splitlines()
    except UnicodeDecodeError:
        raise InputError(f"{accounts}: not a file of ASCII account names") from None
    if not names:
        raise InputError(f"{accounts}: names no account")
    refused = []
    for number, name in enumerate(names, 1):
        try:
            data = prover.prove(name, assets)
        except InputError as error:
            refused.append(f"{accounts}: line {number}: {error}")
            continue
        write_file(folder / file_name(name), data, 0o600)
    page = Page()
    written = f"{len(names) - len(refused)} files written to {folder}, each verified."
    if refused:
        page.line(f"ERROR: {len(refused)} of {len(names)} accounts were refused. {written}", "bad")
    else:
        page.line(written)
    for line in refused[:_SHOWN]:
        page.item(line)
    if len(refused) > _SHOWN:
        page.item(f"and {len(refused) - _SHOWN} more; --format json lists them all")
    code = Code.USAGE if refused else Code.OK
    data = {"written": len(names) - len(refused), "refused": refused}
    return Result(code, "error" if refused else "written", page, data)
