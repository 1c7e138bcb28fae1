"""`auditkit fund show`: a venue's insurance fund over time, out of a log that is verified first."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from auditkit.cli.result import Code, Format, Result
from auditkit.cli.source import located
from auditkit.cli.terminal import Page, clean, coloured, width, write
from auditkit.verify.errors import Malformed, NotVerified, Refuted

fund = typer.Typer(help="Read a venue's insurance fund, minute by minute.")


class Shape(StrEnum):
    """How the fund is shown."""

    TEXT = "text"
    JSON = "json"
    CSV = "csv"


@fund.command("show")
def show(
    public: Annotated[
        Path | None,
        typer.Option("--public", metavar="DIR", help="A folder that a venue published;"),
    ] = None,
    venue: Annotated[
        Path | None, typer.Option("--venue", metavar="DIR", help="or the venue's own folder.")
    ] = None,
    key: Annotated[
        str | None,
        typer.Option(
            "--key",
            metavar="VKEY|FILE",
            help="The venue's verifier key, from elsewhere. Left out: the pinned one.",
        ),
    ] = None,
    pool: Annotated[
        list[str] | None,
        typer.Option("--pool", metavar="NAME", help="Only this pool. May be repeated."),
    ] = None,
    days: Annotated[int, typer.Option(metavar="N", min=1, help="How many days to go back.")] = 90,
    form: Annotated[
        Shape, typer.Option("--format", metavar="FORMAT", help="text, json or csv.")
    ] = Shape.TEXT,
) -> int:
    """Show balances, what moved them, gaps and minutes under the threshold.

    The log is verified first: its signature and every hash. Whether the
    entries follow from each other is for auditkit audit fund.
    """
    from auditkit.cli.series import View
    from auditkit.log.published import Log

    folder, pinned = located(venue, public, key)
    try:
        log = Log.read(folder, pinned)
    except NotVerified as error:
        return _refused(error, form, Code.USAGE)
    try:
        view = View(log, pool or [], days)
    except NotVerified as error:
        return _refused(error, form, Code.FAILED)
    if form is Shape.JSON:
        return Result(Code.OK, "verified", Page(), view.data()).show(Format.JSON)
    for text in view.table() if form is Shape.CSV else view.pages():
        write(text)
    return Code.OK


def _refused(error: NotVerified, form: Shape, malformed: Code) -> int:
    """Why nothing is shown. What a key signed and cannot be read speaks against who signed."""
    code = malformed if isinstance(error, Malformed) else Code.NOT_CHECKED
    code = Code.FAILED if isinstance(error, Refuted) else code
    head = {Code.FAILED: "FAILED", Code.USAGE: "ERROR"}.get(code, "NOT CHECKED")
    page = Page()
    page.line(f"{head}: {error.what}", "bad" if code is Code.FAILED else "warn")
    rows = (("where", error.where), ("expected", error.expected), ("found", error.found))
    page.pairs([(name, text) for name, text in rows if text])
    page.line("Nothing is shown. Fetch the folder again, then ask auditkit audit log about it.")
    result = Result(code, head.lower(), page, {"kind": error.verdict, "what": clean(str(error))})
    if form is Shape.CSV:
        write(page.render(colour=coloured(error=True), columns=width()), error=True)
        return int(code)
    return result.show(Format(form.value))
