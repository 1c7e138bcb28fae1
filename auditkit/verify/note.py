"""Signed notes, verifier keys, strict Ed25519, checkpoints (SPEC.md §4).

The formats are C2SP signed-note and tlog-checkpoint. `Checkpoint.open` is the
only way to a checkpoint that may be believed.
"""

import base64
import binascii
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256
from typing import ClassVar, Self

from Crypto.PublicKey._point import EccPoint
from Crypto.Signature import eddsa

from auditkit.verify.elements import VENUE, text_matching
from auditkit.verify.errors import Malformed, Refuted, show

ED25519 = b"\x01"
MAX_SIGNATURES = 100

_P = 2**255 - 19
_L = 2**252 + 27742317777372353535851937790883648493
_D = -121665 * pow(121666, -1, _P) % _P
_SQRT_MINUS_ONE = pow(2, (_P - 1) // 4, _P)
_SIZE = text_matching(r"0|[1-9][0-9]{0,18}", "a tree size")


def decode_base64(text: object, length: int | None = None) -> bytes:
    """Bytes from canonical, padded RFC 4648 §4 text. Raises Malformed."""
    try:
        data = base64.b64decode(text if isinstance(text, str) else "!", validate=True)
    except (binascii.Error, ValueError):
        data = b""
    if not data or encode_base64(data) != text or length not in (None, len(data)):
        raise Malformed(
            "not canonical base64" + (f" of {length} bytes" if length else ""), found=show(text)
        )
    return data


def encode_base64(data: bytes) -> str:
    """Canonical, padded base64 text."""
    return base64.b64encode(data).decode("ascii")


@dataclass(frozen=True, slots=True)
class Ed25519Key:
    """An Ed25519 public key under a name: `<name>+<key id>+<base64(kind || key)>`."""

    kind: ClassVar[bytes]
    name: str
    public: bytes

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read the one line of a vkey. Raises Malformed, also if its id is another key's."""
        if text.startswith("PRIVATE+KEY+"):
            raise Malformed("a private key, not a verifier key; show it to nobody")
        name, _, rest = text.partition("+")
        key_id, _, encoded = rest.partition("+")
        data = decode_base64(encoded, 33)
        if data[:1] != cls.kind:
            raise Malformed(
                "not an Ed25519 verifier key", expected=f"type 0x{cls.kind.hex()}", found=data[:1]
            )
        key = cls(_key_name(name), data[1:])
        if key.id.hex() != key_id:
            raise Malformed("the key id is another key's", expected=key.id.hex(), found=key_id)
        return key

    @property
    def id(self) -> bytes:
        """The first 4 bytes of SHA-256(name || LF || kind || key)."""
        return sha256(self.name.encode() + b"\n" + self.kind + self.public).digest()[:4]

    def __str__(self) -> str:
        return f"{self.name}+{self.id.hex()}+{encode_base64(self.kind + self.public)}"

    def check_ed25519(self, message: bytes, signature: bytes) -> None:
        """Strict Ed25519: raises Refuted unless every careful verifier accepts.

        Libraries disagree about keys and signatures with small-order or
        non-canonical parts; with none of those left, they agree.
        """
        if not _of_prime_order(self.public):
            raise Refuted(
                "the public key is not canonical and of full order", found=self.public.hex()
            )
        if len(signature) != 64 or not _of_prime_order(signature[:32]):
            raise Refuted(
                "the signature's R is not canonical and of full order", found=signature.hex()
            )
        if int.from_bytes(signature[32:], "little") >= _L:
            raise Refuted("the signature's S is not below the group order")
        verifier = eddsa.new(eddsa.import_public_key(self.public), "rfc8032")
        try:
            verifier.verify(message, signature)
        except ValueError:
            raise Refuted("the signature is not this key's", expected=f"by {self.name}") from None


class VerifierKey(Ed25519Key):
    """A log's key, of type 0x01: its signature is over the note's text."""

    __slots__ = ()
    kind = ED25519

    def check(self, message: bytes, signature: bytes) -> None:
        """Raises Refuted unless the signature is strictly this key's."""
        self.check_ed25519(message, signature)


@lru_cache(maxsize=64)  # The key of one log is asked for with every signature on it.
def _of_prime_order(encoded: bytes) -> bool:
    """Whether 32 bytes are the canonical encoding of a point of order exactly L."""
    sign, y = encoded[31] >> 7, int.from_bytes(encoded, "little") & (1 << 255) - 1
    if y >= _P:
        return False
    square = (y * y - 1) * pow(_D * y * y + 1, -1, _P) % _P
    x = pow(square, (_P + 3) // 8, _P)
    if (x * x - square) % _P:
        x = x * _SQRT_MINUS_ONE % _P
    if (x * x - square) % _P or x == 0:
        return False  # No such point, or one of the two with x = 0, whose order is at most 2.
    point = EccPoint(x if x & 1 == sign else _P - x, y, "Ed25519")
    return bool((point * _L).is_point_at_infinity())


def _key_name(name: str) -> str:
    # A lone surrogate, as an argument of the command line may hold, has no bytes to be hashed.
    whole = name.encode("utf-8", "ignore").decode() == name
    if not name or "+" in name or any(c.isspace() for c in name) or not whole:
        raise Malformed("not a key name", found=show(name))
    return name


@dataclass(frozen=True, slots=True)
class Signature:
    """One signature line of a note: who claims to have signed, and the bytes."""

    name: str
    key_id: bytes
    value: bytes

    @classmethod
    def parse(cls, line: str) -> Self:
        """Read one line without its LF. Raises Malformed."""
        dash, _, rest = line.partition(" ")
        name, _, encoded = rest.partition(" ")
        data = decode_base64(encoded)
        if dash != "—" or len(data) < 5:
            raise Malformed("not a signature line", found=show(line))
        return cls(_key_name(name), data[:4], data[4:])

    def __str__(self) -> str:
        return f"— {self.name} {encode_base64(self.key_id + self.value)}"


@dataclass(frozen=True, slots=True)
class Note:
    """A text that ends in LF, and its signature lines. Nothing is believed before `check`."""

    text: str
    signatures: tuple[Signature, ...]

    @classmethod
    def parse(cls, given: str) -> Self:
        """Split a note. Raises Malformed."""
        if any(c < " " and c != "\n" for c in given) or not given.endswith("\n"):
            raise Malformed("a note is lines without control characters, each ended by LF")
        text, blank, lines = given[:-1].rpartition("\n\n")
        if not blank or len(signed := lines.split("\n")) > MAX_SIGNATURES:
            raise Malformed(f"a note ends in a blank line and 1 to {MAX_SIGNATURES} signatures")
        signatures = tuple(map(Signature.parse, signed))
        if len({(s.name, s.key_id) for s in signatures}) < len(signatures):
            raise Malformed("two signature lines of one name and key id")
        return cls(text + "\n", signatures)

    def __str__(self) -> str:
        return "".join(f"{line}\n" for line in (self.text, *map(str, self.signatures)))

    def check(self, key: VerifierKey) -> None:
        """Raises Refuted unless the note carries a valid line by `key`."""
        for line in self.signatures:
            if (line.name, line.key_id) == (key.name, key.id):
                key.check(self.text.encode(), line.value)
                return
        raise Refuted(
            "no signature line by the pinned key",
            expected=f"{key.name} {key.id.hex()}",
            found=", ".join(f"{s.name} {s.key_id.hex()}" for s in self.signatures),
        )


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The signed head of a log: its origin, its size in entries, its 32-byte root."""

    origin: str
    size: int
    root: bytes
    note: Note

    @classmethod
    def parse(cls, given: str) -> Self:
        """Read a checkpoint of exactly three text lines. Raises Malformed."""
        note = Note.parse(given)
        lines = note.text[:-1].split("\n")
        if len(lines) != 3:
            raise Malformed("a checkpoint has three lines", found=f"{len(lines)} lines")
        origin, size, root = lines
        if int(_SIZE.read(size)) >= 1 << 63:
            raise Malformed("a tree size reaches 2^63", found=size)
        return cls(VENUE.read(origin), int(size), decode_base64(root, 32), note)

    @staticmethod
    def body(origin: str, size: int, root: bytes) -> str:
        """The text of a checkpoint, as it is signed."""
        return f"{origin}\n{size}\n{encode_base64(root)}\n"

    def open(self, key: VerifierKey) -> None:
        """Raises Refuted unless the checkpoint is of the key's venue and signed by `key`."""
        if self.origin != key.name:
            raise Refuted(
                "the checkpoint is of another venue", expected=key.name, found=self.origin
            )
        self.note.check(key)
