"""How long a proof and its verification take once everything is at hand.

    python bench/warm.py VENUE ACCOUNT

Prints JSON, in seconds: `leaf warm` finds and proves an account's leaf in the
stored ledger, `prove warm` makes a whole file, `prove, check warm` makes and
verifies it, as the command `prove` does, and `verify warm` verifies a file
alone. Medians of 200, each for another account of one block.
"""

import json
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from itertools import accumulate
from pathlib import Path

from auditkit.ledger.stored import BLOCK, Stored
from auditkit.publish.proofs import Prover
from auditkit.publish.venue import Venue
from auditkit.verify import check
from auditkit.verify.statements import Snapshot

TIMES = 200


def median(work: Callable[[str], object], accounts: Sequence[str]) -> float:
    """The seconds that `work` takes, after a first time that does not count."""
    work(accounts[0])
    taken = []
    for account in accounts[1:]:
        start = time.perf_counter()
        work(account)
        taken.append(time.perf_counter() - start)
    return statistics.median(taken)


def neighbours(ledger: Stored, account: str) -> list[str]:
    """Accounts spread over the block of the ledger that holds this one."""
    number = ledger.leaves(account)[0].index // BLOCK
    count = min(BLOCK, len(ledger) - number * BLOCK)
    names = bytes(ledger.part("names", number))
    ends = list(accumulate(names[:count], initial=count))
    step = count // (TIMES + 1)
    return [names[ends[i] : ends[i + 1]].decode() for i in range(0, step * (TIMES + 1), step)]


def main() -> None:
    folder, account = Path(sys.argv[1]), sys.argv[2]
    with Venue(folder) as venue:
        prover = Prover(venue)
        proof = prover.prove(account)
        shown = check.verify(proof, venue.key, account)
        link = next(link for link in shown.chains["USDT"] if isinstance(link, Snapshot))
        ledger = venue.ledgers.proving(link.seq, link.ledgers[0])
        accounts = neighbours(ledger, account)

        def make(name: str) -> object:
            return prover.build(name, prover.assets(name, ()), prover.stretch)

        found = {
            "leaf warm": median(ledger.leaves, accounts),
            "prove warm": median(make, accounts),
            "prove, check warm": median(prover.prove, accounts),
            "verify warm": median(lambda _: check.verify(proof, venue.key, account), accounts),
        }
    print(json.dumps(found))


if __name__ == "__main__":
    main()
