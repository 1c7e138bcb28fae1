"""SPEC.md §4: trees read through C2SP hash tiles, held against RFC 9162's recursive definitions."""

from pathlib import Path

import pytest
import tiled
from hypothesis import given
from hypothesis import strategies as st
from reference import log_extension, log_path, log_root

from auditkit.errors import InputError
from auditkit.log.tiles import TILE, Tree, folder, tile_path, tiles
from auditkit.verify.errors import Refuted
from auditkit.verify.history import check_consistency, check_inclusion, leaf_hash
from auditkit.verify.note import Checkpoint, Note, VerifierKey

TESSERA = Path(__file__).resolve().parents[2].parent / "shared/vectors/note/tessera-log"
ENTRIES = [b"entry %d" % n for n in range(1300)]
LARGE = [b"%d" % n for n in range(70_000)]


def naive(files: tiled.Files, size: int, asked: set[str] | None = None) -> Tree:
    """A tree over files in memory."""

    def read(path: str) -> bytes:
        if asked is not None:
            asked.add(path)
        try:
            return files[path]
        except KeyError:
            raise FileNotFoundError(path) from None

    return Tree(size, read)


def tree(size: int, asked: set[str] | None = None) -> Tree:
    return naive(tiled.hash_tiles(ENTRIES, size), size, asked)


@pytest.mark.parametrize(
    ("level", "number", "width", "path"),
    [
        (0, 0, TILE, "tile/0/000"),
        (1, 999, TILE, "tile/1/999"),
        (2, 1000, TILE, "tile/2/x001/000"),
        (63, 1234067, TILE, "tile/63/x001/x234/067"),
        (0, 1234, 5, "tile/0/x001/234.p/5"),
        (3, 0, 255, "tile/3/000.p/255"),
    ],
)
def test_paths_are_those_of_the_standard(level: int, number: int, width: int, path: str) -> None:
    assert tile_path(level, number, width) == path


@pytest.mark.parametrize("size", [*range(40), 255, 256, 257, 511, 512, 513, 1024, 1300])
def test_every_size_has_the_root_of_the_recursive_definition(size: int) -> None:
    found = tree(size)
    assert found.root() == log_root(ENTRIES[:size])
    assert {tile_path(*each) for each in tiles(size)} == tiled.hash_tiles(ENTRIES, size).keys()


@given(st.data())
def test_paths_of_any_entry_and_size_are_those_of_the_recursive_definition(
    data: st.DataObject,
) -> None:
    size = data.draw(st.integers(1, len(ENTRIES)))
    seq = data.draw(st.integers(0, size - 1))
    earlier = data.draw(st.integers(1, size))
    found = tree(size)
    assert found.prefix_root(earlier) == log_root(ENTRIES[:earlier])
    assert list(found.inclusion(seq)) == log_path(seq, ENTRIES[:size])
    assert list(found.consistency(earlier)) == log_extension(earlier, ENTRIES[:size])
    root = found.root()
    check_inclusion(leaf_hash(ENTRIES[seq]), seq, size, root, found.inclusion(seq))
    before = log_root(ENTRIES[:earlier])
    check_consistency(earlier, before, size, root, found.consistency(earlier))


@given(st.data())
def test_nodes_are_the_roots_of_perfect_subtrees(data: st.DataObject) -> None:
    size = data.draw(st.integers(1, len(ENTRIES)))
    level = data.draw(st.integers(0, size.bit_length() - 1))
    index = data.draw(st.integers(0, (size >> level) - 1))
    part = ENTRIES[index << level : (index + 1) << level]
    assert tree(size).hash(level, index) == log_root(part)


@given(st.integers(0, 70_000), st.integers(0, 70_000))
def test_what_is_new_of_a_later_size_is_what_the_earlier_did_not_have(one: int, other: int) -> None:
    before, size = sorted((one, other))
    assert set(tiles(size, before)) == set(tiles(size)) - set(tiles(before))
    assert len(list(tiles(before + 1, before))) <= 3


def test_a_large_tree_is_read_through_few_tiles() -> None:
    """The example of the standard: 70,000 entries."""
    files = tiled.hash_tiles(LARGE)
    assert sum(path.startswith("tile/0/") and ".p" not in path for path in files) == 273
    assert {path for path in files if ".p/" in path} == {
        "tile/0/273.p/112",
        "tile/1/001.p/17",
        "tile/2/000.p/1",
    }
    asked: set[str] = set()
    found = naive(files, len(LARGE), asked)
    root = found.root()
    assert root == log_root(LARGE)
    assert asked == {path for path in files if ".p/" in path}
    check_inclusion(leaf_hash(LARGE[12_345]), 12_345, 70_000, root, found.inclusion(12_345))
    path = found.consistency(66_666)
    check_consistency(66_666, log_root(LARGE[:66_666]), 70_000, root, path)
    assert len(asked) <= 8


def test_a_whole_tile_stands_in_for_a_partial_one_that_is_gone() -> None:
    files = {path: data for path, data in tiled.hash_tiles(ENTRIES).items() if ".p/" not in path}
    for size in (3, 256, 300, 1024):
        found = naive(files, size)
        if size < 256:
            assert found.root() == log_root(ENTRIES[:size])
        else:
            assert found.tile(0, 0) == files["tile/0/000"]
            assert found.prefix_root(255) == log_root(ENTRIES[:255])


def test_a_tile_is_read_once() -> None:
    asked: set[str] = set()
    found = tree(1300, asked)
    root = found.root()
    asked.clear()
    assert found.root() == root
    assert asked == set()


def test_a_tile_that_is_missing_or_odd_is_named() -> None:
    files = tiled.hash_tiles(ENTRIES)
    path = "tile/0/005.p/20"
    for data, said in (
        (None, "no such file; give the whole published folder"),
        (files[path][:-1], "is not 20 hashes of 32 bytes; fetch it again"),
        (files[path] + b"\0", "is not 20 hashes of 32 bytes; fetch it again"),
        (b"", "is not 20 hashes of 32 bytes; fetch it again"),
    ):
        changed = {name: kept for name, kept in files.items() if name != path}
        found = naive(changed if data is None else {**changed, path: data}, 1300)
        with pytest.raises(InputError, match=f"^{path}: {said}"):
            found.root()


@pytest.mark.parametrize("path", sorted(tiled.hash_tiles(ENTRIES)))
def test_another_hash_is_seen_by_whoever_checks(path: str) -> None:
    """One bit of any tile: some path through it does not lead to the signed root any more."""
    files = tiled.hash_tiles(ENTRIES)
    data = bytearray(files[path])
    data[-1] ^= 1
    found = naive({**files, path: bytes(data)}, 1300)
    level, number = path.removeprefix("tile/").removesuffix(".p/20").split("/")[:2]
    reached = (int(number[:3]) * 256 + len(data) // 32 - 1) * 256 ** int(level)
    seq = reached ^ 1 if level == "0" else max(0, reached - 1)
    root = log_root(ENTRIES)
    with pytest.raises(Refuted):
        check_inclusion(leaf_hash(ENTRIES[seq]), seq, 1300, root, found.inclusion(seq))


def test_what_the_tree_does_not_have_is_refused() -> None:
    found = tree(300)
    for ask in (
        lambda: found.inclusion(300),
        lambda: found.inclusion(-1),
        lambda: found.consistency(0),
        lambda: found.consistency(301),
        lambda: found.prefix_root(301),
        lambda: found.prefix_root(-1),
        lambda: found.hash(8, 1),
        lambda: found.hash(0, 300),
        lambda: found.hash(0, -1),
        lambda: tree(0).inclusion(0),
    ):
        with pytest.raises(Refuted):
            ask()


@pytest.mark.skipif(not TESSERA.exists(), reason="the shared vectors are not beside the checkout")
def test_a_log_that_another_program_wrote() -> None:
    """Tessera's: a checkpoint, a tile and a bundle for every size from 1 to 15."""
    key = VerifierKey.parse((TESSERA / "log.vkey").read_text().strip())
    heads = []
    for size in range(1, 16):
        note = (TESSERA / f"checkpoint.{size}").read_text()
        Note.parse(note).check(key)
        heads.append(Checkpoint.parse(note))
    for head in heads:
        found = Tree(head.size, folder(TESSERA))
        assert found.root() == head.root
        for earlier in heads[: head.size]:
            path = found.consistency(earlier.size)
            check_consistency(earlier.size, earlier.root, head.size, head.root, path)
            assert found.prefix_root(earlier.size) == earlier.root


def test_a_folder_is_read_no_further_than_a_tile(tmp_path: Path) -> None:
    tiled.write(tmp_path, tiled.hash_tiles(ENTRIES))
    assert Tree(1300, folder(tmp_path)).root() == log_root(ENTRIES)
    path = tmp_path / "tile/0/005.p/20"
    path.write_bytes(bytes(1 << 20))
    assert len(folder(tmp_path)("tile/0/005.p/20")) == TILE * 32 + 1
    with pytest.raises(InputError, match=r"tile/0/005\.p/20: is not 20 hashes"):
        Tree(1300, folder(tmp_path)).root()
