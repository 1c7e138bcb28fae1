"""What only a real process shows: signals, pipes, full disks, closed streams, imports, sockets."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from subprocess import PIPE

import pytest
from console import PATIENCE, Console, Shop

from auditkit.publish.public import Public
from auditkit.publish.venue import Venue
from auditkit.verify import check

FULL = Path("/dev/full")
# Prints what a command line loaded, and what it did that has to do with sockets.
WATCH = """
import json, sys
seen = []
sys.addaudithook(lambda event, _: seen.append(event) if event.startswith("socket.") else None)
from auditkit.cli.main import main
code = main(sys.argv[1:])
print(json.dumps([code, seen, sorted(sys.modules)]))
"""


# A command that has made a draft, and is about to take long.
DRAFTING = """
import sys, time
from pathlib import Path
from auditkit.cli import main

def work(_):
    draft = Path(sys.argv[1]) / "draft"
    draft.mkdir()
    try:
        print("drafting", flush=True)
        time.sleep(60)
    finally:
        draft.rmdir()

main._invoke = work
main.run()
"""


def outputs(shop: Shop) -> dict[str, list[object]]:
    """Command lines that write to standard output, each in its own way."""
    return {
        "page": list(shop.verify),
        "object": [*shop.verify, "--format", "json"],
        "failure": ["verify", shop.proof, "--key", shop.vkey, "--account", "1"],
        "error object": ["verify", "--no-such-option", "--format", "json"],
        "bytes": ["prove", "--venue", shop.venue, "--account", shop.account],
        "help": ["--help"],
        "version": ["--version"],
        "demo": ["demo"],
    }


NAMES = list(outputs(Shop(Path())))


class TestOutput:
    @pytest.mark.parametrize("name", NAMES)
    def test_a_closed_pipe_is_141_without_a_word(
        self, console: Console, shop: Shop, name: str
    ) -> None:
        reader, writer = os.pipe()
        os.close(reader)
        try:
            answer = console.process(*outputs(shop)[name], stdout=writer)
        finally:
            os.close(writer)
        assert (answer.code, answer.err) == (141, "")

    @pytest.mark.skipif(not FULL.exists(), reason="there is no /dev/full")
    @pytest.mark.parametrize("name", NAMES)
    def test_a_full_disk_is_74_in_one_line(self, console: Console, shop: Shop, name: str) -> None:
        with FULL.open("wb") as full:
            answer = console.process(*outputs(shop)[name], stdout=full)
        assert answer.code == 74
        assert "No space left on device" in answer.refusal()

    @pytest.mark.parametrize("name", ["page", "object", "error object"])
    def test_a_closed_standard_output_is_74_in_one_line(
        self, console: Console, shop: Shop, name: str
    ) -> None:
        answer = shell(console, ">&-", *outputs(shop)[name])
        assert answer.returncode == 74
        assert answer.stderr == b"ERROR: standard output: is closed\n"

    def test_quiet_needs_no_output(self, console: Console, shop: Shop) -> None:
        answer = shell(console, ">&- 2>&- <&-", *shop.verify, "--quiet")
        assert answer.returncode == 0

    @pytest.mark.parametrize("how", ["2>&-", "2>/dev/full"])
    def test_an_error_nobody_can_read_keeps_its_code(self, console: Console, how: str) -> None:
        answer = shell(console, how, "verify", "absent", "--account", "1")
        assert (answer.returncode, answer.stdout, answer.stderr) == (2, b"", b"")

    def test_closed_standard_input_is_wrong_usage(self, console: Console, shop: Shop) -> None:
        for command in (["verify", "-", *list(shop.verify)[2:]], ["verify", shop.proof]):
            answer = shell(console, "<&-", *command)
            assert answer.returncode == 2
            assert answer.stderr.startswith(b"ERROR: ")
            assert answer.stderr.count(b"\n") == 1


def shell(
    console: Console, redirection: str, *arguments: object
) -> "subprocess.CompletedProcess[bytes]":
    """Run a command line with a redirection of the shell's."""
    return subprocess.run(
        ["/bin/sh", "-c", f'exec "$@" {redirection}', "sh", sys.executable, "-m", "auditkit"]
        + [str(argument) for argument in arguments],
        env=console.environment(),
        capture_output=True,
        timeout=PATIENCE,
        check=False,
    )


class TestSignals:
    @pytest.mark.parametrize("options", [[], ["--format", "json"], ["--quiet"]])
    def test_interrupted_while_reading_is_130(
        self, console: Console, shop: Shop, tmp_path: Path, options: list[str]
    ) -> None:
        pipe = tmp_path / "pipe"
        os.mkfifo(pipe)
        process = console.start(
            *("verify", pipe, *list(shop.verify)[2:], *options),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        try:
            writer = open_for_a_reader(pipe)
            process.send_signal(signal.SIGINT)
            # Python may have missed it if it was just on its way into the read, so that has to end.
            os.close(writer)
            out, err = process.communicate(timeout=PATIENCE)
        finally:
            process.kill()
        assert process.returncode == 130
        if "json" in options:
            assert (json.loads(out)["exit_code"], err) == (130, b"")
        elif options:
            assert (out, err) == (b"", b"")
        else:
            assert (out, err) == (b"", b"ERROR: interrupted\n")

    @pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
    def test_ended_by_another_signal_it_cleans_up_and_dies_by_it(
        self, console: Console, tmp_path: Path, number: signal.Signals
    ) -> None:
        temporary = tmp_path / "temporary"
        temporary.mkdir()
        command = [sys.executable, "-c", DRAFTING, temporary]
        with subprocess.Popen(
            list(map(str, command)), env=console.environment(), stdout=PIPE, stderr=PIPE
        ) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == b"drafting\n"
            assert [path.name for path in temporary.iterdir()] == ["draft"]
            process.send_signal(number)
            _, err = process.communicate(timeout=PATIENCE)
        assert (process.returncode, err) == (-number, b"ERROR: interrupted\n")
        assert list(temporary.iterdir()) == []

    @pytest.mark.parametrize("kind", ["interrupted", "full"])
    def test_what_was_committed_is_said_to_be(
        self, console: Console, shop: Shop, tmp_path: Path, kind: str
    ) -> None:
        venue = tmp_path / "venue"
        shutil.copytree(shop.venue, venue)
        pools = shop.books / "pools.toml"
        told = ["publish", "fund", "--venue", venue, "--pools", pools, "--key", shop.key]
        size = len(Venue(venue).history)
        if kind == "full":
            with FULL.open("wb") as full:
                answer = console.process(*told, stdout=full)
            assert "No space left on device; the entries are signed and published" in answer.err
        else:
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(Public, "_write_entries", interrupt)
                answer = console(*told)
            assert answer.err.startswith("ERROR: interrupted, but the log has ")
        assert answer.code == (74 if kind == "full" else 130)
        assert answer.err.endswith("o not publish the same again\n")
        with Venue(venue) as opened:
            assert len(opened.history) == size + 2

    def test_an_interrupted_demo_stops_at_once(
        self, console: Console, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(Venue, "init", interrupt)
        answer = console("demo")
        assert answer.code == 130
        assert answer.err == "ERROR: interrupted\n"
        assert "publish snapshot" not in answer.out


def interrupt(*_: object, **__: object) -> None:
    raise KeyboardInterrupt


def open_for_a_reader(pipe: Path) -> int:
    """The writing end, once somebody has opened the other one and is about to read."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        with suppress(OSError):  # Nobody has opened the other end yet.
            return os.open(pipe, os.O_WRONLY | os.O_NONBLOCK)
        time.sleep(0.01)
    raise TimeoutError(f"nobody reads {pipe}")


class TestOffline:
    def test_verify_opens_no_socket_and_loads_only_what_it_needs(
        self, console: Console, shop: Shop
    ) -> None:
        console(*["trust", "add", shop.vkey])
        for command in (list(shop.verify), ["verify", shop.proof, "--account", shop.account]):
            done = subprocess.run(
                [sys.executable, "-c", WATCH, *map(str, command), "--quiet"],
                env=console.environment(),
                capture_output=True,
                timeout=PATIENCE,
                check=True,
            )
            code, sockets, modules = json.loads(done.stdout)
            assert (code, sockets) == (0, [])
            packages = {name.partition(".")[0] for name in modules}
            for heavy in (
                *("numpy", "pyarrow", "pymerkle", "datafusion", "rich", "sqlite3"),
                *("asyncio", "socket", "ssl", "http", "pydantic"),
            ):
                assert heavy not in packages
            rooms = {name.split(".")[1] for name in modules if name.startswith("auditkit.")}
            assert rooms == {"cli", "errors", "files", "money", "verify"}

    @pytest.mark.tool("unshare")
    @pytest.mark.skipif(
        subprocess.run(
            ["/bin/sh", "-c", "unshare -rn true"], capture_output=True, check=False
        ).returncode
        == 1,
        reason="the system lets nobody make a network of one's own",
    )
    def test_verify_works_where_there_is_no_network(self, console: Console, shop: Shop) -> None:
        done = subprocess.run(
            ["unshare", "-rn", sys.executable, "-m", "auditkit", *map(str, shop.verify)],
            env=console.environment(),
            capture_output=True,
            timeout=PATIENCE,
            check=False,
        )
        assert (done.returncode, done.stderr) == (0, b"")
        assert done.stdout.startswith(b"VERIFIED\n")


class TestBugs:
    SECRET = "sentinel-3141592653"

    def test_a_bug_is_70_without_traceback_message_or_locals(
        self, console: Console, shop: Shop, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def broken(*_: object, **__: object) -> None:
            passphrase = self.SECRET
            raise ValueError(f"cannot use {passphrase}")

        monkeypatch.setattr(check, "verify", broken)
        answer = console(*shop.verify)
        assert answer.code == 70
        assert answer.refusal().startswith("a bug in auditkit: ValueError in test_cli_process.py")
        found = console(*shop.verify, "--format", "json")
        assert found.json()["verdict"] == "error"
        for text in (answer.err, found.out):
            assert self.SECRET not in text
            assert "Traceback" not in text

    def test_a_missing_extra_is_named(
        self, console: Console, shop: Shop, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setitem(sys.modules, "auditkit.publish.proofs", None)
        answer = console("prove", "--venue", shop.venue, "--account", shop.account)
        assert answer.code == 2
        assert "pip install '.[publish]'" in answer.refusal()

    def test_a_damaged_venue_is_74(self, console: Console, shop: Shop, tmp_path: Path) -> None:
        venue = tmp_path / "venue"
        venue.mkdir()
        (venue / "venue.json").write_text("{}")
        answer = console("prove", "--venue", venue, "--account", shop.account)
        assert answer.code == 74
        assert f"{venue}" in answer.refusal()
