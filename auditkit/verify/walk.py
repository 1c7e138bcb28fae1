"""Every snapshot, run and recovery on a chain satisfies SPEC.md §5 (step 8)."""

from auditkit.verify.cursor import Cursor, policy_of, require
from auditkit.verify.elements import RESERVED_BOOKS, time_text
from auditkit.verify.errors import Refuted
from auditkit.verify.events import Event, check_run
from auditkit.verify.recoveries import Payout, check_recovery
from auditkit.verify.statements import Applied, Deficit, Recovery, Snapshot


def walk(cursor: Cursor) -> tuple[list[Event], list[Payout]]:
    """Check one chain from its lowest snapshot. Raises Refuted; gaps go to the step."""
    events: list[Event] = []
    payouts: list[Payout] = []
    while (link := cursor.take()) is not None:
        if isinstance(link, Snapshot):
            check_snapshot(cursor, link)
        elif isinstance(link, Deficit):
            if event := check_run(cursor, link):
                events.append(event)
        elif isinstance(link, Recovery):
            if payout := check_recovery(cursor, link):
                payouts.append(payout)
        else:
            raise Refuted(
                f"the {link.kind} {link.seq} stands outside an event's run",
                expected="a snapshot, a deficit or a recovery",
                found=f"a {link.kind}",
            )
    return events, payouts


def check_snapshot(cursor: Cursor, snapshot: Snapshot) -> None:
    """The ledgers of a snapshot are of the policy's books, and none with money vanished."""
    books = policy_of(cursor, snapshot).books
    present = snapshot.ledgers_shown()
    for book in present:
        require(
            book in books,
            f"snapshot {snapshot.seq} has a ledger of a book that the policy lacks",
            ", ".join(books),
            book,
        )
    held: dict[str, int] = {}
    for link in cursor.before(snapshot):
        held.update({book: ledger.total for book, ledger in link.ledgers_shown().items()})
        if isinstance(link, Applied):
            require(
                link.time <= snapshot.as_of,
                f"snapshot {snapshot.seq} shows balances of before the last deduction or recovery",
                f"as_of from {time_text(link.time)}",
                time_text(snapshot.as_of),
            )
    for book, total in held.items():
        require(
            total == 0 or book in present or book in RESERVED_BOOKS,
            f"the ledger {book} vanished from snapshot {snapshot.seq}",
            f"a ledger of {book}, which held {total}",
            "none",
        )
    cursor.step.note(
        f"snapshot {snapshot.seq} of {snapshot.asset} carries every book that held "
        f"money: {', '.join(present) or 'none held any'}"
    )
