"""A log as a published folder, written without the sources."""

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest


def _place(number: int, width: int) -> str:
    """Where C2SP tlog-tiles puts entry bundle `number` of `width` entries."""
    name = f"{number % 1000:03d}"
    while number := number // 1000:
        name = f"x{number % 1000:03d}/{name}"
    return f"tile/entries/{name}" + ("" if width == 256 else f".p/{width}")


@pytest.fixture
def published(tmp_path: Path) -> Callable[[Sequence[bytes], str], Path]:
    """Writes a public folder: the note of a checkpoint, and entries in bundles of 256."""

    def write(entries: Sequence[bytes], note: str) -> Path:
        public = tmp_path / "public"
        public.mkdir(exist_ok=True)
        (public / "checkpoint").write_text(note, encoding="utf-8")
        for start in range(0, len(entries), 256):
            part = entries[start : start + 256]
            path = public / _place(start // 256, len(part))
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(b"".join(len(x).to_bytes(2, "big") + x for x in part))
        return public

    return write
