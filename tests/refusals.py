"""How the tests tell a story, and say that its file is refused, and for which reason."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from reference import Balances
from venue import Venue
from venue_runs import Run

from auditkit.verify import check
from auditkit.verify.errors import NotVerified

MARGIN = {"alice": 500_000, "bob": 300_000, "erin": 17}
# zoe holds nothing that shares losses: a spectator, whose file shows no leaf of the event.
SPOT = {"alice": 7, "zoe": 9}


def market(**options: Any) -> Venue:
    """A venue with one snapshot of BTC, and 40 units in its fund."""
    venue = Venue(**options)
    venue.snapshot("BTC", {"margin": MARGIN, "spot": SPOT})
    venue.fund(BTC=[("liquidation_fee", 40)])
    return venue


def crash(venue: Venue, deficits: Balances | None = None, **details: Any) -> Run:
    """A loss of BTC that ADL, the fund and the customers share, by default 90 = 10 + 40 + 40."""
    details.setdefault("adl", {"dave": 10})
    return venue.event("BTC", deficits or {"carol": 90}, **details)


def encode(proof: object) -> bytes:
    """A proof file's bytes, whatever the object is."""
    return json.dumps(proof).encode()


def verify(venue: Venue, proof: object, account: str = "alice", **brought: Any) -> check.Verified:
    """What the customer's own check says, by default with the venue's newest key pinned."""
    return check.verify(encode(proof), brought.pop("key", venue.vkey), account, **brought)


def told(venue: Venue, account: str = "alice", **brought: Any) -> check.Verified:
    """Publish, prove everything to one account, and let it check."""
    venue.publish()
    return verify(venue, venue.prove(account), account, **brought)


@contextmanager
def refused(family: type[NotVerified], fragment: str, step: str | None = None) -> Iterator[None]:
    """The block is refused by exactly this family, for this reason, at this step."""
    with pytest.raises(NotVerified) as caught:
        yield
    error = caught.value
    assert type(error) is family, repr(str(error))
    assert fragment in str(error)
    if step is not None:
        assert error.step == step, str(error)


def without(proof: dict[str, Any], *seqs: int) -> dict[str, Any]:
    """The file without some statements; their leaves stay."""
    return proof | {"statements": [s for s in proof["statements"] if s["seq"] not in seqs]}


def without_leaves(proof: dict[str, Any], *seqs: int) -> dict[str, Any]:
    """The file without the leaves of some statements."""
    return proof | {"leaves": [leaf for leaf in proof["leaves"] if leaf["seq"] not in seqs]}


def seq_of(venue: Venue, kind: str, nth: int = -1) -> int:
    """The seq of a statement of `kind`, by default the last."""
    return [int(s["seq"]) for s in venue.said if s["format"] == f"auditkit/{kind}/1"][nth]
