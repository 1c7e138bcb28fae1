"""A long stretch of the log as several proof files, verified in order (SPEC.md §7).

Each file has an older checkpoint than the next. The head of one, and the index
that ends it, are the earlier head and the `since` of the next, so that nothing
between them is left out.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from auditkit.errors import InputError
from auditkit.publish.proofs import Prover, TooLarge
from auditkit.publish.stretch import Stretch
from auditkit.publish.venue import Venue
from auditkit.verify.proof import MAX_BYTES


@dataclass(frozen=True, slots=True)
class Slice:
    """One file of several: what it is verified after, the size of its head, its bytes."""

    since: int
    size: int
    data: bytes


class Slicer:
    """Cuts what one account is shown after `since` into files."""

    def __init__(self, venue: Venue, prover: Prover, account: str, assets: Sequence[str]) -> None:
        """Raises InputError, also where the prover knows no `since` to begin after."""
        if prover.stretch.since is None:
            raise InputError("--slices and --most cut what followed; say after what with --since")
        self._venue, self._prover, self._account = venue, prover, account
        self._assets = prover.assets(account, assets)
        self._since = prover.stretch.since.seq
        self._heads = prover.stretch.heads
        self._ends = self._cuts()

    def _cuts(self) -> list[int]:
        """The sizes of the heads at which it may be cut, ascending; the last one ends it.

        Each but the last covers a statement with a leaf of the account: no
        file is without one, since the next one shows that statement again.
        """
        whole, least = self._prover.stretch, self._prover.signed.least
        newest = max(whole.index.latest[asset] for asset in self._assets)
        sizes = {least(newest, whole.index.seq)}
        for asset in self._assets:
            shown = self._prover.leaves(self._account, asset, whole)
            sizes |= {least(leaf.seq, leaf.seq) for leaf in shown if leaf.seq > self._since}
        ends = {self._venue.history.size_above(size) for size in sizes}
        # No file is older than what the customer has.
        oldest = max((*self._heads, self._since + 1))
        return sorted({max(end, oldest) for end in ends})

    def into(self, count: int) -> list[Slice]:
        """At most so many files, of about as many checkpoints each. Raises TooLarge, InputError."""
        files: list[Slice] = []
        for done in sorted({len(self._ends) * n // count for n in range(1, count + 1)} - {0}):
            files.append(self._file(files, self._ends[done - 1], MAX_BYTES))
        return files

    def of(self, most: int) -> list[Slice]:
        """As few files as may be, of at most so many bytes each. Raises TooLarge, InputError."""
        files: list[Slice] = []
        done = 0
        while done < len(self._ends):
            done = self._reach(files, done, most)
            files.append(self._file(files, self._ends[done - 1], most))
        return files

    def _reach(self, files: list[Slice], done: int, most: int) -> int:
        """How many of the cuts are done after the next file, which takes as many as fit."""
        fits, too_many = done + 1, len(self._ends) + 1
        step = 1
        while fits + 1 < too_many:
            middle = min(fits + step, (fits + too_many) // 2)
            if self._fits(files, self._ends[middle - 1], most):
                fits, step = middle, step * 2
            else:
                too_many, step = middle, 1 << 62
        return fits

    def _fits(self, files: list[Slice], end: int, most: int) -> bool:
        try:
            data = self._prover.build(self._account, *self._shown(files, end))
        except TooLarge:
            return False
        return len(data) <= most

    def _shown(self, files: list[Slice], end: int) -> tuple[list[str], Stretch]:
        """The assets and the stretch of the file that follows those files and ends there."""
        since = files[-1].size - 1 if files else self._since
        heads = () if files else self._heads
        stretch = Stretch.of(self._venue, since, heads, end)
        return [asset for asset in self._assets if asset in stretch.index.latest], stretch

    def _file(self, files: list[Slice], end: int, most: int) -> Slice:
        assets, stretch = self._shown(files, end)
        data = self._prover.build(self._account, assets, stretch)
        if len(data) > most:
            raise TooLarge(
                f"account {self._account}: what one checkpoint of {end} entries adds takes "
                f"{len(data)} bytes, more than {most}; allow more, or prove fewer assets"
            )
        found = self._prover.verify(data, self._account, stretch)
        since = stretch.since.seq if stretch.since else self._since
        return Slice(since, found.checkpoint.size, bytes(data))
