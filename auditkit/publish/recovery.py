"""Money that comes back: a recovery and its effect (SPEC.md §3 and §5)."""

from typing import Any

import pyarrow.compute as pc

from auditkit.errors import InputError
from auditkit.ledger import deductions
from auditkit.ledger.books import Books
from auditkit.money import parse_amount
from auditkit.publish.draft import Draft
from auditkit.publish.loss import load_one
from auditkit.publish.snapshot import carried, with_zeros
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
    shared = draft.ledgers.open(loss.seq, book).balances()
    equities = carried(draft, asset, book, load_one(draft.policy, books, asset, book))
    # Every account that bore the loss is carried, so that each can be paid.
    bearers = pc.unique(shared.accounts)
    equities = with_zeros(
        equities, bearers.filter(pc.invert(pc.is_in(bearers, value_set=equities.accounts)))
    )
    common: dict[str, Any] = {"asset": asset, "event": event}
    recovery = draft.add(
        Recovery,
        **common,
        loss=loss.seq,
        earlier=earlier,
        recovered=recovered,
        before=draft.ledger(book, equities),
    )
    in_order = draft.ledgers.open(recovery.seq, book).balances()
    paid = deductions.after_recovery(in_order, shared, loss.socialized, earlier, recovered)
    draft.add(Applied, **common, after=draft.ledger(book, paid))
    return recovery
