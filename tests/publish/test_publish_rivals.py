"""Two publishers and a killer at random: the log has one history, and loses nothing it promised."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from exchange import Exchange

from auditkit.publish.clock import now

TESTS = Path(__file__).parents[1]


def rounds(tmp_path: Path, count: int) -> dict[str, int]:
    exchange = Exchange(tmp_path, start=now() - 60_000)
    pools = exchange.pools_file({"BTC": [("liquidation_fee", 3)]})
    done = subprocess.run(
        [sys.executable, *map(str, (TESTS / "rivals.py", tmp_path, pools, count, count))],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(map(str, (TESTS, TESTS.parent)))},
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()[-2000:]
    found: dict[str, int] = json.loads(done.stdout)
    return found


def test_a_few_rounds_of_two_publishers_and_a_killer(tmp_path: Path) -> None:
    found = rounds(tmp_path, 8)
    assert found["before"] + found["after"] + found["nobody"] >= 8


@pytest.mark.thorough
def test_two_hundred_rounds_of_two_publishers_and_a_killer(tmp_path: Path) -> None:
    found = rounds(tmp_path, 200)
    assert found["before"] > 0
    assert found["after"] > 0
