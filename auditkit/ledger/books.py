"""The books: an exchange's tables, described by a books.toml -> ledgers of (account, amount)."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from auditkit.errors import InputError, place
from auditkit.ledger import mapping
from auditkit.ledger.accounts import account_names, names_of
from auditkit.ledger.amounts import base_units
from auditkit.ledger.cells import Column
from auditkit.ledger.columns import Balances, Limbs, total
from auditkit.ledger.mapping import LongColumns, Units, WideLedger
from auditkit.ledger.tables import batches, find_tables, read_columns
from auditkit.verify.elements import AMOUNT_LIMIT

Key = tuple[str, str]
"""The (asset, book) of a ledger."""


@dataclass(frozen=True, slots=True)
class Books:
    """A books.toml that was read: where the balances are, and what their columns mean.

    `as_of` is the time of the balances in milliseconds since 1970, or None.
    Either `wide` has one column or more, or `long` is given.
    """

    path: Path
    units: Units
    as_of: int | None
    files: tuple[Path, ...]
    account: str
    split: bool
    wide: tuple[WideLedger, ...]
    long: LongColumns | None

    @classmethod
    def read(cls, path: Path) -> "Books":
        """Read a books.toml and find its files. Raises InputError."""
        found = mapping.Mapping.read(path)
        return cls(
            path,
            found.units,
            found.as_of,
            _files(found),
            found.account,
            found.split,
            found.wide,
            found.long,
        )

    def stream(
        self,
        decimals: Mapping[str, int],
        books: Collection[str],
        default_book: str,
        only: Key | None = None,
    ) -> Iterator[tuple[Key, Balances]]:
        """The rows of the ledgers by (asset, book), in base units, a few at a time.

        `decimals` (by asset) and `books` are the policy's, `default_book` is
        the book that shares losses and stands where the mapping names none.
        Of wide books every ledger they map occurs, if without rows; of long ones
        those that have any. With `only` no other ledger's amounts are read.
        Rows of amount 0 are kept, and nobody has looked for repeated accounts:
        see `refuse_repeats`. Raises InputError.
        """
        policy = _Policy(decimals, books, default_book)
        totals: dict[Key, int] = {}
        for accounts, columns in self._pieces(policy, only):
            names = names_of(accounts)
            for key, amounts in columns.items():
                totals[key] = totals.get(key, 0) + total(amounts)
                _refuse_overflow(self.path, _called(key), totals[key])
                yield key, Balances(names, amounts)

    def load(
        self,
        decimals: Mapping[str, int],
        books: Collection[str],
        default_book: str,
        only: Key | None = None,
    ) -> dict[Key, Balances]:
        """The ledgers as `stream` reads them, whole. Raises InputError, also for repeats."""
        accounts: dict[Key, list[Column]] = {}
        amounts: dict[Key, list[Limbs]] = {}
        for column, found in self._pieces(_Policy(decimals, books, default_book), only):
            for key, limbs in found.items():
                accounts.setdefault(key, []).append(column)
                amounts.setdefault(key, []).append(limbs)
        ledgers: dict[Key, Balances] = {}
        names = None
        for key in sorted(accounts):
            # Wide ledgers have the same rows, so the accounts are checked once.
            if names is None or self.long is not None:
                names = account_names(accounts[key], self.split)
            ledgers[key] = Balances(names, np.concatenate(amounts[key]))
            _refuse_overflow(self.path, _called(key), total(ledgers[key].amounts))
        return ledgers

    def refuse_repeats(
        self, decimals: Mapping[str, int], books: Collection[str], default_book: str, key: Key
    ) -> None:
        """Raises InputError naming the first row of an account that has too many in a ledger."""
        policy = _Policy(decimals, books, default_book)
        account_names([accounts for accounts, _ in self._pieces(policy, key)], self.split)

    def _pieces(
        self, policy: "_Policy", only: Key | None
    ) -> Iterator[tuple[Column, dict[Key, Limbs]]]:
        """Some rows' accounts, and their amounts in each ledger that those rows are of."""
        if self.long is None:
            return self._wide(policy, only)
        return self._long(self.long, policy, only)

    def _wide(
        self, policy: "_Policy", only: Key | None
    ) -> Iterator[tuple[Column, dict[Key, Limbs]]]:
        columns = {key: name for key, name in self._keys(policy).items() if only in (None, key)}
        for path in self.files if columns else ():
            for table in batches(path, [self.account, *columns.values()]):
                yield (
                    table[self.account],
                    {
                        key: base_units(table[name], self._places(policy, key))
                        for key, name in columns.items()
                    },
                )

    def _long(
        self, long: LongColumns, policy: "_Policy", only: Key | None
    ) -> Iterator[tuple[Column, dict[Key, Limbs]]]:
        naming = [long.asset] if long.book is None else [long.asset, long.book]
        for path in self.files:
            for table in batches(path, [self.account, *naming, long.amount]):
                for key, rows in _groups([table[name] for name in naming], policy):
                    if only in (None, key):
                        units = table[long.amount].take(rows)
                        amounts = base_units(units, self._places(policy, key))
                        yield table[self.account].take(rows), {key: amounts}

    def _keys(self, policy: "_Policy") -> dict[Key, str]:
        """The column of each ledger. Raises InputError for what the policy does not have."""
        columns: dict[Key, str] = {}
        for number, ledger in enumerate(self.wide, 1):
            key = ledger.asset, policy.default if ledger.book is None else ledger.book
            where = f"{place(self.path)}: [[ledger]] {number}:"
            if key[0] not in policy.decimals:
                raise InputError(f"{where} asset {key[0]} {policy.lacks('assets')}")
            if key[1] not in policy.books:
                raise InputError(f"{where} book {key[1]} {policy.lacks('books')}")
            if key in columns:
                raise InputError(f"{where} {key[0]} of book {key[1]} has a block before")
            columns[key] = ledger.column
        return columns

    def _places(self, policy: "_Policy", key: Key) -> int:
        return policy.decimals[key[0]] if self.units == "natural" else 0


def load_amount_list(path: Path, decimals: int, units: Units = "natural") -> Balances:
    """A table of the columns `account` and `amount` alone, each account once, no amount 0.

    For the accounts that are short and those that were deleveraged: who is
    short nothing is not on the list. Raises InputError.
    """
    table = read_columns(path, ["account", "amount"], alone=True)
    amounts = base_units(table["amount"], decimals if units == "natural" else 0)
    zero = (amounts == 0).all(axis=1)
    if zero.any():
        problem = "is nothing; leave out accounts whose amount is 0"
        raise table["amount"].refuse(int(np.argmax(zero)), problem)
    names = account_names([table["account"]], split=False)
    _refuse_overflow(path, "the amounts", total(amounts))
    return Balances(names, amounts)


@dataclass(frozen=True, slots=True)
class _Policy:
    """What a policy says of ledgers: decimals by asset, its books, the one that shares losses."""

    decimals: Mapping[str, int]
    books: Collection[str]
    default: str

    def names(self, kind: str) -> list[str]:
        """Its assets, or its books, sorted."""
        return sorted(self.decimals if kind == "assets" else self.books)

    def lacks(self, kind: str) -> str:
        """The end of a sentence about an asset or book that the policy does not have."""
        names = self.names(kind)
        listed = ", ".join(names[:_LISTED]) + (", ..." if len(names) > _LISTED else "")
        return f"is not in the policy, whose {kind} are {listed}"


_LISTED = 20


def _groups(
    naming: Sequence[Column], policy: _Policy
) -> Iterator[tuple[Key, npt.NDArray[np.int64]]]:
    """The rows of each ledger of a file, ascending, from its columns of assets and books."""
    assets, books = policy.names("assets"), [policy.default]
    codes = _codes(naming[0], assets, policy.lacks("assets"))
    if len(naming) > 1:
        books = policy.names("books")
        codes = codes * len(books) + _codes(naming[1], books, policy.lacks("books"))
    order = np.argsort(codes, kind="stable")
    found, starts = np.unique(codes[order], return_index=True)
    for code, rows in zip(found.tolist(), np.split(order, starts[1:]), strict=False):
        yield (assets[code // len(books)], books[code % len(books)]), rows


def _codes(column: Column, known: Sequence[str], lacks: str) -> npt.NDArray[np.int64]:
    """The place of every value in `known`, shape (n,)."""
    column.require_values("every row needs one")
    if not len(column):
        return np.empty(0, np.int64)
    if not column.is_text:
        raise column.refuse_type("store names as text")
    encoded = column.data.dictionary_encode()
    places = {name.encode(): code for code, name in enumerate(known)}
    words = encoded.dictionary.cast("large_binary").to_pylist()
    table = np.array([places.get(word, -1) for word in words], np.int64)
    codes: npt.NDArray[np.int64] = table[encoded.indices.to_numpy()]
    if (codes < 0).any():
        raise column.refuse(int(np.argmax(codes < 0)), lacks)
    return codes


def _called(key: Key) -> str:
    return f"the amounts of {key[0]} in book {key[1]}"


def _refuse_overflow(path: Path, what: str, units: int) -> None:
    if units >= AMOUNT_LIMIT:
        raise InputError(
            f"{place(path)}: {what} add up to {units} base units, which reaches 2^128; "
            "check units and the policy's decimals"
        )


def _files(found: mapping.Mapping) -> tuple[Path, ...]:
    """Every file once, however many names, globs and links lead to it."""
    files: dict[Path, Path] = {}
    for pattern in found.patterns:
        try:
            tables = find_tables(found.source.path.parent, pattern)
        except InputError as error:
            raise found.source.refuse("files", str(error)) from None
        for table in tables:
            files.setdefault(table.resolve(), table)
    return tuple(files.values())
