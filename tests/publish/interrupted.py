"""A publisher that is interrupted at its n-th step. A script: it makes one copy a point, and forks.

    python interrupted.py FOLDER COPIES WORK FILE HOW POINTS

FOLDER holds an exchange (tests/exchange.py), which publishes FILE, a books.toml
for WORK `snapshot`, an event.toml for `loss`, or the file of a new key for `rotate`. HOW
is `kill`, or `full` for a disk that has no room from the n-th write on. POINTS is `spread`
or `all`.
PYTHONPATH names the folders of exchange.py and stepped.py, and of auditkit.

Writes one JSON object: the steps of a publish that nobody interrupts, and for
every point how that copy's publisher ended.
"""

import json
import sqlite3
import sys
from pathlib import Path
from typing import Any

import stepped
from exchange import Exchange
from rotating import change_key

SPREAD = 16
AROUND = 4


def watch(root: Path, step: stepped.Step, how: str) -> None:
    """Call `step` before everything that this process does to a venue's files, from now on."""
    connect = sqlite3.connect

    def traced(*given: Any, **named: Any) -> sqlite3.Connection:
        connection: sqlite3.Connection = connect(*given, **named)
        if how == "kill":
            connection.set_trace_callback(lambda text: step(f"sql {' '.join(text.split())[:40]}"))
        return connection

    sqlite3.connect = traced  # type: ignore[assignment]
    stepped.watch(root, step, how)


def main(folder: Path, copies: Path, work: str, file: str, how: str, points: str) -> None:
    def publish(copy: Path, step: stepped.Step) -> None:
        exchange = Exchange.at(copy)
        watch(exchange.root, step, how)
        if work == "rotate":
            change_key(exchange, copy / "books" / file)
        else:
            (exchange.snapshot if work == "snapshot" else exchange.loss)(copy / "books" / file)

    def run(name: str, point: int | None) -> int:
        return stepped.run(publish, folder, copies / name, how, point)

    if run("whole", None):
        raise SystemExit("the publish fails even when nobody interrupts it")
    steps: list[str] = json.loads(stepped.steps_of(copies / "whole").read_text())
    chosen = set(range(len(steps)))
    if points == "spread":
        # The commit: SQLite's own, or where the first file is written that anyone may read.
        commit = next(n for n, s in enumerate(steps) if s == "sql COMMIT" or "/public/" in s)
        chosen = {round(n * (len(steps) - 1) / (SPREAD - 1)) for n in range(SPREAD)}
        chosen |= set(range(commit - AROUND, commit + AROUND + 1))
    ends = {n: run(str(n), n) for n in sorted(chosen)}
    print(json.dumps({"steps": steps, "ends": ends}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), *sys.argv[3:])
