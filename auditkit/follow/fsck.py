"""A published folder, or a follower's own, checked offline: every file, every hash, every rule.

1. What lies there, by its name, and every signed head that can be read.
2. Every entry and tile once, up to the largest head; every statement against every rule.
3. Every head carries the lines of the keys that signed at its size.
4. The largest such head that a tree of the folder has tells which files are wrong; and every
   other head is one of its log. Two of one size need no tree to be a fork, and a file that
   holds evidence of one needs nothing else.
5. What should be there and is not; the venue's keys; what a follower remembers.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from auditkit.errors import InputError
from auditkit.follow.evidence import proven
from auditkit.follow.extend import conflict
from auditkit.follow.heads import Head, Signatures, check_lineage, read_heads
from auditkit.follow.inventory import HEAD, Inventory
from auditkit.follow.judge import Problem, judge, lacking, side_of
from auditkit.follow.source import Folder, tree
from auditkit.follow.state import read_memory
from auditkit.follow.survey import Files, Side, Survey
from auditkit.log.breach import Breach
from auditkit.log.bundles import BUNDLE
from auditkit.log.lineage import Lineage
from auditkit.log.monitor import Monitor
from auditkit.verify.errors import Malformed, NotVerified, Refuted
from auditkit.verify.note import Checkpoint, VerifierKey

_MAX_VKEY = 1 << 12
_NO_KEY = "is not a key of this log"
_OTHER = "the log of {} does not begin with the entries that it covers"


@dataclass(frozen=True, slots=True)
class Checked:
    """What a check of a folder came to.

    `head` is the largest head that holds, `keys` are those that signed it.
    `files` and `heads` were checked; `ruled` entries were held against the
    rules of a venue. `policies` are offers that nothing signs, of `others` nobody
    knows what they should be, and `beyond` files hold more than what is signed.
    """

    head: Checkpoint | None
    keys: tuple[VerifierKey, ...]
    files: int
    heads: int
    ruled: int
    problems: tuple[Problem, ...]
    breaches: tuple[Breach, ...]
    policies: tuple[str, ...]
    others: tuple[str, ...]
    beyond: int


class Fsck:
    """The check of one folder under the key that its reader pinned."""

    def __init__(
        self,
        root: Path,
        key: VerifierKey,
        *,
        any_log: bool = False,
        progress: Callable[[int, int], None] | None = None,
    ) -> None:
        """With `any_log`, only the tree and the signatures, of whatever C2SP log it is."""
        self._root, self._key, self._any = root, key, any_log
        self._source = Folder(root)
        self._progress = progress or (lambda *_: None)
        self._signatures = Signatures()
        self._found = Inventory.of(root)
        self._problems: list[Problem] = []
        self._unended: set[int] = set()

    def run(self) -> Checked:
        """Check everything. Raises ForkError where the folder proves two histories."""
        heads, odd = read_heads(self._source, self._found, any_log=self._any)
        self._problems += odd
        self._signatures.prepare(heads, self._key)
        survey = Survey(Files(self._root, self._found), self._size(heads), [h.size for h in heads])
        monitor = Monitor(self._key.name, self._entry)
        survey.walk(self._see(monitor, {h.size for h in heads}), self._progress)
        changes = tuple(monitor.changes)
        lineage = Lineage(changes[0].old if changes else self._key, changes)
        signed = self._signed(heads, lineage)
        head, truth = self._judged(signed, survey)
        known = self._check_forks(signed, survey, lineage)
        others = self._check_evidence(known)
        self._check_log(signed, head, truth)
        self._problems += lacking(survey, () if self._any else (h.size for h in signed))
        whole = truth is not None and truth is survey.bundles and survey.seen == survey.size
        self._check_keys(lineage, whole=whole)
        self._check_memory(signed)
        ruled = survey.size if whole and not self._any else 0
        return Checked(
            None if head is None else head.checkpoint,
            () if head is None else lineage.signers(head.size),
            len(self._found),
            len(heads),
            ruled,
            tuple(dict.fromkeys(self._problems)),
            tuple(self._breaches(monitor, signed)) if ruled else (),
            tuple(self._found.policies),
            (*self._found.others, *others),
            survey.files.beyond(survey.size),
        )

    def _size(self, heads: Iterable[Head]) -> int:
        """How far to read: as the head says, or a larger one that the pinned key signed."""
        return max(
            (
                head.size
                for head in heads
                if head.file == HEAD or self._signatures.holds(head, (self._key,))
            ),
            default=0,
        )

    def _entry(self, seq: int) -> bytes:
        """An entry that the walk has passed."""
        number, at = divmod(seq, BUNDLE)
        entries, _ = Files(self._root, self._found).widest_bundle(number, at + 1)
        return entries[at] if entries else b""

    def _see(self, monitor: Monitor, sizes: set[int]) -> Callable[[bytes], None]:
        if self._any:
            return lambda _: None

        def see(entry: bytes) -> None:
            monitor.see(entry)
            if monitor.size in sizes and not monitor.ended():
                self._unended.add(monitor.size)

        return see

    def _valid(self, head: Head, lineage: Lineage) -> tuple[VerifierKey, ...]:
        """The keys whose lines a head carries."""
        return (self._key,) if self._any else lineage.signers(head.size)

    def _signed(self, heads: list[Head], lineage: Lineage) -> list[Head]:
        """The heads that carry the lines they must carry, ascending by size."""
        signed = []
        for head in heads:
            try:
                self._signatures.check(head, self._valid(head, lineage))
            except Refuted as error:
                self._problems.append(Problem.of(head.file, error))
            else:
                signed.append(head)
        origin = self._key.name
        if self._any and signed:
            origin = max(signed, key=lambda head: head.size).checkpoint.origin
        for head in [each for each in signed if each.checkpoint.origin != origin]:
            told = origin, head.checkpoint.origin
            self._problems.append(Problem(head.file, "a head of another log", *told))
            signed.remove(head)
        if signed and not self._any:
            try:
                check_lineage(signed, self._key, lineage, self._signatures)
            except Refuted as error:
                self._problems.append(Problem.of(HEAD, error))
        return sorted(signed, key=lambda head: (head.size, head.file))

    def _judged(self, signed: list[Head], survey: Survey) -> tuple[Head | None, Side | None]:
        """The largest head that a tree of the folder has, and that tree."""
        for _, same in groupby(reversed(signed), key=lambda head: head.size):
            for head in (several := list(same)):
                truth = side_of(survey, head.size, head.checkpoint.root)
                if truth is not None:
                    self._problems += judge(survey, truth)
                    return head, truth
            if several[0].size <= survey.end:
                break  # Everything is there, and it is not what was signed.
        self._problems += judge(survey, None)
        if signed and signed[-1].size <= survey.end:
            head = signed[-1]
            self._problems.append(
                Problem(
                    head.file,
                    "the entries and tiles of the folder are not those that it was signed for",
                    head.checkpoint.root.hex(),
                    survey.bundles.roots[head.size].hex(),
                )
            )
        return None, None

    def _check_forks(self, signed: list[Head], survey: Survey, lineage: Lineage) -> Lineage:
        """Raises ForkError for two heads of one size, or one that another's tree denies.

        Returns the keys that count.
        """
        top, truth = None, None
        for top in reversed(signed):
            if (truth := side_of(survey, top.size, top.checkpoint.root)) is not None:
                break
        if not self._any:
            lineage = self._proven(signed, top, truth if truth is survey.bundles else None, lineage)
        keys = (self._key,) if self._any else lineage.keys
        heads = [
            each for each in signed if self._signatures.holds(each, self._valid(each, lineage))
        ]
        for _, same in groupby(heads, key=lambda head: head.size):
            one, *others = same
            for other in others:
                if other.checkpoint.root != one.checkpoint.root:
                    what = f"is of the same size as {other.file}, and has another root"
                    self._conflict(one, other, what, keys)
        if top is None or truth is None or top not in heads:
            return lineage
        for head in heads:
            if head.size < top.size and head.checkpoint.root != truth.roots[head.size]:
                self._conflict(head, top, _OTHER.format(top.file), keys)
        return lineage

    def _check_evidence(self, lineage: Lineage) -> list[str]:
        """Raises ForkError for a file that proves a fork of this venue; the others are nothing."""
        for path in self._found.evidence:
            if (fork := proven(self._source, path, lineage.signers)) is not None:
                raise fork
        return self._found.evidence

    def _proven(
        self, signed: list[Head], top: Head | None, truth: Side | None, lineage: Lineage
    ) -> Lineage:
        """The keys over time, as far as heads of one log lead to them from the pinned key.

        Whoever wrote the folder may have written its changes of key too, and a
        stranger's key is nobody's word against the venue.
        """
        pinned = Lineage(self._key)
        if top is None or truth is None:
            return pinned
        ours = [each for each in signed if truth.roots.get(each.size) == each.checkpoint.root]
        changes = tuple(change for change in lineage.changes if change.seq < top.size)
        known = Lineage(lineage.first, changes) if changes else pinned
        try:
            check_lineage(ours, self._key, known, self._signatures)
        except Refuted:
            return pinned
        return known

    def _check_log(self, signed: list[Head], top: Head | None, truth: Side | None) -> None:
        """Every head is one of the same log."""
        if top is None or truth is None:
            return
        for head in signed:
            if head.size not in truth.roots:
                what = f"the entries up to {head.size} are not there"
                self._problems.append(Problem(head.file, what, missing=True))
            elif head.checkpoint.root != truth.roots[head.size]:
                self._problems.append(Problem(head.file, _OTHER.format(top.file)))
        if not self._any and (path := f"checkpoints/{top.size}") not in self._found.heads:
            self._problems.append(Problem(path, "no such file", missing=True))

    def _conflict(self, head: Head, top: Head, what: str, keys: Sequence[VerifierKey]) -> None:
        """Two heads that are signed, and not of one log. Raises ForkError if they prove it."""
        try:
            first, second = (Checkpoint.parse(str(x.checkpoint.note)) for x in (head, top))
            tiles = tree(self._source, top.size)
            raise conflict(f"{head.file}: {what}", first, second, tiles, keys)
        except (Malformed, InputError, Refuted):
            # Of a log that is no venue's, or without the tiles, there is no evidence to be made.
            self._problems.append(Problem(head.file, what))

    def _check_keys(self, lineage: Lineage, *, whole: bool) -> None:
        """Every file of a verifier key holds the one that its name says, as it is spelled.

        A venue's folder has them all; a follower's has the one that it was told. If not
        `whole`, the log may have changes of key that were not seen.
        """
        keys = (self._key,) if self._any else lineage.keys
        named = {f"keys/{key.id.hex()}.vkey": key for key in keys} if not self._any else {}
        if not self._any and not self._found.own:
            named = {"venue.vkey": lineage.first} | (named if lineage.changes else {})
            for path in [path for path in named if whole and path not in self._found.keys]:
                self._problems.append(Problem(path, "no such file", missing=True))
        for path in self._found.keys:
            try:
                text = self._source.read(path, _MAX_VKEY).decode("utf-8", "replace")
                key = str(VerifierKey.parse(text.removesuffix("\n")))
                known = [str(named[path])] if path in named else sorted(map(str, keys))
                if key not in known:
                    what = "is not the key that its name says" if path in named else _NO_KEY
                    raise Refuted(what, expected=", ".join(known), found=key)
                if path.startswith("keys/") and path not in named and not self._any:
                    raise Refuted(f"is not named by a key of this log: {key}")
            except NotVerified as error:
                error.where = ""
                self._problems.append(Problem.of(path, error))

    def _check_memory(self, signed: list[Head]) -> None:
        """What a follower remembers is a head of the folder."""
        for path in self._found.own:
            try:
                memory = read_memory(self._root / path)
                if memory.head not in [head.checkpoint for head in signed]:
                    raise Refuted(
                        "remembers a head that is not there", found=f"{memory.head.size} entries"
                    )
            except NotVerified as error:
                self._problems.append(Problem.of(path, error))

    def _breaches(self, monitor: Monitor, signed: list[Head]) -> list[Breach]:
        found = monitor.breaches()
        told = {breach.seq for breach in found if breach.rule == "head-no-index"}
        sizes = {head.size for head in signed}
        for size in sorted((self._unended & sizes) - {seq + 1 for seq in told}):
            what = f"the checkpoint of {size} entries does not end in an index"
            found.append(Breach("head-no-index", size - 1, what))
        return sorted(found, key=lambda breach: breach.seq)
