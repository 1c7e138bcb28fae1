"""One request to one witness (C2SP tlog-witness): add-checkpoint over HTTP, within bounds.

No proxy is used and no redirect followed: a witness is asked where the policy
says, and nowhere else. What comes back is anybody's until it was verified.
"""

import socket
import time
from contextlib import closing, suppress
from dataclasses import dataclass
from http import HTTPStatus
from threading import Lock
from typing import Any
from urllib.parse import SplitResult, urlsplit

from auditkit.errors import InputError, shown
from auditkit.verify.cosignature import WitnessKey
from auditkit.verify.errors import Malformed, Refuted
from auditkit.verify.note import Checkpoint, Signature

MAX_ANSWER_BYTES = 1 << 16
_MAX_RECEIVED = 4 * MAX_ANSWER_BYTES
"""The same with what HTTP puts around it."""
_TOO_MUCH = f"answered more than {MAX_ANSWER_BYTES} bytes"
_SIZE_TYPE = "text/x.tlog.size"


class Failed(Exception):
    """A witness did not cosign: why, in words for whoever publishes."""


@dataclass(frozen=True, slots=True)
class Conflict:
    """A witness saw another head last: of so many entries."""

    size: int


def read_url(url: str) -> SplitResult:
    """The parts of a witness's URL. Raises InputError unless one can be asked there."""
    # Whoever proves an account opens a venue too, and asks no witness.
    from auditkit.connection import check_host

    try:
        parts = urlsplit(url)
        known = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
        check_host(parts.hostname or "")
    except ValueError:
        known = False
    plain = url.isascii() and url.isprintable() and not set(url) & set(" @?#\\")
    if not known or not plain:
        raise InputError(
            f"{shown(url)} is no URL of a witness; write for example https://witness.example/path"
        )
    return parts


class Submission:
    """A request that can be given up from another thread."""

    def __init__(self, url: str, patience: float) -> None:
        """`patience` is in seconds, for all of it. Raises InputError."""
        parts = read_url(url)
        import ssl

        from auditkit.connection import Connection

        context = ssl.create_default_context() if parts.scheme == "https" else None
        self._connection = Connection(str(parts.hostname), parts.port, context)
        self._patience = patience
        self._path = parts.path.rstrip("/") + "/add-checkpoint"
        # The library forgets the socket once an answer has begun, so it is kept here as well.
        self._socket: Any = None
        self._guard, self._given_up = Lock(), False

    def give_up(self) -> None:
        """End it: what waits for the network fails at once."""
        with self._guard:
            self._given_up = True
            if self._socket is not None:
                with suppress(OSError):
                    self._socket.shutdown(socket.SHUT_RDWR)

    def send(self, data: bytes) -> tuple[int, str, bytes]:
        """The status, the content type and the bytes of the answer. Raises Failed."""
        from http.client import HTTPException

        from auditkit.connection import TooMuch

        self._connection.until = now() + self._patience
        self._connection.left = _MAX_RECEIVED
        try:
            self._connection.connect()
            with self._guard:
                self._socket = self._connection.sock
                if self._given_up:
                    raise Failed("was given up")
            head = {"Content-Type": "text/plain; charset=utf-8", "Connection": "close"}
            self._connection.request("POST", self._path, data, head)
            with closing(self._connection.getresponse()) as answer:
                found = answer.read(MAX_ANSWER_BYTES + 1)
        except TimeoutError:
            raise Failed("did not answer in time") from None
        except TooMuch:
            raise Failed(_TOO_MUCH) from None
        except (OSError, HTTPException, ValueError) as error:
            # A ValueError is how http.client meets some framings that are none. What the
            # system says is plain; the rest may repeat what a stranger sent.
            why = getattr(error, "strerror", None) or shown(str(error) or type(error).__name__)
            raise Failed(f"cannot be asked: {why}") from None
        finally:
            self._connection.close()
        if len(found) > MAX_ANSWER_BYTES:
            raise Failed(_TOO_MUCH)
        return answer.status, answer.headers.get("Content-Type", ""), found


def read_answer(
    key: WitnessKey, head: Checkpoint, status: int, kind: str, data: bytes
) -> Signature | Conflict:
    """The witness's own line over the head, verified; or which size it saw last. Raises Failed."""
    if status == HTTPStatus.CONFLICT and kind == _SIZE_TYPE:
        digits = data.removesuffix(b"\n")
        if not digits.isdigit() or len(digits) > 19 or str(int(digits)).encode() + b"\n" != data:
            raise Failed(f"answered 409 without a size: {_text(data)}")
        return Conflict(int(digits))
    if status != HTTPStatus.OK:
        raise Failed(f"answered {status}: {_text(data)}")
    for line in _lines(data):
        if (line.name, line.key_id) == (key.name, key.id):
            try:
                time = key.check(head.note.text, line)
            except Refuted as error:
                raise Failed(f"its line does not hold: {error.what}") from None
            if time == 0:
                raise Failed("its line has no time")
            return line
    raise Failed(f"answered without a line by its key {key.id.hex()}")


def _lines(data: bytes) -> list[Signature]:
    """The signature lines of an answer, whosever they are."""
    try:
        text = data.decode("utf-8")
        if not text.endswith("\n"):
            raise Malformed("not lines")
        return [Signature.parse(line) for line in text[:-1].split("\n")]
    except (UnicodeDecodeError, Malformed):
        raise Failed(f"answered no signature lines: {_text(data)}") from None


def _text(data: bytes) -> str:
    """What a witness says, for an error line."""
    return shown(" ".join(data[:200].decode("utf-8", "replace").split()))


def now() -> float:
    """The clock that patience is measured by, in seconds."""
    return time.monotonic()
