"""Ninety days of the insurance fund, minute by minute: logged in bulk, continued, and read.

    python bench/fund_series.py                     one pool, 129,600 entries
    python bench/fund_series.py --pools 20          twenty pools in each of them
    python bench/fund_series.py --csv               from CSV with times as text, not from Parquet
    python bench/fund_series.py --most-backfill 40 --most-show 8 --most-append 0.5 --most-memory 400

Each pool earns a fee every minute and a surplus in about a third of them.
What is timed are commands as whole processes; memory is the most that a
process ever held, as the kernel counted it. Fails above the bounds, which
are seconds and megabytes. The table is made in a process of its own: a new
process is counted with what the one that starts it ever held.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

from auditkit.verify.elements import time_text

MINUTES = 90 * 24 * 60
ASSETS = {"BTC": 8, "USDT": 6}
Numbers = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True, slots=True)
class Took:
    """What one command needed."""

    what: str
    seconds: float
    cpu: float
    megabytes: float


def decimals(units: Numbers, places: int) -> pa.Array:
    """64-bit units, not negative, as decimals with so many digits after the point."""
    words = np.column_stack((units.astype(np.int64), np.zeros(len(units), np.int64)))
    kind = pa.decimal128(38, places)
    return pa.Array.from_buffers(kind, len(units), [None, pa.py_buffer(words)])


def names(count: int) -> dict[str, str]:
    """So many pools, and the asset of each."""
    return {f"pool-{n:02d}": list(ASSETS)[n % len(ASSETS)] for n in range(count)}


def generate(path: Path, pools: list[str], minutes: int, start: int) -> None:
    """The table of so many minutes from `start`, a row for each minute and pool."""
    chance, rows = np.random.default_rng(4), minutes * len(pools)
    fee = chance.integers(1, 100_000, rows)
    surplus = np.where(chance.random(rows) < 1 / 3, chance.integers(1, 10_000_000, rows), 0)
    interest = 10**11 + chance.integers(0, 10**10, rows)
    number = np.arange(rows)
    times = start + 60_000 * (number // len(pools))
    if path.suffix == ".csv":
        texts = pa.array([time_text(t) for t in times[:: len(pools)].tolist()])
        said = texts.take(pa.array(number // len(pools)))
    else:
        said = pa.array(times)
    table = pa.table(
        {
            "pool": pa.array(pools).take(pa.array(number % len(pools))),
            "time": said,
            # Six digits fit both assets.
            "open_interest": decimals(interest, 6),
            "liquidation_fee": decimals(fee, 6),
            "liquidation_surplus": decimals(surplus, 6),
        }
    )
    if path.suffix == ".csv":
        pa.csv.write_csv(table, path)
    else:
        pa.parquet.write_table(table, path)


def run(what: str, *arguments: object) -> Took:
    """Run one command as a whole process."""
    command = [sys.executable, "-m", "auditkit", *map(str, arguments)]
    with tempfile.TemporaryFile("w+") as output:
        start = time.perf_counter()
        process = subprocess.Popen(command, stdout=output, stderr=output)
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - start
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            output.seek(0)
            sys.exit(f"{' '.join(command)}\n{output.read()[-2000:]}")
    return Took(what, seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024)


def prepare(folder: Path, count: int, minutes: int, ending: str) -> Path:
    """Make a venue and the table of its history in `folder`; the table."""
    pools = names(count)
    policy, key, venue = folder / "policy.toml", folder / "bench.pem", folder / "venue"
    policy.write_text(
        "[assets]\n"
        + "".join(f"{asset} = {places}\n" for asset, places in ASSETS.items())
        + "".join(f'[pools.{pool}]\nasset = "{asset}"\n' for pool, asset in pools.items())
    )
    (folder / "pools.toml").write_text(
        "".join(
            f'[[pool]]\npool = "{pool}"\nopen_interest = "1000"\n'
            'credits = [{ kind = "liquidation_fee", amount = "0.01" }]\n'
            for pool in pools
        )
    )
    start = (time.time_ns() // 60_000_000_000 - minutes) * 60_000
    table = folder / f"fund{ending}"
    make = (sys.executable, __file__, "--generate", table, "--from", start)
    told = (*make, "--pools", count, "--minutes", minutes)
    subprocess.run([str(word) for word in told], check=True)
    run("key", "key", "new", "bench.example/fund", "-o", key, "--no-passphrase")
    before = ("--time", time_text(start - 1000))
    run("init", "venue", "init", venue, "--key", key, "--policy", policy, *before)
    return table


def measure(folder: Path, count: int, minutes: int, ending: str) -> list[Took]:
    """Log, continue and show a fund in `folder`."""
    table, venue = prepare(folder, count, minutes, ending), folder / "venue"
    now, publish = folder / "pools.toml", ("publish", "fund", "--venue", venue)
    return [
        run("publish fund --backfill", *publish, "--backfill", table),
        run("publish fund", *publish, "--pools", now),
        run("fund show", "fund", "show", "--venue", venue, "--key", venue / "public/venue.vkey"),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pools", type=int, default=1)
    parser.add_argument("--minutes", type=int, default=MINUTES)
    parser.add_argument("--csv", action="store_true")
    for bound in ("backfill", "append", "show", "memory"):
        parser.add_argument(f"--most-{bound}", type=float, default=float("inf"))
    parser.add_argument("--generate", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--from", dest="start", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.generate:
        generate(options.generate, list(names(options.pools)), options.minutes, options.start)
        return
    with tempfile.TemporaryDirectory() as name:
        ending = ".csv" if options.csv else ".parquet"
        took = measure(Path(name), options.pools, options.minutes, ending)
    print(f"{options.minutes} minutes, pools: {options.pools}")
    for each in took:
        seconds = f"{each.seconds:8.2f} s {each.cpu:8.2f} s of CPU"
        print(f"{each.what:24} {seconds} {each.megabytes:8.0f} MB")
    bounds = (options.most_backfill, options.most_append, options.most_show)
    if any(each.seconds > most for each, most in zip(took, bounds, strict=True)):
        sys.exit("slower than the bound")
    if max(each.megabytes for each in took) > options.most_memory:
        sys.exit("more memory than the bound")


if __name__ == "__main__":
    main()
