"""The venue's stored ledgers, their secrets and lists: all private, named `<seq>-<book>`."""

import re
import secrets
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from auditkit.errors import DamagedError
from auditkit.files import write_file
from auditkit.ledger.stored import Stored
from auditkit.secret import Secret
from auditkit.verify.records import Ledger

if TYPE_CHECKING:
    from auditkit.ledger import store
    from auditkit.ledger.builder import Builder

_Kind = TypeVar("_Kind", bound=Stored)

FOLDERS = ("ledgers", "secrets", "lists")
_OURS = re.compile(r"\.?(?P<seq>[0-9]+)-[a-z][a-z0-9-]*(\.csv)?(?P<draft>\.draft)?")


class Ledgers:
    """The folders `ledgers/`, `secrets/` and `lists/` of a venue."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def open(self, seq: int, signed: Ledger) -> "store.Ledger":
        """The stored ledger of the statement `seq` that says `signed` of it.

        Raises DamagedError for another one, such as a wrong backup has.
        """
        from auditkit.ledger import store

        return self._signed(store.Ledger, seq, signed)

    def proving(self, seq: int, signed: Ledger) -> Stored:
        """The same, opened to prove accounts one by one."""
        return self._signed(Stored, seq, signed)

    def _signed(self, kind: type[_Kind], seq: int, signed: Ledger) -> _Kind:
        path = self._root / f"ledgers/{seq}-{signed.book}"
        found = kind.open(path, self.secret(seq, signed.book))
        if (found.count, found.total, found.root) != (signed.accounts, signed.total, signed.root):
            raise DamagedError(
                f"{path}: is not the ledger that entry {seq} signed; restore it and its secret "
                "from a backup"
            )
        return found

    def secret(self, seq: int, book: str) -> Secret:
        """The 32-byte secret of one ledger: for an auditor, and no more than that one.

        Raises DamagedError if the file is missing or does not hold a secret.
        """
        path = self._root / f"secrets/{seq}-{book}"
        try:
            return Secret.fromhex(path.read_text("ascii"))
        except FileNotFoundError:
            raise DamagedError(f"{path}: is missing; restore it from a backup") from None
        except ValueError:
            raise DamagedError(f"{path}: damaged; restore it from a backup") from None

    def building(self, seq: int, number: int, most: int) -> "Builder":
        """What builds a ledger of the statement `seq` or a later one, under a fresh random secret.

        `number` tells those apart that are built at once; an account may have `most` rows.
        """
        # Most publishes build no ledger, and need not wait for what builds one.
        from auditkit.ledger.builder import Builder

        draft = self._root / f"ledgers/.{seq}-b{number}.draft"
        return Builder(draft, Secret(secrets.token_bytes(32)), most)

    def keep(self, builder: "Builder", seq: int, book: str) -> "store.Ledger":
        """Store what was built as that book's ledger in the statement `seq`."""
        secret = Secret(builder.secret.hex().encode())
        write_file(self._root / f"secrets/{seq}-{book}", secret, 0o600)
        return builder.publish(self._root / f"ledgers/{seq}-{book}")

    def closings(self, seq: int) -> Path:
        """Where the positions lie that deleveraging closed in the `adl` statement `seq`."""
        return self._root / f"lists/{seq}-adl.csv"

    def keep_closings(self, seq: int, table: bytes) -> None:
        """Keep that list: its positions are still to be closed, and an auditor asks for it."""
        path = self.closings(seq)
        path.parent.mkdir(mode=0o700, exist_ok=True)
        write_file(path, table, 0o600)

    def forget(self, size: int) -> None:
        """Remove what is named for a statement that a log of `size` entries does not have.

        Drafts go too, whatever their seq; what has another name is not ours.
        """
        for folder in FOLDERS:
            for path in (self._root / folder).glob("*"):
                name = _OURS.fullmatch(path.name)
                if name is None or path.is_symlink():
                    continue
                if not name["draft"] and int(name["seq"]) < size:
                    continue
                if path.is_dir():
                    shutil.rmtree(path)
                else:
                    path.unlink()
