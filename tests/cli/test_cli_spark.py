"""What `--engine spark` asks for, told without Spark: PySpark and Java need not be there."""

import socket
import sys
from pathlib import Path
from types import ModuleType

import pytest
from console import Console
from exchange import Exchange


@pytest.mark.parametrize("missing", ["pandas", "pyspark"])
def test_the_extra_is_asked_for_only_by_what_needs_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, missing: str
) -> None:
    exchange = Exchange(tmp_path)
    books = exchange.long({"BTC": {"margin": {"anna": 5}}})
    for name in ("pandas", "pyspark"):
        monkeypatch.setitem(sys.modules, name, None if name == missing else ModuleType(name))
    command = ("publish", "snapshot", "--venue", exchange.root, "--books", books)
    before = exchange.tree()
    answer = Console(tmp_path)(*command, "--engine", "spark")
    assert answer.code == 2
    assert f"needs {missing}, which is not installed" in answer.refusal()
    assert "'.[spark]'" in answer.refusal()
    assert exchange.tree() == before
    monkeypatch.undo()
    assert Console(tmp_path)(*command).code == 0


def test_a_master_that_does_not_answer_is_told_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    exchange = Exchange(tmp_path)
    books = exchange.long({"BTC": {"margin": {"anna": 5}}})
    for name in ("pandas", "pyspark"):
        monkeypatch.setitem(sys.modules, name, ModuleType(name))
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    for where in (f"127.0.0.1:{port}", f"127.0.0.1:{port},127.0.0.1:{port}", "nowhere", "a:b"):
        command = ("publish", "snapshot", "--venue", exchange.root, "--books", books)
        answer = Console(tmp_path)(*command, "--engine", "spark", "--master", f"spark://{where}")
        assert answer.code == 2
        assert answer.refusal().startswith(f"--master: 'spark://{where}' does not answer; ")


def test_a_master_goes_with_spark(tmp_path: Path) -> None:
    exchange = Exchange(tmp_path)
    books = exchange.long({"BTC": {"margin": {"anna": 5}}})
    command = ("publish", "snapshot", "--venue", exchange.root, "--books", books)
    answer = Console(tmp_path)(*command, "--master", "local[2]")
    assert (answer.code, answer.refusal()) == (2, "--master goes with --engine spark")
