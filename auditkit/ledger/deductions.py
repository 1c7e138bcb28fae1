"""The rule `cumulative/1` over a whole ledger (SPEC.md §3): what a loss leaves, what returns.

`auditkit.verify.sharing` says what one leaf bears and gets; here the line of
the ledger's units is cut once at every boundary between leaves, in order.
"""

from collections.abc import Iterator, Sequence
from itertools import accumulate, pairwise

import pyarrow as pa

from auditkit.errors import InputError
from auditkit.ledger.columns import Balances, integers, limbs, total
from auditkit.verify.elements import AMOUNT_LIMIT


def after_loss(ledger: Balances, loss: int) -> Balances:
    """The balances of `ledger`, rows in leaf order, less what each leaf bears of `loss`.

    The result's rows are in the same order and add up to exactly `loss` less.
    Raises InputError unless 0 <= loss <= the ledger's total.
    """
    amounts = list(integers(ledger.amounts))
    borne = _between(_cuts(amounts, loss))
    left = (amount - share for amount, share in zip(amounts, borne, strict=True))
    return Balances(ledger.accounts, limbs(left))


def after_recovery(
    before: Balances, ledger: Balances, loss: int, earlier: Sequence[int], amount: int
) -> Balances:
    """The balances of `before`, rows in any order, plus what a recovery of `amount` pays.

    `ledger` is the one that bore `loss`, rows in leaf order, and `earlier`
    holds what the loss's recoveries paid so far, in order. An account with
    several rows in `before` is paid on the first of them; rows stay where they
    are, and add up to exactly `amount` more. Raises InputError if more is
    returned than is outstanding, an account that is paid has no row in
    `before`, or the total reaches 2^128.
    """
    if total(before.amounts) + amount >= AMOUNT_LIMIT:
        raise InputError("with the recovery, the ledger's total reaches 2^128 base units")
    paid = _payouts(ledger, loss, [*earlier, amount])
    rows = _first_rows(before.accounts)
    amounts = list(integers(before.amounts))
    for account, share in paid.items():
        if account not in rows:
            raise InputError(
                f"account {account.decode('ascii')} is paid {share} base units of the recovery but"
                " is not in the ledger before it: carry it with amount 0"
            )
        amounts[rows[account]] += share
    return Balances(before.accounts, limbs(amounts))


def _cuts(amounts: Sequence[int], loss: int) -> list[int]:
    """F(x) = floor(x * D / E) at the n + 1 boundaries x of the leaves."""
    boundaries = list(accumulate(amounts, initial=0))
    whole = boundaries[-1]
    if not 0 <= loss <= whole:
        raise InputError(f"a loss of {loss} cannot be shared by a ledger with a total of {whole}")
    if not loss:
        return [0] * len(boundaries)
    return [x * loss // whole for x in boundaries]


def _between(cuts: Sequence[int]) -> Iterator[int]:
    """What lies between one cut and the next: n numbers for n + 1 cuts."""
    return (upper - lower for lower, upper in pairwise(cuts))


def _payouts(ledger: Balances, loss: int, recovered: Sequence[int]) -> dict[bytes, int]:
    """What the last of `recovered` pays each account of `ledger`; only those paid above 0."""
    cuts, outstanding = _cuts(list(integers(ledger.amounts)), loss), loss
    paid = cuts
    for amount in recovered:
        if not 0 < amount <= outstanding:
            raise InputError(f"a recovery of {amount} where {outstanding} is outstanding")
        paid = [borne * amount // outstanding for borne in cuts]
        cuts = [borne - share for borne, share in zip(cuts, paid, strict=True)]
        outstanding -= amount
    result: dict[bytes, int] = {}
    for account, share in zip(ledger.accounts.to_pylist(), _between(paid), strict=True):
        if share:
            result[account] = result.get(account, 0) + share
    return result


def _first_rows(accounts: pa.Array) -> dict[bytes, int]:
    """The first row of each account."""
    names = accounts.to_pylist()
    return dict(zip(reversed(names), range(len(names) - 1, -1, -1), strict=True))
