"""The run of one loss from positions and marks: who is short, who is closed, who shares."""

from collections.abc import Sequence
from fractions import Fraction

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from auditkit.errors import InputError, place
from auditkit.ledger.columns import Balances, limbs
from auditkit.ledger.engine import Numbers
from auditkit.margin import bankrupt, closings
from auditkit.margin.contracts import PLACES, decimal_text
from auditkit.margin.equity import Equity
from auditkit.margin.eventfile import EventFile
from auditkit.margin.positionsfile import PositionsFile
from auditkit.margin.signed import Integers
from auditkit.publish import adl
from auditkit.publish.draft import Draft
from auditkit.publish.loss import Deleveraged, log_run, refuse_pool
from auditkit.publish.rows import Given
from auditkit.verify.statements import Policy


class Computed:
    """A loss whose lists are computed here, from the margin book at the event's marks."""

    def __init__(self, given: EventFile, policy: Policy) -> None:
        """Raises InputError if the book cannot be read or a contract has no mark."""
        self._path = given.path
        self._pool = given.pool
        self._rank = policy.adl_rank
        asset = policy.pools[given.pool].asset
        self._decimals = policy.assets[asset]
        book = PositionsFile.read(given.positions or given.path).load(asset, policy.assets)
        self._equity = Equity.at(book, {m.contract: Fraction(m.mark) for m in given.marks})
        self._absorbed: dict[str, int] = {}

    def notes(self) -> list[str]:
        """What the publisher should look at once more: contracts with more of one side."""
        book = self._equity.book
        open_ = np.full(len(book.contracts), 0, np.object_)
        np.add.at(open_, book.contract, book.side.astype(np.object_) * book.size)
        return [
            f"{contract.name}: longs and shorts differ by {decimal_text(abs(size), PLACES)}, so "
            "some positions are missing or not real; what those lose is shared by everybody"
            for contract, size in zip(book.contracts, open_.tolist(), strict=True)
            if size
        ]

    def deficits(self) -> Balances:
        """Every account of this pool whose equity is below zero. Raises InputError for none."""
        found = bankrupt.deficits(self._equity, self._pool)
        if not len(found):
            raise InputError(
                f"{place(self._path)}: nobody is bankrupt in {self._equity.book.asset} at these "
                f"marks that pool {self._pool} would cover, so there is no event; check positions, "
                "marks and pool"
            )
        return found

    def deleverage(self, rest: int) -> Deleveraged:
        """What the reference engine closes."""
        did = adl.deleverage(self._equity, self._pool, self._rank, rest)
        self._absorbed = did.absorbed()
        table = closings.write(did.closings, self._decimals)
        return Deleveraged(did.ledger(), did.candidates, did.exhausted, table)

    def equities(self) -> Given:
        """The equity above zero that is left to every account, cut into its leaves."""
        book = self._equity.book
        units = self._equity.units.copy()
        names = pa.array([name.encode("ascii") for name in self._absorbed], pa.binary())
        rows = pc.index_in(names, value_set=book.accounts).to_pylist()
        for row, absorbed in zip(rows, self._absorbed.values(), strict=True):
            units[row] -= absorbed
        held = np.flatnonzero(units > 0)
        leaves = book.leaves[held]
        rows = split(book.accounts.take(pa.array(held)), units[held], leaves)
        return Given([rows], int(leaves.max(initial=1)))


def split(accounts: pa.Array, amounts: Integers, leaves: Numbers) -> Balances:
    """Balances in which each amount is cut into that many leaves, a unit apart at most."""
    if (leaves == 1).all():
        return Balances(accounts, limbs(amounts.tolist()))
    rows = np.repeat(np.arange(len(leaves)), leaves)
    first = np.cumsum(leaves) - leaves
    chunk = np.arange(len(rows)) - first[rows]
    whole = amounts[rows]
    pieces = whole // leaves[rows] + (chunk < whole % leaves[rows])
    return Balances(accounts.take(pa.array(rows)), limbs(pieces.tolist()))


def publish(draft: Draft, given: Sequence[EventFile]) -> None:
    """Log the runs of the events of one crash, each of an asset of its own. Raises InputError."""
    seen: dict[str, EventFile] = {}
    for event in given:
        refuse_pool(draft.policy, event)
        _refuse_lists(event)
        asset = draft.policy.pools[event.pool].asset
        for key in (f"asset {asset}", f"event {event.event}"):
            if key in seen:
                raise InputError(
                    f"{place(event.path)}: {key} is in {place(seen[key].path)} already; "
                    "publish them one after the other"
                )
            seen[key] = event
    for event in given:
        found = Computed(event, draft.policy)
        draft.notes += found.notes()
        log_run(draft, event, found)


def _refuse_lists(given: EventFile) -> None:
    """Lists beside positions would be passed over without a word."""
    if given.lists is not None:
        raise InputError(
            f"{place(given.path)}: has lists (books, deficits or adl), which are computed from "
            "positions here; leave them out, or use auditkit publish loss"
        )
    if given.positions is None:
        raise InputError(
            f"{place(given.path)}: positions is missing; name a positions.toml, or use auditkit "
            "publish loss with lists"
        )
