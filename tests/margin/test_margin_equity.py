"""Equity at the marks, and what bankrupt positions are short: by hand, and in plain fractions."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auditkit.errors import InputError
from auditkit.margin.bankrupt import (
    BankruptPosition,
    bankrupt_accounts,
    bankrupt_positions,
    deficits,
)
from auditkit.margin.book import SCALE, MarginBook
from auditkit.margin.contracts import decimal_text
from auditkit.margin.equity import Equity
from auditkit.margin.positionsfile import PositionsFile

TOML = "".join(
    f'[{name}]\nfiles = ["{name}.csv"]\n' for name in ("contracts", "positions", "wallets")
)
CONTRACTS = "contract,kind,multiplier,settlement,maintenance_margin,pool\n"
LONG, SHORT = 1, -1
Key = tuple[str, str, int]


@dataclass
class World:
    """A small margin book in plain Python; sizes, entries and multipliers are decimal text."""

    contracts: Mapping[str, tuple[str, str]]
    marks: Mapping[str, Fraction]
    wallets: Mapping[str, int] = field(default_factory=dict)
    positions: Mapping[Key, tuple[str, str]] = field(default_factory=dict)
    pools: Mapping[str, str] = field(default_factory=dict)
    decimals: int = 0

    def load(self) -> MarginBook:
        with TemporaryDirectory() as name:
            folder = Path(name)
            (folder / "positions.toml").write_text(TOML)
            (folder / "contracts.csv").write_text(
                CONTRACTS
                + "".join(
                    f"{c},{kind},{multiplier},BTC,0.01,{self.pools.get(c, '')}\n"
                    for c, (kind, multiplier) in self.contracts.items()
                )
            )
            (folder / "wallets.csv").write_text(
                "account,asset,balance,pledged\n"
                + "".join(
                    f"{a},BTC,{'-' * (units < 0)}{decimal_text(abs(units), self.decimals)},0\n"
                    for a, units in self.wallets.items()
                )
            )
            (folder / "positions.csv").write_text(
                "account,contract,side,size,entry\n"
                + "".join(
                    f"{a},{c},{'long' if side == LONG else 'short'},{size},{entry}\n"
                    for (a, c, side), (size, entry) in self.positions.items()
                )
            )
            return PositionsFile.read(folder / "positions.toml").load("BTC", {"BTC": self.decimals})

    def equity(self) -> Equity:
        return Equity.at(self.load(), self.marks)

    def profit(self, key: Key, price: Fraction | None = None) -> Fraction:
        """In base units, at the mark or another price."""
        kind, multiplier = self.contracts[key[1]]
        size, entry = map(Fraction, self.positions[key])
        price = self.marks[key[1]] if price is None else price
        gain = 1 / entry - 1 / price if kind == "inverse" else price - entry
        unit: Fraction = Fraction(multiplier) * 10**self.decimals
        return unit * key[2] * size * gain

    def exact(self, account: str) -> Fraction:
        return self.wallets.get(account, 0) + sum(
            (self.profit(key) for key in self.positions if key[0] == account), Fraction(0)
        )


def floors(equity: Equity) -> dict[str, int]:
    return {equity.book.account(row): units for row, units in enumerate(equity.units)}


decimals = st.one_of(
    st.sampled_from(["1", "2", "3", "6", "7", "0.5", "0.1", "64000", "0.000000000000000001"]),
    st.integers(1, 10**24).map(lambda units: decimal_text(units, 18)),
)
marks = st.one_of(
    st.sampled_from([Fraction(1), Fraction(2), Fraction(3), Fraction(6), Fraction(1, 3)]),
    st.fractions(min_value=Fraction(1, 1000), max_value=10**6, max_denominator=10**20),
)
accounts = st.sampled_from(["a", "b", "c", "B", "aa"])


@st.composite
def worlds(draw: st.DrawFn) -> World:
    """Linear and inverse contracts mixed; many sums are whole numbers, or just beside one."""
    names = [f"C{number}" for number in range(draw(st.integers(1, 4)))]
    keys = st.tuples(accounts, st.sampled_from(names), st.sampled_from([LONG, SHORT]))
    kinds = st.sampled_from(["linear", "inverse"])
    return World(
        contracts={name: (draw(kinds), draw(decimals)) for name in names},
        marks={name: draw(marks) for name in names},
        wallets=draw(
            st.dictionaries(accounts, st.integers(-10, 10) | st.integers(-(10**20), 10**20))
        ),
        positions=draw(st.dictionaries(keys, st.tuples(decimals, decimals), max_size=12)),
        decimals=draw(st.sampled_from([0, 1, 8])),
    )


# Equity


@given(worlds())
def test_equities_are_the_sums_of_fractions_floored(world: World) -> None:
    equity = world.equity()
    book = equity.book
    names = {*world.wallets, *(account for account, _, _ in world.positions)}
    assert floors(equity) == {name: math.floor(world.exact(name)) for name in names}
    assert all(type(units) is int for units in equity.units)
    for row in range(len(book.accounts)):
        assert equity.exact(row) == world.exact(book.account(row))
    for row in range(len(book.owner)):
        key = book.account(int(book.owner[row])), book.contract_of(row).name, int(book.side[row])
        assert equity.profit_of(row) == world.profit(key)
        assert equity.denominators[row] > 0
        size, entry = map(Fraction, world.positions[key])
        assert (book.size_of(row), Fraction(book.entry[row], SCALE)) == (size, entry)
        kind, multiplier = world.contracts[key[1]]
        price = 1 / world.marks[key[1]] if kind == "inverse" else world.marks[key[1]]
        assert equity.value(row) == Fraction(multiplier) * 10**world.decimals * size * price


THREE = {f"C{number}": ("inverse", "1") for number in range(3)}


def thirds(side: int, mark: Fraction = Fraction(6), **more: int) -> World:
    """Three positions that have each won, or lost, exactly a third of a base unit at 6."""
    positions = {("a", name, side): ("2", "3") for name in THREE}
    return World(THREE, dict.fromkeys(THREE, mark), more, positions)


def test_thirds_that_add_up_to_a_whole_unit() -> None:
    """Each one is cut when it is added up quickly, and the sum would be a unit too low."""
    assert floors(thirds(LONG).equity()) == {"a": 1}
    assert floors(thirds(SHORT).equity()) == {"a": -1}
    assert floors(thirds(LONG, a=-1).equity()) == {"a": 0}


@pytest.mark.parametrize("power", [10, 29, 30, 31, 60])
def test_the_least_beside_a_whole_unit(power: int) -> None:
    little = Fraction(1, 10**power)
    assert floors(thirds(LONG, 6 - little).equity()) == {"a": 0}
    assert floors(thirds(LONG, 6 + little).equity()) == {"a": 1}
    assert floors(thirds(SHORT, 6 - little).equity()) == {"a": -1}
    assert floors(thirds(SHORT, 6 + little).equity()) == {"a": -2}


def test_negative_equity_is_floored_away_from_zero() -> None:
    world = World(
        {"C": ("linear", "1")}, {"C": Fraction(1)}, {"a": -2, "b": 1}, {("a", "C", 1): ("0.5", "2")}
    )
    assert floors(world.equity()) == {"a": -3, "b": 1}


def test_more_positions_than_fit_one_chunk() -> None:
    count = 70_000
    accounts = [f"{number:05d}" for number in range(count)]
    world = World(
        {"C": ("inverse", "1")},
        {"C": Fraction(2)},
        {},
        {(account, "C", SHORT): (account.lstrip("0") or "1", "1") for account in accounts},
    )
    units = world.equity().units
    assert units.tolist() == [-((max(number, 1) + 1) // 2) for number in range(count)]


def test_marks_must_be_there_and_above_0() -> None:
    contracts = {"C": ("linear", "1"), "D": ("inverse", "1")}
    book = World(contracts, {}, {}, {("a", "C", LONG): ("1", "5")}).load()
    marks = {"C": Fraction(7), "E": Fraction(0)}
    assert floors(Equity.at(book, marks)) == {"a": 2}
    with pytest.raises(InputError, match=r"^contract C has positions but no mark; add its \[\[ma"):
        Equity.at(book, {"D": Fraction(7)})
    with pytest.raises(InputError, match=r"^the mark of contract C is 0; it must be above 0$"):
        Equity.at(book, {"C": Fraction(0)})


@pytest.mark.parametrize("side", [LONG, SHORT])
def test_an_equity_that_reaches_the_limit(side: int) -> None:
    limit = 1 << 127
    world = World(
        {"C": ("linear", "1")}, {"C": Fraction(limit)}, {}, {("a", "C", side): ("1", "1")}
    )
    assert floors(world.equity()) == {"a": side * (limit - 1)}
    world.marks = {"C": Fraction(limit + 1)}
    with pytest.raises(InputError, match=r"the equity of account a reaches 2\^127 base units of"):
        world.equity()


def test_nobody() -> None:
    equity = World({"C": ("linear", "1")}, {}).equity()
    assert floors(equity) == {}
    assert len(deficits(equity, "main")) == 0
    assert bankrupt_positions(equity, "main") == []


# Bankrupt accounts


@given(worlds())
def test_what_bankrupt_positions_are_short(world: World) -> None:
    equity = world.equity()
    below = {name: -units for name, units in floors(equity).items() if units < 0}
    assert dict(deficits(equity, "main").rows()) == below
    rows = bankrupt_accounts(equity, "main").tolist()
    assert [equity.book.account(row) for row in rows] == sorted(below)

    found = bankrupt_positions(equity, "main")
    keys = [(x.contract, x.account, -x.side) for x in found]
    assert keys == sorted((c, a, -s) for a, c, s in world.positions if a in below)
    for account in below:
        own = [x for x in found if x.account == account]
        if own:
            assert sum(x.short for x in own) == below[account]
            _check_parts(equity, own)
        if own and all(x.price is not None for x in own):
            won = (world.profit((account, x.contract, x.side), x.price) for x in own)
            assert world.wallets.get(account, 0) + sum(won) == 0


def _check_parts(equity: Equity, own: Sequence[BankruptPosition]) -> None:
    """Up to each position, contract by contract, they are the floor of the values' share."""
    values = [equity.value(x.position) for x in own]
    short = sum(x.short for x in own)
    for count in range(len(own)):
        share = short * sum(values[:count], Fraction(0)) / sum(values, Fraction(0))
        assert sum(x.short for x in own[:count]) == math.floor(share)


def test_a_loss_is_cut_over_two_positions_by_hand() -> None:
    """Short 8 by values of 30 and 90: 2 and 6; one unit more is cut as 2 and 7."""
    world = World(
        contracts={"B": ("linear", "1"), "A": ("linear", "1")},
        marks={"A": Fraction(10), "B": Fraction(30)},
        positions={("x", "B", LONG): ("3", "40"), ("x", "A", SHORT): ("3", "11")},
        wallets={"x": 19, "solvent": 1},
    )
    equity = world.equity()
    assert floors(equity) == {"solvent": 1, "x": -8}
    a, b = bankrupt_positions(equity, "main")
    assert (a.contract, a.side, a.size, a.short, a.position) == ("A", SHORT, 3 * SCALE, 2, 0)
    assert (b.contract, b.side, b.size, b.short, b.position) == ("B", LONG, 3 * SCALE, 6, 1)
    # The short one has -2 of the equity: it may lose that much less than at the mark.
    assert (a.price, b.price) == (10 - Fraction(2, 3), Fraction(32))
    world.wallets = {"x": 18}
    assert [x.short for x in bankrupt_positions(world.equity(), "main")] == [2, 7]


@pytest.mark.parametrize(
    ("kind", "size", "entry", "margin", "mark", "price"),
    [
        ("linear", "100", "500", 1100, Fraction(480), Fraction(489)),
        ("linear", "100", "500", 1100, Fraction(9599, 20), Fraction(489)),
        ("inverse", "1000", "8000", 10**6, Fraction(7400), Fraction(200000, 27)),
        ("inverse", "1000", "8000", 10**6, Fraction(10, 3), Fraction(200000, 27)),
    ],
)
def test_published_prices_of_a_position_below_them(
    kind: str, size: str, entry: str, margin: int, mark: Fraction, price: Fraction
) -> None:
    places = 8 if kind == "inverse" else 0
    world = World(
        {"C": (kind, "1")},
        {"C": mark},
        {"a": margin},
        {("a", "C", LONG): (size, entry)},
        {},
        places,
    )
    (found,) = bankrupt_positions(world.equity(), "main")
    assert found.price == price
    assert found.short == -math.floor(world.exact("a")) > 0


def test_a_position_without_a_bankruptcy_price() -> None:
    """A short one that would have to be worth less than nothing."""
    world = World(
        {"C": ("linear", "1")}, {"C": Fraction(5)}, {"a": -6}, {("a", "C", SHORT): ("1", "5")}
    )
    (found,) = bankrupt_positions(world.equity(), "main")
    assert (found.price, found.short) == (None, 6)


def test_a_wallet_below_zero_is_short_without_positions() -> None:
    equity = World({}, {}, {"b": -5, "a": -7, "c": 0}).equity()
    assert list(deficits(equity, "any").rows()) == [("a", 7), ("b", 5)]
    assert bankrupt_positions(equity, "any") == []


def test_each_pool_covers_the_accounts_of_its_contracts() -> None:
    contracts = dict.fromkeys(["any", "p", "q"], ("linear", "1"))
    owners = {"free": ["any"], "p": ["p"], "p-any": ["any", "p"], "q": ["q"]}
    world = World(
        contracts,
        dict.fromkeys(contracts, Fraction(1)),
        {"bare": -1},
        {(owner, c, LONG): ("1", "3") for owner, held in owners.items() for c in held},
        {"p": "P", "q": "Q"},
    )
    equity = world.equity()
    assert dict(deficits(equity, "P").rows()) == {"bare": 1, "free": 2, "p": 2, "p-any": 4}
    assert {x.account for x in bankrupt_positions(equity, "P")} == {"free", "p", "p-any"}
    with pytest.raises(InputError) as told:
        deficits(equity, "Q")
    assert str(told.value).startswith(
        "account p-any is bankrupt with positions in contracts of pool Q (those without a pool "
        "are every pool's) and of P: which of them covers it is not clear; keep"
    )


@pytest.mark.parametrize("pool", ["P", "Q"])
def test_an_account_of_two_pools_is_refused_only_if_it_is_bankrupt(pool: str) -> None:
    contracts = {"p": ("linear", "1"), "q": ("linear", "1"), "r": ("linear", "1")}
    world = World(
        contracts,
        dict.fromkeys(contracts, Fraction(1)),
        {"a": 4},
        {("a", "p", LONG): ("1", "3"), ("a", "q", LONG): ("1", "3")},
        {"p": "P", "q": "Q", "r": "R"},
    )
    assert len(deficits(world.equity(), pool)) == 0
    world.wallets = {"a": 3}
    equity = world.equity()
    with pytest.raises(InputError, match="account a is bankrupt with positions in contracts of po"):
        bankrupt_positions(equity, pool)
    assert len(deficits(equity, "R")) == 0
