"""How long a proof and its verification take once everything is at hand.

    python bench/warm.py VENUE ACCOUNT

Prints JSON, in seconds: `leaf warm` finds and proves the account's leaf in the
stored ledger, `prove warm` makes the whole file and verifies it, as `prove`
does, and `verify warm` verifies that file alone. Medians of 200.
"""

import json
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

from auditkit.publish.proofs import Prover
from auditkit.publish.venue import Venue
from auditkit.verify import check
from auditkit.verify.statements import Snapshot

TIMES = 200


def median(work: Callable[[], object]) -> float:
    """The seconds that `work` takes, after a first time that does not count."""
    work()
    taken = []
    for _ in range(TIMES):
        start = time.perf_counter()
        work()
        taken.append(time.perf_counter() - start)
    return statistics.median(taken)


def main() -> None:
    folder, account = Path(sys.argv[1]), sys.argv[2]
    with Venue(folder) as venue:
        prover = Prover(venue)
        proof = prover.prove(account)
        shown = check.verify(proof, venue.key, account)
        link = next(link for link in shown.chains["USDT"] if isinstance(link, Snapshot))
        ledger = venue.ledgers.proving(link.seq, link.ledgers[0])
        found = {
            "leaf warm": median(lambda: ledger.leaves(account)),
            "prove warm": median(lambda: prover.prove(account)),
            "verify warm": median(lambda: check.verify(proof, venue.key, account)),
        }
    print(json.dumps(found))


if __name__ == "__main__":
    main()
