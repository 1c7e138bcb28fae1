"""The faces of a verification: what was proven, or why not, for people and for programs."""

from collections.abc import Sequence
from typing import Any

from auditkit.cli.cosigned import NO_POLICY, WITNESSES, Witnesses
from auditkit.cli.proven import (
    PROVES,
    balance_text,
    data_of,
    event_sentences,
    payout_sentence,
    reported,
)
from auditkit.cli.result import Code, Result
from auditkit.cli.terminal import Page, clean
from auditkit.verify.check import STEPS, Verified
from auditkit.verify.errors import Incomplete, Malformed, NotVerified, Refuted, Unsupported

EXPECT = "expect"
"""The step after SPEC.md's: what the customer expected, with --expect."""

_HEADLINES: dict[type[NotVerified], tuple[Code, str]] = {
    Refuted: (Code.FAILED, "FAILED"),
    Malformed: (Code.USAGE, "ERROR: malformed file"),
    Incomplete: (Code.NOT_CHECKED, "NOT CHECKED"),
    Unsupported: (Code.NOT_CHECKED, "NOT CHECKED"),
}
_STEPS = STEPS | {
    EXPECT: "the balance is the one you expect",
    WITNESSES: "enough witnesses of your policy cosigned the checkpoint",
}
# The likely causes at each step, first of what is false, then of what the format refuses, then
# of what is missing.
_CAUSES: dict[str, tuple[str, ...]] = {
    "2": ("the file is another customer's", "the account name is spelt otherwise at the venue"),
    "3": ("the pinned key is another venue's or has been replaced", "the checkpoint was altered"),
    "4": ("a statement was changed after it was logged", "the file was altered"),
    "5": ("the venue signed a chain that jumps a statement", "the file was altered"),
    "6": ("the balance shown is not the one that was signed", "the file was altered"),
    "7": ("the balances shown are not those of one account followed over time",),
    "8": ("the venue did not follow its own signed policy",),
    EXPECT: (
        "the venue counts another balance than your records show",
        "your records are of another moment",
    ),
    WITNESSES: (
        "a line that only poses as a witness's stands below the checkpoint",
        "your policy holds another key of that witness",
    ),
}
_MISFITS: dict[str, tuple[str, ...]] = {
    "1": ("the file was cut, edited or re-encoded on its way", "it is not a proof file"),
    "5": ("the venue's software put in what does not belong there", "the file was altered"),
}
_GAPS: dict[str, tuple[str, ...]] = {
    "3": (
        "the file is older than what you verified last",
        "with --since or --state: it does not go on from there, or is of another log",
    ),
    "5": (
        "the venue left something out of the file",
        "with --since: it is not the seq of an index",
    ),
    "6": ("the venue left a statement out of the file",),
    "7": ("the venue left a balance out of the file",),
    "8": ("the file was made in the middle of an event", "the venue left something out of it"),
    EXPECT: ("the file was made for other assets", "the venue has no balance of yours there"),
    WITNESSES: (
        "the venue does not ask the witnesses of your policy, or they were down",
        "they refused: the venue showed them another history",
    ),
}
_EVIDENCE = (
    "Keep this file: it is evidence. Fetch it once more from the venue; if it fails again, ask "
    "the venue, and show your auditor this report."
)
_REMEMBERED = ("3", "5")
"""The steps at which a file may lack what leads on from what was verified last."""
_NEXT: dict[type[NotVerified], str] = {
    Refuted: _EVIDENCE,
    Malformed: "Fetch the file again. If it stays malformed, ask the venue for a correct one.",
    Incomplete: "Nothing was proven and nobody is accused. Ask the venue for a complete file.",
    Unsupported: "Nothing was proven and nobody is accused. Use a newer auditkit.",
}
_NEXT_AT = {
    "2": "Check how you spelt your account name. If it is right, ask the venue for your own file.",
    "3": "First check that the key is the venue's, in a place you trust. If the venue has changed "
    "its key, ask for a file made for the one you pinned, and run auditkit trust update on that. "
    f"{_EVIDENCE}",
    EXPECT: f"First check your own records of that moment. {_EVIDENCE}",
}
_LACKING = {
    WITNESSES: "Everything else in the file holds. Ask the venue for a file under a checkpoint "
    "that they cosigned, and the witnesses what they saw.",
}
PRIVATE = "Keep the file private: it holds a balance and a salt. This report shows balances too."


def refused(error: NotVerified, goes_on: str = "", advice: str = "") -> Result:
    """FAILED, NOT CHECKED or ERROR, with the first step that does not hold.

    `goes_on` says, where something is remembered, which file goes on from that;
    `advice` what to do with a file that cannot be a proof, whole or damaged.
    """
    kind = type(error)
    code, headline = _HEADLINES[kind]
    step = f"{error.step}, {_STEPS[error.step]}" if error.step in _STEPS else error.step
    page = Page()
    page.line(f"{headline}: {error.what}", "bad" if code is Code.FAILED else "warn")
    page.line()
    rows = [("step", step), ("where", error.where)]
    rows += [("expected", error.expected or ""), ("found", error.found or "")]
    page.pairs([row for row in rows if row[1]])
    likely = {Refuted: _CAUSES, Malformed: _MISFITS, Incomplete: _GAPS}.get(kind, {})
    causes = () if advice else likely.get(error.step, ())
    here = {Refuted: _NEXT_AT, Incomplete: _LACKING}.get(kind, {})
    following = here.get(error.step, _NEXT[kind])
    if kind is Incomplete and error.step in _REMEMBERED and goes_on:
        following = f"Nothing was proven and nobody is accused. {goes_on}"
    if advice:
        following = f"{advice[0].upper()}{advice[1:]}."
    if causes:
        page.head("Likely causes")
        for number, cause in enumerate(causes, 1):
            page.item(cause, f"{number}.")
    page.head("Next")
    page.item(following)
    if not advice:
        page.item(PRIVATE)
    data: dict[str, Any] = {
        "step": error.step,
        "what": error.what,
        "where": error.where,
        "expected": error.expected,
        "found": error.found,
        "causes": list(causes),
        "next": following,
        "private": None if advice else PRIVATE,
    }
    # Programs get the untrusted text filtered too: it ends up on somebody's terminal.
    data = {k: clean(v) if isinstance(v, str) else v for k, v in data.items()}
    return Result(code, headline.partition(":")[0].lower(), page, {"kind": error.verdict, **data})


def verified(
    proven: Verified,
    warnings: Sequence[str] = (),
    remembered: tuple[str, dict[str, Any]] | None = None,
    witnesses: Witnesses = NO_POLICY,
) -> Result:
    """VERIFIED, and everything that was compared. `warnings` come right after the verdict.

    `remembered` says what was verified last and what is now, as a sentence and for programs.
    """
    page = Page()
    page.line("VERIFIED", "good")
    page.line(
        f"Account {proven.account} at {proven.checkpoint.origin}: the balances below are counted, "
        "and every deduction shown is the rule's."
    )
    for warning in warnings:
        page.line(f"NOTE: {warning}", "warn")
    if remembered:
        page.line(f"Remembered: {remembered[0]}")
    page.head("Balances")
    page.pairs([(f"{b.asset}/{b.book}", balance_text(proven, b)) for b in proven.balances])
    for event in proven.events:
        page.head(f"Loss {event.deficit.event}")
        for sentence in event_sentences(proven, event):
            page.item(sentence)
    for payout in proven.payouts:
        page.head(f"Recovery of {payout.recovery.event}")
        page.item(payout_sentence(proven, payout))
    page.head("Witnesses")
    for sentence in witnesses.sentences():
        page.item(sentence)
    page.head("Reported, not decided")
    for sentence in reported(proven):
        page.item(sentence)
    page.head("Checks")
    for note in proven.notes:
        page.item(note.text, note.step)
    page.head("Proves")
    for sentence in PROVES:
        page.item(sentence)
    page.head("Does not prove")
    for sentence in witnesses.does_not_prove():
        page.item(sentence)
    page.line()
    page.line(PRIVATE, "dim")
    data = {
        **data_of(proven),
        "does_not_prove": witnesses.does_not_prove(),
        "witnesses": witnesses.data(),
        "warnings": list(warnings),
    }
    if remembered:
        data["remembered"] = remembered[1]
    return Result(Code.OK, "verified", page, data)
