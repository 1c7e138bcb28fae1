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

A log cannot show what is in its ledgers: whom a deficit, a snapshot or a
recovery left out is for those who hold the books.
"""

from auditkit.log.breach import Breach, Breaches
from auditkit.log.funds import Funds
from auditkit.log.links import Links
from auditkit.log.promises import Promises
from auditkit.log.published import Log, read_statement
from auditkit.log.runs import Runs
from auditkit.verify.errors import Malformed, Refuted, Step, Unsupported
from auditkit.verify.head import check_checkpoint
from auditkit.verify.proof import Entry, Proof
from auditkit.verify.statements import Index, Key, Statement

__all__ = ["Breach", "breaches"]


def breaches(log: Log) -> list[Breach]:
    """Every breach that the log shows, by seq; of one chain's runs, the first."""
    found = Breaches()
    links, funds, promises = Links(found, log.key.name), Funds(found), Promises(found)
    runs = Runs(found, lambda seq: _readable(log.entries[seq]))
    last: Statement | None = None
    for seq, entry in enumerate(log.entries):
        statement = links.read(seq, entry)
        if statement is None:
            funds.skip()
            continue
        follows = links.see(statement)
        funds.see(statement, links.policy)
        runs.see(promises.see(statement, links.unread), links.policy, follows)
        if isinstance(statement, Key):
            _check_lines(found, log, statement)
        last = statement
    runs.check(last, links.unread)
    _check_end(found, log, last)
    return sorted(found.found, key=lambda breach: breach.seq)


def _readable(entry: bytes) -> Statement | None:
    try:
        return read_statement(entry)
    except (Malformed, Unsupported):
        return None


def _check_end(found: Breaches, log: Log, last: Statement | None) -> None:
    """Every checkpoint ends in an index. An entry that does not parse was reported as that."""
    seq = len(log) - 1
    if not log.entries or (last is not None and last.seq == seq):
        found.require(
            isinstance(last, Index),
            "head-no-index",
            max(seq, 0),
            f"the checkpoint of {len(log)} entries does not end in an index",
            "an index",
            f"a {last.kind}" if last else "nothing",
        )


def _check_lines(found: Breaches, log: Log, change: Key) -> None:
    """The checkpoint carries the lines that a change of the pinned key demands."""
    shown = (Entry(change.seq, change, ()),)
    try:
        check_checkpoint(
            Step("3", []), Proof("-", log.checkpoint, shown, (), ()), log.key, None, None
        )
    except Refuted as error:
        found.say("key", change.seq, f"the checkpoint of {len(log)} entries: {error}")
