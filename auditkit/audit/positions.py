"""A3 and D1: the margin book at the logged marks, against what was signed and against itself."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from fractions import Fraction

import numpy as np

from auditkit.audit.case import Case
from auditkit.audit.compare import Joined, differences
from auditkit.audit.findings import MAX_ROWS, Finding, Missing, decided, finding
from auditkit.errors import InputError, place
from auditkit.ledger.columns import Balances, limbs, total
from auditkit.margin import bankrupt
from auditkit.margin.book import MarginBook
from auditkit.margin.contracts import PLACES, decimal_text
from auditkit.margin.equity import Equity
from auditkit.money import parse_amount
from auditkit.verify.elements import time_text
from auditkit.verify.records import Mark

_NOTHING = Balances.of(())


def unmarked(case: Case) -> list[str]:
    """The contracts with positions of which the deficit states no mark above 0."""
    book = case.book()
    marked = {mark.contract for mark in case.deficit.marks if Fraction(mark.mark) > 0}
    held = (book.contracts[row].name for row in np.unique(book.contract).tolist())
    return [name for name in held if name not in marked]


def marked_equity(case: Case) -> Equity:
    """The margin book at the logged marks. Raises Missing where one is not logged, InputError."""
    names = unmarked(case)
    if names:
        raise Missing(f"marks of {', '.join(names)} in deficit {case.deficit.seq} (see A3)")
    return case.equity()


@contextmanager
def placing(case: Case) -> Iterator[None]:
    """Inside, an account that may be any pool's is Missing: only a rule could say whose it is."""
    try:
        yield
    except InputError as error:
        pool = case.deficit.pool
        raise Missing(f"a rule for who is bankrupt in the event of pool {pool}: {error}") from None


@decided("A3")
def a3(case: Case) -> Finding:
    """Every account's equity at the logged marks is what was signed of it.

    The sharing book's ledger before the loss holds what is above 0, less what
    deleveraging took of it; the ledger of the deficit what is below 0.
    """
    work = _Signed(case)
    names = unmarked(case)
    work.rows += [{"what": "a mark", "contract": name, "found": "not logged"} for name in names]
    work.compared.append(("marks", str(len(case.deficit.marks))))
    if not names:
        equity = case.equity()
        accounts, positions = len(equity.book.accounts), len(equity.book.owner)
        work.compared.append(("margin book", f"{accounts} accounts, {positions} positions"))
        with work.noting():
            work.pool(equity.book)
        with work.noting():
            work.deficit(equity)
        with work.noting():
            work.before(equity)
    work.rows += _unlike(case)
    return finding(
        "A3",
        case.subject,
        compared=work.compared,
        rows=work.rows,
        failing=len(work.rows) + work.more,
        missing=work.missing,
    )


def _unlike(case: Case) -> list[dict[str, str]]:
    """What the event's file says otherwise than the deficit that was signed."""
    given, deficit = case.inputs, case.deficit
    if given is None:
        return []
    sides = {
        "pool": (deficit.pool, given.pool),
        "confirmed": (time_text(deficit.confirmed), time_text(given.confirmed)),
    }
    signed, told = ({m.contract: m for m in marks} for marks in (deficit.marks, given.marks))
    for name in sorted(signed.keys() & told.keys()):
        sides[f"mark of {name}"] = (_prices(signed[name]), _prices(told[name]))
    return [
        {"what": what, "signed": said, "the event's file": file}
        for what, (said, file) in sides.items()
        if said != file
    ]


def _prices(mark: Mark) -> str:
    return f"{mark.mark}, of " + ", ".join(f"{s.name} {s.price}" for s in mark.sources)


@dataclass(slots=True)
class _Signed:
    """A3 at work. `more` failing rows are counted and not kept."""

    case: Case
    compared: list[tuple[str, str]] = field(default_factory=list)
    rows: list[dict[str, str]] = field(default_factory=list)
    more: int = 0
    missing: list[str] = field(default_factory=list)

    @contextmanager
    def noting(self) -> Iterator[None]:
        """Inside, what is missing is noted, and the rest goes on."""
        try:
            yield
        except Missing as missing:
            self.missing.append(str(missing))

    def pool(self, book: MarginBook) -> None:
        """Where the asset has several pools, its contracts say which of them covers them."""
        case = self.case
        pools = [n for n, p in case.policy.pools.items() if p.asset == case.asset]
        unsaid = [contract.name for contract in book.contracts if contract.pool is None]
        if len(pools) > 1 and unsaid:
            listed = ", ".join(sorted(pools))
            raise Missing(f"the pool of contract {unsaid[0]} (column pool; one of {listed})")

    def deficit(self, equity: Equity) -> None:
        """The bankrupt accounts, and what each is short."""
        case, money = self.case, self.case.money
        with placing(case):
            due = bankrupt.deficits(equity, case.deficit.pool)
        self.compared.append(("short by positions", f"{money(total(due.amounts))}, {len(due)}"))
        signed = case.deficit.ledger
        self.compared.append(("ledger of the deficit", f"{money(signed.total)}, {signed.accounts}"))
        stated_rows = case.handover.opened(case.deficit, "deficit")
        found = differences([due], [stated_rows], MAX_ROWS)
        for account, short, stated in found.rows:
            row = {"account": account, "what": "short"}
            self.rows.append(row | {"expected": money(short), "found": money(stated)})
        self.more += max(0, found.count - MAX_ROWS)

    def before(self, equity: Equity) -> None:
        """All that shared the loss."""
        case, money, loss = self.case, self.case.money, self.case.needed_loss()
        absorbed = _NOTHING
        if case.adl is not None or "adl" in case.policy.waterfall:
            absorbed = case.handover.opened(case.needed_adl(), "adl")
        ledger = case.handover.opened(loss, loss.before.book)
        due = _above_0(equity)
        taken = total(absorbed.amounts)
        self.compared.append(("equity above 0 by positions", money(total(due.amounts))))
        self.compared.append(("of that, deleveraging took", money(taken)))
        self.compared.append(("ledger before the loss", money(loss.before.total)))
        joined = Joined.of([due], [ledger, absorbed], [absorbed])
        wrong = (joined.sums[0] != joined.sums[1]).any(axis=1)
        for account, (has, stated, took) in joined.rows_of(wrong, MAX_ROWS):
            self.rows.append(
                {
                    "account": account,
                    "what": "equity",
                    "absorbed": money(took),
                    "expected": money(has - took),
                    "found": money(stated - took),
                }
            )
        self.more += max(0, int(np.count_nonzero(wrong)) - MAX_ROWS)


def _above_0(equity: Equity) -> Balances:
    """The accounts with an equity above 0."""
    rows = np.flatnonzero((equity.units > 0).astype(np.bool_))
    return Balances(equity.book.accounts.take(rows), limbs(equity.units[rows].tolist()))


@decided("D1")
def d1(case: Case) -> Finding:
    """The tables against themselves: what one side of a contract lost, the other has won.

    So the equities, negative ones too, add up to what the margin book holds.
    Each account with positions may have lost less than one base unit to the
    rounding of its equity.
    """
    book, money = case.book(), case.money
    compared, rows, missing = [("positions", str(len(book.owner)))], [*_sides(book)], []
    try:
        equity = marked_equity(case)
        held = _assets(case)
    except Missing as error:
        missing.append(str(error))
    else:
        claims, short = (
            int(equity.units[where.astype(np.bool_)].sum()) * sign
            for where, sign in ((equity.units > 0, 1), (equity.units < 0, -1))
        )
        traders = len(np.unique(book.owner))
        compared += [
            ("claims", money(claims)),
            ("what the margin book holds", money(held)),
            ("claims less that", money(claims - held)),
            ("negative equities", money(short)),
            ("rounding", f"at most {traders} base units, one an account with positions"),
        ]
        if not short - traders <= claims - held <= short:
            row = {"what": "claims less what the margin book holds"}
            bounds = f"{money(short - traders)} to {money(short)}"
            rows.append(row | {"expected": bounds, "found": money(claims - held)})
    return finding("D1", case.subject, compared=compared, rows=rows, missing=missing)


def _sides(book: MarginBook) -> Iterator[dict[str, str]]:
    """The contracts of which more is long than short, or less."""
    kinds = book.contract * 2 + (book.side < 0)
    order = np.argsort(kinds, kind="stable")
    found, starts = np.unique(kinds[order], return_index=True)
    sums = np.add.reduceat(book.size[order], starts).tolist() if len(starts) else []
    sizes: dict[int, int] = dict(zip(found.tolist(), sums, strict=True))
    for row, contract in enumerate(book.contracts):
        long, short = (sizes.get(2 * row + side, 0) for side in (0, 1))
        if long != short:
            what = {"what": "longs and shorts", "contract": contract.name}
            texts = decimal_text(long, PLACES), decimal_text(short, PLACES)
            yield what | {"expected": f"{texts[0]} short, as is long", "found": f"{texts[1]} short"}


def _assets(case: Case) -> int:
    """What the margin book holds, in base units. Raises Missing or InputError."""
    given = case.inputs
    if given is None or given.assets is None:
        raise Missing("assets (what the margin book holds; assets = ... in the event's file)")
    return parse_amount(given.assets, case.decimals, f"{place(given.path)}: assets")
