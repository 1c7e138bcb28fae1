"""What was proven about one account: in sentences for people, as an object for programs."""

import json
import time
from typing import Any

from auditkit.money import format_amount
from auditkit.verify.check import Balance, Verified
from auditkit.verify.elements import time_text
from auditkit.verify.events import Event
from auditkit.verify.recoveries import Payout
from auditkit.verify.statements import AssetStatement, Key, Policy, Snapshot

PROVES = (
    "The balances above are in ledgers whose roots and totals the venue signed.",
    "Each deduction and recovery above is exactly what the signed rule gives, to the base unit.",
    "Every loss of these assets since the first snapshot shown went down the policy's waterfall, "
    "and its signed numbers add up.",
)
SPLIT_VIEW = (
    "That others were shown this same log: no witness was checked, so a split view cannot be "
    "excluded."
)
TIMES = "When anything happened: all times are the venue's own."
DOES_NOT_PROVE = (
    "That the deficits are real, or that the assets and the fund's coins exist.",
    "That every customer is counted: one that never appears is not charged.",
    SPLIT_VIEW,
    "That these were your balances at those moments: compare them with your own records.",
    TIMES,
    "Anything before the first snapshot shown, after this checkpoint, or of assets not shown.",
)


def decimals(proven: Verified, statement: AssetStatement) -> int:
    """The decimals of a statement's asset, by the policy it names."""
    policy = proven.shown[statement.policy]
    return policy.assets[statement.asset] if isinstance(policy, Policy) else 0


def _money(proven: Verified, statement: AssetStatement, units: int) -> str:
    return f"{format_amount(units, decimals(proven, statement))} {statement.asset}"


def balance_text(proven: Verified, balance: Balance) -> str:
    """A balance, its time, and in how many leaves it stands."""
    moment = balance.statement
    when = moment.as_of if isinstance(moment, Snapshot) else moment.time
    split = f", in {balance.leaves} leaves" if balance.leaves > 1 else ""
    return f"{_money(proven, moment, balance.amount)}, as of {time_text(when)}{split}"


def event_sentences(proven: Verified, event: Event) -> list[str]:
    def money(units: int) -> str:
        return _money(proven, event.loss, units)

    deficit, loss, book = event.deficit, event.loss, event.loss.before.book
    if event.balance is None or event.deducted is None:
        yours = (
            f"No balance of this account was shown to share in {loss.asset}/{book}. If you had "
            "one at that time, do not accept this file."
        )
    elif not loss.socialized:
        yours = (
            f"Nothing was left to share, so nothing was deducted from your {money(event.balance)}."
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
        late = _duration(event.applied.time - deficit.confirmed)
        allowed = _duration(event.policy.deadline_ms)
        sentences.append(f"Applied {late} after it was confirmed; {allowed} are allowed.")
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


def payout_sentence(proven: Verified, payout: Payout) -> str:
    recovered = _money(proven, payout.recovery, payout.recovery.recovered)
    paid = _money(proven, payout.recovery, payout.paid)
    if not payout.known:
        return (
            f"{recovered} came back. No balance of this account was shown to have borne the loss; "
            "if it did, do not accept this file."
        )
    return f"{recovered} came back; exactly your share, {paid}, was returned to you."


def reported(proven: Verified) -> list[str]:
    sentences = [
        f"The checkpoint covers {proven.checkpoint.size} entries, of which this file shows "
        f"{len(proven.shown)}; the log may have grown since. Signed by key {proven.key.id.hex()}.",
        f"Next time, ask for a file made since {proven.checkpoint.size - 1}, and verify it with "
        f"--since {proven.checkpoint.size - 1}: then nothing in between can be left out.",
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
        sentences.append(_policy_sentence(policy))
    changes = len(proven.policies) - 1
    sentences.append(f"Policy changes shown: {max(0, changes)}.")
    sentences += [_change_sentence(proven, change) for change in proven.keys]
    sentences.append(
        "A balance may be split over several leaves, and leaves can be held back: what is shown "
        "is complete only if it matches your own records."
    )
    return sentences


def _change_sentence(proven: Verified, change: Key) -> str:
    """A change of the venue's key, and how whoever pinned the old one follows it."""
    said = f"The venue changes its key: beyond {change.retire} entries only {change.new} signs."
    if change.old == proven.key:
        said += f" If you pinned the old one: auditkit trust update FILE --account {proven.account}"
    return said


def _policy_sentence(policy: Policy) -> str:
    """Every value of the rules, as the venue signed them."""
    floors = [
        f"{name} {format_amount(pool.floor, policy.assets[pool.asset])} {pool.asset}"
        for name, pool in sorted(policy.pools.items())
    ]
    decimals = [f"{asset} {places}" for asset, places in sorted(policy.assets.items())]
    return (
        f"Policy {policy.seq} of {time_text(policy.time)}: decimals {', '.join(decimals)}; books "
        f"{', '.join(policy.books)}, of which {policy.book} shares losses; waterfall "
        f"{', then '.join(policy.waterfall) or 'none'}; pools and their floors "
        f"{', '.join(floors) or 'none'}; ADL rank {policy.adl_rank}; rule {policy.rule}; marks "
        f"{policy.mark_rule}; deadline {_duration(policy.deadline_ms)}; a snapshot every "
        f"{_duration(policy.snapshot_interval_ms)}, a fund entry every "
        f"{_duration(policy.fund_interval_ms)}, {policy.fund_history_days} days of them; fund "
        f"threshold {'/'.join(map(str, policy.oi_threshold))} over {policy.oi_window_days} days."
    )


def _duration(milliseconds: int) -> str:
    """Exactly: in seconds where it is whole seconds."""
    seconds, rest = divmod(milliseconds, 1000)
    return f"{milliseconds} ms" if rest else f"{seconds} s"


def data_of(proven: Verified) -> dict[str, Any]:
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
        "last_index": proven.checkpoint.size - 1,
        "policies": [json.loads(p.encode()) for p in proven.policies],
        "checks": [{"step": note.step, "text": note.text} for note in proven.notes],
        "reported": reported(proven),
        "proves": list(PROVES),
    }
