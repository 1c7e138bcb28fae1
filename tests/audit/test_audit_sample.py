"""S1: accounts drawn by a seed are in the signed ledgers, with the balances the books give them."""

from collections.abc import Mapping, Sequence
from fractions import Fraction
from hashlib import sha256
from pathlib import Path

import pytest
from crash import SNAPSHOT, Crash
from hypothesis import given
from hypothesis import strategies as st

from auditkit.audit.findings import Finding, Verdict
from auditkit.audit.handover import Handover
from auditkit.audit.ledgers import Stated
from auditkit.audit.sample import chance, draw, s1
from auditkit.errors import InputError
from auditkit.verify.statements import Snapshot

SEED = "2025-10-11 dice 4 2 6"


def sampled(
    crash: Crash,
    handover: Handover | None = None,
    count: int = 99,
    **books: Mapping[str, int | Sequence[int]],
) -> Finding:
    """S1 of the snapshot and the exchange's own tables, which hold these books of BTC."""
    table = crash.exchange.long({"BTC": {**SNAPSHOT, **books}})
    return s1(stated(crash, table, handover), count, SEED)


def stated(crash: Crash, books: Path | None, handover: Handover | None = None) -> Stated:
    [snapshot] = crash.log.of(Snapshot)
    return Stated.find(crash.log, snapshot.seq, handover or crash.handover, books)


def test_everybody_in_the_books_is_in_the_ledgers(crash: Crash) -> None:
    for handed in (crash.handover, Handover.of_folder(crash.hand())):
        found = sampled(crash, handed)
        assert (found.verdict, found.subject) == (Verdict.PASS, "snapshot 2")
        assert found.compared == (
            ("accounts with money in the books", "5"),
            ("drawn", "all 5, fewer than the 99 asked"),
        )


def test_the_sample_is_as_large_as_asked(crash: Crash) -> None:
    assert sampled(crash, count=4).compared[1:] == (
        ("drawn", f"4 by the seed {SEED}"),
        ("chance to catch 1 in 100 left out", "3.9403 %"),
        ("chance to catch 1 in 1000 left out", "0.3994 %"),
        ("chance to catch 1 in 10000 left out", "0.0399 %"),
    )
    # Of everybody nobody is left out by chance.
    assert sampled(crash, count=5).compared[1:] == (("drawn", f"5 by the seed {SEED}"),)


@pytest.mark.parametrize(
    ("books", "row"),
    [
        ({"margin": {**SNAPSHOT["margin"], "hugo": 9}}, ("hugo", "margin", 9, 0)),
        ({"margin": {**SNAPSHOT["margin"], "anna": 501}}, ("anna", "margin", 501, 500)),
        ({"margin": {**SNAPSHOT["margin"], "carl": [1, 2]}}, ("carl", "margin", 3, 300)),
        ({"spot": {"anna": 70, "bert": 1}}, ("bert", "spot", 1, 0)),
        ({"spot": {}}, ("anna", "spot", 0, 70)),
    ],
)
def test_another_balance_than_is_proven_fails(
    crash: Crash,
    books: Mapping[str, Mapping[str, int | Sequence[int]]],
    row: tuple[str, str, int, int],
) -> None:
    found = sampled(crash, None, 99, **books)
    account, book, has, proven = row
    assert found.rows == (
        {
            "account": account,
            "book": book,
            "books": f"0.{has:08d} BTC",
            "proven": f"0.{proven:08d} BTC",
        },
    )


def test_a_book_that_the_statement_leaves_out_fails(start: Crash) -> None:
    start.exchange.snapshot({"BTC": {"margin": SNAPSHOT["margin"]}})
    found = sampled(start)
    assert [(row["account"], row["book"]) for row in found.rows] == [("anna", "spot")]


def test_who_holds_nothing_is_not_drawn_and_needs_no_leaf(crash: Crash) -> None:
    found = sampled(crash, margin={**SNAPSHOT["margin"], "zero": 0})
    assert found.compared[0][1] == "5"
    assert found.verdict is Verdict.PASS


@pytest.mark.parametrize("lack", ["ledgers/2-spot.csv", "secrets/2-spot"])
def test_a_book_that_was_not_handed_over_leaves_it_open(crash: Crash, lack: str) -> None:
    folder = crash.hand()
    (folder / lack).unlink()
    given = Handover.of_folder(folder)
    found = sampled(crash, given)
    assert (found.verdict, found.missing) == (Verdict.OPEN, (lack.removesuffix(".csv"),))
    assert sampled(crash, given, margin={"anna": 1}).verdict is Verdict.FAIL


def test_a_wrong_secret_or_other_rows_prove_nothing(crash: Crash) -> None:
    folder = crash.hand()
    (folder / "secrets/2-margin").write_text("00" * 32)
    assert sampled(crash, Handover.of_folder(folder)).verdict is Verdict.OPEN
    rows = [("anna", 1550)]
    given = Handover.of_folder(crash.hand({"2-margin": rows}))
    found = sampled(crash, given, margin={"anna": 1550})
    assert found.verdict is Verdict.OPEN
    assert "see A2" in found.missing[0]


def test_without_books_nothing_is_drawn(crash: Crash) -> None:
    found = s1(stated(crash, None), 5, SEED)
    assert found.verdict is Verdict.OPEN
    assert found.missing[0].startswith("books (")
    assert sampled(crash, margin={"anna": 0}, spot={}).missing == (
        "an account with money in the books",
    )


def test_books_with_rows_that_no_book_may_have_leave_it_open(crash: Crash) -> None:
    path = crash.exchange.books / "own.csv"
    path.write_text("account,btc\nanna,-5\n")
    source = {"files": [path.name], "account": "account"}
    ledger = [{"asset": "BTC", "column": "btc"}]
    books = crash.exchange.write("books", {"units": "base", "source": source, "ledger": ledger})
    found = s1(stated(crash, books), 5, SEED)
    assert (found.verdict, found.missing) == (
        Verdict.OPEN,
        ("books without rows that no book may have (see A2)",),
    )


@pytest.mark.parametrize(("count", "seed"), [(0, SEED), (-1, SEED), (5, "")])
def test_a_sample_needs_a_number_and_a_seed(crash: Crash, count: int, seed: str) -> None:
    with pytest.raises(InputError, match=r"a number of accounts above 0 and a seed"):
        s1(stated(crash, None), count, seed)


def test_larger_books_are_proven_leaf_by_leaf(start: Crash) -> None:
    margin = {f"account-{n}": [n, 7, 7] if n % 3 else n + 1 for n in range(1, 500)}
    start.snapshot(margin=margin)
    found = sampled(start, count=100, margin=margin)
    assert (found.verdict, found.compared[0][1]) == (Verdict.PASS, "500")
    found = sampled(start, count=500, margin={**margin, "account-77": 1})
    assert [row["account"] for row in found.rows] == ["account-77"]


# Drawing.


def test_the_draw_is_as_documented() -> None:
    names = [b"account-%d" % n for n in range(50)]
    ranked = sorted(names, key=lambda name: sha256(SEED.encode() + b"\0" + name).digest())
    assert draw(names, 7, SEED) == draw(names[::-1], 7, SEED) == ranked[:7]
    assert draw(names, 7, "another seed") != ranked[:7]
    assert draw(names[:3], 7, SEED) == [name for name in ranked if name in names[:3]]


@given(st.sampled_from([2, 100, 1000, 10000]), st.integers(0, 900))
def test_the_chance_is_exact_and_rounded_down(one_in: int, count: int) -> None:
    exact = 100 * (1 - (1 - Fraction(1, one_in)) ** count)
    text, percent = chance(one_in, count).split(" ")
    assert percent == "%"
    assert Fraction(text) <= exact < Fraction(text) + Fraction(1, 10000)
    assert len(text.split(".")[1]) == 4


def test_a_large_sample_is_never_certain() -> None:
    assert chance(100, 1_000_000) == "99.9999 %"
    assert chance(10000, 30_000) == "95.0220 %"
