"""Changing a venue's key (SPEC.md §5, `key`): both sign for a while, then only the new one.

    with venue.publishing(signers.beside(new), None) as draft:
        venue.learn(new.verifier, place)
        change = rotation.publish(draft, new.verifier, Retire(after=1000))

One change at a time: a second one waits until the first is over, so no more
than two keys ever sign. A key that was the venue's once does not come back,
since whoever knows the entry that retired it would refuse it for good.
"""

from dataclasses import dataclass

from auditkit.errors import InputError
from auditkit.log.lineage import Lineage
from auditkit.publish.draft import Draft
from auditkit.verify.elements import INTEGER_LIMIT
from auditkit.verify.note import VerifierKey
from auditkit.verify.statements import Key


@dataclass(frozen=True, slots=True)
class Retire:
    """When the old key retires: the last size it signs, or so many entries after the change."""

    size: int | None = None
    after: int = 0

    def at(self, covered: int) -> int:
        """The last size, if `covered` is the size of the first head that covers the change.

        Raises InputError if the old key would not sign that head.
        """
        size = covered + self.after if self.size is None else self.size
        if size < covered:
            raise InputError(
                f"--retire: {size} is too small; the old key must sign the checkpoint that covers "
                f"the change, of {covered} entries"
            )
        if size >= INTEGER_LIMIT:
            raise InputError(f"--retire: {size} is too large; a size is below 2^53")
        return size


def publish(draft: Draft, new: VerifierKey, retire: Retire) -> Key:
    """Log that `new` takes the place of the venue's key. Raises InputError."""
    lineage, covered = draft.lineage, draft.seq + 2
    _check_new(lineage, new, draft.seq)
    if lineage.changes and covered <= lineage.changes[-1].retire:
        last = lineage.changes[-1]
        raise InputError(
            f"the change of key in entry {last.seq} lasts up to {last.retire} entries, and the log "
            f"would have {covered}; the next change can be published beyond that"
        )
    return draft.add(Key, new=new, old=lineage.newest, retire=retire.at(covered))


def _check_new(lineage: Lineage, new: VerifierKey, size: int) -> None:
    keys, venue = lineage.keys, lineage.first.name
    if new.name != venue:
        raise InputError(f"--new-key: is a key of {new.name}, not of {venue}; make one for {venue}")
    if new == keys[-1]:
        raise InputError("--new-key: is the venue's key already; make a new one")
    change = lineage.until(new)
    if change is not None and size < change.retire:
        raise InputError(
            f"--new-key: is being replaced and signs up to {change.retire} entries; the venue's "
            f"key after it is {change.new}; make a new one for the next change"
        )
    if new in keys:
        raise InputError("--new-key: was the venue's key before and is retired; make a new one")
    if new.id in [key.id for key in keys]:
        raise InputError(
            "--new-key: has the key id of another key of the venue, so a checkpoint could not "
            "carry lines of both; make a new one"
        )
