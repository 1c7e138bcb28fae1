"""SPEC.md §3 and §5: money that comes back along a loss's shares (step 8)."""

from typing import Any

import pytest
from refusals import crash, market, refused, seq_of, told, verify, without
from venue import Venue
from venue_runs import Run

from auditkit.verify.errors import Incomplete, Refuted


def lost(**options: Any) -> tuple[Venue, Run]:
    """The usual crash, of which 40 units were socialized."""
    venue = market(**options)
    return venue, crash(venue)


def lied(kind: str, amount: int = 13, **edits: object) -> Venue:
    """A recovery with one lie."""
    venue, run = lost()
    venue.lie(kind, **edits)
    venue.recovery(run, amount)
    return venue


def test_recoveries_are_paid_along_the_shares() -> None:
    venue, run = lost()
    for amount in (13, 26, 1):
        venue.recovery(run, amount)
    venue.publish()
    paid = {}
    for account in ("alice", "bob", "erin"):
        proven = verify(venue, venue.prove(account), account)
        paid[account] = [payout.paid for payout in proven.payouts]
        assert all(payout.known for payout in proven.payouts)
        assert sum(paid[account]) == proven.events[0].deducted
    assert [sum(column) for column in zip(*paid.values(), strict=True)] == [13, 26, 1]


def test_a_spectator_is_told_that_nothing_was_its_own() -> None:
    venue, run = lost()
    venue.recovery(run, 13)
    [payout] = told(venue, "zoe").payouts
    assert (payout.paid, payout.known) == (0, False)


def test_the_report_tells_what_was_outstanding() -> None:
    venue, run = lost()
    venue.recovery(run, 13)
    venue.recovery(run, 7)
    texts = [note.text for note in told(venue).notes if "outstanding" in note.text]
    assert [text.split(": ")[1].split(" returned")[0] for text in texts] == [
        "13 of 40 outstanding",
        "7 of 27 outstanding",
    ]


def test_a_recovery_of_a_missing_loss_is_incomplete() -> None:
    venue, run = lost()
    venue.snapshot("BTC")
    venue.recovery(run, 13)
    venue.publish()
    proof = venue.prove("zoe", start={"BTC": seq_of(venue, "snapshot")})
    verify(venue, proof, "zoe")
    with refused(Incomplete, "the loss 7, which recovery 10 returns, is missing", "8"):
        verify(venue, without(proof, 7), "zoe")


@pytest.mark.parametrize(("seq", "kind"), [(0, "policy"), (6, "draw"), (8, "applied")])
def test_a_recovery_of_something_else_than_a_loss_is_false(seq: int, kind: str) -> None:
    with refused(Refuted, f"names a loss that is none; expected a loss at {seq}; found a {kind}"):
        told(lied("recovery", loss=seq), "zoe")


def test_a_recovery_of_another_event_than_its_loss_is_false() -> None:
    venue, run = lost()
    run.event = "other"
    venue.recovery(run, 13)
    with refused(Refuted, "is of another event, asset or book than its loss; expected btc-3, BTC"):
        told(venue)


def test_a_recovery_of_another_asset_than_its_loss_is_false() -> None:
    venue, run = lost()
    venue.snapshot("USDT", {"margin": {"alice": 9, "bob": 1}})
    run.asset = "USDT"
    venue.recovery(run, 13)
    with refused(Refuted, "expected btc-3, BTC, margin; found btc-3, USDT, margin", "8"):
        told(venue, "zoe")


def test_a_recovery_of_another_book_than_its_loss_is_false() -> None:
    venue, run = lost()
    venue.books["BTC"]["margin"]["carl"] = 3
    venue.snapshot("BTC")
    venue.lie("recovery", before=lambda ledger: ledger | {"book": "spot"})
    venue.lie("applied", after=lambda ledger: ledger | {"book": "spot"})
    venue.recovery(run, 13)
    venue.publish()
    proof = venue.prove("carl") | {"leaves": venue.leaves("carl", 9, "margin")}
    with refused(Refuted, "expected btc-3, BTC, margin; found btc-3, BTC, spot", "8"):
        verify(venue, proof, "carl")


def test_a_recovery_of_nothing_is_false() -> None:
    with refused(Refuted, "names a recovery of nothing; expected amounts above 0; found 0", "8"):
        told(lied("recovery", recovered="0"), "zoe")


@pytest.mark.parametrize("recovered", ["41", "1000000"])
def test_a_recovery_of_too_much_is_false(recovered: str) -> None:
    with refused(Refuted, "does not fit what its loss left outstanding; expected amounts above 0"):
        told(lied("recovery", recovered=recovered), "zoe")


def test_all_may_come_back_and_then_nothing_more() -> None:
    venue, run = lost()
    venue.recovery(run, 30)
    venue.recovery(run, 10)
    assert told(venue).balances[0].amount == 500_000
    venue.lie("recovery", recovered="1")
    venue.recovery(run, 0)
    with refused(Refuted, "does not fit what its loss left outstanding; expected amounts above"):
        told(venue)


def test_nothing_comes_back_of_a_loss_that_shared_nothing() -> None:
    venue = market()
    run = crash(venue, {"carol": 13})
    venue.recovery(run, 1)
    with refused(Refuted, "amounts above 0, together at most 0; found 1", "8"):
        told(venue)


def older(**edits: object) -> tuple[Venue, dict[str, Any]]:
    """A recovery of a loss that lies below the file's chain; the loss itself may be a lie."""
    venue = market()
    venue.lie("loss", **edits)
    run = crash(venue)
    venue.recovery(run, 5)
    venue.recovery(run, 6)
    venue.snapshot("BTC")
    venue.recovery(run, 7)
    venue.publish()
    return venue, venue.prove("alice", start={"BTC": seq_of(venue, "snapshot")})


def test_a_recovery_of_an_older_loss_is_paid_by_its_shares() -> None:
    venue, proof = older()
    [payout] = verify(venue, proof).payouts
    assert payout.recovery.earlier == (5, 6)
    assert payout.paid in (4, 5)


def test_an_older_loss_is_taken_for_its_numbers_only() -> None:
    venue, proof = older(residual="77")
    assert verify(venue, proof).payouts


def test_an_older_loss_of_more_than_all_equity_is_false() -> None:
    venue, proof = older(socialized="800018")
    with refused(Refuted, "more was socialized than all equity; expected at most 800017", "8"):
        verify(venue, proof)


def test_an_older_loss_of_all_equity_is_taken() -> None:
    venue = market()
    run = crash(venue, {"carol": 800_017 + 50})
    venue.snapshot("BTC")
    venue.recovery(run, 7)
    venue.publish()
    assert verify(venue, venue.prove("alice", start={"BTC": 9})).payouts


def test_an_older_loss_of_another_event_is_false() -> None:
    venue, proof = older(event="other")
    with refused(Refuted, "is of another event, asset or book than its loss; expected other", "8"):
        verify(venue, proof)


@pytest.mark.parametrize("earlier", [[], ["5"], ["13"], ["5", "6", "1"], ["6", "5"]])
def test_earlier_recoveries_on_the_chain_are_told_in_order(earlier: list[str]) -> None:
    venue, run = lost()
    venue.recovery(run, 5)
    venue.recovery(run, 6)
    venue.lie("recovery", earlier=earlier)
    venue.recovery(run, 7)
    found = ", ".join(earlier) or "none"
    with refused(Refuted, f"tells earlier recoveries wrong; expected 5, 6; found {found}", "8"):
        told(venue, "zoe")


def test_an_earlier_recovery_where_there_was_none_is_false() -> None:
    with refused(Refuted, "tells earlier recoveries wrong; expected none; found 5", "8"):
        told(lied("recovery", earlier=["5"]), "zoe")


def test_earlier_recoveries_below_the_chain_are_taken_on_trust() -> None:
    for earlier in ([], ["1"], ["5", "6"], ["20", "1"]):
        venue = market()
        run = crash(venue)
        venue.snapshot("BTC")
        venue.lie("recovery", earlier=earlier)
        venue.recovery(run, 7)
        venue.publish()
        assert verify(venue, venue.prove("zoe", start={"BTC": 9}), "zoe").payouts


@pytest.mark.parametrize("earlier", [[], ["5"], ["7"], ["7", "5"], ["9", "7"], ["1", "5", "7"]])
def test_a_recovery_tells_what_the_one_before_it_told_and_its_amount(earlier: list[str]) -> None:
    venue = market()
    run = crash(venue)
    venue.recovery(run, 5)
    venue.snapshot("BTC")
    venue.recovery(run, 7)
    venue.lie("recovery", earlier=earlier)
    venue.recovery(run, 1)
    venue.publish()
    proof = venue.prove("zoe", start={"BTC": seq_of(venue, "snapshot")})
    with refused(Refuted, "tells earlier recoveries wrong; expected 5, 7; found", "8"):
        verify(venue, proof, "zoe")


def test_earlier_recoveries_that_end_with_those_on_the_chain_are_honest() -> None:
    venue = market()
    run = crash(venue)
    venue.recovery(run, 5)
    venue.snapshot("BTC")
    venue.recovery(run, 7)
    venue.recovery(run, 1)
    venue.publish()
    proven = verify(venue, venue.prove("alice", start={"BTC": seq_of(venue, "snapshot")}))
    assert [payout.recovery.earlier for payout in proven.payouts] == [(5,), (5, 7)]


def test_all_earlier_recoveries_may_be_on_the_chain_though_the_loss_is_not() -> None:
    venue, run = lost()
    venue.snapshot("BTC")
    for amount in (5, 7, 1):
        venue.recovery(run, amount)
    venue.publish()
    proven = verify(venue, venue.prove("alice", start={"BTC": seq_of(venue, "snapshot")}))
    assert [payout.recovery.earlier for payout in proven.payouts] == [(), (5,), (5, 7)]


def test_an_earlier_recovery_of_0_is_false() -> None:
    venue = market()
    run = crash(venue)
    venue.snapshot("BTC")
    venue.lie("recovery", earlier=["0"])
    venue.recovery(run, 7)
    venue.publish()
    with refused(Refuted, "names a recovery of nothing; expected amounts above 0; found 0, 7"):
        verify(venue, venue.prove("zoe", start={"BTC": 9}), "zoe")


def test_recoveries_of_two_losses_are_told_apart() -> None:
    venue, run = lost()
    second = crash(venue)
    venue.recovery(run, 5)
    venue.recovery(second, 6)
    venue.recovery(run, 7)
    assert [payout.recovery.earlier for payout in told(venue).payouts] == [(), (), (5,)]


def test_a_recovery_that_is_not_applied_yet_is_incomplete() -> None:
    venue, run = lost()
    venue.recovery(run, 13, until="recovery")
    venue.wait(10**9)
    with refused(Incomplete, "recovery 9 is not applied yet", "8"):
        told(venue, "zoe")


def test_a_recovery_that_is_not_applied_next_is_false() -> None:
    venue, run = lost()
    venue.recovery(run, 13, until="recovery")
    venue.snapshot("BTC")
    with refused(Refuted, "recovery 9 is not applied next; expected its applied of btc-3; found"):
        told(venue, "zoe")


def test_a_recovery_applied_under_another_event_is_false() -> None:
    with refused(Refuted, "recovery 9 is not applied next; expected its applied of btc-3", "8"):
        told(lied("applied", event="other"))


def test_a_policy_changed_inside_a_recovery_is_false() -> None:
    venue, run = lost()
    venue.recovery(run, 13, until="recovery")
    venue.policy(deadline_ms=5)
    after = venue.ledgers[9, "margin"].balances()
    run.apply("margin", after | {"alice": after["alice"] + 13})
    with refused(Refuted, "the policy changed inside a recovery; expected policy 0; found", "8"):
        told(venue, "zoe")


def test_a_policy_may_change_between_a_loss_and_its_recovery() -> None:
    venue, run = lost()
    venue.policy(deadline_ms=5)
    venue.recovery(run, 13)
    assert told(venue).payouts


@pytest.mark.parametrize(
    "edit", [{"total": "799989"}, {"total": "799991"}, {"total": "799977"}, {"accounts": 4}]
)
def test_a_ledger_after_without_the_recoverys_effect_is_false(edit: dict[str, object]) -> None:
    venue = lied("applied", after=lambda ledger: ledger | edit)
    with refused(Refuted, "expected margin: 3 leaves, total 799990; found margin", "8"):
        told(venue, "zoe")


def test_a_ledger_before_may_have_changed_since_the_loss() -> None:
    venue, run = lost()
    venue.books["BTC"]["margin"] = {"alice": 1, "carl": 2}
    venue.recovery(run, 13)
    venue.publish()
    assert verify(venue, venue.prove("bob"), "bob").balances[0].amount == 5
    assert verify(venue, venue.prove("carl"), "carl").balances[0].amount == 2


@pytest.mark.parametrize("units", [1, -1])
def test_a_unit_more_or_less_than_the_rule_pays_is_false(units: int) -> None:
    def moved(held: dict[str, int]) -> dict[str, int]:
        return held | {"alice": held["alice"] - units, "bob": held["bob"] + units}

    for account in ("alice", "bob"):
        with refused(Refuted, "what the recovery pays is not the rule's; expected", "8"):
            told(lied("applied", balances=moved), account)


def test_an_account_that_bore_nothing_gets_nothing() -> None:
    def to_zoe(held: dict[str, int]) -> dict[str, int]:
        return held | {"alice": held["alice"] - 1, "zoe": held["zoe"] + 1}

    venue, run = lost()
    venue.books["BTC"]["margin"]["zoe"] = 5
    venue.lie("applied", balances=to_zoe)
    venue.recovery(run, 13)
    with refused(Refuted, "what the recovery pays is not the rule's; expected 5 + 0 = 5; found 6"):
        told(venue, "zoe")


def test_an_account_that_was_not_there_before_is_not_there_after() -> None:
    venue, run = lost()
    venue.recovery(run, 13, until="recovery")
    after = venue.ledgers[9, "margin"].balances()
    after["alice"] += 13 - 4 + after.pop("erin")
    run.apply("margin", after | {"zoe": 4})
    with refused(Refuted, "what the recovery pays is not the rule's; expected 0 + 0 = 0; found 4"):
        told(venue, "zoe")


def test_a_recovery_of_nothing_is_false_even_if_its_loss_is_missing() -> None:
    venue, run = lost()
    venue.snapshot("BTC")
    venue.lie("recovery", recovered="0")
    venue.recovery(run, 13)
    venue.publish()
    proof = without(venue.prove("zoe", start={"BTC": 9}), 7)
    with refused(Refuted, "recovery 10 names a recovery of nothing", "8"):
        verify(venue, proof, "zoe")


def test_a_loss_that_the_chain_does_not_have_is_false() -> None:
    venue, run = lost()
    venue.lie("recovery", loss=2)
    venue.recovery(run, 13)
    venue.publish()
    with refused(Refuted, "recovery 9 names a loss that its chain does not have", "8"):
        verify(venue, without(venue.prove("zoe"), 2), "zoe")


def test_what_follows_a_recovery_wrongly_is_told_as_such() -> None:
    venue = Venue()
    venue.snapshot("BTC", {"margin": {"alice": 10, "zoe": 90}, "spot": {"zoe": 3}})
    run = crash(venue, {"carol": 50}, adl={})
    venue.snapshot("BTC", {"margin": {"alice": 5}})
    venue.recovery(run, 20, until="recovery")
    venue.snapshot("BTC")
    with refused(Refuted, "is not applied next", "8"):
        told(venue, "zoe")
