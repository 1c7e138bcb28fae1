"""The insurance fund's entries (SPEC.md §5): openings from the log, draws booked once."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from auditkit.errors import InputError
from auditkit.publish.draft import Draft
from auditkit.tomlfile import Table
from auditkit.verify import elements as e
from auditkit.verify.elements import Element, one_of
from auditkit.verify.records import Credit, Debit, PoolRow
from auditkit.verify.statements import Draw, Fund, Policy

_CREDITS = one_of("liquidation_surplus", "liquidation_fee", "operator_injection", "correction")
_DEBITS = one_of("correction")


@dataclass(frozen=True, slots=True)
class Movements:
    """What moved one pool, and the open interest it covers, in base units."""

    credits: tuple[Credit, ...]
    debits: tuple[Debit, ...]
    open_interest: int


def read(path: Path, policy: Policy) -> dict[str, Movements]:
    """Read pools.toml. Raises InputError on unknown pools, kinds and amounts."""
    top = Table.read(path)
    moved: dict[str, Movements] = {}
    for row in top.tables("pool", required=True):
        name = row.element("pool", e.NAME)
        if name not in policy.pools:
            raise row.refuse("pool", f"{name} is not in the policy; {_listed(policy)}")
        if name in moved:
            raise row.refuse("pool", f"{name} is listed twice")
        decimals = policy.assets[policy.pools[name].asset]
        moved[name] = Movements(
            tuple(Credit(*pair) for pair in _movements(row, "credits", _CREDITS, decimals)),
            tuple(Debit(*pair) for pair in _movements(row, "debits", _DEBITS, decimals)),
            row.amount("open_interest", decimals),
        )
        row.close()
    top.close()
    if missing := sorted(policy.pools.keys() - moved.keys()):
        raise InputError(f"{path}: pool {missing[0]} is missing; every fund entry lists every pool")
    return moved


def _listed(policy: Policy) -> str:
    return "its pools are " + ", ".join(sorted(policy.pools))


def _movements(row: Table, key: str, kinds: Element[str], decimals: int) -> list[tuple[int, str]]:
    pairs = []
    for item in row.tables(key):
        kind = item.element("kind", kinds)
        pairs.append((item.amount("amount", decimals), kind))
        item.close()
    return pairs


def publish(draft: Draft, moved: Mapping[str, Movements] | None, *, before_draw: str = "") -> Fund:
    """Log a fund entry: what moved, and the draws that are not booked yet.

    With `before_draw`, the name of the pool about to be drawn: earlier draws
    are booked in an entry of their own, since that pool's row may book no
    debit. `moved` None: nothing moved. Raises InputError.
    """
    unbooked = unbooked_draws(draft)
    if before_draw and unbooked.get(before_draw):
        _entry(draft, None, unbooked)
        unbooked = {}
    if before_draw and moved and moved[before_draw].debits:
        raise InputError(
            f"pool {before_draw} is about to be drawn, so its row may book no debit; "
            "book it in a fund entry of its own first"
        )
    return _entry(draft, moved, unbooked)


def unbooked_draws(draft: Draft) -> dict[str, list[int]]:
    """The amounts drawn since the last fund entry, by pool."""
    drawn: dict[str, list[int]] = {}
    last = draft.last_fund()
    for top in draft.latest.values():
        for link in draft.log.back(top):
            if last is None or link.seq < last.seq:
                break
            if isinstance(link, Draw) and link.drawn:
                drawn.setdefault(link.pool, []).insert(0, link.drawn)
    return drawn


def _entry(
    draft: Draft, moved: Mapping[str, Movements] | None, drawn: Mapping[str, list[int]]
) -> Fund:
    before = {row.pool: row for row in draft.last_fund_rows()}
    rows = []
    for name in sorted(draft.policy.pools):
        last = before.get(name)
        opening = last.closing if last else 0
        still = Movements((), (), last.open_interest if last else 0)
        now = moved[name] if moved else still
        debits = (*(Debit(amount, "draw") for amount in drawn.get(name, ())), *now.debits)
        closing = opening + sum(c.amount for c in now.credits) - sum(d.amount for d in debits)
        if closing < 0:
            raise InputError(f"pool {name}: debits exceed what it holds, {opening} base units")
        if closing >= e.AMOUNT_LIMIT:
            raise InputError(f"pool {name}: its balance reaches 2^128")
        rows.append(PoolRow(name, opening, now.credits, debits, closing, now.open_interest))
    return draft.add(Fund, pools=tuple(rows))
