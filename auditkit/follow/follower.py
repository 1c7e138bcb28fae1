"""One round of a follower (SPEC.md §4, "Followers").

1. Fetch the head; it is signed by the key pinned, or one that the log put in its place.
2. Hold it against the head remembered. An older one is told from a fork by the own log.
3. Fetch what is new, recompute every hash up to the signed root, and hold every statement
   against every rule that a log alone shows.
4. Heads that were signed are still served.
5. Remember the head; and the entries as checked, if no rule is broken.

Whatever fails, what was remembered before stays.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

from auditkit import __version__
from auditkit.errors import InputError
from auditkit.follow.evidence import met
from auditkit.follow.extend import GONE, check_empty, check_not_older, explain, served_heads
from auditkit.follow.inventory import EVIDENCE
from auditkit.follow.mirror import Stage
from auditkit.follow.source import Folder, Source, read_bundle, read_note
from auditkit.follow.state import FORMAT, Known, Memory, State
from auditkit.log.breach import Breach, Breaches
from auditkit.log.bundles import BUNDLE, bundle_path
from auditkit.log.growth import Growth
from auditkit.log.lineage import Lineage
from auditkit.log.monitor import Monitor
from auditkit.verify.errors import Incomplete, Refuted
from auditkit.verify.fork import signers
from auditkit.verify.history import leaf_hash
from auditkit.verify.note import Checkpoint, VerifierKey

Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Round:
    """What a round came to: the head is signed, and extends the one of `before` entries.

    `breaches` are those beyond the `checked` entries; of these `known` were
    reported by an earlier round. `accepted` are passed over. `keys` signed the
    head, and `time` is its last entry's, in milliseconds, if that can be read.
    `met` are the files in the state that prove a fork met before.
    """

    head: Checkpoint
    before: int
    checked: int
    breaches: tuple[Breach, ...]
    known: tuple[Breach, ...]
    accepted: tuple[Known, ...]
    keys: tuple[VerifierKey, ...]
    time: int | None
    met: tuple[str, ...]


class Follower:
    """Follows one log from `source`, and remembers in `state`."""

    def __init__(
        self,
        source: Source,
        state: State,
        key: VerifierKey,
        accept: Sequence[Known] = (),
        progress: Progress | None = None,
    ) -> None:
        """`accept` are breaches that were looked into, and are passed over from now on.

        Raises InputError if the state is another venue's, or what is to be followed.
        """
        memory = state.memory
        if memory is not None and memory.key.name != key.name:
            raise InputError(f"--state: is a follower's of {memory.key.name}, not of {key.name}")
        if isinstance(source, Folder) and source.root.samefile(state.root):
            raise InputError("--state: is the folder to be followed itself; name another one")
        self._source, self._state, self._key = source, state, key
        self._accept = tuple(accept)
        self._progress = progress or (lambda *_: None)

    def round(self) -> Round:
        """Fetch, check and remember.

        Raises ForkError with evidence; Refuted where what is served is false,
        Malformed where the head is no head; Incomplete where it is older than
        the one remembered, or not all is served; FetchError where something
        cannot be fetched now; DamagedError where the state is damaged;
        InputError where the key is neither the state's nor the log's.
        """
        seen = self._state.memory.head if self._state.memory else None
        head = self._head()
        stage, monitor = self._fetched(head, seen, reuse=True)
        lineage = self._lineage(monitor)
        # Again, because what was fetched may have retired the key that signed the head.
        signers(head, self._trusted(head.size, lineage))
        found = monitor.breaches() + self._signed(head, lineage)
        heads = [(each, self._trusted(each.size, lineage)) for each in (head, *self._earlier())]
        found += served_heads(self._source, heads)
        return self._remember(head, stage, monitor, found, lineage)

    def _earlier(self) -> list[Checkpoint]:
        """The head remembered, and those that were not served when they were looked for."""
        memory = self._state.memory
        if memory is None:
            return []
        gone = [each.seq + 1 for each in memory.reported if each.rule == GONE]
        own = Folder(self._state.root)
        return [memory.head, *(read_note(own, f"checkpoints/{size}") for size in gone)]

    def _lineage(self, monitor: Monitor) -> Lineage:
        """The venue's keys as far as the log was read."""
        memory, changes = self._state.memory, tuple(monitor.changes)
        first = memory.key if memory else self._key
        return Lineage(changes[0].old if changes else first, changes)

    def _head(self) -> Checkpoint:
        """Step 1."""
        try:
            return read_note(self._source, "checkpoint")
        except FileNotFoundError:
            raise Incomplete(
                "no log is served there", expected="a file checkpoint", found="no such file"
            ) from None

    def _fetched(
        self, head: Checkpoint, seen: Checkpoint | None, *, reuse: bool
    ) -> tuple[Stage, Monitor]:
        """Steps 1 to 3: the files of what is new, and a monitor that saw all of the log."""
        state, mirror = self._state, self._state.mirror
        stage = state.stage()
        monitor, growth = self._resumed(stage), mirror.growth()
        lineage = self._lineage(monitor)
        signers(head, self._trusted(head.size, lineage))
        keys = tuple(dict.fromkeys((self._key, *lineage.keys)))
        check_empty(head)
        if seen is not None:
            check_not_older(head, seen, mirror, keys)
        odd = self._fetch(head.size, growth, monitor, stage, reuse=reuse)
        if growth.root() != head.root:
            if stage.reused:
                # What an earlier round left may have been false, and this one's may be true.
                stage.clear()
                return self._fetched(head, seen, reuse=False)
            explain(self._source, head, seen, stage, growth.root(), keys)
        if odd:
            raise Refuted("serves other entries than those remembered", where=odd)
        return stage, monitor

    def _trusted(self, size: int, lineage: Lineage) -> tuple[VerifierKey, ...]:
        """The keys of which one has to have signed a head of that size.

        A key that its owner gives in place of the one remembered has to be the
        log's own in the end, which `_signed` sees to.
        """
        return lineage.signers(size) if self._key in lineage.keys else (self._key,)

    def _resumed(self, stage: Stage) -> Monitor:
        """A monitor that knows what was checked before, and has seen all of the own log."""
        memory, mirror = self._state.memory, self._state.mirror
        monitor = Monitor(self._key.name, stage.entry)
        if memory is not None and memory.version == __version__:
            monitor.resume(mirror.entries(memory.kept), memory.checked)
        for _, entry in mirror.entries(range(monitor.size, mirror.size)):
            monitor.see(entry)
        return monitor

    def _fetch(
        self, size: int, growth: Growth, monitor: Monitor, stage: Stage, *, reuse: bool
    ) -> str:
        """Fetch up to `size` entries; the path of a bundle that begins with other known ones."""
        start, odd = growth.size, ""
        for number in range(start // BUNDLE, -(-size // BUNDLE)) if size > start else ():
            width = min(BUNDLE, size - number * BUNDLE)
            entries = stage.had(number) if reuse and width == BUNDLE else None
            if entries is None:
                entries = read_bundle(self._source, number, width)
            known = max(0, start - number * BUNDLE)
            own = self._state.mirror.entries(range(start - known, start))
            if entries[:known] != [entry for _, entry in own]:
                odd = bundle_path(number, width)
            stage.put(number, entries)
            for entry in entries[known:]:
                growth.append(leaf_hash(entry))
                monitor.see(entry)
            stage.put_tiles(growth.take_full())
            self._progress(number * BUNDLE + width, size)
        stage.put_tiles(growth.edge() if size > start else ())
        return odd

    def _signed(self, head: Checkpoint, lineage: Lineage) -> list[Breach]:
        """Whether the changes of key are the pinned one's, and the head carries their lines."""
        found, memory = Breaches(), self._state.memory
        if self._key not in lineage.keys:
            keys = ", ".join(map(str, lineage.keys))
            if memory is not None and memory.key != self._key:
                raise InputError(f"--key: {self._key} is not a key of this log: {keys}")
            what = "the log's changes of key do not begin from the pinned one"
            found.add("key", lineage.changes[0].seq, what, str(self._key), keys)
            return found.found
        for key in lineage.signers(head.size):
            try:
                head.open(key)
            except Refuted as error:
                what = f"the checkpoint of {head.size} entries: "
                found.refused("key", max(0, head.size - 1), error, what)
        return found.found

    def _remember(
        self,
        head: Checkpoint,
        stage: Stage,
        monitor: Monitor,
        found: list[Breach],
        lineage: Lineage,
    ) -> Round:
        """Step 5."""
        old = self._state.memory
        accepted = dict.fromkeys((*(old.accepted if old else ()), *self._accept))
        told = {*map(known, found), *(old.accepted if old else ())}
        # Nobody has looked into those that are only counted.
        left = tuple(breach for breach in found if breach.more or known(breach) not in accepted)
        memory = Memory(
            FORMAT,
            self._key,
            head,
            old.checked if old else 0,
            old.kept if old else (),
            tuple(dict.fromkeys(map(known, left))),
            tuple(each for each in accepted if each in told),
            old.version if old else __version__,
        )
        if not left:
            kept = tuple(monitor.kept())
            memory = replace(memory, checked=head.size, kept=kept, version=__version__)
        if memory != old:
            self._state.advance(memory, stage)
        earlier = frozenset(old.reported if old else ())
        return Round(
            head,
            old.head.size if old else 0,
            memory.checked,
            left,
            tuple(breach for breach in left if known(breach) in earlier),
            memory.accepted,
            lineage.signers(head.size),
            monitor.time,
            self._met(lineage),
        )

    def _met(self, lineage: Lineage) -> tuple[str, ...]:
        """The evidence in the state folder."""
        root = self._state.root
        paths = sorted(path.name for path in root.iterdir() if EVIDENCE.fullmatch(path.name))
        return met(Folder(root), paths, partial(self._trusted, lineage=lineage))


def known(breach: Breach) -> Known:
    """How a breach is remembered."""
    return Known(breach.rule, breach.seq)
