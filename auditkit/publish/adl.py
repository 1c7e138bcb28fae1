"""The reference engine of auto-deleveraging, for the demo and for exchanges that have none.

The rules are SPEC.md §6's: bankrupt positions in the order of contract,
account and side; against each the best-ranked open position of the other
side, at the bankruptcy price. The auditor's check of such a list shares no
code with this one.
"""

from dataclasses import dataclass, field

from auditkit.ledger.columns import Balances
from auditkit.margin.bankrupt import BankruptPosition, bankrupt_positions
from auditkit.margin.closings import Closing
from auditkit.margin.contracts import price_text
from auditkit.margin.equity import Equity
from auditkit.margin.ranking import queue


@dataclass(frozen=True, slots=True)
class Deleveraging:
    """What was closed, in order, and of how many accounts that could have been.

    `exhausted` says that a rest is left, or nothing that could be closed.
    """

    closings: tuple[Closing, ...]
    candidates: int
    exhausted: bool

    def absorbed(self) -> dict[str, int]:
        """What each deleveraged account absorbed, in base units."""
        found: dict[str, int] = {}
        for closing in self.closings:
            found[closing.account] = found.get(closing.account, 0) + closing.absorbed
        return {account: amount for account, amount in found.items() if amount}

    def ledger(self) -> Balances:
        """The same, as the rows of the `adl` ledger."""
        return Balances.of(sorted(self.absorbed().items()))


@dataclass(slots=True)
class _Side:
    """The ranked positions of one side of a contract, and the first that is still open."""

    rows: list[int]
    first: int = 0


@dataclass(slots=True)
class _Engine:
    equity: Equity
    rank: str
    rest: int
    closings: list[Closing] = field(default_factory=list)
    sides: dict[tuple[str, int], _Side] = field(default_factory=dict)
    # What is left of positions and accounts that were closed in part.
    sizes: dict[int, int] = field(default_factory=dict)
    means: dict[int, int] = field(default_factory=dict)

    def side(self, contract: str, side: int) -> _Side:
        key = contract, side
        if key not in self.sides:
            rows = queue(self.equity, contract, side, self.rank).tolist()
            self.sides[key] = _Side(rows)
        return self.sides[key]

    def left(self, row: int) -> tuple[int, int]:
        """The open size of a position, and what its account has left to absorb with."""
        owner = int(self.equity.book.owner[row])
        return (
            self.sizes.get(row, self.equity.book.size[row]),
            self.means.get(owner, self.equity.units[owner]),
        )

    def close(self, position: BankruptPosition) -> None:
        """Close one bankrupt position as far as the rest of the deficit and the other side go."""
        others = self.side(position.contract, -position.side)
        if position.price is None or not position.short:
            return
        closed = 0
        while closed < position.size and self.rest and others.first < len(others.rows):
            row, due = others.rows[others.first], position.size - closed
            own = self._own(position, row)
            if own:
                closed += self._take(position, closed, min(own, due), row)
            if own <= due and self.rest:
                # It has closed all that it can, and is not asked again in this contract.
                self.sizes[row] = 0
                others.first += 1

    def _own(self, position: BankruptPosition, row: int) -> int:
        """How much this candidate can close of a position of such a shortage."""
        size, means = self.left(row)
        return min(size, means * position.size // position.short)

    def _take(self, position: BankruptPosition, closed: int, size: int, row: int) -> int:
        """Close `size` of the position of `row`, or what makes up the rest; returns how much."""
        before = _share(position, closed)
        absorbed = _share(position, closed + size) - before
        if absorbed >= self.rest:
            # The least size that reaches the rest: F(x) >= goal from x = goal * size / short on.
            goal = before + self.rest
            size = -(-goal * position.size // position.short) - closed
            absorbed = self.rest
        book = self.equity.book
        open_size, means = self.left(row)
        owner = int(book.owner[row])
        self.sizes[row], self.means[owner] = open_size - size, means - absorbed
        self.rest -= absorbed
        self.closings.append(
            Closing(
                bankrupt=position.account,
                contract=position.contract,
                side=position.side,
                account=book.accounts[owner].as_py().decode("ascii"),
                size=size,
                price=price_text(position.price) if position.price else "0",
                absorbed=absorbed,
            )
        )
        return size

    def result(self) -> Deleveraging:
        """What was done, and what is left."""
        rows = [row for side in self.sides.values() for row in side.rows]
        owners = self.equity.book.owner
        return Deleveraging(
            tuple(self.closings),
            len({int(owners[row]) for row in rows}),
            self.rest > 0 or not any(all(self.left(row)) for row in rows),
        )


def _share(position: BankruptPosition, closed: int) -> int:
    """What is absorbed when `closed` of the position is: its shortage, cut exactly."""
    return closed * position.short // position.size


def deleverage(equity: Equity, pool: str, rank: str, rest: int) -> Deleveraging:
    """Close positions against the bankrupt ones of `pool`'s event until `rest` is absorbed.

    `rest` is what is left of the deficit, in base units. SPEC.md §6.
    """
    engine = _Engine(equity, rank, rest)
    for position in bankrupt_positions(equity, pool):
        engine.close(position)
    return engine.result()
