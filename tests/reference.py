"""The format built a second time, naively and without the kernel (SPEC.md §1 to §4).

Trees are recursive definitions over whole lists, shares are fractions, and
signing is pycryptodome's: slow and short, so that the kernel is held against
something that shares none of its cleverness.
"""

import base64
import hmac
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from fractions import Fraction
from functools import cached_property
from hashlib import sha256
from math import floor

from Crypto.PublicKey import ECC
from Crypto.Signature import eddsa

Json = dict[str, object]
Balances = Mapping[str, int]

PADDING = "-"
EMPTY = bytes(16) + sha256(b"").digest()
_EPOCH = datetime(1970, 1, 1)


def canonical(value: object) -> str:
    """The canonical text of a JSON value."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"))


def b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def clock(milliseconds: int) -> str:
    """The text of a time in milliseconds since 1970."""
    moment = _EPOCH + timedelta(milliseconds=milliseconds)
    return moment.isoformat(timespec="milliseconds") + "Z"


def milliseconds(text: str) -> int:
    """The time that `clock` writes."""
    return (datetime.fromisoformat(text[:-1]) - _EPOCH) // timedelta(milliseconds=1)


def _half(size: int) -> int:
    """The largest power of two below `size`."""
    k = 1
    while 2 * k < size:
        k *= 2
    return k


# The history log: RFC 9162 §2.1.


def log_root(entries: Sequence[bytes]) -> bytes:
    if not entries:
        return sha256(b"").digest()
    if len(entries) == 1:
        return sha256(b"\x00" + entries[0]).digest()
    k = _half(len(entries))
    return sha256(b"\x01" + log_root(entries[:k]) + log_root(entries[k:])).digest()


def log_path(index: int, entries: Sequence[bytes]) -> list[bytes]:
    """The inclusion path of entry `index`, bottom up."""
    if len(entries) == 1:
        return []
    k = _half(len(entries))
    if index < k:
        return [*log_path(index, entries[:k]), log_root(entries[k:])]
    return [*log_path(index - k, entries[k:]), log_root(entries[:k])]


def log_extension(size: int, entries: Sequence[bytes], complete: bool = True) -> list[bytes]:
    """The consistency path from the first `size` entries to all of them."""
    if size == len(entries):
        return [] if complete else [log_root(entries)]
    k = _half(len(entries))
    if size <= k:
        return [*log_extension(size, entries[:k], complete), log_root(entries[k:])]
    return [*log_extension(size - k, entries[k:], False), log_root(entries[:k])]


# The ledger: the same shape, with sums. A node is 48 bytes.


@dataclass(frozen=True)
class Leaf:
    """One leaf of a ledger; `amount` in base units."""

    salt: bytes
    amount: int
    account: str

    @property
    def node(self) -> bytes:
        units = self.amount.to_bytes(16, "big")
        return units + sha256(b"\x02" + self.salt + units + self.account.encode()).digest()


def sum_parent(left: bytes, right: bytes) -> bytes:
    total = int.from_bytes(left[:16], "big") + int.from_bytes(right[:16], "big")
    return total.to_bytes(16, "big") + sha256(b"\x03" + left + right).digest()


def sum_root(nodes: Sequence[bytes]) -> bytes:
    if len(nodes) < 2:
        return nodes[0] if nodes else EMPTY
    k = _half(len(nodes))
    return sum_parent(sum_root(nodes[:k]), sum_root(nodes[k:]))


def sum_path(index: int, nodes: Sequence[bytes]) -> list[bytes]:
    """The path of leaf `index`, bottom up."""
    if len(nodes) == 1:
        return []
    k = _half(len(nodes))
    if index < k:
        return [*sum_path(index, nodes[:k]), sum_root(nodes[k:])]
    return [*sum_path(index - k, nodes[k:]), sum_root(nodes[:k])]


def salt(secret: bytes, account: str, chunk: int) -> bytes:
    return hmac.digest(secret, account.encode() + b"\x00" + str(chunk).encode(), "sha256")


@dataclass(frozen=True)
class Ledger:
    """A committed ledger with all its leaves, in the order of the tree."""

    book: str
    leaves: tuple[Leaf, ...]

    @cached_property
    def nodes(self) -> list[bytes]:
        return [leaf.node for leaf in self.leaves]

    @property
    def amounts(self) -> list[int]:
        return [leaf.amount for leaf in self.leaves]

    def shown(self) -> Json:
        """The ledger as a statement shows it."""
        root = sum_root(self.nodes)
        return {
            "accounts": len(self.leaves),
            "book": self.book,
            "root": root[16:].hex(),
            "total": str(sum(self.amounts)),
        }

    def balances(self) -> dict[str, int]:
        """Every account's balance; padding left out."""
        found: dict[str, int] = {}
        for leaf in self.leaves:
            if leaf.account != PADDING:
                found[leaf.account] = found.get(leaf.account, 0) + leaf.amount
        return found

    def changed(self, by_leaf: Iterable[int]) -> dict[str, int]:
        """The balances after each leaf has grown by its own amount."""
        after = self.balances()
        for leaf, change in zip(self.leaves, by_leaf, strict=True):
            if leaf.account != PADDING:
                after[leaf.account] += change
        return after


# Sharing a loss, and returning what comes back: SPEC.md §3.


def deductions(amounts: Sequence[int], loss: int) -> list[int]:
    """What every leaf of a ledger bears of `loss`."""
    return returned(amounts, loss, [])[0]


def returned(amounts: Sequence[int], loss: int, recovered: Sequence[int]) -> list[list[int]]:
    """What every leaf bears of `loss`, then what each recovery pays it, in order."""
    total = sum(amounts)
    ends = [sum(amounts[:i]) for i in range(len(amounts) + 1)]
    rows = [[floor(Fraction(x * loss, total)) if total else 0 for x in ends]]
    borne, outstanding = list(rows[0]), loss
    for amount in recovered:
        rows.append([floor(Fraction(x * amount, outstanding)) for x in borne])
        borne = [x - paid for x, paid in zip(borne, rows[-1], strict=True)]
        outstanding -= amount
    return [[row[i + 1] - row[i] for i in range(len(amounts))] for row in rows]


# Keys and signed notes.


class Signer:
    """An Ed25519 key under a name, made from a phrase."""

    kind = b"\x01"

    def __init__(self, name: str, phrase: str) -> None:
        self.name = name
        key = ECC.construct(curve="Ed25519", seed=sha256(f"test key {phrase}".encode()).digest())
        self._signer = eddsa.new(key, "rfc8032")
        self.public = self.kind + key.public_key().export_key(format="raw")
        self.id = sha256(name.encode() + b"\n" + self.public).digest()[:4]
        self.vkey = f"{name}+{self.id.hex()}+{b64(self.public)}"

    def line(self, text: str) -> str:
        """The signature line of a note's text."""
        return f"— {self.name} {b64(self.id + self._signer.sign(text.encode()))}\n"


class Witness(Signer):
    """A witness's key: what it signs begins with a time, and so does its signature."""

    kind = b"\x04"

    def cosign(self, text: str, time: int) -> str:
        """The line of a cosignature of a checkpoint's text, at `time` in seconds since 1970."""
        value = self._signer.sign(b"cosignature/v1\ntime %d\n" % time + text.encode())
        return f"— {self.name} {b64(self.id + time.to_bytes(8, 'big') + value)}\n"


def checkpoint(origin: str, entries: Sequence[bytes], *signers: Signer) -> str:
    """The signed head of a log."""
    return signed(f"{origin}\n{len(entries)}\n{b64(log_root(entries))}\n", *signers)


def signed(text: str, *signers: Signer) -> str:
    """The note of a text that ends in LF."""
    return text + "\n" + "".join(signer.line(text) for signer in signers)
