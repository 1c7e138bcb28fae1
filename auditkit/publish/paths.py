"""Paths of the history log (SPEC.md §4), from a few public hash tiles instead of all entries.

What comes from a tile is checked against the signed head. Where that does not
hold, or a tile is missing, the path is made from the log's own leaf hashes;
so a proof never depends on what lies in `public/`, only its speed does.
"""

from collections.abc import Callable
from pathlib import Path

from auditkit.errors import InputError
from auditkit.log.tiles import Tree, folder
from auditkit.publish.history import History
from auditkit.verify.errors import Refuted
from auditkit.verify.history import check_consistency, check_inclusion, leaf_hash
from auditkit.verify.note import Checkpoint

Hashes = tuple[bytes, ...]


class Paths:
    """The paths of one log, each made once."""

    def __init__(self, history: History, public: Path) -> None:
        self._history = history
        self._read = folder(public)
        self._trees: dict[int, Tree] = {}
        self._known: dict[tuple[str, int, int], Hashes] = {}

    def inclusion(self, seq: int, head: Checkpoint) -> Hashes:
        """The inclusion path of an entry below a signed head."""

        def check(path: Hashes) -> None:
            leaf = leaf_hash(self._history.entry(seq))
            check_inclusion(leaf, seq, head.size, head.root, path)

        return self._made("in", seq, head, Tree.inclusion, check)

    def consistency(self, size: int, head: Checkpoint) -> Hashes:
        """The consistency path from the signed head of `size` to a later one."""

        def check(path: Hashes) -> None:
            earlier = self._history.head(size)
            check_consistency(size, earlier.root, head.size, head.root, path)

        return self._made("from", size, head, Tree.consistency, check)

    def _made(
        self,
        kind: str,
        number: int,
        head: Checkpoint,
        make: Callable[[Tree, int], Hashes],
        check: Callable[[Hashes], None],
    ) -> Hashes:
        key = (kind, number, head.size)
        if key not in self._known:
            try:
                path = make(self._tree(head.size), number)
                check(path)
            except (InputError, OSError, Refuted):
                # From here on this head's tiles are those of the log itself.
                self._trees[head.size] = self._history.tree(head.size)
                path = make(self._trees[head.size], number)
            self._known[key] = path
        return self._known[key]

    def _tree(self, size: int) -> Tree:
        if size not in self._trees:
            self._trees[size] = Tree(size, self._read)
        return self._trees[size]
