"""The margin book: contracts, positions and wallets of one asset, described by a positions.toml.

[contracts]
files = ["contracts.csv"]             names, globs or folders, relative to this file
[positions]
files = ["positions.parquet"]
columns = { account = "uid" }         optional: what a column is called there
[wallets]
files = ["wallets.parquet"]

contracts   contract, kind, multiplier, settlement, maintenance_margin, and at will pool
positions   account, contract, side, size, entry
wallets     account, asset, balance, pledged, and at will leaves
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from auditkit.errors import InputError, place
from auditkit.ledger.accounts import MOST_LEAVES, account_names
from auditkit.ledger.cells import Column
from auditkit.ledger.tables import find_tables, read_columns
from auditkit.margin.contracts import (
    COLUMNS,
    NO_SIDE,
    PLACES,
    SIDES,
    Contract,
    Numbers,
    codes,
    load_contracts,
    policy_assets,
)
from auditkit.margin.signed import Integers, integers, signed_integers
from auditkit.tomlfile import Table

SCALE = 10**PLACES
"""Sizes and entries are integers of units of 1 / SCALE."""
WALLET_LIMIT = 1 << 127

Columns = Mapping[str, Column]
"""Columns of one file, by our names."""


@dataclass(frozen=True, slots=True)
class MarginBook:
    """All that is margined in one asset, by A accounts with P positions.

    `accounts` is an Arrow `binary` array of shape (A,), ascending bytewise:
    whoever has a wallet in the asset or a position in one of its `contracts`,
    which are sorted by name. `wallet`, shape (A,), is balance and pledged
    collateral in base units, signed, 0 without a wallet; `leaves`, shape
    (A,), over how many leaves an account's equity is split. The columns of
    positions have shape (P,): `owner` and `contract` are rows of the above,
    `side` is +1 for long and -1 for short, `size` and `entry` are above 0 in
    units of 1 / SCALE. They are sorted by owner, contract, long before short,
    and no two are alike in these.
    """

    asset: str
    decimals: int
    contracts: tuple[Contract, ...]
    accounts: pa.Array
    wallet: Integers
    leaves: Numbers
    owner: Numbers
    contract: Numbers
    side: Numbers
    size: Integers
    entry: Integers

    def account(self, row: int) -> str:
        """The name of the account at `row`."""
        return str(self.accounts[row].as_py().decode("ascii"))

    def contract_of(self, position: int) -> Contract:
        """The contract of the position at that row."""
        return self.contracts[int(self.contract[position])]

    def size_of(self, position: int) -> Fraction:
        """The size of the position at that row."""
        return Fraction(self.size[position], SCALE)

    def held(self, account: int) -> range:
        """The rows of an account's positions."""
        first, last = np.searchsorted(self.owner, [account, account + 1])
        return range(int(first), int(last))


@dataclass(frozen=True, slots=True)
class _Files:
    """One section of positions.toml: `columns` are the names in the files, by our names.

    Those at will (`pool`, `leaves`) are looked for in each file unless they are in `columns`.
    """

    paths: tuple[Path, ...]
    columns: Mapping[str, str]
    at_will: tuple[str, ...]

    @classmethod
    def read(
        cls, top: Table, key: str, required: Sequence[str], at_will: Sequence[str] = ()
    ) -> "_Files":
        section = top.table(key)
        paths = _paths(section)
        given: dict[str, str] = {}
        if "columns" in section:
            renamed = section.table("columns")
            for name in (*required, *at_will):
                if (column := renamed.perhaps(name, str)) is not None:
                    given[name] = column
            renamed.close()
        section.close()
        columns = {name: given.get(name, name) for name in (*required, *given)}
        if len(set(columns.values())) < len(columns):
            raise section.refuse("columns", "give two meanings to one column")
        return cls(paths, columns, tuple(set(at_will).difference(given, columns.values())))

    def tables(self) -> list[Columns]:
        """The columns of each file by our names."""
        return [self._table(path) for path in self.paths]

    def _table(self, path: Path) -> Columns:
        found = read_columns(path, list(self.columns.values()))
        table = {name: found[column] for name, column in self.columns.items()}
        for name in self.at_will:
            try:
                table |= read_columns(path, [name])
            except InputError as error:
                if not str(error).startswith(f"{place(path)}: there is no column"):
                    raise
        return table


def _paths(section: Table) -> tuple[Path, ...]:
    """Every file once, however many names, globs and links lead to it."""
    files: dict[Path, Path] = {}
    for pattern in section.take("files", list):
        if not isinstance(pattern, str) or not pattern:
            raise section.refuse("files", "must be a list of names, globs or folders in quotes")
        try:
            tables = find_tables(section.path.parent, pattern)
        except InputError as error:
            raise section.refuse("files", str(error)) from None
        for table in tables:
            files.setdefault(table.resolve(), table)
    return tuple(files.values())


@dataclass(frozen=True, slots=True)
class PositionsFile:
    """A positions.toml that was read: where contracts, positions and wallets are."""

    path: Path
    contracts: _Files
    positions: _Files
    wallets: _Files

    @classmethod
    def read(cls, path: Path) -> "PositionsFile":
        """Read a positions.toml and find its files. Raises InputError."""
        top = Table.read(path)
        contracts = _Files.read(top, "contracts", COLUMNS, ["pool"])
        positions = _Files.read(top, "positions", ["account", "contract", "side", "size", "entry"])
        wallets = _Files.read(
            top, "wallets", ["account", "asset", "balance", "pledged"], ["leaves"]
        )
        top.close()
        return cls(path, contracts, positions, wallets)

    def load(self, asset: str, decimals: Mapping[str, int]) -> MarginBook:
        """The margin book of `asset`; `decimals` has every asset of the policy. InputError."""
        contracts = load_contracts(self.contracts.tables(), decimals)
        own = tuple(contract for contract in contracts if contract.asset == asset)
        wallets = _wallets(self.wallets.tables(), asset, decimals)
        positions, contract, side = _positions(self.positions.tables(), contracts, asset)
        columns = [table["account"] for table in (*wallets, *positions)]
        accounts, rows = _accounts(columns)
        holder, owner = np.split(rows, [sum(map(len, columns[: len(wallets)]))])
        order = _order(columns[len(wallets) :], owner, contract * 2 + (side < 0))
        wallet, leaves = _by_account(wallets, holder, len(accounts), decimals[asset])
        return MarginBook(
            asset=asset,
            decimals=decimals[asset],
            contracts=own,
            accounts=accounts,
            wallet=wallet,
            leaves=leaves,
            owner=owner[order],
            contract=contract[order],
            side=side[order],
            size=_above_0(positions, "size")[order],
            entry=_above_0(positions, "entry")[order],
        )


def _wallets(tables: Sequence[Columns], asset: str, decimals: Mapping[str, int]) -> list[Columns]:
    """The wallets of one asset."""
    numbers, lacks = policy_assets(decimals)
    found: list[Columns] = []
    for table in tables:
        rows = np.flatnonzero(codes(table["asset"], numbers, lacks) == numbers[asset])
        found.append({name: column.take(rows) for name, column in table.items()})
    return found


def _positions(
    tables: Sequence[Columns], contracts: Sequence[Contract], asset: str
) -> tuple[list[Columns], Numbers, Numbers]:
    """The positions in contracts of one asset; their contracts' rows among these, and sides."""
    numbers = {contract.name: number for number, contract in enumerate(contracts)}
    is_own = np.array([contract.asset == asset for contract in contracts], np.bool_)
    places = np.cumsum(is_own) - 1
    found: list[Columns] = []
    contract, side = [places[:0]], [places[:0]]
    for table in tables:
        rows_of = codes(
            table["contract"], numbers, "is not in the table of contracts; add it there"
        )
        sides = codes(table["side"], SIDES, NO_SIDE)
        rows = np.flatnonzero(is_own[rows_of])
        found.append({name: table[name].take(rows) for name in ("account", "size", "entry")})
        contract.append(places[rows_of[rows]])
        side.append(sides[rows])
    return found, np.concatenate(contract), np.concatenate(side)


def _by_account(
    wallets: Sequence[Columns], holder: Numbers, accounts: int, decimals: int
) -> tuple[Integers, Numbers]:
    """The columns `wallet` and `leaves` of so many accounts."""
    _order([table["account"] for table in wallets], holder, holder * 0)
    wallet: Integers = np.full(accounts, 0, np.object_)
    leaves = np.ones(accounts, np.int64)
    for table in wallets:
        rows, holder = np.split(holder, [len(table["account"])])
        wallet[rows] = _balance(table["balance"], table["pledged"], decimals)
        if "leaves" in table:
            leaves[rows] = _leaves(table["leaves"])
    return wallet, leaves


def _accounts(columns: Sequence[Column]) -> tuple[pa.Array, Numbers]:
    """The accounts of some columns, ascending, and the place among them of every row."""
    known = [named(column) for column in columns]
    names = pa.concat_arrays([pa.array([], pa.binary()), *(words for words, _ in known)])
    encoded = names.dictionary_encode()
    order = pc.sort_indices(encoded.dictionary)
    ranks = np.empty(len(order), np.int64)
    ranks[order.to_numpy()] = np.arange(len(order))
    places: Numbers = ranks[encoded.indices.to_numpy()]
    rows, start = [places[:0]], 0
    for words, numbers in known:
        rows.append(places[start + numbers])
        start += len(words)
    return encoded.dictionary.take(order), np.concatenate(rows)


def named(column: Column) -> tuple[pa.Array, Numbers]:
    """The different names of a column of accounts, and which of them each row has."""
    column.require_values("every row needs its account")
    if not column.is_text and not pa.types.is_integer(column.data.type) and len(column):
        raise column.refuse_type("store account names as text or integers")
    numbers: Numbers = column.data.dictionary_encode().indices.to_numpy()
    first = np.flatnonzero(np.diff(np.maximum.accumulate(numbers), prepend=-1))
    rows = first if column.rows is None else column.rows[first]
    data = column.data.take(pa.array(first))
    return account_names([Column(column.path, column.name, data, rows)], split=False), numbers


def _order(accounts: Sequence[Column], owner: Numbers, kind: Numbers) -> Numbers:
    """The order of rows by owner and kind. Raises InputError if two are alike in both."""
    keys = owner * (int(kind.max(initial=0)) + 1) + kind
    order = np.argsort(keys, kind="stable")
    again = order[1:][keys[order[1:]] == keys[order[:-1]]]
    if not len(again):
        return order
    later = int(again.min())
    other, first = _origin(accounts, int(np.argmax(keys == keys[later])))
    column, row = _origin(accounts, later)
    raise column.refuse(
        row,
        f"is already in row {other.row(first)} of {place(other.path)}; an account has one wallet "
        "an asset, and one position a contract and side: join the rows",
    )


def _origin(columns: Sequence[Column], index: int) -> tuple[Column, int]:
    """Where a row of the joined columns came from."""
    for column in columns:
        if index < len(column):
            return column, index
        index -= len(column)
    raise IndexError(index)


def _balance(balance: Column, pledged: Column, decimals: int) -> Integers:
    wallet: Integers = signed_integers(balance, decimals) + integers(pledged, decimals)
    problem = "reaches 2^127 base units with what is pledged; check units and the policy's decimals"
    return _bounded(balance, wallet, abs(wallet) < WALLET_LIMIT, problem)


def _leaves(column: Column) -> Integers:
    values = integers(column, 0)
    problem = f"is no number of leaves; write one from 1 to {MOST_LEAVES}"
    return _bounded(column, values, (values >= 1) & (values <= MOST_LEAVES), problem)


def _above_0(tables: Sequence[Columns], name: str) -> Integers:
    """One column of all positions."""
    parts = [np.empty(0, np.object_)]
    for column in (table[name] for table in tables):
        values = integers(column, PLACES)
        problem = "is not above 0; leave out positions that are closed"
        parts.append(_bounded(column, values, values > 0, problem))
    return np.concatenate(parts)


def _bounded(column: Column, values: Integers, good: npt.NDArray[Any], problem: str) -> Integers:
    """The values. Raises InputError for the first that is not good."""
    if not good.all():
        raise column.refuse(int(np.argmin(good.astype(np.bool_))), problem)
    return values
