"""What a venue did against the rules of its own log, and the list that grows while it is read."""

from dataclasses import dataclass, replace
from typing import Self

from auditkit.verify.errors import Malformed, Refuted, Unsupported, show

UNSUPPORTED = "unsupported"
"""The rule of entries that only a newer auditkit can read, of which nobody is accused."""
MOST = 1000
"""So many breaches are told one by one: a log may be nothing else, of any length."""


@dataclass(frozen=True, slots=True)
class Breach:
    """One broken rule: its short name, the seq of the entry that breaks it, and one line.

    The line says everything; `expected` and `found` are its two sides, where
    it has two. `more` breaches besides are only counted, and stand behind this one.
    """

    rule: str
    seq: int
    what: str
    expected: str | None = None
    found: str | None = None
    more: int = 0


class Breaches:
    """The breaches found so far; behind the first ones the others are counted."""

    def __init__(self) -> None:
        self._told: list[Breach] = []
        self._counted: dict[bool, tuple[Breach, int]] = {}
        """The first behind those, by whether it accuses nobody; and how many follow it."""

    @property
    def found(self) -> list[Breach]:
        """Those told one by one; and where there are others, one that says how many."""
        counted = [
            replace(first, what=f"{first.what}; and {more} more, not told one by one", more=more)
            if more
            else first
            for first, more in self._counted.values()
        ]
        return self._told + counted

    def copy(self) -> Self:
        """The same so far."""
        other = type(self)()
        other._told, other._counted = list(self._told), dict(self._counted)
        return other

    def clear(self) -> None:
        """Forget them."""
        self._told.clear()
        self._counted.clear()

    def add(self, rule: str, seq: int, what: str, expected: object, found: object) -> None:
        """Add one, with the two sides that do not agree."""
        sides = show(expected), show(found)
        self._say(rule, seq, f"{what}; expected {sides[0]}; found {sides[1]}", *sides)

    def refused(
        self, rule: str, seq: int, error: Malformed | Refuted | Unsupported, before: str = ""
    ) -> None:
        """Add what the kernel refused, with words before its own."""
        self._say(rule, seq, f"{before}{error}", error.expected, error.found)

    def _say(self, rule: str, seq: int, what: str, *sides: str | None) -> None:
        """Words may quote the log: they become one line of printable ASCII."""
        expected, found = (side if side is None else _plain(side) for side in sides)
        if len(self._told) < MOST:
            self._told.append(Breach(rule, seq, _plain(what), expected, found))
        elif (kind := rule == UNSUPPORTED) in self._counted:
            first, more = self._counted[kind]
            self._counted[kind] = first, more + 1
        else:
            self._counted[kind] = Breach(rule, seq, _plain(what), expected, found), 0

    def require(
        self, holds: bool, rule: str, seq: int, what: str, expected: object, found: object
    ) -> None:
        """Add one unless `holds`."""
        if not holds:
            self.add(rule, seq, what, expected, found)


def _plain(text: str) -> str:
    return text if text.isascii() and text.isprintable() else ascii(text)[1:-1]
