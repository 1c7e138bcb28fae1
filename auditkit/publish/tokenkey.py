"""A key in a PKCS#11 token, such as an HSM or SoftHSM. Needs the extra `pkcs11`.

A key is named by a URI of RFC 7512, which also names the module that knows the
token, and at will the file that holds the PIN:

    pkcs11:token=audit;object=venue?module-path=/usr/lib/softhsm/libsofthsm2.so&pin-source=/etc/pin

The token signs with CKM_EDDSA, and its PIN is asked for once. A wrong PIN is
never tried twice: tokens lock themselves after a few.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self
from urllib.parse import unquote, unquote_to_bytes

from auditkit.errors import InputError, shown
from auditkit.keyfile import Passphrase
from auditkit.verify.note import VerifierKey

NAME = "--pkcs11"
_TOKEN = {"token": "token_label", "serial": "token_serial"}
_KEY = {"object": "LABEL", "id": "ID"}
_MODULE, _PIN = "module-path", "pin-source"
_PART = re.compile(r"([a-z-]+)=([A-Za-z0-9._~%:\[\]@!$'()*+,=/-]*)", re.ASCII)
_MOST = 1 << 12

Ask = Callable[[str], Passphrase]
"""Asks somebody for the PIN of a token, which it is told the name of."""


@dataclass(frozen=True, slots=True)
class KeyURI:
    """What a pkcs11: URI says: which module, token and key, and where the PIN is."""

    module: str
    token: Mapping[str, Any]
    key: Mapping[str, Any]
    pin_source: str

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a URI. Raises InputError, which never shows a PIN."""
        scheme, _, rest = text.partition(":")
        path, _, query = rest.partition("?")
        if scheme != "pkcs11":
            raise InputError(f"{NAME}: not a URI that begins with pkcs11:")
        given = dict(_part(part) for part in (*_split(path, ";"), *_split(query, "&")))
        if "pin-value" in given:
            raise InputError(
                f"{NAME}: a PIN does not belong in the URI; write it to a file that only you can "
                f"read, and name that with {_PIN}=PATH, or leave it out to be asked"
            )
        if unknown := sorted(set(given) - {*_TOKEN, *_KEY, "type", _MODULE, _PIN}):
            known = ", ".join((*_TOKEN, *_KEY, _MODULE, _PIN))
            raise InputError(f"{NAME}: {unknown[0]} is unknown here; the URI may have {known}")
        if given.pop("type", "private") != "private":
            raise InputError(f"{NAME}: the type of the key that signs is private")
        found = cls(
            unquote(given.pop(_MODULE, "")),
            {_TOKEN[name]: unquote(value) for name, value in given.items() if name in _TOKEN},
            {
                _KEY[name]: unquote_to_bytes(value) if name == "id" else unquote(value)
                for name, value in given.items()
                if name in _KEY
            },
            unquote(given.pop(_PIN, "")).removeprefix("file:"),
        )
        for value, what in ((found.module, _MODULE), (found.token, "token"), (found.key, "object")):
            if not value:
                raise InputError(f"{NAME}: the URI lacks {what}=")
        for value, what in ((found.module, _MODULE), (found.pin_source or "/", _PIN)):
            if not value.startswith("/"):
                raise InputError(f"{NAME}: {what}: {shown(value)} is not an absolute path")
        return found

    @property
    def token_name(self) -> str:
        """The token as people know it."""
        return str(next(iter(self.token.values())))

    def pin(self, ask: Ask) -> Passphrase:
        """The PIN from its file, or asked for. Raises InputError."""
        if not self.pin_source:
            return ask(self.token_name)
        try:
            with Path(self.pin_source).open("rb") as file:
                text = file.read(_MOST).removesuffix(b"\n").removesuffix(b"\r").decode("utf-8")
            return Passphrase(text)
        except (InputError, UnicodeDecodeError, FileNotFoundError, IsADirectoryError):
            raise InputError(f"{NAME}: {_PIN}: {self.pin_source} holds no PIN") from None


def _split(text: str, mark: str) -> list[str]:
    return text.split(mark) if text else []


def _part(part: str) -> tuple[str, str]:
    match = _PART.fullmatch(part)
    if match is None:
        # It is not shown: whatever is misspelt may hold a PIN.
        raise InputError(f"{NAME}: not the URI of a key: pkcs11:token=T;object=K?module-path=FILE")
    return match[1], match[2]


class TokenSigner:
    """A verifier key whose private half stays in a token."""

    __slots__ = ("_pin", "_uri", "verifier")

    def __init__(self, verifier: VerifierKey, uri: KeyURI, pin: Passphrase) -> None:
        """Raises InputError unless the token opens and has the key."""
        self.verifier = verifier
        self._uri, self._pin = uri, pin
        with self._key():
            pass

    def __repr__(self) -> str:
        return f"TokenSigner({self.verifier})"

    def sign(self, message: bytes) -> bytes:
        """The 64 bytes that the token answers with. Raises InputError."""
        from pkcs11 import Mechanism, SignMixin

        with self._key() as key:
            if not isinstance(key, SignMixin):
                raise InputError(f"{NAME}: token {self._uri.token_name}: the key may not sign")
            return bytes(key.sign(message, mechanism=Mechanism.EDDSA))

    @contextmanager
    def _key(self) -> Iterator[Any]:
        """The private key, as long as the session lasts."""
        with _session(self._uri, self._pin) as session:
            yield _found(session, self._uri, "PRIVATE_KEY")


def public_key(uri: KeyURI) -> bytes:
    """The 32 bytes of the public key that the token has beside the private one.

    Raises InputError if it has none, or shows it only to who knows the PIN.
    """
    from pkcs11 import Attribute

    with _session(uri, None) as session:
        point = bytes(_found(session, uri, "PUBLIC_KEY")[Attribute.EC_POINT])
    # Some tokens wrap the point in an OCTET STRING or a BIT STRING, some do not.
    for wrapping in (b"\x04\x20", b"\x03\x21\x00", b""):
        if point.startswith(wrapping) and len(point) == len(wrapping) + 32:
            return point[len(wrapping) :]
    raise InputError(f"{NAME}: the token's public key is not of Ed25519")


def _found(session: Any, uri: KeyURI, kind: str) -> Any:
    """The one Ed25519 key of that kind that the URI names. Raises InputError."""
    from pkcs11 import Attribute, KeyType, ObjectClass

    about = {Attribute.CLASS: ObjectClass[kind], Attribute.KEY_TYPE: KeyType.EC_EDWARDS}
    keys = list(session.get_objects(about | {Attribute[k]: v for k, v in uri.key.items()}))
    if len(keys) == 1:
        return keys[0]
    raise InputError(
        f"{NAME}: token {uri.token_name}: "
        + (
            "has several such keys; name both object and id"
            if keys
            else "has no Ed25519 key of that object or id, or shows it only with its PIN"
        )
    )


@contextmanager
def _session(uri: KeyURI, pin: Passphrase | None) -> Iterator[Any]:
    """A session of the token; whatever the module raises in it is told in one line."""
    import pkcs11

    try:
        token = pkcs11.lib(uri.module).get_token(**uri.token)
        with token.open(user_pin=None if pin is None else pin.reveal().decode()) as session:
            yield session
    except pkcs11.PKCS11Error as error:
        # The kind of it only: nobody knows what a module puts into its words.
        kind = type(error).__name__
        words = _WORDS.get(kind) or re.sub(r"(?<=[a-z])(?=[A-Z])", " ", kind).lower()
        raise InputError(f"{NAME}: token {uri.token_name}: {words}") from None


_WORDS = {
    "PKCS11Error": "the module named with module-path cannot be loaded",
    "NoSuchToken": "the module has no such token",
    "MultipleTokensReturned": "the module has several such tokens; name the serial too",
    "PinIncorrect": "the PIN is wrong; it was not tried again, since tokens lock themselves",
    "PinLocked": "the PIN is locked; unlock the token with its own tools",
}
