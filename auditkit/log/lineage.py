"""The keys of a venue over time, and which of them sign a head of a given size (SPEC.md §5, `key`).

The one place that decides it: who publishes signs by it, and who follows a log
from its first key finds the later ones by it. Sizes are numbers of entries.
"""

from dataclasses import dataclass

from auditkit.verify.note import VerifierKey
from auditkit.verify.statements import Key


@dataclass(frozen=True, slots=True)
class Lineage:
    """A venue's first key, and every change of it that its log has, by seq."""

    first: VerifierKey
    changes: tuple[Key, ...] = ()

    @property
    def newest(self) -> VerifierKey:
        """The key that signs on after all changes; whoever is new to the venue pins it."""
        return self.changes[-1].new if self.changes else self.first

    @property
    def keys(self) -> tuple[VerifierKey, ...]:
        """Every key the venue ever had, oldest first."""
        return (self.first, *(change.new for change in self.changes))

    def signers(self, size: int) -> tuple[VerifierKey, ...]:
        """Whose lines a head of that size carries: mostly one key's, in an overlap both keys'."""
        found: tuple[VerifierKey, ...] = (self.first,)
        for change in self.changes:
            if size <= change.seq:
                break
            kept = [key for key in found if key != change.old] if size > change.retire else found
            found = (*kept, change.new)
        return found

    def since(self, key: VerifierKey) -> Key | None:
        """The change that brought the key; None for the first key."""
        return next((change for change in self.changes if change.new == key), None)

    def until(self, key: VerifierKey) -> Key | None:
        """The change that retires the key; None for the newest."""
        return next((change for change in self.changes if change.old == key), None)
