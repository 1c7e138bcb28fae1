"""publish fund over time, through the command line."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from console import Console
from exchange import Exchange

from auditkit.cli.ticking import interval
from auditkit.errors import InputError
from auditkit.publish import clock

CHILD = "from auditkit.cli.start import run; run()"


@pytest.mark.parametrize(("text", "found"), [("60s", 60_000), ("5m", 300_000), ("1h", 3_600_000)])
def test_an_interval(text: str, found: int) -> None:
    assert interval(text) == found


@pytest.mark.parametrize("text", ["60", "0s", "-1s", "1.5s", "1d", "", "s", "9999999s"])
def test_what_is_no_interval(text: str) -> None:
    with pytest.raises(InputError, match="--every: "):
        interval(text)


@pytest.mark.parametrize(
    ("given", "fragment"),
    [
        ([], "give one of --pools, --command"),
        (["--pools", "a", "--backfill", "b"], "give one of --pools, --command"),
        (["--command", "x"], "--command needs it"),
        (["--backfill", "x", "--every", "60s"], "--every goes with"),
        (["--backfill", "x", "--time", "2025-10-10T21:16:14.831Z"], "--time is for a single"),
        (["--command", " ", "--every", "60s"], "--command: is empty"),
    ],
)
def test_options_that_do_not_go_together(
    console: Console, tmp_path: Path, given: list[str], fragment: str
) -> None:
    exchange = Exchange(tmp_path / "it")
    answer = console("publish", "fund", "--venue", exchange.root, *given)
    assert answer.code == 2
    assert fragment in answer.refusal()


def test_it_ticks_until_it_is_interrupted(tmp_path: Path) -> None:
    exchange = Exchange(tmp_path / "it", {"BTC": 8}, start=clock.now() - 5000)
    pools = exchange.pools_file({})
    told = [
        "publish",
        "fund",
        "--venue",
        str(exchange.root),
        "--pools",
        str(pools),
        "--every",
        "1s",
    ]
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(
        [sys.executable, "-c", CHILD, *told],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
    ) as process:
        assert process.stdout is not None
        lines = [process.stdout.readline() for _ in range(2)]
        time.sleep(0.1)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=30)
    assert process.returncode == 130
    assert all(line.startswith("PUBLISHED 2") for line in lines)
    assert "NOTE: the policy promises an entry every 60000 ms, not 1000 ms" in errors
    assert errors.splitlines()[-1] == "ERROR: interrupted"
    assert exchange.kinds().count("fund") >= 2
