"""What every statement says of its own place in the log, held against where it stands (SPEC.md §5).

An entry that cannot be read may have been anything. Where a statement names
such an entry, nobody can show that it is wrong, so nothing is said.
"""

from dataclasses import replace

from auditkit.log.breach import Breaches
from auditkit.log.entries import read_entry
from auditkit.verify.elements import time_text
from auditkit.verify.errors import Malformed, Unsupported
from auditkit.verify.statements import AssetStatement, Index, Policy, Statement


class Links:
    """Follows every asset's chain and the policies, from entry 0 on."""

    def __init__(self, breaches: Breaches, venue: str) -> None:
        self._breaches = breaches
        self._venue = venue
        self._time: int | None = None
        self._last: dict[str, int] = {}
        self._unread: set[int] = set()
        self._policy_seq = -1
        self._policy: Policy | None = None
        self.policy: Policy | None = None
        """The latest policy; None while nobody can tell."""
        self.unread = -1
        """The seq of the last entry that could not be read."""

    def read(self, seq: int, entry: bytes) -> Statement | None:
        """The statement at `seq`; None if it cannot be read."""
        statement = None
        try:
            statement = read_entry(entry)
            if statement.seq != seq:
                self._breaches.add("seq", seq, "the statement says another seq", seq, statement.seq)
                return replace(statement, seq=seq)
        except (Malformed, Unsupported) as error:
            if statement is None:
                rule = "statement" if isinstance(error, Malformed) else "unsupported"
                self._breaches.refused(rule, seq, error, "the entry does not parse: ")
            self._unread.add(seq)
            self.unread = seq
            self.policy = None
            return None
        return statement

    def see(self, statement: Statement) -> bool:
        """Check one statement; whether it follows the last one of its chain that was seen."""
        self._check_place(statement)
        if isinstance(statement, Policy):
            self._policy_seq, self._policy = statement.seq, statement
            self.policy = statement
        if isinstance(statement, AssetStatement | Index):
            self._check_policy(statement)
        if isinstance(statement, Index):
            self._check_latest(statement)
        return self._check_chain(statement) if isinstance(statement, AssetStatement) else True

    def _check_place(self, statement: Statement) -> None:
        seq, require = statement.seq, self._breaches.require
        venue, kind = statement.venue, statement.kind
        require(venue == self._venue, "venue", seq, "of another venue", self._venue, venue)
        if seq == 0:
            require(kind == "policy", "policy", 0, "entry 0 is no policy", "a policy", kind)
        if self._time is not None:
            require(
                statement.time > self._time,
                "time",
                seq,
                "the time is not after that of the entry before",
                f"after {time_text(self._time)}",
                time_text(statement.time),
            )
        self._time = statement.time

    def _may_be(self, claim: int | None, known: int) -> bool:
        """Whether an entry that nobody can read, above the one known, is named."""
        return claim is not None and claim > known and claim in self._unread

    def _check_policy(self, statement: AssetStatement | Index) -> None:
        claim = statement.policy
        if self._may_be(claim, self._policy_seq):
            self._policy_seq, self._policy = claim, None
        elif self._policy_seq >= 0:
            # A log that has no policy yet was told so at its entry 0.
            self._breaches.require(
                claim == self._policy_seq,
                "policy",
                statement.seq,
                f"the {statement.kind} names a wrong policy",
                f"policy {self._policy_seq}",
                claim,
            )
        if claim == self._policy_seq:
            self.policy = self._policy

    def _check_latest(self, index: Index) -> None:
        for asset in sorted(self._last.keys() | index.latest.keys()):
            known, claim = self._last.get(asset), index.latest.get(asset)
            self._breaches.require(
                known == claim or self._may_be(claim, -1 if known is None else known),
                "latest",
                index.seq,
                f"the index names a wrong last statement of {asset}",
                "none" if known is None else known,
                "none" if claim is None else claim,
            )

    def _check_chain(self, link: AssetStatement) -> bool:
        known = self._last.get(link.asset, -1)
        follows = not self._may_be(link.previous, known)
        expected = known if known >= 0 else link.seq
        self._breaches.require(
            link.previous == expected or not follows,
            "previous",
            link.seq,
            f"the {link.kind} names a wrong previous statement of {link.asset}",
            expected,
            link.previous,
        )
        if self.policy is not None:
            self._breaches.require(
                link.asset in self.policy.assets,
                "asset",
                link.seq,
                f"the policy {self.policy.seq} lacks the asset of this {link.kind}",
                ", ".join(sorted(self.policy.assets)),
                link.asset,
            )
        self._last[link.asset] = link.seq
        return follows
