"""The verifier keys a customer has pinned, where the platform keeps configuration."""

import os
from pathlib import Path

import typer

from auditkit.errors import InputError
from auditkit.verify.errors import Malformed
from auditkit.verify.note import VerifierKey


def read_key(given: str) -> VerifierKey:
    """A verifier key from its one line, or from a file that holds it. Raises InputError."""
    try:
        return VerifierKey.parse(given.strip())
    except Malformed as problem:
        path = Path(given)
        if "+" in given and not path.exists():
            raise InputError(f"--key: not a verifier key: {problem}") from None
    try:
        return VerifierKey.parse(path.read_text("utf-8").strip())
    except FileNotFoundError:
        raise InputError(f"--key: {given}: no such file, and not a verifier key") from None
    except (Malformed, UnicodeDecodeError, IsADirectoryError):
        raise InputError(f"--key: {given}: does not hold a verifier key") from None


class TrustStore:
    """Pinned keys, at most one a venue. `AUDITKIT_CONFIG_DIR` moves it."""

    def __init__(self) -> None:
        folder = os.environ.get("AUDITKIT_CONFIG_DIR") or typer.get_app_dir("auditkit")
        self.path = Path(folder) / "trusted-keys"

    def keys(self) -> dict[str, VerifierKey]:
        """The pinned keys by venue. Raises InputError if the file is damaged."""
        if not self.path.exists():
            return {}
        try:
            found = map(VerifierKey.parse, self.path.read_text("utf-8").splitlines())
            return {key.name: key for key in found}
        except (Malformed, UnicodeDecodeError):
            raise InputError(
                f"{self.path}: damaged; correct it, or remove it and pin anew"
            ) from None

    def add(self, key: VerifierKey) -> None:
        """Pin a key. Raises InputError if the venue has another one pinned."""
        known = self.keys()
        if key.name in known and known[key.name] != key:
            raise InputError(
                f"{key.name} is pinned with key {known[key.name].id.hex()}, not {key.id.hex()}; "
                "find out why it differs before you remove the old one"
            )
        self._write(known | {key.name: key})

    def remove(self, venue: str) -> None:
        """Forget a venue's key. Raises InputError if none is pinned."""
        known = self.keys()
        if known.pop(venue, None) is None:
            raise InputError(f"no key of {venue} is pinned")
        self._write(known)

    def _write(self, keys: dict[str, VerifierKey]) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        draft = self.path.with_suffix(".new")
        draft.write_text("".join(f"{keys[name]}\n" for name in sorted(keys)), "utf-8")
        draft.replace(self.path)
