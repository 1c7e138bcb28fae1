"""Notes and keys of other projects, from the vectors beside the checkout, as commands read them."""

import base64
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from console import Console

NOTES = Path(__file__).resolve().parents[2].parent / "shared/vectors/note"
TESSERA = NOTES / "tessera-log"
CHECKPOINTS = sorted(TESSERA.glob("checkpoint*"))

pytestmark = pytest.mark.skipif(not CHECKPOINTS, reason="the vectors are not here")


def told() -> Any:
    return json.loads((NOTES / "signed_note_vectors.json").read_text("utf-8"))


@pytest.mark.parametrize("path", CHECKPOINTS, ids=lambda path: path.name)
def test_a_checkpoint_of_another_log_is_described(console: Console, path: Path) -> None:
    _, size, root, _, line, _ = path.read_text("utf-8").split("\n")
    answer = console("inspect", path)
    assert answer.code == 0
    said = answer.flat().replace("UNVERIFIED ", "").replace(" ", "")
    assert f"originexample.com/log/testdatasize{size}root" in said
    assert hexadecimal(root) in said
    assert f"signedbyexample.com/log/testdata{hexadecimal(line.split()[2])[:8]}" in said
    found = console("inspect", path, "--format", "json").json()
    assert found["checkpoint"] == path.read_text("utf-8")
    assert found["verdict"] == "unverified"


def hexadecimal(text: str) -> str:
    return base64.b64decode(text).hex()


def test_all_of_its_checkpoints_are_here() -> None:
    names = {path.name for path in CHECKPOINTS}
    assert names == {"checkpoint", *(f"checkpoint.{size}" for size in range(16))}


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("spec_example", "a checkpoint has three lines"),
        ("sumdb", "not a venue (a schema-less URL)"),
        ("go", "a checkpoint has three lines"),
    ],
)
def test_a_note_that_is_no_checkpoint_of_a_venue_is_malformed(
    console: Console, name: str, why: str
) -> None:
    given = told()[name]
    note = given.get("note") or f"{given['text']}\n{given['peter_sig']}{given['enoch_sig']}"
    answer = console("inspect", "-", stdin=note.encode())
    assert (answer.code, answer.verdict) == (2, "ERROR")
    assert f"malformed file: {why}" in answer.flat()
    found = console("inspect", "-", "--format", "json", stdin=note.encode()).json()
    assert (found["kind"], found["exit_code"]) == ("malformed", 2)


def keys() -> list[str]:
    if not CHECKPOINTS:
        return []
    given = told()
    found = [given[name]["vkey"] for name in ("spec_example", "sumdb")]
    found += [given["go"][f"{who}_vkey"] for who in ("peter", "enoch")]
    return [*found, (TESSERA / "log.vkey").read_text("utf-8").strip()]


@pytest.mark.parametrize("vkey", keys())
def test_a_key_of_another_project_is_pinned_as_it_is(console: Console, vkey: str) -> None:
    assert console("trust", "add", vkey).code == 0
    assert console("trust", "list").page() == f"{vkey}\n"


@pytest.mark.parametrize("place", [0, 1])
def test_a_malformed_key_of_another_project_is_not(console: Console, place: int) -> None:
    (bad, worse) = told()["go"]["bad_vkeys"]
    answer = console("trust", "add", (bad, worse)[place])
    assert answer.code == 2
    assert answer.refusal()
    assert "No key is pinned" in console("trust", "list").page()


def test_a_private_key_is_never_taken_for_a_verifier_key(console: Console) -> None:
    secret = told()["go"]["peter_skey"]
    for command in (["trust", "add", secret], ["inspect", "-"]):
        answer = console(*command, stdin=f"{secret}\n".encode())
        assert answer.code == 2
        assert secret[-20:] not in answer.out + answer.err


def test_fsck_reads_its_whole_log_and_names_the_file_of_any_byte_that_is_another(
    console: Console, tmp_path: Path
) -> None:
    """A byte of each file here; tests/follow/test_follow_fsck.py turns every one."""
    log = tmp_path / "log"
    shutil.copytree(TESSERA, log)
    command = ("fsck", log, "--log-only", "--key", TESSERA / "log.vkey")
    found = console(*command, "--format", "json").json()
    assert (found["verdict"], found["size"]) == ("verified", 15)
    for path in sorted(
        path for path in log.rglob("*") if path.is_file() and path.suffix != ".vkey"
    ):
        data = path.read_bytes()
        if not data:
            continue
        path.write_bytes(bytes([data[0] ^ 1]) + data[1:])
        answer = console(*command)
        assert (answer.code, answer.verdict) == (1, "FAILED"), path
        assert answer.says(path.relative_to(log).as_posix()), path
        path.write_bytes(data)
    assert console(*command).code == 0
