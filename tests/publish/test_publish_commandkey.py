"""A key behind a command: what it is given, what it may answer, and that nothing else counts."""

import base64
import shlex
import sys
import time
from pathlib import Path

import pytest
from exchange import ORIGIN, refused
from rotating import Rotating

from auditkit.errors import InputError
from auditkit.publish import command
from auditkit.publish.commandkey import CommandSigner
from auditkit.publish.keys import Signer
from auditkit.publish.settings import Place
from auditkit.verify import check
from auditkit.verify.note import VerifierKey

HELD = {"BTC": {"margin": {"anna": 500, "bert": 300}}}
PATIENCE = 20_000
SIGN = """
import base64, sys
from Crypto.PublicKey import ECC
from Crypto.Signature import eddsa
text = sys.stdin.buffer.read()
open(sys.argv[1] + ".given", "ab").write(text)
value = eddsa.new(ECC.import_key(open(sys.argv[1]).read()), "rfc8032").sign(text)
how = sys.argv[2]
end = {"base64": b"", "line": b"\\n", "windows": b"\\r\\n"}.get(how)
sys.stdout.buffer.write(value if end is None else base64.b64encode(value) + end)
"""


class Hand:
    """A command that signs with a key of its own."""

    def __init__(self, folder: Path) -> None:
        self.script, self.pem = folder / "sign it.py", folder / "a key.pem"
        self.script.write_text(SIGN)
        signer = Signer.generate(ORIGIN)
        signer.write(folder / "whole.pem", None)
        self.pem.write_text((folder / "whole.pem").read_text().partition("\n")[2])
        self.verifier = signer.verifier

    def command(self, how: str = "raw") -> str:
        return shlex.join([sys.executable, str(self.script), str(self.pem), how])

    def signer(self, how: str = "raw") -> CommandSigner:
        return CommandSigner(self.verifier, self.command(how), PATIENCE)

    @property
    def given(self) -> bytes:
        return Path(f"{self.pem}.given").read_bytes()


@pytest.fixture
def hand(tmp_path: Path) -> Hand:
    return Hand(tmp_path)


@pytest.mark.parametrize("how", ["raw", "base64", "line", "windows"])
def test_it_gets_the_text_and_answers_with_the_signature(hand: Hand, how: str) -> None:
    text = f"{ORIGIN}\n7\n{base64.b64encode(bytes(32)).decode()}\n".encode()
    hand.verifier.check(text, hand.signer(how).sign(text))
    assert hand.given == text


def said(program: str, patience: int = PATIENCE, message: bytes = b"text") -> str:
    """What is said of a command that is a program of Python's."""
    line = shlex.join([sys.executable, "-c", program])
    with pytest.raises(InputError) as caught:
        CommandSigner(VerifierKey(ORIGIN, bytes(32)), line, patience).sign(message)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    ("answer", "count"),
    [
        (b"", 0),
        (b"\n", 1),
        (bytes(63), 63),
        (bytes(65), 65),
        (bytes(64) + b"\n", 65),
        (base64.b64encode(bytes(63)), 84),
        (base64.b64encode(bytes(65)), 88),
        (base64.b64encode(bytes(64)) + b"\n\n", 90),
        (b" " + base64.b64encode(bytes(64)), 89),
        (base64.urlsafe_b64encode(b"\xff" * 64), 88),
        (bytes(64).hex().encode(), 128),
        ("é".encode() * 44, 88),
    ],
)
def test_what_is_no_signature_by_its_form_is_said(answer: bytes, count: int) -> None:
    words = said(f"import sys; sys.stdout.buffer.write({answer!r})")
    assert words.startswith(f"--signer-command: printed {count} bytes, which are no signature")


def test_a_command_that_fails_takes_too_long_or_says_too_much(tmp_path: Path) -> None:
    assert said("raise SystemExit(3)") == "--signer-command: ended in 3"
    assert said("import os; os.kill(os.getpid(), 9)") == "--signer-command: ended in -9"
    words = said("print('x' * 5000)")
    assert words == "--signer-command: printed more than 4096 bytes"
    words = said("import time; time.sleep(60)", 300)
    assert words == "--signer-command: not done after 300 ms; it was stopped"


def test_a_command_that_is_stopped_is_stopped_with_its_children(tmp_path: Path) -> None:
    sign = tmp_path / "alive"
    child = f"import time, pathlib; time.sleep(2); pathlib.Path({str(sign)!r}).touch()"
    program = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {child!r}])"
    assert "it was stopped" in said(program, 1000)
    time.sleep(3)
    assert not sign.exists()


def test_a_command_that_does_not_read_is_no_trouble() -> None:
    """However much it was given."""
    words = said("print('no')", message=bytes(1 << 20))
    assert "which are no signature" in words


@pytest.mark.parametrize("line", ["", "  ", "no-such-program", "'", "/etc", "a\0b"])
def test_a_command_that_cannot_be_started_is_said(line: str) -> None:
    with pytest.raises(InputError, match="--signer-command: "):
        CommandSigner(VerifierKey(ORIGIN, bytes(32)), line).sign(b"text")


@pytest.mark.parametrize("line", ["", " "])
def test_no_command_at_all_is_said(line: str) -> None:
    with pytest.raises(InputError) as caught:
        CommandSigner(VerifierKey(ORIGIN, bytes(32)), line).sign(b"text")
    assert str(caught.value) == "--signer-command: is empty; write a command"


def test_no_shell_reads_the_command(tmp_path: Path) -> None:
    sign = tmp_path / "sign"
    for trick in ("; touch {}", " $(touch {})", " `touch {}`", " | touch {}", " > {}"):
        line = f"true{trick.format(sign)}"
        with pytest.raises(InputError):
            CommandSigner(VerifierKey(ORIGIN, bytes(32)), line).sign(b"text")
    assert not sign.exists()


def test_it_does_not_inherit_the_passphrase(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AUDITKIT_PASSPHRASE", "sentinel")
    monkeypatch.setenv("KEPT", "sentinel")
    line = shlex.join([sys.executable, "-c", "import os; print(sorted(os.environ))"])
    names = command.run("it", line, b"", PATIENCE, 1 << 16).decode()
    assert "'KEPT'" in names
    assert "AUDITKIT_PASSPHRASE" not in names


def test_it_shows_its_verifier_key_and_not_its_command(hand: Hand) -> None:
    assert repr(hand.signer()) == f"CommandSigner({hand.verifier})"


# A venue whose key is behind a command.


def venue_of(hand: Hand, folder: Path) -> Rotating:
    """An exchange whose venue was made with the command."""
    return Rotating.kept(folder, hand.signer(), Place("command", hand.command()))


def test_a_venue_publishes_through_a_command(hand: Hand, tmp_path: Path) -> None:
    exchange = venue_of(hand, tmp_path)
    exchange.snapshot(HELD)
    check.verify(exchange.prove("anna"), hand.verifier, "anna")
    heads = [exchange.published(size) for size in (2, 4)]
    assert hand.given == "".join(head.note.text for head in heads).encode()


def test_a_command_that_stops_working_logs_nothing(hand: Hand, tmp_path: Path) -> None:
    exchange = venue_of(hand, tmp_path)
    kept = hand.pem.rename(tmp_path / "elsewhere")
    with refused(exchange, "--signer-command: ended in 1"):
        exchange.snapshot(HELD)
    kept.rename(hand.pem)
    exchange.snapshot(HELD)
    assert exchange.size() == 4


def test_a_command_that_signs_with_another_key_logs_nothing(hand: Hand, tmp_path: Path) -> None:
    exchange = venue_of(hand, tmp_path)
    other = Signer.generate(ORIGIN)
    other.write(tmp_path / "other.pem", None)
    hand.pem.write_text((tmp_path / "other.pem").read_text().partition("\n")[2])
    with refused(exchange, f"what signs for {hand.verifier} gave no signature of it"):
        exchange.snapshot(HELD)


def test_a_venue_is_not_made_where_the_command_does_not_sign(hand: Hand, tmp_path: Path) -> None:
    hand.pem.unlink()
    with pytest.raises(InputError, match="--signer-command: ended in 1"):
        venue_of(hand, tmp_path)
    assert not (tmp_path / "venue").exists()
    assert not list(tmp_path.glob(".auditkit-*"))


def test_a_key_behind_a_command_follows_a_file_and_gives_way_to_one(
    hand: Hand, tmp_path: Path
) -> None:
    (tmp_path / "exchange").mkdir()
    exchange = Rotating(tmp_path / "exchange")
    exchange.snapshot(HELD)
    exchange.rotate(hand.signer())
    exchange.snapshot(HELD)
    exchange.rotate(exchange.new_key(), after=2)
    exchange.snapshot(HELD)
    exchange.snapshot(HELD)
    first, last = exchange.signer.verifier.id, exchange.hands[-1].verifier.id
    whose = {4: [first], 6: [first, hand.verifier.id], 8: [hand.verifier.id]}
    whose |= {10: [hand.verifier.id, last], 12: [hand.verifier.id, last], 14: [last]}
    assert {size: exchange.signers_of(size) for size in whose} == whose


@pytest.mark.tool("openssl")
def test_openssl_is_such_a_command(hand: Hand, tmp_path: Path) -> None:
    line = f"openssl pkeyutl -sign -rawin -inkey '{hand.pem}' -in /dev/stdin"
    signer = CommandSigner(hand.verifier, line)
    hand.verifier.check(b"some text\n", signer.sign(b"some text\n"))
