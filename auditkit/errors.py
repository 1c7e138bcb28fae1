"""What the publishing and auditing rooms raise when the world is not as they need it.

    InputError      what the user gave is wrong; nothing was written      (exit 2)
      RowError      ... with a row that no honest book holds
    DamagedError    a stored file is not what was stored; nothing goes on  (exit 74)
    ForkError       one venue signed two histories, and this is the evidence (exit 4)
    StoppedError    interrupted when something could no longer be undone   (exit 130)

The verifier's own four refusals are in `auditkit.verify.errors`; failures of
the file system stay the OSError they are.
"""

from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from auditkit.verify.fork import Fork
    from auditkit.verify.note import VerifierKey

_CLIP = 60


class InputError(Exception):
    """One clear line: what is wrong, where, and what to do."""


class RowError(InputError):
    """The same, about a row that no honest book holds: a negative balance, an account twice."""


class DamagedError(Exception):
    """A file of the venue is damaged, missing or older than what was published."""


class StoppedError(Exception):
    """Somebody interrupted what could no longer be undone; says what stands."""


class ForkError(Exception):
    """One venue signed two histories. Raised only with evidence that holds.

    `what` says in one sentence what was met, such as "the published log does
    not extend the head verified last". `keys` are the verifier keys under
    which `evidence.check` holds. `place` is where the evidence file is to go,
    a file or a folder; None is the current folder.
    """

    def __init__(self, what: str, evidence: "Fork", *keys: "VerifierKey") -> None:
        super().__init__(what)
        self.what = what
        self.evidence = evidence
        self.keys = keys
        self.place: Path | None = None


def shown(value: object) -> str:
    """A value for an error line: clipped; text in quotes and with only printable ASCII."""
    text = format(value, "f") if isinstance(value, Decimal) else str(value)
    tail = "..." if len(text) > _CLIP else ""
    text = text[:_CLIP]
    return (ascii(text) if isinstance(value, str) else text) + tail


def place(path: Path) -> str:
    """A path for an error line, which a file name with a line break must not break."""
    text = str(path)
    return text if text.isprintable() else ascii(text)
