"""Every customer's proof at once, in Parquet (SPEC.md §7): what all share, and a row a leaf.

    shared.json                   the checkpoint, the statements with their paths, the ledgers
    <seq>-<book>/<number>.parquet the leaves of a ledger, 65,536 a shard, in the leaves' order:
      account  text
      index    the leaf's index
      amount   base units, 16 bytes big-endian
      salt     32 bytes
      path     the siblings upward, 48 bytes each; behind them zeros, where there are fewer

One row of each ledger and the shared file are one customer's proof file.
Whoever has the folder has every balance: it is as private as the books.
"""

import json
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from auditkit.errors import DamagedError, InputError, place
from auditkit.files import sync, write_file
from auditkit.ledger import engine, store
from auditkit.ledger.engine import Bytes
from auditkit.ledger.runs import Rows
from auditkit.ledger.sealed import damaged
from auditkit.ledger.stored import BLOCK, SALT_BYTES, SUM_BYTES
from auditkit.publish.proofs import Prover, checked, encoded
from auditkit.publish.venue import Venue
from auditkit.verify import elements as e
from auditkit.verify import shape
from auditkit.verify.elements import Record, element, list_of, map_of, record
from auditkit.verify.errors import Malformed
from auditkit.verify.note import Checkpoint, VerifierKey
from auditkit.verify.proof import CHECKPOINT, Entry, Leaf, Proof
from auditkit.verify.records import Ledger
from auditkit.verify.statements import AssetStatement
from auditkit.verify.strictjson import loads
from auditkit.verify.sumtree import NODE_BYTES, Node

FORMAT = "auditkit/shards/1"
_SHARED = "shared.json"
_ROW_GROUP = 1 << 13
"""A customer's row is read with so many others."""
_KEY = e.Element(lambda value: VerifierKey.parse(str(value)), str)
_SEQS = list_of(e.COUNT)
_ROW = {"account": str, "index": int, "amount": bytes, "salt": bytes, "path": bytes}


@dataclass(frozen=True, slots=True)
class Sharded(Record):
    """One ledger: its statement, book and number of leaves."""

    seq: int = element(e.COUNT)
    book: str = element(e.BOOK)
    asset: str = element(e.ASSET)
    accounts: int = element(e.COUNT)


@dataclass(frozen=True, slots=True)
class Shared(Record):
    """What the proofs of a folder have in common.

    `assets` names the statements that a proof of each asset shows, `always`
    those that every proof shows.
    """

    key: VerifierKey = element(_KEY)
    checkpoint: Checkpoint = element(CHECKPOINT)
    statements: tuple[Entry, ...] = element(list_of(record(Entry), by=lambda entry: entry.seq))
    assets: Mapping[str, tuple[int, ...]] = element(map_of(e.ASSET, _SEQS))
    always: tuple[int, ...] = element(_SEQS)
    ledgers: tuple[Sharded, ...] = element(list_of(record(Sharded)))

    @classmethod
    def open(cls, folder: Path) -> Self:
        """Read it from a folder of shards. Raises InputError or DamagedError."""
        path = folder / _SHARED
        if not path.is_file():
            raise InputError(f"{place(folder)}: no folder of shards; make one with prove --all")
        try:
            value = loads(path.read_text("utf-8"))
            if not isinstance(value, dict) or value.pop("format", None) != FORMAT:
                raise InputError(f"{place(path)}: not in the format {FORMAT}")
            shared = cls.read(value)
            if not {ledger.asset for ledger in shared.ledgers} <= shared.assets.keys():
                raise Malformed("an asset of the ledgers is not among the assets")
            return shared
        except (Malformed, UnicodeDecodeError) as error:
            raise DamagedError(f"{place(path)}: {error}; make the shards again") from None

    def signed(self, about: Sharded) -> Ledger:
        """What is signed of one of the ledgers."""
        [statement] = (entry.text for entry in self.statements if entry.seq == about.seq)
        if not isinstance(statement, AssetStatement):
            raise TypeError(f"{statement.kind} {about.seq} has no ledger")
        return statement.ledgers_shown()[about.book]

    def proof(self, account: str, leaves: Sequence[Leaf]) -> Proof:
        """The proof file of an account with these leaves, which there must be."""
        own = {(leaf.seq, leaf.book) for leaf in leaves}
        assets = {ledger.asset for ledger in self.ledgers if (ledger.seq, ledger.book) in own}
        seqs = {seq for asset in assets for seq in self.assets[asset]} | set(self.always)
        entries = tuple(entry for entry in self.statements if entry.seq in seqs)
        return Proof(account, self.checkpoint, entries, tuple(leaves), ())


def write(venue: Venue, assets: Sequence[str], output: Path) -> tuple[int, int]:
    """Write the shards of all accounts into a new folder; returns leaves and shards.

    Raises InputError if the folder exists or there is nothing to show, and
    OSError; nothing is left behind then.
    """
    if os.path.lexists(output):
        raise InputError(f"{place(output)}: exists; name a new folder")
    shared = _shared(venue, assets)
    draft = output.with_name(f".{output.name}.draft")
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(0o700)
    try:
        written = [_write_ledger(venue, shared, ledger, draft) for ledger in shared.ledgers]
        text = json.dumps({"format": FORMAT, **shared.write()}, indent=1) + "\n"
        write_file(draft / _SHARED, text.encode(), 0o600)
        draft.rename(output)
        sync(output.absolute().parent)
    except BaseException:
        shutil.rmtree(draft, ignore_errors=True)
        raise
    return sum(ledger.accounts for ledger in shared.ledgers), sum(written)


def _shared(venue: Venue, assets: Sequence[str]) -> Shared:
    prover = Prover(venue)
    shown = prover.shown(assets)
    ledgers = [
        Sharded(seq, book, asset, ledger.accounts)
        for asset in shown.assets
        for seq, book, ledger in prover.ledgers(asset, prover.stretch)
        if ledger.accounts
    ]
    if not ledgers:
        raise InputError("there is no ledger with accounts to be shown")
    return Shared(venue.key, shown.head, shown.entries, shown.assets, shown.always, tuple(ledgers))


def _write_ledger(venue: Venue, shared: Shared, about: Sharded, draft: Path) -> int:
    """Write the shards of one ledger, and wait for the disk; returns how many."""
    ledger = venue.ledgers.open(about.seq, shared.signed(about))
    folder = draft / f"{about.seq}-{about.book}"
    folder.mkdir(0o700)

    def shard(piece: tuple[int, tuple[int, Rows]]) -> None:
        number, (_, rows) = piece
        path = folder / f"{number:05}.parquet"
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "wb") as file:
            pq.write_table(
                table(ledger, number, rows),
                file,
                row_group_size=_ROW_GROUP,
                compression="zstd",
                compression_level=1,
                use_dictionary=False,
                write_statistics=False,
                write_page_checksum=True,
            )
            file.flush()
            os.fsync(file.fileno())

    count = 0
    for _ in engine.ahead(shard, enumerate(ledger.rows())):
        count += 1
    sync(folder)
    return count


def table(ledger: store.Ledger, number: int, rows: Rows) -> pa.Table:
    """The shard of a ledger's block. Raises DamagedError if accounts are no text."""
    try:
        accounts = rows.balances.accounts.cast(pa.string())
    except pa.ArrowInvalid:
        raise damaged(ledger.directory / "names", "does not hold accounts") from None
    amounts = rows.balances.amounts.astype(">u8")
    return pa.table(
        {
            "account": accounts,
            "index": pa.array(np.arange(len(rows), dtype=np.int64) + number * BLOCK),
            "amount": _fixed(amounts.view(np.uint8).reshape(len(rows), -1)),
            "salt": _fixed(rows.salts),
            "path": _fixed(paths(ledger, number, rows)),
        }
    )


def _fixed(rows: Bytes) -> pa.Array:
    """Rows of bytes as fixed-size binary."""
    count, width = rows.shape
    data = pa.py_buffer(np.ascontiguousarray(rows))
    return pa.Array.from_buffers(pa.binary(width), count, [None, data])


def paths(ledger: store.Ledger, number: int, rows: Rows) -> Bytes:
    """The siblings upward of each leaf of a block, shape (n, 48 * height), zeros behind them."""
    count, size = len(rows), ledger.count
    height = max((size - 1).bit_length(), 1)
    cells = np.zeros((count, height), f"V{NODE_BYTES}")
    filled = np.zeros(count, np.int64)
    index = np.arange(count) + number * BLOCK
    for step, (nodes, first) in enumerate(ledger.levels_over(number, rows)):
        sibling = (index >> step) ^ 1
        there = np.flatnonzero(sibling < -(-size >> step))
        values = nodes.view(f"V{NODE_BYTES}").reshape(-1)[sibling[there] - first]
        if len(there) == count and (filled == step).all():
            cells[:, step] = values
        else:
            # Promoted nodes have no sibling, so what comes above them moves down.
            cells[there, filled[there]] = values
        filled[there] += 1
    return cells.view(np.uint8).reshape(count, height * NODE_BYTES)


def prove(folder: Path, account: str) -> bytes:
    """The checked proof file of one account, from shards. Raises InputError or DamagedError."""
    shared = Shared.open(folder)
    leaves = [leaf for ledger in shared.ledgers for leaf in _leaves(folder, ledger, account)]
    if not leaves:
        raise InputError(f"account {account!r:.140} has no leaf in the shards of {place(folder)}")
    data = encoded(shared.proof(account, leaves))
    checked(data, shared.key, account)
    return bytes(data)


def _leaves(folder: Path, about: Sharded, account: str) -> Iterator[Leaf]:
    where = folder / f"{about.seq}-{about.book}"
    for number in range(-(-about.accounts // BLOCK)):
        path = where / f"{number:05}.parquet"
        try:
            with pq.ParquetFile(path, page_checksum_verification=True) as file:
                found = _rows(file, min(about.accounts - number * BLOCK, BLOCK), account)
            yield from (_leaf(about, row) for row in found)
        except FileNotFoundError:
            raise DamagedError(f"{place(path)}: is missing; make the shards again") from None
        except (pa.ArrowException, OSError, ValueError, Malformed) as error:
            reason = " ".join(str(error).split())
            raise DamagedError(f"{place(path)}: cannot be read ({reason}); make it again") from None


def _rows(file: pq.ParquetFile, count: int, account: str) -> list[dict[str, Any]]:
    """The account's rows of a shard of so many. Raises ValueError for what is no such shard."""
    if file.metadata.num_rows != count:
        raise ValueError(f"it has {file.metadata.num_rows} rows instead of {count}")
    if set(file.schema_arrow.names) != _ROW.keys():
        raise ValueError(f"its columns are not {', '.join(_ROW)}")
    if pc.index(file.read(["account"])["account"], account).as_py() < 0:
        return []
    rows = file.read()
    found: list[dict[str, Any]] = rows.filter(pc.equal(rows["account"], account)).to_pylist()
    return found


def _leaf(about: Sharded, row: dict[str, Any]) -> Leaf:
    """The leaf of a row. Raises ValueError or Malformed if it is none."""
    types = {name: type(row.get(name)) for name in _ROW}
    if types != _ROW or not 0 <= row["index"] < about.accounts:
        raise ValueError("a row of it is not a leaf's")
    if (len(row["amount"]), len(row["salt"])) != (SUM_BYTES, SALT_BYTES):
        raise ValueError("an amount or a salt of it has another length")
    count = len(list(shape.siblings(row["index"], about.accounts)))
    nodes = [row["path"][at : at + NODE_BYTES] for at in range(0, count * NODE_BYTES, NODE_BYTES)]
    amount = int.from_bytes(row["amount"], "big")
    path = tuple(map(Node.decode, nodes))
    return Leaf(about.seq, about.book, row["index"], amount, row["salt"], path)
