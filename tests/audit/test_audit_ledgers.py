"""A2: every ledger rebuilds and is the venue's own tables; how two ledgers are compared."""

import csv
import random
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from shutil import copyfile
from typing import Any

import pytest
from crash import BEFORE, SNAPSHOT, Crash
from hypothesis import given
from hypothesis import strategies as st

from auditkit.audit import compare
from auditkit.audit.compare import Joined, Tally, differences, less, parts
from auditkit.audit.findings import MAX_ROWS, Finding, Verdict
from auditkit.audit.handover import Handover
from auditkit.audit.ledgers import Stated, a2, a2_of
from auditkit.errors import InputError
from auditkit.ledger import engine
from auditkit.ledger.columns import Balances, limbs
from auditkit.verify.elements import TIME
from auditkit.verify.statements import Snapshot

Books = Mapping[str, Mapping[str, int | Sequence[int]]]


def stated(crash: Crash, books: Path | None = None, handover: Handover | None = None) -> Stated:
    [snapshot] = crash.log.of(Snapshot)
    return Stated.find(crash.log, snapshot.seq, handover or crash.handover, books)


def against(crash: Crash, **books: Mapping[str, int | Sequence[int]]) -> Finding:
    """A2 of the snapshot against the exchange's own tables, which hold these books of BTC."""
    return a2_of(stated(crash, crash.exchange.long({"BTC": {**SNAPSHOT, **books}})))


def texts(found: Finding) -> list[str]:
    return [" ".join(row.values()) for row in found.rows]


# Rebuilt.


def test_every_ledger_of_the_event_rebuilds(crash: Crash) -> None:
    for handed in (crash.handover, Handover.of_folder(crash.hand())):
        found = a2(crash.case(handed))
        assert (found.verdict, found.subject) == (Verdict.PASS, "event crash-1")
        assert [name for name, _ in found.compared] == [
            "snapshot 2, book margin",
            "snapshot 2, book spot",
            "deficit 4, book deficit",
            "adl 5, book adl",
            "loss 8, book margin",
            "applied 9, book margin",
        ]
        assert "leaves 6, total 0.00001550 BTC, root " in found.compared[0][1]


def test_the_snapshots_of_the_day_are_looked_at_in_the_sharing_book(start: Crash) -> None:
    start.snapshot()
    start.snapshot()
    start.loss()
    names = [name for name, _ in a2(start.case()).compared]
    assert names[:3] == [
        f"snapshot {n}, book {b}" for n, b in ((2, "margin"), (4, "margin"), (4, "spot"))
    ]


@pytest.mark.parametrize(
    "name", ["2-margin", "2-spot", "4-deficit", "5-adl", "8-margin", "9-margin"]
)
def test_any_ledger_that_was_not_handed_over_leaves_it_open(crash: Crash, name: str) -> None:
    found = a2(crash.case(Handover.of_folder(crash.hand({name: None}))))
    assert (found.verdict, found.missing) == (Verdict.OPEN, (f"ledgers/{name}",))
    folder = crash.hand()
    (folder / f"secrets/{name}").unlink()
    found = a2(crash.case(Handover.of_folder(folder)))
    assert (found.verdict, found.missing) == (Verdict.OPEN, (f"secrets/{name}",))


def test_nothing_handed_over_is_open(crash: Crash) -> None:
    found = a2(crash.case(Handover.none()))
    assert found.verdict is Verdict.OPEN
    assert len(found.missing) == 6
    assert a2_of(stated(crash, handover=Handover.none())).verdict is Verdict.OPEN


def test_an_event_without_a_reference_is_open(start: Crash, careless: None) -> None:
    start.exchange.snapshot({"USDT": {"margin": {"anna": 1}}})
    start.loss()
    found = a2(start.case())
    assert (found.verdict, found.missing) == (
        Verdict.OPEN,
        ("a snapshot of BTC before event crash-1",),
    )


def others(crash: Crash, *left_out: str) -> list[tuple[str, object]]:
    """The rows of the snapshot's margin book, without some accounts."""
    return [row for row in crash.rows(2, "margin") if row[0] not in left_out]


def test_a_phantom_account_changes_the_count_and_the_root(crash: Crash) -> None:
    rows = [*others(crash), ("phantom", 5)]
    found = a2(crash.case(Handover.of_folder(crash.hand({"2-margin": rows}))))
    assert [row["what"] for row in found.rows] == ["leaves", "total", "root"]
    assert (found.rows[0]["signed"], found.rows[0]["found"]) == ("6", "7")


def test_an_omitted_account_changes_the_count_and_the_root(crash: Crash) -> None:
    rows = others(crash, "anna")
    found = a2_of(stated(crash, handover=Handover.of_folder(crash.hand({"2-margin": rows}))))
    assert [row["what"] for row in found.rows] == ["leaves", "total", "root"]
    assert found.rows[1]["found"] == "0.00001050 BTC"


def test_an_equal_total_does_not_hide_a_changed_amount(crash: Crash) -> None:
    rows = [*others(crash, "anna", "bert"), ("anna", 499), ("bert", 301)]
    found = a2(crash.case(Handover.of_folder(crash.hand({"2-margin": rows}))))
    assert [row["what"] for row in found.rows] == ["root"]
    assert found.verdict is Verdict.FAIL


def test_more_than_16_leaves_of_one_account_fail(crash: Crash) -> None:
    rows = [*others(crash, "carl"), *[("carl", 10)] * 17]
    found = a2(crash.case(Handover.of_folder(crash.hand({"2-margin": rows}))))
    assert (found.verdict, found.failing) == (Verdict.FAIL, 1)
    assert "account carl has 17 rows" in texts(found)[0]
    assert str(crash.exchange.books) not in texts(found)[0]


def test_a_wrong_secret_fails(crash: Crash) -> None:
    folder = crash.hand()
    (folder / "secrets/8-margin").write_text("00" * 32)
    found = a2(crash.case(Handover.of_folder(folder)))
    assert [row["ledger"] + " " + row["what"] for row in found.rows] == ["loss 8, book margin root"]
    (crash.exchange.root / "secrets/8-margin").write_text("00" * 32)
    found = a2(crash.case())
    assert "the secret given is not the one" in texts(found)[0]


def test_a_failing_ledger_is_not_hidden_by_a_missing_one(crash: Crash) -> None:
    changed = {"2-margin": others(crash, "anna"), "2-spot": None}
    found = a2(crash.case(Handover.of_folder(crash.hand(changed))))
    assert (found.verdict, found.missing) == (Verdict.FAIL, ("ledgers/2-spot",))


def test_a_ledger_without_leaves_needs_no_rows_but_may_have_none(start: Crash) -> None:
    start.snapshot()
    start.loss(adl={})
    folder = start.hand({"5-adl": None})
    assert a2(start.case(Handover.of_folder(folder))).verdict is Verdict.PASS
    folder = start.hand({"5-adl": [("dora", 1)]})
    assert a2(start.case(Handover.of_folder(folder))).verdict is Verdict.FAIL


# The event's own lists.


def test_the_lists_of_the_event_are_its_ledgers(crash: Crash) -> None:
    found = a2(crash.case(lists=True))
    assert found.verdict is Verdict.PASS
    tables = [name for name, _ in found.compared if name.endswith("the venue's table")]
    assert [name.split(",")[0] for name in tables] == ["deficit 4", "adl 5", "loss 8"]


@pytest.mark.parametrize(
    ("lists", "row"),
    [
        ({"deficits": {"gone": 89}}, "deficit 4, book deficit amount gone"),
        ({"deficits": {"gone": 90, "more": 1}}, "deficit 4, book deficit amount more"),
        ({"adl": {"anna": 10}}, "adl 5, book adl amount anna"),
        ({"before": {**BEFORE, "bert": 299}}, "loss 8, book margin amount bert"),
        ({"before": {**BEFORE, "hugo": 7}}, "loss 8, book margin amount hugo"),
    ],
)
def test_other_lists_than_were_signed_fail(crash: Crash, lists: dict[str, Any], row: str) -> None:
    deficits = lists.get("deficits", {"gone": 90})
    crash.event = crash.exchange.event_file(
        "crash-1",
        "BTC",
        deficits,
        lists.get("before", BEFORE),
        adl=lists.get("adl", {"dora": 10}),
    )
    found = a2(crash.case(lists=True))
    assert texts(found)[0].startswith(row)


# Secrets.


def with_secret(crash: Crash, name: str, other: str) -> Handover:
    """What is handed over, where one ledger has the secret of another one."""
    folder = crash.hand()
    copyfile(folder / f"secrets/{other}", folder / f"secrets/{name}")
    return Handover.of_folder(folder)


@pytest.mark.parametrize("name", ["2-spot", "4-deficit", "8-margin"])
def test_two_ledgers_of_one_secret_fail(crash: Crash, name: str) -> None:
    """The same salts link an account's leaves, whatever else is right about them."""
    found = a2(crash.case(with_secret(crash, name, "2-margin")))
    seq, book = name.split("-")
    [row] = [row for row in found.rows if row["what"] == "secret"]
    assert row["ledger"].endswith(f" {seq}, book {book}")
    assert row["found"] == "that of snapshot 2, book margin"
    secret = crash.handover.secret(2, "margin").hex()
    assert secret not in str(found)
    assert found.verdict is Verdict.FAIL


def test_two_books_of_one_secret_fail(crash: Crash) -> None:
    found = a2_of(stated(crash, handover=with_secret(crash, "2-spot", "2-margin")))
    assert found.rows[-1] == {
        "ledger": "snapshot 2, book spot",
        "what": "secret",
        "signed": "one of its own",
        "found": "that of snapshot 2, book margin",
    }


# The venue's own tables.


def test_the_ledgers_are_the_books(crash: Crash) -> None:
    found = against(crash)
    assert (found.verdict, found.subject) == (Verdict.PASS, "snapshot 2")
    assert found.compared[1] == (
        "snapshot 2, book margin, the venue's table",
        "6 rows, total 0.00001550 BTC",
    )


def test_split_another_way_the_books_are_the_same(crash: Crash) -> None:
    margin = {**SNAPSHOT["margin"], "carl": [100, 100, 100]}
    assert against(crash, margin=margin).verdict is Verdict.PASS


def test_accounts_carried_with_0_need_not_be_in_the_books(start: Crash) -> None:
    start.snapshot()
    start.snapshot(margin={"anna": 500})
    [_, second] = start.log.of(Snapshot)
    assert second.ledgers[0].accounts == 5
    books = start.exchange.long({"BTC": {"margin": {"anna": 500}, "spot": SNAPSHOT["spot"]}})
    found = a2_of(Stated.find(start.log, second.seq, start.handover, books))
    assert found.verdict is Verdict.PASS


@pytest.mark.parametrize(
    ("margin", "row"),
    [
        ({"phantom": 5}, "phantom 0.00000000 BTC 0.00000005 BTC"),
        ({"anna": 0}, "anna 0.00000500 BTC 0.00000000 BTC"),
        ({"anna": 499, "bert": 301}, "anna 0.00000500 BTC 0.00000499 BTC"),
    ],
)
def test_other_books_than_were_signed_fail(
    crash: Crash, margin: Mapping[str, int], row: str
) -> None:
    found = against(crash, margin={**SNAPSHOT["margin"], **margin})
    assert found.verdict is Verdict.FAIL
    assert texts(found)[0] == f"snapshot 2, book margin amount {row}"
    assert found.failing == len(margin)


def test_an_account_in_another_book_fails_in_both(crash: Crash) -> None:
    margin = {k: v for k, v in SNAPSHOT["margin"].items() if k != "gus"}
    found = against(crash, margin=margin, spot={"anna": 70, "gus": 50})
    assert [(row["ledger"], row["account"]) for row in found.rows] == [
        ("snapshot 2, book margin", "gus"),
        ("snapshot 2, book spot", "gus"),
    ]


def test_a_book_that_the_statement_leaves_out_fails(start: Crash) -> None:
    start.exchange.snapshot({"BTC": {"margin": {"anna": 500}}})
    found = against(start, margin={"anna": 500})
    assert texts(found) == ["snapshot 2, book spot total no such ledger 0.00000070 BTC"]


def test_books_of_another_asset_alone_are_no_books_of_this(crash: Crash) -> None:
    books = crash.exchange.long({"USDT": {"margin": {"anna": 500}}})
    found = a2_of(stated(crash, books))
    assert found.failing == 6


def test_every_difference_is_counted(start: Crash) -> None:
    many = {f"account-{n:04d}": 5 for n in range(MAX_ROWS + 50)}
    start.snapshot(margin=many)
    found = against(start, margin=dict.fromkeys(many, 4))
    assert (len(found.rows), found.failing) == (MAX_ROWS, MAX_ROWS + 50)
    assert found.rows[0]["account"] == "account-0000"


def test_books_of_another_time_decide_nothing(crash: Crash) -> None:
    books = crash.exchange.long({"BTC": SNAPSHOT}, as_of="2025-10-09T00:00:00.000Z")
    found = a2_of(stated(crash, books))
    assert found.verdict is Verdict.OPEN
    assert found.missing[0].startswith("books as of 2025-10-10T21:00:01.000Z")
    same = TIME.write(crash.log.of(Snapshot)[0].as_of)
    books = crash.exchange.long({"BTC": SNAPSHOT}, as_of=same)
    assert a2_of(stated(crash, books)).verdict is Verdict.PASS


def table(crash: Crash, *rows: tuple[str, str], split: bool = False) -> Path:
    """A books.toml over a CSV of the margin book of BTC."""
    path = crash.exchange.books / "own.csv"
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([("account", "btc"), *rows])
    source = {"files": [path.name], "account": "account", "split": split}
    ledger = [{"asset": "BTC", "book": "margin", "column": "btc"}]
    return crash.exchange.write("books", {"units": "base", "source": source, "ledger": ledger})


@pytest.mark.parametrize(
    ("rows", "split", "says"),
    [
        ([("anna", "5"), ("bert", "-1")], False, "row 2, column 'btc': '-1' is negative"),
        ([("anna", "5"), ("anna", "5")], False, "row 2, column 'account': 'anna' is already in"),
        ([("anna", "5")] * 17, True, "row 17, column 'account': 'anna' has more than 16 rows"),
    ],
)
def test_rows_that_no_book_may_have_fail(
    crash: Crash, rows: list[tuple[str, str]], split: bool, says: str
) -> None:
    found = a2_of(stated(crash, table(crash, *rows, split=split)))
    assert found.verdict is Verdict.FAIL
    [accused] = [row for row in found.rows if row["ledger"] == "the books"]
    assert accused["found"].startswith(f"own.csv: {says}")
    # The other book is not in these tables at all, and is still held against them.
    [other] = [row for row in found.rows if row is not accused]
    assert (other["ledger"], other["the venue's table"]) == (
        "snapshot 2, book spot",
        "0.00000000 BTC",
    )


@pytest.mark.parametrize("row", [("anna", "1.5"), ("anna", ""), ("an na", "5")])
def test_books_that_cannot_be_read_are_refused(crash: Crash, row: tuple[str, str]) -> None:
    with pytest.raises(InputError, match=r"own\.csv: row 1"):
        a2_of(stated(crash, table(crash, row)))


@pytest.mark.parametrize("seq", [-1, 0, 1, 6, 99])
def test_an_entry_without_a_ledger_is_refused(crash: Crash, seq: int) -> None:
    with pytest.raises(InputError, match=f"entry {seq} is .*; name a snapshot"):
        Stated.find(crash.log, seq, crash.handover, None)


# Comparing.

ROWS = st.lists(
    st.tuples(
        st.sampled_from(["a", "b", "cc", "a" * 128]),
        st.integers(0, 2**124 - 1) | st.sampled_from([0, 1, 2**32 - 1, 2**64 - 1, 2**64, 2**96]),
    ),
    max_size=12,
)


Rows = list[tuple[str, int]]


def sums(rows: Rows) -> dict[str, int]:
    found: dict[str, int] = {}
    for account, amount in rows:
        found[account] = found.get(account, 0) + amount
    return found


@given(ROWS, ROWS)
def test_differences_are_those_of_the_sums(
    left: list[tuple[str, int]], right: list[tuple[str, int]]
) -> None:
    one, other = sums(left), sums(right)
    pairs = [(a, one.get(a, 0), other.get(a, 0)) for a in sorted({*one, *other})]
    expected = [row for row in pairs if row[1] != row[2]]
    given = Tally([Balances.of(right)])
    found = differences([Balances.of(left)], given, MAX_ROWS)
    assert (found.count, found.rows) == (len(expected), expected)
    assert (given.rows, given.units) == (len(right), sum(amount for _, amount in right))
    assert found.repeats == max(Counter(account for account, _ in right).values(), default=0)
    assert differences([Balances.of(left)], given, 1).rows == expected[:1]


@given(ROWS, ROWS, ROWS)
def test_sides_of_several_ledgers_are_added_up(one: Rows, two: Rows, three: Rows) -> None:
    joined = Joined.of([Balances.of(one), Balances.of(two)], [Balances.of(three)])
    everyone = joined.rows[0] >= 0
    both, third = sums(one + two), sums(three)
    expected = [(a, (both.get(a, 0), third.get(a, 0))) for a in sorted({*both, *third})]
    assert list(joined.rows_of(everyone, MAX_ROWS)) == expected
    assert joined.rows[0].sum() == len(one) + len(two)


@pytest.mark.parametrize("sizes", [(), (1,), (7, 90), (40, 1, 0, 59, 300)])
def test_ledgers_of_many_rows_are_joined_in_parts(
    sizes: tuple[int, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "CHUNK", 64)
    monkeypatch.setattr(compare, "_FEW", 32)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    chance = random.Random(7)
    sides = [
        [[(f"a{chance.randrange(90)}", chance.randrange(2**120)) for _ in range(n)] for n in some]
        for some in (sizes, sizes[::-1])
    ]
    left, right = ([Balances.of(piece) for piece in side] for side in sides)
    one, other = (sums([row for piece in side for row in piece]) for side in sides)
    found: dict[str, tuple[int, ...]] = {}
    for part in parts(left, right):
        for account, values in part.rows_of(part.rows[0] >= 0, 10**6):
            assert account not in found
            found[account] = values
    assert found == {a: (one.get(a, 0), other.get(a, 0)) for a in {*one, *other}}
    wanted = sorted(a for a in found if one.get(a, 0) != other.get(a, 0))
    differing = differences(left, right, 9)
    assert (differing.count, [row[0] for row in differing.rows]) == (len(wanted), wanted[:9])
    assert list(tmp_path.iterdir()) == []


def test_slices_of_a_column_are_joined_by_their_own_names() -> None:
    whole = Balances.of([("a", 1), ("b", 2), ("c", 3)])
    part = Balances(whole.accounts.slice(1), whole.amounts[1:])
    assert differences([part], [whole], 9).rows == [("a", 0, 1)]


def test_sums_carry_and_never_wrap() -> None:
    left = Balances.of([("a", 2**64 - 1)] * 16 + [("b", 2**124)] * 15)
    right = Balances.of([("a", 16 * (2**64 - 1)), ("b", 15 * 2**124)])
    assert differences([left], [right], 9).count == 0
    with pytest.raises(InputError, match=r"reaches 2\^128"):
        differences([Balances.of([("b", 2**124)] * 16)], [right], 9)


AMOUNTS = st.integers(0, 2**128 - 1) | st.sampled_from([0, 2**64 - 1, 2**64, 2**128 - 1])


@given(st.lists(st.tuples(AMOUNTS, AMOUNTS), max_size=9))
def test_less_is_less(pairs: list[tuple[int, int]]) -> None:
    left, right = limbs(a for a, _ in pairs), limbs(b for _, b in pairs)
    assert less(left, right).tolist() == [a < b for a, b in pairs]
