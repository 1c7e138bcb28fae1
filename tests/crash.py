"""An exchange that published a loss, and what its auditor is given.

    snapshot    margin  anna 500, bert 300, carl 200 + 100, dora 400, gus 50; spot  anna 70
    crash-1     gone is short 90, dora absorbs 10, nobody funds the rest: 80 are shared
    before      anna 450, bert 300, carl 200 + 100, dora 390

anna took out 50 and gus 50, and gone lost 90 that it never had, so their entries say;
amounts are base units of BTC.
"""

import csv
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from shutil import copytree
from typing import NamedTuple

from exchange import Exchange, natural

from auditkit.audit.case import Case
from auditkit.audit.handover import Handover
from auditkit.log.published import Log
from auditkit.margin.eventfile import EventFile
from auditkit.verify.elements import TIME
from auditkit.verify.note import VerifierKey

SNAPSHOT: Mapping[str, Mapping[str, int | Sequence[int]]] = {
    "margin": {"anna": 500, "bert": 300, "carl": [200, 100], "dora": 400, "gus": 50},
    "spot": {"anna": 70},
}
BEFORE: Mapping[str, int | Sequence[int]] = {
    "anna": 450,
    "bert": 300,
    "carl": [200, 100],
    "dora": 390,
}
EVENT = "crash-1"

Rows = Sequence[tuple[str, object]]
"""Account and base units of a ledger's rows."""


class Entry(NamedTuple):
    """One of an account's own; without a time it is 100 ms after the reference was taken."""

    account: str
    units: int
    book: str = "margin"
    time: int | None = None
    kind: str = "withdrawal"


RUINED = Entry("gone", -90, kind="trading")
ENTRIES = (Entry("anna", -50), Entry("gus", -50), RUINED)


class Crash:
    """The exchange, its snapshot and its loss; what is not given is as above."""

    def __init__(self, folder: Path) -> None:
        self.exchange = Exchange(folder)
        self.event, self.handed = Path(), 0

    def copy(self, folder: Path) -> "Crash":
        """The same exchange in another folder."""
        copytree(self.exchange.root.parent, folder)
        found = Crash.__new__(Crash)
        found.exchange = Exchange.at(folder)
        found.event, found.handed = found.exchange.books / self.event.name, self.handed
        return found

    @property
    def log(self) -> Log:
        """The published log, read under the exchange's key."""
        return Log.read(self.exchange.root / "public", VerifierKey.parse(self.exchange.vkey))

    @property
    def handover(self) -> Handover:
        """All that the exchange keeps."""
        return Handover.of_venue(self.exchange.root)

    def snapshot(self, **books: Mapping[str, int | Sequence[int]]) -> int:
        """Publish a snapshot; its seq."""
        [found] = self.exchange.snapshot({"BTC": {**SNAPSHOT, **books}})
        return found.seq

    def loss(self, before: Mapping[str, int | Sequence[int]] = BEFORE, **details: object) -> None:
        """Publish the run of a loss."""
        given = {"deficits": {"gone": 90}, "adl": {"dora": 10}, **details}
        self.event = self.exchange.event_file(EVENT, "BTC", equities=before, **given)  # type: ignore[arg-type]
        self.exchange.loss(self.event)

    def entries(self, *rows: Entry, name: str = "entries.csv") -> Path:
        """A table of the accounts' entries."""
        at = self.case(inputs=False).needed_reference().as_of + 100
        path = self.exchange.books / name
        with path.open("w", newline="") as file:
            table = csv.writer(file)
            table.writerow(("account", "book", "amount", "kind", "time"))
            for row in rows:
                amount = ("-" if row.units < 0 else "") + natural(abs(row.units), 8)
                time = TIME.write(at if row.time is None else row.time)
                table.writerow((row.account, row.book, amount, row.kind, time))
        return path

    def case(
        self,
        handover: Handover | None = None,
        entries: Path | None = None,
        *,
        inputs: bool = True,
        lists: bool = False,
    ) -> Case:
        """The event as an auditor finds it; the lists it was published from only if asked for."""
        given = None
        if inputs:
            read = EventFile.read(self.event)
            given = replace(read, entries=entries, lists=read.lists if lists else None)
        return Case.find(self.log, EVENT, handover or self.handover, given)

    def rows(self, seq: int, book: str) -> Rows:
        """The rows of a ledger as they are handed over."""
        return [row for piece in self.handover.rows(seq, book) for row in piece.rows()]

    def hand(self, changed: Mapping[str, Rows | None] | None = None) -> Path:
        """A folder of CSV files such as is handed over; of it what `changed` says.

        `changed` has other rows by a ledger's name, such as `5-margin`, or
        None for a ledger that is left out.
        """
        self.handed += 1
        folder = self.exchange.books / f"handed-{self.handed}"
        for place in ("ledgers", "secrets"):
            (folder / place).mkdir(parents=True)
        for secret in (self.exchange.root / "secrets").iterdir():
            (folder / "secrets" / secret.name).write_text(secret.read_text() + "\n")
            seq, book = secret.name.split("-", 1)
            rows = self.rows(int(seq), book)
            given = (changed or {}).get(secret.name, rows)
            if given is not None:
                with (folder / f"ledgers/{secret.name}.csv").open("w", newline="") as file:
                    csv.writer(file).writerows([("account", "amount"), *given])
        return folder
