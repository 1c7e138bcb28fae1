"""A publish happens or it does not: killed at any step, or on a disk that fills up at any step."""

import errno
import itertools
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from exchange import Exchange

from auditkit.follow.fsck import Fsck
from auditkit.log.bundles import pack as bundle
from auditkit.log.tiles import Tree, folder
from auditkit.publish.venue import Venue
from auditkit.verify.note import Checkpoint

SCRIPT = Path(__file__).with_name("interrupted.py")
TESTS = SCRIPT.parents[1]
DATABASE = ("history.sqlite", "history.sqlite-journal")
BEFORE = {"BTC": {"margin": {"anna": 500, "bert": 300, "carl": 90}, "spot": {"anna": 7}}}
LATER = {"BTC": {"margin": {"anna": 400, "bert": 310}, "spot": {"anna": 8}}}


@dataclass
class Story:
    """An exchange that is about to publish one file, and what the log is before and after."""

    folder: Path
    work: str
    file: str
    grows: list[str]
    before: dict[str, str] = field(default_factory=dict)
    log: list[bytes] = field(default_factory=list)


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, (TESTS, TESTS.parent)))}


@pytest.fixture(scope="module", params=["snapshot", "loss"])
def story(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Story:
    folder = tmp_path_factory.mktemp("exchange") / "told"
    exchange = Exchange(folder)
    exchange.snapshot(BEFORE)
    exchange.fund(BTC=[("liquidation_fee", 40)])
    if request.param == "snapshot":
        file, grows = exchange.long(LATER), ["snapshot", "index"]
    else:
        equities = {"anna": 450, "bert": 200}
        file = exchange.event_file("crash", "BTC", {"carl": 90}, equities, adl={"dora": 10})
        grows = ["deficit", "adl", "fund", "draw", "loss", "applied", "index"]
    return Story(
        folder, request.param, file.name, grows, tree_of_files(exchange), rows_of(exchange)
    )


def tree_of_files(exchange: Exchange) -> dict[str, str]:
    """The venue's files and folders but for the database, whose rows are compared instead.

    SQLite may keep a journal that was never begun until it writes the next time.
    """
    return {name: what for name, what in exchange.tree().items() if name not in DATABASE}


def rows_of(exchange: Exchange) -> list[bytes]:
    """All that the database says."""
    connection = sqlite3.connect(exchange.root / "history.sqlite")
    rows = list(connection.execute("SELECT id, entry, hash FROM leaf ORDER BY id"))
    rows += connection.execute("SELECT size, note, 0 FROM head ORDER BY size")
    connection.close()
    return [repr(row).encode() for row in rows]


def interrupt(story: Story, copies: Path, how: str, points: str) -> dict[str, Any]:
    about = (SCRIPT, story.folder, copies, story.work, story.file, how, points)
    command = [sys.executable, *map(str, about)]
    copies.mkdir()
    done = subprocess.run(command, env=environment(), capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def assert_before_or_after(story: Story, folder: Path) -> bool:
    """Reopened, the venue is what it was or what it was to become, and whole; True if it grew."""
    exchange = Exchange.at(folder)
    kinds, old = exchange.kinds(), tree_of_files(exchange)
    grew = rows_of(exchange) != story.log
    if grew:
        assert kinds[-len(story.grows) :] == story.grows
        assert rows_of(exchange)[: len(story.log) - 3] == story.log[:-3]
        assert_names(exchange, story)
    else:
        assert old == story.before
    assert_public_is_the_log(exchange)
    goes_on(exchange)
    return grew


def assert_names(exchange: Exchange, story: Story) -> None:
    """A ledger and a secret for every ledger of the log, and not one file more."""
    named = {
        f"{statement.seq}-{book}"
        for statement in exchange.log()
        for book in getattr(statement, "ledgers_shown", dict)()
    }
    for place in ("ledgers", "secrets"):
        assert {path.name for path in (exchange.root / place).iterdir()} == named
    tops = {name.partition("/")[0] for name in story.before}
    assert {path.name for path in exchange.root.iterdir()} - set(DATABASE) == tops
    assert not list(exchange.root.rglob(".*"))


def assert_public_is_the_log(exchange: Exchange) -> None:
    public = exchange.root / "public"
    found = Fsck(public, exchange.signer.verifier).run()
    assert (found.problems, found.breaches) == ((), ())
    with Venue(exchange.root) as venue:
        size = len(venue.history)
        note = str(venue.history.head(size).note).encode()
        entries = bundle(venue.history.entries(0, size))
    assert (public / "checkpoint").read_bytes() == note
    assert (public / f"checkpoints/{size}").read_bytes() == note
    assert (public / f"tile/entries/000.p/{size}").read_bytes() == entries
    assert Tree(size, folder(public)).root() == Checkpoint.parse(note.decode()).root
    assert {int(path.name) for path in (public / "checkpoints").iterdir()} <= set(range(size + 1))


def goes_on(exchange: Exchange) -> None:
    """The venue publishes on, and what it proves is verified by the customer."""
    exchange.snapshot(LATER)
    assert {b.book: b.amount for b in exchange.check("anna").balances} == {"margin": 400, "spot": 8}
    assert_public_is_the_log(exchange)
    assert not (exchange.root / "history.sqlite-journal").exists()


def walk_through(story: Story, tmp_path: Path, points: str) -> None:
    found = interrupt(story, tmp_path / "copies", "kill", points)
    steps, ends = found["steps"], found["ends"]
    grew = {}
    for point, code in ends.items():
        assert code == -signal.SIGKILL
        grew[int(point)] = assert_before_or_after(story, tmp_path / "copies" / point)
    commit = steps.index("sql COMMIT")
    assert {point: point > commit for point in grew} == grew
    assert set(grew.values()) == {True, False}
    assert assert_before_or_after(story, tmp_path / "copies" / "whole")


def test_a_killed_publisher_leaves_the_venue_before_or_after(story: Story, tmp_path: Path) -> None:
    walk_through(story, tmp_path, "spread")


@pytest.mark.thorough
def test_a_publisher_killed_at_any_step_leaves_it_before_or_after(
    story: Story, tmp_path: Path
) -> None:
    walk_through(story, tmp_path, "all")


def fill_up(story: Story, tmp_path: Path, points: str) -> None:
    """Nothing of an unfinished publish is left, even before anybody reopens the venue."""
    ends = interrupt(story, tmp_path / "copies", "full", points)["ends"]
    grew = set()
    for point, code in ends.items():
        folder = tmp_path / "copies" / point
        assert code == 3, "a full disk is an OSError"
        names = names_in(folder / "venue")
        grew.add(assert_before_or_after(story, folder))
        assert True in grew or names == set(story.before)
    assert grew == {True, False}


def names_in(venue: Path) -> set[str]:
    found = {str(path.relative_to(venue)) for path in venue.rglob("*")}
    return found - set(DATABASE)


def test_a_disk_that_fills_up_leaves_the_venue_before_or_after(
    story: Story, tmp_path: Path
) -> None:
    fill_up(story, tmp_path, "spread")


@pytest.mark.thorough
def test_a_disk_that_fills_up_at_any_step_leaves_it_before_or_after(
    story: Story, tmp_path: Path
) -> None:
    fill_up(story, tmp_path, "all")


LIMITED = """
import resource, sys
from pathlib import Path
from exchange import Exchange
folder, work, file, limit = sys.argv[1:]
exchange = Exchange.at(Path(folder))
resource.setrlimit(resource.RLIMIT_FSIZE, (int(limit), resource.RLIM_INFINITY))
try:
    {"snapshot": exchange.snapshot, "loss": exchange.loss}[work](exchange.books / file)
except OSError as error:
    sys.exit(error.errno)
"""


def test_a_file_that_cannot_grow_is_an_oserror_and_leaves_nothing(
    story: Story, tmp_path: Path
) -> None:
    """A real limit on the size of files, met by Python's writes first and then by SQLite's."""
    log = (story.folder / "venue/history.sqlite").stat().st_size
    codes = []
    for limit in (100, 600, 4096, log - 4096, log):
        folder = tmp_path / str(limit)
        shutil.copytree(story.folder, folder)
        command = [
            sys.executable,
            "-c",
            LIMITED,
            *map(str, (folder, story.work, story.file, limit)),
        ]
        done = subprocess.run(command, env=environment(), capture_output=True, check=False)
        codes.append(done.returncode)
        assert done.returncode == 0 or names_in(folder / "venue") == set(story.before)
        assert assert_before_or_after(story, folder) == (done.returncode == 0)
    assert codes[0] == errno.EFBIG
    assert errno.EIO in codes
    assert set(codes) <= {0, errno.EFBIG, errno.EIO}


PUBLISH = """
import sys
from pathlib import Path
from exchange import Exchange
folder, work, file = sys.argv[1:]
exchange = Exchange.at(Path(folder))
try:
    {"snapshot": exchange.snapshot, "loss": exchange.loss}[work](exchange.books / file)
except OSError as error:
    sys.exit(error.errno)
"""


@pytest.mark.thorough
@pytest.mark.tool("strace")
@pytest.mark.parametrize("call", ["pwrite64", "fdatasync", "unlink"])
@pytest.mark.parametrize("how", ["signal=SIGKILL", "error=ENOSPC", "error=EIO"])
def test_every_call_that_the_database_makes_may_be_its_last(
    story: Story, tmp_path: Path, call: str, how: str
) -> None:
    """What happens inside of SQLite's commit, where no step of Python's can be counted."""
    for number in itertools.count(1):
        folder = tmp_path / str(number)
        shutil.copytree(story.folder, folder)
        log = folder / "venue/history.sqlite"
        watched = ["-P", log, "-P", f"{log}-journal", "-e", f"trace={call}"]
        fault = ["-e", f"inject={call}:{how}:when={number}"]
        run = [sys.executable, "-c", PUBLISH, folder, story.work, story.file]
        command = map(str, ["strace", "-f", "-qq", "-o", "/dev/null", *watched, *fault, *run])
        done = subprocess.run(list(command), env=environment(), capture_output=True, check=False)
        grew = assert_before_or_after(story, folder)
        if done.returncode == 0:
            assert grew
            break
        ends = {-signal.SIGKILL, 128 + signal.SIGKILL, errno.ENOSPC, errno.EIO}
        assert done.returncode in ends, done.stderr.decode()
    assert number > 1, "not one call was interrupted"
