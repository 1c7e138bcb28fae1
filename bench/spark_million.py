"""One ledger by the local engine and by Spark in local mode: the same bytes, and what they took.

    python bench/spark_million.py                                 1,000,000 accounts; 1, 3, 8 parts
    python bench/spark_million.py --accounts 10000000 --parts 10  another size, in so many parts
    python bench/spark_million.py --cores 1                       one task at a time

Each build is a process of its own, under the same secret. Its processes are
looked at four times a second: CPU seconds, memory as shares of pages add up
to (PSS), and Spark's scratch files. Its stages are told apart by Spark's own
event log. A file that differs from the local engine's makes the run fail.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from filecmp import cmpfiles
from pathlib import Path
from typing import Any

from scale import BOOKS, run

HERE = Path(__file__).resolve().parent
SECRET = bytes(range(32))
POLICY = ({"USDT": 8}, ["margin"], "margin")
TICKS = 100
"""Of the clock that Linux counts CPU time by, in a second."""
STAGES = {"partitionBy": "salt, shuffle", "collect": "order", "count": "hash"}
"""What the builder's calls of Spark do, by their names in the event log."""
LAST = "join, write"

Figures = dict[str, float]


@dataclass
class Watch:
    """What a process and those it started use, looked at until it ends."""

    root: int
    scratch: Path
    cpu: dict[tuple[int, str], float] = field(default_factory=dict)
    memory: Counter[str] = field(default_factory=Counter)
    disk: int = 0

    def until(self, done: threading.Event) -> None:
        """Look four times a second."""
        while not done.wait(0.25):
            now: Counter[str] = Counter()
            for pid, kind in self._family(self.root, "driver"):
                try:
                    times = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
                    self.cpu[pid, kind] = (int(times[11]) + int(times[12])) / TICKS
                    rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
                except OSError:
                    continue
                now[kind] += int(rollup.partition("\nPss:")[2].split()[0]) // 1024
            self.memory |= now
            self.disk = max(self.disk, sum(_sizes(self.scratch)))

    def _family(self, pid: int, kind: str) -> Iterator[tuple[int, str]]:
        try:
            tasks = list(Path(f"/proc/{pid}/task").glob("*/children"))
            children = [int(child) for task in tasks for child in task.read_text().split()]
            name = Path(f"/proc/{pid}/comm").read_text().strip()
        except OSError:
            return
        kind = "java" if name == "java" else kind
        yield pid, kind
        for child in children:
            yield from self._family(child, "python" if kind == "java" else kind)

    def figures(self) -> Figures:
        """CPU seconds and MiB of the driver's Python, of Java, and of the executors' Python."""
        found: Figures = {}
        for (_, kind), seconds in self.cpu.items():
            found[f"{kind} CPU"] = found.get(f"{kind} CPU", 0) + seconds
        found |= {f"{kind} MiB": size for kind, size in self.memory.items()}
        return found | {"scratch bytes": self.disk}


def _sizes(folder: Path) -> Iterator[int]:
    for file in folder.rglob("*"):
        try:
            yield file.stat().st_size if file.is_file() else 0
        except OSError:
            continue


def measure(folder: Path, cores: int, parts: int) -> tuple[Figures, Path]:
    """Build one ledger in a process of its own; 0 parts: by the local engine."""
    name = f"spark-{parts}" if parts else "local"
    out, events, scratch = (folder / f"{name}-{what}" for what in ("out", "events", "scratch"))
    for made in (out, events, scratch):
        made.mkdir()
    command = [__file__, "--build", folder, "--cores", cores, "--parts", parts]
    start = time.time()
    process = subprocess.Popen(
        [sys.executable, *map(str, command)], stdout=subprocess.PIPE, text=True
    )
    watch, done = Watch(process.pid, scratch), threading.Event()
    looking = threading.Thread(target=watch.until, args=(done,))
    looking.start()
    printed, _ = process.communicate()
    whole = time.time() - start
    done.set()
    looking.join()
    if process.returncode:
        sys.exit(f"the build in {name} gave {process.returncode}")
    times: Figures = json.loads(printed)
    figures = {"whole": whole, **watch.figures()}
    if parts:
        figures |= {"start": times["started"] - start, "look": times["read"] - times["started"]}
        figures |= _stages(events, times)
    return figures, out


def _stages(events: Path, times: Figures) -> Figures:
    """The seconds of each stage, those of its tasks added up, and the bytes it shuffled."""
    found: dict[str, float] = defaultdict(float)
    spans: dict[str, list[float]] = defaultdict(list)
    names: dict[int, str] = {}
    logs = [file for file in events.rglob("events_*") if file.is_file()]
    for event in [json.loads(line) for log in logs for line in log.open()]:
        if event["Event"] == "SparkListenerStageCompleted":
            stage = event["Stage Info"]
            if stage["Submission Time"] / 1000 >= times["read"]:
                call = stage["Stage Name"].partition(" ")[0]
                names[stage["Stage ID"]] = what = STAGES.get(call, LAST)
                spans[what] += [stage["Submission Time"] / 1000, stage["Completion Time"] / 1000]
    for event in [json.loads(line) for log in logs for line in log.open()]:
        if event["Event"] == "SparkListenerTaskEnd" and event["Stage ID"] in names:
            what, metrics = names[event["Stage ID"]], event["Task Metrics"]
            found[f"{what}: tasks"] += metrics["Executor Run Time"] / 1000
            found["shuffled bytes"] += metrics["Shuffle Write Metrics"]["Shuffle Bytes Written"]
    found |= {what: max(spans[what]) - min(spans[what]) for what in STAGES.values()}
    found[LAST] = times["published"] - max(spans[STAGES["count"]])
    return dict(found)


def build(folder: Path, cores: int, parts: int) -> Figures:
    """Build the ledger here; the times at which that got on."""
    from auditkit.ledger.books import Books
    from auditkit.ledger.builder import Builder
    from auditkit.publish.snapshot import Local

    draft, books = folder / ".draft", folder / "books.toml"
    if not parts:
        with Builder(draft, SECRET, 1) as local:
            (made,) = Local(Books.read(books)).builders(*POLICY, lambda: local).values()
            made.publish(folder / "local-out" / "ledger")
        return {}
    from auditkit.spark.books import SparkBooks
    from auditkit.spark.session import session

    settings = {
        "spark.local.dir": str(folder / f"spark-{parts}-scratch"),
        "spark.eventLog.enabled": "true",
        "spark.eventLog.compress": "false",
        "spark.eventLog.dir": (folder / f"spark-{parts}-events").as_uri(),
    }
    with session(f"local[{cores}]", settings) as spark, Builder(draft, SECRET, 1) as local:
        started = time.time()
        engine = SparkBooks.read(spark, books, parts)
        (made,) = engine.builders(*POLICY, lambda: local).values()
        read = time.time()
        made.publish(folder / f"spark-{parts}-out" / "ledger")
        return {"started": started, "read": read, "published": time.time()}


def show(name: str, figures: Mapping[str, float], accounts: int) -> None:
    """One build's figures, in lines."""
    print(f"{name}: {figures['whole']:.1f} s, {accounts / figures['whole']:,.0f} accounts a second")
    for kind in ("driver",) if name == "local" else ("driver", "java", "python"):
        cpu, memory = figures[f"{kind} CPU"], figures[f"{kind} MiB"]
        each = cpu * 1e6 / accounts
        print(f"  {kind:14} {cpu:7.1f} CPU s ({each:.2f} us an account), {memory:,.0f} MiB")
    if name == "local":
        return
    print(
        f"  {'start':14} {figures['start']:7.1f} s\n  {'look at files':14} {figures['look']:7.1f} s"
    )
    for what in (*STAGES.values(), LAST):
        tasks = figures[f"{what}: tasks"]
        each = tasks * 1e6 / accounts
        print(f"  {what:14} {figures[what]:7.1f} s, tasks {tasks:.1f} s ({each:.2f} us an account)")
    for what in ("shuffled", "scratch"):
        print(f"  {what:14} {figures[f'{what} bytes'] / accounts:7.1f} bytes an account")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--accounts", type=int, default=1_000_000)
    parser.add_argument("--parts", type=int, nargs="+", default=[1, 3, 8])
    parser.add_argument("--cores", type=int, default=2)
    parser.add_argument("--folder", type=Path, help="where to work; left out: the system's own")
    parser.add_argument("--build", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.build:
        print(json.dumps(build(options.build, options.cores, options.parts[0])))
        return
    with tempfile.TemporaryDirectory(prefix="auditkit-bench-", dir=options.folder) as name:
        compare(Path(name), options)


def compare(folder: Path, options: Any) -> None:
    """Build by both engines, and hold every file of theirs to the other's."""
    run(sys.executable, HERE / "accounts.py", folder / "accounts.parquet", options.accounts)
    (folder / "books.toml").write_text(BOOKS)
    figures, wanted = measure(folder, options.cores, 0)
    show("local", figures, options.accounts)
    files = sorted(path.name for path in (wanted / "ledger").iterdir())
    size = sum(_sizes(wanted)) / options.accounts
    print(f"  {'stored':14} {size:7.1f} bytes an account")
    for parts in options.parts:
        figures, found = measure(folder, options.cores, parts)
        show(f"Spark, local[{options.cores}], parts: {parts}", figures, options.accounts)
        same, *_ = cmpfiles(wanted / "ledger", found / "ledger", files, shallow=False)
        if sorted(path.name for path in (found / "ledger").iterdir()) != files or same != files:
            sys.exit("FAILED: Spark's ledger is not the local engine's")
        print("  the same root and bytes as by the local engine: " + ", ".join(same))


if __name__ == "__main__":
    main()
