"""Bankrupt accounts: what each is short, and what of that belongs to each of its positions."""

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import numpy.typing as npt

from auditkit.errors import InputError
from auditkit.ledger.columns import Balances, limbs
from auditkit.margin.equity import Equity


@dataclass(frozen=True, slots=True)
class BankruptPosition:
    """One position of a bankrupt account; `position` is its row in the margin book.

    `size` is in units of 1 / SCALE, `short` in base units: the position's part
    of what the account is short. `price` is its bankruptcy price, None if no
    price above 0 is one.
    """

    account: str
    contract: str
    side: int
    size: int
    short: int
    price: Fraction | None
    position: int


def bankrupt_accounts(equity: Equity, pool: str) -> npt.NDArray[np.int64]:
    """The rows of the accounts below zero whose loss is for `pool` to cover, ascending.

    Left out are those with positions in contracts of other pools alone.
    Contracts without a pool are every pool's. Raises InputError for an account
    with positions both in contracts of this pool and of others.
    """
    below = np.flatnonzero((equity.units < 0).astype(np.bool_))
    return np.array([row for row in below.tolist() if _covered(equity, row, pool)], np.int64)


def _covered(equity: Equity, account: int, pool: str) -> bool:
    book = equity.book
    pools = {book.contract_of(row).pool or pool for row in book.held(account)}
    others = ", ".join(sorted(pools - {pool}))
    if others and pool in pools:
        raise InputError(
            f"account {book.account(account)} is bankrupt with positions in contracts of pool "
            f"{pool} (those without a pool are every pool's) and of {others}: which of them covers "
            "it is not clear; keep the contracts of each pool in accounts of their own"
        )
    return not others


def deficits(equity: Equity, pool: str) -> Balances:
    """The bankrupt accounts of this pool's event, and the base units that each is short."""
    rows = bankrupt_accounts(equity, pool)
    return Balances(equity.book.accounts.take(rows), limbs(-units for units in equity.units[rows]))


def bankrupt_positions(equity: Equity, pool: str) -> list[BankruptPosition]:
    """The positions of those accounts by contract, account, long before short."""
    accounts = bankrupt_accounts(equity, pool).tolist()
    found = (position for account in accounts for position in _positions(equity, account))
    return sorted(found, key=lambda x: (x.contract, x.account, -x.side))


def _positions(equity: Equity, account: int) -> Iterator[BankruptPosition]:
    """An account's positions by contract, long before short, with their parts of its loss.

    Both what it is short, in base units, and its exact equity are spread over
    them by their values at the marks.
    """
    book = equity.book
    rows, exact, short = book.held(account), equity.exact(account), -equity.units[account]
    values = [equity.value(row) for row in rows]
    whole = sum(values, Fraction(0))
    name, before = book.account(account), Fraction(0)
    for row, value in zip(rows, values, strict=True):
        contract, side = book.contract_of(row), int(book.side[row])
        mark, own = equity.marks[contract.name], exact * value / whole
        price = contract.bankruptcy_price(side, book.size_of(row), mark, own)
        part = (before + value) * short // whole - before * short // whole
        before += value
        yield BankruptPosition(name, contract.name, side, book.size[row], part, price, row)
