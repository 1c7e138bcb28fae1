"""docs/check-without-us.md: what it says of tools that others wrote is what they do."""

import json
import os
import re
import shutil
import subprocess
import sys
from itertools import islice
from pathlib import Path

import make_foreign
import pytest
from foreign import bent
from foreign.page import TEXT, blocks, section, tables
from foreign.report import version
from foreign.test_foreign_shell import REASONS
from foreign.toolbox import PROOFS, ROOT, TOOLS, Tool, each, questions, vkey

BROKEN = sorted(PROOFS.glob("broken/*/proof.json"))
TITLE = "What each of them sees"
FENCED = re.compile(r"^```.*?^```$", re.DOTALL | re.MULTILINE)
ASKED = {
    "the signature of a checkpoint": "checkpoint",
    "a statement's exact bytes are in the log": "inclusion",
    "a log extends an earlier one": "consistency",
    "hash tiles, entry bundles and all checkpoints are of one log": "log",
    "a witness's line on a checkpoint": "cosignature",
}


def test_the_table_has_a_row_for_each_question_and_says_who_knows_it() -> None:
    head, *rows = tables(TITLE)[0]
    assert head[1:] == [
        "script",
        f"proofbundle {make_foreign.PROOFBUNDLE}",
        f"sumdb of Go {make_foreign.GO}",
        f"aics-tlog {make_foreign.AICS}",
    ]
    told = {row[0]: row[2:] for row in rows}
    assert list(told)[: len(ASKED)] == list(ASKED)
    for row, ask in ASKED.items():
        assert told[row] == ["yes" if ask in tool.knows else "no" for tool in TOOLS]


@each("checkpoint", "its version")
def test_the_versions_of_the_page_are_those_that_run(tool: Tool) -> None:
    pins = {"proofbundle": make_foreign.PROOFBUNDLE, "aics-tlog": make_foreign.AICS}
    if tool.name == "sumdb" and version(tool.name) != make_foreign.GO:
        pytest.skip("made with the Go of the path, of which the page says nothing")
    assert version(tool.name) == pins.get(tool.name, make_foreign.GO)


@each("inclusion", "the lies")
def test_the_tool_sees_of_the_lies_what_the_page_says(tool: Tool) -> None:
    head, *rows = tables(TITLE)[1]
    column = head.index(tool.name)
    told = {row[0].strip("`"): row[column] for row in rows}
    asked = [questions(path, vkey()) for path in BROKEN]
    answers = iter(tool.ask(*(question for every in asked for question in every)))
    seen = [
        path.parent.name
        for path, every in zip(BROKEN, asked, strict=True)
        if any(list(islice(answers, len(every))))
    ]
    assert sorted(seen) == sorted(lie for lie, sees in told.items() if sees == "yes")
    assert set(told.values()) == {"yes"}, "the page says that they agree"


def test_the_script_sees_what_the_page_says() -> None:
    head, *rows = tables(TITLE)[1]
    assert all(row[head.index("script")] == "yes" for row in rows)
    assert {row[0].strip("`") for row in rows} <= REASONS.keys()


# Commands.


def run(command: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """A line of the page, in a folder that looks like the repository."""
    for name in ("docs", "proofs", ".venv-foreign"):
        if not (folder / name).exists():
            (folder / name).symlink_to(ROOT / name)
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    environment = {"PATH": path, "HOME": str(folder), "LANG": "C.UTF-8"}
    return subprocess.run(
        command,
        shell=True,
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )


def lines(tool: str) -> list[str]:
    """The command lines of a tool, and what comes before them."""
    every = [line for block in blocks("sh")[1:] for line in block.splitlines()]
    named = [line for line in every if line.startswith(".venv-foreign/")]
    assert len(named) == 3
    return [line for line in every if f"/{tool}/" in line or line not in named]


def lies_of(name: str, folder: Path) -> list[Path]:
    """What stands in the place of what the page's commands are given, so that they must fail."""
    if name == "out/12.json":
        (folder / "bad").write_bytes(tlog_entry(12) + b" ")
        return [folder / "bad"]
    public = ROOT / name
    note = (public / "checkpoint").read_text("utf-8")
    _, size, _, line = bent.parts(note)
    unsigned = shutil.copytree(public, folder / "unsigned")
    (unsigned / "checkpoint").write_text(note.replace(line, bent.bent(line, 40)), "utf-8")
    tiled = shutil.copytree(public, folder / "tiled")
    tile = tiled / f"tile/0/000.p/{size}"
    tile.write_bytes(bent.flipped(tile.read_bytes(), 40))
    return [unsigned, tiled]


def tlog_entry(seq: int) -> bytes:
    """The bytes of a statement that 10007's proof file shows."""
    shown = json.loads((PROOFS / "10007.json").read_text("utf-8"))["statements"]
    return next(str(each["text"]).encode() for each in shown if each["seq"] == seq)


@pytest.mark.parametrize(
    "tool",
    [
        pytest.param(name, marks=pytest.mark.tool(name, "commands"))
        for name in ("proofbundle", "aics-tlog")
    ],
)
def test_the_commands_of_the_page_pass_and_fail_where_they_must(tool: str, tmp_path: Path) -> None:
    for line in lines(tool):
        done = run(line, tmp_path)
        assert done.returncode == 0, (line, done.stderr)
    tried = 0
    for line in (line for line in lines(tool) if f"/{tool}/" in line):
        (name,) = re.findall(r"out/12\.json|proofs/public", line)
        for bad in lies_of(name, tmp_path):
            assert run(line.replace(name, bad.name), tmp_path).returncode == 1, (line, bad.name)
            tried += 1
    assert tried


@pytest.mark.tool("openssl", "commands")
@pytest.mark.tool("bc", "commands")
def test_the_script_runs_as_the_page_says(tmp_path: Path) -> None:
    done = run(blocks("sh")[0], tmp_path)
    assert (done.returncode, done.stdout.splitlines()[-1]) == (0, "HOLDS")


def test_links_lead_somewhere() -> None:
    heads = re.findall(r"^#+ (.*)$", re.sub(FENCED, "", TEXT), re.MULTILINE)
    anchors = {re.sub(r"[^a-z0-9 -]", "", head.lower()).replace(" ", "-") for head in heads}
    for target in re.findall(r"\]\(([^)]*)\)", TEXT):
        path, _, anchor = target.partition("#")
        assert (ROOT / "docs" / path).exists()
        assert not anchor or anchor in anchors


def test_what_every_section_promises_is_there() -> None:
    assert "`make foreign`" in section("Tools that others wrote")
    assert "foreign:" in (ROOT / "Makefile").read_text("utf-8")
