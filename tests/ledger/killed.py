"""A build that is killed at its n-th step, for every n. A script, which forks.

    python killed.py FOLDER LARGE

Builds FOLDER/<n>/ledger, killed before the n-th time that it writes, waits
for the disk, renames or removes; the last one is not killed. If
LARGE is not 0 the crew builds it, in many runs and blocks. FOLDER/steps.json
says what each step was.
"""

import json
import os
import signal
import sys
from pathlib import Path
from typing import Any, NoReturn

from auditkit.ledger import blocks, engine, sorting, stored
from auditkit.ledger.builder import build
from auditkit.ledger.columns import Balances

ROWS = [*[(f"u{place}", place) for place in range(1000)], ("u7", 8)]
STEPS = ("pwrite", "write", "fsync", "rename", "unlink")


def child(folder: Path, point: int) -> NoReturn:
    """Build in this process, which ends here."""
    steps: list[str] = []

    def watched(name: str) -> Any:
        real = getattr(os, name)

        def call(*given: Any, **named: Any) -> Any:
            if len(steps) >= point:
                os.kill(os.getpid(), signal.SIGKILL)
            steps.append(name)
            return real(*given, **named)

        return call

    for name in STEPS:
        setattr(os, name, watched(name))
    code = 1
    try:
        build(folder / "ledger", Balances.of(ROWS), bytes(32))
        (folder.parent / "steps.json").write_text(json.dumps(steps))
        code = 0
    finally:
        os._exit(code)


def main(folder: Path, large: bool) -> None:
    if large:
        import datafusion  # noqa: F401, so that not every child has to

        engine.SMALL, engine.CHUNK, sorting._FEW = 1, 400, 300
        for module in (blocks, stored):
            module.BLOCK = 256  # type: ignore[attr-defined]
    point, ended = 0, -signal.SIGKILL
    while ended == -signal.SIGKILL:
        (folder / str(point)).mkdir(parents=True)
        if (process := os.fork()) == 0:
            child(folder / str(point), point)
        ended = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
        point += 1
    raise SystemExit(ended)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2] != "0")
