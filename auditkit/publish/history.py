"""The history log on disk (SPEC.md §4): entries and signed heads in one SQLite file.

pymerkle's SqliteTree holds the entries. A publish is one transaction: the
signed head and the entries it covers are committed together or not at all.
This is the only file that knows pymerkle, which has no types.
"""

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, Self

from pymerkle import SqliteTree

from auditkit.database import plainly
from auditkit.errors import DamagedError
from auditkit.log.frontier import Frontier
from auditkit.log.tiles import TILE, Tree, tile_root
from auditkit.verify.errors import Malformed
from auditkit.verify.history import EMPTY_ROOT, leaf_hash
from auditkit.verify.note import Checkpoint
from auditkit.verify.statements import Key

_HEADS = "CREATE TABLE head (size INTEGER PRIMARY KEY, note TEXT NOT NULL)"
_COSIGNED = "CREATE TABLE IF NOT EXISTS cosigned (size INTEGER PRIMARY KEY, note TEXT NOT NULL)"
_FRONTIER = "CREATE TABLE IF NOT EXISTS frontier (size INTEGER, peaks BLOB, change INTEGER)"
# The rare entries that every proof asks for; SQLite itself keeps the index true.
_KEY = f'"format":"{Key.name()}"'.encode().hex()
_IS_KEY = f"instr(entry, x'{_KEY}') > 0"
_KEY_ENTRIES = f"SELECT id FROM leaf WHERE {_IS_KEY}"  # noqa: S608 - Nothing of it is given.
_KEYS = f"CREATE INDEX IF NOT EXISTS keys ON leaf (id) WHERE {_IS_KEY}"
_CHANGES = slice(24, 28)
"""Where the first bytes of the file count the transactions that changed it."""
_ENTRIES = "SELECT CAST(COALESCE(entry, '') AS BLOB), hash FROM leaf"
_LAST = "SELECT COALESCE((SELECT MAX(id) FROM leaf), 0), COALESCE((SELECT MAX(size) FROM head), 0)"


class History:
    """The log and its signed heads. Seqs count from 0."""

    def __init__(self, path: Path) -> None:
        # SqliteTree would silently create an empty log at a wrong path.
        if not path.is_file():
            raise DamagedError(f"{path}: the history log is missing; restore it from a backup")
        self.path = path
        try:
            with plainly(path):
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
            with plainly(path), connection:
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
        with plainly(self.path):
            cursor = self._tree.con.cursor()
            cursor.row_factory = None
            yield from cursor.execute(query, values)

    def __len__(self) -> int:
        size: int = self._rows(_LAST)[0][0]
        return size

    def sizes(self, above: int = 0) -> list[int]:
        """The sizes of all signed heads above a size, ascending."""
        query = "SELECT size FROM head WHERE size > ? ORDER BY size"
        return [row[0] for row in self._rows(query, above)]

    def size_above(self, size: int) -> int:
        """The smallest signed head above a size that is below the log's own."""
        found: int = self._rows("SELECT MIN(size) FROM head WHERE size > ?", size)[0][0]
        return found

    def size_up_to(self, size: int) -> int:
        """The largest signed head of at most that size, which there is."""
        found: int = self._rows("SELECT MAX(size) FROM head WHERE size <= ?", size)[0][0]
        return found

    def head(self, size: int) -> Checkpoint:
        """The signed head of that size. Raises DamagedError if it is none."""
        found = self.perhaps_head(size)
        if found is None:
            raise DamagedError(f"{self.path}: has no head of {size} entries; restore a backup")
        return found

    def perhaps_head(self, size: int) -> Checkpoint | None:
        """The signed head of that size; None if none was signed."""
        for row in self._rows("SELECT CAST(note AS TEXT) FROM head WHERE size = ?", size):
            return self._parsed(size, row[0])
        return None

    def _parsed(self, size: int, note: str) -> Checkpoint:
        try:
            return Checkpoint.parse(note)
        except Malformed as error:
            raise DamagedError(f"{self.path}: head {size}: {error}; restore a backup") from None

    def cosigned(self, size: int) -> Checkpoint | None:
        """The head of that size with the lines of witnesses, if it was kept."""
        if not self._rows("SELECT 1 FROM sqlite_master WHERE name = 'cosigned'"):
            return None
        query = "SELECT CAST(note AS TEXT) FROM cosigned WHERE size = ?"
        for row in self._rows(query, size):
            return self._parsed(size, row[0])
        return None

    def cosigned_above(self, size: int) -> Checkpoint | None:
        """The smallest head above a size that was kept with the lines of witnesses."""
        if not self._rows("SELECT 1 FROM sqlite_master WHERE name = 'cosigned'"):
            return None
        [(found,)] = self._rows("SELECT MIN(size) FROM cosigned WHERE size > ?", size)
        return None if found is None else self.cosigned(found)

    def keep_cosigned(self, head: Checkpoint) -> None:
        """Keep a head with its witnesses' lines, before anyone sees it: it stays as it is."""
        connection = self._tree.con
        with plainly(self.path), connection:
            connection.execute("BEGIN IMMEDIATE")
            connection.execute(_COSIGNED)
            connection.execute("INSERT INTO cosigned VALUES (?, ?)", (head.size, str(head.note)))
            # This too is a change of the file, and leaves the entries as they were.
            change = self._changes()
            update = "UPDATE frontier SET change = ? WHERE change = ?"
            connection.execute(update, (change + 1, change))

    def entry(self, seq: int) -> bytes:
        """The exact bytes of an entry. Raises DamagedError if they are not what was appended."""
        for entry, digest in self._rows(f"{_ENTRIES} WHERE id = ?", seq + 1):
            if leaf_hash(entry) == digest:
                return bytes(entry)
        raise self._altered(seq)

    def entries(self, start: int, end: int) -> list[bytes]:
        """The exact bytes of the entries start <= seq < end. Raises DamagedError."""
        query = f"{_ENTRIES} WHERE id > ? AND id <= ? ORDER BY id"
        found = []
        for seq, (entry, digest) in enumerate(self._each(query, start, end), start):
            if leaf_hash(entry) != digest:
                raise self._altered(seq)
            found.append(bytes(entry))
        return found

    def _altered(self, seq: int) -> DamagedError:
        return DamagedError(
            f"{self.path}: entry {seq} is not what was logged; restore it from a backup"
        )

    def containing(self, text: str) -> list[int]:
        """The seqs of the entries in whose bytes `text` occurs, ascending."""
        query = "SELECT id FROM leaf WHERE instr(entry, ?) > 0 ORDER BY id"
        return [row[0] - 1 for row in self._rows(query, text.encode("ascii"))]

    def key_entries(self) -> list[int]:
        """The seqs of the entries that change the venue's key, ascending."""
        return [row[0] - 1 for row in self._rows(_KEY_ENTRIES)]

    def newest_containing(self, text: str) -> int | None:
        """The seq of the newest such entry; None if there is none."""
        query = "SELECT id FROM leaf WHERE instr(entry, ?) > 0 ORDER BY id DESC LIMIT 1"
        rows = self._rows(query, text.encode("ascii"))
        return rows[0][0] - 1 if rows else None

    def hashes(self, start: int, end: int) -> bytes:
        """The leaf hashes of the entries start <= seq < end, 32 bytes each."""
        query = "SELECT hash FROM leaf WHERE id > ? AND id <= ? ORDER BY id"
        return b"".join(row[0] for row in self._each(query, start, end))

    def tree(self, size: int) -> Tree:
        """The tree of the log's first `size` entries, made from the stored leaf hashes."""
        return _StoredTree(self, size)

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

    def last(self) -> Checkpoint | None:
        """The last signed head; None while there is none."""
        size = self._rows(_LAST)[0][1]
        return self.head(size) if size else None

    def append(
        self,
        entries: Sequence[bytes],
        head: Checkpoint,
        frontier: Frontier,
        last: Checkpoint | None,
    ) -> None:
        """Commit the entries and the signed head that covers them, or nothing.

        `frontier` is that of the log with them. `last` is the head that they
        were made to follow: the new one takes its place, or no place at all.
        """
        connection = self._tree.con
        with plainly(self.path):
            connection.execute("BEGIN IMMEDIATE")
            try:
                if last != self.last() or len(self) + len(entries) != head.size:
                    raise DamagedError(f"{self.path}: another program has written to the log")
                connection.execute("INSERT INTO head VALUES (?, ?)", (head.size, str(head.note)))
                connection.execute(_FRONTIER)
                connection.execute(_KEYS)
                connection.execute("DELETE FROM frontier")
                kept = (frontier.size, frontier.peaks(), self._changes() + 1)
                connection.execute("INSERT INTO frontier VALUES (?, ?, ?)", kept)
                # Commits on its own, and with it the head above.
                self._tree.append_entries(list(entries))
            except BaseException:
                connection.rollback()
                raise


class _StoredTree(Tree):
    """Tiles made where they are asked for: those above level 0 from all that lie below them."""

    def __init__(self, history: History, size: int) -> None:
        super().__init__(size, lambda path: b"")
        self._history = history

    def fetch(self, level: int, number: int, width: int) -> bytes:
        start = number * TILE
        if level == 0:
            return self._history.hashes(start, start + width)
        return b"".join(tile_root(self.tile(level - 1, n)) for n in range(start, start + width))
