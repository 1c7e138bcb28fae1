"""Publishers that strace is to interrupt at their n-th call of a kind. A script, run under strace.

    python traced.py COPIES POOLS KIND WHEN NUMBER...

COPIES holds copies of one exchange (tests/exchange.py), named by number. In a
process of its own each of those named publishes the fund entry of the file
POOLS. strace counts the calls of each process and interrupts the WHEN-th of a
KIND; publisher n spends all but n of them on nothing, before it begins, so
that its own n-th call is that one. So one strace and one start of Python do
for all of them.

Writes one JSON object: by number, the process of each publisher and how it
ended. 0 published, 3 an OSError, 4 a refusal in plain words, 70 anything else,
or minus the signal.
"""

import contextlib
import fcntl
import json
import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NoReturn

from exchange import Exchange

from auditkit.errors import DamagedError, InputError

NOWHERE = Path("/nonexistent/file")

Nothing = Callable[[int, int], object]
"""A call that does nothing, given a descriptor of /dev/null and one of a pipe."""

KINDS: Mapping[str, tuple[str, Nothing]] = {
    # What strace calls them, on machines old and new.
    "open": ("?open,?openat", lambda null, pipe: os.close(os.open("/dev/null", os.O_RDONLY))),
    "write": ("write", lambda null, pipe: os.write(null, b"")),
    "pwrite": ("pwrite64", lambda null, pipe: os.pwrite(null, b"", 0)),
    "fsync": ("fsync", lambda null, pipe: os.fsync(pipe)),
    "fdatasync": ("fdatasync", lambda null, pipe: os.fdatasync(pipe)),
    "rename": ("?rename,?renameat,?renameat2", lambda null, pipe: NOWHERE.rename(NOWHERE)),
    "unlink": ("?unlink,?unlinkat", lambda null, pipe: NOWHERE.unlink()),
    "mkdir": ("?mkdir,?mkdirat", lambda null, pipe: NOWHERE.mkdir()),
    "rmdir": ("?rmdir", lambda null, pipe: NOWHERE.rmdir()),
    "link": ("?link,?linkat", lambda null, pipe: NOWHERE.hardlink_to(NOWHERE)),
    "truncate": ("ftruncate", lambda null, pipe: os.ftruncate(pipe, 0)),
    "chown": ("fchown", lambda null, pipe: os.fchown(pipe, -1, -1)),
    "chmod": ("fchmod", lambda null, pipe: os.fchmod(pipe, 0o600)),
    # These change nothing, but they can fail.
    "read": ("read", lambda null, pipe: os.read(null, 1)),
    "pread": ("pread64", lambda null, pipe: os.pread(null, 1, 0)),
    "stat": ("?stat,?newfstatat", lambda null, pipe: NOWHERE.parent.exists()),
    "fstat": ("?fstat,?statx", lambda null, pipe: os.fstat(null)),
    "readlink": ("?readlink,?readlinkat", lambda null, pipe: NOWHERE.readlink()),
    "access": ("?access,?faccessat", lambda null, pipe: os.access("/dev/null", os.R_OK)),
    "flock": ("flock", lambda null, pipe: fcntl.flock(null, fcntl.LOCK_UN)),
    "lock": ("fcntl", lambda null, pipe: fcntl.fcntl(null, fcntl.F_GETFD)),
    "list": ("getdents64", lambda null, pipe: [*Path("/proc/self/task").iterdir()]),
    "seek": ("lseek", lambda null, pipe: os.lseek(null, 0, os.SEEK_SET)),
    "close": ("close", lambda null, pipe: os.close(-1)),
}
CHANGING = [*KINDS][: [*KINDS].index("chmod") + 1]


def publish(folder: Path, pools: Path) -> int:
    """Publish a fund entry; the exit code."""
    from auditkit.publish import fund

    try:
        exchange = Exchange.at(folder)
        exchange.publish(lambda draft: fund.publish(draft, fund.read(pools, draft.policy)))
    except OSError:
        return 3
    except (InputError, DamagedError):
        return 4
    return 0


def child(folder: Path, pools: Path, kind: str, idle: int) -> NoReturn:
    """Publish after so many calls of the kind that do nothing; this process ends here."""
    code, null, pipe = 70, os.open("/dev/null", os.O_RDWR), os.pipe()[0]
    try:
        for _ in range(idle):
            with contextlib.suppress(OSError):
                KINDS[kind][1](null, pipe)
        code = publish(folder, pools)
    finally:
        os._exit(code)


def main(copies: Path, pools: Path, kind: str, when: int, *numbers: int) -> None:
    publish(copies / "warm", pools)  # Whatever is imported late is imported here.
    ends, made = {}, {}
    for number in numbers:
        if (process := os.fork()) == 0:
            child(copies / str(number), pools, kind, max(0, when - number))
        made[number] = process
        ends[number] = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
    print(json.dumps({"ends": ends, "processes": made}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3], *map(int, sys.argv[4:]))
