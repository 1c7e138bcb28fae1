"""Customers' proof files (SPEC.md §7): the smallest signed checkpoint that covers what is shown."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from urllib.parse import quote

from auditkit.errors import InputError, shown
from auditkit.ledger.stored import Stored
from auditkit.log.chain import Chain
from auditkit.publish.paths import Paths
from auditkit.publish.stretch import Signed, Stretch
from auditkit.publish.venue import Venue
from auditkit.secret import Secret
from auditkit.verify import check
from auditkit.verify.elements import ACCOUNT
from auditkit.verify.errors import Malformed, NotVerified
from auditkit.verify.note import Checkpoint, VerifierKey
from auditkit.verify.proof import MAX_BYTES, Entry, Extension, Leaf, Proof
from auditkit.verify.records import Ledger
from auditkit.verify.statements import (
    Applied,
    AssetStatement,
    Index,
    Loss,
    Statement,
)
from auditkit.verify.sumtree import Node

RECENT = 64
"""An event is shown unasked if at most this many statements of its chain came after it."""


class TooLarge(InputError):
    """The file would be larger than a reader takes, or than was asked for."""


class Prover:
    """Makes proofs from one venue; ledgers and paths that many customers share are read once."""

    def __init__(
        self,
        venue: Venue,
        since: int | None = None,
        heads: Iterable[int] = (),
        key: VerifierKey | None = None,
    ) -> None:
        """`since` is the seq of the index that the customers verified last, `key` what they pinned.

        `heads` are sizes of heads from which they are shown that the log was
        only extended. Left out, the key is the venue's newest; what is shown
        ends with the last head that it signs. Raises InputError.
        """
        self._venue = venue
        self._log = venue.log
        self._lineage = venue.lineage
        self.key = key or self._lineage.newest
        # A head that waits for its witnesses is nobody's to see.
        public = venue.public.checkpoint()
        last = public.size if public else 0
        self.signed = signed = Signed.by(self.key, self._lineage, venue.history, last)
        if since is not None and signed.end <= since < len(venue.history):
            what = f"{since} is beyond the {signed.end} entries that the key signs"
            raise InputError(f"--since: {what}")
        self.stretch = Stretch.of(venue, since, tuple(heads), signed.end)
        self._paths = Paths(venue.history, venue.public.root)
        self._ledgers: dict[tuple[int, str], Stored] = {}
        self._chains: dict[tuple[str, int, int], Chain] = {}
        self._account, self._leaves = "", dict[tuple[int, str], list[Leaf]]()

    def assets_of(self, account: str) -> list[str]:
        """The assets in whose shown ledgers the account has a leaf."""
        latest = sorted(self.stretch.index.latest)
        return [asset for asset in latest if self.leaves(account, asset, self.stretch)]

    def assets(self, account: str, wanted: Sequence[str]) -> list[str]:
        """The assets to show: those wanted, or all of the account's. Raises InputError."""
        try:
            ACCOUNT.read(account)
        except Malformed as error:
            raise InputError(f"--account: {error.what}: {shown(account)}") from None
        self._refuse_unknown(wanted)
        found = sorted(set(wanted)) or self.assets_of(account)
        if not found:
            raise InputError(f"account {account!r:.140} has no leaf in what would be shown")
        return found

    def _refuse_unknown(self, assets: Sequence[str]) -> None:
        if unknown := sorted(set(assets) - self.stretch.index.latest.keys()):
            raise InputError(f"--asset: the log has no statement of {unknown[0]}")

    def prove(self, account: str, assets: Sequence[str] = ()) -> bytes:
        """The checked proof file of one account. Raises InputError if there is nothing to show."""
        data = self.build(account, self.assets(account, assets), self.stretch)
        self.verify(data, account, self.stretch)
        return bytes(data)

    def build(self, account: str, assets: Sequence[str], stretch: Stretch) -> Secret:
        """The file of these assets over a stretch, not checked yet. Raises TooLarge."""
        return encoded(self._build(account, assets, stretch))

    def verify(self, data: bytes, account: str, stretch: Stretch) -> check.Verified:
        """What the customer is proven by the file. Raises InputError if that is nothing."""
        since = stretch.since.seq if stretch.since else None
        head = self._venue.history.head(stretch.heads[-1]) if stretch.heads else None
        return checked(data, self.key, account, since, head)

    def _build(self, account: str, assets: Sequence[str], stretch: Stretch) -> Proof:
        shown: dict[int, Statement] = {}
        for asset in assets:
            shown |= self._log.around(self.chain(asset, stretch))
        if stretch.since:
            shown[stretch.since.seq] = stretch.since
        head = self._head(max(shown), stretch)
        leaves = [leaf for asset in assets for leaf in self.leaves(account, asset, stretch)]
        entries = self._entries(shown | self._always(head), head)
        extensions = tuple(
            Extension(size, self._paths.consistency(size, head))
            for size in stretch.heads
            if size < head.size
        )
        return Proof(account, head, entries, tuple(leaves), extensions)

    def shown(self, assets: Sequence[str] = ()) -> "Shown":
        """What the files of all accounts show of these assets, or of all. Raises InputError."""
        self._refuse_unknown(assets)
        seqs: dict[str, tuple[int, ...]] = {}
        found: dict[int, Statement] = {}
        for asset in sorted(set(assets) or self.stretch.index.latest):
            around = self._log.around(self.chain(asset, self.stretch))
            seqs[asset] = tuple(sorted(around))
            found |= around
        head = self._head(max(found, default=0), self.stretch)
        always = self._always(head)
        return Shown(head, self._entries(found | always, head), seqs, tuple(sorted(always)))

    def ledgers(self, asset: str, stretch: Stretch) -> Iterator[tuple[int, str, Ledger]]:
        """The ledgers that the stretch's file shows of an asset: seq, book, what is signed."""
        for link in self._log.around(self.chain(asset, stretch)).values():
            if isinstance(link, AssetStatement):
                for book, ledger in link.ledgers_shown().items():
                    yield link.seq, book, ledger

    def _always(self, head: Checkpoint) -> dict[int, Statement]:
        """What every file under a head shows: its last entry, a policy, changes of key."""
        last = self._log.index(head.size - 1)
        found = {last.seq: last, last.policy: self._log[last.policy]}
        return found | {key.seq: key for key in self._lineage.changes if key.seq < head.size}

    def _entries(self, shown: Mapping[int, Statement], head: Checkpoint) -> tuple[Entry, ...]:
        return tuple(
            Entry(seq, statement, self._paths.inclusion(seq, head))
            for seq, statement in sorted(shown.items())
        )

    def chain(self, asset: str, stretch: Stretch) -> Chain:
        """The chain of an asset as far as the stretch's file shows it."""
        key = (asset, stretch.since.seq if stretch.since else -1, stretch.index.seq)
        if key not in self._chains:
            top = stretch.index.latest[asset]
            self._chains[key] = self._log.chain(top, self._bound(asset, top, stretch.since))
        return self._chains[key]

    def _bound(self, asset: str, top: int, since: Index | None) -> int:
        """The seq at or below which the shown chain has to start."""
        if since:
            # What was verified last, or the chain's very first statement.
            return since.latest.get(asset, 0)
        for place, link in enumerate(self._log.back(top)):
            if place > RECENT:
                break
            if isinstance(link, Applied | Loss):
                return link.seq
        return top

    def _head(self, seq: int, stretch: Stretch) -> Checkpoint:
        """The smallest head of the stretch that covers `seq` and what the customer has.

        One that witnesses cosigned, if there is any. Above the last statement
        of the chains, every index names the same ones.
        """
        history = self._venue.history
        least = max(
            self.signed.least(seq, stretch.index.seq), *(size - 1 for size in stretch.heads), 0
        )
        found = history.cosigned_above(least)
        if found is not None and found.size <= stretch.index.seq + 1:
            return found
        return history.head(history.size_above(least))

    def leaves(self, account: str, asset: str, stretch: Stretch) -> list[Leaf]:
        """The account's leaves in what the stretch's file shows of the asset."""
        if account != self._account:
            self._account, self._leaves = account, {}
        found = []
        for seq, book, ledger in self.ledgers(asset, stretch):
            if (seq, book) not in self._leaves:
                self._leaves[seq, book] = self._found(account, seq, ledger)
            found += self._leaves[seq, book]
        return found

    def _found(self, account: str, seq: int, ledger: Ledger) -> list[Leaf]:
        """The account's leaves in one ledger, which is opened only if it has any."""
        stored = self._ledger(seq, ledger).leaves(account) if ledger.accounts else []
        return [
            Leaf(seq, ledger.book, x.index, x.amount, x.salt, tuple(map(Node.decode, x.path)))
            for x in stored
        ]

    def _ledger(self, seq: int, signed: Ledger) -> Stored:
        key = seq, signed.book
        if key not in self._ledgers:
            self._ledgers[key] = self._venue.ledgers.proving(seq, signed)
        return self._ledgers[key]


@dataclass(frozen=True, slots=True)
class Shown:
    """What many proofs share: the checkpoint, the entries, and which each of them shows.

    `assets` has the seqs of an asset's statements, `always` those of what every file shows.
    """

    head: Checkpoint
    entries: tuple[Entry, ...]
    assets: Mapping[str, tuple[int, ...]]
    always: tuple[int, ...]


def encoded(proof: Proof) -> Secret:
    """The bytes of a proof file. Raises TooLarge."""
    data = Secret(proof.encode())
    if len(data) > MAX_BYTES:
        raise TooLarge(
            f"account {proof.account}: the file would exceed 1 MiB; prove fewer assets, or cut the "
            "stretch into files with --since SEQ --slices N"
        )
    return data


def checked(
    data: bytes,
    key: VerifierKey,
    account: str,
    since: int | None = None,
    head: Checkpoint | None = None,
) -> check.Verified:
    """What a proof file proves to its account. Raises InputError if it does not verify."""
    try:
        return check.verify(data, key, account, since=since, head=head)
    except NotVerified as error:
        raise InputError(f"account {account}: no file that verifies: {error}") from None


def file_name(account: str) -> str:
    """A safe file name for an account's proof: percent-encoded, or hashed where that is long."""
    name = quote(account, safe="")
    if len(name) > 200:
        # No account is spelled with a bare equals sign, so none can take another's file name.
        name = "sha256=" + sha256(account.encode("ascii")).hexdigest()
    return f"{name}.json"
