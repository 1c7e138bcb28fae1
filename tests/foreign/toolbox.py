"""The tools that others wrote: what they can be asked, and how each of them is asked.

`make foreign` puts each into an environment of its own below .venv-foreign/. A tool
answers questions, one JSON object a line: `checkpoint`, `inclusion`, `consistency`,
`cosignature` and `log`. None of our code runs in it but the few lines that pass the question on.
"""

import base64
import json
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
PROOFS = ROOT / "proofs"
FOREIGN = ROOT / ".venv-foreign"
HERE = Path(__file__).parent

Question = dict[str, Any]


@dataclass(frozen=True)
class Tool:
    """A tool by the name of its environment, and how it is started there."""

    name: str
    command: tuple[str, ...]
    knows: tuple[str, ...]

    def ask(self, *questions: Question) -> list[str | None]:
        """None for every question that holds; else why not, in the tool's words."""
        folder = FOREIGN / self.name
        command = [str(folder / self.command[0]), *self.command[1:]]
        asked = "".join(f"{json.dumps(question)}\n" for question in questions)
        done = subprocess.run(command, input=asked.encode(), capture_output=True, timeout=600)
        assert done.returncode == 0, done.stderr.decode()
        answers = [json.loads(line) for line in done.stdout.splitlines()]
        assert [type(answer["holds"]) for answer in answers] == [bool] * len(questions)
        return [None if answer["holds"] else f"no: {answer['why']}" for answer in answers]


TOOLS = (
    Tool(
        "proofbundle",
        ("bin/python", str(HERE / "ask_proofbundle.py")),
        ("checkpoint", "inclusion", "consistency", "cosignature"),
    ),
    Tool("sumdb", ("bin/sumdb",), ("checkpoint", "inclusion", "consistency", "log")),
    Tool(
        "aics-tlog",
        ("bin/python", str(HERE / "ask_aics.py")),
        ("checkpoint", "inclusion", "consistency", "cosignature", "log"),
    ),
)


def each(ask: str, tried: str | None = None) -> pytest.MarkDecorator:
    """Run a test with every tool that knows this question, where the tool is there.

    `tried` is what the table at the end says, by default the question.
    """
    known = [tool for tool in TOOLS if ask in tool.knows]
    marked = [pytest.param(t, marks=pytest.mark.tool(t.name, tried or ask)) for t in known]
    return pytest.mark.parametrize("tool", marked, ids=lambda tool: tool.name)


def assert_told_apart(tool: Tool, honest: list[Question], lies: dict[str, Question]) -> None:
    """The tool says yes to all that is honest, and no to each of the lies, in one sitting."""
    answers = tool.ask(*honest, *lies.values())
    assert answers[: len(honest)] == [None] * len(honest)
    refused = dict(zip(lies, answers[len(honest) :], strict=True))
    assert refused
    assert [name for name, why in refused.items() if why is None] == []


# Questions.


def checkpoint(note: str, key: str) -> Question:
    """Did the key sign this checkpoint of its log?"""
    return {"ask": "checkpoint", "note": note, "key": key}


def inclusion(proof: str, entry: bytes, key: str) -> Question:
    """Is the entry where this tlog-proof says, in a log that the key signed?"""
    text = base64.b64encode(entry).decode()
    return {"ask": "inclusion", "proof": proof, "entry": text, "key": key}


def consistency(older: str, newer: str, path: list[str], key: str) -> Question:
    """Does the log of the newer checkpoint extend that of the older one?"""
    return {"ask": "consistency", "older": older, "note": newer, "path": path, "key": key}


def cosignature(note: str, key: str, witness: str) -> Question:
    """Did both the key and this witness sign the checkpoint?"""
    return {"ask": "cosignature", "note": note, "key": key, "witness": witness}


def log(folder: Path, key: str) -> Question:
    """Are checkpoints, hash tiles and entries of this folder those of one log?"""
    return {"ask": "log", "folder": str(folder), "key": key}


# What lies in proofs/, read with nothing of ours.


def vkey() -> str:
    """The verifier key of all of proofs/."""
    return (PROOFS / "venue.vkey").read_text("utf-8").strip()


def tlog_proof(shown: Any, note: str) -> str:
    """The C2SP tlog-proof of a statement, as SPEC.md §7 has it."""
    lines = ["c2sp.org/tlog-proof@v1", f"index {shown['seq']}", *shown["path"]]
    return "\n".join(lines) + f"\n\n{note}"


def questions(path: Path, key: str) -> list[Question]:
    """All that a proof file can be asked by tools that know notes and logs, and no more."""
    proof = json.loads(path.read_text("utf-8"))
    note = proof["checkpoint"]
    shown = [(tlog_proof(each, note), each["text"]) for each in proof["statements"]]
    return [checkpoint(note, key), *(inclusion(text, said.encode(), key) for text, said in shown)]
