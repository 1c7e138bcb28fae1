"""A publish whose system calls fail, or that is killed in one: the head is the old or the new one.

The story is a log of 255 entries that grows to 257: whole tiles and bundles
are born, and with them folders, a partial tile, and a tile of level 1.
"""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import pytest
from exchange import Exchange, tree
from traced import CHANGING, KINDS

from auditkit.follow.fsck import Fsck
from auditkit.log.monitor import breaches
from auditkit.log.published import Log
from auditkit.publish import fund
from auditkit.publish.venue import Venue
from auditkit.verify.note import Checkpoint, VerifierKey

TESTS = Path(__file__).parents[1]
OWN = {"history.sqlite", "history.sqlite-journal", "lock"}
_CALL = re.compile(r"^(\d+) +(\w+)\(", re.ASCII)

pytestmark = pytest.mark.tool("strace")


@dataclass
class Story:
    """An exchange about to publish, how often it calls for what, and how it is afterwards."""

    folder: Path
    pools: Path
    calls: Counter[str]
    parent: Counter[str]
    before: dict[str, str]
    after: dict[str, str]

    def heads(self) -> tuple[str, str]:
        return self.before["public/checkpoint"], self.after["public/checkpoint"]


def run(
    copies: Path, pools: Path, kind: str, when: int, last: int, *options: str
) -> dict[str, dict[int, int]]:
    """How publishers 1 to `last` ended, each in a copy of its own, under strace."""
    told = (TESTS / "traced.py", copies, pools, kind, when, 1, last)
    done = subprocess.run(
        ["strace", "-f", "-qq", *options, sys.executable, *map(str, told)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(map(str, (TESTS, TESTS.parent)))},
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()[-2000:]
    found = json.loads(done.stdout)
    return {what: {int(n): value for n, value in by.items()} for what, by in found.items()}


def state(folder: Path) -> dict[str, str]:
    """The venue's files but for its database, whose journal may lie there without having begun."""
    return {name: what for name, what in tree(folder / "venue").items() if name not in OWN}


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Story:
    home = tmp_path_factory.mktemp("faults")
    exchange = Exchange(home / "told")
    exchange.snapshot({"BTC": {"margin": {"anna": 500, "bert": 300}}})
    moves = exchange.pools_file({"BTC": [("liquidation_fee", 40)]})
    for count in (248, 1):
        exchange.publish(
            lambda draft, count=count: [  # type: ignore[misc]
                fund.publish(draft, fund.read(moves, draft.policy)) for _ in range(count)
            ]
        )
    assert len(exchange.log()) == 255
    for name in ("warm", "1"):
        shutil.copytree(home / "told", home / "clean" / name)
    output = home / "calls"
    every = ",".join(names for names, _ in KINDS.values())
    done = run(home / "clean", moves, "open", 0, 1, "-o", str(output), "-e", f"trace={every}")
    assert done["ends"] == {1: 0}
    found: dict[int, Counter[str]] = {}
    for line in output.read_text("utf-8", "replace").splitlines():
        if match := _CALL.match(line):
            found.setdefault(int(match[1]), Counter())[match[2]] += 1
    parent, child = next(iter(found.values())), found[done["processes"][1]]
    return Story(home / "told", moves, child, parent, state(home / "told"), state(home / "clean/1"))


def names_of(kind: str) -> list[str]:
    """The system calls of a kind, as strace names them."""
    names: str = KINDS[kind][0]
    return names.replace("?", "").split(",")


def walk(story: Story, tmp_path: Path, kind: str, how: str) -> dict[int, int]:
    """Interrupt each call of the kind that a publish makes, and look at what each leaves."""
    whole = max(story.calls[name] for name in names_of(kind))
    for name in ("warm", *map(str, range(1, whole + 1))):
        shutil.copytree(story.folder, tmp_path / name)
    when = whole + 20 + max(story.parent[name] for name in names_of(kind))
    calls = KINDS[kind][0]
    fault = ("-o", "/dev/null", "-e", f"trace={calls}", "-e", f"inject={calls}:{how}:when={when}")
    ends = run(tmp_path, story.pools, kind, when, whole, *fault)["ends"] if whole else {}
    grown = [assert_whole(story, tmp_path / str(point)) for point in ends]
    if kind in CHANGING:
        for point in ends:
            goes_on(story, tmp_path / str(point))
    if "signal" in how:
        # Each gets a step further than the one before.
        assert grown == sorted(grown)
    else:
        # Whoever was told that it is published can rely on it.
        assert all(grew for grew, code in zip(grown, ends.values(), strict=True) if code == 0)
    return ends


def assert_whole(story: Story, folder: Path) -> bool:
    """The log is the old one or the new one, to the byte, also until it is mended; True if new."""
    assert_public(story, folder)
    for name, what in state(folder).items():
        if name.startswith("public/") and name != "public/checkpoint" and name in story.before:
            assert what == story.before[name]
    with Venue(folder / "venue") as venue:
        size = len(venue.history)
    head = assert_public(story, folder)
    assert head.size == size
    grew = size == 257
    assert state(folder) == (story.after if grew else story.before)
    assert not list(folder.rglob(".*"))
    return grew


def goes_on(story: Story, folder: Path) -> None:
    """Whoever publishes the same again, where it was not, comes to the same log."""
    exchange = Exchange.at(folder)
    if state(folder) == story.before:
        exchange.publish(lambda draft: fund.publish(draft, fund.read(story.pools, draft.policy)))
    assert state(folder) == story.after


def assert_public(story: Story, folder: Path) -> Checkpoint:
    """What anyone may read is a whole log without a breach; its head."""
    public = folder / "venue/public"
    key = VerifierKey.parse((public / "venue.vkey").read_text().strip())
    log = Log.read(public, key)
    assert breaches(log) == []
    found = Fsck(public, key).run()
    assert (found.problems, found.breaches) == ((), ())
    assert tree(public)["checkpoint"] in story.heads()
    return log.checkpoint


def test_a_publish_makes_the_calls_that_are_interrupted_here(story: Story) -> None:
    known = {name for kind in KINDS for name in names_of(kind)}
    assert set(story.calls) <= known
    for kind in KINDS:
        # Else one of them would never be the one that is interrupted.
        assert sum(story.calls[name] > 0 for name in names_of(kind)) <= 1
    made = {kind for kind in KINDS if any(story.calls[name] for name in names_of(kind))}
    assert made >= {"open", "write", "pwrite", "fsync", "fdatasync", "rename", "unlink", "mkdir"}
    assert story.heads()[0] != story.heads()[1]
    new = {name.removeprefix("public/") for name in story.after.keys() - story.before.keys()}
    assert new >= {"tile/1", "tile/1/000.p/1", "tile/0/000", "tile/0/001.p/1", "tile/entries/000"}


@pytest.mark.parametrize("kind", CHANGING)
def test_killed_at_any_call_that_changes_a_file(story: Story, tmp_path: Path, kind: str) -> None:
    ends = walk(story, tmp_path, kind, "signal=SIGKILL")
    assert set(ends.values()) <= {-signal.SIGKILL}


@pytest.mark.thorough
@pytest.mark.parametrize("error", ["EIO", "ENOSPC"])
@pytest.mark.parametrize("kind", KINDS)
def test_any_call_may_fail(story: Story, tmp_path: Path, kind: str, error: str) -> None:
    ends = walk(story, tmp_path, kind, f"error={error}")
    assert set(ends.values()) <= {0, 3, 4}, "every failure is said plainly"
    # Some calls need not succeed: the removal of a file that is not there; the one fdatasync by
    # which SQLite makes a folder's names durable.
    if kind in ("write", "pwrite", "fsync", "rename", "mkdir"):
        assert set(ends.values()) == {3}


@pytest.mark.thorough
@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind not in CHANGING])
def test_killed_at_any_other_call(story: Story, tmp_path: Path, kind: str) -> None:
    ends = walk(story, tmp_path, kind, "signal=SIGKILL")
    # Python may look a few times less often for what it has looked for before.
    assert set(ends.values()) <= {-signal.SIGKILL, 0}
    assert [*ends.values()].count(0) <= len(ends) // 10
