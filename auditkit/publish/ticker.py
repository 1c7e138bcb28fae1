"""The fund's series as it happens: an entry for every interval, until interrupted (SPEC.md §5).

An interval is a whole number of periods since 1970, such as a minute of the
clock. It gets at most one entry, also after a restart, since the log itself
tells which interval its last fund entry is of; one that was missed stays a gap.
"""

import os
import select
import shlex
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from auditkit.errors import InputError, shown
from auditkit.publish import clock, fund
from auditkit.publish.draft import newest_fund
from auditkit.publish.fund import Movements
from auditkit.publish.keys import Signer
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
            path.write_bytes(self._printed())
            try:
                return fund.read_for(path, policy, Path.cwd(), start)
            except InputError as error:
                text = str(error).replace(str(path), "what it printed")
                raise InputError(f"--command: {text}") from None

    def _printed(self) -> bytes:
        try:
            words = shlex.split(self.command)
            process = subprocess.Popen(  # noqa: S603 - The exchange's own command.
                words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, start_new_session=True
            )
        except (OSError, ValueError, IndexError) as error:
            raise InputError(f"--command: {shown(self.command)}: {error}") from None
        deadline = time.monotonic() + self.patience / 1000
        with process:
            try:
                data = self._all_of(process, deadline)
                code = process.wait(max(0, deadline - time.monotonic()))
            except BaseException as error:
                # Its children too. Nobody has waited for it yet, so the number is still its own.
                os.killpg(process.pid, signal.SIGKILL)
                if isinstance(error, subprocess.TimeoutExpired):
                    late = f"--command: not done after {self.patience} ms; it was stopped"
                    raise InputError(late) from None
                raise
        if code:
            raise InputError(f"--command: ended in {code}")
        return data

    def _all_of(self, process: "subprocess.Popen[bytes]", deadline: float) -> bytes:
        """What it prints until it closes its output, which is no more than 1 MiB."""
        data, output = b"", process.stdout
        while output is not None:
            ready, _, _ = select.select([output], [], [], max(0, deadline - time.monotonic()))
            if not ready:
                raise subprocess.TimeoutExpired(self.command, self.patience)
            part = os.read(output.fileno(), 1 << 16)
            data += part
            if len(data) > _MOST:
                raise InputError("--command: printed more than 1 MiB")
            if not part:
                break
        return data


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

    def __init__(self, folder: Path, signer: Signer, source: Source, every: int) -> None:
        """Raises InputError if there is no such venue, or the key is another's."""
        if every < 1000:
            raise InputError("--every: an interval has at least a second")
        self._folder, self._signer, self._source, self._every = folder, signer, source, every
        with Venue(folder) as venue:
            if venue.key != signer.verifier:
                raise InputError(
                    f"the key file holds {signer.verifier}, but the venue's key is {venue.key}"
                )

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
            with Venue(self._folder) as venue, venue.publishing(self._signer, None) as draft:
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
