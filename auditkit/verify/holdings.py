"""The account's own leaves (SPEC.md §7, steps 6 and 7)."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from auditkit.verify import sumtree
from auditkit.verify.chains import Chain, Shown
from auditkit.verify.elements import RESERVED_BOOKS
from auditkit.verify.errors import Refuted, Step
from auditkit.verify.proof import Leaf
from auditkit.verify.records import Ledger
from auditkit.verify.statements import AssetStatement


@dataclass(frozen=True, slots=True)
class Held:
    """One proven leaf: its index, its amount in base units, the total of all before it."""

    index: int
    amount: int
    prefix: int


class Holdings:
    """What one account was proven to hold, by statement and book."""

    def __init__(self, step: Step, account: str, leaves: Iterable[Leaf], shown: Shown) -> None:
        """Check every leaf (step 6). Raises Refuted; a leaf of a missing statement is a gap."""
        self._held: dict[tuple[int, str], list[Held]] = {}
        for leaf in leaves:
            statement = shown.get(leaf.seq)
            if statement is None:
                step.missing(f"a leaf of statement {leaf.seq}, which is missing")
                continue
            ledgers = _ledgers(statement)
            if leaf.book not in ledgers:
                raise Refuted(
                    f"statement {leaf.seq} has no ledger of book {leaf.book}",
                    expected=", ".join(ledgers) or "no leaf",
                    found=leaf.book,
                )
            self._add(account, leaf, ledgers[leaf.book])

    def _add(self, account: str, leaf: Leaf, ledger: Ledger) -> None:
        place = f"{leaf.seq}:{leaf.book}"
        held = self._held.setdefault((leaf.seq, leaf.book), [])
        if any(other.index == leaf.index for other in held):
            raise Refuted(f"leaf {leaf.index} of {place} is shown twice")
        if len(held) == sumtree.MAX_LEAVES_OF_ONE_ACCOUNT:
            raise Refuted(
                f"more leaves of one account in {place} than a ledger may have",
                expected=f"at most {len(held)}",
            )
        start = sumtree.leaf(leaf.salt, leaf.amount, account)
        root, prefix = sumtree.climb(start, leaf.index, ledger.accounts, leaf.path)
        signed = sumtree.Node(ledger.total, ledger.root)
        if root != signed:
            raise Refuted(
                f"the path of leaf {leaf.index} does not reach the signed root of {place}",
                expected=f"total {signed.sum}, root {signed.hash.hex()}",
                found=f"total {root.sum}, root {root.hash.hex()}",
            )
        held.append(Held(leaf.index, leaf.amount, prefix))

    def of(self, seq: int, book: str) -> list[Held]:
        """The account's leaves in that statement's ledger; none if none was shown."""
        return self._held.get((seq, book), [])

    def balance(self, seq: int, book: str) -> int | None:
        """The account's balance there, in base units; None if no leaf was shown."""
        held = self.of(seq, book)
        return sum(leaf.amount for leaf in held) if held else None

    def places(self) -> Iterable[tuple[int, str]]:
        """Every (seq, book) with at least one leaf."""
        return self._held.keys()

    def check_followed(self, step: Step, chains: Mapping[str, Chain]) -> None:
        """A balance once shown is shown in every later ledger of its book, until it is 0."""
        for asset, chain in chains.items():
            open_books: set[str] = set()
            for link in chain:
                for book in link.ledgers_shown().keys() - set(RESERVED_BOOKS):
                    balance = self.balance(link.seq, book)
                    if balance is None and book in open_books:
                        step.missing(
                            f"no leaf in statement {link.seq} for {asset}/{book}, where "
                            "an earlier ledger shows a balance"
                        )
                    if balance == 0:
                        open_books.discard(book)
                    elif balance:
                        open_books.add(book)
        if all(book in RESERVED_BOOKS for _, book in self.places()):
            step.missing("no leaf of a customer book")


def _ledgers(statement: object) -> Mapping[str, Ledger]:
    return statement.ledgers_shown() if isinstance(statement, AssetStatement) else {}
