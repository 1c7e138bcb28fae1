"""A witness's key file and what it signs (SPEC.md §4, Witnesses). The file: `auditkit.keyfile`."""

from pathlib import Path

from auditkit.errors import InputError, shown
from auditkit.keyfile import WITNESS_LINE, Passphrase, SealedKey, SigningKey
from auditkit.verify.cosignature import WitnessKey, cosigned_message
from auditkit.verify.errors import Malformed
from auditkit.verify.note import Signature


class Cosigner:
    """A private key under its witness's name. It cosigns, and does nothing else."""

    __slots__ = ("_key", "verifier")

    def __init__(self, name: str, key: SigningKey) -> None:
        self._key = key
        self.verifier = WitnessKey(name, key.public)

    def __repr__(self) -> str:
        return f"Cosigner({self.verifier})"

    @classmethod
    def generate(cls, name: str) -> "Cosigner":
        """A new key from the system's randomness. Raises InputError on a bad name."""
        made = cls(name, SigningKey.generate())
        try:
            known = WitnessKey.parse(str(made.verifier)) == made.verifier
        except (Malformed, UnicodeEncodeError):
            known = False
        if not known or not name.isprintable():
            raise InputError(
                f"NAME: {shown(name)} is no name of a witness; write for example "
                "auditor.example/witness, without blanks and without +"
            )
        return made

    def cosign(self, text: str, time: int) -> Signature:
        """The line of a cosignature of a checkpoint's text, at `time` in seconds since 1970."""
        return self.verifier.line(time, self._key.sign(cosigned_message(text, time)))

    def write(self, path: Path, passphrase: Passphrase | None) -> None:
        """Write the key file, mode 0600. Raises InputError if the file exists."""
        self._key.write(path, f"{WITNESS_LINE}{self.verifier}", passphrase)


class CosignerFile:
    """A witness's key file that was read but not yet opened."""

    def __init__(self, path: Path) -> None:
        """Read the file. Raises InputError if it is no key file of a witness's."""
        self.path = path
        self._sealed = SealedKey(path, WITNESS_LINE, "auditkit witness key new")
        try:
            self.verifier = WitnessKey.parse(self._sealed.line)
        except Malformed:
            raise self._sealed.refuse("a key file of a witness's") from None

    @property
    def encrypted(self) -> bool:
        """Whether a passphrase is needed."""
        return self._sealed.encrypted

    def open(self, passphrase: Passphrase | None) -> Cosigner:
        """The cosigner. Raises InputError if the passphrase does not fit."""
        return Cosigner(self.verifier.name, self._sealed.open(passphrase, self.verifier.public))
