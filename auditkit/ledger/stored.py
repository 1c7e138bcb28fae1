"""A ledger as it is stored, opened to prove accounts of it one by one (SPEC.md §2).

A stored ledger is a directory that appears whole or not at all. Its leaves, by
ascending salt, lie in blocks of 65,536:

    header    format, number of leaves, root, whether an account has several, fingerprint of
              the secret; see `sealed.py`
    salts     32 bytes a leaf
    amounts   16 bytes a leaf, big-endian base units
    names     of every block, the length of each account in a byte, then the accounts
    blocks    of every block, its first salt, the total of all before it, where its names
              start, and the SHA-256 of its salts, amounts and names
    nodes     the 48-byte nodes from the height of 64 leaves up, level by level

A block is compared with its sums before anything in it is believed, so that
one account of millions is proven by reading three blocks. All of it is as
private as the ledger's secret, which itself is not stored here. A customer
waits for what is done here, so it does without numpy, whose import alone would
take longer than the proof.
"""

import hmac
import mmap
import struct
from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any, Self

from auditkit.errors import InputError
from auditkit.ledger import sealed
from auditkit.ledger.sealed import damaged
from auditkit.verify import sumtree
from auditkit.verify.errors import Refuted
from auditkit.verify.sumtree import MAX_LEAVES_OF_ONE_ACCOUNT, NODE_BYTES, Node

FORMAT = "auditkit/stored-ledger/2"
PARTS = ("salts", "amounts", "names")
FILES = (*PARTS, "blocks", "nodes")
BLOCK = 1 << 16
STEM_HEIGHT = 6
STEM = 1 << STEM_HEIGHT
"""Nodes below a stem of so many leaves are not stored, but hashed again."""
SALT_BYTES = 32
SUM_BYTES = 16
_BLOCK = struct.Struct(">32s16sQ32s32s32s")
_OPENING_BYTES = 1 << 24  # Ledgers up to this size are read in full when they are opened.

Data = bytes | mmap.mmap


@dataclass(frozen=True, slots=True)
class BlockHeader:
    """Where a block starts: its first salt, the total of all before it, the byte of its names."""

    salt: bytes = field(repr=False)
    prefix: int
    names: int
    sums: tuple[bytes, ...] = field(repr=False)

    def encode(self) -> bytes:
        """Its row in the file `blocks`."""
        return _BLOCK.pack(
            self.salt, self.prefix.to_bytes(SUM_BYTES, "big"), self.names, *self.sums
        )

    @classmethod
    def all(cls, data: Data) -> "list[BlockHeader]":
        """The rows of the file `blocks`."""
        return [
            cls(salt, int.from_bytes(prefix, "big"), names, tuple(sums))
            for salt, prefix, names, *sums in _BLOCK.iter_unpack(data[:])
        ]


def salt(secret: bytes, account: bytes, chunk: int) -> bytes:
    """The salt of one leaf: 32 bytes."""
    return hmac.digest(secret, b"%s\0%d" % (account, chunk), "sha256")


def fingerprint(secret: bytes) -> str:
    """Tells a wrong secret, to which every account would seem absent; no salt is of no account."""
    return hmac.digest(secret, b"", "sha256").hex()


def sizes(leaves: int) -> list[int]:
    """How many nodes each level from stems up has, down to the root's one; none for no leaves."""
    found = [-(-leaves // STEM)] if leaves else []
    while found and found[-1] > 1:
        found.append((found[-1] + 1) // 2)
    return found


@dataclass(frozen=True, slots=True)
class Leaf:
    """One leaf of an account: its place, its base units, its secret salt, its siblings upward."""

    index: int
    amount: int
    salt: bytes = field(repr=False)
    path: tuple[bytes, ...] = field(repr=False)

    def root(self, account: str, leaves: int) -> Node:
        """The root that its path implies in a ledger of so many leaves. Raises Refuted."""
        start = sumtree.leaf(self.salt, self.amount, account)
        root, _ = sumtree.climb(start, self.index, leaves, [Node.decode(n) for n in self.path])
        return root


class Stored:
    """A stored ledger and its secret. Its files are mapped, not read."""

    def __init__(self, directory: Path, header: dict[str, Any], secret: bytes) -> None:
        self.directory = directory
        self.count: int = header["leaves"]
        self.split: bool = header["split"]
        self.root_node = Node.decode(bytes.fromhex(header["root"]))
        self.root, self.total = self.root_node.hash, self.root_node.sum
        self._secret = secret
        self._sums = {name: file.get("sha256") for name, file in header["files"].items()}
        self._data = {name: self._map(name, f["bytes"]) for name, f in header["files"].items()}
        self._sound: set[tuple[str, int]] = set()
        self._check("blocks")
        self.blocks = BlockHeader.all(self._data["blocks"])

    @classmethod
    def open(cls, directory: Path, secret: bytes) -> Self:
        """Open a stored ledger with its 32-byte secret.

        Raises DamagedError if a file is missing or not of the size that was
        stored, for a small ledger also if any byte is not; InputError for
        another format or the secret of another ledger.
        """
        header = sealed.read_header(directory, FORMAT)
        if header.get("secret") != fingerprint(secret):
            raise InputError(f"the secret given is not the one {directory} was built with")
        try:
            ledger = cls(directory, header, secret)
        except (KeyError, TypeError, ValueError, AttributeError, struct.error):
            raise damaged(directory / "header", "is not a stored ledger's") from None
        if sum(map(len, ledger._data.values())) <= _OPENING_BYTES:
            ledger.verify()
        return ledger

    def __len__(self) -> int:
        return self.count

    def __repr__(self) -> str:
        name = type(self).__name__
        return f"{name}({str(self.directory)!r}, leaves={self.count}, total={self.total})"

    def leaves(self, account: str) -> list[Leaf]:
        """All leaves of `account`, at most 16, by chunk number; none if it has no balance here.

        Every path was climbed to the ledger's root. Raises DamagedError.
        """
        found: list[Leaf] = []
        if not account.isascii():
            return found
        # To look for a leaf that no account has would read another block.
        for chunk in range(MAX_LEAVES_OF_ONE_ACCOUNT if self.split else 1):
            of_chunk = salt(self._secret, account.encode("ascii"), chunk)
            index = self._find(of_chunk)
            if index is None:
                break
            found.append(self._leaf(account, index, of_chunk))
        return found

    def balance(self, account: str) -> int:
        """The sum of the account's leaves, in base units; 0 if it has none."""
        return sum(leaf.amount for leaf in self.leaves(account))

    def verify(self) -> None:
        """Read every file again. Raises DamagedError naming one that is not what was stored."""
        self._sound.clear()
        self._check("blocks")
        self.check_nodes()

        def check(number: int) -> None:
            for name in PARTS:
                self.part(name, number)

        if len(self.blocks) == 1:
            check(0)
        elif self.blocks:
            with ThreadPoolExecutor(2) as pool:
                list(pool.map(check, range(len(self.blocks))))

    def part(self, name: str, number: int) -> memoryview:
        """A block's part of a file, compared with its sum the first time. Raises DamagedError."""
        data = memoryview(self._data[name])[self._bounds(name, number)]
        if (name, number) not in self._sound:
            if sha256(data).digest() != self.blocks[number].sums[PARTS.index(name)]:
                raise self._damaged(name)
            self._sound.add((name, number))
        return data

    def release(self, number: int) -> None:
        """Let the pages of a block go; whoever still looks at them reads them anew."""
        for name in PARTS:
            data, bounds = self._data[name], self._bounds(name, number)
            if isinstance(data, mmap.mmap):
                start = bounds.start // mmap.PAGESIZE * mmap.PAGESIZE
                stop = len(data) if bounds.stop is None else min(bounds.stop, len(data))
                data.madvise(mmap.MADV_DONTNEED, start, stop - start)

    def check_nodes(self) -> None:
        """Compare the file of nodes with its sum, the first time. Raises DamagedError."""
        if ("nodes", 0) not in self._sound:
            self._check("nodes")
            self._sound.add(("nodes", 0))

    def _check(self, name: str) -> None:
        """A file that the header has a sum of."""
        if sha256(self._data[name]).hexdigest() != self._sums[name]:
            raise self._damaged(name)

    def _damaged(self, name: str) -> Exception:
        return damaged(self.directory / name, "does not hold the bytes that were stored")

    def _bounds(self, name: str, number: int) -> slice:
        if name == "names":
            last = number + 1 == len(self.blocks)
            end = None if last else self.blocks[number + 1].names
            return slice(self.blocks[number].names, end)
        width = BLOCK * (SALT_BYTES if name == "salts" else SUM_BYTES)
        return slice(number * width, (number + 1) * width)

    def _map(self, name: str, size: int) -> Data:
        path = self.directory / name
        found = sealed.or_missing(path, lambda: path.stat().st_size)
        if found != size:
            raise damaged(path, f"has {found} bytes where {size} were stored")
        if not size:
            return b""
        with path.open("rb") as file:
            return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)

    def _find(self, wanted: bytes) -> int | None:
        """The index of the leaf with that salt, if there is one. Raises DamagedError."""
        number = bisect_right(self.blocks, wanted, key=lambda block: block.salt) - 1
        if number < 0:
            return None
        salts = self.part("salts", number)
        count = len(salts) // SALT_BYTES

        def at(place: int) -> bytes:
            return bytes(salts[place * SALT_BYTES : (place + 1) * SALT_BYTES])

        place = bisect_left(range(count), wanted, key=at)
        return number * BLOCK + place if place < count and at(place) == wanted else None

    def _leaf(self, account: str, index: int, of_chunk: bytes) -> Leaf:
        levels = self._stem(index)
        leaf = Leaf(index, levels[0][index % STEM].sum, of_chunk, tuple(self._path(levels, index)))
        try:
            root = leaf.root(account, self.count)
        except Refuted:
            root = None
        if root != self.root_node:
            self.verify()
            raise damaged(self.directory, f"holds a leaf {index} that does not lead to its root")
        return leaf

    def _stem(self, index: int) -> list[list[Node]]:
        """The levels over the leaves around a leaf, at most `STEM` of them, leaves first."""
        number, place = divmod(index, BLOCK)
        salts, amounts, names = (self.part(name, number) for name in PARTS)
        count, start = len(salts) // SALT_BYTES, place // STEM * STEM
        at = count + sum(bytes(names[:start]))
        level = []
        for i in range(start, min(start + STEM, count)):
            end = at + names[i]
            amount = int.from_bytes(amounts[i * SUM_BYTES : (i + 1) * SUM_BYTES], "big")
            own = bytes(salts[i * SALT_BYTES : (i + 1) * SALT_BYTES])
            try:
                account = str(names[at:end], "ascii")
            except UnicodeDecodeError:
                raise self._damaged("names") from None
            level.append(sumtree.leaf(own, amount, account))
            at = end
        found = [level]
        while len(level) > 1:
            pairs = zip(level[::2], level[1::2], strict=False)
            level = [sumtree.parent(*pair) for pair in pairs] + level[len(level) // 2 * 2 :]
            found.append(level)
        return found

    def _path(self, stem: list[list[Node]], index: int) -> Iterator[bytes]:
        """The 48-byte siblings from a leaf up to the root; promoted nodes have none."""
        place = index % STEM
        for level in stem[:-1]:
            if place ^ 1 < len(level):
                yield level[place ^ 1].encode()
            place >>= 1
        nodes, place, start = self._data["nodes"], index // STEM, 0
        for size in sizes(self.count):
            if place ^ 1 < size:
                at = (start + (place ^ 1)) * NODE_BYTES
                yield nodes[at : at + NODE_BYTES]
            start, place = start + size, place >> 1
