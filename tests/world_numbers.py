"""The tables of the evening that `world.py` tells, and what they come to.

Oil fell to 90 and tin to 40, in USD:

    gone    long 10 OIL from 100, wallet 50     short 50
    hugo    long 8 TIN from 50, wallet 30       short 50
    nick    sold out below his bankruptcy price short 12
    fred    5 OIL sold at 98, wallet 60         the best rank: absorbs 25
    anna    6 OIL sold at 100, wallet 100       absorbs the other 25 of gone's
    bert    5 OIL sold at 95, wallet 100        next, but nothing is left for him
    ida     3 TIN sold at 48, wallet 80         absorbs 18.75, all that hugo's end gets

Of 112 the fund pays 22, down to its floor of 5, and 21.25 are shared. Amounts
here are cents; in the tables they are USD.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import ceil
from pathlib import Path
from typing import Any, NamedTuple

from margin_files import MarginFiles, Position
from reference import Balances
from venue import START

from auditkit.margin import bankrupt
from auditkit.margin.closings import Closing
from auditkit.margin.equity import Equity
from auditkit.margin.positionsfile import PositionsFile
from auditkit.publish.adl import deleverage

ASSETS = {"BTC": 8, "USD": 2}
RANK = "pnl-times-leverage"
HOUR = 3_600_000
DAY, REFERENCE = START + HOUR, START + 20 * HOUR
EVENING, CRASH = REFERENCE + HOUR // 2, REFERENCE + HOUR
CONFIRMED = CRASH + 500
LATE = CONFIRMED + 200

CONTRACTS = (
    "OIL,linear,1,USD,0.05,USD",
    "TIN,linear,1,USD,0.05,USD",
    "ZINC,inverse,100,USD,0.05,ALT",
)
MARKS: Mapping[str, Mapping[str, str]] = {
    "OIL": {"a": "89", "b": "91"},
    "TIN": {"a": "40"},
    "ZINC": {"a": "1.9"},
}
MEDIANS = {"OIL": "90", "TIN": "40", "ZINC": "1.9"}
POSITIONS: Sequence[Position] = (
    ("gone", "OIL", "long", "10", "100"),
    ("lars", "OIL", "long", "7", "80"),
    ("anna", "OIL", "short", "6", "100"),
    ("fred", "OIL", "short", "5", "98"),
    ("bert", "OIL", "short", "5", "95"),
    ("dora", "OIL", "short", "1", "80"),
    ("hugo", "TIN", "long", "8", "50"),
    ("ida", "TIN", "short", "3", "48"),
    ("kurt", "TIN", "short", "5", "35"),
    ("pia", "ZINC", "long", "3", "2"),
    ("sara", "ZINC", "short", "3", "2"),
)
# Account, cents in the margin book at the day's snapshot, USD in the wallet at the crash.
_ACCOUNTS = """\
anna  13000  100
bert  11000  100
carl  30000  300
dora   9500  100
erin   5555  55.55
fred   9000  60
gone   6000  50
hugo   6000  30
ida    9000  80
kurt   9000  100
lars   9000  30
nick   1500  -12
pia    7500  20
sara   5000  40
wade   4000  0
walt   9000  60
"""
THEN = {name: int(cents) for name, cents, _ in map(str.split, _ACCOUNTS.splitlines())}
WALLETS = {name: usd for name, _, usd in map(str.split, _ACCOUNTS.splitlines())}
PLEDGED = {"pia": "50"}
LEAVES = {"carl": 3}
FILLS: Sequence[Sequence[str]] = (
    ("sara", "OIL", "long", "2", "100", "30", "90"),
    ("nick", "OIL", "long", "4", "100", "20", "92"),
)
SPOT: Balances = {"carl": 7000, "pia": 450}


class Entry(NamedTuple):
    """One of the accounts' own journal entries."""

    account: str
    units: int
    kind: str
    time: int
    book: str = "margin"


JOURNAL = (
    Entry("gus", -2000, "withdrawal", DAY),
    Entry("erin", 555, "deposit", DAY),
    Entry("walt", -3000, "withdrawal", EVENING),
    Entry("wade", -4000, "withdrawal", EVENING),
)


def tables() -> MarginFiles:
    """The margin book, to be changed at will."""
    return MarginFiles(
        dict(WALLETS), list(POSITIONS), CONTRACTS, MARKS, dict(PLEDGED), dict(LEAVES), "USD"
    )


def marks(medians: Mapping[str, str]) -> list[dict[str, Any]]:
    """The marks as the deficit states them."""
    return [
        {
            "contract": contract,
            "mark": medians[contract],
            "sources": [{"name": name, "price": price} for name, price in sources.items()],
        }
        for contract, sources in MARKS.items()
    ]


@dataclass
class Numbers:
    """What the tables of `positions` come to. A lie may change any of it before it is signed.

    `units` are equities, `closings` and what follows are the deleveraging's, and
    `custody` is what the margin book must hold.
    """

    positions: Path
    units: dict[str, int]
    deficits: dict[str, int]
    closings: list[Closing]
    candidates: int
    exhausted: bool
    custody: int

    @classmethod
    def of(cls, positions: Path, medians: Mapping[str, str]) -> "Numbers":
        """The honest numbers of a positions.toml at these marks."""
        book = PositionsFile.read(positions).load("USD", ASSETS)
        equity = Equity.at(book, {name: Fraction(mark) for name, mark in medians.items()})
        names = [name.decode() for name in book.accounts.to_pylist()]
        deficits = dict(bankrupt.deficits(equity, "USD").rows())
        done = deleverage(equity, "USD", RANK, sum(deficits.values()))
        return cls(
            positions=positions,
            units=dict(zip(names, map(int, equity.units), strict=True)),
            deficits=deficits,
            closings=list(done.closings),
            candidates=done.candidates,
            exhausted=done.exhausted,
            custody=ceil(sum(map(equity.exact, range(len(names))), Fraction(0))),
        )

    @property
    def adl(self) -> dict[str, int]:
        """What each deleveraged account absorbed, by the list."""
        found: dict[str, int] = {}
        for closing in self.closings:
            found[closing.account] = found.get(closing.account, 0) + closing.absorbed
        return found

    @property
    def before(self) -> dict[str, int]:
        """All that share the loss."""
        left = {name: units - self.adl.get(name, 0) for name, units in self.units.items()}
        return {name: units for name, units in left.items() if units > 0}
