"""A follower fetches what is new, believes nothing, and remembers only what holds."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from follow.served import served
from follow.site import Site, files, follow, is_sound, memory
from reference import Signer, signed
from refusals import crash, market, refused
from venue import Venue

from auditkit.errors import DamagedError, InputError
from auditkit.follow import follower
from auditkit.follow.source import Fetched, FetchError
from auditkit.follow.state import Known, State
from auditkit.follow.web import Web
from auditkit.log.breach import MOST
from auditkit.log.bundles import pack
from auditkit.verify.errors import Incomplete, Malformed, Refuted
from auditkit.verify.note import VerifierKey


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path / "public")


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return tmp_path / "state"


# What holds.


def test_a_log_is_followed_from_nothing(site: Site, state: Path) -> None:
    crash(site.venue)
    size = site.publish()
    found = follow(site.folder, state, site.key)
    assert (found.before, found.head.size, found.checked) == (0, size, size)
    assert (len(found.breaches), len(found.known), len(found.accepted)) == (0, 0, 0)
    assert found.keys == (site.key,)
    assert found.time == site.venue.now
    assert is_sound(state, site.key)
    mirrored, published = files(state), files(site.folder)
    assert mirrored.pop("follower.json")
    assert mirrored == published


def test_nothing_new_changes_nothing(site: Site, state: Path) -> None:
    size = site.publish()
    follow(site.folder, state, site.key)
    before = files(state)
    times = {
        path: path.stat().st_mtime_ns for path in state.rglob("*") if path.name != "follower.lock"
    }
    found = follow(site.folder, state, site.key)
    assert (found.before, found.head.size, found.checked) == (size, size, size)
    assert files(state) == before
    assert times == {p: p.stat().st_mtime_ns for p in state.rglob("*") if p.name != "follower.lock"}


@pytest.mark.parametrize("counts", [(1, 1, 1), (250, 3, 1, 1), (252, 1), (600, 600), (0, 700, 5)])
def test_a_log_is_followed_as_it_grows(site: Site, state: Path, counts: tuple[int, ...]) -> None:
    before = 0
    for count in counts:
        site.minutes(count)
        size = site.publish()
        found = follow(site.folder, state, site.key)
        assert (found.before, found.head.size, found.checked) == (before, size, size)
        assert is_sound(state, site.key)
        assert not (state / "new").exists()
        before = size
    assert (
        files(site.folder).items()
        >= {name: data for name, data in files(state).items() if name != "follower.json"}.items()
    )


def test_partial_files_go_when_the_whole_is_there(site: Site, state: Path) -> None:
    for _ in range(6):
        site.minutes(49)
        site.publish()
        follow(site.folder, state, site.key)
    names = files(state).keys()
    assert "tile/entries/000" in names
    assert "tile/0/000" in names
    assert not any("000.p" in name and "/1/" not in name for name in names)
    assert any("001.p" in name for name in names)


def test_only_what_is_new_is_fetched(site: Site, state: Path) -> None:
    site.minutes(600)
    size = site.publish()
    with served(site.folder) as server:
        web = Web(server.url)
        follow(web, state, site.key)
        whole = [f"tile/entries/{n:03d}" for n in range(2)]
        partial = f"tile/entries/002.p/{size - 512}"
        heads = [f"checkpoints/{size}"]
        assert server.asked == [f"/log/{p}" for p in ["checkpoint", *whole, partial, *heads]]
        server.asked.clear()
        site.minutes(1)
        later = site.publish()
        follow(web, state, site.key)
        partial = f"tile/entries/002.p/{later - 512}"
        wanted = ["checkpoint", partial, f"checkpoints/{later}", f"checkpoints/{size}"]
        assert server.asked == [f"/log/{p}" for p in wanted]
        web.close()
    assert is_sound(state, site.key)


def test_a_whole_bundle_serves_where_the_partial_one_is_gone(site: Site, state: Path) -> None:
    site.minutes(20)
    size = site.publish()
    site.minutes(300)
    site.publish()
    (site.folder / f"tile/entries/000.p/{size}").unlink()
    (site.folder / "checkpoint").write_text(site.notes[size])
    assert follow(site.folder, state, site.key).head.size == size
    assert is_sound(state, site.key)


def test_a_state_can_itself_be_followed(site: Site, state: Path, tmp_path: Path) -> None:
    site.minutes(300)
    site.publish()
    follow(site.folder, state, site.key)
    follow(state, tmp_path / "second", site.key)
    assert is_sound(tmp_path / "second", site.key)


@pytest.mark.parametrize("linked", [False, True])
def test_a_follower_does_not_follow_its_own_memory(
    site: Site, state: Path, tmp_path: Path, linked: bool
) -> None:
    site.publish()
    follow(site.folder, state, site.key)
    before, source = files(state), tmp_path / "link" if linked else state
    if linked:
        source.symlink_to(state)
    for pair in ((source, state), (state, source)):
        with pytest.raises(InputError, match="--state: is the folder to be followed itself"):
            follow(*pair, site.key)
    assert files(state) == before


@pytest.mark.parametrize(("seconds", "most"), [(0, 1 << 30), (3600, 1 << 16)])
def test_a_folder_without_end_is_not_read_without_end(
    site: Site, state: Path, seconds: float, most: int
) -> None:
    """Links make a few files look like a log of any size."""
    entry = site.venue.entries[0]
    (site.folder / "tile/entries").mkdir(parents=True)
    for number in range(1000):
        (site.folder / f"tile/entries/x{number:03d}").symlink_to(".")
        (site.folder / f"tile/entries/{number:03d}").write_bytes(pack([entry] * 256))
    text = f"{site.venue.name}\n{1 << 40}\n{'A' * 43}=\n"
    (site.folder / "checkpoint").write_text(signed(text, site.venue.keys[0][0]))
    source = Fetched(site.folder, seconds, most)
    for _ in range(2):
        with pytest.raises(FetchError, match="not all could be had within"):
            follow(source, state, site.key)
        source.begin()
    assert not (state / "follower.json").exists()


def test_a_head_that_witnesses_signed_since_is_remembered(site: Site, state: Path) -> None:
    size = site.publish()
    follow(site.folder, state, site.key)
    witness = "\u2014 witness.example AAAAAAAAAAAAAAAA\n"
    (site.folder / "checkpoint").write_text(site.notes[size] + witness, encoding="utf-8")
    follow(site.folder, state, site.key)
    assert witness in (state / "checkpoint").read_text("utf-8")
    assert str(memory(state).head.note).endswith(witness)


# Every story, however it is cut into rounds.


def stories() -> Iterator[tuple[str, Callable[[Venue], None]]]:
    """Things that happen at a venue, each followed by a head."""
    runs = []
    yield "snapshot", lambda v: v.snapshot("BTC")
    yield "loss", lambda v: runs.append(crash(v))
    yield "fund", lambda v: v.fund()
    yield "recovery", lambda v: v.recovery(runs[0], 7)
    yield "policy", lambda v: v.policy(deadline_ms=50_000)
    yield "again", lambda v: v.snapshot("BTC")
    yield "second loss", lambda v: runs.append(crash(v, {"carol": 30}))
    yield "booked", lambda v: v.fund(BTC=[("operator_injection", 9)])
    yield "second recovery", lambda v: v.recovery(runs[0], 3)
    yield "other asset", lambda v: v.snapshot("USDT", {"margin": {"alice": 5}})
    yield "wait", lambda v: v.wait(200_000)
    yield "key", lambda v: v.rotate_key()
    yield "more", lambda v: v.fund()


@pytest.mark.parametrize("step", [1, 2, 3, 5, 100])
def test_a_long_story_holds_however_it_is_cut(site: Site, state: Path, step: int) -> None:
    key = site.key
    for number, (_, tell) in enumerate(stories(), 1):
        tell(site.venue)
        site.publish()
        if number % step == 0:
            assert follow(site.folder, state, key).breaches == ()
    assert follow(site.folder, state, key).breaches == ()
    assert memory(state).checked == site.venue.heads[-1]
    assert is_sound(state, key)


# What is broken.


def lie(site: Site, kind: str, **edits: object) -> int:
    """Tell a loss with one lie in it, and publish; the seq of the entry that lies."""
    start = len(site.venue.said)
    site.venue.lie(kind, **edits)
    crash(site.venue)
    site.venue.wait(100_000)
    site.venue.fund()
    site.publish()
    names = [said["format"] for said in site.venue.said[start:]]
    return start + names.index(f"auditkit/{kind}/1")


LIES: list[tuple[str, str, dict[str, object]]] = [
    ("run", "loss", {"residual": "1"}),
    ("previous", "deficit", {"previous": 0}),
    ("policy", "deficit", {"policy": 1}),
    ("fund-opening", "fund", {"pools": lambda rows: [{**r, "opening": "1"} for r in rows]}),
    ("latest", "index", {"latest": {}}),
    ("time", "fund", {"time": "2020-01-01T00:00:00.000Z"}),
    ("statement", "fund", {"more": 1}),
    ("seq", "fund", {"seq": 1}),
    ("venue", "fund", {"venue": "another.example"}),
]


@pytest.mark.parametrize(("rule", "kind", "edits"), LIES, ids=[rule for rule, _, _ in LIES])
def test_a_broken_rule_is_said_again_and_again_and_the_state_stays_below_it(
    site: Site, state: Path, rule: str, kind: str, edits: dict[str, object]
) -> None:
    good = site.publish()
    follow(site.folder, state, site.key)
    seq = lie(site, kind, **edits)
    first = follow(site.folder, state, site.key)
    assert (rule, seq) in [(breach.rule, breach.seq) for breach in first.breaches]
    assert (first.checked, first.known) == (good, ())
    again = follow(site.folder, state, site.key)
    assert again.known == again.breaches == first.breaches
    site.publish()
    later = follow(site.folder, state, site.key)
    assert set(later.breaches) >= set(first.breaches)
    assert later.checked == memory(state).checked == good
    assert memory(state).head.size == later.head.size == site.venue.heads[-1]


@pytest.mark.parametrize(("rule", "kind", "edits"), LIES, ids=[rule for rule, _, _ in LIES])
def test_from_nothing_it_is_the_same(
    site: Site, state: Path, rule: str, kind: str, edits: dict[str, object]
) -> None:
    seq = lie(site, kind, **edits)
    for _ in range(2):
        found = follow(site.folder, state, site.key)
        assert (rule, seq) in [(breach.rule, breach.seq) for breach in found.breaches]
        assert found.checked == memory(state).checked == 0


def test_a_breach_says_what_was_expected_and_found(site: Site, state: Path) -> None:
    seq = lie(site, "deficit", previous=0)
    [breach] = follow(site.folder, state, site.key).breaches
    assert (breach.rule, breach.seq, breach.expected, breach.found) == ("previous", seq, "1", "0")


def test_a_breach_that_was_looked_into_is_passed_and_the_next_is_not(
    site: Site, state: Path
) -> None:
    seq = lie(site, "deficit", previous=0)
    follow(site.folder, state, site.key)
    found = follow(site.folder, state, site.key, [("previous", seq)])
    assert found.breaches == ()
    assert found.checked == site.venue.heads[-1]
    assert [(each.rule, each.seq) for each in found.accepted] == [("previous", seq)]
    site.minutes(2)
    site.publish()
    assert follow(site.folder, state, site.key).breaches == ()
    second = lie(site, "deficit", previous=0)
    found = follow(site.folder, state, site.key)
    assert [(breach.rule, breach.seq) for breach in found.breaches] == [("previous", second)]
    assert [(each.rule, each.seq) for each in found.accepted] == [("previous", seq)]


def test_a_breach_that_is_none_is_not_accepted_beforehand(site: Site, state: Path) -> None:
    site.publish()
    found = follow(site.folder, state, site.key, [("previous", 5)])
    assert found.accepted == ()
    seq = lie(site, "deficit", previous=0)
    assert follow(site.folder, state, site.key, [("previous", seq + 1)]).breaches


def junk(site: Site, count: int, entry: bytes = b"") -> None:
    """So many entries that are nothing, or what `entry` says."""
    site.venue.entries += [entry] * count
    site.venue.said += [{}] * count


def test_of_too_many_breaches_the_first_are_told_and_all_counted(site: Site, state: Path) -> None:
    first = site.publish()
    junk(site, 5 * MOST)
    site.publish()
    found = follow(site.folder, state, site.key)
    assert (len(found.breaches), found.known) == (MOST + 1, ())
    assert sum(1 + breach.more for breach in found.breaches) >= 5 * MOST
    *told, last = found.breaches
    assert (last.seq, [each for each in told if each.more]) == (first + MOST, [])
    assert f"; and {last.more} more, not told one by one" in last.what
    assert len(memory(state).reported) == MOST + 1
    again = follow(site.folder, state, site.key)
    assert again.known == again.breaches == found.breaches
    # Those that are only counted are not accepted with the one that counts them.
    accept = [(breach.rule, breach.seq) for breach in found.breaches]
    again = follow(site.folder, state, site.key, accept)
    assert again.breaches == (last,)
    assert (again.checked, memory(state).checked) == (0, 0)


def test_what_cannot_be_read_yet_hides_no_breach(site: Site, state: Path) -> None:
    site.publish()
    newer = site.venue.entries[-1].replace(b"index/1", b"index/2")
    assert newer != site.venue.entries[-1]
    junk(site, 2 * MOST, newer)
    junk(site, 2)
    site.publish()
    found = follow(site.folder, state, site.key)
    assert [breach.rule for breach in found.breaches[:MOST]] == ["unsupported"] * MOST
    assert {breach.rule for breach in found.breaches[MOST:]} == {"unsupported", "statement"}


class Counted(Known):
    """A known breach that says how often it was compared."""

    compared = 0

    def __eq__(self, other: object) -> bool:
        Counted.compared += 1
        return isinstance(other, Known) and (self.rule, self.seq) == (other.rule, other.seq)

    def __hash__(self) -> int:
        return hash((self.rule, self.seq))


def test_breaches_are_held_to_those_known_through_sets(
    site: Site, state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.publish()
    junk(site, MOST)
    site.publish()
    monkeypatch.setattr(follower, "Known", Counted)
    follow(site.folder, state, site.key, [("statement", 4)])
    Counted.compared = 0
    found = follow(site.folder, state, site.key)
    assert len(found.known) == len(found.breaches) >= MOST - 1
    assert Counted.compared < 20 * MOST


def test_what_only_a_newer_auditkit_reads_is_nobodys_fault(
    site: Site, state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    good = site.publish()
    follow(site.folder, state, site.key)
    site.venue.log("fund", pools=[])
    site.venue.entries[-1] = site.venue.entries[-1].replace(b"fund/1", b"fund/2")
    site.publish()
    found = follow(site.folder, state, site.key)
    assert [breach.rule for breach in found.breaches] == ["unsupported"]
    assert found.checked == good


def test_another_auditkit_checks_everything_again(
    site: Site, state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next one may know a rule more, which old entries break too."""
    seq = lie(site, "deficit", previous=0)
    follow(site.folder, state, site.key, [("previous", seq)])
    site.minutes(1)
    site.publish()
    assert follow(site.folder, state, site.key).breaches == ()
    raw = memory(state)
    monkeypatch.setattr(follower, "__version__", "9.9.9")
    with served(site.folder) as server:
        web = Web(server.url)
        assert follow(web, state, site.key).breaches == ()
        web.close()
        assert not any("tile" in path for path in server.asked)
    assert memory(state).version == "9.9.9"
    assert memory(state).kept == raw.kept


def test_a_head_that_does_not_end_in_an_index(site: Site, state: Path) -> None:
    site.minutes(1)
    site.publish(index=False)
    [breach] = follow(site.folder, state, site.key).breaches
    assert breach.rule == "head-no-index"


# What is not served.


@pytest.mark.parametrize("which", ["first", "second"])
def test_a_head_that_was_signed_stays(site: Site, state: Path, which: str) -> None:
    first = site.publish()
    follow(site.folder, state, site.key)
    site.minutes(1)
    second = site.publish()
    size = {"first": first, "second": second}[which]
    path = site.folder / f"checkpoints/{size}"
    kept = path.read_bytes()
    for odd in (None, b"", b"\xff", site.notes[size].replace("\n\n", "\n\n\n").encode()):
        path.unlink()
        if odd is not None:
            path.write_bytes(odd)
        found = follow(site.folder, state, site.key)
        assert [(breach.rule, breach.seq) for breach in found.breaches] == [("head-gone", size - 1)]
        assert found.checked == first
        path.touch()
    path.write_text(site.notes[first if size == second else second])
    [breach] = follow(site.folder, state, site.key).breaches
    assert "is a head of another size" in breach.what
    path.write_bytes(kept)
    assert follow(site.folder, state, site.key).checked == second


@pytest.mark.parametrize("name", ["checkpoint", "tile/entries/000", "tile/entries/001.p/56"])
def test_what_is_not_there_is_not_checked(site: Site, state: Path, name: str) -> None:
    good = site.publish()
    follow(site.folder, state, site.key)
    before = files(state)
    site.minutes(307)
    assert site.publish() == 312
    (site.folder / name).unlink()
    with refused(Incomplete, "checkpoint" if name == "checkpoint" else f"{name}: the log is not"):
        follow(site.folder, state, site.key)
    after = files(state)
    assert {n: d for n, d in after.items() if not n.startswith("new/")} == before
    assert memory(state).checked == good
    site.write(312)
    assert follow(site.folder, state, site.key).checked == 312
    assert is_sound(state, site.key)


def test_an_interrupted_round_is_gone_on_with(site: Site, state: Path) -> None:
    site.minutes(600)
    site.publish()
    last = site.folder / "tile/entries/002.p/92"
    kept = last.read_bytes()
    last.unlink()
    with refused(Incomplete, "002.p/92"):
        follow(site.folder, state, site.key)
    last.write_bytes(kept)
    with served(site.folder) as server:
        web = Web(server.url)
        follow(web, state, site.key)
        web.close()
        assert [path for path in server.asked if "tile" in path] == ["/log/tile/entries/002.p/92"]
    assert is_sound(state, site.key)


def test_what_an_interrupted_round_left_is_not_believed(site: Site, state: Path) -> None:
    site.minutes(600)
    site.publish()
    last = site.folder / "tile/entries/002.p/92"
    kept = last.read_bytes()
    last.unlink()
    with refused(Incomplete, "002.p/92"):
        follow(site.folder, state, site.key)
    left = state / "new/tile/entries/001"
    data = bytearray(left.read_bytes())
    data[-9] ^= 1
    left.write_bytes(data)
    (state / "new/tile/entries/000").write_bytes(b"\0\1")
    last.write_bytes(kept)
    assert follow(site.folder, state, site.key).breaches == ()
    assert is_sound(state, site.key)


# Keys.


def test_a_change_of_key_is_followed(site: Site, state: Path) -> None:
    old = site.key
    site.publish()
    follow(site.folder, state, old)
    site.venue.rotate_key(retire=len(site.venue.entries) + 4)
    site.publish()
    overlap = follow(site.folder, state, old)
    assert overlap.keys == (old, site.key)
    site.minutes(5)
    site.publish()
    found = follow(site.folder, state, old)
    assert (found.breaches, found.keys) == ((), (site.key,))
    assert site.key != old
    assert follow(site.folder, state, site.key).breaches == ()
    assert memory(state).key == site.key
    assert is_sound(state, site.key)
    assert is_sound(state, old)


def test_who_missed_the_overlap_brings_the_new_key(site: Site, state: Path) -> None:
    old = site.key
    site.publish()
    follow(site.folder, state, old)
    site.venue.rotate_key(retire=len(site.venue.entries) + 2)
    site.publish()
    site.minutes(5)
    site.publish()
    with refused(Refuted, "no signature line by the pinned key"):
        follow(site.folder, state, old)
    assert follow(site.folder, state, site.key).breaches == ()


def test_a_key_that_the_log_does_not_lead_to_is_not_taken(site: Site, state: Path) -> None:
    key, stranger = site.key, Signer(site.venue.name, "stranger")
    site.publish()
    follow(site.folder, state, key)
    before = memory(state)
    site.venue.keys.append((stranger, None))
    site.publish()
    assert site.key != key
    with pytest.raises(InputError, match=r"--key: .* is not a key of this log: "):
        follow(site.folder, state, site.key)
    assert memory(state) == before
    assert follow(site.folder, state, key).breaches == ()


@pytest.mark.parametrize("seen", [False, True])
def test_a_change_from_another_key_than_the_pinned_one(site: Site, state: Path, seen: bool) -> None:
    key = site.key
    site.publish()
    if seen:
        follow(site.folder, state, key)
    one, two = (Signer(site.venue.name, name).vkey for name in "ab")
    site.venue.log("key", old=one, new=two, retire=1000)
    site.publish()
    [breach] = follow(site.folder, state, key).breaches
    assert (breach.rule, breach.seq, breach.expected) == ("key", 4, str(key))


def test_a_head_without_the_new_keys_line_breaks_the_change(site: Site, state: Path) -> None:
    old, key = site.venue.keys[0], site.key
    site.publish()
    follow(site.folder, state, key)
    site.venue.rotate_key(retire=1000)
    changed, site.venue.keys[:] = list(site.venue.keys), [old]
    site.publish()
    found = follow(site.folder, state, key)
    assert [breach.rule for breach in found.breaches] == ["key"]
    site.venue.keys[:] = changed
    site.minutes(1)
    site.publish()
    assert follow(site.folder, state, key).breaches == ()


def test_a_state_is_one_venues(site: Site, state: Path) -> None:
    site.publish()
    follow(site.folder, state, site.key)
    other = VerifierKey.parse(Signer("another.example", "x").vkey)
    with pytest.raises(InputError, match=r"is a follower's of exchange.* not of another\.example"):
        follow(site.folder, state, other)


# What is no head, and what is no state.


@pytest.mark.parametrize(
    ("data", "family"),
    [(b"", Malformed), (b"<html>", Malformed), (b"\xff", Malformed), (bytes(1 << 21), Refuted)],
)
def test_what_is_no_head(site: Site, state: Path, data: bytes, family: type[Malformed]) -> None:
    site.publish()
    (site.folder / "checkpoint").write_bytes(data)
    with refused(family, "checkpoint: "):
        follow(site.folder, state, site.key)
    assert not (state / "follower.json").exists()


def test_a_head_by_another_key(site: Site, state: Path) -> None:
    site.publish()
    stranger = VerifierKey.parse(Signer(site.venue.name, "x").vkey)
    with refused(Refuted, "no signature line by the pinned key"):
        follow(site.folder, state, stranger)
    assert not (state / "follower.json").exists()


@pytest.mark.parametrize("name", ["notes.txt", "checkpoint", "new.txt"])
def test_a_folder_that_is_no_state_is_left_alone(site: Site, state: Path, name: str) -> None:
    site.publish()
    state.mkdir()
    (state / name).write_text("mine")
    with pytest.raises(InputError, match="is no state of a follower"):
        follow(site.folder, state, site.key)
    assert files(state) == {name: b"mine"}


def test_a_state_in_no_folder_or_a_file_is_refused(site: Site, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such folder"):
        follow(site.folder, tmp_path / "a/b", site.key)
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="is a file, not a folder"):
        follow(site.folder, tmp_path / "file", site.key)


def test_two_followers_do_not_share_a_state(site: Site, state: Path) -> None:
    site.publish()
    with State.opened(state), pytest.raises(InputError, match="another follower is at work"):
        follow(site.folder, state, site.key)
    assert follow(site.folder, state, site.key).breaches == ()


@pytest.mark.parametrize("place", range(0, 700, 37))
def test_a_damaged_memory_is_noticed(site: Site, state: Path, place: int) -> None:
    site.publish()
    follow(site.folder, state, site.key)
    path = state / "follower.json"
    data = bytearray(path.read_bytes())
    data[place % len(data)] ^= 1
    path.write_bytes(data)
    with pytest.raises(DamagedError, match=r"follower\.json: cannot be read"):
        follow(site.folder, state, site.key)


@pytest.mark.parametrize(
    "name", ["tile/entries/000", "tile/0/000", "tile/0/001.p/50", "tile/1/000.p/1"]
)
@pytest.mark.parametrize("how", ["flip", "cut", "gone"])
def test_damaged_files_of_the_state_are_noticed(
    site: Site, state: Path, name: str, how: str
) -> None:
    site.minutes(301)
    size = site.publish()
    follow(site.folder, state, site.key)
    path = state / name.replace("p/50", f"p/{size - 256}")
    data = bytearray(path.read_bytes())
    if how == "gone":
        path.unlink()
    else:
        data[40 if len(data) > 40 else 4] ^= 1
        path.write_bytes(data[:-1] if how == "cut" else data)
    site.minutes(1)
    site.publish()
    with pytest.raises(DamagedError, match="follow from nothing into a new folder"):
        follow(site.folder, state, site.key)


@pytest.mark.parametrize("seq", [0, 3, 4])
@pytest.mark.parametrize("whole", [False, True])
def test_a_damaged_entry_of_the_state_is_not_the_source_s_fault(
    site: Site, state: Path, seq: int, whole: bool
) -> None:
    site.minutes(3)
    size = site.publish()
    follow(site.folder, state, site.key)
    path = state / f"tile/entries/000.p/{size}"
    data = bytearray(path.read_bytes())
    data[sum(2 + len(entry) for entry in site.venue.entries[:seq]) + 9] ^= 1
    path.write_bytes(data)
    site.minutes(300 if whole else 1)
    site.publish()
    with pytest.raises(DamagedError, match=f"entry {seq} does not fit its hash"):
        follow(site.folder, state, site.key)


def test_a_log_of_no_entries_yet(site: Site, state: Path) -> None:
    site.notes[0] = site.venue.checkpoint(0)
    site.write(0)
    found = follow(site.folder, state, site.key)
    assert (found.head.size, found.time) == (0, None)
    assert [breach.rule for breach in found.breaches] == ["head-no-index"]
    size = site.publish()
    assert follow(site.folder, state, site.key).checked == size


def test_the_market_of_these_tests_is_honest(tmp_path: Path, state: Path) -> None:
    site = Site(tmp_path / "public", market())
    site.publish()
    assert is_sound(site.folder, site.key)
