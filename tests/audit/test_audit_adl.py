"""B1 and B2, through real logs: a list, the signed ledger, and what a list leaves open."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from audit.cases_audit import ADL, BEFORE, CLOSINGS, EVENT, FILES, Desk, closing, told
from hypothesis import given
from hypothesis import strategies as st
from venue import Venue

from auditkit.audit.adl import b1, b2
from auditkit.audit.findings import Finding, Verdict
from auditkit.audit.fund import c2, c3
from auditkit.audit.handover import Handover
from auditkit.audit.liquidations import a4
from auditkit.audit.positions import a3, d1
from auditkit.audit.timing import a1, h1
from auditkit.margin.closings import Closing
from auditkit.verify.errors import NotVerified

RANK = "profit-desc-leverage-asc"


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def rows_of(found: Finding) -> list[Mapping[str, str]]:
    assert found.verdict is Verdict.FAIL
    return list(found.rows)


def test_an_honest_event(desk: Desk) -> None:
    case = desk.publish().case()
    found = b1(case)
    assert (found.verdict, found.rows) == (Verdict.PASS, ())
    assert dict(found.compared) == {
        "ranked by": "profit-desc-leverage-asc",
        "bankrupt positions": "1",
        "to cover": "50.00 USD",
        "closings": "2, which absorb 45.00 USD",
        "ledger of adl": "45.00 USD, 2 leaves",
    }
    found = b2(case)
    assert (found.verdict, found.rows) == (Verdict.PASS, ())
    assert dict(found.compared) == {
        "to cover": "50.00 USD",
        "absorbed": "45.00 USD",
        "left": "5.00 USD",
        "candidates": "2, signed 2",
        "exhausted": "true",
    }


def test_a_list_of_the_event_s_file_goes_before_the_one_that_was_handed_over(desk: Desk) -> None:
    desk.publish()
    assert b1(desk.case(closings=desk.listed())).verdict is Verdict.PASS
    other = desk.listed([replace(CLOSINGS[0], price="96"), CLOSINGS[1]])
    assert [x["what"] for x in rows_of(b1(desk.case(closings=other)))] == ["price"]


def test_a_handed_folder_has_the_list(desk: Desk, tmp_path: Path) -> None:
    from auditkit.publish.handover import of_event, write
    from auditkit.publish.venue import Venue as Published

    desk.publish()
    with Published(desk.exchange.root) as venue:
        write(venue, of_event(venue, EVENT), tmp_path / "handed")
    case = desk.case(Handover.of_folder(tmp_path / "handed"))
    assert [p(case).verdict for p in (b1, b2)] == [Verdict.PASS] * 2


@pytest.fixture
def funded(tmp_path: Path) -> Desk:
    """The fund pays 40 first, so that 10 are left to deleverage: anna's, who gives 2 of hers."""
    return Desk(tmp_path, fund=4000, waterfall=["draw", "adl"])


SKIPPED: Mapping[str, Any] = {
    "adl": {"bert": 1000},
    "before": {**BEFORE, "anna": 16000, "bert": 10500},
}


def test_a_friend_who_is_skipped_is_found_by_the_ranking_alone(funded: Desk) -> None:
    desk = funded.tell(**SKIPPED)
    case = desk.case(closings=desk.listed([closing("bert", 2, 10)]))
    assert rows_of(b1(case)) == [
        {
            "row": "1",
            "bankrupt": "gone",
            "position": "OIL long",
            "account": "bert",
            "what": "rank",
            "expected": "anna, rank 1",
            "found": "bert, rank 2",
        }
    ]
    assert [p(case).verdict for p in (a3, b2, d1)] == [Verdict.PASS] * 3


def test_the_draw_is_before_deleveraging(funded: Desk) -> None:
    case = funded.publish().case()
    assert case.adl is not None
    assert case.adl.ledger.total == 1000
    assert [p(case).verdict for p in (a3, b1, b2, d1)] == [Verdict.PASS] * 4
    assert dict(b1(case).compared)["to cover"] == "10.00 USD"


def test_stopping_early_is_found_by_exhaustion_alone(desk: Desk) -> None:
    desk.tell(adl={"anna": 3000}, before={**BEFORE, "bert": 11500})
    case = desk.case(closings=desk.listed(CLOSINGS[:1]))
    assert rows_of(b2(case)) == [
        {
            "bankrupt": "gone",
            "position": "OIL long",
            "what": "could be closed further",
            "left": "4",
            "found": "bert, rank 2, open for 3",
        }
    ]
    assert [p(case).verdict for p in (a3, b1, d1)] == [Verdict.PASS] * 3


def test_a_row_that_is_dropped_from_the_list_alone_is_found_by_the_ledger(desk: Desk) -> None:
    case = desk.tell().case(closings=desk.listed(CLOSINGS[:1]))
    assert rows_of(b1(case)) == [
        {
            "account": "bert",
            "what": "ledger of adl",
            "expected": "0.00 USD",
            "found": "15.00 USD",
        }
    ]
    # The signed ledger leaves a rest, so what the list leaves open counts too.
    assert b2(case).verdict is Verdict.FAIL


def test_the_last_row_dropped_where_nothing_is_left_is_found_by_the_ledger_alone(
    funded: Desk,
) -> None:
    desk = funded.tell(adl={"anna": 1000}, before={**BEFORE, "anna": 15000, "bert": 11500})
    case = desk.case(closings=desk.listed([]))
    assert [x["what"] for x in rows_of(b1(case))] == ["ledger of adl"]
    assert b2(case).verdict is Verdict.PASS


def test_a_ledger_that_is_not_the_list(desk: Desk) -> None:
    desk.tell(adl={"anna": 3001, "carl": 1499}, adl_candidates=2)
    case = desk.case(closings=desk.listed())
    assert [(x["account"], x["expected"], x["found"]) for x in rows_of(b1(case))] == [
        ("anna", "30.00 USD", "30.01 USD"),
        ("bert", "15.00 USD", "0.00 USD"),
        ("carl", "0.00 USD", "14.99 USD"),
    ]
    assert b2(case).verdict is Verdict.PASS


def test_without_the_ledger_its_total_is_compared(desk: Desk) -> None:
    desk.tell()
    found = b1(desk.case(Handover.none(), closings=desk.listed()))
    assert (found.verdict, found.missing) == (Verdict.OPEN, ("ledgers/7-adl",))
    found = b1(desk.case(Handover.none(), closings=desk.listed(CLOSINGS[:1])))
    assert rows_of(found) == [
        {"what": "ledger of adl, total", "expected": "30.00 USD", "found": "45.00 USD"}
    ]


def test_sums_beyond_any_amount_are_no_traceback(desk: Desk) -> None:
    most = (1 << 128) - 1
    rows = [replace(CLOSINGS[0], absorbed=most)] * 2
    found = b1(desk.tell().case(closings=desk.listed(rows)))
    assert {x["what"] for x in rows_of(found)} == {"size", "absorbed", "ledger of adl"}


def test_candidates_that_are_not_those_of_the_book(desk: Desk) -> None:
    desk.tell(adl_candidates=3)
    found = b2(desk.case(closings=desk.listed()))
    assert rows_of(found) == [{"what": "candidates", "expected": "2", "found": "3"}]


@pytest.fixture
def paid(tmp_path: Path) -> Desk:
    """The fund pays everything."""
    return Desk(tmp_path, fund=6000, waterfall=["draw", "adl"])


def test_nothing_left_to_cover_is_an_empty_list(paid: Desk) -> None:
    case = paid.publish().case()
    assert case.adl is not None
    assert case.adl.ledger.accounts == 0
    assert [p(case).verdict for p in (a3, b1, b2, d1)] == [Verdict.PASS] * 4
    # Nor is a list needed to say so.
    case = paid.case(Handover.none())
    assert [p(case).verdict for p in (b1, b2)] == [Verdict.PASS] * 2


def test_a_list_where_nothing_was_left_to_cover(paid: Desk) -> None:
    case = paid.publish().case(closings=paid.listed())
    assert [x["what"] for x in rows_of(b1(case))] == [
        "rest",
        "rest",
        "ledger of adl",
        "ledger of adl",
    ]
    assert b2(case).verdict is Verdict.PASS


def test_what_b1_and_b2_need(desk: Desk) -> None:
    desk.tell()
    lacks = ("closings (lists/7-adl.csv, or closings = ... in the event's file)",)
    for procedure in (b1, b2):
        found = procedure(desk.case())
        assert (found.verdict, found.missing) == (Verdict.OPEN, lacks)
        found = procedure(desk.case(positions=None, closings=desk.listed()))
        assert (found.verdict, found.missing) == (
            Verdict.OPEN,
            ("positions (a positions.toml; positions = ... in the event's file)",),
        )


def test_a_list_is_needed_where_anything_was_left_to_cover(tmp_path: Path) -> None:
    desk = Desk(tmp_path / "nobody").tell(adl={}, before={**BEFORE, "anna": 16000, "bert": 11500})
    for procedure in (b1, b2):
        assert procedure(desk.case()).verdict is Verdict.OPEN
    desk = Desk(tmp_path / "one").tell(adl={"anna": 3000, "bert": 1999})
    assert b2(desk.case()).verdict is Verdict.OPEN
    found = b2(desk.case(closings=desk.listed(CLOSINGS[:1])))
    assert dict(found.compared)["left"] == "0.01 USD"
    assert [x["what"] for x in rows_of(found)] == ["could be closed further"]


def simulated(
    desk: Desk, *steps: str, lies: Mapping[str, Mapping[str, object]] | None = None, **rules: Any
) -> Venue:
    """A run in the simulator that has these steps alone, of the same deficit."""
    venue = Venue({"USD": 2}, **{"adl_rank": RANK, **rules})
    venue.snapshot("USD", {"margin": {"anna": 10000}})
    venue.fund(USD=[("liquidation_fee", 200)])
    sources = [{"name": "a", "price": "90"}]
    mark: dict[str, object] = {"contract": "OIL", "mark": "90", "sources": sources}
    for kind, edits in (lies or {}).items():
        venue.lie(kind, **edits)
    run = venue.deficit("USD", {"gone": 5000}, event=EVENT, marks=[mark])
    for step in steps:
        run.steps[step](*([ADL] if step == "adl" else []))
    if not desk.event.name:
        desk.event = FILES.event(desk.exchange, EVENT, "USD")
    return venue


def test_exhaustion_that_the_venue_itself_denies(desk: Desk) -> None:
    venue = simulated(desk, "adl", "draw", "loss", "applied")
    venue.restate(4, exhausted=False)
    found = b2(told(venue, desk.inputs(closings=desk.listed())))
    assert [x["what"] for x in rows_of(found)] == ["exhausted"]


def test_deleveraging_that_the_policy_names_and_the_log_lacks(desk: Desk) -> None:
    venue = simulated(desk, "draw", "loss", "applied")
    case = told(venue, desk.inputs(closings=desk.listed()))
    assert rows_of(b2(case)) == [
        {"what": "deleveraging", "expected": "an adl statement before loss 6", "found": "none"}
    ]
    found = b1(case)
    assert (found.verdict, found.missing) == (
        Verdict.OPEN,
        ("the adl statement of event crash-1",),
    )


def test_a_run_that_did_not_come_to_deleveraging(desk: Desk) -> None:
    case = told(simulated(desk), desk.inputs(closings=desk.listed()))
    for procedure in (b1, b2):
        assert procedure(case).missing == ("the adl statement of event crash-1",)


def test_a_draw_that_the_policy_names_first_and_the_log_lacks(desk: Desk) -> None:
    venue = simulated(desk, "adl", "loss", "applied", waterfall=["draw", "adl"])
    case = told(venue, desk.inputs(closings=desk.listed()))
    for procedure in (b1, b2):
        found = procedure(case)
        assert (found.verdict, found.missing) == (
            Verdict.OPEN,
            ("the draw statement of event crash-1",),
        )


def test_a_policy_without_deleveraging(desk: Desk) -> None:
    for steps, verdict in ((("draw",), Verdict.PASS), (("adl", "draw"), Verdict.FAIL)):
        venue = simulated(desk, *steps, "loss", "applied", waterfall=["draw"])
        for procedure in (b1, b2):
            found = procedure(told(venue))
            assert (found.verdict, found.compared) == (verdict, (("waterfall", "draw"),))


# A log may say anything, in any order: each procedure ends with a finding.

PROCEDURES = (a1, a3, a4, b1, b2, c2, c3, d1, h1)
NUMBERS = st.sampled_from(["0", "1", "200", "4500", "5000", str(2**128 - 1)])
LIES = st.fixed_dictionaries(
    {},
    optional={
        "deficit": st.fixed_dictionaries({"pool": st.sampled_from(["USD", "nowhere"])}),
        "adl": st.fixed_dictionaries({"candidates": st.integers(2, 9), "exhausted": st.booleans()}),
        "draw": st.fixed_dictionaries(
            {}, optional={"before": NUMBERS, "drawn": NUMBERS, "after": NUMBERS}
        ),
        "loss": st.fixed_dictionaries({"residual": NUMBERS}),
    },
)


@pytest.fixture(scope="module")
def lying(tmp_path_factory: pytest.TempPathFactory) -> Desk:
    return Desk(tmp_path_factory.mktemp("lying"))


@given(
    st.lists(st.sampled_from(["adl", "draw", "loss", "applied"]), max_size=5),
    st.lists(st.sampled_from(["adl", "draw"]), max_size=2, unique=True),
    LIES,
    st.sampled_from([None, CLOSINGS, CLOSINGS[::-1], CLOSINGS[:1], ()]),
    st.booleans(),
)
def test_whatever_a_log_says_there_is_a_finding(
    lying: Desk,
    steps: list[str],
    waterfall: list[str],
    lies: Mapping[str, Mapping[str, object]],
    rows: Sequence[Closing] | None,
    fund: bool,
) -> None:
    if "loss" not in steps:
        steps = [step for step in steps if step != "applied"]
    steps.sort(key=lambda step: step == "applied")
    venue = simulated(lying, *steps, lies=lies, waterfall=waterfall)
    if fund:
        venue.fund()
    closings = None if rows is None else lying.listed(rows)
    fills = lying.fills(("lost", "OIL", "long", "2", "100", "10", "94"))
    try:
        case = told(venue, lying.inputs(closings=closings, fills=fills))
        findings = [(procedure.__name__, procedure(case)) for procedure in PROCEDURES]
    except NotVerified:
        return  # The fund's balance fell below 0, which no statement can say.
    for name, found in findings:
        assert found.procedure == name.upper()
        assert (found.verdict is Verdict.PASS) == (not found.failing and not found.missing)
        assert found.compared or found.verdict is not Verdict.PASS
