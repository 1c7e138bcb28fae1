"""A folder is checked offline, and whatever is wrong with it, the wrong file is named."""

import random
from collections.abc import Callable, Iterator
from functools import cache
from hashlib import sha256
from pathlib import Path
from shutil import copytree, rmtree

import pytest
import tiled
from follow.site import Site, files, follow, fsck, is_sound
from reference import Signer, b64, signed
from refusals import crash

from auditkit.errors import ForkError
from auditkit.follow.fsck import Checked, Fsck
from auditkit.verify.fork import Fork, fork_of
from auditkit.verify.note import Checkpoint, VerifierKey

TESSERA = Path(__file__).resolve().parents[2].parent / "shared/vectors/note/tessera-log"
needs_vectors = pytest.mark.skipif(not TESSERA.is_dir(), reason="no shared vectors")


@pytest.fixture(autouse=True)
def each_signature_once() -> Iterator[None]:
    """Thousands of checks of one folder need not check each signature thousands of times."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(VerifierKey, "check", cache(VerifierKey.check))
        yield


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """Three bundles, and heads of 4, 14, 315 and 717 entries."""
    site = Site(tmp_path / "public")
    site.publish()
    crash(site.venue)
    site.venue.wait(100_000)
    site.minutes(3)
    site.publish()
    for count in (300, 401):
        site.minutes(count)
        site.publish()
    assert site.venue.heads == [4, 14, 315, 717]
    return site


def wrong(found: Checked) -> list[str]:
    """The files that are wrong, each once."""
    return list(dict.fromkeys(each.file for each in found.problems if not each.missing))


def missing(found: Checked) -> list[str]:
    return [each.file for each in found.problems if each.missing]


def flipped(path: Path, place: int, bit: int = 0) -> Callable[[], int]:
    """Flip one bit of a file; what is returned puts it back."""
    data = path.read_bytes()
    path.chmod(0o644)
    path.write_bytes(data[:place] + bytes([data[place] ^ 1 << bit]) + data[place + 1 :])
    return lambda: path.write_bytes(data)


# What holds.


def test_a_sound_folder(site: Site) -> None:
    found = fsck(site.folder, site.key)
    assert is_sound(site.folder, site.key)
    assert found.head is not None
    assert (found.head.size, found.heads, found.ruled) == (717, 5, 717)
    assert found.keys == (site.key,)
    assert found.files == len(files(site.folder))


def test_a_follower_s_folder(site: Site, tmp_path: Path) -> None:
    follow(site.folder, tmp_path / "state", site.key)
    assert is_sound(tmp_path / "state", site.key)
    place = (tmp_path / "state/follower.json").read_bytes().index(b"kept") + 9
    flipped(tmp_path / "state/follower.json", place)
    assert wrong(fsck(tmp_path / "state", site.key)) == ["follower.json"]


def test_partial_files_may_go_when_the_whole_is_there(site: Site) -> None:
    for name in files(site.folder):
        if "/000.p/" in name and not name.startswith("tile/1"):
            (site.folder / name).unlink()
    assert is_sound(site.folder, site.key)


def test_the_log_behind_a_link(site: Site, tmp_path: Path) -> None:
    (site.folder / "tile").rename(tmp_path / "elsewhere")
    (site.folder / "tile").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere/round").symlink_to(site.folder)
    assert is_sound(site.folder, site.key)


def test_folders_of_any_depth(site: Site) -> None:
    (site.folder / "round").symlink_to("round")
    folders = [site.folder / "/".join("d" * depth) for depth in range(1, 1200)]
    for folder in folders:
        folder.mkdir()
    try:
        found = fsck(site.folder, site.key)
        assert (found.others, found.problems) == (("round",), ())
        (folders[-1] / "file").touch()
        assert len(fsck(site.folder, site.key).others) == 2
    finally:
        # What tidies up after tests goes no deeper than it can recurse.
        (folders[-1] / "file").unlink(missing_ok=True)
        for folder in reversed(folders):
            folder.rmdir()


def test_an_empty_log(tmp_path: Path) -> None:
    site = Site(tmp_path / "public")
    site.notes[0] = site.venue.checkpoint(0)
    site.write(0)
    found = fsck(site.folder, site.key)
    assert (found.problems, found.head and found.head.size) == ((), 0)


@needs_vectors
def test_the_log_of_another_program() -> None:
    key = VerifierKey.parse((TESSERA / "log.vkey").read_text().strip())
    found = Fsck(TESSERA, key, any_log=True).run()
    assert found.head is not None
    assert (found.problems, found.head.size, found.heads, found.files) == ((), 15, 17, 48)
    assert (found.ruled, found.breaches, found.others) == (0, (), ())


# One byte.


@pytest.fixture(scope="module")
def tessera(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tessera") / "log"
    copytree(TESSERA, folder)
    return folder


def names() -> list[str]:
    return sorted(files(TESSERA)) if TESSERA.is_dir() else []


def check_flips(folder: Path, key: VerifierKey, name: str, bits: int, *, any_log: bool) -> None:
    """Whichever byte of a file is flipped, that file is wrong and no other."""
    path = folder / name
    for place in range(len(path.read_bytes())):
        for bit in random.Random(f"{name} {place}").sample(range(8), bits):
            back = flipped(path, place, bit)
            found = Fsck(folder, key, any_log=any_log).run()
            back()
            assert wrong(found) == [name], (place, bit, found.problems)


@needs_vectors
@pytest.mark.parametrize("name", names())
def test_every_byte_of_a_log_counts(tessera: Path, name: str) -> None:
    key = VerifierKey.parse((TESSERA / "log.vkey").read_text().strip())
    check_flips(tessera, key, name, 1, any_log=True)


@needs_vectors
@pytest.mark.thorough
@pytest.mark.parametrize("name", names())
def test_every_bit_of_a_log_counts(tessera: Path, name: str) -> None:
    key = VerifierKey.parse((TESSERA / "log.vkey").read_text().strip())
    check_flips(tessera, key, name, 8, any_log=True)


def test_every_byte_of_a_small_venue_counts(tmp_path: Path) -> None:
    site = Site(tmp_path / "public")
    site.publish()
    for name in files(site.folder):
        if "entries" not in name:
            check_flips(site.folder, site.key, name, 1, any_log=False)


def test_any_byte_of_any_file_of_a_larger_one_counts(site: Site) -> None:
    dice = random.Random(6)
    for name, data in sorted(files(site.folder).items()):
        for _ in range(2):
            place, bit = dice.randrange(len(data)), dice.randrange(8)
            back = flipped(site.folder / name, place, bit)
            found = fsck(site.folder, site.key)
            back()
            assert wrong(found) == [name], (place, bit, found.problems)
    assert is_sound(site.folder, site.key)


@pytest.mark.parametrize("seed", range(15))
def test_several_wrong_files_are_all_named(site: Site, seed: int) -> None:
    """As long as of a bundle and its tile one is right, and the largest head."""
    dice = random.Random(seed)
    chosen = dice.sample(
        [
            *("tile/entries/000", "tile/0/001", "tile/entries/002.p/205", "tile/1/000.p/1"),
            *("tile/entries/000.p/14", "tile/0/000.p/4", "tile/1/000.p/2", "venue.vkey"),
            *("checkpoints/14", "checkpoint", "tile/entries/001.p/59", "tile/0/001.p/59"),
        ],
        3,
    )
    for name in chosen:
        data = (site.folder / name).read_bytes()
        flipped(site.folder / name, dice.randrange(len(data)), dice.randrange(8))
    assert sorted(wrong(fsck(site.folder, site.key))) == sorted(chosen)


def test_where_nothing_tells_which_is_wrong_all_are_named(site: Site) -> None:
    for name in ("tile/entries/002.p/205", "tile/0/002.p/205"):
        flipped(site.folder / name, 40)
    found = fsck(site.folder, site.key)
    assert found.head is None
    assert {"tile/entries/002.p/205", "tile/0/002.p/205"} <= set(wrong(found))
    assert not any("000" in name or "001" in name for name in wrong(found))


def test_a_folder_whose_entries_and_tiles_are_all_another_log(site: Site, tmp_path: Path) -> None:
    other = Site(tmp_path / "other")
    other.venue.wait(1)
    other.minutes(10)
    assert other.publish() == 14
    (other.folder / "checkpoint").write_text(site.notes[14])
    (other.folder / "checkpoints/14").write_text(site.notes[14])
    found = fsck(other.folder, site.key)
    assert (found.head, len(wrong(found))) == (None, 1)
    assert found.problems[0].what.startswith("the entries and tiles of the folder are not those")


@pytest.mark.parametrize("number", [0, 1, 2])
def test_entries_of_which_neither_file_can_be_read(site: Site, number: int) -> None:
    chosen = [n for n in files(site.folder) if n.endswith((f"00{number}", f"00{number}.p/205"))]
    chosen = [n for n in chosen if not n.startswith("tile/1")]
    assert len(chosen) == 2
    for name in chosen:
        data = (site.folder / name).read_bytes()
        (site.folder / name).write_bytes(data[:-1])
    assert set(wrong(fsck(site.folder, site.key))) >= set(chosen)


@pytest.mark.parametrize("end", [b"", b"\0", b"x" * 32, b"more\n"])
def test_a_byte_more_or_less_counts_too(site: Site, end: bytes) -> None:
    for name, data in sorted(files(site.folder).items()):
        path = site.folder / name
        path.write_bytes(data + end if end else data[:-1])
        if name != "venue.vkey" or end:
            assert wrong(fsck(site.folder, site.key)) == [name]
        path.write_bytes(data)


# What is not there, or too much.


def test_every_missing_file_is_named(site: Site) -> None:
    for name, data in sorted(files(site.folder).items()):
        path = site.folder / name
        path.unlink()
        found = fsck(site.folder, site.key)
        assert wrong(found) == []
        spare = "/000.p/" in name and not name.startswith("tile/1")
        spare |= "/001.p/" in name or name in ("checkpoints/4", "checkpoints/14")
        spare |= name == "checkpoints/315"
        assert missing(found) == ([] if spare else [name])
        path.write_bytes(data)


def test_missing_entries_leave_the_rules_unchecked(site: Site) -> None:
    (site.folder / "tile/entries/001").unlink()
    found = fsck(site.folder, site.key)
    assert (missing(found), found.ruled) == (["tile/entries/001"], 0)
    assert found.head is not None


def test_without_entries_and_tiles_an_earlier_head_holds(site: Site) -> None:
    (site.folder / "tile/entries/002.p/205").unlink()
    (site.folder / "tile/0/002.p/205").unlink()
    found = fsck(site.folder, site.key)
    assert found.head is not None
    assert found.head.size == 315
    assert set(missing(found)) >= {"tile/entries/002.p/205", "tile/0/002.p/205", "checkpoint"}
    assert wrong(found) == []


def test_a_folder_without_any_hash_tile(site: Site) -> None:
    for level in ("0", "1"):
        rmtree(site.folder / "tile" / level)
    found = fsck(site.folder, site.key)
    assert (wrong(found), missing(found), found.ruled) == ([], ["tile/0"], 717)
    flipped(site.folder / "tile/entries/001", 50)
    found = fsck(site.folder, site.key)
    assert "tile/entries/001" in wrong(found)
    assert found.head is None


def test_what_nobody_knows_is_told(site: Site) -> None:
    odd = {
        *("index.html", "tile/0/1", "tile/0/000.p/256", "tile/0/000.p/05", "tile/64/000"),
        *("tile/entries/x000/001", "checkpoints/05", "keys/more/a.vkey", "policies/0"),
    }
    for name in odd:
        tiled.write(site.folder, {name: b"x"})
    (site.folder / "tile/9").mkdir()
    found = fsck(site.folder, site.key)
    assert (set(found.others), found.problems) == (odd, ())


def test_what_nothing_signs_is_told(site: Site) -> None:
    tiled.write(site.folder, {"policy": b"x", "policies/2": b"y"})
    found = fsck(site.folder, site.key)
    assert (found.policies, found.others, found.problems) == (("policies/2", "policy"), (), ())


def test_more_than_the_head_covers_is_told(site: Site) -> None:
    (site.folder / "checkpoint").write_text(site.notes[315])
    (site.folder / "checkpoints/717").unlink()
    found = fsck(site.folder, site.key)
    assert found.head is not None
    assert (found.head.size, found.problems) == (315, ())
    assert found.beyond == 5


def test_a_head_beyond_the_one_that_is_published_is_checked_too(site: Site) -> None:
    """As a publish leaves it that was interrupted at its very end."""
    (site.folder / "checkpoint").write_text(site.notes[315])
    found = fsck(site.folder, site.key)
    assert found.head is not None
    assert (found.head.size, found.problems, found.beyond) == (717, (), 0)


def test_a_size_without_end_ends_where_the_files_do(site: Site) -> None:
    text = f"{site.venue.name}\n{2**62}\n{'A' * 43}=\n"
    (site.folder / "checkpoint").write_text(signed(text, Signer(site.venue.name, "stranger")))
    found = fsck(site.folder, site.key)
    assert wrong(found) == ["checkpoint"]


# Heads.


def test_a_head_under_another_name_than_its_size(site: Site) -> None:
    (site.folder / "checkpoints/14").write_text(site.notes[315])
    assert wrong(fsck(site.folder, site.key)) == ["checkpoints/14"]


def test_a_head_of_another_key_or_log(site: Site) -> None:
    text = "another.example\n14\n" + site.notes[14].split("\n")[2] + "\n"
    line = site.venue.keys[0][0].line(text)
    (site.folder / "checkpoints/14").write_text(f"{text}\n{line}")
    assert wrong(fsck(site.folder, site.key)) == ["checkpoints/14"]
    text = "\n".join(site.notes[14].split("\n")[:3]) + "\n"
    (site.folder / "checkpoints/14").write_text(signed(text, Signer(site.venue.name, "x")))
    assert wrong(fsck(site.folder, site.key)) == ["checkpoints/14"]


@pytest.mark.parametrize("seen", [14, 315, 717])
def test_a_signed_head_of_another_history_is_a_fork(site: Site, tmp_path: Path, seen: int) -> None:
    other = Site(tmp_path / "other")
    other.venue.wait(1)
    other.minutes(seen - 4)
    assert other.publish() == seen
    (site.folder / f"checkpoints/{seen}").write_text(other.notes[seen])
    with pytest.raises(ForkError) as caught:
        fsck(site.folder, site.key)
    fork = caught.value.evidence
    assert (fork.first.size, fork.second.size) == (seen, 717)
    Fork.parse(fork.encode().encode()).check(site.key)


def forged(site: Site, size: int, name: str, signer: Signer | None = None) -> None:
    """A signed head that no entries have, in the file of that name."""
    text = f"{site.venue.name}\n{size}\n{b64(sha256(name.encode()).digest())}\n"
    note = signed(text, signer or site.venue.keys[0][0])
    tiled.write(site.folder, {name: note.encode()})


def forked(site: Site, key: VerifierKey, first: int, second: int) -> None:
    """Whoever checks the folder meets that fork, with evidence under that key alone."""
    with pytest.raises(ForkError) as caught:
        fsck(site.folder, key)
    fork = caught.value.evidence
    assert (fork.first.size, fork.second.size, caught.value.keys) == (first, second, (key,))
    Fork.parse(fork.encode().encode()).check(key)


@pytest.mark.parametrize("size", [9, 717, 4000])
@pytest.mark.parametrize("name", ["checkpoint", "checkpoint.{}"])
def test_two_heads_of_one_size_are_a_fork_whatever_the_entries_are(
    site: Site, size: int, name: str
) -> None:
    forged(site, size, f"checkpoints/{size}")
    forged(site, size, name.format(size))
    forked(site, site.key, size, size)


@pytest.mark.parametrize("more", ["checkpoint", "checkpoints/4000", "checkpoint.718"])
def test_another_signed_head_hides_no_fork(site: Site, more: str) -> None:
    forged(site, 14, "checkpoints/14")
    forged(site, 718 if "718" in more else 4000, more)
    forked(site, site.key, 14, 717)


def test_entries_behind_those_that_were_signed_hide_no_fork(site: Site) -> None:
    forged(site, 14, "checkpoints/14")
    forged(site, 718, "checkpoints/718")
    kept = (site.folder / "tile/entries/002.p/205").read_bytes()
    tiled.write(site.folder, {"tile/entries/002.p/206": kept + b"\0\1x"})
    forked(site, site.key, 14, 717)


@pytest.mark.parametrize("tiles", [False, True])
def test_a_head_that_came_before_its_entries_accuses_no_file(site: Site, tiles: bool) -> None:
    """As a copy has it that was made while the venue published, or stopped halfway."""
    before = files(site.folder)
    site.minutes(300)
    size = site.publish()
    after = files(site.folder)
    rmtree(site.folder)
    names = ["checkpoint"] + [n for n in after if tiles and n.startswith("tile/0/")]
    tiled.write(site.folder, before | {name: after[name] for name in names})
    found = fsck(site.folder, site.key)
    assert wrong(found) == []
    assert set(missing(found)) >= {"checkpoint", "tile/entries/002"} - (
        {"checkpoint"} if tiles else set()
    )
    assert found.head is not None
    assert found.head.size == (size if tiles else 717)
    for name in before:
        if name.startswith("checkpoints/"):
            (site.folder / name).unlink()
    assert wrong(fsck(site.folder, site.key)) == []


def test_partial_files_that_are_wrong_are_named_where_the_whole_is_missing(site: Site) -> None:
    for name in ("tile/entries/000", "tile/0/000"):
        (site.folder / name).unlink()
    assert wrong(fsck(site.folder, site.key)) == []
    flipped(site.folder / "tile/entries/000.p/14", 40)
    found = fsck(site.folder, site.key)
    assert wrong(found) == ["tile/entries/000.p/14"]
    assert "tile/entries/000" in missing(found)


def test_without_the_tiles_it_is_wrong_and_no_fork(site: Site, tmp_path: Path) -> None:
    other = Site(tmp_path / "other")
    other.venue.wait(1)
    other.minutes(10)
    assert other.publish() == 14
    (site.folder / "checkpoints/14").write_text(other.notes[14])
    rmtree(site.folder / "tile/0")
    rmtree(site.folder / "tile/1")
    assert wrong(fsck(site.folder, site.key)) == ["checkpoints/14"]


def test_a_key_that_is_not_the_log_s(site: Site) -> None:
    stranger = Signer(site.venue.name, "stranger").vkey
    (site.folder / "log.vkey").write_text(f"{stranger}\n")
    assert wrong(fsck(site.folder, site.key)) == ["log.vkey"]
    found = fsck(site.folder, VerifierKey.parse(stranger))
    assert found.head is None
    assert {"checkpoint", "checkpoints/717", "venue.vkey"} <= set(wrong(found))


# A change of key.


@pytest.fixture
def rotated(tmp_path: Path) -> Site:
    """Heads of 4 by the first key, of 6 and 8 by both, of 11 by the second."""
    site = Site(tmp_path / "rotated")
    site.publish()
    site.venue.rotate_key(retire=8)
    site.publish()
    site.minutes(1)
    site.publish()
    site.minutes(2)
    site.publish()
    assert site.venue.heads == [4, 6, 8, 11]
    return site


def old_key(site: Site) -> VerifierKey:
    return VerifierKey.parse(site.venue.keys[0][0].vkey)


def test_either_key_leads_through_a_change(rotated: Site) -> None:
    for key in (old_key(rotated), rotated.key):
        assert is_sound(rotated.folder, key)
        found = fsck(rotated.folder, key)
        assert found.keys == (rotated.key,)


def test_the_old_key_leads_nowhere_without_a_head_of_both(rotated: Site) -> None:
    for size in (6, 8):
        (rotated.folder / f"checkpoints/{size}").unlink()
    assert is_sound(rotated.folder, rotated.key)
    assert wrong(fsck(rotated.folder, old_key(rotated))) == ["checkpoint"]


def test_nobody_names_himself_the_next_key(rotated: Site, tmp_path: Path) -> None:
    """A log that a stranger wrote on from the venue's own, with his key as the next."""
    thief = Site(tmp_path / "thief")
    thief.publish()
    (owner, _), stranger = thief.venue.keys[0], Signer(thief.venue.name, "stranger")
    thief.venue.log("key", new=stranger.vkey, old=owner.vkey, retire=100)
    thief.venue.keys[:] = [(stranger, None)]
    thief.minutes(1)
    thief.publish()
    key = VerifierKey.parse(owner.vkey)
    assert set(wrong(fsck(thief.folder, key))) >= {"checkpoint", "checkpoints/7"}


def test_every_key_stands_in_the_file_of_its_name(rotated: Site) -> None:
    old, new = (VerifierKey.parse(signer.vkey) for signer, _ in rotated.venue.keys)
    names = {f"keys/{key.id.hex()}.vkey": key for key in (old, new)} | {"venue.vkey": old}
    for name, key in names.items():
        path = rotated.folder / name
        path.write_text(f"{new if key == old else old}\n")
        assert wrong(fsck(rotated.folder, rotated.key)) == [name]
        path.unlink()
        found = fsck(rotated.folder, rotated.key)
        assert (wrong(found), missing(found)) == ([], [name])
        path.write_text(f"{key}\n")
    tiled.write(rotated.folder, {"keys/01234567.vkey": f"{new}\n".encode()})
    assert wrong(fsck(rotated.folder, rotated.key)) == ["keys/01234567.vkey"]


def test_a_follower_keeps_the_key_that_it_was_told(rotated: Site, tmp_path: Path) -> None:
    for name, key in (("old", old_key(rotated)), ("new", rotated.key)):
        tiled.write(rotated.folder, {"checkpoint": rotated.notes[8].encode()})
        follow(rotated.folder, tmp_path / name, key)
        assert is_sound(tmp_path / name, rotated.key)


def test_what_a_retired_key_signed_is_wrong_and_no_fork(rotated: Site) -> None:
    thief = rotated.venue.keys[0][0]
    for name in ("checkpoints/11", "checkpoint.11", "checkpoint.40", "checkpoints/40"):
        forged(rotated, int(name[-2:]), name, thief)
    for key in (rotated.key, old_key(rotated)):
        found = fsck(rotated.folder, key)
        expected = {"checkpoints/11", "checkpoint.11", "checkpoints/40", "checkpoint.40"}
        assert set(wrong(found)) == expected


@pytest.mark.parametrize("by", ["retired", "stranger", "owner"])
def test_evidence_in_the_folder_is_held_to_the_keys(rotated: Site, by: str) -> None:
    old, new = (signer for signer, _ in rotated.venue.keys)
    signer = {"retired": old, "stranger": Signer(rotated.venue.name, "x"), "owner": new}[by]
    forged(rotated, 11, "other", signer)
    path = rotated.folder / "other"
    honest, other = (Checkpoint.parse(text) for text in (rotated.notes[11], path.read_text()))
    path.write_text(fork_of(honest, other).encode())
    path.rename(rotated.folder / "fork-any.json")
    if by == "owner":
        forked(rotated, rotated.key, 11, 11)
        return
    for key in (rotated.key, old_key(rotated)):
        found = fsck(rotated.folder, key)
        assert (found.others, found.problems) == (("fork-any.json",), ())


@pytest.mark.parametrize("data", [b"", b"{}", b"x" * (1 << 17)])
def test_what_is_no_evidence_is_an_unknown_file(site: Site, data: bytes) -> None:
    tiled.write(site.folder, {"fork-any.json": data})
    found = fsck(site.folder, site.key)
    assert (found.others, found.problems) == (("fork-any.json",), ())


@pytest.mark.parametrize("heads", [(4, 6), (6, 6)])
def test_a_key_that_a_stranger_put_into_the_entries_proves_no_fork(
    rotated: Site, tmp_path: Path, heads: tuple[int, int]
) -> None:
    """He says that the venue's key is the next one after his own, or he the next after it."""
    stranger, genuine = Signer(rotated.venue.name, "stranger"), rotated.notes[8]
    owner = rotated.venue.keys[0][0]
    for step, (old, new) in enumerate([(stranger, owner), (owner, stranger)]):
        copy = Site(tmp_path / f"copy {step}")
        copy.minutes(2)
        copy.venue.log("key", old=old.vkey, new=new.vkey, retire=9)
        copy.minutes(2)
        size = copy.publish()
        copy.minutes(20)
        copy.publish()
        copy.venue.keys[:] = [(stranger, None)]
        for each in (size, copy.venue.heads[-1]):
            copy.notes[each] = copy.venue.checkpoint(each)
            copy.write(each)
        forged(copy, heads[0], f"checkpoints/{heads[0]}", stranger)
        forged(copy, heads[1], f"checkpoint.{heads[1]}", stranger)
        tiled.write(copy.folder, {"checkpoints/8": genuine.encode()})
        assert wrong(fsck(copy.folder, VerifierKey.parse(owner.vkey)))


@pytest.mark.parametrize("size", [4, 6, 8, 11])
@pytest.mark.parametrize("by", ["old", "new"])
def test_every_head_carries_the_lines_of_its_time(rotated: Site, size: int, by: str) -> None:
    signer = rotated.venue.keys[0 if by == "old" else 1][0]
    text = "\n".join(rotated.notes[size].split("\n")[:3]) + "\n"
    (rotated.folder / f"checkpoints/{size}").write_text(signed(text, signer))
    good = (size, by) in [(4, "old"), (11, "new")]
    expected = [] if good else [f"checkpoints/{size}"]
    assert wrong(fsck(rotated.folder, rotated.key)) == expected


# Rules.


def test_broken_rules_are_told(site: Site) -> None:
    site.venue.lie("fund", pools=[])
    site.venue.fund()
    site.publish()
    site.minutes(1)
    site.publish(index=False)
    site.publish()
    found = fsck(site.folder, site.key)
    assert found.problems == ()
    assert [(breach.rule, breach.seq) for breach in found.breaches] == [
        ("fund-pools", 717),
        ("head-no-index", 719),
    ]
    assert Fsck(site.folder, site.key, any_log=True).run().breaches == ()


# Other people's logs.


def foreign(folder: Path, *, extension: str = "", origin: str = "Some Log") -> Signer:
    """A C2SP log of another kind: a free origin, a key of another name, extension lines."""
    entries = [b"anything %d" % n for n in range(300)]
    tiled.write(folder, tiled.tiles(entries, [7, 300]))
    signer = Signer("key-name", "foreign")
    from reference import b64, log_root

    for name, size in (("checkpoint", 300), ("checkpoints/7", 7)):
        text = f"{origin}\n{size}\n{b64(log_root(entries[:size]))}\n{extension}"
        tiled.write(folder, {name: signed(text, signer).encode()})
    return signer


@pytest.mark.parametrize("extension", ["", "more\n", "more\nand more\n"])
@pytest.mark.parametrize("origin", ["Some Log", "example.com/a+b", "\u00e9"])
def test_any_c2sp_log_is_read(tmp_path: Path, extension: str, origin: str) -> None:
    signer = foreign(tmp_path, extension=extension, origin=origin)
    key = VerifierKey.parse(signer.vkey)
    found = Fsck(tmp_path, key, any_log=True).run()
    assert found.head is not None
    assert (found.problems, found.head.size, found.head.origin) == ((), 300, origin)
    assert {"checkpoint", "checkpoints/7"} <= set(wrong(fsck(tmp_path, key)))


def test_an_empty_extension_line_and_another_origin_are_wrong(tmp_path: Path) -> None:
    key = VerifierKey.parse(foreign(tmp_path, extension="a\n\nb\n").vkey)
    assert wrong(Fsck(tmp_path, key, any_log=True).run()) == ["checkpoint", "checkpoints/7"]
    foreign(tmp_path)
    text = (tmp_path / "checkpoints/7").read_text().split("\n\n")[0].replace("Some", "Other")
    note = signed(f"{text}\n", Signer("key-name", "foreign"))
    (tmp_path / "checkpoints/7").write_text(note)
    assert wrong(Fsck(tmp_path, key, any_log=True).run()) == ["checkpoints/7"]
