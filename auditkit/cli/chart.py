"""A balance over time in the terminal: block characters where they can be shown, else ASCII."""

import sys
from collections.abc import Sequence

from auditkit.cli.terminal import is_terminal

_HEIGHT = 6
_BLOCKS = " ▁▂▃▄▅▆▇█"
_ASCII = " .:#"


def chart(
    times: Sequence[int],
    values: Sequence[int],
    gaps: Sequence[tuple[int, int]],
    columns: int,
    ramp: str | None = None,
) -> list[str]:
    """Lines that draw values at ascending times; none where there is nothing to draw.

    Each column is the lowest value of its time, or the last one before it; one
    that lies in a gap is blank. What is above 0 never looks like 0. `ramp` is
    what a cell can be, from empty to full; left out, what the terminal can show.
    """
    top = max(values, default=0)
    if len(times) < 2 or not top:
        return []
    ramp = ramp or (_BLOCKS if _shows_blocks() else _ASCII)
    steps = len(ramp) - 1
    heights = [
        -(-value * _HEIGHT * steps // top) for value in _lowest(times, values, gaps, columns)
    ]
    return [
        "".join(ramp[max(0, min(steps, height - floor * steps))] for height in heights)
        for floor in reversed(range(_HEIGHT))
    ]


def _lowest(
    times: Sequence[int], values: Sequence[int], gaps: Sequence[tuple[int, int]], columns: int
) -> list[int]:
    start, span = times[0], times[-1] - times[0] + 1
    found: list[int | None] = [None] * columns
    for time, value in zip(times, values, strict=True):
        column = (time - start) * columns // span
        known = found[column]
        found[column] = value if known is None or value < known else known
    last = [0] * columns
    for time, value in zip(times, values, strict=True):
        last[(time - start) * columns // span] = value
    for low, high in gaps:
        for column in range((low - start) * columns // span + 1, (high - start) * columns // span):
            if 0 <= column < columns and found[column] is None:
                found[column] = 0
    drawn: list[int] = []
    carried = 0
    for column, lowest in enumerate(found):
        drawn.append(carried if lowest is None else lowest)
        if lowest is not None:
            carried = last[column]
    return drawn


def _shows_blocks() -> bool:
    """Whether standard output is a terminal that can show block characters."""
    if not is_terminal():
        return False
    try:
        _BLOCKS.encode(sys.stdout.encoding)
    except (LookupError, UnicodeEncodeError):
        return False
    return True
