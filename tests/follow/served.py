"""Web servers of the tests: one that serves files, one that says whatever it is told to."""

import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

Headers = Mapping[str, str]
Answer = tuple[int, Headers, bytes]


class Served:
    """A server of files by path; `answers` go before them, and `asked` are the paths asked for."""

    def __init__(self, files: Callable[[str], bytes | None]) -> None:
        self.files = files
        self.answers: dict[str, Answer] = {}
        self.asked: list[str] = []
        self.agents: list[dict[str, str]] = []
        served = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                served.asked.append(self.path)
                served.agents.append(dict(self.headers.items()))
                code, headers, body = served.answer(self.path)
                with suppress(ConnectionError):
                    self.send_response(code)
                    for name, value in {"Content-Length": str(len(body)), **headers}.items():
                        self.send_header(name, value)
                    self.end_headers()
                    self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, *_: object) -> None:
                pass

        self.server = Server(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/log"

    def answer(self, path: str) -> Answer:
        name = path.removeprefix("/log/")
        if name in self.answers:
            return self.answers[name]
        data = self.files(name)
        return (404, {}, b"no") if data is None else (200, {}, data)


@contextmanager
def served(files: Mapping[str, bytes] | Path) -> Iterator[Served]:
    """Serve a folder, as it is at each moment, or files in memory below /log/ on loopback."""

    def read(name: str) -> bytes | None:
        if not isinstance(files, Path):
            return files.get(name)
        path = files / name
        return path.read_bytes() if path.is_file() else None

    found = Served(read)
    thread = threading.Thread(target=found.server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield found
    finally:
        found.server.shutdown()
        thread.join()
        found.server.server_close()


@contextmanager
def saying(script: Callable[[socket.socket], None]) -> Iterator[str]:
    """The URL of a server that runs `script` on every connection, each after the other."""
    listener = socket.create_server(("127.0.0.1", 0))
    done = threading.Event()

    def accept() -> None:
        while not done.is_set():
            with suppress(OSError):
                connection, _ = listener.accept()
                with connection:
                    connection.settimeout(10)
                    script(connection)

    thread = threading.Thread(target=accept)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/log"
    finally:
        done.set()
        with suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join()


def heard(connection: socket.socket) -> bytes:
    """One request without a body, as it came."""
    data = b""
    while not data.endswith(b"\r\n\r\n"):
        part = connection.recv(1 << 16)
        if not part:
            break
        data += part
    return data
