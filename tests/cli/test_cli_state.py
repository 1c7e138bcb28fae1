"""`auditkit verify --state DIR`: what was verified last binds what comes next."""

import json
import os
import resource
import subprocess
from pathlib import Path
from typing import Any

import pytest
from console import Answer, Console, command
from reference import Signer, checkpoint
from refusals import crash, market
from spoiled import SPOILS
from venue import Venue

from auditkit.cli import statefolder


class Customer:
    """Somebody who checks a venue's files one after another, with one folder."""

    def __init__(self, folder: Path, console: Console) -> None:
        self.folder, self.console = folder, console
        self.state = folder / "state"
        self.venue = market()
        self.venue.fund()
        self.venue.publish()

    @property
    def first(self) -> int:
        """The size of the first head."""
        return self.venue.heads[0]

    def go_on(self, venue: Venue | None = None) -> None:
        venue = venue or self.venue
        crash(venue)
        venue.publish()

    def file(self, venue: Venue | None = None, **shown: Any) -> Path:
        """A proof file; by default the one that extends the first head."""
        venue = venue or self.venue
        if not shown and len(venue.heads) > 1:
            shown = {"heads": [self.first], "since": self.first - 1}
        return self.write(venue.prove("alice", **shown))

    def write(self, proof: object) -> Path:
        path = self.folder / f"proof-{len(list(self.folder.iterdir()))}.json"
        path.write_text(json.dumps(proof))
        return path

    def command(self, proof: Path, *more: object, key: str = "") -> list[object]:
        words = ["verify", proof, "--key", key or self.venue.keys[0][0].vkey, "--state", self.state]
        return [*words, "--evidence", self.folder, *more]

    def __call__(self, proof: Path, *more: object, account: str = "alice", key: str = "") -> Answer:
        return self.console(*self.command(proof, "--account", account, *more, key=key))

    @property
    def kept(self) -> dict[str, bytes]:
        """The files of the folder, but for the lock."""
        found = self.state.iterdir() if self.state.is_dir() else ()
        return {path.name: path.read_bytes() for path in found if path.name != ".lock"}

    def remembers(self) -> int:
        """The size of the one head that is remembered."""
        (data,) = self.kept.values()
        record = json.loads(data)
        size = int(record["checkpoint"].split("\n")[1])
        assert record["since"] == size - 1
        return size

    def forks(self) -> list[Path]:
        return sorted(self.folder.glob("fork-*"))

    def stays(self, answer: Answer, code: int, words: str) -> None:
        """The answer is no success, and the first head is still what is remembered."""
        assert answer.code == code, answer
        assert words in " ".join((answer.out + answer.err).split()), answer
        assert "VERIFIED" not in answer.out.splitlines()
        assert self.remembers() == self.first
        assert (self.forks() != []) == (code == 4)


@pytest.fixture
def customer(tmp_path: Path, console: Console) -> Customer:
    return Customer(tmp_path, console)


@pytest.fixture
def again(customer: Customer) -> Customer:
    """One who has verified the first head."""
    assert customer(customer.file()).code == 0
    return customer


class TestVerified:
    def test_the_first_time_nothing_earlier_is_compared(self, customer: Customer) -> None:
        answer = customer(customer.file())
        assert (answer.code, answer.verdict) == (0, "VERIFIED")
        assert "nothing was remembered before, so nothing earlier was compared" in answer.flat()
        assert customer.remembers() == customer.first

    def test_the_next_file_extends_what_was_verified(self, again: Customer) -> None:
        again.go_on()
        answer = again(again.file())
        size = again.venue.heads[-1]
        assert answer.code == 0
        assert (
            f"this file extends the {again.first} entries verified last; {size} are remembered"
            in answer.flat()
        )
        assert "extends the head of" in answer.flat()
        assert again.remembers() == size

    def test_programs_are_told_both(self, again: Customer) -> None:
        first = again(again.file(), "--format", "json").json()["remembered"]
        again.go_on()
        found = again(again.file(), "--format", "json").json()["remembered"]
        assert first["before"] == first["now"] == found["before"]
        assert found["before"]["size"] == again.first
        assert found["now"]["size"] == again.venue.heads[-1] == found["now"]["since"] + 1

    def test_the_same_file_again_is_fine(self, again: Customer) -> None:
        before = again.kept
        for _ in range(2):
            answer = again(again.file())
            assert answer.code == 0
            assert f"the {again.first} entries verified last, which this file" in answer.flat()
        assert again.kept == before

    def test_one_file_after_another(self, again: Customer) -> None:
        for _ in range(3):
            size = again.venue.heads[-1]
            again.go_on()
            assert again(again.file(heads=[size], since=size - 1)).code == 0
        assert again.remembers() == again.venue.heads[-1]

    def test_accounts_and_venues_are_remembered_apart(self, again: Customer) -> None:
        for account in ("bob", "erin"):
            proof = again.write(again.venue.prove(account))
            assert "nothing was remembered" in again(proof, account=account).flat()
        other = market(name="other.example/audit")
        other.publish()
        assert again(again.file(other), key=other.vkey).code == 0
        assert len(again.kept) == 4

    def test_without_a_folder_nothing_is_kept(self, customer: Customer) -> None:
        proof = customer.file()
        answer = customer.console(
            "verify", proof, "--key", customer.venue.vkey, "--account", "alice"
        )
        assert answer.code == 0
        assert "emembered" not in answer.out
        assert not customer.state.exists()

    def test_nothing_secret_is_kept(self, again: Customer) -> None:
        proof = json.loads(again.file().read_text())
        (data,) = again.kept.values()
        for leaf in proof["leaves"]:
            assert leaf["salt"].encode() not in data
            assert f'"{leaf["amount"]}"'.encode() not in data
        assert again.state.stat().st_mode & 0o077 == 0


class TestNotChecked:
    def test_an_older_file(self, again: Customer) -> None:
        old = again.venue.prove("alice", size=again.first)
        again.go_on()
        assert again(again.file()).code == 0
        before = again.kept
        answer = again(again.write(old))
        assert (answer.code, answer.verdict) == (3, "NOT CHECKED")
        assert "the checkpoint is older than what was verified last" in answer.flat()
        assert again.kept == before
        assert again.forks() == []

    def test_a_withheld_tail(self, again: Customer) -> None:
        """The venue serves a head of before what was verified, honestly signed."""
        note = checkpoint(again.venue.name, again.venue.entries[:2], again.venue.keys[0][0])
        proof = again.venue.prove("alice") | {"checkpoint": note}
        again.stays(again(again.write(proof)), 3, "older than what was verified last")

    def test_a_file_without_consistency(self, again: Customer) -> None:
        again.go_on()
        for shown in ({"since": again.first - 1}, {"since": again.first - 1, "heads": [2]}):
            answer = again(again.file(**shown))
            again.stays(answer, 3, "no consistency from the head verified last")
            assert f"consistency from size {again.first}" in answer.flat()
            assert f"a newer file, made with --since {again.first - 1}: it goes on" in answer.flat()

    def test_a_file_without_the_index_verified_last(self, again: Customer) -> None:
        again.go_on()
        answer = again(again.file(heads=[again.first]))
        again.stays(answer, 3, "step 5")
        assert f"a newer file, made with --since {again.first - 1}: it goes on" in answer.flat()

    def test_an_expectation_that_is_not_met_is_not_remembered(self, again: Customer) -> None:
        again.go_on()
        answer = again(again.file(), "--expect", "BTC/margin=1")
        again.stays(answer, 1, "is not the one you expect")
        answer = again(again.file(), "--expect", "BTC/none=1")
        again.stays(answer, 3, "shows no balance")

    def test_a_false_file_is_not_remembered(self, again: Customer) -> None:
        again.go_on()
        proof = json.loads(again.file().read_text())
        proof["leaves"][0]["amount"] = "1"
        again.stays(again(again.write(proof)), 1, "step 6")

    def test_junk_is_not_remembered(self, again: Customer) -> None:
        again.stays(again(again.write({"format": "auditkit/proof/1"})), 2, "malformed")

    def test_nothing_is_begun_by_what_fails(self, customer: Customer) -> None:
        assert customer(customer.write({}), account="alice").code == 2
        assert customer(customer.file(), "--expect", "BTC/margin=1").code == 1
        assert customer.kept == {}


class TestForks:
    def forked(self, customer: Customer, proof: Path, *sizes: int, words: str) -> None:
        """Exit 4, and evidence that holds on a machine that has only the file."""
        before = customer.kept
        for form in ("text", "json"):
            answer = customer(proof, "--format", form)
            assert answer.code == 4
            assert words in answer.flat()
        assert answer.json()["verdict"] == "fork"
        assert customer.kept == before
        (evidence,) = customer.forks()
        assert evidence.name.endswith(f"-{sizes[0]}-{sizes[-1]}.json")
        alone = customer.folder / "alone"
        alone.mkdir()
        console, key = Console(alone), customer.venue.keys[0][0].vkey
        data = evidence.read_bytes()
        assert console.process("verify-fork", "-", "--key", key, stdin=data).code == 0
        assert b"alice" not in data

    def test_of_one_size(self, again: Customer) -> None:
        again.venue.restate(2, pools=[])
        words = f"the file's log has {again.first} entries, as many as were verified last"
        self.forked(again, again.file(), again.first, words=words)

    @pytest.mark.parametrize(
        "shown", [("heads", "since"), ("heads",), ("since",)], ids=lambda shown: "-".join(shown)
    )
    @pytest.mark.parametrize("grown", range(5))
    def test_of_different_sizes(
        self, tmp_path: Path, console: Console, shown: tuple[str, ...], grown: int
    ) -> None:
        customer = Customer(tmp_path, console)
        for _ in range(grown):
            customer.venue.fund()
        customer.venue.heads.clear()
        customer.venue.publish()
        assert customer(customer.file()).code == 0
        customer.go_on()
        customer.venue.restate(2, pools=[])
        size = customer.first
        wanted: dict[str, Any] = {"heads": [size], "since": size - 1}
        proof = customer.file(**{k: v for k, v in wanted.items() if k in shown})
        if shown == ("heads",) and size & (size - 1) == 0:
            # A perfect tree's root is not in its consistency path: no evidence, and no success.
            customer.stays(customer(proof), 1, "does not extend the earlier one")
            return
        words = f"the file's log does not begin with the {size} entries verified last"
        self.forked(customer, proof, size, customer.venue.heads[-1], words=words)

    @pytest.mark.parametrize("grown", [0, 4])
    def test_of_a_restored_backup(self, again: Customer, grown: int) -> None:
        """The venue lost its last entries, and went on from before them."""
        restored = market()
        restored.fund(BTC=[("liquidation_fee", 1)])
        restored.publish()
        assert restored.heads == again.venue.heads
        size = [again.first]
        if grown:
            self.go_on(restored, grown)
            size.append(restored.heads[-1])
        shown: dict[str, Any] = {"heads": size[:1], "since": size[0] - 1} if grown else {}
        self.forked(again, again.file(restored, **shown), *size, words="the file's log")

    def go_on(self, venue: Venue, times: int) -> None:
        for _ in range(times):
            crash(venue)
        venue.publish()

    def test_a_path_that_fails_is_none(self, again: Customer) -> None:
        again.go_on()
        proof = json.loads(again.file(heads=[again.first]).read_text())
        proof["consistency"][0]["path"].pop()
        again.stays(again(again.write(proof)), 1, "the consistency path is too short")

    def test_an_unsigned_history_is_none(self, again: Customer) -> None:
        forger = Signer(again.venue.name, "forger")
        again.venue.restate(2, pools=[])
        note = checkpoint(again.venue.name, again.venue.entries, forger)
        proof = again.venue.prove("alice") | {"checkpoint": note}
        again.stays(again(again.write(proof)), 1, "no signature line by the pinned key")

    @pytest.mark.parametrize("name", SPOILS)
    def test_a_file_that_cannot_be_read_whole_hides_none(self, again: Customer, name: str) -> None:
        whole = json.loads(again.file().read_text())
        honest, other = again.folder / "honest.json", again.folder / "other.json"
        honest.write_bytes(SPOILS[name](whole))
        answer = again(honest)
        assert answer.code in (2, 3)
        again.venue.restate(2, pools=[])
        other.write_bytes(SPOILS[name](json.loads(again.file().read_text())))
        assert again(other).code == 4
        assert again.remembers() == again.first
        assert again.console("compare", honest, other, *again.command(other)[2:4]).code == 4

    def test_a_fork_goes_before_whatever_else_is_wrong(self, again: Customer) -> None:
        again.venue.restate(2, pools=[])
        proof = json.loads(again.file().read_text()) | {"leaves": []}
        assert again(again.write(proof)).code == 4
        assert again(again.write(proof), "--quiet") == Answer(4, "", "")


class TestKeys:
    def test_a_change_that_the_file_shows_leads_on(self, again: Customer) -> None:
        old, size = again.venue.vkey, again.first
        again.venue.rotate_key(retire=100)
        again.go_on()
        new = again.venue.vkey
        proof = again.file()
        assert again(proof, key=new).code == 0
        assert again.remembers() == again.venue.heads[-1]
        # In the overlap both keys sign, and one may go back to the other.
        assert again(proof, key=old).code == 0
        size = again.venue.heads[-1]
        again.go_on()
        assert again(again.file(heads=[size], since=size - 1), key=old).code == 0

    def test_a_change_that_the_file_does_not_show_does_not(self, again: Customer) -> None:
        again.venue.keys = [(Signer(again.venue.name, "new"), None)]
        again.go_on()
        answer = again(again.file(), key=again.venue.vkey)
        again.stays(answer, 3, "the file shows no change of it to this one")
        assert "found none" in answer.flat()
        # Nor is a file checked for one that the key given has not signed.
        stranger = Signer(again.venue.name, "stranger").vkey
        again.stays(again(again.file(), key=stranger), 1, "no signature line by the pinned key")
        # Nor does a change that only stands in the file, and not in its log.
        told = market()
        told.fund()
        told.keys = [(Signer(told.name, "venue 0"), None)]
        told.rotate_key()
        proof = json.loads(again.file().read_text())
        entry = {"seq": 99, "text": told.entries[-1].decode(), "path": []}
        proof["statements"].append(entry)
        assert again(again.write(proof), key=again.venue.vkey).code == 3

    def test_a_fork_across_a_change_takes_both_keys(self, again: Customer) -> None:
        old = again.venue.vkey
        again.venue.restate(2, pools=[])
        again.venue.rotate_key(retire=len(again.venue.said) + 2)
        again.go_on()
        new = again.venue.vkey
        answer = again(again.file(), key=new)
        assert answer.code == 4
        assert "It took two keys" in answer.flat()
        (evidence,) = again.forks()
        assert again.console("verify-fork", evidence, "--key", new).code == 1
        assert again.console("verify-fork", evidence, "--key", old, "--key", new).code == 0

    def test_in_the_overlap_the_old_key_alone_proves_a_fork(self, again: Customer) -> None:
        old = again.venue.vkey
        again.venue.restate(2, pools=[])
        again.venue.rotate_key(retire=1000)
        again.go_on()
        # A venue that kept both keys signed the first head with both, too.
        (name,) = again.kept
        record = json.loads(again.kept[name])
        line = again.venue.keys[1][0].line(record["checkpoint"].partition("\n\n")[0] + "\n")
        record["checkpoint"] += line
        (again.state / name).write_text(json.dumps(record))
        answer = again(again.file(), key=again.venue.vkey, account="alice")
        assert answer.code == 4
        assert answer.page().count("--key") == 1
        (evidence,) = again.forks()
        assert again.console("verify-fork", evidence, "--key", old).code == 0

    def test_a_retired_key_proves_no_fork(self, again: Customer) -> None:
        """Whoever stole it after its retirement can sign anything, and accuses nobody."""
        again.venue.restate(2, pools=[])
        again.venue.rotate_key(retire=len(again.venue.said) + 2)
        again.go_on()
        proof = json.loads(again.file().read_text())
        stolen = again.venue.keys[0][0]
        proof["checkpoint"] = checkpoint(again.venue.name, again.venue.entries, stolen)
        again.stays(again(again.write(proof)), 1, "the pinned key is retired")


class TestSince:
    def test_may_be_given_the_first_time(self, customer: Customer) -> None:
        customer.go_on()
        proof = customer.file(since=customer.first - 1)
        assert customer(proof, "--since", customer.venue.heads[-1] + 1).code == 3
        assert customer(proof, "--since", customer.first - 1).code == 0

    def test_is_otherwise_what_is_remembered(self, again: Customer) -> None:
        again.go_on()
        proof = again.file()
        answer = again(proof, "--since", 1)
        again.stays(answer, 2, f"remembers {again.first - 1}; leave out one of --since and --state")
        assert f"--since 1: {again.state}/" in answer.refusal()
        assert again(proof, "--since", again.first - 1).code == 0


class TestFolder:
    def damage(self, customer: Customer) -> Path:
        (name,) = customer.kept
        return customer.state / name

    @pytest.mark.parametrize(
        "how",
        ["empty", "cut", "junk", "size", "root", "since", "account", "extra", "format", "key"],
    )
    def test_damage_is_one_line_and_stays(self, again: Customer, how: str) -> None:
        path = self.damage(again)
        honest = path.read_bytes()
        record = json.loads(honest)
        other = Signer(again.venue.name, "other")
        edits: dict[str, Any] = {
            "size": {"checkpoint": record["checkpoint"].replace(f"\n{again.first}\n", "\n4\n")},
            "root": {"checkpoint": checkpoint(again.venue.name, [b"x"] * again.first, other)},
            "since": {"since": again.first},
            "account": {"account": "bob"},
            "extra": {"more": 1},
            "format": {"format": "auditkit/remembered/2"},
            "key": {"key": other.vkey},
        }
        data = {"empty": b"", "cut": honest[:-9], "junk": b"\x1b[2J\xff"}.get(how)
        path.write_bytes(json.dumps(record | edits[how]).encode() if data is None else data)
        damaged = path.read_bytes()
        again.go_on()
        answer = again(again.file())
        assert answer.code == 74
        assert f"{path}: damaged, so what was verified last is not known" in answer.refusal()
        assert path.read_bytes() == damaged
        assert again(again.file(), "--format", "json").json()["exit_code"] == 74
        path.write_bytes(honest)
        assert again(again.file()).code == 0

    def test_another_accounts_memory_is_damage(self, again: Customer) -> None:
        proof = again.write(again.venue.prove("bob"))
        path = self.damage(again)
        assert again(proof, account="bob").code == 0
        (other,) = set(again.kept) - {path.name}
        path.write_bytes(again.kept[other])
        assert again(again.file()).code == 74

    def test_a_full_disk_leaves_the_old(self, again: Customer) -> None:
        again.go_on()
        before = again.kept
        words = again.command(again.file(), "--account", "alice", "--format", "json")
        done = subprocess.run(
            command(*words),
            capture_output=True,
            env={**again.console.environment(), "PYTHONDONTWRITEBYTECODE": "1"},
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100)),
            check=False,
        )
        found = Answer(done.returncode, done.stdout.decode(), done.stderr.decode()).json()
        assert found["exit_code"] == 74
        assert "verified, but that cannot be remembered: File too large" in found["what"]
        assert again.kept == before
        assert again(again.file()).code == 0

    @pytest.mark.parametrize("call", ["fsync", "open"])
    def test_a_failing_disk_is_not_success(
        self, again: Customer, call: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def fail(*_: object) -> None:
            raise OSError(5, "Input/output error")

        again.go_on()
        monkeypatch.setattr(os, call, fail)
        answer = again(again.file())
        assert answer.code == 74
        assert "verified, but that cannot be remembered: Input/output error" in answer.refusal()
        assert len(again.kept) == 1

    def test_what_is_no_folder_is_wrong_usage(self, customer: Customer) -> None:
        proof = customer.file()
        customer.state.write_text("mine")
        assert "is a file, not a folder" in customer(proof).refusal()
        customer.state = customer.folder / "no/such"
        answer = customer(proof)
        assert (answer.code, "no such folder" in answer.refusal()) == (2, True)

    def test_two_at_once_wait_for_each_other(self, again: Customer) -> None:
        again.go_on()
        middle, since = again.file(), again.venue.heads[-1]
        again.go_on()
        late = again.file(heads=[again.first, since], since=again.first - 1)
        done = [
            again.console.start(
                *again.command(proof, "--account", "alice", "-q"), stderr=subprocess.DEVNULL
            )
            for proof in (middle, late, middle, late)
        ]
        codes = [process.wait(60) for process in done]
        # Whoever comes after the later file has an older one, or one with another index.
        assert 0 in codes
        assert set(codes) <= {0, 3}
        assert again.remembers() in again.venue.heads[1:]

    def test_who_comes_second_sees_what_the_first_left(self, again: Customer) -> None:
        again.go_on()
        with statefolder.alone(again.state):
            waiting = again.console.start(
                *again.command(again.file(), "--account", "alice", "-q"), stderr=subprocess.PIPE
            )
            with pytest.raises(subprocess.TimeoutExpired):
                waiting.wait(1.0)
            (name,) = again.kept
            (again.state / name).write_bytes(b"")
        assert waiting.wait(60) == 74
        assert waiting.stderr is not None
        waiting.stderr.close()
        assert (again.state / name).read_bytes() == b""
