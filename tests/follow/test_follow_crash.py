"""Wherever a round is cut off, the old memory stands or the new one, and the next round goes on."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from follow.site import Site, follow, fsck, is_sound, memory

SCRIPT = Path(__file__).with_name("interrupted_round.py")
TESTS = SCRIPT.parents[1]


@pytest.mark.parametrize(
    ("begin", "how"),
    [
        ("nothing", "kill"),
        ("nothing", "full"),
        ("before", "kill"),
        ("before", "full"),
        ("breach", "kill"),
    ],
)
def test_a_round_is_cut_off_at_every_step(tmp_path: Path, how: str, begin: str) -> None:
    site = Site(tmp_path / "public")
    site.publish()
    state = tmp_path / "state"
    if begin == "nothing":
        state.mkdir()
    else:
        site.minutes(240)
        site.publish()
        if begin == "breach":
            site.venue.lie("fund", pools=[])
            site.venue.fund()
            site.publish()
        follow(site.folder, state, site.key)
    old = memory(state) if begin != "nothing" else None
    site.minutes(30)
    size = site.publish()
    done = interrupted(site, state, tmp_path / "copies", how)
    assert len(done["ends"]) > 15
    seen = set()
    for name in done["ends"]:
        copy = tmp_path / "copies" / name
        assert done["ends"][name] == (-9 if how == "kill" else 3)
        there = (copy / "follower.json").is_file()
        assert there or old is None
        seen.add(now := memory(copy).head.size if there else 0)
        assert now in (old.head.size if old else 0, size)
        if there:
            assert fsck(copy, site.key).problems == ()
        found = follow(site.folder, copy, site.key)
        assert [breach.rule for breach in found.breaches] == (
            ["fund-pools"] if begin == "breach" else []
        )
        assert memory(copy).head.size == size
        assert is_sound(copy, site.key) or begin == "breach"
        assert not (copy / "new").exists()
    assert seen == {old.head.size if old else 0, size}


def interrupted(site: Site, state: Path, copies: Path, how: str) -> Any:
    copies.mkdir()
    done = subprocess.run(
        [sys.executable, SCRIPT, site.folder, state, copies, str(site.key), how],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(map(str, (TESTS, TESTS.parent)))},
        check=True,
        capture_output=True,
        text=True,
    )
    return json.loads(done.stdout)
