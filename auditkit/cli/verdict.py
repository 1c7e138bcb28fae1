"""The faces of a verification: what was proven, or why not, for people and for programs."""

import time
from typing import Any

from auditkit.cli.result import Code, Result
from auditkit.cli.terminal import Page, clean
from auditkit.money import format_amount
from auditkit.verify.check import STEPS, Balance, Verified
from auditkit.verify.elements import time_text
from auditkit.verify.errors import Incomplete, Malformed, NotVerified, Refuted, Unsupported
from auditkit.verify.events import Event
from auditkit.verify.recoveries import Payout
from auditkit.verify.statements import AssetStatement, Policy, Snapshot

EXPECT = "expect"
"""The step after SPEC.md's: what the customer expected, with --expect."""

PROVES = (
    "The balances above are in ledgers whose roots and totals the venue signed.",
    "Each deduction and recovery above is exactly what the signed rule gives, to the base unit.",
    "Every loss of these assets since the first snapshot shown went down the policy's waterfall, "
    "and its signed numbers add up.",
)
DOES_NOT_PROVE = (
    "That the deficits are real, or that the assets and the fund's coins exist.",
    "That every customer is counted: one that never appears is not charged.",
    "That others were shown this same log: no witness was checked, so a split view cannot be "
    "excluded.",
    "When anything happened: all times are the venue's own.",
    "Anything before the first snapshot shown, after this checkpoint, or of assets not shown.",
)
_HEADLINES: dict[type[NotVerified], tuple[Code, str]] = {
    Refuted: (Code.FAILED, "FAILED"),
    Malformed: (Code.USAGE, "ERROR: malformed file"),
    Incomplete: (Code.NOT_CHECKED, "NOT CHECKED"),
    Unsupported: (Code.NOT_CHECKED, "NOT CHECKED"),
}
_STEPS = STEPS | {EXPECT: "the balance is the one you expect"}
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
}
_MISFITS: dict[str, tuple[str, ...]] = {
    "1": ("the file was cut, edited or re-encoded on its way", "it is not a proof file"),
    "5": ("the venue's software put in what does not belong there", "the file was altered"),
}
_GAPS: dict[str, tuple[str, ...]] = {
    "3": ("the file is older than what you verified last", "with --since: it is of another log"),
    "5": (
        "the venue left something out of the file",
        "with --since: it is not the seq of an index",
    ),
    "6": ("the venue left a statement out of the file",),
    "7": ("the venue left a balance out of the file",),
    "8": ("the file was made in the middle of an event", "the venue left something out of it"),
    EXPECT: ("the file was made for other assets", "the venue has no balance of yours there"),
}
_EVIDENCE = (
    "Keep this file: it is evidence. Fetch it once more from the venue; if it fails again, ask "
    "the venue, and show your auditor this report."
)
_NEXT: dict[type[NotVerified], str] = {
    Refuted: _EVIDENCE,
    Malformed: "Fetch the file again. If it stays malformed, ask the venue for a correct one.",
    Incomplete: "Nothing was proven and nobody is accused. Ask the venue for a complete file.",
    Unsupported: "Nothing was proven and nobody is accused. Use a newer auditkit.",
}
_NEXT_AT = {
    "2": "Check how you spelt your account name. If it is right, ask the venue for your own file.",
    "3": f"First check that the key is the venue's, in a place you trust. {_EVIDENCE}",
    EXPECT: f"First check your own records of that moment. {_EVIDENCE}",
}
PRIVATE = "Keep the file private: it holds a balance and a salt. This report shows balances too."


def refused(error: NotVerified) -> Result:
    """FAILED, NOT CHECKED or ERROR, with the first step that does not hold."""
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
    causes = likely.get(error.step, ())
    following = _NEXT_AT.get(error.step, _NEXT[kind]) if kind is Refuted else _NEXT[kind]
    if causes:
        page.head("Likely causes")
        for number, cause in enumerate(causes, 1):
            page.item(cause, f"{number}.")
    page.head("Next")
    page.item(following)
    page.item(PRIVATE)
    data: dict[str, Any] = {
        "step": error.step,
        "what": error.what,
        "where": error.where,
        "expected": error.expected,
        "found": error.found,
        "causes": list(causes),
        "next": following,
        "private": PRIVATE,
    }
    # Programs get the untrusted text filtered too: it ends up on somebody's terminal.
    data = {k: clean(v) if isinstance(v, str) else v for k, v in data.items()}
    return Result(code, headline.partition(":")[0].lower(), page, {"kind": error.verdict, **data})


def decimals(proven: Verified, statement: AssetStatement) -> int:
    """The decimals of a statement's asset, by the policy it names."""
    policy = proven.shown[statement.policy]
    return policy.assets[statement.asset] if isinstance(policy, Policy) else 0


def verified(proven: Verified) -> Result:
    """VERIFIED, and everything that was compared."""
    page = Page()
    page.line("VERIFIED", "good")
    page.line(
        f"Account {proven.account} at {proven.checkpoint.origin}: the balances below are counted, "
        "and every deduction shown is the rule's."
    )
    page.head("Balances")
    page.pairs([(f"{b.asset}/{b.book}", _balance(proven, b)) for b in proven.balances])
    for event in proven.events:
        page.head(f"Loss {event.deficit.event}")
        for sentence in _event_sentences(proven, event):
            page.item(sentence)
    for payout in proven.payouts:
        page.head(f"Recovery of {payout.recovery.event}")
        page.item(_payout_sentence(proven, payout))
    page.head("Reported, not decided")
    for sentence in _reported(proven):
        page.item(sentence)
    page.head("Checks")
    for note in proven.notes:
        page.item(note.text, note.step)
    page.head("Proves")
    for sentence in PROVES:
        page.item(sentence)
    page.head("Does not prove")
    for sentence in DOES_NOT_PROVE:
        page.item(sentence)
    page.line()
    page.line(PRIVATE, "dim")
    return Result(Code.OK, "verified", page, _data(proven))


def _money(proven: Verified, statement: AssetStatement, units: int) -> str:
    return f"{format_amount(units, decimals(proven, statement))} {statement.asset}"


def _balance(proven: Verified, balance: Balance) -> str:
    moment = balance.statement
    when = moment.as_of if isinstance(moment, Snapshot) else moment.time
    split = f", in {balance.leaves} leaves" if balance.leaves > 1 else ""
    return f"{_money(proven, moment, balance.amount)}, as of {time_text(when)}{split}"


def _event_sentences(proven: Verified, event: Event) -> list[str]:
    def money(units: int) -> str:
        return _money(proven, event.loss, units)

    deficit, loss, book = event.deficit, event.loss, event.loss.before.book
    if event.balance is None or event.deducted is None:
        yours = (
            f"No balance of this account was shown to share in {loss.asset}/{book}. If you had "
            "one at that time, do not accept this file."
        )
    else:
        yours = (
            f"Of your {money(event.balance)} in {book}, {money(event.deducted)} was deducted: "
            f"exactly your share. {money(event.balance - event.deducted)} was left."
        )
    roles = {
        "adl": "Positions of this account were closed by auto-deleveraging; it absorbed",
        "deficit": "This account was bankrupt in this event; it was short",
    }
    sentences = [yours]
    sentences += [
        f"{roles[role.book]} {money(role.amount)}."
        for role in proven.roles
        if getattr(role.statement, "event", "") == deficit.event and role.asset == deficit.asset
    ]
    drawn = event.draw.drawn if event.draw else 0
    sentences.append(
        f"The deficit of {money(deficit.ledger.total)} = {money(event.absorbed)} absorbed by "
        f"deleveraging + {money(drawn)} drawn from pool {deficit.pool} + {money(loss.socialized)} "
        f"socialized + {money(loss.residual)} residual."
    )
    reference = event.reference.ledgers_shown().get(book) if event.reference else None
    if event.reference:
        shown = money(reference.total) if reference else "no ledger of that book"
        sentences.append(
            f"It was shared by {money(loss.before.total)} of equity; the reference, snapshot "
            f"{event.reference.seq} of {time_text(event.reference.time)}, shows {shown}."
        )
    if event.applied:
        late = (event.applied.time - deficit.confirmed) / 1000
        allowed = event.policy.deadline_ms / 1000
        sentences.append(f"Applied {late:g} s after it was confirmed; {allowed:g} s are allowed.")
    return sentences + _fund_sentence(proven, event)


def _fund_sentence(proven: Verified, event: Event) -> list[str]:
    if event.fund is None:
        return []

    def money(units: int) -> str:
        return _money(proven, event.loss, units)

    row = next(row for row in event.fund.pools if row.pool == event.deficit.pool)
    credits = ", ".join(f"{c.kind} {money(c.amount)}" for c in row.credits) or "no credits"
    return [
        f"The fund's entry {event.fund.seq} right before the draw: opening {money(row.opening)}, "
        f"{credits}, no debits, closing {money(row.closing)}."
    ]


def _payout_sentence(proven: Verified, payout: Payout) -> str:
    recovered = _money(proven, payout.recovery, payout.recovery.recovered)
    paid = _money(proven, payout.recovery, payout.paid)
    if not payout.known:
        return (
            f"{recovered} came back. No balance of this account was shown to have borne the loss; "
            "if it did, do not accept this file."
        )
    return f"{recovered} came back; exactly your share, {paid}, was returned to you."


def _reported(proven: Verified) -> list[str]:
    sentences = [
        f"The log has {proven.checkpoint.size} entries; this file shows {len(proven.shown)}.",
        f"Signed by key {proven.key.id.hex()}.",
    ]
    now = time.time() * 1000
    for asset, chain in proven.chains.items():
        events = sum(event.deficit.asset == asset for event in proven.events)
        newest = max(link.time for link in chain if isinstance(link, Snapshot))
        days = max(0, now - newest) / 86_400_000
        sentences.append(
            f"{asset}: {events} {'event' if events == 1 else 'events'} checked since snapshot "
            f"{chain[0].seq} of {time_text(chain[0].time)}; nothing is said of the time before. "
            f"The newest snapshot is {days:.1f} days old."
        )
    for policy in proven.policies:
        ratio = "/".join(map(str, policy.oi_threshold))
        sentences.append(
            f"Policy {policy.seq} of {time_text(policy.time)}: book {policy.book} shares losses; "
            f"waterfall {', then '.join(policy.waterfall) or 'none'}; ADL rank {policy.adl_rank}; "
            f"rule {policy.rule}; deadline {policy.deadline_ms / 1000:g} s; fund threshold {ratio} "
            f"over {policy.oi_window_days} days."
        )
    changes = len(proven.policies) - 1
    sentences.append(f"Policy changes shown: {max(0, changes)}.")
    for key in proven.keys:
        sentences.append(
            f"The venue changes its key: up to {key.retire} entries both sign, then only {key.new}."
        )
    if any(balance.leaves > 1 for balance in proven.balances):
        sentences.append(
            "A split balance is complete only if it matches your own records: leaves can be held "
            "back."
        )
    return sentences


def _data(proven: Verified) -> dict[str, Any]:
    def amount(statement: AssetStatement, units: int) -> dict[str, str]:
        text = format_amount(units, decimals(proven, statement)).replace(",", "")
        return {"units": str(units), "natural": text}

    return {
        "account": proven.account,
        "venue": proven.checkpoint.origin,
        "key_id": proven.key.id.hex(),
        "log_size": proven.checkpoint.size,
        "statements_shown": len(proven.shown),
        "balances": [
            {
                "asset": b.asset,
                "book": b.book,
                "amount": amount(b.statement, b.amount),
                "leaves": b.leaves,
                "seq": b.statement.seq,
                "time": time_text(b.statement.time),
            }
            for b in proven.balances
        ],
        "roles": [
            {
                "asset": r.asset,
                "ledger": r.book,
                "amount": amount(r.statement, r.amount),
                "seq": r.statement.seq,
            }
            for r in proven.roles
        ],
        "deductions": [
            {
                "event": e.deficit.event,
                "asset": e.loss.asset,
                "book": e.loss.before.book,
                "shown": e.balance is not None,
                "before": amount(e.loss, e.balance or 0),
                "deducted": amount(e.loss, e.deducted or 0),
                "equity": amount(e.loss, e.loss.before.total),
                "socialized": amount(e.loss, e.loss.socialized),
                "residual": amount(e.loss, e.loss.residual),
                "reference": e.reference.seq if e.reference else None,
                "seq": e.loss.seq,
            }
            for e in proven.events
        ],
        "recoveries": [
            {
                "event": p.recovery.event,
                "asset": p.recovery.asset,
                "recovered": amount(p.recovery, p.recovery.recovered),
                "paid": amount(p.recovery, p.paid),
                "shown": p.known,
                "seq": p.recovery.seq,
            }
            for p in proven.payouts
        ],
        "policies": [{"seq": p.seq, "time": time_text(p.time)} for p in proven.policies],
        "checks": [{"step": note.step, "text": note.text} for note in proven.notes],
        "reported": _reported(proven),
        "proves": list(PROVES),
        "does_not_prove": list(DOES_NOT_PROVE),
    }
