"""The columns of wallets and positions, checked, and joined by account."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from auditkit.errors import place
from auditkit.ledger.accounts import MOST_LEAVES, account_names, origin
from auditkit.ledger.cells import Column
from auditkit.margin.contracts import (
    NO_SIDE,
    PLACES,
    SIDES,
    Contract,
    Numbers,
    codes,
    policy_assets,
)
from auditkit.margin.signed import Integers, integers, signed_integers

WALLET_LIMIT = 1 << 127

Columns = Mapping[str, Column]
"""Columns of one file, by our names."""


def wallets(tables: Sequence[Columns], asset: str, decimals: Mapping[str, int]) -> list[Columns]:
    """The wallets of one asset."""
    numbers, lacks = policy_assets(decimals)
    found: list[Columns] = []
    for table in tables:
        rows = np.flatnonzero(codes(table["asset"], numbers, lacks) == numbers[asset])
        found.append({name: column.take(rows) for name, column in table.items()})
    return found


def positions(
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


def by_account(
    wallets: Sequence[Columns], holder: Numbers, accounts: int, decimals: int
) -> tuple[Integers, Numbers]:
    """The columns `wallet` and `leaves` of so many accounts."""
    order_by([table["account"] for table in wallets], holder, holder * 0)
    wallet: Integers = np.full(accounts, 0, np.object_)
    leaves = np.ones(accounts, np.int64)
    for table in wallets:
        rows, holder = np.split(holder, [len(table["account"])])
        wallet[rows] = _balance(table["balance"], table["pledged"], decimals)
        if "leaves" in table:
            leaves[rows] = _leaves(table["leaves"])
    return wallet, leaves


def ranked(columns: Sequence[Column]) -> tuple[pa.Array, Numbers]:
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


def order_by(accounts: Sequence[Column], owner: Numbers, kind: Numbers) -> Numbers:
    """The order of rows by owner and kind. Raises InputError if two are alike in both."""
    keys = owner * (int(kind.max(initial=0)) + 1) + kind
    order = np.argsort(keys, kind="stable")
    again = order[1:][keys[order[1:]] == keys[order[:-1]]]
    if not len(again):
        return order
    later = int(again.min())
    other, first = origin(accounts, int(np.argmax(keys == keys[later])))
    column, row = origin(accounts, later)
    raise column.refuse(
        row,
        f"is already in row {other.row(first)} of {place(other.path)}; an account has one wallet "
        "an asset, and one position a contract and side: join the rows",
    )


def _balance(balance: Column, pledged: Column, decimals: int) -> Integers:
    wallet: Integers = signed_integers(balance, decimals) + integers(pledged, decimals)
    problem = "reaches 2^127 base units with what is pledged; check units and the policy's decimals"
    return _bounded(balance, wallet, abs(wallet) < WALLET_LIMIT, problem)


def _leaves(column: Column) -> Integers:
    values = integers(column, 0)
    problem = f"is no number of leaves; write one from 1 to {MOST_LEAVES}"
    return _bounded(column, values, (values >= 1) & (values <= MOST_LEAVES), problem)


def above_0(tables: Sequence[Columns], name: str) -> Integers:
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
