"""SPEC.md §4, "Forks": how two checkpoints stand to each other, and what shows it."""

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import tiled
from reference import Signer, checkpoint, log_root
from refusals import crash, encode, market, refused
from spoiled import SPOILS
from venue import Venue

from auditkit.errors import ForkError, InputError
from auditkit.log.forks import Related, Side, compare
from auditkit.verify.errors import Incomplete, Malformed, Refuted, Unsupported
from auditkit.verify.fork import Fork
from auditkit.verify.note import VerifierKey

VENUE = "exchange.example/audit"
ONE, NEXT = Signer(VENUE, "one"), Signer(VENUE, "its next key")
KEY, NEXT_KEY = VerifierKey.parse(ONE.vkey), VerifierKey.parse(NEXT.vkey)
TOLD = [b"entry %d" % n for n in range(300)]
RETOLD = [*TOLD[:9], b"retold", *TOLD[10:]]
SIZES = [5, 8, 12, 16, 256, 300]


def head(size: int, entries: list[bytes] = TOLD, *signers: Signer) -> Side:
    note = checkpoint(VENUE, entries[:size], *(signers or (ONE,)))
    return Side.parse(f"{'told' if entries is TOLD else 'retold'} {size}", note.encode())


def public(
    folder: Path,
    entries: list[bytes] = TOLD,
    size: int = 300,
    *,
    signer: Signer = ONE,
    sizes: list[int] | None = None,
) -> Path:
    """A published folder of a log that has reached `size`."""
    kept = [each for each in sizes or SIZES if each <= size]
    tiled.write(folder, tiled.tiles(entries, kept))
    notes = {f"checkpoints/{each}": checkpoint(VENUE, entries[:each], signer) for each in kept}
    notes["checkpoint"] = checkpoint(VENUE, entries[:size], signer)
    return tiled.write(folder, {name: text.encode() for name, text in notes.items()})


@contextmanager
def forked(fragment: str, first: int, second: int, *keys: VerifierKey) -> Iterator[None]:
    """The block meets a fork between those sizes, with evidence that holds by itself."""
    with pytest.raises(ForkError) as caught:
        yield
    assert fragment in caught.value.what
    fork = Fork.parse(caught.value.evidence.encode().encode())
    assert (fork.first.size, fork.second.size) == (first, second)
    assert caught.value.keys == (keys or (KEY,))
    fork.check(*caught.value.keys)


# What the two show by themselves.


def test_one_size_and_one_root_are_one_log() -> None:
    for other in (head(12), head(12, TOLD, ONE, NEXT)):
        found = compare(head(12), other, [KEY])
        assert found.same
        assert found.shown == ("one size and one root",)


def test_two_roots_of_one_size_are_a_fork() -> None:
    for size in (12, 16):
        with forked("of one size and have different roots", size, size):
            compare(head(size), head(size, RETOLD), [KEY])


def test_sizes_that_differ_show_nothing_by_themselves() -> None:
    for pair in ((head(5), head(12)), (head(12), head(5)), (head(12), head(16, RETOLD))):
        with refused(Incomplete, "nothing shows whether the log of 1"):
            compare(*pair, [KEY])


def test_an_empty_log_says_nothing() -> None:
    with refused(Incomplete, "every log extends an empty one: told 0 says nothing"):
        compare(head(0), head(5), [KEY])
    assert compare(head(0), head(0), [KEY]).same
    odd = checkpoint(VENUE, [], ONE).splitlines()[:2]
    note = Signer.line(ONE, text := "\n".join([*odd, checkpoint(VENUE, TOLD, ONE).split()[2], ""]))
    with refused(Refuted, "odd: the root of no entries is another"):
        compare(Side.parse("odd", f"{text}\n{note}".encode()), head(5), [KEY])


def test_both_must_be_signed_by_a_key_of_the_reader() -> None:
    stranger = head(12, RETOLD, NEXT)
    for pair in ((head(12), stranger), (stranger, head(12))):
        with refused(Refuted, "retold 12: no signature line by the pinned key"):
            compare(*pair, [KEY])
    with forked("different roots", 12, 12, KEY, NEXT_KEY):
        compare(head(12), stranger, [KEY, NEXT_KEY])
    with forked("different roots", 12, 12, KEY):
        compare(head(12, TOLD, ONE, NEXT), head(12, RETOLD, ONE, NEXT), [KEY, NEXT_KEY])
    with forked("different roots", 12, 12, NEXT_KEY):
        compare(head(12, TOLD, ONE, NEXT), stranger, [KEY, NEXT_KEY])


def test_what_is_neither_a_checkpoint_nor_a_proof_is_malformed() -> None:
    for data in (
        b"",
        b"x",
        b"{}",
        b"\xff\n\n",
        b"\n {",
        checkpoint(VENUE, TOLD, ONE).encode()[:-1],
    ):
        with refused(Malformed, "odd"):
            Side.parse("odd", data)


# What a proof file shows.


def story(lie: int | None = None, **shown: bool) -> tuple[Venue, Side, Side]:
    """A venue, an early proof file, and a later one; entry `lie` was retold in between."""
    venue = market()
    venue.fund()
    venue.publish()
    early = venue.prove("alice")
    crash(venue)
    venue.publish()
    if lie is not None:
        venue.restate(lie, time="2025-10-10T21:00:01.999Z")
    size = venue.heads[0]
    late = venue.prove(
        "alice",
        heads=[size] if shown.get("path") else [],
        since=size - 1 if shown.get("index") else None,
    )
    return venue, Side.parse("early", encode(early)), Side.parse("late", encode(late))


@pytest.mark.parametrize("way", ["path", "index"])
def test_a_proof_file_shows_that_it_extends(way: str) -> None:
    venue, early, late = story(**{way: True})
    key = VerifierKey.parse(venue.vkey)
    for pair in ((early, late), (late, early), (late, Side("bare", early.head))):
        found = compare(*pair, [key])
        assert (found.earlier.head, found.later) == (early.head, late)
        assert not found.same
        assert found.shown == ("a path in late",)
    with refused(Incomplete, "bare is a checkpoint alone"):
        compare(early, Side("bare", late.head), [key])


@pytest.mark.parametrize("way", ["path", "index"])
def test_a_proof_file_shows_a_fork(way: str) -> None:
    venue, early, late = story(lie=2, **{way: True})
    key = VerifierKey.parse(venue.vkey)
    what = "the log of late does not begin with the entries that early covers"
    for pair in ((early, late), (late, early)):
        with forked(what, early.head.size, late.head.size, key):
            compare(*pair, [key])


@pytest.mark.parametrize("name", SPOILS)
def test_a_file_that_cannot_be_read_whole_shows_a_fork_and_nothing_else(name: str) -> None:
    for lie in (2, None):
        venue, early, late = story(lie=lie, path=True)
        assert late.file is not None
        data = SPOILS[name](json.loads(late.file.encode()))
        spoiled, key = Side.parse("late", data), VerifierKey.parse(venue.vkey)
        assert spoiled.wrong is not None
        for pair in ((early, spoiled), (spoiled, early)):
            if lie is None:
                with pytest.raises((Malformed, Unsupported), match="late"):
                    compare(*pair, [key])
            else:
                with forked("does not begin with", early.head.size, late.head.size, key):
                    compare(*pair, [key])
        with pytest.raises((Malformed, Unsupported), match="late"):
            compare(early, spoiled, [NEXT_KEY])


def test_a_path_that_fails_is_no_fork() -> None:
    venue, early, late = story(path=True)
    assert late.file is not None
    way = late.file.consistency[0]
    broken = encode(
        venue.prove("alice")
        | {"consistency": [{"size": way.size, "path": [late.head.note.text.split()[2]]}]}
    )
    with refused(Incomplete, "late holds no path from 5 entries"):
        compare(early, Side.parse("late", broken), [VerifierKey.parse(venue.vkey)])


def test_two_files_that_show_the_same_entries_of_different_logs_are_false() -> None:
    for lie in (0, 1):
        venue, early, late = story(lie=lie)
        with refused(Refuted, f"two histories: up to entry {lie}, which both files show"):
            compare(early, late, [VerifierKey.parse(venue.vkey)])
    venue, early, late = story()
    with refused(Incomplete, "late holds no path from 5 entries"):
        compare(early, late, [VerifierKey.parse(venue.vkey)])


def test_a_file_signed_by_a_key_that_its_log_has_retired_is_no_side_of_a_fork() -> None:
    venue, early, _ = story()
    old = venue.keys[0][0]
    venue.restate(2, pools=[])
    venue.rotate_key(retire=len(venue.said) + 2)
    crash(venue)
    venue.publish()
    size = early.head.size
    late = venue.prove("alice", heads=[size], since=size - 1)
    late["checkpoint"] = checkpoint(VENUE, venue.entries, old)
    with refused(Refuted, "late: the key that signed the checkpoint is retired"):
        compare(early, Side.parse("late", encode(late)), [VerifierKey.parse(old.vkey)])


def changed() -> tuple[Venue, Side, tuple[VerifierKey, VerifierKey]]:
    """A venue that changed its key, and what a thief of the retired one signed: both of one size.

    The keys are the new one and the old one.
    """
    venue = market()
    old = venue.keys[0][0]
    venue.rotate_key(retire=len(venue.said) + 2)
    crash(venue)
    venue.publish()
    size = venue.heads[-1]
    entries = [b"stolen %d" % n for n in range(size)]
    stolen = Side.parse("stolen", checkpoint(VENUE, entries, old).encode())
    return venue, stolen, (VerifierKey.parse(venue.vkey), VerifierKey.parse(old.vkey))


def test_what_a_retired_key_signed_is_no_fork_with_a_file_that_shows_the_change() -> None:
    venue, stolen, keys = changed()
    change = next(seq for seq, said in enumerate(venue.said) if "new" in said)
    proof = venue.prove("alice", since=change)
    late = Side.parse("late", encode(proof))
    assert late.head.size == stolen.head.size
    for pair in ((late, stolen), (stolen, late)):
        with refused(Refuted, "stolen: the key that signed the checkpoint is retired"):
            compare(*pair, keys)
    # Both by the new key are a fork, whatever else the old one signed.
    text = stolen.head.note.text
    lines = "".join(signer.line(text) for signer, _ in venue.keys)
    twice = Side.parse("twice", f"{text}\n{lines}".encode())
    with forked("different roots", late.head.size, late.head.size, keys[0]):
        compare(late, twice, keys[::-1])


@pytest.mark.parametrize("lost", ["", "tile/0", "tile/entries", "checkpoint"])
def test_what_a_retired_key_signed_is_no_fork_with_a_folder_that_shows_the_change(
    tmp_path: Path, lost: str
) -> None:
    venue, stolen, keys = changed()
    note = venue.checkpoint(stolen.head.size)
    files = {"checkpoint": note.encode()} | tiled.tiles(venue.entries, venue.heads)
    files = {name: data for name, data in files.items() if not lost or not name.startswith(lost)}
    log = tiled.write(tmp_path / "log", files)
    honest = Side.parse("honest", note.encode())
    if not lost:
        with refused(Refuted, "stolen: the key that signed the checkpoint is retired"):
            compare(honest, stolen, keys, log)
        assert compare(honest, honest, keys, log).same
        return
    if lost == "checkpoint":
        with pytest.raises(InputError, match="is no published log, since it has no file"):
            compare(honest, stolen, keys, log)
        return
    # Where the change cannot be seen, it takes both keys, and the reader is told to mind it.
    with forked("different roots", stolen.head.size, stolen.head.size, *keys):
        compare(honest, stolen, keys, log)


# What a published folder shows.


@pytest.mark.parametrize("sizes", [(5, 12), (8, 12), (12, 256), (16, 300), (256, 300)])
def test_tiles_show_that_one_extends_the_other(tmp_path: Path, sizes: tuple[int, int]) -> None:
    log = public(tmp_path)
    for order in (sizes, sizes[::-1]):
        found = compare(head(order[0]), head(order[1]), [KEY], log)
        assert (found.earlier.head.size, found.later.head.size) == sizes
        held = f"the 300 entries of {log}/checkpoint, of which both are"
        assert found.shown == (f"the tiles of {tmp_path}", held)
        assert not found.unseen


@pytest.mark.parametrize("size", [12, 16, 256])
def test_tiles_show_a_fork(tmp_path: Path, size: int) -> None:
    log = public(tmp_path, RETOLD)
    for pair in ((head(size), head(300, RETOLD)), (head(300, RETOLD), head(size))):
        with forked(f"does not begin with the entries that told {size} covers", size, 300):
            compare(*pair, [KEY], log)


def test_a_restored_backup_is_a_fork(tmp_path: Path) -> None:
    """Of 16 entries a venue kept 8, and went on to 300 otherwise."""
    log = public(tmp_path, RETOLD, sizes=[5, 8, 300])
    now = Side.parse("now", (log / "checkpoint").read_bytes())
    with forked("the log of now does not begin with the entries that told 16 covers", 16, 300):
        compare(head(16), now, [KEY], log)


def test_a_withheld_tail_is_an_older_log(tmp_path: Path) -> None:
    log = public(tmp_path, size=12)
    now = Side.parse("now", (log / "checkpoint").read_bytes())
    with refused(Incomplete, "nothing shows whether the log of 16 entries extends the one of 12"):
        compare(head(16), now, [KEY], log)
    found = compare(head(5), now, [KEY], log)
    assert (found.earlier.name, found.later.name) == ("told 5", "now")


def test_a_folder_that_went_on_shows_both_though_their_own_tiles_are_gone(tmp_path: Path) -> None:
    log = public(tmp_path, sizes=[300])
    found = compare(head(260), head(280), [KEY], log)
    assert found.shown == (f"the 300 entries of {log}/checkpoint, of which both are",)


def test_a_fork_with_the_folder_itself_is_found(tmp_path: Path) -> None:
    told = public(tmp_path / "told")
    for pair in ((head(12, RETOLD), head(12, RETOLD)), (head(12, RETOLD), head(16, RETOLD))):
        with forked("checkpoints/12 are of one size", 12, 12):
            compare(*pair, [KEY], told)
    bare = public(tmp_path / "bare", sizes=[300])
    with forked(f"{bare}/checkpoint does not begin with the entries that retold 12", 12, 300):
        compare(head(12, RETOLD), head(16, RETOLD), [KEY], bare)


def test_what_a_folder_cannot_show_is_told(tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(InputError, match="empty: is no published log"):
        compare(head(5), head(5), [KEY], empty)
    bare = public(tmp_path / "bare", sizes=[12])
    shutil.rmtree(bare / "tile")
    with refused(Incomplete, "tile/0/000.p/12: no such file"):
        compare(head(5), head(12), [KEY], bare)
    for odd in (os.mkfifo, Path.mkdir):
        place = bare / "tile/0/000.p/12"
        place.parent.mkdir(parents=True, exist_ok=True)
        odd(place)
        with refused(Incomplete, "tile/0/000.p/12: no such file"):
            compare(head(5), head(12), [KEY], bare)
        shutil.rmtree(bare / "tile")
    (bare / "tile").write_text("x")
    with refused(Incomplete, "tile/0/000.p/12: no such file"):
        compare(head(5), head(12), [KEY], bare)
    small = public(tmp_path / "small", size=5)
    for size in (0, 12):
        found = compare(head(size), head(size), [KEY], small)
        assert found.unseen == (f"{small}/checkpoint has 5 entries, told {size} {size}",)
    with pytest.raises(InputError, match="no such folder"):
        compare(head(5), head(12), [KEY], tmp_path / "nowhere")
    other = public(tmp_path / "other", signer=NEXT)
    found = compare(head(5), head(5), [KEY], other)
    assert found.unseen[-1] == f"{other}/checkpoint: no signature line by the pinned key"


def test_damaged_tiles_accuse_nobody(tmp_path: Path) -> None:
    log = public(tmp_path, sizes=[12])
    tile = log / "tile/0/000.p/12"
    honest = tile.read_bytes()
    for at in (0, 4 * 32, 8 * 32, 11 * 32 + 31):
        tile.write_bytes(honest[:at] + bytes([honest[at] ^ 1]) + honest[at + 1 :])
        for size in (5, 8, 11):
            with refused(Incomplete, "do not lead to the signed root of 12 entries"):
                compare(head(size), head(12), [KEY], log)
    tile.write_bytes(honest[:-1])
    with refused(Incomplete, "is not 12 hashes of 32 bytes"):
        compare(head(5), head(12), [KEY], log)


def test_a_folder_of_another_log_hides_but_makes_up_nothing(tmp_path: Path) -> None:
    """A folder of tiles that another key signed, or nobody."""
    log = public(tmp_path, RETOLD, signer=NEXT)
    with refused(Incomplete, "do not lead to the signed root of 300 entries"):
        compare(head(12), head(300), [KEY], log)
    found: Related = compare(head(8), head(8, RETOLD), [KEY], log)
    assert found.same
    assert log_root(TOLD[:8]) == log_root(RETOLD[:8])
