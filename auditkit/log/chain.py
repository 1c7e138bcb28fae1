"""Reading the assets' chains back from the log (SPEC.md §5 and §7)."""

from collections.abc import Callable, Iterable

from auditkit.errors import InputError
from auditkit.verify.cursor import Cursor
from auditkit.verify.errors import Incomplete, Refuted, Step
from auditkit.verify.holdings import Holdings
from auditkit.verify.statements import (
    AssetStatement,
    Deficit,
    Draw,
    Index,
    Loss,
    Policy,
    Recovery,
    Snapshot,
    Statement,
    parse,
)
from auditkit.verify.walk import walk

Chain = tuple[AssetStatement, ...]


class Reader:
    """The statements of a log, parsed once each."""

    def __init__(self, entry: Callable[[int], bytes]) -> None:
        self._entry = entry
        self._parsed: dict[int, Statement] = {}

    def add(self, statement: Statement) -> None:
        """Know a statement that is not in the log yet."""
        self._parsed[statement.seq] = statement

    def __getitem__(self, seq: int) -> Statement:
        if seq not in self._parsed:
            self._parsed[seq] = parse(self._entry(seq).decode("ascii"))
        return self._parsed[seq]

    def index(self, seq: int) -> Index:
        """The index at `seq`. Raises InputError if another statement stands there."""
        statement = self[seq]
        if not isinstance(statement, Index):
            raise InputError(f"entry {seq} is a {statement.kind}, not an index")
        return statement

    def policy(self, seq: int) -> Policy:
        """The policy at `seq`."""
        statement = self[seq]
        if not isinstance(statement, Policy):
            raise InputError(f"entry {seq} is a {statement.kind}, not a policy")
        return statement

    def link(self, seq: int) -> AssetStatement:
        """The asset statement at `seq`."""
        statement = self[seq]
        if not isinstance(statement, AssetStatement):
            raise InputError(f"entry {seq} is a {statement.kind}, not of an asset's chain")
        return statement

    def back(self, top: int) -> Iterable[AssetStatement]:
        """The chain from `top` down to its first statement."""
        link = self.link(top)
        while True:
            yield link
            if link.previous == link.seq:
                return
            link = self.link(link.previous)

    def chain(self, top: int, bound: int) -> Chain:
        """The chain from `top` down to a snapshot at or below `bound`, oldest first.

        It goes as far down as every deficit in it finds its reference: the
        nearest snapshot logged by the time the deficit was confirmed.
        """
        links: list[AssetStatement] = []
        needed_by: int | None = None
        for link in self.back(top):
            links.append(link)
            if isinstance(link, Deficit):
                needed_by = link.confirmed if needed_by is None else min(needed_by, link.confirmed)
            if isinstance(link, Snapshot):
                if needed_by is not None and link.time <= needed_by:
                    needed_by = None
                if needed_by is None and link.seq <= bound:
                    break
        return tuple(reversed(links))

    def around(self, chain: Chain) -> dict[int, Statement]:
        """The chain's statements and all that its checks need, by seq."""
        shown: dict[int, Statement] = {}
        for link in chain:
            shown[link.seq] = link
            shown[link.policy] = self[link.policy]
            if isinstance(link, Draw):
                shown[link.seq - 1] = self[link.seq - 1]
            if isinstance(link, Recovery):
                loss = self.link(link.loss)
                shown[loss.seq] = loss
                shown[loss.policy] = self[loss.policy]
        return shown

    def check(self, top: int, bound: int) -> None:
        """The kernel's own rules for the chain below `top`. Raises InputError where one breaks."""
        chain = self.chain(top, bound)
        shown = self.around(chain)
        try:
            with Step("8", []) as step:
                walk(Cursor(step, chain, shown, Holdings(step, "", (), shown)))
        except (Refuted, Incomplete) as error:
            error.step = ""
            raise InputError(f"nothing was published: {error}") from None

    def losses(self, top: int) -> list[Loss]:
        """Every loss of a chain, newest first."""
        return [link for link in self.back(top) if isinstance(link, Loss)]

    def recovered(self, top: int, loss: int) -> list[int]:
        """The amounts that came back of the loss at that seq, in order."""
        amounts = [
            link.recovered
            for link in self.back(top)
            if isinstance(link, Recovery) and link.loss == loss
        ]
        return amounts[::-1]
