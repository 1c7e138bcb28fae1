"""The accounts' own entries: what moved an account's money beside the run of a loss.

A table of the columns account, book, amount, kind and time: natural units of
the event's asset, signed; `kind` is the venue's own word; times are as
SPEC.md §1 spells them.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from auditkit.audit.compare import Mask
from auditkit.ledger.cells import Column
from auditkit.ledger.columns import Balances, limbs
from auditkit.ledger.tables import read_columns
from auditkit.margin.columns import named
from auditkit.margin.signed import Integers, signed_integers
from auditkit.verify.elements import TIME
from auditkit.verify.errors import Malformed
from auditkit.verify.statements import Policy


@dataclass(frozen=True, slots=True)
class Entries:
    """The accounts' entries in the sharing book: n rows of a name, signed base units and a time.

    What the run of a loss itself does to an account is no entry of its own.
    """

    accounts: pa.Array
    amounts: Integers
    kinds: Column
    times: npt.NDArray[np.int64]

    @classmethod
    def read(cls, path: Path, policy: Policy, decimals: int) -> "Entries":
        """Columns account, book, amount (signed, natural units), kind and time. InputError."""
        table = read_columns(path, ["account", "book", "amount", "kind", "time"])
        table["kind"].require_values("every entry needs one")
        books = _each(table["book"], _one_of_books(policy))
        ours = np.flatnonzero(books == policy.books.index(policy.book))
        return cls(
            _names(table["account"]).take(pa.array(ours, pa.int64())),
            signed_integers(table["amount"], decimals)[ours],
            table["kind"].take(ours),
            _each(table["time"], _time)[ours],
        )

    def added(self, after: int, until: int) -> Balances:
        """What came in after a time, up to and with another."""
        return self._rows(self._between(after, until) & (self.amounts > 0).astype(np.bool_))

    def taken(self, after: int, until: int) -> Balances:
        """What went out after a time, up to and with another."""
        return self._rows(self._between(after, until) & (self.amounts < 0).astype(np.bool_))

    def _between(self, after: int, until: int) -> Mask:
        within: Mask = (after < self.times) & (self.times <= until)
        return within

    def _rows(self, mask: Mask) -> Balances:
        names = self.accounts.filter(pa.array(mask, pa.bool_()))
        return Balances(names, limbs(abs(amount) for amount in self.amounts[mask]))


def _names(column: Column) -> pa.Array:
    """Account names, each of which may have any number of rows."""
    if not len(column):
        return pa.array([], pa.binary())
    names, numbers = named(column)
    return names.take(pa.array(numbers, pa.int64()))


def _each(column: Column, read: Callable[[str], int]) -> npt.NDArray[np.int64]:
    """What `read` makes of each text; one it raises Malformed for is refused. InputError."""
    column.require_values("every entry needs one")
    if not column.is_text:
        raise column.refuse_type("store it as text")
    encoded = column.data.dictionary_encode()
    codes = encoded.indices.to_numpy()
    values = np.zeros(len(encoded.dictionary), np.int64)
    for code, word in enumerate(encoded.dictionary.cast(pa.large_binary()).to_pylist()):
        try:
            values[code] = read(word.decode("utf-8", "backslashreplace"))
        except Malformed as error:
            raise column.refuse(int(np.argmax(codes == code)), f"is {error.what}") from None
    found: npt.NDArray[np.int64] = values[codes]
    return found


def _time(text: str) -> int:
    return TIME.read(text)


def _one_of_books(policy: Policy) -> Callable[[str], int]:
    def read(text: str) -> int:
        if text not in policy.books:
            raise Malformed(f"no book of the policy, whose books are {', '.join(policy.books)}")
        return policy.books.index(text)

    return read
