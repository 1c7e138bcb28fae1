"""What a log asks of a witness: the body of add-checkpoint (C2SP tlog-witness)."""

from dataclasses import dataclass
from typing import Self

from auditkit.verify.elements import text_matching
from auditkit.verify.errors import Malformed
from auditkit.verify.history import MAX_PATH
from auditkit.verify.note import Checkpoint, Note, decode_base64, encode_base64

MAX_BYTES = 1 << 16
_SIZE = text_matching(r"0|[1-9][0-9]{0,18}", "a tree size")


@dataclass(frozen=True, slots=True)
class Request:
    """What a log sends: the size it believes the witness saw last, the path from there, its head.

    `path` are 32-byte hashes. The note is of any log: `checkpoint` reads it as
    one of a venue's.
    """

    old: int
    path: tuple[bytes, ...]
    note: Note

    @classmethod
    def parse(cls, body: bytes) -> Self:
        """Read a body. Raises Malformed."""
        if len(body) > MAX_BYTES:
            raise Malformed(f"a request has at most {MAX_BYTES} bytes")
        try:
            head, _, rest = body.decode("utf-8").partition("\n\n")
        except UnicodeDecodeError:
            raise Malformed("a request is UTF-8") from None
        first, *lines = head.split("\n")
        word, _, size = first.partition(" ")
        if word != "old":
            raise Malformed("the first line is old and a size", found=first)
        if int(_SIZE.read(size)) >= 1 << 63:
            raise Malformed("a tree size reaches 2^63", found=size)
        if len(lines) > MAX_PATH:
            raise Malformed(f"a path has at most {MAX_PATH} hashes", found=len(lines))
        return cls(int(size), tuple(decode_base64(line, 32) for line in lines), Note.parse(rest))

    @property
    def origin(self) -> str:
        """The log that the checkpoint says it is of."""
        return self.note.text.partition("\n")[0]

    def checkpoint(self) -> Checkpoint:
        """The checkpoint. Raises Malformed if it is not of three lines."""
        return Checkpoint.parse(str(self.note))

    def encode(self) -> bytes:
        """The body that `parse` reads."""
        lines = [f"old {self.old}", *map(encode_base64, self.path)]
        return ("\n".join(lines) + f"\n\n{self.note}").encode()
