"""Publishing asks the venue's witnesses, and goes on by the quorum of its policy."""

import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from itertools import chain, repeat
from pathlib import Path
from typing import Any

import pytest
from reference import Witness
from watched import PATIENCE, Serving, serving
from witnessed import Pose, Posing, Witnessed, http, posing

from auditkit.errors import DamagedError, InputError
from auditkit.publish import witnesses
from auditkit.publish.proofs import Prover
from auditkit.publish.submission import MAX_ANSWER_BYTES, Submission, read_answer, read_url
from auditkit.publish.venue import Venue
from auditkit.publish.witnesses import MOST, Asker, Unwitnessed, venue_policy
from auditkit.verify.cosignature import WitnessKey
from auditkit.verify.note import Checkpoint
from auditkit.verify.proof import Proof
from auditkit.verify.quorum import Quorum

BOOKS = {"BTC": {"margin": {"anna": 500, "bert": 300}}}
TWO = ("group Q 2 A B C",)
SIZE = "Content-Type: text/x.tlog.size"


@pytest.fixture
def exchange(tmp_path: Path) -> Witnessed:
    return Witnessed(tmp_path)


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """However busy this machine is, who answers is heard; only the silent tests are hasty."""
    monkeypatch.setattr(witnesses, "PATIENCE_S", PATIENCE)
    monkeypatch.setattr(witnesses, "GRACE_S", PATIENCE)


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where nobody answers anyway, nobody is waited for long."""
    monkeypatch.setattr(witnesses, "PATIENCE_S", 0.3)


@contextmanager
def honest(exchange: Witnessed, folder: Path, names: str) -> Iterator[dict[str, Serving]]:
    """Witnesses of the exchange's log, by their names in its policy."""
    with ExitStack() as stack:
        key = exchange.signer.verifier
        yield {n: stack.enter_context(serving(folder / n, key)) for n in names}


def silent(body: bytes) -> None:
    return None


def hangs_up(body: bytes) -> bytes:
    return b""


# The quorum.


def test_every_witness_cosigns_what_is_published(exchange: Witnessed, tmp_path: Path) -> None:
    with honest(exchange, tmp_path / "w", "ABC") as found:
        exchange.name(found, "group Q all A B C", quorum="Q")
        exchange.snapshot(BOOKS)
        assert list(exchange.quorum().check(exchange.head()).times) == ["A", "B", "C"]
        assert str(exchange.head().note) == str(exchange.head("checkpoints/4").note)
        exchange.fund()
        exchange.fund()
        assert exchange.head().size == 8
        assert list(exchange.quorum().check(exchange.head()).times) == ["A", "B", "C"]
        # Each is asked once a publish, from the head that it cosigned before.
        for each in found.values():
            assert [answer.status for answer in each.heard(3)] == [200, 200, 200]


@pytest.mark.parametrize("down", ["closed", "silent", "none of it"])
def test_two_of_three_with_one_down_publish(
    exchange: Witnessed, tmp_path: Path, down: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if down == "silent":
        monkeypatch.setattr(witnesses, "GRACE_S", 0.3)  # From the quorum on.
    with honest(exchange, tmp_path / "w", "AB") as found, posing(silent) as odd:
        if down == "closed":
            odd.port = 1
        if down == "none of it":
            exchange.name({**found}, "group Q 2 A B", quorum="Q")
        else:
            exchange.name({**found, "C": odd}, *TWO, quorum="Q")
        notes = exchange.noted()
        assert list(exchange.quorum().check(exchange.head()).times) == ["A", "B"]
        assert exchange.head().size == 4
        why = {"closed": "cannot be asked", "silent": "did not answer in time"}
        if down in why:
            assert len(notes) == 1
            assert f"witness C did not cosign: {why[down]}" in notes[0]
        else:
            assert notes == []


def test_without_the_quorum_nothing_is_shown_and_the_next_run_finishes(
    exchange: Witnessed, tmp_path: Path
) -> None:
    before = exchange.head()
    with posing(hangs_up) as odd, posing(lambda _: http(500, b"out of\norder"), "c") as broken:
        with honest(exchange, tmp_path / "w", "A") as found:
            exchange.name({**found, "B": odd, "C": broken}, *TWO, quorum="Q")
            with pytest.raises(Unwitnessed) as caught:
                exchange.snapshot(BOOKS)
        said = str(caught.value.strerror)
        for part in (
            "the log has 4 entries, signed and committed, but they are not published",
            "too few witnesses cosigned: wanted 2 of A, B, C, had A",
            "B: cannot be asked: ",
            "C: answered 500: 'out of order'",
            "venue witness-again",
        ):
            assert part in said
        assert "\n" not in said
        assert exchange.head() == before
        assert not (exchange.root / "public/checkpoints/4").exists()
        # Nobody is asked by those who only read, and what waits is shown to nobody.
        with Venue(exchange.root) as venue:
            assert len(venue.history) == 4
            with pytest.raises(InputError, match="no leaf in what would be shown"):
                Prover(venue).prove("anna")
        assert exchange.head() == before
    exchange.now = exchange.last_time()
    with honest(exchange, tmp_path / "w", "AB") as found:
        exchange.name(found, "group Q all A B", quorum="Q")
        with Venue(exchange.root) as venue:
            assert venue.finish() == []
        assert list(exchange.quorum().check(exchange.head()).times) == ["A", "B"]
        # A had cosigned it before, and is asked from nothing: 409 tells it the size.
        assert sorted(answer.status for answer in found["A"].heard(2)) == [200, 409]
        note = str(exchange.head().note)
        with Venue(exchange.root) as venue:
            venue.finish()
        assert str(exchange.head().note) == note
        exchange.fund()
        assert exchange.head().size == 6


def test_a_witness_that_hangs_is_given_up(exchange: Witnessed, hasty: None) -> None:
    with posing(silent) as odd:
        exchange.name({"A": odd}, quorum="A")
        with pytest.raises(Unwitnessed, match="had none; A: did not answer in time"):
            exchange.snapshot(BOOKS)
        assert odd.left.wait(PATIENCE)


def test_the_next_publish_overtakes_what_waited(exchange: Witnessed, tmp_path: Path) -> None:
    with posing(hangs_up) as odd:
        exchange.name({"A": odd}, quorum="A")
        with pytest.raises(Unwitnessed):
            exchange.snapshot(BOOKS)
    exchange.now = exchange.last_time()
    with honest(exchange, tmp_path / "w", "A") as found:
        exchange.name(found, quorum="A")
        exchange.fund()
        assert exchange.head().size == 6
        assert len(exchange.head("checkpoints/4").note.signatures) == 1
        # A proof of what the waiting head had shown is under one that was cosigned.
        with Venue(exchange.root) as venue:
            proof = Proof.parse(Prover(venue).prove("anna"))
        assert list(exchange.quorum().check(proof.checkpoint).times) == ["A"]


def test_witnesses_that_are_not_wanted_are_asked_all_the_same(
    exchange: Witnessed, tmp_path: Path
) -> None:
    with honest(exchange, tmp_path / "w", "A") as found, posing(hangs_up) as odd:
        exchange.name({**found, "B": odd})
        exchange.snapshot(BOOKS)
        assert list(exchange.quorum().check(exchange.head()).times) == ["A"]


def test_the_slow_ones_are_not_waited_for_once_there_are_enough(
    exchange: Witnessed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With patience without end, and no grace, only the quorum ends it."""
    monkeypatch.setattr(witnesses, "PATIENCE_S", 1e6)
    monkeypatch.setattr(witnesses, "GRACE_S", 0.0)
    with honest(exchange, tmp_path / "w", "A") as found, posing(silent) as odd:
        exchange.name({**found, "B": odd}, "group Q 1 A B", quorum="Q")
        exchange.snapshot(BOOKS)
        assert list(exchange.quorum().check(exchange.head()).times) == ["A"]
        assert odd.left.wait(PATIENCE)  # Nobody goes on waiting for it.


def test_a_venue_without_witnesses_asks_nobody(exchange: Witnessed) -> None:
    with Venue(exchange.root) as venue:
        assert venue._asking() is None
    exchange.snapshot(BOOKS)
    assert len(exchange.head().note.signatures) == 1


def test_a_witness_that_joins_later_starts_from_nothing(
    exchange: Witnessed, tmp_path: Path
) -> None:
    with honest(exchange, tmp_path / "w", "AB") as found:
        exchange.name({"A": found["A"]}, quorum="A")
        exchange.snapshot(BOOKS)
        exchange.name(found, "group Q all A B", quorum="Q")
        exchange.fund()
        assert list(exchange.quorum().check(exchange.head()).times) == ["A", "B"]
        assert [answer.status for answer in found["B"].heard(1)] == [200]


def test_a_witness_that_is_behind_is_asked_from_where_it_is(
    exchange: Witnessed, tmp_path: Path
) -> None:
    """It was down for a while."""
    with honest(exchange, tmp_path / "w", "AB") as found:
        exchange.name(found, "group Q 1 A B", quorum="Q")
        exchange.snapshot(BOOKS)
    with honest(exchange, tmp_path / "w", "A") as found, posing(hangs_up) as odd:
        exchange.name({**found, "B": odd}, "group Q 1 A B", quorum="Q")
        exchange.fund()
    with honest(exchange, tmp_path / "w", "AB") as found:
        exchange.name(found, "group Q all A B", quorum="Q")
        exchange.fund()
        assert list(exchange.quorum().check(exchange.head()).times) == ["A", "B"]
        assert sorted(answer.status for answer in found["B"].heard(2)) == [200, 409]


def test_a_restored_backup_is_told_by_its_witness(exchange: Witnessed, tmp_path: Path) -> None:
    """Both the log and public/ are older: only who stands outside still knows."""
    shutil.copytree(exchange.root, tmp_path / "backup")
    with honest(exchange, tmp_path / "w", "A") as found:
        exchange.name(found, quorum="A")
        exchange.snapshot(BOOKS)
        exchange.fund()
        shutil.rmtree(exchange.root)
        shutil.copytree(tmp_path / "backup", exchange.root)
        exchange.now = exchange.last_time()
        exchange.name(found, quorum="A")
        with pytest.raises(Unwitnessed, match="has cosigned a log of 6 entries, more than these 4"):
            exchange.snapshot({"BTC": {"margin": {"anna": 1}}})
        exchange.now = exchange.last_time()
        with pytest.raises(Unwitnessed, match="A: answered 409: 'another root was cosigned"):
            exchange.fund()
        forks = [answer.fork for answer in found["A"].heard(5) if answer.fork is not None]
        for fork in forks:
            fork.check(exchange.signer.verifier)
        assert forks


# Who only poses as a witness.


def signed_by(witness: Witness, time: int = 5) -> Pose:
    def pose(body: bytes) -> bytes:
        return http(200, witness.cosign(text_of(body), time).encode())

    return pose


def text_of(body: bytes) -> str:
    """The text of the checkpoint in a request."""
    return body.decode().split("\n\n")[1] + "\n"


def says(*parts: bytes) -> Pose:
    """The first once, and the last without end where there are more."""
    return lambda _: chain(parts[:1], *map(repeat, parts[1:]))


def ever_more(body: bytes) -> bytes:
    """Never of the size that it is asked from."""
    return http(409, b"2\n" if body.startswith(b"old 0") else b"0\n", SIZE)


ODD = Witness("odd.example", "key of odd.example")
OTHER = Witness("odd.example", "another key")
LONG = b"x" * 10_000_000
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
POSES: dict[str, tuple[Pose, str]] = {
    "nothing": (lambda _: b"", "cannot be asked"),
    "no HTTP": (lambda _: b"\x00\xff\r\n\r\n", "cannot be asked"),
    "an empty answer": (lambda _: http(200, b""), "answered no signature lines"),
    "garbage": (lambda _: http(200, b"\xff\x00garbage\n"), "answered no signature lines"),
    "no line feed": (
        lambda body: http(200, ODD.cosign(text_of(body), 5).encode()[:-1]),
        "answered no signature lines",
    ),
    "a page": (lambda _: http(200, b"<html>\n"), "answered no signature lines: '<html>'"),
    "10 MB": (lambda _: http(200, LONG), f"more than {MAX_ANSWER_BYTES} bytes"),
    "an answer without end": (
        lambda _: chain([b"HTTP/1.1 200 OK\r\n\r\n"], repeat(b"x" * 9999)),
        f"more than {MAX_ANSWER_BYTES} bytes",
    ),
    "10 MB of an error": (lambda _: http(404, LONG), f"more than {MAX_ANSWER_BYTES} bytes"),
    "10 MB of a header": (lambda _: http(200, b"", "X: " + "y" * 10_000_000), "cannot be asked"),
    "another key's line": (signed_by(OTHER), f"without a line by its key {ODD.id.hex()}"),
    "a line under its name": (
        lambda body: http(200, OTHER.cosign(text_of(body), 5).encode().replace(b"odd", b"even")),
        "without a line by its key",
    ),
    "a line of another checkpoint": (
        lambda body: http(200, ODD.cosign(text_of(body).replace("\n4\n", "\n5\n"), 5).encode()),
        "its line does not hold: the signature is not this key's",
    ),
    "a line without a time": (signed_by(ODD, 0), "its line has no time"),
    "a log's line": (
        lambda body: http(200, body.decode().split("\n\n")[2].encode()),
        "without a line by its key",
    ),
    "an unknown log": (lambda _: http(404, b"who?"), "answered 404: 'who?'"),
    "a redirect": (
        lambda _: http(302, b"", "Location: http://127.0.0.1:1/"),
        "answered 302",
    ),
    "409 without a size": (lambda _: http(409, b"another root"), "answered 409: 'another root'"),
    "409 with no number": (lambda _: http(409, b"1e3\n", SIZE), "answered 409 without a size"),
    "409 without a line feed": (lambda _: http(409, b"2", SIZE), "answered 409 without a size"),
    "409 with a zero before": (lambda _: http(409, b"02\n", SIZE), "answered 409 without a size"),
    "409 with digits of others": (
        lambda _: http(409, "\u0662\n".encode(), SIZE),
        "answered 409 without a size",
    ),
    "409 with a size of nobody": (
        lambda _: http(409, b"9" * 19 + b"\n", SIZE),
        "has cosigned a log of 9999999999999999999 entries, more than these 4",
    ),
    "409 again": (lambda _: http(409, b"2\n", SIZE), "answers 409 with the size 2"),
    "409 that never ends": (ever_more, "answers 409 again and again"),
    "409 of what it was asked": (lambda _: http(409, b"0\n", SIZE), "answers 409 with the size 0"),
    **{
        f"a chunk of {size}": (says(CHUNKED + f"{size}\r\nabc\r\n".encode()), "cannot be asked: ")
        for size in ("-5", "-1", "zz", "f" * 16)
    },
    **{
        f"{name} without end": (says(begin, more * 999), f"more than {MAX_ANSWER_BYTES} bytes")
        for name, begin, more in (
            ("a chunk of -1", CHUNKED + b"-1\r\n", b"x"),
            ("a trailer", CHUNKED + b"0\r\n", b"x: y\r\n"),
            ("going on", b"", b"HTTP/1.1 100 Go on\r\n\r\n"),
        )
    },
    "a painted line": (
        lambda _: http(500, b"\x1b[32mVERIFIED\x07"),
        "answered 500: '\\x1b[32mVERIFIED\\x07'",
    ),
}


@pytest.mark.parametrize("name", POSES)
def test_who_only_poses_as_a_witness_is_ignored_and_reported(
    exchange: Witnessed, tmp_path: Path, name: str
) -> None:
    pose, why = POSES[name]
    with honest(exchange, tmp_path / "w", "A") as found, posing(pose) as odd:
        exchange.name({**found, "B": odd}, "group Q 1 A B", quorum="Q")
        notes = exchange.noted()
        assert list(exchange.quorum().check(exchange.head()).times) == ["A"]
        assert len(notes) == 1
        assert notes[0].startswith("witness B did not cosign: ")
        assert why in notes[0]
        assert len(odd.bodies) <= 4
        assert "\n" not in notes[0]
        assert len(notes[0]) < 300
        lines = {line.name for line in exchange.head().note.signatures}
        assert lines == {exchange.signer.verifier.name, "auditor.example/witness"}


def test_a_line_among_those_of_strangers_counts(exchange: Witnessed) -> None:
    def pose(body: bytes) -> bytes:
        lines = [w.cosign(text_of(body), 5) for w in (OTHER, Witness("w", "w"), ODD)]
        return http(200, "".join(lines).encode())

    with posing(pose) as odd:
        exchange.name({"A": odd}, quorum="A")
        exchange.snapshot(BOOKS)
        assert exchange.quorum().check(exchange.head()).times == {"A": 5}
        assert len(exchange.head().note.signatures) == 2


@pytest.mark.parametrize("begin", [b"", b"HTTP/1.1 200 OK\r\nX: ", b"HTTP/1.1 200 OK\r\n\r\n"])
def test_a_witness_that_drips_is_given_up(exchange: Witnessed, hasty: None, begin: bytes) -> None:
    """Each byte comes in time, and the whole never. Nobody goes on listening to it."""
    gone = threading.Event()

    def drip(body: bytes) -> Iterator[bytes]:
        try:
            yield begin
            while True:
                yield b"y"
                time.sleep(0.01)
        finally:
            gone.set()

    with posing(drip) as odd:
        exchange.name({"A": odd}, quorum="A")
        with pytest.raises(Unwitnessed, match="A: did not answer in time"):
            exchange.snapshot(BOOKS)
        assert gone.wait(PATIENCE)


# What is asked.


def test_what_is_asked_is_the_log_s_own(exchange: Witnessed) -> None:
    """The old size, the path from there, and the head with the log's line alone."""
    with posing(signed_by(ODD)) as odd:
        exchange.name({"A": odd}, quorum="A")
        exchange.snapshot(BOOKS)
        exchange.fund()
    for body, old, size in zip(odd.bodies, (0, 4), (4, 6), strict=True):
        first, _, rest = body.decode().partition("\n")
        assert first == f"old {old}"
        head = Checkpoint.parse(rest.partition("\n\n")[2] if old else rest[1:])
        assert (head.size, len(head.note.signatures)) == (size, 1)


def test_the_path_of_a_url_is_kept() -> None:
    for url, path in (
        ("http://w.example", "/add-checkpoint"),
        ("https://w.example/", "/add-checkpoint"),
        ("https://w.example:8443/a/b/", "/a/b/add-checkpoint"),
        ("http://[::1]:80/a", "/a/add-checkpoint"),
    ):
        assert Submission(url, 1.0)._path == path


@pytest.mark.parametrize(
    "url",
    [
        *("", "w.example", "//w.example", "ftp://w.example", "http://", "http:///a", "file:///etc"),
        *("http://a:b@w.example", "http://w.example:x", "http://w.example:0", "http://[::1"),
        *(
            "http://w.example?a",
            "http://w.example#a",
            "http://w.example/a b",
            "http://w\u00e4.example",
        ),
        *("http://a..b", "http://.example", "http://w..", f"http://{'a' * 64}.example"),
        *("http://w.example:99999", "http://w.example/\x00", "http://w.example\\a"),
    ],
)
def test_what_is_no_url_of_a_witness(url: str) -> None:
    with pytest.raises(InputError, match="is no URL of a witness"):
        read_url(url)


# The venue's policy.


def file_of(witness: Witness, url: str = "http://w.example", quorum: str = "W") -> bytes:
    return f"witness W {witness.vkey} {url}\nquorum {quorum}\n".encode()


def test_a_venues_policy_lists_its_own_log(exchange: Witnessed) -> None:
    key = exchange.signer.verifier
    text = venue_policy(b"# ours\n" + file_of(ODD), key)
    assert text == f"log {key}\nwitness W {ODD.vkey} http://w.example\nquorum W\n"
    assert venue_policy(text.encode(), key) == text
    group = f"witness W {ODD.vkey} http://w.example\nwitness X {OTHER.vkey}\ngroup G any  W X\n"
    assert venue_policy(f"{group}quorum G\n".encode(), key).endswith("group G 1 W X\nquorum G\n")
    assert Quorum.parse(text.encode()).witnesses[0].key == WitnessKey.parse(ODD.vkey)


@pytest.mark.parametrize(
    ("data", "fragment"),
    [
        (b"nonsense\n", "line 1: not a line of a policy"),
        (b"quorum none", "does not end in a line feed"),
        (b"# \xff\nquorum none\n", "is not UTF-8"),
        (file_of(ODD, ""), "wants W, but of these only none can be asked"),
        (file_of(ODD, "w.example"), "is no URL of a witness"),
        (file_of(ODD, "http://a..b"), "is no URL of a witness"),
        (f"log {'x'}\n".encode() + file_of(ODD), "not canonical base64"),
    ],
)
def test_a_policy_that_cannot_be_asked_by_is_refused(
    exchange: Witnessed, data: bytes, fragment: str
) -> None:
    with pytest.raises(InputError, match=fragment):
        venue_policy(data, exchange.signer.verifier)


def test_another_logs_policy_is_refused(exchange: Witnessed, tmp_path: Path) -> None:
    other = Witnessed(tmp_path / "other").signer.verifier
    with pytest.raises(InputError, match="lists another log than the venue's own"):
        venue_policy(f"log {other}\n".encode() + file_of(ODD), exchange.signer.verifier)


def test_a_venue_has_so_many_witnesses_and_no_more(exchange: Witnessed) -> None:
    keys = [Witness(f"w{i}.example", f"{i}").vkey for i in range(MOST + 1)]
    lines = [f"witness w{i} {key} http://w{i}.example\n" for i, key in enumerate(keys)]
    venue_policy(("".join(lines[:-1]) + "quorum none\n").encode(), exchange.signer.verifier)
    with pytest.raises(InputError, match=f"more than {MOST} witnesses"):
        venue_policy(("".join(lines) + "quorum none\n").encode(), exchange.signer.verifier)


def test_a_policy_that_was_altered_stops_a_publish_before_it_commits(exchange: Witnessed) -> None:
    (exchange.root / "public/policy").write_text("nonsense\n")
    with pytest.raises(DamagedError, match="policy: cannot be read"):
        exchange.snapshot(BOOKS)
    (exchange.root / "public/policy").write_text(
        f"witness W {ODD.vkey} gopher://w.example\nquorum W\n"
    )
    with pytest.raises(Unwitnessed, match=r"W: 'gopher://w.example' is no URL of a witness"):
        exchange.snapshot(BOOKS)


def test_a_bug_in_a_thread_is_not_a_witness_that_is_down(
    exchange: Witnessed, monkeypatch: pytest.MonkeyPatch
) -> None:
    def bug(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(witnesses, "read_answer", bug)
    with posing(signed_by(ODD)) as odd:
        exchange.name({"A": odd}, quorum="A")
        with pytest.raises(ZeroDivisionError):
            exchange.snapshot(BOOKS)


@pytest.mark.parametrize("wanted", [1, 2])
def test_whatever_happens_about_one_witness_is_no_veto(
    exchange: Witnessed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wanted: int
) -> None:
    """Where there are enough without it, it is told; where not, what is broken is."""

    def bug(key: WitnessKey, *rest: Any) -> Any:
        if key.name == ODD.name:
            raise DamagedError("a tile is damaged")
        return read_answer(key, *rest)

    monkeypatch.setattr(witnesses, "read_answer", bug)
    with honest(exchange, tmp_path / "w", "A") as found, posing(signed_by(ODD)) as odd:
        exchange.name({**found, "B": odd}, f"group Q {wanted} A B", quorum="Q")
        if wanted == 1:
            assert exchange.noted() == ["witness B did not cosign: cannot be asked: DamagedError"]
            assert list(exchange.quorum().check(exchange.head()).times) == ["A"]
            return
        with pytest.raises(DamagedError, match="a tile is damaged"):
            exchange.snapshot(BOOKS)


def test_asking_is_for_one_head(exchange: Witnessed) -> None:
    found: Posing
    with posing(signed_by(ODD)) as found:
        policy = Quorum.parse(file_of(ODD, found.url))
        head = exchange.head()
        asked = Asker(policy, lambda old, size: (), None)(head)
        assert asked.note.text == head.note.text
        assert policy.check(asked).times == {"W": 5}
