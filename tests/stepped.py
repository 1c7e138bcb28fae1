"""Work on files that is interrupted at its n-th step, in a process of its own."""

import errno
import json
import os
import shutil
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

Step = Callable[[str], None]
"""Is called before each step, with what it is."""

_MAKING = ("open", "os.mkdir", "os.rename")
_TAKING = ("os.remove", "os.rmdir")
_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT


def watch(root: Path, step: Step, how: str) -> None:
    """Call `step` before everything that this process does to files below `root`, from now on."""

    def audit(event: str, given: tuple[Any, ...]) -> None:
        if event in (_MAKING if how == "full" else _MAKING + _TAKING):
            path = os.fsdecode(given[0]) if isinstance(given[0], str | bytes | os.PathLike) else ""
            reading = event == "open" and not int(given[2] or 0) & _WRITES
            if (path.startswith(str(root)) or not path.startswith("/")) and not reading:
                step(f"{event} {path.removeprefix(str(root))}")

    def fsync(descriptor: int) -> None:
        step("fsync")
        os.fstat(descriptor)

    os.fsync = fsync  # type: ignore[assignment]
    sys.addaudithook(audit)


def _child(work: Callable[[Step], None], told: Path, how: str, point: int | None) -> NoReturn:
    steps: list[str] = []

    def step(what: str) -> None:
        steps.append(what)
        if point is not None and len(steps) > point:
            if how == "kill":
                os.kill(os.getpid(), signal.SIGKILL)
            raise OSError(errno.ENOSPC, "No space left on device")

    code = 1
    try:
        work(step)
        code = 0
    except OSError as error:
        code = 3 if error.errno == errno.ENOSPC else 4
    finally:
        if point is None:
            told.write_text(json.dumps(steps))
        os._exit(code)


def run(
    work: Callable[[Path, Step], None], folder: Path, copy: Path, how: str, point: int | None
) -> int:
    """Do the work in a fork, on a copy of a folder; its exit code, or minus the signal.

    At the step `point` it is killed, or finds the disk full from there on (3);
    without one, its steps are written beside the copy.
    """
    shutil.copytree(folder, copy)
    if (process := os.fork()) == 0:
        _child(lambda step: work(copy, step), steps_of(copy), how, point)
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])


def steps_of(copy: Path) -> Path:
    """Where the steps of work on that copy are written."""
    return copy.with_name("steps.json")
