"""Build a ledger from rows in any order, and store it (SPEC.md §2)."""

import os
import tempfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Self

from auditkit.errors import InputError
from auditkit.ledger import blocks, engine, sealed
from auditkit.ledger.blocks import Block, Crown
from auditkit.ledger.columns import Balances, Limbs
from auditkit.ledger.runs import Role, Rows, Run
from auditkit.ledger.sorting import Repeated, Sorter
from auditkit.ledger.store import Ledger
from auditkit.ledger.stored import FILES, FORMAT, PARTS, SALT_BYTES, BlockHeader, fingerprint
from auditkit.verify import sumtree
from auditkit.verify.elements import AMOUNT_LIMIT
from auditkit.verify.sumtree import MAX_LEAVES_OF_ONE_ACCOUNT, Node


class Builder:
    """Builds one ledger from rows in any order, and stores it.

    What is stored depends on nothing but the rows and the 32-byte secret.
    """

    def __init__(self, draft: Path, secret: bytes, most: int = MAX_LEAVES_OF_ONE_ACCOUNT) -> None:
        """`draft` is a folder to work in, gone at the end; an account may have `most` rows."""
        self.secret = secret
        self._draft = sealed.Draft(draft, FILES, PARTS)
        try:
            self._sorter = Sorter(draft, secret, most)
        except BaseException:
            self._draft.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._sorter.close()
        self._draft.close()

    @property
    def carried(self) -> int:
        """How many accounts of an earlier ledger alone the one published has, with 0."""
        return self._sorter.carried

    def add(self, balances: Balances, role: Role = Role.OWN) -> None:
        """Take rows: the ledger's own, or what another ledger says of its accounts."""
        self._sorter.add(balances, role)

    def prepare(self, pieces: Iterable[Balances]) -> list[Run]:
        """Take own rows whose amounts will be told later, with `fill`, for each piece."""
        return self._sorter.prepare(pieces)

    def fill(self, run: Run, amounts: Limbs) -> None:
        """The amounts of a piece that was prepared, in the order of its rows, shape (n, 2)."""
        self._sorter.fill(run, amounts)

    def publish(self, directory: Path) -> "Ledger":
        """Store the ledger as `directory`, which must not exist.

        Raises Repeated if an account has too many rows, InputError if the
        total reaches 2^128 or a payment has no row, and OSError; the directory
        then does not exist.
        """
        if os.path.lexists(directory):
            raise InputError(f"{directory} exists already; a ledger is never built over another")
        store = Writer(self._draft)
        for block in hashed(self._sorter.sorted()):
            store.add(block)
        store.publish(directory, self.secret, split=self._sorter.split)
        self._sorter.close()
        return Ledger.open(directory, self.secret)


def hashed(rows: Iterable[Rows]) -> Iterator[Block]:
    """The blocks of a ledger, from its rows by ascending salt."""
    return engine.ahead(Block.of, blocks.cut(rows))


def rebuilt(
    pieces: Callable[[], Iterable[Balances]], secret: bytes, kept: list[Balances] | None = None
) -> tuple[int, Node]:
    """How many leaves these rows are, and the root they lead to; nothing is stored.

    `pieces` gives the rows, twice if it must; few are in memory at a time.
    They are put into `kept`, if it is given, in the order of the leaves. Raises
    Repeated if an account has more than 16 rows, and InputError if the total reaches 2^128.
    """
    try:
        # Most ledgers have a row an account, and need not be looked through twice.
        return _rebuilt(pieces(), secret, 1, kept)
    except Repeated:
        if kept is not None:
            kept.clear()
        return _rebuilt(pieces(), secret, MAX_LEAVES_OF_ONE_ACCOUNT, kept)


def _rebuilt(
    pieces: Iterable[Balances], secret: bytes, most: int, kept: list[Balances] | None
) -> tuple[int, Node]:
    crown = Crown()

    def noted(rows: Rows) -> Rows:
        if kept is not None:
            kept.append(rows.balances)
        return rows

    with tempfile.TemporaryDirectory(prefix="auditkit-") as folder:
        sorter = Sorter(Path(folder), secret, most)
        try:
            for piece in pieces:
                sorter.add(piece)
            for block in hashed(map(noted, sorter.sorted())):
                crown.add(block)
        finally:
            sorter.close()
    *_, top = [None, *crown.levels()]
    return crown.count, sumtree.EMPTY if top is None else Node.decode(top.tobytes())


class Writer:
    """Writes blocks, which come in order, as a stored ledger."""

    def __init__(self, draft: sealed.Draft) -> None:
        self._draft = draft
        self._crown = Crown()
        self._table: list[bytes] = []
        self._prefix = self._names = 0

    def add(self, block: Block) -> None:
        """Write the next block."""
        first = block.parts[0][:SALT_BYTES].tobytes()
        header = BlockHeader(first, self._prefix, self._names, block.sums)
        self._table.append(header.encode())
        self._prefix += block.total
        if self._prefix >= AMOUNT_LIMIT:
            raise InputError("the ledger's total reaches 2^128 base units: no ledger can state it")
        self._names += block.parts[2].size
        for name, piece in zip(PARTS, block.parts, strict=True):
            self._draft.write(name, piece)
        self._crown.add(block)

    def publish(self, directory: Path, secret: bytes, *, split: bool) -> None:
        """Write what is above the blocks, and move everything into place."""
        self._draft.write("blocks", b"".join(self._table))
        root = sumtree.EMPTY.encode()
        for level in self._crown.levels():
            self._draft.write("nodes", level)
            root = level[-1].tobytes()
        about = {"format": FORMAT, "leaves": self._crown.count, "root": root.hex(), "split": split}
        self._draft.publish({**about, "secret": fingerprint(secret)}, directory)


def build(
    directory: Path,
    balances: Balances,
    secret: bytes,
    most: int = MAX_LEAVES_OF_ONE_ACCOUNT,
) -> "Ledger":
    """Build the ledger of `balances` and store it as `directory`: `Builder` in one call."""
    with Builder(directory.with_name(f".{directory.name}.draft"), secret, most) as builder:
        builder.add(balances)
        return builder.publish(directory)
