"""follow and fsck at the command line: every exit code, both forms, and rounds without end."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from console import Console
from follow.served import served
from follow.site import Site, files, memory
from reference import Signer

from auditkit.follow.state import State
from auditkit.verify.fork import Fork


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """A venue with a head of 4 entries."""
    site = Site(tmp_path / "public")
    site.publish()
    return site


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return tmp_path / "state"


def lie(site: Site) -> int:
    """Break a rule; the seq of the entry that does."""
    site.venue.lie("fund", pools=[])
    site.venue.fund()
    site.publish()
    return len(site.venue.entries) - 2


# Each exit code.


def test_a_log_that_holds(console: Console, site: Site, state: Path) -> None:
    answer = console("follow", site.folder, "--state", state, "--key", site.key)
    assert answer.code == 0
    assert answer.verdict == "VERIFIED"
    flat = answer.flat()
    assert "exchange.example/audit has 4 entries, 4 of them new" in flat
    assert "This is the first head: there was none to hold it against." in flat
    assert "Does not prove" in flat
    site.minutes(2)
    site.publish()
    again = console("follow", site.folder, "--state", state).flat()
    assert "7 entries, 3 of them new" in again
    assert "The head extends the one of 4 entries remembered before." in again
    found = console("follow", site.folder, "--state", state, "--format", "json").json()
    assert (found["verdict"], found["size"], found["before"], found["checked"]) == (
        *("verified", 7, 7),
        7,
    )
    assert (found["breaches"], found["accepted"], found["warnings"]) == ([], [], [])
    assert found["keys"] == [str(site.key)]


def test_a_broken_rule_is_1_until_it_is_accepted(console: Console, site: Site, state: Path) -> None:
    told = ("follow", site.folder, "--state", state, "--key", site.key)
    console(*told)
    seq = lie(site)
    answer = console(*told)
    assert (answer.code, answer.verdict) == (1, "FAILED")
    assert f"fund-pools, entry {seq}: the fund entry does not list the pools" in answer.flat()
    assert f"--accept fund-pools:{seq}" in answer.flat()
    found = console(*told, "--format=json").json()
    assert found["verdict"] == "failed"
    assert found["breaches"] == [
        {
            "rule": "fund-pools",
            "seq": seq,
            "what": "the fund entry does not list the pools of policy 0; "
            "expected BTC, USDT; found ",
            "expected": "BTC, USDT",
            "found": "",
            "reported_before": True,
        }
    ]
    assert (found["size"], found["checked"]) == (seq + 2, 4)
    answer = console(*told, "--accept", f"fund-pools:{seq}")
    assert answer.code == 0
    assert f"NOTE: the breach fund-pools:{seq} is passed over" in answer.flat()
    assert console(*told).code == 0


def test_what_is_false_is_1(console: Console, site: Site, state: Path) -> None:
    stranger = Signer(site.venue.name, "stranger").vkey
    answer = console("follow", site.folder, "--state", state, "--key", stranger)
    assert (answer.code, answer.verdict) == (1, "FAILED")
    assert "no signature line by the pinned key" in answer.flat()
    assert "What was remembered before stays." in answer.flat()
    found = console(
        "follow", site.folder, "--state", state, "--key", stranger, "--format", "json"
    ).json()
    assert (found["verdict"], found["kind"], found["exit_code"]) == ("failed", "false", 1)


@pytest.mark.parametrize(
    ("given", "fragment"),
    [
        (["--key", "x"], "--key: not a verifier key"),
        (["--every", "10"], "--every: "),
        (["--timeout", "x"], "--timeout: "),
        (["--most-time", "5"], "--most-time: "),
        (["--most-data", "0"], "--most-data"),
        (["--accept", "previous"], "--accept: "),
        (["--accept", "previous:-1"], "--accept: "),
        ([], "--key is missing, and no key of exchange.example/audit is pinned"),
    ],
)
def test_wrong_usage_is_2_and_writes_nothing(
    console: Console, site: Site, state: Path, given: list[str], fragment: str
) -> None:
    answer = console("follow", site.folder, "--state", state, *given)
    assert answer.code == 2
    assert fragment in answer.refusal()
    assert not state.exists()


def test_a_source_that_is_none_is_2(
    console: Console, site: Site, state: Path, tmp_path: Path
) -> None:
    for source, fragment in [
        (tmp_path / "none", "no such folder"),
        ("exchange.example/audit", "no such folder; a log on the web is https://exchange.example"),
        ("ftp://exchange.example/", "not an http or https URL"),
        ("http://", "not an http or https URL"),
    ]:
        answer = console("follow", source, "--state", state, "--key", site.key)
        assert answer.code == 2
        assert fragment in answer.refusal()
    (tmp_path / "venue").mkdir()
    site.folder.rename(tmp_path / "venue/public")
    answer = console("follow", tmp_path / "venue", "--state", state, "--key", site.key)
    assert "is a venue's own folder; give its public/" in answer.refusal()


def test_a_head_that_is_none_is_2(console: Console, site: Site, state: Path) -> None:
    (site.folder / "checkpoint").write_text("<html>\x1b[31m")
    for key in (["--key", site.key], []):
        answer = console("follow", site.folder, "--state", state, *key)
        assert (answer.code, answer.verdict) == (2, "ERROR")
        assert "malformed" in answer.flat()


def test_an_older_head_is_3(console: Console, site: Site, state: Path) -> None:
    site.minutes(2)
    site.publish()
    told = ("follow", site.folder, "--state", state, "--key", site.key)
    console(*told)
    (site.folder / "checkpoint").write_text(site.notes[4])
    answer = console(*told)
    assert (answer.code, answer.verdict) == (3, "NOT CHECKED")
    assert "Nobody is accused" in answer.flat()
    assert console(*told, "--format", "json").json()["kind"] == "incomplete"


def test_what_only_a_newer_auditkit_reads_is_3(console: Console, site: Site, state: Path) -> None:
    site.venue.fund()
    site.venue.entries[-1] = site.venue.entries[-1].replace(b"fund/1", b"fund/2")
    site.publish()
    answer = console("follow", site.folder, "--state", state, "--key", site.key)
    assert (answer.code, answer.verdict) == (3, "NOT CHECKED")
    assert "Use a newer auditkit; nobody is accused." in answer.flat()
    assert console("fsck", site.folder, "--key", site.key).code == 3


def test_a_fork_is_4_with_evidence_in_the_state(
    console: Console, site: Site, state: Path, tmp_path: Path
) -> None:
    other = site.twin(tmp_path / "other")
    site.minutes(2)
    site.publish()
    console("follow", site.folder, "--state", state, "--key", site.key)
    other.minutes(7)
    other.publish()
    before = memory(state)
    answer = console("follow", other.folder, "--state", state)
    assert (answer.code, answer.verdict) == (4, "FORK")
    [name] = [name for name in files(state) if name.startswith("fork-")]
    fork = Fork.parse((state / name).read_bytes())
    fork.check(site.key)
    assert memory(state) == before
    assert console("verify-fork", state / name, "--key", site.key).code == 0
    found = console("follow", other.folder, "--state", state, "--format", "json").json()
    assert (found["verdict"], found["file"]) == ("fork", str(state / name))
    elsewhere = tmp_path / "evidence.json"
    told = ("follow", other.folder, "--state", state, "--evidence", elsewhere, "--every", "1h")
    assert console(*told).code == 4
    assert Fork.parse(elsewhere.read_bytes()) == fork
    (state / "fork-of-another.json").write_bytes((state / name).read_bytes().replace(b"7", b"8"))
    answer = console("follow", site.folder, "--state", state)
    assert answer.code == 0
    said = f"NOTE: the venue signed two histories, as an earlier round found; evidence: {name}"
    assert said in answer.flat()
    assert "fork-of-another" not in answer.flat()
    answer = console("fsck", state, "--evidence", tmp_path / "again.json")
    assert (answer.code, answer.verdict) == (4, "FORK")
    assert Fork.parse((tmp_path / "again.json").read_bytes()) == fork
    assert f"{name} in this folder holds evidence of two histories" in answer.flat()
    (state / name).unlink()
    answer = console("fsck", state)
    assert answer.code == 0
    assert "so they were not checked: fork-of-another.json" in answer.flat()
    answer = console("follow", site.folder, "--state", state)
    assert (answer.code, "two histories" in answer.flat()) == (0, False)


def test_a_server_that_is_not_there_is_74(console: Console, site: Site, state: Path) -> None:
    with served(site.folder) as server:
        url = server.url
    for key in (["--key", site.key], []):
        answer = console("follow", url, "--state", state, *key)
        assert answer.code == 74
        assert answer.refusal() == f"{url}/checkpoint: Connection refused"


def test_a_damaged_state_is_74(console: Console, site: Site, state: Path) -> None:
    console("follow", site.folder, "--state", state, "--key", site.key)
    (state / "follower.json").write_text("{}")
    for key in (["--key", site.key], []):
        answer = console("follow", site.folder, "--state", state, *key)
        assert answer.code == 74
        assert "follow from nothing into a new folder" in answer.refusal()


def test_a_state_in_use_is_2(console: Console, site: Site, state: Path) -> None:
    with State.opened(state):
        answer = console("follow", site.folder, "--state", state, "--key", site.key)
    assert answer.code == 2
    assert "another follower is at work with it" in answer.refusal()


def test_a_full_disk_is_74_and_leaves_the_state(
    console: Console, site: Site, state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    console("follow", site.folder, "--state", state, "--key", site.key)
    before = files(state)
    site.minutes(3)
    site.publish()

    def full(path: Path, data: bytes) -> int:
        raise OSError(28, "No space left on device", str(path))

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_bytes", full)
        answer = console("follow", site.folder, "--state", state, "--every", "1h")
    assert answer.code == 74
    assert "No space left on device" in answer.refusal()
    assert files(state) == before
    assert console("follow", site.folder, "--state", state).code == 0


def test_quiet_leaves_the_exit_code(console: Console, site: Site, state: Path) -> None:
    told = ("follow", site.folder, "--state", state, "--key", site.key, "--quiet")
    answer = console(*told)
    assert (answer.code, answer.out, answer.err) == (0, "", "")
    lie(site)
    answer = console(*told)
    assert (answer.code, answer.out, answer.err) == (1, "", "")
    answer = console("fsck", site.folder, "--key", site.key, "-q")
    assert (answer.code, answer.out, answer.err) == (1, "", "")


def test_a_pinned_key_is_enough(console: Console, site: Site, state: Path) -> None:
    console("trust", "add", site.key)
    assert console("follow", site.folder, "--state", state).code == 0
    assert console("fsck", site.folder).code == 0


def test_plain_http_to_elsewhere_is_said(
    console: Console, site: Site, state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from auditkit.follow.web import Web

    with served(site.folder) as server:
        told = ("follow", server.url, "--state", state, "--key", site.key)
        assert "NOTE" not in console(*told).page()
        monkeypatch.setattr(Web, "plain", True)
        assert "NOTE: http: whoever is on the way" in console(*told).flat()
        [warning] = console(*told, "--format", "json").json()["warnings"]
        assert warning.startswith("http: ")


def test_nothing_of_a_log_paints_the_terminal(console: Console, site: Site, state: Path) -> None:
    site.venue.log("fund", pools=[])
    site.venue.entries[-1] = b'{"format":"\x1b[2J\xe2\x80\xaeVERIFIED"}'
    site.publish()
    for command in (("follow", site.folder, "--state", state), ("fsck", site.folder)):
        answer = console(*command, "--key", site.key)
        assert answer.code == 1
        assert answer.page().startswith("FAILED: ")
        assert console(*command, "--key", site.key, "--format", "json").json()


# Rounds.


def lines(text: str) -> list[str]:
    """The lines of a follower, without the times in front."""
    return [line.partition(" ")[2] for line in text.splitlines()]


class Clock:
    """Sleeps that take no time, and in which things happen at the venue."""

    def __init__(self, *happens: object) -> None:
        self.happens, self.waited = list(happens), list[float]()

    def sleep(self, seconds: float) -> None:
        self.waited.append(seconds)
        if not self.happens:
            raise KeyboardInterrupt
        happens = self.happens.pop(0)
        if callable(happens):
            happens()


def test_rounds_go_on_until_a_rule_is_broken(
    console: Console, site: Site, state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def more() -> None:
        site.minutes(1)
        site.publish()

    clock = Clock(more, None, more, lambda: lie(site))
    monkeypatch.setattr("time.sleep", clock.sleep)
    answer = console("follow", site.folder, "--state", state, "--key", site.key, "--every", "10m")
    assert answer.code == 1
    assert lines(answer.out) == [
        f"VERIFIED: exchange.example/audit has {size} entries, {new} of them new"
        for size, new in [(4, 4), (6, 2), (6, 0), (8, 2)]
    ]
    [last] = lines(answer.err)
    assert last.startswith("FAILED: 1 breach of the log's rules; exchange.example/audit has 10")
    assert "first: fund-pools, entry 8" in last
    assert all(599 < seconds <= 600 for seconds in clock.waited)


def test_what_cannot_be_fetched_is_tried_again_and_less_often(
    console: Console, site: Site, state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with served(site.folder) as server:
        server.answers["checkpoint"] = (503, {}, b"")
        clock = Clock(*[None] * 6, server.answers.clear, None)
        monkeypatch.setattr("time.sleep", clock.sleep)
        told = ("follow", server.url, "--state", state, "--key", site.key, "--every", "1m")
        answer = console(*told, "--format", "json")
    assert answer.code == 130
    found = [json.loads(line) for line in answer.out.splitlines()[:9]]
    assert [each["exit_code"] for each in found] == [74] * 7 + [0, 0]
    assert "the server answered 503" in found[0]["what"]
    assert [round(seconds) for seconds in clock.waited] == [60, 120, 240, *[480] * 4, 60, 60]


def test_an_older_head_does_not_end_the_rounds(
    console: Console, site: Site, state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.minutes(1)
    size = site.publish()

    def serve(note: int) -> None:
        (site.folder / "checkpoint").write_text(site.notes[note])

    clock = Clock(lambda: serve(4), lambda: serve(size))
    monkeypatch.setattr("time.sleep", clock.sleep)
    answer = console("follow", site.folder, "--state", state, "--key", site.key, "--every", "5m")
    assert answer.code == 130
    verdicts = [line.partition(":")[0] for line in lines(answer.out)]
    assert verdicts == ["VERIFIED", "NOT CHECKED", "VERIFIED"]


def test_ctrl_c_between_rounds_is_130(site: Site, state: Path, tmp_path: Path) -> None:
    told = ["follow", str(site.folder), "--state", str(state), "--key", str(site.key)]
    process = subprocess.Popen(
        [sys.executable, "-m", "auditkit", *told, "--every", "1h"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "AUDITKIT_CONFIG_DIR": str(tmp_path)},
    )
    assert process.stdout is not None
    assert b"VERIFIED" in process.stdout.readline()
    time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (130, b"ERROR: interrupted\n")
    assert memory(state).checked == 4


# What a process does with sockets.

WATCH = """
import json, sys
seen = []

def audit(event, given):
    if event == "socket.connect":
        seen.append(list(given[1]))
    elif event.startswith("socket.") and event not in ("socket.__new__", "socket.getaddrinfo"):
        seen.append(event)
    elif event == "socket.getaddrinfo":
        seen.append([given[0], given[1]])

sys.addaudithook(audit)
from auditkit.cli.main import main
code = main(sys.argv[1:])
print(json.dumps([code, seen]))
"""


def sockets(tmp_path: Path, *told: object) -> list[object]:
    """The exit code of a command, and every address that it looked up or connected to."""
    done = subprocess.run(
        [sys.executable, "-c", WATCH, *map(str, told)],
        env={**os.environ, "AUDITKIT_CONFIG_DIR": str(tmp_path), "http_proxy": "http://192.0.2.1"},
        capture_output=True,
        check=True,
        text=True,
    )
    found = json.loads(done.stdout.splitlines()[-1])
    assert isinstance(found, list)
    return found


def test_a_follower_connects_to_the_address_it_was_given(
    site: Site, state: Path, tmp_path: Path
) -> None:
    with served(site.folder) as server:
        code, seen = sockets(tmp_path, "follow", server.url, "--state", state, "--key", site.key)
        address = ["127.0.0.1", server.server.server_port]
    assert (code, seen) == (0, [address, address])


def test_nothing_offline_opens_a_socket(site: Site, state: Path, tmp_path: Path) -> None:
    follow = ("follow", site.folder, "--state", state, "--key", site.key)
    for told in (follow, ("fsck", site.folder, "--key", site.key), ("fsck", state)):
        assert sockets(tmp_path, *told) == [0, []]


# fsck.


def test_a_folder_that_holds(console: Console, site: Site) -> None:
    answer = console("fsck", site.folder, "--key", site.key)
    assert (answer.code, answer.verdict) == (0, "VERIFIED")
    assert "5 files of" in answer.flat()
    assert "Every rule that a log alone shows holds for every entry." in answer.flat()
    found = console("fsck", site.folder, "--key", site.key, "--format", "json").json()
    assert (found["size"], found["ruled"], found["problems"], found["breaches"]) == (4, 4, [], [])
    flat = console("fsck", site.folder, "--key", site.key, "--log-only").flat()
    assert "NOTE: with --log-only, no rule was checked" in flat
    assert "Every rule" not in flat


def test_a_wrong_file_is_1_and_a_missing_one_3(console: Console, site: Site) -> None:
    path = site.folder / "tile/0/000.p/4"
    data = path.read_bytes()
    path.write_bytes(data[:-1] + b"x")
    answer = console("fsck", site.folder, "--key", site.key)
    assert (answer.code, answer.verdict) == (1, "FAILED")
    assert "1 file is wrong" in answer.flat()
    assert "tile/0/000.p/4: its hash 3 is not that of the entries" in answer.flat()
    path.unlink()
    answer = console("fsck", site.folder, "--key", site.key)
    assert (answer.code, answer.verdict) == (3, "NOT CHECKED")
    assert "1 file is missing" in answer.flat()
    found = console("fsck", site.folder, "--key", site.key, "--format", "json").json()
    assert [(each["file"], each["missing"]) for each in found["problems"]] == [("tile/0", True)]


def test_a_broken_rule_is_1(console: Console, site: Site) -> None:
    seq = lie(site)
    answer = console("fsck", site.folder, "--key", site.key)
    assert answer.code == 1
    assert f"fund-pools, entry {seq}: " in answer.flat()
    assert console("fsck", site.folder, "--key", site.key, "--log-only").code == 0


def test_a_fork_in_a_folder_is_4(console: Console, site: Site, tmp_path: Path) -> None:
    other = site.twin(tmp_path / "other")
    site.minutes(1)
    size = site.publish()
    other.minutes(1)
    other.venue.wait(9)
    other.publish()
    other.venue.restate(4, time="2025-10-10T21:16:59.000Z")
    other.notes[size] = other.venue.checkpoint(size)
    (site.folder / f"checkpoints/{size}").write_text(other.notes[size])
    told = ("fsck", site.folder, "--key", site.key, "--evidence", tmp_path / "e.json")
    answer = console(*told)
    assert (answer.code, answer.verdict) == (4, "FORK")
    assert console("verify-fork", tmp_path / "e.json", "--key", site.key).code == 0


@pytest.mark.parametrize(
    ("make", "fragment"),
    [
        (lambda folder: folder.rename(folder.with_name("x")), "no such folder"),
        (lambda folder: (folder / "checkpoint").unlink(), "has no checkpoint"),
        (lambda folder: None, "--key is missing, and no key of exchange.example/audit is pinned"),
        (lambda folder: (folder / "checkpoint").write_text("x"), "give --key all the same"),
    ],
)
def test_wrong_usage_of_fsck_is_2(
    console: Console, site: Site, make: object, fragment: str
) -> None:
    assert callable(make)
    make(site.folder)
    answer = console("fsck", site.folder)
    assert answer.code == 2
    assert fragment in answer.refusal()


def test_many_wrong_files_are_told_in_short(console: Console, site: Site) -> None:
    for name in range(30):
        (site.folder / f"checkpoints/{name + 100}").write_text("x")
    answer = console("fsck", site.folder, "--key", site.key)
    assert "30 files are wrong" in answer.flat()
    assert "and 10 more; --format json lists them all" in answer.flat()
    found = console("fsck", site.folder, "--key", site.key, "--format", "json").json()
    assert len(found["problems"]) == 30
