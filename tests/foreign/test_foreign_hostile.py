"""The script of docs/check-without-us.md against files that were changed, and venues that hack."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from foreign.page import KEY, check, script
from foreign.toolbox import PROOFS
from reference import Signer
from venue import Venue

pytestmark = [pytest.mark.tool("openssl", "hostile files"), pytest.mark.tool("bc", "hostile files")]

ACCOUNT = "10007"


def honest() -> Any:
    """A small file that holds: it is a lie only to whoever has verified more before."""
    path = PROOFS / "broken/older-than-what-was-verified/proof.json"
    return json.loads(path.read_text("utf-8"))


def test_it_holds_before_it_is_changed(tmp_path: Path) -> None:
    assert check(tmp_path, written(tmp_path, honest()), ACCOUNT).code == 0


def written(folder: Path, proof: object) -> Path:
    path = folder / "given.json"
    path.write_text(proof if isinstance(proof, str) else json.dumps(proof), "utf-8")
    return path


def reworded(old: str, new: str) -> Callable[[Any], str]:
    """The file's text with something in it replaced."""

    def change(proof: Any) -> str:
        text = json.dumps(proof)
        assert old in text
        return text.replace(old, new)

    return change


def set_to(value: object, *place: str | int) -> Callable[[Any], Any]:
    """The file with one value replaced."""

    def change(proof: Any) -> Any:
        inner = proof
        for step in place[:-1]:
            inner = inner[step]
        assert inner[place[-1]] != value
        inner[place[-1]] = value
        return proof

    return change


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (set_to("1", "leaves", 0, "amount"), "leaf 0 is not in margin of statement 1"),
        (set_to(3, "leaves", 0, "index"), "leaf 0 is not in margin of statement 1"),
        (set_to(500, "leaves", 0, "index"), "there is no place 500"),
        (set_to("0" * 64, "leaves", 0, "salt"), "leaf 0 is not in margin of statement 1"),
        (set_to("spot", "leaves", 0, "book"), "a path is too long"),
        (set_to("vault", "leaves", 0, "book"), "statement 1 shows no ledger vault"),
        (set_to([], "leaves", 0, "path"), "a path is too short"),
        (set_to([], "statements", 0, "path"), "a path is too short"),
        (set_to(3, "statements", 0, "seq"), "statement 3 is not in the log that was signed"),
        (reworded("audit\\n10\\n", "audit\\n11\\n"), "the signature is not that key's"),
        (reworded("audit\\n10\\n", "audit\\n010\\n"), "not a number: 010"),
        (reworded("audit +vrev", "audit Avrev"), "no signature by that key"),
        (reworded("audit +vrev", "audit vrev"), "base64: invalid input"),
        (reworded('"leaves"', '"leafs"'), "file/leaves/#"),
        (reworded('"salt"', '"sa\\nlt"'), "not JSON: file/leaves/0"),
        (reworded('"amount": ', '"amount": 1 '), "not JSON: file/leaves/0"),
        (reworded('"amount": ', "amount: "), "not a string: amount"),
        (reworded('"amount": ', '"amount": * '), "not JSON: file/leaves/0/amount"),
        (reworded('"path": [', '"path": [1 '), "not JSON: file/statements/0/path"),
        (lambda proof: json.dumps(proof)[:-1], "not JSON: file"),
        (lambda proof: json.dumps(proof) + "}", "more than one value: file"),
        (lambda proof: "[" + json.dumps(proof) + "]", "file/format"),
        (lambda proof: "", "file/format"),
    ],
)
def test_a_file_that_was_changed_fails(
    tmp_path: Path, change: Callable[[Any], Any], reason: str
) -> None:
    said = check(tmp_path, written(tmp_path, change(honest())), ACCOUNT)
    assert (said.code, said.verdict) == (1, "FAILED")
    assert reason in said.err


COMMAND = "x[$(touch run)]"


@pytest.mark.parametrize(
    "change",
    [
        *(
            set_to(COMMAND, "leaves", 0, name)
            for name in ("seq", "index", "amount", "salt", "book")
        ),
        set_to(COMMAND, "leaves", 0, "path", 0),
        set_to(COMMAND, "leaves", 0, "path"),
        set_to(COMMAND, "leaves"),
        set_to({COMMAND: 1}, "leaves", 0),
        set_to(COMMAND, "statements", 0, "seq"),
        set_to(COMMAND, "statements", 0, "path", 0),
        set_to(COMMAND, "statements", 0, "text"),
        set_to(f'{{"seq":{COMMAND}}}', "statements", 0, "text"),
        reworded("audit\\n10\\n", f"audit\\n{COMMAND}\\n"),
        reworded("audit\\n10\\n", "audit\\n10[`touch run`]\\n"),
    ],
)
def test_nothing_that_a_file_says_is_run(tmp_path: Path, change: Callable[[Any], Any]) -> None:
    # `check` fails if anything is left in the folder that the script ran in.
    assert check(tmp_path, written(tmp_path, change(honest())), ACCOUNT).code == 1


def test_nothing_paints_the_terminal(tmp_path: Path) -> None:
    given = honest()
    given["leaves"][0]["amount"] = "\x1b[1mHOLDS\u202e"
    text = json.dumps(given, ensure_ascii=False).replace("\\u001b", "\x1b")
    said = check(tmp_path, written(tmp_path, text), ACCOUNT)
    assert (said.code, said.verdict) == (1, "FAILED")
    assert said.err.strip().isprintable()
    assert said.err.isascii()


# Keys.


@pytest.mark.parametrize(
    ("vkey", "reason"),
    [
        (Signer("demo.example/audit", "another").vkey, "no signature by that key"),
        (Signer("other.example/audit", "another").vkey, "not a checkpoint of other.example/audit"),
        (KEY.read_text("utf-8").replace("+fafadebe+", "+fafadebf+"), "the id is another key's"),
        (KEY.read_text("utf-8").replace("+fafadebe+", "++"), "the id is another key's"),
        ("demo.example/audit+fafadebe+AAAA", "not an Ed25519 key"),
        ("demo.example/audit", ""),
        ("", ""),
    ],
)
def test_another_key_fails(tmp_path: Path, vkey: str, reason: str) -> None:
    (tmp_path / "key").write_text(vkey)
    said = check(tmp_path, PROOFS / f"{ACCOUNT}.json", ACCOUNT, tmp_path / "key")
    assert (said.code != 0, said.verdict) == (True, "FAILED")
    assert reason in said.err


def test_keys_hold_whatever_their_base64_ends_in(tmp_path: Path) -> None:
    venues = (Venue(name="demo.example/audit", seed=f"ends {n}") for n in range(1000))
    venue = next(venue for venue in venues if venue.vkey.endswith("+"))
    venue.snapshot("BTC", {"margin": {ACCOUNT: 5, "other": 6}})
    venue.publish()
    (tmp_path / "key").write_text(venue.vkey)
    proof = written(tmp_path, venue.prove(ACCOUNT))
    said = check(tmp_path, proof, ACCOUNT, tmp_path / "key")
    assert (said.code, said.verdict, said.err) == (0, "HOLDS", "")


@pytest.mark.parametrize("given", [(), ("a",), ("a", "b", "c", "d")])
def test_it_wants_three_words(tmp_path: Path, given: tuple[str, ...]) -> None:
    path = tmp_path / "check.sh"
    path.write_text(script(), "utf-8")
    done = subprocess.run(["bash", path, *given], capture_output=True, check=False)
    assert (done.returncode, done.stdout) == (1, b"FAILED\n")
    assert done.stderr.startswith(b"give three words")
