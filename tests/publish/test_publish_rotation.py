"""A venue that changes its key: which keys sign which heads, and for whom a file verifies.

The log of these tests, by its sizes: 2 and 4 before the change, which is
entry 4; 6, 8 and 10 in the overlap, whose last size is 10; 12 and 14 after it.
"""

import json
import shutil
from collections.abc import Mapping
from itertools import combinations
from pathlib import Path

import pytest
from exchange import ORIGIN, Exchange, refused
from rotating import Rotating

from auditkit.errors import InputError
from auditkit.log.lineage import Lineage
from auditkit.log.monitor import breaches
from auditkit.log.published import Log
from auditkit.publish import fund, rotation
from auditkit.publish.keys import Signer
from auditkit.publish.policyfile import policy_text
from auditkit.publish.proofs import Prover
from auditkit.publish.rotation import Retire
from auditkit.publish.settings import Settings
from auditkit.publish.signers import Signers
from auditkit.publish.slices import Slicer
from auditkit.publish.venue import Venue
from auditkit.verify import check
from auditkit.verify.errors import Refuted
from auditkit.verify.note import Checkpoint, Note, VerifierKey
from auditkit.verify.statements import Key

BEFORE, WITHIN, AFTER = (2, 4), (6, 8, 10), (12, 14)
HELD = {"BTC": {"margin": {"anna": 500, "bert": 300}}}


class Story:
    """A venue that has changed its key, and a proof of anna's under each of its heads."""

    def __init__(self, folder: Path) -> None:
        self.exchange = Rotating(folder)
        self.proofs: dict[int, bytes] = {}
        self.publish()
        self.old = self.exchange.signer
        self.new = self.exchange.new_key()
        self.change = self.exchange.rotate(self.new, 10)
        self.proofs[6] = self.exchange.prove("anna")
        for _ in (*WITHIN[1:], *AFTER):
            self.publish()
        self.stranger = Signer.generate(ORIGIN)

    def publish(self) -> None:
        """Two entries more, and the proof that ends with them."""
        self.exchange.snapshot(HELD)
        self.proofs[self.exchange.size()] = self.exchange.prove("anna")

    def lines(self, size: int, signers: tuple[Signer, ...]) -> bytes:
        """The proof under the head of that size, as these keys and no others sign it."""
        proof = json.loads(self.proofs[size])
        head = Checkpoint.parse(proof["checkpoint"])
        assert head.size == size
        made = [key.checkpoint(head.size, head.root).note.signatures[0] for key in signers]
        proof["checkpoint"] = str(Note(head.note.text, tuple(made)))
        return json.dumps(proof).encode()


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Story:
    return Story(tmp_path_factory.mktemp("story"))


@pytest.fixture
def exchange(tmp_path: Path) -> Rotating:
    found = Rotating(tmp_path)
    found.snapshot(HELD)
    return found


def verdict(proof: bytes, key: VerifierKey) -> str:
    """What anna is told, under that pinned key."""
    try:
        check.verify(proof, key, "anna")
    except Refuted as error:
        return f"{error.step}: {error.what}"
    return "verified"


def test_the_story_is_the_one_told_above(story: Story) -> None:
    assert set(story.proofs) == {*BEFORE[1:], *WITHIN, *AFTER}
    assert (story.change.seq, story.change.retire) == (4, 10)


# The matrix: each key pinned, each set of keys that signs, each size.


@pytest.mark.parametrize("size", [*BEFORE[1:], *WITHIN, *AFTER])
def test_who_signs_and_who_is_convinced(story: Story, size: int) -> None:
    keys = {"old": story.old, "new": story.new, "stranger": story.stranger}
    for names in [n for count in (1, 2, 3) for n in combinations(keys, count)]:
        proof = story.lines(size, tuple(keys[name] for name in names))
        both = {"old", "new"} <= set(names)
        convinced: Mapping[str, bool] = {
            "before": {"old": "old" in names, "new": "new" in names},
            "within": {"old": both, "new": both},
            "after": {"old": False, "new": "new" in names},
        }["before" if size < 6 else "within" if size <= 10 else "after"]
        for name, expected in {**convinced, "stranger": "stranger" in names}.items():
            found = verdict(proof, keys[name].verifier)
            assert found.startswith("verified" if expected else "3: "), (size, names, name, found)


@pytest.mark.parametrize("size", AFTER)
def test_a_retired_key_is_refused_for_being_retired(story: Story, size: int) -> None:
    for signers in ((story.old,), (story.old, story.new)):
        assert (
            verdict(story.lines(size, signers), story.old.verifier)
            == "3: the pinned key is retired"
        )


@pytest.mark.parametrize("size", [*BEFORE, *WITHIN, *AFTER])
def test_every_published_head_has_the_lines_of_its_size_and_no_others(
    story: Story, size: int
) -> None:
    old, new = story.old.verifier.id, story.new.verifier.id
    expected = [old] if size in BEFORE else [old, new] if size in WITHIN else [new]
    assert story.exchange.signers_of(size) == expected
    with Venue(story.exchange.root) as venue:
        assert [key.id for key in venue.lineage.signers(size)] == expected
        for key in venue.lineage.signers(size):
            venue.history.head(size).open(key)


def test_what_was_proven_before_still_verifies(story: Story) -> None:
    for size in (*BEFORE[1:], *WITHIN):
        assert verdict(story.proofs[size], story.old.verifier) == "verified"


def test_the_whole_log_breaks_no_rule_under_the_new_key(story: Story) -> None:
    log = Log.read(story.exchange.root / "public", story.new.verifier)
    assert breaches(log) == []
    with pytest.raises(Refuted, match="no signature line by the pinned key"):
        Log.read(story.exchange.root / "public", story.old.verifier)


# Proofs for whoever pinned which key.


def test_whoever_pinned_the_old_key_is_served_a_head_that_shows_the_change(story: Story) -> None:
    proof = story.exchange.prove_for(story.old.verifier)
    proven = check.verify(proof, story.old.verifier, "anna")
    assert proven.checkpoint.size == 10
    assert [(change.old, change.new) for change in proven.keys] == [
        (story.old.verifier, story.new.verifier)
    ]
    assert proven.balances[0].amount == 500


def test_whoever_pinned_the_new_key_is_never_served_a_head_that_it_does_not_sign(
    exchange: Rotating,
) -> None:
    """What is shown lies before the change, whose head is the first that the new key signs."""
    new = exchange.new_key()
    assert json.loads(exchange.prove("anna"))["checkpoint"].split("\n")[1] == "4"
    exchange.rotate(new, after=2)
    for key in (exchange.signer.verifier, new.verifier):
        proven = check.verify(exchange.prove_for(key), key, "anna")
        assert proven.checkpoint.size == 6
        assert [change.new for change in proven.keys] == [new.verifier]
    assert exchange.prove("anna") == exchange.prove_for(new.verifier)


def test_a_file_for_the_old_key_ends_where_that_key_does(story: Story) -> None:
    with refused(story.exchange, "--since: 11 is beyond the 10 entries that the key signs"):
        story.exchange.prove_for(story.old.verifier, since=11)
    proof = story.exchange.prove_for(story.old.verifier, since=7)
    check.verify(proof, story.old.verifier, "anna", since=7)


def test_no_file_is_made_for_a_key_that_never_was_the_venues(story: Story) -> None:
    with refused(story.exchange, "--for-key: ", "was never a key of this venue's"):
        story.exchange.prove_for(story.stranger.verifier)


def slices(exchange: Rotating, key: VerifierKey, since: int) -> list[int]:
    """Verify what followed `since` in as many files as there are; the sizes of their heads."""
    with Venue(exchange.root) as venue:
        prover = Prover(venue, since, key=key)
        found = Slicer(venue, prover, "anna", []).into(99)
    head = None
    for part in found:
        proven = check.verify(part.data, key, "anna", since=part.since, head=head)
        head = proven.checkpoint
    assert head is not None
    if key == exchange.hands[0].verifier:
        assert len(proven.keys) == 1, "the last file shows the change"
    return [part.size for part in found]


def test_a_stretch_is_cut_only_at_heads_that_the_key_signs(story: Story) -> None:
    old, new = story.old.verifier, story.new.verifier
    assert slices(story.exchange, old, 1) == [4, 8, 10]
    assert slices(story.exchange, old, 3) == [8, 10]
    assert slices(story.exchange, new, 1) == [6, 8, 10, 12, 14]
    assert slices(story.exchange, new, 9) == [12, 14]


def test_what_follows_an_earlier_head_shows_the_change_too(story: Story) -> None:
    old = story.old.verifier
    with Venue(story.exchange.root) as venue:
        data = Prover(venue, None, [4], old).prove("anna")
        head = venue.history.head(4)
        with pytest.raises(InputError, match="--head: no checkpoint of 12 entries"):
            Prover(venue, None, [12], old)
    proven = check.verify(data, old, "anna", head=head)
    assert (proven.checkpoint.size, len(proven.keys)) == (10, 1)


def test_two_changes_one_after_the_other(exchange: Rotating) -> None:
    """Sizes: 4, change 6, 8 | 10, change 12, 14 | 16."""
    first, second, third = exchange.signer, exchange.new_key(), exchange.new_key()
    exchange.rotate(second, after=2)
    exchange.snapshot(HELD)
    exchange.snapshot(HELD)
    exchange.rotate(third, after=2)
    exchange.snapshot(HELD)
    exchange.snapshot(HELD)
    keys = [signer.verifier for signer in (first, second, third)]
    whose = {4: [0], 6: [0, 1], 8: [0, 1], 10: [1], 12: [1, 2], 14: [1, 2], 16: [2]}
    for size, places in whose.items():
        assert exchange.signers_of(size) == [keys[place].id for place in places]
    for key, size in zip(keys, (8, 14, 16), strict=True):
        assert check.verify(exchange.prove_for(key), key, "anna").checkpoint.size == size
    assert breaches(Log.read(exchange.root / "public", keys[2])) == []
    with Venue(exchange.root) as venue:
        assert (venue.key, venue.lineage.keys) == (keys[2], tuple(keys))


# Where the overlap ends.


def test_a_publish_that_jumps_over_the_end_is_signed_by_the_new_key_alone(
    exchange: Rotating,
) -> None:
    new = exchange.new_key()
    assert exchange.rotate(new, 8).retire == 8
    exchange.grow(3)
    assert exchange.signers_of(9) == [new.verifier.id]
    assert check.verify(exchange.prove("anna"), new.verifier, "anna").checkpoint.size == 9
    old = exchange.signer.verifier
    assert check.verify(exchange.prove_for(old), old, "anna").checkpoint.size == 6


def test_a_publish_that_ends_exactly_at_the_end_is_signed_by_both(exchange: Rotating) -> None:
    new = exchange.new_key()
    exchange.rotate(new, 9)
    exchange.grow(3)
    assert exchange.signers_of(9) == [exchange.signer.verifier.id, new.verifier.id]


@pytest.mark.parametrize(("size", "asked"), [(6, False), (7, False), (8, True), (9, True)])
def test_the_old_key_is_asked_no_longer_than_it_may_have_to_sign(
    exchange: Rotating, size: int, asked: bool
) -> None:
    """A publish has two entries at least, so beyond `retire` less two nobody needs the old key."""
    new = exchange.new_key()
    exchange.rotate(new, size)
    with Venue(exchange.root) as venue:
        assert (exchange.signer.verifier in venue.next_signers) == asked
    exchange.hands = [new]
    if asked:
        with refused(exchange, "while the venue changes its key", f"{exchange.signer.verifier}"):
            exchange.snapshot(HELD)
    else:
        exchange.snapshot(HELD)
        assert exchange.signers_of(8) == [new.verifier.id]


def test_neither_key_alone_publishes_in_the_overlap(exchange: Rotating) -> None:
    new = exchange.new_key()
    exchange.rotate(new, after=4)
    for hand in (exchange.signer, new):
        exchange.hands = [hand]
        with refused(exchange, "while the venue changes its key it is", str(new.verifier)):
            exchange.snapshot(HELD)


def test_the_retired_key_does_not_publish(exchange: Rotating) -> None:
    exchange.rotate(exchange.new_key())
    exchange.hands = [exchange.signer]
    with refused(exchange, "the key file holds", "but the venue's key is"):
        exchange.snapshot(HELD)


def test_a_change_between_opening_and_publishing_is_noticed(exchange: Rotating) -> None:
    """As where a series is published and somebody else changes the key meanwhile."""
    with Venue(exchange.root) as stale:
        exchange.rotate(exchange.new_key(), after=4)
        before = exchange.tree()
        with (
            pytest.raises(InputError, match="while the venue changes its key"),
            stale.publishing(exchange.signer, exchange.now + 1000) as draft,
        ):
            fund.publish(draft, {})
    assert exchange.tree() == before


# Changes that are refused.


def test_an_end_that_comes_too_early_is_refused(exchange: Rotating) -> None:
    for size in (0, 4, 5):
        with refused(exchange, f"--retire: {size} is too small", "the change, of 6 entries"):
            exchange.rotate(exchange.new_key(), size)
    with refused(exchange, "--retire: 9007199254740992 is too large"):
        exchange.rotate(exchange.new_key(), 1 << 53)
    with refused(exchange, "is too large"):
        exchange.rotate(exchange.new_key(), after=1 << 53)
    assert exchange.rotate(exchange.new_key(), 6).retire == 6


def test_a_change_to_the_same_key_is_refused(exchange: Rotating) -> None:
    with refused(exchange, "--new-key: is the venue's key already; make a new one"):
        exchange.rotate(exchange.signer, after=4)


def test_a_change_to_another_venues_key_is_refused(exchange: Rotating) -> None:
    other = Signer.generate("other.example/audit")
    with refused(exchange, "--new-key: is a key of other.example/audit, not of"):
        exchange.rotate(other, after=4)


def test_a_change_back_to_a_retired_key_is_refused(exchange: Rotating) -> None:
    exchange.rotate(exchange.new_key())
    exchange.snapshot(HELD)
    with refused(exchange, "--new-key: was the venue's key before and is retired"):
        exchange.rotate(exchange.signer, after=4)


def test_a_change_to_the_key_that_is_being_replaced_says_how_long_it_signs(
    exchange: Rotating,
) -> None:
    new = exchange.new_key()
    exchange.rotate(new, 8)
    with refused(
        exchange, "--new-key: is being replaced and signs up to 8 entries", str(new.verifier)
    ):
        exchange.rotate(exchange.signer, after=4)


def test_a_second_change_before_the_first_is_over_is_refused(exchange: Rotating) -> None:
    exchange.rotate(exchange.new_key(), 8)
    third = exchange.new_key()
    with refused(exchange, "entry 4 lasts up to 8 entries", "would have 8", "beyond that"):
        exchange.rotate(third, after=4)
    exchange.snapshot(HELD)
    assert exchange.rotate(third, after=4).retire == 14


def test_a_key_whose_id_is_anothers_is_refused(
    exchange: Rotating, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only one line a name and id may stand in a checkpoint."""
    new = exchange.new_key()
    monkeypatch.setattr(VerifierKey, "id", b"same")
    with pytest.raises(InputError, match="--new-key: has the key id of another key"):
        rotation._check_new(Lineage(exchange.signer.verifier), new.verifier, 0)


def test_a_new_key_that_cannot_sign_changes_nothing(exchange: Rotating) -> None:
    class Broken:
        """Says that it holds the key, and signs with another."""

        verifier = Signer.generate(ORIGIN).verifier

        def sign(self, message: bytes) -> bytes:
            return exchange.signer.sign(message)

    with refused(exchange, f"what signs for {Broken.verifier} gave no signature of it"):
        exchange.rotate(Broken(), after=4)
    assert exchange.kinds()[-1] == "index"
    assert "key" not in exchange.kinds()


def test_the_change_itself_needs_both_keys(exchange: Rotating) -> None:
    new, old = exchange.new_key(), exchange.signer

    def change(*hands: Signer) -> None:
        work = rotation.publish
        exchange.publish(lambda draft: work(draft, new.verifier, Retire(after=4)), None, *hands)

    with refused(exchange, "the key file holds", f"but the venue's key is {old.verifier}"):
        change(new)
    with refused(exchange, f"the key file holds {old.verifier}, but while the venue changes"):
        change(old)
    change(old, new)


# What is public, and what venue.json says.


def test_newcomers_find_the_newest_key_and_no_file_is_ever_rewritten(exchange: Rotating) -> None:
    public, keys = exchange.root / "public", [exchange.signer.verifier]
    before: dict[str, bytes] = {}
    for _ in range(3):
        assert (public / "venue.vkey").read_text() == f"{keys[0]}\n"
        head = Checkpoint.parse((public / "checkpoint").read_text())
        newest = head.note.signatures[-1]
        if len(keys) > 1:
            named = (public / f"keys/{newest.key_id.hex()}.vkey").read_text().strip()
            assert named == str(keys[-1])
            assert {path.name for path in (public / "keys").iterdir()} == {
                f"{key.id.hex()}.vkey" for key in keys
            }
        with Venue(exchange.root) as venue:
            assert venue.public.policy() == policy_text([keys[-1]])
        now = {str(p): p.read_bytes() for p in public.rglob("*") if p.is_file()}
        assert {name: now[name] for name in before} == before
        before = {name: data for name, data in now.items() if not name.endswith("/checkpoint")}
        new = exchange.new_key()
        exchange.rotate(new)
        keys.append(new.verifier)


def test_a_venue_that_never_changed_its_key_has_no_folder_of_keys(exchange: Rotating) -> None:
    assert not (exchange.root / "public/keys").exists()


def test_a_lost_public_folder_gets_its_keys_back(exchange: Rotating) -> None:
    exchange.rotate(exchange.new_key(), after=4)
    exchange.snapshot(HELD)
    public = exchange.root / "public"
    before = exchange.tree()
    vkey = (public / "venue.vkey").read_bytes()
    shutil.rmtree(public)
    public.mkdir()
    (public / "venue.vkey").write_bytes(vkey)
    exchange.size()
    assert exchange.tree() == before


def test_venue_json_knows_both_keys_and_forgets_one_that_never_came(exchange: Rotating) -> None:
    path = exchange.root / "venue.json"
    before, new = path.read_bytes(), exchange.new_key()
    with Venue(exchange.root) as venue:
        first = venue.settings.first
        venue.learn(new.verifier, venue.settings.places[first])
        assert path.read_bytes() != before
    with Venue(exchange.root) as venue:
        assert path.read_bytes() == before
    exchange.rotate(new, after=4)
    places = Settings.read(exchange.root, first).places
    assert {key: place.where for key, place in places.items()} == {
        first: str(exchange.key),
        new.verifier: str(exchange.file_of(new.verifier)),
    }
    assert json.loads(path.read_text())["format"] == "auditkit/venue/2"


def test_an_auditkit_that_knows_one_key_file_only_does_not_open_it(exchange: Rotating) -> None:
    """It looked for `key`, and for the format that it knew."""
    exchange.rotate(exchange.new_key(), after=4)
    said = json.loads((exchange.root / "venue.json").read_text())
    assert "key" not in said
    assert said["format"] != "auditkit/venue/1"


def test_a_commit_that_fails_forgets_the_new_key(
    exchange: Rotating, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("auditkit.publish.history.History.append", fail)
    with refused(exchange, "No space left", error=OSError):
        exchange.rotate(exchange.new_key(), after=4)


# One place decides.


def test_the_lineage_of_a_log(story: Story) -> None:
    lineage = Lineage(story.old.verifier, (story.change,))
    old, new = lineage.keys
    assert lineage.newest == new
    assert (lineage.since(old), lineage.until(old)) == (None, story.change)
    assert (lineage.since(new), lineage.until(new)) == (story.change, None)
    assert [lineage.signers(size) for size in (0, 4, 5, 10, 11)] == [
        (old,),
        (old,),
        (old, new),
        (old, new),
        (new,),
    ]
    assert Lineage(old).signers(1 << 40) == (old,)
    third = Signer.generate(ORIGIN).verifier
    overlapping = Key(ORIGIN, 6, 0, third, new, 8)
    both = Lineage(old, (story.change, overlapping))
    assert both.signers(8) == (old, new, third)


def test_signers_are_asked_for_what_they_have(story: Story) -> None:
    signers = Signers(story.old)
    head = signers.head((story.old.verifier,), 3, bytes(32))
    assert head == story.old.checkpoint(3, bytes(32))
    assert repr(signers) == f"Signers({story.old.verifier})"
    assert Signers.of(signers) is signers
    with pytest.raises(InputError, match="the key file holds"):
        signers.head((story.new.verifier,), 3, bytes(32))
    with pytest.raises(InputError, match="the key file holds none"):
        Signers().require([story.old.verifier])


def test_a_plain_exchange_signs_as_ever(tmp_path: Path) -> None:
    exchange = Exchange(tmp_path)
    exchange.snapshot(HELD)
    assert json.loads((exchange.root / "venue.json").read_text()) == {
        "format": "auditkit/venue/1",
        "key": str(exchange.key),
    }
    with Venue(exchange.root) as venue:
        assert venue.next_signers == (exchange.signer.verifier,)
