"""A published log at one URL, read by HTTP GET and nothing else (C2SP tlog-tiles).

Only the host and port of that URL are ever connected to: a redirect is
refused, and no proxy is taken from the environment. Every response has limits
of size and time, and so have all of a round together; the time counts however
slowly bytes come. A server over https must have a certificate that this
machine's own store vouches for. What it serves is checked all the same, so
http is as good, but for those on the way who watch or withhold.
"""

import http.client
import ssl
import time
import zlib
from dataclasses import dataclass
from http import HTTPStatus
from ipaddress import ip_address
from urllib.parse import SplitResult, urlsplit

from auditkit import __version__
from auditkit.connection import Connection, TooMuch, check_host
from auditkit.errors import InputError, shown
from auditkit.follow.source import FetchError, bounded
from auditkit.verify.errors import show

_GONE = (HTTPStatus.NOT_FOUND, HTTPStatus.GONE)
_HEADERS = {
    "User-Agent": f"auditkit/{__version__}",
    "Accept-Encoding": "gzip, identity",
}
_GZIP = 16 + zlib.MAX_WBITS
_GZIP_MORE = 1 << 10
"""The most bytes by which gzip lengthens what it cannot compress."""
_AROUND = 1 << 17
"""The most bytes of one answer besides its body, which chunks may double."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Seconds for one response and for a whole round, and the bytes of a whole round."""

    response: float = 60.0
    round: float = 3600.0
    bytes: int = 1 << 34


class Web:
    """The files below a URL such as `https://exchange.example/audit`."""

    def __init__(self, url: str, limits: Limits | None = None) -> None:
        """Raises InputError if it is no such URL. Nothing is connected to yet."""
        self._parts = _split(url)
        self._limits = limits or Limits()
        context = ssl.create_default_context() if self._parts.scheme == "https" else None
        self._connection = Connection(str(self._parts.hostname), self._parts.port, context)
        self.name = self._parts.geturl().rstrip("/")
        self.begin()

    @property
    def plain(self) -> bool:
        """Whether others on the way see what is fetched, and can hold it back unnoticed."""
        return self._parts.scheme == "http" and not _is_loopback(str(self._parts.hostname))

    def begin(self) -> None:
        """Begin a round: its limits count from now."""
        self._until = time.monotonic() + self._limits.round
        self._left = self._limits.bytes

    def close(self) -> None:
        """Let go of the connection."""
        self._connection.close()

    def read(self, path: str, most: int) -> bytes:
        """A file's exact bytes. Raises FileNotFoundError, Refuted, FetchError."""
        rested = self._connection.is_open
        try:
            return self._get(path, most)
        except (FetchError, FileNotFoundError):
            self.close()
            raise
        except ConnectionError as error:
            self.close()
            if not rested:
                raise self._failed(path, error) from None
        except (OSError, http.client.HTTPException, zlib.error, ValueError) as error:
            # A ValueError is how http.client meets some framings that are none.
            self.close()
            raise self._failed(path, error) from None
        except BaseException:
            self.close()
            raise
        # A server may have closed a connection that rested. That says nothing about a new one.
        return self.read(path, most)

    def _get(self, path: str, most: int) -> bytes:
        connection = self._connection
        connection.until = min(self._until, time.monotonic() + self._limits.response)
        given = connection.left = min(self._left, 2 * (most + _GZIP_MORE) + _AROUND)
        try:
            data = self._answer(path, most)
        finally:
            received = given - connection.left
            self._left -= received
        # What was packed counts as it is written and read, and not as it was sent.
        self._left -= max(0, len(data) - received)
        if self._left < 0:
            raise TooMuch
        return data

    def _answer(self, path: str, most: int) -> bytes:
        connection, name = self._connection, f"{self.name}/{path}"
        connection.request("GET", f"{self._parts.path.rstrip('/')}/{path}", headers=_HEADERS)
        with connection.getresponse() as response:
            if response.status in _GONE:
                raise FileNotFoundError(response.status, "not there", name)
            if 300 <= response.status < 400:
                to = shown(response.getheader("Location", "nowhere"))
                raise FetchError(
                    f"the server sends on to {to}, which is not followed; if that is the venue's, "
                    "give it instead",
                    name,
                )
            if response.status != HTTPStatus.OK:
                raise FetchError(f"the server answered {response.status}", name)
            data = response.read(most + 1 + _GZIP_MORE)
            if response.length:
                raise FetchError("the answer was cut short", name)
            coding = response.getheader("Content-Encoding", "identity").strip().lower()
        return bounded(_decoded(data, coding, most), path, most)

    def _failed(self, path: str, error: Exception) -> FetchError:
        name = f"{self.name}/{path}"
        if isinstance(error, TimeoutError):
            if time.monotonic() >= self._until:
                return FetchError(f"not all could be had within {self._limits.round:g} s", name)
            return FetchError(f"no whole answer within {self._limits.response:g} s", name)
        if isinstance(error, TooMuch):
            if self._left < 0:
                return FetchError("more was sent than one round may fetch", name)
            return FetchError("no proper HTTP answer: it does not end", name)
        if isinstance(error, OSError):
            return FetchError(error.strerror or str(error) or type(error).__name__, name)
        return FetchError(
            f"no proper HTTP answer: {show(str(error)) or type(error).__name__}", name
        )


def _decoded(data: bytes, coding: str, most: int) -> bytes:
    """The bytes behind the content coding, at most one more than `most`. Raises zlib.error."""
    if coding == "identity":
        return data
    if coding not in ("gzip", "x-gzip"):
        raise zlib.error(f"an unknown content coding {coding}")
    unpacked = zlib.decompressobj(_GZIP)
    found = unpacked.decompress(data, most + 1)
    if len(found) <= most and (unpacked.unused_data or not unpacked.eof):
        raise zlib.error("its gzip is cut short or has something behind it")
    return found


def _split(url: str) -> SplitResult:
    """The parts of an http or https URL. Raises InputError."""
    what = ""
    try:
        parts = urlsplit(url)
        port = parts.port
        check_host(parts.hostname or "")
    except ValueError as error:
        raise InputError(f"{shown(url)}: not a URL: {error}") from None
    if parts.scheme not in ("http", "https") or not parts.hostname:
        what = "not an http or https URL"
    elif not url.isascii() or not url.isprintable() or " " in url or "\\" in url:
        what = "a URL is printable ASCII without a space; write other characters as %XX"
    elif parts.username is not None or parts.password is not None:
        what = "a name or password in a URL is not supported"
    elif parts.query or parts.fragment:
        what = "ends in a ? or # part, behind which no file can be named"
    elif port == 0:
        what = "port 0 is none"
    if what:
        raise InputError(f"{shown(url)}: {what}")
    return parts


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
