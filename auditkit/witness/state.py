"""What a witness remembers, in one SQLite file: every head it cosigned, and what it refused.

A witness that forgot would cosign a second history. So the file is made by
`init` and by nothing else, belongs to one key, and what is cosigned is
committed to the disk before anybody hears of it.
"""

import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Any, Self
from urllib.parse import quote

from auditkit.database import plainly
from auditkit.errors import DamagedError, InputError, place
from auditkit.files import sync
from auditkit.verify.cosignature import WitnessKey
from auditkit.verify.errors import Malformed, NotVerified
from auditkit.verify.fork import Fork
from auditkit.verify.note import Checkpoint

FILE = "witness.sqlite"
MAX_REFUSED = 100
"""Refused requests that are kept for each log, and as many with a fork: the first ones."""
_FORMAT = "auditkit/witness/1"
_WHAT = "the witness's state"
_PATIENCE_S = 5.0
_TABLES = """
CREATE TABLE about (format TEXT NOT NULL, vkey TEXT NOT NULL);
CREATE TABLE head (
    origin TEXT NOT NULL, size INTEGER NOT NULL, note TEXT NOT NULL, time INTEGER NOT NULL,
    PRIMARY KEY (origin, size)
) WITHOUT ROWID;
CREATE TABLE refused (
    origin TEXT NOT NULL, size INTEGER NOT NULL, root BLOB NOT NULL, fork TEXT,
    time INTEGER NOT NULL, request BLOB NOT NULL
);
"""
_NEWEST = "SELECT note, time FROM head WHERE origin = ? ORDER BY size DESC LIMIT 1"
_AT = "SELECT note, time FROM head WHERE origin = ? AND size = ?"
_KEPT = "SELECT COUNT(*) FROM refused WHERE origin = ? AND (fork IS NULL) = ?"
_SAME = "SELECT 1 FROM refused WHERE origin = ? AND (fork IS NULL) = ? AND size = ? AND root = ?"


@dataclass(frozen=True, slots=True)
class Head:
    """A head that was cosigned, with the log's own lines, and when, in seconds since 1970."""

    checkpoint: Checkpoint
    time: int


@dataclass(frozen=True, slots=True)
class Refused:
    """A request that a log signed and the witness refused, and the fork that it shows, if any."""

    origin: str
    size: int
    time: int
    fork: Fork | None
    request: bytes


class State:
    """The opened state of one witness. For any number of threads."""

    def __init__(self, folder: Path, key: WitnessKey | None = None) -> None:
        """Open the state of `key`, or whosever it is.

        Raises InputError if the folder holds none, or another key's;
        DamagedError if it cannot be read.
        """
        self.path = folder / FILE
        if not self.path.is_file():
            raise InputError(
                f"{place(folder)}: no state of a witness; auditkit witness init makes one for a "
                "new key. Where it was lost, retire the key: a witness that forgot may sign a fork"
            )
        self._lock = Lock()
        with plainly(self.path, _WHAT):
            # Never made here, not even where it vanishes this very moment.
            uri = f"file:{quote(str(self.path.absolute()))}?mode=rw"
            self._base = sqlite3.connect(
                uri, uri=True, timeout=_PATIENCE_S, isolation_level=None, check_same_thread=False
            )
        try:
            self.key = self._about()
            if key is not None and key != self.key:
                raise InputError(
                    f"{place(folder)}: is the state of {self.key}, but the key file holds {key}"
                )
        except BaseException:
            self.close()
            raise

    @classmethod
    def init(cls, folder: Path, key: WitnessKey) -> None:
        """Make the empty state of a key. Raises InputError if the folder exists and holds any."""
        parent = folder.absolute().parent
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise InputError(f"{place(folder)}: exists and is not empty; name a new folder")
        if not parent.is_dir():
            raise InputError(f"{place(parent)}: no such folder")
        with tempfile.TemporaryDirectory(dir=parent, prefix=".auditkit-") as name:
            draft = Path(name) / "state"
            draft.mkdir(mode=0o700)
            path = draft / FILE
            with plainly(path, _WHAT), closing(sqlite3.connect(path)) as base, base:
                base.execute("PRAGMA synchronous=EXTRA")
                base.executescript(f"BEGIN; {_TABLES} COMMIT;")
                base.execute("INSERT INTO about VALUES (?, ?)", (_FORMAT, str(key)))
            sync(draft)
            draft.replace(folder)
            sync(parent)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        self._base.close()

    def _about(self) -> WitnessKey:
        rows = self._rows("PRAGMA quick_check(1)")
        if rows != [("ok",)]:
            raise DamagedError(f"{place(self.path)}: {_WHAT} is damaged: {rows[0][0]}")
        self._rows("PRAGMA synchronous=EXTRA")
        for form, vkey in self._rows("SELECT format, CAST(vkey AS TEXT) FROM about"):
            if form != _FORMAT:
                raise InputError(f"{place(self.path)}: made by another version of auditkit")
            try:
                return WitnessKey.parse(vkey)
            except Malformed as error:
                raise self._damaged("whose state it is", error) from None
        raise DamagedError(f"{place(self.path)}: does not say whose state it is")

    def _rows(self, query: str, *values: object) -> list[Any]:
        with plainly(self.path, _WHAT):
            return self._base.execute(query, values).fetchall()

    @contextmanager
    def changing(self) -> Iterator[None]:
        """Nobody else reads or writes in the block; what it wrote is on the disk after it."""
        with self._lock:
            self._rows("BEGIN IMMEDIATE")
            try:
                yield
                self._rows("COMMIT")
            except BaseException:
                with plainly(self.path, _WHAT):
                    self._base.rollback()
                raise

    def newest(self, origin: str) -> Head | None:
        """The largest head of a log that was cosigned."""
        return self._head(_NEWEST, origin)

    def at(self, origin: str, size: int) -> Head | None:
        """The head of that size, if it was cosigned."""
        return self._head(_AT, origin, size)

    def _head(self, query: str, *values: object) -> Head | None:
        for note, time in self._rows(query, *values):
            return Head(self._checkpoint(note), time)
        return None

    def _checkpoint(self, note: str) -> Checkpoint:
        try:
            return Checkpoint.parse(note)
        except Malformed as error:
            raise self._damaged("a head", error) from None

    def heads(self) -> list[Head]:
        """The newest head of every log."""
        origins = self._rows("SELECT DISTINCT origin FROM head ORDER BY origin")
        return [head for (origin,) in origins if (head := self.newest(origin)) is not None]

    def put(self, checkpoint: Checkpoint, time: int) -> None:
        """Remember a head that is cosigned at `time`. Within `changing`."""
        values = (checkpoint.origin, checkpoint.size, str(checkpoint.note), time)
        self._rows("INSERT INTO head VALUES (?, ?, ?, ?)", *values)

    def refuse(self, checkpoint: Checkpoint, fork: Fork | None, time: int, request: bytes) -> bool:
        """Keep a refused request, once a size and root. Within `changing`. Whether it was new."""
        kind = (checkpoint.origin, fork is None)
        [(count,)] = self._rows(_KEPT, *kind)
        if count >= MAX_REFUSED or self._rows(_SAME, *kind, checkpoint.size, checkpoint.root):
            return False
        self._rows(
            "INSERT INTO refused VALUES (?, ?, ?, ?, ?, ?)",
            *(checkpoint.origin, checkpoint.size, checkpoint.root),
            *(None if fork is None else fork.encode(), time, request),
        )
        return True

    def refused(self) -> list[Refused]:
        """What was refused and kept, oldest first. Raises DamagedError."""
        query = "SELECT origin, size, time, fork, request FROM refused ORDER BY rowid"
        return [
            Refused(origin, size, time, None if fork is None else self._fork(fork), request)
            for origin, size, time, fork, request in self._rows(query)
        ]

    def _fork(self, text: str) -> Fork:
        try:
            return Fork.parse(text.encode())
        except NotVerified as error:
            raise self._damaged("a fork's evidence", error) from None

    def _damaged(self, what: str, error: NotVerified) -> DamagedError:
        return DamagedError(f"{place(self.path)}: {what}: {error}")
