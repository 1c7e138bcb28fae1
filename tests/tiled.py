"""A log as C2SP tlog-tiles words it: from the definitions, without the sources, slow and short."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from reference import log_root

Files = dict[str, bytes]


def place(number: int, width: int) -> str:
    """The end of a path: three digits an element, all but the last after an x; .p/ if partial."""
    name = f"{number % 1000:03d}"
    while number := number // 1000:
        name = f"x{number % 1000:03d}/{name}"
    return name + ("" if width == 256 else f".p/{width}")


def hash_tiles(entries: Sequence[bytes], size: int | None = None) -> Files:
    """The hash tiles of the first `size` entries, by path."""
    size, found, level = len(entries) if size is None else size, {}, 0
    while (each := 256**level) <= size:
        count = size // each
        for number in range(-(-count // 256)):
            nodes = range(number * 256, min(count, (number + 1) * 256))
            # MTH(D[(n * 256 + i) * 256**l : (n * 256 + i + 1) * 256**l])
            hashes = [log_root(entries[n * each : (n + 1) * each]) for n in nodes]
            found[f"tile/{level}/{place(number, len(hashes))}"] = b"".join(hashes)
        level += 1
    return found


def bundles(entries: Sequence[bytes], size: int | None = None) -> Files:
    """The entry bundles of the first `size` entries, by path."""
    size, found = len(entries) if size is None else size, {}
    for number, start in enumerate(range(0, size, 256)):
        part = entries[start : min(size, start + 256)]
        data = b"".join(len(entry).to_bytes(2, "big") + entry for entry in part)
        found[f"tile/entries/{place(number, len(part))}"] = data
    return found


def tiles(entries: Sequence[bytes], sizes: Iterable[int]) -> Files:
    """All that is public below tile/ of a log that was published at these sizes."""
    found: Files = {}
    for size in sizes:
        for path, data in (hash_tiles(entries, size) | bundles(entries, size)).items():
            assert found.setdefault(path, data) == data, "no path ever has other bytes"
    return found


def write(folder: Path, files: Mapping[str, bytes]) -> Path:
    """Write files by their paths below a folder."""
    for name, data in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return folder
