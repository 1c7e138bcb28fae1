"""What part of the log a customer's file is about (SPEC.md §7), and under which heads."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self

from auditkit.errors import InputError
from auditkit.log.lineage import Lineage
from auditkit.publish.history import History
from auditkit.publish.venue import Venue
from auditkit.verify.note import VerifierKey
from auditkit.verify.statements import Index


@dataclass(frozen=True, slots=True)
class Stretch:
    """What part of the log a file is about: after one index, up to another, from earlier heads."""

    index: Index
    since: Index | None
    heads: tuple[int, ...]

    @classmethod
    def of(
        cls, venue: Venue, since: int | None, heads: Iterable[int] = (), end: int | None = None
    ) -> Self:
        """After the index that was verified last, up to the one that ends the log of `end` entries.

        The head that `since` ended is among the earlier heads of itself.
        Raises InputError.
        """
        end = end or len(venue.history)
        first = None if since is None else _since_index(venue, since, end)
        for size in heads:
            if not 0 < size <= end or venue.history.perhaps_head(size) is None:
                raise InputError(f"--head: no checkpoint of {size} entries was ever signed")
        known = set(heads)
        if first and venue.history.perhaps_head(first.seq + 1):
            known.add(first.seq + 1)
        return cls(venue.log.index(end - 1), first, tuple(sorted(known)))


def _since_index(venue: Venue, since: int, end: int) -> Index:
    if not 0 <= since < end:
        raise InputError(f"--since: the log has no entry {since}; it has {end}")
    try:
        return venue.log.index(since)
    except InputError as error:
        raise InputError(f"--since: {error}") from None


@dataclass(frozen=True, slots=True)
class Signed:
    """The heads that are for whoever pinned a key: after what brought it, up to its last.

    `brought` and `retired` are the seqs of the changes of key; -1 where there is none.
    """

    brought: int
    retired: int
    end: int

    @classmethod
    def by(cls, key: VerifierKey, lineage: Lineage, history: History, last: int) -> Self:
        """Of the public heads, the last of which has the size `last`. Raises InputError."""
        if key not in lineage.keys:
            raise InputError(f"--for-key: {key} was never a key of this venue's")
        brought, retired = lineage.since(key), lineage.until(key)
        end = history.size_up_to(min(retired.retire, last) if retired else last)
        return cls(brought.seq if brought else -1, retired.seq if retired else -1, end)

    def least(self, seq: int, last: int) -> int:
        """The size above which a head covers `seq` and is for whoever pinned the key.

        The key signs it. Where what is shown ends with entry `last`, beyond
        the change that retires the key, the head covers that change too.
        """
        return max(seq, self.brought, self.retired if self.retired < last else -1)
