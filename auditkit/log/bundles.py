"""Entry bundles: how a published log keeps its entries in files (C2SP tlog-tiles)."""

from collections.abc import Iterable, Iterator

BUNDLE = 256
"""A whole bundle, and a whole tile of hashes, holds so many."""


def numbered(number: int, width: int = BUNDLE) -> str:
    """The end of a tile's or bundle's path: `x001/234`, and `.p/5` where it is not whole."""
    digits = f"{number:03d}"
    digits = digits.zfill(-(-len(digits) // 3) * 3)
    groups = [digits[i : i + 3] for i in range(0, len(digits), 3)]
    name = "/".join([*("x" + group for group in groups[:-1]), groups[-1]])
    return name + ("" if width == BUNDLE else f".p/{width}")


def bundle_path(number: int, width: int = BUNDLE) -> str:
    """The path of bundle `number` below the published folder, partial if it is not whole."""
    return f"tile/entries/{numbered(number, width)}"


def pack(entries: Iterable[bytes]) -> bytes:
    """Entries behind their lengths, each a big-endian uint16."""
    return b"".join(len(entry).to_bytes(2, "big") + entry for entry in entries)


def unpack(data: bytes) -> Iterator[bytes]:
    """The entries of a bundle. Raises ValueError where one is cut short."""
    at = 0
    while at < len(data):
        start = at + 2
        at = start + int.from_bytes(data[at:start], "big")
        if max(start, at) > len(data):
            raise ValueError("an entry is cut short")
        yield data[start:at]
