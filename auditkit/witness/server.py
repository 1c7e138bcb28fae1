"""A witness over HTTP (C2SP tlog-witness): POST /add-checkpoint, and nothing else.

Everything a stranger can spend is bounded: bytes of a request's head and body,
time of a connection, connections at once. There is no TLS here: whoever serves
others than this machine puts a proxy in front that has it.
"""

import socket
import socketserver
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from http.server import BaseHTTPRequestHandler
from io import BufferedIOBase
from threading import BoundedSemaphore, Lock
from typing import Any

from auditkit.errors import DamagedError, InputError
from auditkit.log.addition import MAX_BYTES
from auditkit.witness.witness import TEXT, Answer, Witness

PATH = "/add-checkpoint"
MAX_HEAD_BYTES = 1 << 14
MAX_CONNECTIONS = 32
CONNECTION_S = 60.0
IDLE_S = 10.0
_BUSY = b"HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"


class _Head:
    """What is read of a connection; the lines of a request's head are counted."""

    def __init__(self, file: BufferedIOBase) -> None:
        self._file = file
        self.left = MAX_HEAD_BYTES

    def readline(self, limit: int = -1) -> bytes:
        """A line. Raises ConnectionAbortedError where the head grows too long."""
        line = self._file.readline(min(limit, self.left) if limit > 0 else self.left)
        self.left -= len(line)
        if self.left <= 0:
            raise ConnectionAbortedError
        return line

    def read(self, size: int) -> bytes:
        """So many bytes of a body, or fewer where it ends."""
        return self._file.read(size)

    @property
    def closed(self) -> bool:
        """Whether it is closed."""
        return self._file.closed

    def close(self) -> None:
        """Close it."""
        self._file.close()


class _Handler(BaseHTTPRequestHandler):
    """One connection; requests may follow one another on it."""

    protocol_version = "HTTP/1.1"
    timeout = IDLE_S
    server: "Server"

    def setup(self) -> None:
        super().setup()
        self.rfile: Any = _Head(self.rfile)

    def handle_one_request(self) -> None:
        self.rfile.left = MAX_HEAD_BYTES
        super().handle_one_request()

    def do_POST(self) -> None:
        """The one request there is."""
        if self.path != PATH:
            self.send_error(404)
            return
        lengths = self.headers.get_all("Content-Length", [])
        if self.headers.get("Transfer-Encoding") is not None or len(lengths) != 1:
            self.send_error(411)
        elif not (lengths[0].isascii() and lengths[0].isdecimal()):
            self.send_error(400)
        elif len(lengths[0]) > 9 or int(lengths[0]) > MAX_BYTES:
            self.send_error(413)
        else:
            body = self.rfile.read(int(lengths[0]))
            if len(body) < int(lengths[0]):
                self.close_connection = True  # Whoever asked has gone.
                return
            answer = self.server.answered(body)
            self._answer(answer)
            self.server.say(answer)

    def do_GET(self) -> None:
        """Nothing is there to be read."""
        self.send_error(405 if self.path == PATH else 404)

    def _answer(self, answer: Answer) -> None:
        data = answer.body.encode()
        self.send_response(answer.status)
        self.send_header("Content-Type", answer.kind)
        self.send_header("Content-Length", str(len(data)))
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """A refusal before the protocol's own; the rest of the connection is not read."""
        self.close_connection = True
        self.requestline, self.command = "", self.command or ""
        self.request_version = self.protocol_version  # Else a first line of nonsense gets no head.
        self._answer(Answer(code, f"{self.responses[code][0]}\n", TEXT))

    def version_string(self) -> str:
        """What answers; no version, which is nobody's business."""
        return "auditkit"

    def log_message(self, format: str, *arguments: Any) -> None:
        """Whoever runs the server hears of what was asked from `said`, and of nothing else."""


class Server(socketserver.ThreadingMixIn, socketserver.TCPServer):
    """Serves one witness until it is stopped; `said` hears of every answer.

    `said` is called from several threads, one at a time.
    """

    allow_reuse_address = True
    daemon_threads = False
    request_queue_size = 64

    def __init__(
        self, witness: Witness, host: str, port: int, said: Callable[[Answer], None]
    ) -> None:
        """Bind. Port 0 is any free one. Raises InputError if it cannot be had."""
        self._witness, self._said = witness, said
        self._slots = BoundedSemaphore(MAX_CONNECTIONS)
        self._guard, self._saying = Lock(), Lock()
        self._until: dict[socket.socket, float] = {}
        self._end: BaseException | None = None
        try:
            found: Any = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
            self.address_family = found[0]
            super().__init__(found[4], _Handler)
        except (OSError, UnicodeError) as error:
            why = getattr(error, "strerror", "no name of a host")
            raise InputError(f"cannot listen on {host}:{port}: {why}") from None

    @property
    def url(self) -> str:
        """Where it is asked: the submission prefix."""
        host, port = self.server_address[0], self.server_address[1]
        shown = f"[{host!s}]" if self.address_family == socket.AF_INET6 else f"{host!s}"
        return f"http://{shown}:{port}"

    def answered(self, body: bytes) -> Answer:
        """The answer to one request."""
        try:
            return self._witness.add_checkpoint(body)
        except (OSError, DamagedError, InputError) as error:
            text = "the state of this witness cannot be used; ask again later\n"
            return Answer(500, text, trouble=str(error))

    def say(self, answer: Answer) -> None:
        """Tell whoever runs the server; where that fails, the server ends with it."""
        try:
            with self._saying:
                self._said(answer)
        except BaseException as error:
            self.end(error)
            raise

    def end(self, why: BaseException) -> None:
        """Let `serve_forever` raise `why`, once it stands between two connections."""
        self._end = self._end or why

    def process_request(self, request: Any, client_address: Any) -> None:
        """Answer a connection in a thread of its own, or not at all where there are too many."""
        if not self._slots.acquire(blocking=False):
            with suppress(OSError):
                request.setblocking(False)
                request.send(_BUSY)
            self.shutdown_request(request)
            return
        with self._guard:
            self._until[request] = time.monotonic() + CONNECTION_S
        try:
            super().process_request(request, client_address)
        except BaseException:
            self._slots.release()  # No thread was started that would.
            raise

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """The whole of a connection."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._slots.release()

    def shutdown_request(self, request: Any) -> None:
        """Close a connection."""
        with self._guard:
            self._until.pop(request, None)
        super().shutdown_request(request)

    def service_actions(self) -> None:
        """Between connections: cut off those that took too long, and end if it is time."""
        self._cut(socket.SHUT_RDWR, time.monotonic())
        if self._end is not None:
            raise self._end

    def _cut(self, how: int, now: float) -> None:
        """Cut off the connections whose time is up by `now`."""
        with self._guard:
            for request, until in self._until.items():
                if until <= now:
                    with suppress(OSError):
                        request.shutdown(how)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A connection that breaks is its own business; anything else is a bug, and ends it all."""
        error = sys.exception()
        if error is not None and not isinstance(error, OSError):
            self.end(error)

    def server_close(self) -> None:
        """Hear no more, and let the answers that are under way be sent."""
        self._cut(socket.SHUT_RD, float("inf"))
        super().server_close()
