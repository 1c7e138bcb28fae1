"""The fund's series as it happens: an entry for every interval, until interrupted (SPEC.md §5).

An interval is a whole number of periods since 1970, such as a minute of the
clock. It gets at most one entry, also after a restart, since the log itself
tells which interval its last fund entry is of; one that was missed stays a gap.
"""

import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from auditkit.errors import InputError
from auditkit.publish import clock, fund
from auditkit.publish.command import run
from auditkit.publish.draft import newest_fund
from auditkit.publish.fund import Movements
from auditkit.publish.signers import Signers, SomeSigners
from auditkit.publish.venue import Venue
from auditkit.verify.statements import Fund, Policy

_MOST = 1 << 20


class Source(Protocol):
    """Where the pools' movements come from, asked once an interval."""

    def read(self, policy: Policy, start: int) -> Mapping[str, Movements]:
        """What moved in the interval that begins at `start`. Raises InputError."""
        ...


@dataclass(frozen=True, slots=True)
class FileSource:
    """A pools.toml that somebody else keeps up to date."""

    path: Path

    def read(self, policy: Policy, start: int) -> Mapping[str, Movements]:
        """What the file says now."""
        return fund.read_for(self.path, policy, None, start)


@dataclass(frozen=True, slots=True)
class CommandSource:
    """A command that prints a pools.toml within `patience` milliseconds."""

    command: str
    patience: int

    def read(self, policy: Policy, start: int) -> Mapping[str, Movements]:
        """What the command prints now."""
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "pools.toml"
            path.write_bytes(run("--command", self.command, b"", self.patience, _MOST))
            try:
                return fund.read_for(path, policy, Path.cwd(), start)
            except InputError as error:
                text = str(error).replace(str(path), "what it printed")
                raise InputError(f"--command: {text}") from None


@dataclass(frozen=True, slots=True)
class Tick:
    """What became of one interval that began at `start`, in milliseconds.

    `missed` intervals before it have no entry. Either `entry` or `problem` is
    given: why this one has none either.
    """

    start: int
    missed: int
    entry: Fund | None
    problem: str = ""
    notes: tuple[str, ...] = ()


class Ticker:
    """Publishes an entry for every interval of `every` milliseconds."""

    def __init__(self, folder: Path, signer: SomeSigners, source: Source, every: int) -> None:
        """Raises InputError if there is no such venue, or it is not its key that signs."""
        if every < 1000:
            raise InputError("--every: an interval has at least a second")
        self._folder, self._signers = folder, Signers.of(signer)
        self._source, self._every = source, every
        with Venue(folder) as venue:
            self._signers.require(venue.next_signers)

    def run(self, said: Callable[[Tick], None]) -> None:
        """Tick at the start of every interval, until interrupted; `said` hears of each."""
        while True:
            tick = self.tick()
            if tick is not None:
                said(tick)
            sleep_until((clock.now() // self._every + 1) * self._every)

    def tick(self) -> Tick | None:
        """Publish the interval that is now, if it has no entry. Raises OSError, DamagedError."""
        number = self._number(clock.now())
        with Venue(self._folder) as venue:
            last = newest_fund(venue.history, venue.log)
            policy = venue.log.policy(venue.last_index().policy)
        before = number - 1 if last is None else self._number(last.time)
        if before >= number:
            return None
        start, missed = number * self._every, number - before - 1
        try:
            moved = self._read(policy, start)
            with Venue(self._folder) as venue, venue.publishing(self._signers, None) as draft:
                last = draft.last_fund()
                if last is not None and self._number(last.time) >= number:
                    return None  # An event's own entry came in between.
                if self._number(clock.now()) != number:
                    raise InputError("its source was not done before the next one began")
                entry = fund.publish(draft, moved)
        except InputError as error:
            return Tick(start, missed, None, str(error))
        return Tick(start, missed, entry, "", tuple(draft.notes))

    def _read(self, policy: Policy, start: int) -> Mapping[str, Movements]:
        """What the source says; a file that cannot be read is its fault, not the venue's."""
        try:
            return self._source.read(policy, start)
        except OSError as error:
            raise InputError(f"{error.filename or 'its source'}: {error.strerror}") from None

    def _number(self, moment: int) -> int:
        return moment // self._every


def sleep_until(moment: int) -> None:
    """Sleep until the clock says `moment`, in milliseconds since 1970."""
    while (left := moment - clock.now()) > 0:
        time.sleep(min(left / 1000, 1))
