"""Which tools that others wrote were run on our files, on what, and what came of it.

A tool that is absent is told as not run: it never passes.
"""

import shutil
import subprocess
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import pytest

FOREIGN = Path(__file__).resolve().parents[2] / ".venv-foreign"
OF_ITS_OWN = ("proofbundle", "sumdb", "aics-tlog")
"""Tools that `make foreign` makes, and that count nowhere else."""

ASKED = {"openssl": ("openssl", "version"), "bc": ("bc", "--version")}
"""How programs on the path say their version."""

Outcome = tuple[str, str, str]
"""A tool, what it was tried on, and passed, failed or skipped."""


def present(tool: str) -> bool:
    """Whether a tool is there: in its own environment if it has one, else on the path."""
    if tool in OF_ITS_OWN:
        return (FOREIGN / tool / "ready").is_file()
    return shutil.which(tool) is not None


def version(tool: str) -> str:
    """The version of a tool; a dash where it is absent or does not say."""
    if not present(tool):
        return "-"
    if tool in OF_ITS_OWN:
        return (FOREIGN / tool / "ready").read_text("utf-8").strip()
    if tool not in ASKED:
        return "-"
    done = subprocess.run(ASKED[tool], capture_output=True, text=True, check=False)
    return " ".join(done.stdout.split()[:2])


def table(outcomes: Iterable[Outcome]) -> list[str]:
    """A line for each tool and thing it was tried on; a header above, if there is any."""
    counts: dict[tuple[str, str], dict[str, int]] = defaultdict(lambda: defaultdict(int))
    for tool, tried, outcome in outcomes:
        counts[tool, tried][outcome] += 1
    rows = [(tool, version(tool), tried, _result(n)) for (tool, tried), n in counts.items()]
    return [f"{a:12} {b:16} {c:12} {d}" for a, b, c, d in _headed(sorted(rows))]


def _headed(rows: Sequence[tuple[str, ...]]) -> Sequence[tuple[str, ...]]:
    return [("tool", "version", "tried on", "result"), *rows] if rows else []


def _result(counts: Mapping[str, int]) -> str:
    told = [f"{counts[outcome]} {outcome}" for outcome in ("failed", "passed") if counts[outcome]]
    missing = f"{counts['skipped']} not run" if counts["skipped"] else ""
    return ", ".join([*told, missing] if missing else told)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the table under everything else, whoever ran the tests."""
    words = {"passed": "passed", "failed": "failed", "error": "failed", "skipped": "skipped"}
    found = [
        (*property_[1], words[kind])
        for kind in words
        for report in terminalreporter.stats.get(kind, ())
        for property_ in getattr(report, "user_properties", ())
        if property_[0] == "tool" and len(property_[1]) == 2
    ]
    if lines := table(found):
        terminalreporter.section("tools that others wrote")
        for line in lines:
            terminalreporter.write_line(line)
