"""The balances of every customer, asset by asset (SPEC.md §5, `snapshot`)."""

import numpy as np
import pyarrow as pa

from auditkit.errors import InputError
from auditkit.ledger.books import Books
from auditkit.ledger.columns import Balances, limbs
from auditkit.publish.draft import Draft
from auditkit.verify.elements import RESERVED_BOOKS, time_text
from auditkit.verify.statements import Applied, Snapshot


def publish(draft: Draft, books: Books) -> list[Snapshot]:
    """Log a snapshot of every asset that the books map. Raises InputError."""
    policy = draft.policy
    loaded = books.load(policy.assets, policy.books, policy.book)
    if books.wide is None or not books.wide:
        # A long table covers every book: what it does not mention has no customers left.
        for asset, book in _held(draft):
            loaded.setdefault((asset, book), Balances.of(()))
    assets = sorted({asset for asset, _ in loaded})
    if not assets:
        raise InputError(f"{books.path}: there is no ledger in these books, so nothing to publish")
    return [_publish_asset(draft, books, asset, loaded) for asset in assets]


def _held(draft: Draft) -> list[tuple[str, str]]:
    return [
        (asset, book)
        for asset in draft.latest
        for book, (_, total) in last_ledgers(draft, asset).items()
        if total
    ]


def last_ledgers(draft: Draft, asset: str) -> dict[str, tuple[int, int]]:
    """The seq and total of the last ledger of every customer book on the asset's chain."""
    found: dict[str, tuple[int, int]] = {}
    if asset in draft.latest:
        for link in draft.log.back(draft.latest[asset]):
            for book, ledger in link.ledgers_shown().items():
                if book not in RESERVED_BOOKS:
                    found.setdefault(book, (link.seq, ledger.total))
    return found


def carried(draft: Draft, asset: str, book: str, balances: Balances) -> Balances:
    """The balances, and with 0 every account that has left since the last such ledger."""
    last = last_ledgers(draft, asset).get(book)
    if last is None or last[1] == 0:
        return balances
    left = draft.ledgers.open(last[0], book).departed(balances.accounts)
    if len(left):
        draft.notes.append(
            f"{len(left)} accounts that the last ledger {asset}/{book} had money for have none "
            "now; they are carried with 0"
        )
    return with_zeros(balances, left)


def with_zeros(balances: Balances, accounts: pa.Array) -> Balances:
    """The balances, and the accounts with 0 behind them."""
    if not len(accounts):
        return balances
    zeros = limbs([0]).repeat(len(accounts), axis=0)
    names = pa.concat_arrays([balances.accounts, accounts.cast(pa.binary())])
    return Balances(names, np.concatenate([balances.amounts, zeros]))


def _publish_asset(
    draft: Draft, books: Books, asset: str, loaded: dict[tuple[str, str], Balances]
) -> Snapshot:
    of_asset = {book: rows for (name, book), rows in loaded.items() if name == asset}
    for book, (_, total) in last_ledgers(draft, asset).items():
        if total and book not in of_asset:
            raise InputError(
                f"{books.path}: the ledger {asset}/{book} held {total} base units and is not in "
                "these books; map it, even if it is empty now"
            )
    _check_as_of(draft, books, asset)
    ledgers = [
        draft.ledger(book, carried(draft, asset, book, rows))
        for book, rows in sorted(of_asset.items())
    ]
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
