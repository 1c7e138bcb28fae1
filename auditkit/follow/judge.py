"""Which files of a folder are wrong, once a signed root tells which tree is right."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice

from auditkit.follow.survey import MAX_SUSPECTS, Side, Survey
from auditkit.log.bundles import BUNDLE, bundle_path
from auditkit.log.tiles import HASH, HEIGHT, TILE, tile_path, tiles
from auditkit.verify.errors import NotVerified, Refuted
from auditkit.verify.history import leaf_hash


@dataclass(frozen=True, slots=True)
class Problem:
    """A file that is wrong; or, if `missing`, one that is not there though it should be."""

    file: str
    what: str
    expected: str | None = None
    found: str | None = None
    missing: bool = False

    @classmethod
    def of(cls, file: str, error: NotVerified) -> "Problem":
        """What the kernel refused."""
        what = f"{error.where}: {error.what}" if error.where else error.what
        return cls(file, what, error.expected, error.found)

    def __str__(self) -> str:
        text = f"{self.file}: {self.what}"
        text += "" if self.expected is None else f"; expected {self.expected}"
        return text + ("" if self.found is None else f"; found {self.found}")


def side_of(survey: Survey, size: int, root: bytes) -> Side | None:
    """The tree that has this root at that size; None if neither has it."""
    for side in (survey.bundles, survey.tiles):
        if side.roots.get(size) == root:
            return side
    return None


def judge(survey: Survey, truth: Side | None) -> list[Problem]:
    """The wrong files among the bundles and tiles, by the tree that is right, if one is."""
    found: list[Problem] = []
    for number, (own, chosen) in survey.suspects.items():
        if truth is None:
            found += _bundle(survey, number, b"") or _accused(survey, number)
        else:
            found += _bundle(survey, number, own if truth is survey.bundles else chosen)
    if survey.more:
        found.append(Problem("tile", f"{survey.more} more bundles do not fit their tiles"))
    for (level, number), hashes in sorted(truth.all_upper().items()) if truth else ():
        found += _tile(survey, level, number, hashes)
    return found


def _bundle(survey: Survey, number: int, leaves: bytes) -> list[Problem]:
    """The wrong files of a bundle and its tile of hashes."""
    found = []
    for width, path in sorted(survey.files.found.bundles.get(number, {}).items()):
        try:
            entries, _ = survey.files.bundle(path, width)
        except Refuted as error:
            found.append(Problem.of(path, error))
            continue
        for at, entry in enumerate(entries[: len(leaves) // HASH]):
            if leaf_hash(entry) != (leaf := leaves[at * HASH : (at + 1) * HASH]):
                what = f"entry {number * BUNDLE + at} is not the one that was signed"
                hashes = leaf.hex(), leaf_hash(entry).hex()
                found.append(Problem(path, what, *hashes))
                break
    return found + _tile(survey, 0, number, leaves)


def _tile(survey: Survey, level: int, number: int, truth: bytes) -> list[Problem]:
    """The wrong files of a tile of hashes."""
    found = []
    for width, path in sorted(survey.files.found.tiles.get((level, number), {}).items()):
        hashes = survey.files.hashes(path, width)
        if hashes is None:
            found.append(Problem(path, f"is not {width} hashes of {HASH} bytes"))
            continue
        for at in range(0, min(len(hashes), len(truth)), HASH):
            if hashes[at : at + HASH] != truth[at : at + HASH]:
                what = f"its hash {at // HASH} is not that of the entries that were signed"
                sides = truth[at : at + HASH].hex(), hashes[at : at + HASH].hex()
                found.append(Problem(path, what, *sides))
                break
    return found


def _accused(survey: Survey, number: int) -> list[Problem]:
    """All files of a bundle and its tile, where nothing tells which of them is wrong."""
    there = survey.files.found
    paths = (*there.bundles.get(number, {}).values(), *there.tiles.get((0, number), {}).values())
    what = "does not fit the other files of these entries, or not the signed root"
    return [Problem(path, what) for path in paths]


def lacking(survey: Survey, sizes: Iterable[int]) -> list[Problem]:
    """The bundles and tiles that are missing, up to the first entries that are not there.

    `sizes` are those of earlier heads: a partial file stays until the whole is there.
    """
    there, end = survey.files.found, survey.end
    wanted = list(tiles(end))
    if end < survey.size:
        # No more than this: an unsigned size does not say how much is missing.
        number = end // TILE
        wanted.append((0, number, min(TILE, survey.size - number * TILE)))
    for size in sizes:
        wanted += _edge(size) if size <= end else ()
    found: dict[str, None] = {}
    if wanted and not there.tiles:
        found["tile/0"] = None
    for level, number, width in wanted:
        if there.tiles and not there.tiles.get((level, number), {}).keys() & {width, TILE}:
            found[tile_path(level, number, width)] = None
        if level == 0 and not there.bundles.get(number, {}).keys() & {width, TILE}:
            found[bundle_path(number, width)] = None
    told = [Problem(path, "no such file", missing=True) for path in islice(found, MAX_SUSPECTS)]
    if (more := len(found) - len(told)) > 0:
        told.append(Problem("tile", f"{more} more files are not there", missing=True))
    return told


def _edge(size: int) -> Iterator[tuple[int, int, int]]:
    """The tiles of a tree that are not whole: (level, number, width)."""
    level = 0
    while count := size >> HEIGHT * level:
        if count % TILE:
            yield level, count // TILE, count % TILE
        level += 1
