"""The static files that anyone may read (SPEC.md §4): a whole C2SP tlog-tiles log.

    checkpoint              the newest signed head: the only name that moves
    checkpoints/<size>      every head ever signed
    tile/<level>/...        hash tiles, whole, and partial for every published size
    tile/entries/...        the entries, in bundles of the same numbers and widths
    venue.vkey              the venue's first verifier key
    keys/<key id>.vkey      each of its keys, once it has changed the first: a newcomer's is the
                            one that the lines of `checkpoint` name and the last policy lists
    policy                  whose signatures count; a later one is policies/2, policies/3, ...

Everything here can be made again from the log, with the same bytes, and
nothing lies here that is not committed there: the tile of a size that was
never signed could not be taken back.
"""

from collections.abc import Callable
from pathlib import Path

from auditkit.errors import DamagedError
from auditkit.files import write_file
from auditkit.log.bundles import BUNDLE, bundle_path, pack
from auditkit.log.tiles import TILE, folder, tile_path
from auditkit.publish.growth import grown
from auditkit.publish.history import History
from auditkit.publish.policyfile import NO_WITNESS, policy_text, with_key
from auditkit.verify.errors import Malformed
from auditkit.verify.note import Checkpoint, VerifierKey
from auditkit.verify.statements import Key, parse

Ask = Callable[[Checkpoint], Checkpoint]
"""Asks the witnesses: the same checkpoint, with their lines. Raises OSError without a quorum."""


def key_path(key: VerifierKey) -> str:
    """The file of a key of a venue that has changed its key, such as `keys/5caf7be7.vkey`."""
    return f"keys/{key.id.hex()}.vkey"


class Public:
    """The folder `public/` of a venue."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def _write_once(self, name: str, data: bytes) -> None:
        path = self.root / name
        if not path.exists():
            write_file(path, data)
        elif path.read_bytes() != data:
            raise DamagedError(f"{path}: differs from what was published; restore it")

    def write_key(self, key: VerifierKey) -> None:
        """Write the venue's verifier key."""
        self._write_once("venue.vkey", f"{key}\n".encode())

    def policy_name(self) -> str:
        """The file of the newest policy; one that is out is never changed."""
        number = 1
        while (self.root / f"policies/{number + 1}").exists():
            number += 1
        return "policy" if number == 1 else f"policies/{number}"

    def policy(self) -> str:
        """The text of the newest policy; "" if there is none yet."""
        path = self.root / self.policy_name()
        return path.read_text("utf-8") if path.exists() else ""

    def write_policy(self, text: str) -> str:
        """Publish whose signatures count from now on, and return the name of the file."""
        name, now = self.policy_name(), self.policy()
        if now and now != text:
            number = int(name.partition("/")[2] or 1)
            name = f"policies/{number + 1}"
        self._write_once(name, text.encode())
        return name

    def ensure_policy(self, key: VerifierKey) -> None:
        """Publish a policy without witnesses where there is none yet."""
        if not self.policy():
            self.write_policy(policy_text([key]))

    def _write_keys(self, history: History) -> None:
        """Publish every key that a change names, and the policy with the newest of them."""
        for seq in history.key_entries():
            change = parse(history.entry(seq).decode("ascii"))
            if isinstance(change, Key):
                for key in (change.old, change.new):
                    self._write_once(key_path(key), f"{key}\n".encode())
                self.write_policy(with_key(self.policy(), change.old, change.new))

    def bring_up_to(self, history: History, ask: Ask | None = None) -> None:
        """Publish every signed head that is not public yet, and the entries it covers.

        The name `checkpoint` moves last, so that whatever it promises is there.
        Only the newest head is shown to witnesses. Without `ask`, a venue that
        has named some waits for whoever can ask them: its heads stay unseen.
        Raises DamagedError.
        """
        done, sizes = self.missing(history)
        for size in sizes:
            self._write_entries(history, size, done)
            for tile, data in grown(history, folder(self.root), size, done):
                self._write_once(tile_path(*tile), data)
            done = size
        if not sizes or (newest := self._final(history, done, ask)) is None:
            return
        for size in sizes[:-1]:
            head = history.cosigned(size) or history.head(size)
            self._write_once(f"checkpoints/{size}", str(head.note).encode())
        self._write_keys(history)
        note = str(newest.note).encode()
        self._write_once(f"checkpoints/{done}", note)
        write_file(self.root / "checkpoint", note)

    def _write_entries(self, history: History, size: int, done: int) -> None:
        for start in range(done - done % BUNDLE, size, BUNDLE):
            end = min(start + BUNDLE, size)
            name = bundle_path(start // BUNDLE, end - start)
            self._write_once(name, pack(history.entries(start, end)))

    def _final(self, history: History, size: int, ask: Ask | None) -> Checkpoint | None:
        """A head as it is published, with its witnesses' lines; None if nobody can ask them."""
        head = history.head(size)
        if kept := history.cosigned(size):
            return kept
        if (self.root / f"checkpoints/{size}").exists():
            return head  # It was out before there was a witness to ask.
        if ask is None:
            return head if not self.policy() or self.policy().endswith(NO_WITNESS) else None
        found = ask(head)
        if found != head:
            if not _same(head, found):
                raise DamagedError(f"the witnesses answered for another checkpoint than {size}")
            # Kept before anyone sees it, so that after a crash the same lines are shown.
            history.keep_cosigned(found)
        return found

    def missing(self, history: History) -> tuple[int, list[int]]:
        """The size up to which all is public, and the sizes of the signed heads above, ascending.

        Raises DamagedError if what was published is not of this log, or is
        more than it holds: an older copy of a log must not be continued.
        """
        path = self.root / "checkpoint"
        published = self.checkpoint()
        if published is None:
            names = [p.name for p in (self.root / "checkpoints").glob("*") if p.name.isdecimal()]
            self._refuse_older(history, max(map(int, names), default=0))
            return 0, history.sizes()
        self._refuse_older(history, published.size)
        head = history.perhaps_head(published.size)
        if head is None or not _same(head, published):
            raise DamagedError(f"{path}: is not a head of {history.path}; restore the right one")
        done = published.size if self._has_tiles(published.size) else 0
        return done, history.sizes(above=done)

    def checkpoint(self) -> Checkpoint | None:
        """The head that is public, None while there is none. Raises DamagedError."""
        path = self.root / "checkpoint"
        if not path.exists():
            return None
        try:
            return Checkpoint.parse(path.read_text("utf-8"))
        except (Malformed, UnicodeDecodeError):
            raise DamagedError(f"{path}: is not a checkpoint; restore it") from None

    def _has_tiles(self, size: int) -> bool:
        """Whether the tile is there that is written last for a head; older venues had none."""
        number, last = divmod(size - 1, TILE)
        return any((self.root / tile_path(0, number, w)).exists() for w in (last + 1, TILE))

    @staticmethod
    def _refuse_older(history: History, published: int) -> None:
        if published > len(history):
            raise DamagedError(
                f"{history.path}: holds {len(history)} entries, but {published} were published; "
                "it is an older copy and must not be continued"
            )


def _same(head: Checkpoint, shown: Checkpoint) -> bool:
    """Whether what is shown is that head: its text and its lines, and perhaps lines of others."""
    lines = set(head.note.signatures)
    return shown.note.text == head.note.text and lines <= set(shown.note.signatures)
