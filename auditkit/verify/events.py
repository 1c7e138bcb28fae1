"""The run of one loss (SPEC.md §5), point by point.

A run is a deficit, the policy's stages in the policy's order, a loss, and its
effect: one unbroken stretch of its asset's chain.
"""

from dataclasses import dataclass
from typing import TypeVar

from auditkit.verify import sharing
from auditkit.verify.cursor import Cursor, check_effect, policy_of, require
from auditkit.verify.elements import time_text
from auditkit.verify.errors import Refuted, Step
from auditkit.verify.statements import (
    Adl,
    Applied,
    AssetStatement,
    Deficit,
    Draw,
    Fund,
    Loss,
    Policy,
    Run,
    Snapshot,
)
from auditkit.verify.waterfall import (
    check_adl,
    check_draw,
    check_fund,
    check_loss,
    check_mark,
    check_pool,
)

R = TypeVar("R", bound=Run)
STAGES: dict[str, type[Run]] = {"adl": Adl, "draw": Draw}


@dataclass(frozen=True, slots=True)
class Event:
    """One checked run; amounts in base units.

    `balance` is the account's in the sharing ledger, `deducted` what the rule
    took of it; both None if no leaf of the account was shown there.
    """

    policy: Policy
    reference: Snapshot | None
    deficit: Deficit
    absorbed: int
    draw: Draw | None
    fund: Fund | None
    loss: Loss
    applied: Applied | None
    balance: int | None
    deducted: int | None


def check_run(cursor: Cursor, deficit: Deficit) -> Event | None:
    """Check the run that `deficit` begins; None if the chain ends before the run does."""
    policy = policy_of(cursor, deficit)
    reference = _check_reference(cursor, deficit)
    check_pool(policy, deficit)
    for mark in deficit.marks:
        check_mark(mark)
    rest, absorbed, drawn, fund = deficit.ledger.total, 0, None, None
    for name in policy.waterfall:
        stage = _next_of_run(cursor, deficit, policy, STAGES[name])
        if isinstance(stage, Adl):
            rest, absorbed = check_adl(stage, policy, rest), stage.ledger.total
        elif isinstance(stage, Draw):
            rest, drawn = check_draw(stage, policy, deficit, rest), stage
            fund = check_fund(cursor, stage, policy)
        else:
            return None
    loss = _next_of_run(cursor, deficit, policy, Loss)
    if loss is None:
        return None
    check_loss(loss, policy, rest)
    _check_deadline(loss, deficit, policy)
    applied = None
    if loss.socialized > 0:
        applied = _next_of_run(cursor, deficit, policy, Applied)
        if applied is None:
            return None
        before = loss.before
        check_effect(applied, before, before.total - loss.socialized)
        _check_deadline(applied, deficit, policy)
    balance, deducted = _check_share(cursor, loss, applied)
    _note(cursor.step, deficit, absorbed, drawn, loss)
    return Event(
        policy, reference, deficit, absorbed, drawn, fund, loss, applied, balance, deducted
    )


def _check_reference(cursor: Cursor, deficit: Deficit) -> Snapshot | None:
    """Point 1: the reference, one policy since, and a deficit confirmed before it was logged."""
    require(
        deficit.confirmed <= deficit.time,
        "the deficit was confirmed after it was logged",
        f"at most {time_text(deficit.time)}",
        time_text(deficit.confirmed),
    )
    for link in reversed(cursor.before(deficit)):
        if isinstance(link, Snapshot):
            require(
                link.policy == deficit.policy,
                f"the policy changed between snapshot {link.seq} and event {deficit.event}",
                f"policy {link.policy}",
                f"policy {deficit.policy}",
            )
            if link.time <= deficit.confirmed:
                return link
    cursor.step.missing(
        f"no snapshot of {deficit.asset} from before the deficit {deficit.seq} was confirmed"
    )
    return None


def _check_deadline(statement: AssetStatement, deficit: Deficit, policy: Policy) -> None:
    """Point 6: the loss and its effect are logged within the deadline."""
    late = statement.time - deficit.confirmed
    require(
        late <= policy.deadline_ms,
        f"the {statement.kind} was logged after the deadline",
        f"at most {policy.deadline_ms} ms after the deficit was confirmed",
        f"{late} ms",
    )


def _next_of_run(cursor: Cursor, deficit: Deficit, policy: Policy, kind: type[R]) -> R | None:
    """Point 6: the next step of the run, which the chain must go on with; None at its end."""
    link = cursor.take()
    if link is None:
        latest = max(statement.time for statement in cursor.shown.values())
        require(
            latest <= deficit.confirmed + policy.deadline_ms,
            f"event {deficit.event} was not finished in time",
            f"its {kind.kind} within {policy.deadline_ms} ms",
            f"nothing {latest - deficit.confirmed} ms after the deficit was confirmed",
        )
        cursor.step.missing(f"event {deficit.event} is not finished: no {kind.kind} yet")
        return None
    if not isinstance(link, kind) or link.event != deficit.event:
        raise Refuted(
            f"event {deficit.event} is not one unbroken run",
            expected=f"its {kind.kind}",
            found=f"a {link.kind} at {link.seq}",
        )
    require(
        link.policy == deficit.policy,
        f"the policy changed inside event {deficit.event}",
        f"policy {deficit.policy}",
        f"policy {link.policy}",
    )
    return link


def _check_share(
    cursor: Cursor, loss: Loss, applied: Applied | None
) -> tuple[int | None, int | None]:
    """Point 7: the account's balance after is its balance before less its deduction."""
    held = cursor.holdings.of(loss.seq, loss.before.book)
    balance = cursor.holdings.balance(loss.seq, loss.before.book)
    total, socialized = loss.before.total, loss.socialized
    deducted = sum(sharing.deduction(x.prefix, x.amount, total, socialized) for x in held)
    after = applied and cursor.holdings.balance(applied.seq, applied.after.book)
    if after is not None:
        require(
            balance is not None,
            "a balance after the loss that was not there before it",
            f"a leaf in statement {loss.seq}",
            f"{after} after",
        )
        require(
            after == (balance or 0) - deducted,
            "the deduction is not the rule's",
            f"{balance} - {deducted} = {(balance or 0) - deducted}",
            after,
        )
    return balance, (deducted if held else None)


def _note(step: Step, deficit: Deficit, absorbed: int, draw: Draw | None, loss: Loss) -> None:
    step.note(
        f"event {deficit.event}: deficit {deficit.ledger.total} = absorbed {absorbed} + drawn "
        f"{draw.drawn if draw else 0} + socialized {loss.socialized} + residual {loss.residual}"
    )
