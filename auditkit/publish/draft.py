"""A publish in the making: statements that the log does not have yet (SPEC.md §5)."""

from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar

from auditkit.errors import InputError, shown
from auditkit.log.chain import Reader
from auditkit.log.lineage import Lineage
from auditkit.publish.clock import Clock
from auditkit.publish.history import History
from auditkit.publish.ledgers import Ledgers
from auditkit.publish.signers import Signers
from auditkit.verify import statements
from auditkit.verify.elements import NAME
from auditkit.verify.errors import Malformed
from auditkit.verify.history import leaf_hash
from auditkit.verify.records import Ledger, PoolRow
from auditkit.verify.statements import AssetStatement, Fund, Index, Key, Loss, Policy, Statement

if TYPE_CHECKING:
    from auditkit.ledger.builder import Builder
    from auditkit.ledger.columns import Balances

S = TypeVar("S", bound=Statement)

_LISTED = 5


def check_event_name(event: str) -> None:
    """Raises InputError if no event can have that name."""
    try:
        NAME.read(event)
    except Malformed as error:
        raise InputError(f"--event: {error.what}: {shown(event)}") from None


def newest_fund(history: History, log: Reader) -> Fund | None:
    """The last fund entry of a log; None if there is none."""
    seq = history.newest_containing(f'"format":"{Fund.name()}"')
    found = None if seq is None else log[seq]
    return found if isinstance(found, Fund) else None


class Draft:
    """One publish in the making: statements that the log does not have yet."""

    def __init__(
        self, lineage: Lineage, history: History, log: Reader, ledgers: Ledgers, told: int | None
    ) -> None:
        self.log = log
        self.ledgers = ledgers
        self.lineage = lineage
        self._history = history
        self._frontier, self._last = history.frontier(), history.last()
        self._start = len(history)
        self._statements: list[Statement] = []
        self._texts: list[str] = []
        self.latest: dict[str, int] = {}
        self._policy = 0
        last = None
        if self._start:
            index = self.log.index(self._start - 1)
            self.latest, self._policy, last = dict(index.latest), index.policy, index.time
        self._touched: dict[str, int] = {}
        self._built = 0
        self.notes: list[str] = []
        """What the publisher should look at once more, in sentences."""
        self._clock = Clock(told, last)

    @property
    def seq(self) -> int:
        """The seq of the next statement."""
        return self._start + len(self._statements)

    @property
    def policy(self) -> Policy:
        """The policy that holds for the next statement."""
        return self.log.policy(self._policy)

    def policies(self) -> list[Policy]:
        """Every policy in the log, oldest first."""
        return [
            self.log.policy(seq) for seq in self._history.containing(f'"format":"{Policy.name()}"')
        ]

    def add(self, kind: type[S], time: int | None = None, **fields: Any) -> S:
        """Append a statement; seq, time and links are filled in. Raises InputError.

        `time` is for history: the milliseconds of what is logged now and was long ago.
        """
        if time is not None:
            self._clock.set(time)
        common: dict[str, Any] = {
            "venue": self.lineage.first.name,
            "seq": self.seq,
            "time": self._clock.tick(),
        }
        if issubclass(kind, AssetStatement):
            asset = fields["asset"]
            common |= {"policy": self._policy, "previous": self.latest.get(asset, self.seq)}
            self._touched.setdefault(asset, self.seq)
            self.latest[asset] = self.seq
        if kind is statements.Snapshot and fields["as_of"] is None:
            fields["as_of"] = common["time"]
        try:
            statement = kind(**common, **fields)
            # What is logged is what a reader will parse, or it is not logged.
            text = statement.encode()
            if statements.parse(text) != statement:
                raise Malformed("does not read back as it was written")
        except Malformed as error:
            raise InputError(f"the {kind.kind} statement: {error}") from None
        self._statements.append(statement)
        self._texts.append(text)
        self.log.add(statement)
        if isinstance(statement, Policy):
            self._policy = statement.seq
        if isinstance(statement, Key):
            self.lineage = replace(self.lineage, changes=(*self.lineage.changes, statement))
        return statement

    def last_fund(self) -> Fund | None:
        """The last fund entry, logged or about to be; None if there is none."""
        for statement in reversed(self._statements):
            if isinstance(statement, Fund):
                return statement
        return newest_fund(self._history, self.log)

    def last_fund_rows(self) -> tuple[PoolRow, ...]:
        """The rows of the last fund entry."""
        last = self.last_fund()
        return last.pools if last else ()

    def refuse_known_event(self, event: str) -> None:
        """Raises InputError if the log has an event of that name."""
        if self._history.containing(f'"event":"{event}"'):
            raise InputError(f"event {event} is in the log already; a name is used once")

    def find_loss(self, event: str) -> Loss:
        """The loss of that event. Raises InputError if there is none."""
        check_event_name(event)
        for seq in self._history.containing(f'"event":"{event}"'):
            statement = self.log[seq]
            if isinstance(statement, Loss):
                return statement
        known = self._history.containing(f'"format":"{Loss.name()}"')
        losses = [s.event for s in map(self.log.__getitem__, known) if isinstance(s, Loss)]
        listed = ", ".join(losses[-_LISTED:]) or "none"
        first = "its last are" if len(losses) > _LISTED else "it has"
        raise InputError(f"--event: the log has no loss of an event {event}; {first}: {listed}")

    def building(self, most: int) -> "Builder":
        """What builds a ledger of this publish; an account may have `most` rows in it."""
        self._built += 1
        return self.ledgers.building(self._start, self._built, most)

    def kept(self, book: str, builder: "Builder") -> Ledger:
        """Store what was built as a ledger of the statement that is added next."""
        built = self.ledgers.keep(builder, self.seq, book)
        return Ledger(book, built.count, built.total, built.root)

    def ledger(self, book: str, balances: "Balances") -> Ledger:
        """Build and store a ledger, of a row an account, of the statement that is added next."""
        with self.building(1) as builder:
            builder.add(balances)
            return self.kept(book, builder)

    def _stamp(self) -> None:
        """Trees take a while to build; what is signed says when it was logged."""
        if self._clock.is_told:
            return
        for place, statement in enumerate(self._statements):
            stamped = replace(statement, time=self._clock.tick())
            self._statements[place] = stamped
            self._texts[place] = stamped.encode()
            self.log.add(stamped)

    def commit(self, signers: Signers) -> None:
        """End in an index, check every chain that grew, sign, and commit."""
        if not self._statements:
            return
        self.add(Index, latest=self.latest, policy=self._policy)
        self._stamp()
        for asset, first in self._touched.items():
            self.log.check(self.latest[asset], first)
        entries = [text.encode("ascii") for text in self._texts]
        for entry in entries:
            self._frontier.append(leaf_hash(entry))
        size, root = self._frontier.size, self._frontier.root()
        head = signers.head(self.lineage.signers(size), size, root)
        self._history.append(entries, head, self._frontier, self._last)
