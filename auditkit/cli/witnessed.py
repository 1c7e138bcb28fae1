"""witness show: what a witness cosigned, and what it refused."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from auditkit.cli.customer import FORMAT
from auditkit.cli.result import Code, Format, Result
from auditkit.cli.terminal import Page
from auditkit.errors import InputError, place
from auditkit.verify.elements import time_text

if TYPE_CHECKING:
    from auditkit.witness.state import Head, Refused

STATE = Annotated[
    Path, typer.Option("--state", metavar="DIR", help="The folder of what the witness remembers.")
]


def show(
    state: STATE,
    evidence: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Write what was refused there, forks among it."),
    ] = None,
    form: FORMAT = Format.TEXT,
) -> int:
    """Show what a witness cosigned last of every log, and what it refused.

    Exit codes: 0, and 4 where a log showed it a fork.
    """
    from auditkit.witness.state import State

    with State(state) as opened:
        heads, refused, vkey = opened.heads(), opened.refused(), str(opened.key)
    written = _written(refused, evidence) if evidence is not None else []
    page = _page(vkey, heads, refused)
    for path in written:
        page.line(f"Wrote {path}")
    data: dict[str, Any] = {
        "vkey": vkey,
        "heads": [
            {
                "origin": head.checkpoint.origin,
                "size": head.checkpoint.size,
                "root": head.checkpoint.root.hex(),
                "time": time_text(head.time * 1000),
                "checkpoint": str(head.checkpoint.note),
            }
            for head in heads
        ],
        "refused": [
            {
                "origin": each.origin,
                "size": each.size,
                "time": time_text(each.time * 1000),
                "fork": each.fork is not None,
            }
            for each in refused
        ],
        "files": [str(path) for path in written],
    }
    forks = any(each.fork is not None for each in refused)
    verdict, code = ("fork", Code.FORK) if forks else ("shown", Code.OK)
    return Result(code, verdict, page, data).show(form)


def _page(vkey: str, heads: "Sequence[Head]", refused: "Sequence[Refused]") -> Page:
    page = Page()
    page.line("What this witness remembers:")
    page.exact(vkey)
    page.head("Cosigned last")
    for head in heads:
        when = time_text(head.time * 1000)
        page.item(f"{head.checkpoint.origin}: {head.checkpoint.size} entries, first at {when}")
    if not heads:
        page.item("nothing yet")
    if refused:
        page.head("Refused, though the log signed it")
    for each in refused:
        what = "a FORK" if each.fork is not None else "no path from what was cosigned"
        page.item(
            f"{each.origin}: {each.size} entries at {time_text(each.time * 1000)}: {what}",
            style="bad" if each.fork is not None else "",
        )
    return page


def _written(refused: "Sequence[Refused]", folder: Path) -> list[Path]:
    """The files of what was refused: each request as it came, and each fork's evidence."""
    try:
        folder.mkdir()
    except FileExistsError:
        raise InputError(f"--evidence: {place(folder)}: exists; name a new folder") from None
    except (FileNotFoundError, NotADirectoryError):
        raise InputError(f"--evidence: {place(folder.parent)}: no such folder") from None
    found = []
    for number, each in enumerate(refused, 1):
        path = folder / f"{number}.request"
        path.write_bytes(each.request)
        found.append(path)
        if each.fork is not None:
            path = folder / f"{number}.fork.json"
            path.write_text(each.fork.encode(), "ascii")
            found.append(path)
    return found
