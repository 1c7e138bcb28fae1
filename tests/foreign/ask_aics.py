"""Answers questions about a venue's log with the package aics-tlog, in its own environment.

Every line of standard input is a question in JSON, every line of standard output
its answer; tests/foreign/toolbox.py has the questions.
"""

import base64
import json
import sys
from pathlib import Path
from typing import Any

from aics_tlog import (
    FileSystemTileReader,
    audit_tiles,
    consistency_proof_from_tiles,
    parse_note,
    parse_vkey,
    verify_checkpoint,
    verify_consistency,
    verify_leaf_inclusion,
)


def checkpoint(text: str, key: str, witness: str | None = None) -> Any:
    """What the package reads in a checkpoint whose signature holds. Raises ValueError."""
    log = parse_vkey(key)
    witnesses = [parse_vkey(witness)] if witness else []
    found = verify_checkpoint(
        parse_note(text), log, witnesses, len(witnesses), expected_origin=log.name
    )
    if not found.ok:
        raise ValueError(found.error)
    return found


def inclusion(asked: Any) -> None:
    """Raises ValueError unless the entry is where the tlog-proof says.

    The package has no reader of tlog-proofs: its lines are split here.
    """
    head, _, note = asked["proof"].partition("\n\n")
    _, index, *path = head.split("\n")
    found = checkpoint(note, asked["key"])
    entry, hashes = base64.b64decode(asked["entry"]), [base64.b64decode(line) for line in path]
    place = int(index.removeprefix("index "))
    if not verify_leaf_inclusion(entry, place, found.size, hashes, found.root):
        raise ValueError("the inclusion does not hold")


def consistency(asked: Any) -> None:
    """Raises ValueError unless the path leads from the older checkpoint to the newer."""
    older, newer = (checkpoint(asked[name], asked["key"]) for name in ("older", "note"))
    path = [base64.b64decode(node) for node in asked["path"]]
    if not verify_consistency(older.size, newer.size, older.root, newer.root, path):
        raise ValueError("the consistency does not hold")


def log(asked: Any) -> None:
    """Raises ValueError or OSError unless all tiles, bundles and checkpoints are of one log."""
    folder = Path(asked["folder"])
    head = checkpoint((folder / "checkpoint").read_text("utf-8"), asked["key"])
    tiles = FileSystemTileReader(folder)
    audit_tiles(tiles, head.size, head.root)
    for path in folder.glob("checkpoints/*"):
        older = checkpoint(path.read_text("utf-8"), asked["key"])
        proof = consistency_proof_from_tiles(tiles, older.size, head.size)
        if not verify_consistency(older.size, head.size, older.root, head.root, proof):
            raise ValueError(f"the log does not extend its checkpoint {older.size}")


def ask(asked: Any) -> None:
    """Raises ValueError or OSError where the answer is no."""
    match asked["ask"]:
        case "checkpoint":
            checkpoint(asked["note"], asked["key"])
        case "cosignature":
            checkpoint(asked["note"], asked["key"], asked["witness"])
        case "inclusion":
            inclusion(asked)
        case "consistency":
            consistency(asked)
        case "log":
            log(asked)
        case other:
            raise SystemExit(f"no such question: {other}")


for line in sys.stdin:
    answer = {"holds": True, "why": ""}
    try:
        ask(json.loads(line))
    except (ValueError, OSError) as error:
        answer = {"holds": False, "why": str(error)}
    print(json.dumps(answer))
