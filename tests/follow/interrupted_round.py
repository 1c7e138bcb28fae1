"""A follower that is interrupted at its n-th step. A script: it makes one copy a point, and forks.

    python interrupted_round.py PUBLIC STATE COPIES VKEY HOW

HOW is `kill`, or `full` for a disk that has no room from the n-th write on.
PYTHONPATH names the folder of auditkit.

Writes one JSON object: the steps of a round that nobody interrupts, and for
every point how that copy's follower ended.
"""

import errno
import json
import os
import shutil
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

from auditkit.follow.follower import Follower
from auditkit.follow.source import Folder
from auditkit.follow.state import State
from auditkit.verify.note import VerifierKey

_MAKING = ("open", "os.mkdir", "os.rename")
_TAKING = ("os.remove", "os.rmdir")
_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT


def watch(root: str, step: Callable[[str], None], how: str) -> None:
    """Call `step` before everything that this process does to files below `root`."""

    def audit(event: str, given: tuple[Any, ...]) -> None:
        if event in (_MAKING if how == "full" else _MAKING + _TAKING):
            path = os.fsdecode(given[0]) if isinstance(given[0], str | bytes | os.PathLike) else ""
            reading = event == "open" and not int(given[2] or 0) & _WRITES
            if (path.startswith(root) or not path.startswith("/")) and not reading:
                step(f"{event} {path.removeprefix(root)}")

    def fsync(descriptor: int) -> None:
        step("fsync")
        os.fstat(descriptor)

    os.fsync = fsync  # type: ignore[assignment]
    sys.addaudithook(audit)


def child(public: Path, state: Path, key: VerifierKey, how: str, point: int | None) -> NoReturn:
    """Follow in this process, which ends here: killed, or with 0, or 3 for a full disk."""
    steps: list[str] = []

    def step(what: str) -> None:
        steps.append(what)
        if point is not None and len(steps) > point:
            if how == "kill":
                os.kill(os.getpid(), signal.SIGKILL)
            raise OSError(errno.ENOSPC, "No space left on device")

    code = 1
    try:
        with State.opened(state) as held:
            watch(str(state), step, how)
            Follower(Folder(public), held, key).round()
        code = 0
    except OSError as error:
        code = 3 if error.errno == errno.ENOSPC else 4
    finally:
        if point is None:
            state.with_name("steps.json").write_text(json.dumps(steps))
        os._exit(code)


def run(public: Path, state: Path, copy: Path, *about: Any) -> int:
    """Fork a follower with a copy of the state; its exit code, or minus the signal."""
    shutil.copytree(state, copy)
    if (process := os.fork()) == 0:
        child(public, copy, *about)
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])


def main(public: Path, state: Path, copies: Path, vkey: str, how: str) -> None:
    key = VerifierKey.parse(vkey)
    if run(public, state, copies / "whole", key, how, None):
        raise SystemExit("the round fails even when nobody interrupts it")
    steps: list[str] = json.loads((copies / "steps.json").read_text())
    ends = {n: run(public, state, copies / str(n), key, how, n) for n in range(len(steps))}
    print(json.dumps({"steps": steps, "ends": ends}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3]), *sys.argv[4:])
