"""E1: who left the book that shares losses, or had less in it, before the loss."""

from itertools import pairwise

import numpy as np

from auditkit.audit.case import Case
from auditkit.audit.compare import Found, Joined, Mask, less, parts
from auditkit.audit.entries import Entries
from auditkit.audit.findings import MAX_ROWS, Finding, Missing, decided, finding
from auditkit.audit.stations import Station, stations
from auditkit.ledger.columns import Balances, total
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
