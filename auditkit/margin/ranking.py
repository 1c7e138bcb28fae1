"""The order in which deleveraging takes positions (SPEC.md §6), exact for a million of them.

    pnl-times-leverage          profit / margin * leverage, highest first
    profit-desc-leverage-asc    profit, highest first; of equals, lower leverage first

Leverage is the position's value at the mark over its account's floored equity;
margin is the contract's share of that value. What ties are left, the smaller
account name breaks.
"""

import math
from collections.abc import Callable, Mapping
from fractions import Fraction

import numpy as np
import numpy.typing as npt

from auditkit.margin.equity import Equity
from auditkit.margin.signed import Integers

Rows = npt.NDArray[np.int64]


def queue(equity: Equity, contract: str, side: int, rank: str) -> Rows:
    """The rows of the positions to close, the first one first; `rank` is the policy's.

    Those are the positions in `contract` on `side` that have won at the mark,
    of accounts whose floored equity is above 0.
    """
    rows = _candidates(equity, contract, side)
    # Accounts ascend with the rows, and a stable sort leaves equals as they are.
    order = list(range(len(rows)))
    for key in reversed(_KEYS[rank](equity, rows)):
        order.sort(key=key.__getitem__, reverse=True)
    return rows[np.array(order, np.int64)]


def _candidates(equity: Equity, contract: str, side: int) -> Rows:
    book = equity.book
    places = {known.name: row for row, known in enumerate(book.contracts)}
    held = (book.contract == places.get(contract, -1)) & (book.side == side)
    rows = np.flatnonzero(held)
    eligible = (equity.numerators[rows] > 0) & (equity.units[book.owner[rows]] > 0)
    return rows[eligible.astype(np.bool_)]


def _pnl_times_leverage(equity: Equity, rows: Rows) -> list[list[int]]:
    """The value cancels out, and the contract's share of it is the same for all."""
    own = equity.units[equity.book.owner[rows]]
    return [_keys(equity.numerators[rows], equity.denominators[rows] * own)]


def _profit_desc_leverage_asc(equity: Equity, rows: Rows) -> list[list[int]]:
    """Values differ as the sizes do, and low leverage is much equity for a size."""
    own = equity.units[equity.book.owner[rows]]
    profits = _keys(equity.numerators[rows], equity.denominators[rows])
    return [profits, _keys(own, equity.book.size[rows])]


_KEYS: Mapping[str, Callable[[Equity, Rows], list[list[int]]]] = {
    "pnl-times-leverage": _pnl_times_leverage,
    "profit-desc-leverage-asc": _profit_desc_leverage_asc,
}


def _keys(numerators: Integers, denominators: Integers) -> list[int]:
    """Integers in the order of the fractions, and equal where these are, shape (n,).

    With denominators up to 2^D, fractions that differ do so by 2^-2D or more,
    so that cut to units of that size they still differ.
    """
    divisors = denominators // (math.gcd(*denominators.tolist()) or 1)
    digits = max((divisor.bit_length() for divisor in divisors.tolist()), default=0)
    keys: list[int] = ((numerators << 2 * digits) // divisors).tolist()
    return keys


def score(equity: Equity, position: int, rank: str) -> tuple[Fraction, ...]:
    """What the position at that row is ranked by: the larger goes first, leverage is negated."""
    book = equity.book
    profit, value = equity.profit_of(position), equity.value(position)
    leverage = value / equity.units[book.owner[position]]
    if rank == "profit-desc-leverage-asc":
        return profit, -leverage
    margin = book.contract_of(position).maintenance * value
    return (profit / margin * leverage,)
