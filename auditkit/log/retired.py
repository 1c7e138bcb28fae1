"""Which of a reader's keys count on a head, by the changes of key that files and folders show.

A thief may have a key that the venue has changed since. What it signs beyond the
size at which the log retires it counts for nothing (SPEC.md §4). This room knows only
the changes that it is told; where the whole log was read, `lineage.py` decides.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path

from auditkit.errors import InputError
from auditkit.log.bundles import BUNDLE
from auditkit.log.entries import read_statement
from auditkit.log.published import bundle
from auditkit.log.tiles import Tree, folder
from auditkit.verify.errors import Malformed, Refuted, Unsupported
from auditkit.verify.fork import signers
from auditkit.verify.history import check_inclusion, leaf_hash
from auditkit.verify.note import Checkpoint, VerifierKey
from auditkit.verify.statements import Key

_MARK = f'"format":"auditkit/{Key.kind}/'.encode()


class Keys:
    """The keys that a reader knows to be a venue's, and the sizes that retire some of them."""

    def __init__(self, keys: Iterable[VerifierKey]) -> None:
        self.all = tuple(keys)
        self._changes: dict[VerifierKey, Key] = {}

    def learn(self, changes: Iterable[Key]) -> None:
        """Mind these changes of key too."""
        for change in changes:
            known = self._changes.setdefault(change.old, change)
            self._changes[change.old] = min(change, known, key=lambda each: each.retire)

    def signers(self, head: Checkpoint) -> tuple[VerifierKey, ...]:
        """Those that signed the head and may. Raises Refuted if there is none."""
        signed = signers(head, self.all)
        retired = {key: self._changes[key] for key in signed if key in self._changes}
        late = {key: change for key, change in retired.items() if head.size > change.retire}
        if kept := tuple(key for key in signed if key not in late):
            return kept
        change = late[signed[0]]
        raise Refuted(
            "the key that signed the checkpoint is retired",
            expected=f"at most {change.retire} entries, or the new key {change.new}",
            found=f"{head.size} entries",
        )


def folder_changes(public: Path, head: Checkpoint, size: int) -> Iterator[Key]:
    """The changes among the first `size` entries of a published folder that are in `head`'s log.

    It ends where an entry is missing. What does not lead to the root of the head, is passed over.
    """
    tree = Tree(head.size, folder(public))
    for number in range(-(-min(size, head.size) // BUNDLE)):
        try:
            entries = bundle(public, number, min(BUNDLE, head.size - number * BUNDLE))
        except InputError:
            return
        for seq, entry in enumerate(entries, number * BUNDLE):
            if _MARK not in entry:
                continue
            try:
                path = tree.inclusion(seq)
                check_inclusion(leaf_hash(entry), seq, head.size, head.root, path)
                if isinstance(change := read_statement(entry), Key):
                    yield change
            except (InputError, Malformed, Refuted, Unsupported):
                continue
