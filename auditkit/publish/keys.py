"""A venue's key file and its signer (SPEC.md §4). What is in the file: `auditkit.keyfile`."""

from pathlib import Path

from auditkit.errors import InputError, shown
from auditkit.keyfile import VENUE_LINE, Passphrase, SealedKey, SigningKey
from auditkit.verify.elements import VENUE
from auditkit.verify.errors import Malformed
from auditkit.verify.note import Checkpoint, Note, Signature, VerifierKey


class Signer:
    """A private key under its venue's name. It signs, and does nothing else."""

    __slots__ = ("_key", "verifier")

    def __init__(self, venue: str, key: SigningKey) -> None:
        self._key = key
        self.verifier = VerifierKey(venue, key.public)

    def __repr__(self) -> str:
        return f"Signer({self.verifier})"

    @classmethod
    def generate(cls, venue: str) -> "Signer":
        """A new key from the system's randomness. Raises InputError on a bad venue name."""
        try:
            VENUE.read(venue)
        except Malformed as error:
            raise InputError(
                f"ORIGIN: {error.what}, such as exchange.example/audit: {shown(venue)}"
            ) from None
        return cls(venue, SigningKey.generate())

    def sign(self, message: bytes) -> bytes:
        """The 64 bytes of an Ed25519 signature."""
        return self._key.sign(message)

    def checkpoint(self, size: int, root: bytes) -> Checkpoint:
        """The signed head of a log of `size` entries with this 32-byte root."""
        text = Checkpoint.body(self.verifier.name, size, root)
        value = self._key.sign(text.encode())
        line = Signature(self.verifier.name, self.verifier.id, value)
        return Checkpoint.parse(str(Note(text, (line,))))

    def write(self, path: Path, passphrase: Passphrase | None) -> None:
        """Write the key file, mode 0600. Raises InputError if the file exists."""
        self._key.write(path, f"{VENUE_LINE}{self.verifier}", passphrase)


class KeyFile:
    """A venue's key file that was read but not yet opened."""

    def __init__(self, path: Path) -> None:
        """Read the file. Raises InputError if it is no key file of a venue's."""
        self.path = path
        self._sealed = SealedKey(path, VENUE_LINE, "auditkit key new")
        try:
            self.verifier = VerifierKey.parse(self._sealed.line)
        except Malformed:
            raise self._sealed.refuse("a key file of auditkit's") from None

    @property
    def encrypted(self) -> bool:
        """Whether a passphrase is needed."""
        return self._sealed.encrypted

    def open(self, passphrase: Passphrase | None) -> Signer:
        """The signer. Raises InputError if the passphrase does not fit."""
        return Signer(self.verifier.name, self._sealed.open(passphrase, self.verifier.public))
