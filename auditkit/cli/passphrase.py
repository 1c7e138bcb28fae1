"""Where a passphrase comes from: a file, the environment, or a prompt. Never an argument."""

import getpass
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from auditkit.cli.files import read_bytes, read_line
from auditkit.cli.terminal import clean, is_terminal
from auditkit.errors import InputError

if TYPE_CHECKING:
    from auditkit.keyfile import Passphrase
    from auditkit.publish.keys import Signer

VARIABLE = "AUDITKIT_PASSPHRASE"
_LIMIT = 1 << 16


def given(source: str | None) -> "Passphrase | None":
    """The passphrase from --passphrase-file or the environment; None if neither is there."""
    if source == "-":
        return _passphrase(read_line())
    if source is not None:
        try:
            text = read_bytes(source, _LIMIT)
        except InputError as problem:
            raise InputError(f"--passphrase-file: {problem}") from None
        return _passphrase(text.removesuffix(b"\n").removesuffix(b"\r"))
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


def asked_twice(source: str | None) -> "Passphrase":
    """A new key's passphrase: given, or asked for twice on a terminal."""
    found = given(source)
    if found is not None:
        return found
    first = _ask("Passphrase for the new key: ")
    if _ask("The same once more: ") != first:
        raise InputError("the two passphrases differ; nothing was written")
    return first


def open_signer(path: Path, source: str | None) -> "Signer":
    """Open a key file; asks for the passphrase only if there is one to ask for."""
    from auditkit.publish.keys import KeyFile

    file = KeyFile(path)
    if not file.encrypted:
        return file.open(None)
    return file.open(given(source) or _ask(f"Passphrase for {clean(path)}: "))


def _ask(prompt: str) -> "Passphrase":
    if not (sys.stdin is not None and sys.stdin.isatty() and is_terminal(error=True)):
        raise InputError(
            f"a passphrase is needed; give --passphrase-file, or set {VARIABLE} in the environment"
        )
    try:
        return _passphrase(getpass.getpass(prompt, sys.stderr).encode())
    except UnicodeError:
        raise InputError("the passphrase is not UTF-8 text") from None
