"""A key that a command signs with, so that it may stay in an HSM or with a KMS.

The command gets the text to be signed as its standard input, byte for byte,
and prints the Ed25519 signature (RFC 8032, of the text and not of a hash of
it): either the 64 bytes, or their base64 (88 characters, padded) and at will
an end of line. It ends in 0, within a minute.
"""

import base64
import binascii

from auditkit.errors import InputError
from auditkit.publish.command import run
from auditkit.verify.note import VerifierKey

NAME = "--signer-command"
PATIENCE = 60_000
"""Milliseconds."""
_LENGTH = 64
_MOST = 1 << 12


class CommandSigner:
    """A verifier key, and the command line that signs for it."""

    __slots__ = ("_command", "_patience", "verifier")

    def __init__(self, verifier: VerifierKey, command: str, patience: int = PATIENCE) -> None:
        self.verifier = verifier
        self._command, self._patience = command, patience

    def __repr__(self) -> str:
        return f"CommandSigner({self.verifier})"

    def sign(self, message: bytes) -> bytes:
        """The 64 bytes that the command answers with. Raises InputError if it has none."""
        said = run(NAME, self._command, message, self._patience, _MOST)
        if len(said) == _LENGTH:
            return said
        try:
            value = base64.b64decode(said.removesuffix(b"\n").removesuffix(b"\r"), validate=True)
        except binascii.Error:
            value = b""
        if len(value) != _LENGTH:
            raise InputError(
                f"{NAME}: printed {len(said)} bytes, which are no signature: {_LENGTH} bytes, or "
                "their base64"
            )
        return value
