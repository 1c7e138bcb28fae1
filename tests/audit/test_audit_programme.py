"""What an audit runs, also over a log of which a part cannot be read."""

import pytest
from fund.cases_fund import FundVenue

from auditkit.audit import programme
from auditkit.audit.case import Case
from auditkit.audit.findings import Verdict
from auditkit.audit.handover import Handover
from auditkit.audit.timing import h1
from auditkit.errors import InputError


@pytest.fixture
def venue() -> FundVenue:
    made = FundVenue()
    made.snapshot("BTC", {"margin": {"anna": 500}})
    made.fund(BTC=[("liquidation_fee", 40)])
    return made


@pytest.mark.parametrize("field", ["ledger", "marks", "policy"])
def test_an_event_that_cannot_be_read_leaves_its_procedures_open(
    venue: FundVenue, field: str
) -> None:
    venue.event("BTC", {"gone": 5}, event="crash-1")
    seq = next(s["seq"] for s in venue.said if s["format"] == "auditkit/deficit/1")
    venue.restate(seq, **{field: "nonsense"})
    log = venue.read()
    assert programme.of_log(log).verdict is Verdict.FAIL
    assert programme.events(log) == []
    assert programme.newest_snapshots(log) == [1]
    found = list(programme.of_named(log, "crash-1", Handover.none(), None))
    assert [f.procedure for f in found] == list(programme.EVENT)
    assert {f.verdict for f in found} == {Verdict.OPEN}
    assert all("see LOG" in f.missing[0] for f in found)


def test_a_statement_that_cannot_be_read_leaves_its_books_open(venue: FundVenue) -> None:
    venue.restate(1, ledgers="nonsense")
    log = venue.read()
    with pytest.raises(InputError, match="the log has no snapshot"):
        programme.newest_snapshots(log)
    assert programme.books_at(log, 1, Handover.none(), None).verdict is Verdict.OPEN
    assert programme.sample_at(log, 1, Handover.none(), None, 5, "dice").verdict is Verdict.OPEN


def test_an_event_that_the_log_does_not_have_is_not_decidable(venue: FundVenue) -> None:
    found = list(programme.of_named(venue.read(), "crash-9", Handover.none(), None, ["H1"]))
    assert [(f.procedure, f.verdict) for f in found] == [("H1", Verdict.OPEN)]


def test_a_deficit_confirmed_after_it_was_logged_fails_h1(venue: FundVenue) -> None:
    """Else nothing could ever be late."""
    venue.lie("deficit", confirmed="2999-01-01T00:00:00.000Z")
    venue.event("BTC", {"gone": 5}, event="crash-1")
    found = h1(Case.find(venue.read(), "crash-1", Handover.none(), None))
    assert found.verdict is Verdict.FAIL
    assert [row["what"] for row in found.rows] == ["confirmed"]
