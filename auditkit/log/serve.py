"""Serving a published folder over HTTP for trials: what it holds, and nothing else.

A venue's public files are static, so any web server or CDN will do. This one
reads, never writes; it knows GET and HEAD, lists nothing, follows no link and
has no file whose name begins with a dot.
"""

import errno
import re
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address
from pathlib import Path
from socketserver import TCPServer
from threading import BoundedSemaphore, Lock
from typing import Any

from auditkit.errors import InputError, place, shown

_PATH = re.compile(r"(/[A-Za-z0-9_+-][A-Za-z0-9._+-]*)+", re.ASCII)
_MOVES = "/checkpoint"
_SECONDS = 30
"""How long a client may be silent."""
_REQUEST_S = 120
"""How long it may take over one request and its answer, however steadily its bytes trickle."""
_CLIENTS = 32
"""At once. Whoever else comes is not heard before one of them has gone."""
_POLL_S = 0.2
_FOREVER = "public, max-age=31536000, immutable"
_NOT_YET = "no-store"
_MOMENT = "public, max-age=2"


class _Handler(BaseHTTPRequestHandler):
    """Answers with one file of the folder, or with an error in a line of text."""

    root: Path
    server: "_Server"
    protocol_version = "HTTP/1.1"
    server_version, sys_version = "auditkit", ""
    timeout = _SECONDS
    error_content_type = "text/plain; charset=utf-8"
    error_message_format = "%(code)d %(message)s\n"

    def handle_one_request(self) -> None:
        """Answer the next request of this client, within so much time."""
        self.server.grant(self.connection)
        super().handle_one_request()

    def do_GET(self) -> None:
        """The file."""
        self._answer(body=True)

    def do_HEAD(self) -> None:
        """What GET would say of the file."""
        self._answer(body=False)

    def _answer(self, *, body: bool) -> None:
        if "Content-Length" in self.headers or "Transfer-Encoding" in self.headers:
            self.close_connection = True  # What follows is a body that nobody reads.
        path = self.path.partition("?")[0]
        data = self._read(path)
        kept, kind = (_MOMENT if path == _MOVES else _FOREVER), "text/plain; charset=utf-8"
        if data is None:
            data, kept = b"404 Not Found\n", _NOT_YET
        elif path.startswith("/tile/"):
            kind = "application/octet-stream"
        self.send_response(HTTPStatus.NOT_FOUND if kept == _NOT_YET else HTTPStatus.OK)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        self.send_header("Cache-Control", kept)
        self.send_header("X-Content-Type-Options", "nosniff")
        self.end_headers()
        if body:
            self.wfile.write(data)

    def _read(self, path: str) -> bytes | None:
        """The bytes of an ordinary file below the folder; None for everything else."""
        if _PATH.fullmatch(path) is None:
            return None
        found = self.root
        try:
            for name in path[1:].split("/"):
                found /= name
                if found.is_symlink():
                    return None
            return found.read_bytes() if found.is_file() else None
        except OSError:
            return None

    def _refuse(self) -> None:
        self.close_connection = True
        self.send_response(HTTPStatus.METHOD_NOT_ALLOWED)
        for name, value in (("Allow", "GET, HEAD"), ("Content-Length", "0")):
            self.send_header(name, value)
        self.send_header("Connection", "close")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing: what a client asks for may hold anything."""


for _name in ("POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "CONNECT"):
    setattr(_Handler, f"do_{_name}", _Handler._refuse)


class _Server(ThreadingHTTPServer):
    """Answers a bounded number of clients at once, and dies with the process."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(self, root: Path, host: str, port: int) -> None:
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._free = BoundedSemaphore(_CLIENTS)
        self._guard = Lock()
        self._until: dict[socket.socket, float] = {}
        super().__init__((host, port), type("_Bound", (_Handler,), {"root": root}))

    def server_bind(self) -> None:
        """Bind, and ask no name server who we are."""
        TCPServer.server_bind(self)

    def process_request(self, request: Any, client_address: Any) -> None:
        """Serve one client in a thread of its own, once one of so many places is free."""
        while not self._free.acquire(timeout=_POLL_S):
            self.service_actions()
        try:
            super().process_request(request, client_address)
        except Exception:
            # No thread was started that would. An interruption may come when it was, and ends
            # the server anyway.
            self._free.release()
            raise

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """The whole of a connection."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._free.release()

    def grant(self, request: socket.socket) -> None:
        """Give a connection the time for one request from now."""
        with self._guard:
            self._until[request] = time.monotonic() + _REQUEST_S

    def shutdown_request(self, request: Any) -> None:
        """Close a connection."""
        with self._guard:
            self._until.pop(request, None)
        super().shutdown_request(request)

    def service_actions(self) -> None:
        """Between connections: cut off those that took too long."""
        now = time.monotonic()
        with self._guard:
            for request, until in self._until.items():
                if until <= now:
                    with suppress(OSError):
                        request.shutdown(socket.SHUT_RDWR)

    def handle_error(self, *_: object) -> None:
        """Say nothing: a client that goes away in the middle is no news."""


def serve(public: Path, host: str, port: int, started: Callable[[str], None]) -> None:
    """Serve until Ctrl-C. `started` hears the address, with the port if 0 was asked for.

    Raises InputError where the folder is not there or the port cannot be had.
    """
    if not public.is_dir():
        raise InputError(f"{place(public)}: no such folder; name a venue, which has one")
    try:
        # A name would be looked up, perhaps elsewhere.
        ip_address(host)
        server = _Server(public, host, port)
    except ValueError:
        raise InputError(f"--host: {shown(host)} is no address such as 127.0.0.1") from None
    except OSError as error:
        raise InputError(_reason(error, host, port)) from None
    # Nothing but Ctrl-C ends it, so that is no interruption.
    with server, suppress(KeyboardInterrupt):
        address, number = server.server_address[:2]
        named = f"[{address!s}]" if ":" in host else str(address)
        started(f"http://{named}:{number}/")
        server.serve_forever(poll_interval=_POLL_S)


def _reason(error: OSError, host: str, port: int) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"--port: {port} is taken on {host}; name another, or 0 for one that is free"
    if error.errno == errno.EACCES:
        return f"--port: {port} is kept for the system; name one above 1023"
    return f"--host: {shown(host)} is no address of this machine ({error.strerror})"
