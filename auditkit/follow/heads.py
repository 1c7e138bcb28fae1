"""The signed heads of a folder: who signed each, and which keys lead to which (SPEC.md §4)."""

import signal
from collections.abc import Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from functools import partial

from auditkit.follow.inventory import HEAD, Inventory
from auditkit.follow.judge import Problem
from auditkit.follow.source import MAX_NOTE_BYTES, Source
from auditkit.log.lineage import Lineage
from auditkit.verify.elements import text_matching
from auditkit.verify.errors import Malformed, NotVerified, Refuted
from auditkit.verify.note import Checkpoint, Note, VerifierKey, decode_base64

_SIZE = text_matching(r"0|[1-9][0-9]{0,17}", "a tree size below 10^18")


_MANY = 2000
"""So many signatures, at half a millisecond each, are worth a second process."""
_WORKERS = 2


@dataclass(frozen=True, slots=True)
class Head:
    """A head in a file."""

    file: str
    checkpoint: Checkpoint

    @property
    def size(self) -> int:
        """The entries it covers."""
        return self.checkpoint.size


def parse_any(text: str) -> Checkpoint:
    """The checkpoint of any C2SP log: any origin, and extension lines after the three.

    Raises Malformed. `Checkpoint.parse` is the one for a venue.
    """
    note = Note.parse(text)
    lines = note.text[:-1].split("\n")
    if len(lines) < 3 or "" in lines:
        raise Malformed("a checkpoint has at least three lines, and none that is empty")
    origin, size, root = lines[:3]
    return Checkpoint(origin, int(_SIZE.read(size)), decode_base64(root, 32), note)


def read_heads(
    source: Source, found: Inventory, *, any_log: bool
) -> tuple[list[Head], list[Problem]]:
    """Every head that can be read, and what is wrong with the others. No signature is checked."""
    heads, problems = [], []
    parse = parse_any if any_log else Checkpoint.parse
    for path, named in found.heads.items():
        try:
            head = parse(source.read(path, MAX_NOTE_BYTES).decode("utf-8"))
            if named not in (None, head.size):
                raise Refuted("is a head of another size", expected=named, found=head.size)
        except UnicodeDecodeError:
            problems.append(Problem(path, "a checkpoint is UTF-8"))
        except NotVerified as error:
            error.where = ""
            problems.append(Problem.of(path, error))
        else:
            heads.append(Head(path, head))
    if HEAD not in found.heads:
        problems.append(Problem(HEAD, "no such file", missing=True))
    return heads, problems


class Signatures:
    """Whether heads carry the lines of keys. Each line is checked once."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, VerifierKey], Refuted | None] = {}

    def prepare(self, heads: Sequence[Head], key: VerifierKey) -> None:
        """Check the lines of one key on all of the heads; of many, in two processes."""
        notes = [head.checkpoint.note for head in heads]
        found = _refusals(key, notes) if len(notes) < _MANY else _shared(key, notes)
        for head, refusal in zip(heads, found, strict=True):
            self._known[head.file, key] = refusal

    def check(self, head: Head, keys: Iterable[VerifierKey]) -> None:
        """Raises Refuted unless each of the keys signed the head."""
        for key in keys:
            place = (head.file, key)
            if place not in self._known:
                self._known[place] = _refusal(key, head.checkpoint.note)
            if (refusal := self._known[place]) is not None:
                raise refusal

    def holds(self, head: Head, keys: Iterable[VerifierKey]) -> bool:
        """Whether each of the keys signed the head."""
        with suppress(Refuted):
            self.check(head, keys)
            return True
        return False


def _refusal(key: VerifierKey, note: Note) -> Refuted | None:
    try:
        note.check(key)
    except Refuted as error:
        return error
    return None


def _refusals(key: VerifierKey, notes: Iterable[Note]) -> list[Refuted | None]:
    return [_refusal(key, note) for note in notes]


def _shared(key: VerifierKey, notes: list[Note]) -> list[Refuted | None]:
    """The same by two processes, which end with this one."""
    with ProcessPoolExecutor(_WORKERS, initializer=_leave_interrupts) as pool:
        try:
            return list(pool.map(partial(_refusal, key), notes, chunksize=100))
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _leave_interrupts() -> None:
    """Who presses Ctrl-C means the command; its helpers end with it, without a word."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)


def check_lineage(
    heads: Sequence[Head], key: VerifierKey, lineage: Lineage, signatures: Signatures
) -> None:
    """Raises Refuted unless signed heads lead from the pinned key to those that sign the last one.

    Each change of key after the pinned one has to be covered by a head that
    the old key signed too: else anybody could name himself the next one.
    """
    last = max(head.size for head in heads)
    trusted = key
    for change in lineage.changes:
        if change.old != trusted or trusted in lineage.signers(last):
            continue
        if not any(
            change.seq < head.size <= change.retire and signatures.holds(head, (trusted,))
            for head in heads
        ):
            raise Refuted(
                f"no head leads from the pinned key over its change at entry {change.seq}",
                expected=f"a head of {change.seq + 1} to {change.retire} entries by {trusted}",
                found="none",
            )
        trusted = change.new
    if trusted not in lineage.signers(last):
        raise Refuted(
            "the log's changes of key do not lead from the pinned key to the one that signs",
            expected=", ".join(map(str, lineage.signers(last))),
            found=str(key),
        )
