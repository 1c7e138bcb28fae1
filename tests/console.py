"""The command line as tests use it: in process where that will do, as a real one where it matters.

    console = Console(tmp_path)
    answer = console("verify", proof, "--key", vkey, "--account", "10007")
    assert answer.code == 0
    console.process(...)      the same as a process of its own
    console.terminal(...)     the same on a terminal, with somebody at the keys

Nothing of the user's own is seen or touched: pinned keys and home are in the folder given.
"""

import fcntl
import io
import json
import os
import pty
import re
import select
import subprocess
import sys
import termios
import time
from collections.abc import Mapping, Sequence
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest import mock

from auditkit.cli.main import main

_UNPRINTABLE = re.compile(r"[^\n -~]")
PATIENCE = 60.0
CTRL_C = "\x03\n"
"""With a line behind it: Python may miss a signal on its way into a read, so that has to end."""


@dataclass(frozen=True)
class Answer:
    """What a command line came to."""

    code: int
    out: str
    err: str

    @property
    def verdict(self) -> str:
        """The first line, without what follows a colon."""
        return (self.out or self.err).partition("\n")[0].partition(":")[0]

    def json(self) -> Any:
        """The one object on standard output; there is nothing else anywhere."""
        found = json.loads(self.out)
        assert isinstance(found, dict)
        assert found["exit_code"] == self.code
        assert self.err == ""
        assert not _UNPRINTABLE.search(self.out)
        return found

    def refusal(self) -> str:
        """The one clear line on standard error; there is nothing else anywhere."""
        assert self.out == ""
        assert self.err.startswith("ERROR: ")
        assert self.err.count("\n") == 1
        assert not _UNPRINTABLE.search(self.err)
        assert len(self.err) < 1000
        return self.err.removeprefix("ERROR: ").rstrip("\n")

    def page(self) -> str:
        """The page on standard output; there is nothing on standard error, nothing unprintable."""
        assert self.err == ""
        assert not _UNPRINTABLE.search(self.out)
        return self.out

    def flat(self) -> str:
        """The page with its line breaks and indents undone."""
        return " ".join(self.page().split())

    def says(self, text: str) -> bool:
        """Whether the page has that text, wherever its lines break: even within a long path."""
        return "".join(text.split()) in "".join(self.page().split())


@dataclass
class Console:
    """A shell of a user who has nothing but `home`."""

    home: Path
    columns: int = 80
    variables: dict[str, str] = field(default_factory=dict)

    def environment(self) -> dict[str, str]:
        """All that commands see of the environment."""
        return {
            "PATH": os.environ.get("PATH", ""),
            "HOME": str(self.home),
            "AUDITKIT_CONFIG_DIR": str(self.home / "settings"),
            "COLUMNS": str(self.columns),
            "TERM": "xterm-256color",
            "LANG": "C.UTF-8",
            **self.variables,
        }

    def __call__(self, *arguments: object, stdin: bytes = b"") -> Answer:
        """Run a command in this process."""
        out, err = (io.TextIOWrapper(io.BytesIO(), "utf-8") for _ in range(2))
        given = io.TextIOWrapper(io.BytesIO(stdin), "utf-8")
        with (
            mock.patch.dict(os.environ, self.environment(), clear=True),
            mock.patch.object(sys, "stdin", given),
            redirect_stdout(out),
            redirect_stderr(err),
        ):
            code = main([str(argument) for argument in arguments])
        return Answer(code, *(_written(stream) for stream in (out, err)))

    def process(
        self, *arguments: object, stdin: bytes = b"", stdout: Any = subprocess.PIPE
    ) -> Answer:
        """Run a command as a process of its own."""
        done = subprocess.run(
            command(*arguments),
            input=stdin,
            stdout=stdout,
            stderr=subprocess.PIPE,
            env=self.environment(),
            timeout=PATIENCE,
            check=False,
        )
        return Answer(done.returncode, (done.stdout or b"").decode(), done.stderr.decode())

    def start(self, *arguments: object, **options: Any) -> "subprocess.Popen[bytes]":
        """Start a command as a process of its own."""
        return subprocess.Popen(command(*arguments), env=self.environment(), **options)

    def terminal(self, *arguments: object, keys: Sequence[tuple[str, str]] = ()) -> Answer:
        """Run a command on a terminal. `keys` are (what to wait for, what is then typed).

        Standard output and standard error are on one screen, which is `out`.
        """
        ours, theirs = pty.openpty()
        termios.tcsetwinsize(theirs, (24, self.columns))
        variables = {k: v for k, v in self.environment().items() if k != "COLUMNS"}
        process = subprocess.Popen(
            command(*arguments),
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            env=variables,
            start_new_session=True,
            preexec_fn=_own_terminal,
        )
        os.close(theirs)
        try:
            screen = _typed(ours, keys)
            return Answer(process.wait(PATIENCE), screen.replace("\r\n", "\n"), "")
        finally:
            process.kill()
            process.wait()
            os.close(ours)


def command(*arguments: object) -> list[str]:
    """The command line that starts auditkit as a process of its own."""
    return [sys.executable, "-m", "auditkit", *map(str, arguments)]


def _written(stream: io.TextIOWrapper) -> str:
    stream.flush()
    stream.seek(0)
    return stream.read()


def _own_terminal() -> None:
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


def _typed(ours: int, keys: Sequence[tuple[str, str]]) -> str:
    """Type, and read the screen to its end."""
    screen, seen = "", 0
    waiting = list(keys)
    deadline = time.monotonic() + PATIENCE
    while True:
        while waiting and (place := screen.find(waiting[0][0], seen)) >= 0:
            seen = place + len(waiting[0][0])
            os.write(ours, waiting.pop(0)[1].encode())
        assert select.select([ours], [], [], max(0, deadline - time.monotonic()))[0], screen
        try:
            part = os.read(ours, 1 << 16)
        except OSError:  # How Linux says that nobody has the other end open any more.
            part = b""
        if not part:
            assert not waiting, screen
            return screen
        screen += part.decode("utf-8", "replace")


class Shop:
    """What `auditkit demo DIR` leaves behind: a venue, its inputs, proofs of two customers."""

    account = "10007"
    origin = "demo.example/audit"

    def __init__(self, folder: Path) -> None:
        self.root = folder
        self.venue = folder / "venue"
        self.books = folder / "books"
        self.key = folder / "demo-key.pem"
        self.vkey = self.venue / "public/venue.vkey"
        self.proof = folder / f"proofs/{self.account}.json"

    @property
    def verify(self) -> Sequence[object]:
        """A command line that is VERIFIED."""
        return ["verify", self.proof, "--key", self.vkey, "--account", self.account]

    def balance(self, console: Console, ledger: str = "BTC/margin") -> str:
        """The balance that the proof shows, in natural units."""
        shown: Mapping[str, Any] = console(*self.verify, "--format", "json").json()
        found: str = next(
            balance["amount"]["natural"]
            for balance in shown["balances"]
            if f"{balance['asset']}/{balance['book']}" == ledger
        )
        return found


_shops: list[Shop] = []


def open_shop(folder: Path) -> Shop:
    """The shop that all tests look at; the first one asked for is made in `folder`."""
    if not _shops:
        answer = Console(folder)("demo", folder / "demo")
        assert answer.code == 0, answer
        _shops.append(Shop(folder / "demo"))
    return _shops[0]
