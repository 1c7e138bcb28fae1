"""Commands for auditors and the curious: inspect, and audit's and fund's from their own files."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from auditkit.cli import kinds
from auditkit.cli.audit import audit
from auditkit.cli.customer import FORMAT, read_proof
from auditkit.cli.fund import fund
from auditkit.cli.result import Code, Format, Result
from auditkit.cli.terminal import Page
from auditkit.cli.verdict import refused
from auditkit.errors import InputError
from auditkit.verify.errors import Malformed, NotVerified, Step, show
from auditkit.verify.history import TlogProof
from auditkit.verify.note import Checkpoint, Note
from auditkit.verify.proof import Proof
from auditkit.verify.statements import Statement, parse

PANEL = "Auditor"
MARK = "UNVERIFIED"


def register(app: typer.Typer) -> None:
    """Add these commands to the application."""
    app.add_typer(audit, name="audit", rich_help_panel=PANEL)
    app.add_typer(fund, name="fund", rich_help_panel=PANEL)
    app.command("inspect", rich_help_panel=PANEL)(inspect)


def inspect(
    file: Annotated[
        str,
        typer.Argument(metavar="FILE", help="A proof file, a checkpoint or an entry bundle, or -."),
    ],
    tlog_proof: Annotated[
        int | None,
        typer.Option(
            "--tlog-proof",
            min=0,
            metavar="SEQ",
            help="Write that statement's C2SP tlog-proof text and its bytes.",
        ),
    ] = None,
    output: Annotated[
        Path, typer.Option("-o", "--output", metavar="DIR", help="The folder for --tlog-proof.")
    ] = Path(),
    form: FORMAT = Format.TEXT,
) -> int:
    """Print what a file says, without verifying any of it."""
    data = read_proof(file)
    try:
        with Step("1", []):
            if tlog_proof is None:
                return _describe(data).show(form)
            return _export(Proof.parse(data), tlog_proof, output).show(form)
    except NotVerified as error:
        found, advice = kinds.seen(error, data, kinds.PROOF, kinds.CHECKPOINT, kinds.BUNDLE)
        return refused(found, advice=advice).show(form)


def _describe(data: bytes) -> Result:
    if data[:1] == b"\0" or data[1:2] == b"{" or data[2:3] == b"{":
        return _describe_bundle(data)
    if data[:1] not in (b"{", b" ", b"\n", b"\t", b"\r") and b"\n\n" in data:
        return _describe_checkpoint(data)
    proof = Proof.parse(data)
    page = Page(prefix=f"{MARK}  ")
    page.line(f"A proof file for account {proof.account}. None of this was checked.", "warn")
    _checkpoint_lines(page, proof.checkpoint)
    for entry in proof.statements:
        _statement_lines(page, entry.text)
    page.head("Leaves")
    for leaf in proof.leaves:
        page.item(
            f"statement {leaf.seq}, {leaf.book}, index {leaf.index}: {leaf.amount} base units"
        )
    statements = [_fields(entry.text) for entry in proof.statements]
    leaves = [
        {"seq": x.seq, "book": x.book, "index": x.index, "amount": str(x.amount)}
        for x in proof.leaves
    ]
    found: dict[str, Any] = {
        "account": proof.account,
        "checkpoint": str(proof.checkpoint.note),
        "statements": statements,
        "leaves": leaves,
    }
    return Result(Code.OK, MARK.lower(), page, found)


def _describe_checkpoint(data: bytes) -> Result:
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        raise InputError("neither a proof file nor a checkpoint") from None
    checkpoint = Checkpoint.parse(text)
    page = Page(prefix=f"{MARK}  ")
    page.line("A checkpoint. No signature was checked.", "warn")
    _checkpoint_lines(page, checkpoint)
    return Result(Code.OK, MARK.lower(), page, {"checkpoint": text})


def _describe_bundle(data: bytes) -> Result:
    """Entries of the published log, each behind its length as a big-endian uint16."""
    from auditkit.log.bundles import unpack

    try:
        texts = [entry.decode("ascii") for entry in unpack(data)]
    except ValueError:
        raise Malformed("not an entry bundle: an entry is cut short or is not ASCII") from None
    entries = [parse(text) for text in texts]
    page = Page(prefix=f"{MARK}  ")
    page.line("An entry bundle of a log. That a venue signed it was not checked.", "warn")
    for entry in entries:
        _statement_lines(page, entry)
    found = {"statements": [_fields(entry) for entry in entries]}
    return Result(Code.OK, MARK.lower(), page, found)


def _statement_lines(page: Page, statement: Statement) -> None:
    page.head(f"{statement.seq}  {statement.kind}")
    for name, value in _fields(statement).items():
        page.item(f"{name}: {_short(value)}", "")


def _checkpoint_lines(page: Page, checkpoint: Checkpoint) -> None:
    note: Note = checkpoint.note
    page.head("Checkpoint")
    page.pairs(
        [
            ("origin", checkpoint.origin),
            ("size", str(checkpoint.size)),
            ("root", checkpoint.root.hex()),
            *(("signed by", f"{show(line.name)} {line.key_id.hex()}") for line in note.signatures),
        ]
    )


def _fields(statement: Statement) -> dict[str, Any]:
    fields: dict[str, Any] = json.loads(statement.encode())
    return fields


def _short(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _export(proof: Proof, seq: int, folder: Path) -> Result:
    for entry in proof.statements:
        if entry.seq == seq:
            break
    else:
        raise InputError(f"--tlog-proof: the file shows no statement {seq}")
    text = str(TlogProof(seq, entry.path, proof.checkpoint))
    files = {
        folder / f"{seq}.tlog-proof": text.encode(),
        folder / f"{seq}.json": entry.text.encode().encode("ascii"),
    }
    for path in files:
        if path.exists():
            raise InputError(f"{path}: exists; name another folder with -o")
    folder.mkdir(exist_ok=True)
    page = Page(prefix=f"{MARK}  ")
    try:
        for path, content in files.items():
            path.write_bytes(content)
            page.line(f"Wrote {path}.")
    except OSError:
        for path in files:
            path.unlink(missing_ok=True)
        raise
    page.line("Neither was verified here.", "warn")
    return Result(Code.OK, MARK.lower(), page, {"files": [str(path) for path in files]})
