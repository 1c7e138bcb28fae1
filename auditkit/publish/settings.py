"""venue.json: where each of a venue's keys is kept. It holds no secret.

    {"format": "auditkit/venue/1", "key": "<path>"}                          one key file
    {"format": "auditkit/venue/2", "signers": {"<vkey>": {"file": "<path>"},
                                               "<vkey>": {"command": "<text>"},
                                               "<vkey>": {"pkcs11": "<URI>"}}}

The second form is written where the first cannot say it: an auditkit that knows
only one key file must not sign for a venue that has changed its key. What else
stands in the file is kept as it is.
"""

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

from auditkit.errors import DamagedError, InputError
from auditkit.files import draft_of, write_file
from auditkit.verify.errors import Malformed
from auditkit.verify.note import VerifierKey

NAME = "venue.json"
FILE, COMMAND, PKCS11 = KINDS = ("file", "command", "pkcs11")
_ONE, _MANY = "auditkit/venue/1", "auditkit/venue/2"


@dataclass(frozen=True, slots=True)
class Place:
    """Where a key is kept: `kind` is one of KINDS; `where` a path, a command line or a URI."""

    kind: str
    where: str

    @classmethod
    def of(cls, place: "Path | Place") -> "Place":
        """The place; of a path, that of a key file."""
        return place if isinstance(place, Place) else cls(FILE, str(place.resolve()))


@dataclass(frozen=True, slots=True)
class Settings:
    """What venue.json says; `first` is the venue's first key."""

    first: VerifierKey
    places: Mapping[VerifierKey, Place]
    rest: Mapping[str, Any]

    @classmethod
    def read(cls, root: Path, first: VerifierKey) -> Self:
        """Read the file. Raises DamagedError, or InputError if another auditkit made it."""
        path = root / NAME
        try:
            rest = json.loads(path.read_text("utf-8"))
            form = rest.pop("format")
            if form == _ONE:
                places = {first: Place(FILE, str(Path(rest.pop("key"))))}
            elif form == _MANY:
                places = dict(map(_place, rest.pop("signers").items()))
            else:
                raise InputError(f"{path}: made by another version of auditkit")
        except (ValueError, KeyError, TypeError, AttributeError, Malformed) as error:
            raise unreadable(root, error) from None
        return cls(first, places, rest)

    @staticmethod
    def forget_draft(root: Path) -> None:
        """Forget what an interrupted `write` left behind."""
        draft_of(root / NAME).unlink(missing_ok=True)

    def write(self, root: Path) -> None:
        """Write the file, if it would be another one."""
        data = json.dumps(self._values() | dict(self.rest), indent=1).encode() + b"\n"
        path = root / NAME
        if not path.exists() or path.read_bytes() != data:
            write_file(path, data)

    def _values(self) -> dict[str, Any]:
        place = self.places.get(self.first)
        if len(self.places) == 1 and place is not None and place.kind == FILE:
            return {"format": _ONE, "key": place.where}
        places = {str(key): {place.kind: place.where} for key, place in self.places.items()}
        return {"format": _MANY, "signers": places}

    def put(self, key: VerifierKey, place: Place) -> "Settings":
        """The same with a key kept there."""
        return replace(self, places={**self.places, key: place})

    def only(self, keys: Collection[VerifierKey]) -> "Settings":
        """The same without what is no key of the venue's."""
        places = {key: place for key, place in self.places.items() if key in keys}
        return replace(self, places=places)


def unreadable(root: Path, error: Exception) -> DamagedError:
    """What to raise where the settings of the venue in `root` cannot be made out."""
    return DamagedError(f"{root}: the venue's settings cannot be read: {error}")


def _place(item: tuple[str, Any]) -> tuple[VerifierKey, Place]:
    vkey, place = item
    [(kind, where)] = place.items()
    if kind not in KINDS or not isinstance(where, str):
        raise ValueError(f"a key is kept in a file, by a command or in pkcs11, not in {kind}")
    return VerifierKey.parse(vkey), Place(kind, where)
