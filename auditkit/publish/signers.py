"""Whoever signs for a venue, and the signed head that they make together (SPEC.md §4).

A venue has one key, and two while it changes it. Which of them sign a head is
for `auditkit.log.lineage` to say; this is where it is done, and where nothing
is taken for a signature before it was verified.
"""

from collections.abc import Sequence
from typing import Protocol

from auditkit.errors import InputError
from auditkit.verify.errors import Refuted
from auditkit.verify.note import Checkpoint, Note, Signature, VerifierKey


class Signing(Protocol):
    """One key that can sign: of a key file, behind a command, in a token."""

    @property
    def verifier(self) -> VerifierKey:
        """What its signatures verify under."""
        ...

    def sign(self, message: bytes) -> bytes:
        """The 64 bytes of an Ed25519 signature. Raises InputError where there is none."""
        ...


class Signers:
    """The keys at hand: at most two are ever asked for at once."""

    def __init__(self, *signers: Signing) -> None:
        self._signers = {signer.verifier: signer for signer in signers}

    @classmethod
    def of(cls, given: "SomeSigners") -> "Signers":
        """The same; a single one as a set."""
        return given if isinstance(given, Signers) else cls(given)

    def __repr__(self) -> str:
        return f"Signers({', '.join(map(str, self._signers))})"

    def beside(self, signer: Signing) -> "Signers":
        """The same and one more."""
        return Signers(*self._signers.values(), signer)

    def require(self, keys: Sequence[VerifierKey]) -> None:
        """Raises InputError unless all of these keys are at hand."""
        missing = [str(key) for key in keys if key not in self._signers]
        if not missing:
            return
        held = ", ".join(map(str, self._signers)) or "none"
        whose = "the venue's key is" if len(keys) == 1 else "while the venue changes its key it is"
        raise InputError(f"the key file holds {held}, but {whose} {' and '.join(map(str, keys))}")

    def head(self, keys: Sequence[VerifierKey], size: int, root: bytes) -> Checkpoint:
        """The head of a log of `size` entries with this root, with a line by each of the keys.

        Raises InputError if a key is not at hand, or what came back is no signature of it.
        """
        self.require(keys)
        text = Checkpoint.body(keys[0].name, size, root)
        lines = tuple(self._line(key, text.encode()) for key in keys)
        return Checkpoint.parse(str(Note(text, lines)))

    def _line(self, key: VerifierKey, message: bytes) -> Signature:
        value = self._signers[key].sign(message)
        try:
            key.check(message, value)
        except Refuted as error:
            raise InputError(
                f"what signs for {key} gave no signature of it: {error.what}; nothing was published"
            ) from None
        return Signature(key.name, key.id, value)


SomeSigners = Signing | Signers
