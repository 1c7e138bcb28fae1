"""The command fsck: a published folder, or a follower's own, checked offline."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from auditkit.cli.customer import FORMAT
from auditkit.cli.evidence import EVIDENCE, evidence_at
from auditkit.cli.files import public_folder
from auditkit.cli.result import Code, Format, Result
from auditkit.cli.terminal import Page, clean, is_terminal
from auditkit.cli.trust import TrustStore, read_key
from auditkit.errors import InputError, place
from auditkit.verify.errors import Malformed
from auditkit.verify.note import VerifierKey

if TYPE_CHECKING:
    from auditkit.follow.fsck import Checked

_SHOWN = 20
_DOES_NOT_PROVE = (
    "That anyone else was shown this log, or that it is the newest state of it.",
    "What is in the ledgers, or that the venue's statements are true.",
)


def fsck(
    folder: Annotated[
        Path,
        typer.Argument(metavar="DIR", help="A published folder, or the state of a follower."),
    ],
    key: Annotated[
        str | None,
        typer.Option(
            metavar="VKEY|FILE",
            help="The log's verifier key, or a file with it, from elsewhere. Left out: the pinned "
            "one, or a follower's own.",
        ),
    ] = None,
    log_only: Annotated[
        bool,
        typer.Option(
            "--log-only", help="Only the tree and the signatures, of any C2SP tlog-tiles log."
        ),
    ] = False,
    evidence: EVIDENCE = None,
    form: FORMAT = Format.TEXT,
    quiet: Annotated[
        bool, typer.Option("--quiet", "-q", help="Print nothing; the exit code tells.")
    ] = False,
) -> int:
    """Check a folder offline: every file, every hash, every signature, every rule.

    Exit codes: 0 all holds, 1 a file is wrong or a rule is broken, 2 wrong usage, 3 something is
    missing or of a newer format, 4 two heads are a fork, whose evidence is written to a file.
    """
    from auditkit.cli.following import progress
    from auditkit.follow.fsck import Fsck

    public_folder(folder)
    pinned = read_key(key, "--key") if key is not None else _key(folder)
    shown = progress if is_terminal(error=True) else None
    with evidence_at(evidence):
        found = Fsck(folder, pinned, any_log=log_only, progress=shown).run()
    return _checked(found, pinned, folder, log_only).show(form, quiet=quiet)


def _key(folder: Path) -> VerifierKey:
    """The key that a follower was told, or the pinned one of the venue that the head names."""
    from auditkit.follow.source import Folder, read_note
    from auditkit.follow.state import FILE, read_memory

    if (folder / FILE).is_file():
        try:
            return read_memory(folder / FILE).key
        except Malformed as error:
            raise InputError(f"{place(folder / FILE)}: {error}; give --key") from None
    try:
        origin = read_note(Folder(folder), "checkpoint").origin
    except FileNotFoundError:
        raise InputError(f"{place(folder)}: is no published log: it has no checkpoint") from None
    except Malformed as error:
        raise InputError(f"{place(folder)}: {error}; give --key all the same") from None
    pinned = TrustStore().keys().get(origin)
    if pinned is None:
        raise InputError(f"--key is missing, and no key of {origin} is pinned")
    return pinned


def _checked(found: "Checked", key: VerifierKey, folder: Path, log_only: bool) -> Result:
    from auditkit.cli.following import and_more

    code, verdict = _verdict(found)
    style = {Code.OK: "good", Code.FAILED: "bad"}.get(code, "warn")
    page, head = Page(), found.head
    page.line(f"{verdict}: {_sentence(found, folder)}", style)
    page.line()
    if head is not None:
        rows = [
            ("log", head.origin),
            ("head", f"{head.size} entries, root {head.root.hex()}"),
            ("signed by", ", ".join(f"{each.name} {each.id.hex()}" for each in found.keys)),
        ]
        page.pairs(rows)
    for warning in (warnings := _warnings(found, key, log_only)):
        page.line(f"NOTE: {warning}", "warn")
    if found.problems:
        page.head("Files")
        for problem in found.problems[:_SHOWN]:
            page.item(problem)
        if len(found.problems) > _SHOWN:
            page.item(f"and {len(found.problems) - _SHOWN} more; --format json lists them all")
    if found.breaches:
        page.head("Breaches")
        for breach in found.breaches[:_SHOWN]:
            page.item(f"{breach.rule}, entry {breach.seq}: {breach.what}")
        and_more(page, found.breaches)
    if not found.problems and not found.breaches:
        page.head("Proves")
        page.item(
            "Every entry and every hash is what the key signed, and every head in the folder is "
            "one of this log."
        )
        if found.ruled:
            page.item("Every rule that a log alone shows holds for every entry.")
    page.head("Does not prove")
    for sentence in _DOES_NOT_PROVE:
        page.item(sentence)
    return Result(code, verdict.lower(), page, _data(found, warnings))


def _verdict(found: "Checked") -> tuple[Code, str]:
    newer = [breach for breach in found.breaches if breach.rule == "unsupported"]
    if any(not each.missing for each in found.problems) or len(found.breaches) > len(newer):
        return Code.FAILED, "FAILED"
    if found.problems or newer or found.head is None:
        return Code.NOT_CHECKED, "NOT CHECKED"
    return Code.OK, "VERIFIED"


def _sentence(found: "Checked", folder: Path) -> str:
    from auditkit.cli.following import count_of

    wrong = sum(not each.missing for each in found.problems)
    counts = [
        (wrong, "file is wrong", "files are wrong"),
        (len(found.problems) - wrong, "file is missing", "files are missing"),
        (count_of(found.breaches), "breach of the log's rules", "breaches of the log's rules"),
    ]
    said = [f"{count} {one if count == 1 else many}" for count, one, many in counts if count]
    files = f"{found.files} files of {place(folder)}, {found.heads} of them heads"
    if found.head is None:
        said.append("no head holds for what is there")
    return (
        "; ".join((*said, files))
        if said
        else f"{files}, and {found.head.size} entries"
        if found.head
        else files
    )


def _warnings(found: "Checked", key: VerifierKey, log_only: bool) -> list[str]:
    said = []
    if found.policies:
        what = "the venue's own offer of witnesses, which nothing signs, was not checked"
        said.append(f"{what}: {_few(found.policies)}")
    if found.others:
        what = "nothing says what these should be, so they were not checked"
        said.append(f"{what}: {_few(found.others)}")
    if found.beyond:
        said.append(
            f"{found.beyond} files hold more than the head covers; that part was not checked"
        )
    if log_only:
        said.append("with --log-only, no rule was checked")
    elif not found.ruled:
        said.append("no rule was checked, since not every entry is there as it was signed")
    if found.head is not None and found.head.origin != key.name:
        said.append(f"the log calls itself {found.head.origin}, and its key {key.name}")
    return said


def _few(names: tuple[str, ...]) -> str:
    return ", ".join(names[:5]) + (", ..." if len(names) > 5 else "")


def _data(found: "Checked", warnings: list[str]) -> dict[str, Any]:
    from auditkit.cli.following import breach_data

    head = found.head
    return {
        "log": None if head is None else clean(head.origin),
        "size": None if head is None else head.size,
        "root": None if head is None else head.root.hex(),
        "keys": [clean(key) for key in found.keys],
        "files": found.files,
        "heads": found.heads,
        "ruled": found.ruled,
        "problems": [
            {
                "file": clean(each.file),
                "what": clean(each.what),
                "expected": None if each.expected is None else clean(each.expected),
                "found": None if each.found is None else clean(each.found),
                "missing": each.missing,
            }
            for each in found.problems
        ],
        "breaches": [breach_data(breach) for breach in found.breaches],
        "warnings": [clean(warning) for warning in warnings],
    }
