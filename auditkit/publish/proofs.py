"""Customers' proof files (SPEC.md §7): the smallest signed checkpoint that covers what is shown."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from urllib.parse import quote

from auditkit.errors import InputError, shown
from auditkit.ledger.secret import Secret
from auditkit.ledger.stored import Stored
from auditkit.log.chain import Chain
from auditkit.publish.venue import Venue
from auditkit.verify import check
from auditkit.verify.elements import ACCOUNT
from auditkit.verify.errors import Malformed, NotVerified
from auditkit.verify.note import Checkpoint, VerifierKey
from auditkit.verify.proof import MAX_BYTES, Entry, Leaf, Proof
from auditkit.verify.records import Ledger
from auditkit.verify.statements import (
    Applied,
    AssetStatement,
    Index,
    Key,
    Loss,
    Statement,
)
from auditkit.verify.sumtree import Node

RECENT = 64
"""An event is shown unasked if at most this many statements of its chain came after it."""


class Prover:
    """Makes proofs from one venue; ledgers and paths that many customers share are read once."""

    def __init__(self, venue: Venue, since: int | None = None) -> None:
        """`since` is the seq of the index that the customers verified last."""
        self._venue = venue
        self._log = venue.log
        self._index = venue.last_index()
        self._since = None if since is None else _since_index(venue, since)
        self._ledgers: dict[tuple[int, str], Stored] = {}
        self._paths: dict[tuple[int, int], tuple[bytes, ...]] = {}
        self._chains: dict[str, Chain] = {}

    def assets_of(self, account: str) -> list[str]:
        """The assets in whose shown ledgers the account has a leaf."""
        return [asset for asset in sorted(self._index.latest) if self._leaves(account, asset)]

    def prove(self, account: str, assets: Sequence[str] = ()) -> bytes:
        """The checked proof file of one account. Raises InputError if there is nothing to show."""
        try:
            ACCOUNT.read(account)
        except Malformed as error:
            raise InputError(f"--account: {error.what}: {shown(account)}") from None
        self._refuse_unknown(assets)
        assets = sorted(set(assets)) or self.assets_of(account)
        if not assets:
            raise InputError(f"account {account!r:.140} has no leaf in what would be shown")
        since = self._since.seq if self._since else None
        return checked(self._build(account, assets), self._venue.key, since)

    def shown(self, assets: Sequence[str] = ()) -> "Shown":
        """What the proofs of all accounts show of these assets, or of all."""
        self._refuse_unknown(assets)
        seqs: dict[str, tuple[int, ...]] = {}
        found: dict[int, Statement] = {}
        for asset in sorted(set(assets) or self._index.latest):
            around = self._log.around(self._chain(asset))
            seqs[asset] = tuple(sorted(around))
            found |= around
        head = self._head(max(found, default=0))
        always = self._always(head)
        return Shown(head, self._entries(found | always, head), seqs, tuple(sorted(always)))

    def ledgers(self, asset: str) -> Iterator[tuple[AssetStatement, str, Ledger]]:
        """The ledgers shown of an asset: statement, book, what is signed of it."""
        for link in self._log.around(self._chain(asset)).values():
            if isinstance(link, AssetStatement):
                for book, ledger in link.ledgers_shown().items():
                    yield link, book, ledger

    def _refuse_unknown(self, assets: Sequence[str]) -> None:
        if unknown := sorted(set(assets) - self._index.latest.keys()):
            raise InputError(f"--asset: the log has no statement of {unknown[0]}")

    def _build(self, account: str, assets: Sequence[str]) -> Proof:
        shown: dict[int, Statement] = {}
        for asset in assets:
            shown |= self._log.around(self._chain(asset))
        if self._since:
            shown[self._since.seq] = self._since
        head = self._head(max(shown))
        leaves = [leaf for asset in assets for leaf in self._leaves(account, asset)]
        return Proof(
            account, head, self._entries(shown | self._always(head), head), tuple(leaves), ()
        )

    def _always(self, head: Checkpoint) -> dict[int, Statement]:
        """What every file under a head shows: its last entry, a policy, changes of key."""
        last = self._log.index(head.size - 1)
        found = {last.seq: last, last.policy: self._log[last.policy]}
        return found | {key.seq: key for key in self._keys(head.size)}

    def _entries(self, shown: Mapping[int, Statement], head: Checkpoint) -> tuple[Entry, ...]:
        return tuple(
            Entry(seq, statement, self._path(seq, head.size))
            for seq, statement in sorted(shown.items())
        )

    def _chain(self, asset: str) -> Chain:
        if asset not in self._chains:
            top = self._index.latest[asset]
            self._chains[asset] = self._log.chain(top, self._bound(asset, top))
        return self._chains[asset]

    def _bound(self, asset: str, top: int) -> int:
        """The seq at or below which the shown chain has to start."""
        if self._since:
            # What was verified last, or the chain's very first statement.
            return self._since.latest.get(asset, 0)
        for place, link in enumerate(self._log.back(top)):
            if place > RECENT:
                break
            if isinstance(link, Applied | Loss):
                return link.seq
        return top

    def _head(self, seq: int) -> Checkpoint:
        history = self._venue.history
        return history.head(history.size_above(seq))

    def _keys(self, size: int) -> Iterator[Key]:
        for seq in self._venue.history.key_entries():
            statement = self._log[seq]
            if seq < size and isinstance(statement, Key):
                yield statement

    def _path(self, seq: int, size: int) -> tuple[bytes, ...]:
        if (seq, size) not in self._paths:
            self._paths[seq, size] = self._venue.history.tree(size).inclusion(seq)
        return self._paths[seq, size]

    def _leaves(self, account: str, asset: str) -> list[Leaf]:
        found = []
        for link, book, ledger in self.ledgers(asset):
            for leaf in self._ledger(link.seq, book).leaves(account) if ledger.accounts else ():
                path = tuple(map(Node.decode, leaf.path))
                found.append(Leaf(link.seq, book, leaf.index, leaf.amount, leaf.salt, path))
        return found

    def _ledger(self, seq: int, book: str) -> Stored:
        if (seq, book) not in self._ledgers:
            self._ledgers[seq, book] = self._venue.ledgers.proving(seq, book)
        return self._ledgers[seq, book]


@dataclass(frozen=True, slots=True)
class Shown:
    """What many proofs share: the checkpoint, the entries, and which each of them shows.

    `assets` has the seqs of an asset's statements, `always` those of what every file shows.
    """

    head: Checkpoint
    entries: tuple[Entry, ...]
    assets: Mapping[str, tuple[int, ...]]
    always: tuple[int, ...]


def checked(proof: Proof, key: VerifierKey, since: int | None = None) -> bytes:
    """The bytes of a proof file, which verify. Raises InputError."""
    data = Secret(proof.encode())
    if len(data) > MAX_BYTES:
        raise InputError(
            f"account {proof.account}: the file would exceed 1 MiB; prove fewer assets, or a "
            "shorter stretch with --since"
        )
    try:
        check.verify(data, key, proof.account, since=since)
    except NotVerified as error:
        raise InputError(f"account {proof.account}: no file that verifies: {error}") from None
    return bytes(data)


def _since_index(venue: Venue, since: int) -> Index:
    if not 0 <= since < len(venue.history):
        raise InputError(f"--since: the log has no entry {since}; it has {len(venue.history)}")
    try:
        return venue.log.index(since)
    except InputError as error:
        raise InputError(f"--since: {error}") from None


def file_name(account: str) -> str:
    """A safe file name for an account's proof: percent-encoded, or hashed where that is long."""
    name = quote(account, safe="")
    if len(name) > 200:
        # No account is spelled with a bare equals sign, so none can take another's file name.
        name = "sha256=" + sha256(account.encode("ascii")).hexdigest()
    return f"{name}.json"
