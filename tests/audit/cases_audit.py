"""Margin books for the tests of the audit: made up in memory, and one on disk with its event.

    gone   10 long from 100, wallet  50     equity -50
    anna    6 short from 100, wallet 100    equity 160, absorbs 30
    bert    3 short from 95, wallet 100     equity 115, absorbs 15
    carl    nothing open, wallet 300        equity 300
    dora    1 short from 80, wallet 100     equity 90, no candidate

All in OIL, a linear contract settled in USD, at a mark of 90. Gone's 10 are
bankrupt at 95; of its 50, deleveraging leaves 5, of which the fund pays 2.
"""

import csv
from collections.abc import Mapping, Sequence
from dataclasses import replace
from fractions import Fraction
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from exchange import Exchange
from hypothesis import strategies as st
from margin_files import MarginFiles
from venue import Venue

from auditkit.audit.case import Case
from auditkit.audit.handover import Handover
from auditkit.log.published import Log
from auditkit.margin import closings as lists
from auditkit.margin.book import SCALE, MarginBook
from auditkit.margin.closings import Closing
from auditkit.margin.contracts import Contract
from auditkit.margin.equity import Equity
from auditkit.margin.eventfile import EventFile
from auditkit.publish import event as events
from auditkit.verify.note import Checkpoint, VerifierKey

NAMES = ("OIL", "TIN", "ZINC")
LINEAR = Contract("OIL", False, "USD", Fraction(100), Fraction("0.05"), None)

Position = tuple[int, int, int, int, int]
"""Account, contract, side, size and entry: rows, and units of 1 / SCALE."""


def margin_book(
    wallets: Sequence[int],
    positions: Sequence[Position],
    contracts: Sequence[Contract] = (LINEAR,),
) -> MarginBook:
    """A book of the accounts a, b, c ... whose wallets are given, in base units."""
    rows = sorted(positions, key=lambda row: (row[0], row[1], -row[2]))
    owner, contract, side = (np.array([r[i] for r in rows], np.int64) for i in range(3))
    size, entry = (np.array([*(r[i] for r in rows), None], np.object_)[:-1] for i in (3, 4))
    return MarginBook(
        asset="USD",
        decimals=2,
        contracts=tuple(contracts),
        accounts=pa.array([bytes([97 + i]) for i in range(len(wallets))], pa.binary()),
        wallet=np.array([*wallets, None], np.object_)[:-1],
        leaves=np.ones(len(wallets), np.int64),
        owner=owner,
        contract=contract,
        side=side,
        size=size,
        entry=entry,
    )


FILES = MarginFiles(
    wallets={"anna": "100", "bert": "100", "carl": "300", "dora": "100", "gone": "50"},
    positions=[
        ("gone", "OIL", "long", "10", "100"),
        ("anna", "OIL", "short", "6", "100"),
        ("bert", "OIL", "short", "3", "95"),
        ("dora", "OIL", "short", "1", "80"),
    ],
    contracts=("OIL,linear,1,USD,0.05",),
    marks={"OIL": {"a": "90"}},
    asset="USD",
)
DEFICITS = {"gone": 5000}
ADL = {"anna": 3000, "bert": 1500}
BEFORE = {"anna": 13000, "bert": 10000, "carl": 30000, "dora": 9000}
ASSETS = "615"
EVENT = "crash-1"


def closing(account: str, size: int, absorbed: int, **changes: Any) -> Closing:
    """A closing against gone: a whole size, absorbed in whole USD."""
    found = Closing("gone", "OIL", 1, account, size * SCALE, "95", absorbed * 100)
    return replace(found, **changes)


CLOSINGS = (closing("anna", 6, 30), closing("bert", 3, 15))


class Desk:
    """An exchange with that margin book; every number of a told loss may be another one."""

    def __init__(
        self,
        folder: Path,
        files: MarginFiles = FILES,
        *,
        fund: int = 200,
        held: Mapping[str, int] | None = None,
        **rules: Any,
    ) -> None:
        """The snapshot has what is `held`, and the fund's pool `fund`."""
        self.files, self.rules, self.event = files, rules, Path()
        self.exchange = Exchange(folder, {"USD": 2}, **rules)
        self.exchange.snapshot({"USD": {"margin": held or {"anna": 10000, "carl": 30000}}})
        if fund:
            self.exchange.fund(None, USD=[("liquidation_fee", fund)])

    def publish(self) -> "Desk":
        """The loss as the reference engine finds it, and the fund's entry after it."""
        self.event = self.files.event(self.exchange, EVENT, "USD")
        given = [EventFile.read(self.event)]
        self.exchange.publish(lambda draft: events.publish(draft, given))
        self.exchange.fund()
        return self

    def tell(
        self,
        deficits: Mapping[str, int] = DEFICITS,
        before: Mapping[str, int] = BEFORE,
        adl: Mapping[str, int] | None = None,
        **says: object,
    ) -> "Desk":
        """A loss of these numbers, whatever the positions say."""
        self.event = self.files.event(self.exchange, EVENT, "USD")
        marks = [{"contract": name, "sources": s} for name, s in self.files.marks.items()]
        stage = {"adl_candidates": 2} if "adl" in self.rules.get("waterfall", ["adl"]) else {}
        told = {"mark": marks, **stage, **says}
        absorbed = ADL if adl is None else adl
        self.exchange.loss(EVENT, "USD", deficits, before, adl=absorbed, says=told)
        self.exchange.fund()
        return self

    @property
    def log(self) -> Log:
        return Log.read(self.exchange.root / "public", VerifierKey.parse(self.exchange.vkey))

    def case(self, handover: Handover | None = None, **inputs: object) -> Case:
        """The event as an auditor finds it; `inputs` are other keys of its file."""
        handed = handover or Handover.of_venue(self.exchange.root)
        return Case.find(self.log, EVENT, handed, self.inputs(**inputs))

    def inputs(self, **changes: Any) -> EventFile:
        """The event's file, by default with the assets of the margin book."""
        return replace(EventFile.read(self.event), **{"assets": ASSETS, **changes})

    def listed(self, closings: Sequence[Closing] = CLOSINGS) -> Path:
        """A list of closings."""
        path = self.exchange.books / f"{len(closings)}-closings.csv"
        path.write_bytes(lists.write(closings, 2))
        return path

    def fills(self, *rows: Sequence[object]) -> Path:
        """A table of liquidations: account, contract, side, size, entry, margin, price."""
        path = self.exchange.books / "fills.csv"
        with path.open("w", newline="") as file:
            header = ("account", "contract", "side", "size", "entry", "margin", "price")
            csv.writer(file).writerows([header, *rows])
        return path


def log_of(venue: Venue) -> Log:
    """The log that the simulator published, or published now."""
    note = venue.publish() if not venue.heads else venue.checkpoint(venue.heads[-1])
    entries = venue.entries[: venue.heads[-1]]
    return Log(VerifierKey.parse(venue.vkey), Checkpoint.parse(note), entries)


def told(venue: Venue, inputs: EventFile | None = None) -> Case:
    """The event as the simulator's log tells it, with nothing handed over."""
    return Case.find(log_of(venue), EVENT, Handover.none(), inputs)


TIN = Contract("TIN", True, "USD", Fraction(10_000), Fraction("0.02"), "P")
_HALF = SCALE // 2
CROWD = Equity.at(
    margin_book(
        [10_000, 10_000, 500, 10_000, 30_000, 1_000],
        [
            (0, 0, -1, 4 * SCALE, 100 * SCALE),
            (0, 1, -1, 30 * SCALE, 5 * _HALF),
            (1, 0, -1, 3 * SCALE, 98 * SCALE),
            (1, 1, -1, 50 * SCALE, 5 * _HALF - 1),
            (2, 0, -1, 11 * _HALF, 95 * SCALE),
            (3, 1, -1, 40 * SCALE, 3 * SCALE),
            (4, 0, 1, 6 * SCALE, 100 * SCALE),
            (4, 1, 1, 60 * SCALE, 5 * _HALF),
            (5, 0, 1, 5 * SCALE, 97 * SCALE),
        ],
        (LINEAR, TIN),
    ),
    {"OIL": Fraction(90), "TIN": Fraction(2)},
)
"""Two bankrupt accounts, three bankrupt positions, and more closings than those."""


@st.composite
def equities(draw: st.DrawFn) -> Equity:
    """Small books at their marks, in which accounts go bankrupt and others have won.

    The grain of the sizes goes down to the least there is, where a base unit
    is worth more than it.
    """
    contracts, marks, grains = [], [], []
    for name in NAMES[: draw(st.sampled_from([1, 1, 2, 3]))]:
        grain = draw(st.sampled_from([1, 7, 10**16 + 3, 10**18]))
        inverse, pool = draw(st.booleans()), draw(st.sampled_from([None, "P"]))
        worth = draw(st.sampled_from([Fraction(1), Fraction(1, 3), Fraction(9)]))
        worth *= 100 if inverse else 1
        unit, share = Fraction(SCALE, grain) * worth, Fraction(1, draw(st.integers(2, 9)))
        contracts.append(Contract(name, inverse, "USD", unit, share, pool))
        marks.append(draw(st.integers(1, 20)))
        grains.append(grain)
    wallets = draw(st.lists(st.integers(-20, 40), min_size=3, max_size=8))
    places = list(product(range(len(wallets)), range(len(contracts)), (1, -1)))
    chosen = draw(st.lists(st.sampled_from(places), min_size=4, max_size=14, unique=True))
    positions = [
        (account, contract, side, draw(st.integers(1, 12)) * grains[contract], entry * SCALE // 2)
        for account, contract, side in chosen
        # Above the mark as a rule: most longs have lost, and most shorts have won.
        for entry in [max(1, marks[contract] + draw(st.integers(-3, 12)))]
    ]
    at = {name: Fraction(mark, 2) for name, mark in zip(NAMES, marks, strict=False)}
    return Equity.at(margin_book(wallets, positions, contracts), at)
