"""No private seed, passphrase, ledger secret or salt shows itself: not even in a traceback."""

import base64
import errno
import logging
import os
import pprint
import secrets
import shutil
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from hashlib import sha256
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from Crypto.PublicKey import ECC
from exchange import ORIGIN, Exchange
from rotating import Rotating

from auditkit.errors import DamagedError, InputError
from auditkit.keyfile import Passphrase
from auditkit.ledger.stored import salt
from auditkit.publish.keys import KeyFile, Signer
from auditkit.publish.venue import Venue
from auditkit.verify.statements import Snapshot

WORDS = "sentinel passphrase of the test"
FIRST_LINE = f"auditkit signing key of {Signer.generate(ORIGIN).verifier}\n"
BEFORE = {"BTC": {"margin": {"anna": 500, "bert": 300, "carl": 90}, "spot": {"anna": 7}}}
AFTER = {"anna": 450, "bert": 200}
ACCOUNTS = ("anna", "bert", "carl", "dora")


def spellings(secret: bytes) -> set[str]:
    """How 32 bytes could stand in a text: raw, hex, a number, base64 at any offset."""
    found = {repr(secret)[2:-1], secret.hex(), secret.hex().upper(), str(list(secret))[1:-1]}
    found |= {str(int.from_bytes(secret, "big")), str(int.from_bytes(secret, "little"))}
    for offset in range(3):
        text = base64.b64encode(bytes(offset) + secret).decode()
        found.add(text[4:40])
    return found


def assert_silent(text: str, *hidden: bytes) -> None:
    for secret in hidden:
        for spelling in spellings(secret):
            assert spelling not in text
    assert WORDS not in text
    assert base64.b64encode(WORDS.encode()).decode() not in text


def said_by(thing: object, caplog: pytest.LogCaptureFixture) -> str:
    """Everything that a thing says when it is shown in one of the usual ways."""
    texts = [repr(thing), str(thing), f"{thing}", f"{thing!r:>40}", f"{[thing]}", f"{ {1: thing} }"]
    if hasattr(thing, "__dict__"):
        texts += [repr(vars(thing)), pprint.pformat(vars(thing))]
    caplog.clear()
    logging.getLogger("test").warning("%s, %r", thing, thing)
    return "\n".join([*texts, caplog.text])


def told_by(error: BaseException) -> str:
    """The traceback with the locals of every frame but this file's, and of what led to it."""
    trace = traceback.TracebackException.from_exception(error, capture_locals=True)
    link: traceback.TracebackException | None = trace
    while link is not None:
        frames = [frame for frame in link.stack if frame.filename != __file__]
        link.stack = traceback.StackSummary.from_list(frames)
        link = link.__cause__ or link.__context__
    return "".join(trace.format())


def seed_of(path: Path, words: str | None = None) -> bytes:
    pem = path.read_text("ascii").partition("\n")[2]
    found: bytes = ECC.import_key(pem, words).seed
    return found


def salts_of(drawn: list[bytes]) -> list[bytes]:
    """The salts of the accounts of these tests."""
    return [salt(secret, name.encode(), 0) for secret in drawn for name in ACCOUNTS]


def told_by_calling(call: Callable[[], object], error: type[Exception]) -> str:
    with pytest.raises(error) as caught:
        call()
    return told_by(caught.value)


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """The secrets that were drawn; each is one the test knows."""
    known: list[bytes] = []

    def draw(size: int) -> bytes:
        known.append(sha256(b"sentinel %d" % len(known)).digest()[:size])
        return known[-1]

    monkeypatch.setattr(secrets, "token_bytes", draw)
    return known


def test_the_spellings_find_what_the_library_would_show() -> None:
    """Without this, a test that finds nothing would prove nothing."""
    key = ECC.generate(curve="Ed25519")
    with pytest.raises(AssertionError):
        assert_silent(repr(key), key.seed)
    with pytest.raises(AssertionError):
        assert_silent(key.export_key(format="PEM", use_pkcs8=True), key.seed)
    with pytest.raises(AssertionError):
        assert_silent(repr({"secret": key.seed}), key.seed)


def test_keys_and_passphrases_show_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    signer, words = Signer.generate(ORIGIN), Passphrase(WORDS)
    signer.write(tmp_path / "plain.pem", None)
    signer.write(tmp_path / "encrypted.pem", words)
    seed = seed_of(tmp_path / "plain.pem")
    assert seed == seed_of(tmp_path / "encrypted.pem", WORDS)
    for thing in (signer, words, words.reveal(), *map(KeyFile, tmp_path.iterdir())):
        assert_silent(said_by(thing, caplog), seed)


def test_a_venue_at_work_shows_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, drawn: list[bytes]
) -> None:
    exchange = Exchange(tmp_path)
    exchange.snapshot(BEFORE)
    seed, seen = seed_of(exchange.key), []
    with Venue(exchange.root) as venue:
        snapshot = venue.log[2]
        assert isinstance(snapshot, Snapshot)
        ledger = venue.ledgers.open(2, snapshot.ledgers[0])
        things: list[object] = [venue, venue.ledgers, ledger, venue.ledgers.secret(2, "margin")]
        things += ledger.leaves("anna")
        with venue.publishing(exchange.signer, exchange.now + 1000) as draft:
            things.append(draft)
            seen += [said_by(thing, caplog) for thing in things]
    assert_silent("\n".join(seen), seed, *drawn, *salts_of(drawn))


def foreign(path: Path, curve: str, line: str = FIRST_LINE) -> Path:
    """A key file of another curve."""
    path.write_text(line + ECC.generate(curve=curve).export_key(format="PEM", use_pkcs8=True))
    return path


def test_a_key_file_that_is_refused_shows_nothing(tmp_path: Path) -> None:
    signer, path = Signer.generate(ORIGIN), tmp_path / "key.pem"
    signer.write(path, None)
    seed, lines = seed_of(path), path.read_text("ascii").splitlines(keepends=True)
    told = [told_by_calling(lambda: signer.write(path, Passphrase(WORDS)), InputError)]
    told.append(told_by_calling(lambda: signer.write(path, None), InputError))
    told.append(told_by_calling(lambda: signer.write(tmp_path / "no/key.pem", None), InputError))
    for text in ("".join(lines[1:]), lines[0].upper() + "".join(lines[1:]), seed.hex(), lines[2]):
        path.write_text(text)
        told.append(told_by_calling(lambda: KeyFile(path), InputError))
    path.write_bytes(seed)
    told.append(told_by_calling(lambda: KeyFile(path), InputError))
    path.write_text("".join(lines).replace("END PRIVATE", "END WRONG"))
    told.append(told_by_calling(lambda: KeyFile(path).open(None), InputError))
    assert_silent("".join(told), seed)


@pytest.mark.parametrize("given", ["right", WORDS])
def test_a_passphrase_that_does_not_fit_is_not_shown(tmp_path: Path, given: str) -> None:
    signer, path = Signer.generate(ORIGIN), tmp_path / "key.pem"
    signer.write(path, Passphrase("right" if given == WORDS else WORDS))
    seed = seed_of(path, "right" if given == WORDS else WORDS)
    told = told_by_calling(lambda: KeyFile(path).open(Passphrase(given)), InputError)
    assert_silent(told, seed)


def test_a_foreign_private_key_is_not_shown(tmp_path: Path) -> None:
    path = foreign(tmp_path / "key.pem", "P-256")
    number = ECC.import_key(path.read_text().partition("\n")[2]).d
    secret = int(number).to_bytes(32, "big")
    assert_silent(told_by_calling(lambda: KeyFile(path).open(None), InputError), secret)
    path = foreign(path, "P-256", "")
    number = ECC.import_key(path.read_text()).d
    secret = int(number).to_bytes(32, "big")
    assert_silent(told_by_calling(lambda: KeyFile(path), InputError), secret)


@contextmanager
def failing(name: str, call: int) -> Iterator[None]:
    """The disk is full at the n-th call of a function of `os`, and from there on."""
    real: Callable[..., Any] = getattr(os, name)
    calls = count()

    def full(*given: Any, **named: Any) -> Any:
        if next(calls) == call:
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(*given, **named)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, name, full)
        yield


@pytest.mark.parametrize("name", ["fsync", "open"])
def test_a_disk_that_fills_up_in_the_middle_shows_nothing(
    tmp_path: Path, name: str, drawn: list[bytes]
) -> None:
    """Call after call fails; the last round has none left to fail, and publishes."""
    exchange = Exchange(tmp_path)
    exchange.signer.write(tmp_path / "again.pem", Passphrase(WORDS))
    exchange.signer = KeyFile(tmp_path / "again.pem").open(Passphrase(WORDS))
    exchange.snapshot(BEFORE)
    exchange.fund(BTC=[("liquidation_fee", 40)])
    seed, told = seed_of(exchange.key), []
    event = exchange.event_file("crash", "BTC", {"carl": 90}, AFTER, adl={"dora": 10})
    shutil.copytree(exchange.root, tmp_path / "kept")
    for call in count(step=2):
        drawn.clear()
        try:
            with failing(name, call):
                exchange.loss(event)
        except OSError as error:
            told.append(told_by(error))
        else:
            break
        assert_silent(told[-1], seed, *drawn, *salts_of(drawn))
        shutil.rmtree(exchange.root)
        shutil.copytree(tmp_path / "kept", exchange.root)
    assert len(told) >= 20


def test_a_change_of_key_that_fails_shows_nothing(tmp_path: Path) -> None:
    """Without the old key, without the new one, with one that signs wrongly, on a full disk."""
    exchange = Rotating(tmp_path)
    exchange.signer.write(tmp_path / "again.pem", Passphrase(WORDS))
    old = KeyFile(tmp_path / "again.pem").open(Passphrase(WORDS))
    new = exchange.new_key()
    seeds = [seed_of(exchange.key), seed_of(exchange.file_of(new.verifier))]
    wrong = Signer.generate(ORIGIN)
    wrong.verifier = new.verifier
    told = []
    exchange.hands = [new]
    told.append(told_by_calling(lambda: exchange.rotate(new), InputError))
    exchange.hands = [old]
    told.append(told_by_calling(lambda: exchange.rotate(wrong), InputError))
    with failing("open", 3):
        told.append(told_by_calling(lambda: exchange.rotate(new), OSError))
    assert_silent("".join(told), *seeds)
    exchange.rotate(new)


def test_a_damaged_venue_shows_nothing(tmp_path: Path, drawn: list[bytes]) -> None:
    exchange = Exchange(tmp_path)
    exchange.snapshot(BEFORE)
    for name in ("ledgers/2-margin/salts", "ledgers/2-margin/amounts", "secrets/2-margin"):
        path = exchange.root / name
        sound = path.read_bytes()
        for damage in (b"\xff" + sound[1:], sound[:-1]):
            path.write_bytes(damage)
            told = told_by_calling(lambda: exchange.prove("anna"), DamagedError)
            told += told_by_calling(lambda: exchange.snapshot({"BTC": {"spot": {}}}), DamagedError)
            assert_silent(told, *drawn, *salts_of(drawn))
        path.write_bytes(sound)
    (exchange.root / "secrets/2-margin").write_text("ab" * 32)
    assert_silent(told_by_calling(lambda: exchange.prove("anna"), InputError), *drawn)
