"""Evidence of forks that lies in a folder: believed only as far as the venue's own keys go."""

from collections.abc import Callable, Iterable

from auditkit.errors import ForkError
from auditkit.follow.source import Source
from auditkit.verify.errors import NotVerified
from auditkit.verify.fork import MAX_BYTES, Fork, signers
from auditkit.verify.note import VerifierKey

Signers = Callable[[int], tuple[VerifierKey, ...]]
"""The keys of the venue that sign a head of a size."""


def proven(source: Source, path: str, valid: Signers) -> ForkError | None:
    """The fork that a file proves, each head signed by a key that is valid at its size."""
    try:
        fork = Fork.parse(source.read(path, MAX_BYTES))
        first, second = (signers(each, valid(each.size)) for each in (fork.first, fork.second))
        fork.check_apart()
    except (NotVerified, FileNotFoundError):
        return None
    both = [key for key in first if key in second][:1]
    what = f"{path} in this folder holds evidence of two histories"
    return ForkError(what, fork, *(both or (first[0], second[0])))


def met(source: Source, paths: Iterable[str], valid: Signers) -> tuple[str, ...]:
    """Those of the files that prove a fork of the venue."""
    return tuple(path for path in paths if proven(source, path, valid) is not None)
