"""The run of one loss in the simulator: a method for every statement of it.

`Venue.event` calls them in the policy's order; a test that wants another
order, or leaves one out, calls them itself.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from reference import Balances, Ledger, deductions

if TYPE_CHECKING:
    from venue import Venue


@dataclass
class Run:
    """One event while it runs; amounts in base units."""

    venue: "Venue"
    asset: str
    event: str
    pool: str
    rest: int = 0
    socialized: int = 0
    loss_seq: int = 0
    recovered: list[int] = field(default_factory=list)

    @property
    def lost(self) -> Ledger:
        """The ledger that shares the loss."""
        book = self.venue.said[self.loss_seq]["before"]["book"]
        return self.venue.ledgers[self.loss_seq, book]

    @property
    def steps(self) -> dict[str, Callable[..., None]]:
        """The run's own methods, by the kind they log."""
        return {"adl": self.adl, "draw": self.draw, "loss": self.loss, "applied": self.applied}

    def link(self, kind: str, /, **fields: object) -> dict[str, Any]:
        return self.venue.link(kind, self.asset, event=self.event, **fields)

    def adl(self, absorbed: Balances) -> None:
        """Let accounts absorb a part of the deficit."""
        ledger = self.venue.ledger("adl", "adl", absorbed)
        said = self.link(
            "adl",
            rank=self.venue.rules["adl_rank"],
            candidates=len(ledger.leaves),
            exhausted=True,
            ledger=ledger,
        )
        self.rest = max(0, self.rest - int(said["ledger"]["total"]))

    def draw(self) -> None:
        """Draw on the fund, whose own entry comes right before, and books what is due first."""
        venue = self.venue
        if any(venue.unbooked.values()):
            venue.fund()
        venue.fund()
        before, floor = venue.closing[self.pool], int(venue.rules["pools"][self.pool]["floor"])
        drawn = min(self.rest, max(0, before - floor))
        said = self.link(
            "draw", pool=self.pool, before=str(before), drawn=str(drawn), after=str(before - drawn)
        )
        if drawn := int(said["drawn"]):
            self.rest = max(0, self.rest - drawn)
            venue.unbooked.setdefault(self.pool, []).append(drawn)

    def loss(self, book: str | None = None) -> None:
        book, self.loss_seq = book or self.venue.rules["book"], len(self.venue.said)
        before = self.venue.state("loss", self.asset, str(book))
        socialized = min(self.rest, sum(before.amounts))
        said = self.link(
            "loss",
            rule=self.venue.rules["rule"],
            before=before,
            socialized=str(socialized),
            residual=str(self.rest - socialized),
        )
        self.socialized = min(int(said["socialized"]), sum(before.amounts))

    def applied(self) -> None:
        """Deduct every leaf's share, if there is anything to share."""
        if self.socialized:
            shares = deductions(self.lost.amounts, self.socialized)
            self.apply(self.lost.book, self.lost.changed(-share for share in shares))

    def apply(self, book: str, balances: Balances) -> None:
        """Restate a ledger with the effect of a loss or a recovery."""
        after = self.venue.state("applied", self.asset, book, balances)
        self.venue.books[self.asset][book] = after.balances()
        self.link("applied", after=after)
