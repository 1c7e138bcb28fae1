"""A venue is one folder: its log, its private ledgers and secrets, and `public/`.

    history.sqlite   the log and its signed heads
    ledgers/         one stored sum tree a ledger, private (0700)
    secrets/         one secret a ledger, private (0700)
    lists/           what deleveraging closed, private (0700)
    public/          what anyone may read
    venue.json       where the signing keys are kept
    lock             held by the one publisher

A publish goes in this order:

    1. take the lock; finish what was committed, forget what was not
    2. compare the log's root with its last signed head
    3. append the entries, sign, and keep both in one transaction, which commits
       only if that head is still the last
    4. bundles and tiles: written, fsynced, renamed
    5. the witnesses, where some are named; what they signed is kept too
    6. checkpoints/<size>, and last of all `checkpoint`

Nothing of it is public before 4, so that nothing public is ever unsaid. Killed
before the commit, it never was; killed later, the next command goes on from
there with the same bytes. Everything a publish writes before it commits is
named by a seq that the log does not have yet; so what an interrupted publish
left behind is known by its name, and forgotten.
"""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Self

from auditkit.errors import DamagedError, InputError, StoppedError
from auditkit.files import sync
from auditkit.log.chain import Reader
from auditkit.log.lineage import Lineage
from auditkit.publish.draft import Draft
from auditkit.publish.history import History
from auditkit.publish.ledgers import FOLDERS, Ledgers
from auditkit.publish.lock import lock, try_lock
from auditkit.publish.public import Ask, Public
from auditkit.publish.settings import NAME, Place, Settings, unreadable
from auditkit.publish.signers import Signers, Signing, SomeSigners
from auditkit.publish.witnesses import Unwitnessed, asker
from auditkit.verify.errors import Malformed
from auditkit.verify.note import VerifierKey
from auditkit.verify.statements import Index, Key, Policy

LEAST = 2
"""The fewest entries of a publish: a statement, and the index behind it."""


class Venue:
    """An opened venue. Reading needs no lock; publishing holds it."""

    def __init__(self, root: Path, ask: Ask | None = None) -> None:
        """Open a venue, and finish or forget what an interrupted publish left behind.

        `ask` asks the witnesses for the lines of a head, when one is published
        or by `finish`; left out, those of the venue's policy are asked. Opening
        a venue asks nobody.
        """
        self.root = root
        self._ask = ask
        if not (root / NAME).is_file():
            raise InputError(f"{root}: not a venue; make one with auditkit venue init")
        try:
            vkey = (root / "public/venue.vkey").read_text("utf-8").strip()
            self.settings = Settings.read(root, VerifierKey.parse(vkey))
        except (UnicodeDecodeError, FileNotFoundError, Malformed) as error:
            raise unreadable(root, error) from None
        self.public = Public(root / "public")
        self.ledgers = Ledgers(root)
        self.history = History(root / "history.sqlite")
        self.log = Reader(self.history.entry)
        try:
            with try_lock(root / "lock") as held:
                if held:
                    self._settle(self.history)
        except BaseException:
            self.__exit__()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *details: object) -> None:
        self.history.__exit__(*details)

    @property
    def lineage(self) -> Lineage:
        """The venue's keys, as the log has them now."""
        return _lineage(self.settings, self.history, self.log)

    @property
    def key(self) -> VerifierKey:
        """The key that whoever is new to the venue pins: the newest."""
        return self.lineage.newest

    @classmethod
    def init(
        cls,
        root: Path,
        signer: Signing,
        place: Path | Place,
        policy: dict[str, Any],
        told: int | None,
    ) -> None:
        """Make a venue with the policy as entry 0 and a first signed checkpoint.

        `place` is where the key is kept: a key file's path, or another place.
        """
        if root.exists() and (not root.is_dir() or any(root.iterdir())):
            raise InputError(f"{root}: exists and is not empty; name a new folder")
        if not root.absolute().parent.is_dir():
            raise InputError(f"{root.absolute().parent}: no such folder")
        with tempfile.TemporaryDirectory(dir=root.absolute().parent, prefix=".auditkit-") as name:
            draft = Path(name) / "venue"
            draft.mkdir()
            for folder in FOLDERS:
                (draft / folder).mkdir(mode=0o700)
            key = signer.verifier
            Settings(key, {key: Place.of(place)}, {}).write(draft)
            public = Public(draft / "public")
            public.write_key(key)
            public.ensure_policy(key)
            with History.create(draft / "history.sqlite"):
                pass
            with cls(draft) as venue, venue.publishing(signer, told) as publish:
                publish.add(Policy, **policy)
            draft.replace(root)
            sync(root.absolute().parent)

    @property
    def next_signers(self) -> tuple[VerifierKey, ...]:
        """The keys that may have to sign the next head; none beside them is asked."""
        return self.lineage.signers(len(self.history) + LEAST)

    def learn(self, key: VerifierKey, place: Place) -> None:
        """Keep in mind where a key is kept; it is forgotten unless the log gets to know the key.

        For whoever is publishing, and so holds the lock.
        """
        self.settings = self.settings.put(key, place)
        self.settings.write(self.root)

    def move(self, signer: Signing, place: Place) -> None:
        """Keep in mind where a key is kept from now on, once it has signed there what it may sign.

        Raises InputError if it is no key that signs for the venue, or cannot sign.
        """
        with lock(self.root / "lock"):
            size = len(self.history)
            if signer.verifier not in self.lineage.signers(size):
                raise InputError(f"{signer.verifier} is no key that signs for {self.root} now")
            # The head that is there: nothing is signed that was not signed before.
            Signers(signer).head((signer.verifier,), size, self.history.head(size).root)
            self.settings = Settings.read(self.root, self.settings.first)
            self.learn(signer.verifier, place)

    def _forget_keys(self, lineage: Lineage) -> None:
        """Forget where keys are kept that the log does not know; others may have written since."""
        Settings.forget_draft(self.root)
        found = Settings.read(self.root, self.settings.first)
        self.settings = found.only(lineage.keys)
        if self.settings != found:
            self.settings.write(self.root)

    def last_index(self) -> Index:
        """The index that ends the log."""
        return self.log.index(len(self.history) - 1)

    @contextmanager
    def publishing(self, signer: SomeSigners, told: int | None) -> Iterator[Draft]:
        """Hold the lock, collect statements, and commit them all at the end, or none.

        `signer` is all that sign the next head (`next_signers`). `told` is the
        time of the first statement in milliseconds; None: the clock's.
        """
        signers = Signers.of(signer)
        # Another publisher may have been at work since this venue was opened, so the log is
        # opened anew under the lock.
        with lock(self.root / "lock"), History(self.root / "history.sqlite") as history:
            # A head that still waits for witnesses is overtaken by the one that comes now.
            self._settle(history)
            log = Reader(history.entry)
            lineage = _lineage(self.settings, history, log)
            signers.require(lineage.signers(len(history) + LEAST))
            ask = self._asking()
            size = len(history)
            draft = Draft(lineage, history, log, self.ledgers, told)
            try:
                yield draft
                draft.commit(signers)
            except BaseException as error:
                if isinstance(error, KeyboardInterrupt) and len(history) > size:
                    raise self._unfinished(len(history), error) from None
                self.ledgers.forget(len(history))
                with suppress(OSError, DamagedError):  # Whoever opens the venue next does it.
                    self._forget_keys(_lineage(self.settings, history, log))
                raise
            try:
                self.public.bring_up_to(history, ask)
            except (OSError, DamagedError, KeyboardInterrupt) as error:
                raise self._unfinished(len(history), error) from None
            draft.notes += getattr(ask, "notes", ())

    def _unfinished(self, size: int, error: BaseException) -> Exception:
        """What to raise where the log is committed but not public: nobody may publish it twice."""
        if isinstance(error, Unwitnessed):
            return Unwitnessed(
                f"the log has {size} entries, signed and committed, but they are not published: "
                f"{error.strerror}. The next publish asks again, and so does auditkit venue "
                "witness-again. Do not publish the same again"
            )
        if isinstance(error, KeyboardInterrupt):
            return StoppedError(
                f"interrupted, but the log has {size} entries, signed and committed; run any "
                "command, and what is not published yet will be. Do not publish the same again"
            )
        text = (
            f"the log has {size} entries, signed and committed, but {self.public.root} could not "
            f"be brought up to it ({error}); mend that and run any command: it will be finished. "
            "Do not publish the same again"
        )
        if isinstance(error, OSError):
            return OSError(error.errno, text)
        return DamagedError(text)

    def finish(self) -> list[str]:
        """Ask once more for a head that waits for its witnesses, and publish it.

        Returns what to look at once more. Raises OSError where they still do not answer.
        """
        with lock(self.root / "lock"):
            ask = self._asking()
            self.public.bring_up_to(self.history, ask)
            return list(getattr(ask, "notes", ()))

    def _asking(self) -> Ask | None:
        """Whoever asks the witnesses; None if there are none to ask. Raises DamagedError."""
        return self._ask or asker(self.public)

    def _settle(self, history: History) -> None:
        """Finish what was committed, forget what was not. Raises DamagedError."""
        # An older copy of the log does not know ledgers that were published, so it is refused
        # before anything is forgotten.
        _, missing = self.public.missing(history)
        self.ledgers.forget(len(history))
        self._forget_keys(_lineage(self.settings, history, self.log))
        self.public.ensure_policy(self.settings.first)
        if missing:
            history.frontier()
            self.public.bring_up_to(history)


def _lineage(settings: Settings, history: History, log: Reader) -> Lineage:
    """The venue's keys, as the log has them."""
    changes = tuple(log[seq] for seq in history.key_entries())
    return Lineage(settings.first, tuple(c for c in changes if isinstance(c, Key)))
