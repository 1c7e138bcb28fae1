"""From rows to the ledgers of statements: what is given, and what earlier ledgers add to it."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from auditkit.errors import InputError, place
from auditkit.ledger.accounts import MOST_LEAVES
from auditkit.ledger.books import Books, Key
from auditkit.ledger.builder import Builder
from auditkit.ledger.columns import Balances
from auditkit.ledger.runs import Role
from auditkit.ledger.sorting import Repeated
from auditkit.publish.draft import Draft
from auditkit.verify.elements import RESERVED_BOOKS
from auditkit.verify.records import Ledger
from auditkit.verify.statements import Policy


def _as_it_is() -> None:
    """There is no more to be said of an account that is repeated."""


@dataclass(frozen=True, slots=True)
class Given:
    """The rows of one ledger, in any order, and how many an account may have.

    `refuse_repeats` raises InputError naming the row of an account that has more.
    """

    pieces: Iterable[Balances]
    most: int = 1
    refuse_repeats: Callable[[], None] = _as_it_is


def most_rows(books: Books) -> int:
    """How many rows an account may have in a ledger of these books."""
    return MOST_LEAVES if books.split else 1


def of_books(policy: Policy, books: Books, key: Key) -> Given:
    """The one ledger that these books may hold, (asset, book).

    Reading its pieces raises InputError, also if the books hold another ledger.
    """

    def pieces() -> Iterator[Balances]:
        for found, rows in books.stream(policy.assets, policy.books, policy.book):
            if found != key:
                raise InputError(
                    f"{place(books.path)}: holds the ledger {'/'.join(found)}; only "
                    f"{'/'.join(key)} has a part in this, so map nothing else"
                )
            yield rows

    def refuse() -> None:
        books.refuse_repeats(policy.assets, policy.books, policy.book, key)

    return Given(pieces(), most_rows(books), refuse)


def last_ledgers(draft: Draft, asset: str) -> dict[str, tuple[int, Ledger]]:
    """The last ledger of every customer book on the asset's chain, and its statement's seq."""
    found: dict[str, tuple[int, Ledger]] = {}
    if asset in draft.latest:
        for link in draft.log.back(draft.latest[asset]):
            for book, ledger in link.ledgers_shown().items():
                if book not in RESERVED_BOOKS:
                    found.setdefault(book, (link.seq, ledger))
    return found


def keep(
    draft: Draft,
    builder: Builder,
    key: Key,
    refuse_repeats: Callable[[], None] = _as_it_is,
) -> Ledger:
    """Store what was built as the (asset, book) ledger of the next statement.

    With 0, it carries every account that has left since the last such ledger.
    Raises InputError.
    """
    asset, book = key
    last = last_ledgers(draft, asset).get(book)
    if last is not None and last[1].total:
        for rows in draft.ledgers.open(*last).held():
            builder.add(rows, Role.CARRIED)
    try:
        ledger = draft.kept(book, builder)
    except Repeated:
        refuse_repeats()
        raise
    if builder.carried:
        draft.notes.append(
            f"{builder.carried} accounts of earlier ledgers {asset}/{book} are not in these books; "
            "they are carried with 0"
        )
    return ledger


def build(draft: Draft, key: Key, given: Given) -> Ledger:
    """Build and store the (asset, book) ledger of the next statement. Raises InputError."""
    with draft.building(given.most) as builder:
        for rows in given.pieces:
            builder.add(rows)
        return keep(draft, builder, key, given.refuse_repeats)
