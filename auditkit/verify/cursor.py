"""A place on one chain while it is checked (SPEC.md §7, step 8), and what its rules share."""

from auditkit.verify.chains import Chain, Shown
from auditkit.verify.errors import Refuted, Step
from auditkit.verify.holdings import Holdings
from auditkit.verify.records import Ledger
from auditkit.verify.statements import Applied, AssetStatement, Policy


def require(holds: bool, what: str, expected: object, found: object) -> None:
    """Raises Refuted with both sides unless `holds`."""
    if not holds:
        raise Refuted(what, expected=expected, found=found)


class Cursor:
    """A place on one chain, and the file around it."""

    def __init__(self, step: Step, chain: Chain, shown: Shown, holdings: Holdings) -> None:
        self.step = step
        self.chain = chain
        self.shown = shown
        self.holdings = holdings
        self.position = 0
        self.held: dict[str, int] = {}
        """The total of the last ledger of each book, before the statement taken last."""
        self.effect: Applied | None = None
        """The last restated ledger before the statement taken last."""

    def take(self) -> AssetStatement | None:
        """The next statement of the chain, or None at its end."""
        if self.position:
            self._pass(self.chain[self.position - 1])
        if self.position == len(self.chain):
            return None
        self.position += 1
        return self.chain[self.position - 1]

    def _pass(self, link: AssetStatement) -> None:
        self.held.update({book: x.total for book, x in link.ledgers_shown().items()})
        if isinstance(link, Applied):
            self.effect = link

    def before(self, link: AssetStatement) -> Chain:
        """The chain below `link`."""
        return tuple(other for other in self.chain if other.seq < link.seq)


def policy_of(cursor: Cursor, statement: AssetStatement) -> Policy:
    """The policy that a statement of a chain names."""
    policy = cursor.shown[statement.policy]
    if not isinstance(policy, Policy):  # Step 5 has shown that it is one.
        raise Refuted(f"statement {statement.policy} is no policy")
    return policy


def check_effect(applied: Applied, before: Ledger, total: int) -> None:
    """Point 6: `before` restated, same book and leaf count, with `total` base units."""
    after = applied.after
    require(
        (after.book, after.accounts, after.total) == (before.book, before.accounts, total),
        "the ledger after is not the ledger before with its effect",
        f"{before.book}: {before.accounts} leaves, total {total}",
        f"{after.book}: {after.accounts} leaves, total {after.total}",
    )
