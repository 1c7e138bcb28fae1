"""Every snapshot, run and recovery of every chain, by the kernel's own rules (SPEC.md §5).

The kernel walks each chain from the asset's first statement. It is shown what
the statements should have said where another rule has reported them already,
so that one lie is one breach and hides no other.
"""

from collections.abc import Callable
from dataclasses import replace
from itertools import dropwhile

from auditkit.log.breach import Breaches
from auditkit.log.funds import closing_of
from auditkit.verify.cursor import Cursor
from auditkit.verify.elements import time_text
from auditkit.verify.errors import Refuted, Step
from auditkit.verify.holdings import Holdings
from auditkit.verify.records import PoolRow
from auditkit.verify.statements import (
    AssetStatement,
    Deficit,
    Draw,
    Fund,
    Loss,
    Policy,
    Recovery,
    Snapshot,
    Statement,
)
from auditkit.verify.walk import walk

Chain = list[AssetStatement]


class Runs:
    """The chains, and what their checks need beside them.

    A chain is cut where an entry that cannot be read may be a part of it, and
    goes on at its next snapshot, as if that were the lowest one shown.
    """

    def __init__(self, at: Callable[[int], Statement | None]) -> None:
        """`at` reads any entry that was seen; None if it cannot be read."""
        self._at = at
        self._chains: dict[str, list[Chain]] = {}
        self._shown: dict[int, Statement] = {}
        self._before: Statement | None = None

    def see(self, statement: Statement, policy: Policy | None, follows: bool) -> None:
        """Take one statement, with its true policy if anybody knows it."""
        if isinstance(statement, Policy):
            self._shown[statement.seq] = statement
        elif isinstance(statement, AssetStatement):
            pieces = self._chains.setdefault(statement.asset, [[]])
            if not follows or policy is None:
                pieces.append([])
            if policy is not None:
                link = replace(statement, policy=policy.seq)
                pieces[-1].append(link)
                self._show(link, policy)
        self._before = statement

    def _show(self, link: AssetStatement, policy: Policy) -> None:
        before = self._before
        if isinstance(link, Loss):
            self._shown[link.seq] = link
        elif isinstance(link, Draw) and before is not None and before.seq == link.seq - 1:
            righted = _righted(before, policy) if isinstance(before, Fund) else before
            self._shown[before.seq] = righted
        elif isinstance(link, Recovery) and link.loss not in self._shown:
            loss = self._at(link.loss)
            if loss is not None:
                self._shown[link.loss] = loss

    def check(self, breaches: Breaches, last: Statement | None, unread: int) -> None:
        """Walk every chain; `last` is the log's last statement, `unread` its last unread entry."""
        shown = dict(self._shown)
        if last is not None:
            # A run is late by the time of the whole log, not of its own chain.
            shown.setdefault(last.seq, last)
        for _, pieces in sorted(self._chains.items()):
            _check_references(breaches, pieces[0])
            for number, piece in enumerate(pieces):
                chain = tuple(piece if number == 0 else dropwhile(_no_snapshot, piece))
                if chain and not _walk(breaches, chain, shown, unread > chain[-1].seq):
                    break


def _check_references(breaches: Breaches, chain: Chain) -> None:
    """Point 1: a whole chain has a reference for every deficit, or there is none at all."""
    first = next((link.time for link in chain if isinstance(link, Snapshot)), None)
    for link in chain:
        if isinstance(link, Deficit) and (first is None or link.confirmed < first):
            what = f"event {link.event} has no snapshot from before it was confirmed"
            breaches.add(
                "run",
                link.seq,
                what,
                f"a snapshot of {link.asset} by {time_text(link.confirmed)}",
                "none" if first is None else f"the first at {time_text(first)}",
            )


def _walk(
    breaches: Breaches, chain: tuple[AssetStatement, ...], around: dict[int, Statement], cut: bool
) -> bool:
    """Whether the chain holds; what is not there yet is no breach.

    Where it is `cut` by an entry that cannot be read, no run is late by later times.
    """
    end = chain[-1].seq
    shown = {seq: s for seq, s in around.items() if not cut or seq <= end}
    step = Step("8", [])
    cursor = Cursor(step, chain, shown, Holdings(step, "", (), shown))
    try:
        walk(cursor)
    except Refuted as error:
        breaches.refused("run", chain[cursor.position - 1].seq, error)
        return False
    return True


def _no_snapshot(link: AssetStatement) -> bool:
    return not isinstance(link, Snapshot)


def _righted(fund: Fund, policy: Policy) -> Fund:
    """The fund entry as it would list the policy's pools and add up."""
    rows = {
        row.pool: replace(row, opening=row.opening + row.closing - closing_of(row))
        for row in fund.pools
    }
    nothing = {name: PoolRow(name, 0, (), (), 0, 0) for name in policy.pools}
    return replace(fund, pools=tuple((nothing | rows)[name] for name in sorted(policy.pools)))
