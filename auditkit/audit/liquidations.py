"""A4: positions liquidated in the market, against their bankruptcy prices.

With the margin that a position had left, `margin + profit at the fill` is what
its price was better than the bankruptcy price, or worse: there the profit is
just `-margin`.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from auditkit.audit.case import Case
from auditkit.audit.compare import Joined, Mask
from auditkit.audit.findings import MAX_ROWS, Finding, Missing, decided, finding
from auditkit.ledger.cells import Column
from auditkit.ledger.columns import Balances, limbs, total
from auditkit.ledger.tables import read_columns
from auditkit.margin.book import SCALE, MarginBook
from auditkit.margin.columns import named
from auditkit.margin.contracts import NO_SIDE, PLACES, SIDES, Contract, codes, load_contracts
from auditkit.margin.positionsfile import PositionsFile
from auditkit.margin.signed import Integers, integers
from auditkit.verify.statements import Draw, Fund

COLUMNS = ("account", "contract", "side", "size", "entry", "margin", "price")
_UNKNOWN = "is not in the table of contracts; add it there"


@dataclass(frozen=True, slots=True)
class Fills:
    """The liquidations in contracts of one asset and pool: n of them.

    `accounts` is an Arrow `binary` array of the different names, and `owner`,
    shape (n,), a row of it. `results`, shape (n,), are base units, rounded
    down: what a fill left over, or below 0 what it was short.
    """

    accounts: pa.Array
    owner: npt.NDArray[np.int64]
    results: Integers

    @classmethod
    def read(cls, case: Case) -> "Fills":
        """Those of the event. Raises Missing or InputError."""
        path = case.table("fills", "a table of liquidations in the market")
        contracts = _contracts(case)
        table = read_columns(path, COLUMNS)
        numbers = {contract.name: number for number, contract in enumerate(contracts)}
        kinds, sides = codes(table["contract"], numbers, _UNKNOWN), table["side"]
        rows = np.flatnonzero(_covered(case, contracts)[kinds])
        side = codes(sides, SIDES, NO_SIDE)[rows]
        taken = {name: column.take(rows) for name, column in table.items()}
        size, entry, price = (_above_0(taken[name]) for name in ("size", "entry", "price"))
        gain = side.astype(np.object_) * size * (price - entry)
        profit = _profit(gain, entry * price, contracts, kinds[rows])
        accounts, owner = named(taken["account"])
        return cls(accounts, owner, integers(taken["margin"], case.decimals) + profit)

    def surplus(self) -> int:
        """What all fills left over, in base units."""
        return int(self.results[(self.results > 0).astype(np.bool_)].sum())

    def short(self, book: MarginBook) -> Balances:
        """The accounts that fills left short in all, and that have no position in the book."""
        net = np.full(len(self.accounts), 0, np.object_)
        np.add.at(net, self.owner, self.results)
        where = (net < 0).astype(np.bool_) & ~_has_position(book, self.accounts)
        return Balances(self.accounts.filter(pa.array(where)), limbs((-net[where]).tolist()))


@decided("A4")
def a4(case: Case) -> Finding:
    """Surpluses are credited to the pool; who was closed out is short by what the fills say."""
    fills, money, pool = Fills.read(case), case.money, case.deficit.pool
    short, surplus = fills.short(case.book()), fills.surplus()
    compared = [
        ("liquidations", str(len(fills.owner))),
        ("surpluses", money(surplus)),
        ("short without a position left", f"{money(total(short.amounts))}, {len(short)} accounts"),
    ]
    rows: list[dict[str, str]] = []
    missing: list[str] = []
    failing = 0
    try:
        credited, entries = _credited(case)
        compared.append((f"credited to pool {pool}", f"{money(credited)} in {entries} entries"))
        if credited != surplus:
            row = {"what": f"liquidation_surplus of pool {pool}"}
            rows.append(row | {"expected": money(surplus), "found": money(credited)})
    except Missing as error:
        missing.append(str(error))
    try:
        stated = case.handover.opened(case.deficit, "deficit")
    except Missing as error:
        missing.append(str(error))
    else:
        # Whoever is short without a position was closed out: only fills can say at what price.
        joined = Joined.of([short], [stated])
        closed = ~_has_position(case.book(), joined.accounts.cast(pa.binary()))
        wrong = closed & (joined.sums[0] != joined.sums[1]).any(axis=1)
        failing = int(np.count_nonzero(wrong))
        for account, (due, found) in joined.rows_of(wrong, MAX_ROWS):
            row = {"account": account, "what": "short"}
            rows.append(row | {"expected": money(due), "found": money(found)})
        failing -= min(failing, MAX_ROWS)
    return finding(
        "A4",
        case.subject,
        compared=compared,
        rows=rows,
        failing=len(rows) + failing,
        missing=missing,
    )


def _contracts(case: Case) -> tuple[Contract, ...]:
    """Those of every asset. Raises Missing or InputError."""
    file = PositionsFile.read(case.table("positions", "a positions.toml"))
    return load_contracts(file.contracts.tables(), case.policy.assets)


def _covered(case: Case, contracts: Sequence[Contract]) -> Mask:
    """Which contracts are for the event's pool to cover."""
    pools = (None, case.deficit.pool)
    return np.array([c.asset == case.asset and c.pool in pools for c in contracts], np.bool_)


def _profit(
    gain: Integers,
    prices: Integers,
    contracts: Sequence[Contract],
    kinds: npt.NDArray[np.int64],
) -> Integers:
    """The profits at the fills in base units, rounded down.

    `gain` is side * size * (price - entry), `prices` entry * price, all in
    units of 1 / SCALE: the first times the unit is a linear contract's profit,
    their quotient an inverse one's.
    """
    over = np.array([c.unit.numerator for c in contracts], np.object_)[kinds]
    under = np.array([c.unit.denominator for c in contracts], np.object_)[kinds]
    inverse = np.array([c.inverse for c in contracts], np.bool_)[kinds]
    profit: Integers = over * gain // (under * np.where(inverse, prices, SCALE * SCALE))
    return profit


def _above_0(column: Column) -> Integers:
    values = integers(column, PLACES)
    if not values.all():
        raise column.refuse(int(np.argmin(values.astype(np.bool_))), "is not above 0")
    return values


def _has_position(book: MarginBook, accounts: pa.Array) -> Mask:
    """Which of the accounts have an open position in the book."""
    open_ = np.zeros(len(book.accounts) + 1, np.bool_)
    open_[book.owner] = True
    rows = pc.index_in(accounts, value_set=book.accounts).fill_null(len(book.accounts))
    found: Mask = open_[rows.to_numpy()]
    return found


def _credited(case: Case) -> tuple[int, int]:
    """The surpluses that reached the pool from the reference to the draw, or else to the loss.

    What came before an earlier draw on that pool belongs to the earlier event.
    Also how many fund entries there are between them. Raises Missing.
    """
    start, end = case.needed_reference().seq, case.draw or case.needed_loss()
    draws = [d.seq for d in case.log.of(Draw) if d.pool == case.deficit.pool and d.seq < end.seq]
    start = max(start, *draws) if draws else start
    entries = [fund for fund in case.log.of(Fund) if start < fund.seq < end.seq]
    pools = [row for fund in entries for row in fund.pools if row.pool == case.deficit.pool]
    credits = [c.amount for row in pools for c in row.credits if c.kind == "liquidation_surplus"]
    return sum(credits), len(entries)
