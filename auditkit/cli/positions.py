"""audit positions: what the margin book says of one account at the marks."""

from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

from auditkit.cli.result import Code, Result
from auditkit.cli.terminal import Page
from auditkit.errors import InputError, place
from auditkit.money import format_amount

if TYPE_CHECKING:
    from auditkit.margin.holder import Held
    from auditkit.verify.statements import Policy

_SIDES = {1: "long", -1: "short"}


def describe(policy: "Policy", event: Path, account: str) -> Result:
    """The account's equity, positions, bankruptcy prices and ranks. Raises InputError."""
    from auditkit.margin.equity import Equity
    from auditkit.margin.eventfile import EventFile
    from auditkit.margin.holder import Holder
    from auditkit.margin.positionsfile import PositionsFile

    given = EventFile.read(event)
    if given.pool not in policy.pools:
        raise InputError(f"{place(event)}: pool: the policy has no pool {given.pool}")
    if given.positions is None:
        raise InputError(f"{place(event)}: positions is missing; name a positions.toml")
    asset = policy.pools[given.pool].asset
    book = PositionsFile.read(given.positions).load(asset, policy.assets)
    equity = Equity.at(book, {mark.contract: Fraction(mark.mark) for mark in given.marks})
    holder = Holder.of(equity, account, policy.adl_rank)

    decimals = policy.assets[asset]

    def money(units: int) -> str:
        sign = "-" if units < 0 else ""
        return f"{sign}{format_amount(abs(units), decimals)} {asset}"

    found = [(h.contract, _SIDES[h.side], _rows(h, asset, decimals)) for h in holder.positions]

    page = Page()
    page.line(f"Account {holder.account} at the marks of {given.event}, computed from the tables.")
    page.pairs([("wallet", money(holder.wallet)), ("equity", money(holder.equity))])
    for contract, side, rows in found:
        page.head(f"{contract} {side}")
        page.pairs(list(rows.items()))
    data = {
        "account": holder.account,
        "asset": asset,
        "wallet_units": str(holder.wallet),
        "equity_units": str(holder.equity),
        "positions": [{"contract": name, "side": side, **rows} for name, side, rows in found],
    }
    return Result(Code.OK, "shown", page, data)


def _rows(held: "Held", asset: str, decimals: int) -> dict[str, str]:
    from auditkit.margin.contracts import price_text
    from auditkit.margin.holder import nearest

    def price(value: Fraction | None) -> str:
        if value is None:
            return "none above 0"
        short, exact = nearest(value), price_text(value)
        plain = "/" not in exact and len(exact) <= 12
        return exact if plain or short == exact else f"{short} (exactly {exact})"

    ranked = f"{held.place} of {held.candidates}" if held.place else "not a candidate"
    return {
        "size": price(held.size),
        "entry": price(held.entry),
        "mark": price(held.mark),
        "bankruptcy price": price(held.bankruptcy),
        "profit": f"{nearest(held.profit / 10**decimals, 12)} {asset}",
        "value": f"{nearest(held.value / 10**decimals, 12)} {asset}",
        "place in deleveraging": ranked,
    }
