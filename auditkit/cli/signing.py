"""What signs for a venue: key files, commands, tokens, as venue.json or the options name them."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from auditkit.cli.passphrase import Passphrases, ask_pin
from auditkit.cli.trust import read_key
from auditkit.errors import InputError

if TYPE_CHECKING:
    from auditkit.publish.settings import Place
    from auditkit.publish.signers import Signers, Signing
    from auditkit.publish.venue import Venue
    from auditkit.verify.note import VerifierKey


def open_signers(
    venue: "Venue", keys: Sequence[Path] | None, passphrases: Passphrases
) -> "Signers":
    """All that sign the venue's next checkpoint; `keys` are key files that lie elsewhere.

    No key is asked for that has retired.
    """
    from auditkit.publish.keys import KeyFile
    from auditkit.publish.settings import Place
    from auditkit.publish.signers import Signers

    needed = venue.next_signers
    places = dict(venue.settings.places)
    for file in map(KeyFile, keys or ()):
        if file.verifier not in needed:
            whose = " and ".join(map(str, needed))
            raise InputError(f"the key file holds {file.verifier}, but the venue's key is {whose}")
        places[file.verifier] = Place.of(file.path)
    return Signers(*(_open(key, places.get(key), passphrases) for key in needed))


def new_signer(
    key: str, command: str | None, token: str | None, option: str, passphrases: Passphrases
) -> "tuple[Signing, Place]":
    """What signs with a key the venue does not know yet, and where that is kept.

    `key` is what `option` gives: a key file, or with a command or a token its verifier key.
    """
    from auditkit.publish.keys import KeyFile
    from auditkit.publish.settings import COMMAND, PKCS11, Place

    if command is not None and token is not None:
        raise InputError("--signer-command and --pkcs11 exclude each other")
    if command is None and token is None:
        file = KeyFile(Path(key))
        return passphrases.open(file), Place.of(file.path)
    place = Place(PKCS11, token) if token is not None else Place(COMMAND, str(command))
    verifier = read_key(key, option)
    return _open(verifier, place, passphrases), place


def _open(key: "VerifierKey", place: "Place | None", passphrases: Passphrases) -> "Signing":
    from auditkit.publish.commandkey import CommandSigner
    from auditkit.publish.keys import KeyFile
    from auditkit.publish.settings import COMMAND, PKCS11

    if place is None:
        raise InputError(f"where {key} is kept is not known; give its key file with --key")
    if place.kind == COMMAND:
        return CommandSigner(key, place.where)
    if place.kind == PKCS11:
        from auditkit.publish.tokenkey import KeyURI, TokenSigner

        uri = KeyURI.parse(place.where)
        return TokenSigner(key, uri, uri.pin(ask_pin))
    return passphrases.open(KeyFile(Path(place.where)))
