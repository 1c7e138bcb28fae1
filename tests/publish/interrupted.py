"""A publisher that is interrupted at its n-th step. A script: it makes one copy a point, and forks.

    python interrupted.py FOLDER COPIES WORK FILE HOW POINTS

FOLDER holds an exchange (tests/exchange.py), which publishes FILE, a books.toml
for WORK `snapshot`, an event.toml for `loss`, or the file of a new key for `rotate`. HOW
is `kill`, or `full` for a disk that has no room from the n-th write on. POINTS is `spread`
or `all`.
PYTHONPATH names the folders of exchange.py and of auditkit.

Writes one JSON object: the steps of a publish that nobody interrupts, and for
every point how that copy's publisher ended.
"""

import errno
import json
import os
import shutil
import signal
import sqlite3
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

from exchange import Exchange
from rotating import change_key

SPREAD = 16
AROUND = 4
_MAKING = ("open", "os.mkdir", "os.rename")
_TAKING = ("os.remove", "os.rmdir")
_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT

Step = Callable[[str], None]


def watch(root: str, step: Step, how: str) -> None:
    """Call `step` before everything that this process does to files below `root`."""

    def audit(event: str, given: tuple[Any, ...]) -> None:
        if event in (_MAKING if how == "full" else _MAKING + _TAKING):
            path = os.fsdecode(given[0]) if isinstance(given[0], str | bytes | os.PathLike) else ""
            reading = event == "open" and not int(given[2] or 0) & _WRITES
            if path.startswith(root) and not reading:
                step(f"{event} {path[len(root) :]}")

    connect = sqlite3.connect

    def fsync(descriptor: int) -> None:
        step("fsync")
        os.fstat(descriptor)

    def traced(*given: Any, **named: Any) -> sqlite3.Connection:
        connection: sqlite3.Connection = connect(*given, **named)
        if how == "kill":
            connection.set_trace_callback(lambda text: step(f"sql {' '.join(text.split())[:40]}"))
        return connection

    os.fsync = fsync  # type: ignore[assignment]
    sqlite3.connect = traced  # type: ignore[assignment]
    sys.addaudithook(audit)


def child(folder: Path, work: str, file: str, how: str, point: int | None) -> NoReturn:
    """Publish in this process, which ends here: killed, or with 0, or 3 for a full disk."""
    steps: list[str] = []

    def step(what: str) -> None:
        steps.append(what)
        if point is not None and len(steps) > point:
            if how == "kill":
                os.kill(os.getpid(), signal.SIGKILL)
            raise OSError(errno.ENOSPC, "No space left on device")

    code = 1
    try:
        exchange = Exchange.at(folder)
        watch(str(exchange.root), step, how)
        if work == "rotate":
            change_key(exchange, folder / "books" / file)
        else:
            publish = exchange.snapshot if work == "snapshot" else exchange.loss
            publish(folder / "books" / file)
        code = 0
    except OSError as error:
        code = 3 if error.errno == errno.ENOSPC else 4
    finally:
        if point is None:
            (folder / "steps.json").write_text(json.dumps(steps))
        os._exit(code)


def run(folder: Path, copy: Path, *about: Any) -> int:
    """Fork a publisher of a copy; its exit code, or minus the signal that ended it."""
    shutil.copytree(folder, copy)
    if (process := os.fork()) == 0:
        child(copy, *about)
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])


def main(folder: Path, copies: Path, work: str, file: str, how: str, points: str) -> None:
    whole = copies / "whole"
    if run(folder, whole, work, file, how, None):
        raise SystemExit("the publish fails even when nobody interrupts it")
    steps: list[str] = json.loads((whole / "steps.json").read_text())
    chosen = set(range(len(steps)))
    if points == "spread":
        # The commit: SQLite's own, or where the first file is written that anyone may read.
        commit = next(n for n, s in enumerate(steps) if s == "sql COMMIT" or "/public/" in s)
        chosen = {round(n * (len(steps) - 1) / (SPREAD - 1)) for n in range(SPREAD)}
        chosen |= set(range(commit - AROUND, commit + AROUND + 1))
    ends = {n: run(folder, copies / str(n), work, file, how, n) for n in sorted(chosen)}
    print(json.dumps({"steps": steps, "ends": ends}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), *sys.argv[3:])
