"""The times of a publish: told for the first statement, or read off the clock for each."""

import time

from auditkit.errors import InputError
from auditkit.verify.elements import time_text

_PATIENCE_MS = 2_000
_AHEAD_MS = 60_000


def now() -> int:
    """The clock, in milliseconds since 1970."""
    return time.time_ns() // 1_000_000


class Clock:
    """Hands out strictly increasing times, all after the log's last one."""

    def __init__(self, told: int | None, last: int | None) -> None:
        """Raises InputError if the times of the log would run backwards."""
        self._told: int | None = None
        self._last = -1 if last is None else last
        if told is not None:
            self.set(told)
        if told is None and self._last - now() > _PATIENCE_MS:
            raise InputError(
                f"the clock says {time_text(now())}, but the log's last statement is of "
                f"{time_text(self._last)}; set the clock, or give --time"
            )

    @property
    def is_told(self) -> bool:
        """Whether the times were given, so that they do not pass by themselves."""
        return self._told is not None

    def set(self, told: int) -> None:
        """Go on from `told`, in milliseconds, each further time a millisecond later.

        Raises InputError if the times of the log would run backwards, or ahead of the clock.
        """
        if told <= self._last:
            raise InputError(
                f"the time {time_text(told)} is not after the log's last, "
                f"{time_text(self._last)}; times never run backwards"
            )
        if told - now() > _AHEAD_MS:
            raise InputError(
                f"the time {time_text(told)} is ahead of the clock, {time_text(now())}; a log "
                "that has spoken of the future could not be continued"
            )
        self._told = told

    def tick(self) -> int:
        """The next time, in milliseconds."""
        if self._told is not None:
            self._last, self._told = self._told, self._told + 1
        else:
            # Statements of one publish may come faster than a millisecond each.
            while (moment := now()) <= self._last:
                time.sleep(0.0002)
            self._last = moment
        return self._last
