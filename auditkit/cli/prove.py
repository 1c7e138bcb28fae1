"""Commands for exchanges: prove. Its rooms are imported when it runs."""

import os
from pathlib import Path
from typing import Annotated, Any

import typer

from auditkit.cli.customer import FORMAT
from auditkit.cli.files import read_bytes
from auditkit.cli.options import VENUE
from auditkit.cli.result import Code, Format, Result
from auditkit.cli.terminal import Page, write_bytes
from auditkit.errors import InputError

_ACCOUNTS_LIMIT = 1 << 32
_SHOWN = 20


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
    from auditkit.publish.files import write_file
    from auditkit.publish.proofs import Prover
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
        target = Path(str(output))
        if target.is_dir():
            raise InputError(f"{output}: is a folder; name a file")
        # A device, a pipe or a link would be replaced by the file, not written to.
        if os.path.lexists(target) and (target.is_symlink() or not target.is_file()):
            raise InputError(f"{output}: is there and is no ordinary file; name another, or use -")
        write_file(target, data, 0o600)
    page = Page()
    page.line(f"Wrote {output}: {len(data)} bytes, verified. It is private to that customer.")
    found = {"file": str(output), "bytes": len(data)}
    return Result(Code.OK, "written", page, found).show(form)


def _prove_many(prover: Any, accounts: Path, output: str | None, assets: list[str]) -> Result:
    from auditkit.publish.files import write_file
    from auditkit.publish.proofs import file_name

    folder = Path(output or "")
    if output is None or (folder.exists() and not folder.is_dir()):
        raise InputError("-o: name a folder, for one file an account")
    try:
        names = read_bytes(str(accounts), _ACCOUNTS_LIMIT).decode("ascii").splitlines()
    except UnicodeDecodeError:
        raise InputError(f"{accounts}: not a file of ASCII account names") from None
    if not names:
        raise InputError(f"{accounts}: names no account")
    folder.mkdir(exist_ok=True)
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
