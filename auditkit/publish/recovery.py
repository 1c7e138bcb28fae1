"""Money that comes back: a recovery and its effect (SPEC.md §3 and §5)."""

from typing import Any

from auditkit.errors import InputError
from auditkit.ledger.books import Books
from auditkit.ledger.deductions import Sharing
from auditkit.ledger.runs import Role
from auditkit.money import parse_amount
from auditkit.publish.draft import Draft
from auditkit.publish.restated import with_recovery
from auditkit.publish.rows import keep, of_books
from auditkit.verify.statements import Applied, Recovery


def publish(draft: Draft, event: str, amount: str, books: Books) -> Recovery:
    """Log what came back of an event's loss, and its effect. Raises InputError."""
    loss = draft.find_loss(event)
    asset, book = loss.asset, loss.before.book
    recovered = parse_amount(amount, draft.policy.assets[asset], "--amount")
    earlier = tuple(draft.log.recovered(draft.latest[asset], loss.seq))
    left = loss.socialized - sum(earlier)
    if not 0 < recovered <= left:
        raise InputError(f"--amount: {recovered} base units do not fit; {left} are outstanding")
    shared = draft.ledgers.open(loss.seq, loss.before)
    given = of_books(draft.policy, books, (asset, book))
    seq = draft.seq
    with draft.building(given.most) as builder:
        for rows in given.pieces:
            builder.add(rows)
        # Every account that bore the loss is carried, so that each can be paid.
        for _, bearers in shared.rows():
            builder.add(bearers.balances, Role.CARRIED)
        before = keep(draft, builder, (asset, book), given.refuse_repeats)
    common: dict[str, Any] = {"asset": asset, "event": event}
    recovery = draft.add(
        Recovery,
        **common,
        loss=loss.seq,
        earlier=earlier,
        recovered=recovered,
        before=before,
    )
    sharing = Sharing(shared.total, loss.socialized, (*earlier, recovered))
    with with_recovery(draft, draft.ledgers.open(seq, before), shared, sharing) as builder:
        draft.add(Applied, **common, after=draft.kept(book, builder))
    return recovery
