"""What a venue hands to its auditor beside the published log: ledgers' rows, and their secrets.

    ledgers/<seq>-<book>            a stored ledger, in a venue's own folder; or
    ledgers/<seq>-<book>.parquet    (.arrow, .feather, .csv) its rows in a handed folder:
                                    columns account and amount, in base units
    secrets/<seq>-<book>            that one ledger's secret, 64 hex digits

Nothing of it is believed: a ledger is built anew from its rows and its secret,
and only what leads to the signed root, count and total is used further.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from auditkit.audit.findings import Missing
from auditkit.errors import DamagedError, InputError, RowError, place
from auditkit.ledger.accounts import names_of
from auditkit.ledger.amounts import base_units
from auditkit.ledger.builder import rebuilt
from auditkit.ledger.cells import Column
from auditkit.ledger.columns import Balances, Limbs
from auditkit.ledger.store import Ledger as StoredLedger
from auditkit.ledger.tables import batches
from auditkit.secret import Secret
from auditkit.verify import records
from auditkit.verify.elements import HASH, PADDING_ACCOUNT
from auditkit.verify.errors import Malformed
from auditkit.verify.statements import AssetStatement
from auditkit.verify.sumtree import Node

_TOO_MANY = 1 << 17
ENDINGS = (".parquet", ".arrow", ".feather", ".csv")
"""The tables that a handed folder may hold, the first that is there being read."""


class Faulty(InputError):
    """What the venue gave is no ledger: evidence, where other InputErrors are a reader's own."""


@contextmanager
def accusing(folder: Path) -> Iterator[None]:
    """Inside, rows that no honest books have are raised as Faulty, not as another InputError.

    Its one line names files from `folder`, since it goes into a report.
    """
    try:
        yield
    except RowError as error:
        raise Faulty(str(error).replace(f"{place(folder)}/", "")) from None


@dataclass(frozen=True, slots=True)
class Rebuilt:
    """A ledger built anew: how many leaves it has, and the root that they lead to."""

    leaves: int
    root: Node

    def is_of(self, ledger: records.Ledger) -> bool:
        """Whether it is the signed ledger: same root, count and total."""
        return self == Rebuilt(ledger.accounts, Node(ledger.total, ledger.root))


class Handover:
    """The ledgers and secrets that were handed over, by the seq and the book of each."""

    def __init__(self, root: Path | None, *, stored: bool = False) -> None:
        """`root` holds `ledgers/` and `secrets/`; with `stored`, ledgers are a venue's folders."""
        self._root = root
        self._stored = stored
        self._opened: dict[tuple[int, str], tuple[Rebuilt, Balances]] = {}

    @classmethod
    def of_venue(cls, root: Path) -> "Handover":
        """All that a venue itself keeps."""
        return cls(root, stored=True)

    @classmethod
    def of_folder(cls, path: Path) -> "Handover":
        """A folder that was handed over. Raises InputError if there is none."""
        if not path.is_dir():
            raise InputError(f"{place(path)}: no such folder; name the one that was handed over")
        return cls(path)

    @classmethod
    def none(cls) -> "Handover":
        """Nothing was handed over."""
        return cls(None)

    def rows(self, seq: int, book: str) -> Iterator[Balances]:
        """The rows of a ledger, in any order, a few at a time.

        Raises Missing, also for a table that cannot be read; Faulty for rows
        that no ledger can have; DamagedError for a stored ledger that is not
        what was stored.
        """
        return self._source(seq, book)()

    def _source(self, seq: int, book: str) -> Callable[[], Iterator[Balances]]:
        """What reads the rows of a ledger from their start, each time. Raises Missing."""
        name = f"ledgers/{seq}-{book}"
        if self._root is None:
            raise Missing(name)
        if not self._stored:
            return partial(_read_table, self._root, _table(self._root, name))
        if not (self._root / name).is_dir():
            raise Missing(name)
        return partial(_read_stored, self._root, name, self.secret(seq, book))

    def secret(self, seq: int, book: str) -> bytes:
        """The 32-byte secret of a ledger. Raises Missing, also for a file that holds none."""
        name = f"secrets/{seq}-{book}"
        if self._root is None or not (self._root / name).is_file():
            raise Missing(name)
        try:
            return Secret(HASH.read((self._root / name).read_text("ascii").strip()))
        except (UnicodeDecodeError, Malformed):
            raise Missing(f"{name} that holds a secret, 64 lower-case hex digits") from None

    def closings(self, seq: int) -> Path | None:
        """The list of what deleveraging closed in that statement, if it was handed over."""
        path = None if self._root is None else self._root / f"lists/{seq}-adl.csv"
        return path if path is not None and path.is_file() else None

    def rebuilt(
        self, seq: int, signed: records.Ledger, kept: list[Balances] | None = None
    ) -> Rebuilt:
        """The ledger built anew from its rows and its secret, few rows at a time in memory.

        They are put into `kept`, if it is given, in the order of the leaves.
        Raises as `rows` and `secret`, and Faulty for many more rows than are signed.
        """
        source, secret = self._source(seq, signed.book), self.secret(seq, signed.book)

        def rows() -> Iterator[Balances]:
            count = 0
            for piece in source():
                count += len(piece)
                if count > signed.accounts + _TOO_MANY:
                    # A small file may hold any number of rows; an auditor's memory must not.
                    raise Faulty(f"has {count} rows and more where {signed.accounts} are signed")
                yield piece

        try:
            return Rebuilt(*rebuilt(rows, secret, kept))
        except InputError as error:
            raise Faulty(str(error)) from None

    def opened(self, statement: AssetStatement, book: str) -> Balances:
        """The rows of a statement's ledger in leaf order, which lead to what was signed.

        Nothing has to be handed over for a ledger of no leaves: its root says it
        all. Raises Missing if the rows were not handed over or lead elsewhere,
        and whatever `rebuilt` raises beside Faulty.
        """
        ledger = statement.ledgers_shown().get(book)
        name = f"ledger {statement.seq}-{book}"
        if ledger is None:
            raise Missing(f"{name} (the {statement.kind} {statement.seq} has no book {book})")
        if ledger.accounts == 0:
            return Balances.of(())
        try:
            found, rows = self._open(statement.seq, ledger)
        except Faulty:
            found = None
        if found is None or not found.is_of(ledger):
            raise Missing(f"{name} (what was handed over is not what was signed: see A2)")
        return rows

    def _open(self, seq: int, signed: records.Ledger) -> tuple[Rebuilt, Balances]:
        """The ledger built anew, and its rows in the order of the leaves: once."""
        key = (seq, signed.book)
        if key not in self._opened:
            kept: list[Balances] = []
            found = self.rebuilt(seq, signed, kept)
            self._opened[key] = found, Balances.joined(kept)
        return self._opened[key]


def _table(root: Path, name: str) -> Path:
    """The table of a ledger in a handed folder. Raises Missing."""
    for ending in ENDINGS:
        path = root / f"{name}{ending}"
        if path.is_file():
            return path
    raise Missing(name)


def _read_table(root: Path, path: Path) -> Iterator[Balances]:
    try:
        for table in batches(path, ["account", "amount"], alone=True):
            with accusing(root):
                piece = _checked(table["account"], base_units(table["amount"], 0))
            yield piece
    except Faulty:
        raise
    except InputError as error:
        text = str(error).replace(f"{place(root)}/", "")
        raise Missing(f"a table that can be read ({text})") from None


def _read_stored(root: Path, name: str, secret: bytes) -> Iterator[Balances]:
    try:
        ledger = StoredLedger.open(root / name, secret)
    except InputError as error:
        # A secret of another ledger, or a format that this version did not write.
        raise Faulty(str(error).replace(f"{place(root)}/", "")) from None
    row = 0
    for _, stored in ledger.rows():
        accounts = stored.balances.accounts
        try:
            # Checksums say that these are the bytes the venue stored, not that they are columns.
            accounts.validate(full=True)
        except pa.ArrowInvalid:
            raise DamagedError(f"{place(root / name)}: does not hold a ledger's columns") from None
        names = accounts.cast(pa.large_binary()).view(pa.large_string())
        column = Column(root / name, "account", names, start=row)
        with accusing(root):
            piece = _checked(column, stored.balances.amounts)
        yield piece
        row += len(stored)


def _checked(accounts: Column, amounts: Limbs) -> Balances:
    """The rows, where every name is an account's and padding holds nothing."""
    padding = np.zeros(len(accounts), np.bool_)
    if accounts.is_text:
        same = pc.equal(accounts.data, PADDING_ACCOUNT).fill_null(False)
        padding = same.to_numpy(zero_copy_only=False)
    wrong = padding & amounts.any(axis=1)
    if wrong.any():
        problem = f"pads a ledger and holds nothing, but has an amount; {PADDING_ACCOUNT} is no one"
        raise accounts.accuse(int(np.argmax(wrong)), problem)
    if not padding.any():
        return Balances(_names(accounts), amounts)
    customers, pads = np.flatnonzero(~padding), np.flatnonzero(padding)
    names = _names(accounts.take(customers))
    padded = pa.array([PADDING_ACCOUNT.encode()] * len(pads), pa.binary())
    order = np.concatenate((customers, pads))
    return Balances(pa.concat_arrays([names, padded]), amounts[order])


def _names(accounts: Column) -> pa.Array:
    """The names; one that the format does not allow is in no honest ledger. Raises RowError."""
    try:
        return names_of(accounts)
    except InputError as error:
        raise RowError(str(error)) from None
