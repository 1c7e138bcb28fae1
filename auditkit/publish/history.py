"""The history log on disk (SPEC.md §4): entries and signed heads in one SQLite file.

pymerkle's SqliteTree holds the entries. A publish is one transaction: the
signed head and the entries it covers are committed together or not at all.
This is the only file that knows pymerkle, which has no types.
"""

import errno
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Self

from pymerkle import SqliteTree

from auditkit.errors import DamagedError, InputError
from auditkit.verify import shape
from auditkit.verify.errors import Malformed
from auditkit.verify.history import EMPTY_ROOT, leaf_hash, node_hash
from auditkit.verify.note import Checkpoint

_HEADS = "CREATE TABLE head (size INTEGER PRIMARY KEY, note TEXT NOT NULL)"
_FRONTIER = "CREATE TABLE IF NOT EXISTS frontier (size INTEGER, peaks BLOB, change INTEGER)"
_CHANGES = slice(24, 28)
"""Where the first bytes of the file count the transactions that changed it."""
_ENTRIES = "SELECT CAST(COALESCE(entry, '') AS BLOB), hash FROM leaf"
_LAST = "SELECT COALESCE((SELECT MAX(id) FROM leaf), 0), COALESCE((SELECT MAX(size) FROM head), 0)"
# SQLite's own codes for what is the disk's fault, and for another program's lock.
_DISK = {
    sqlite3.SQLITE_IOERR: errno.EIO,
    sqlite3.SQLITE_FULL: errno.ENOSPC,
    sqlite3.SQLITE_CANTOPEN: errno.EACCES,
    sqlite3.SQLITE_PERM: errno.EACCES,
    sqlite3.SQLITE_READONLY: errno.EROFS,
}
_LOCKED = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)


@contextmanager
def _plainly(path: Path) -> Iterator[None]:
    """What SQLite raises, in the words of the rest: OSError, DamagedError or InputError."""
    try:
        yield
    except sqlite3.DatabaseError as error:
        code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_CORRUPT) & 0xFF
        if code in _DISK:
            raise OSError(_DISK[code], str(error), str(path)) from None
        if code in _LOCKED:
            raise InputError(f"{path}: another program holds the log; try again later") from None
        raise DamagedError(f"{path}: the history log cannot be read: {error}") from None


class Frontier:
    """The perfect subtrees of a log, from the left: enough to append and to know the root."""

    def __init__(self, leaves: Iterable[bytes] = ()) -> None:
        self.size = 0
        self._peaks: list[bytes] = []
        for leaf in leaves:
            self.append(leaf)

    @classmethod
    def of(cls, size: int, peaks: bytes) -> "Frontier":
        """The frontier that was kept as `peaks`: 32 bytes for every bit of the size."""
        found = cls()
        found.size = size
        found._peaks = [peaks[at : at + 32] for at in range(0, len(peaks), 32)]
        return found

    def peaks(self) -> bytes:
        """The roots of the subtrees, to be kept."""
        return b"".join(self._peaks)

    def append(self, leaf: bytes) -> None:
        """Add one leaf hash."""
        node, size = leaf, self.size
        while size & 1:
            node = node_hash(self._peaks.pop(), node)
            size >>= 1
        self._peaks.append(node)
        self.size += 1

    def root(self) -> bytes:
        """The root over everything appended."""
        if not self._peaks:
            return EMPTY_ROOT
        root = self._peaks[-1]
        for peak in reversed(self._peaks[:-1]):
            root = node_hash(peak, root)
        return root


class History:
    """The log and its signed heads. Seqs count from 0."""

    def __init__(self, path: Path) -> None:
        # SqliteTree would silently create an empty log at a wrong path.
        if not path.is_file():
            raise DamagedError(f"{path}: the history log is missing; restore it from a backup")
        self.path = path
        try:
            with _plainly(path):
                # SqliteTree leaves its connection open where the file turns out to be no database.
                with closing(sqlite3.connect(path)) as probe:
                    probe.execute("SELECT 1 FROM sqlite_master")
                self._tree: Any = SqliteTree(str(path))
        except ValueError as error:
            raise DamagedError(f"{path}: {error}; restore it from a backup") from None
        try:
            self._rows("PRAGMA synchronous=EXTRA")
            self._check_last()
        except BaseException:
            self._tree.close()
            raise

    @classmethod
    def create(cls, path: Path) -> Self:
        """A new, empty log."""
        connection = sqlite3.connect(path)
        try:
            with _plainly(path), connection:
                connection.execute(_HEADS)
        finally:
            connection.close()
        return cls(path)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._tree.close()

    def _rows(self, query: str, *values: object) -> list[Any]:
        return list(self._each(query, *values))

    def _each(self, query: str, *values: object) -> Iterator[Any]:
        with _plainly(self.path):
            cursor = self._tree.con.cursor()
            cursor.row_factory = None
            yield from cursor.execute(query, values)

    def __len__(self) -> int:
        size: int = self._rows(_LAST)[0][0]
        return size

    def sizes(self) -> list[int]:
        """The sizes of all signed heads, ascending."""
        return [row[0] for row in self._rows("SELECT size FROM head ORDER BY size")]

    def head(self, size: int) -> Checkpoint:
        """The signed head of that size. Raises DamagedError if it is none."""
        (row,) = self._rows("SELECT CAST(note AS TEXT) FROM head WHERE size = ?", size)
        try:
            return Checkpoint.parse(row[0])
        except Malformed as error:
            raise DamagedError(f"{self.path}: head {size}: {error}; restore a backup") from None

    def entry(self, seq: int) -> bytes:
        """The exact bytes of an entry. Raises DamagedError if they are not what was appended."""
        for entry, digest in self._rows(f"{_ENTRIES} WHERE id = ?", seq + 1):
            if leaf_hash(entry) == digest:
                return bytes(entry)
        raise DamagedError(f"{self.path}: entry {seq} is not what was logged; restore a backup")

    def entries(self, start: int, end: int) -> list[bytes]:
        """The entries start <= seq < end."""
        query = f"{_ENTRIES} WHERE id > ? AND id <= ? ORDER BY id"
        return [entry for entry, _ in self._rows(query, start, end)]

    def containing(self, text: str) -> list[int]:
        """The seqs of the entries in whose bytes `text` occurs, ascending."""
        query = "SELECT id FROM leaf WHERE instr(entry, ?) > 0 ORDER BY id"
        return [row[0] - 1 for row in self._rows(query, text.encode("ascii"))]

    def newest_containing(self, text: str) -> int | None:
        """The seq of the newest such entry; None if there is none."""
        query = "SELECT id FROM leaf WHERE instr(entry, ?) > 0 ORDER BY id DESC LIMIT 1"
        rows = self._rows(query, text.encode("ascii"))
        return rows[0][0] - 1 if rows else None

    def inclusion(self, seq: int, size: int) -> tuple[bytes, ...]:
        """The RFC 9162 inclusion path of an entry in the log of that size."""
        proof = self._tree.prove_inclusion(seq + 1, size)
        return tuple(bytes(node) for node in proof.path[1:])

    def consistency(self, size: int, later: int) -> tuple[bytes, ...]:
        """The RFC 9162 consistency path between two sizes, 0 < size < later.

        pymerkle's own path is another one, so this walks the tree by RFC 9162 §2.1.4.1.
        """
        leaves = self._leaf_hashes(later)
        path: list[bytes] = []
        start, end, whole = 0, later, True
        while size != end - start:
            middle = shape.split(end - start)
            if size <= middle:
                path.append(Frontier(leaves[start + middle : end]).root())
                end = start + middle
            else:
                path.append(Frontier(leaves[start : start + middle]).root())
                start, size, whole = start + middle, size - middle, False
        if not whole:
            path.append(Frontier(leaves[start:end]).root())
        return tuple(reversed(path))

    def _leaf_hashes(self, size: int) -> list[bytes]:
        return [
            row[0] for row in self._rows("SELECT hash FROM leaf WHERE id <= ? ORDER BY id", size)
        ]

    def frontier(self) -> Frontier:
        """The whole log's frontier, checked against the last signed head.

        Raises DamagedError if a stored row was edited. Where nothing has
        written to the file since the last publish, what was kept then is
        enough; else every entry is hashed again.
        """
        return self._kept() or self._hashed()

    def _kept(self) -> Frontier | None:
        """The frontier as the last publish left it, unless the file was changed since."""
        if not self._rows("SELECT 1 FROM sqlite_master WHERE name = 'frontier'"):
            return None
        last = self._check_last()
        for size, peaks, change in self._rows("SELECT size, peaks, change FROM frontier"):
            kept = Frontier.of(size, peaks)
            if (size, change) == (last, self._changes()) and kept.root() == self.head(last).root:
                return kept
        return None

    def _changes(self) -> int:
        with self.path.open("rb") as file:
            return int.from_bytes(file.read(_CHANGES.stop)[_CHANGES], "big")

    def _hashed(self) -> Frontier:
        """The frontier of all entries. Raises DamagedError."""
        frontier = Frontier()
        for entry, digest in self._each(f"{_ENTRIES} ORDER BY id"):
            frontier.append(leaf_hash(entry))
            if leaf_hash(entry) != digest:
                break
        last = self._check_last()
        signed = self.head(last).root if last else EMPTY_ROOT
        if (frontier.size, frontier.root()) != (last, signed):
            raise self._foreign(frontier.size, last)
        return frontier

    def _check_last(self) -> int:
        """The number of entries. Raises DamagedError if the last signed head has another."""
        size, last = self._rows(_LAST)[0]
        if size != last:
            raise self._foreign(size, last)
        return int(size)

    def _foreign(self, size: int, last: int) -> DamagedError:
        return DamagedError(
            f"{self.path}: the log of {size} entries is not the one whose head of {last} "
            "entries was signed; restore it from a backup"
        )

    def append(self, entries: Sequence[bytes], head: Checkpoint, frontier: Frontier) -> None:
        """Commit the entries and the signed head that covers them, or nothing.

        `frontier` is that of the log with them.
        """
        connection = self._tree.con
        with _plainly(self.path):
            connection.execute("BEGIN IMMEDIATE")
            try:
                if len(self) + len(entries) != head.size:
                    raise DamagedError(f"{self.path}: another program has written to the log")
                connection.execute("INSERT INTO head VALUES (?, ?)", (head.size, str(head.note)))
                connection.execute(_FRONTIER)
                connection.execute("DELETE FROM frontier")
                kept = (frontier.size, frontier.peaks(), self._changes() + 1)
                connection.execute("INSERT INTO frontier VALUES (?, ?, ?)", kept)
                # Commits on its own, and with it the head above.
                self._tree.append_entries(list(entries))
            except BaseException:
                connection.rollback()
                raise
