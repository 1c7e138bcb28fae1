"""policy.toml, and what a policy may change (SPEC.md §5)."""

from pathlib import Path
from typing import Any

from auditkit.errors import InputError
from auditkit.publish.draft import Draft
from auditkit.tomlfile import Table
from auditkit.verify import elements as e
from auditkit.verify.elements import Element, list_of, map_of, one_of
from auditkit.verify.records import Pool
from auditkit.verify.sharing import RULE
from auditkit.verify.statements import ADL_RANKS, Policy

_MOST_POOLS = 285

# Everything but assets and pools has a default (the profile `default`).
_DEFAULTS: dict[str, tuple[Element[Any], Any]] = {
    "books": (list_of(e.CUSTOMER_BOOK, 1), ("margin", "spot")),
    "book": (e.CUSTOMER_BOOK, "margin"),
    "waterfall": (list_of(one_of("adl", "draw")), ("adl", "draw")),
    "adl_rank": (one_of(*ADL_RANKS), "profit-desc-leverage-asc"),
    "rule": (one_of(RULE), RULE),
    "mark_rule": (one_of("median"), "median"),
    "deadline_ms": (e.COUNT, 90_000),
    "snapshot_interval_ms": (e.COUNT, 86_400_000),
    "fund_interval_ms": (e.COUNT, 60_000),
    "fund_history_days": (e.COUNT, 90),
    "oi_window_days": (e.COUNT, 30),
    "oi_threshold": (list_of(e.COUNT, 2), (20, 100)),
}


def read(path: Path) -> dict[str, Any]:
    """The policy statement's own fields from policy.toml. Raises InputError."""
    top = Table.read(path)
    fields: dict[str, Any] = {"assets": top.element("assets", map_of(e.ASSET, e.DECIMALS))}
    if not fields["assets"]:
        raise top.refuse("assets", "is empty; write for example BTC = 8, its decimals")
    fields["pools"] = _pools(top)
    for name, (spelling, default) in _DEFAULTS.items():
        fields[name] = top.element(name, spelling, default)
    top.close()
    _check(top, fields)
    fields["books"] = tuple(sorted(fields["books"]))
    return fields


def _check(top: Table, fields: dict[str, Any]) -> None:
    """What must hold between the keys. Raises InputError with the key that is to be changed."""
    for name, pool in fields["pools"].items():
        if pool.asset not in fields["assets"]:
            raise top.refuse(f"pools.{name}.asset", f"is {pool.asset}, which is not in assets")
    for name in ("books", "waterfall"):
        if len(set(fields[name])) < len(fields[name]):
            raise top.refuse(name, "names one twice")
    if fields["book"] not in fields["books"]:
        raise top.refuse("book", f"is {fields['book']}, which is not one of the books; name one")
    if len(fields["pools"]) > _MOST_POOLS:
        raise top.refuse("pools", f"are more than {_MOST_POOLS}, which one fund entry cannot hold")
    part, *whole = fields["oi_threshold"]
    if len(whole) != 1 or not 0 < part <= whole[0]:
        raise top.refuse("oi_threshold", "is not a ratio up to 1; write for example [20, 100]")


def _pools(top: Table) -> dict[str, Pool]:
    pools = {}
    for name, pool in top.table("pools").named(e.NAME):
        pools[name] = Pool(pool.element("asset", e.ASSET), pool.element("floor", e.AMOUNT, 0))
        pool.close()
    if not pools:
        raise top.refuse("pools", "is empty; write for example [pools.BTC]")
    return pools


def publish(draft: Draft, fields: dict[str, Any]) -> Policy:
    """Log a new policy. Raises InputError if it breaks what customers were promised."""
    old = draft.policy
    if all(getattr(old, name) == value for name, value in fields.items()):
        draft.notes.append(f"this is policy {old.seq} once more; nothing changes")
    new = draft.add(Policy, **fields)
    _check_assets(draft, old, new)
    for book in set(old.books) - set(new.books):
        _check_book(draft, book)
    _check_pools(draft, old, new)
    return new


def _check_assets(draft: Draft, old: Policy, new: Policy) -> None:
    # Decimals never change, not even of an asset that has left and comes back.
    for past in draft.policies():
        for asset, decimals in past.assets.items():
            if new.assets.get(asset, decimals) != decimals:
                raise InputError(f"the decimals of {asset} are {decimals} and never change")
    for asset in old.assets:
        if asset not in new.assets and asset in draft.latest:
            raise InputError(f"{asset} has statements in the log and cannot leave the policy")


def _check_book(draft: Draft, book: str) -> None:
    """A book stays while it holds anything or a loss of it may still be recovered."""
    for asset, top in draft.latest.items():
        for link in draft.log.back(top):
            ledger = link.ledgers_shown().get(book)
            if ledger is not None:
                if ledger.total:
                    raise InputError(f"book {book} still holds {asset} and cannot leave the policy")
                break
        for loss in draft.log.losses(top):
            returned = sum(draft.log.recovered(top, loss.seq))
            if loss.before.book == book and returned < loss.socialized:
                raise InputError(
                    f"book {book} cannot leave the policy: the loss of event {loss.event} "
                    "may still be recovered"
                )


def _check_pools(draft: Draft, old: Policy, new: Policy) -> None:
    """A pool leaves, or moves to another asset, only with nothing in it."""
    closings = {row.pool: row.closing for row in draft.last_fund_rows()}
    for name, pool in old.pools.items():
        kept = new.pools.get(name)
        if (kept is None or kept.asset != pool.asset) and closings.get(name):
            raise InputError(f"pool {name} still holds money and cannot leave the policy")
