"""The balances of every customer, asset by asset (SPEC.md §5, `snapshot`)."""

from collections.abc import Callable, Collection, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Protocol

from auditkit.errors import InputError
from auditkit.ledger.books import Books, Key
from auditkit.ledger.builder import Builder
from auditkit.publish.draft import Draft
from auditkit.publish.rows import keep, last_ledgers, most_rows
from auditkit.verify.elements import time_text
from auditkit.verify.records import Ledger
from auditkit.verify.statements import Applied, Snapshot


class Engine(Protocol):
    """What brings the rows of books into ledgers: this process, or many machines."""

    def builders(
        self,
        decimals: Mapping[str, int],
        books: Collection[str],
        default_book: str,
        new: Callable[[], Builder],
    ) -> dict[Key, Builder]:
        """A builder of each ledger of the books, with its rows, over a `new` one of the draft."""

    def over(self, local: Builder) -> Builder:
        """The same for a ledger of which the books have no row."""


@dataclass(frozen=True, slots=True)
class Local:
    """This process: one pass over the books feeds all ledgers at once."""

    books: Books

    def builders(
        self,
        decimals: Mapping[str, int],
        books: Collection[str],
        default_book: str,
        new: Callable[[], Builder],
    ) -> dict[Key, Builder]:
        """A builder of each ledger, with its rows. Raises InputError."""
        found: dict[Key, Builder] = {}
        for key, rows in self.books.stream(decimals, books, default_book):
            if key not in found:
                found[key] = new()
            found[key].add(rows)
        return found

    def over(self, local: Builder) -> Builder:
        """The builder itself."""
        return local


def publish(draft: Draft, books: Books, engine: Engine | None = None) -> list[Snapshot]:
    """Log a snapshot of every asset that the books map. Raises InputError."""
    policy = draft.policy
    engine = engine or Local(books)
    with ExitStack() as open_:

        def new() -> Builder:
            return open_.enter_context(draft.building(most_rows(books)))

        builders = engine.builders(policy.assets, policy.books, policy.book, new)
        if books.long is not None:
            # A long table covers every book: what it does not mention has no customers left.
            for key in _held(draft):
                if key not in builders:
                    builders[key] = engine.over(new())
        assets = sorted({asset for asset, _ in builders})
        if not assets:
            raise InputError(
                f"{books.path}: there is no ledger in these books, so nothing to publish"
            )
        return [_publish_asset(draft, books, asset, builders) for asset in assets]


def _held(draft: Draft) -> list[Key]:
    return [
        (asset, book)
        for asset in draft.latest
        for book, (_, ledger) in last_ledgers(draft, asset).items()
        if ledger.total
    ]


def _publish_asset(
    draft: Draft, books: Books, asset: str, builders: dict[Key, Builder]
) -> Snapshot:
    policy = draft.policy
    for book, (_, last) in last_ledgers(draft, asset).items():
        if last.total and (asset, book) not in builders:
            raise InputError(
                f"{books.path}: the ledger {asset}/{book} held {last.total} base units and is not "
                "in these books; map it, even if it is empty now"
            )
    _check_as_of(draft, books, asset)

    def kept(key: Key) -> Ledger:
        def refuse() -> None:
            books.refuse_repeats(policy.assets, policy.books, policy.book, key)

        return keep(draft, builders[key], key, refuse)

    ledgers = [kept(key) for key in sorted(builders) if key[0] == asset]
    return draft.add(Snapshot, asset=asset, as_of=books.as_of, ledgers=tuple(ledgers))


def _check_as_of(draft: Draft, books: Books, asset: str) -> None:
    if books.as_of is None or asset not in draft.latest:
        return
    for link in draft.log.back(draft.latest[asset]):
        if isinstance(link, Applied):
            if books.as_of < link.time:
                raise InputError(
                    f"{books.path}: as_of {time_text(books.as_of)} is before the last deduction "
                    f"or recovery of {asset}, {time_text(link.time)}; take the balances again"
                )
            return
