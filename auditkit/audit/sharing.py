"""Who shared the loss, and by how much: E1, E2 and G1 over whole ledgers."""

from collections.abc import Callable, Mapping
from itertools import pairwise

import numpy as np

from auditkit.audit.case import Case
from auditkit.audit.compare import Found, Joined, Mask, less, parts
from auditkit.audit.entries import Entries
from auditkit.audit.findings import MAX_ROWS, Finding, Missing, decided, finding
from auditkit.audit.stations import Station, stations
from auditkit.ledger.columns import Balances, total
from auditkit.ledger.deductions import after_loss
from auditkit.verify.elements import time_text
from auditkit.verify.statements import Applied, AssetStatement, Loss

_NOTHING = Balances.of(())
_ENTRIES = "a table of the accounts' own entries"


@decided("E1")
def e1(case: Case) -> Finding:
    """Nobody who had money in the sharing book has less than entries of their own say.

    Along the asset's chain, from one ledger to the next: from the reference
    or the earliest snapshot of the day before the deficit was confirmed to
    the loss. What the runs of losses and recoveries do themselves needs no
    entry. Accounts that are short do, of the trading that ruined them: else a
    friend could hide among them for one unit, and a deficit be charged twice.
    """
    work = _Left(case, case.needed_loss())
    for earlier, later in pairwise(stations(case, work.book)):
        # From a ledger before a run or recovery to that after it, E2 and G1 and the customers look.
        if not isinstance(later.statement, Applied):
            work.step(earlier, later)
    work.after_confirmed()
    if work.fell and work.entries is None:
        work.missing.append(f"entries ({_ENTRIES}; accounts that have less: {work.fell})")
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
        if "adl" in case.policy.waterfall:
            case.needed_adl()
        self.entries = None
        if case.inputs is not None and case.inputs.entries is not None:
            self.entries = Entries.read(case.table("entries", _ENTRIES), case.policy, case.decimals)
        # What accounts without money owe by their entries, while no deficit has said so.
        self.owed = _NOTHING
        # Whether every ledger was there so far, so that what is not owed is known.
        self.whole = True
        self.compared: list[tuple[str, str]] = []
        self.rows: list[dict[str, str]] = []
        self.failing, self.fell = 0, 0
        self.missing: list[str] = []

    def step(self, earlier: Station, later: Station) -> None:
        """One ledger against the next: has + absorbed - short >= had - owed + entries."""
        money = self.case.money
        tables = [
            self._opened(earlier.statement, self.book),
            self._opened(later.statement, self.book),
            self._opened(later.adl, "adl"),
            self._opened(later.deficit, "deficit"),
        ]
        ledgers = [table for table in tables if table is not None]
        if len(ledgers) < len(tables):
            self.whole = False
            return
        then, now, absorbed, short = ledgers
        added, taken = self._between(earlier, later)
        has, due = [now, absorbed, taken, self.owed], [then, added, short]
        single = ([table] for table in (then, now, short, added, taken, self.owed))
        fell, looked, owing_now = Found(MAX_ROWS), 0, [_NOTHING]
        for joined in parts(has, due, *single):
            held, left, lacks = (sums.any(axis=1) for sums in joined.sums[2:5])
            who = held | lacks if self.whole else held
            looked += int(np.count_nonzero(who))
            fell.add(joined, who & less(*joined.sums[:2]))
            if self.entries is not None:
                owing_now.append(
                    _owed(joined, ~left & ~lacks & less(joined.sums[1], joined.sums[0]))
                )
        have_less = "have less" + ("" if self.entries is None else " than their entries say")
        what = f"{looked} accounts, {fell.count} {have_less}"
        names = f"{earlier.name} to {later.name}"
        self.compared.append((names, f"{money(total(then.amounts))} in book {self.book}; {what}"))
        if self.entries is None:
            self.fell += fell.count
            return
        self.failing += fell.count
        self.owed = Balances.joined(owing_now)
        for account, (got, owing, had, rest, debt, plus, minus, owed) in fell.rows:
            gone = "vanished" if had else "short out of nothing"
            self.rows.append(
                {
                    "account": account,
                    "what": "shrank" if had and rest else gone,
                    "from": earlier.name,
                    "to": later.name,
                    "then": money(had - owed),
                    "entries": money(plus - minus),
                    "expected at least": money(owing - debt - owed - minus),
                    "found": money(got - debt - owed - minus),
                }
            )

    def _opened(self, statement: AssetStatement | None, book: str) -> Balances | None:
        """A statement's ledger; nobody's where it has none, None where it is missing."""
        if statement is None or book not in statement.ledgers_shown():
            return _NOTHING
        try:
            return self.case.handover.opened(statement, book)
        except Missing as missing:
            self.missing.append(str(missing))
            return None

    def _between(self, earlier: Station, later: Station) -> tuple[Balances, Balances]:
        """What entries added and took; where nobody can say, they took but did not add."""
        if self.entries is None:
            return _NOTHING, _NOTHING
        added = self.entries.added(earlier.late, later.end)
        return added, self.entries.taken(earlier.end, later.end)

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


def _owed(joined: Joined, where: Mask) -> Balances:
    """What entries took beyond all there was, of the accounts where the mask holds."""
    rows = joined.rows_of(where, len(joined.accounts))
    debts = ((x, minus + owed - had - plus) for x, (_, _, had, _, _, plus, minus, owed) in rows)
    return Balances.of((account, debt) for account, debt in debts if debt > 0)


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
