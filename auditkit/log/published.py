"""A published log, read from its folder and believed as far as its signature goes (SPEC.md §4).

The folder is laid out as C2SP tlog-tiles: `checkpoint`, and the entries in
bundles of 256 below `tile/entries`. Every hash is recomputed, so nothing of
what the folder says is taken on trust.
"""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Self, TypeVar

from auditkit.errors import InputError, place
from auditkit.log.bundles import BUNDLE, bundle_path, unpack
from auditkit.log.chain import Reader
from auditkit.log.entries import read_statement
from auditkit.verify.errors import Malformed, Refuted, inside
from auditkit.verify.history import EMPTY_ROOT, MAX_ENTRY_BYTES, leaf_hash, node_hash
from auditkit.verify.note import Checkpoint, VerifierKey
from auditkit.verify.statements import KINDS, AssetStatement, Statement

_MAX_NOTE_BYTES = 1 << 20
_WIDTH = re.compile(r"[1-9][0-9]{0,2}", re.ASCII)

S = TypeVar("S", bound=Statement)


def log_root(entries: Sequence[bytes]) -> bytes:
    """The RFC 9162 root over the entries: pairs from the left, an odd last node promoted."""
    level = [leaf_hash(entry) for entry in entries]
    while len(level) > 1:
        paired = [node_hash(*pair) for pair in zip(level[::2], level[1::2], strict=False)]
        level = paired + level[2 * len(paired) :]
    return level[0] if level else EMPTY_ROOT


class Log:
    """Every entry that one signed checkpoint covers.

    `entries` are the exact bytes; statements are parsed when they are asked
    for. What they say is the venue's word: `monitor.py` holds it to the rules.
    """

    def __init__(self, key: VerifierKey, checkpoint: Checkpoint, entries: list[bytes]) -> None:
        """Raises Refuted unless `key` signed the checkpoint, and it is of exactly these entries."""
        checkpoint.open(key)
        if (len(entries), root := log_root(entries)) != (checkpoint.size, checkpoint.root):
            raise Refuted(
                "the entries are not those of the signed checkpoint",
                expected=f"{checkpoint.size} entries, root {checkpoint.root.hex()}",
                found=f"{len(entries)} entries, root {root.hex()}",
            )
        self.key = key
        self.checkpoint = checkpoint
        self.entries = entries
        self.reader: Reader = _LogReader(self)

    @classmethod
    def read(cls, public: Path, key: VerifierKey) -> Self:
        """Read the published folder under the pinned key.

        Raises InputError where a file is missing, cut short or odd; Malformed
        or Refuted where the checkpoint is not one of `key`, or of other entries.
        """
        path = public / "checkpoint"
        data = _read(path, _MAX_NOTE_BYTES)
        with inside(place(path)):
            try:
                checkpoint = Checkpoint.parse(data.decode("utf-8"))
            except UnicodeDecodeError:
                raise Malformed("a checkpoint is UTF-8") from None
            # Before the bundles: an unsigned size does not say how much is to be read.
            checkpoint.open(key)
        entries: list[bytes] = []
        for number in range(-(-checkpoint.size // BUNDLE)):
            needed = min(BUNDLE, checkpoint.size - number * BUNDLE)
            entries += bundle(public, number, needed)
        with inside(place(public)):
            return cls(key, checkpoint, entries)

    def __len__(self) -> int:
        return len(self.entries)

    def __getitem__(self, seq: int) -> Statement:
        """The statement at `seq`.

        Raises Malformed or Unsupported if it cannot be read, Refuted if it
        says that it stands elsewhere or if the log does not reach that far.
        """
        return self.reader[seq]

    def __iter__(self) -> Iterator[Statement]:
        return (self[seq] for seq in range(len(self)))

    def of(self, kind: type[S]) -> list[S]:
        """The statements of a kind, such as `Draw` or `AssetStatement`, in order."""
        names = [name for name, known in KINDS.items() if issubclass(known, kind)]
        # In canonical text a quote is never part of a string, so the bytes tell the kind.
        marks = [f'"format":"{name}"'.encode() for name in names]
        found = []
        for seq, entry in enumerate(self.entries):
            if any(mark in entry for mark in marks) and isinstance(it := self[seq], kind):
                found.append(it)
        return found


class _LogReader(Reader):
    """A reader that trusts no statement about its own place."""

    def __init__(self, log: Log) -> None:
        super().__init__(log.entries.__getitem__)
        self._log = log

    def __getitem__(self, seq: int) -> Statement:
        size, venue = len(self._log), self._log.key.name
        if not 0 <= seq < size:
            raise Refuted("the log has no such entry", expected=f"seq below {size}", found=seq)
        if seq not in self._parsed:
            with inside(f"entry {seq}"):
                statement = read_statement(self._entry(seq))
                if (statement.seq, statement.venue) != (seq, venue):
                    raise Refuted(
                        "the statement says another seq or venue than its place in the log",
                        expected=f"{seq} of {venue}",
                        found=f"{statement.seq} of {statement.venue}",
                    )
            self.add(statement)
        return self._parsed[seq]

    def back(self, top: int) -> Iterator[AssetStatement]:
        """The chain from `top` down. Raises Refuted where it turns upwards or to another asset."""
        asset = self.link(top).asset
        for link in super().back(top):
            if link.asset != asset or link.previous > link.seq:
                raise Refuted(
                    f"the chain of {asset} does not lead down to its first statement",
                    expected=f"a statement of {asset} that names a lower one",
                    found=f"a {link.kind} of {link.asset} at {link.seq} that names {link.previous}",
                )
            yield link


def bundle(public: Path, number: int, needed: int) -> list[bytes]:
    """The first `needed` entries of a bundle, whole or partial. Raises InputError."""
    path = public / bundle_path(number)
    if path.is_file():
        return _unpack(path, BUNDLE)[:needed]
    partial = path.with_name(f"{path.name}.p")
    names = [p.name for p in partial.glob("*") if _WIDTH.fullmatch(p.name)]
    width = min((w for w in map(int, names) if needed <= w < BUNDLE), default=needed)
    return _unpack(path if needed == BUNDLE else partial / str(width), width)[:needed]


def _unpack(path: Path, width: int) -> list[bytes]:
    """The `width` entries of the bundle in that file. Raises InputError."""
    entries: list[bytes] = []
    try:
        entries += unpack(_read(path, width * (2 + MAX_ENTRY_BYTES)))
    except ValueError as error:
        raise InputError(f"{place(path)}: {error}; fetch it again") from None
    if len(entries) != width:
        raise InputError(
            f"{place(path)}: has {len(entries)} entries where {width} belong; fetch it again"
        )
    return entries


def _read(path: Path, most: int) -> bytes:
    """A file's bytes. Raises InputError if it is not there or has more than `most`."""
    if not path.is_file():
        raise InputError(
            f"{place(path)}: no such file; give the whole published folder, with what it lacks "
            "fetched again"
        )
    with path.open("rb") as file:
        data = file.read(most + 1)
    if len(data) > most:
        raise InputError(f"{place(path)}: has more than the {most} bytes it may have")
    return data
