"""A recovery: money that comes back along a loss's shares (SPEC.md §3 and §5)."""

from dataclasses import dataclass

from auditkit.verify import sharing
from auditkit.verify.chains import Chain, Shown
from auditkit.verify.cursor import Cursor, check_effect, require
from auditkit.verify.errors import Refuted, Step
from auditkit.verify.holdings import Holdings
from auditkit.verify.statements import Applied, Loss, Recovery


@dataclass(frozen=True, slots=True)
class Payout:
    """One checked recovery; amounts in base units.

    `paid` is what it pays to the account's leaves of the loss's ledger, and
    `known` whether any such leaf was shown.
    """

    recovery: Recovery
    loss: Loss
    applied: Applied
    paid: int
    known: bool


def outstanding(loss: Loss, recovery: Recovery) -> int | None:
    """What of the loss is not returned before this recovery; None if the amounts do not fit."""
    amounts = (*recovery.earlier, recovery.recovered)
    if 0 in amounts or sum(amounts) > loss.socialized or loss.socialized > loss.before.total:
        return None
    return loss.socialized - sum(recovery.earlier)


def paid(loss: Loss, recovery: Recovery, holdings: Holdings) -> int:
    """What the recovery pays to the account's leaves of the loss's `before` ledger.

    0 where the amounts do not fit, which `check_recovery` refuses.
    """
    if outstanding(loss, recovery) is None:
        return 0
    amounts = (*recovery.earlier, recovery.recovered)
    before = loss.before
    return sum(
        sharing.payouts(x.prefix, x.amount, before.total, loss.socialized, amounts)[-1]
        for x in holdings.of(loss.seq, before.book)
    )


def check_shown(step: Step, chain: Chain, shown: Shown, holdings: Holdings) -> None:
    """Step 7: an account that a recovery pays shows its leaves before and after it."""
    for recovery, applied in zip(chain, (*chain[1:], None), strict=True):
        if not isinstance(recovery, Recovery):
            continue
        loss = shown.get(recovery.loss)
        if isinstance(loss, Loss) and paid(loss, recovery, holdings) > 0:
            # What is no `applied` has no ledger after; step 8 says that it stands there wrongly.
            after = [applied] if isinstance(applied, Applied) else []
            for link in (recovery, *after):
                if holdings.balance(link.seq, recovery.before.book) is None:
                    step.missing(
                        f"no leaf in statement {link.seq}, though the recovery "
                        f"{recovery.seq} pays this account"
                    )


def check_recovery(cursor: Cursor, recovery: Recovery) -> Payout | None:
    """Check a recovery and its effect; None if the chain ends first or the loss is missing."""
    amounts = (*recovery.earlier, recovery.recovered)
    require(
        0 not in amounts,
        f"recovery {recovery.seq} names a recovery of nothing",
        "amounts above 0",
        ", ".join(map(str, amounts)),
    )
    loss = cursor.shown.get(recovery.loss)
    if loss is None:
        require(
            recovery.loss < cursor.chain[0].seq,
            f"recovery {recovery.seq} names a loss that its chain does not have",
            f"a loss of {recovery.asset} at {recovery.loss}",
            "none in the chain",
        )
        cursor.step.missing(
            f"the loss {recovery.loss}, which recovery {recovery.seq} returns, is missing"
        )
    elif not isinstance(loss, Loss):
        raise Refuted(
            f"recovery {recovery.seq} names a loss that is none",
            expected=f"a loss at {recovery.loss}",
            found=f"a {loss.kind}",
        )
    else:
        _check_loss(loss, recovery)
    _check_earlier(cursor, recovery)
    applied = cursor.take()
    if applied is None:
        cursor.step.missing(f"recovery {recovery.seq} is not applied yet")
        return None
    if not isinstance(applied, Applied) or applied.event != recovery.event:
        raise Refuted(
            f"recovery {recovery.seq} is not applied next",
            expected=f"its applied of {recovery.event}",
            found=f"a {applied.kind} at {applied.seq}",
        )
    require(
        applied.policy == recovery.policy,
        "the policy changed inside a recovery",
        f"policy {recovery.policy}",
        f"policy {applied.policy}",
    )
    check_effect(applied, recovery.before, recovery.before.total + recovery.recovered)
    return _check_paid(cursor, loss, recovery, applied) if loss else None


def _check_loss(loss: Loss, recovery: Recovery) -> None:
    require(
        (loss.event, loss.asset, loss.before.book)
        == (recovery.event, recovery.asset, recovery.before.book),
        f"recovery {recovery.seq} is of another event, asset or book than its loss",
        f"{loss.event}, {loss.asset}, {loss.before.book}",
        f"{recovery.event}, {recovery.asset}, {recovery.before.book}",
    )
    require(
        loss.socialized <= loss.before.total,
        "more was socialized than all equity",
        f"at most {loss.before.total}",
        loss.socialized,
    )
    require(
        outstanding(loss, recovery) is not None,
        f"recovery {recovery.seq} does not fit what its loss left outstanding",
        f"amounts above 0, together at most {loss.socialized}",
        ", ".join(map(str, (*recovery.earlier, recovery.recovered))),
    )


def _check_earlier(cursor: Cursor, recovery: Recovery) -> None:
    """`earlier` is that of the recovery before it and its amount; nothing, where the loss is shown.

    The first recovery shown of a loss below the chain may tell of others that are not.
    """
    before = [
        link
        for link in cursor.before(recovery)
        if isinstance(link, Recovery) and link.loss == recovery.loss
    ]
    if not before and recovery.loss < cursor.chain[0].seq:
        return
    known = (*before[-1].earlier, before[-1].recovered) if before else ()
    require(
        recovery.earlier == known,
        f"recovery {recovery.seq} tells earlier recoveries wrong",
        ", ".join(map(str, known)) or "none",
        ", ".join(map(str, recovery.earlier)) or "none",
    )


def _check_paid(cursor: Cursor, loss: Loss, recovery: Recovery, applied: Applied) -> Payout:
    """Point 7, for a recovery: the balance grows by what the rule pays."""
    book = recovery.before.book
    due = paid(loss, recovery, cursor.holdings)
    before = cursor.holdings.balance(recovery.seq, book) or 0
    after = cursor.holdings.balance(applied.seq, book)
    if after is not None:
        require(
            after == before + due,
            "what the recovery pays is not the rule's",
            f"{before} + {due} = {before + due}",
            after,
        )
    cursor.step.note(
        f"recovery {recovery.seq} of event {recovery.event}: {recovery.recovered} of "
        f"{outstanding(loss, recovery)} outstanding returned, {due} to this account"
    )
    return Payout(recovery, loss, applied, due, bool(cursor.holdings.of(loss.seq, book)))
