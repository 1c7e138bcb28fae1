"""What auditkit's build is held against: other ways to the same or a like root, and the limit.

    python bench/peers.py loop FILE        one hashlib call after the other, to the same sum tree
    python bench/peers.py pymerkle FILE    pymerkle's in-memory tree over the same leaves: no sums
    python bench/peers.py limit            the machine's own rate for SHA-256, over all cores

The loop does the work of `publish snapshot`: it reads the file, derives the
salts, orders the leaves, builds the tree and writes what has to be stored. It
says how long the hashing and ordering alone took, and how long all of it.
"""

import hmac
import json
import os
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from pathlib import Path

SECRET = bytes(range(32))
BUFFER = 1 << 20
COMPRESSIONS = {"salt": 4, "leaf": 2, "node": 2}
"""SHA-256 compressions an account, for names of up to 14 bytes."""


def read(file: Path) -> tuple[list[bytes], list[int]]:
    """The names, and the amounts in base units."""
    import pyarrow.parquet as pq

    table = pq.read_table(file)
    names = [name.encode() for name in table["account"].to_pylist()]
    return names, [int(balance.scaleb(8)) for balance in table["balance"].to_pylist()]


def loop(file: Path) -> dict[str, object]:
    """The plain way, at its best: nothing but hashlib and lists."""
    begin = time.perf_counter()
    names, amounts = read(file)
    start = time.perf_counter()
    leaves = []
    for name, amount in zip(names, amounts, strict=True):
        leaves.append((hmac.digest(SECRET, name + b"\x000", "sha256"), amount, name))
    leaves.sort()
    level = []
    for salt, amount, name in leaves:
        units = amount.to_bytes(16, "big")
        level.append((amount, units + sha256(b"\x02" + salt + units + name).digest()))
    levels = [level]
    while len(level) > 1:
        above = []
        for (left_sum, left), (right_sum, right) in zip(level[::2], level[1::2], strict=False):
            both = left_sum + right_sum
            node = both.to_bytes(16, "big") + sha256(b"\x03" + left + right).digest()
            above.append((both, node))
        level = above + level[len(level) // 2 * 2 :]
        levels.append(level)
    alone = time.perf_counter() - start
    with file.with_name("loop.tree").open("wb") as out:
        for salt, _, name in leaves:
            out.write(salt + name)
        for nodes in levels:
            out.writelines(node for _, node in nodes)
        out.flush()
        os.fsync(out.fileno())
    file.with_name("loop.tree").unlink()
    whole = time.perf_counter() - begin
    return {"total": level[0][0], "root": level[0][1].hex(), "alone": alone, "whole": whole}


def pymerkle(file: Path) -> dict[str, object]:
    """A Merkle tree without sums, by a library that is there for it."""
    from pymerkle import InmemoryTree

    names, amounts = read(file)
    start = time.perf_counter()
    tree = InmemoryTree(algorithm="sha256")
    for name, amount in zip(names, amounts, strict=True):
        salt = hmac.digest(SECRET, name + b"\x000", "sha256")
        tree.append_entry(salt + amount.to_bytes(16, "big") + name)
    root = tree.get_state()
    return {"root": root.hex(), "alone": time.perf_counter() - start}


def limit(seconds: float = 1.0) -> dict[str, object]:
    """Bytes a second that all cores hash together, in long buffers."""
    data = bytes(BUFFER)

    def work(_: int) -> tuple[int, float]:
        start, count = time.perf_counter(), 0
        while (spent := time.perf_counter() - start) < seconds:
            sha256(data).digest()
            count += 1
        return count * BUFFER, spent

    cores = len(os.sched_getaffinity(0))
    with ThreadPoolExecutor(cores) as pool:
        rate = sum(count / spent for count, spent in pool.map(work, range(cores)))
    each = 64 * sum(COMPRESSIONS.values())
    return {"cores": cores, "bytes_a_second": rate, "seconds_an_account": each / rate}


if __name__ == "__main__":
    what, *files = sys.argv[1:]
    work = {"loop": loop, "pymerkle": pymerkle}
    print(json.dumps(limit() if what == "limit" else work[what](Path(files[0]))))
