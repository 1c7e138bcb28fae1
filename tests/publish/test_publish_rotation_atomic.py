"""A change of key happens or it does not: killed at any step, or on a disk that fills up."""

import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from exchange import Exchange

from auditkit.follow.fsck import Fsck
from auditkit.log.monitor import breaches
from auditkit.log.published import Log
from auditkit.publish import policy
from auditkit.publish.keys import KeyFile, Signer
from auditkit.publish.settings import NAME
from auditkit.publish.signers import Signers
from auditkit.publish.venue import Venue
from auditkit.verify.note import VerifierKey

SCRIPT = Path(__file__).with_name("interrupted.py")
TESTS = SCRIPT.parents[1]
HELD = {"BTC": {"margin": {"anna": 500, "bert": 300}}}
DATABASE = ("history.sqlite", "history.sqlite-journal")


@dataclass
class Story:
    """An exchange about to change its key to the one in `file`, and its files before that."""

    folder: Path
    file: Path
    before: dict[str, str]


def files(exchange: Exchange) -> dict[str, str]:
    """The venue's files but for the database, of which the rows count."""
    return {name: what for name, what in exchange.tree().items() if name not in DATABASE}


def heads(exchange: Exchange) -> list[int]:
    connection = sqlite3.connect(exchange.root / "history.sqlite")
    found = [row[0] for row in connection.execute("SELECT size FROM head ORDER BY size")]
    connection.close()
    return found


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Story:
    exchange = Exchange(tmp_path_factory.mktemp("exchange") / "told")
    exchange.snapshot(HELD)
    new = Signer.generate(exchange.signer.verifier.name)
    new.write(exchange.books / "new.pem", None)
    return Story(exchange.root.parent, exchange.books / "new.pem", files(exchange))


def interrupt(story: Story, copies: Path, how: str, points: str) -> dict[str, Any]:
    copies.mkdir()
    about = (SCRIPT, story.folder, copies, "rotate", story.file.name, how, points)
    variables = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, (TESTS, TESTS.parent)))}
    command = [sys.executable, *map(str, about)]
    done = subprocess.run(command, env=variables, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def assert_sound(exchange: Exchange, key: VerifierKey) -> None:
    """What anyone may read is a whole log without a breach, also before it is mended."""
    found = Fsck(exchange.root / "public", key).run()
    assert (found.problems, found.breaches) == ((), ())


def before_or_after(story: Story, folder: Path) -> bool:
    """Reopened, the venue has changed its key or it has not, and goes on; True if it has."""
    exchange = Exchange.at(folder)
    old, new = exchange.signer, KeyFile(folder / "books" / story.file.name).open(None)
    assert_sound(exchange, old.verifier)
    changed = heads(exchange) == [2, 4, 6]
    with Venue(exchange.root) as venue:
        places = set(venue.settings.places)
        assert venue.lineage.keys == ((old.verifier, new.verifier) if changed else (old.verifier,))
    if changed:
        assert places == {old.verifier, new.verifier}
        assert (exchange.root / f"public/keys/{new.verifier.id.hex()}.vkey").exists()
    else:
        assert heads(exchange) == [2, 4]
        assert files(exchange) == story.before
    head = (exchange.root / "public/checkpoint").read_text().split("\n")
    assert (head[1], len(head) - 5) == (("6", 2) if changed else ("4", 1))
    with (
        Venue(exchange.root) as venue,
        venue.publishing(Signers(old, new), exchange.now + 5000) as draft,
    ):
        policy.publish(draft, policy.read(exchange.policy_file(deadline_ms=80_000)))
    key = new.verifier if changed else old.verifier
    assert breaches(Log.read(exchange.root / "public", key)) == []
    assert_sound(exchange, key)
    assert not list(exchange.root.rglob(".*"))
    return changed


def walk_through(story: Story, tmp_path: Path, how: str, points: str) -> None:
    found = interrupt(story, tmp_path / "copies", how, points)
    steps, ends = found["steps"], found["ends"]
    changed = {}
    for point, code in ends.items():
        assert code == (-signal.SIGKILL if how == "kill" else 3)
        changed[int(point)] = before_or_after(story, tmp_path / "copies" / point)
    assert set(changed.values()) == {True, False}
    # Once it has happened, it has: nothing that is killed later takes it back.
    assert list(changed.values()) == sorted(changed.values())
    assert any(NAME in step for step in steps), "the walk passes where venue.json is written"
    assert before_or_after(story, tmp_path / "copies" / "whole")


@pytest.mark.parametrize("how", ["kill", "full"])
def test_an_interrupted_change_leaves_the_venue_before_or_after(
    story: Story, tmp_path: Path, how: str
) -> None:
    walk_through(story, tmp_path, how, "spread")


@pytest.mark.thorough
@pytest.mark.parametrize("how", ["kill", "full"])
def test_a_change_interrupted_at_any_step_leaves_the_venue_before_or_after(
    story: Story, tmp_path: Path, how: str
) -> None:
    walk_through(story, tmp_path, how, "all")


def test_a_full_disk_says_so_and_leaves_no_trace(story: Story, tmp_path: Path) -> None:
    """Even before anybody opens the venue again."""
    copies = tmp_path / "copies"
    for point in interrupt(story, copies, "full", "spread")["ends"]:
        folder = copies / point
        untouched = Exchange.__new__(Exchange)
        untouched.root = folder / "venue"
        if heads(untouched) == [2, 4]:
            assert set(files(untouched)) == set(story.before)
        shutil.rmtree(folder)
