"""The history log (SPEC.md §4): RFC 9162 inclusion and consistency, tlog-proof text."""

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Self

from auditkit.verify import shape
from auditkit.verify.errors import Malformed, Refuted
from auditkit.verify.note import Checkpoint, decode_base64, encode_base64

MAX_PATH = 63
MAX_ENTRY_BYTES = 65_535
EMPTY_ROOT = sha256(b"").digest()

_TLOG_PROOF = "c2sp.org/tlog-proof@v1"


def leaf_hash(entry: bytes) -> bytes:
    """The hash of a log entry's exact bytes."""
    return sha256(b"\x00" + entry).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """The hash over two children of the log's tree."""
    return sha256(b"\x01" + left + right).digest()


def check_inclusion(leaf: bytes, index: int, size: int, root: bytes, path: Sequence[bytes]) -> None:
    """Raises Refuted unless `path` leads from `leaf` at `index` of `size` to `root`."""
    if len(root) != 32 or len(leaf) != 32:
        raise Refuted("a log hash has 32 bytes", found=f"{len(root)} and {len(leaf)}")
    if index >= size:
        raise Refuted("the entry is outside the log", expected=f"seq below {size}", found=index)
    sides = list(shape.siblings(index, size))
    if len(path) != len(sides):
        raise Refuted(
            "the log path is too " + ("short" if len(path) < len(sides) else "long"),
            expected=f"{len(sides)} hashes",
            found=f"{len(path)} hashes",
        )
    node = leaf
    for on_left, sibling in zip(sides, path, strict=True):
        node = node_hash(sibling, node) if on_left else node_hash(node, sibling)
    if node != root:
        raise Refuted(
            "the entry is not in the log", expected=f"root {root.hex()}", found=f"root {node.hex()}"
        )


def check_consistency(
    size: int, root: bytes, later_size: int, later_root: bytes, path: Sequence[bytes]
) -> None:
    """Raises Refuted unless `path` shows that the later tree extends the earlier one.

    RFC 9162 §2.1.4.2. An earlier size of 0 proves nothing and is refused.
    """
    if 0 < size == later_size:
        if path or root != later_root:
            raise Refuted(
                "two logs of one size are one log, without a path",
                expected=root.hex(),
                found=later_root.hex(),
            )
        return
    earlier, later = implied_roots(size, root, later_size, path)
    for name, expected, found in (("earlier", root, earlier), ("later", later_root, later)):
        if found != expected:
            raise Refuted(
                f"the later log does not extend the earlier one: the {name} root differs",
                expected=expected.hex(),
                found=found.hex(),
            )


def implied_roots(
    size: int, root: bytes, later_size: int, path: Sequence[bytes]
) -> tuple[bytes, bytes]:
    """The roots of the earlier and the later tree that a consistency path implies.

    `root` is the earlier one as it is claimed. It counts only where the earlier
    tree is perfect: RFC 9162 leaves it out of the path there. Needs
    0 < size < later_size. Raises Refuted, also where the path has another length.
    """
    if not 0 < size < later_size:
        raise Refuted(
            "consistency needs 0 < earlier size <= later size", found=f"{size} and {later_size}"
        )
    if size & (size - 1) == 0:
        path = [root, *path]  # The earlier tree is perfect: it is the first node itself.
    right, last = size - 1, later_size - 1
    while right & 1:
        right, last = right >> 1, last >> 1
    if not path:
        raise Refuted("the consistency path is too short")
    earlier = later = path[0]
    for sibling in path[1:]:
        if last == 0:
            raise Refuted("the consistency path is too long")
        if right & 1 or right == last:
            earlier, later = node_hash(sibling, earlier), node_hash(sibling, later)
            while right and not right & 1:
                right, last = right >> 1, last >> 1
        else:
            later = node_hash(later, sibling)
        right, last = right >> 1, last >> 1
    if last != 0:
        raise Refuted("the consistency path is too short")
    return earlier, later


@dataclass(frozen=True, slots=True)
class TlogProof:
    """One entry's C2SP tlog-proof: its index, its path, and the checkpoint. No extra line."""

    index: int
    path: tuple[bytes, ...]
    checkpoint: Checkpoint

    def __str__(self) -> str:
        head = [_TLOG_PROOF, f"index {self.index}", *map(encode_base64, self.path)]
        return "\n".join(head) + f"\n\n{self.checkpoint.note}"

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read tlog-proof text without an extra line. Raises Malformed."""
        head, _, checkpoint = text.partition("\n\n")
        first, _, rest = head.partition("\n")
        index, *path = rest.split("\n")
        word, _, digits = index.partition(" ")
        if first != _TLOG_PROOF or word != "index" or len(path) > MAX_PATH:
            raise Malformed("not a tlog-proof@v1 text", found=head)
        if not (digits.isascii() and digits.isdecimal()) or str(int(digits[:19])) != digits:
            raise Malformed("not an index", found=digits)
        hashes = tuple(decode_base64(line, 32) for line in path)
        return cls(int(digits), hashes, Checkpoint.parse(checkpoint))
