"""The insurance fund from its first entry to its last (SPEC.md §5, `fund`).

Each pool opens as it closed, adds up, and books every draw once. What an
entry that cannot be read may have booked is not held against the next one.
"""

from collections import Counter

from auditkit.log.breach import Breaches
from auditkit.verify.records import PoolRow
from auditkit.verify.statements import Draw, Fund, Policy, Statement


def closing_of(row: PoolRow) -> int:
    """What a pool's row adds up to; below 0 where it books more than it has."""
    return row.opening + sum(c.amount for c in row.credits) - sum(d.amount for d in row.debits)


class Funds:
    """What every pool held last, and the draws on it since."""

    def __init__(self, breaches: Breaches) -> None:
        self._breaches = breaches
        self._closing: dict[str, int] = {}
        self._assets: dict[str, str] = {}
        self._draws: list[Draw] = []
        self._blind = False

    def skip(self) -> None:
        """Pass an entry that cannot be read: it may have been the fund's."""
        self._blind = True

    def see(self, statement: Statement, policy: Policy | None) -> None:
        """Check one statement under the policy that holds for it; None if that is not known."""
        if isinstance(statement, Policy):
            self._check_left(statement)
        elif isinstance(statement, Draw) and statement.drawn:
            self._draws.append(statement)
        elif isinstance(statement, Fund):
            if policy is not None:
                self._check_pools(statement, policy)
            for row in statement.pools:
                self._check_row(statement.seq, row)
            if not self._blind:
                self._check_booked(statement)
            self._closing.update({row.pool: row.closing for row in statement.pools})
            self._draws.clear()
            self._blind = False

    def _check_left(self, policy: Policy) -> None:
        """A pool leaves, or becomes one of another asset, only with nothing in it."""
        for name in list(self._closing):
            pool = policy.pools.get(name)
            if pool is not None and pool.asset == self._assets.get(name, pool.asset):
                continue
            drawn = sum(draw.drawn for draw in self._draws if draw.pool == name)
            left = self._closing.pop(name) - drawn
            if left > 0 and not self._blind:
                self._breaches.add(
                    "pool-left", policy.seq, f"pool {name} left with money in it", 0, left
                )
        self._assets.update({name: pool.asset for name, pool in policy.pools.items()})

    def _check_pools(self, fund: Fund, policy: Policy) -> None:
        listed = [row.pool for row in fund.pools]
        self._breaches.require(
            listed == sorted(policy.pools),
            "fund-pools",
            fund.seq,
            f"the fund entry does not list the pools of policy {policy.seq}",
            ", ".join(sorted(policy.pools)),
            ", ".join(listed),
        )

    def _check_row(self, seq: int, row: PoolRow) -> None:
        require, name, due = self._breaches.require, row.pool, closing_of(row)
        require(row.closing == due, "fund-sum", seq, f"pool {name} adds up wrong", due, row.closing)
        if self._blind:
            return
        known = self._closing.get(name)
        if known is None:
            what = f"the new pool {name} opens with money in it"
            require(row.opening == 0, "fund-new-pool", seq, what, 0, row.opening)
        else:
            what = f"pool {name} does not open as it closed"
            require(row.opening == known, "fund-opening", seq, what, known, row.opening)

    def _check_booked(self, fund: Fund) -> None:
        """Every draw since the last entry is a debit of its pool, and every such debit a draw."""
        rows = {row.pool: row.debits for row in fund.pools}
        for pool in sorted({draw.pool for draw in self._draws} | rows.keys()):
            drawn = [draw.drawn for draw in self._draws if draw.pool == pool]
            booked = [debit.amount for debit in rows.get(pool, ()) if debit.kind == "draw"]
            sides = (_amounts(drawn), _amounts(booked))
            unbooked = (Counter(drawn) - Counter(booked)).total()
            if unbooked:
                what = f"draws on pool {pool} are not booked in the next fund entry"
                self._breaches.add("draw-unbooked", fund.seq, what, *sides)
            # A draw that is booked with a wrong amount is one breach, not two.
            if (Counter(booked) - Counter(drawn)).total() > unbooked:
                what = f"pool {pool} books a draw twice, or one that nobody logged"
                self._breaches.add("draw-twice", fund.seq, what, *sides)


def _amounts(amounts: list[int]) -> str:
    return ", ".join(map(str, amounts)) or "none"
