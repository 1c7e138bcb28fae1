"""What a venue promised once and for all: decimals, books, event names, recoveries, keys.

SPEC.md §5 marks these rules (M): only the whole log shows them.
"""

from dataclasses import replace

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


class Promises:
    """Everything that was said so far and may not be unsaid.

    `unread` is the last entry that could not be read: what it may have
    changed is not held against what comes after it.
    """

    def __init__(self, breaches: Breaches) -> None:
        self._breaches = breaches
        self._decimals: dict[str, int] = {}
        self._books: tuple[str, ...] = ()
        self._held: dict[tuple[str, str], tuple[int, int]] = {}
        self._events: dict[str, int] = {}
        self._losses: dict[int, Loss] = {}
        self._returned: dict[int, tuple[int, ...]] = {}
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
        elif isinstance(statement, Recovery):
            statement = self._check_recovery(statement, unread)
        if isinstance(statement, AssetStatement):
            for book, ledger in statement.ledgers_shown().items():
                self._held[statement.asset, book] = (statement.seq, ledger.total)
        return statement

    def _check_decimals(self, policy: Policy) -> None:
        for asset, decimals in policy.assets.items():
            known = self._decimals.get(asset, decimals)
            what = f"the policy changes the decimals of {asset}"
            self._breaches.require(known == decimals, "decimals", policy.seq, what, known, decimals)
            self._decimals[asset] = decimals

    def _check_books(self, policy: Policy, unread: int) -> None:
        """A book stays while it holds anything, or a loss of it may still be recovered."""
        left = set(self._books) - set(policy.books)
        self._books = policy.books
        for (asset, book), (seq, total) in sorted(self._held.items()):
            if book in left and total and unread < seq:
                what = f"book {book} left the policy and holds {asset} in statement {seq}"
                self._breaches.add("book-left", policy.seq, what, 0, total)
        for seq, loss in self._losses.items():
            outstanding = loss.socialized - sum(self._returned.get(seq, ()))
            if loss.before.book in left and outstanding and unread < self._touched.get(seq, seq):
                what = (
                    f"book {loss.before.book} left the policy while the loss of event "
                    f"{loss.event} may still be recovered"
                )
                self._breaches.add("book-left", policy.seq, what, 0, outstanding)

    def _check_recovery(self, recovery: Recovery, unread: int) -> Recovery:
        """`earlier` is every recovery of the loss before this one."""
        seq, told = recovery.loss, recovery.earlier
        known = self._returned.get(seq, ())
        if unread >= self._touched.get(seq, seq):
            known = told
        self._breaches.require(
            told == known,
            "recovery-earlier",
            recovery.seq,
            f"the recovery tells the earlier ones of event {recovery.event} wrong",
            ", ".join(map(str, known)) or "none",
            ", ".join(map(str, told)) or "none",
        )
        self._returned[seq] = (*known, recovery.recovered)
        self._touched[seq] = recovery.seq
        return replace(recovery, earlier=known)

    def _check_key(self, change: Key, unread: int) -> None:
        """The old key is one that the log knows, and that may still sign for this entry."""
        covers = change.seq + 2
        if self._retire and unread < 0:
            self._breaches.require(
                self._retire.get(change.old, 0) >= covers,
                "key",
                change.seq,
                "the change of key starts from a key that is unknown or retired",
                ", ".join(str(key) for key, size in self._retire.items() if size >= covers),
                str(change.old),
            )
        self._retire[change.old] = change.retire
        self._retire.setdefault(change.new, INTEGER_LIMIT)
