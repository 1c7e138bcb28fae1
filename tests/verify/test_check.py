"""SPEC.md §7: the numbered steps, which of them decides, and what is returned."""

import json
from typing import Any

import pytest
from reference import Signer
from refusals import crash, encode, market, refused, seq_of, told, verify, without, without_leaves
from venue import Venue

from auditkit.verify import check
from auditkit.verify.errors import Incomplete, Malformed, Note, NotVerified, Refuted, Step
from auditkit.verify.note import VerifierKey


def crashed() -> Venue:
    """Snapshot 1, fund 2, deficit 3, adl 4, fund 5, draw 6, loss 7, applied 8, index 9."""
    venue = market()
    crash(venue)
    venue.publish()
    return venue


# Step 2: the key and the account are the caller's own.


def test_the_account_is_the_callers_own() -> None:
    venue = crashed()
    with refused(Refuted, "the file is about another account; expected bob; found alice", "2"):
        verify(venue, venue.prove("alice"), "bob")
    with refused(Refuted, "the file is about another account; expected Alice; found alice", "2"):
        verify(venue, venue.prove("alice"), "Alice")


@pytest.mark.parametrize("account", ["", "-", "a b", "\u0430lice", "alice\n", "\udcff", 5])
def test_an_account_of_another_spelling_is_malformed(account: Any) -> None:
    venue = crashed()
    with refused(Malformed, "not an account name", "2"):
        verify(venue, venue.prove("alice"), account)


def test_the_key_is_the_callers_own() -> None:
    venue = crashed()
    data = encode(venue.prove("alice"))
    assert check.verify(data, VerifierKey.parse(venue.vkey), "alice").key.name == venue.name
    with refused(Malformed, "not canonical base64", "2"):
        check.verify(data, "x", "alice")
    with refused(Refuted, "no signature line by the pinned key", "3"):
        check.verify(data, Signer(venue.name, "other").vkey, "alice")


# Step 4: every statement is in the log at its seq, and says so.


def restated(seq: int, **edits: str) -> dict[str, Any]:
    """A file whose statement was edited after it was logged."""
    proof = crashed().prove("alice")
    for entry in proof["statements"]:
        if entry["seq"] == seq:
            said = json.loads(entry["text"]) | edits
            entry["text"] = json.dumps(said, sort_keys=True, separators=(",", ":"))
    return proof


@pytest.mark.parametrize("seq", [0, 1, 3, 4, 5, 6, 7, 8, 9])
def test_a_statement_edited_after_it_was_logged_is_false(seq: int) -> None:
    with refused(Refuted, f"statement {seq}: the entry is not in the log; expected root", "4"):
        verify(crashed(), restated(seq, time="2025-10-10T21:00:59.000Z"))


def test_a_statement_shown_at_another_place_is_false() -> None:
    venue = crashed()
    proof = venue.prove("alice")
    proof["statements"][1]["seq"] = 2
    with refused(Refuted, "statement 2: the entry is not in the log", "4"):
        verify(venue, proof)


def test_a_log_path_of_another_length_is_false() -> None:
    venue = crashed()
    proof = venue.prove("alice")
    path = proof["statements"][1]["path"]
    proof["statements"][1]["path"] = path[:-1]
    with refused(Refuted, "statement 1: the log path is too short", "4"):
        verify(venue, proof)
    proof["statements"][1]["path"] = [*path, path[0]]
    with refused(Refuted, "statement 1: the log path is too long", "4"):
        verify(venue, proof)


@pytest.mark.parametrize(
    ("field", "value", "fragment"),
    [
        ("seq", 2, "expected 1 of exchange.example/audit; found 2 of exchange.example/audit"),
        ("seq", 0, "expected 1 of exchange.example/audit; found 0 of exchange.example/audit"),
        ("venue", "other.example", "expected 1 of exchange.example/audit; found 1 of other.exam"),
    ],
)
def test_a_statement_that_says_another_seq_or_venue_is_false(
    field: str, value: object, fragment: str
) -> None:
    venue = Venue()
    venue.lie("snapshot", **{field: value})
    venue.snapshot("BTC", {"margin": {"alice": 5}})
    with refused(Refuted, fragment, "4"):
        told(venue)


def test_a_statement_of_before_the_one_before_it_is_false() -> None:
    for time, honest in ("01.000", False), ("01.001", True), ("00.999", False):
        venue = Venue()
        venue.lie("snapshot", time=f"2025-10-10T21:00:{time}Z", as_of="2025-10-10T21:00:00.000Z")
        venue.snapshot("BTC", {"margin": {"alice": 5}})
        if honest:
            assert told(venue)
            continue
        with refused(Refuted, "the time of statement 1 is not after the one before it; exp", "4"):
            told(venue)


def test_times_are_compared_with_the_entry_right_before() -> None:
    venue = Venue()
    venue.snapshot("BTC", {"margin": {"alice": 5}})
    venue.wait(60_000)
    venue.snapshot("BTC")
    venue.lie("snapshot", time="2025-10-10T21:00:03.000Z", as_of="2025-10-10T21:00:03.000Z")
    venue.snapshot("BTC")
    with refused(Refuted, "the time of statement 3 is not after the one before it", "4"):
        told(venue)


# The first step that does not hold decides.


def broken_at(step: str, proof: dict[str, Any]) -> dict[str, Any]:
    """The file with one more thing wrong, which that step would tell."""
    if step == "1":
        return proof | {"note": "x"}
    if step == "2":
        return proof | {"account": "bob"}
    if step == "3":
        return proof | {
            "checkpoint": proof["checkpoint"].replace("\n\n", "\n\n— w AAAAAAA=\n")[:-9]
        }
    if step == "4":
        first = proof["statements"][0]
        return proof | {"statements": [first | {"path": []}, *proof["statements"][1:]]}
    if step == "5":
        return without(proof, 4)
    if step == "6":
        return proof | {"leaves": [proof["leaves"][0] | {"amount": "0"}, *proof["leaves"][1:]]}
    return without_leaves(proof, 8)


def test_the_first_step_that_does_not_hold_decides() -> None:
    venue = market()
    venue.lie("draw", drawn="39")
    crash(venue)
    venue.publish()
    honest = venue.prove("alice")
    order = ["1", "2", "4", "5", "6", "7"]
    for i, step in enumerate(order):
        proof = honest
        for later in reversed(order[i:]):
            proof = broken_at(later, proof)
        with pytest.raises(NotVerified) as caught:
            verify(venue, proof)
        assert caught.value.step == step
    with refused(Refuted, "the fund was not drawn as the rule says", "8"):
        verify(venue, honest)


def test_a_checkpoint_by_another_key_goes_before_everything_in_the_log() -> None:
    venue = crashed()
    proof = broken_at("4", venue.prove("alice"))
    with refused(Refuted, "no signature line by the pinned key", "3"):
        verify(venue, proof, key=Signer(venue.name, "other").vkey)


def test_incomplete_in_an_earlier_step_goes_before_false_in_a_later_one() -> None:
    venue = crashed()
    proof = without(venue.prove("alice"), 4)
    proof["leaves"][0]["amount"] = "0"
    with refused(Incomplete, "statement 4 of BTC is missing", "5"):
        verify(venue, proof)


# A step of one's own.


def test_a_step_reports_the_first_gap_when_nothing_is_false() -> None:
    notes: list[Note] = []
    with refused(Incomplete, "step 7: first; expected 1; found 2", "7"), Step("7", notes) as step:
        step.note("held", ".1")
        step.missing("first", expected=1, found=2)
        step.missing("second")
    assert [(note.step, note.text) for note in notes] == [("7.1", "held")]


def test_a_step_lets_false_go_before_its_gaps() -> None:
    with refused(Refuted, "step 7: wrong", "7"), Step("7", []) as step:
        step.missing("first")
        raise Refuted("wrong")


def test_a_step_does_not_rename_the_step_of_a_refusal() -> None:
    with refused(Refuted, "step 3: wrong", "3"), Step("7", []):
        raise Refuted("wrong", step="3")


def test_a_bug_is_none_of_the_refusals() -> None:
    def bug() -> None:
        with Step("7", []) as step:
            step.missing("first")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        bug()


def test_a_refusal_clips_what_it_shows() -> None:
    error = Refuted("wrong", expected="x" * 1000, found=b"y", where="a")
    assert "... (1000 characters)" in str(error)
    assert len(str(error)) < 300
    assert str(error.inside("b")).startswith("b.a: wrong; expected xxx")
    assert str(Refuted("wrong", where="[1]").inside("b")) == "b[1]: wrong"
    assert str(Refuted("wrong", expected="x" * 160)) == "wrong; expected " + "x" * 160
    assert str(Refuted("wrong", found="x" * 161)).endswith("x... (161 characters)")


# What is returned.


def test_everything_that_was_proven_is_returned() -> None:
    venue = crashed()
    venue.rotate_key()
    venue.policy(deadline_ms=5)
    venue.publish()
    proven = verify(venue, venue.prove("alice"))
    assert proven.account == "alice"
    assert proven.checkpoint.size == venue.heads[-1]
    assert [policy.seq for policy in proven.policies] == [0, 11]
    assert [key.seq for key in proven.keys] == [10]
    assert len(proven.events) == 1
    assert not proven.payouts
    assert not proven.roles


def test_every_step_is_reported() -> None:
    steps = {note.step for note in told(crashed()).notes}
    assert steps == {"1", "2", "3", "4", "5", "6", "8"}
    assert check.STEPS.keys() == {str(n) for n in range(1, 9)}
    assert repr(Note("8.4", "x")) == "Note('8.4', 'x')"


def test_the_latest_balance_of_every_asset_and_book_is_returned() -> None:
    venue = crashed()
    venue.snapshot("USDT", {"margin": {"alice": 3}, "spot": {"alice": 4}})
    venue.snapshot("BTC", {"margin": {"alice": 1, "bob": 2}})
    balances = {(b.asset, b.book): (b.amount, b.statement.seq) for b in told(venue).balances}
    assert balances == {
        ("BTC", "margin"): (1, seq_of(venue, "snapshot")),
        ("BTC", "spot"): (7, seq_of(venue, "snapshot")),
        ("USDT", "margin"): (3, seq_of(venue, "snapshot") - 1),
        ("USDT", "spot"): (4, seq_of(venue, "snapshot") - 1),
    }


# Rules for monitors that one file can show to be broken.


def test_two_events_of_one_name_in_one_file_are_false() -> None:
    venue = market()
    crash(venue, event="twice")
    venue.snapshot("BTC")
    crash(venue, event="twice")
    with refused(
        Refuted, "two events are named twice; expected a name used once; found deficits", "8"
    ):
        told(venue)


def test_two_assets_do_not_share_the_name_of_an_event() -> None:
    venue = market()
    venue.snapshot("USDT", {"margin": {"alice": 900}})
    crash(venue, event="twice")
    venue.event("USDT", {"carol": 90}, event="twice")
    with refused(Refuted, "two events are named twice", "8"):
        told(venue)


@pytest.mark.parametrize("decimals", [7, 9])
def test_decimals_that_change_between_policies_shown_are_false(decimals: int) -> None:
    venue = market()
    venue.policy(assets={"BTC": decimals, "USDT": 6})
    venue.snapshot("BTC")
    with refused(Refuted, "changes the decimals of BTC; expected 8; found", "5"):
        told(venue)
