"""A3 and D1: equities against the signed ledgers, and the tables against themselves."""

from collections.abc import Mapping
from dataclasses import replace
from fractions import Fraction
from math import floor
from pathlib import Path
from typing import Any

import pytest
from audit.cases_audit import BEFORE, DEFICITS, EVENT, FILES, Desk, equities, told
from hypothesis import given
from venue import Venue

from auditkit.audit import positions
from auditkit.audit.adl import b1, b2
from auditkit.audit.findings import Finding, Verdict
from auditkit.audit.handover import Handover
from auditkit.audit.positions import a3, d1
from auditkit.errors import InputError
from auditkit.margin.equity import Equity


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def rows(found: Finding) -> list[Mapping[str, str]]:
    assert found.verdict is Verdict.FAIL
    return list(found.rows)


# A3


def test_an_honest_event(desk: Desk) -> None:
    found = a3(desk.publish().case())
    assert (found.verdict, found.rows) == (Verdict.PASS, ())
    assert dict(found.compared) == {
        "marks": "1",
        "margin book": "5 accounts, 4 positions",
        "short by positions": "50.00 USD, 1",
        "ledger of the deficit": "50.00 USD, 1",
        "equity above 0 by positions": "665.00 USD",
        "of that, deleveraging took": "45.00 USD",
        "ledger before the loss": "620.00 USD",
    }


def test_lists_that_agree_with_positions(desk: Desk) -> None:
    assert a3(desk.tell().case()).verdict is Verdict.PASS


def test_an_invented_deficit_is_found_by_the_equities_alone(desk: Desk) -> None:
    desk.tell(deficits={"gone": 6000})
    found = a3(desk.case())
    assert rows(found) == [
        {"account": "gone", "what": "short", "expected": "50.00 USD", "found": "60.00 USD"}
    ]
    case = desk.case(closings=desk.listed())
    assert [p(case).verdict for p in (b1, b2, d1)] == [Verdict.PASS] * 3


def test_an_account_that_is_short_by_no_position(desk: Desk) -> None:
    desk.tell(deficits={**DEFICITS, "nemo": 700})
    assert rows(a3(desk.case())) == [
        {"account": "nemo", "what": "short", "expected": "0.00 USD", "found": "7.00 USD"}
    ]


def test_a_bankrupt_account_that_is_not_in_the_deficit(desk: Desk) -> None:
    desk.tell(deficits={"carl": 5000})
    assert [(row["account"], row["found"]) for row in rows(a3(desk.case()))] == [
        ("carl", "50.00 USD"),
        ("gone", "0.00 USD"),
    ]


def test_equity_that_is_left_out(desk: Desk) -> None:
    desk.tell(before={**BEFORE, "anna": 12999})
    assert rows(a3(desk.case())) == [
        {
            "account": "anna",
            "what": "equity",
            "absorbed": "30.00 USD",
            "expected": "130.00 USD",
            "found": "129.99 USD",
        }
    ]


def test_accounts_that_are_left_out_and_that_are_made_up(desk: Desk) -> None:
    before = {"zoe": 1, **BEFORE}
    del before["carl"]
    desk.tell(before=before)
    assert [(row["account"], row["expected"], row["found"]) for row in rows(a3(desk.case()))] == [
        ("carl", "300.00 USD", "0.00 USD"),
        ("zoe", "0.00 USD", "0.01 USD"),
    ]


def test_carried_zeros_and_split_accounts_are_no_difference(tmp_path: Path) -> None:
    desk = Desk(tmp_path, replace(FILES, leaves={"carl": 3}), held={"zoe": 5, "carl": 30000})
    case = desk.publish().case()
    assert case.loss is not None
    assert case.loss.before.accounts == 7
    assert a3(case).verdict is Verdict.PASS


def test_more_absorbed_than_there_was(tmp_path: Path) -> None:
    wallets = {**FILES.wallets, "erin": "0"}
    position = ("erin", "OIL", "short", "1", "100")
    desk = Desk(tmp_path, replace(FILES, wallets=wallets, positions=[*FILES.positions, position]))
    desk.tell(adl={"erin": 1100, "anna": 3000}, before={**BEFORE, "bert": 11500})
    assert rows(a3(desk.case())) == [
        {
            "account": "erin",
            "what": "equity",
            "absorbed": "11.00 USD",
            "expected": "-1.00 USD",
            "found": "0.00 USD",
        }
    ]


def test_what_was_absorbed_is_missing_in_the_ledger(desk: Desk) -> None:
    desk.tell(before={**BEFORE, "anna": 16000})
    assert [row["found"] for row in rows(a3(desk.case()))] == ["160.00 USD"]


def test_only_the_first_rows_are_shown_and_all_are_counted(tmp_path: Path) -> None:
    desk = Desk(tmp_path).tell(before={**BEFORE, **{f"x{i:03}": 1 for i in range(150)}})
    found = a3(desk.case())
    assert (len(found.rows), found.failing) == (100, 150)
    desk = Desk(tmp_path / "2").tell(deficits={**DEFICITS, **{f"x{i:03}": 1 for i in range(150)}})
    found = a3(desk.case())
    assert (len(found.rows), found.failing) == (100, 150)


def test_a_mark_that_was_not_logged(desk: Desk) -> None:
    marks = [{"contract": "TIN", "sources": {"a": "90"}}]
    case = desk.tell(mark=marks).case(closings=desk.listed())
    assert rows(a3(case)) == [{"what": "a mark", "contract": "OIL", "found": "not logged"}]
    for procedure in (b1, b2, d1):
        found = procedure(case)
        assert (found.verdict, found.missing) == (
            Verdict.OPEN,
            ("marks of OIL in deficit 6 (see A3)",),
        )


def test_a_mark_of_0_is_none(desk: Desk) -> None:
    case = desk.tell(mark=[{"contract": "OIL", "sources": {"a": "0"}}]).case()
    assert [row["contract"] for row in rows(a3(case)) if "contract" in row] == ["OIL"]


def test_a_mark_below_1_is_one(tmp_path: Path) -> None:
    positions = [(*row[:3], row[3], f"{int(row[4]) / 100}") for row in FILES.positions]
    contracts, marks = ("OIL,linear,100,USD,0.05",), {"OIL": {"a": "0.9"}}
    files = replace(FILES, positions=positions, contracts=contracts, marks=marks)
    case = Desk(tmp_path, files).publish().case()
    assert case.adl is not None
    assert case.adl.ledger.total == 4500
    assert [p(case).verdict for p in (a3, b1, b2, d1)] == [Verdict.PASS] * 4


def test_the_logged_mark_decides(desk: Desk) -> None:
    marks = [{"contract": "OIL", "sources": {"a": "91"}}]
    found = a3(desk.tell(mark=marks).case())
    *others, file = rows(found)
    assert [row["account"] for row in others] == ["gone", "anna", "bert", "dora"]
    assert file["what"] == "mark of OIL"
    assert (file["signed"], file["the event's file"]) == ("91, of a 91", "90, of a 90")


def test_contracts_without_positions_need_no_mark(tmp_path: Path) -> None:
    more = (*FILES.contracts, "TIN,inverse,1,USD,0.05")
    assert a3(Desk(tmp_path, replace(FILES, contracts=more)).publish().case()).verdict is (
        Verdict.PASS
    )


def test_an_account_that_may_be_any_pool_s(tmp_path: Path) -> None:
    contracts = ("OIL,linear,1,USD,0.05,USD", "TIN,linear,1,USD,0.05,USD-2")
    two = [("gone", "TIN", "long", "1", "90"), ("carl", "TIN", "short", "1", "90")]
    marks = {"OIL": {"a": "90"}, "TIN": {"a": "90"}}
    files = replace(FILES, contracts=contracts, positions=[*FILES.positions, *two], marks=marks)
    pools = {"USD": {"asset": "USD"}, "USD-2": {"asset": "USD"}}
    case = Desk(tmp_path, files, pools=pools).tell().case()
    found = a3(case)
    assert found.verdict is Verdict.OPEN
    assert found.missing[0].startswith("a rule for who is bankrupt in the event of pool USD: ")
    assert d1(case).verdict is Verdict.PASS


def test_what_a3_needs(desk: Desk) -> None:
    desk.publish()
    found = a3(desk.case(positions=None))
    assert (found.verdict, found.missing) == (
        Verdict.OPEN,
        ("positions (a positions.toml; positions = ... in the event's file)",),
    )
    found = a3(desk.case(Handover.none()))
    assert (found.verdict, found.missing) == (
        Verdict.OPEN,
        ("ledgers/6-deficit", "ledgers/7-adl"),
    )


def test_what_is_missing_hides_no_row(desk: Desk, tmp_path: Path) -> None:
    case = desk.tell(deficits={"gone": 6000}).case()
    assert case.loss is not None
    folder = tmp_path / "handed"
    for part in ("ledgers", "secrets"):
        (folder / part).mkdir(parents=True)
    (folder / "ledgers/6-deficit.csv").write_text("account,amount\ngone,6000\n")
    secret = (desk.exchange.root / "secrets/6-deficit").read_text()
    (folder / "secrets/6-deficit").write_text(secret)
    found = a3(desk.case(Handover.of_folder(folder)))
    assert (found.verdict, found.failing, found.missing) == (Verdict.FAIL, 1, ("ledgers/7-adl",))


def simulated(desk: Desk, *steps: str, **rules: Any) -> Venue:
    """The same event in the simulator, whose run has these steps alone."""
    venue = Venue({"USD": 2}, **rules)
    venue.snapshot("USD", {"margin": {"anna": 10000}})
    venue.fund(USD=[("liquidation_fee", 200)])
    sources = [{"name": "a", "price": "90"}]
    mark: dict[str, object] = {"contract": "OIL", "mark": "90", "sources": sources}
    run = venue.deficit("USD", {}, event=EVENT, marks=[mark])
    for step in steps:
        run.steps[step](*([{}] if step == "adl" else []))
    desk.event = FILES.event(desk.exchange, EVENT, "USD")
    return venue


def test_a_run_without_its_stages(desk: Desk) -> None:
    case = told(simulated(desk, "draw", "loss"), None)
    assert case.loss is not None
    case = replace(case, inputs=desk.inputs())
    found = a3(case)
    # Nobody is in the deficit, which is plain without its rows.
    assert [row["account"] for row in rows(found) if "account" in row] == ["gone"]
    assert found.missing == ("the adl statement of event crash-1",)


def test_a_run_without_its_loss(desk: Desk) -> None:
    case = told(simulated(desk, "adl", "draw"), None)
    found = a3(replace(case, inputs=desk.inputs()))
    assert found.missing == ("the loss statement of event crash-1",)


def test_a_policy_without_deleveraging(tmp_path: Path) -> None:
    desk = Desk(tmp_path, waterfall=["draw"])
    desk.tell(before={**BEFORE, "anna": 16000, "bert": 11500})
    found = a3(desk.case())
    assert (found.verdict, dict(found.compared)["of that, deleveraging took"]) == (
        Verdict.PASS,
        "0.00 USD",
    )


# D1


def test_both_sides_of_an_honest_book(desk: Desk) -> None:
    found = d1(desk.publish().case())
    assert (found.verdict, found.rows) == (Verdict.PASS, ())
    assert dict(found.compared) == {
        "positions": "4",
        "claims": "665.00 USD",
        "what the margin book holds": "615.00 USD",
        "claims less that": "50.00 USD",
        "negative equities": "50.00 USD",
        "rounding": "at most 4 base units, one an account with positions",
    }


@pytest.mark.parametrize(
    ("assets", "verdict"),
    [("614.99", Verdict.FAIL), ("615.04", Verdict.PASS), ("615.05", Verdict.FAIL)],
)
def test_assets_to_the_unit(desk: Desk, assets: str, verdict: Verdict) -> None:
    found = d1(desk.publish().case(assets=assets))
    assert found.verdict is verdict
    assert [row["expected"] for row in found.rows] == (
        ["49.96 USD to 50.00 USD"] if verdict is Verdict.FAIL else []
    )


def test_other_assets_are_found_by_the_second_side_alone(desk: Desk) -> None:
    case = desk.publish().case(assets="500")
    assert rows(d1(case)) == [
        {
            "what": "claims less what the margin book holds",
            "expected": "49.96 USD to 50.00 USD",
            "found": "165.00 USD",
        }
    ]
    assert [p(case).verdict for p in (a3, b1, b2)] == [Verdict.PASS] * 3


def test_a_phantom_wallet_is_found_by_the_second_side_alone(tmp_path: Path) -> None:
    wallets = {**FILES.wallets, "ghost": "-40"}
    case = Desk(tmp_path, replace(FILES, wallets=wallets)).publish().case()
    assert case.deficit.ledger.total == 9000
    assert [row["found"] for row in rows(d1(case))] == ["50.00 USD"]
    assert [p(case).verdict for p in (a3, b1, b2)] == [Verdict.PASS] * 3


def test_longs_that_nobody_is_short(tmp_path: Path) -> None:
    made = [*FILES.positions, ("carl", "OIL", "long", "0.5", "90")]
    case = Desk(tmp_path, replace(FILES, positions=made)).publish().case()
    assert rows(d1(case)) == [
        {
            "what": "longs and shorts",
            "contract": "OIL",
            "expected": "10.5 short, as is long",
            "found": "10 short",
        }
    ]


def test_a_contract_that_nobody_is_short_of(tmp_path: Path) -> None:
    made = [*FILES.positions, ("carl", "TIN", "long", "2", "90")]
    contracts = (*FILES.contracts, "TIN,linear,1,USD,0.05")
    marks = {**FILES.marks, "TIN": {"a": "90"}}
    files = replace(FILES, positions=made, contracts=contracts, marks=marks)
    [row] = rows(d1(Desk(tmp_path, files).publish().case()))
    assert (row["contract"], row["found"]) == ("TIN", "0 short")


def test_equities_of_one_unit_count(tmp_path: Path) -> None:
    tiny = {f"tiny{i}": "0.01" for i in range(6)} | {f"less{i}": "-0.01" for i in range(6)}
    files = replace(FILES, wallets={**FILES.wallets, **tiny})
    found = dict(d1(Desk(tmp_path, files).publish().case()).compared)
    assert (found["claims"], found["negative equities"]) == ("665.06 USD", "50.06 USD")


def test_a_row_stands_without_the_assets(tmp_path: Path) -> None:
    made = FILES.positions[:-1]
    found = d1(Desk(tmp_path, replace(FILES, positions=made)).publish().case(assets=None))
    assert (found.verdict, found.failing, len(found.missing)) == (Verdict.FAIL, 1, 1)


def test_what_d1_needs(desk: Desk) -> None:
    desk.publish()
    found = d1(desk.case(assets=None))
    assert (found.verdict, found.missing) == (
        Verdict.OPEN,
        ("assets (what the margin book holds; assets = ... in the event's file)",),
    )
    assert d1(desk.case(positions=None)).missing == (
        "positions (a positions.toml; positions = ... in the event's file)",
    )
    assert d1(replace(desk.case(), inputs=None)).verdict is Verdict.OPEN
    with pytest.raises(InputError, match=r"crash-1\.toml: assets: '6,15' is not an amount"):
        d1(desk.case(assets="6,15"))


def test_d1_needs_nothing_that_was_handed_over(desk: Desk) -> None:
    assert d1(desk.publish().case(Handover.none())).verdict is Verdict.PASS


def test_a_book_without_positions(tmp_path: Path) -> None:
    desk = Desk(tmp_path, replace(FILES, positions=[])).tell()
    found = d1(desk.case(assets="650"))
    assert (found.verdict, dict(found.compared)["negative equities"]) == (Verdict.PASS, "0.00 USD")
    assert d1(desk.case(assets="650.01")).verdict is Verdict.FAIL


@given(equities())
def test_rounding_never_leaves_the_bounds(equity: Equity) -> None:
    book = equity.book
    exact = sum((equity.exact(row) for row in range(len(book.accounts))), Fraction(0))
    gap = floor(exact) - sum(equity.units.tolist())
    assert 0 <= gap <= len(set(book.owner.tolist()))


@given(equities())
def test_the_columns_are_the_accounts(equity: Equity) -> None:
    units = equity.units.tolist()
    names = [equity.book.account(row) for row in range(len(units))]
    above = {name: amount for name, amount in zip(names, units, strict=True) if amount > 0}
    assert dict(positions._above_0(equity).rows()) == above
