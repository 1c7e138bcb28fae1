"""An exchange's evening, from positions to a recovery, with all the files that come of it.

    world = World(tmp_path)
    world.venue.lie("draw", drawn="0", after="2700")        # a lie, or none
    world.tell()
    catchers(world)                                         # {"verify", "LOG", "C2"}

What happened is in `world_numbers.py`. The statements are the simulator's of
`venue.py`, which signs whatever it is told; what is handed over beside them is
written from the same tables, so that a lie told in these is told everywhere.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from hashlib import sha256
from itertools import product
from pathlib import Path
from typing import Any

import world_files
from margin_files import MarginFiles
from reference import PADDING, Balances, Ledger, salt
from venue import Venue
from venue_runs import Run
from world_files import EVENT
from world_numbers import (
    ASSETS,
    CONFIRMED,
    CRASH,
    DAY,
    FILLS,
    HOUR,
    JOURNAL,
    LEAVES,
    MEDIANS,
    RANK,
    REFERENCE,
    SPOT,
    THEN,
    Entry,
    Numbers,
    marks,
    tables,
)


class SaltedVenue(Venue):
    """The simulator, with the secret of each of its ledgers.

    For lies, by the seq of a statement and a book: `salting` has the secret to
    use instead, or None for salts that follow from the account alone; the
    leaves of those in `unsorted` are not in the order of their salts.
    """

    def __init__(self, assets: Mapping[str, int], **options: Any) -> None:
        self.salting: dict[tuple[int, str], bytes | None] = {}
        self.unsorted: set[tuple[int, str]] = set()
        super().__init__(assets, **options)

    def drawn(self, seq: int, book: str) -> bytes:
        """The secret that the simulator draws."""
        return sha256(f"test secret {self.seed} {seq} {book}".encode()).digest()

    def secret(self, seq: int, book: str) -> bytes:
        """The secret that is handed over."""
        return self.salting.get((seq, book)) or self.drawn(seq, book)

    def ledger(self, kind: str, book: str, balances: Balances) -> Ledger:
        made, place = super().ledger(kind, book, balances), (len(self.said), book)
        if place in self.unsorted:
            return Ledger(book, made.leaves[::-1])
        if place not in self.salting:
            return made
        old, new = self.drawn(*place), self.salting[place] or b""
        chunks = product([*made.balances(), PADDING], range(16))
        known = {salt(old, *chunk): salt(new, *chunk) for chunk in chunks}
        leaves = [replace(leaf, salt=known[leaf.salt]) for leaf in made.leaves]
        return Ledger(book, tuple(sorted(leaves, key=lambda leaf: leaf.salt)))


@dataclass
class World:
    """The evening: change what it is told from, `tell` it once, and look at its files."""

    folder: Path
    tables: MarginFiles = field(default_factory=tables)
    then: dict[str, int] = field(default_factory=lambda: dict(THEN))
    """Balances at the reference, as signed."""
    yesterday: dict[str, int] = field(default_factory=dict)
    """Those at the snapshot before it that do not follow from the journal."""
    spot: dict[str, int] = field(default_factory=lambda: dict(SPOT))
    journal: list[Entry] = field(default_factory=lambda: list(JOURNAL))
    unexplained: set[str] = field(default_factory=set)
    """Accounts of which no entry says what trading won or lost."""
    fills: list[Sequence[str]] = field(default_factory=lambda: list(FILLS))
    medians: dict[str, str] = field(default_factory=lambda: dict(MEDIANS))
    surplus: int = 1000
    """What liquidations left over and the fund is credited with."""
    custody: int | None = None
    """What the margin book holds, if that is not what the tables come to."""
    own_books: dict[str, dict[str, int]] = field(default_factory=dict)
    """Books in the venue's own tables at the reference that are not as signed."""
    handed: dict[tuple[int, str], list[tuple[str, int]]] = field(default_factory=dict)
    """Rows of ledgers that are handed over instead of the true ones."""
    shown: dict[str, int] = field(default_factory=dict)
    """The last seq of an asset's chain that customers' files show, if not all."""
    remembered: str = ""
    """The checkpoint that a customer saw in the morning, if not this venue's."""
    seqs: dict[str, int] = field(default_factory=dict)
    """Where in the log every step of the story ended."""

    def __post_init__(self) -> None:
        self.venue = SaltedVenue(
            ASSETS,
            splits=LEAVES,
            pools={"ALT": ("USD", 0), "BTC": ("BTC", 0), "USD": ("USD", 500)},
            adl_rank=RANK,
            fund_interval_ms=24 * HOUR,
        )
        self.story: dict[str, Callable[[], object]] = {
            "yesterday": self._yesterday,
            "fees": lambda: self.venue.fund(
                USD=[("liquidation_fee", 1000)], ALT=[("liquidation_fee", 4000)]
            ),
            "reference": self._reference,
            "surplus": lambda: self.venue.fund(USD=[("liquidation_surplus", self.surplus)]),
            "injection": lambda: self.venue.fund(USD=[("operator_injection", 700)]),
            "deficit": self._deficit,
            "adl": self._adl,
            "draw": lambda: self.run.draw(),
            "loss": self._loss,
            "applied": lambda: self.run.applied(),
            "booking": lambda: self.venue.fund(),
            "morning": lambda: self.venue.publish(),
            "recovery": lambda: self.venue.recovery(self.run, 1000),
            "snapshot": lambda: self.venue.snapshot("USD"),
            "evening": lambda: self.venue.publish(),
        }
        self.public, self.handover = self.folder / "public", self.folder / "handover"
        self.event, self.books = self.folder / "event.toml", self.folder / "books.toml"
        self.reckoned = 0

    def tell(self) -> "World":
        """The whole evening, and its files."""
        assert self.numbers
        for step, do in self.story.items():
            do()
            self.seqs[step] = len(self.venue.said) - 1
        world_files.write(self)
        return self

    def reckon(self) -> Numbers:
        """What the tables come to as they are now."""
        self.reckoned += 1
        path = self.tables.write(self.folder / f"margin-{self.reckoned}")
        return Numbers.of(path, self.medians)

    @cached_property
    def numbers(self) -> Numbers:
        """What is signed. Once it was asked for, changes of the tables are not told any more."""
        return self.reckon()

    def before(self, step: str, do: Callable[[], object]) -> None:
        """Do something right before a step of the story."""
        then = self.story[step]
        self.story[step] = lambda: (do(), then())

    def after(self, step: str, do: Callable[[], object]) -> None:
        """Do something right after a step of the story."""
        first = self.story[step]
        self.story[step] = lambda: (first(), do())

    def shift(self, step: str, kind: str, **change: int) -> None:
        """At that step, add to what accounts have in the ledger of the next statement of `kind`."""

        def edit(held: dict[str, int]) -> dict[str, int]:
            return {name: held.get(name, 0) + change.get(name, 0) for name in held | change}

        self.before(step, lambda: self.venue.lie(kind, balances=edit))

    def wallet(self, **amounts: str | None) -> None:
        """Change wallets of the tables; None takes an account out of them."""
        wallets = {**self.tables.wallets, **amounts}
        self.tables.wallets = {name: x for name, x in wallets.items() if x is not None}

    def lose_first(self, **short: int) -> None:
        """Another loss, `crash-0`, an hour into the day; the journal says how they came to it."""
        for name, units in short.items():
            had = self.yesterday[name] = self.then.get(name, 0)
            self.journal.append(Entry(name, -had - units, "trading", DAY))

        def lose() -> None:
            self.venue.now = DAY + HOUR
            margin = {name: units for name, units in self.then.items() if name not in short}
            self.venue.books["USD"]["margin"] = margin | {"anna": margin["anna"] - 300}
            self.venue.event("USD", short, {"anna": 300}, event="crash-0", pool="USD")
            left = self.venue.books["USD"]["margin"]
            self.then = {name: units for name, units in left.items() if units}

        self.before("reference", lose)

    # The story.

    def _yesterday(self) -> None:
        self.venue.snapshot("BTC", {"margin": {"carl": 12, "gone": 5}})
        margin = dict(self.then)
        for entry in self.journal:
            if (entry.time, entry.book) == (DAY, "margin"):
                margin[entry.account] = margin.get(entry.account, 0) - entry.units
        self.venue.snapshot("USD", {"margin": margin | self.yesterday, "spot": self.spot})

    def _reference(self) -> None:
        self.venue.now = REFERENCE
        self.venue.snapshot("USD", {"margin": self.then, "spot": self.spot})

    def _deficit(self) -> None:
        self.venue.now = CRASH
        self.run: Run = self.venue.deficit(
            "USD",
            self.numbers.deficits,
            event=EVENT,
            pool="USD",
            marks=marks(self.medians),
            confirmed=CONFIRMED,
        )

    def _adl(self) -> None:
        said = self.run.link(
            "adl",
            rank=RANK,
            candidates=self.numbers.candidates,
            exhausted=self.numbers.exhausted,
            ledger=self.venue.ledger("adl", "adl", self.numbers.adl),
        )
        self.run.rest = max(0, self.run.rest - int(said["ledger"]["total"]))

    def _loss(self) -> None:
        self.venue.books["USD"]["margin"] = self.numbers.before
        self.run.loss()

    # What customers have.

    @property
    def customers(self) -> list[str]:
        """Everybody who ever had an account."""
        return sorted({*THEN, *self.then, *(entry.account for entry in self.journal)})

    @cached_property
    def common(self) -> dict[str, Any]:
        """What is the same in all of their files."""
        return world_files.common(self)

    def file(self, account: str) -> bytes:
        """The proof file of one of them."""
        return world_files.proof(self, account)

    @property
    def morning(self) -> str:
        """The checkpoint that one of them remembers."""
        return self.remembered or self.venue.checkpoint(self.venue.heads[0])
