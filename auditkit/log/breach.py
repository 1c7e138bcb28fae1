"""What a venue did against the rules of its own log, and the list that grows while it is read."""

from dataclasses import dataclass

from auditkit.verify.errors import show


@dataclass(frozen=True, slots=True)
class Breach:
    """One broken rule: its short name, the seq of the entry that breaks it, and one line."""

    rule: str
    seq: int
    what: str


class Breaches:
    """The breaches found so far."""

    def __init__(self) -> None:
        self.found: list[Breach] = []

    def add(self, rule: str, seq: int, what: str, expected: object, found: object) -> None:
        """Add one, with the two sides that do not agree."""
        self.say(rule, seq, f"{what}; expected {show(expected)}; found {show(found)}")

    def say(self, rule: str, seq: int, what: str) -> None:
        """Add one in words that may quote the log: they become one line of printable ASCII."""
        plain = what.isascii() and what.isprintable()
        self.found.append(Breach(rule, seq, what if plain else ascii(what)[1:-1]))

    def require(
        self, holds: bool, rule: str, seq: int, what: str, expected: object, found: object
    ) -> None:
        """Add one unless `holds`."""
        if not holds:
            self.add(rule, seq, what, expected, found)
