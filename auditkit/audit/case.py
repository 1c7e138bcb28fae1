"""One event as the log tells it, and what was handed over to look at it with."""

from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any, TypeVar

from auditkit.audit.findings import Missing
from auditkit.audit.handover import Handover
from auditkit.errors import InputError, shown
from auditkit.log.published import Log
from auditkit.margin.book import MarginBook
from auditkit.margin.equity import Equity
from auditkit.margin.eventfile import EventFile
from auditkit.margin.positionsfile import PositionsFile
from auditkit.money import format_amount
from auditkit.verify.statements import (
    Adl,
    Applied,
    AssetStatement,
    Deficit,
    Draw,
    Loss,
    Policy,
    Recovery,
    Run,
    Snapshot,
)

DAY_MS = 86_400_000

R = TypeVar("R", bound=Run)
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Case:
    """One event: its statements as they stand in the log, None where there is none.

    `reference` is the nearest snapshot before the deficit that was logged by
    the time it was confirmed. `inputs` is the event's file with the tables
    that an auditor reads, or None.
    """

    log: Log
    handover: Handover
    inputs: EventFile | None
    policy: Policy
    reference: Snapshot | None
    deficit: Deficit
    adl: Adl | None
    draw: Draw | None
    loss: Loss | None
    applied: Applied | None
    asset: str
    decimals: int
    kept: dict[str, Any] = field(default_factory=dict, repr=False, compare=False)

    @classmethod
    def find(cls, log: Log, event: str, handover: Handover, inputs: EventFile | None) -> "Case":
        """The first event of that name in the log. Raises InputError if there is none."""
        deficit = next((d for d in log.of(Deficit) if d.event == event), None)
        if deficit is None:
            names = ", ".join(dict.fromkeys(shown(d.event) for d in log.of(Deficit))) or "none"
            raise InputError(f"the log has no event {shown(event)}; its events are {names}")
        policy = log.reader.policy(deficit.policy)
        if deficit.asset not in policy.assets:
            raise InputError(
                f"the policy {policy.seq} of deficit {deficit.seq} has no asset {deficit.asset}"
            )
        return cls(
            log=log,
            handover=handover,
            inputs=inputs,
            policy=policy,
            reference=_reference(log, deficit),
            deficit=deficit,
            adl=_stage(log, deficit, Adl),
            draw=_stage(log, deficit, Draw),
            loss=_stage(log, deficit, Loss),
            applied=_stage(log, deficit, Applied),
            asset=deficit.asset,
            decimals=policy.assets[deficit.asset],
        )

    @property
    def subject(self) -> str:
        """The event's name in a report."""
        return f"event {self.deficit.event}"

    def money(self, units: int) -> str:
        """Base units, which may be negative, as text such as `1.25000000 BTC`."""
        sign = "-" if units < 0 else ""
        return f"{sign}{format_amount(abs(units), self.decimals)} {self.asset}"

    def run(self) -> tuple[Run, ...]:
        """The statements of the event that are in the log, in its order."""
        found = (self.deficit, self.adl, self.draw, self.loss, self.applied)
        return tuple(sorted((s for s in found if s is not None), key=lambda s: s.seq))

    def snapshots(self) -> tuple[Snapshot, ...]:
        """The reference, then every earlier snapshot of the day before it was confirmed."""
        since = self.deficit.confirmed - DAY_MS
        newest = self.needed_reference()
        found = (s for s in self.log.of(Snapshot) if s.asset == self.asset)
        earlier = (s for s in found if s.seq < newest.seq and s.time >= since)
        return (newest, *sorted(earlier, key=lambda s: -s.seq))

    def chain(self) -> tuple[AssetStatement, ...]:
        """The asset's statements from the earliest of `snapshots` to the loss. Raises Missing."""
        first, last = self.snapshots()[-1].seq, self.needed_loss().seq
        found = (s for s in self.log.of(AssetStatement) if s.asset == self.asset)
        return tuple(s for s in found if first <= s.seq <= last)

    def needed_reference(self) -> Snapshot:
        """The reference. Raises Missing."""
        return _needed(self.reference, f"a snapshot of {self.asset} before {self.subject}")

    def needed_adl(self) -> Adl:
        """The stage of deleveraging. Raises Missing."""
        return _needed(self.adl, f"the adl statement of {self.subject}")

    def needed_loss(self) -> Loss:
        """The loss. Raises Missing."""
        return _needed(self.loss, f"the loss statement of {self.subject}")

    def needed_applied(self) -> Applied:
        """The statement that applied the loss. Raises Missing."""
        return _needed(self.applied, f"the applied statement of {self.subject}")

    def table(self, key: str, what: str) -> Path:
        """The file that the event's file names under `key`. Raises Missing: `what` it holds."""
        path: Path | None = None if self.inputs is None else getattr(self.inputs, key)
        if path is not None and not path.exists():
            raise Missing(f"{key} ({path.name}, which the event's file names, is not there)")
        return _needed(path, f"{key} ({what}; {key} = ... in the event's file)")

    def book(self) -> MarginBook:
        """The margin book of the event's asset, read once. Raises Missing or InputError."""
        if "book" not in self.kept:
            path = self.table("positions", "a positions.toml")
            file = PositionsFile.read(path)
            self.kept["book"] = file.load(self.asset, self.policy.assets)
        book: MarginBook = self.kept["book"]
        return book

    def equity(self) -> Equity:
        """The margin book at the marks that the deficit states. Raises Missing or InputError."""
        if "equity" not in self.kept:
            marks = {mark.contract: Fraction(mark.mark) for mark in self.deficit.marks}
            self.kept["equity"] = Equity.at(self.book(), marks)
        equity: Equity = self.kept["equity"]
        return equity


def _needed(value: T | None, name: str) -> T:
    if value is None:
        raise Missing(name)
    return value


def _reference(log: Log, deficit: Deficit) -> Snapshot | None:
    found = None
    for snapshot in log.of(Snapshot):
        same = snapshot.asset == deficit.asset and snapshot.seq < deficit.seq
        if same and snapshot.time <= deficit.confirmed:
            found = snapshot
    return found


def _stage(log: Log, deficit: Deficit, kind: type[R]) -> R | None:
    """The event's first statement of a kind; a recovery's effect is not the loss's.

    It need not stand right behind the last: that the run is unbroken is for
    the procedures to find.
    """
    for link in log.of(Run):
        if (link.asset, link.event) != (deficit.asset, deficit.event) or link.seq <= deficit.seq:
            continue
        if isinstance(link, Recovery):
            return None
        if isinstance(link, kind):
            return link
    return None
