"""Who shared the loss, and by how much: E1, E2 and G1 over whole ledgers."""

from collections.abc import Iterator

import numpy as np

from auditkit.audit.case import Case
from auditkit.audit.compare import Joined, Mask, less
from auditkit.audit.entries import Entries
from auditkit.audit.findings import MAX_ROWS, Finding, Missing, decided, finding
from auditkit.ledger.columns import Balances, total
from auditkit.ledger.deductions import after_loss
from auditkit.verify.elements import time_text
from auditkit.verify.statements import AssetStatement, Loss, Snapshot

_NOTHING = Balances.of(())
_ENTRIES = "a table of the accounts' own entries"


@decided("E1")
def e1(case: Case) -> Finding:
    """Nobody who had money in the sharing book has less at the loss than entries of their own say.

    Held against the reference and every earlier snapshot of the day before the
    deficit was confirmed. What deleveraging took is added back. Accounts that
    are short have entries too, of the trading that ruined them: else a friend
    could hide among them for one unit.
    """
    work = _Left(case, case.needed_loss())
    for snapshot in case.snapshots():
        try:
            work.since(snapshot)
        except Missing as missing:
            work.missing.append(str(missing))
    work.after_confirmed()
    if work.fell and work.entries is None:
        work.missing.append(f"entries ({_ENTRIES}; {work.fell} accounts have less at the loss)")
    return finding(
        "E1",
        case.subject,
        compared=work.compared,
        rows=work.rows,
        failing=work.failing,
        missing=work.missing,
    )


class _Left:
    """E1 at work: what is compared, and the rows that fail."""

    def __init__(self, case: Case, loss: Loss) -> None:
        self.case, self.loss, self.book = case, loss, loss.before.book
        self.before = case.handover.opened(loss, self.book)
        self.absorbed = _NOTHING
        if "adl" in case.policy.waterfall:
            self.absorbed = case.handover.opened(case.needed_adl(), "adl")
        self.entries = None
        if case.inputs is not None and case.inputs.entries is not None:
            self.entries = Entries.read(case.inputs.entries, case.policy, case.decimals)
        self.compared: list[tuple[str, str]] = []
        self.rows: list[dict[str, str]] = []
        self.failing, self.fell = 0, 0
        self.missing: list[str] = []

    def since(self, snapshot: Snapshot) -> None:
        """One snapshot against the loss."""
        name, money = f"snapshot {snapshot.seq}", self.case.money
        if self.book not in snapshot.ledgers_shown():
            self.compared.append((name, f"no ledger of book {self.book}: nobody had money there"))
            return
        then = self.case.handover.opened(snapshot, self.book)
        added, taken = self._between(snapshot)
        sides = [then], [self.before, self.absorbed, taken], [then, added]
        joined = Joined.of(*sides, [self.before], [added], [taken])
        held, now, due = joined.sums[:3]
        who = held.any(axis=1)
        fell = who & less(now, due)
        less_now = "less at the loss" + ("" if self.entries is None else " than their entries say")
        what = f"{np.count_nonzero(who)} accounts, {np.count_nonzero(fell)} have {less_now}"
        self.compared.append((name, f"{money(total(then.amounts))} in book {self.book}; {what}"))
        if self.entries is None:
            self.fell = max(self.fell, int(np.count_nonzero(fell)))
            return
        self.failing += int(np.count_nonzero(fell))
        for account, (had, has, owed, left, plus, minus) in joined.rows_of(fell, MAX_ROWS):
            self.rows.append(
                {
                    "account": account,
                    "what": "shrank" if left else "vanished",
                    "snapshot": str(snapshot.seq),
                    "then": money(had),
                    "entries": money(plus - minus),
                    "expected at least": money(owed - minus),
                    "found": money(has - minus),
                }
            )

    def _between(self, snapshot: Snapshot) -> tuple[Balances, Balances]:
        if self.entries is None:
            return _NOTHING, _NOTHING
        times = self.entries.times
        return self.entries.where((snapshot.as_of < times) & (times <= self.case.deficit.time))

    def after_confirmed(self) -> None:
        """Nobody leaves between the confirmation and the loss, entry or not."""
        if self.entries is None:
            return
        entries, start, end = self.entries, self.case.deficit.confirmed, self.loss.time
        late = (start < entries.times) & (entries.times <= end)
        leaving = np.flatnonzero(late & (entries.amounts < 0).astype(np.bool_))
        window = f"{time_text(start)} to {time_text(end)}"
        text = f"{len(entries.times)}, of which {len(leaving)} took something from {window}"
        self.compared.append(("entries of the sharing book", text))
        self.failing += len(leaving)
        for row in leaving[:MAX_ROWS].tolist():
            self.rows.append(
                {
                    "account": entries.accounts[row].as_py().decode("ascii"),
                    "what": "left after the deficit was confirmed",
                    "kind": str(entries.kinds.value(row)),
                    "time": time_text(int(entries.times[row])),
                    "entries": self.case.money(entries.amounts[row]),
                }
            )


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
    joined = Joined.of([before], [after], [after_loss(before, loss.socialized)])
    held, left, due = joined.sums
    who = (joined.rows[0] > 0) & (joined.rows[1] > 0) & ~less(held, left)
    wrong = who & (left != due).any(axis=1)
    rows = [
        {
            "account": account,
            "before": money(has),
            "deduction by the rule": money(has - owed),
            "deducted": money(has - got),
        }
        for account, (has, got, owed) in joined.rows_of(wrong, MAX_ROWS)
    ]
    return finding(
        "E2",
        case.subject,
        compared=[
            ("socialized", money(loss.socialized)),
            ("deducted", money(total(before.amounts) - total(after.amounts))),
            ("accounts", f"{np.count_nonzero(who)} of {len(joined.accounts)}"),
        ],
        rows=rows,
        failing=int(np.count_nonzero(wrong)),
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
        joined = Joined.of(*([ledger] for ledger in _ledgers(case, loss)))
    except Missing as error:
        missing.append(str(error))
    else:
        compared.append(("accounts", str(len(joined.accounts))))
        for what, where in _moved(joined):
            failing += int(np.count_nonzero(where))
            for account, (has, got) in joined.rows_of(where, MAX_ROWS):
                texts = {"before": money(has), "after": money(got)}
                rows.append({"account": account, "what": what, **texts})
    return finding(
        "G1", case.subject, compared=compared, rows=rows, failing=failing, missing=missing
    )


def _moved(joined: Joined) -> Iterator[tuple[str, Mask]]:
    """What must not happen to an account between before and after, and where it did."""
    (before, after), (was, now) = joined.sums, joined.rows
    both = (was > 0) & (now > 0)
    yield "vanished", (was > 0) & (now == 0)
    yield "appeared", (was == 0) & (now > 0)
    yield "grew", both & less(before, after)
    yield "has another number of leaves", both & (was != now)


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
