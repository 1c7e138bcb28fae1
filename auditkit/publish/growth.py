"""The hash tiles that a log has gained (SPEC.md §4), without reading the rest of it."""

from collections.abc import Callable, Iterator

from auditkit.errors import DamagedError, InputError
from auditkit.log.tiles import HEIGHT, TILE, Tree, tile_path, tile_root, tiles
from auditkit.publish.history import History

Tile = tuple[int, int, int]
"""Level, number, width."""


def grown(
    history: History, read: Callable[[str], bytes], size: int, before: int
) -> Iterator[tuple[Tile, bytes]]:
    """The tiles of the head of `size` that the published one of `before` did not have.

    What partial tiles held before is read from them; where one is missing, or
    is not what it was, the log's own hashes are. Whatever comes has the signed
    root. The last tile of level 0, which every head adds, comes last: where it
    is, all of them are. Raises DamagedError.
    """
    found = _from_tiles(history, Tree(before, read), size)
    if found is None or _root(found, read, size) != history.head(size).root:
        whole = history.tree(size)
        found = {(level, n, width): whole.tile(level, n) for level, n, width in tiles(size, before)}
        if whole.root() != history.head(size).root:
            raise DamagedError(
                f"{history.path}: its hashes are not those of the head of {size} entries; "
                "restore it from a backup"
            )
    yield from sorted(found.items(), key=lambda item: (-item[0][0], item[0][1]))


def _from_tiles(history: History, old: Tree, size: int) -> dict[Tile, bytes] | None:
    """The new tiles from those that were there; None if one of those is missing."""
    found: dict[Tile, bytes] = {}
    roots: dict[tuple[int, int], bytes] = {}
    for level, number, width in tiles(size, old.size):
        start, end = number * TILE, number * TILE + width
        had = max(start, old.size >> HEIGHT * level)
        try:
            data = old.tile(level, number) if had > start else b""
        except InputError:
            return None
        if level == 0:
            data += history.hashes(had, end)
        else:
            # Every tile that became whole since is among those found on the level below.
            data += b"".join(roots[level - 1, n] for n in range(had, end))
        if width == TILE:
            roots[level, number] = tile_root(data)
        found[level, number, width] = data
    return found


def _root(found: dict[Tile, bytes], read: Callable[[str], bytes], size: int) -> bytes | None:
    """The root that the new tiles have together with the old ones; None if one is missing."""
    new = {tile_path(*tile): data for tile, data in found.items()}
    try:
        return Tree(size, lambda path: new[path] if path in new else read(path)).root()
    except InputError:
        return None
