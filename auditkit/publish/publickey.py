"""The verifier key of a key that somebody else holds: an HSM, a KMS, a token (SPEC.md §4)."""

from Crypto.PublicKey import ECC

from auditkit.errors import InputError, shown
from auditkit.verify.elements import VENUE
from auditkit.verify.errors import Malformed
from auditkit.verify.note import VerifierKey


def read(data: bytes, source: str) -> bytes:
    """The 32 bytes of an Ed25519 public key in PEM or DER. Raises InputError."""
    try:
        key = ECC.import_key(data)
    except (ValueError, IndexError, TypeError):
        raise InputError(f"--public-key: {source}: not a public key in PEM or DER") from None
    if key.has_private():
        raise InputError(f"--public-key: {source}: holds a private key; give the public one")
    if key.curve != "Ed25519":
        raise InputError(f"--public-key: {source}: a key of {key.curve}, not of Ed25519")
    raw: bytes = key.export_key(format="raw")
    return raw


def named(origin: str, public: bytes) -> VerifierKey:
    """The verifier key of a venue. Raises InputError if no venue can have that name."""
    try:
        return VerifierKey(VENUE.read(origin), public)
    except Malformed as error:
        raise InputError(
            f"ORIGIN: {error.what}, such as exchange.example/audit: {shown(origin)}"
        ) from None
