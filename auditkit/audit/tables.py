"""The venue's own tables that a ledger was made of, read again a few rows at a time."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from auditkit.audit.handover import accusing
from auditkit.ledger.accounts import MOST_LEAVES
from auditkit.ledger.books import Books, Key
from auditkit.ledger.columns import Balances
from auditkit.verify.statements import Policy


def _allowed() -> None:
    """Whoever read the table has looked for repeats already."""


@dataclass(frozen=True, slots=True)
class Table:
    """One table, by the `name` that a report calls it.

    `source` reads its rows from their start, each time. An account may have `most` of
    them; where one has more, `accuse` raises InputError for the first of those.
    """

    name: str
    folder: Path
    source: Callable[[], Iterator[Balances]]
    most: int = MOST_LEAVES
    accuse: Callable[[], None] = _allowed

    @classmethod
    def of_books(cls, books: Books, policy: Policy, key: Key) -> Self:
        """What books have of one ledger: nothing, if they do not have it."""
        given = policy.assets, policy.books, policy.book
        return cls(
            "the books",
            books.path.parent,
            lambda: (rows for _, rows in books.stream(*given, only=key)),
            MOST_LEAVES if books.split else 1,
            lambda: books.refuse_repeats(*given, key),
        )

    @classmethod
    def of_list(cls, name: str, path: Path, rows: Balances) -> Self:
        """A list that was read whole, and in which no account is repeated."""
        return cls(name, path.parent, lambda: iter([rows]))

    def rows(self) -> Iterator[Balances]:
        """The rows, a few at a time. Raises Faulty for what no table must hold, and InputError."""
        with accusing(self.folder):
            yield from self.source()

    def refuse_repeats(self, most: int) -> None:
        """Raises Faulty if `most`, the rows of some account, are more than it may have."""
        if most > self.most:
            with accusing(self.folder):
                self.accuse()
