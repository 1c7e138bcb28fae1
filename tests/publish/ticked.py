"""A venue whose ticker is killed and started again, on a clock on which a minute is an instant.

    python ticked.py FOLDER SEED ROUNDS

Every fifth round an event draws on the fund while no ticker runs. Prints the
venue's verifier key when all is done.
"""

import os
import random
import signal
import sys
import time
from collections.abc import Mapping
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from exchange import Exchange

from auditkit.errors import InputError
from auditkit.publish import clock
from auditkit.publish.fund import Movements
from auditkit.publish.ticker import Ticker
from auditkit.verify.records import Credit
from auditkit.verify.statements import Policy

MINUTE = 60_000
INSTANT = 0.08
"""The seconds that a minute takes here."""


class Fees:
    """Every minute a unit comes in, and now and then the source fails."""

    def read(self, policy: Policy, start: int) -> Mapping[str, Movements]:
        if random.random() < 0.1:
            raise InputError("the source is down")
        return {name: Movements((Credit(1, "liquidation_fee"),), (), 5) for name in policy.pools}


def child(exchange: Exchange) -> None:
    """Tick until killed."""
    Ticker(exchange.root, exchange.signer, Fees(), MINUTE).run(lambda tick: None)


def main(folder: Path, seed: int, rounds: int) -> None:
    chance = random.Random(seed)
    os.fsync = lambda fd: None
    exchange = Exchange(folder)
    exchange.snapshot({"BTC": {"margin": {"anna": 10**6, "bert": 10**6}}})
    start, began = exchange.now + MINUTE, time.monotonic()

    def now() -> int:
        return start + int((time.monotonic() - began) / INSTANT * MINUTE)

    clock.now = now
    for number in range(rounds):
        ticking = os.fork()
        if not ticking:
            child(exchange)
        time.sleep(chance.uniform(0, 4 * INSTANT))
        os.kill(ticking, signal.SIGKILL)
        os.waitpid(ticking, 0)
        if number % 5 == 4:
            exchange.now = now()
            exchange.loss(f"crash-{number}", "BTC", {"carl": 3}, {"anna": 10**6})
    print(exchange.vkey)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
