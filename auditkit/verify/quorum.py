"""Which witnesses are enough (SPEC.md §4, Witnesses): C2SP tlog-policy files.

A policy is the reader's own: it is never taken from what it is used to check.
Its names are bytes that mean nothing outside of it; the keys count.
"""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Self

from auditkit.verify.cosignature import COSIGNATURE, WitnessKey, cosigned
from auditkit.verify.errors import Incomplete, Malformed, Unsupported, inside
from auditkit.verify.fork import signers
from auditkit.verify.note import ED25519, Checkpoint, VerifierKey, decode_base64

MAX_BYTES = 1 << 20
MAX_LINES = 1000
"""Lines that define a log, a witness or a group."""

NONE = "none"
_BLANKS = re.compile("[ \\t]+")
_FOREIGN = re.compile(rb"[^\t\n\x20-\x7e\x80-\xff]")
_COUNT = re.compile("[1-9][0-9]{0,3}")


@dataclass(frozen=True, slots=True)
class Witness:
    """A witness of a policy: its name there, its key, and where it is asked ("" if not told)."""

    name: str
    key: WitnessKey
    url: str


@dataclass(frozen=True, slots=True)
class Group:
    """At least `least` of the members, each a witness or an earlier group."""

    name: str
    least: int
    members: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Cosigned:
    """A checkpoint that enough witnesses cosigned.

    `times` are when each did, in seconds since 1970, by the policy's names, in
    the policy's order; a witness without a line has none.
    """

    checkpoint: Checkpoint
    times: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Quorum:
    """A policy: the logs it accepts, its witnesses, and the name that must have witnessed."""

    logs: tuple[VerifierKey, ...]
    witnesses: tuple[Witness, ...]
    groups: tuple[Group, ...]
    quorum: str

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """Read a policy file.

        Raises Malformed, and Unsupported if a key in it is of a newer type.
        """
        if len(data) > MAX_BYTES:
            raise Malformed(f"a policy has at most {MAX_BYTES} bytes", found=len(data))
        if odd := _FOREIGN.search(data):
            raise Malformed(
                "a policy has no control characters but tab and line feed", found=odd[0]
            )
        *lines, rest = data.decode("utf-8", "surrogateescape").split("\n")
        if rest:
            raise Malformed("the last line of a policy does not end in a line feed")
        draft = _Draft()
        for number, line in enumerate(lines, 1):
            words = _BLANKS.split(line.strip(" \t"))
            if words[0] and not words[0].startswith("#"):
                with inside(f"line {number}"):
                    draft.define(*words)
        if draft.quorum is None:
            raise Malformed("a policy has a quorum line")
        return cls(tuple(draft.logs), tuple(draft.witnesses), tuple(draft.groups), draft.quorum)

    def check(self, checkpoint: Checkpoint) -> Cosigned:
        """Who cosigned the checkpoint, where that is enough.

        Raises Refuted if a line by one of the witnesses fails, or if the
        policy lists logs and none of them signed; Incomplete if the quorum is
        not reached.
        """
        if self.logs:
            own = tuple(key for key in self.logs if key.name == checkpoint.origin)
            signers(checkpoint, own or self.logs)
        times: dict[str, int] = {}
        for witness in self.witnesses:
            time = cosigned(checkpoint.note, witness.key)
            if time is not None:
                times[witness.name] = time
        if not self.reached(times):
            raise Incomplete(
                "too few witnesses of the policy cosigned the checkpoint",
                expected=self.wanted(),
                found=", ".join(times) or "no cosignature by a witness of the policy",
            )
        return Cosigned(checkpoint, times)

    def reached(self, names: Collection[str]) -> bool:
        """Whether these witnesses, by the policy's names, are enough."""
        witnessed = {NONE, *names}
        # A group names only what was defined before it, so one pass is enough.
        for group in self.groups:
            if sum(member in witnessed for member in group.members) >= group.least:
                witnessed.add(group.name)
        return self.quorum in witnessed

    def wanted(self) -> str:
        """The quorum in words."""
        for group in self.groups:
            if group.name == self.quorum:
                return f"{group.least} of {', '.join(group.members)}"
        return "none" if self.quorum == NONE else self.quorum


class _Draft:
    """A policy in the making, line by line."""

    def __init__(self) -> None:
        self.logs: list[VerifierKey] = []
        self.witnesses: list[Witness] = []
        self.groups: list[Group] = []
        self.quorum: str | None = None
        self._names: set[str] = set()
        self._members: set[str] = set()

    def define(self, keyword: str, *words: str) -> None:
        """One line that is not empty and no comment. Raises Malformed or Unsupported."""
        if keyword == "log" and len(words) in (1, 2):
            self._log(*words)
        elif keyword == "witness" and len(words) in (2, 3):
            self._witness(*words)
        elif keyword == "group" and len(words) >= 3:
            self._group(*words)
        elif keyword == "quorum" and len(words) == 1:
            self._quorum(*words)
        else:
            raise Malformed(
                "not a line of a policy",
                expected="log VKEY [URL], witness NAME VKEY [URL], group NAME any|all|N NAME..., "
                "or quorum NAME",
                found=" ".join((keyword, *words)),
            )
        if len(self.logs) + len(self._names) > MAX_LINES:
            raise Malformed(f"a policy defines at most {MAX_LINES} logs, witnesses and groups")

    def _log(self, vkey: str, url: str = "") -> None:
        _check_kind(vkey)
        key = VerifierKey.parse(vkey)
        if any(key.public == other.public for other in self.logs):
            raise Malformed("two logs have one public key", found=vkey)
        self.logs.append(key)

    def _witness(self, name: str, vkey: str, url: str = "") -> None:
        _check_kind(vkey)
        key = WitnessKey.parse(vkey)
        if any(key.public == other.key.public for other in self.witnesses):
            raise Malformed("two witnesses have one public key", found=vkey)
        self._name(name)
        self.witnesses.append(Witness(name, key, url))

    def _group(self, name: str, count: str, *members: str) -> None:
        for member in members:
            if member not in self._names:
                raise Malformed("no witness or group of that name before this line", found=member)
            if member in self._members:
                raise Malformed("a name is a member once, of one group", found=member)
            self._members.add(member)
        words = {"any": 1, "all": len(members)}
        least = words.get(count) or (int(count) if _COUNT.fullmatch(count) else 0)
        if not 1 <= least <= len(members):
            raise Malformed(
                "not how many members of a group are enough",
                expected=f"any, all, or 1 to {len(members)}",
                found=count,
            )
        self._name(name)
        self.groups.append(Group(name, least, members))

    def _quorum(self, name: str) -> None:
        if self.quorum is not None:
            raise Malformed("a policy has one quorum line")
        if name != NONE and name not in self._names:
            raise Malformed("no witness or group of that name before this line", found=name)
        self.quorum = name

    def _name(self, name: str) -> None:
        if name == NONE or name in self._names:
            raise Malformed("a name is defined once, and none is taken", found=name)
        self._names.add(name)


def _check_kind(vkey: str) -> None:
    """Raises Unsupported if the key is of a type that this reader does not know."""
    encoded = vkey.split("+", 2)[-1]
    kind = decode_base64(encoded)[:1]
    if kind not in (ED25519, COSIGNATURE):
        raise Unsupported(
            "a key of a type that this reader does not know",
            expected="type 0x01 for a log, 0x04 for a witness",
            found=f"type 0x{kind.hex()}",
        )
