"""Two publishers of one venue, of which one is killed at random, again and again. A script.

    python rivals.py FOLDER POOLS ROUNDS SEED

FOLDER holds an exchange (tests/exchange.py). In each round two processes
publish the fund entry of the file POOLS by the clock, at the same time; one of
them, or both, are killed after a random while. Then the venue is opened, and
has to be whole: what anyone may read is the log, without a breach of a rule,
which only grew, and by no more than those who published.

Writes one JSON object: how often a publisher was killed before, and after the
log had what it published; and how often nobody was.
"""

import json
import os
import random
import signal
import sys
import time
from collections import Counter
from pathlib import Path
from typing import NoReturn

from exchange import Exchange

from auditkit.follow.fsck import Fsck
from auditkit.log.monitor import breaches
from auditkit.log.published import Log
from auditkit.publish import fund
from auditkit.publish.venue import Venue
from auditkit.verify.note import VerifierKey


def publish(exchange: Exchange, pools: Path) -> None:
    """Publish one entry by the clock."""
    with Venue(exchange.root) as venue, venue.publishing(exchange.signer, None) as draft:
        fund.publish(draft, fund.read(pools, draft.policy))


def start(exchange: Exchange, pools: Path) -> int:
    """A process that publishes; its id."""
    if (process := os.fork()) == 0:
        _publish(exchange, pools)
    return process


def _publish(exchange: Exchange, pools: Path) -> NoReturn:
    code = 1
    try:
        publish(exchange, pools)
        code = 0
    finally:
        os._exit(code)


def entries_of(exchange: Exchange) -> list[bytes]:
    """The public log, after its every rule was checked, and every file of it."""
    public = exchange.root / "public"
    key = VerifierKey.parse((public / "venue.vkey").read_text().strip())
    log = Log.read(public, key)
    assert breaches(log) == []
    found = Fsck(public, key).run()
    assert (found.problems, found.breaches) == ((), ())
    return log.entries


def main(folder: Path, pools: Path, rounds: int, seed: int) -> None:
    exchange, chance, found = Exchange.at(folder), random.Random(seed), Counter[str]()
    begun = time.monotonic()
    publish(exchange, pools)
    longest = 2.5 * (time.monotonic() - begun)
    known = entries_of(exchange)
    for _ in range(rounds):
        rivals = [start(exchange, pools) for _ in range(2)]
        victims = rivals[: chance.choice((1, 1, 2))]
        for victim in victims:
            time.sleep(chance.uniform(0, longest))
            os.kill(victim, signal.SIGKILL)
        codes = [os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]) for process in rivals]
        assert set(codes) <= {0, -signal.SIGKILL}
        seen = entries_of(exchange)
        with Venue(exchange.root) as venue:
            size = len(venue.history)
        now = entries_of(exchange)
        assert (now[: len(seen)], seen[: len(known)], size) == (seen, known, len(now))
        grown, published = (len(now) - len(known)) // 2, codes.count(0)
        killed = len(codes) - published
        assert published <= grown <= published + killed
        assert not list((exchange.root / "public").rglob(".*"))
        found["after"] += grown - published
        found["before"] += killed - (grown - published)
        found["nobody"] += not killed
        known = now
    print(json.dumps(found))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), *map(int, sys.argv[3:]))
