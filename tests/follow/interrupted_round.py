"""A follower that is interrupted at its n-th step. A script: it makes one copy a point, and forks.

    python interrupted_round.py PUBLIC STATE COPIES VKEY HOW

HOW is `kill`, or `full` for a disk that has no room from the n-th write on.
PYTHONPATH names the folders of stepped.py and of auditkit.

Writes one JSON object: the steps of a round that nobody interrupts, and for
every point how that copy's follower ended.
"""

import json
import sys
from pathlib import Path

import stepped

from auditkit.follow.follower import Follower
from auditkit.follow.source import Folder
from auditkit.follow.state import State
from auditkit.verify.note import VerifierKey


def main(public: Path, state: Path, copies: Path, vkey: str, how: str) -> None:
    key = VerifierKey.parse(vkey)

    def follow(copy: Path, step: stepped.Step) -> None:
        with State.opened(copy) as held:
            stepped.watch(copy, step, how)
            Follower(Folder(public), held, key).round()

    def run(name: str, point: int | None) -> int:
        return stepped.run(follow, state, copies / name, how, point)

    if run("whole", None):
        raise SystemExit("the round fails even when nobody interrupts it")
    steps: list[str] = json.loads(stepped.steps_of(copies / "whole").read_text())
    ends = {n: run(str(n), n) for n in range(len(steps))}
    print(json.dumps({"steps": steps, "ends": ends}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3]), *sys.argv[4:])
