"""What a proof file shows of its log's earlier heads, forks from them, keys (SPEC.md §4)."""

import json
from collections.abc import Iterator
from typing import TypeVar

from auditkit.verify import history
from auditkit.verify.elements import Record
from auditkit.verify.errors import Malformed, NotVerified, Refuted
from auditkit.verify.fork import Fork, fork_of, signers
from auditkit.verify.note import Checkpoint, VerifierKey
from auditkit.verify.proof import CHECKPOINT, Entry, Extension, Proof
from auditkit.verify.statements import Key

_Part = TypeVar("_Part", bound=Record)


def readable(data: bytes) -> Proof:
    """What can be read of a proof file: its checkpoint, and the entries and paths that are sound.

    A venue may spoil the rest of a file that would show a fork. What is left is
    no less signed, and proves nothing else: it has no account and no leaves.
    Raises Malformed if there is no checkpoint.
    """
    try:
        value = json.loads(data)
    except (ValueError, RecursionError):
        raise Malformed("not JSON") from None
    if not isinstance(value, dict):
        raise Malformed("not a proof file: not a JSON object")
    head: Checkpoint = CHECKPOINT.read(value.get("checkpoint"))
    entries = tuple(_sound(Entry, value.get("statements")))
    extensions = _sound(Extension, value.get("consistency"))
    earlier = tuple(each for each in extensions if 0 < each.size < head.size)
    return Proof("", head, entries, (), earlier)


def _sound(kind: type[_Part], values: object) -> Iterator[_Part]:
    for value in values if isinstance(values, list) else []:
        try:
            yield kind.read(value)
        except NotVerified:
            continue


def prefixes(file: Proof, size: int, root: bytes) -> Iterator[tuple[bytes, tuple[bytes, ...]]]:
    """The roots that a proof file shows for its log's first `size` entries, with their paths.

    `root` is what the reader has for that size: one that equals it shows that
    the file's log extends the reader's; any other is a fork. A path of the
    file that does not hold shows nothing. Where the tree of that size is
    perfect, its root is not in a consistency path, so another than `root` is
    seen only where the file shows the last entry of that size.
    """
    now = file.checkpoint
    found = [(root, extension.path) for extension in file.consistency if extension.size == size]
    for entry in file.statements:
        if entry.seq == size - 1:
            leaf = history.leaf_hash(entry.text.encode().encode("ascii"))
            found.append(_from_last_entry(leaf, size, entry.path))
    for claimed, path in found:
        try:
            prefix, later = history.implied_roots(size, claimed, now.size, path)
        except Refuted:
            continue
        if later == now.root:
            yield prefix, path


def _from_last_entry(
    leaf: bytes, size: int, path: tuple[bytes, ...]
) -> tuple[bytes, tuple[bytes, ...]]:
    """The consistency path that the path of entry `size - 1` in a larger tree contains.

    The entry and its first siblings make up the largest perfect tree that ends
    at `size`; from there on, both paths are the same. Returns that tree's root
    too, which is the earlier root itself, and not in the path, where `size` is
    a power of two.
    """
    node, level = leaf, 0
    while (size - 1) >> level & 1 and level < len(path):
        node = history.node_hash(path[level], node)
        level += 1
    rest = path[level:]
    return node, rest if size & (size - 1) == 0 else (node, *rest)


def fork_shown(file: Proof, head: Checkpoint) -> Fork | None:
    """The fork between a head and the log of a proof file, if the file itself shows one.

    Both are of one venue and signed, which the caller has checked.
    """
    now = file.checkpoint
    if 0 < now.size == head.size and now.root != head.root:
        return fork_of(head, now)
    for prefix, path in prefixes(file, head.size, head.root):
        if prefix != head.root:
            return fork_of(head, now, prefix, path)
    return None


def file_signers(file: Proof, keys: tuple[VerifierKey, ...]) -> tuple[VerifierKey, ...]:
    """Those of `keys` that signed a proof file's checkpoint, and were not retired by then.

    A line by a key that the file's own log has retired counts for nothing: it
    may be a thief's. Raises Refuted as `signers` does, and where none is left.
    """
    head = file.checkpoint
    signed = signers(head, keys)
    retired = {change.old: change for change in key_changes(file) if head.size > change.retire}
    kept = tuple(key for key in signed if key not in retired)
    if not kept:
        change = retired[signed[0]]
        raise Refuted(
            "the key that signed the checkpoint is retired",
            expected=f"at most {change.retire} entries, or the new key {change.new}",
            found=f"{head.size} entries",
        )
    return kept


def key_changes(file: Proof) -> Iterator[Key]:
    """The changes of key that a proof file shows to be in its log, whoever signed that."""
    head = file.checkpoint
    for entry in file.statements:
        if isinstance(change := entry.text, Key):
            leaf = history.leaf_hash(change.encode().encode("ascii"))
            try:
                history.check_inclusion(leaf, entry.seq, head.size, head.root, entry.path)
            except Refuted:
                continue
            yield change
