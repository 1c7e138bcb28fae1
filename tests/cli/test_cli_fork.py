"""`auditkit compare` and `verify-fork`: exit 4, and evidence that stands by itself."""

import json
import os
import resource
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import tiled
from console import Answer, Console, Shop, command
from reference import Signer, checkpoint
from refusals import crash, market

VENUE = "exchange.example/audit"
ONE, NEXT, STRANGER = Signer(VENUE, "one"), Signer(VENUE, "next"), Signer("other.example", "one")
TOLD = [b"entry %d" % n for n in range(40)]
RETOLD = [*TOLD[:9], b"retold", *TOLD[10:]]
NAME = "fork-exchange.example-audit-12-12.json"


class Desk:
    """A folder with checkpoints of two histories, and a console that starts in it."""

    def __init__(self, folder: Path, console: Console) -> None:
        self.folder, self.console = folder, console
        for name, log in (("told", TOLD), ("retold", RETOLD)):
            for size in (7, 12, 20):
                self.write(f"{name}-{size}", checkpoint(VENUE, log[:size], ONE))

    def write(self, name: str, text: str) -> Path:
        path = self.folder / name
        path.write_text(text, encoding="utf-8")
        return path

    def public(self, log: list[bytes], *sizes: int) -> Path:
        files = tiled.tiles(log, sizes)
        files["checkpoint"] = checkpoint(VENUE, log[: sizes[-1]], ONE).encode()
        return tiled.write(self.folder / "public", files)

    def __call__(self, name: str, *arguments: object, key: str = ONE.vkey, **given: Any) -> Answer:
        return self.console(name, *arguments, "--key", key, **given)

    def forks(self) -> list[str]:
        return sorted(path.name for path in self.folder.glob("fork-*"))


@pytest.fixture
def desk(tmp_path: Path, console: Console, monkeypatch: pytest.MonkeyPatch) -> Desk:
    """A desk at which a person sits."""
    monkeypatch.chdir(tmp_path)
    return Desk(tmp_path, console)


class TestCompare:
    def test_one_log(self, desk: Desk) -> None:
        answer = desk("compare", "told-12", "told-12")
        assert (answer.code, answer.verdict) == (0, "VERIFIED")
        assert "told-12 covers the same entries as told-12" in answer.flat()
        found = desk("compare", "told-12", "told-12", "--format", "json").json()
        assert (found["relation"], found["shown_by"]) == ("same", ["one size and one root"])

    def test_what_nothing_shows_comes_with_the_command_that_may(self, desk: Desk) -> None:
        answer = desk("compare", "told-12", "told-20")
        assert (answer.code, answer.verdict) == (3, "NOT CHECKED")
        said = f"auditkit compare told-12 told-20 --key {ONE.vkey} --log DIR"
        assert said in answer.page()
        assert desk("compare", "told-12", "told-20", "--format", "json").json()["command"] == said
        lacking = desk("compare", "told-12", "told-20", "--log", desk.public(TOLD, 7))
        assert (lacking.code, "--log DIR" in lacking.page()) == (3, False)

    def test_a_folder_that_is_no_log_is_wrong_usage(self, desk: Desk) -> None:
        answer = desk("compare", "told-12", "told-12", "--log", desk.folder)
        assert answer.code == 2
        assert "is no published log, since it has no file checkpoint" in answer.refusal()

    def test_a_file_of_another_kind_is_named(self, desk: Desk, shop: Shop) -> None:
        desk.write("vkey", ONE.vkey)
        said = desk("compare", "vkey", "told-12").refusal()
        assert said.startswith("vkey: this is a verifier key, not a checkpoint or a proof file; ")
        said = desk("verify-fork", "told-12").refusal()
        assert said.startswith("told-12: this is a checkpoint, not the evidence of a fork; ")
        said = desk("verify-fork", "-", stdin=shop.proof.read_bytes()).refusal()
        assert said == (
            "standard input: this is a proof file, not the evidence of a fork; "
            "check it with auditkit verify"
        )

    def test_an_older_and_a_newer_head_of_one_log(self, desk: Desk) -> None:
        public = desk.public(TOLD, 12, 20)
        for pair in (("told-12", "told-20"), ("told-20", "told-12")):
            answer = desk("compare", *pair, "--log", public)
            assert (answer.code, answer.verdict) == (0, "VERIFIED")
            assert "told-20 extends told-12: one log of exchange.example/audit." in answer.flat()
            assert "That anyone else was shown this log" in answer.flat()
            found = desk("compare", *pair, "--log", public, "--format=json").json()
            assert (found["relation"], found["venue"]) == ("extends", VENUE)
            assert (found["earlier"]["size"], found["later"]["size"]) == (12, 20)
            assert found["warnings"] == []

    def test_nothing_shows_it(self, desk: Desk) -> None:
        answer = desk("compare", "told-12", "retold-20")
        assert (answer.code, answer.verdict) == (3, "NOT CHECKED")
        for words in ("told-20 is a checkpoint alone", "(--log)", "nobody is accused"):
            assert words in answer.flat()
        found = desk("compare", "told-12", "told-20", "--format", "json").json()
        assert (found["verdict"], found["kind"]) == ("not checked", "incomplete")

    def test_a_folder_that_could_not_be_held_against_both_is_told(self, desk: Desk) -> None:
        answer = desk("compare", "told-12", "told-12", "--log", desk.public(TOLD, 7))
        assert answer.code == 0
        assert "NOTE: " in answer.flat()
        assert "has 7 entries" in answer.flat()

    def test_a_fork_writes_evidence(self, desk: Desk) -> None:
        answer = desk("compare", "told-12", "retold-12")
        assert (answer.code, answer.verdict) == (4, "FORK")
        for words in ("this key signed two histories", NAME, "no account, balance or salt"):
            assert words in answer.flat()
        assert f"\nauditkit verify-fork {NAME} --key {ONE.vkey}\n" in answer.page()
        assert "two keys" not in answer.flat()
        assert desk.forks() == [NAME]
        evidence = json.loads((desk.folder / NAME).read_text())
        notes = {(desk.folder / name).read_text() for name in ("told-12", "retold-12")}
        assert {evidence.pop("first"), evidence.pop("second")} == notes
        assert evidence == {"format": "auditkit/fork/1"}

    def test_a_fork_is_one_object(self, desk: Desk) -> None:
        answer = desk("compare", "told-12", "retold-20", "--format", "json", "--log")
        assert answer.code == 2
        public = desk.public(RETOLD, 12, 20)
        command = ["compare", "told-12", "retold-20", "--log", public, "--format", "json"]
        found = desk(*map(str, command)).json()
        assert (found["verdict"], found["exit_code"], found["venue"]) == ("fork", 4, VENUE)
        assert found["keys"] == [ONE.vkey]
        assert (found["first"]["size"], found["second"]["size"]) == (12, 20)
        assert found["prefix"] not in (None, found["first"]["root"])
        assert found["file"] == "fork-exchange.example-audit-12-20.json"
        assert found["evidence"] == json.loads(Path(found["file"]).read_text())

    def test_quiet_says_it_by_the_code(self, desk: Desk) -> None:
        for pair, code in ((("told-7", "told-7"), 0), (("told-7", "told-12"), 3)):
            assert desk("compare", *pair, "-q") == Answer(code, "", "")
        assert desk("compare", "told-12", "retold-12", "--quiet") == Answer(4, "", "")
        assert desk.forks() == [NAME]

    def test_two_venues_cannot_be_compared(self, desk: Desk) -> None:
        desk.write("other", checkpoint(STRANGER.name, RETOLD[:12], STRANGER))
        for one, other in (("told-12", "other"), ("other", "told-12")):
            answer = desk("compare", one, other)
            assert answer.code == 2
            named = {"told-12": VENUE, "other": STRANGER.name}
            assert answer.refusal() == f"{one} is of {named[one]}, {other} of {named[other]}"

    def test_a_checkpoint_that_is_not_signed_is_no_fork(self, desk: Desk) -> None:
        desk.write("forged", checkpoint(VENUE, RETOLD[:12], NEXT))
        for pair in (("told-12", "forged"), ("forged", "told-12"), ("forged", "forged")):
            answer = desk("compare", *pair)
            assert (answer.code, answer.verdict) == (1, "FAILED")
            assert "where forged" in answer.flat()
            assert "give --key twice" in answer.flat()
        assert desk.forks() == []

    def test_two_keys_of_one_venue(self, desk: Desk) -> None:
        desk.write("next", checkpoint(VENUE, RETOLD[:12], NEXT))
        answer = desk("compare", "told-12", "next", "--key", NEXT.vkey)
        assert answer.code == 4
        assert "these keys signed two histories" in answer.flat()
        assert "That they are one venue's is your word" in answer.flat()
        assert desk("verify-fork", NAME).code == 1
        proven = desk("verify-fork", NAME, "--key", NEXT.vkey)
        assert proven.code == 0
        assert "FORK PROVEN: the keys you gave signed two histories" in proven.flat()
        assert "counts for nothing" in proven.flat()

    def test_the_pinned_key_is_the_default(self, desk: Desk) -> None:
        answer = desk.console("compare", "told-12", "retold-12")
        assert answer.code == 2
        assert "no key of exchange.example/audit is pinned" in answer.refusal()
        assert desk.console("trust", "add", ONE.vkey).code == 0
        assert desk.console("compare", "told-12", "retold-12").code == 4
        assert desk.console("verify-fork", NAME).code == 0

    def test_one_of_the_two_may_come_from_standard_input(self, desk: Desk) -> None:
        data = (desk.folder / "told-12").read_bytes()
        answer = desk("compare", "-", "retold-12", stdin=data)
        assert answer.code == 4
        assert "standard input" in answer.flat()
        answer = desk("compare", "-", "-", stdin=data)
        assert answer.code == 2
        assert "only one of the two can be read from standard input" in answer.refusal()

    def test_two_files_of_two_histories_are_kept(self, desk: Desk) -> None:
        venue = market()
        venue.publish()
        desk.write("early", json.dumps(venue.prove("alice")))
        crash(venue)
        venue.restate(0, time="2025-10-10T21:00:01.999Z")
        venue.publish()
        desk.write("late", json.dumps(venue.prove("alice")))
        answer = desk("compare", "late", "early", key=venue.vkey)
        assert (answer.code, answer.verdict) == (1, "FAILED")
        assert "up to entry 0, which both files show, their logs differ" in answer.flat()
        assert "Keep both files: together they are evidence" in answer.flat()
        assert desk.forks() == []

    @pytest.mark.parametrize("junk", ["", "x", "{}", "\x1b[2J", "{" * 100_000, "é\n\n— x y\n"])
    def test_junk_is_malformed(self, desk: Desk, junk: str) -> None:
        desk.write("junk", junk)
        answer = desk("compare", "told-12", "junk")
        assert (answer.code, answer.verdict) == (2, "ERROR")
        assert "VERIFIED" not in answer.page()
        assert desk("compare", "told-12", "nowhere").code == 2


class TestEvidence:
    def fork(self, desk: Desk, *more: object) -> Answer:
        return desk("compare", "told-12", "retold-12", *more)

    def test_goes_where_it_is_told_to(self, desk: Desk) -> None:
        (desk.folder / "dir").mkdir()
        assert self.fork(desk, "--evidence", "dir").code == 4
        assert self.fork(desk, "--evidence", "mine.json").code == 4
        assert desk.forks() == []
        texts = {Path(name).read_text() for name in (f"dir/{NAME}", "mine.json")}
        assert len(texts) == 1

    def test_is_as_good_as_written_where_it_is_already(self, desk: Desk) -> None:
        for _ in range(3):
            assert f"The evidence is in {NAME}." in self.fork(desk).flat()
        assert self.fork(desk, "--evidence", NAME).code == 4
        assert desk.forks() == [NAME]

    def test_never_overwrites_another_file(self, desk: Desk) -> None:
        desk.write(NAME, "mine")
        desk.write("mine.json", "mine")
        assert self.fork(desk).code == 4
        assert desk.forks() == [NAME.replace(".json", "-2.json"), NAME]
        assert (desk.folder / NAME).read_text() == "mine"
        answer = self.fork(desk, "--evidence", "mine.json")
        assert answer.code == 4
        assert "could not be written (mine.json: File exists)" in answer.flat()
        assert (desk.folder / "mine.json").read_text() == "mine"
        self.holds(desk, answer)

    def test_of_another_fork_of_the_same_sizes_gets_a_name_of_its_own(self, desk: Desk) -> None:
        desk.write("third", checkpoint(VENUE, [*TOLD[:11], b"third"], ONE))
        for name in ("retold-12", "third", "third"):
            assert desk("compare", "told-12", name).code == 4
        assert len(desk.forks()) == 2

    def holds(self, desk: Desk, answer: Answer) -> None:
        """The evidence that the answer itself holds is as good as the file."""
        text = answer.out[answer.out.index("\n{") :]
        assert desk("verify-fork", "-", stdin=text.encode()).code == 0

    @pytest.mark.parametrize("place", ["no/such/folder/x.json", "told-12/x.json"])
    def test_is_printed_where_it_cannot_be_written(self, desk: Desk, place: str) -> None:
        answer = self.fork(desk, "--evidence", place)
        assert (answer.code, answer.verdict) == (4, "FORK")
        self.holds(desk, answer)
        found = self.fork(desk, "--evidence", place, "--format", "json").json()
        assert found["file"] is None
        assert found["why"].startswith(place)
        evidence = json.dumps(found["evidence"]).encode()
        assert desk("verify-fork", "-", stdin=evidence).code == 0
        self.holds(desk, self.fork(desk, "--evidence", place, "--quiet"))

    def test_is_printed_where_the_disk_is_full(self, desk: Desk) -> None:
        done = subprocess.run(
            command("compare", "told-12", "retold-12", "--key", ONE.vkey),
            capture_output=True,
            env={**desk.console.environment(), "PYTHONDONTWRITEBYTECODE": "1"},
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100)),
            check=False,
        )
        assert done.returncode == 4
        assert desk.forks() == []
        answer = Answer(4, done.stdout.decode(), "")
        assert f"could not be written ({NAME}: File too large)" in answer.flat()
        self.holds(desk, answer)

    def test_is_printed_where_the_disk_fails(
        self, desk: Desk, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def fail(_: int) -> None:
            raise OSError(5, "Input/output error")

        monkeypatch.setattr(os, "fsync", fail)
        answer = self.fork(desk)
        assert answer.code == 4
        assert f"could not be written ({NAME}: Input/output error)" in answer.flat()
        assert desk.forks() == []
        self.holds(desk, answer)

    def test_does_not_wait_for_a_pipe_of_its_name(self, desk: Desk) -> None:
        os.mkfifo(NAME)
        assert self.fork(desk).code == 4
        assert len(desk.forks()) == 2

    def test_does_not_read_a_large_file_of_its_name(self, desk: Desk) -> None:
        self.fork(desk, "--evidence", "mine.json")
        text = (desk.folder / "mine.json").read_text()
        desk.write(NAME, text + " " * 70_000)
        assert self.fork(desk).code == 4
        assert len(desk.forks()) == 2

    def test_is_written_though_nobody_listens(self, desk: Desk) -> None:
        reader, writer = os.pipe()
        os.close(reader)
        answer = desk.console.process(
            "compare", "told-12", "retold-12", "--key", ONE.vkey, stdout=writer
        )
        os.close(writer)
        assert answer.code == 4
        assert desk.forks() == [NAME]
        with Path("/dev/full").open("wb") as full:
            again = ["compare", "told-12", "retold-12", "--key", ONE.vkey]
            assert desk.console.process(*again, stdout=full).code == 4

    def test_names_no_folder_whatever_the_venue_is_called(self, desk: Desk) -> None:
        odd = Signer("a/../../b:c", "odd")
        for name, log in (("a", TOLD), ("b", RETOLD)):
            desk.write(name, checkpoint(odd.name, log[:12], odd))
        assert desk("compare", "a", "b", key=odd.vkey).code == 4
        assert desk.forks() == ["fork-a-..-..-b-c-12-12.json"]


class TestVerifyFork:
    @pytest.fixture
    def evidence(self, desk: Desk) -> dict[str, Any]:
        desk.public(RETOLD, 12, 20)
        assert desk("compare", "told-12", "retold-20", "--log", "public").code == 4
        found: dict[str, Any] = json.loads(Path(desk.forks()[0]).read_text())
        return found

    def test_needs_nothing_but_the_file_and_the_key(
        self, desk: Desk, evidence: dict[str, Any], tmp_path: Path
    ) -> None:
        empty = tmp_path / "elsewhere"
        empty.mkdir()
        data = json.dumps(evidence).encode()
        answer = Console(empty).process("verify-fork", "-", "--key", ONE.vkey, stdin=data)
        assert (answer.code, answer.verdict) == (0, "FORK PROVEN")
        page = answer.flat()
        assert page.startswith(f"FORK PROVEN: one key signed two histories of {VENUE}")
        for words in ("no log has both checkpoints", "who was shown which", "12 entries, root"):
            assert words in page
        assert list(empty.iterdir()) == []

    def test_is_one_object(self, desk: Desk, evidence: dict[str, Any]) -> None:
        desk.write("e", json.dumps(evidence))
        found = desk("verify-fork", "e", "--format", "json").json()
        assert (found["verdict"], found["keys"]) == ("fork proven", [ONE.vkey])
        assert found["evidence"] == evidence
        assert desk("verify-fork", "e", "-q") == Answer(0, "", "")

    def test_one_key_is_named_where_two_signed_both(self, desk: Desk) -> None:
        notes = [checkpoint(VENUE, log[:12], ONE, NEXT) for log in (TOLD, RETOLD)]
        data = json.dumps({"format": "auditkit/fork/1", "first": notes[0], "second": notes[1]})
        command = ["verify-fork", "-", "--key", NEXT.vkey, "--format", "json"]
        found = desk(*command, stdin=data.encode()).json()
        assert (found["verdict"], len(found["keys"])) == ("fork proven", 1)

    def test_what_is_false_is_1(self, desk: Desk, evidence: dict[str, Any]) -> None:
        told = checkpoint(VENUE, TOLD[:12], ONE)
        lies = {
            "twice": {"format": evidence["format"], "first": told, "second": told},
            "path": evidence | {"path": evidence["path"][:-1]},
            "second": evidence | {"second": checkpoint(VENUE, TOLD[:20], ONE)},
            "unsigned": evidence | {"first": checkpoint(VENUE, TOLD[:12], NEXT)},
        }
        for name, lie in lies.items():
            desk.write(name, json.dumps(lie))
            answer = desk("verify-fork", name)
            assert (answer.code, answer.verdict) == (1, "FAILED"), name
            assert "PROVEN" not in answer.page()
            found = desk("verify-fork", name, "--format", "json").json()
            assert (found["verdict"], found["kind"]) == ("failed", "false")
        desk.write("e", json.dumps(evidence))
        assert desk("verify-fork", "e", key=NEXT.vkey).code == 1
        assert desk("verify-fork", "e", key=STRANGER.vkey).code == 1

    def test_what_is_malformed_is_2_and_what_is_newer_3(
        self, desk: Desk, evidence: dict[str, Any]
    ) -> None:
        for name, lie, code in (
            ("extra", json.dumps(evidence | {"key": ONE.vkey}), 2),
            ("less", json.dumps({k: v for k, v in evidence.items() if k != "path"}), 2),
            ("junk", "\x1b[2JVERIFIED", 2),
            ("checkpoint", checkpoint(VENUE, TOLD, ONE), 2),
            ("long", json.dumps(evidence) + " " * 70_000, 2),
            ("newer", json.dumps(evidence | {"format": "auditkit/fork/2"}), 3),
        ):
            desk.write(name, lie)
            answer = desk("verify-fork", name)
            assert answer.code == code, name
            assert answer.verdict == ("ERROR" if code == 2 else "NOT CHECKED")
        assert desk("verify-fork", "nowhere").code == 2

    def test_paint_stays_in_the_file(self, desk: Desk, evidence: dict[str, Any]) -> None:
        paint = "\x1b[2J\x1b]0;x\x07\u202eVERIFIED\rFORK PROVEN\x9b\x7f\n"
        for place in (*evidence, "more"):
            for value in (paint, [paint], {paint: paint}, evidence.get(place)):
                data = json.dumps(evidence | {place: value, paint: value}, ensure_ascii=False)
                answer = desk("verify-fork", "-", stdin=data.encode())
                assert answer.code in (1, 2, 3)
                assert "FORK PROVEN" not in answer.page().partition("\n")[0]
        # A line by a stranger whose name is paint does no harm: the evidence holds, and is shown.
        odd = Signer("\x7f\u202e[red]x", "odd")
        desk.write("odd", checkpoint(VENUE, RETOLD[:12], odd, ONE))
        answer = desk("compare", "told-12", "odd", "--evidence", "no/such/folder/x.json")
        assert answer.code == 4
        text = "{" + answer.page().partition("\n{")[2]
        assert desk("verify-fork", "-", stdin=text.encode()).code == 0

    def test_loads_the_kernel_and_opens_no_socket(
        self, desk: Desk, evidence: dict[str, Any]
    ) -> None:
        desk.write("e", json.dumps(evidence))
        script = (
            "import socket, sys\n"
            "def refuse(*_, **__): raise AssertionError\n"
            "socket.socket = socket.create_connection = refuse\n"
            "from auditkit.cli.main import main\n"
            f"code = main(['verify-fork', 'e', '--key', {ONE.vkey!r}, '-q'])\n"
            "print(code, *sorted(sys.modules))\n"
        )
        done = subprocess.run(
            [sys.executable, "-c", script], capture_output=True, text=True, check=True
        )
        code, *loaded = done.stdout.split()
        assert code == "0"
        rooms = {name.split(".")[1] for name in loaded if name.startswith("auditkit.")}
        assert rooms <= {"cli", "verify", "errors", "files", "money", "tomlfile", "__version__"}, (
            rooms
        )
        assert not {"numpy", "pyarrow", "pymerkle", "asyncio", "http"}.intersection(loaded)
