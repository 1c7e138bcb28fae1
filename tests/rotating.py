"""An exchange that changes its key (tests/exchange.py), with every key it ever had at hand.

exchange = Rotating(tmp_path)
exchange.rotate(exchange.new_key(), after=4)
exchange.signers_of(6)        the keys whose lines the published checkpoint of 6 entries has
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from exchange import ORIGIN, START, Exchange

from auditkit.ledger.books import Books
from auditkit.publish import policy, rotation, snapshot
from auditkit.publish.draft import Draft
from auditkit.publish.keys import KeyFile, Signer
from auditkit.publish.proofs import Prover
from auditkit.publish.rotation import Retire
from auditkit.publish.settings import Place
from auditkit.publish.signers import Signers, Signing
from auditkit.publish.venue import Venue
from auditkit.verify.note import Checkpoint, VerifierKey
from auditkit.verify.statements import Key


def change_key(exchange: Exchange, file: Path) -> None:
    """Change an exchange's key to that of a file; both sign four entries more."""
    new = KeyFile(file).open(None)
    signers = Signers(exchange.signer, new)
    with Venue(exchange.root) as venue, venue.publishing(signers, exchange.now + 1000) as draft:
        rotation.publish(draft, new.verifier, Retire(after=4))
        venue.learn(new.verifier, Place.of(file))


class Rotating(Exchange):
    """The same with `hands`: the keys that sign, of which each head asks for its own."""

    def __init__(self, folder: Path, **options: Any) -> None:
        super().__init__(folder, **options)
        self.hands: list[Signing] = [self.signer]

    @classmethod
    def kept(cls, folder: Path, signer: Signing, place: Place) -> "Rotating":
        """An exchange whose first key is kept elsewhere than in a file."""
        found = cls.__new__(cls)
        found.root, found.books = folder / "venue", folder / "books"
        found.books.mkdir()
        found.now, found.files, found.hands = START, 0, [signer]
        found.rules = {"assets": {"BTC": 8}, "pools": {"BTC": {"asset": "BTC"}}}
        Venue.init(found.root, signer, place, policy.read(found.policy_file()), found.now)
        return found

    def new_key(self) -> Signer:
        """A new key, in a file beside the first one."""
        signer = Signer.generate(ORIGIN)
        signer.write(self.file_of(signer.verifier), None)
        return signer

    def file_of(self, key: VerifierKey) -> Path:
        """Where `new_key` keeps a key."""
        return self.root.parent / f"key-{key.id.hex()}.pem"

    def publish(
        self, work: Callable[[Draft], Any], told: int | None = None, *hands: Signing
    ) -> Any:
        """Run one publish, with the keys at hand or those given."""
        told = self.now + 1000 if told is None else told
        signers = Signers(*(hands or self.hands))
        with Venue(self.root) as venue, venue.publishing(signers, told) as draft:
            done = work(draft)
        self.now = self.last_time()
        return done

    def rotate(self, new: Signing, size: int | None = None, *, after: int = 0) -> Key:
        """Change to a key, which signs from now on; the old one stays at hand."""
        place = Place.of(self.file_of(new.verifier))
        signers = Signers(*self.hands, new)
        with Venue(self.root) as venue, venue.publishing(signers, self.now + 1000) as draft:
            change = rotation.publish(draft, new.verifier, Retire(size, after))
            venue.learn(new.verifier, place)
        self.now = self.last_time()
        self.hands.append(new)
        return change

    def size(self) -> int:
        """The entries of the log."""
        with Venue(self.root) as venue:
            return len(venue.history)

    def grow(self, entries: int) -> None:
        """Publish so many entries at once, the index included."""
        about = self.long({"BTC": {"margin": {"anna": 500, "bert": 300}}})

        def work(draft: Draft) -> None:
            for _ in range(entries - 1):
                snapshot.publish(draft, Books.read(about))

        self.publish(work)

    def published(self, size: int) -> Checkpoint:
        """The published checkpoint of that size."""
        path = self.root / f"public/checkpoints/{size}"
        return Checkpoint.parse(path.read_text("utf-8"))

    def signers_of(self, size: int) -> list[bytes]:
        """The key ids in the lines of the published checkpoint of that size."""
        return [line.key_id for line in self.published(size).note.signatures]

    def prove_for(self, key: VerifierKey, account: str = "anna", since: int | None = None) -> bytes:
        """The proof file of an account for whoever pinned that key."""
        with Venue(self.root) as venue:
            return Prover(venue, since, key=key).prove(account)
