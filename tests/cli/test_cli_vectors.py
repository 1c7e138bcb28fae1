"""Every proof among the vectors beside the checkout, through the command line."""

import json
from pathlib import Path
from typing import Any

import pytest
from console import Answer, Console

PROOFS = Path(__file__).resolve().parents[2].parent / "shared/vectors/format/proofs"
CASES = sorted(PROOFS.glob("*/expect.json"))
FACES = {
    "ok": (0, "verified"),
    "false": (1, "failed"),
    "malformed": (2, "error"),
    "incomplete": (3, "not checked"),
    "unsupported": (3, "not checked"),
}

pytestmark = pytest.mark.skipif(not CASES, reason="the vectors are not here")


def checked(console: Console, case: Path, *options: object) -> Answer:
    expect = json.loads(case.read_text())
    since = ["--since", expect["since"]] if "since" in expect else []
    return console(
        "verify",
        case.parent / "proof.json",
        "--key",
        case.parent / "venue.vkey",
        "--account",
        expect["account"],
        *since,
        *options,
    )


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.parent.name)
def test_a_vector_ends_in_its_exit_code_with_its_verdict_first(tmp_path: Path, case: Path) -> None:
    code, verdict = FACES[json.loads(case.read_text())["expect"]]
    answer = checked(Console(tmp_path), case)
    assert (answer.code, answer.verdict) == (code, verdict.upper())
    assert "solvent" not in answer.page().lower()


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.parent.name)
def test_a_vector_is_one_object_for_programs(tmp_path: Path, case: Path) -> None:
    code, verdict = FACES[json.loads(case.read_text())["expect"]]
    found: Any = checked(Console(tmp_path), case, "--format", "json").json()
    assert (found["exit_code"], found["verdict"]) == (code, verdict)


def test_all_five_faces_are_among_the_vectors() -> None:
    assert {json.loads(case.read_text())["expect"] for case in CASES} == set(FACES)
