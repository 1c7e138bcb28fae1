"""`auditkit witness`: keys, states, the server as a process of its own, and what it remembers."""

import http.client
import json
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from console import PATIENCE, Console
from watched import ORIGIN, Watched, body

from auditkit.cli import witness as command
from auditkit.cli.result import Format
from auditkit.verify.cosignature import WitnessKey, cosigned
from auditkit.verify.note import Note

NAME = "auditor.example/witness"


@dataclass
class Server:
    """`witness serve` as a process, and the objects that it says, line by line."""

    process: "subprocess.Popen[bytes]"
    first: dict[str, object]

    def post(self, data: bytes) -> tuple[int, str]:
        parts = urlsplit(str(self.first["url"]))
        with closing(
            http.client.HTTPConnection(str(parts.hostname), parts.port, timeout=PATIENCE)
        ) as connection:
            connection.request("POST", "/add-checkpoint", data)
            answer = connection.getresponse()
            return answer.status, answer.read().decode()

    def line(self) -> dict[str, object]:
        """The next thing it says."""
        assert self.process.stdout is not None
        found = json.loads(self.process.stdout.readline())
        assert isinstance(found, dict)
        return found

    def end(self, number: int) -> tuple[int, str]:
        """The exit code, and all that it says at its end."""
        self.process.send_signal(number)
        out, err = self.process.communicate(timeout=PATIENCE)
        return self.process.returncode, out.decode() + err.decode()


@dataclass
class Place:
    """A folder with a witness's key and state, and a log to watch."""

    console: Console
    root: Path
    log: Watched

    def __post_init__(self) -> None:
        (self.root / "log.vkey").write_text(f"{self.log.signer.vkey}\n")

    def make(self) -> "Place":
        key = ["witness", "key", "new", NAME, "-o", self.key, "--no-passphrase"]
        assert self.console(*key).code == 0
        assert self.console("witness", "init", "--state", self.state, "--key", self.key).code == 0
        return self

    @property
    def key(self) -> Path:
        return self.root / "key.pem"

    @property
    def state(self) -> Path:
        return self.root / "state"

    @property
    def serve(self) -> list[object]:
        return ["witness", "serve", "--key", self.key, "--state", self.state]

    @contextmanager
    def serving(self, *options: object) -> Iterator[Server]:
        given = options or ("--log", self.root / "log.vkey")
        process = self.console.start(
            *self.serve,
            *("--port", "0", "--format", "json"),
            *given,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        try:
            assert process.stdout is not None
            first = process.stdout.readline()
            assert first, process.stderr and process.stderr.read()
            yield Server(process, json.loads(first))
        finally:
            process.kill()
            process.communicate()


@pytest.fixture
def place(console: Console, tmp_path: Path) -> Place:
    return Place(console, tmp_path, Watched().grow(30))


@pytest.fixture
def made(place: Place) -> Place:
    return place.make()


class TestKeys:
    def test_a_key_is_made_and_shown(self, place: Place) -> None:
        answer = place.console(
            "witness", "key", "new", NAME, "-o", place.key, "--no-passphrase", "--format", "json"
        ).json()
        assert WitnessKey.parse(answer["vkey"]).name == NAME
        shown = place.console("witness", "key", "show", place.key)
        assert shown.page() == f"{answer['vkey']}\n"
        assert place.key.stat().st_mode & 0o777 == 0o600

    def test_a_passphrase_is_asked_for_where_there_is_one(self, place: Place) -> None:
        new = ["witness", "key", "new", NAME, "-o", place.key]
        assert "a passphrase is needed" in place.console(*new).refusal()
        assert place.console(*new, "--passphrase-file", "-", stdin=b"secret").code == 0
        init = ["witness", "init", "--state", place.state, "--key", place.key]
        assert place.console(*init).code == 0  # The name and the public key are no secret.
        serve = [*place.serve, "--log", place.root / "log.vkey"]
        assert "a passphrase is needed" in place.console(*serve).refusal()
        wrong = place.console(*serve, "--passphrase-file", "-", stdin=b"wrong")
        assert "wrong passphrase or damaged file" in wrong.refusal()
        assert "secret" not in place.key.read_text()

    def test_a_key_of_a_venue_is_none_of_a_witness_nor_the_other_way_round(
        self, made: Place
    ) -> None:
        venue = made.root / "venue.pem"
        assert made.console("key", "new", ORIGIN, "-o", venue, "--no-passphrase").code == 0
        said = made.console("witness", "key", "show", venue).refusal()
        assert "is a venue's key; auditkit key show tells its verifier key" in said
        said = made.console("key", "show", made.key).refusal()
        assert "is a witness's key; auditkit witness key show tells its verifier key" in said

    def test_a_verifier_key_is_no_key_file(self, made: Place) -> None:
        shown = made.console("witness", "key", "show", made.key).out
        file = made.root / "witness.vkey"
        file.write_text(shown)
        for group in ([], ["witness"]):
            said = made.console(*group, "key", "show", file).refusal()
            assert said == f"{file}: is a verifier key, not a key file"

    @pytest.mark.parametrize("name", ["", "a b", "a+b", "a\u00a0b", "a\x1b[1mb", "a\nb", "\udcff"])
    def test_a_name_that_no_key_can_have(self, place: Place, name: str) -> None:
        answer = place.console("witness", "key", "new", name, "-o", place.key, "--no-passphrase")
        assert (answer.code, place.key.exists()) == (2, False)
        assert "is no name of a witness" in answer.refusal()

    def test_a_key_file_is_never_overwritten(self, made: Place) -> None:
        before = made.key.read_bytes()
        new = ["witness", "key", "new", NAME, "-o", made.key, "--no-passphrase"]
        assert "never overwritten" in made.console(*new).refusal()
        assert made.key.read_bytes() == before

    def test_a_key_file_that_is_not_there(self, place: Place) -> None:
        said = place.console("witness", "key", "show", place.key).refusal()
        assert "auditkit witness key new makes a new one" in said


class TestStates:
    def test_a_state_is_made_once_for_one_key(self, made: Place) -> None:
        again = made.console("witness", "init", "--state", made.state, "--key", made.key)
        assert "exists and is not empty" in again.refusal()

    def test_a_lost_state_is_not_made_anew_by_serving(self, made: Place) -> None:
        shutil.rmtree(made.state)
        answer = made.console(*made.serve, "--log", made.root / "log.vkey")
        assert answer.code == 2
        assert "a witness that forgot may sign a fork" in answer.refusal()
        assert not made.state.exists()

    def test_another_keys_state(self, made: Place) -> None:
        other = made.root / "other.pem"
        assert made.console("witness", "key", "new", NAME, "-o", other, "--no-passphrase").code == 0
        serve = ["witness", "serve", "--key", other, "--state", made.state]
        assert "is the state of" in made.console(*serve, "--log", made.root / "log.vkey").refusal()

    def test_a_state_that_is_damaged(self, made: Place) -> None:
        (made.state / "witness.sqlite").write_bytes(b"no database" * 100)
        for arguments in (
            [*made.serve, "--log", made.root / "log.vkey"],
            ["witness", "show", "--state", made.state],
        ):
            answer = made.console(*arguments)
            assert (answer.code, "the witness's state" in answer.refusal()) == (74, True)


class TestServing:
    def test_a_witness_answers_and_says_so(self, made: Place) -> None:
        with made.serving() as server:
            assert server.first["logs"] == [ORIGIN]
            assert str(server.first["url"]).startswith("http://127.0.0.1:")
            status, text = server.post(made.log.request(0, 7))
            assert status == 200
            key = WitnessKey.parse(str(server.first["vkey"]))
            assert cosigned(Note.parse(made.log.head(7) + text), key) is not None
            said = server.line()
            assert (said["status"], said["origin"], said["size"]) == (200, ORIGIN, 7)
            assert server.post(b"\x1b[31m")[0] == 400
            assert "\\u{1b}" in str(server.line()["said"])
            assert server.end(signal.SIGTERM) == (0, '{"verdict": "stopped"}\n')

    def test_in_words(self, made: Place) -> None:
        process = made.console.start(
            *made.serve, "--log", made.root / "log.vkey", stdout=subprocess.PIPE
        )
        with process:
            assert process.stdout is not None
            lines = [process.stdout.readline().decode() for _ in range(2)]
            assert lines[0].startswith(f"Witness {NAME}+")
            assert lines[1] == f"Watches {ORIGIN}\n"
            url = urlsplit(lines[0].split(" at ")[1].strip())
            with closing(
                http.client.HTTPConnection(str(url.hostname), url.port, timeout=PATIENCE)
            ) as connection:
                connection.request("POST", url.path, made.log.request(0, 7))
                assert connection.getresponse().status == 200
            said = process.stdout.readline().decode()
            assert said.endswith(f" 200 {ORIGIN} of 7 entries\n")
            process.terminate()
            rest, _ = process.communicate(timeout=PATIENCE)
        assert (process.returncode, rest) == (0, b"Stopped.\n")

    def test_ctrl_c_ends_it_plainly(self, made: Place) -> None:
        with made.serving() as server:
            code, said = server.end(signal.SIGINT)
        assert code == 130
        assert json.loads(said) == {"verdict": "error", "exit_code": 130, "what": "interrupted"}

    def test_the_port_is_free_again(self, made: Place) -> None:
        with made.serving() as server:
            port = str(urlsplit(str(server.first["url"])).port)
            taken = made.console(*made.serve, "--log", made.root / "log.vkey", "--port", port)
            assert taken.code == 2
            assert f"cannot listen on 127.0.0.1:{port}: Address already in use" in taken.refusal()
            server.end(signal.SIGTERM)
        with made.serving("--log", made.log.signer.vkey, "--port", port) as again:
            assert urlsplit(str(again.first["url"])).port == int(port)

    def test_killed_and_started_again_it_remembers(self, made: Place) -> None:
        with made.serving() as server:
            assert server.post(made.log.request(0, 7))[0] == 200
            server.end(signal.SIGKILL)
        with made.serving() as again:
            assert again.post(made.log.request(0, 12)) == (409, "7\n")
            assert again.post(made.log.request(7, 12))[0] == 200
            assert again.post(made.log.forked(3, 12).request(12, 12))[0] == 409

    def test_the_logs_of_a_policy_are_watched(self, made: Place) -> None:
        policy = made.root / "policy"
        policy.write_text(f"log {made.log.signer.vkey}\nquorum none\n")
        with made.serving("--policy", policy) as server:
            assert server.post(made.log.request(0, 7))[0] == 200

    def test_no_log_to_watch(self, made: Place) -> None:
        assert "no log to watch" in made.console(*made.serve).refusal()
        policy = made.root / "policy"
        policy.write_text("quorum none\n")
        assert "no log to watch" in made.console(*made.serve, "--policy", policy).refusal()
        policy.write_text("nonsense\n")
        said = made.console(*made.serve, "--policy", policy).refusal()
        assert "line 1: not a line of a policy" in said

    def test_whoever_listens_to_more_than_this_machine_is_warned(
        self, capsys: pytest.CaptureFixture[str]
    ) -> None:
        for host, wider in (
            ("127.0.0.1", False),
            ("127.9.9.9", False),
            ("::1", False),
            ("localhost", False),
            ("0.0.0.0", True),
            ("::", True),
            ("192.0.2.1", True),
            ("witness.example", True),
        ):
            command._greet(Format.TEXT, "http://x", "w+0+0", [Watched().key], host)
            assert ("NOTE: " in capsys.readouterr().err) == wider, host

    def test_an_address_that_is_not_this_machines(self, made: Place) -> None:
        for host in ("192.0.2.1", "a..b"):
            serve = [*made.serve, "--log", made.root / "log.vkey", "--host", host]
            assert f"cannot listen on {host}" in made.console(*serve).refusal()

    def test_whoever_no_longer_listens_to_it_ends_it(self, made: Place) -> None:
        with made.serving() as server:
            assert server.process.stdout is not None
            server.process.stdout.close()
            with suppress(OSError, http.client.HTTPException):
                assert server.post(made.log.request(0, 7))[0] == 200
            assert server.process.wait(PATIENCE) == 141
            assert server.process.stderr is not None
            assert server.process.stderr.read() == b""
            server.process.stdout = None


class TestShowing:
    def show(self, place: Place, *options: object) -> list[object]:
        return ["witness", "show", "--state", place.state, *options]

    def test_what_was_cosigned_last(self, made: Place) -> None:
        assert "nothing yet" in made.console(*self.show(made)).page()
        with made.serving() as server:
            server.post(made.log.request(0, 7))
            server.post(made.log.request(7, 9))
        shown = made.console(*self.show(made))
        assert (shown.code, f"{ORIGIN}: 9 entries" in shown.flat()) == (0, True)
        found = made.console(*self.show(made, "--format", "json")).json()
        assert [head["checkpoint"] for head in found["heads"]] == [made.log.head(9)]
        assert (found["refused"], found["files"]) == ([], [])

    def test_a_fork_is_shown_and_its_evidence_holds_anywhere(self, made: Place) -> None:
        other = made.log.forked(3, 30)
        with made.serving() as server:
            assert server.post(made.log.request(0, 7))[0] == 200
            assert server.line()["verdict"] == "answered"
            assert server.post(body(7, [], made.log.head(9)))[0] == 422
            assert server.line()["verdict"] == "answered"
            assert server.post(other.request(7, 30))[0] == 422
            assert server.line()["verdict"] == "fork"
        folder = made.root / "evidence"
        shown = made.console(*self.show(made, "--evidence", folder))
        assert shown.code == 4
        assert "9 entries" in shown.flat()
        assert "no path from what was cosigned" in shown.flat()
        assert "30 entries" in shown.flat()
        assert "a FORK" in shown.flat()
        names = sorted(path.name for path in folder.iterdir())
        assert names == ["1.request", "2.fork.json", "2.request"]
        assert (folder / "2.request").read_bytes() == other.request(7, 30)
        key = made.root / "log.vkey"
        checked = made.console("verify-fork", folder / "2.fork.json", "--key", key)
        assert checked.code == 0
        again = made.console(*self.show(made, "--evidence", folder))
        assert "exists; name a new folder" in again.refusal()
        deep = made.console(*self.show(made, "--evidence", made.root / "no/evidence"))
        assert "no such folder" in deep.refusal()
        found = made.console(*self.show(made, "--format", "json"))
        assert found.code == 4
        assert [each["fork"] for each in found.json()["refused"]] == [False, True]
