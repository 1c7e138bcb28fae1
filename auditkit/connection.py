"""One HTTP connection to one host, on which nothing takes longer or brings more than it may."""

import http.client
import io
import socket
import ssl
import time
from contextlib import suppress
from typing import Any


def check_host(host: str) -> None:
    """Raises ValueError if it is no name that can be looked up, such as a..b; it says why."""
    try:
        host.encode("idna")
    except UnicodeError:
        raise ValueError("a part of the host's name is empty or too long") from None


class TooMuch(OSError):
    """More bytes came than the connection may receive."""


class Connection(http.client.HTTPConnection):
    """An HTTP/1.1 connection, plain or, with a context, over TLS.

    `until` is the moment on the monotonic clock at which everything on it
    raises TimeoutError, and `left` how many bytes it may still receive, whatever
    their framing says: beyond them it raises TooMuch.
    """

    def __init__(self, host: str, port: int | None, context: ssl.SSLContext | None) -> None:
        self._context = context
        self.default_port = http.client.HTTP_PORT if context is None else http.client.HTTPS_PORT
        super().__init__(host, port or self.default_port)
        self.until = 0.0
        self.left = 0

    @property
    def is_open(self) -> bool:
        """Whether there is a connection that an earlier request left open."""
        return self.sock is not None

    def connect(self) -> None:
        """Connect to the host and port, and nowhere else; a name may have several addresses."""
        problem: OSError = OSError("the name has no address")
        for family, kind, number, _, address in socket.getaddrinfo(
            self.host, self.port, type=socket.SOCK_STREAM
        ):
            try:
                self.sock = _Timed(self._opened(family, kind, number, address), self)
            except ssl.SSLCertVerificationError as error:
                raise OSError(error.errno, f"its certificate: {error.verify_message}") from None
            except OSError as error:
                problem = error
            else:
                return
        raise problem

    def _opened(self, family: int, kind: int, number: int, address: Any) -> socket.socket:
        sock = socket.socket(family, kind, number)
        try:
            sock.settimeout(self.remaining())
            sock.connect(address)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self._context is None:
                return sock
            sock.settimeout(self.remaining())
            return self._context.wrap_socket(sock, server_hostname=self.host)
        except BaseException:
            sock.close()
            raise

    def remaining(self) -> float:
        """The seconds left. Raises TimeoutError if there are none."""
        left = self.until - time.monotonic()
        if left <= 0:
            raise TimeoutError
        return left

    def spend(self, count: int) -> None:
        """Count bytes received. Raises TooMuch where they are more than they may be."""
        self.left -= count
        if self.left < 0:
            raise TooMuch


class _Timed(io.RawIOBase):
    """A socket as http.client uses one, held to what its connection may still take."""

    def __init__(self, sock: socket.socket, connection: Connection) -> None:
        super().__init__()
        self._sock = sock
        self._connection = connection

    def sendall(self, data: bytes) -> None:
        self._sock.settimeout(self._connection.remaining())
        self._sock.sendall(data)

    def makefile(self, mode: str) -> io.BufferedReader:
        return io.BufferedReader(_Reader(self._sock, self._connection))

    def shutdown(self, how: int) -> None:
        self._sock.shutdown(how)

    def close(self) -> None:
        super().close()
        with suppress(OSError):
            self._sock.close()


class _Reader(io.RawIOBase):
    """What comes from a socket, which stays open until this too is closed."""

    def __init__(self, sock: socket.socket, connection: Connection) -> None:
        super().__init__()
        self._sock = sock
        self._raw = sock.makefile("rb", buffering=0)
        self._connection = connection

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        self._sock.settimeout(self._connection.remaining())
        count = self._raw.readinto(buffer) or 0
        self._connection.spend(count)
        return count

    def close(self) -> None:
        super().close()
        self._raw.close()
