"""What a follower says: a page a round, or with --every a line."""

import json
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from auditkit.cli.result import Code, Format, Result
from auditkit.cli.terminal import Page, clean, coloured, write
from auditkit.errors import place
from auditkit.follow.follower import Round
from auditkit.follow.source import FetchError, Source
from auditkit.follow.web import Web
from auditkit.log.breach import MOST, UNSUPPORTED, Breach
from auditkit.verify.elements import time_text
from auditkit.verify.errors import Incomplete, Malformed, NotVerified, Refuted, Unsupported

_SHOWN = 20
_LONGEST = 8
"""How many times the interval is waited at most after rounds that could fetch nothing."""
_PLAIN = (
    "http: whoever is on the way sees what is fetched and can hold back what is newest. Nothing "
    "false gets past the checks."
)
PROVES = (
    "Every entry up to this head is what the venue signed, and none that this follower saw before "
    "was changed, dropped or put elsewhere.",
    "Every rule that a log alone shows holds for every entry.",
)
DOES_NOT_PROVE = (
    "That anyone else is shown this log: compare checkpoints with others (auditkit compare), or "
    "ask for witnesses.",
    "That this is the newest head: a source may hold back what is newer.",
    "What is in the ledgers, or that the venue's statements are true.",
)
_REFUSED: dict[type[NotVerified], tuple[Code, str, str]] = {
    Refuted: (
        Code.FAILED,
        "FAILED",
        "Try again later, and from another source if there is one. If it stays, ask the venue, and "
        "keep this report. Did it change its key? Then give the new one with --key.",
    ),
    Malformed: (Code.USAGE, "ERROR: malformed", "Is this the place where the log is published?"),
    Incomplete: (
        Code.NOT_CHECKED,
        "NOT CHECKED",
        "Nobody is accused. Try again later, or from another source.",
    ),
    Unsupported: (Code.NOT_CHECKED, "NOT CHECKED", "Nobody is accused. Use a newer auditkit."),
}


def _warnings(source: Source) -> list[str]:
    """What to say aloud of where the log comes from."""
    return [_PLAIN] if isinstance(source, Web) and source.plain else []


def _met(found: Round) -> list[str]:
    """That an earlier round met a fork: a source that is honest now does not undo it."""
    if not found.met:
        return []
    files = ", ".join(found.met)
    return [f"the venue signed two histories, as an earlier round found; evidence: {files}"]


def refused(error: NotVerified) -> Result:
    """FAILED, NOT CHECKED or ERROR: what was remembered stays as it was."""
    code, headline, following = _REFUSED[type(error)]
    page = Page()
    page.line(f"{headline}: {error.what}", "bad" if code is Code.FAILED else "warn")
    page.line()
    details = {"where": error.where, "expected": error.expected, "found": error.found}
    page.pairs([(name, value) for name, value in details.items() if value])
    page.line("What was remembered before stays.")
    page.head("Next")
    page.item(following)
    data: dict[str, Any] = {"kind": error.verdict, "what": error.what, **details}
    data = {name: clean(v) if isinstance(v, str) else v for name, v in data.items()}
    return Result(code, headline.partition(":")[0].lower(), page, {**data, "next": following})


def followed(found: Round, source: Source, state: Path) -> Result:
    """VERIFIED; or FAILED or NOT CHECKED, with the breaches beyond what was checked."""
    code, verdict = _verdict(found)
    page, head = Page(), found.head
    page.line(f"{verdict}: {_sentence(found)}", _style(code))
    page.line()
    page.pairs(
        [
            ("source", source.name),
            ("head", f"{head.size} entries, root {head.root.hex()}"),
            ("signed by", ", ".join(f"{key.name} {key.id.hex()}" for key in found.keys)),
            ("newest entry", "none" if found.time is None else time_text(found.time)),
            ("checked", f"{found.checked} entries, against every rule that a log alone shows"),
            ("remembered", f"in {place(state)}"),
        ]
    )
    for warning in (warnings := [*_warnings(source), *_met(found)]):
        page.line(f"NOTE: {warning}", "warn")
    for each in found.accepted:
        page.line(f"NOTE: the breach {each.rule}:{each.seq} is passed over, as you said.", "warn")
    if found.breaches:
        _breaches(page, found)
    page.head("Proves")
    if found.before:
        page.item(f"The head extends the one of {found.before} entries remembered before.")
    else:
        page.item("This is the first head: there was none to hold it against.")
    for sentence in PROVES if not found.breaches else PROVES[:1]:
        page.item(sentence)
    page.head("Does not prove")
    for sentence in DOES_NOT_PROVE:
        page.item(sentence)
    data = {**_data(found, source.name), "warnings": warnings}
    return Result(code, verdict.lower(), page, data)


def _verdict(found: Round) -> tuple[Code, str]:
    if not found.breaches:
        return Code.OK, "VERIFIED"
    if all(breach.rule == UNSUPPORTED for breach in found.breaches):
        return Code.NOT_CHECKED, "NOT CHECKED"
    return Code.FAILED, "FAILED"


def _sentence(found: Round) -> str:
    name, size, new = found.head.origin, found.head.size, found.head.size - found.before
    entries = f"{name} has {size} entries, {new} of them new"
    if not found.breaches:
        return entries
    count, before = count_of(found.breaches), count_of(found.known)
    breaches = "1 breach" if count == 1 else f"{count} breaches"
    told = f", {before} of them reported before" if before else ""
    if all(breach.rule == UNSUPPORTED for breach in found.breaches):
        return f"{entries}; {count} cannot be read by this auditkit"
    return f"{breaches} of the log's rules{told}; {entries}"


def _breaches(page: Page, found: Round) -> None:
    page.head("Breaches")
    known = frozenset(found.known)
    for breach in found.breaches[:_SHOWN]:
        told = " (reported before)" if breach in known else ""
        page.item(f"{breach.rule}, entry {breach.seq}{told}: {breach.what}")
    and_more(page, found.breaches)
    page.head("Next")
    page.item(
        "The signed head and every entry are in the state folder: anyone can check them with "
        "auditkit fsck."
    )
    first = next((b for b in found.breaches if b.rule != UNSUPPORTED), None)
    if first is not None:
        page.item(
            "Every further round says so again. Once you have looked into it, go on with --accept "
            f"{first.rule}:{first.seq}"
        )
    else:
        page.item("Use a newer auditkit; nobody is accused.")


def _data(found: Round, source: str) -> dict[str, Any]:
    head, known = found.head, frozenset(found.known)
    return {
        "venue": head.origin,
        "source": clean(source),
        "size": head.size,
        "root": head.root.hex(),
        "before": found.before,
        "checked": found.checked,
        "keys": [str(key) for key in found.keys],
        "time": None if found.time is None else time_text(found.time),
        "breaches": [
            {**breach_data(breach), "reported_before": breach in known} for breach in found.breaches
        ],
        "accepted": [{"rule": each.rule, "seq": each.seq} for each in found.accepted],
    }


def count_of(breaches: Iterable[Breach]) -> int:
    """How many they are, with those that are not told one by one."""
    return sum(1 + breach.more for breach in breaches)


def and_more(page: Page, breaches: Sequence[Breach]) -> None:
    """How many there are beside those that are shown."""
    if left := breaches[_SHOWN:]:
        listed = f"the first {MOST}" if any(breach.more for breach in left) else "them all"
        page.item(f"and {count_of(left)} more; --format json lists {listed}")


def breach_data(breach: Breach) -> dict[str, Any]:
    """A breach for programs."""
    return {
        "rule": breach.rule,
        "seq": breach.seq,
        "what": breach.what,
        "expected": breach.expected,
        "found": breach.found,
    }


def rounds(
    round_of: Callable[[], Round], source: Source, every: float, form: Format, *, quiet: bool
) -> int:
    """A round every so many seconds and a line for each, until one fails; return its code.

    What cannot be fetched, is not served whole or is older than what is
    remembered is tried again; after several such rounds less often.
    """
    idle = 0
    for warning in _warnings(source) if form is Format.TEXT and not quiet else ():
        write(f"NOTE: {warning}\n", error=True)
    while True:
        start = time.monotonic()
        answer = _answer(round_of, source)
        if not quiet:
            _say(answer, form)
        if answer.code is Code.FAILED:
            return answer.code
        idle = idle + 1 if answer.code is Code.IO else 0
        wait = every * min(2 ** max(0, idle - 1), _LONGEST)
        time.sleep(max(0.0, start + wait - time.monotonic()))


def _answer(round_of: Callable[[], Round], source: Source) -> Result:
    """A round in one line."""
    page = Page()
    try:
        found = round_of()
    except NotVerified as error:
        answer = refused(error)
        page.line(f"{_REFUSED[type(error)][1]}: {error}", _style(answer.code))
        return Result(answer.code, answer.verdict, page, answer.data)
    except FetchError as error:
        what = f"{error.filename}: {error.strerror}"
        page.line(f"ERROR: {what}; the next round tries again", "warn")
        return Result(Code.IO, "error", page, {"what": clean(what)})
    code, verdict = _verdict(found)
    line = f"{verdict}: {_sentence(found)}"
    if found.breaches:
        first = found.breaches[0]
        line += f"; first: {first.rule}, entry {first.seq}: {first.what}"
    for warning in (warnings := _met(found)):
        line += f"; NOTE: {warning}"
    page.line(line, _style(code))
    return Result(code, verdict.lower(), page, {**_data(found, source.name), "warnings": warnings})


def _say(answer: Result, form: Format) -> None:
    """The line, with the time in front; what is wrong goes to standard error."""
    if form is Format.JSON:
        head = {"verdict": answer.verdict, "exit_code": int(answer.code)}
        write(json.dumps({**head, **answer.data}).replace("\x7f", "\\u007f") + "\n")
        return
    wrong = answer.code not in (Code.OK, Code.NOT_CHECKED)
    line = answer.page.render(colour=coloured(error=wrong), columns=None)
    write(f"{time_text(time.time_ns() // 1_000_000)} {line}", error=wrong)


def _style(code: Code) -> str:
    return {Code.OK: "good", Code.FAILED: "bad"}.get(code, "warn")


def progress(done: int, whole: int) -> None:
    """How far a command is, in place on a terminal."""
    write(f"\r{done} of {whole} entries" + ("\n" if done == whole else ""), error=True)
