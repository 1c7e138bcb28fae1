"""The script of docs/check-without-us.md against a venue that signs what no venue should."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from foreign.page import Said, check
from reference import b64, canonical, checkpoint, log_path
from venue import Venue

pytestmark = [pytest.mark.tool("openssl", "signed lies"), pytest.mark.tool("bc", "signed lies")]

ACCOUNT = "10007"
COMMAND = "x[$(touch run)]"
Edit = Callable[[dict[str, Any]], object]


def said_of(folder: Path, edit: Edit) -> Said:
    """What the script says of a venue with a loss and a recovery, whose statements are edited.

    What is edited is logged and signed; the account's leaves stay as they were.
    """
    venue = Venue(name="demo.example/audit", seed="signed")
    venue.snapshot("BTC", {"margin": {ACCOUNT: 500, "other": 600}})
    venue.fund()
    venue.recovery(venue.event("BTC", {"carol": 90}, adl={}), 40)
    venue.publish()
    log = [json.loads(entry) for entry in venue.entries]
    for statement in log:
        edit(statement)
    entries = [canonical(statement).encode() for statement in log]
    proof = venue.prove(ACCOUNT)
    proof["checkpoint"] = checkpoint(venue.name, entries, venue.keys[-1][0])
    for shown in proof["statements"]:
        shown["text"] = entries[shown["seq"]].decode()
        shown["path"] = [b64(node) for node in log_path(shown["seq"], entries)]
    (folder / "key").write_text(venue.vkey)
    (folder / "proof.json").write_text(json.dumps(proof))
    return check(folder, folder / "proof.json", ACCOUNT, folder / "key")


def of_kind(kind: str, **fields: object) -> Edit:
    """Sets fields of the statements of a kind."""

    def edit(statement: dict[str, Any]) -> None:
        if statement["format"] == f"auditkit/{kind}/1":
            assert fields.keys() <= statement.keys()
            statement.update(fields)

    return edit


def test_what_is_not_edited_holds(tmp_path: Path) -> None:
    said = said_of(tmp_path, lambda statement: None)
    assert (said.code, said.verdict, said.err) == (0, "HOLDS", "")


@pytest.mark.parametrize(
    ("edit", "reason"),
    [
        (of_kind("snapshot", asset="BT C"), "not an asset: statement 1"),
        (of_kind("index", latest={"BTC": 0}), "BTC jumps its first snapshot shown"),
        (of_kind("index", latest={"BTC": 2}), "statement 2 of BTC is missing"),
        (of_kind("index", latest={}), "not a number: none"),
        (of_kind("applied", previous=8), "statement 8 of BTC names no earlier one"),
        (of_kind("recovery", loss=0), "there is no loss 0"),
        (of_kind("recovery", recovered="0"), "recovery 9 is more than is outstanding, or nothing"),
        (of_kind("recovery", recovered="39"), "459 + 18 should be left"),
        (of_kind("loss", socialized="1101"), "loss 7 is more than there is"),
        (of_kind("loss", socialized="50"), "should be left"),
        (of_kind("loss", rule="equal/1"), "loss 7 is shared by another rule"),
        (of_kind("loss", venue="other.example"), "statement 7 is of another place"),
        (of_kind("applied", format="auditkit/index/1"), "what statement 7 says is not applied"),
    ],
)
def test_a_signed_lie_fails_for_its_own_reason(tmp_path: Path, edit: Edit, reason: str) -> None:
    said = said_of(tmp_path, edit)
    assert (said.code, said.verdict) == (1, "FAILED")
    assert reason in said.err


def commands(field: str) -> Edit:
    """Puts a command into a field wherever there is one of that name, also inside of others."""

    def edit(value: Any) -> None:
        for inner in value if isinstance(value, list) else list(value.values()):
            if isinstance(inner, list | dict):
                edit(inner)
        if isinstance(value, dict) and field in value:
            kinds: dict[type, object] = {list: [COMMAND], dict: {"BTC": COMMAND}}
            value[field] = kinds.get(type(value[field]), COMMAND)

    return edit


QUICK = ("previous", "accounts", "socialized")
LATER = ("total", "recovered", "earlier", "loss", "latest", "asset", "book", "seq", "root")


@pytest.mark.parametrize(
    "field", [*QUICK, *(pytest.param(name, marks=pytest.mark.thorough) for name in LATER)]
)
def test_nothing_that_is_signed_is_run(tmp_path: Path, field: str) -> None:
    # `check` fails if anything is left in the folder that the script ran in.
    said = said_of(tmp_path, commands(field))
    assert (said.code, said.verdict) == (1, "FAILED")


def test_a_time_is_compared_and_never_run(tmp_path: Path) -> None:
    def later(statement: dict[str, Any]) -> None:
        statement["time"] += COMMAND

    assert said_of(tmp_path, later).verdict == "HOLDS"
