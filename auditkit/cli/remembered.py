"""What a customer verified last (SPEC.md §7): `verify --state DIR`.

A file for each venue and account holds the signed head that was verified last,
the key it was verified with, and the seq of the index that ended it. The next
file must extend that head. It is replaced as a whole, only after VERIFIED and
only by a head that extends it; a head under another key extends it only where
the file shows the venue's own change from the one key to the other.
"""

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, Self

from auditkit.cli.statefolder import alone, replace
from auditkit.errors import DamagedError, ForkError, InputError, place
from auditkit.verify import elements as e
from auditkit.verify.check import Verified
from auditkit.verify.earlier import file_signers, fork_shown, key_changes, readable
from auditkit.verify.elements import Element, Record, element, text_matching
from auditkit.verify.errors import Incomplete, Malformed, NotVerified
from auditkit.verify.note import Checkpoint, VerifierKey
from auditkit.verify.proof import CHECKPOINT
from auditkit.verify.strictjson import loads

FORMAT = "auditkit/remembered/1"
_MAX_BYTES = 1 << 21
_VKEY = Element(lambda value: VerifierKey.parse(str(value)), str)


@dataclass(frozen=True, slots=True)
class Remembered(Record):
    """What was verified last of one account: the checkpoint, and the index that ended it."""

    format: str = element(text_matching(FORMAT, FORMAT))
    account: str = element(e.ACCOUNT)
    key: VerifierKey = element(_VKEY)
    checkpoint: Checkpoint = element(CHECKPOINT)
    since: int = element(e.COUNT)

    def __post_init__(self) -> None:
        if self.since != self.checkpoint.size - 1:
            raise Malformed("since is not the index that ends the checkpoint", found=self.since)

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """Read the file. Raises Malformed, or Refuted if the key did not sign the checkpoint."""
        try:
            found = cls.read(loads(data.decode("ascii")))
        except UnicodeDecodeError:
            raise Malformed("not ASCII") from None
        found.checkpoint.open(found.key)
        return found

    def encode(self) -> str:
        """The file: one JSON object, indented, ASCII."""
        return json.dumps(self.write(), indent=1) + "\n"


class Memory:
    """What is remembered of one account, and what this run makes of it.

    `head` and `since` are what the next file must extend, None where nothing
    is remembered. Without a folder, nothing ever is.
    """

    def __init__(self, path: Path | None, last: Remembered | None, since: int | None) -> None:
        if last is not None and since not in (None, last.since):
            raise InputError(
                f"--since {since}: {place(path or Path())} remembers {last.since}; leave out one "
                "of --since and --state"
            )
        self.head = last.checkpoint if last else None
        self.since = last.since if last else since
        self._path, self._last = path, last
        self._now: Remembered | None = None

    def keep(self, proven: Verified) -> None:
        """Remember what was proven, in place of what it extends.

        Raises OSError if it cannot be written; then the old is what is remembered.
        """
        if self._path is None:
            return
        head = proven.checkpoint
        self._now = Remembered(FORMAT, proven.account, proven.key, head, head.size - 1)
        if self._now != self._last:
            replace(self._path, self._now.encode())

    @property
    def goes_on(self) -> str:
        """Which file would extend what is remembered; empty where nothing is."""
        if self.head is None:
            return ""
        return (
            f"Ask the venue for a newer file, made with --since {self.since}: it goes on from the "
            f"{self.head.size} entries verified last."
        )

    def report(self) -> tuple[str, dict[str, Any]] | None:
        """What was remembered and what is now: a sentence, and the same for programs."""
        if self._now is None or self._path is None:
            return None
        now = self._now.checkpoint.size
        if self._last is None:
            text = f"nothing was remembered before, so nothing earlier was compared; {now} entries"
        elif self._last.checkpoint.size == now:
            text = f"the {now} entries verified last, which this file shows again,"
        else:
            text = f"this file extends the {self._last.checkpoint.size} entries verified last; "
            text += f"{now}"
        data = {"before": _data_of(self._last), "now": _data_of(self._now)}
        return f"{text} are remembered in {place(self._path)}.", data


NOTHING = Memory(None, None, None)


@contextmanager
def remembered(
    folder: Path | None, data: bytes, key: VerifierKey, account: str, since: int | None
) -> Iterator[Memory]:
    """What was verified last of the account, while nobody else verifies with that folder.

    The block verifies `data`. If it refuses, and the file shows that its log
    does not extend the remembered head, that is a fork: raises ForkError.
    Raises DamagedError if what is remembered cannot be read, and Incomplete if
    it is under another key, to which the file shows no way.
    """
    if folder is None:
        yield Memory(None, None, since)
        return
    with alone(folder):
        path = folder / _name(key.name, account)
        last = _load(path, key.name, account)
        memory = Memory(path, last, since)
        if last is not None and last.key != key:
            _check_linked(data, last.key, key)
        try:
            yield memory
        except NotVerified:
            if last is not None:
                _check_fork(data, last, key)
            raise


def _name(venue: str, account: str) -> str:
    """A file name of its own for every venue and account."""
    digest = sha256(f"{venue}\n{account}".encode()).hexdigest()[:16]
    return f"{re.sub('[^a-z0-9._-]', '-', venue)}-{digest}.json"


def _load(path: Path, venue: str, account: str) -> Remembered | None:
    try:
        with path.open("rb") as file:
            data = file.read(_MAX_BYTES)
    except FileNotFoundError:
        return None
    try:
        found = Remembered.parse(data)
    except NotVerified:
        found = None
    if found is None or (found.checkpoint.origin, found.account) != (venue, account):
        raise DamagedError(
            f"{place(path)}: damaged, so what was verified last is not known; restore it from a "
            "backup. Removing it begins anew, and what the venue rewrote before is not seen"
        )
    return found


def _check_fork(data: bytes, last: Remembered, key: VerifierKey) -> None:
    """Raises ForkError if the file and what is remembered are a fork, whatever else it is."""
    try:
        file = readable(data)
        file_signers(file, (key,))
        fork = fork_shown(file, last.checkpoint)
        both = fork.check(key, last.key) if fork else ()
    except NotVerified:
        return  # No checkpoint, or not signed by a key in use: the check says what is wrong.
    if fork is not None:
        size = last.checkpoint.size
        what = (
            f"the file's log does not begin with the {size} entries verified last"
            if fork.prefix
            else f"the file's log has {size} entries, as many as were verified last, but others"
        )
        raise ForkError(what, fork, *(both[:1] or (last.key, key)))


def _check_linked(data: bytes, last: VerifierKey, key: VerifierKey) -> None:
    """Raises Incomplete unless the file's log has a change from one of the keys to the other."""
    known = {last}
    try:
        file = readable(data)
        file.checkpoint.open(key)
        changes = [(change.old, change.new) for change in key_changes(file)]
    except NotVerified:
        return  # The check will say so.
    for _ in changes:
        known.update(*({old, new} for old, new in changes if known & {old, new}))
    if key not in known:
        raise Incomplete(
            f"what was verified last is under key {last.id.hex()}, and the file shows no change of "
            "it to this one",
            expected=f"a key statement that leads to {key.id.hex()}, or another --state folder",
            found=", ".join(f"{old.id.hex()} to {new.id.hex()}" for old, new in changes) or "none",
            step="3",
        )


def _data_of(record: Remembered | None) -> dict[str, Any] | None:
    if record is None:
        return None
    head = record.checkpoint
    return {"size": head.size, "root": head.root.hex(), "since": record.since}
