"""Every rule that a whole log shows, those marked (M) in SPEC.md included.

    statement         the entry does not parse
    unsupported       it is of a newer format: this reader is too old, and nobody is accused
    seq, venue, time  what it says of its own place
    previous, policy, latest, asset      links.py
    fund-sum, fund-pools, fund-opening, fund-new-pool, draw-unbooked, draw-twice, pool-left
                      funds.py
    decimals, book-left, event-name, recovery-earlier, key
                      promises.py
    run               a chain's snapshots, runs and recoveries, by the kernel: runs.py
    head-no-index     the checkpoint does not end in an index

A monitor takes one entry after the other and keeps of them what a later one may
be held to, so that a log of any length fits in memory, and one that grew is
read from where it was left.

A log cannot show what is in its ledgers: whom a deficit, a snapshot or a
recovery left out is for those who hold the books.
"""

from collections.abc import Callable, Iterable

from auditkit.log.breach import Breach, Breaches
from auditkit.log.entries import read_entry
from auditkit.log.funds import Funds
from auditkit.log.links import Links
from auditkit.log.promises import Promises
from auditkit.log.published import Log
from auditkit.log.runs import Runs
from auditkit.verify.errors import Malformed, Refuted, Step, Unsupported
from auditkit.verify.head import check_checkpoint
from auditkit.verify.note import Checkpoint, VerifierKey
from auditkit.verify.proof import Entry, Proof
from auditkit.verify.statements import Draw, Fund, Index, Key, Statement

__all__ = ["Breach", "Monitor", "breaches"]


def breaches(log: Log) -> list[Breach]:
    """Every breach that the log shows, by seq; of one chain's runs, the first."""
    monitor = Monitor(log.key.name, log.entries.__getitem__)
    for entry in log.entries:
        monitor.see(entry)
    found = Breaches()
    for change in monitor.changes:
        _check_lines(found, log.checkpoint, log.key, change)
    return sorted(monitor.breaches() + found.found, key=_by_seq)


class Monitor:
    """A log as far as it was read, and what it broke.

    `size` entries were seen. `changes` are its changes of key, and `ended`
    says whether the last entry was an index.
    """

    def __init__(self, venue: str, entry: Callable[[int], bytes]) -> None:
        """`entry` gives the bytes of any entry that was seen."""
        self.size = 0
        self.changes: list[Key] = []
        self._found = Breaches()
        self._links, self._funds = Links(self._found, venue), Funds(self._found)
        self._promises = Promises(self._found)
        self._runs = Runs(lambda seq: _readable(entry(seq)))
        self._last: Statement | None = None
        self._kept: list[int] = []
        self._listed: dict[tuple[str, ...], int] = {}

    def see(self, entry: bytes) -> None:
        """Take the next entry."""
        seq, links = self.size, self._links
        self.size += 1
        statement = links.read(seq, entry)
        if statement is None:
            self._funds.skip()
            self._kept.append(seq)
            return
        follows = links.see(statement)
        self._funds.see(statement, links.policy)
        kept = self._promises.see(statement, links.unread)
        self._runs.see(kept, links.policy, follows)
        if isinstance(statement, Key):
            self.changes.append(statement)
        self._keep(statement)
        self._last = statement

    def _keep(self, statement: Statement) -> None:
        """Remember which entries a later one may be held to."""
        if isinstance(statement, Fund):
            self._listed[tuple(row.pool for row in statement.pools)] = statement.seq
        elif not isinstance(statement, Index):
            if isinstance(statement, Draw):
                self._kept.append(statement.seq - 1)
            self._kept.append(statement.seq)

    def kept(self) -> list[int]:
        """The seqs of the entries from which a monitor that `resumes` knows all that this one does.

        Of the fund's entries these are the last of each list of pools and those
        before draws; of the rest all but the indexes; and the last entry.
        """
        return sorted({*self._kept, *self._listed.values(), *range(self.size)[-1:]})

    def resume(self, entries: Iterable[tuple[int, bytes]], size: int) -> None:
        """See what was kept of the first `size` entries; they were checked before.

        What is missing between them would look like a breach, so breaches of
        single entries are forgotten. Those of whole chains are found again.
        """
        for seq, entry in entries:
            self.size = seq
            self.see(entry)
        self.size = size
        self._found.clear()

    def breaches(self) -> list[Breach]:
        """Every breach of what was seen since it resumed, if a checkpoint ends here, by seq."""
        found = self._found.copy()
        self._runs.check(found, self._last, self._links.unread)
        self._check_end(found)
        return sorted(found.found, key=_by_seq)

    @property
    def time(self) -> int | None:
        """When the last entry that can be read was logged, in milliseconds."""
        return self._last.time if self._last else None

    def ended(self) -> bool:
        """Whether a checkpoint may end here: after an index, or what cannot be read."""
        last, seq = self._last, self.size - 1
        return isinstance(last, Index) if last and last.seq == seq else self._links.unread == seq

    def _check_end(self, found: Breaches) -> None:
        """Every checkpoint ends in an index. An entry that does not parse was reported as that."""
        last = self._last
        found.require(
            self.size > 0 and self.ended(),
            "head-no-index",
            max(self.size - 1, 0),
            f"the checkpoint of {self.size} entries does not end in an index",
            "an index",
            f"a {last.kind}" if last else "nothing",
        )


def _by_seq(breach: Breach) -> int:
    return breach.seq


def _readable(entry: bytes) -> Statement | None:
    try:
        return read_entry(entry)
    except (Malformed, Unsupported):
        return None


def _check_lines(found: Breaches, checkpoint: Checkpoint, key: VerifierKey, change: Key) -> None:
    """The checkpoint carries the lines that a change of the pinned key demands."""
    shown = (Entry(change.seq, change, ()),)
    try:
        check_checkpoint(Step("3", []), Proof("-", checkpoint, shown, (), ()), key, None, None)
    except Refuted as error:
        found.refused("key", change.seq, error, f"the checkpoint of {checkpoint.size} entries: ")
