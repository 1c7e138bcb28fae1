"""What holds for every file: honest histories verify, and a change anywhere does not."""

import json
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from reference import canonical
from refusals import crash, encode, market, verify
from venue import Venue
from venue_runs import Run

from auditkit.verify import check
from auditkit.verify.errors import Incomplete, Malformed, NotVerified, Refuted, Unsupported
from auditkit.verify.note import Checkpoint
from auditkit.verify.proof import Proof

FAMILIES = (Unsupported, Malformed, Refuted, Incomplete)
NAMES = ("alice", "bob", "carol", "dave", "erin")

# Every honest history verifies, for every account.

balances = st.dictionaries(
    st.sampled_from(NAMES),
    st.one_of(st.integers(0, 9), st.integers(1, 400), st.integers(0, 10**24)),
    min_size=1,
    max_size=5,
)
small = st.dictionaries(st.sampled_from(NAMES), st.integers(1, 90), max_size=2)
assets = st.sampled_from(["BTC", "USDT"])


class History:
    """A venue, and what an honest one must remember to choose its next act."""

    def __init__(self, draw: st.DrawFn) -> None:
        self.draw = draw
        self.venue = Venue(
            splits=draw(st.dictionaries(st.sampled_from(NAMES), st.integers(1, 16), max_size=2)),
            padding=draw(st.integers(0, 2)),
            pools={"A": ("BTC", draw(st.integers(0, 9))), "B": ("USDT", 0)},
            waterfall=draw(st.permutations(["adl", "draw"]) | st.sampled_from([[], ["draw"]])),
        )
        self.runs: list[Run] = []
        for asset in ("BTC", "USDT"):
            self.snapshot(asset)

    def snapshot(self, asset: str) -> None:
        books = {"margin": self.draw(balances), "spot": self.draw(small)}
        self.venue.snapshot(asset, books)

    def carry_on(self, asset: str) -> None:
        self.venue.snapshot(asset)

    def move(self, asset: str) -> None:
        self.venue.books[asset]["margin"] = self.draw(balances)

    def fund(self, _: str) -> None:
        self.venue.fund(A=[("liquidation_fee", self.draw(st.integers(0, 99)))])

    def event(self, asset: str) -> None:
        deficits = self.draw(small)
        left = sum(deficits.values())
        if "draw" in self.venue.rules["waterfall"][:1]:
            left = 0  # What the fund will leave is not known yet, so nobody absorbs anything.
        absorbed = {"dave": self.draw(st.integers(0, left))} if left else {}
        if "adl" not in self.venue.rules["waterfall"]:
            absorbed = {}
        self.runs.append(self.venue.event(asset, deficits, adl=absorbed))

    def recovery(self, _: str) -> None:
        for run in self.runs:
            outstanding = run.socialized - sum(run.recovered)
            if outstanding:
                self.venue.recovery(run, self.draw(st.integers(1, outstanding)))

    def policy(self, _: str) -> None:
        self.venue.policy(deadline_ms=self.draw(st.integers(60_000, 90_000)))
        for asset in ("BTC", "USDT"):
            self.venue.snapshot(asset)

    def rotate_key(self, _: str) -> None:
        self.venue.rotate_key()

    def publish(self, _: str) -> None:
        self.venue.publish()

    def wait(self, _: str) -> None:
        self.venue.wait(self.draw(st.integers(0, 10**6)))


ACTS = (
    *(History.snapshot, History.carry_on, History.move, History.fund, History.event),
    *(History.recovery, History.policy, History.rotate_key, History.publish, History.wait),
    *(History.event, History.recovery, History.event, History.recovery),
)


@st.composite
def histories(draw: st.DrawFn) -> Venue:
    history = History(draw)
    for act in draw(st.lists(st.sampled_from(ACTS), min_size=4, max_size=14)):
        act(history, draw(assets))
    history.venue.publish()
    return history.venue


def accounts_of(venue: Venue) -> list[str]:
    """Every account that ever held something at the venue."""
    held = {
        name
        for (_, book), ledger in venue.ledgers.items()
        if book not in ("adl", "deficit")
        for name in ledger.balances()
    }
    return sorted(held)


@given(histories())
def test_every_honest_history_verifies_for_every_account(venue: Venue) -> None:
    deducted: dict[int, int] = {}
    paid: dict[int, int] = {}
    for account in accounts_of(venue):
        proven = verify(venue, venue.prove(account, heads=venue.heads[:-1]), account)
        for event in proven.events:
            seq = event.loss.seq
            deducted[seq] = deducted.get(seq, 0) + (event.deducted or 0)
        for payout in proven.payouts:
            seq = payout.recovery.seq
            paid[seq] = paid.get(seq, 0) + payout.paid
        for balance in proven.balances:
            ledger = venue.ledgers[balance.statement.seq, balance.book]
            assert balance.amount == ledger.balances()[account]
    for seq, total in deducted.items():
        assert total == int(venue.said[seq]["socialized"])
    for seq, total in paid.items():
        assert total == int(venue.said[seq]["recovered"])


@given(histories(), st.data())
def test_a_long_history_may_be_cut_at_its_checkpoints(venue: Venue, data: st.DataObject) -> None:
    account = data.draw(st.sampled_from(accounts_of(venue) or ["nobody"]))
    head, since = None, None
    for size in venue.heads:
        proof = venue.prove(account, size=size, since=since, heads=[head.size] if head else [])
        # An account that has left says nothing more, and cannot be shown to be there.
        if any(leaf["book"] in ("margin", "spot") for leaf in proof["leaves"]):
            signers = [signer for signer, retire in venue.keys if retire is None or size <= retire]
            verify(venue, proof, account, head=head, since=since, key=signers[-1].vkey)
        head, since = Checkpoint.parse(proof["checkpoint"]), size - 1


# A change anywhere in an honest file is refused.

VENUE = market(splits={"alice": 2})
VENUE.recovery(crash(VENUE), 9)
VENUE.rotate_key()
VENUE.publish()
VENUE.snapshot("BTC")
VENUE.publish()
HEAD = Checkpoint.parse(VENUE.checkpoint(VENUE.heads[0]))
PROOF: dict[str, Any] = VENUE.prove("alice", heads=[HEAD.size])

Way = tuple[str | int, ...]


def leaves_of(value: object, way: Way = ()) -> Iterator[Way]:
    """Every place of a JSON value where a text or a number stands."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield from leaves_of(item, (*way, key))
    elif isinstance(value, list):
        for i, item in enumerate(value):
            yield from leaves_of(item, (*way, i))
    else:
        yield way


def at(value: Any, way: Way) -> Any:
    for part in way:
        value = value[part]
    return value


def put(value: Any, way: Way, other: object) -> Any:
    """`value` with `other` at one place."""
    if not way:
        return other
    if isinstance(value, dict):
        return {k: put(v, way[1:], other) if k == way[0] else v for k, v in value.items()}
    return [put(v, way[1:], other) if i == way[0] else v for i, v in enumerate(value)]


@st.composite
def another(draw: st.DrawFn, value: object) -> object:
    """Anything of the same type that is not `value`, and mostly close to it."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, int):
        return draw(st.integers(0, 2**53 - 1).filter(lambda n: n != value) | st.just(value + 1))
    text = str(value)
    place = draw(st.integers(0, max(0, len(text) - 1)))
    letter = draw(st.sampled_from("0123456789abcdefABCDEFxyz+/=-. \n") | st.characters())
    edits = {
        "replace": text[:place] + letter + text[place + 1 :],
        "insert": text[:place] + letter + text[place:],
        "delete": text[:place] + text[place + 1 :],
        "cut": text[:place],
        "other": letter,
    }
    changed = draw(st.sampled_from(sorted(edits)))
    return edits[changed] if edits[changed] != text else text + "0"


def refuses(proof: object) -> NotVerified:
    with pytest.raises(NotVerified) as caught:
        verify(VENUE, proof, head=HEAD)
    assert type(caught.value) in FAMILIES
    assert caught.value.step in check.STEPS
    return caught.value


@given(st.data())
def test_a_change_of_one_field_is_refused(data: st.DataObject) -> None:
    way = data.draw(st.sampled_from(sorted(leaves_of(PROOF), key=str)))
    refuses(put(PROOF, way, data.draw(another(at(PROOF, way)))))


@given(st.data())
def test_a_change_inside_a_statement_is_refused(data: st.DataObject) -> None:
    nth = data.draw(st.integers(0, len(PROOF["statements"]) - 1))
    said = json.loads(PROOF["statements"][nth]["text"])
    way = data.draw(st.sampled_from(sorted(leaves_of(said), key=str)))
    changed = put(said, way, data.draw(another(at(said, way))))
    refuses(put(PROOF, ("statements", nth, "text"), canonical(changed)))


@given(st.data())
def test_a_statement_taken_out_of_its_file_is_missed(data: st.DataObject) -> None:
    # A change of key may be hidden: that is what remembered heads are for (SPEC.md §8).
    needed = [e for e in PROOF["statements"] if "auditkit/key/1" not in e["text"]]
    entry = data.draw(st.sampled_from(needed))
    proof = PROOF | {"statements": [e for e in PROOF["statements"] if e is not entry]}
    assert type(refuses(proof)) is Incomplete


@given(st.data())
def test_a_statement_or_leaf_shown_twice_is_refused(data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(["statements", "leaves", "consistency"]))
    item = data.draw(st.sampled_from(PROOF[name]))
    place = data.draw(st.integers(0, len(PROOF[name])))
    refuses(PROOF | {name: [*PROOF[name][:place], item, *PROOF[name][place:]]})


@given(st.data())
def test_a_hash_taken_out_of_a_path_is_missed(data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(["statements", "leaves", "consistency"]))
    nth = data.draw(st.integers(0, len(PROOF[name]) - 1))
    path = PROOF[name][nth]["path"]
    place = data.draw(st.integers(0, len(path) - 1))
    refuses(put(PROOF, (name, nth, "path"), path[:place] + path[place + 1 :]))


def test_the_order_of_leaves_says_nothing() -> None:
    leaves = sorted(PROOF["leaves"], key=lambda leaf: str(leaf["salt"]))
    assert verify(VENUE, PROOF | {"leaves": leaves}, head=HEAD).account == "alice"


# Anything else is refused in one of the four ways.

anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
fields = st.fixed_dictionaries(
    {"format": st.just("auditkit/proof/1") | anything},
    optional={
        "account": st.just("alice") | anything,
        "checkpoint": st.just(PROOF["checkpoint"]) | st.text() | anything,
        "statements": st.lists(st.sampled_from(PROOF["statements"]) | anything, max_size=4)
        | anything,
        "leaves": st.lists(st.sampled_from(PROOF["leaves"]) | anything, max_size=4) | anything,
        "consistency": anything,
    },
)


def refused_or_read(data: bytes) -> None:
    with pytest.raises(NotVerified) as caught:
        check.verify(data, VENUE.vkey, "alice")
    assert type(caught.value) in FAMILIES
    with suppress(Malformed, Unsupported):
        assert Proof.parse(data).encode()


@given(st.binary(max_size=400) | st.text(max_size=400).map(str.encode))
def test_any_bytes_are_refused(data: bytes) -> None:
    refused_or_read(data)


@given(anything | fields)
def test_any_json_is_refused(value: object) -> None:
    refused_or_read(encode(value))


@given(st.text(), st.text())
def test_any_key_and_any_account_are_refused(key: str, account: str) -> None:
    for given_key, given_account in ((key, "alice"), (VENUE.vkey, account)):
        with pytest.raises(NotVerified) as caught:
            check.verify(encode(PROOF), given_key, given_account)
        assert type(caught.value) in FAMILIES
