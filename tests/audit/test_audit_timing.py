"""A1 and H1: the policy's place in the log, and the deadline."""

from typing import Any

import pytest
from audit.cases_audit import EVENT, told
from venue import Venue

from auditkit.audit.findings import Verdict
from auditkit.audit.timing import a1, h1

LATE = 5500
"""How long after it was confirmed the simulator logs that a loss was applied."""


def at_work(**rules: Any) -> Venue:
    """A venue with a snapshot and a fund."""
    venue = Venue(**rules)
    venue.snapshot("BTC", {"margin": {"anna": 500, "bert": 300}})
    venue.fund(BTC=[("liquidation_fee", 40)])
    return venue


def crashed(venue: Venue, **details: Any) -> Venue:
    venue.event("BTC", {"gone": 90}, {"anna": 10}, event=EVENT, **details)
    return venue


def test_an_honest_event_is_in_time_under_a_policy_that_was_known() -> None:
    case = told(crashed(at_work()))
    for found in (a1(case), h1(case)):
        assert (found.verdict, found.rows) == (Verdict.PASS, ())
    assert [name for name, _ in a1(case).compared] == [
        "policy 0",
        "reference 1",
        "last of the run, applied 8",
    ]
    assert ("deadline", "90000 ms after that") in h1(case).compared


def test_a_policy_that_is_younger_than_the_reference() -> None:
    venue = at_work()
    venue.policy(deadline_ms=10)
    found = a1(told(crashed(venue)))
    assert found.verdict is Verdict.FAIL
    assert [row["what"] for row in found.rows] == [
        "the policy that snapshot 1 names",
        "the policy was logged after the reference",
    ]
    assert found.rows[1]["found"].endswith("(entry 3)")


def test_a_policy_that_changes_inside_the_run() -> None:
    venue = at_work()
    run = venue.deficit("BTC", {"gone": 90}, event=EVENT)
    seq = venue.policy_seq
    venue.policy(deadline_ms=10)
    venue.policy_seq = seq
    run.adl({})
    run.draw()
    run.loss()
    run.applied()
    found = a1(told(venue))
    assert (found.verdict, found.failing) == (Verdict.FAIL, 1)
    assert found.rows[0]["what"] == "the policy changed before the run ended"
    assert found.rows[0]["found"].endswith("(entry 4)")


def test_a_policy_before_the_reference_that_the_run_does_not_name() -> None:
    venue = Venue()
    venue.policy(deadline_ms=10)
    venue.policy_seq = 0
    venue.snapshot("BTC", {"margin": {"anna": 500}})
    found = a1(told(crashed(venue)))
    assert [row["what"] for row in found.rows] == ["the policy changed before the run ended"]


def test_statements_of_the_run_that_name_another_policy() -> None:
    venue = at_work()
    venue.lie("loss", policy=2)
    found = a1(told(crashed(venue)))
    assert [row["what"] for row in found.rows] == ["the policy that loss 7 names"]


def test_the_policy_may_change_afterwards() -> None:
    venue = crashed(at_work())
    venue.policy(deadline_ms=10)
    assert a1(told(venue)).verdict is Verdict.PASS


def test_without_a_reference_there_is_nothing_to_be_older_than() -> None:
    found = a1(told(crashed(Venue(), until="draw")))
    assert (found.verdict, found.missing) == (
        Verdict.OPEN,
        ("a snapshot of BTC before event crash-1",),
    )


@pytest.mark.parametrize(("until", "lacks"), [("draw", "loss"), ("loss", "applied")])
def test_a_run_that_is_not_finished_is_open(until: str, lacks: str) -> None:
    case = told(crashed(at_work(), until=until))
    for found in (a1(case), h1(case)):
        assert found.verdict is Verdict.OPEN
        assert found.missing == (f"the {lacks} statement of event crash-1",)


@pytest.mark.parametrize(("deadline", "late"), [(LATE, []), (LATE - 1, ["applied"])])
def test_the_deadline_holds_to_the_millisecond(deadline: int, late: list[str]) -> None:
    found = h1(told(crashed(at_work(deadline_ms=deadline))))
    assert found.verdict is (Verdict.FAIL if late else Verdict.PASS)
    assert [row["what"].split()[0] for row in found.rows] == late
    assert [row["found"] for row in found.rows] == [f"{LATE} ms" for _ in late]


def test_a_late_loss_and_a_late_effect_are_two_rows() -> None:
    found = h1(told(crashed(at_work(deadline_ms=100))))
    assert [row["what"] for row in found.rows] == ["loss 7 was logged", "applied 8 was logged"]


@pytest.mark.parametrize(("until", "lacks"), [("draw", "loss"), ("loss", "applied")])
def test_a_run_that_is_still_not_finished_is_late(until: str, lacks: str) -> None:
    venue = crashed(at_work(), until=until)
    venue.wait(90_000)
    # The index that ends the log is enough to see it.
    found = h1(told(venue))
    assert found.verdict is Verdict.FAIL
    assert found.rows[-1]["what"] == (
        f"the log went on without the {lacks} statement of event crash-1"
    )


def test_a_loss_that_nobody_shares_needs_no_effect() -> None:
    venue = at_work()
    venue.event("BTC", {"gone": 9}, event=EVENT)
    case = told(venue)
    assert case.applied is None
    assert h1(case).verdict is Verdict.PASS
    assert a1(case).verdict is Verdict.PASS


def test_a_recovery_s_effect_is_not_the_loss_s() -> None:
    venue = at_work()
    run = venue.event("BTC", {"gone": 90}, event=EVENT, until="loss")
    venue.wait(200_000)
    venue.recovery(run, 1)
    found = h1(told(venue))
    assert found.verdict is Verdict.FAIL
    assert "without the applied statement" in found.rows[0]["what"]
