"""Rows on disk, and back again by the first bits of their salts: half of an external sort.

A run is some 10^5 rows, ordered by the first 12 bits of their salts. So the
rows of every run that fall into one part of all salts lie together, and a
part is read from all runs at once. The file has no name: whatever becomes of
the process, no salt stays behind.
"""

import os
import threading
from dataclasses import dataclass, field
from enum import IntEnum
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from auditkit.files import naming
from auditkit.ledger.columns import Balances, Limbs
from auditkit.ledger.engine import HASH_BYTES, Bytes, Numbers
from auditkit.ledger.hashing import parts

_BITS = 12
PARTS = 1 << _BITS
"""Salts fall into so many parts, by their first bits."""

_AMOUNT_BYTES = 16


class Role(IntEnum):
    """What a row is to a ledger: one of its own, or what another ledger says of its account."""

    OWN = 0
    PAID = 1
    """The account is in the ledger, and gets this amount on top."""
    CARRIED = 2
    """The account had money before; it stands with 0 if the ledger has no row of it."""


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows of a ledger and their salts, shape (n, 32); or other bytes to order them by."""

    salts: Bytes = field(repr=False)
    balances: Balances

    def __len__(self) -> int:
        return len(self.salts)

    def take(self, order: Numbers) -> "Rows":
        """The rows at these places."""
        return Rows(np.take(self.salts, order, axis=0), self.balances.take(order))

    def slice(self, start: int, stop: int) -> "Rows":
        """The rows start <= i < stop, without a copy."""
        return Rows(self.salts[start:stop], self.balances.slice(start, stop))

    @classmethod
    def joined(cls, pieces: "list[Rows]") -> "Rows":
        """All rows of the pieces, of which there is at least one."""
        if len(pieces) == 1:
            return pieces[0]
        salts = np.concatenate([piece.salts for piece in pieces])
        return cls(salts, Balances.joined([piece.balances for piece in pieces]))


@dataclass(frozen=True, slots=True)
class Run:
    """Where a run lies. `rows` and `names` tell where each part starts, in rows and in bytes.

    `order` says where each row came from, if that is still to be known.
    """

    at: int
    role: int
    rows: npt.NDArray[np.uint32]
    names: npt.NDArray[np.uint32]
    order: npt.NDArray[np.uint32]

    @property
    def count(self) -> int:
        """The number of its rows."""
        return int(self.rows[-1])


class Runs:
    """A file of runs in a folder. Threads may add and read at once."""

    def __init__(self, folder: Path, width: int = HASH_BYTES) -> None:
        """`width` is how many bytes a salt has, or what stands in its place."""
        self._width, self._folder = width, folder
        path = folder / "runs"
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            path.unlink()
        except BaseException:
            self.close()
            raise
        self._end = 0
        self._lock = threading.Lock()
        self.all: list[Run] = []

    def close(self) -> None:
        """Give the space back, once."""
        if self._file >= 0:
            file, self._file = self._file, -1
            os.close(file)

    def add(self, rows: Rows, role: int, *, keep_order: bool = False) -> Run:
        """Write a run, whose names have fewer than 2^31 bytes."""
        keys = leading(rows.salts)
        order = np.argsort(keys, kind="stable")
        starts = np.concatenate(([0], np.cumsum(np.bincount(keys, minlength=PARTS))))
        rows = rows.take(order)
        ends, names = parts(rows.balances.accounts)
        lengths = np.diff(ends).astype(np.uint8)
        pieces = (rows.salts, rows.balances.amounts, lengths, names)
        at = self._room(sum(piece.nbytes for piece in pieces))
        kept = order.astype(np.uint32) if keep_order else np.empty(0, np.uint32)
        run = Run(at, role, starts.astype(np.uint32), ends[starts].astype(np.uint32), kept)
        for piece in pieces:
            self._write(at, piece)
            at += piece.nbytes
        with self._lock:
            self.all.append(run)
        return run

    def fill(self, run: Run, amounts: Limbs) -> None:
        """Give a run whose order was kept other amounts, shape (n, 2), as its rows were added."""
        self._write(run.at + run.count * self._width, amounts[run.order])

    def read(self, first: int, last: int, runs: list[Run]) -> tuple[Rows, npt.NDArray[np.uint8]]:
        """The rows of the parts first <= p < last of some runs, and the role of each."""
        places = [(run, int(run.rows[first]), int(run.rows[last])) for run in runs]
        places = [(run, start, stop) for run, start, stop in places if start < stop]
        count = sum(stop - start for _, start, stop in places)
        text = sum(int(run.names[last]) - int(run.names[first]) for run, _, _ in places)
        salts, amounts = np.empty((count, self._width), np.uint8), np.empty((count, 2), np.uint64)
        lengths, roles = np.empty(count, np.uint8), np.empty(count, np.uint8)
        names = np.empty(text, np.uint8)
        row = byte = 0
        for run, start, stop in places:
            end = row + stop - start
            letters = int(run.names[last]) - int(run.names[first])
            at = run.at
            for width, into in ((self._width, salts), (_AMOUNT_BYTES, amounts), (1, lengths)):
                self._read(at + start * width, into[row:end])
                at += run.count * width
            self._read(at + int(run.names[first]), names[byte : byte + letters])
            roles[row:end] = run.role
            row, byte = end, byte + letters
        return Rows(salts, Balances(accounts_of(lengths, names), amounts)), roles

    def _room(self, size: int) -> int:
        with self._lock:
            at, self._end = self._end, self._end + size
        return at

    def _write(self, at: int, piece: npt.NDArray[Any]) -> None:
        data = np.ascontiguousarray(piece).reshape(-1).view(np.uint8).data
        with naming(self._folder):
            while len(data):
                done = os.pwrite(self._file, data, at)
                data, at = data[done:], at + done

    def _read(self, at: int, into: npt.NDArray[Any]) -> None:
        data = into.reshape(-1).view(np.uint8).data
        while len(data):
            done = os.preadv(self._file, [data], at)
            if not done:
                raise OSError("a temporary file was cut short")
            data, at = data[done:], at + done


def leading(salts: Bytes) -> npt.NDArray[np.uint16]:
    """The part that each salt falls into."""
    first = np.ascontiguousarray(salts[:, :2]).view(">u2").reshape(-1)
    return first.astype(np.uint16) >> np.uint16(16 - _BITS)


def accounts_of(lengths: npt.NDArray[np.uint8], names: Bytes) -> pa.Array:
    """An Arrow binary array of account names, from their lengths and all their bytes."""
    offsets = np.zeros(len(lengths) + 1, np.int32)
    np.cumsum(lengths, dtype=np.int32, out=offsets[1:])
    buffers = [None, pa.py_buffer(offsets), pa.py_buffer(names)]
    return pa.Array.from_buffers(pa.binary(), len(lengths), buffers)
