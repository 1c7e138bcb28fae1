"""Evidence of a fork: the one place that writes the file, and says what it proves (exit code 4)."""

import json
import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Annotated, Any

import typer

from auditkit.cli.result import Code, Result
from auditkit.cli.terminal import Page
from auditkit.errors import ForkError
from auditkit.verify.fork import MAX_BYTES, Fork
from auditkit.verify.note import VerifierKey

EVIDENCE = Annotated[
    Path | None,
    typer.Option(
        "--evidence",
        metavar="FILE|DIR",
        help="Where the evidence of a fork is written. Left out: the current folder.",
    ),
]
PROVES = (
    "Whoever holds {} signed two histories: no log has both checkpoints. Different entries were "
    "shown to different people, or what had been signed was rewritten."
)
TWO_KEYS = (
    "It took two keys. That they are one venue's is your word, or that of its key statement; a "
    "line by a key that was retired before that size counts for nothing."
)
DOES_NOT_PROVE = (
    "Which of the two histories is the true one, who was shown which, or when it was signed.",
    "That the venue did this itself: it may have lost its key to somebody.",
)
KEEP = (
    "Keep the file and show it to anyone: it holds the two signed checkpoints, and no account, "
    "balance or salt."
)
_TRIES = 99


@contextmanager
def evidence_at(place: Path | None) -> Iterator[None]:
    """The evidence of a fork met in the block goes to `place`, a file or a folder."""
    try:
        yield
    except ForkError as problem:
        problem.place = place
        raise


def kept(problem: ForkError) -> Result:
    """FORK: writes the evidence file; where that cannot be, the answer itself holds the evidence.

    Never overwrites another file. Evidence that is there already is as good as written.
    """
    fork, why, path = problem.evidence, "", None
    try:
        path = _write(fork, problem.place or Path())
    except OSError as error:
        why = f"{error.filename}: {error.strerror}"
    page = Page()
    page.line(f"FORK: {problem.what}", "bad")
    describe(page, fork, problem.keys)
    page.head("Next")
    if path is not None:
        page.item(f"The evidence is in {path}. {KEEP}")
    else:
        page.item(f"The evidence could not be written ({why}). Save what stands below.")
    page.item("Anyone checks it again, without the venue, with:")
    given = [part for key in problem.keys for part in ("--key", str(key))]
    page.exact(" ".join(["auditkit verify-fork", str(path or "FILE"), *(given or ["--key VKEY"])]))
    if path is None:
        page.line()
        for line in fork.encode().splitlines():
            page.exact(line)
    data = {"what": problem.what, **data_of(fork, problem.keys)}
    data |= {"file": None if path is None else str(path), "why": why or None}
    return Result(Code.FORK, "fork", page, data)


def describe(page: Page, fork: Fork, keys: Sequence[VerifierKey]) -> None:
    """The two checkpoints, and what they prove and do not."""
    first, second = fork.first, fork.second
    page.line()
    rows = [
        ("venue", first.origin),
        ("first", f"{first.size} entries, root {first.root.hex()}"),
        ("second", f"{second.size} entries, root {second.root.hex()}"),
    ]
    if fork.prefix is not None:
        begins = f"its first {first.size} entries have root {fork.prefix.hex()}"
        rows.append(("in second", begins))
    rows += [("signed by", f"{key.name} {key.id.hex()}") for key in keys]
    page.pairs(rows)
    page.head("Proves")
    page.item(PROVES.format("this key" if len(keys) == 1 else "these keys"))
    if len(keys) > 1:
        page.item(TWO_KEYS)
    page.head("Does not prove")
    for sentence in DOES_NOT_PROVE:
        page.item(sentence)


def data_of(fork: Fork, keys: Sequence[VerifierKey]) -> dict[str, Any]:
    """The same for programs, with the evidence itself, as its file has it."""
    heads = {
        name: {"size": each.size, "root": each.root.hex()}
        for name, each in (("first", fork.first), ("second", fork.second))
    }
    return {
        "venue": fork.first.origin,
        **heads,
        "prefix": None if fork.prefix is None else fork.prefix.hex(),
        "keys": [str(key) for key in keys],
        "evidence": json.loads(fork.encode()),
    }


def file_name(fork: Fork) -> str:
    """`fork-<venue>-<size>-<size>.json`, where the venue has neither slash nor colon."""
    venue = re.sub(r"[^a-z0-9._-]", "-", fork.first.origin)
    return f"fork-{venue}-{fork.first.size}-{fork.second.size}.json"


def _write(fork: Fork, place: Path) -> Path:
    """The new file with the evidence, or the one that has it already. Raises OSError."""
    if not place.is_dir():
        return _create(place, fork.encode())
    path = place / file_name(fork)
    for number in range(2, _TRIES):
        with suppress(FileExistsError):
            return _create(path, fork.encode())
        path = place / file_name(fork).replace(".json", f"-{number}.json")
    return _create(path, fork.encode())


def _create(path: Path, text: str) -> Path:
    """A new file that is on the disk when this returns. Raises FileExistsError for another one."""
    try:
        file = path.open("x", encoding="ascii")
    except FileExistsError:
        if not path.is_file() or path.stat().st_size > MAX_BYTES:
            raise
        if path.read_bytes() != text.encode("ascii"):
            raise
        return path
    try:
        with file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
    except OSError as problem:
        path.unlink()
        raise OSError(problem.errno, problem.strerror, str(path)) from None
    return path
