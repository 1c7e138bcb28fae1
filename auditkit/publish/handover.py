"""What a venue hands its auditor beside the public log: chosen ledgers, their secrets, lists.

ledgers/<seq>-<book>.parquet   account and amount in base units, in the order of the leaves
secrets/<seq>-<book>           that one ledger's secret
lists/<seq>-adl.csv            the positions that deleveraging closed, where the venue has them
"""

import shutil
import tempfile
from collections.abc import Sequence
from itertools import takewhile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from auditkit.errors import InputError, place
from auditkit.files import write_file
from auditkit.ledger.columns import Balances
from auditkit.publish.draft import check_event_name
from auditkit.publish.venue import Venue
from auditkit.secret import Secret
from auditkit.verify.records import Ledger
from auditkit.verify.statements import AssetStatement, Deficit, Recovery, Run, Snapshot

DAY_MS = 86_400_000


def of_event(venue: Venue, event: str) -> list[AssetStatement]:
    """An event's run, and all of the asset's chain above the snapshots it is held against.

    From the reference, or from the earliest snapshot of the day before the
    deficit was confirmed, to the end of the run: with earlier losses and
    recoveries in between. Raises InputError if the log has no such event.
    """
    check_event_name(event)
    found = [venue.log[seq] for seq in venue.history.containing(f'"event":"{event}"')]
    named = (s for s in found if isinstance(s, Run) and s.event == event)
    run = list(takewhile(lambda s: not isinstance(s, Recovery), named))
    deficit = next((s for s in run if isinstance(s, Deficit)), None)
    if deficit is None:
        raise InputError(f"--event: the log has no event {event!r:.80}")
    links: list[AssetStatement] = []
    needed, has_reference = 0, False
    for link in venue.log.back(run[-1].seq):
        links.append(link)
        if link.seq >= deficit.seq:
            needed = len(links)
        elif isinstance(link, Snapshot):
            if has_reference and link.time < deficit.confirmed - DAY_MS:
                break
            needed, has_reference = len(links), link.time <= deficit.confirmed
    return links[:needed][::-1]


def newest(venue: Venue) -> list[AssetStatement]:
    """The last snapshot of every asset."""
    tops = venue.last_index().latest.values()
    found = (
        next((x for x in venue.log.back(top) if isinstance(x, Snapshot)), None) for top in tops
    )
    return [snapshot for snapshot in found if snapshot is not None]


def write(venue: Venue, statements: Sequence[AssetStatement], folder: Path) -> list[Path]:
    """Write the ledgers of these statements to a new folder, whole or not at all.

    Returns the files, relative to it. Raises InputError if the folder exists.
    """
    if folder.exists():
        raise InputError(f"{place(folder)}: exists; name a new folder")
    if not folder.absolute().parent.is_dir():
        raise InputError(f"{place(folder.absolute().parent)}: no such folder")
    draft = Path(tempfile.mkdtemp(dir=folder.absolute().parent, prefix=".auditkit-"))
    try:
        for statement in dict.fromkeys(statements):
            for ledger in statement.ledgers_shown().values():
                _write_ledger(venue, statement.seq, ledger, draft)
            closings = venue.ledgers.closings(statement.seq)
            if closings.is_file():
                write_file(draft / "lists" / closings.name, closings.read_bytes(), 0o600)
        files = sorted(path.relative_to(draft) for path in draft.rglob("*") if path.is_file())
        draft.rename(folder)
    except BaseException:
        shutil.rmtree(draft, ignore_errors=True)
        raise
    return files


def _write_ledger(venue: Venue, seq: int, ledger: Ledger, folder: Path) -> None:
    name = f"{seq}-{ledger.book}"
    rows = venue.ledgers.open(seq, ledger).balances()
    (folder / "ledgers").mkdir(exist_ok=True)
    pq.write_table(_table(rows), folder / f"ledgers/{name}.parquet")
    secret = Secret(venue.ledgers.secret(seq, ledger.book).hex().encode() + b"\n")
    write_file(folder / f"secrets/{name}", secret, 0o600)


def _table(rows: Balances) -> pa.Table:
    """The rows; amounts as decimals, of the width that all readers know if that is enough."""
    wide = bool((rows.amounts[:, 0] >= np.uint64(10**38 >> 64)).any())
    words = [rows.amounts[:, 1], rows.amounts[:, 0]]
    words += [np.zeros(len(rows), np.uint64)] * (2 if wide else 0)
    data = np.ascontiguousarray(np.column_stack(words))
    kind = pa.decimal256(39, 0) if wide else pa.decimal128(38, 0)
    amounts = pa.Array.from_buffers(kind, len(rows), [None, pa.py_buffer(data)])
    return pa.table({"account": rows.accounts.cast(pa.string()), "amount": amounts})
