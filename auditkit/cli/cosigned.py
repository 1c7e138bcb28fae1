"""verify --policy: whether enough witnesses cosigned, who, and how long ago."""

import time
from dataclasses import dataclass
from typing import Any

from auditkit.cli.files import read_bytes
from auditkit.cli.proven import DOES_NOT_PROVE, SPLIT_VIEW, TIMES
from auditkit.errors import InputError, shown
from auditkit.verify.elements import time_text
from auditkit.verify.errors import NotVerified
from auditkit.verify.note import Checkpoint, VerifierKey
from auditkit.verify.quorum import MAX_BYTES, Cosigned, Quorum

WITNESSES = "witnesses"
"""The step after SPEC.md's: what the customer's policy wants, with --policy."""
_LATEST = 253_402_300_799
"""The last second of the year 9999: beyond it no date can be told."""
_AHEAD_S = 60
_UNITS = ((86_400, "day"), (3_600, "hour"), (60, "minute"))


def read_policy(name: str) -> Quorum:
    """The policy file of that name. Raises InputError."""
    try:
        return Quorum.parse(read_bytes(name, MAX_BYTES + 1))
    except NotVerified as error:
        raise InputError(f"--policy: {name}: {error}") from None


@dataclass(frozen=True, slots=True)
class Witnesses:
    """What is said of witnesses: the policy and who cosigned, None where there is no policy.

    `now` is the reader's clock, in seconds since 1970.
    """

    policy: Quorum | None
    cosigned: Cosigned | None
    now: int

    @classmethod
    def of(cls, policy: Quorum | None, checkpoint: Checkpoint, key: VerifierKey) -> "Witnesses":
        """Who cosigned the checkpoint of that log.

        Raises Refuted or Incomplete where the policy does not hold, and
        InputError if it is about other logs.
        """
        if policy is None:
            return cls(None, None, 0)
        if policy.logs and key not in policy.logs:
            raise InputError(
                f"--policy: lists other logs than {key}; list it, or leave the log lines out"
            )
        try:
            found = policy.check(checkpoint)
        except NotVerified as error:
            error.step = WITNESSES
            raise
        return cls(policy, found, int(time.time()))

    def sentences(self) -> list[str]:
        """Who cosigned and when, or that nobody was asked for."""
        if self.policy is None:
            return [
                "No witness was checked, so a split view cannot be excluded. With --policy FILE "
                "you demand the cosignatures of witnesses that you chose."
            ]
        if not self._times:
            return [
                "Your policy wants no witness, and none of it cosigned, so a split view cannot be "
                "excluded."
            ]
        found = [f"Your policy wants {self.policy.wanted()}; {', '.join(self._times)} cosigned."]
        for witness in self.policy.witnesses:
            if witness.name in self._times:
                when = self._times[witness.name]
                name = f"{witness.name}, {witness.key.name}"
                found.append(f"{name}: {_date(when)}, {self._age(when)}.")
        newest = max(self._times.values())
        found.append(f"The newest cosignature is of {_date(newest)}: {self._age(newest)}.")
        return found

    def does_not_prove(self) -> list[str]:
        """What a verification does not prove, with these witnesses."""
        if not self._times:
            return list(DOES_NOT_PROVE)
        better = {
            SPLIT_VIEW: "That others were shown this same log, should enough witnesses of your "
            "policy deceive you together with the venue.",
            TIMES: f"{TIMES} Its witnesses say that all of it was logged before "
            f"{_date(min(self._times.values()))}.",
        }
        return [better.get(sentence, sentence) for sentence in DOES_NOT_PROVE]

    def data(self) -> dict[str, Any]:
        """The same for programs."""
        if self.policy is None:
            return {"checked": False}
        keys = {witness.name: witness.key for witness in self.policy.witnesses}
        return {
            "checked": True,
            "wanted": self.policy.wanted(),
            "cosigned": [
                {"name": name, "vkey": str(keys[name]), "time": when, "age": self.now - when}
                for name, when in self._times.items()
            ],
            "newest_age": self.now - max(self._times.values()) if self._times else None,
        }

    @property
    def _times(self) -> dict[str, int]:
        return dict(self.cosigned.times) if self.cosigned is not None else {}

    def _age(self, when: int) -> str:
        """How old a time is by the reader's clock, in words."""
        seconds = self.now - when
        if seconds < -_AHEAD_S:
            ahead = _words(-seconds)
            return f"{ahead} ahead of this computer's clock, so one of the two is wrong"
        return f"{_words(seconds)} old by this computer's clock"


def _words(seconds: int) -> str:
    for unit, name in _UNITS:
        if seconds >= unit:
            count = seconds // unit
            return f"{shown(count)} {name}{'' if count == 1 else 's'}"
    return "less than a minute"


def _date(seconds: int) -> str:
    return time_text(seconds * 1000) if seconds <= _LATEST else "after the year 9999"


NO_POLICY = Witnesses(None, None, 0)
