"""What an audit reads: a venue's folder, or what it published and handed over."""

import shlex
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from auditkit.cli.files import public_folder
from auditkit.cli.trust import TrustStore, read_key
from auditkit.errors import InputError, place
from auditkit.verify.errors import Malformed
from auditkit.verify.note import Checkpoint, VerifierKey
from auditkit.verify.statements import Policy

if TYPE_CHECKING:
    from auditkit.audit.findings import Finding
    from auditkit.log.published import Log


def located(venue: Path | None, public: Path | None, key: str | None) -> tuple[Path, VerifierKey]:
    """The published folder, and the key to read it under: given, the venue's own, or pinned.

    Raises InputError.
    """
    if (venue is None) == (public is None):
        raise InputError("give --venue or --public, and not both")
    folder = public_folder(venue / "public" if venue is not None else Path(str(public)))
    if key or venue is not None:
        return folder, read_key(key or str(folder / "venue.vkey"), "--key")
    path = folder / "checkpoint"
    try:
        origin = Checkpoint.parse(path.read_text("utf-8")).origin
    except FileNotFoundError:
        raise InputError(f"{place(folder)}: is no published log: it has no checkpoint") from None
    except (Malformed, OSError, UnicodeDecodeError):
        raise InputError(f"{place(path)}: not a checkpoint; give --key all the same") from None
    found = TrustStore().keys().get(origin)
    if found is None:
        raise InputError(f"--key is missing, and no key of {origin} is pinned")
    return folder, found


class Source:
    """The log under audit and what was handed over; `read` opens the log."""

    log: "Log"

    def __init__(
        self, venue: Path | None, public: Path | None, key: str | None, handover: Path | None
    ) -> None:
        """Raises InputError where the options contradict each other or name nothing."""
        from auditkit.audit.handover import Handover

        if venue is not None and handover is not None:
            raise InputError("--handover goes with --public; a venue's own folder has everything")
        self._public, self.key = located(venue, public, key)
        self.handed: Handover = Handover.none()
        if venue is not None:
            self.handed = Handover.of_venue(venue)
        elif handover is not None:
            self.handed = Handover.of_folder(handover)
        options = {"--venue": venue, "--public": public, "--key": key}
        self._given = [part for o, v in options.items() if v is not None for part in (o, str(v))]
        self._handover = [] if handover is None else ["--handover", str(handover)]

    def read(self) -> None:
        """Read the log under the key. Raises InputError, Malformed or Refuted."""
        from auditkit.log.published import Log

        self.log = Log.read(self._public, self.key)

    def policy(self) -> Policy:
        """The log's last policy. Raises InputError if it has none."""
        found = self.log.of(Policy)
        if not found:
            raise InputError(f"{place(self._public)}: the log has no policy")
        return found[-1]

    def with_command(self, found: "Finding", name: str, *arguments: str) -> "Finding":
        """The finding, with the command that makes it again."""
        # These two look at the log alone, and take no handover.
        handover = [] if name in ("log", "fund") else self._handover
        parts = ["auditkit", "audit", name, *self._given, *handover, *arguments]
        return replace(found, command=shlex.join(parts))
