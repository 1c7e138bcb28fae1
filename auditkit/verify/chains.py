"""Nothing that the chains name is left out (SPEC.md §7, step 5).

Every asset has a chain: each statement names the one before it, and the index
at the end of every checkpoint names the last. A file shows whole chains from
its lowest snapshot on, or it is incomplete.
"""

from bisect import bisect_left
from collections.abc import Iterator, Mapping
from typing import TypeAlias

from auditkit.verify.errors import Malformed, Refuted, Step
from auditkit.verify.statements import (
    AssetStatement,
    Draw,
    Index,
    Key,
    Policy,
    Recovery,
    Snapshot,
    Statement,
)

Shown: TypeAlias = Mapping[int, Statement]
Chain: TypeAlias = tuple[AssetStatement, ...]
_POLICY = "policy"


def chains(step: Step, shown: Shown, size: int, since: int | None) -> dict[str, Chain]:
    """The chain of every asset shown, oldest first, by asset. Raises Refuted or Incomplete."""
    _check_claims(shown)
    _check_decimals(shown)
    last = shown.get(size - 1)
    if not isinstance(last, Index):
        step.missing(
            "the checkpoint does not end in an index that is shown",
            expected=f"an index at seq {size - 1}",
            found=_name(last),
        )
    assets = sorted({s.asset for s in shown.values() if isinstance(s, AssetStatement)})
    found = {asset: _follow(step, shown, last, asset) for asset in assets}
    for statement in shown.values():
        if isinstance(statement, AssetStatement | Index):
            _check_policy(step, shown, statement, found)
    if since is not None:
        _check_since(step, shown, found, since)
    return found


def _name(statement: Statement | None) -> str:
    return f"a {statement.kind}" if statement else "nothing"


def _claims(shown: Shown) -> Iterator[tuple[Statement, str, int | None]]:
    """(speaker, chain, seq): `seq`, or nothing yet, was the last of `chain` below the speaker."""
    assets = {s.asset for s in shown.values() if isinstance(s, AssetStatement)}
    for statement in shown.values():
        if isinstance(statement, Index):
            assets.update(statement.latest)
    for statement in shown.values():
        if isinstance(statement, AssetStatement):
            first = statement.previous == statement.seq
            yield statement, statement.asset, None if first else statement.previous
        if isinstance(statement, AssetStatement | Index):
            yield statement, _POLICY, statement.policy
        if isinstance(statement, Index):
            for asset in assets:
                yield statement, asset, statement.latest.get(asset)


def _check_claims(shown: Shown) -> None:
    """Whatever the file itself shows to be a false `previous`, `policy` or `latest` is false."""
    chain_at = {0: _POLICY}
    for place, statement in shown.items():
        chain = statement.asset if isinstance(statement, AssetStatement) else statement.kind
        if chain_at.setdefault(place, chain) != chain:
            raise Refuted("entry 0 is no policy", expected="a policy", found=_name(statement))
    for speaker, chain, seq in _claims(shown):
        if seq is None:
            continue
        if seq >= speaker.seq or chain_at.setdefault(seq, chain) != chain:
            raise Refuted(
                f"the {speaker.kind} {speaker.seq} names a wrong entry of {chain}",
                expected=f"an entry of {chain} below {speaker.seq}",
                found=f"{seq} ({chain_at.get(seq, 'not yet logged')})",
            )
    known: dict[str, list[int]] = {}
    for place, chain in sorted(chain_at.items()):
        known.setdefault(chain, []).append(place)
    for speaker, chain, named in _claims(shown):
        entries = known.get(chain, [])
        below = bisect_left(entries, speaker.seq)
        newest = entries[below - 1] if below else None
        if newest != named:
            raise Refuted(
                f"the {speaker.kind} {speaker.seq} jumps an entry of {chain}",
                expected=f"{newest} as the last entry of {chain} before it, or a later one",
                found="none" if named is None else named,
            )


def _check_decimals(shown: Shown) -> None:
    """An asset's decimals never change: another number would make the same units other money."""
    known: dict[str, int] = {}
    for policy in (s for _, s in sorted(shown.items()) if isinstance(s, Policy)):
        for asset, decimals in policy.assets.items():
            if known.setdefault(asset, decimals) != decimals:
                raise Refuted(
                    f"policy {policy.seq} changes the decimals of {asset}",
                    expected=known[asset],
                    found=decimals,
                )


def _follow(step: Step, shown: Shown, last: Statement | None, asset: str) -> Chain:
    """The chain of `asset` from the last index back to its lowest snapshot shown."""
    lowest = min(
        (s.seq for s in shown.values() if isinstance(s, Snapshot) and s.asset == asset),
        default=None,
    )
    if lowest is None:
        step.missing(f"no snapshot of {asset} to start from")
        return ()
    if not isinstance(last, Index):
        return ()
    chain: list[AssetStatement] = []
    seq = last.latest[asset]
    while True:
        statement = shown.get(seq)
        if not isinstance(statement, AssetStatement):
            step.missing(f"statement {seq} of {asset} is missing")
            return ()
        chain.append(statement)
        if seq == lowest:
            return tuple(reversed(chain))
        seq = statement.previous


def _check_policy(
    step: Step, shown: Shown, statement: AssetStatement | Index, found: Mapping[str, Chain]
) -> None:
    policy = shown.get(statement.policy)
    if isinstance(statement, Index):
        last = statement.seq == max(shown)
        if policy is None and last:
            step.missing(f"policy {statement.policy}, which the last index names, is missing")
    elif isinstance(policy, Policy):
        if statement.asset not in policy.assets:
            raise Refuted(
                f"the policy of statement {statement.seq} lacks its asset",
                expected=", ".join(sorted(policy.assets)),
                found=statement.asset,
            )
    elif statement in found[statement.asset]:
        step.missing(
            f"policy {statement.policy}, which statement {statement.seq} names, is missing"
        )


def _check_since(step: Step, shown: Shown, found: Mapping[str, Chain], since: int) -> None:
    """The file continues what was verified up to the index at `since`.

    That the chains contain what this index names, and no other entry between,
    is what `_check_claims` has shown, since the index is one of the statements.
    """
    index = shown.get(since)
    if not isinstance(index, Index):
        step.missing(
            "the index verified last is missing",
            expected=f"an index at seq {since}",
            found=_name(index),
        )
        return
    for asset, chain in found.items():
        known = index.latest.get(asset)
        if not chain:
            continue  # Its gap was noted where the chain was followed.
        if known is not None and chain[0].seq > known:
            step.missing(
                f"the file starts {asset} after what was verified last",
                expected=f"a snapshot at or below {known}",
                found=chain[0].seq,
            )
        elif known is None and chain[0].previous != chain[0].seq:
            step.missing(
                f"the file starts {asset} after its first statement",
                expected="the chain's first statement",
                found=chain[0].seq,
            )


def check_nothing_else(shown: Shown, found: Mapping[str, Chain]) -> None:
    """Raises Malformed if a statement is shown that no check needs."""
    allowed: set[int] = {s.seq for s in shown.values() if isinstance(s, Key | Index)}
    for index in (s for s in shown.values() if isinstance(s, Index)):
        if index.seq == max(shown):
            allowed.add(index.policy)
    for link in (s for chain in found.values() for s in chain):
        allowed |= {link.seq, link.policy}
        if isinstance(link, Draw):
            allowed.add(link.seq - 1)
        if isinstance(link, Recovery):
            loss = shown.get(link.loss)
            allowed |= {link.loss, loss.policy if isinstance(loss, AssetStatement) else link.loss}
    if extra := sorted(shown.keys() - allowed):
        raise Malformed("statements that do not belong here", found=", ".join(map(str, extra)))
