"""Key files and passphrases, for whoever signs: a venue, or a witness (SPEC.md §4).

A key file is PKCS#8 PEM, as OpenSSL reads it, behind one line with the verifier
key: nothing else seals a PKCS#8 key, so a damaged one could open as another
key. pycryptodome prints the seed of a private key in its `repr`, so a key
never leaves a `SigningKey`, and a passphrase never leaves a `Passphrase`. Where
one of them stands bare among the locals of a function, nothing is raised.
"""

import os
import re
from pathlib import Path
from typing import Any

from Crypto.PublicKey import ECC
from Crypto.Signature import eddsa

from auditkit.errors import InputError
from auditkit.files import naming
from auditkit.secret import Secret

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


class SigningKey:
    """An Ed25519 private key that does not show itself, and its 32-byte public key."""

    __slots__ = ("_key", "public")

    def __init__(self, key: ECC.EccKey) -> None:
        self._key = key
        self.public: bytes = key.public_key().export_key(format="raw")

    def __repr__(self) -> str:
        return "SigningKey(...)"

    @classmethod
    def generate(cls) -> "SigningKey":
        """A new key from the system's randomness."""
        return cls(ECC.generate(curve="Ed25519"))

    def sign(self, message: bytes) -> bytes:
        """The 64 bytes of an Ed25519 signature."""
        return eddsa.new(self._key, "rfc8032").sign(message)

    def write(self, path: Path, line: str, passphrase: Passphrase | None) -> None:
        """Write the key file behind `line`, mode 0600. Raises InputError if the file exists."""
        try:
            handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError:
            raise InputError(f"{path}: exists; a key file is never overwritten") from None
        except (FileNotFoundError, NotADirectoryError):
            raise InputError(f"{path}: no such folder") from None
        try:
            with naming(path), os.fdopen(handle, "wb") as file:
                file.write(b"%s\n" % line.encode("utf-8"))
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


VENUE_LINE = "auditkit signing key of "
WITNESS_LINE = "auditkit witness key of "
"""How the first line of a key file begins, before the verifier key."""
_VKEY = re.compile(rb"\S+\+[0-9a-f]{8}\+[A-Za-z0-9+/=]+\s*")


class SealedKey:
    """The key file behind one line, read but not yet opened. `line` is "" if it is none of ours."""

    def __init__(self, path: Path, first: str, made_by: str) -> None:
        """Read a file whose first line begins with `first`; the command `made_by` makes one.

        Raises InputError if there is no file.
        """
        self.path = path
        try:
            data = path.read_bytes()
            self._other = _other(data, first)
            self.line, self._pem = _split(data, first)
        except (FileNotFoundError, NotADirectoryError):
            raise InputError(
                f"{path}: no such file; restore it, or name it with --key ({made_by} makes a new "
                "one)"
            ) from None
        except IsADirectoryError:
            raise InputError(f"{path}: not a key file of auditkit's") from None

    def refuse(self, what: str) -> InputError:
        """The refusal of a file that is not `what`, with what it is instead, where that is seen."""
        return InputError(f"{self.path}: {self._other or f'not {what}'}")

    @property
    def encrypted(self) -> bool:
        """Whether a passphrase is needed."""
        return b"ENCRYPTED" in self._pem.partition(b"\n")[0]

    def open(self, passphrase: Passphrase | None, public: bytes) -> SigningKey:
        """The key of that public key. Raises InputError if the passphrase does not fit."""
        key = self._key(passphrase)
        if key is None or key.public != public:
            raise InputError(f"{self.path}: cannot be opened: wrong passphrase or damaged file")
        return key

    def _key(self, passphrase: Passphrase | None) -> SigningKey | None:
        try:
            key = ECC.import_key(self._pem, passphrase.reveal() if passphrase else None)
        except (ValueError, IndexError, TypeError):
            # What the library says could hold parts of the key, so it goes no further.
            return None
        if key.curve != "Ed25519" or not key.has_private():
            return None
        return SigningKey(key)


def _other(data: bytes, first: str) -> str:
    """What a file is that somebody took for one behind `first`; no text if that is not plain."""
    kinds = {
        VENUE_LINE: ("a venue's", "key show"),
        WITNESS_LINE: ("a witness's", "witness key show"),
    }
    for line, (whose, command) in kinds.items():
        if line != first and data.startswith(line.encode("ascii")):
            return f"is {whose} key; auditkit {command} tells its verifier key"
    if _VKEY.fullmatch(data):
        return "is a verifier key, not a key file"
    return ""


def _split(data: bytes, first: str) -> tuple[str, Secret]:
    """What follows `first` on the first line, or no text if it is none of ours, and the PEM."""
    line, _, pem = data.partition(b"\n")
    if not line.startswith(first.encode("ascii")) or not pem.startswith(b"-----BEGIN"):
        return "", Secret()
    rest = line.removeprefix(first.encode("ascii")).rstrip(b"\r")
    return rest.decode("utf-8", "replace"), Secret(pem)
