"""Cosignatures of witnesses (SPEC.md §4, Witnesses): C2SP tlog-cosignature, `cosignature/v1`.

A witness says: at this time, this is the largest tree of that log that I have
seen, and it extends every earlier one that I have signed.
"""

from auditkit.verify.errors import Refuted
from auditkit.verify.note import Ed25519Key, Note, Signature

COSIGNATURE = b"\x04"
TIME_LIMIT = 1 << 63
_LENGTH = 8 + 64


def cosigned_message(text: str, time: int) -> bytes:
    """What a witness signs: two lines of its own, then the checkpoint's text as the log wrote it.

    `time` is in seconds since 1970.
    """
    return f"cosignature/v1\ntime {time}\n{text}".encode()


class WitnessKey(Ed25519Key):
    """A witness's key, of type 0x04. Its name is a key name of signed-note, and no venue."""

    __slots__ = ()
    kind = COSIGNATURE

    def check(self, text: str, line: Signature) -> int:
        """The time of a cosignature of a checkpoint's text, in seconds since 1970.

        Raises Refuted unless the line is strictly this key's.
        """
        if len(line.value) != _LENGTH:
            raise Refuted(
                f"a cosignature by {self.name} has another length",
                expected=f"{_LENGTH} bytes",
                found=f"{len(line.value)} bytes",
            )
        time = int.from_bytes(line.value[:8], "big")
        if time >= TIME_LIMIT:
            raise Refuted(f"the time of a cosignature by {self.name} reaches 2^63", found=time)
        self.check_ed25519(cosigned_message(text, time), line.value[8:])
        return time

    def line(self, time: int, signature: bytes) -> Signature:
        """The signature line of a cosignature of that time."""
        return Signature(self.name, self.id, time.to_bytes(8, "big") + signature)


def cosigned(note: Note, key: WitnessKey) -> int | None:
    """When `key` cosigned the note, in seconds since 1970; None where it has no line.

    Raises Refuted where it has one that fails.
    """
    for line in note.signatures:
        if (line.name, line.key_id) == (key.name, key.id):
            return key.check(note.text, line)
    return None
