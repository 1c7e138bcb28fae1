"""The verifier keys a customer has pinned, where the platform keeps configuration."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import typer

from auditkit.cli.files import read_bytes
from auditkit.errors import InputError
from auditkit.verify.errors import Malformed
from auditkit.verify.note import VerifierKey

_LIMIT = 1 << 12


def read_key(given: str, option: str = "") -> VerifierKey:
    """A verifier key from its one line, or from a file that holds it.

    Raises InputError, which begins with `option` if the key came from one.
    """
    where = f"{option}: " if option else ""
    try:
        return VerifierKey.parse(given.strip())
    except Malformed as problem:
        not_a_key = problem
    try:
        text = read_bytes(given, _LIMIT)
    except InputError as problem:
        if "+" in given:
            raise InputError(f"{where}not a verifier key: {not_a_key}") from None
        raise InputError(f"{where}not a verifier key, and {problem}") from None
    try:
        return VerifierKey.parse(text.decode("utf-8").strip())
    except (Malformed, UnicodeDecodeError):
        raise InputError(f"{where}{given}: does not hold a verifier key") from None


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
            found = list(map(VerifierKey.parse, self.path.read_text("utf-8").splitlines()))
        except (Malformed, UnicodeDecodeError):
            raise self._damaged() from None
        keys = {key.name: key for key in found}
        if len(keys) != len(found):
            raise self._damaged()
        return keys

    def add(self, key: VerifierKey) -> None:
        """Pin a key. Raises InputError if the venue has another one pinned."""
        with self._alone() as known:
            if key.name in known and known[key.name] != key:
                raise InputError(
                    f"{key.name} is pinned with key {known[key.name].id.hex()}, not "
                    f"{key.id.hex()}; find out why it differs before you remove the old one"
                )
            known[key.name] = key

    def follow(self, old: VerifierKey, new: VerifierKey) -> None:
        """Pin `new` where `old` is pinned. Raises InputError if it is not, any more."""
        with self._alone() as known:
            if known.get(old.name) != old:
                raise InputError(f"the pinned key of {old.name} is another one by now; try again")
            known[old.name] = new

    def remove(self, venue: str) -> None:
        """Forget a venue's key. Raises InputError if none is pinned."""
        with self._alone() as known:
            if known.pop(venue, None) is None:
                raise InputError(f"no key of {venue} is pinned")

    @contextmanager
    def _alone(self) -> Iterator[dict[str, VerifierKey]]:
        """The keys, while nobody else changes them; what the block makes of them is kept."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.with_suffix(".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            known = self.keys()
            yield known
            draft = self.path.with_suffix(".new")
            draft.write_text("".join(f"{known[name]}\n" for name in sorted(known)), "utf-8")
            draft.replace(self.path)

    def _damaged(self) -> InputError:
        return InputError(f"{self.path}: damaged; correct it, or remove it and pin anew")
