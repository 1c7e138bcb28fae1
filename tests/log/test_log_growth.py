"""A tree that grows leaf by leaf has, at every size, the root and the tiles of the definition."""

import pytest
import tiled
from reference import log_root

from auditkit.log.growth import Growth
from auditkit.log.tiles import Tree, tile_path
from auditkit.verify.history import leaf_hash

ENTRIES = [b"entry %d" % n for n in range(1300)]


def grown(growth: Growth, start: int, end: int) -> tiled.Files:
    """The tiles that came of appending some of the entries, and those at the right end."""
    files = {}
    for entry in ENTRIES[start:end]:
        growth.append(leaf_hash(entry))
        for level, number, hashes in growth.take_full():
            files[tile_path(level, number)] = hashes
    for level, number, hashes in growth.edge():
        files[tile_path(level, number, len(hashes) // 32)] = hashes
    return files


@pytest.mark.parametrize("size", [*range(20), 255, 256, 257, 511, 512, 513, 1024, 1300])
def test_roots_and_tiles_are_those_of_the_definition(size: int) -> None:
    growth = Growth()
    assert grown(growth, 0, size) == tiled.hash_tiles(ENTRIES, size)
    assert (growth.size, growth.root()) == (size, log_root(ENTRIES[:size]))


def test_the_upper_levels_are_right_too() -> None:
    growth = Growth()
    leaves = [leaf_hash(b"%d" % n) for n in range(66_000)]
    found = {}
    for leaf in leaves:
        growth.append(leaf)
        for level, number, hashes in growth.take_full():
            found[tile_path(level, number)] = hashes
    assert sorted(found)[-1] == "tile/1/000"
    assert len(found) == 257 + 1
    widths = [(level, number, len(hashes) // 32) for level, number, hashes in growth.edge()]
    assert widths == [(0, 257, 208), (1, 1, 1), (2, 0, 1)]
    found |= {tile_path(level, n, len(h) // 32): h for level, n, h in growth.edge()}
    assert Tree(66_000, found.__getitem__).root() == growth.root()


@pytest.mark.parametrize("start", [0, 1, 7, 255, 256, 257, 300, 512, 1024])
@pytest.mark.parametrize("more", [0, 1, 2, 255, 256, 276])
def test_a_tree_goes_on_from_its_tiles(start: int, more: int) -> None:
    before = tiled.hash_tiles(ENTRIES, start)
    growth = Growth.of_tree(Tree(start, before.__getitem__))
    assert growth.root() == log_root(ENTRIES[:start])
    files = grown(growth, start, start + more)
    wanted = tiled.hash_tiles(ENTRIES, start + more)
    assert growth.root() == log_root(ENTRIES[: start + more])
    assert files.items() <= wanted.items()
    assert wanted.keys() <= files.keys() | before.keys()


def test_a_copy_grows_on_its_own() -> None:
    growth = Growth()
    grown(growth, 0, 300)
    other = growth.copy()
    grown(other, 400, 450)
    assert growth.root() == log_root(ENTRIES[:300])
    assert other.root() == log_root(ENTRIES[:300] + ENTRIES[400:450])
