"""A positions.toml: where contracts, positions and wallets are -> the margin book of one asset.

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
from pathlib import Path

import numpy as np

from auditkit.errors import InputError
from auditkit.ledger.tables import find_tables, read_columns
from auditkit.margin.book import MarginBook
from auditkit.margin.columns import (
    Columns,
    above_0,
    by_account,
    order_by,
    positions,
    ranked,
    wallets,
)
from auditkit.margin.contracts import COLUMNS, load_contracts
from auditkit.tomlfile import Table


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
        found = read_columns(path, list(self.columns.values()), at_will=self.at_will)
        table = {name: found[column] for name, column in self.columns.items()}
        return table | {name: found[name] for name in self.at_will if name in found}


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
        held = wallets(self.wallets.tables(), asset, decimals)
        open_, contract, side = positions(self.positions.tables(), contracts, asset)
        columns = [table["account"] for table in (*held, *open_)]
        accounts, rows = ranked(columns)
        holder, owner = np.split(rows, [sum(map(len, columns[: len(held)]))])
        order = order_by(columns[len(held) :], owner, contract * 2 + (side < 0))
        wallet, leaves = by_account(held, holder, len(accounts), decimals[asset])
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
            size=above_0(open_, "size")[order],
            entry=above_0(open_, "entry")[order],
        )
