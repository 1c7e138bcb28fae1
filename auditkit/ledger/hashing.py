"""Hashing in bulk: salts, leaves and parents of a whole ledger, in one place (SPEC.md §2).

Everything a ledger hashes goes through here: salts, leaves and parents. A row
is one message; rows hashed together are equally wide, so accounts are grouped
by the length of their names. Messages are laid out here only to be fast:
`auditkit.verify.sumtree` says what they have to be, and the tests hold this to
it byte for byte, by both of the paths of `engine.py`.
"""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from auditkit.errors import InputError
from auditkit.ledger.columns import Limbs, sums
from auditkit.ledger.engine import HASH_BYTES, Bytes, Lane, Numbers, in_chunks
from auditkit.ledger.stored import SUM_BYTES
from auditkit.verify.sumtree import LEAF_PREFIX, NODE_BYTES, PARENT_PREFIX

_HMAC_BLOCK = 64
_MOST_DIGITS = 9
_MOST_NAME_BYTES = 128
_HASH = np.dtype(f"V{HASH_BYTES}")
_NODE = np.dtype([("sum", f"V{SUM_BYTES}"), ("hash", _HASH)])

_Pick = Callable[[slice], slice | Numbers]


def parts(accounts: pa.Array) -> tuple[npt.NDArray[np.int32], Bytes]:
    """Where each account of an Arrow binary array starts and ends, (n + 1,), in which bytes."""
    if not len(accounts):
        return np.zeros(1, np.int32), np.empty(0, np.uint8)
    _, offsets, data = accounts.buffers()
    ends = np.frombuffer(offsets, np.int32)[accounts.offset :][: len(accounts) + 1]
    return ends - ends[0], np.frombuffer(data, np.uint8)[ends[0] : ends[-1]]


class _Names:
    """Account names that numpy can gather, without copying them first."""

    def __init__(self, accounts: pa.Array) -> None:
        ends, self._data = parts(accounts)
        self._starts = ends[:-1]
        lengths = ends[1:] - ends[:-1]
        if len(lengths) and not 1 <= lengths.min() <= lengths.max() <= _MOST_NAME_BYTES:
            raise InputError(f"an account's name has 1 to {_MOST_NAME_BYTES} bytes")
        self.lengths: Numbers = lengths.astype(np.int16)

    def matrix(self, length: int, where: slice | Numbers) -> Bytes:
        """The names at `where`, all `length` bytes long: (k, length)."""
        # A window of `length` bytes begins at every byte; gathering windows copies whole names.
        count = self._data.size - length + 1
        windows = np.ndarray((count,), f"V{length}", self._data, strides=(1,))
        return matrix(windows[self._starts[where]])


def _groups(kinds: Numbers) -> Iterator[tuple[int, int, _Pick]]:
    """Each kind, how many rows are of it, and which rows a slice of those are."""
    found, counts = np.unique(kinds, return_counts=True)
    for kind, count in zip(found.tolist(), counts.tolist(), strict=True):
        if count == len(kinds):
            yield kind, count, lambda part: part
        else:
            yield kind, count, np.flatnonzero(kinds == kind).__getitem__


def cells_of(rows: Bytes, cell: np.dtype[Any]) -> npt.NDArray[Any]:
    """Each row of a matrix as one cell, which is gathered and scattered whole: (n,)."""
    return rows.view(cell).reshape(-1)


def matrix(cells: npt.NDArray[Any]) -> Bytes:
    """The bytes of each cell as a row, the inverse of `cells_of`: (n, size of a cell)."""
    size = cells.dtype.itemsize
    return np.ascontiguousarray(cells).view(np.uint8).reshape(len(cells), size)


def hmac_salts(secret: bytes, accounts: pa.Array, chunks: Numbers) -> Bytes:
    """The `salt` of each row, HMAC-SHA-256(secret, account || 0x00 || chunk number): (n, 32).

    `accounts` is Arrow binary without nulls; `chunks`, shape (n,), numbers each row among
    its account's, from 0 to 10^9 - 1. Raises InputError if the secret does not have 32 bytes
    or a name more than 128.
    """
    if len(secret) != HASH_BYTES:
        raise InputError(f"a ledger's secret has {HASH_BYTES} bytes, this one {len(secret)}")
    key = np.frombuffer(secret.ljust(_HMAC_BLOCK, b"\0"), np.uint8)
    inner, outer = key ^ np.uint8(0x36), key ^ np.uint8(0x5C)
    names = _Names(accounts)
    out = np.empty((len(accounts), HASH_BYTES), np.uint8)

    def work(length: int, digits: int, pick: _Pick, lane: Lane, part: slice) -> None:
        where = pick(part)
        rows = lane.rows(part.stop - part.start, _HMAC_BLOCK + length + 1 + digits)
        rows[:, :_HMAC_BLOCK] = inner
        rows[:, _HMAC_BLOCK : _HMAC_BLOCK + length] = names.matrix(length, where)
        rows[:, _HMAC_BLOCK + length] = 0
        for place in range(digits):
            rows[:, -1 - place] = ord("0") + chunks[where] // 10**place % 10
        message = lane.digest(rows)
        rows = lane.rows(len(message), _HMAC_BLOCK + HASH_BYTES)
        rows[:, :_HMAC_BLOCK] = outer
        rows[:, _HMAC_BLOCK:] = message
        cells_of(out, _HASH)[where] = cells_of(lane.digest(rows), _HASH)

    kinds = names.lengths * np.int16(_MOST_DIGITS)
    for more in range(1, len(str(chunks.max(initial=0)))):
        kinds += chunks >= 10**more
    for kind, count, pick in _groups(kinds):
        length, more = divmod(kind, _MOST_DIGITS)
        in_chunks(count, partial(work, length, more + 1, pick))
    return out


def leaf_nodes(salts: Bytes, amounts: Limbs, accounts: pa.Array) -> Bytes:
    """The leaf of each row, u128be(amount) || hash: (n, 48). Salts are (n, 32)."""
    names = _Names(accounts)
    nodes = np.empty((len(accounts), NODE_BYTES), np.uint8)
    nodes.view(">u8")[:, :2] = amounts
    cells = cells_of(nodes, _NODE)

    def work(length: int, pick: _Pick, lane: Lane, part: slice) -> None:
        where = pick(part)
        rows = lane.rows(part.stop - part.start, 1 + HASH_BYTES + SUM_BYTES + length)
        rows[:, 0] = ord(LEAF_PREFIX)
        rows[:, 1:33] = matrix(cells_of(salts, _HASH)[where])
        rows[:, 33:49] = matrix(cells["sum"][where])
        rows[:, 49:] = names.matrix(length, where)
        cells["hash"][where] = cells_of(lane.digest(rows), _HASH)

    for length, count, pick in _groups(names.lengths):
        in_chunks(count, partial(work, length, pick))
    return nodes


def parents(level: Bytes) -> Bytes:
    """The level above a level of (m, 48) nodes, m >= 1: ((m + 1) // 2, 48).

    Pairs from the left; an odd last node is promoted unchanged. Raises
    InputError if a sum reaches 2^128.
    """
    pairs = len(level) // 2
    above = np.empty((len(level) - pairs, NODE_BYTES), np.uint8)
    above[pairs:] = level[2 * pairs :]
    children = level[: 2 * pairs].reshape(pairs, 2 * NODE_BYTES)

    def work(lane: Lane, part: slice) -> None:
        rows = lane.rows(part.stop - part.start, 1 + 2 * NODE_BYTES)
        rows[:, 0] = ord(PARENT_PREFIX)
        rows[:, 1:] = children[part]
        words = children[part].view(">u8").astype(np.uint64)
        above.view(">u8")[part, :2], wrapped = sums(words[:, :2], words[:, 6:8])
        if wrapped:
            raise InputError("the ledger's total reaches 2^128 base units: no ledger can state it")
        above[part, SUM_BYTES:] = lane.digest(rows)

    in_chunks(pairs, work)
    return above
