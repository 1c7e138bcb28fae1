"""Rows as bytes: how they travel between machines, 49 bytes a leaf and its name."""

import struct
from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum

import numpy as np
import numpy.typing as npt

from auditkit.ledger import hashing
from auditkit.ledger.blocks import rows_of
from auditkit.ledger.columns import Balances
from auditkit.ledger.engine import HASH_BYTES, Bytes
from auditkit.ledger.runs import Role, Rows

_HEAD = struct.Struct("<BI")
_AMOUNT_BYTES = 16


class Kind(IntEnum):
    """What packed rows are to a ledger: a `Role`, or rows that have moved to their own salts."""

    OWN = Role.OWN
    PAID = Role.PAID
    CARRIED = Role.CARRIED
    MOVED = 3
    """Rows of split accounts that are not the first of theirs."""

    @property
    def role(self) -> Role:
        """The role of such rows."""
        return Role.OWN if self is Kind.MOVED else Role(self.value)


@dataclass(frozen=True, slots=True)
class Piece:
    """Rows, and what they are."""

    kind: Kind
    rows: Rows

    def pack(self) -> bytes:
        """As bytes: kind, count, salts, amounts, the length of each name, the names."""
        balances = self.rows.balances
        ends, letters = hashing.parts(balances.accounts)
        parts: tuple[npt.NDArray[np.generic], ...] = (
            self.rows.salts,
            balances.amounts.astype(">u8"),
            np.diff(ends).astype(np.uint8),
            letters,
        )
        head = _HEAD.pack(self.kind, len(self.rows))
        return b"".join((head, *(np.ascontiguousarray(part).data for part in parts)))

    @classmethod
    def unpack(cls, data: bytes) -> "Piece":
        """The inverse of `pack`. Raises ValueError for what is not packed rows."""
        kind, count = _HEAD.unpack_from(data)
        salts = _HEAD.size
        amounts = salts + count * HASH_BYTES
        names = amounts + count * _AMOUNT_BYTES
        held: Bytes = np.frombuffer(data, np.uint8)
        return cls(Kind(kind), rows_of(held[salts:amounts], held[amounts:names], held[names:]))


def joined(pieces: Iterable[Piece]) -> tuple[Rows, npt.NDArray[np.uint8]]:
    """All rows of the pieces, and the role of each."""
    found = list(pieces)
    nothing = Rows(np.empty((0, HASH_BYTES), np.uint8), Balances.of([]))
    roles = [np.full(len(piece.rows), piece.kind.role, np.uint8) for piece in found]
    rows = Rows.joined([nothing, *(piece.rows for piece in found)])
    return rows, np.concatenate([np.empty(0, np.uint8), *roles])
