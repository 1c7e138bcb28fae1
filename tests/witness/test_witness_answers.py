"""C2SP tlog-witness over a real socket: every status, and what is remembered after it."""

import http.client
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from hashlib import sha256
from pathlib import Path

import pytest
from reference import Signer, Witness, b64, checkpoint, signed
from watched import NOON, ORIGIN, PATIENCE, Serving, Watched, body, opened, serving

from auditkit.log.addition import MAX_BYTES
from auditkit.verify.cosignature import WitnessKey, cosigned
from auditkit.verify.history import EMPTY_ROOT
from auditkit.verify.note import Note
from auditkit.witness.server import MAX_CONNECTIONS, MAX_HEAD_BYTES
from auditkit.witness.state import State

SIZE, TEXT = "text/x.tlog.size", "text/plain; charset=utf-8"
OTHER = Watched("other.example/audit", "another log")


@pytest.fixture
def log() -> Watched:
    return Watched().grow(20)


@pytest.fixture
def witness(tmp_path: Path) -> Iterator[Serving]:
    with serving(tmp_path / "w", Watched().key, OTHER.key) as found:
        yield found


def newest(witness: Serving, origin: str = ORIGIN) -> tuple[int, str] | None:
    """The size and the root remembered, as another reader of the file sees them."""
    with State(witness.folder / "state") as state:
        head = state.newest(origin)
    return None if head is None else (head.checkpoint.size, b64(head.checkpoint.root))


def root(log: Watched, size: int) -> tuple[int, str]:
    return size, log.head(size).split("\n")[2]


def time_of(witness: Serving, log: Watched, size: int | None, lines: str) -> int | None:
    return cosigned(Note.parse(log.head(size) + lines), WitnessKey.parse(witness.vkey))


# 200.


def test_a_log_that_grows_is_cosigned_step_by_step(witness: Serving, log: Watched) -> None:
    old = 0
    for size in (1, 2, 3, 5, 8, 9, 16, 20):
        status, kind, text = witness.post(log.request(old, size))
        assert (status, kind) == (200, TEXT)
        assert text.endswith("\n")
        assert text.count("\n") == 1
        assert time_of(witness, log, size, text) == NOON
        assert newest(witness) == root(log, size)
        old = size


def test_the_first_head_may_be_of_any_size(witness: Serving, log: Watched) -> None:
    assert witness.post(log.request(0, 13))[0] == 200
    assert newest(witness) == root(log, 13)


def test_the_head_cosigned_last_is_cosigned_again(tmp_path: Path, log: Watched) -> None:
    for now in (NOON, NOON + 60):
        with serving(tmp_path / "w", log.key, now=now) as witness:
            status, _, text = witness.post(log.request(0 if now == NOON else 7, 7))
            assert status == 200
            assert time_of(witness, log, 7, text) == now
            assert newest(witness) == root(log, 7)


def test_logs_do_not_wait_for_one_another(witness: Serving, log: Watched) -> None:
    OTHER.grow(4)
    assert witness.post(log.request(0, 9))[0] == 200
    assert witness.post(OTHER.request(0))[0] == 200
    assert (newest(witness), newest(witness, OTHER.origin)) == (root(log, 9), root(OTHER, 4))


def test_lines_of_others_are_ignored_and_not_kept(witness: Serving, log: Watched) -> None:
    stranger, cosigner = Signer("stranger.example", "stranger"), Witness("w.example", "w")
    text = log.head(5).partition("\n\n")[0] + "\n"
    broken = Signer(ORIGIN, "not this log's").line(text + "x")
    head = log.head(5, stranger) + cosigner.cosign(text, 5) + broken
    assert witness.post(body(0, [], head))[0] == 200
    with State(witness.folder / "state") as state:
        kept = state.newest(ORIGIN)
    assert kept is not None
    assert str(kept.checkpoint.note) == log.head(5)


def test_any_of_a_logs_keys_is_enough(tmp_path: Path, log: Watched) -> None:
    newer = Watched(phrase="a newer key", entries=log.entries)
    with serving(tmp_path / "w", log.key, newer.key) as witness:
        assert witness.post(log.request(0, 3))[0] == 200
        both = log.head(5, newer.signer)
        assert witness.post(body(3, log.path(3, 5), both))[0] == 200
        assert witness.post(newer.request(5, 9))[0] == 200
        status, _, text = witness.post(
            body(9, log.path(9, 12), log.head(12) + newer.signer.line("something else\n"))
        )
        assert (status, "the signature is not this key's" in text) == (403, True)


def test_an_empty_log_is_a_log(witness: Serving) -> None:
    log = Watched()
    for _ in range(2):
        assert witness.post(log.request(0))[0] == 200
    assert newest(witness) == (0, b64(EMPTY_ROOT))
    assert witness.post(log.grow(2).request(0))[0] == 200
    assert newest(witness) == root(log, 2)


# 404, 403.


def test_a_log_that_is_not_watched_is_not_found(witness: Serving) -> None:
    for origin in ("third.example/audit", "Go.sum Database tree", "x"):
        head = checkpoint(origin, [b"entry"], Watched().signer)
        assert witness.post(body(0, [], head))[:2] == (404, TEXT)
        assert newest(witness, origin) is None


def test_a_log_that_did_not_sign_is_forbidden(witness: Serving, log: Watched) -> None:
    text = log.head(5).partition("\n\n")[0] + "\n"
    wrong_name = Signer("exchange.example/other", "watched log")
    for head in (
        checkpoint(ORIGIN, log.entries[:5], Signer(ORIGIN, "another key")),
        signed(text, wrong_name),
        signed(text, OTHER.signer),
        f"{text}\n{log.signer.line(text + 'x')}",
    ):
        assert witness.post(body(0, [], head))[:2] == (403, TEXT)
    assert newest(witness) is None


# 400.


def test_an_old_size_above_the_checkpoints_is_no_request(witness: Serving, log: Watched) -> None:
    assert witness.post(log.request(0, 9))[0] == 200
    assert witness.post(body(9, [], log.head(7)))[:2] == (400, TEXT)
    assert witness.post(body(10, [], log.head(9)))[0] == 400
    assert newest(witness) == root(log, 9)


HEAD = Watched().grow(5).head()
TEXT_OF = HEAD.partition("\n\n")[0] + "\n"


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\n",
        b"old 0\n",
        b"old 0\n\n",
        HEAD.encode(),
        *(
            f"{first}\n\n{HEAD}".encode()
            for first in (
                *(
                    "old",
                    "old ",
                    "old  0",
                    " old 0",
                    "Old 0",
                    "old 0 ",
                    "old\t0",
                    "old 00",
                    "old -1",
                ),
                *("old +1", "old 01", "old 1e3", "old \u0661", f"old {2**63}", "old " + "9" * 5000),
            )
        ),
        f"old 0\n{HEAD}".encode(),
        f"old 0\r\n\r\n{HEAD}".encode(),
        body(0, [], HEAD)[:-1],
        body(0, [], HEAD) + b"\n",
        body(0, [], HEAD) + b"\x00",
        body(0, [], HEAD) + b"\xff\n",
        f"old 5\nAA==\n\n{HEAD}".encode(),
        f"old 5\n{b64(bytes(31))}\n\n{HEAD}".encode(),
        f"old 5\n{b64(bytes(32))[:-1]}\n\n{HEAD}".encode(),
        body(4, [bytes(32)] * 64, HEAD),
        body(0, [], TEXT_OF),
        body(0, [], f"{TEXT_OF}\n"),
        body(0, [], HEAD * 2),
        body(0, [], signed(TEXT_OF.replace("5", "05"), Watched().signer)),
        body(0, [], signed(TEXT_OF.replace("5", "-5"), Watched().signer)),
        body(0, [], signed(TEXT_OF + "an extension\n", Watched().signer)),
        body(0, [], signed(f"{ORIGIN}\n5\n", Watched().signer)),
        body(0, [], signed(f"{ORIGIN}\n5\n{b64(bytes(31))}\n", Watched().signer)),
    ],
)
def test_what_is_no_request_is_refused(witness: Serving, data: bytes) -> None:
    assert witness.post(data)[:2] == (400, TEXT)
    assert newest(witness) is None


# 409.


def test_another_old_size_conflicts_and_tells_the_right_one(witness: Serving, log: Watched) -> None:
    assert witness.post(log.request(3, 9)) == (409, SIZE, "0\n")
    assert witness.post(log.request(0, 9))[0] == 200
    for old in (0, 1, 4, 8, 10):
        assert witness.post(log.request(old, 12)) == (409, SIZE, "9\n")
    assert witness.post(log.request(9, 12))[0] == 200
    assert witness.post(log.request(0, 5)) == (409, SIZE, "12\n")
    assert newest(witness) == root(log, 12)


# 422.


def test_a_path_that_does_not_hold_is_refused(witness: Serving, log: Watched) -> None:
    assert witness.post(log.request(0, 5))[0] == 200
    honest = log.path(5, 12)
    for path in (
        [],
        honest[:-1],
        honest[1:],
        [*honest, bytes(32)],
        honest[::-1],
        [bytes(32), *honest[1:]],
        [*honest[:-1], sha256(b"x").digest()],
    ):
        assert witness.post(body(5, path, log.head(12)))[:2] == (422, TEXT)
    assert newest(witness) == root(log, 5)
    assert witness.post(body(5, honest, log.head(12)))[0] == 200


def test_there_is_no_path_from_nothing_nor_to_the_same(witness: Serving, log: Watched) -> None:
    assert witness.post(body(0, [bytes(32)], log.head(5)))[0] == 422
    assert newest(witness) is None
    assert witness.post(log.request(0, 5))[0] == 200
    assert witness.post(body(5, [bytes(32)], log.head(5)))[0] == 422


def test_an_empty_log_has_one_root(witness: Serving) -> None:
    empty = signed(f"{ORIGIN}\n0\n{b64(bytes(32))}\n", Watched().signer)
    assert witness.post(body(0, [], empty))[0] == 422
    assert newest(witness) is None
    assert witness.post(Watched().request(0))[0] == 200
    assert witness.post(body(0, [], empty))[:2] == (409, TEXT)


# HTTP.


def test_one_connection_carries_many_requests(witness: Serving, log: Watched) -> None:
    with closing(http.client.HTTPConnection(*witness.address, timeout=30)) as connection:
        for old, status in ((0, 200), (0, 409), (6, 200)):
            connection.request("POST", "/add-checkpoint", log.request(old, 6))
            answer = connection.getresponse()
            assert (answer.status, answer.version) == (status, 11)
            answer.read()
        assert len(witness.server._until) == 1


@pytest.mark.parametrize(
    ("request_line", "headers", "status"),
    [
        ("GET /add-checkpoint HTTP/1.1", "", 405),
        ("GET / HTTP/1.1", "", 404),
        ("GET /../../etc/passwd HTTP/1.1", "", 404),
        ("DELETE /add-checkpoint HTTP/1.1", "", 501),
        ("POST / HTTP/1.1", "Content-Length: 0\r\n", 404),
        ("POST /add-checkpoint/ HTTP/1.1", "Content-Length: 0\r\n", 404),
        ("POST /add-checkpoint?a HTTP/1.1", "Content-Length: 0\r\n", 404),
        ("POST /add-checkpoint HTTP/1.1", "", 411),
        ("POST /add-checkpoint HTTP/1.1", "Transfer-Encoding: chunked\r\n", 411),
        (
            "POST /add-checkpoint HTTP/1.1",
            "Content-Length: 0\r\nTransfer-Encoding: chunked\r\n",
            411,
        ),
        ("POST /add-checkpoint HTTP/1.1", "Content-Length: 1\r\nContent-Length: 2\r\n", 411),
        ("POST /add-checkpoint HTTP/1.1", "Content-Length: -1\r\n", 400),
        ("POST /add-checkpoint HTTP/1.1", "Content-Length: x\r\n", 400),
        ("POST /add-checkpoint HTTP/1.1", "Content-Length: 1_0\r\n", 400),
        ("POST /add-checkpoint HTTP/1.1", f"Content-Length: {MAX_BYTES + 1}\r\n", 413),
        ("POST /add-checkpoint HTTP/1.1", f"Content-Length: {'9' * 5000}\r\n", 413),
        ("POST /add-checkpoint HTTP/9.9", "", 505),
        ("nonsense", "", 400),
        ("POST /add-checkpoint HTTP/1.1", "X: y\r\n" * 200, 431),
    ],
)
def test_what_is_not_asked_by_the_protocol(
    witness: Serving, request_line: str, headers: str, status: int
) -> None:
    answer = raw(witness, f"{request_line}\r\n{headers}\r\n".encode())
    assert answer.startswith(f"HTTP/1.1 {status} ".encode()), answer
    assert b"Connection: close\r\n" in answer
    assert b"Python" not in answer
    assert newest(witness) is None


def raw(witness: Serving, data: bytes) -> bytes:
    """What comes back for these bytes, until the other side closes."""
    with closing(socket.create_connection(witness.address, PATIENCE)) as connection:
        connection.sendall(data)
        found = b""
        while part := connection.recv(1 << 16):
            found += part
        return found


def test_a_head_without_end_is_cut_off(witness: Serving, log: Watched) -> None:
    for data in (
        b"P" * (MAX_HEAD_BYTES + 1),
        b"POST /add-checkpoint HTTP/1.1\r\nX: " + b"y" * 20000,
    ):
        with suppress(ConnectionError):
            assert raw(witness, data) == b""
    assert witness.post(log.request(0, 3))[0] == 200


def test_a_body_that_never_comes_changes_nothing(witness: Serving, log: Watched) -> None:
    data = log.request(0, 3)
    head = f"POST /add-checkpoint HTTP/1.1\r\nContent-Length: {len(data)}\r\n\r\n".encode()
    with closing(socket.create_connection(witness.address, PATIENCE)) as connection:
        connection.sendall(head + data[:-1])
        connection.shutdown(socket.SHUT_WR)
        assert connection.recv(100) == b""
    assert newest(witness) is None
    assert witness.post(data)[0] == 200


def test_who_says_nothing_does_not_keep_a_server_from_its_end(
    tmp_path: Path, log: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("auditkit.witness.server._Handler.timeout", None)
    with serving(tmp_path / "w") as witness:
        assert witness.post(log.request(0, 3))[0] == 200
        silent = socket.create_connection(witness.address, PATIENCE)
        silent.sendall(b"POST /add")
        while not witness.server._until:
            time.sleep(0.001)
    # Cut off in the middle of its words, it may hear that plainly, or not at all.
    with closing(silent), suppress(ConnectionError):
        while silent.recv(1 << 16):
            pass


def test_a_connection_has_an_end(
    witness: Serving, log: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that sends a little now and then is not idle, and is cut off all the same."""
    monkeypatch.setattr("auditkit.witness.server.CONNECTION_S", 0.0)
    monkeypatch.setattr("auditkit.witness.server._Handler.timeout", None)
    with closing(socket.create_connection(witness.address, PATIENCE)) as connection:
        connection.sendall(b"POST /add")
        assert connection.recv(100) == b""
    monkeypatch.undo()
    assert witness.post(log.request(0, 3))[0] == 200


def test_so_many_connections_and_no_more(witness: Serving, log: Watched) -> None:
    held = [socket.create_connection(witness.address, 30) for _ in range(MAX_CONNECTIONS)]
    try:
        for connection in held:  # Each is answered, so each has its thread.
            connection.sendall(b"POST /add-checkpoint HTTP/1.1\r\nContent-Length: 0\r\n\r\n")
            assert connection.recv(12) == b"HTTP/1.1 400"
        assert threading.active_count() <= MAX_CONNECTIONS + 10
        assert raw(witness, b"").startswith(b"HTTP/1.1 503 ")
    finally:
        for connection in held:
            connection.close()
    witness.gone()
    assert witness.post(log.request(0, 3))[0] == 200


def test_what_was_answered_is_said(witness: Serving, log: Watched) -> None:
    for count, data in enumerate((log.request(0, 3), b"nonsense", log.request(0, 4)), 1):
        witness.post(data)
        witness.heard(count)
    assert [(a.status, a.origin, a.size) for a in witness.answers] == [
        (200, ORIGIN, 3),
        (400, "", None),
        (409, ORIGIN, 4),
    ]


def test_a_state_that_fails_is_no_cosignature(witness: Serving, log: Watched) -> None:
    witness.post(log.request(0, 3))
    witness.witness._state.close()
    status, _, text = witness.post(log.request(3, 4))
    assert (status, "— " in text) == (500, False)
    assert any(answer.trouble for answer in witness.heard(2))


def test_the_same_without_a_socket(tmp_path: Path, log: Watched) -> None:
    with opened(tmp_path / "w") as witness:
        assert witness.add_checkpoint(log.request(0, 3)).status == 200
        assert witness.add_checkpoint(log.request(3, 5)).status == 200
