"""A publish whose system calls fail, or that is killed in one: the head is the old or the new one.

The story is a log of 255 entries that grows to 257: whole tiles and bundles
are born, and with them folders, a partial tile, and a tile of level 1.

Every call that changes a file, or makes a change last, is interrupted wherever
it occurs. Of the calls that change nothing there are a thousand, and hundreds
say the same: what lies on the disk is the same at all of them between one change
and the next. So between any two changes one of a kind is killed, and one fails
of those that ask the same thing of the same file.
"""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
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
_CALL = re.compile(r"^(\d+) +(\w+)\((.*)", re.ASCII)
HARMLESS = {"dup", "ioctl", "mmap", "pipe", "pipe2"}
"""Calls with descriptors that neither find nor change a file: Python asks for terminals."""
ASKED = {"open": 2, "stat": 2, "access": 2, "readlink": 2, "lock": 5}
"""How many arguments say what a call asks; else the first does."""

pytestmark = pytest.mark.tool("strace")


@dataclass(frozen=True)
class Call:
    """One of a publish: the how manieth of its name, after how many changes, and what it asks."""

    name: str
    place: int
    changes: int
    asks: str

    @classmethod
    def each(cls, traced: Iterable[tuple[str, str]]) -> Iterator["Call"]:
        """From the names and arguments that strace tells of one process."""
        counted, changes = Counter[str](), 0
        for name, arguments in traced:
            counted[name] += 1
            kind = KIND_OF.get(name, "")
            told = arguments.split(", ")[: ASKED.get(kind, 1)]
            yield cls(name, counted[name], changes, ", ".join(told))
            changes += kind in CHANGING and (kind != "open" or "O_CREAT" in arguments)


@dataclass
class Story:
    """An exchange about to publish, its calls, those of who starts it, and how it is afterwards."""

    folder: Path
    pools: Path
    calls: list[Call]
    parent: Counter[str]
    before: dict[str, str]
    after: dict[str, str]

    def heads(self) -> tuple[str, str]:
        return self.before["public/checkpoint"], self.after["public/checkpoint"]

    def places(self, kind: str, how: str) -> list[int]:
        """Which calls of a kind are interrupted: where they change nothing, one for all alike."""
        alike: dict[object, int] = {}
        for call in self.calls:
            if KIND_OF.get(call.name) == kind:
                same = (call.changes, call.asks if "error" in how else "")
                alike.setdefault(call.place if kind in CHANGING else same, call.place)
        return [*alike.values()]


def run(
    copies: Path, pools: Path, kind: str, when: int, numbers: Iterable[int], *options: str
) -> dict[str, dict[int, int]]:
    """How these publishers ended, each in a copy of its own, under strace."""
    told = (TESTS / "traced.py", copies, pools, kind, when, *numbers)
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
    options = ("-y", "-o", str(output), "-e", "trace=%file,%desc")
    done = run(home / "clean", moves, "open", 0, [1], *options)
    assert done["ends"] == {1: 0}
    found: dict[int, list[tuple[str, str]]] = {}
    for line in output.read_text("utf-8", "replace").splitlines():
        if match := _CALL.match(line):
            found.setdefault(int(match[1]), []).append((match[2], match[3]))
    parent = Counter(name for name, _ in next(iter(found.values())))
    calls = [*Call.each(found[done["processes"][1]])]
    return Story(home / "told", moves, calls, parent, state(home / "told"), state(home / "clean/1"))


def names_of(kind: str) -> list[str]:
    """The system calls of a kind, as strace names them."""
    names: str = KINDS[kind][0]
    return names.replace("?", "").split(",")


KIND_OF = {name: kind for kind in KINDS for name in names_of(kind)}


def walk(story: Story, tmp_path: Path, kind: str, how: str) -> dict[int, int]:
    """Interrupt calls of the kind that a publish makes, and look at what each leaves."""
    places = story.places(kind, how)
    for name in ("warm", *places):
        shutil.copytree(story.folder, tmp_path / str(name))
    when = max(places, default=0) + 20 + max(story.parent[name] for name in names_of(kind))
    calls = KINDS[kind][0]
    fault = ("-o", "/dev/null", "-e", f"trace={calls}", "-e", f"inject={calls}:{how}:when={when}")
    ends = run(tmp_path, story.pools, kind, when, places, *fault)["ends"] if places else {}
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
    names = {call.name for call in story.calls}
    assert names <= {*KIND_OF, *HARMLESS}
    for kind in KINDS:
        # strace counts by name, so else one of them would never be the one that is interrupted.
        assert len(names.intersection(names_of(kind))) <= 1
    made = {KIND_OF[name] for name in names - HARMLESS}
    assert made >= {"open", "write", "pwrite", "fsync", "fdatasync", "rename", "unlink", "mkdir"}
    assert story.heads()[0] != story.heads()[1]
    for kind in made.intersection(CHANGING):
        every = [call.place for call in story.calls if KIND_OF.get(call.name) == kind]
        assert story.places(kind, "signal=SIGKILL") == story.places(kind, "error=EIO") == every
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
def test_killed_between_any_two_changes(story: Story, tmp_path: Path, kind: str) -> None:
    ends = walk(story, tmp_path, kind, "signal=SIGKILL")
    # Python may look a few times less often for what it has looked for before.
    assert set(ends.values()) <= {-signal.SIGKILL, 0}
    assert [*ends.values()].count(0) <= len(ends) // 10
