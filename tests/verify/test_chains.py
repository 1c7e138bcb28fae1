"""SPEC.md §7, step 5: nothing that the chains name is left out."""

from refusals import MARGIN, crash, market, refused, seq_of, told, verify, without
from venue import Venue

from auditkit.verify.errors import Incomplete, Malformed, Refuted


def crashed() -> Venue:
    """Policy 0, snapshot 1, fund 2, deficit 3, adl 4, fund 5, draw 6, loss 7, applied 8, index."""
    venue = market()
    crash(venue)
    venue.publish()
    return venue


def test_a_whole_chain_verifies() -> None:
    venue = crashed()
    proven = verify(venue, venue.prove("alice"))
    assert [link.seq for link in proven.chains["BTC"]] == [1, 3, 4, 6, 7, 8]
    assert sorted(proven.shown) == [0, 1, 3, 4, 5, 6, 7, 8, 9]


def test_a_chain_may_start_at_a_later_snapshot() -> None:
    venue = crashed()
    venue.snapshot("BTC")
    venue.publish()
    proven = verify(venue, venue.prove("alice", start={"BTC": 10}))
    assert [link.seq for link in proven.chains["BTC"]] == [10]


def test_assets_that_are_not_shown_are_not_asked_for() -> None:
    venue = crashed()
    venue.snapshot("USDT", {"margin": {"alice": 3}})
    venue.publish()
    assert verify(venue, venue.prove("alice", ["BTC"])).chains.keys() == {"BTC"}
    assert verify(venue, venue.prove("alice")).chains.keys() == {"BTC", "USDT"}


# What is not there.


def test_a_last_entry_that_is_not_shown_is_missing() -> None:
    venue = crashed()
    with refused(Incomplete, "expected an index at seq 9; found nothing", "5"):
        verify(venue, without(venue.prove("alice"), 9))


def test_a_checkpoint_that_does_not_end_in_an_index_is_incomplete() -> None:
    venue = market()
    venue.publish(index=False)
    with refused(Incomplete, "expected an index at seq 2; found a fund", "5"):
        verify(venue, venue.prove("alice"))


def test_every_gap_in_a_chain_is_missing() -> None:
    venue = crashed()
    for seq in (3, 4, 6, 7, 8):
        with refused(Incomplete, f"statement {seq} of BTC is missing", "5"):
            verify(venue, without(venue.prove("alice"), seq))


def test_a_chain_without_a_snapshot_has_no_start() -> None:
    venue = crashed()
    with refused(Incomplete, "no snapshot of BTC to start from", "5"):
        verify(venue, without(venue.prove("alice"), 1))


def test_the_policy_of_a_chain_is_missing() -> None:
    venue = market()
    venue.policy(deadline_ms=1)
    venue.publish()
    proof = venue.prove("alice")
    with refused(Incomplete, "policy 0, which statement 1 names, is missing", "5"):
        verify(venue, without(proof, 0))
    with refused(Incomplete, "policy 3, which the last index names, is missing", "5"):
        verify(venue, without(proof, 3))


def test_the_policies_of_earlier_indexes_and_older_losses_are_not_asked_for() -> None:
    venue = market()
    run = crash(venue)
    venue.policy(deadline_ms=5)
    venue.publish()
    venue.snapshot("BTC")
    venue.recovery(run, 3)
    venue.policy(deadline_ms=6)
    venue.publish()
    start = {"BTC": seq_of(venue, "snapshot")}
    proof = venue.prove("alice", start=start, since=venue.heads[0] - 1)
    assert 0 in [entry["seq"] for entry in proof["statements"]]
    verify(venue, without(proof, 0))


# What is false.


def test_an_index_that_hides_a_shown_statement_is_false() -> None:
    venue = market()
    crash(venue)
    venue.lie("index", latest={"BTC": 7})
    with refused(Refuted, "the index 9 jumps an entry of BTC; expected 8", "5"):
        told(venue)


def test_an_index_that_leaves_a_shown_asset_out_is_false() -> None:
    venue = market()
    venue.lie("index", latest={})
    with refused(Refuted, "expected 1 as the last entry of BTC before it, or a later one; found"):
        told(venue)


def test_an_index_that_names_what_is_not_yet_logged_is_false() -> None:
    for seq in (3, 4):
        venue = market()
        venue.lie("index", latest={"BTC": seq})
        with refused(Refuted, "the index 3 names a wrong entry of BTC; expected an entry", "5"):
            told(venue)


def test_an_index_that_names_an_entry_of_another_kind_is_false() -> None:
    for seq, found in (0, "policy"), (5, "fund"):
        venue = market()
        crash(venue)
        venue.lie("index", latest={"BTC": seq})
        with refused(Refuted, f"expected an entry of BTC below 9; found {seq} ({found})", "5"):
            told(venue)


def test_an_index_that_names_another_assets_entry_is_false() -> None:
    venue = market()
    venue.snapshot("USDT", {"margin": {"alice": 3}})
    venue.lie("index", latest={"BTC": 3, "USDT": 3})
    with refused(Refuted, "the index 4 names a wrong entry of BTC; expected", "5"):
        told(venue)


def test_an_earlier_index_is_held_to_the_same() -> None:
    venue = market()
    venue.lie("index", latest={"BTC": 0})
    venue.publish()
    crash(venue)
    venue.publish()
    with refused(Refuted, "the index 3 names a wrong entry of BTC", "5"):
        verify(venue, venue.prove("alice", since=3))
    verify(venue, venue.prove("alice"))


def test_an_earlier_index_that_forgets_an_asset_is_false() -> None:
    venue = market()
    venue.lie("index", latest={})
    venue.publish()
    venue.snapshot("BTC")
    venue.publish()
    with refused(Refuted, "the index 3 jumps an entry of BTC; expected 1", "5"):
        verify(venue, venue.prove("alice", since=3, start={"BTC": 1}), since=3)


def test_a_previous_that_jumps_a_shown_entry_is_false() -> None:
    venue = market()
    venue.lie("applied", previous=3)
    with refused(Refuted, "the applied 8 jumps an entry of BTC; expected 7", "5"):
        crash(venue)
        told(venue)


def test_a_previous_that_denies_the_chain_before_it_is_false() -> None:
    venue = market()
    venue.lie("deficit", previous=3)
    crash(venue)
    with refused(Refuted, "the deficit 3 jumps an entry of BTC; expected 1", "5"):
        told(venue)


def test_a_previous_that_is_not_lower_is_false() -> None:
    venue = market()
    venue.lie("deficit", previous=4)
    crash(venue)
    with refused(Refuted, "the deficit 3 names a wrong entry of BTC; expected an entry", "5"):
        told(venue)


def test_a_previous_of_another_kind_is_false() -> None:
    venue = market()
    venue.lie("snapshot", previous=0)
    venue.snapshot("USDT", {"margin": {"alice": 3}})
    with refused(Refuted, "the snapshot 3 names a wrong entry of USDT", "5"):
        told(venue)


def test_a_previous_of_another_asset_is_false() -> None:
    venue = market()
    venue.lie("snapshot", previous=1)
    venue.snapshot("USDT", {"margin": {"alice": 3}})
    with refused(Refuted, "an entry of USDT below 3; found 1 (BTC)", "5"):
        told(venue)


def test_two_assets_cannot_both_own_an_entry_that_is_not_shown() -> None:
    venue = market()
    venue.lie("snapshot", previous=2)
    venue.snapshot("BTC")
    venue.lie("snapshot", previous=2)
    venue.snapshot("USDT", {"margin": {"alice": 3}})
    venue.publish()
    proof = venue.prove("alice", start={"BTC": 3})
    with refused(Refuted, "the snapshot 4 names a wrong entry of USDT", "5"):
        verify(venue, proof)


def test_a_statement_that_denies_what_another_claims_is_false() -> None:
    venue = market()
    venue.snapshot("BTC")
    venue.lie("snapshot", previous=2)
    venue.snapshot("BTC")
    venue.publish()
    with refused(Refuted, "the snapshot 3 jumps an entry of BTC; expected 2", "5"):
        verify(venue, venue.prove("alice"))


def test_a_policy_that_is_not_lower_is_false() -> None:
    for seq in (3, 4):
        venue = market()
        venue.lie("deficit", policy=seq)
        crash(venue)
        with refused(Refuted, "the deficit 3 names a wrong entry of policy", "5"):
            told(venue)


def test_a_policy_of_another_kind_is_false() -> None:
    venue = market()
    venue.lie("deficit", policy=1)
    crash(venue)
    with refused(Refuted, "an entry of policy below 3; found 1 (BTC)", "5"):
        told(venue)


def test_a_policy_that_is_not_the_latest_is_false() -> None:
    venue = market()
    venue.policy(deadline_ms=5)
    venue.lie("snapshot", policy=0)
    venue.snapshot("BTC")
    with refused(Refuted, "the snapshot 4 jumps an entry of policy; expected 3", "5"):
        told(venue)


def test_an_index_that_hides_a_policy_is_false() -> None:
    venue = market()
    venue.policy(deadline_ms=5)
    venue.snapshot("BTC")
    venue.lie("index", policy=0)
    with refused(Refuted, "the index 5 jumps an entry of policy; expected 3", "5"):
        told(venue)


def test_an_asset_that_its_policy_lacks_is_false() -> None:
    venue = Venue()
    venue.snapshot("ETH", {"margin": {"alice": 3}})
    with refused(Refuted, "the policy of statement 1 lacks its asset; expected BTC, USDT; f", "5"):
        told(venue)


def with_policy(assets: dict[str, int]) -> Venue:
    """A venue that states other assets before its second snapshot."""
    venue = market(pools={"BTC": ("BTC", 0)})
    venue.policy(assets=assets)
    venue.snapshot("BTC")
    return venue


def test_assets_may_come_and_go_with_the_decimals_they_have() -> None:
    for assets in ({"BTC": 8}, {"BTC": 8, "ETH": 18, "USDT": 6}):
        assert told(with_policy(assets)).chains["BTC"]


def test_decimals_do_not_change_while_an_asset_is_away() -> None:
    venue = with_policy({"BTC": 8})
    venue.policy(assets={"BTC": 8, "USDT": 7})
    venue.snapshot("BTC")
    with refused(Refuted, "policy 5 changes the decimals of USDT; expected 6; found 7", "5"):
        told(venue)


def without_entry_0() -> Venue:
    venue = Venue()
    venue.said.clear()
    venue.entries.clear()
    return venue


def test_an_entry_0_that_is_a_snapshot_is_false() -> None:
    venue = without_entry_0()
    venue.snapshot("BTC", {"margin": MARGIN})
    venue.policy()
    venue.snapshot("BTC")
    with refused(Refuted, "entry 0 is no policy; expected a policy; found a snapshot", "5"):
        told(venue)


def test_an_entry_0_that_is_an_index_is_false() -> None:
    venue = without_entry_0()
    venue.log("index", latest={}, policy=0)
    venue.policy()
    venue.snapshot("BTC", {"margin": MARGIN})
    venue.publish()
    with refused(Refuted, "entry 0 is no policy; expected a policy; found a index", "5"):
        verify(venue, venue.prove("alice", since=0))


def test_an_entry_0_that_an_index_calls_a_snapshot_is_false() -> None:
    venue = without_entry_0()
    venue.snapshot("BTC", {"margin": MARGIN})
    venue.policy()
    venue.snapshot("USDT", {"margin": {"alice": 3}})
    venue.publish()
    with refused(Refuted, "the index 3 names a wrong entry of BTC", "5"):
        verify(venue, venue.prove("alice", ["USDT"]))


def test_false_goes_before_incomplete_in_this_step() -> None:
    venue = market()
    crash(venue)
    venue.lie("index", latest={"BTC": 7})
    venue.publish()
    with refused(Refuted, "the index 9 jumps an entry of BTC", "5"):
        verify(venue, without(venue.prove("alice"), 1, 4))


def test_an_asset_that_the_policy_lacks_goes_before_a_gap() -> None:
    venue = market()
    venue.snapshot("ETH", {"margin": {"alice": 3}})
    venue.publish()
    with refused(Refuted, "the policy of statement 3 lacks its asset", "5"):
        verify(venue, without(venue.prove("alice"), 1, 4))


# What was verified last.


def test_a_file_continues_what_was_verified_last() -> None:
    venue = crashed()
    venue.snapshot("BTC")
    venue.publish()
    proven = verify(venue, venue.prove("alice", since=9), since=9)
    assert [link.seq for link in proven.chains["BTC"]] == [1, 3, 4, 6, 7, 8, 10]


def test_a_file_without_the_index_verified_last_is_incomplete() -> None:
    venue = crashed()
    venue.snapshot("BTC")
    venue.publish()
    with refused(Incomplete, "expected an index at seq 9; found nothing", "5"):
        verify(venue, venue.prove("alice"), since=9)
    with refused(Incomplete, "expected an index at seq 8; found a applied", "5"):
        verify(venue, venue.prove("alice", since=9), since=8)


def test_a_file_that_starts_after_what_was_verified_last_is_incomplete() -> None:
    venue = crashed()
    venue.snapshot("BTC")
    venue.publish()
    proof = venue.prove("alice", since=9, start={"BTC": 10})
    with refused(Incomplete, "expected a snapshot at or below 8; found 10", "5"):
        verify(venue, proof, since=9)


def test_a_file_may_start_at_the_very_entry_that_was_verified_last() -> None:
    venue = market()
    venue.publish()
    crash(venue)
    venue.publish()
    proven = verify(venue, venue.prove("alice", since=3), since=3)
    assert proven.chains["BTC"][0].seq == 1


def test_a_chain_that_leaves_what_was_seen_is_false() -> None:
    venue = crashed()
    venue.lie("snapshot", previous=1)
    venue.snapshot("BTC")
    venue.publish()
    proof = without(venue.prove("alice", since=9), 3, 4, 5, 6, 7, 8)
    with refused(Refuted, "the snapshot 10 jumps an entry of BTC; expected 8", "5"):
        verify(venue, proof, since=9)


def test_an_asset_that_was_not_there_starts_with_its_first_statement() -> None:
    venue = crashed()
    venue.snapshot("USDT", {"margin": {"alice": 3}})
    venue.snapshot("USDT")
    venue.publish()
    verify(venue, venue.prove("alice", since=9), since=9)
    proof = venue.prove("alice", since=9, start={"BTC": 1, "USDT": 11})
    with refused(Incomplete, "the file starts USDT after its first statement; expected", "5"):
        verify(venue, proof, since=9)


def test_an_asset_that_was_hidden_from_the_index_verified_last_is_false() -> None:
    venue = market()
    venue.snapshot("USDT", {"margin": {"alice": 3}})
    venue.lie("index", latest={"BTC": 1})
    venue.publish()
    venue.snapshot("USDT")
    venue.publish()
    with refused(Refuted, "the index 4 jumps an entry of USDT; expected 3", "5"):
        verify(venue, venue.prove("alice", since=4), since=4)


def test_a_gap_before_what_was_verified_last_is_told_first() -> None:
    venue = crashed()
    venue.snapshot("BTC")
    venue.publish()
    with refused(Incomplete, "statement 8 of BTC is missing", "5"):
        verify(venue, without(venue.prove("alice", since=9), 8), since=9)


# What does not belong.


def test_a_fund_entry_that_no_draw_needs_is_malformed() -> None:
    venue = crashed()
    proof = venue.prove("alice")
    proof["statements"].insert(2, venue.entry(2, venue.heads[-1]))
    with refused(Malformed, "statements that do not belong here; found 2", "5"):
        verify(venue, proof)


def test_a_policy_that_nothing_names_is_malformed() -> None:
    venue = Venue()
    venue.policy(deadline_ms=5)
    venue.snapshot("BTC", {"margin": MARGIN})
    venue.publish()
    proof = venue.prove("alice")
    proof["statements"].insert(0, venue.entry(0, venue.heads[-1]))
    with refused(Malformed, "statements that do not belong here; found 0", "5"):
        verify(venue, proof)


def test_a_statement_below_the_lowest_snapshot_is_malformed() -> None:
    venue = crashed()
    venue.snapshot("BTC")
    venue.publish()
    proof = venue.prove("alice", start={"BTC": 10})
    proof["statements"].insert(1, venue.entry(8, venue.heads[-1]))
    with refused(Malformed, "statements that do not belong here; found 8", "5"):
        verify(venue, proof)


def test_keys_and_indexes_always_belong() -> None:
    venue = crashed()
    venue.rotate_key()
    venue.publish()
    proven = verify(venue, venue.prove("alice", since=9))
    assert (len(proven.keys), 9 in proven.shown) == (1, True)


def test_the_policy_that_only_the_last_index_names_belongs() -> None:
    venue = crashed()
    venue.policy(deadline_ms=5)
    assert [policy.seq for policy in told(venue).policies] == [0, 10]


def test_a_policy_that_only_an_earlier_index_names_does_not_belong() -> None:
    venue = market()
    venue.policy(deadline_ms=5)
    venue.publish()
    venue.policy(deadline_ms=6)
    venue.publish()
    proof = venue.prove("alice", since=4)
    verify(venue, proof)
    proof["statements"].insert(2, venue.entry(3, venue.heads[-1]))
    with refused(Malformed, "statements that do not belong here; found 3", "5"):
        verify(venue, proof)


def test_what_does_not_belong_is_told_only_where_every_step_holds() -> None:
    venue = market()
    venue.lie("applied", balances=lambda b: b | {"alice": b["alice"] - 1, "bob": b["bob"] + 1})
    crash(venue)
    venue.publish()
    proof = venue.prove("alice")
    proof["statements"].insert(2, venue.entry(2, venue.heads[-1]))
    with refused(Refuted, "the deduction is not the rule's", "8"):
        verify(venue, proof)
