"""SPEC.md §7, steps 6 and 7: the account's own leaves, and its balances followed without a gap."""

from typing import Any

from reference import Leaf, sum_path
from refusals import MARGIN, crash, market, refused, seq_of, told, verify, without, without_leaves
from venue import Venue

from auditkit.verify.errors import Incomplete, Refuted


def crashed(**options: Any) -> Venue:
    """Snapshot 1 (margin and spot), deficit 3, adl 4, draw 6, loss 7, applied 8, index 9."""
    venue = market(**options)
    crash(venue)
    venue.publish()
    return venue


def with_leaf(venue: Venue, nth: int = 0, **changes: object) -> dict[str, Any]:
    """Alice's proof with one leaf changed."""
    proof = venue.prove("alice")
    proof["leaves"][nth] |= changes
    return proof


# Step 6.


def test_balances_are_proven() -> None:
    proven = verify(crashed(), crashed().prove("alice"))
    assert [(b.asset, b.book, b.amount, b.leaves, b.statement.seq) for b in proven.balances] == [
        ("BTC", "margin", 500_000 - 24, 1, 8),
        ("BTC", "spot", 7, 1, 1),
    ]


def test_a_split_balance_is_the_sum_of_its_leaves() -> None:
    venue = crashed(splits={"alice": 16}, padding=5)
    margin = verify(venue, venue.prove("alice")).balances[0]
    assert margin.leaves == 16
    assert abs(margin.amount - (500_000 - 25)) <= 16


def test_seventeen_leaves_of_one_account_are_false() -> None:
    venue = crashed(splits={"alice": 17})
    with refused(Refuted, "more leaves of one account in 1:margin than a ledger may have", "6"):
        verify(venue, venue.prove("alice"))


def test_a_leaf_shown_twice_is_false() -> None:
    venue = crashed()
    proof = venue.prove("alice")
    proof["leaves"].append(proof["leaves"][0])
    with refused(Refuted, f"leaf {proof['leaves'][0]['index']} of 1:margin is shown twice", "6"):
        verify(venue, proof)


def test_the_report_names_every_ledger_with_a_leaf() -> None:
    venue = crashed()
    notes = verify(venue, venue.prove("alice")).notes
    assert len([note for note in notes if note.step == "6"]) == 4


def test_a_leaf_of_a_missing_statement_is_incomplete() -> None:
    venue = crashed()
    with refused(Incomplete, "a leaf of statement 99, which is missing", "6"):
        verify(venue, with_leaf(venue, seq=99))


def test_a_leaf_of_a_statement_without_ledgers_is_false() -> None:
    venue = crashed()
    for seq in (0, 5, 6, 9):
        with refused(Refuted, f"statement {seq} has no ledger of book margin; expected no le", "6"):
            verify(venue, with_leaf(venue, seq=seq))


def test_a_leaf_of_a_ledger_that_the_statement_does_not_have_is_false() -> None:
    venue = crashed()
    with refused(Refuted, "statement 1 has no ledger of book futures; expected margin, spot", "6"):
        verify(venue, with_leaf(venue, book="futures"))
    with refused(Refuted, "statement 8 has no ledger of book spot; expected margin", "6"):
        verify(venue, with_leaf(venue, 1, seq=8))


def test_an_index_outside_the_ledger_is_false() -> None:
    venue = crashed()
    with refused(Refuted, "the leaf's index is outside the ledger; expected < 3; found 3", "6"):
        verify(venue, with_leaf(venue, index=3))


def test_a_leaf_that_does_not_lead_to_its_ledger_is_false() -> None:
    venue = crashed()
    leaf = venue.prove("alice")["leaves"][0]
    root = "does not reach the signed root of 1:margin; expected total 800017"
    other = {0: 1, 1: 0, 2: 0}[leaf["index"]]
    for change in (
        {"amount": "500001"},
        {"amount": "0"},
        {"salt": "00" * 32},
        {"path": ["00" * 48 for _ in leaf["path"]]},
        {"book": "margin", "seq": 1, "index": other, "path": leaf["path"] * 2},
    ):
        fragment = "the ledger path is too" if len(change) > 1 else root
        with refused(Refuted, fragment, "6"):
            verify(venue, with_leaf(venue, **change))


def test_a_path_of_another_length_is_false() -> None:
    venue = crashed()
    path = venue.prove("alice")["leaves"][0]["path"]
    with refused(Refuted, "the ledger path is too short", "6"):
        verify(venue, with_leaf(venue, path=path[:-1]))
    with refused(Refuted, "the ledger path is too long", "6"):
        verify(venue, with_leaf(venue, path=[*path, path[0]]))


def test_a_sum_on_the_path_that_overflows_is_false() -> None:
    venue = crashed()
    path = list(venue.prove("alice")["leaves"][0]["path"])
    path[0] = "ff" * 16 + path[0][32:]
    with refused(Refuted, "a sum on the path reaches 2^128", "6"):
        verify(venue, with_leaf(venue, path=path))


def test_one_leaf_does_not_serve_two_accounts() -> None:
    venue = market()
    venue.snapshot("BTC", {"margin": MARGIN | {"zoe": 500_000}})
    venue.publish()
    with refused(Refuted, "does not reach the signed root", "6"):
        verify(venue, venue.prove("alice") | {"account": "zoe"}, "zoe")


def test_a_total_below_the_sum_of_the_leaves_is_false() -> None:
    venue = Venue()
    venue.lie("snapshot", ledgers=lambda ledgers: [ledgers[0] | {"total": "800016"}])
    venue.snapshot("BTC", {"margin": MARGIN})
    with refused(Refuted, "expected total 800016, root", "6"):
        told(venue)


def test_an_inner_node_is_no_leaf() -> None:
    venue = crashed()
    nodes = venue.ledgers[1, "margin"].nodes
    fake = Leaf(bytes.fromhex(venue.prove("alice")["leaves"][0]["salt"]), 800_017, "alice")
    path = [node.hex() for node in sum_path(2, nodes)]
    with refused(Refuted, "does not reach the signed root", "6"):
        verify(venue, with_leaf(venue, index=2, amount=str(fake.amount), path=path))


def test_false_goes_before_incomplete_in_step_6() -> None:
    venue = crashed()
    proof = with_leaf(venue, seq=99)
    proof["leaves"][1]["amount"] = "8"
    with refused(Refuted, "does not reach the signed root of 1:spot", "6"):
        verify(venue, proof)


# Step 7.


def test_a_balance_is_followed_into_every_later_ledger_of_its_book() -> None:
    venue = crashed()
    venue.snapshot("BTC")
    venue.publish()
    for seq, book in ((7, "margin"), (8, "margin"), (10, "margin"), (10, "spot")):
        proof = venue.prove("alice")
        proof["leaves"] = [x for x in proof["leaves"] if (x["seq"], x["book"]) != (seq, book)]
        with refused(Incomplete, f"no leaf in statement {seq} for BTC/{book}, where an ear", "7"):
            verify(venue, proof)


def test_a_gap_stays_a_gap_though_later_leaves_are_shown() -> None:
    venue = crashed()
    with refused(Incomplete, "no leaf in statement 7 for BTC/margin", "7"):
        verify(venue, without_leaves(venue.prove("alice"), 7, 8))


def test_balances_before_the_first_one_shown_are_not_asked_for() -> None:
    venue = crashed()
    venue.snapshot("BTC")
    venue.publish()
    proven = verify(venue, without_leaves(venue.prove("alice"), 1, 7, 8))
    assert proven.events[0].balance is None


def test_an_account_that_left_shows_a_balance_of_0_once() -> None:
    venue = market()
    venue.books["BTC"]["margin"].pop("alice")
    venue.snapshot("BTC")
    venue.snapshot("BTC")
    venue.publish()
    proof = venue.prove("alice")
    assert {(b.book, b.amount) for b in verify(venue, proof).balances} == {
        ("margin", 0),
        ("spot", 7),
    }
    left = [x for x in proof["leaves"] if (x["seq"], x["book"]) != (3, "margin")]
    with refused(Incomplete, "no leaf in statement 3 for BTC/margin", "7"):
        verify(venue, proof | {"leaves": left})


def test_an_account_may_come_back_after_0() -> None:
    venue = Venue()
    for amount in (5, 0, None, 6):
        venue.snapshot("BTC", {"margin": MARGIN | ({"zoe": amount} if amount is not None else {})})
    venue.snapshot("BTC")
    venue.publish()
    proof = venue.prove("zoe")
    assert [leaf["seq"] for leaf in proof["leaves"]] == [1, 2, 4, 5]
    verify(venue, proof, "zoe")
    with refused(Incomplete, "no leaf in statement 5 for BTC/margin", "7"):
        verify(venue, without_leaves(proof, 5), "zoe")
    verify(venue, without_leaves(proof, 4, 5), "zoe")


def test_a_first_balance_of_0_opens_nothing() -> None:
    venue = Venue()
    venue.snapshot("BTC", {"margin": MARGIN | {"zoe": 0}})
    venue.snapshot("BTC", {"margin": MARGIN | {"zoe": 4}})
    venue.publish()
    verify(venue, without_leaves(venue.prove("zoe"), 2), "zoe")


def test_a_split_balance_of_which_some_leaves_are_0_is_not_0() -> None:
    venue = Venue(splits={"zoe": 3})
    venue.snapshot("BTC", {"margin": MARGIN | {"zoe": 1}})
    venue.snapshot("BTC")
    venue.publish()
    with refused(Incomplete, "no leaf in statement 2 for BTC/margin", "7"):
        verify(venue, without_leaves(venue.prove("zoe"), 2), "zoe")


def test_another_asset_is_followed_by_itself() -> None:
    venue = market()
    venue.snapshot("USDT", {"margin": {"alice": 3}})
    venue.snapshot("BTC")
    venue.snapshot("USDT")
    venue.publish()
    with refused(Incomplete, "no leaf in statement 5 for USDT/margin", "7"):
        verify(venue, without_leaves(venue.prove("alice"), 5))


def test_a_file_without_leaves_proves_nothing() -> None:
    venue = crashed()
    for proof in (venue.prove("alice") | {"leaves": []}, venue.prove("yann")):
        with refused(Incomplete, "no leaf of a customer book", "7"):
            verify(venue, proof, proof["account"])


def test_leaves_of_deficit_and_adl_alone_prove_nothing() -> None:
    venue = crashed()
    for account, book in (("carol", "deficit"), ("dave", "adl")):
        proof = venue.prove(account)
        assert [leaf["book"] for leaf in proof["leaves"]] == [book]
        with refused(Incomplete, "no leaf of a customer book", "7"):
            verify(venue, proof, account)


def test_roles_in_deficit_and_adl_are_told_and_not_followed() -> None:
    venue = market()
    crash(venue, {"bob": 90}, adl={"alice": 10})
    crash(venue, {"bob": 90}, adl={"alice": 11})
    venue.publish()
    proven = verify(venue, venue.prove("alice"))
    assert [(b.book, b.amount) for b in proven.roles] == [("adl", 10), ("adl", 11)]
    assert {b.book for b in proven.balances} == {"margin", "spot"}
    assert [(b.book, b.amount) for b in verify(venue, venue.prove("bob"), "bob").roles] == [
        ("deficit", 90),
        ("deficit", 90),
    ]


def returned() -> Venue:
    """A loss that zoe bore, who then left, and a recovery that pays her."""
    venue = Venue()
    venue.snapshot("BTC", {"margin": {"alice": 10, "zoe": 90}})
    run = crash(venue, {"carol": 50}, adl={})
    venue.snapshot("BTC", {"margin": {"alice": 5}})
    venue.recovery(run, 20)
    venue.publish()
    return venue


def test_an_account_that_a_recovery_pays_shows_its_leaves_before_and_after() -> None:
    venue = returned()
    before, after = seq_of(venue, "recovery"), seq_of(venue, "applied")
    proof = venue.prove("zoe")
    assert verify(venue, proof, "zoe").payouts[0].paid == 18
    for seq in (before, after):
        with refused(Incomplete, f"no leaf in statement {seq}, though the recovery {before}", "7"):
            verify(venue, without_leaves(proof, seq), "zoe")


def test_only_who_bore_a_unit_must_show_that_it_comes_back() -> None:
    venue = Venue()
    venue.snapshot("BTC", {"margin": {"yann": 1, "zoe": 1}, "spot": {"yann": 2, "zoe": 2}})
    run = crash(venue, {"carol": 1}, adl={})
    venue.snapshot("BTC", {"margin": {}})
    venue.recovery(run, 1)
    venue.publish()
    verdicts = {}
    for account in ("yann", "zoe"):
        proof = venue.prove(account)
        paid = verify(venue, proof, account).payouts[0].paid
        silent = without_leaves(proof, seq_of(venue, "recovery"), seq_of(venue, "applied"))
        if paid:
            with refused(Incomplete, "though the recovery", "7"):
                verify(venue, silent, account)
        else:
            verify(venue, silent, account)
        verdicts[account] = paid
    assert sorted(verdicts.values()) == [0, 1]


def test_a_recovery_of_a_loss_that_is_missing_pays_nobody_yet() -> None:
    venue = returned()
    seqs = seq_of(venue, "recovery"), seq_of(venue, "applied")
    proof = without_leaves(venue.prove("zoe", start={"BTC": seq_of(venue, "snapshot")}), *seqs)
    proof = without(proof, seq_of(venue, "loss"))
    proof["leaves"] = [leaf for leaf in proof["leaves"] if leaf["seq"] > seqs[0] - 2]
    with refused(Incomplete, "which recovery", "8"):
        verify(venue, proof, "zoe")
