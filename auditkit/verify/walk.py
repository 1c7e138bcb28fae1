"""Every snapshot, run and recovery on a chain satisfies SPEC.md §5 (step 8)."""

from collections.abc import Mapping

from auditkit.verify.chains import Chain
from auditkit.verify.cursor import Cursor, policy_of, require
from auditkit.verify.elements import RESERVED_BOOKS, time_text
from auditkit.verify.errors import Refuted, inside
from auditkit.verify.events import Event, check_run
from auditkit.verify.recoveries import Payout, check_recovery
from auditkit.verify.statements import Deficit, Recovery, Snapshot


def walk(cursor: Cursor) -> tuple[list[Event], list[Payout]]:
    """Check one chain from its lowest snapshot. Raises Refuted; gaps go to the step."""
    events: list[Event] = []
    payouts: list[Payout] = []
    while (link := cursor.take()) is not None:
        if isinstance(link, Snapshot):
            check_snapshot(cursor, link)
        elif isinstance(link, Deficit):
            with inside(f"{link.asset}, event {link.event}"):
                if event := check_run(cursor, link):
                    events.append(event)
        elif isinstance(link, Recovery):
            with inside(f"{link.asset}, event {link.event}, recovery {link.seq}"):
                if payout := check_recovery(cursor, link):
                    payouts.append(payout)
        else:
            raise Refuted(
                f"the {link.kind} {link.seq} stands outside an event's run",
                expected="a snapshot, a deficit or a recovery",
                found=f"a {link.kind}",
            )
    return events, payouts


def check_named_once(chains: Mapping[str, Chain]) -> None:
    """No two of the runs shown, of whatever assets, are of one name. Raises Refuted."""
    seen: dict[str, int] = {}
    for chain in chains.values():
        for deficit in (link for link in chain if isinstance(link, Deficit)):
            first = seen.setdefault(deficit.event, deficit.seq)
            require(
                first == deficit.seq,
                f"two events are named {deficit.event}",
                "a name used once",
                f"deficits {first} and {deficit.seq}",
            )


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
    if cursor.effect:
        require(
            cursor.effect.time <= snapshot.as_of,
            f"snapshot {snapshot.seq} shows balances of before the last deduction or recovery",
            f"as_of from {time_text(cursor.effect.time)}",
            time_text(snapshot.as_of),
        )
    for book, total in cursor.held.items():
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
