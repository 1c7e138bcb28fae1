"""The numbered steps of SPEC.md §7, "To verify".

`verify` returns what was proven, or raises one of the four refusals of
`errors.py` with the number of the first step that does not hold. Nothing that
governs a check is taken from the file: the verifier key, the account, an
earlier head and `since` are the caller's own.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from auditkit.verify import history
from auditkit.verify.chains import Chain, Shown, chains, check_nothing_else
from auditkit.verify.cursor import Cursor
from auditkit.verify.elements import ACCOUNT, RESERVED_BOOKS, time_text
from auditkit.verify.errors import Note, Refuted, Step
from auditkit.verify.events import Event
from auditkit.verify.head import check_checkpoint
from auditkit.verify.holdings import Holdings
from auditkit.verify.note import Checkpoint, VerifierKey
from auditkit.verify.proof import Proof
from auditkit.verify.recoveries import Payout, check_shown
from auditkit.verify.statements import AssetStatement, Key, Policy
from auditkit.verify.walk import check_named_once, walk

STEPS = {
    "1": "the file is well-formed",
    "2": "the key and the account are the customer's own",
    "3": "the checkpoint is signed by the pinned key",
    "4": "every statement is in the log",
    "5": "nothing that the chains name is left out",
    "6": "every leaf leads to its signed ledger",
    "7": "the account's balances are followed without a gap",
    "8": "every snapshot and event follows the rules",
}


@dataclass(frozen=True, slots=True)
class Balance:
    """The account's balance in one ledger: base units, and the statement that shows it."""

    asset: str
    book: str
    amount: int
    leaves: int
    statement: AssetStatement


@dataclass(frozen=True, slots=True)
class Verified:
    """What was proven about one account. Amounts are base units, times milliseconds.

    `balances` are the latest shown of every asset and book, `roles` the
    account's leaves in deficit and adl ledgers, `notes` the checks that were
    made with the numbers compared.
    """

    account: str
    key: VerifierKey
    checkpoint: Checkpoint
    chains: Mapping[str, Chain]
    shown: Shown
    balances: tuple[Balance, ...]
    roles: tuple[Balance, ...]
    events: tuple[Event, ...]
    payouts: tuple[Payout, ...]
    notes: tuple[Note, ...]

    @property
    def policies(self) -> tuple[Policy, ...]:
        """The policies shown, oldest first."""
        return tuple(s for _, s in sorted(self.shown.items()) if isinstance(s, Policy))

    @property
    def keys(self) -> tuple[Key, ...]:
        """The changes of key shown, oldest first."""
        return tuple(s for _, s in sorted(self.shown.items()) if isinstance(s, Key))


def verify(
    proof: bytes,
    key: VerifierKey | str,
    account: str,
    *,
    since: int | None = None,
    head: Checkpoint | None = None,
) -> Verified:
    """Verify a customer's proof file (SPEC.md §7).

    `key` is the pinned verifier key or its one line, `account` the customer's
    own name at the venue; `head` and `since`, if given, are the checkpoint
    verified last and the seq of the index that ended it.

    Raises Unsupported, Malformed, Refuted (false) or Incomplete.
    """
    notes: list[Note] = []
    with Step("1", notes) as step:
        file = Proof.parse(proof)
        step.note(
            f"{len(file.statements)} statements and {len(file.leaves)} leaves, {len(proof)} bytes"
        )
    with Step("2", notes) as step:
        if isinstance(key, str):
            key = VerifierKey.parse(key)
        _check_account(step, file, ACCOUNT.read(account))
    with Step("3", notes) as step:
        check_checkpoint(step, file, key, head, since)
    shown = file.shown()
    with Step("4", notes) as step:
        _check_logged(step, file, key)
    with Step("5", notes) as step:
        found = chains(step, shown, file.checkpoint.size, since)
        for asset, chain in found.items():
            step.note(
                f"{asset}: {len(chain)} statements in one chain, "
                f"{chain[0].seq if chain else '-'} to {chain[-1].seq if chain else '-'}"
            )
    with Step("6", notes) as step:
        holdings = Holdings(step, account, file.leaves, shown)
        for seq, book in holdings.places():
            step.note(
                f"statement {seq}, {book}: {holdings.balance(seq, book)} base units in "
                f"{len(holdings.of(seq, book))} of its leaves, under the signed root and total"
            )
    with Step("7", notes) as step:
        holdings.check_followed(step, found)
        for chain in found.values():
            check_shown(step, chain, shown, holdings)
    events: list[Event] = []
    payouts: list[Payout] = []
    with Step("8", notes) as step:
        check_named_once(found)
        for chain in found.values():
            of_chain = walk(Cursor(step, chain, shown, holdings))
            events += of_chain[0]
            payouts += of_chain[1]
    with Step("5", notes):
        check_nothing_else(shown, found)
    balances = _balances(found, holdings)
    return Verified(
        account=account,
        key=key,
        checkpoint=file.checkpoint,
        chains=found,
        shown=shown,
        balances=tuple(b for b in balances.values() if b.book not in RESERVED_BOOKS),
        roles=tuple(b for b in balances.values() if b.book in RESERVED_BOOKS),
        events=tuple(events),
        payouts=tuple(payouts),
        notes=tuple(notes),
    )


def _check_account(step: Step, file: Proof, account: str) -> None:
    if file.account != account:
        raise Refuted("the file is about another account", expected=account, found=file.account)
    step.note(f"the file is about account {account}")


def _check_logged(step: Step, file: Proof, key: VerifierKey) -> None:
    checkpoint = file.checkpoint
    previous = None
    for entry in file.statements:
        statement = entry.text
        leaf = history.leaf_hash(statement.encode().encode("ascii"))
        try:
            history.check_inclusion(leaf, entry.seq, checkpoint.size, checkpoint.root, entry.path)
        except Refuted as error:
            raise error.inside(f"statement {entry.seq}") from None
        if (statement.seq, statement.venue) != (entry.seq, key.name):
            raise Refuted(
                "a statement says another seq or venue than its place in the log",
                expected=f"{entry.seq} of {key.name}",
                found=f"{statement.seq} of {statement.venue}",
            )
        if previous is not None and statement.time <= previous.time:
            raise Refuted(
                f"the time of statement {entry.seq} is not after the one before it",
                expected=f"after {time_text(previous.time)}",
                found=time_text(statement.time),
            )
        previous = statement
    step.note(f"{len(file.statements)} statements lead to the root of {checkpoint.size} entries")


def _balances(
    found: Mapping[str, Chain], holdings: Holdings
) -> dict[tuple[str, str, str], Balance]:
    """The latest balance shown of every asset and book; of deficit and adl, every event's."""
    latest: dict[tuple[str, str, str], Balance] = {}
    for asset, chain in found.items():
        for link in chain:
            for book in link.ledgers_shown():
                amount = holdings.balance(link.seq, book)
                if amount is not None:
                    event = getattr(link, "event", "") if book in RESERVED_BOOKS else ""
                    leaves = len(holdings.of(link.seq, book))
                    latest[asset, book, event] = Balance(asset, book, amount, leaves, link)
    return latest
