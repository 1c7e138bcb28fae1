"""Sharing a loss, rule `cumulative/1`, and returning what comes back (SPEC.md §3).

Everything is exact: integers of base units below 2^128, products below 2^256,
multiplied before they are divided. `F(x) = floor(x * D / E)` cuts the loss `D`
at the point `x` of the ledger's line of `E` units; a leaf bears what lies
between its two ends, so the leaves add up to `D` whatever the rounding.
"""

from collections.abc import Sequence

RULE = "cumulative/1"


def deduction(prefix: int, amount: int, total: int, loss: int) -> int:
    """What a leaf with `prefix` and `amount` bears of `loss`, in a ledger of `total`.

    Needs 0 <= loss <= total and prefix + amount <= total. A total of 0 bears nothing.
    """
    if total == 0:
        return 0
    return (prefix + amount) * loss // total - prefix * loss // total


def payouts(prefix: int, amount: int, total: int, loss: int, recovered: Sequence[int]) -> list[int]:
    """What each recovery of a loss pays to a leaf of the loss's `before` ledger, in order.

    Recoveries act on what is still outstanding. Needs 0 < recovered[k] <= what
    is outstanding before it, which the caller has checked.
    """
    ends = [_returned(x, total, loss, recovered) for x in (prefix, prefix + amount)]
    return [upper - lower for lower, upper in zip(*ends, strict=True)]


def _returned(x: int, total: int, loss: int, recovered: Sequence[int]) -> list[int]:
    """g_k(x) for each recovery k: what is paid to the first `x` units of the ledger's line."""
    borne = x * loss // total if total else 0
    outstanding = loss
    paid = []
    for amount in recovered:
        share = borne * amount // outstanding
        paid.append(share)
        borne -= share
        outstanding -= amount
    return paid
