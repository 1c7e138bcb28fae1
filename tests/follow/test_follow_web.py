"""A log at a URL: only that host is asked, and no server holds a follower up or fills it."""

import gzip
import shlex
import socket
import ssl
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from follow.served import heard, saying, served

from auditkit.errors import InputError
from auditkit.follow.source import FetchError
from auditkit.follow.web import Limits, Web
from auditkit.verify.errors import Refuted

MOST = 1000
SHORT = Limits(response=0.3, round=0.6)
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


@contextmanager
def web(url: str, limits: Limits | None = None) -> Iterator[Web]:
    found = Web(url, limits)
    try:
        yield found
    finally:
        found.close()


def fails(script: Callable[[socket.socket], None], limits: Limits | None = None) -> str:
    """How reading one file from such a server fails."""
    with saying(script) as url, web(url, limits or Limits(2, 2)) as source:
        with pytest.raises(FetchError) as caught:
            source.read("checkpoint", MOST)
        assert caught.value.filename.startswith("http")
        return str(caught.value.strerror)


def unread(url: str, limits: Limits | None = None) -> str:
    with web(url, limits or Limits(2, 2)) as source, pytest.raises(FetchError) as caught:
        source.read("checkpoint", MOST)
    return str(caught.value.strerror)


def says(text: bytes) -> Callable[[socket.socket], None]:
    def script(connection: socket.socket) -> None:
        heard(connection)
        connection.sendall(text)

    return script


# What is read.


def test_a_file_is_read_as_it_is_on_one_connection() -> None:
    files = {"checkpoint": b"one", "tile/0/000.p/5": b"two" * 300, "empty": b""}
    with served(files) as server, web(server.url) as source:
        for name, data in files.items():
            assert source.read(name, MOST) == data
        with pytest.raises(FileNotFoundError):
            source.read("tile/entries/000", MOST)
        assert source.name == server.url
        assert server.asked[0] == "/log/checkpoint"
        assert "auditkit/" in server.agents[0]["User-Agent"]
        assert server.agents[0]["Host"] in server.url


@pytest.mark.parametrize("end", ["", "/", "//"])
def test_a_slash_at_the_end_of_the_url_is_nothing(end: str) -> None:
    with served({"checkpoint": b"one"}) as server, web(server.url + end) as source:
        assert source.read("checkpoint", MOST) == b"one"


def test_a_log_may_be_at_the_root_of_its_host() -> None:
    with served({"/checkpoint": b"one"}) as server, web(server.url[: -len("/log")]) as source:
        assert source.read("checkpoint", MOST) == b"one"


@pytest.mark.parametrize("coding", ["gzip", "x-gzip", "GZIP"])
def test_what_is_compressed_on_its_way_is_unpacked(coding: str) -> None:
    data = b"entry " * 100
    with served({}) as server, web(server.url) as source:
        server.answers["a"] = (200, {"Content-Encoding": coding}, gzip.compress(data))
        assert source.read("a", len(data)) == data


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nConnection: close\r\n\r\none",
        b"HTTP/1.0 200 OK\r\n\r\none",
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\none",
    ],
)
def test_any_proper_http_is_understood(answer: bytes) -> None:
    with saying(says(answer)) as url, web(url) as source:
        assert source.read("checkpoint", MOST) == b"one"
        assert source.read("checkpoint", MOST) == b"one"


def test_a_connection_that_rested_and_was_closed_is_opened_again() -> None:
    script = says(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\none")
    with saying(script) as url, web(url) as source:
        for _ in range(3):
            assert source.read("checkpoint", MOST) == b"one"


# What is not followed.


@pytest.mark.parametrize("code", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("to", ["same", "other"])
def test_no_redirect_is_followed(code: int, to: str) -> None:
    with served({"a": b"x"}) as one, served({"a": b"y"}) as other, web(one.url) as source:
        where = {"same": one, "other": other}[to].url + "/a"
        one.answers["checkpoint"] = (code, {"Location": where}, b"")
        with pytest.raises(FetchError, match=f"the server sends on to .{where}.*not followed"):
            source.read("checkpoint", MOST)
        assert one.asked == ["/log/checkpoint"]
        assert other.asked == []


def test_no_proxy_of_the_environment_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    with served({"checkpoint": b"own"}) as server, served({}) as proxy:
        for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"):
            monkeypatch.setenv(name, proxy.url)
        with web(server.url) as source:
            assert source.read("checkpoint", MOST) == b"own"
        assert proxy.asked == []


def test_only_the_host_and_port_of_the_url_are_connected_to(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked = []
    real = socket.getaddrinfo

    def lookup(host: str, port: int, **given: object) -> object:
        asked.append((host, port))
        return real("127.0.0.1", port, **given)  # type: ignore[arg-type]

    monkeypatch.setattr(socket, "getaddrinfo", lookup)
    with served({"checkpoint": b"one"}) as server:
        port = server.server.server_port
        with web(f"http://exchange.example:{port}/log") as source:
            assert source.read("checkpoint", MOST) == b"one"
            assert source.plain
        assert server.agents[0]["Host"] == f"exchange.example:{port}"
    assert asked == [("exchange.example", port)]


def test_loopback_is_not_called_plain() -> None:
    for host, plain in (("127.0.0.1", False), ("[::1]", False), ("localhost", False)):
        assert Web(f"http://{host}:1/x").plain is plain
    assert Web("http://192.0.2.1/x").plain
    assert Web("http://127.0.0.1.example/x").plain
    assert not Web("https://exchange.example/x").plain


# Limits.


def test_more_than_a_file_may_have_is_refuted() -> None:
    with served({"a": b"x" * (MOST + 1), "b": b"x" * MOST}) as server, web(server.url) as source:
        with pytest.raises(Refuted, match="a: has more bytes than it may have; expected at most"):
            source.read("a", MOST)
        assert source.read("b", MOST) == b"x" * MOST


def test_a_gzip_that_unpacks_to_too_much_is_not_unpacked_whole() -> None:
    bomb = gzip.compress(bytes(50_000_000))
    with served({}) as server, web(server.url) as source:
        server.answers["a"] = (200, {"Content-Encoding": "gzip"}, bomb)
        with pytest.raises(Refuted, match="has more bytes than it may have"):
            source.read("a", len(bomb))


def test_a_round_has_a_limit_of_bytes() -> None:
    with served({"a": b"x" * 900}) as server, web(server.url, Limits(bytes=3000)) as source:
        for _ in range(2):
            source.read("a", MOST)
        with pytest.raises(FetchError, match="more was sent than one round may fetch"):
            source.read("a", MOST)
        source.begin()
        assert source.read("a", MOST)


def test_what_was_packed_counts_as_it_is_unpacked() -> None:
    with served({}) as server, web(server.url, Limits(bytes=3000)) as source:
        server.answers["a"] = (200, {"Content-Encoding": "gzip"}, gzip.compress(bytes(1400)))
        for _ in range(2):
            assert source.read("a", 1400) == bytes(1400)
        with pytest.raises(FetchError, match="more was sent than one round may fetch"):
            source.read("a", 1400)


@pytest.mark.parametrize(
    ("begin", "more"),
    [
        (CHUNKED + b"-1\r\n", b"x"),
        (CHUNKED + b"-5\r\n", b"x"),
        (CHUNKED + b"0\r\n", b"x: y\r\n"),
        (b"", b"HTTP/1.1 100 Go on\r\n\r\n"),
    ],
)
def test_an_answer_has_a_limit_of_bytes_whatever_its_framing_says(
    begin: bytes, more: bytes
) -> None:
    """Of what a chunk of -1 bytes brings, http.client would read whatever comes."""
    sent = 0

    def script(connection: socket.socket) -> None:
        nonlocal sent
        with suppress(OSError):
            heard(connection)
            connection.sendall(begin)
            while sent < 1 << 26:
                sent += connection.send(more * 100)

    assert fails(script, Limits(60, 60)).startswith("no proper HTTP answer")
    assert sent < 1 << 25


def dribble(text: bytes, forever: bytes) -> Callable[[socket.socket], None]:
    """A byte every now and then, so that no single wait is ever long."""

    def script(connection: socket.socket) -> None:
        with suppress(OSError):
            heard(connection)
            connection.sendall(text)
            for _ in range(1000):
                connection.sendall(forever)
                time.sleep(0.02)

    return script


@pytest.mark.parametrize(
    ("text", "forever"),
    [
        (b"", b"H"),
        (b"HTTP/1.1 200 OK\r\n", b"X: y\r\n"),
        (b"HTTP/1.1 200 OK\r\nX: ", b"y"),
        (b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\n", b"x"),
        (b"HTTP/1.0 200 OK\r\n\r\n", b"x"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"0"),
    ],
)
def test_a_server_that_dribbles_is_left(text: bytes, forever: bytes) -> None:
    assert fails(dribble(text, forever), SHORT) in (
        "no whole answer within 0.3 s",
        "no proper HTTP answer: got more than 100 headers",
    )


def test_a_server_that_says_nothing_is_left() -> None:
    def script(connection: socket.socket) -> None:
        with suppress(OSError):
            while connection.recv(1 << 16):
                pass

    assert fails(script, SHORT) == "no whole answer within 0.3 s"


def test_a_round_has_a_limit_of_time() -> None:
    with served({"a": b"x"}) as server, web(server.url, Limits(5, 0.2)) as source:
        source.read("a", MOST)
        time.sleep(0.25)
        with pytest.raises(FetchError, match=r"not all could be had within 0\.2 s"):
            source.read("a", MOST)
        source.begin()
        assert source.read("a", MOST) == b"x"


# What is no answer.


@pytest.mark.parametrize(
    ("answer", "what"),
    [
        (b"", "Remote end closed connection without response"),
        (b"HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n", "the server answered 503"),
        (b"HTTP/1.1 206 Part\r\nContent-Length: 1\r\n\r\nx", "the server answered 206"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\none", "the answer was cut short"),
        (b"SSH-2.0-OpenSSH_9.2\r\n", "no proper HTTP answer: SSH-2.0-OpenSSH_9.2"),
        (b"HTTP/1.1 200 OK\r\nX: " + b"y" * 70_000, "no proper HTTP answer"),
        (b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 200 + b"\r\n", "no proper HTTP answer"),
        (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
            "no proper HTTP answer",
        ),
        (
            b"HTTP/1.1 200 OK\r\nContent-Encoding: br\r\nContent-Length: 1\r\n\r\nx",
            "no proper HTTP answer: an unknown content coding br",
        ),
        (
            b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 1\r\n\r\nx",
            "no proper HTTP answer",
        ),
        (
            b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 10\r\n\r\n"
            + gzip.compress(b"one")[:10],
            "no proper HTTP answer: its gzip is cut short",
        ),
    ],
)
def test_what_is_no_answer_is_said(answer: bytes, what: str) -> None:
    assert what in fails(says(answer))


def test_nobody_there() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    assert unread(f"http://127.0.0.1:{port}/log") == "Connection refused"


@pytest.mark.parametrize(
    "url",
    [
        "",
        "exchange.example",
        "ftp://exchange.example",
        "file:///etc/passwd",
        "http://",
        "http:///log",
        "http://a:b@exchange.example",
        "http://a@exchange.example",
        "http://exchange.example/?a",
        "http://exchange.example/#a",
        "http://a..b",
        "http://.example",
        "http://exchange..",
        f"http://{'a' * 64}.example",
        f"http://exchange.{'a' * 64}",
        "http://exchange.example:x",
        "http://exchange.example:0",
        "http://exchange.example:65536",
        "http://[::1",
        "http://exchange.example/a b",
        "http://exchange.example/\u00e9",
        "http://b\u00fccher.example/",
        "http://exchange.example/\n",
        "http://exchange.example\\log",
    ],
)
def test_what_is_no_url_of_a_log_is_refused(url: str) -> None:
    with pytest.raises(InputError):
        Web(url)


# TLS.


@pytest.mark.tool("openssl")
def test_https_needs_a_certificate_that_this_machine_trusts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = "req -x509 -newkey rsa:2048 -nodes -days 2 -keyout key.pem -out cert.pem"
    made += " -subj /CN=localhost -addext subjectAltName=DNS:localhost"
    words = ["openssl", *shlex.split(made)]
    subprocess.run(words, cwd=tmp_path, check=True, capture_output=True)
    with served({"checkpoint": b"one"}) as server:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(tmp_path / "cert.pem", tmp_path / "key.pem")
        server.server.socket = context.wrap_socket(server.server.socket, server_side=True)
        port = server.server.server_port
        assert unread(f"https://localhost:{port}/log").startswith("its certificate: self")
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "cert.pem"))
        with web(f"https://localhost:{port}/log") as source:
            assert source.read("checkpoint", MOST) == b"one"
            assert source.read("checkpoint", MOST) == b"one"
        assert "IP address mismatch" in unread(f"https://127.0.0.1:{port}/log")
        assert server.asked == ["/log/checkpoint"] * 2


def test_a_server_that_does_not_finish_the_handshake_is_left() -> None:
    def script(connection: socket.socket) -> None:
        with suppress(OSError):
            connection.sendall(b"\x16\x03\x03\x40\x00\x02")
            for _ in range(1000):
                connection.sendall(b"\0")
                time.sleep(0.02)

    with saying(script) as url:
        said = unread(url.replace("http:", "https:"), SHORT)
    assert said == "no whole answer within 0.3 s"
