"""The published files in proofs/: honest ones verify, every lie gets the verdict it must get."""

import json
from pathlib import Path
from typing import Any

import pytest
from console import Console

PROOFS = Path(__file__).resolve().parents[2] / "proofs"
HONEST = sorted(PROOFS.glob("*.json"))
BROKEN = sorted(PROOFS.glob("broken/*"))
FACES = {
    "false": (1, "failed"),
    "malformed": (2, "error"),
    "incomplete": (3, "not checked"),
    "unsupported": (3, "not checked"),
}


def test_there_are_honest_files_and_lies() -> None:
    assert HONEST
    assert {read(lie)["expect"] for lie in BROKEN} == set(FACES)


@pytest.mark.parametrize("proof", HONEST, ids=lambda proof: proof.stem)
def test_an_honest_file_is_verified(tmp_path: Path, proof: Path) -> None:
    account = json.loads(proof.read_text("utf-8"))["account"]
    console = Console(tmp_path)
    command = ["verify", proof, "--key", PROOFS / "venue.vkey", "--account", account]
    answer = console(*command)
    assert (answer.code, answer.verdict) == (0, "VERIFIED")
    found = console(*command, "--format", "json").json()
    assert (found["verdict"], found["account"]) == ("verified", account)
    assert found["deductions"]


@pytest.mark.parametrize("lie", BROKEN, ids=lambda lie: lie.name)
def test_a_lie_is_refused_with_its_verdict_at_its_step(tmp_path: Path, lie: Path) -> None:
    expect = read(lie)
    code, verdict = FACES[expect["expect"]]
    command = ["verify", lie / "proof.json", "--key", PROOFS / "venue.vkey"]
    command += ["--account", expect["account"]]
    command += ["--since", expect["since"]] if "since" in expect else []
    console = Console(tmp_path)
    answer = console(*command)
    assert (answer.code, answer.verdict) == (code, verdict.upper())
    assert f"step {expect['step']}, " in answer.flat()
    assert "Keep the file private" in answer.flat()
    found = console(*command, "--format", "json").json()
    assert (found["verdict"], found["kind"]) == (verdict, expect["expect"])
    assert found["step"] == expect["step"]


def test_the_published_folder_is_one_whole_log(tmp_path: Path) -> None:
    public = PROOFS / "public"
    size = max(int(path.name) for path in public.glob("checkpoints/*"))
    for part in ("policy", "tile/0/000.p", "tile/entries/000.p"):
        assert (public / part).exists()
    command = ["fsck", public, "--key", PROOFS / "venue.vkey"]
    found = Console(tmp_path)(*command, "--format", "json").json()
    assert (found["verdict"], found["size"]) == ("verified", size)
    assert (found["ruled"], found["problems"], found["breaches"]) == (size, [], [])


def read(lie: Path) -> Any:
    """What a lie must come to."""
    return json.loads((lie / "expect.json").read_text("utf-8"))
