"""How long `auditkit verify` takes as a whole process, with the network and without.

python bench/verify_start.py                 # the honest file in proofs/
python bench/verify_start.py --most 0.4      # fails if the median is above this

Without the network means in an empty network namespace (`unshare -rn`), where
the system has one; otherwise that line says so.
"""

import argparse
import shutil
import statistics
import subprocess
import sys
import time
from pathlib import Path

PROOFS = Path(__file__).resolve().parents[1] / "proofs"
VERIFY = [
    *(sys.executable, "-m", "auditkit", "verify", str(PROOFS / "10007.json")),
    *("--key", str(PROOFS / "venue.vkey"), "--account", "10007", "--quiet"),
]


def seconds(command: list[str]) -> float:
    """The wall time of one run, which has to verify."""
    start = time.perf_counter()
    subprocess.run(command, check=True)
    return time.perf_counter() - start


def main() -> int:
    """Print minimum, median and maximum of each way to run it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=15)
    parser.add_argument("--most", type=float, default=float("inf"))
    options = parser.parse_args()
    ways = {"network on": VERIFY}
    apart = ["unshare", "-rn"]
    if shutil.which("unshare") and subprocess.run([*apart, "true"], check=False).returncode == 0:
        ways["network off"] = [*apart, *VERIFY]
    else:
        print("network off: not run, this system makes no network namespace")
    slowest = 0.0
    for way, command in ways.items():
        seconds(command)  # The first run may still compile.
        runs = sorted(seconds(command) for _ in range(options.runs))
        median = statistics.median(runs)
        slowest = max(slowest, median)
        print(f"{way}: {runs[0]:.3f} s, median {median:.3f} s, {runs[-1]:.3f} s")
    return int(slowest > options.most)


if __name__ == "__main__":
    sys.exit(main())
