"""What a venue promised once and for all: decimals, books, event names, recoveries, keys.

SPEC.md §5 marks these rules (M): only the whole log shows them. A venue may
write any log that it likes, so what an entry costs here grows with its own
length, and not with how many came before it.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import TypeVar

from auditkit.log.breach import Breaches
from auditkit.verify.elements import INTEGER_LIMIT
from auditkit.verify.note import VerifierKey
from auditkit.verify.statements import (
    AssetStatement,
    Deficit,
    Key,
    Loss,
    Policy,
    Recovery,
    Statement,
)

_Name = TypeVar("_Name")
_Said = TypeVar("_Said")
_TOLD = 16
"""So many things that are still in a book are told one by one when it leaves."""
_REPLACED = 256
"""A recovery that tells the earlier ones wrong is given so many true ones at most."""


@dataclass(slots=True)
class _Book:
    """What was last said of a book, where that is not nothing: totals, and losses not returned."""

    held: dict[str, tuple[int, int]] = field(default_factory=dict)
    losses: dict[int, Loss] = field(default_factory=dict)


class Promises:
    """Everything that was said so far and may not be unsaid.

    `unread` is the last entry that could not be read: what it may have
    changed is not held against what comes after it.
    """

    def __init__(self, breaches: Breaches) -> None:
        self._breaches = breaches
        self._decimals: dict[str, int] = {}
        self._books: tuple[str, ...] = ()
        self._of_book: dict[str, _Book] = {}
        self._events: dict[str, int] = {}
        self._losses: dict[int, Loss] = {}
        self._returned: dict[int, list[int]] = {}
        self._left: dict[int, int] = {}
        self._touched: dict[int, int] = {}
        self._retire: dict[VerifierKey, int] = {}

    def see(self, statement: Statement, unread: int) -> Statement:
        """Check one statement; the same again, with what it should have said of the past."""
        if isinstance(statement, Policy):
            self._check_decimals(statement)
            self._check_books(statement, unread)
        elif isinstance(statement, Key):
            self._check_key(statement, unread)
        elif isinstance(statement, Deficit):
            first = self._events.setdefault(statement.event, statement.seq)
            self._breaches.require(
                first == statement.seq,
                "event-name",
                statement.seq,
                f"two events are named {statement.event}",
                "a name used once",
                f"deficits {first} and {statement.seq}",
            )
        elif isinstance(statement, Loss):
            self._losses[statement.seq] = statement
            self._note_loss(statement, statement.socialized)
        elif isinstance(statement, Recovery):
            statement = self._check_recovery(statement, unread)
        if isinstance(statement, AssetStatement):
            for book, ledger in statement.ledgers_shown().items():
                held = self._book(book).held
                held.pop(statement.asset, None)
                if ledger.total:
                    held[statement.asset] = (statement.seq, ledger.total)
        return statement

    def _book(self, name: str) -> _Book:
        return self._of_book.setdefault(name, _Book())

    def _note_loss(self, loss: Loss, left: int) -> None:
        self._left[loss.seq] = left
        losses = self._book(loss.before.book).losses
        losses.pop(loss.seq, None)
        if left:
            losses[loss.seq] = loss

    def _check_decimals(self, policy: Policy) -> None:
        for asset, decimals in policy.assets.items():
            known = self._decimals.get(asset, decimals)
            what = f"the policy changes the decimals of {asset}"
            self._breaches.require(known == decimals, "decimals", policy.seq, what, known, decimals)
            self._decimals[asset] = decimals

    def _check_books(self, policy: Policy, unread: int) -> None:
        """A book stays while it holds anything, or a loss of it may still be recovered."""
        left = sorted(set(self._books) - set(policy.books))
        self._books = policy.books
        for book in left:
            found = self._of_book.get(book, _Book())
            for asset, (seq, total) in _first(found.held, lambda x: unread < x[0]):
                what = f"book {book} left the policy and holds {asset} in statement {seq}"
                self._breaches.add("book-left", policy.seq, what, 0, total)
            for seq, loss in _first(found.losses, lambda x: unread < self._last(x.seq)):
                what = (
                    f"book {book} left the policy while the loss of event {loss.event} may still "
                    "be recovered"
                )
                self._breaches.add("book-left", policy.seq, what, 0, self._left[seq])

    def _last(self, loss: int) -> int:
        """The last entry that said anything of a loss."""
        return self._touched.get(loss, loss)

    def _check_recovery(self, recovery: Recovery, unread: int) -> Recovery:
        """`earlier` is every recovery of the loss before this one."""
        seq, told = recovery.loss, recovery.earlier
        known = self._returned.setdefault(seq, [])
        loss = self._losses.get(seq)
        if unread >= self._last(seq):
            known[:] = told
            if loss is not None:
                self._left[seq] = loss.socialized - sum(told)
        if len(told) != len(known) or list(told) != known:
            what = f"the recovery tells the earlier ones of event {recovery.event} wrong"
            sides = (_listed(known), _listed(told))
            self._breaches.add("recovery-earlier", recovery.seq, what, *sides)
            if len(known) <= _REPLACED:
                recovery = replace(recovery, earlier=tuple(known))
        known.append(recovery.recovered)
        self._touched[seq] = recovery.seq
        if loss is not None:
            self._note_loss(loss, self._left[seq] - recovery.recovered)
        return recovery

    def _check_key(self, change: Key, unread: int) -> None:
        """The old key is one that the log knows, and that may still sign for this entry."""
        covers = change.seq + 2
        if self._retire and unread < 0 and self._retire.get(change.old, 0) < covers:
            what = "the change of key starts from a key that is unknown or retired"
            known = [str(key) for key, size in self._newest() if size >= covers]
            self._breaches.add("key", change.seq, what, ", ".join(known) or "none", str(change.old))
        self._retire[change.old] = change.retire
        self._retire.setdefault(change.new, INTEGER_LIMIT)

    def _newest(self) -> Iterator[tuple[VerifierKey, int]]:
        """The keys that were named last, and the sizes that retire them."""
        return islice(reversed(self._retire.items()), _TOLD)


def _first(found: dict[_Name, _Said], holds: Callable[[_Said], bool]) -> list[tuple[_Name, _Said]]:
    """The first of what holds; what does not is dropped on the way, since it never will again."""
    first: list[tuple[_Name, _Said]] = []
    dropped = []
    for name, said in found.items():
        if holds(said):
            first.append((name, said))
        else:
            dropped.append(name)
        if len(first) == _TOLD:
            break
    for name in dropped:
        del found[name]
    return first


def _listed(amounts: Sequence[int]) -> str:
    more = f" and {len(amounts) - _TOLD} more" if len(amounts) > _TOLD else ""
    return (", ".join(map(str, amounts[:_TOLD])) or "none") + more
