"""Somebody's list of closings, replayed row by row on a margin book (SPEC.md §6).

Nothing is closed here by a rule of ours: at every row the margin book says
which closing is the next one, and the row is held against that. What the list
says was closed is gone then, whatever it should have been.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from itertools import groupby

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from auditkit.audit.findings import MAX_ROWS
from auditkit.margin.bankrupt import BankruptPosition, bankrupt_positions
from auditkit.margin.book import MarginBook
from auditkit.margin.closings import Closing
from auditkit.margin.contracts import PLACES, SIDES, decimal_text, price_text
from auditkit.margin.equity import Equity
from auditkit.margin.ranking import queue
from auditkit.money import format_amount

Row = dict[str, str]
_SIDES = {side: word for word, side in SIDES.items()}


@dataclass(slots=True)
class _Queue:
    """The candidates of one side of a contract, best first; those before `first` were asked."""

    rows: list[int]
    first: int = 0
    _ranks: dict[int, int] = field(default_factory=dict)

    def rank(self, row: int) -> int | None:
        """Where a row stands, from 1 on; None if it is no candidate."""
        if not self._ranks:
            self._ranks = {candidate: place for place, candidate in enumerate(self.rows, 1)}
        return self._ranks.get(row)


@dataclass(slots=True)
class _Turn:
    """A bankrupt position, and how far it is closed."""

    position: BankruptPosition
    queue: _Queue
    closed: int = 0

    @property
    def left(self) -> int:
        """The size that is still to be closed; 0 of a position that is passed over."""
        due = self.position.price is not None and self.position.short > 0
        return self.position.size - self.closed if due else 0

    def absorbed(self, size: int) -> int:
        """What closing that size next absorbs, in base units."""
        whole, short = self.position.size, self.position.short
        return (self.closed + size) * short // whole - self.closed * short // whole

    def reaching(self, units: int) -> int:
        """The least size that absorbs so many base units."""
        whole, short = self.position.size, self.position.short
        goal = self.closed * short // whole + units
        return (goal * whole + short - 1) // short - self.closed


@dataclass(slots=True)
class Replay:
    """A list of closings against a margin book; amounts are base units.

    `rest` is what is left of the deficit, `candidates` how many accounts could
    be deleveraged, `problems` are the first of the `failing` ones.
    """

    equity: Equity
    rest: int
    turns: list[_Turn]
    candidates: int
    problems: list[Row] = field(default_factory=list)
    failing: int = 0
    _current: int = 0
    _sizes: dict[int, int] = field(default_factory=dict)
    _means: dict[int, int] = field(default_factory=dict)

    @classmethod
    def of(cls, equity: Equity, pool: str, rank: str, rest: int) -> "Replay":
        """Before the first row. Raises InputError as `bankrupt_positions` does."""
        positions = bankrupt_positions(equity, pool)
        sides = {(position.contract, -position.side) for position in positions}
        queues = {side: queue(equity, *side, rank) for side in sides}
        ready = {side: _Queue(rows.tolist()) for side, rows in queues.items()}
        turns = [_Turn(found, ready[found.contract, -found.side]) for found in positions]
        rows = np.concatenate([np.empty(0, np.int64), *queues.values()])
        return cls(equity, rest, turns, len(np.unique(equity.book.owner[rows])))

    def follow(self, closings: Sequence[Closing]) -> None:
        """Replay the whole list. Rows that close the same position further count as one."""
        bankrupt = [turn.position for turn in self.turns]
        places = {(x.account, x.contract, x.side): place for place, x in enumerate(bankrupt)}
        rows = _rows_of(self.equity.book, closings)
        for _, parts in groupby(zip(closings, rows, range(1, len(rows) + 1), strict=True), _same):
            (closing, row, number), *more = parts
            place = places.get((closing.bankrupt, closing.contract, closing.side))
            for part, _, later in ((closing, row, number), *more):
                self._check_price(later, part, place)
            if more:
                size = closing.size + sum(part.size for part, _, _ in more)
                absorbed = closing.absorbed + sum(part.absorbed for part, _, _ in more)
                closing = replace(closing, size=size, absorbed=absorbed)
            self._judge(number, closing, row, place)

    def left_open(self) -> Iterator[Row]:
        """The bankrupt positions that are not closed as far as candidates go."""
        for turn in self.turns:
            row = self._best(turn)
            if row is not None:
                size = decimal_text(min(turn.left, self._own(turn, row)), PLACES)
                yield {
                    "bankrupt": turn.position.account,
                    "position": _position(turn.position),
                    "what": "could be closed further",
                    "left": decimal_text(turn.left, PLACES),
                    "found": f"{self._named(turn, row)}, open for {size}",
                }

    def anyone_left(self) -> bool:
        """Whether a candidate, of whichever bankrupt position, has anything left to close."""
        queues = {id(turn.queue): turn.queue for turn in self.turns}.values()
        return any(all(self._left(row)) for side in queues for row in side.rows[side.first :])

    # What is next.

    def _own(self, turn: _Turn, row: int) -> int:
        """How much this one can close of a position that is short so much."""
        size, means = self._left(row)
        return max(0, min(size, means * turn.position.size // turn.position.short))

    def _left(self, row: int) -> tuple[int, int]:
        """What is open of a position, and what equity its account has left."""
        book, owner = self.equity.book, int(self.equity.book.owner[row])
        size = self._sizes.get(row, book.size[row])
        return size, self._means.get(owner, self.equity.units[owner])

    def _best(self, turn: _Turn) -> int | None:
        """The best candidate that can close anything; those that cannot are not asked again."""
        rows = turn.queue.rows
        while turn.left and turn.queue.first < len(rows):
            row = rows[turn.queue.first]
            if self._own(turn, row):
                return row
            turn.queue.first += 1
        return None

    # What the list says.

    def _judge(self, number: int, closing: Closing, row: int, place: int | None) -> None:
        if not self.rest:
            found = f"{decimal_text(closing.size, PLACES)} closed"
            self._note(number, closing, "rest", "nothing left to cover", found)
        elif place is None:
            self._note(number, closing, "bankrupt position", "one of an account below 0", "none")
            self.rest -= min(self.rest, closing.absorbed)
        else:
            self._pass_over(number, closing, place)
            turn = self.turns[place]
            self._check_rank(number, closing, turn, row)
            if row >= 0 and turn.left:
                self._close(number, closing, turn, row)
            else:
                turn.closed += min(turn.left, closing.size)
                self.rest -= min(self.rest, closing.absorbed)

    def _pass_over(self, number: int, closing: Closing, place: int) -> None:
        """Bankrupt positions are taken in order, each until no candidate is left for it."""
        if place < self._current:
            before = self.turns[self._current].position
            found = f"after {before.account}, {_position(before)}"
            self._note(number, closing, "order", "by contract, account, long before short", found)
        for turn in self.turns[self._current : place]:
            row = self._best(turn)
            if row is not None:
                named = f"{turn.position.account}, {_position(turn.position)}"
                expected = f"{named}, by {self._named(turn, row)} first"
                self._note(number, closing, "order", expected, "passed over")
        self._current = max(self._current, place)

    def _check_rank(self, number: int, closing: Closing, turn: _Turn, row: int) -> None:
        best = self._best(turn)
        if row != best:
            expected = "nobody" if best is None else self._named(turn, best)
            self._note(number, closing, "rank", expected, self._named(turn, row, closing.account))

    def _close(self, number: int, closing: Closing, turn: _Turn, row: int) -> None:
        """All that can be closed is, or just enough to reach the rest; then it is gone as told."""
        (size, means), own = self._left(row), self._own(turn, row)
        due = min(turn.left, own)
        if turn.absorbed(due) >= self.rest:
            due = turn.reaching(self.rest)
        if due and closing.size != due:
            sizes = (decimal_text(units, PLACES) for units in (due, closing.size))
            self._note(number, closing, "size", *sizes)
        taken = min(turn.left, closing.size)
        absorbed = min(self.rest, turn.absorbed(taken))
        if closing.absorbed != absorbed:
            money = (self._money(units) for units in (absorbed, closing.absorbed))
            self._note(number, closing, "absorbed", *money)
        turn.closed += taken
        # Who closed all that it could is not asked again in this contract.
        self._sizes[row] = max(0, size - closing.size) if closing.size < own else 0
        self._means[int(self.equity.book.owner[row])] = max(0, means - absorbed)
        self.rest -= absorbed

    def _check_price(self, number: int, closing: Closing, place: int | None) -> None:
        price = None if place is None else self.turns[place].position.price
        if price is not None and not agrees(closing.price, price):
            self._note(number, closing, "price", price_text(price), closing.price)

    # How it is told.

    def _note(self, number: int, closing: Closing, what: str, expected: str, found: str) -> None:
        self.failing += 1
        if self.failing <= MAX_ROWS:
            where = {"row": str(number), "bankrupt": closing.bankrupt}
            where |= {"position": _position(closing), "account": closing.account}
            self.problems.append({**where, "what": what, "expected": expected, "found": found})

    def _named(self, turn: _Turn, row: int, account: str = "") -> str:
        name = account or self.equity.book.account(int(self.equity.book.owner[row]))
        if row < 0:
            return f"{name}, no open position"
        rank = turn.queue.rank(row)
        return f"{name}, no candidate" if rank is None else f"{name}, rank {rank}"

    def _money(self, units: int) -> str:
        book = self.equity.book
        return f"{format_amount(units, book.decimals)} {book.asset}"


def replay(equity: Equity, closings: Sequence[Closing], pool: str, rank: str, rest: int) -> Replay:
    """The list against the margin book; `rest` is what it has to cover, in base units.

    Raises InputError where nobody can say whether an account is of this pool's event.
    """
    found = Replay.of(equity, pool, rank, rest)
    found.follow(closings)
    return found


def agrees(text: str, price: Fraction) -> bool:
    """Whether text says this price: exactly, or a decimal rounded to its own last digit."""
    said = Fraction(text)
    if "/" in text:
        return said == price
    digits = len(text.partition(".")[2])
    return abs(said - price) <= Fraction(1, 2 * 10**digits)


def _position(found: BankruptPosition | Closing) -> str:
    return f"{found.contract} {_SIDES[found.side]}"


def _same(part: tuple[Closing, int, int]) -> tuple[str, str, int, str]:
    """Alike for rows that close the same position against the same bankrupt one."""
    closing = part[0]
    return closing.bankrupt, closing.contract, closing.side, closing.account


def _rows_of(book: MarginBook, closings: Sequence[Closing]) -> list[int]:
    """The rows of the positions that the list says were closed, -1 where there is none."""
    names = pa.array([closing.account.encode() for closing in closings], pa.binary())
    owners = pc.index_in(names, value_set=book.accounts).fill_null(-1).to_numpy()
    places = {contract.name: row for row, contract in enumerate(book.contracts)}
    contracts = np.array([places.get(x.contract, -1) for x in closings], np.int64)
    short = np.array([closing.side > 0 for closing in closings], np.bool_)
    # A row has a key of its own, and positions are sorted by it.
    keys = (book.owner * len(places) + book.contract) * 2 + (book.side < 0)
    wanted = (owners.astype(np.int64) * len(places) + contracts) * 2 + short
    wanted[(owners < 0) | (contracts < 0)] = -1
    rows = np.searchsorted(keys, wanted)
    found = np.append(keys, -2)[rows] == wanted
    return [int(row) for row in np.where(found, rows, -1)]
