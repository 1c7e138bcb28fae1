"""Commands for exchanges: prove. Its rooms are imported when it runs."""

from pathlib import Path
from typing import Annotated

import typer

from auditkit.cli.customer import FORMAT
from auditkit.cli.prooffiles import (
    from_shards,
    kept,
    new_folder,
    write_many,
    write_shards,
    write_slices,
    written,
)
from auditkit.cli.result import Format
from auditkit.cli.trust import read_key
from auditkit.errors import InputError
from auditkit.verify.proof import MAX_BYTES


def prove(
    folder: Annotated[
        Path | None, typer.Option("--venue", metavar="DIR", help="The venue's folder.")
    ] = None,
    account: Annotated[
        str | None, typer.Option(metavar="NAME", help="The account to prove.")
    ] = None,
    accounts: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Many accounts, one a line; -o is then a folder."),
    ] = None,
    everyone: Annotated[
        bool,
        typer.Option("--all", help="Every account, in Parquet shards; -o is then a new folder."),
    ] = False,
    shards: Annotated[
        Path | None,
        typer.Option("--from", metavar="DIR", help="Take --account from shards, not a venue."),
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
    head: Annotated[
        list[int] | None,
        typer.Option(
            metavar="SIZE",
            min=1,
            help="Show that the log only extends the checkpoint of so many entries, which the "
            "customer has. May be repeated; --since brings its own.",
        ),
    ] = None,
    slices: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            min=1,
            max=9999,
            help="Cut what followed --since into at most N files; -o is then a folder.",
        ),
    ] = None,
    most: Annotated[
        int | None,
        typer.Option(
            metavar="BYTES", min=1, max=MAX_BYTES, help="Cut it into files of at most so many."
        ),
    ] = None,
    for_key: Annotated[
        str | None,
        typer.Option(
            metavar="VKEY|FILE",
            help="The verifier key that the customer pinned. Left out: the venue's newest.",
        ),
    ] = None,
    output: Annotated[
        str | None,
        typer.Option(
            "-o",
            "--output",
            metavar="FILE|-",
            help="The file to write, in place of an older one; left out or -: print it.",
        ),
    ] = None,
    form: FORMAT = Format.TEXT,
) -> int:
    """Write customers' proof files. Each is verified before it is written."""
    from auditkit.publish.proofs import Prover
    from auditkit.publish.venue import Venue

    if [account is None, accounts is None, not everyone].count(False) != 1:
        raise InputError("give one of --account, --accounts and --all")
    if slices and most:
        raise InputError("give either --slices or --most")
    narrowed = (since, slices, most, for_key, *(head or ()))
    if (shards or everyone) and any(value is not None for value in narrowed):
        raise InputError("--since, --head, --slices, --most and --for-key are not for shards")
    if shards is not None:
        return from_shards(folder, shards, account, asset or [], output, form)
    if folder is None:
        raise InputError("--venue is missing: the venue's folder")
    with Venue(folder) as opened:
        if everyone:
            return write_shards(opened, asset or [], output).show(form)
        pinned = read_key(for_key, "--for-key") if for_key else None
        prover = Prover(opened, since, head or (), pinned)
        if slices or most:
            target = new_folder(output, account)
            return write_slices(
                opened, prover, str(account), asset or [], slices, most, target
            ).show(form)
        if accounts is not None:
            with kept(accounts) as names:
                return write_many(prover, accounts, names, output, asset or []).show(form)
        data = prover.prove(account or "", asset or [])
        entries = len(opened.history)
    return written(data, output, form, entries)
