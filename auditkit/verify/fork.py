"""Evidence that one venue signed two histories (SPEC.md §4, "Forks").

No log has two checkpoints of one size with different roots, and none has a
checkpoint whose tree begins with other entries than an earlier checkpoint
covers. The first is seen from the two notes alone. The second is seen from a
consistency path that holds, but from *another* root at the earlier size. A
path that does not hold shows nothing: anyone can write one.
"""

import json
from dataclasses import dataclass, replace
from typing import Self

from auditkit.verify import history
from auditkit.verify.elements import Element, Record, element
from auditkit.verify.errors import Malformed, Refuted, Unsupported, inside
from auditkit.verify.note import Checkpoint, Note, VerifierKey, decode_base64, encode_base64
from auditkit.verify.proof import CHECKPOINT, LOG_PATH
from auditkit.verify.strictjson import loads

FORMAT = "auditkit/fork/1"
MAX_BYTES = 1 << 16

_ABSENT = object()  # No JSON value, so that a file cannot spell it.
_ED25519_BYTES = 64


def _read_prefix(value: object) -> bytes | None:
    return None if value is _ABSENT else decode_base64(value, 32)


_PREFIX = Element(_read_prefix, lambda root: None if root is None else encode_base64(root))


@dataclass(frozen=True, slots=True)
class Fork(Record):
    """Two checkpoints of one venue that no single log has. Nothing is believed before `check`.

    Where the sizes differ, `prefix` is the 32-byte root of the first
    `first.size` entries of the second's tree, and `path` the RFC 9162
    consistency path from there to `second`. Where they are equal, there is neither.
    """

    first: Checkpoint = element(CHECKPOINT)
    second: Checkpoint = element(CHECKPOINT)
    prefix: bytes | None = element(_PREFIX)
    path: tuple[bytes, ...] = element(LOG_PATH)

    def __post_init__(self) -> None:
        first, second = self.first, self.second
        if first.origin != second.origin:
            raise Malformed("checkpoints of two venues", expected=first.origin, found=second.origin)
        if not 0 < first.size <= second.size:
            raise Malformed(
                "a fork needs 0 < the first size <= the second",
                found=f"{first.size} and {second.size}",
            )
        same = first.size == second.size
        if same != (self.prefix is None) or (same and self.path):
            raise Malformed("prefix and path belong to a fork of different sizes, and to no other")

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """Read an evidence file. Raises Malformed, or Unsupported for a newer format."""
        if len(data) > MAX_BYTES:
            raise Malformed("a fork's evidence of more than 64 KiB", found=f"{len(data)} bytes")
        try:
            value = loads(data.decode("utf-8"))
        except UnicodeDecodeError:
            raise Malformed("a fork's evidence is UTF-8") from None
        if not isinstance(value, dict):
            raise Malformed("not a fork's evidence: not a JSON object")
        name = value.pop("format", None)
        if isinstance(name, str) and name.startswith("auditkit/fork/") and name != FORMAT:
            raise Unsupported(
                "evidence of a format this version does not know", expected=FORMAT, found=name
            )
        if name != FORMAT:
            raise Malformed("not a fork's evidence", expected=FORMAT, found=name)
        if not value.keys() & {"prefix", "path"}:
            value |= {"prefix": _ABSENT, "path": []}
        return cls.read(value)

    def encode(self) -> str:
        """The file: one JSON object, indented, printable ASCII, so that any screen can carry it."""
        value = {"format": FORMAT, **Record.write(self)}
        if self.prefix is None:
            del value["prefix"], value["path"]
        return json.dumps(value, indent=1).replace("\x7f", "\\u007f") + "\n"

    def check(self, key: VerifierKey, *others: VerifierKey) -> tuple[VerifierKey, ...]:
        """Raises Refuted unless the venue signed both checkpoints, and they are a fork.

        `key` and `others` are keys that the reader knows to be this venue's:
        after a change of key, each checkpoint needs a line by one of them.
        Returns the keys that signed both; none, if it took two keys.
        """
        keys = dict.fromkeys((key, *others))
        with inside("first"):
            by_first = signers(self.first, tuple(keys))
        with inside("second"):
            by_second = signers(self.second, tuple(keys))
        self.check_apart()
        return tuple(key for key in by_first if key in by_second)

    def check_apart(self) -> None:
        """Raises Refuted unless no log has both checkpoints, whoever signed them."""
        first, second = self.first, self.second
        if self.prefix is None:
            if first.root == second.root:
                raise Refuted("no fork: the two are one log, of one size and one root")
            return
        if self.prefix == first.root:
            raise Refuted("no fork: the prefix is the first's own root, which the second extends")
        with inside("path"):
            history.check_consistency(first.size, self.prefix, second.size, second.root, self.path)


def signers(checkpoint: Checkpoint, keys: tuple[VerifierKey, ...]) -> tuple[VerifierKey, ...]:
    """Those of `keys` that signed the checkpoint.

    Raises Refuted if none did, if a line by one of them does not hold, or if
    the checkpoint is not of their venue.
    """
    lines = {(line.name, line.key_id) for line in checkpoint.note.signatures}
    signed = tuple(key for key in keys if (key.name, key.id) in lines)
    for key in signed or keys:  # A key without a line is refused there, with its id.
        checkpoint.open(key)
    return signed


def fork_of(
    first: Checkpoint,
    second: Checkpoint,
    prefix: bytes | None = None,
    path: tuple[bytes, ...] = (),
) -> Fork:
    """The evidence of a fork, the smaller checkpoint first. Raises Malformed if it is none.

    No signature is checked here. Signature lines that cannot be the venue's
    are left out where the file would grow too large: nobody's evidence may be
    prevented by what a venue writes below its checkpoint.
    """
    first, second = sorted((first, second), key=lambda each: (each.size, each.root))
    fork = Fork(first, second, prefix, path)
    try:
        fork.check_apart()
    except Refuted as error:
        raise Malformed(error.what, expected=error.expected, found=error.found) from None
    if len(fork.encode()) > MAX_BYTES:
        fork = replace(fork, first=_own_lines(first), second=_own_lines(second))
    return fork


def _own_lines(checkpoint: Checkpoint) -> Checkpoint:
    """The checkpoint with only the lines that may be an Ed25519 signature by its venue."""
    note = checkpoint.note
    own = [
        line
        for line in note.signatures
        if line.name == checkpoint.origin and len(line.value) == _ED25519_BYTES
    ]
    return replace(checkpoint, note=Note(note.text, tuple(own)))
