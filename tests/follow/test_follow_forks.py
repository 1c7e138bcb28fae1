"""Two histories of one venue: a fork with evidence that stands alone, or nothing of the kind."""

import random
from pathlib import Path

import pytest
import tiled
from console import Console
from follow.site import Site, files, follow, is_sound, memory
from reference import b64, signed
from refusals import crash, refused

from auditkit.errors import ForkError
from auditkit.verify.errors import Incomplete, Refuted
from auditkit.verify.fork import Fork
from auditkit.verify.note import Checkpoint, VerifierKey


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """A venue with a head of 4 entries."""
    site = Site(tmp_path / "public")
    assert site.publish() == 4
    return site


@pytest.fixture
def other(site: Site, tmp_path: Path) -> Site:
    """The same venue up to there, which then says something else elsewhere."""
    twin = site.twin(tmp_path / "other")
    twin.venue.fund(BTC=[("correction", 1)])
    return twin


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return tmp_path / "state"


def forked(site: Site, state: Path, key: VerifierKey | None = None) -> Fork:
    """The evidence of the fork that a follower meets, which leaves what it remembers alone."""
    before = files(state)
    with pytest.raises(ForkError) as caught:
        follow(site.folder, state, key or site.key)
    assert {n: d for n, d in files(state).items() if not n.startswith("new/")} == before
    fork, keys = caught.value.evidence, caught.value.keys
    fork.check(*keys)
    assert Fork.parse(fork.encode().encode()) == fork
    alone(fork, keys, state.parent)
    return fork


def alone(fork: Fork, keys: tuple[VerifierKey, ...], folder: Path) -> None:
    """The evidence is enough on a machine that has nothing else."""
    file = folder / "evidence/only.json"
    file.parent.mkdir(exist_ok=True)
    file.write_text(fork.encode())
    given = [word for key in keys for word in ("--key", key)]
    assert Console(folder / "evidence")("verify-fork", file, *given).code == 0


def test_two_heads_of_one_size(site: Site, other: Site, state: Path) -> None:
    site.minutes(1)
    size = site.publish()
    assert other.publish() == size
    follow(site.folder, state, site.key)
    fork = forked(other, state)
    assert (fork.first.size, fork.second.size, fork.prefix) == (size, size, None)
    assert {fork.first.root, fork.second.root} == {
        memory(state).head.root,
        other_root(other, size),
    }
    assert follow(site.folder, state, site.key).breaches == ()


def other_root(site: Site, size: int) -> bytes:
    return Checkpoint.parse(site.notes[size]).root


@pytest.mark.parametrize("more", [1, 2, 300, 600])
@pytest.mark.parametrize("seen", [1, 255, 300])
def test_a_later_head_that_does_not_extend(
    site: Site, other: Site, state: Path, seen: int, more: int
) -> None:
    """A restored backup that went on and is longer by now, say."""
    site.minutes(seen)
    size = site.publish()
    follow(site.folder, state, site.key)
    other.minutes(seen + more)
    later = other.publish()
    fork = forked(other, state)
    assert (fork.first.size, fork.second.size) == (size, later)
    assert fork.first.root == other_root(site, size) != fork.prefix


@pytest.mark.parametrize("seen", [3, 255, 300, 600])
def test_an_earlier_head_of_another_history(
    site: Site, other: Site, state: Path, seen: int
) -> None:
    """A restored backup that went on and is not as long yet, say."""
    site.minutes(seen)
    size = site.publish()
    follow(site.folder, state, site.key)
    smaller = other.publish()
    fork = forked(other, state)
    assert (fork.first.size, fork.second.size) == (smaller, size)


@pytest.mark.parametrize("seen", [1, 255, 300])
def test_a_withheld_tail_is_no_fork(site: Site, state: Path, seen: int) -> None:
    site.minutes(seen)
    size = site.publish()
    follow(site.folder, state, site.key)
    (site.folder / "checkpoint").write_text(site.notes[4])
    with refused(Incomplete, f"expected at least {size} entries; found 4 entries"):
        follow(site.folder, state, site.key)
    assert memory(state).head.size == size


def test_a_restored_backup_that_is_only_older_is_no_fork_until_it_goes_on(
    site: Site, state: Path, tmp_path: Path
) -> None:
    backup = site.twin(tmp_path / "backup")
    site.minutes(3)
    site.publish()
    follow(site.folder, state, site.key)
    with refused(Incomplete, "older than the one remembered"):
        follow(backup.folder, state, site.key)
    backup.venue.wait(60_000)
    backup.minutes(1)
    backup.publish()
    forked(backup, state)
    backup.minutes(10)
    backup.publish()
    forked(backup, state)


def test_an_entry_that_was_changed_in_place(site: Site, state: Path) -> None:
    crash(site.venue)
    size = site.publish()
    follow(site.folder, state, site.key)
    site.venue.restate(5, time="2025-10-10T21:16:14.999Z")
    site.notes[size] = site.venue.checkpoint(size)
    site.write(size)
    assert forked(site, state).prefix is None
    site.minutes(2)
    site.publish()
    assert forked(site, state).first.size == size


def test_another_head_below_checkpoints(site: Site, other: Site, state: Path) -> None:
    site.minutes(1)
    size = site.publish()
    other.publish()
    (site.folder / f"checkpoints/{size}").write_text(other.notes[size])
    with pytest.raises(ForkError) as caught:
        follow(site.folder, state, site.key)
    fork = caught.value.evidence
    assert (fork.first.size, fork.second.size) == (size, size)
    assert not (state / "follower.json").exists()
    # The same for the head remembered.
    (site.folder / f"checkpoints/{size}").write_text(site.notes[size])
    follow(site.folder, state, site.key)
    site.minutes(1)
    site.publish()
    (site.folder / f"checkpoints/{size}").write_text(other.notes[size])
    assert forked(site, state).prefix is None


def test_a_fork_behind_a_breach_is_seen_too(site: Site, state: Path, tmp_path: Path) -> None:
    """What was signed binds, whether it keeps the rules or not."""
    site.venue.lie("fund", pools=[])
    site.venue.fund()
    site.publish()
    other = site.twin(tmp_path / "other")
    site.minutes(1)
    site.publish()
    assert follow(site.folder, state, site.key).breaches
    other.minutes(3)
    other.publish()
    assert forked(other, state).second.size == other.venue.heads[-1]


def test_a_fork_after_a_change_of_key_is_by_the_new_key(
    site: Site, state: Path, tmp_path: Path
) -> None:
    old = site.key
    site.venue.rotate_key(retire=6)
    site.publish()
    follow(site.folder, state, old)
    other = site.twin(tmp_path / "other")
    site.minutes(5)
    site.publish()
    follow(site.folder, state, old)
    other.minutes(20)
    other.publish()
    fork = forked(other, state, old)
    with refused(Refuted, "no signature line"):
        fork.check(old)
    fork.check(site.key)


@pytest.fixture
def thief(site: Site, tmp_path: Path) -> Site:
    """What a retired key signs on: heads of another log, of 7 and 8 entries.

    The site itself has heads of 6 by both keys, and of 8 by the new one.
    """
    thief = site.twin(tmp_path / "thief")
    site.venue.rotate_key(retire=6)
    for count in (0, 1):
        site.minutes(count)
        site.publish()
    for count in (2, 0):
        thief.minutes(count)
        thief.publish()
    assert (site.venue.heads, thief.venue.heads) == ([4, 6, 8], [4, 7, 8])
    return thief


@pytest.mark.parametrize("by", ["old", "new"])
def test_what_a_retired_key_signed_is_no_head_and_no_fork(
    site: Site, thief: Site, state: Path, by: str
) -> None:
    key = thief.key if by == "old" else site.key
    honest = files(site.folder)
    tiled.write(site.folder, {"checkpoint": honest["checkpoints/6"]})
    follow(site.folder, state, key)
    tiled.write(site.folder, {**honest, "checkpoints/8": thief.notes[8].encode()})
    [breach] = follow(site.folder, state, key).breaches
    assert (breach.rule, breach.seq) == ("head-gone", 7)
    assert "is served, and is no signed head" in breach.what
    tiled.write(site.folder, honest)
    assert follow(site.folder, state, key).breaches == ()


def test_a_head_by_a_key_that_its_own_log_retires_is_not_remembered(
    site: Site, thief: Site, state: Path
) -> None:
    """Else the venue's own head of that size would look like a fork."""
    retold = site.twin(site.folder.parent / "retold")
    retold.venue.restate(6, time="2025-10-10T23:59:59.999Z")
    retold.venue.keys[:] = thief.venue.keys
    retold.notes[8] = retold.venue.checkpoint(8)
    retold.write(8)
    tiled.write(retold.folder, {"checkpoints/8": site.notes[8].encode()})
    with refused(Refuted, "no signature line"):
        follow(retold.folder, state, thief.key)
    assert not (state / "follower.json").exists()


# What is never called a fork.


@pytest.fixture
def later(site: Site, other: Site, state: Path) -> Site:
    """A head of another history, after one was remembered."""
    site.minutes(300)
    site.publish()
    follow(site.folder, state, site.key)
    other.minutes(700)
    other.publish()
    return other


def test_without_hash_tiles_there_is_no_evidence(later: Site, state: Path) -> None:
    for path in later.folder.glob("tile/[0-9]/**/*"):
        if path.is_file():
            path.unlink()
    with refused(Refuted, "does not extend the head remembered, and no evidence can be made"):
        follow(later.folder, state, later.key)


def test_with_the_tiles_of_another_tree_there_is_no_evidence(
    later: Site, site: Site, state: Path
) -> None:
    site.venue.wait(5)
    site.minutes(400)
    assert site.publish() == later.venue.heads[-1]
    tiled.write(later.folder, tiled.hash_tiles(site.venue.entries))
    with refused(Refuted, "tiles that are served do not lead to the signed root either"):
        follow(later.folder, state, later.key)


@pytest.mark.parametrize("seed", range(12))
def test_whatever_is_wrong_with_tiles_a_fork_has_evidence_that_holds(
    later: Site, state: Path, seed: int
) -> None:
    dice = random.Random(seed)
    tiles = [n for n in files(later.folder) if n.startswith("tile/") and "entries" not in n]
    for name in dice.sample(tiles, dice.randint(1, 3)):
        path = later.folder / name
        data = bytearray(path.read_bytes())
        data[dice.randrange(len(data))] ^= 1 << dice.randrange(8)
        path.write_bytes(data)
    with pytest.raises((ForkError, Refuted)) as caught:
        follow(later.folder, state, later.key)
    if isinstance(caught.value, ForkError):
        caught.value.evidence.check(*caught.value.keys)
    else:
        assert "no evidence can be made" in str(caught.value)


@pytest.mark.parametrize("name", ["000", "001", "002.p/193"])
def test_a_wrong_bundle_is_named_and_nobody_forked(site: Site, state: Path, name: str) -> None:
    site.minutes(700)
    assert site.publish() == 705
    path = site.folder / f"tile/entries/{name}"
    kept = path.read_bytes()
    path.write_bytes(kept[:-9] + bytes([kept[-9] ^ 1]) + kept[-8:])
    with refused(Refuted, f"tile/entries/{name}: the entries are not those of the signed root"):
        follow(site.folder, state, site.key)
    assert not (state / "follower.json").exists()
    path.write_bytes(kept)
    assert follow(site.folder, state, site.key).breaches == ()
    assert is_sound(state, site.key)


@pytest.mark.parametrize("data", [b"", b"\0", b"\0\1", b"\0\1x" * 9, b"\xff\xff" + bytes(99)])
def test_a_bundle_that_is_none_is_named(site: Site, state: Path, data: bytes) -> None:
    site.minutes(5)
    size = site.publish()
    (site.folder / f"tile/entries/000.p/{size}").write_bytes(data)
    with refused(Refuted, f"tile/entries/000.p/{size}: "):
        follow(site.folder, state, site.key)


def test_known_entries_that_are_served_otherwise_are_named(site: Site, state: Path) -> None:
    follow(site.folder, state, site.key)
    site.minutes(5)
    size = site.publish()
    path = site.folder / f"tile/entries/000.p/{size}"
    kept = path.read_bytes()
    place = kept.index(b"alice") if b"alice" in kept else 60
    path.write_bytes(kept[:place] + b"X" + kept[place + 1 :])
    with refused(Refuted, f"000.p/{size}: serves other entries than those remembered"):
        follow(site.folder, state, site.key)
    path.write_bytes(kept)
    assert follow(site.folder, state, site.key).checked == size


@pytest.mark.parametrize("size", [0, 3])
def test_a_head_that_no_log_can_have(site: Site, state: Path, size: int) -> None:
    follow(site.folder, state, site.key)
    text = f"{site.venue.name}\n{size}\n{b64(bytes(32))}\n"
    (site.folder / "checkpoint").write_text(signed(text, site.venue.keys[0][0]))
    if size:
        forked(site, state)
    else:
        with refused(Refuted, "a log of no entries has the root of nothing"):
            follow(site.folder, state, site.key)
