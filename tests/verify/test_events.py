"""SPEC.md §5: the run of one loss, and every snapshot on its chain (step 8)."""

from typing import Any

import pytest
from reference import clock, deductions, milliseconds
from refusals import MARGIN, crash, market, refused, seq_of, told, verify, without, without_leaves
from venue import START, Venue

from auditkit.verify.errors import Incomplete, Refuted


def lied(kind: str, **edits: object) -> Venue:
    """The usual crash with one lie."""
    venue = market()
    venue.lie(kind, **edits)
    crash(venue)
    return venue


# Point 1: the reference, one policy, and a deficit confirmed before it was logged.


def test_the_reference_is_the_nearest_snapshot_before_the_deficit_was_confirmed() -> None:
    venue = market()
    venue.snapshot("BTC")
    confirmed = venue.now
    venue.snapshot("BTC")
    crash(venue, confirmed=confirmed)
    [event] = told(venue).events
    assert event.reference is not None
    assert (event.reference.seq, event.reference.time) == (3, confirmed)


def test_a_deficit_confirmed_after_it_was_logged_is_false() -> None:
    venue = market()
    crash(venue, confirmed=venue.now + venue.tick)
    told(venue)
    venue = market()
    crash(venue, confirmed=venue.now + venue.tick + 1)
    with refused(Refuted, "the deficit was confirmed after it was logged; expected at most", "8"):
        told(venue)


def test_a_reference_that_is_not_in_the_file_is_incomplete() -> None:
    venue = market()
    crash(venue, confirmed=START)
    with refused(Incomplete, "no snapshot of BTC from before the deficit 3 was confirmed", "8"):
        told(venue)
    venue = market()
    venue.snapshot("BTC")
    crash(venue, confirmed=venue.now - 1)
    told(venue)
    with refused(Incomplete, "no snapshot of BTC from before the deficit 4 was confirmed", "8"):
        verify(venue, venue.prove("alice", start={"BTC": 3}))


def test_a_policy_changed_between_the_reference_and_the_event_is_false() -> None:
    venue = market()
    venue.policy(deadline_ms=90_001)
    crash(venue)
    with refused(Refuted, "the policy changed between snapshot 1 and event btc-4; expected", "8"):
        told(venue)


def test_a_policy_changed_between_the_reference_and_a_later_snapshot_is_false() -> None:
    venue = market()
    confirmed = venue.now
    venue.policy(deadline_ms=90_001)
    venue.snapshot("BTC")
    crash(venue, confirmed=confirmed)
    with refused(Refuted, "the policy changed between snapshot 1 and event", "8"):
        told(venue)
    venue = market()
    confirmed = venue.now
    venue.snapshot("BTC")
    venue.policy(deadline_ms=90_001)
    crash(venue, confirmed=confirmed)
    with refused(Refuted, "the policy changed between snapshot 3 and event", "8"):
        told(venue)


def test_a_policy_changed_before_the_reference_is_honest() -> None:
    venue = market()
    venue.policy(deadline_ms=80_000)
    venue.snapshot("BTC")
    crash(venue)
    [event] = told(venue).events
    assert event.policy.deadline_ms == 80_000


@pytest.mark.parametrize("kind", ["adl", "draw", "loss", "applied"])
def test_a_policy_changed_inside_a_run_is_false(kind: str) -> None:
    venue = market()
    until = {"adl": "deficit", "draw": "adl", "loss": "draw", "applied": "loss"}[kind]
    run = crash(venue, until=until)
    venue.policy(deadline_ms=90_001)
    finish(run, kind)
    with refused(Refuted, "the policy changed inside event btc-3; expected policy 0; found", "8"):
        told(venue)


def finish(run: Any, kind: str) -> None:
    """Go on with a run from `kind`."""
    order = ["adl", "draw", "loss", "applied"]
    for step in order[order.index(kind) :]:
        run.adl({"dave": 10}) if step == "adl" else run.steps[step]()


# One unbroken run.


def test_stages_in_another_order_are_false() -> None:
    venue = market()
    run = crash(venue, until="deficit")
    run.draw()
    run.adl({"dave": 10})
    run.loss()
    run.applied()
    with refused(Refuted, "is not one unbroken run; expected its adl; found a draw at 5", "8"):
        told(venue)


@pytest.mark.parametrize(
    ("last", "skipped"),
    [("deficit", "adl"), ("adl", "draw"), ("draw", "loss"), ("loss", "applied")],
)
def test_a_step_that_is_left_out_is_false(last: str, skipped: str) -> None:
    venue = market()
    crash(venue, until=last)
    venue.snapshot("BTC")
    with refused(Refuted, f"is not one unbroken run; expected its {skipped}; found a snap", "8"):
        told(venue)


@pytest.mark.parametrize("kind", ["adl", "draw", "loss", "applied"])
def test_a_step_of_another_event_is_false(kind: str) -> None:
    with refused(Refuted, f"event btc-3 is not one unbroken run; expected its {kind}; found a"):
        told(lied(kind, event="other"))


def test_two_runs_do_not_interleave() -> None:
    venue = market()
    run = crash(venue, until="deficit")
    crash(venue, until="deficit")
    finish(run, "adl")
    with refused(Refuted, "event btc-3 is not one unbroken run; expected its adl; found a defi"):
        told(venue)


def test_a_run_that_is_not_finished_is_incomplete() -> None:
    for last, missing in (
        ("deficit", "adl"),
        ("adl", "draw"),
        ("draw", "loss"),
        ("loss", "applied"),
    ):
        venue = market()
        crash(venue, until=last)
        with refused(Incomplete, f"event btc-3 is not finished: no {missing} yet", "8"):
            told(venue)


@pytest.mark.parametrize("last", ["deficit", "adl", "draw", "loss"])
def test_a_run_that_is_not_finished_in_time_is_false(last: str) -> None:
    venue = market()
    run = crash(venue, until=last)
    confirmed = venue.said[3]["confirmed"]
    # The index is the entry that shows how late it is: up to the deadline, then a moment more.
    venue.now = milliseconds(confirmed) + 90_000 - venue.tick
    with refused(Incomplete, "is not finished", "8"):
        told(venue)
    venue.now = milliseconds(confirmed) + 90_001 - venue.tick
    with refused(Refuted, "event btc-3 was not finished in time; expected its", "8"):
        told(venue)
    assert run.rest


def test_a_finished_run_is_not_hurried() -> None:
    venue = market()
    crash(venue)
    venue.wait(90_001)
    assert told(venue).events


def test_a_run_that_breaks_off_still_has_its_stages_checked() -> None:
    venue = market()
    venue.lie("draw", drawn="39")
    crash(venue, until="draw")
    with refused(Refuted, "the fund was not drawn as the rule says", "8"):
        told(venue)


@pytest.mark.parametrize("kind", ["adl", "draw", "loss", "applied"])
def test_a_statement_outside_a_run_is_false(kind: str) -> None:
    venue = market()
    run = crash(venue)
    run.rest = 5
    finish(run, kind)
    with refused(Refuted, "stands outside an event's run; expected a snapshot, a deficit", "8"):
        told(venue)


def test_nothing_is_applied_where_nothing_is_socialized() -> None:
    venue = market()
    run = crash(venue, {"carol": 13})
    assert run.socialized == 0
    run.apply("margin", venue.books["BTC"]["margin"])
    with refused(Refuted, "the applied 8 stands outside an event's run", "8"):
        told(venue)
    venue = market()
    crash(venue, {"carol": 13})
    venue.snapshot("BTC")
    [event] = told(venue).events
    assert (event.applied, event.deducted) == (None, 0)


# Point 6: the effect.


@pytest.mark.parametrize("total", ["799976", "799978", "800017"])
def test_a_ledger_after_of_another_total_is_false(total: str) -> None:
    venue = lied("applied", after=lambda ledger: ledger | {"total": total})
    with refused(Refuted, f"total 799977; found margin: 3 leaves, total {total}", "8"):
        told(venue, "zoe")


def test_a_ledger_after_with_more_or_fewer_leaves_is_false() -> None:
    for accounts in (2, 4):
        venue = market()
        venue.lie("applied", after=lambda ledger, n=accounts: ledger | {"accounts": n})
        crash(venue)
        with refused(Refuted, f"3 leaves, total 799977; found margin: {accounts} leaves", "8"):
            told(venue, "zoe")


def test_a_ledger_after_of_another_book_is_false() -> None:
    venue = market()
    run = crash(venue, until="loss")
    run.apply("spot", {"alice": 799_977, "bob": 0, "erin": 0})
    venue.publish()
    proof = venue.prove("zoe")
    with refused(Incomplete, "no leaf in statement 8 for BTC/spot", "7"):
        verify(venue, proof, "zoe")
    proof = without_leaves(venue.prove("bob"), 1, 7)
    with refused(Refuted, "expected margin: 3 leaves, total 799977; found spot: 3 leaves", "8"):
        verify(venue, proof, "bob")


def finished_at(kind: str, milliseconds_late: int) -> Venue:
    """A run whose `kind` is logged so late, and everything else as early as it can be."""
    venue = market()
    run = crash(venue, until="draw")
    late = milliseconds(venue.said[3]["confirmed"]) + milliseconds_late
    venue.tick = 1
    if kind == "applied":
        run.loss()
    venue.now = late - 1
    finish(run, kind)
    return venue


def test_an_effect_is_logged_within_the_deadline() -> None:
    assert told(finished_at("applied", 90_000)).events
    with refused(Refuted, "the applied was logged after the deadline; expected at most 90000 ms"):
        told(finished_at("applied", 90_001))


def test_a_loss_is_logged_within_the_deadline() -> None:
    assert told(finished_at("loss", 89_999)).events
    with refused(Refuted, "the loss was logged after the deadline; expected at most 90000 ms aft"):
        told(finished_at("loss", 90_001))


def test_a_loss_that_shares_nothing_is_logged_within_the_deadline() -> None:
    for late in (90_000, 90_001):
        venue = market()
        run = crash(venue, {"carol": 13}, until="draw")
        venue.now = milliseconds(venue.said[3]["confirmed"]) + late - venue.tick
        run.loss()
        if late == 90_000:
            assert told(venue).events
            continue
        with refused(Refuted, "the loss was logged after the deadline", "8"):
            told(venue)


# Point 7: the account's own deduction.


def moved(units: int) -> Any:
    """The balances with `units` moved from alice to bob."""
    return lambda held: held | {"alice": held["alice"] - units, "bob": held["bob"] + units}


@pytest.mark.parametrize("units", [1, -1, 1000])
@pytest.mark.parametrize("account", ["alice", "bob"])
def test_a_deduction_of_a_unit_more_or_less_is_false(units: int, account: str) -> None:
    with refused(Refuted, "the deduction is not the rule's; expected", "8"):
        told(lied("applied", balances=moved(units)), account)


def test_a_wrong_deduction_is_told_with_its_numbers() -> None:
    with refused(Refuted, "expected 500000 - 24 = 499976; found 499975", "8"):
        told(lied("applied", balances=moved(1)))


def test_a_balance_of_0_has_no_deduction() -> None:
    venue = market()
    venue.books["BTC"]["margin"]["zoe"] = 0
    venue.lie("applied", balances=lambda held: held | {"zoe": 1, "bob": held["bob"] - 1})
    crash(venue)
    with refused(Refuted, "the deduction is not the rule's; expected 0 - 0 = 0; found 1", "8"):
        told(venue, "zoe")


def test_who_is_not_touched_by_a_lie_does_not_see_it() -> None:
    assert told(lied("applied", balances=moved(1)), "erin").events


def test_a_balance_after_the_loss_that_was_not_there_before_is_false() -> None:
    venue = market()
    venue.publish()
    run = crash(venue, until="loss")
    held = run.lost.changed([-s for s in shares(run)])
    # dora takes erin's place in the ledger, with what erin has left.
    held = {"dora" if name == "erin" else name: amount for name, amount in held.items()}
    run.apply("margin", held)
    venue.publish()
    with refused(Refuted, "a balance after the loss that was not there before it; expected a leaf"):
        verify(venue, venue.prove("dora"), "dora")


def shares(run: Any) -> list[int]:
    return deductions(run.lost.amounts, run.socialized)


def test_a_balance_of_0_after_the_loss_that_was_not_there_before_is_false() -> None:
    venue = market()
    run = crash(venue, until="loss")
    held = run.lost.changed([-s for s in shares(run)])
    held["alice"] += held.pop("erin")
    run.apply("margin", held | {"zoe": 0})
    with refused(Refuted, "a balance after the loss that was not there before it", "8"):
        told(venue, "zoe")


def test_an_account_that_has_nothing_to_share_sees_no_deduction() -> None:
    [event] = told(lied("applied"), "zoe").events
    assert (event.balance, event.deducted) == (None, None)


def test_a_split_balance_is_deducted_leaf_by_leaf() -> None:
    for leaves in (2, 7, 16):
        venue = market(splits={"alice": leaves, "bob": 3}, padding=2)
        crash(venue)
        venue.publish()
        for account in MARGIN:
            assert verify(venue, venue.prove(account), account).events


def test_balances_may_change_between_the_reference_and_the_loss() -> None:
    venue = market()
    run = crash(venue, until="draw")
    venue.books["BTC"]["margin"] = {"alice": 10, "carl": 90}
    run.loss()
    run.applied()
    venue.publish()
    [event] = verify(venue, venue.prove("alice")).events
    assert event.loss.before.total == 100
    assert verify(venue, venue.prove("bob"), "bob").balances[0].amount == 0
    assert verify(venue, venue.prove("carl"), "carl").events[0].balance == 90


# Snapshots.


def test_a_ledger_of_a_book_that_the_policy_lacks_is_false() -> None:
    venue = Venue()
    venue.snapshot("BTC", {"margin": MARGIN, "futures": {"alice": 3}})
    with refused(
        Refuted, "a ledger of a book that the policy lacks; expected margin, spot; f", "8"
    ):
        told(venue)


def test_a_ledger_that_held_something_does_not_vanish() -> None:
    venue = market()
    del venue.books["BTC"]["spot"]
    venue.snapshot("BTC")
    with refused(Refuted, "the ledger spot vanished from snapshot 3; expected a ledger of spot"):
        told(venue, "bob")


def test_a_ledger_that_only_a_loss_or_its_effect_showed_does_not_vanish() -> None:
    venue = Venue()
    venue.snapshot("BTC", {"margin": {}, "spot": {"zoe": 5}})
    venue.books["BTC"]["margin"] = {"alice": 10}
    crash(venue, {"carol": 5}, adl={})
    del venue.books["BTC"]["margin"]
    venue.snapshot("BTC")
    with refused(Refuted, "the ledger margin vanished from snapshot 8", "8"):
        told(venue, "zoe")


def test_an_empty_ledger_may_vanish() -> None:
    venue = market()
    venue.snapshot("BTC", {"spot": {}})
    venue.snapshot("BTC", {"spot": {}})
    del venue.books["BTC"]["spot"]
    venue.snapshot("BTC")
    assert told(venue).balances[-1].amount == 0


def test_ledgers_of_deficit_and_adl_are_not_carried() -> None:
    venue = market()
    crash(venue)
    venue.snapshot("BTC")
    assert told(venue).events


def test_a_ledger_that_vanished_is_asked_for_in_the_next_snapshot_too() -> None:
    venue = market()
    venue.snapshot("BTC")
    venue.snapshot("BTC")
    venue.lie("snapshot", ledgers=lambda ledgers: ledgers[:1])
    venue.snapshot("BTC")
    with refused(Refuted, "the ledger spot vanished from snapshot 5", "8"):
        told(venue, "bob")


def test_a_snapshot_shows_nothing_of_before_the_last_deduction() -> None:
    venue = market()
    crash(venue)
    applied = venue.now
    told(venue)
    venue.lie("snapshot", as_of=clock(applied))
    venue.snapshot("BTC")
    told(venue)
    venue.lie("snapshot", as_of=clock(applied - 1))
    venue.snapshot("BTC")
    with refused(Refuted, "shows balances of before the last deduction or recovery; expected as"):
        told(venue)


def test_a_snapshot_shows_nothing_of_before_the_last_recovery() -> None:
    venue = market()
    run = crash(venue)
    venue.recovery(run, 4)
    venue.lie("snapshot", as_of=clock(venue.now - 1))
    venue.snapshot("BTC")
    with refused(Refuted, "shows balances of before the last deduction or recovery", "8"):
        told(venue)


def test_the_report_tells_every_snapshot_and_event() -> None:
    venue = market()
    crash(venue)
    notes = [note.text for note in told(venue).notes if note.step == "8"]
    assert [text.split()[0] for text in notes] == ["snapshot", "event"]
    assert notes[0].endswith("carries every book that held money: margin, spot")
    assert "deficit 90 = absorbed 10 + drawn 40 + socialized 40 + residual 0" in notes[1]


def test_the_report_tells_of_a_snapshot_without_ledgers() -> None:
    venue = market()
    venue.snapshot("USDT", {})
    notes = [note.text for note in told(venue).notes if note.step == "8"]
    assert notes[1] == "snapshot 3 of USDT carries every book that held money: none held any"


def test_every_chain_is_walked() -> None:
    venue = market()
    venue.snapshot("USDT", {"margin": {"alice": 100, "bob": 50}})
    venue.lie("applied", balances=moved(1))
    venue.event("USDT", {"carol": 20}, adl={"dave": 1})
    with refused(Refuted, "the deduction is not the rule's", "8"):
        told(venue)


def test_an_event_with_leaves_before_but_a_missing_fund_entry_is_still_shared() -> None:
    venue = lied("applied", balances=moved(1))
    venue.publish()
    with refused(Refuted, "the deduction is not the rule's", "8"):
        verify(venue, without(venue.prove("alice"), seq_of(venue, "draw") - 1))
