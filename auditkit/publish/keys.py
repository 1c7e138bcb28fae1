"""Key files, passphrases and signers (SPEC.md §4).

A key file is PKCS#8 PEM, as OpenSSL reads it, behind one line with the verifier
key: nothing else seals a PKCS#8 key, so a damaged one could open as another
key. pycryptodome prints the seed of a private key in its `repr`, so a key
never leaves a `Signer`, and a passphrase never leaves a `Passphrase`. Where one
of them stands bare among the locals of a function, nothing is raised.
"""

import os
from pathlib import Path
from typing import Any

from Crypto.PublicKey import ECC
from Crypto.Signature import eddsa

from auditkit.errors import InputError, shown
from auditkit.ledger.secret import Secret
from auditkit.verify.elements import VENUE
from auditkit.verify.errors import Malformed
from auditkit.verify.note import Checkpoint, Note, Signature, VerifierKey

_FIRST_LINE = b"auditkit signing key of "
# OpenSSL 3.0 opens scrypt with N = 16384 and AES-CBC; it does not open the library's default.
_PROTECTION = "scryptAndAES256-CBC"
_SCRYPT: Any = {"iteration_count": 16384}


class Passphrase:
    """A passphrase that does not show itself."""

    __slots__ = ("_secret",)

    def __init__(self, text: str) -> None:
        if not text:
            raise InputError("the passphrase is empty; use --no-passphrase for a key without one")
        self._secret = Secret(text.encode())

    def reveal(self) -> Secret:
        """The bytes that the key derivation takes."""
        return self._secret

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Passphrase) and other._secret == self._secret

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return "Passphrase(...)"


class Signer:
    """A private key under its venue's name. It signs, and does nothing else."""

    __slots__ = ("_key", "verifier")

    def __init__(self, venue: str, key: ECC.EccKey) -> None:
        self._key = key
        self.verifier = VerifierKey(venue, key.public_key().export_key(format="raw"))

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
        return cls(venue, ECC.generate(curve="Ed25519"))

    def checkpoint(self, size: int, root: bytes) -> Checkpoint:
        """The signed head of a log of `size` entries with this 32-byte root."""
        text = Checkpoint.body(self.verifier.name, size, root)
        value = eddsa.new(self._key, "rfc8032").sign(text.encode())
        line = Signature(self.verifier.name, self.verifier.id, value)
        return Checkpoint.parse(str(Note(text, (line,))))

    def write(self, path: Path, passphrase: Passphrase | None) -> None:
        """Write the key file, mode 0600. Raises InputError if the file exists."""
        try:
            handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError:
            raise InputError(f"{path}: exists; a key file is never overwritten") from None
        except (FileNotFoundError, NotADirectoryError):
            raise InputError(f"{path}: no such folder") from None
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(b"%s%s\n" % (_FIRST_LINE, str(self.verifier).encode("ascii")))
                file.write(self._pem(passphrase))
                file.flush()
                os.fsync(file.fileno())
        except BaseException:
            path.unlink()
            raise

    def _pem(self, passphrase: Passphrase | None) -> Secret:
        protected: dict[str, Any] = {}
        if passphrase is not None:
            protected = {"protection": _PROTECTION, "prot_params": _SCRYPT}
            protected["passphrase"] = passphrase.reveal()
        return Secret(
            b"%s\n" % self._key.export_key(format="PEM", use_pkcs8=True, **protected).encode()
        )


class KeyFile:
    """A key file that was read but not yet opened."""

    def __init__(self, path: Path) -> None:
        """Read the file. Raises InputError if it is no key file of auditkit's."""
        self.path = path
        try:
            line, self._pem = _split(path.read_bytes())
            self.verifier = VerifierKey.parse(line)
        except FileNotFoundError:
            raise InputError(
                f"{path}: no such file; restore it, or name it with --key (auditkit key new "
                "makes a new one)"
            ) from None
        except (IsADirectoryError, Malformed):
            raise InputError(f"{path}: not a key file of auditkit's") from None

    @property
    def encrypted(self) -> bool:
        """Whether a passphrase is needed."""
        return b"ENCRYPTED" in self._pem.partition(b"\n")[0]

    def open(self, passphrase: Passphrase | None) -> Signer:
        """The signer. Raises InputError if the passphrase does not fit."""
        signer = self._signer(passphrase)
        if signer is None:
            raise InputError(f"{self.path}: cannot be opened: wrong passphrase or damaged file")
        return signer

    def _signer(self, passphrase: Passphrase | None) -> Signer | None:
        try:
            key = ECC.import_key(self._pem, passphrase.reveal() if passphrase else None)
        except (ValueError, IndexError, TypeError):
            # What the library says could hold parts of the key, so it goes no further.
            return None
        if key.curve != "Ed25519" or not key.has_private():
            return None
        signer = Signer(self.verifier.name, key)
        return signer if signer.verifier == self.verifier else None


def _split(data: bytes) -> tuple[str, Secret]:
    """The verifier key on the first line, or no text if the file is none of ours, and its PEM."""
    line, _, pem = data.partition(b"\n")
    if not line.startswith(_FIRST_LINE) or not pem.startswith(b"-----BEGIN"):
        return "", Secret()
    return line.removeprefix(_FIRST_LINE).rstrip(b"\r").decode("ascii", "replace"), Secret(pem)
