"""Answers questions about a venue's log with the package proofbundle, in its own environment.

Every line of standard input is a question in JSON, every line of standard output
its answer; tests/foreign/toolbox.py has the questions. The package knows no tiles.
"""

import base64
import json
import sys
from typing import Any

from proofbundle.checkpoint import verify_checkpoint, verify_witnessed_checkpoint
from proofbundle.errors import ProofBundleError
from proofbundle.merkle import verify_consistency
from proofbundle.tlogproof import verify_tlog_proof


def checkpoint(text: str, key: str) -> Any:
    """What the package reads in a checkpoint whose signature holds. Raises ProofBundleError."""
    found = verify_checkpoint(text, key)
    if not found["ok"] or found["origin"] != key.partition("+")[0]:
        raise ProofBundleError("the signature does not hold")
    return found


def inclusion(asked: Any) -> None:
    """Raises ProofBundleError unless the entry is where the tlog-proof says."""
    origin = asked["key"].partition("+")[0]
    entry = base64.b64decode(asked["entry"])
    found = verify_tlog_proof(asked["proof"], entry, asked["key"], expected_origin=origin)
    if not found["ok"]:
        raise ProofBundleError(str(found.get("detail") or "the proof does not hold"))


def consistency(asked: Any) -> None:
    """Raises ProofBundleError unless the path leads from the older checkpoint to the newer."""
    older, newer = (checkpoint(asked[name], asked["key"]) for name in ("older", "note"))
    path = [base64.b64decode(node) for node in asked["path"]]
    sizes = older["tree_size"], newer["tree_size"]
    if not verify_consistency(*sizes, path, older["root"], newer["root"]):
        raise ProofBundleError("the consistency does not hold")


def cosignature(asked: Any) -> None:
    """Raises ProofBundleError unless both the log and the witness signed the checkpoint."""
    given = asked["note"], asked["key"], [asked["witness"]]
    origin = asked["key"].partition("+")[0]
    if not verify_witnessed_checkpoint(*given, threshold=1, expected_origin=origin)["ok"]:
        raise ProofBundleError("the cosignature does not hold")


def ask(asked: Any) -> None:
    """Raises ProofBundleError where the answer is no."""
    match asked["ask"]:
        case "checkpoint":
            checkpoint(asked["note"], asked["key"])
        case "inclusion":
            inclusion(asked)
        case "consistency":
            consistency(asked)
        case "cosignature":
            cosignature(asked)
        case other:
            raise SystemExit(f"no such question: {other}")


for line in sys.stdin:
    answer = {"holds": True, "why": ""}
    try:
        ask(json.loads(line))
    except ProofBundleError as error:
        answer = {"holds": False, "why": str(error)}
    print(json.dumps(answer))
