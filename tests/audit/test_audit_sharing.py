"""E1, E2 and G1: who shared the loss, by how much, and that nothing else moved."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import pytest
from crash import ENTRIES, EVENT, SNAPSHOT, Crash, Entry

from auditkit.audit.case import Case
from auditkit.audit.findings import Finding, Verdict
from auditkit.audit.handover import Handover
from auditkit.audit.sharing import e1, e2, g1
from auditkit.errors import InputError
from auditkit.ledger import deductions
from auditkit.ledger.columns import Balances
from auditkit.publish.draft import Draft
from auditkit.verify.elements import TIME
from auditkit.verify.statements import Applied, Snapshot, Statement

Rows = list[tuple[str, int]]
Lie = Callable[[Rows], Rows]
Procedure = Callable[[Case], Finding]


@pytest.fixture
def lying(start: Crash, monkeypatch: pytest.MonkeyPatch) -> Callable[[Lie], Crash]:
    """Publishes the story with other balances after the loss than the rule's."""

    def publish(lie: Lie) -> Crash:
        honest = deductions.after_loss

        def after_loss(ledger: Balances, loss: int) -> Balances:
            return Balances.of(lie(list(honest(ledger, loss).rows())))

        monkeypatch.setattr(deductions, "after_loss", after_loss)
        start.snapshot()
        start.loss()
        return start

    return publish


def moved(rows: Rows, **changes: int) -> Rows:
    """The rows with so many units more or less for each account, on its first row."""
    result = []
    for account, amount in rows:
        result.append((account, amount + changes.pop(account, 0)))
    return result


def whats(found: Finding) -> list[str]:
    return [" ".join(row[k] for k in ("account", "what") if k in row) for row in found.rows]


# E1.


def test_entries_explain_who_has_less(crash: Crash) -> None:
    found = e1(crash.case(entries=crash.entries(*ENTRIES)))
    assert (found.verdict, found.subject) == (Verdict.PASS, "event crash-1")
    assert found.compared[0] == (
        "snapshot 2",
        "0.00001550 BTC in book margin; 5 accounts, 0 have less at the loss than their entries say",
    )
    assert found.compared[1][1].startswith("2, of which 0 took something from ")


def test_without_entries_a_fall_is_not_decidable(crash: Crash) -> None:
    for case in (crash.case(), crash.case(inputs=False)):
        found = e1(case)
        assert (found.verdict, len(found.rows)) == (Verdict.OPEN, 0)
        assert found.missing[0].startswith("entries (")
        assert "2 accounts have less at the loss" in found.missing[0]


def test_without_entries_and_without_a_fall_it_passes(start: Crash) -> None:
    start.snapshot()
    start.loss({**SNAPSHOT["margin"], "dora": 390, "new": 7})
    found = e1(start.case())
    assert found.verdict is Verdict.PASS
    assert "5 accounts, 0 have less at the loss" in found.compared[0][1]


def test_an_account_that_vanished_without_an_entry_fails(crash: Crash) -> None:
    found = e1(crash.case(entries=crash.entries(Entry("anna", -50))))
    assert found.verdict is Verdict.FAIL
    assert found.rows == (
        {
            "account": "gus",
            "what": "vanished",
            "snapshot": "2",
            "then": "0.00000050 BTC",
            "entries": "0.00000000 BTC",
            "expected at least": "0.00000050 BTC",
            "found": "0.00000000 BTC",
        },
    )


def test_an_account_that_shrank_by_a_unit_more_than_its_entries_fails(crash: Crash) -> None:
    entries = crash.entries(Entry("anna", -60), Entry("anna", 11), Entry("gus", -50))
    found = e1(crash.case(entries=entries))
    assert whats(found) == ["anna shrank"]
    assert found.rows[0]["entries"] == "-0.00000049 BTC"
    assert found.rows[0]["expected at least"] == "0.00000451 BTC"
    assert found.rows[0]["found"] == "0.00000450 BTC"


def test_a_deposit_that_is_not_there_fails(crash: Crash) -> None:
    found = e1(crash.case(entries=crash.entries(*ENTRIES, Entry("bert", 1))))
    assert whats(found) == ["bert shrank"]


def test_what_deleveraging_took_is_no_fall_and_no_more(crash: Crash) -> None:
    assert e1(crash.case(entries=crash.entries(*ENTRIES, Entry("dora", -1)))).failing == 0
    assert whats(e1(crash.case(entries=crash.entries(*ENTRIES, Entry("dora", 1))))) == [
        "dora shrank"
    ]


@pytest.mark.parametrize("book", ["spot", "margin"])
def test_an_account_that_moved_book_needs_an_entry_of_the_sharing_book(
    crash: Crash, book: str
) -> None:
    entries = crash.entries(Entry("anna", -50), Entry("gus", -50, book))
    expected = Verdict.PASS if book == "margin" else Verdict.FAIL
    assert e1(crash.case(entries=entries)).verdict is expected


def test_entries_count_from_after_the_snapshot_to_the_deficit(crash: Crash) -> None:
    case = crash.case()
    first, last = case.needed_reference().as_of, case.deficit.time
    confirmed = case.deficit.confirmed

    def of(time: int) -> Finding:
        entries = crash.entries(Entry("anna", -50), Entry("gus", -50, "margin", time))
        return e1(crash.case(entries=entries))

    assert whats(of(first)) == ["gus vanished"]
    assert of(first + 1).verdict is Verdict.PASS
    assert of(confirmed).verdict is Verdict.PASS
    assert whats(of(last)) == ["gus left after the deficit was confirmed"]
    assert whats(of(last + 1)) == ["gus vanished", "gus left after the deficit was confirmed"]


def test_leaving_after_the_confirmation_fails_up_to_the_loss(crash: Crash) -> None:
    case = crash.case()
    confirmed, loss = case.deficit.confirmed, case.needed_loss().time

    def of(units: int, time: int, book: str = "margin") -> Finding:
        entry = Entry("bert", units, book, time, "to_spot")
        return e1(crash.case(entries=crash.entries(*ENTRIES, entry)))

    found = of(-1, confirmed + 1)
    assert found.rows == (
        {
            "account": "bert",
            "what": "left after the deficit was confirmed",
            "kind": "to_spot",
            "time": TIME.write(confirmed + 1),
            "entries": "-0.00000001 BTC",
        },
    )
    assert of(-1, loss).verdict is Verdict.FAIL
    assert of(-1, loss + 1).verdict is Verdict.PASS
    assert of(-1, loss, "spot").verdict is Verdict.PASS
    assert of(1, loss).verdict is Verdict.PASS


def test_whoever_is_short_lost_what_there_was_by_entries_too(start: Crash) -> None:
    start.snapshot(margin={"gone": 60, "gus": 50, "dora": 20})
    start.loss({"dora": 20}, deficits={"gone": 90}, adl={})
    gus = Entry("gus", -50)
    ruined = start.entries(gus, Entry("gone", -150, kind="trading"))
    assert e1(start.case(entries=ruined)).verdict is Verdict.PASS
    found = e1(start.case(entries=start.entries(gus)))
    assert whats(found) == ["gone vanished"]
    assert "3 accounts, 1 have less" in found.compared[0][1]
    assert "2 accounts have less at the loss" in e1(start.case()).missing[0]


def test_a_friend_cannot_hide_among_the_bankrupt(start: Crash) -> None:
    """anna's 500 are gone without an entry, and anna is said to be short one unit."""
    start.snapshot()
    start.loss({"bert": 300, "carl": [200, 100], "dora": 390}, deficits={"gone": 89, "anna": 1})
    found = e1(start.case(entries=start.entries(*ENTRIES)))
    assert whats(found) == ["anna vanished"]


def test_the_snapshots_of_the_day_before_count_too(start: Crash) -> None:
    start.snapshot(margin={**SNAPSHOT["margin"], "hugo": 30})
    start.snapshot()
    start.loss()
    found = e1(start.case(entries=start.entries(*ENTRIES)))
    assert whats(found) == ["hugo vanished"]
    assert found.rows[0]["snapshot"] == "2"
    assert [name for name, _ in found.compared][:2] == ["snapshot 4", "snapshot 2"]


def test_a_snapshot_that_was_not_handed_over_hides_nothing(start: Crash) -> None:
    start.snapshot()
    start.snapshot()
    start.loss()
    entries = start.entries(*ENTRIES)
    given = Handover.of_folder(start.hand({"2-margin": None}))
    found = e1(start.case(given, entries))
    assert (found.verdict, found.missing) == (Verdict.OPEN, ("ledgers/2-margin",))
    found = e1(start.case(given, start.entries(Entry("anna", -50))))
    assert (found.verdict, whats(found)) == (Verdict.FAIL, ["gus vanished"])


def test_a_snapshot_without_the_sharing_book_held_nobody(start: Crash) -> None:
    start.exchange.snapshot({"BTC": {"spot": {"anna": 5}}})
    start.loss()
    found = e1(start.case(entries=start.entries()))
    assert found.verdict is Verdict.PASS
    assert found.compared[0] == ("snapshot 2", "no ledger of book margin: nobody had money there")


def test_the_order_and_number_of_entries_do_not_matter(crash: Crash) -> None:
    entries = crash.entries(*[Entry("anna", -1)] * 50, *[Entry("gus", -5)] * 10)
    assert e1(crash.case(entries=entries)).verdict is Verdict.PASS


HEAD = "account,book,amount,kind,time\n"
TIMES = "2025-10-10T21:00:01.100Z"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("account,book,amount,kind\n", "there is no column 'time'"),
        (f"{HEAD}anna,margin,-1,x,yesterday\n", "row 1, column 'time': 'yesterday' is not a time"),
        (f"{HEAD}anna,margin,-1,x,2025-02-30T00:00:00.000Z\n", "is no such time"),
        (f"{HEAD}anna,futures,-1,x,{TIMES}\n", "column 'book': 'futures' is no book of the policy"),
        (f"{HEAD}anna,margin,-1e3,x,{TIMES}\n", "column 'amount': '-1e3'"),
        (f"{HEAD}anna,margin,-1.123456789,x,{TIMES}\n", "has 9 digits after the point"),
        (f"{HEAD}an na,margin,-1,x,{TIMES}\n", "row 1, column 'account': 'an na' is no account"),
        (f"{HEAD}anna,margin,1,x,{TIMES}\n-,margin,1,x,{TIMES}\n", "row 2, column 'account': '-'"),
    ],
)
def test_entries_that_cannot_be_read_are_refused(crash: Crash, text: str, says: str) -> None:
    path = crash.exchange.books / "odd.csv"
    path.write_text(text)
    with pytest.raises(InputError) as caught:
        e1(crash.case(entries=path))
    assert says in str(caught.value)


def test_an_empty_table_of_entries_explains_nothing(crash: Crash) -> None:
    assert whats(e1(crash.case(entries=crash.entries()))) == ["anna shrank", "gus vanished"]


# E2 and G1.


def test_an_honest_loss_is_the_rule_s_and_nothing_else(crash: Crash) -> None:
    found = e2(crash.case())
    assert found.verdict is Verdict.PASS
    assert dict(found.compared) == {
        "socialized": "0.00000080 BTC",
        "deducted": "0.00000080 BTC",
        "accounts": "5 of 5",
    }
    found = g1(crash.case())
    assert found.verdict is Verdict.PASS
    assert dict(found.compared) == {
        "before": "0.00001440 BTC",
        "socialized": "0.00000080 BTC",
        "after": "0.00001360 BTC",
        "accounts": "5",
    }


def test_a_unit_from_one_customer_to_another_is_e2_s_alone(
    lying: Callable[[Lie], Crash],
) -> None:
    case = lying(lambda rows: moved(rows, anna=1, bert=-1)).case()
    found = e2(case)
    assert (found.verdict, found.failing) == (Verdict.FAIL, 2)
    anna, bert = found.rows
    assert (anna["account"], bert["account"]) == ("anna", "bert")
    assert anna["before"] == "0.00000450 BTC"
    assert g1(case).verdict is Verdict.PASS


def test_an_account_that_was_renamed_is_g1_s_alone(lying: Callable[[Lie], Crash]) -> None:
    renamed = {"anna": "anne"}
    case = lying(lambda rows: [(renamed.get(name, name), units) for name, units in rows]).case()
    found = g1(case)
    assert whats(found) == ["anna vanished", "anne appeared"]
    assert (found.verdict, e2(case).verdict) == (Verdict.FAIL, Verdict.PASS)
    assert ("accounts", "4 of 6") in e2(case).compared


def test_an_account_that_grew_is_g1_s(lying: Callable[[Lie], Crash]) -> None:
    case = lying(lambda rows: moved(rows, anna=60, bert=-60)).case()
    assert whats(g1(case)) == ["anna grew"]
    assert [row["account"] for row in e2(case).rows] == ["bert"]


def test_leaves_that_were_joined_or_cut_are_g1_s(lying: Callable[[Lie], Crash]) -> None:
    def lie(rows: Rows) -> Rows:
        carl = [row for row in rows if row[0] == "carl"]
        rest = [row for row in rows if row[0] not in ("carl", "bert")]
        [bert] = [row[1] for row in rows if row[0] == "bert"]
        return [*rest, ("carl", sum(units for _, units in carl)), ("bert", bert), ("bert", 0)]

    case = lying(lie).case()
    what = "has another number of leaves"
    assert whats(g1(case)) == [f"bert {what}", f"carl {what}"]
    assert e2(case).verdict is Verdict.PASS


def test_a_total_that_fell_by_another_amount_fails(
    lying: Callable[[Lie], Crash], careless: None
) -> None:
    case = lying(lambda rows: moved(rows, anna=-1)).case()
    assert g1(case).rows[0] == {
        "what": "the total after the loss",
        "expected": "0.00001360 BTC",
        "found": "0.00001359 BTC",
    }
    assert [row["account"] for row in e2(case).rows] == ["anna"]


@pytest.fixture
def adding(start: Crash, careless: None, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Crash]:
    """Publishes the story, with the applied statement added otherwise."""

    def publish(otherwise: Callable[..., Any], **loss: Any) -> Crash:
        real = Draft.add

        def add(draft: Draft, kind: type[Statement], **fields: Any) -> Statement:
            if kind is Applied:
                fields = otherwise(partial(real, draft), dict(fields))
            return real(draft, kind, **fields)

        monkeypatch.setattr(Draft, "add", add)
        start.snapshot()
        start.loss(**loss)
        return start

    return publish


def test_a_statement_between_the_loss_and_its_effect_fails(
    adding: Callable[..., Crash],
) -> None:
    def otherwise(add: Callable[..., Any], fields: dict[str, Any]) -> dict[str, Any]:
        add(Snapshot, asset="BTC", as_of=None, ledgers=())
        add(Snapshot, asset="USDT", as_of=None, ledgers=())
        return fields

    case = adding(otherwise).case()
    found = g1(case)
    assert found.rows == ({"what": "a snapshot between the loss and its effect", "entry": "9"},)
    # The exchange stored the ledger for entry 9, where it meant to log it.
    assert found.missing == ("ledgers/11-margin",)


def test_another_book_after_the_loss_fails(adding: Callable[..., Crash]) -> None:
    def otherwise(add: Callable[..., Any], fields: dict[str, Any]) -> dict[str, Any]:
        return fields | {"after": replace(fields["after"], book="spot")}

    found = g1(adding(otherwise).case())
    assert found.rows == (
        {"what": "the book after the loss", "expected": "margin", "found": "spot"},
    )


def test_more_than_there_is_cannot_be_socialized(crash: Crash) -> None:
    case = crash.case()
    loss = replace(case.needed_loss(), socialized=1441)
    found = e2(replace(case, loss=loss))
    assert whats(found) == ["more was socialized than there is"]


@pytest.mark.parametrize("procedure", [e2, g1])
def test_an_effect_of_nothing_fails(crash: Crash, procedure: Procedure) -> None:
    case = crash.case()
    found = procedure(replace(case, loss=replace(case.needed_loss(), socialized=0)))
    assert found.rows == ({"what": "applied though nothing was socialized", "entry": "9"},)


@pytest.mark.parametrize("procedure", [e2, g1])
def test_a_loss_of_which_nothing_was_socialized_has_no_effect(
    start: Crash, procedure: Procedure
) -> None:
    start.snapshot()
    start.loss(deficits={"gone": 10})
    found = procedure(start.case(Handover.none()))
    assert found.verdict is Verdict.PASS
    assert found.compared == (("socialized", "0.00000000 BTC"), ("applied", "none"))


@pytest.mark.parametrize("procedure", [e1, e2, g1])
@pytest.mark.parametrize("name", ["8-margin", "9-margin"])
def test_a_ledger_that_was_not_handed_over_leaves_it_open(
    crash: Crash, procedure: Procedure, name: str
) -> None:
    given = Handover.of_folder(crash.hand({name: None}))
    found = procedure(crash.case(given, crash.entries(*ENTRIES)))
    if procedure is e1 and name == "9-margin":
        assert found.verdict is Verdict.PASS
    else:
        assert (found.verdict, found.missing) == (Verdict.OPEN, (f"ledgers/{name}",))


@pytest.mark.parametrize("name", ["2-margin", "5-adl"])
def test_e1_needs_every_ledger_it_compares(crash: Crash, name: str) -> None:
    given = Handover.of_folder(crash.hand({name: None}))
    found = e1(crash.case(given, crash.entries(*ENTRIES)))
    assert (found.verdict, found.missing) == (Verdict.OPEN, (f"ledgers/{name}",))


@pytest.mark.parametrize("procedure", [e1, e2, g1])
def test_nothing_handed_over_is_open(crash: Crash, procedure: Procedure) -> None:
    assert procedure(crash.case(Handover.none())).verdict is Verdict.OPEN


def test_an_event_without_a_policy_s_stage_is_open(crash: Crash) -> None:
    case = crash.case()
    cut = (replace(case, adl=None), replace(case, reference=None), replace(case, loss=None))
    for found in map(e1, cut):
        assert found.verdict is Verdict.OPEN
        assert EVENT in found.missing[0]
    for procedure in (e2, g1):
        assert procedure(replace(crash.case(), applied=None)).verdict is Verdict.OPEN
        assert procedure(replace(crash.case(), loss=None)).verdict is Verdict.OPEN
