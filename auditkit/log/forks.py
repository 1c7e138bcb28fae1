"""How two checkpoints of one venue stand to each other (SPEC.md §4, "Forks").

They are of one log, or one extends the other, or they are a fork. That one
extends the other is shown by what a proof file holds, or by the tiles of a
published folder. Every path is checked by the kernel against a signed root,
so a file or folder that lies can hide a relation, but not make one up.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from auditkit.errors import ForkError, InputError, place
from auditkit.log.retired import Keys, folder_changes
from auditkit.log.tiles import Tree, folder
from auditkit.verify.earlier import key_changes, prefixes, readable
from auditkit.verify.errors import Incomplete, Malformed, NotVerified, Refuted, inside
from auditkit.verify.fork import Fork, fork_of, signers
from auditkit.verify.history import EMPTY_ROOT, check_consistency
from auditkit.verify.note import Checkpoint, VerifierKey
from auditkit.verify.proof import Proof

SHARED = "shared"
"""The step of a refusal that is about what two files show, and not about one of them."""
_MAX_NOTE_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Side:
    """A checkpoint to compare, by the name its reader knows it by; with its proof file, if any.

    `wrong` is what keeps that file from being read whole. It may show a fork all the same.
    """

    name: str
    head: Checkpoint
    file: Proof | None = None
    wrong: NotVerified | None = None

    @classmethod
    def parse(cls, name: str, data: bytes) -> Self:
        """Read a checkpoint or a proof file. Raises Malformed or Unsupported."""
        with inside(name):
            if data.lstrip(b" \t\r\n")[:1] != b"{":
                return cls(name, _parse_note(data))
            try:
                file = Proof.parse(data)
            except NotVerified as error:
                try:
                    file = readable(data)
                except Malformed:
                    raise error from None
                return cls(name, file.checkpoint, file, error.inside(name))
            return cls(name, file.checkpoint, file)


@dataclass(frozen=True, slots=True)
class Related:
    """Two checkpoints of one log, and what shows it.

    `unseen` says why the published folder could not be held against both.
    """

    earlier: Side
    later: Side
    shown: tuple[str, ...]
    unseen: tuple[str, ...] = ()

    @property
    def same(self) -> bool:
        """Whether they cover the same entries."""
        return self.earlier.head.size == self.later.head.size


def compare(
    one: Side, other: Side, keys: Sequence[VerifierKey], public: Path | None = None
) -> Related:
    """Compare two checkpoints of one venue, also with the log of a published folder.

    Raises Refuted where one is not signed by one of `keys`, or only by such as a
    file or the folder shows to be retired by then; ForkError with evidence where
    two checkpoints are a fork, Refuted where two proof files are of two histories
    without a path that could be evidence, and Incomplete where nothing shows how
    the two stand to each other. A file that could not be read whole is refused
    as it would have been, unless it shows a fork.
    """
    try:
        found = _compare(one, other, keys, public)
    except NotVerified:
        _refuse_wrong(one, other)
        raise
    _refuse_wrong(one, other)
    return found


def _refuse_wrong(*sides: Side) -> None:
    for side in sides:
        if side.wrong is not None:
            raise side.wrong


def _compare(one: Side, other: Side, keys: Sequence[VerifierKey], public: Path | None) -> Related:
    known = Keys(keys)
    earlier, later = sorted((one, other), key=lambda side: side.head.size)
    for side in (one, other):
        with inside(side.name):
            signers(side.head, known.all)
            _check_empty(side.head)
        known.learn(() if side.file is None else key_changes(side.file))
    tiles = None if public is None else _Folder(public, known)
    if tiles is not None:
        tiles.learn(later.head.size)
    for side in (one, other):
        with inside(side.name):
            known.signers(side.head)
    shown, lacks = _by_themselves(earlier, later, known)
    unseen: list[str] = []
    if tiles is not None:
        shown += tiles.holds(earlier, later)
        unseen = list(dict.fromkeys(tiles.lacks))
    if shown:
        return Related(earlier, later, tuple(shown), tuple(unseen))
    _check_common(earlier, later)
    size = earlier.head.size
    if size == 0:
        raise Incomplete(f"every log extends an empty one: {earlier.name} says nothing")
    raise Incomplete(
        f"nothing shows whether the log of {later.head.size} entries extends the one of {size}",
        expected=f"a proof file with consistency from size {size}, or the published folder "
        f"with the tiles of {later.head.size} entries (--log)",
        found="; ".join(unseen or [lacks]),
    )


def _by_themselves(earlier: Side, later: Side, keys: Keys) -> tuple[list[str], str]:
    """What the two show of each other, if anything; and what they lack. Raises ForkError."""
    size = earlier.head.size
    if later.head.size == size:
        _meet(earlier, later, keys)
        return ["one size and one root"], ""
    if later.file is None:
        return [], f"{later.name} is a checkpoint alone"
    shown: list[str] = []
    for prefix, path in prefixes(later.file, size, earlier.head.root):
        _meet(earlier, later, keys, prefix, path)
        shown = [f"a path in {later.name}"]
    return shown, f"{later.name} holds no path from {size} entries"


def _meet(
    one: Side,
    other: Side,
    keys: Keys,
    prefix: bytes | None = None,
    path: tuple[bytes, ...] = (),
) -> None:
    """Raises ForkError unless the log of `other` begins with that of `one`.

    `prefix` is the root of its first entries and `path` shows it, as in `fork.Fork`.
    """
    found = other.head.root if prefix is None else prefix
    if found == one.head.root:
        return
    if prefix is None:
        what = f"{one.name} and {other.name} are of one size and have different roots"
    else:
        what = f"the log of {other.name} does not begin with the entries that {one.name} covers"
    evidence = fork_of(one.head, other.head, prefix, path)
    raise ForkError(what, evidence, *_needed(evidence, keys))


def _needed(evidence: Fork, keys: Keys) -> tuple[VerifierKey, ...]:
    """Of `keys`, one that signed both checkpoints and may; else all of them."""
    second = keys.signers(evidence.second)
    return tuple(key for key in evidence.check(*keys.all) if key in second)[:1] or keys.all


class _Folder:
    """A published folder, whose tiles and checkpoints are believed only where they are signed."""

    def __init__(self, public: Path, keys: Keys) -> None:
        if not public.is_dir():
            raise InputError(f"{place(public)}: no such folder")
        if not (public / "checkpoint").is_file():
            raise InputError(
                f"{place(public)}: is no published log, since it has no file checkpoint; give the "
                "venue's public/, or a copy of it"
            )
        self._public, self._keys = public, keys
        self.lacks: list[str] = []
        """Why it does not show what it was asked, a sentence each."""

    def learn(self, size: int) -> None:
        """Mind the changes of key among its first `size` entries, as far as a signed head has them.

        One beyond them retires no key that could have signed a head of that size.
        """
        top = self._signed("checkpoint")
        if top is not None:
            self._keys.learn(folder_changes(self._public, top.head, size))
        self.lacks.clear()

    def holds(self, earlier: Side, later: Side) -> list[str]:
        """What shows that both are of one log, if anything. Raises ForkError.

        Its own checkpoints are compared with both too: a fork with them is a
        fork of the venue, whichever of the two the folder agrees with.
        """
        shown = []
        if earlier.head.size != later.head.size and self._extends(earlier, later):
            shown.append(f"the tiles of {place(self._public)}")
        for side in (earlier, later):
            if (same := self._signed(f"checkpoints/{side.head.size}")) is not None:
                self._extends(side, same)
        if (top := self._signed("checkpoint")) is not None:
            held = [self._extends(side, top) for side in (earlier, later)]
            if all(held):
                shown.append(f"the {top.head.size} entries of {top.name}, of which both are")
        return shown

    def _extends(self, one: Side, other: Side) -> bool:
        """Whether the folder shows that `other` extends `one`. Raises ForkError if it is a fork."""
        size, whole = one.head.size, other.head.size
        if size == whole:
            _meet(one, other, self._keys)
            return True
        if size == 0 or size > whole:
            self.lacks.append(f"{other.name} has {whole} entries, {one.name} {size}")
            return False
        tree = Tree(whole, folder(self._public))
        try:
            prefix, path = tree.prefix_root(size), tree.consistency(size)
            check_consistency(size, prefix, whole, other.head.root, path)
        except InputError as error:
            self.lacks.append(str(error))
            return False
        except Refuted:
            self.lacks.append(
                f"the tiles of {place(self._public)} do not lead to the signed root of {whole} "
                "entries"
            )
            return False
        _meet(one, other, self._keys, prefix, path)
        return True

    def _signed(self, name: str) -> Side | None:
        """A checkpoint of the folder, if it has it and one of the keys signed it."""
        path = self._public / name
        if not path.is_file():
            return None
        with path.open("rb") as file:
            data = file.read(_MAX_NOTE_BYTES)
        try:
            head = _parse_note(data)
            self._keys.signers(head)
        except NotVerified as error:
            self.lacks.append(f"{place(path)}: {error.what}")
            return None
        return Side(place(path), head)


def _check_common(earlier: Side, later: Side) -> None:
    """Raises Refuted where two proof files show that their logs differ before the earlier's end."""
    if earlier.file is None or later.file is None:
        return
    begun = [
        {
            entry.seq: {root for root, _ in prefixes(file, entry.seq + 1, b"")}
            for entry in file.statements
        }
        for file in (earlier.file, later.file)
    ]
    for seq in sorted(begun[0].keys() & begun[1].keys()):
        shown = [roots[seq] for roots in begun]
        if all(shown) and shown[0] != shown[1]:
            raise Refuted(
                f"two histories: up to entry {seq}, which both files show, their logs differ",
                expected=f"one root of the first {seq + 1} entries",
                found=" and ".join(root.hex()[:16] for roots in shown for root in roots),
                step=SHARED,
            )


def _parse_note(data: bytes) -> Checkpoint:
    try:
        return Checkpoint.parse(data.decode("utf-8"))
    except UnicodeDecodeError:
        raise Malformed("a checkpoint is UTF-8") from None


def _check_empty(head: Checkpoint) -> None:
    if head.size == 0 and head.root != EMPTY_ROOT:
        want, got = EMPTY_ROOT.hex(), head.root.hex()
        raise Refuted("the root of no entries is another", expected=want, found=got)
