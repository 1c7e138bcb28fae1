"""Four ways to keep two histories, and three commands that meet them: each ends in evidence.

The evidence is then checked on a machine that has nothing but the file and the key.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from console import Answer, Console
from follow.site import Site


@dataclass
class Told:
    """What somebody was shown, and what the venue shows afterwards."""

    before: Site
    after: Site


def grown(site: Site, count: int) -> Site:
    site.minutes(count)
    site.publish()
    return site


def otherwise(site: Site, count: int) -> Site:
    """Entries at other times than those of the other history."""
    site.venue.wait(60_000)
    return grown(site, count)


def same_size(site: Site, elsewhere: Path) -> Told:
    other = site.twin(elsewhere)
    return Told(grown(site, 4), otherwise(other, 4))


def different_size(site: Site, elsewhere: Path) -> Told:
    """What was logged already is another in the larger log, and no head of it was ever shown."""
    rewritten = Site(elsewhere)
    rewritten.venue.restate(2, pools=[])
    return Told(site, grown(rewritten, 6))


def restored_backup(site: Site, elsewhere: Path) -> Told:
    """The venue goes on from before what was shown, and beyond it."""
    backup = site.twin(elsewhere)
    return Told(grown(site, 2), otherwise(otherwise(backup, 1), 8))


def withheld_tail(site: Site, elsewhere: Path) -> Told:
    """Those entries vanish and others follow in their place, one publish after the other."""
    withheld = site.twin(elsewhere)
    grown(site, 3)
    grown(site, 2)
    return Told(site, otherwise(otherwise(otherwise(withheld, 1), 1), 9))


WAYS: Mapping[str, Callable[[Site, Path], Told]] = {
    "same size": same_size,
    "different size": different_size,
    "restored backup": restored_backup,
    "withheld tail": withheld_tail,
}


@pytest.fixture(params=WAYS)
def told(request: pytest.FixtureRequest, tmp_path: Path) -> Told:
    site = Site(tmp_path / "public")
    # No perfect tree, whose root is in no consistency path: docs/forks.md says what that hides.
    grown(site, 1)
    return WAYS[request.param](site, tmp_path / "elsewhere")


def by_follow(console: Console, told: Told, folder: Path) -> Answer:
    state = folder / "state"
    first = console("follow", told.before.folder, "--state", state, "--key", told.before.key)
    assert first.code == 0
    return console("follow", told.after.folder, "--state", state, "--evidence", folder / "evidence")


def by_verify(console: Console, told: Told, folder: Path) -> Answer:
    size = told.before.venue.heads[-1]
    own = ("--account", "alice", "--key", told.before.key, "--state", folder / "state")
    path = folder / "alice.json"
    path.write_text(json.dumps(told.before.venue.prove("alice")))
    assert console("verify", path, *own).code == 0
    shown: dict[str, Any] = {"heads": [size], "since": size - 1}
    if told.after.venue.heads[-1] <= size:
        shown = {}
    path.write_text(json.dumps(told.after.venue.prove("alice", **shown)))
    return console("verify", path, *own, "--evidence", folder / "evidence")


def by_compare(console: Console, told: Told, folder: Path) -> Answer:
    heads = [site.folder / "checkpoint" for site in (told.before, told.after)]
    log = ("--key", told.before.key, "--log", told.after.folder)
    return console("compare", *heads, *log, "--evidence", folder / "evidence")


COMMANDS = {"follow": by_follow, "verify": by_verify, "compare": by_compare}


@pytest.mark.parametrize("command", COMMANDS)
def test_it_ends_in_4_with_evidence_that_holds_anywhere(
    console: Console, told: Told, tmp_path: Path, command: str
) -> None:
    (tmp_path / "evidence").mkdir()
    answer = COMMANDS[command](console, told, tmp_path)
    assert (answer.code, answer.verdict) == (4, "FORK"), answer
    (evidence,) = (tmp_path / "evidence").iterdir()
    data, key = evidence.read_bytes(), str(told.before.key)
    for path in (told.before.folder, told.after.folder, tmp_path / "state"):
        if path.exists():
            path.rename(tmp_path / f"gone-{path.name}")
    alone = tmp_path / "alone"
    alone.mkdir()
    elsewhere = Console(alone)
    assert elsewhere.process("verify-fork", "-", "--key", key, stdin=data).code == 0
    for place in range(len(data) - 1, 0, -97):
        bent = data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :]
        assert elsewhere("verify-fork", "-", "--key", key, stdin=bent).code in (1, 2, 3)


@pytest.mark.parametrize("command", ["follow", "verify"])
def test_what_is_only_older_accuses_nobody(console: Console, tmp_path: Path, command: str) -> None:
    """A tail that is withheld, or a backup that has not gone on: nothing signed denies the rest."""
    site = Site(tmp_path / "public")
    site.publish()
    older = site.twin(tmp_path / "elsewhere")
    answer = COMMANDS[command](console, Told(grown(site, 3), older), tmp_path)
    assert (answer.code, answer.verdict) == (3, "NOT CHECKED"), answer
    assert not (tmp_path / "evidence").exists()
