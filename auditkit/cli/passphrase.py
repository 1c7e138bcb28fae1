"""Where a passphrase or a PIN comes from: a file, the environment, or a prompt. Never an argument.

Where two keys sign, each of their passphrases may be given, in any order: a key
file takes the first that fits. A PIN is never tried like that, since a token
locks itself after a few.
"""

import getpass
import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TypeVar

from auditkit.cli.files import read_bytes, read_line
from auditkit.cli.terminal import clean, is_terminal, write
from auditkit.errors import InputError

if TYPE_CHECKING:
    from auditkit.keyfile import Passphrase
    from auditkit.publish.keys import Signer

VARIABLE = "AUDITKIT_PASSPHRASE"
_LIMIT = 1 << 16
T = TypeVar("T", covariant=True)
_LACK = f"a passphrase is needed; give --passphrase-file, or set {VARIABLE} in the environment"


def given(source: str | None) -> "Passphrase | None":
    """The passphrase from --passphrase-file or the environment; None if neither is there."""
    if source == "-":
        return _passphrase(read_line())
    if source is not None:
        try:
            text = read_bytes(source, _LIMIT)
        except InputError as problem:
            raise InputError(f"--passphrase-file: {problem}") from None
        text = text.removesuffix(b"\n").removesuffix(b"\r")
        if b"\n" in text:
            raise InputError(
                f"--passphrase-file: {source}: has several lines; write the passphrase alone"
            )
        return _passphrase(text)
    if VARIABLE in os.environ:
        return _passphrase(os.fsencode(os.environ[VARIABLE]))
    return None


def _passphrase(given: bytes) -> "Passphrase":
    from auditkit.keyfile import Passphrase

    try:
        return Passphrase(given.decode("utf-8"))
    except UnicodeDecodeError:
        # What the decoder says would show the bytes, so it goes no further.
        raise InputError("the passphrase is not UTF-8 text") from None


def asked_twice(sources: Sequence[str] | None) -> "Passphrase":
    """A new key's passphrase: given, or asked for twice on a terminal."""
    if sources is not None and len(sources) > 1:
        raise InputError("--passphrase-file: is given twice; a new key has one passphrase")
    found = given(sources[0] if sources else None)
    if found is not None:
        return found
    first = _ask("Passphrase for the new key: ")
    if _ask("The same once more: ") != first:
        raise InputError("the two passphrases differ; nothing was written")
    return first


class Sealed(Protocol[T]):
    """A key file that was read but not yet opened."""

    path: Path

    @property
    def encrypted(self) -> bool:
        """Whether a passphrase is needed."""
        ...

    def open(self, passphrase: "Passphrase | None") -> T:
        """What it holds. Raises InputError if the passphrase does not fit."""
        ...


class Passphrases:
    """What --passphrase-file and the environment hold, read when a key file first needs it."""

    def __init__(self, sources: Sequence[str] | None) -> None:
        self._sources: Sequence[str | None] = sources or [None]
        self._found: list[Passphrase] | None = None

    def open(self, file: "Sealed[T]") -> T:
        """Open a key file; asks for the passphrase only if there is one to ask for."""
        _warn_of_readers(file.path)
        if not file.encrypted:
            return file.open(None)
        if self._found is None:
            self._found = [found for found in map(given, self._sources) if found is not None]
        if not self._found:
            return file.open(_ask(f"Passphrase for {clean(file.path)}: "))
        for passphrase in self._found[:-1]:
            with suppress(InputError):
                return file.open(passphrase)
        return file.open(self._found[-1])


def _warn_of_readers(path: Path) -> None:
    """Say so where others may read a key file."""
    mode = path.stat().st_mode & 0o777
    if mode & 0o044:
        where = clean(path)
        write(
            f"NOTE: {where}: others can read this key (mode {mode:o}); chmod 600 it\n", error=True
        )


def open_signer(path: Path, sources: Sequence[str] | None) -> "Signer":
    """Open one key file; asks for the passphrase only if there is one to ask for."""
    from auditkit.publish.keys import KeyFile

    return Passphrases(sources).open(KeyFile(path))


def ask_pin(token: str) -> "Passphrase":
    """The PIN of a token, asked for on a terminal."""
    return _ask(
        f"PIN of the token {clean(token)}: ",
        "a PIN is needed; write it to a file, and name that with pin-source= in the URI",
    )


def _ask(prompt: str, lack: str = _LACK) -> "Passphrase":
    if not (sys.stdin is not None and sys.stdin.isatty() and is_terminal(error=True)):
        raise InputError(lack)
    try:
        return _passphrase(getpass.getpass(prompt, sys.stderr).encode())
    except UnicodeError:
        raise InputError("the passphrase is not UTF-8 text") from None
