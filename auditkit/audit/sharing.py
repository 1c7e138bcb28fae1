"""What the loss took of everyone: E2 and G1 over whole ledgers."""

from collections.abc import Callable, Mapping

import numpy as np

from auditkit.audit.case import Case
from auditkit.audit.compare import Found, Joined, Mask, less, parts
from auditkit.audit.findings import MAX_ROWS, Finding, Missing, decided, finding
from auditkit.ledger.columns import Balances, total
from auditkit.ledger.deductions import after_loss
from auditkit.verify.statements import AssetStatement, Loss


@decided("E2")
def e2(case: Case) -> Finding:
    """What every account lost is what the rule takes of its leaves.

    Of the accounts in both ledgers that did not grow; the others are G1's.
    """
    loss, money = case.needed_loss(), case.money
    if not loss.socialized:
        return _nothing_shared("E2", case)
    if loss.socialized > loss.before.total:
        row = {"what": "more was socialized than there is", "before": money(loss.before.total)}
        compared = [("socialized", money(loss.socialized))]
        return finding("E2", case.subject, compared=compared, rows=[row])
    before, after = _ledgers(case, loss)
    wrong, looked, accounts = Found(MAX_ROWS), 0, 0
    for joined in parts([before], [after], [after_loss(before, loss.socialized)]):
        held, left, due = joined.sums
        who = (joined.rows[0] > 0) & (joined.rows[1] > 0) & ~less(held, left)
        looked += int(np.count_nonzero(who))
        accounts += len(joined.accounts)
        wrong.add(joined, who & (left != due).any(axis=1))
    rows = [
        {
            "account": account,
            "before": money(has),
            "deduction by the rule": money(has - owed),
            "deducted": money(has - got),
        }
        for account, (has, got, owed) in wrong.rows
    ]
    return finding(
        "E2",
        case.subject,
        compared=[
            ("socialized", money(loss.socialized)),
            ("deducted", money(total(before.amounts) - total(after.amounts))),
            ("accounts", f"{looked} of {accounts}"),
        ],
        rows=rows,
        failing=wrong.count,
    )


@decided("G1")
def g1(case: Case) -> Finding:
    """Between before and after there is nothing but the loss: same accounts and leaves."""
    loss, money = case.needed_loss(), case.money
    if not loss.socialized:
        return _nothing_shared("G1", case)
    applied = case.needed_applied()
    before, after = loss.before.total, applied.after.total
    rows = [
        {"what": f"a {link.kind} between the loss and its effect", "entry": str(link.seq)}
        for link in case.log.of(AssetStatement)
        if link.asset == case.asset and loss.seq < link.seq < applied.seq
    ]
    if after != before - loss.socialized:
        expected = {"expected": money(before - loss.socialized), "found": money(after)}
        rows.append({"what": "the total after the loss", **expected})
    if applied.after.book != loss.before.book:
        books = {"expected": loss.before.book, "found": applied.after.book}
        rows.append({"what": "the book after the loss", **books})
    sides = {"before": before, "socialized": loss.socialized, "after": after}
    compared = [(name, money(units)) for name, units in sides.items()]
    failing, missing = len(rows), []
    try:
        ledgers = _ledgers(case, loss)
    except Missing as error:
        missing.append(str(error))
    else:
        accounts, moved = 0, {what: Found(MAX_ROWS) for what in _MOVED}
        for joined in parts(*([ledger] for ledger in ledgers)):
            accounts += len(joined.accounts)
            for what, found in moved.items():
                found.add(joined, _MOVED[what](joined))
        compared.append(("accounts", str(accounts)))
        for what, found in moved.items():
            failing += found.count
            for account, (has, got) in found.rows:
                texts = {"before": money(has), "after": money(got)}
                rows.append({"account": account, "what": what, **texts})
    return finding(
        "G1", case.subject, compared=compared, rows=rows, failing=failing, missing=missing
    )


def _in_both(joined: Joined) -> Mask:
    found: Mask = (joined.rows[0] > 0) & (joined.rows[1] > 0)
    return found


_MOVED: Mapping[str, Callable[[Joined], Mask]] = {
    "vanished": lambda joined: joined.rows[1] == 0,
    "appeared": lambda joined: joined.rows[0] == 0,
    "grew": lambda joined: _in_both(joined) & less(*joined.sums),
    "has another number of leaves": lambda j: _in_both(j) & (j.rows[0] != j.rows[1]),
}
"""What must not happen to an account between before and after, and where it did."""


def _ledgers(case: Case, loss: Loss) -> tuple[Balances, Balances]:
    """Before and after, rows in leaf order. Raises Missing."""
    before = case.handover.opened(loss, loss.before.book)
    return before, case.handover.opened(case.needed_applied(), loss.before.book)


def _nothing_shared(procedure: str, case: Case) -> Finding:
    """Of a loss of which nothing was socialized: no effect may follow it."""
    compared = [("socialized", case.money(0))]
    if case.applied is None:
        return finding(procedure, case.subject, compared=[*compared, ("applied", "none")])
    row = {"what": "applied though nothing was socialized", "entry": str(case.applied.seq)}
    return finding(procedure, case.subject, compared=compared, rows=[row])
