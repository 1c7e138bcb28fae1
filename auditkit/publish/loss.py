"""The run of one loss, and recoveries (SPEC.md §3 and §5).

What is drawn, socialized and left over is computed here; the kernel's own
rules then check the whole run before anything is committed.
"""

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import pyarrow.compute as pc

from auditkit.errors import InputError
from auditkit.ledger import deductions
from auditkit.ledger.books import Books, load_amount_list
from auditkit.ledger.columns import Balances, total
from auditkit.money import parse_amount
from auditkit.publish import fund
from auditkit.publish.draft import Draft
from auditkit.publish.snapshot import carried, with_zeros
from auditkit.tomlfile import Table
from auditkit.verify import elements as e
from auditkit.verify.elements import Element, map_of
from auditkit.verify.errors import Malformed
from auditkit.verify.records import Mark, Source
from auditkit.verify.statements import Adl, Applied, Deficit, Draw, Loss, Policy, Recovery, Snapshot

_ANY_PRICES: Element[Any] = map_of(e.NAME, e.PRICE)


@dataclass(frozen=True, slots=True)
class EventFile:
    """An event.toml that was read: the lists of one loss, and where the equities are."""

    path: Path
    event: str
    pool: str
    confirmed: int
    books: Path
    deficits: Path
    adl: Path | None
    candidates: int | None
    exhausted: bool | None
    pools: Path | None
    marks: tuple[Mark, ...]

    @classmethod
    def read(cls, path: Path) -> "EventFile":
        """Read an event.toml; files are relative to it. Raises InputError."""
        top = Table.read(path)

        def file(key: str, required: bool) -> Path | None:
            name = top.take(key, str) if required or key in top else None
            return None if name is None else path.parent / name

        found = cls(
            path=path,
            event=top.element("event", e.NAME),
            pool=top.element("pool", e.NAME),
            confirmed=top.element("confirmed", e.TIME),
            books=file("books", True) or path,
            deficits=file("deficits", True) or path,
            adl=file("adl", False),
            candidates=top.element("adl_candidates", e.COUNT) if "adl_candidates" in top else None,
            exhausted=top.element("adl_exhausted", e.BOOL) if "adl_exhausted" in top else None,
            pools=file("pools", False),
            marks=tuple(sorted(map(_mark, top.tables("mark")), key=lambda mark: mark.contract)),
        )
        top.close()
        if not found.marks:
            raise top.refuse("mark", "is missing; add [[mark]] with contract and sources")
        return found


def _mark(row: Table) -> Mark:
    contract = row.element("contract", e.NAME)
    prices = row.element("sources", _ANY_PRICES)
    if not prices:
        raise row.refuse("sources", 'is empty; write for example { a = "104782" }')
    row.close()
    sources = tuple(Source(name, prices[name]) for name in sorted(prices))
    try:
        return Mark(contract, e.PRICE.read(median(list(prices.values()))), sources)
    except Malformed as error:
        raise row.refuse("sources", f"the median: {error}") from None


def median(prices: list[str]) -> str:
    """The middle price, or exactly half the sum of the two middle ones, in canonical text."""
    units = sorted(map(e.price_units, prices))
    value = Fraction(units[(len(units) - 1) // 2] + units[len(units) // 2], 2 * 10**40)
    scaled = value * 10**41  # Half of a 40-digit fraction has at most 41 digits.
    whole, fraction = divmod(scaled.numerator // scaled.denominator, 10**41)
    return f"{whole}.{fraction:041d}".rstrip("0").rstrip(".")


def publish(draft: Draft, given: EventFile) -> Loss:
    """Log the whole run of one event in the policy's order. Raises InputError."""
    policy = draft.policy
    if given.pool not in policy.pools:
        raise InputError(
            f"{given.path}: pool: the policy has no pool {given.pool}; it has "
            + ", ".join(sorted(policy.pools))
        )
    draft.refuse_known_event(given.event)
    _refuse_unused(given, policy)
    asset = policy.pools[given.pool].asset
    _refuse_old_snapshot(draft, asset)
    books = Books.read(given.books)
    common: dict[str, Any] = {"asset": asset, "event": given.event}
    deficits = load_amount_list(given.deficits, policy.assets[asset])
    rest = total(deficits.amounts)
    draft.add(
        Deficit,
        **common,
        pool=given.pool,
        confirmed=given.confirmed,
        marks=given.marks,
        ledger=draft.ledger("deficit", deficits),
    )
    for stage in policy.waterfall:
        rest -= {"adl": _adl, "draw": _draw}[stage](draft, given, common, rest)
    return _share(draft, common, books, rest)


def _refuse_old_snapshot(draft: Draft, asset: str) -> None:
    """The reference has to be of the policy that the run names."""
    for link in draft.log.back(draft.latest[asset]) if asset in draft.latest else ():
        if isinstance(link, Snapshot):
            if link.policy != draft.policy.seq:
                raise InputError(
                    f"the policy changed (entry {draft.policy.seq}) after the last snapshot of "
                    f"{asset} (entry {link.seq}); publish a snapshot first: only what is confirmed "
                    "after it can be shared"
                )
            return


def _refuse_unused(given: EventFile, policy: Policy) -> None:
    """What was given to a stage that the policy does not have would be lost without a word."""
    stages = {
        "adl": ("adl", given.adl),
        "adl_candidates": ("adl", given.candidates),
        "adl_exhausted": ("adl", given.exhausted),
        "pools": ("draw", given.pools),
    }
    for key, (stage, value) in stages.items():
        if value is not None and stage not in policy.waterfall:
            raise InputError(
                f"{given.path}: {key}: the policy's waterfall has no stage {stage}; leave it out"
            )


def _adl(draft: Draft, given: EventFile, common: dict[str, Any], rest: int) -> int:
    if given.candidates is None or given.exhausted is None:
        raise InputError(
            f"{given.path}: the policy's waterfall has ADL; add adl_candidates and adl_exhausted"
        )
    decimals = draft.policy.assets[common["asset"]]
    closed = Balances.of(()) if given.adl is None else load_amount_list(given.adl, decimals)
    stage = draft.add(
        Adl,
        **common,
        rank=draft.policy.adl_rank,
        candidates=given.candidates,
        exhausted=given.exhausted,
        ledger=draft.ledger("adl", closed),
    )
    return min(stage.ledger.total, rest)


def _draw(draft: Draft, given: EventFile, common: dict[str, Any], rest: int) -> int:
    policy = draft.policy
    moved = None if given.pools is None else fund.read(given.pools, policy)
    entry = fund.publish(draft, moved, before_draw=given.pool)
    before = next(row.closing for row in entry.pools if row.pool == given.pool)
    drawn = min(rest, max(0, before - policy.pools[given.pool].floor))
    draft.add(Draw, **common, pool=given.pool, before=before, drawn=drawn, after=before - drawn)
    return drawn


def _share(draft: Draft, common: dict[str, Any], books: Books, rest: int) -> Loss:
    asset, book = common["asset"], draft.policy.book
    equities = carried(draft, asset, book, load_one(draft, books, asset, book))
    before = draft.ledger(book, equities)
    socialized = min(rest, before.total)
    loss = draft.add(
        Loss,
        **common,
        rule=draft.policy.rule,
        before=before,
        socialized=socialized,
        residual=rest - socialized,
    )
    if socialized:
        in_order = draft.ledgers.open(loss.seq, book).balances()
        after = draft.ledger(book, deductions.after_loss(in_order, socialized))
        draft.add(Applied, **common, after=after)
    return loss


def load_one(draft: Draft, books: Books, asset: str, book: str) -> Balances:
    """The one ledger that these books may hold. Raises InputError if they hold another."""
    policy = draft.policy
    loaded = books.load(policy.assets, policy.books, policy.book)
    for key in loaded:
        if key != (asset, book):
            raise InputError(
                f"{books.path}: holds the ledger {'/'.join(key)}; only {asset}/{book} has a part "
                "in this, so map nothing else"
            )
    return loaded.get((asset, book), Balances.of(()))


def publish_recovery(draft: Draft, event: str, amount: str, books: Books) -> Recovery:
    """Log what came back of an event's loss, and its effect. Raises InputError."""
    loss = draft.find_loss(event)
    asset, book = loss.asset, loss.before.book
    recovered = parse_amount(amount, draft.policy.assets[asset], "--amount")
    earlier = tuple(draft.log.recovered(draft.latest[asset], loss.seq))
    left = loss.socialized - sum(earlier)
    if not 0 < recovered <= left:
        raise InputError(f"--amount: {recovered} base units do not fit; {left} are outstanding")
    shared = draft.ledgers.open(loss.seq, book).balances()
    equities = carried(draft, asset, book, load_one(draft, books, asset, book))
    # Every account that bore the loss is carried, so that each can be paid.
    bearers = pc.unique(shared.accounts)
    equities = with_zeros(
        equities, bearers.filter(pc.invert(pc.is_in(bearers, value_set=equities.accounts)))
    )
    common: dict[str, Any] = {"asset": asset, "event": event}
    recovery = draft.add(
        Recovery,
        **common,
        loss=loss.seq,
        earlier=earlier,
        recovered=recovered,
        before=draft.ledger(book, equities),
    )
    in_order = draft.ledgers.open(recovery.seq, book).balances()
    paid = deductions.after_recovery(in_order, shared, loss.socialized, earlier, recovered)
    draft.add(Applied, **common, after=draft.ledger(book, paid))
    return recovery
