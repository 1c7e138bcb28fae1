"""The published files of proofs/, as tools that others wrote see them: honest, and bent."""

import json
from pathlib import Path

import pytest
from foreign import bent
from foreign.toolbox import (
    PROOFS,
    Question,
    Tool,
    assert_told_apart,
    checkpoint,
    consistency,
    each,
    inclusion,
    log,
    tlog_proof,
    vkey,
)
from reference import Signer, b64, log_extension, log_path, signed

from auditkit.cli.main import main
from auditkit.log.bundles import unpack

HONEST = sorted(PROOFS.glob("*.json"))
CHECKPOINTS = sorted(PROOFS.glob("public/checkpoints/*"), key=lambda path: int(path.name))
# The key of proofs/ is made from a phrase, so that anybody can sign with it.
VENUE = Signer("demo.example/audit", "published demo 0")


def sign(size: int, root: bytes) -> str:
    return signed(f"{VENUE.name}\n{size}\n{b64(root)}\n", VENUE)


def published() -> list[bytes]:
    """The entries of the published log."""
    return list(unpack((PROOFS / f"public/tile/entries/000.p/{CHECKPOINTS[-1].name}").read_bytes()))


def test_the_lies_below_are_signed_with_the_key_of_these_files() -> None:
    assert VENUE.vkey == vkey()
    for path in CHECKPOINTS:
        note = path.read_text("utf-8")
        _, size, root, _ = bent.parts(note)
        assert sign(size, root) == note


@each("checkpoint")
def test_every_published_checkpoint_opens_and_no_bent_one(tool: Tool) -> None:
    notes = [path.read_text("utf-8") for path in CHECKPOINTS]
    notes += [json.loads(path.read_text("utf-8"))["checkpoint"] for path in HONEST]
    honest = [checkpoint(note, vkey()) for note in notes]
    assert_told_apart(tool, honest, bent.of_checkpoint(notes[-1], vkey()))


@each("inclusion")
@pytest.mark.parametrize("path", HONEST, ids=lambda path: path.stem)
def test_every_statement_of_a_proof_file_is_in_the_log(tool: Tool, path: Path) -> None:
    proof = json.loads(path.read_text("utf-8"))
    honest: list[Question] = []
    lies: dict[str, Question] = {}
    for shown in proof["statements"]:
        text, entry = tlog_proof(shown, proof["checkpoint"]), shown["text"].encode()
        honest.append(inclusion(text, entry, vkey()))
        for name, lie in bent.of_inclusion(text, entry, vkey(), sign).items():
            lies[f"{shown['seq']}: {name}"] = lie
    assert_told_apart(tool, honest, lies)


@each("inclusion")
def test_what_inspect_writes_is_what_the_tool_reads(tool: Tool, tmp_path: Path) -> None:
    seq = json.loads(HONEST[0].read_text("utf-8"))["statements"][-1]["seq"]
    export = ["--tlog-proof", str(seq), "-o", str(tmp_path)]
    assert main(["inspect", str(HONEST[0]), *export]) == 0
    text = (tmp_path / f"{seq}.tlog-proof").read_text("utf-8")
    entry = (tmp_path / f"{seq}.json").read_bytes()
    honest = [inclusion(text, entry, vkey())]
    assert_told_apart(tool, honest, bent.of_inclusion(text, entry, vkey(), sign))


@each("inclusion")
def test_every_published_entry_is_in_every_log_that_was_signed_since(tool: Tool) -> None:
    entries, honest = published(), []
    for path in CHECKPOINTS:
        for seq in range(size := int(path.name)):
            shown = {"seq": seq, "path": map(b64, log_path(seq, entries[:size]))}
            text = tlog_proof(shown, path.read_text("utf-8"))
            honest.append(inclusion(text, entries[seq], vkey()))
    assert tool.ask(*honest) == [None] * len(honest)


@each("consistency")
def test_every_published_checkpoint_is_extended_by_every_later_one(tool: Tool) -> None:
    entries = published()
    honest: list[Question] = []
    lies: dict[str, Question] = {}
    for place, older in enumerate(CHECKPOINTS):
        for newer in CHECKPOINTS[place + 1 :]:
            path = [
                b64(node) for node in log_extension(int(older.name), entries[: int(newer.name)])
            ]
            given = (older.read_text("utf-8"), newer.read_text("utf-8"), path, vkey())
            honest.append(consistency(*given))
            for name, lie in bent.of_consistency(*given, sign).items():
                lies[f"{older.name} to {newer.name}: {name}"] = lie
    assert_told_apart(tool, honest, lies)


@each("log")
def test_the_published_folder_is_one_log_and_no_bent_one(tool: Tool, tmp_path: Path) -> None:
    public = PROOFS / "public"
    folders = bent.of_log(public, tmp_path, sign)
    lies = {name: log(folder, vkey()) for name, folder in folders.items()}
    assert_told_apart(tool, [log(public, vkey())], lies)
