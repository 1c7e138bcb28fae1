"""The ledgers of one book along an asset's chain, each as of its own moment: E1's way."""

from collections.abc import Iterator
from dataclasses import dataclass

from auditkit.audit.case import Case
from auditkit.verify.statements import Adl, Applied, AssetStatement, Deficit, Loss, Run, Snapshot


@dataclass(frozen=True, slots=True)
class Station:
    """A statement that has a ledger of the book, or a snapshot that says there is none.

    Entries up to `end` are in it, entries after `late` are not; of those in
    between nobody can say. `deficit` and `adl` are those of a loss's own run.
    """

    statement: AssetStatement
    end: int
    late: int
    deficit: Deficit | None = None
    adl: Adl | None = None

    @property
    def name(self) -> str:
        """What it is called in a report, such as `loss 8`."""
        return f"{self.statement.kind} {self.statement.seq}"


def stations(case: Case, book: str) -> list[Station]:
    """From the first snapshot that the event is held against to the event's own loss.

    In the order of their moments: a snapshot may be of a time before that of
    one logged earlier. Raises Missing without a reference or a loss.
    """
    *found, last = _along(case, book)
    return [*sorted(found, key=lambda station: station.end), last]


def _along(case: Case, book: str) -> Iterator[Station]:
    deficits: dict[str, Deficit] = {}
    adls: dict[str, Adl] = {}
    end = 0
    for link in case.chain():
        if isinstance(link, Deficit):
            deficits.setdefault(link.event, link)
        elif isinstance(link, Adl):
            adls.setdefault(link.event, link)
        elif isinstance(link, Snapshot):
            end = link.as_of
            yield Station(link, end, end)
        elif isinstance(link, Run) and book in link.ledgers_shown():
            deficit, adl = deficits.get(link.event), adls.get(link.event)
            if isinstance(link, Loss):
                end = link.time if deficit is None else deficit.time
                yield Station(link, end, link.time, deficit, adl)
            else:
                # An effect restates the ledger before it, and is of the same moment.
                end = end if isinstance(link, Applied) else link.time
                yield Station(link, end, link.time)
