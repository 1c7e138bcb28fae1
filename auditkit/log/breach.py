"""What a venue did against the rules of its own log, and the list that grows while it is read."""

from dataclasses import dataclass

from auditkit.verify.errors import Malformed, Refuted, Unsupported, show


@dataclass(frozen=True, slots=True)
class Breach:
    """One broken rule: its short name, the seq of the entry that breaks it, and one line.

    The line says everything; `expected` and `found` are its two sides, where
    it has two.
    """

    rule: str
    seq: int
    what: str
    expected: str | None = None
    found: str | None = None


class Breaches:
    """The breaches found so far."""

    def __init__(self) -> None:
        self.found: list[Breach] = []

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
        self.found.append(Breach(rule, seq, _plain(what), expected, found))

    def require(
        self, holds: bool, rule: str, seq: int, what: str, expected: object, found: object
    ) -> None:
        """Add one unless `holds`."""
        if not holds:
            self.add(rule, seq, what, expected, found)


def _plain(text: str) -> str:
    return text if text.isascii() and text.isprintable() else ascii(text)[1:-1]
