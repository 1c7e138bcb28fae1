"""A ledger restated: the same accounts after a loss or recovery, nothing else (SPEC.md §5)."""

from typing import Self

from auditkit.errors import InputError
from auditkit.ledger import engine
from auditkit.ledger.accounts import MOST_LEAVES
from auditkit.ledger.builder import Builder
from auditkit.ledger.columns import Balances
from auditkit.ledger.deductions import Sharing, left
from auditkit.ledger.runs import Role, Rows, Run
from auditkit.ledger.store import Ledger as Stored
from auditkit.publish.draft import Draft
from auditkit.verify.elements import AMOUNT_LIMIT
from auditkit.verify.records import Ledger


class Restated:
    """The `after` of a loss, of which everything but the amounts is prepared here."""

    def __init__(self, draft: Draft, before: Stored) -> None:
        self.draft = draft
        self.before = before
        self._builder = draft.building(most_rows(before))
        try:
            self._runs = self._builder.prepare(rows.balances for _, rows in before.rows())
        except BaseException:
            self.__exit__()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._builder.__exit__()

    def less(self, sharing: Sharing, book: str) -> Ledger:
        """Store the ledger, with what its rows bear of the loss taken off."""

        def fill(piece: tuple[Run, tuple[int, Rows]]) -> None:
            run, (prefix, rows) = piece
            amounts = rows.balances.amounts
            self._builder.fill(run, left(amounts, sharing.borne(prefix, amounts)))

        for _ in engine.ahead(fill, zip(self._runs, self.before.rows(), strict=True)):
            pass
        return self.draft.kept(book, self._builder)


def with_recovery(draft: Draft, before: Stored, shared: Stored, sharing: Sharing) -> Builder:
    """What builds `before` with what the last recovery pays the leaves of `shared`.

    Raises InputError if the total reaches 2^128.
    """
    if before.total + sharing.recovered[-1] >= AMOUNT_LIMIT:
        raise InputError("with the recovery, the ledger's total reaches 2^128 base units")

    def payments(piece: tuple[int, Rows]) -> Balances:
        prefix, rows = piece
        paid = Balances(rows.balances.accounts, sharing.paid(prefix, rows.balances.amounts))
        return paid.held()

    builder = draft.building(most_rows(before))
    try:
        for _, rows in before.rows():
            builder.add(rows.balances)
        for paid in engine.ahead(payments, shared.rows()):
            builder.add(paid, Role.PAID)
    except BaseException:
        builder.__exit__()
        raise
    return builder


def most_rows(ledger: Stored) -> int:
    """How many rows an account may have where this ledger is restated."""
    return MOST_LEAVES if ledger.split else 1
