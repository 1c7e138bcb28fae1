"""The run of one loss (SPEC.md §5), whoever found its numbers.

What is drawn, socialized and left over is computed here; the kernel's own
rules then check the whole run before anything is committed.
"""

from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from auditkit.errors import InputError, place
from auditkit.ledger import deductions
from auditkit.ledger.books import Books, load_amount_list
from auditkit.ledger.columns import Balances, total
from auditkit.margin.eventfile import EventFile, Lists
from auditkit.money import parse_amount
from auditkit.publish import fund
from auditkit.publish.draft import Draft
from auditkit.publish.restated import Restated
from auditkit.publish.rows import Given, build, of_books
from auditkit.verify.statements import Adl, Applied, Deficit, Draw, Loss, Policy, Snapshot


@dataclass(frozen=True, slots=True)
class Deleveraged:
    """What deleveraging did: what each account absorbed, of how many that it could have taken.

    `exhausted` says that nobody was left to take; `closings` is the table of
    positions closed, as CSV, where it is known here.
    """

    absorbed: Balances
    candidates: int
    exhausted: bool
    closings: bytes | None = None


class Found(Protocol):
    """What is known of one loss before it is shared."""

    def deficits(self) -> Balances:
        """The bankrupt accounts and what each is short."""
        ...

    def deleverage(self, rest: int) -> Deleveraged:
        """The stage `adl`, with `rest` of the deficit to cover."""
        ...

    def equities(self) -> Given:
        """The sharing book at the moment of the loss, after the stages."""
        ...


class Listed:
    """A loss whose lists an exchange's own engine made."""

    def __init__(self, given: EventFile, policy: Policy) -> None:
        self._path = given.path
        self._lists = given.needed()
        self._policy = policy
        self._asset = policy.pools[given.pool].asset
        _refuse_unused(given.path, self._lists, policy)
        self._books = Books.read(self._lists.books)

    def deficits(self) -> Balances:
        """The list of deficits."""
        return load_amount_list(self._lists.deficits, self._policy.assets[self._asset])

    def deleverage(self, rest: int) -> Deleveraged:
        """The list of what was absorbed, whatever is left to cover."""
        given = self._lists
        if given.candidates is None or given.exhausted is None:
            raise InputError(
                f"{self._path}: the policy's waterfall has ADL; add adl_candidates and "
                "adl_exhausted"
            )
        decimals = self._policy.assets[self._asset]
        closed = Balances.of(()) if given.adl is None else load_amount_list(given.adl, decimals)
        return Deleveraged(closed, given.candidates, given.exhausted)

    def equities(self) -> Given:
        """The mapped books."""
        return of_books(self._policy, self._books, (self._asset, self._policy.book))


def _refuse_unused(path: Path, lists: Lists, policy: Policy) -> None:
    """What was given to a stage that the policy does not have would be lost without a word."""
    given = {
        "adl": lists.adl,
        "adl_candidates": lists.candidates,
        "adl_exhausted": lists.exhausted,
    }
    for key, value in given.items():
        if value is not None and "adl" not in policy.waterfall:
            raise _no_stage(path, key, "adl")


def _no_stage(path: Path, key: str, stage: str) -> InputError:
    return InputError(
        f"{place(path)}: {key}: the policy's waterfall has no stage {stage}; leave it out"
    )


def publish(draft: Draft, given: EventFile) -> Loss:
    """Log the whole run of a loss from its lists. Raises InputError."""
    refuse_pool(draft.policy, given)
    return log_run(draft, given, Listed(given, draft.policy))


def refuse_pool(policy: Policy, given: EventFile) -> None:
    """Raises InputError if the policy has no such pool."""
    if given.pool not in policy.pools:
        raise InputError(
            f"{place(given.path)}: pool: the policy has no pool {given.pool}; it has "
            + ", ".join(sorted(policy.pools))
        )


def log_run(draft: Draft, given: EventFile, found: Found) -> Loss:
    """Log the whole run of one event in the policy's order. Raises InputError."""
    policy = draft.policy
    draft.refuse_known_event(given.event)
    if given.pools is not None and "draw" not in policy.waterfall:
        raise _no_stage(given.path, "pools", "draw")
    asset = policy.pools[given.pool].asset
    _refuse_absent(given, policy.assets[asset])
    _refuse_old_snapshot(draft, asset)
    common: dict[str, Any] = {"asset": asset, "event": given.event}
    deficits = found.deficits()
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
        if stage == "adl":
            rest -= _adl(draft, common, found.deleverage(rest), rest)
        else:
            rest -= _draw(draft, given, common, rest)
    return _share(draft, common, found.equities(), rest)


def _refuse_absent(given: EventFile, decimals: int) -> None:
    """What the auditor will be given is there, before anything is signed that it belongs to."""
    for key in ("closings", "fills", "entries"):
        path = getattr(given, key)
        if path is not None and not path.is_file():
            raise InputError(
                f"{place(given.path)}: {key}: {place(path)} is no file; write it first"
            )
    if given.assets is not None:
        parse_amount(given.assets, decimals, f"{place(given.path)}: assets")


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


def _adl(draft: Draft, common: dict[str, Any], did: Deleveraged, rest: int) -> int:
    stage = draft.add(
        Adl,
        **common,
        rank=draft.policy.adl_rank,
        candidates=did.candidates,
        exhausted=did.exhausted,
        ledger=draft.ledger("adl", did.absorbed),
    )
    if did.closings is not None:
        draft.ledgers.keep_closings(stage.seq, did.closings)
    return min(stage.ledger.total, rest)


def _draw(draft: Draft, given: EventFile, common: dict[str, Any], rest: int) -> int:
    policy = draft.policy
    moved = None if given.pools is None else fund.read(given.pools, policy)
    entry = fund.publish(draft, moved, before_draw=given.pool)
    before = next(row.closing for row in entry.pools if row.pool == given.pool)
    drawn = min(rest, max(0, before - policy.pools[given.pool].floor))
    draft.add(Draw, **common, pool=given.pool, before=before, drawn=drawn, after=before - drawn)
    return drawn


def _share(draft: Draft, common: dict[str, Any], equities: Given, rest: int) -> Loss:
    book = draft.policy.book
    seq, before = draft.seq, build(draft, (common["asset"], book), equities)
    with ExitStack() as open_:
        stored = draft.ledgers.open(seq, before)
        # All that does not depend on how much is lost is done before that is known.
        restated = open_.enter_context(Restated(draft, stored)) if rest and before.total else None
        socialized = min(rest, before.total)
        loss = draft.add(
            Loss,
            **common,
            rule=draft.policy.rule,
            before=before,
            socialized=socialized,
            residual=rest - socialized,
        )
        if restated is not None:
            after = restated.less(deductions.Sharing(before.total, socialized), book)
            draft.add(Applied, **common, after=after)
    return loss
