"""A history of 130,000 entries: follow it from nothing and by a minute more, and check it offline.

    python bench/follow_log.py                      one pool
    python bench/follow_log.py --pools 20           twenty pools in each entry
    python bench/follow_log.py --most-follow 30 --most-more 3 --most-fsck 20 --most-memory 300

The log is that of history_log.py. It is followed over HTTP from a server on
this machine (auditkit venue serve), from its first entry and then by one more
that was published, and its published folder is checked with fsck. What is
timed are commands as whole processes; memory is the most that one of them
ever held, as the kernel counted it. Fails above the bounds, which are seconds
and megabytes. With --keep the venue is made in that folder, and found there
the next time.
"""

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from fund_series import Took, run
from history_log import ENTRIES, build


@contextmanager
def served(venue: Path) -> Iterator[str]:
    """The URL of the published folder, served by a process of its own."""
    serve = [sys.executable, "-m", "auditkit", "venue", "serve", str(venue)]
    process = subprocess.Popen(
        [*serve, "--port", "0", "--format", "json"], stdout=subprocess.PIPE, text=True
    )
    try:
        said = ""
        while process.stdout is not None and not said.endswith("}\n"):
            said += process.stdout.readline() or sys.exit(f"not served: {said}")
        yield json.loads(said)["url"]
    finally:
        process.terminate()
        process.wait()


def measure(folder: Path) -> dict[str, Took]:
    """What the bounds are for, by the bound's name."""
    venue, state = folder / "venue", folder / "state"
    shutil.rmtree(state, ignore_errors=True)
    key = ("--key", venue / "public/venue.vkey")
    with served(venue) as url:
        follow = ("follow", url, "--state", state, *key)
        whole = run("follow from nothing", *follow)
        run("publish", "publish", "fund", "--venue", venue, "--pools", folder / "pools.toml")
        more = run("follow one more", *follow)
    check = run("fsck", "fsck", venue / "public", *key)
    return {"follow": whole, "more": more, "fsck": check}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pools", type=int, default=1)
    parser.add_argument("--entries", type=int, default=ENTRIES)
    parser.add_argument("--keep", type=Path)
    for bound in ("follow", "more", "fsck", "memory"):
        parser.add_argument(f"--most-{bound}", type=float, default=float("inf"))
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = options.keep or Path(name)
        folder.mkdir(exist_ok=True)
        if not (folder / "venue").exists():
            build(folder, options.pools, options.entries)
        took = measure(folder)
    print(f"{options.entries} entries, pools: {options.pools}")
    for each in took.values():
        seconds = f"{each.seconds:8.2f} s {each.cpu:8.2f} s of CPU"
        print(f"{each.what:24} {seconds} {each.megabytes:8.0f} MB")
    if slow := [
        name for name, each in took.items() if each.seconds > vars(options)[f"most_{name}"]
    ]:
        sys.exit(f"slower than the bound: {', '.join(slow)}")
    if max(each.megabytes for each in took.values()) > options.most_memory:
        sys.exit("more memory than the bound")


if __name__ == "__main__":
    main()
