"""Commands about forks: compare, which finds one, and verify-fork, which checks its evidence."""

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from auditkit.cli import kinds
from auditkit.cli.customer import FORMAT, read_proof
from auditkit.cli.evidence import EVIDENCE, KEEP, data_of, describe, evidence_at
from auditkit.cli.files import read_bytes
from auditkit.cli.result import Code, Format, Result
from auditkit.cli.terminal import Page, clean
from auditkit.cli.trust import TrustStore, read_key
from auditkit.errors import InputError
from auditkit.verify.errors import Incomplete, Malformed, NotVerified, Refuted, Unsupported
from auditkit.verify.fork import MAX_BYTES, Fork
from auditkit.verify.note import VerifierKey

if TYPE_CHECKING:
    from auditkit.log.forks import Side

PANEL = "User"
KEYS = Annotated[
    list[str] | None,
    typer.Option(
        "--key",
        metavar="VKEY|FILE",
        help="The venue's verifier key, or a file with it. Left out: the pinned one. Given twice: "
        "both keys of a venue that changed its key.",
    ),
]
QUIET = Annotated[bool, typer.Option("--quiet", "-q", help="Print nothing; the exit code tells.")]
_TWO_FILES = (
    "Keep both files: together they are evidence, and they are private. Compare with the venue's "
    "published folder (--log) for evidence that may be shown to anyone."
)
_CODES: dict[type[NotVerified], tuple[Code, str, str]] = {
    Refuted: (
        Code.FAILED,
        "FAILED",
        "Nothing was proven about the venue. If it changed its key, give --key twice, with both.",
    ),
    Malformed: (Code.USAGE, "ERROR: malformed file", "Fetch the file again."),
    Incomplete: (
        Code.NOT_CHECKED,
        "NOT CHECKED",
        "Nothing was proven and nobody is accused. Fetch what is missing from the venue.",
    ),
    Unsupported: (
        Code.NOT_CHECKED,
        "NOT CHECKED",
        "Nothing was proven and nobody is accused. Use a newer auditkit.",
    ),
}


def register(app: typer.Typer) -> None:
    """Add these commands to the application."""
    app.command("compare", rich_help_panel=PANEL)(compare)
    app.command("verify-fork", rich_help_panel=PANEL)(verify_fork)


def compare(
    one: Annotated[
        str, typer.Argument(metavar="A", help="A checkpoint or a proof file, or - for one of them.")
    ],
    other: Annotated[str, typer.Argument(metavar="B", help="Another one of the same venue.")],
    key: KEYS = None,
    log: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="The venue's published folder, or a copy: what the two do not show of each other "
            "is looked up there, and both are held against its own checkpoints.",
        ),
    ] = None,
    evidence: EVIDENCE = None,
    form: FORMAT = Format.TEXT,
    quiet: QUIET = False,
) -> int:
    """Compare two checkpoints: one log, an older and a newer one of it, or a fork?

    Exit codes: 0 one log, 1 a signature does not hold, 2 malformed file or wrong usage, 3 nothing
    shows it, 4 a fork, whose evidence is written to a file.
    """
    from auditkit.log import forks

    if one == other == "-":
        raise InputError("only one of the two can be read from standard input")
    try:
        sides = [_side(name) for name in (one, other)]
        venues = [side.head.origin for side in sides]
        if venues[0] != venues[1]:
            raise InputError(f"{sides[0].name} is of {venues[0]}, {sides[1].name} of {venues[1]}")
        with evidence_at(evidence):
            found = forks.compare(sides[0], sides[1], _keys(key, venues[0]), log)
    except NotVerified as error:
        again = "" if log or "-" in (one, other) else _with_log(one, other, key)
        return _refused(error, again).show(form, quiet=quiet)
    earlier, later = found.earlier, found.later
    page = Page()
    page.line("VERIFIED", "good")
    relation = "covers the same entries as" if found.same else "extends"
    page.line(f"{later.name} {relation} {earlier.name}: one log of {venues[0]}.")
    page.line()
    rows = [(s.name, f"{s.head.size} entries, root {s.head.root.hex()}") for s in (earlier, later)]
    page.pairs([*rows, ("shown by", "; ".join(found.shown))])
    for why in found.unseen:
        page.line(f"NOTE: {why}", "warn")
    page.head("Does not prove")
    page.item("That anyone else was shown this log: compare with the checkpoints of others.")
    data = {
        "venue": venues[0],
        "relation": "same" if found.same else "extends",
        **{
            name: {"name": clean(s.name), "size": s.head.size, "root": s.head.root.hex()}
            for name, s in (("earlier", earlier), ("later", later))
        },
        "shown_by": [clean(way) for way in found.shown],
        "warnings": [clean(why) for why in found.unseen],
    }
    return Result(Code.OK, "verified", page, data).show(form, quiet=quiet)


def verify_fork(
    file: Annotated[
        str, typer.Argument(metavar="FILE", help="The evidence, or - for standard input.")
    ],
    key: KEYS = None,
    form: FORMAT = Format.TEXT,
    quiet: QUIET = False,
) -> int:
    """Check the evidence of a fork, with nothing but the file and the venue's key.

    Exit codes: 0 the fork is proven, 1 it is not, 2 malformed file or wrong usage, 3 made by a
    newer format.
    """
    try:
        fork = _evidence(file)
        keys = _keys(key, fork.first.origin)
        both = fork.check(*keys)
    except NotVerified as error:
        return _refused(error).show(form, quiet=quiet)
    signers = both[:1] or keys
    page = Page()
    held = "one key" if both else "the keys you gave"
    page.line(f"FORK PROVEN: {held} signed two histories of {fork.first.origin}", "bad")
    describe(page, fork, signers)
    page.head("Next")
    page.item(KEEP)
    data = data_of(fork, signers)
    return Result(Code.OK, "fork proven", page, data).show(form, quiet=quiet)


def _side(given: str) -> "Side":
    """A checkpoint or a proof file. Raises InputError if it is plainly something else."""
    from auditkit.log.forks import Side

    data = read_proof(given)
    try:
        return Side.parse(_name(given), data)
    except NotVerified as error:
        kinds.refuse_other(_name(given), error, data, kinds.CHECKPOINT, kinds.PROOF)
        raise


def _evidence(given: str) -> Fork:
    """The evidence of a fork. Raises InputError if the file is plainly something else."""
    data = read_bytes(given, MAX_BYTES + 1)
    try:
        return Fork.parse(data)
    except NotVerified as error:
        kinds.refuse_other(_name(given), error, data, kinds.EVIDENCE)
        raise


def _name(given: str) -> str:
    return "standard input" if given == "-" else given


def _keys(given: Sequence[str] | None, venue: str) -> tuple[VerifierKey, ...]:
    """The keys that the user knows to be this venue's. Raises InputError."""
    if given:
        return tuple(dict.fromkeys(read_key(key, "--key") for key in given))
    pinned = TrustStore().keys().get(venue)
    if pinned is None:
        raise InputError(
            f"--key is missing, and no key of {venue} is pinned; pin it with auditkit trust add"
        )
    return (pinned,)


def _with_log(one: str, other: str, keys: Sequence[str] | None) -> str:
    """The command that looks into the published folder too."""
    given = [part for key in keys or () for part in ("--key", key)]
    return f"{shlex.join(['auditkit', 'compare', one, other, *given])} --log DIR"


def _refused(error: NotVerified, again: str = "") -> Result:
    """FAILED, NOT CHECKED or ERROR; in none of them is there a fork.

    `again` is the command that may see what was missing.
    """
    code, headline, following = _CODES[type(error)]
    page = Page()
    page.line(f"{headline}: {error.what}", "bad" if code is Code.FAILED else "warn")
    page.line()
    details = {"where": error.where, "expected": error.expected, "found": error.found}
    page.pairs([(name, value) for name, value in details.items() if value])
    if error.step:
        following = _TWO_FILES
    page.head("Next")
    page.item(following)
    data = {"kind": error.verdict, "what": error.what, **details, "next": following}
    if again and isinstance(error, Incomplete):
        page.item("With the venue's published folder, or a copy, in DIR:")
        page.exact(f"      {again}")
        data["command"] = again
    data = {k: clean(v) if isinstance(v, str) else v for k, v in data.items()}
    return Result(code, headline.partition(":")[0].lower(), page, data)
