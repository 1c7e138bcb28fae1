"""Where a passphrase comes from: a file, the environment, or a prompt. Never an argument."""

import getpass
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from auditkit.errors import InputError

if TYPE_CHECKING:
    from auditkit.publish.keys import Passphrase, Signer

VARIABLE = "AUDITKIT_PASSPHRASE"


def given(source: str | None) -> "Passphrase | None":
    """The passphrase from --passphrase-file or the environment; None if neither is there."""
    from auditkit.publish.keys import Passphrase

    if source == "-":
        return Passphrase(sys.stdin.readline().rstrip("\r\n"))
    if source is not None:
        try:
            text = Path(source).read_text("utf-8")
        except FileNotFoundError:
            raise InputError(f"--passphrase-file: {source}: no such file") from None
        except (UnicodeDecodeError, IsADirectoryError):
            raise InputError(f"--passphrase-file: {source}: not a text file") from None
        return Passphrase(text.removesuffix("\n").removesuffix("\r"))
    if VARIABLE in os.environ:
        return Passphrase(os.environ[VARIABLE])
    return None


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
    return file.open(given(source) or _ask(f"Passphrase for {path}: "))


def _ask(prompt: str) -> "Passphrase":
    from auditkit.publish.keys import Passphrase

    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise InputError(
            f"a passphrase is needed; give --passphrase-file, or set {VARIABLE} in the environment"
        )
    return Passphrase(getpass.getpass(prompt, sys.stderr))
