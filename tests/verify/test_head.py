"""SPEC.md §7, step 3: the checkpoint, the pinned key, and what was verified last."""

from typing import Any

from reference import Signer, checkpoint
from refusals import crash, market, refused, told, verify
from venue import Venue

from auditkit.verify.errors import Incomplete, Malformed, Refuted
from auditkit.verify.note import Checkpoint


def rotated(retire_after: int = 10) -> tuple[Venue, Signer, Signer]:
    """A venue whose checkpoint of now covers a change of key, and the two keys."""
    venue = market()
    venue.rotate_key(retire=len(venue.said) + retire_after)
    venue.publish()
    old, new = (signer for signer, _ in venue.keys)
    return venue, old, new


def resigned(venue: Venue, *signers: Signer) -> dict[str, Any]:
    """The proof under a checkpoint that other keys sign."""
    note = checkpoint(venue.name, venue.entries[: venue.heads[-1]], *signers)
    return venue.prove("alice") | {"checkpoint": note}


def test_both_keys_open_a_checkpoint_while_the_old_one_retires() -> None:
    venue, old, new = rotated()
    for key in (old.vkey, new.vkey):
        proven = verify(venue, venue.prove("alice"), key=key)
        assert [str(change.new) for change in proven.keys] == [new.vkey]


def test_a_checkpoint_without_both_lines_is_false_while_the_old_key_retires() -> None:
    venue, old, new = rotated()
    for key in (old, new):
        for signer in (old, new):
            with refused(Refuted, "no signature line by the pinned key", "3"):
                verify(venue, resigned(venue, signer), key=key.vkey)


def test_both_lines_are_needed_up_to_the_very_size_of_retirement() -> None:
    venue, old, _ = rotated(retire_after=2)
    assert venue.heads[-1] == venue.said[-2]["retire"]
    verify(venue, venue.prove("alice"), key=old.vkey)
    with refused(Refuted, "no signature line by the pinned key", "3"):
        verify(venue, resigned(venue, old), key=old.vkey)


def test_a_retired_key_is_refused_even_if_it_signs() -> None:
    venue, old, new = rotated(retire_after=2)
    venue.fund()
    venue.publish()
    verify(venue, venue.prove("alice"), key=new.vkey)
    with refused(Refuted, "the pinned key is retired", "3"):
        verify(venue, resigned(venue, old, new), key=old.vkey)


def test_the_new_key_alone_opens_a_checkpoint_beyond_retirement() -> None:
    venue, _, new = rotated(retire_after=2)
    venue.fund()
    venue.publish()
    verify(venue, resigned(venue, new), key=new.vkey)


def test_a_change_between_other_keys_is_not_this_readers() -> None:
    venue, old, new = rotated()
    venue.rotate_key()
    venue.publish()
    proof = resigned(venue, old, new)
    verify(venue, proof, key=old.vkey)
    with refused(Refuted, "no signature line by the pinned key", "3"):
        verify(venue, proof, key=new.vkey)


def test_a_change_of_key_that_the_checkpoint_does_not_cover_binds_nobody() -> None:
    venue = market()
    venue.publish()
    size = venue.heads[-1]
    venue.rotate_key()
    proof = venue.prove("alice", size=size)
    proof["checkpoint"] = checkpoint(venue.name, venue.entries[:size], venue.keys[0][0])
    proof["statements"].append(venue.entry(size, size))
    with refused(Refuted, f"statement {size}: the entry is outside the log", "4"):
        verify(venue, proof, key=venue.keys[0][0].vkey)


def test_another_venues_checkpoint_is_false() -> None:
    venue = market()
    venue.publish()
    other = Signer("other.example/audit", "head")
    with refused(Refuted, "the checkpoint is of another venue", "3"):
        verify(venue, venue.prove("alice"), key=other.vkey)


def test_the_report_names_the_key() -> None:
    venue = market()
    proven = told(venue)
    assert str(proven.key) == venue.vkey
    assert any(proven.key.id.hex() in note.text for note in proven.notes if note.step == "3")


# What was verified last.


def followed() -> tuple[Venue, Checkpoint, int]:
    """A venue, its first checkpoint, and the seq of the index that ended it; more came since."""
    venue = market()
    head = Checkpoint.parse(venue.publish())
    crash(venue)
    venue.publish()
    return venue, head, head.size - 1


def test_a_file_that_extends_the_earlier_head_verifies() -> None:
    venue, head, since = followed()
    proof = venue.prove("alice", heads=[head.size], since=since)
    proven = verify(venue, proof, head=head, since=since)
    assert any("extends the head of" in note.text for note in proven.notes)


def test_the_same_head_needs_no_consistency() -> None:
    venue, _, _ = followed()
    head = Checkpoint.parse(venue.checkpoint(venue.heads[-1]))
    verify(venue, venue.prove("alice"), head=head)


def test_a_file_without_consistency_from_the_earlier_head_is_incomplete() -> None:
    venue, head, _ = followed()
    with refused(Incomplete, "no consistency from the head verified last", "3"):
        verify(venue, venue.prove("alice"), head=head)
    with refused(Incomplete, f"expected consistency from size {head.size}; found 2", "3"):
        verify(venue, venue.prove("alice", heads=[2]), head=head)


def test_an_older_checkpoint_is_incomplete() -> None:
    venue, head, since = followed()
    newer = Checkpoint.parse(venue.checkpoint(venue.heads[-1]))
    with refused(Incomplete, f"verified last; expected at least {newer.size} entries"):
        verify(venue, venue.prove("alice", size=head.size), head=newer)
    for seen in (head.size, newer.size - 1):
        with refused(Incomplete, f"expected above {seen} entries; found {head.size}", "3"):
            verify(venue, venue.prove("alice", size=head.size), since=seen)
    verify(venue, venue.prove("alice", size=head.size), since=since)


def test_two_roots_of_one_size_are_two_histories() -> None:
    venue, _, _ = followed()
    head = Checkpoint.parse(venue.checkpoint(venue.heads[-1]))
    venue.restate(2, pools=[])
    with refused(Refuted, "two histories: another root at the size verified last", "3"):
        verify(venue, venue.prove("alice"), head=head)


def test_a_history_restated_since_is_false() -> None:
    venue, head, _ = followed()
    venue.restate(1, ledgers=[])
    with refused(Refuted, "the later log does not extend the earlier one", "3"):
        verify(venue, venue.prove("alice", heads=[head.size]), head=head)


def test_consistency_from_another_size_does_not_count() -> None:
    venue, head, _ = followed()
    proof = venue.prove("alice", heads=[head.size])
    proof["consistency"][0]["path"].pop()
    with refused(Refuted, "the consistency path is too short", "3"):
        verify(venue, proof, head=head)
    verify(venue, proof)


def test_false_goes_before_incomplete_in_this_step() -> None:
    venue, head, _ = followed()
    proof = venue.prove("alice", heads=[head.size])
    proof["consistency"][0]["path"].pop()
    with refused(Refuted, "the consistency path is too short", "3"):
        verify(venue, proof, head=head, since=venue.heads[-1])
    with refused(Refuted, "no signature line by the pinned key", "3"):
        verify(venue, proof, since=venue.heads[-1], key=Signer(venue.name, "other").vkey)


def test_the_first_gap_of_a_step_is_reported() -> None:
    venue, head, _ = followed()
    with refused(Incomplete, "the checkpoint is older than what was verified last", "3"):
        verify(venue, venue.prove("alice"), head=head, since=venue.heads[-1])


def test_an_earlier_head_of_another_venue_is_no_head_of_this_one() -> None:
    venue, other = market(), market(name="other.example/audit")
    for each in (venue, other):
        each.publish()
    head = Checkpoint.parse(other.checkpoint(other.heads[-1]))
    with refused(Malformed, "the earlier head is of another venue; expected", "3"):
        verify(venue, venue.prove("alice"), head=head)
