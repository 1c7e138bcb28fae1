"""Build, store and reopen a ledger's tree; prove one account (SPEC.md §2).

A stored ledger is a directory that appears whole or not at all:

    header    format, number of leaves, root, fingerprint of the secret; see `sealed.py`
    salts     32 bytes a leaf, ascending
    leaves    the 48-byte nodes of the leaves, whose first 16 bytes are the amounts
    nodes     the 48-byte nodes of all levels above, from the bottom; the last is the root
    offsets   where each leaf's account starts in `names`: n + 1 little-endian 32-bit integers
    names     the accounts, one after the other

All of it is as private as the ledger's secret, which itself is not stored here.
"""

import hmac
import os
from bisect import bisect_left
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from auditkit.errors import InputError
from auditkit.ledger import hashing, sealed, tree
from auditkit.ledger.columns import Balances
from auditkit.ledger.engine import HASH_BYTES, Bytes
from auditkit.ledger.sealed import damaged
from auditkit.verify import sumtree
from auditkit.verify.errors import Refuted

FORMAT = "auditkit/stored-ledger/1"
FILES = ("salts", "leaves", "nodes", "offsets", "names")
_OPENING_BYTES = 1 << 24  # Ledgers up to this size are read in full when they are opened.


def build(directory: Path, balances: Balances, secret: bytes) -> "Ledger":
    """Build the ledger of `balances` and store it as `directory`, which must not exist.

    The rows may be in any order; what is stored depends on nothing but the
    rows and the 32-byte secret. Raises InputError if an account has more than
    16 rows or the total reaches 2^128, and OSError; the directory then does not exist.
    """
    if os.path.lexists(directory):
        raise InputError(f"{directory} exists already; a ledger is never built over another")
    salts, ordered = tree.arrange(balances, secret)
    offsets, names = hashing.parts(ordered.accounts)
    with sealed.draft(directory, FILES) as draft:
        for name, column in (("salts", salts), ("offsets", offsets), ("names", names)):
            draft.write(name, column)
        levels = tree.levels(hashing.leaf_nodes(salts, ordered.amounts, ordered.accounts))
        for height, level in enumerate(levels):
            draft.write("nodes" if height else "leaves", level)
        root = level.tobytes() or sumtree.EMPTY.encode()
        about = {"format": FORMAT, "leaves": len(salts), "root": root.hex()}
        draft.publish({**about, "secret": _fingerprint(secret)})
    return Ledger.open(directory, secret)


def _fingerprint(secret: bytes) -> str:
    """Tells a wrong secret, to which every account would seem absent; no salt is of no account."""
    return hmac.digest(secret, b"", "sha256").hex()


class Ledger:
    """A stored ledger and its secret. Its files are mapped, not read."""

    def __init__(self, directory: Path, header: dict[str, Any], secret: bytes) -> None:
        self.directory = directory
        self.count: int = header["leaves"]
        node = sumtree.Node.decode(bytes.fromhex(header["root"]))
        self.root, self.total = node.hash, node.sum
        self._secret = secret
        self._sums: dict[str, str] = {n: f["sha256"] for n, f in header["files"].items()}
        self._data = {n: self._map(n, f["bytes"]) for n, f in header["files"].items()}
        self._sound: set[str] = set()
        leaves, above = (self._data[n].reshape(-1, sumtree.NODE_BYTES) for n in ("leaves", "nodes"))
        self._levels = tree.cut(leaves, above)

    @classmethod
    def open(cls, directory: Path, secret: bytes) -> "Ledger":
        """Open a stored ledger with its 32-byte secret.

        Raises DamagedError if a file is missing or not of the size that was
        stored, for a small ledger also if any byte is not; InputError for a
        newer format or the secret of another ledger.
        """
        header = sealed.read_header(directory, FORMAT)
        if header["secret"] != _fingerprint(secret):
            raise InputError(f"the secret given is not the one {directory} was built with")
        ledger = cls(directory, header, secret)
        if sum(data.size for data in ledger._data.values()) <= _OPENING_BYTES:
            ledger.verify()
        return ledger

    def __len__(self) -> int:
        return self.count

    def __repr__(self) -> str:
        return f"Ledger({str(self.directory)!r}, leaves={self.count}, total={self.total})"

    def leaves(self, account: str) -> list[tree.Leaf]:
        """All leaves of `account`, at most 16, by chunk number; none if it has no balance here.

        Every path was climbed to the ledger's root. Raises DamagedError.
        """
        if not account.isascii():
            return []
        # A damaged salt would hide an account that is there: all are checked before any search.
        salts = self._checked("salts").reshape(-1, HASH_BYTES)
        found = []
        for chunk in range(sumtree.MAX_LEAVES_OF_ONE_ACCOUNT):
            salt = hashing.salt(self._secret, account.encode("ascii"), chunk)
            index = bisect_left(range(self.count), salt, key=lambda i: salts[i].tobytes())
            if index == self.count or salts[index].tobytes() != salt:
                break
            found.append(self._leaf(account, index, salt))
        return found

    def balance(self, account: str) -> int:
        """The sum of the account's leaves, in base units; 0 if it has none."""
        return sum(leaf.amount for leaf in self.leaves(account))

    def balances(self) -> Balances:
        """The accounts and amounts in the order of the leaves. Raises DamagedError."""
        buffers = [None, *(pa.py_buffer(self._checked(name)) for name in ("offsets", "names"))]
        accounts = pa.Array.from_buffers(pa.binary(), self.count, buffers)
        words = self._checked("leaves").view(">u8").reshape(-1, sumtree.NODE_BYTES // 8)
        return Balances(accounts, words[:, :2].astype(np.uint64))

    def departed(self, names: pa.Array) -> pa.Array:
        """The accounts with a balance above 0 in this ledger that are not in `names`, each once."""
        here = self.balances()
        held = here.accounts.filter(pa.array(here.amounts.any(axis=1)))
        return pc.unique(held.filter(pc.invert(pc.is_in(held, value_set=names))))

    def verify(self) -> None:
        """Read every file again. Raises DamagedError naming one that is not what was stored."""
        self._sound.clear()
        with ThreadPoolExecutor(2) as pool:
            list(pool.map(self._checked, FILES))

    def _checked(self, name: str) -> Bytes:
        """The bytes of a file, compared with its checksum the first time."""
        data = self._data[name]
        if name not in self._sound:
            if sha256(data.data).hexdigest() != self._sums[name]:
                raise damaged(self.directory / name, "does not hold the bytes that were stored")
            self._sound.add(name)
        return data

    def _map(self, name: str, size: int) -> Bytes:
        path = self.directory / name
        found = sealed.or_missing(path, lambda: path.stat().st_size)
        if found != size:
            raise damaged(path, f"has {found} bytes where {size} were stored")
        return np.memmap(path, np.uint8, "r") if size else np.empty(0, np.uint8)

    def _leaf(self, account: str, index: int, salt: bytes) -> tree.Leaf:
        leaf = tree.leaf(self._levels, index, salt)
        try:
            root = leaf.root(account, self.count)
        except Refuted:
            root = None
        if root != sumtree.Node(self.total, self.root):
            self.verify()
            raise damaged(self.directory, f"holds a leaf {index} that does not lead to its root")
        return leaf
