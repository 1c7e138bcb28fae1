"""What moved the fund's pools in the past: a table, or saved answers of venues."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Protocol

from auditkit.errors import InputError, place
from auditkit.publish import fund
from auditkit.publish.fund import Movements
from auditkit.publish.pasttable import Rows
from auditkit.verify.elements import time_text
from auditkit.verify.statements import Policy


class Past(Protocol):
    """What moved the pools, at times that ascend."""

    times: Sequence[int]
    """In milliseconds since 1970."""

    def between(self, start: int, end: int) -> Iterator[Mapping[str, Movements]]:
        """What moved every pool, by name and in that order, at the times start <= i < end."""
        ...

    def refuse(self, at: int, problem: str, pool: str = "") -> InputError:
        """What to raise for the i-th time, or for one pool at that time."""
        ...


def read(path: Path, policy: Policy) -> Past:
    """The past that a file tells; its ending says in which form. Raises InputError."""
    return Answers(path, policy) if path.suffix.lower() == ".toml" else Rows(path, policy)


class Answers:
    """A pools.toml whose pools have a feed and open interest, and nothing else."""

    def __init__(self, path: Path, policy: Policy) -> None:
        self._path = path
        self.times: Sequence[int] = ()
        moved: dict[str, list[Movements]] = {}
        for pool, row in fund.rows_of(path, policy):
            decimals = policy.assets[policy.pools[pool].asset]
            open_interest = row.amount("open_interest", decimals)
            readings = fund.readings(row, path.parent)
            row.close()
            times = [reading.time for reading in readings]
            self.times = self.times or times
            if odd := sorted(set(times) ^ set(self.times)):
                raise row.refuse(
                    "feed",
                    f"and the one of {next(iter(moved))} do not both have a balance of "
                    f"{time_text(odd[0])}; every entry lists every pool, so give a table",
                )
            told = [fund.told_by(row, reading, decimals) for reading in readings]
            moved[pool] = [Movements((), (), open_interest, *balance) for balance in told]
        self._moved = dict(sorted(moved.items()))

    def between(self, start: int, end: int) -> Iterator[Mapping[str, Movements]]:
        """See Past."""
        for at in range(start, end):
            yield {pool: moved[at] for pool, moved in self._moved.items()}

    def refuse(self, at: int, problem: str, pool: str = "") -> InputError:
        """See Past."""
        whose = f"of pool {pool}, " if pool else ""
        when = time_text(self.times[at])
        return InputError(f"{place(self._path)}: the balance {whose}of {when}, {problem}")
