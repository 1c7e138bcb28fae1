"""A published folder over HTTP: what it holds, read-only, and nothing else."""

import http.client
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import ThreadingHTTPServer
from pathlib import Path

import pytest

from auditkit.errors import InputError
from auditkit.log import serve as serving
from auditkit.log.serve import serve

FILES = {
    "checkpoint": b"a head\n",
    "venue.vkey": b"name+00000000+key\n",
    "policy": b"quorum none\n",
    "checkpoints/2": b"a head\n",
    "tile/0/x001/x234/067.p/5": b"\x00\xff" * 80,
    "tile/entries/000": b"\x00\x01a",
}
HIDDEN = {".checkpoint.draft": b"a draft", "checkpoints/.3.draft": b"a draft", ".git/config": b"x"}


@pytest.fixture
def public(tmp_path: Path) -> Path:
    for name, data in {**FILES, **HIDDEN}.items():
        path = tmp_path / "venue/public" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    (tmp_path / "venue/secrets").mkdir()
    (tmp_path / "venue/secrets/2-margin").write_text("secret")
    (tmp_path / "venue/history.sqlite").write_text("private")
    (tmp_path / "venue/public/link").symlink_to(tmp_path / "venue/history.sqlite")
    (tmp_path / "venue/public/up").symlink_to(tmp_path / "venue")
    return tmp_path / "venue/public"


@contextmanager
def server(public: Path, host: str = "127.0.0.1") -> Iterator[tuple[str, int]]:
    """Where the folder is served, for as long as the block takes."""
    found: list[str] = []
    ready, running = threading.Event(), []

    def started(address: str) -> None:
        found.append(address)
        ready.set()

    class Ended(serving._Server):
        def serve_forever(self, poll_interval: float = 0.5) -> None:
            running.append(self)
            super().serve_forever(0.01)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(serving, "_Server", Ended)
        thread = threading.Thread(target=serve, args=(public, host, 0, started))
        thread.start()
        assert ready.wait(30)
        while not running:
            time.sleep(0.001)
        try:
            name, _, port = found[0].removeprefix("http://").rstrip("/").rpartition(":")
            yield name.strip("[]"), int(port)
        finally:
            running[0].shutdown()
            thread.join(30)
    assert not thread.is_alive()


Answer = tuple[int, dict[str, str], bytes]


def ask(place: tuple[str, int], path: str, method: str = "GET") -> Answer:
    connection = http.client.HTTPConnection(*place, timeout=30)
    try:
        connection.putrequest(method, path, skip_accept_encoding=True)
        connection.endheaders()
        answer = connection.getresponse()
        return answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read()
    finally:
        connection.close()


def raw(place: tuple[str, int], data: bytes) -> bytes:
    """What comes back for these bytes until the server closes."""
    with socket.create_connection(place, 30) as client:
        client.sendall(data)
        client.shutdown(socket.SHUT_WR)
        found = b""
        while part := client.recv(1 << 16):
            found += part
        return found


def test_every_public_file_is_served_with_its_bytes(public: Path) -> None:
    with server(public) as place:
        for name, data in FILES.items():
            for path in (f"/{name}", f"/{name}?any=query"):
                status, headers, found = ask(place, path)
                assert (status, found) == (200, data)
                assert headers["content-length"] == str(len(data))
                kind = "application/octet-stream" if "tile" in name else "text/plain; charset=utf-8"
                assert headers["content-type"] == kind
                kept = "max-age=2" if name == "checkpoint" else "immutable"
                assert kept in headers["cache-control"]
                status, head, nothing = ask(place, path, "HEAD")
                assert (status, nothing) == (200, b"")
                assert {**head, "date": ""} == {**headers, "date": ""}


@pytest.mark.parametrize(
    "path",
    [
        *["/", "//", "/.", "/..", "/tile", "/tile/", "/checkpoint/", "/nothing", "*"],
        *["/../history.sqlite", "/tile/../../history.sqlite", "/tile/..", "/./checkpoint"],
        *["/%2e%2e/history.sqlite", "/..%2fhistory.sqlite", "/checkpoin%74", "/..\\history.sqlite"],
        *["//etc/passwd", "/tile//entries/000", "/link", "/up/history.sqlite", "/up/venue.json"],
        *[f"/{name}" for name in HIDDEN],
        *["/checkpoint\0", "/" + "a" * 5000, "/" + "a/" * 3000, "http://127.0.0.1/checkpoint"],
    ],
)
def test_nothing_else_is_served(public: Path, path: str) -> None:
    with server(public) as place:
        found = raw(place, f"GET {path} HTTP/1.0\r\n\r\n".encode())
    assert found.split(b" ")[1:2] in ([b"404"], [b"400"]), found[:200]
    assert b"private" not in found
    assert b"draft" not in found
    assert b"<" not in found


@pytest.mark.parametrize(
    "method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "CONNECT"]
)
def test_it_is_read_only(public: Path, method: str) -> None:
    before = {path: path.read_bytes() for path in public.rglob("*") if path.is_file()}
    with server(public) as place:
        status, headers, _ = ask(place, "/checkpoint", method)
        assert (status, headers["allow"]) == (405, "GET, HEAD")
        assert ask(place, "/checkpoint", "BREW")[0] == 501
        status, headers, _ = ask(place, "/checkpoints/3")
        assert (status, headers["cache-control"]) == (404, "no-store")
    assert {path: path.read_bytes() for path in public.rglob("*") if path.is_file()} == before


def test_a_body_is_never_taken_for_the_next_request(public: Path) -> None:
    inner = b"GET /venue.vkey HTTP/1.1\r\n\r\n"
    for method in (b"GET", b"POST"):
        request = b"%s /checkpoint HTTP/1.1\r\nContent-Length: %d\r\n\r\n" % (method, len(inner))
        with server(public) as place:
            assert b"name+" not in raw(place, request + inner)


def test_what_is_no_http_is_answered_and_makes_no_noise(
    public: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with server(public) as place:
        for data in (
            b"\x16\x03\x01\x00",
            b"\r\n\r\n",
            b"GET",
            b"GET / HTTP/9.9\r\n\r\n",
            b"\x1b[2J\n",
        ):
            raw(place, data)
        raw(place, b"GET /" + b"a" * 70_000 + b" HTTP/1.1\r\n\r\n")
        with socket.create_connection(place, 30) as gone:
            gone.sendall(b"GET /checkpoint HTTP/1.1\r\n")
        assert ask(place, "/checkpoint")[0] == 200
    assert capfd.readouterr() == ("", "")


def test_clients_beyond_the_bound_wait_their_turn(public: Path) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(serving, "_CLIENTS", 2)
        with server(public) as place:
            idle = [socket.create_connection(place, 30) for _ in range(2)]
            time.sleep(0.05)
            waiting = socket.create_connection(place, 30)
            waiting.sendall(b"GET /checkpoint HTTP/1.0\r\n\r\n")
            waiting.settimeout(0.2)
            with pytest.raises(TimeoutError):
                waiting.recv(1)
            idle[0].close()
            waiting.settimeout(30)
            assert waiting.recv(12) == b"HTTP/1.1 200"
            for each in (*idle, waiting):
                each.close()


def test_a_slow_client_is_let_go(public: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serving._Handler, "timeout", 0.05)
    with server(public) as place, socket.create_connection(place, 30) as slow:
        slow.sendall(b"GET /checkpoint")
        assert slow.recv(1) == b""


def test_clients_beyond_the_bound_have_no_thread(
    public: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(serving, "_CLIENTS", 2)
    with server(public) as place:
        before = threading.active_count()
        idle = [socket.create_connection(place, 30) for _ in range(20)]
        time.sleep(0.2)
        assert threading.active_count() <= before + 2
        for each in idle:
            each.close()
        assert ask(place, "/checkpoint")[0] == 200


def trickle(client: socket.socket) -> None:
    for _ in range(1000):
        client.sendall(b"a")
        time.sleep(0.01)


@pytest.mark.parametrize("places", [1, 2])
def test_a_client_that_trickles_is_let_go(
    public: Path, monkeypatch: pytest.MonkeyPatch, places: int
) -> None:
    """Whether or not somebody waits for its place."""
    monkeypatch.setattr(serving, "_CLIENTS", places)
    monkeypatch.setattr(serving, "_REQUEST_S", 0.2)
    with server(public) as place, socket.create_connection(place, 30) as slow:
        waiting = socket.create_connection(place, 30) if places == 1 else None
        with pytest.raises(ConnectionError):
            trickle(slow)
        if waiting is not None:
            waiting.close()
        monkeypatch.setattr(serving, "_REQUEST_S", 30)
        assert ask(place, "/checkpoint")[0] == 200


def test_it_ends_and_nothing_listens_any_more(public: Path) -> None:
    with server(public) as place:
        pass
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(place, 30)


def test_loopback_has_two_addresses(public: Path) -> None:
    if not socket.has_ipv6:
        pytest.skip("no IPv6 here")
    try:
        with server(public, "::1") as place:
            assert ask(place, "/checkpoint")[0] == 200
    except InputError as error:
        pytest.skip(str(error))


def never(_: str) -> None:
    pytest.fail("started")


def test_what_cannot_be_served_is_said(
    public: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run: Callable[..., None] = serve
    with pytest.raises(InputError, match="nothing: no such folder; name a venue"):
        run(tmp_path / "nothing", "127.0.0.1", 0, never)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        said = f"--port: {port} is taken on 127.0.0.1; name another, or 0"
        with pytest.raises(InputError, match=said):
            run(public, "127.0.0.1", port, never)
    with pytest.raises(InputError, match=r"--host: '192\.0\.2\.1' is no address of this machine"):
        run(public, "192.0.2.1", 0, never)
    for host in ("no host", "localhost", "\x1b", "1.2.3.4.5", ""):
        with pytest.raises(InputError, match=r"--host: .* is no address such as") as caught:
            run(public, host, 0, never)
        assert str(caught.value).isprintable()

    def kept(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(serving._Server, "server_bind", kept)
    with pytest.raises(InputError, match="--port: 80 is kept for the system; name one above 1023"):
        run(public, "127.0.0.1", 80, never)


def test_an_interruption_is_not_lost_where_a_client_has_just_come(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By then the client's thread may have run, and given its place back."""

    def run_and_interrupt(server: serving._Server, *_: object) -> None:
        server._free.release()
        raise KeyboardInterrupt

    with serving._Server(tmp_path, "127.0.0.1", 0) as server:
        monkeypatch.setattr(ThreadingHTTPServer, "process_request", run_and_interrupt)
        with pytest.raises(KeyboardInterrupt):
            server.process_request(None, None)
