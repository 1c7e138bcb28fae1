"""How auditkit grows: a snapshot, a whole loss event, proofs and an audit at several sizes.

    python bench/scale.py                        1, 10 and 40 million accounts
    python bench/scale.py --accounts 1000000     one size
    python bench/scale.py --rounds 3             medians of so many rounds (default 1)

Every figure is of a whole process, from its start to its end, with its peak
memory as the system counts it. Peers and limit are measured in the same run:
see `peers.py`. What is found is printed, kept as `bench/last.json`, and drawn
as `bench/scale.svg`; a bound of `bounds.py` that is missed makes the run fail.
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import report

HERE = Path(__file__).resolve().parent
VENUE = "bench.example/scale"
SIZES = [1_000_000, 10_000_000, 40_000_000]
PEERS_MOST = 10_000_000
"""A plain loop holds every account as Python objects: more of them do not fit into memory."""

POLICY = """
fund_interval_ms = 60000
waterfall = ["draw"]
deadline_ms = 600000

[assets]
USDT = 8
BTC = 8

[pools.main]
asset = "USDT"
"""

BOOKS = """
[source]
files = ["accounts.parquet"]
account = "account"

[[ledger]]
asset = "USDT"
column = "balance"
"""

Figures = dict[str, float]


def run(*command: object) -> tuple[float, float, str]:
    """A process's seconds from start to end, its peak memory in MiB, and what it printed."""
    given = list(map(str, command))
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        start = time.perf_counter()
        process = subprocess.Popen(given, stdout=out, stderr=err, env=_environment())
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - start
        process.returncode = os.waitstatus_to_exitcode(status)
        out.seek(0)
        printed = out.read().decode()
        if process.returncode:
            err.seek(0)
            sys.exit(f"{' '.join(given)} gave {process.returncode}\n{printed}{err.read().decode()}")
    return seconds, usage.ru_maxrss / 1024, printed


def _environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(HERE.parent)}


def auditkit(*arguments: object) -> tuple[float, float, str]:
    """One command of auditkit's as a whole process."""
    return run(sys.executable, "-m", "auditkit", *arguments)


def peer(what: str, file: Path) -> dict[str, Any]:
    """What one of the peers says of itself, and its peak memory in MiB."""
    _, memory, printed = run(sys.executable, HERE / "peers.py", what, file)
    found: dict[str, Any] = json.loads(printed)
    return {**found, "memory": memory}


def measure(folder: Path, accounts: int, peers: bool) -> Figures:
    """One round at one size: seconds, and MiB where a name ends in `memory`."""
    # By another process: what this one holds would count as the memory of those it starts.
    name = run(sys.executable, HERE / "accounts.py", folder / "accounts.parquet", accounts)[2]
    name = name.strip()
    figures: Figures = {}
    if peers and accounts <= PEERS_MOST:
        figures |= _peers(folder / "accounts.parquet", accounts)
    _describe(folder, name)
    key, venue, books = folder / "key", folder / "venue", folder / "books.toml"
    auditkit("key", "new", VENUE, "-o", key, "--no-passphrase")
    vkey = (auditkit("key", "show", key)[2]).strip()
    auditkit("venue", "init", venue, "--key", key, "--policy", folder / "policy.toml")
    where = ("--venue", venue)
    _keep(figures, "snapshot", *auditkit("publish", "snapshot", *where, "--books", books))
    figures |= _prove(folder, venue, vkey, name)
    if accounts <= 1_000_000:
        _keep(figures, "prove all", *auditkit("prove", *where, "--all", "-o", folder / "shards"))
        shards = ("--from", folder / "shards", "--account", name, "-o", folder / "again.json")
        _keep(figures, "prove from", *auditkit("prove", *shards))
    _keep(figures, "audit books", *auditkit("audit", "books", *where, "--books", books))
    auditkit("publish", "fund", *where, "--pools", folder / "pools.toml")
    _event(folder)
    _keep(figures, "event", *auditkit("publish", "loss", *where, "--event", folder / "event.toml"))
    return figures


def _keep(figures: Figures, name: str, seconds: float, memory: float, _: str) -> None:
    figures |= {name: seconds, f"{name} memory": memory}


def _peers(file: Path, accounts: int) -> Figures:
    plain = peer("loop", file)
    found = {"loop alone": plain["alone"], "loop": plain["whole"], "loop memory": plain["memory"]}
    if accounts <= 1_000_000:
        tree = peer("pymerkle", file)
        found |= {"pymerkle alone": tree["alone"], "pymerkle memory": tree["memory"]}
    return found


def _prove(folder: Path, venue: Path, vkey: str, name: str) -> Figures:
    figures: Figures = {}
    proof = folder / "proof.json"
    one = ("prove", "--venue", venue, "--account", name, "-o", proof)
    _keep(figures, "prove cold", *auditkit(*one))
    figures["proof bytes"] = proof.stat().st_size
    _keep(figures, "verify cold", *auditkit("verify", proof, "--account", name, "--key", vkey))
    warm = run(sys.executable, HERE / "warm.py", venue, name)[2]
    taken: Figures = json.loads(warm)
    return figures | taken


def _describe(folder: Path, name: str) -> None:
    (folder / "policy.toml").write_text(POLICY)
    (folder / "books.toml").write_text(BOOKS)
    (folder / "pools.toml").write_text('[[pool]]\npool = "main"\nopen_interest = "1000"\n')
    (folder / "deficits.csv").write_text("account,amount\nbankrupt,1234567.89012345\n")


def _event(folder: Path) -> None:
    confirmed = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    (folder / "event.toml").write_text(
        f'event = "crash"\npool = "main"\nconfirmed = "{confirmed}"\n'
        'books = "books.toml"\ndeficits = "deficits.csv"\n'
        '[[mark]]\ncontract = "BTCUSDT"\nsources = { a = "104782.5" }\n'
    )


def sizes(options: argparse.Namespace) -> dict[int, Figures]:
    """The medians of all rounds, by the number of accounts."""
    found: dict[int, Figures] = {}
    for accounts in options.accounts:
        rounds = []
        for number in range(options.rounds):
            with tempfile.TemporaryDirectory(prefix="auditkit-bench-", dir=options.folder) as name:
                rounds.append(measure(Path(name), accounts, options.peers))
            print(f"{accounts:,} accounts, round {number + 1} done", file=sys.stderr, flush=True)
        found[accounts] = {
            what: statistics.median(figures[what] for figures in rounds) for what in rounds[0]
        }
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--accounts", type=int, nargs="+", default=SIZES)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--no-peers", dest="peers", action="store_false")
    parser.add_argument("--folder", type=Path, help="where to work; left out: the system's own")
    parser.add_argument("--output", type=Path, default=HERE, help="for last.json and scale.svg")
    options = parser.parse_args()
    _, _, printed = run(sys.executable, HERE / "peers.py", "limit")
    limit = json.loads(printed)
    found = sizes(options)
    about = {"python": platform.python_version(), "when": datetime.now(UTC).date().isoformat()}
    result = {**about, "limit": limit, "accounts": {str(n): f for n, f in found.items()}}
    (options.output / "last.json").write_text(json.dumps(result, indent=1) + "\n")
    print(report.table(found, limit))
    report.plot(found, limit, options.output / "scale.svg")
    if missed := report.missed(found, limit):
        sys.exit("missed: " + "; ".join(missed))


if __name__ == "__main__":
    main()
