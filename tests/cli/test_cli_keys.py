"""`auditkit key`: where a passphrase comes from, and that it goes nowhere else."""

import stat
import subprocess
from pathlib import Path

import pytest
from console import CTRL_C, Answer, Console

ORIGIN = "exchange.example/audit"
SECRET = "correct horse Batterie für staple"
AGAIN = "The same once more: "
NEW = "Passphrase for the new key: "


@pytest.fixture
def key(tmp_path: Path) -> Path:
    return tmp_path / "key.pem"


def new(key: Path, *options: object) -> list[object]:
    return ["key", "new", ORIGIN, "-o", key, *options]


def refused(answer: Answer, words: str, key: Path) -> None:
    """Wrong usage that says so, and no key file."""
    assert answer.code == 2
    assert words in answer.refusal()
    assert not key.exists()


class TestWithoutTerminal:
    def test_a_passphrase_from_a_file(self, console: Console, key: Path, tmp_path: Path) -> None:
        path = tmp_path / "passphrase"
        for ending in ("", "\n", "\r\n"):
            path.write_bytes((SECRET + ending).encode())
            assert console(*new(key, "--passphrase-file", path)).code == 0
            assert "ENCRYPTED" in key.read_text()
            shown = console("key", "show", key, "--passphrase-file", "-", stdin=SECRET.encode())
            assert shown.page().startswith(f"{ORIGIN}+")
            key.unlink()

    def test_a_passphrase_from_standard_input(self, console: Console, key: Path) -> None:
        stdin = f"{SECRET}\nanother line\n".encode()
        made = console(*new(key, "--passphrase-file", "-"), stdin=stdin)
        shown = console("key", "show", key, "--passphrase-file", "-", stdin=stdin)
        assert made.page().endswith(shown.page())
        for answer in (made, shown):
            assert SECRET not in answer.out

    def test_a_file_of_several_lines_is_no_passphrase(
        self, console: Console, key: Path, tmp_path: Path
    ) -> None:
        path = tmp_path / "passphrase"
        for text in (f"{SECRET}\nanother line\n", f"{SECRET}\n\n", f"\n{SECRET}"):
            path.write_text(text)
            answer = console(*new(key, "--passphrase-file", path))
            refused(answer, f"--passphrase-file: {path}: has several lines", key)
            assert SECRET not in answer.err

    def test_a_key_that_others_can_read_is_told(self, console: Console, key: Path) -> None:
        assert console(*new(key, "--no-passphrase")).code == 0
        assert console("key", "show", key).err == ""
        key.chmod(0o644)
        answer = console("key", "show", key)
        assert (answer.code, answer.out.count("\n")) == (0, 1)
        assert answer.err == f"NOTE: {key}: others can read this key (mode 644); chmod 600 it\n"

    def test_a_passphrase_from_the_environment(self, console: Console, key: Path) -> None:
        console.variables["AUDITKIT_PASSPHRASE"] = SECRET
        assert console(*new(key)).code == 0
        assert "ENCRYPTED" in key.read_text()
        assert console("key", "show", key).code == 0

    def test_a_file_goes_before_the_environment(
        self, console: Console, key: Path, tmp_path: Path
    ) -> None:
        (tmp_path / "passphrase").write_text(SECRET)
        console.variables["AUDITKIT_PASSPHRASE"] = "another"
        assert console(*new(key, "--passphrase-file", tmp_path / "passphrase")).code == 0
        assert console("key", "show", key).code == 2

    def test_no_passphrase_has_to_be_said(self, console: Console, key: Path) -> None:
        refused(console(*new(key)), "--passphrase-file", key)
        assert console(*new(key, "--no-passphrase")).code == 0
        assert "ENCRYPTED" not in key.read_text()
        assert console("key", "show", key).code == 0

    def test_no_passphrase_and_one_exclude_each_other(self, console: Console, key: Path) -> None:
        answer = console(*new(key, "--no-passphrase", "--passphrase-file", "-"))
        refused(answer, "exclude each other", key)

    @pytest.mark.parametrize("given", [b"", b"\n", b"\r\n"])
    def test_an_empty_passphrase_is_refused(
        self, console: Console, key: Path, given: bytes
    ) -> None:
        answer = console(*new(key, "--passphrase-file", "-"), stdin=given)
        refused(answer, "--no-passphrase", key)

    def test_what_is_no_text_is_refused_and_not_shown(
        self, console: Console, key: Path, tmp_path: Path
    ) -> None:
        words = "the passphrase is not UTF-8 text"
        given = SECRET.encode("latin-1")
        (tmp_path / "passphrase").write_bytes(given)
        answers = [
            console(*new(key, "--passphrase-file", "-"), stdin=given),
            console(*new(key, "--passphrase-file", tmp_path / "passphrase")),
        ]
        console.variables["AUDITKIT_PASSPHRASE"] = given.decode("utf-8", "surrogateescape")
        answers.append(console.process(*new(key)))
        for answer in answers:
            refused(answer, words, key)

    def test_a_passphrase_file_that_is_none(
        self, console: Console, key: Path, tmp_path: Path
    ) -> None:
        for path in (tmp_path, tmp_path / "absent"):
            refused(console(*new(key, "--passphrase-file", path)), f"{path}", key)

    def test_the_wrong_passphrase_opens_nothing(self, console: Console, key: Path) -> None:
        console.variables["AUDITKIT_PASSPHRASE"] = SECRET
        console(*new(key))
        console.variables["AUDITKIT_PASSPHRASE"] = SECRET.upper()
        answer = console("key", "show", key)
        assert answer.code == 2
        assert "wrong passphrase or damaged file" in answer.refusal()
        assert SECRET.upper() not in answer.err


class TestKeyFile:
    def test_it_is_private_and_never_overwritten(self, console: Console, key: Path) -> None:
        assert console(*new(key, "--no-passphrase")).code == 0
        assert stat.S_IMODE(key.stat().st_mode) == 0o600
        before = key.read_bytes()
        answer = console(*new(key, "--no-passphrase"))
        assert answer.code == 2
        assert "exists" in answer.refusal()
        assert key.read_bytes() == before

    @pytest.mark.parametrize(
        "origin", ["", "a", "UPPER.example", "a b", "-x", "ü.example", "[red]"]
    )
    def test_a_name_that_no_venue_can_have(self, console: Console, key: Path, origin: str) -> None:
        answer = console("key", "new", "-o", key, "--no-passphrase", "--", origin)
        refused(answer, "not a venue", key)

    def test_a_folder_that_is_not_there(self, console: Console, tmp_path: Path) -> None:
        key = tmp_path / "absent/key.pem"
        refused(console(*new(key, "--no-passphrase")), "no such folder", key)

    def test_the_verifier_key_is_one_line_however_long(self, console: Console, key: Path) -> None:
        console.columns = 40
        origin = f"exchange.example/{'a' * 100}"
        made = console("key", "new", origin, "-o", key, "--no-passphrase")
        shown = console("key", "show", key)
        assert shown.page().count("\n") == 1
        assert made.page().endswith(shown.page())
        assert console("key", "show", key, "--format", "json").json()["vkey"] == shown.out.strip()

    @pytest.mark.tool("openssl")
    def test_openssl_opens_it_too(self, console: Console, key: Path) -> None:
        console.variables["AUDITKIT_PASSPHRASE"] = SECRET
        assert console(*new(key)).code == 0
        done = subprocess.run(
            ["openssl", "pkey", "-in", key, "-passin", "stdin", "-noout", "-text"],
            input=SECRET.encode(),
            capture_output=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        assert b"ED25519" in done.stdout


class TestOnTerminal:
    def test_a_new_key_asks_twice_and_echoes_nothing(self, console: Console, key: Path) -> None:
        keys = [(NEW, f"{SECRET}\n"), (AGAIN, f"{SECRET}\n")]
        answer = console.terminal(*new(key), keys=keys)
        assert answer.code == 0
        assert SECRET not in answer.out
        shown = console("key", "show", key, "--passphrase-file", "-", stdin=SECRET.encode())
        assert shown.out.strip() in answer.out

    def test_two_that_differ_make_no_key(self, console: Console, key: Path) -> None:
        keys = [(NEW, f"{SECRET}\n"), (AGAIN, f"{SECRET}!\n")]
        answer = console.terminal(*new(key), keys=keys)
        assert answer.code == 2
        assert "the two passphrases differ; nothing was written" in answer.out
        assert SECRET not in answer.out
        assert not key.exists()

    def test_an_empty_one_makes_no_key(self, console: Console, key: Path) -> None:
        answer = console.terminal(*new(key), keys=[(NEW, "\n")])
        assert answer.code == 2
        assert "the passphrase is empty" in answer.out
        assert not key.exists()

    def test_a_key_that_is_opened_asks_once(self, console: Console, key: Path) -> None:
        console(*new(key, "--passphrase-file", "-"), stdin=SECRET.encode())
        keys = [(f"Passphrase for {key}: ", f"{SECRET}\n")]
        answer = console.terminal("key", "show", key, keys=keys)
        assert answer.code == 0
        assert f"\n{ORIGIN}+" in answer.out
        assert SECRET not in answer.out

    def test_interrupted_at_the_prompt(self, console: Console, key: Path) -> None:
        answer = console.terminal(*new(key), keys=[(NEW, CTRL_C)])
        assert answer.code == 130
        assert "\nERROR: interrupted" in answer.out.replace("\x1b[1;31m", "")
        assert "Traceback" not in answer.out
        assert not key.exists()
