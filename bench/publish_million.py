"""Publish a million accounts: the whole process against a plain hashlib loop over the same rows.

    python bench/publish_million.py                  auditkit publish snapshot
    python bench/publish_million.py --only build     only the rows -> a stored ledger

Both read the same Parquet file, derive the same salts, and build the same sum
tree (SPEC.md §2). The loop's time is that of its loop alone: its interpreter,
its imports and its reading of the file are free, and it stores nothing. What
is held against it is a whole process, from its start to its end.
"""

import argparse
import hmac
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

SECRET = bytes(range(32))
VENUE = "bench.example/million"

POLICY = """
book = "margin"
books = ["margin"]
waterfall = ["draw"]
adl_rank = "pnl-times-leverage"
rule = "cumulative/1"
mark_rule = "median"
deadline_ms = 600000
snapshot_interval_ms = 3600000
fund_interval_ms = 60000
fund_history_days = 90
oi_window_days = 30
oi_threshold = [1, 10]

[assets]
USDT = 8

[pools.main]
asset = "USDT"
floor = "0"
"""

BOOKS = """
units = "natural"

[source]
files = ["accounts.parquet"]
account = "account"

[[ledger]]
asset = "USDT"
book = "margin"
column = "balance"
"""


def generate(path: Path, rows: int) -> None:
    """Distinct numeric accounts of up to nine digits, and balances with eight decimals."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq

    random = np.random.default_rng(20251010)
    accounts = random.choice(200 * rows, rows, replace=False).astype(str)
    limbs = np.zeros((rows, 2), np.int64)
    limbs[:, 0] = random.lognormal(22, 4, rows).clip(0, 1e18)
    balances = pa.Array.from_buffers(pa.decimal128(38, 8), rows, [None, pa.py_buffer(limbs)])
    pq.write_table(pa.table({"account": pa.array(accounts), "balance": balances}), path)


def loop(file: Path) -> dict[str, object]:
    """The plain way: one hashlib call after the other."""
    import pyarrow.parquet as pq

    table = pq.read_table(file)
    names = [name.encode() for name in table["account"].to_pylist()]
    amounts = [int(balance.scaleb(8)) for balance in table["balance"].to_pylist()]
    start = time.perf_counter()
    total, node = root(names, amounts)
    return {"root": node.hex(), "total": total, "seconds": time.perf_counter() - start}


def root(names: list[bytes], amounts: list[int]) -> tuple[int, bytes]:
    """The ledger's total and its 48-byte root."""
    leaves = []
    for name, amount in zip(names, amounts, strict=True):
        leaves.append((hmac.digest(SECRET, name + b"\x000", "sha256"), amount, name))
    leaves.sort()
    level = []
    for salt, amount, name in leaves:
        units = amount.to_bytes(16, "big")
        level.append((amount, units + sha256(b"\x02" + salt + units + name).digest()))
    while len(level) > 1:
        above = []
        for (left_sum, left), (right_sum, right) in zip(level[::2], level[1::2], strict=False):
            both = left_sum + right_sum
            node = both.to_bytes(16, "big") + sha256(b"\x03" + left + right).digest()
            above.append((both, node))
        level = above + level[len(level) // 2 * 2 :]
    return level[0]


def build(file: Path) -> dict[str, object]:
    """The same rows through auditkit's build: read, hash, order, store."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq

    from auditkit.ledger.columns import Balances
    from auditkit.ledger.store import build as build_ledger

    table = pq.read_table(file)
    accounts = table["account"].combine_chunks().cast(pa.binary())
    balances = table["balance"].combine_chunks()
    # Arrow keeps the low half of a decimal first.
    words = np.frombuffer(balances.buffers()[1], np.uint64).reshape(-1, 2)
    with tempfile.TemporaryDirectory(dir=file.parent) as folder:
        ledger = build_ledger(Path(folder) / "ledger", Balances(accounts, words[:, ::-1]), SECRET)
        return {"root": (ledger.total.to_bytes(16, "big") + ledger.root).hex()}


Subject = Callable[[int], list[str]]
"""What is under test: the command line of one process, for each round."""


def build_process(folder: Path) -> Subject:
    """Only the build, as a process of its own."""
    return lambda _: [sys.executable, __file__, "--run", "build", str(folder / "accounts.parquet")]


def publish_process(folder: Path) -> Subject:
    """`auditkit publish snapshot`, each round on a new venue that is set up before the clock."""
    (folder / "books.toml").write_text(BOOKS)
    (folder / "policy.toml").write_text(POLICY)

    def prepare(round_: int) -> list[str]:
        key, venue = folder / f"key-{round_}", folder / f"venue-{round_}"
        auditkit = [sys.executable, "-m", "auditkit"]
        _run([*auditkit, "key", "new", VENUE, "-o", str(key), "--no-passphrase"])
        policy = str(folder / "policy.toml")
        _run([*auditkit, "venue", "init", str(venue), "--key", str(key), "--policy", policy])
        books = str(folder / "books.toml")
        where = ["--venue", str(venue), "--books", books]
        return [*auditkit, "publish", "snapshot", *where, "--format", "json"]

    return prepare


def _run(command: list[str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=_environment())
    if done.returncode:
        sys.exit(f"{' '.join(command)} gave {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout


def _environment() -> dict[str, str]:
    here = str(Path(__file__).resolve().parents[1])
    return {**os.environ, "PYTHONPATH": here}


def timed(command: list[str]) -> tuple[float, str]:
    """A process's wall time in seconds from start to end, and what it printed."""
    start = time.perf_counter()
    printed = _run(command)
    return time.perf_counter() - start, printed


def compare(only: str, rows: int, rounds: int) -> dict[str, Any]:
    """Loop and subject in turn, `rounds` times; medians in seconds."""
    subject_of = {"build": build_process, "publish": publish_process}[only]
    alone, looped, whole = [], [], []
    with tempfile.TemporaryDirectory(prefix="auditkit-bench-") as name:
        folder = Path(name)
        file = folder / "accounts.parquet"
        generate(file, rows)
        subject = subject_of(folder)
        for round_ in range(rounds):
            seconds, printed = timed([sys.executable, __file__, "--run", "loop", str(file)])
            plain = json.loads(printed)
            looped.append(seconds)
            alone.append(plain["seconds"])
            seconds, printed = timed(subject(round_))
            whole.append(seconds)
            # A publisher draws its own secret, so only the total can be compared with the loop's.
            if str(plain["root" if only == "build" else "total"]) not in printed:
                sys.exit(f"the two do not agree: {plain}\n{printed}")
            _report(f"round {round_ + 1}", alone[-1:], looped[-1:], whole[-1:])
    return _report("median", alone, looped, whole)


def _report(title: str, *columns: list[float]) -> dict[str, Any]:
    loop_alone, loop_process, subject = map(statistics.median, columns)
    ratio = loop_alone / subject
    print(
        f"{title:8}  loop alone {loop_alone:6.2f} s  loop's process {loop_process:6.2f} s"
        f"  auditkit's process {subject:6.2f} s  loop alone / auditkit's process {ratio:5.2f}",
        flush=True,
    )
    return {"loop": loop_alone, "process": subject, "ratio": ratio}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--only", choices=["build", "publish"], default="publish")
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--least", type=float, help="fail if the median ratio is below this")
    parser.add_argument("--run", nargs=2, metavar=("WHAT", "FILE"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.run:
        what, file = options.run
        if what == "generate":
            generate(Path(file), options.rows)
        else:
            print(json.dumps({"loop": loop, "build": build}[what](Path(file))))
        return
    found = compare(options.only, options.rows, options.rounds)
    if options.least and found["ratio"] < options.least:
        sys.exit(f"the ratio {found['ratio']:.2f} is below {options.least}")


if __name__ == "__main__":
    main()
