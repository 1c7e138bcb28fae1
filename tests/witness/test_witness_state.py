"""What a witness remembers: races, crashes, and states that are not what they should be."""

import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
from contextlib import closing
from itertools import pairwise
from pathlib import Path

import pytest
from watched import NOON, ORIGIN, Serving, Watched, body, make, opened, serving

from auditkit.errors import DamagedError, InputError
from auditkit.verify.cosignature import cosigned
from auditkit.verify.note import Note
from auditkit.witness.state import FILE, MAX_REFUSED, State


@pytest.fixture
def log() -> Watched:
    return Watched().grow(40)


def size_of(folder: Path) -> int | None:
    with State(folder / "state") as state:
        head = state.newest(ORIGIN)
    return None if head is None else head.checkpoint.size


# Races.


def race(witnesses: list[Serving], requests: list[bytes]) -> list[tuple[int, str, str]]:
    """The answers to requests that are all sent at once, one to each server."""
    found: list[tuple[int, str, str] | None] = [None] * len(requests)
    ready = threading.Barrier(len(requests))

    def send(place: int) -> None:
        ready.wait()
        found[place] = witnesses[place].post(requests[place])

    threads = [threading.Thread(target=send, args=(place,)) for place in range(len(requests))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return [answer for answer in found if answer is not None]


@pytest.mark.parametrize("turn", range(8))
def test_of_two_that_race_exactly_one_is_cosigned(tmp_path: Path, log: Watched, turn: int) -> None:
    with serving(tmp_path / "w") as witness:
        assert witness.post(log.request(0, 7))[0] == 200
        sizes = [9 + turn, 30 - turn]
        answers = race([witness, witness], [log.request(7, size) for size in sizes])
        assert sorted(status for status, _, _ in answers) == [200, 409]
        won = sizes[[status for status, _, _ in answers].index(200)]
        assert [text for status, _, text in answers if status == 409] == [f"{won}\n"]
        assert size_of(witness.folder) == won


def test_of_two_histories_that_race_exactly_one_is_cosigned(tmp_path: Path, log: Watched) -> None:
    for turn in range(8):
        with serving(tmp_path / f"{turn}") as witness:
            assert witness.post(log.request(0, 7))[0] == 200
            other = log.forked(8, 20)
            answers = race([witness, witness], [log.request(7, 20), other.request(7, 20)])
            assert sorted(status for status, _, _ in answers) == [200, 409]
            won = log if answers[0][0] == 200 else other
            with State(witness.folder / "state") as state:
                head = state.newest(ORIGIN)
                assert head is not None
                assert str(head.checkpoint.note) == won.head(20)
                assert len(state.refused()) == 1


def test_many_that_race_leave_a_chain(tmp_path: Path, log: Watched) -> None:
    """Every client asks again with the size it is told, until it is cosigned or overtaken."""
    rng = random.Random(1)
    cosignatures: list[tuple[int, int]] = []

    def client(witness: Serving, sizes: list[int]) -> None:
        for size in sizes:
            old = 0
            while old <= size:
                status, _, text = witness.post(log.request(old, size))
                if status == 200:
                    cosignatures.append((old, size))
                    break
                assert status == 409
                old = int(text)

    with serving(tmp_path / "w") as witness:
        clients = [sorted(rng.sample(range(1, 41), 6)) for _ in range(5)]
        threads = [threading.Thread(target=client, args=(witness, sizes)) for sizes in clients]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        moves = sorted({move for move in cosignatures if move[0] < move[1]})
        assert moves[0][0] == 0
        assert all(earlier[1] == later[0] for earlier, later in pairwise(moves))
        assert size_of(witness.folder) == moves[-1][1]


def test_two_servers_on_one_state_are_one_witness(tmp_path: Path, log: Watched) -> None:
    """Nobody should, but a supervisor may start the second before the first has ended."""
    with serving(tmp_path / "w") as one, serving(tmp_path / "w") as two:
        assert one.post(log.request(0, 7))[0] == 200
        assert two.post(log.request(0, 7))[0] == 409
        assert two.post(log.request(7, 9))[0] == 200
        assert one.post(log.request(7, 8)) == (409, "text/x.tlog.size", "9\n")
        for old in range(9, 33, 4):
            requests = [log.request(old, old + 4), log.request(old, old + 4)]
            assert sorted(answer[0] for answer in race([one, two], requests)) == [200, 409]


def test_who_reads_to_write_keeps_every_other_program_out(tmp_path: Path) -> None:
    folder = make(tmp_path / "w")
    with State(folder / "state") as one, State(folder / "state") as two:
        two._base.execute("PRAGMA busy_timeout = 10")
        held = pytest.raises(InputError, match="another program holds the witness's state")
        with one.changing(), held, two.changing():
            pass
        with two.changing():
            pass


# Restarts.

KILLED = """
import os, signal, sys
from pathlib import Path
sys.path[:0] = [{tests!r}]
from watched import opened
from auditkit.witness.keys import Cosigner
from auditkit.witness.state import State

kill = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
if {moment!r} == "before the commit":
    State.put = kill
elif {moment!r} == "in the commit":
    put = State.put
    def die(state, *rest):
        put(state, *rest)
        kill()
    State.put = die
elif {moment!r} == "before the reply":
    Cosigner.cosign = kill
with opened(Path({folder!r})) as witness:
    witness.add_checkpoint(Path({request!r}).read_bytes())
"""


@pytest.mark.parametrize(
    ("moment", "size"),
    [("before the commit", 7), ("in the commit", 7), ("before the reply", 20)],
)
def test_a_witness_killed_anywhere_remembers_what_it_may_have_signed(
    tmp_path: Path, log: Watched, moment: str, size: int
) -> None:
    folder = tmp_path / "w"
    with opened(folder) as witness:
        assert witness.add_checkpoint(log.request(0, 7)).status == 200
    (tmp_path / "request").write_bytes(log.request(7, 20))
    script = KILLED.format(
        tests=str(Path(__file__).parents[1]),
        moment=moment,
        folder=str(folder),
        request=str(tmp_path / "request"),
    )
    done = subprocess.run([sys.executable, "-c", script], check=False)
    assert done.returncode == -signal.SIGKILL
    with serving(folder) as again:
        status, _, text = again.post(log.request(7, 20))
        if size == 7:
            assert status == 200
        else:
            assert (status, text) == (409, "20\n")
            assert again.post(log.request(20, 20))[0] == 200
        assert again.post(log.request(20, 30))[0] == 200
        assert size_of(folder) == 30


def test_a_cosignature_is_not_made_before_the_head_is_kept(
    tmp_path: Path, log: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    with opened(tmp_path / "w") as witness:

        def cosign(text: str, time: int) -> object:
            assert size_of(tmp_path / "w") == 7  # Another reader sees it: it is committed.
            raise ZeroDivisionError

        monkeypatch.setattr("auditkit.witness.keys.Cosigner.cosign", lambda _, *a: cosign(*a))
        with pytest.raises(ZeroDivisionError):
            witness.add_checkpoint(log.request(0, 7))


def test_the_disk_is_waited_for(tmp_path: Path) -> None:
    with State(make(tmp_path / "w") / "state") as state:
        assert state._rows("PRAGMA synchronous") == [(3,)]


# The file.


def test_a_state_is_never_made_by_opening_it(tmp_path: Path) -> None:
    folder = make(tmp_path / "w")
    shutil.rmtree(folder / "state")
    for _ in range(2):
        with pytest.raises(InputError, match="no state of a witness"):
            State(folder / "state")
        assert not (folder / "state").exists()
    (folder / "state").mkdir()
    with pytest.raises(InputError, match="no state of a witness"):
        State(folder / "state")
    assert not any((folder / "state").iterdir())


def test_a_state_that_vanishes_this_very_moment_is_not_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = make(tmp_path / "w")
    (folder / "state" / FILE).unlink()
    monkeypatch.setattr(Path, "is_file", lambda _: True)
    with pytest.raises(OSError, match="unable to open"):
        State(folder / "state")
    assert not any((folder / "state").iterdir())


def test_a_state_is_made_once(tmp_path: Path) -> None:
    folder = make(tmp_path / "w")
    with opened(folder) as witness, pytest.raises(InputError, match="exists and is not empty"):
        State.init(folder / "state", witness.verifier)
    with opened(folder) as witness, pytest.raises(InputError, match="no such folder"):
        State.init(tmp_path / "no/state", witness.verifier)
    assert [path.name for path in folder.iterdir() if path.name.startswith(".")] == []


def test_a_state_belongs_to_one_key(tmp_path: Path) -> None:
    one, two = make(tmp_path / "one"), make(tmp_path / "two")
    shutil.rmtree(one / "state")
    shutil.copytree(two / "state", one / "state")
    with pytest.raises(InputError, match=r"is the state of .* but the key file holds"), opened(one):
        pass


@pytest.mark.parametrize(
    "damage", ["text", "empty", "other", "cut", "page", "format", "vkey", "nobody"]
)
def test_a_damaged_state_is_refused(tmp_path: Path, log: Watched, damage: str) -> None:
    folder = tmp_path / "w"
    with opened(folder) as witness:
        for size in range(1, 40):
            witness.add_checkpoint(log.request(size - 1, size))
    path = folder / "state" / FILE
    if damage in ("text", "empty"):
        path.write_bytes(b"no database" * 999 if damage == "text" else b"")
    elif damage == "cut":
        path.write_bytes(path.read_bytes()[:-4096])
    elif damage == "page":  # One that nothing reads until an old head is asked for.
        data = bytearray(path.read_bytes())
        at = data.index(b"\n7\n") // 4096 * 4096
        path.write_bytes(data[:at] + bytes(4096) + data[at + 4096 :])
    else:
        with closing(sqlite3.connect(path)) as base, base:
            base.executescript(
                {
                    "other": "DROP TABLE about",
                    "format": "UPDATE about SET format = 'auditkit/witness/2'",
                    "vkey": "UPDATE about SET vkey = 'x'",
                    "nobody": "DELETE FROM about",
                }[damage]
            )
    with pytest.raises(InputError if damage == "format" else DamagedError, match="witness"):
        State(folder / "state")


def test_a_damaged_head_is_no_cosignature(tmp_path: Path, log: Watched) -> None:
    folder = tmp_path / "w"
    with serving(folder) as witness:
        assert witness.post(log.request(0, 7))[0] == 200
        with closing(sqlite3.connect(folder / "state" / FILE)) as base, base:
            base.execute("UPDATE head SET note = 'x'")
        assert witness.post(log.request(7, 9))[0] == 500
        assert any("a head: " in answer.trouble for answer in witness.heard(2))


def test_a_full_disk_is_no_cosignature(tmp_path: Path, log: Watched) -> None:
    folder = tmp_path / "w"
    with serving(folder) as witness:
        assert witness.post(log.request(0, 7))[0] == 200
        base = witness.witness._state._base
        [(pages,)] = base.execute("PRAGMA page_count")
        base.execute(f"PRAGMA max_page_count={pages}")
        old, status = 7, 200
        for size in range(8, 41):
            status, _, text = witness.post(log.request(old, size))
            if status != 200:
                break
            old = size
        assert status == 500
        assert "— " not in text
        assert size_of(folder) == old
        base.execute("PRAGMA max_page_count=100000")
        assert witness.post(log.request(old, 40))[0] == 200


# Forks.


def test_another_root_at_a_size_that_was_cosigned_is_a_fork(tmp_path: Path, log: Watched) -> None:
    other = log.forked(5, 40)
    with serving(tmp_path / "w") as witness:
        for old, size in ((0, 7), (7, 12), (12, 20)):
            assert witness.post(log.request(old, size))[0] == 200
        assert witness.post(other.request(20, 20))[:2] == (409, "text/plain; charset=utf-8")
        # Also where the sizes do not even meet the head cosigned last.
        assert witness.post(other.request(0, 7)) == (409, "text/x.tlog.size", "20\n")
        assert witness.post(other.request(7, 12))[0] == 409
        forks = [answer.fork for answer in witness.heard(6) if answer.fork is not None]
    with State(tmp_path / "w/state") as state:
        refused = state.refused()
        assert [(each.size, each.time) for each in refused] == [(20, NOON), (7, NOON), (12, NOON)]
        assert [each.fork for each in refused] == forks
        assert refused[0].request == other.request(20, 20)
        for each in refused:
            assert each.fork is not None
            each.fork.check(log.key)
            heads = {str(each.fork.first.note), str(each.fork.second.note)}
            assert heads == {log.head(each.size), other.head(each.size)}
        assert state.newest(ORIGIN) is not None


@pytest.mark.parametrize(("old", "size"), [(7, 20), (7, 9), (6, 33), (13, 40)])
def test_a_path_from_another_root_is_a_fork(
    tmp_path: Path, log: Watched, old: int, size: int
) -> None:
    """The log sends the path of its other history: it holds, but not from what was cosigned."""
    other = log.forked(3, 40)
    with serving(tmp_path / "w") as witness:
        assert witness.post(log.request(0, old))[0] == 200
        assert witness.post(other.request(old, size))[0] == 422
    with State(tmp_path / "w/state") as state:
        (refused,) = state.refused()
        assert refused.fork is not None
        refused.fork.check(log.key)
        assert (refused.fork.first.size, refused.fork.second.size) == (old, size)
        head = state.newest(ORIGIN)
    assert head is not None
    assert str(head.checkpoint.note) == log.head(old)


@pytest.mark.parametrize("old", [8, 16])
def test_where_the_path_does_not_hold_the_request_is_kept_and_nobody_is_accused(
    tmp_path: Path, log: Watched, old: int
) -> None:
    """From a perfect tree the path does not hold its root, so no path shows another one."""
    other = log.forked(3, 40)
    with serving(tmp_path / "w") as witness:
        assert witness.post(log.request(0, old))[0] == 200
        assert witness.post(other.request(old, 30))[0] == 422
        assert witness.post(body(old, [bytes(32)], log.head(31)))[0] == 422
    with State(tmp_path / "w/state") as state:
        assert [(each.size, each.fork) for each in state.refused()] == [(30, None), (31, None)]


def test_a_witness_that_saw_a_fork_goes_on_with_what_it_cosigned(
    tmp_path: Path, log: Watched
) -> None:
    with serving(tmp_path / "w") as witness:
        assert witness.post(log.request(0, 7))[0] == 200
        assert witness.post(log.forked(3, 20).request(7, 20))[0] == 422
        status, _, text = witness.post(log.request(7, 20))
        assert status == 200
        assert cosigned(Note.parse(log.head(20) + text), witness.witness.verifier) == NOON


def test_a_log_that_is_not_signed_leaves_nothing_behind(tmp_path: Path, log: Watched) -> None:
    forger = Watched(ORIGIN, "a forger", list(log.entries)).forked(3, 20)
    with serving(tmp_path / "w") as witness:
        assert witness.post(log.request(0, 7))[0] == 200
        for old, size in ((7, 7), (7, 20), (0, 7)):
            assert witness.post(forger.request(old, size))[0] == 403
    with State(tmp_path / "w/state") as state:
        assert state.refused() == []


def test_what_is_refused_is_kept_once_and_within_bounds(tmp_path: Path, log: Watched) -> None:
    """Junk cannot keep a fork out, nor fill the disk."""
    log.grow(MAX_REFUSED + 60)
    with opened(tmp_path / "w") as witness:
        assert witness.add_checkpoint(log.request(0, 8)).status == 200
        for _ in range(2):
            for size in range(9, 9 + MAX_REFUSED + 5):
                assert witness.add_checkpoint(body(8, [], log.head(size))).status == 422
        with State(tmp_path / "w/state") as state:
            assert len(state.refused()) == MAX_REFUSED
        for _ in range(2):
            assert witness.add_checkpoint(log.forked(3, 8).request(8, 8)).fork is not None
        with State(tmp_path / "w/state") as state:
            assert [each.fork is None for each in state.refused()].count(False) == 1


def test_the_state_is_the_owners_alone(tmp_path: Path) -> None:
    folder = make(tmp_path / "w")
    assert (folder / "state").stat().st_mode & 0o077 == 0
