"""A tool that cannot be had is told as not run, and its tests fail where every tool is demanded."""

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import make_foreign
import pytest
from foreign import report
from foreign.toolbox import ROOT


@pytest.fixture
def nothing_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine without any of the tools."""
    for module in (report, make_foreign):
        monkeypatch.setattr(module, "FOREIGN", tmp_path / "foreign")
    return tmp_path


def test_a_tool_that_is_absent_is_not_run(nothing_there: Path) -> None:
    head, line = report.table([("sumdb", "log", "skipped"), ("sumdb", "log", "skipped")])
    assert head.split() == ["tool", "version", "tried", "on", "result"]
    assert line.split() == ["sumdb", "-", "log", "2", "not", "run"]
    assert "passed" not in line


def test_what_failed_comes_first_and_nothing_is_left_out() -> None:
    outcomes = ["passed", "failed", "passed", "skipped"]
    (_, line) = report.table([("openssl", "files", outcome) for outcome in outcomes])
    assert line.split()[:2] == ["openssl", "OpenSSL"]
    assert line.endswith("1 failed, 2 passed, 1 not run")


def test_where_no_tool_was_asked_there_is_no_table() -> None:
    assert report.table([]) == []


TEST = """
import pytest

@pytest.mark.tool("sumdb", "log")
def test_it(): pass

@pytest.mark.tool("no-such-program")
def test_another(): pass
"""


def outcome(folder: Path, variables: Mapping[str, str]) -> str:
    """What pytest says of two tests whose tools are absent, by the project's own conftest."""
    (folder / "test_it.py").write_text(TEST)
    (folder / "conftest.py").write_text(
        "from pathlib import Path\n"
        "from foreign import report\n"
        f"report.FOREIGN = Path({str(folder / 'nowhere')!r})\n"
        f"exec(Path({str(ROOT / 'tests/conftest.py')!r}).read_text())\n"
    )
    (folder / "pytest.ini").write_text(
        f"[pytest]\npythonpath = {ROOT / 'tests'}\nmarkers =\n    tool\n    thorough\n"
    )
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_it.py"]
    done = subprocess.run(
        command, cwd=folder, env={"PATH": "", **variables}, capture_output=True, text=True
    )
    return done.stdout


@pytest.mark.parametrize("workers", [[], ["-n1"]])
def test_an_absent_tool_is_skipped_or_fails_but_never_passes(
    tmp_path: Path, workers: list[str]
) -> None:
    options = {"PYTEST_ADDOPTS": " ".join(workers)}
    said = outcome(tmp_path, options)
    assert "2 skipped" in said
    assert " ".join(said.split()).count("sumdb - log 1 not run") == 1
    said = outcome(tmp_path, {**options, "AUDITKIT_THOROUGH": "1"})
    assert "2 errors" in said
    assert " ".join(said.split()).count("sumdb - log 1 failed") == 1
    assert "passed" not in said


# The recipe.


def test_what_cannot_be_had_is_told_in_a_line_and_leaves_nothing(
    nothing_there: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def failing(folder: Path) -> str:
        folder.mkdir(parents=True)
        return make_foreign.run(sys.executable, "-c", "import sys; sys.exit('no such thing')")

    def working(folder: Path) -> str:
        folder.mkdir(parents=True)
        return "1.2.3"

    monkeypatch.setattr(make_foreign, "TOOLS", {"sumdb": failing, "proofbundle": working})
    for _ in range(2):
        make_foreign.main()
        told = [line.split(None, 1) for line in capsys.readouterr().out.splitlines()]
        assert [name for name, _ in told] == ["sumdb", "proofbundle"]
        assert told[0][1].startswith("not to be had: python")
        assert told[0][1].endswith("no such thing")
        assert told[1][1] == "1.2.3"
        assert not report.present("sumdb")
        assert report.version("proofbundle") == "1.2.3"
        assert [path.name for path in make_foreign.FOREIGN.iterdir()] == ["proofbundle"]


def test_an_older_recipe_is_made_anew(nothing_there: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[Path] = []

    def making(folder: Path) -> str:
        folder.mkdir(parents=True)
        made.append(folder)
        return "1"

    monkeypatch.setattr(make_foreign, "TOOLS", {"sumdb": making})
    make_foreign.main()
    make_foreign.main()
    assert len(made) == 1
    source = nothing_there / "main.go"
    source.write_text("newer")
    ready = make_foreign.FOREIGN / "sumdb/ready"
    monkeypatch.setattr(make_foreign, "SUMDB", source)
    later = ready.stat().st_mtime_ns + 10**9
    __import__("os").utime(source, ns=(later, later))
    make_foreign.main()
    assert len(made) == 2


def test_a_python_that_is_too_old_is_none(
    nothing_there: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = nothing_there / "old"
    old.write_text("#!/bin/sh\nexit 1\n")
    old.chmod(0o755)
    for named in (old, nothing_there / "nowhere"):
        monkeypatch.setenv("AUDITKIT_PYTHON312", str(named))
        with pytest.raises(make_foreign.NotToBeHad, match=r"a Python of 3\.12 or newer"):
            make_foreign.aics_tlog(nothing_there / "foreign/aics-tlog")


def test_the_recipe_and_the_tests_mean_the_same_tools() -> None:
    assert tuple(make_foreign.TOOLS) == report.OF_ITS_OWN
