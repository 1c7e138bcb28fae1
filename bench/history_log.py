"""A history of 130,000 entries: publish one more, prove from a cold start, follow and check it.

    python bench/history_log.py                     one pool
    python bench/history_log.py --pools 20          twenty pools in each entry
    python bench/history_log.py --most-publish 0.5 --most-prove 0.3 --most-memory 300
    python bench/history_log.py --most-follow 30 --most-more 3 --most-fsck 20

The log is the fund's, a minute an entry, with a snapshot near its end. What is
timed are commands as whole processes, the short ones a few times, of which the
fastest counts; memory is the most that one of them ever held, as the kernel
counted it. A follower begins from nothing, and then follows one entry more.
Fails above the bounds, which are seconds and megabytes. With --keep the venue
is made in that folder, and found there the next time.
"""

import argparse
import sys
import tempfile
from pathlib import Path

from fund_series import Took, prepare, run

ENTRIES = 130_000
ACCOUNTS = 10_000
ROUNDS = 5


def build(folder: Path, pools: int, entries: int) -> None:
    """A venue with so many fund entries and a snapshot, and all its head promises."""
    table, publish = prepare(folder, pools, entries, ".parquet"), ("--venue", folder / "venue")
    run("backfill", "publish", "fund", *publish, "--backfill", table)
    rows = "".join(f"user-{n},{n}.25\n" for n in range(ACCOUNTS))
    (folder / "balances.csv").write_text("account,btc\n" + rows)
    (folder / "books.toml").write_text(
        '[source]\nfiles = ["balances.csv"]\naccount = "account"\n'
        '[[ledger]]\nasset = "BTC"\ncolumn = "btc"\n'
    )
    run("snapshot", "publish", "snapshot", *publish, "--books", folder / "books.toml")


def fastest(what: str, *arguments: object) -> Took:
    """The fastest of a few runs of one command, with the most memory that one of them held."""
    runs = [run(what, *arguments) for _ in range(ROUNDS)]
    quick = min(runs, key=lambda took: took.seconds)
    return Took(what, quick.seconds, quick.cpu, max(took.megabytes for took in runs))


def measure(folder: Path) -> dict[str, Took]:
    """What the bounds are for, by the bound's name."""
    venue, file = folder / "venue", folder / "proof.json"
    public, key = venue / "public", ("--key", venue / "public/venue.vkey")
    publish = ("publish", "fund", "--venue", venue, "--pools", folder / "pools.toml")
    prove = ("prove", "--venue", venue, "--account", "user-77", "-o", file)
    took = {"publish": fastest("publish fund", *publish), "prove": fastest("prove", *prove)}
    with tempfile.TemporaryDirectory() as name:
        follow = ("follow", public, "--state", Path(name) / "state", *key)
        took["follow"] = run("follow", *follow)
        run("publish fund", *publish)
        took["more"] = run("follow one entry more", *follow)
    took["fsck"] = run("fsck", "fsck", public, *key)
    return took


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pools", type=int, default=1)
    parser.add_argument("--entries", type=int, default=ENTRIES)
    parser.add_argument("--keep", type=Path)
    for bound in ("publish", "prove", "follow", "more", "fsck", "memory"):
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
