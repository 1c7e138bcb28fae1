"""The books: an exchange's tables, described by a books.toml -> ledgers of (account, amount)."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from auditkit.errors import InputError, place
from auditkit.ledger import mapping
from auditkit.ledger.accounts import account_names
from auditkit.ledger.amounts import base_units
from auditkit.ledger.cells import Column
from auditkit.ledger.columns import Balances, Limbs, total
from auditkit.ledger.mapping import LongColumns, Units, WideLedger
from auditkit.ledger.tables import find_tables, read_columns
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

    def load(
        self,
        decimals: Mapping[str, int],
        books: Collection[str],
        default_book: str,
        only: Key | None = None,
    ) -> dict[Key, Balances]:
        """The ledgers by (asset, book), in base units; rows of amount 0 are kept.

        `decimals` (by asset) and `books` are the policy's, `default_book` is
        the book that shares losses and stands where the mapping names none.
        Wide books give every ledger they map, long ones those that occur.
        With `only` no other ledger's amounts are read, and the result is
        empty where the books have no such ledger. Raises InputError.
        """
        policy = _Policy(decimals, books, default_book)
        if self.long is None:
            return self._load_wide(policy, only)
        return self._load_long(self.long, policy, only)

    def _load_wide(self, policy: "_Policy", only: Key | None) -> dict[Key, Balances]:
        """All ledgers have the same rows, so the accounts are read and checked once."""
        columns = {key: name for key, name in self._keys(policy).items() if only in (None, key)}
        if not columns:
            return {}
        accounts: list[Column] = []
        amounts: dict[Key, list[Limbs]] = {key: [] for key in columns}
        for path in self.files:
            table = read_columns(path, [self.account, *columns.values()])
            accounts.append(table[self.account])
            for key, name in columns.items():
                amounts[key].append(base_units(table[name], self._places(policy, key)))
        names = account_names(accounts, self.split)
        return {key: Balances(names, self._joined(key, amounts[key])) for key in columns}

    def _load_long(
        self, long: LongColumns, policy: "_Policy", only: Key | None
    ) -> dict[Key, Balances]:
        accounts: dict[Key, list[Column]] = {}
        amounts: dict[Key, list[Limbs]] = {}
        naming = [long.asset] if long.book is None else [long.asset, long.book]
        for path in self.files:
            table = read_columns(path, [self.account, *naming, long.amount])
            for key, rows in _groups([table[name] for name in naming], policy):
                if only in (None, key):
                    limbs = base_units(table[long.amount].take(rows), self._places(policy, key))
                    accounts.setdefault(key, []).append(table[self.account].take(rows))
                    amounts.setdefault(key, []).append(limbs)
        return {
            key: Balances(account_names(accounts[key], self.split), self._joined(key, amounts[key]))
            for key in sorted(accounts)
        }

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

    def _joined(self, key: Key, parts: Sequence[Limbs]) -> Limbs:
        amounts = np.concatenate(parts)
        _refuse_overflow(self.path, f"the amounts of {key[0]} in book {key[1]}", amounts)
        return amounts


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
    _refuse_overflow(path, "the amounts", amounts)
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
    if not column.is_text and len(column):
        raise column.refuse_type("store names as text")
    encoded = column.data.dictionary_encode()
    places = {name.encode(): code for code, name in enumerate(known)}
    words = encoded.dictionary.cast("large_binary").to_pylist()
    table = np.array([places.get(word, -1) for word in words], np.int64)
    codes: npt.NDArray[np.int64] = table[encoded.indices.to_numpy()]
    if (codes < 0).any():
        raise column.refuse(int(np.argmax(codes < 0)), lacks)
    return codes


def _refuse_overflow(path: Path, what: str, amounts: Limbs) -> None:
    if total(amounts) >= AMOUNT_LIMIT:
        raise InputError(
            f"{place(path)}: {what} add up to {total(amounts)} base units, which reaches 2^128; "
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
