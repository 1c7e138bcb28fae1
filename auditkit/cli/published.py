"""What a publish appended, for people and for programs."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from auditkit.cli.result import Code, Format, Result
from auditkit.cli.terminal import OutputLost, Page
from auditkit.errors import StoppedError
from auditkit.money import format_amount
from auditkit.publish.venue import Venue
from auditkit.verify.statements import AssetStatement, Fund, Policy, Statement

_STAND = "the entries are signed and published: do not publish the same again"


def show_published(folder: Path, start: int, notes: Sequence[str], form: Format) -> int:
    """Show what was appended, from entry `start` on, and what to look at once more.

    Whatever happens to that: the entries stand, and nobody is to publish them again.
    """
    try:
        with Venue(folder) as opened:
            return published(opened, start, notes).show(form)
    except KeyboardInterrupt:
        raise StoppedError(f"interrupted, but {_STAND}") from None
    except OutputLost as problem:
        raise OutputLost(problem.errno, f"{problem.strerror}; {_STAND}", problem.filename) from None


def published(opened: Venue, start: int, notes: Sequence[str] = ()) -> Result:
    """What `show_published` shows."""
    size = len(opened.history)
    entries = [opened.log[seq] for seq in range(start, size)]
    page = Page()
    page.line(
        f"PUBLISHED {len(entries)} entries; the log has {size}, signed by "
        f"{opened.key.name} {' and '.join(k.id.hex() for k in opened.lineage.signers(size))}",
        "good",
    )
    rows: list[dict[str, Any]] = []
    for entry in entries:
        page.item(f"{entry.kind}{_totals(opened, entry)}", str(entry.seq))
        rows.append({"kind": entry.kind, **json.loads(entry.encode())})
    for note in notes:
        page.line(f"NOTE: {note}.", "warn")
    page.line(f"Public files: {opened.public.root}")
    data = {
        "size": size,
        "entries": rows,
        "notes": list(notes),
        "public": str(opened.public.root),
    }
    return Result(Code.OK, "published", page, data)


def _pool(policy: Policy, name: str, units: int) -> str:
    """A pool and what it holds; in base units if the newest policy has no such pool."""
    pool = policy.pools.get(name)
    asset = None if pool is None else pool.asset
    return f"{name} {format_amount(units, policy.assets[asset] if asset else 0)}"


def _totals(opened: Venue, entry: Statement) -> str:
    """The asset, the ledgers and the amounts of a statement, as far as it has them."""
    if isinstance(entry, Fund):
        policy = opened.log.policy(opened.last_index().policy)
        held = [_pool(policy, row.pool, row.closing) for row in entry.pools]
        return f": {', '.join(held)}"
    if not isinstance(entry, AssetStatement):
        return ""
    decimals = opened.log.policy(entry.policy).assets[entry.asset]
    ledgers = ", ".join(
        f"{book} {format_amount(ledger.total, decimals)} in {_leaves(ledger.accounts)}"
        for book, ledger in entry.ledgers_shown().items()
    )
    amounts = ", ".join(
        f"{name} {format_amount(getattr(entry, name), decimals)}"
        for name in ("drawn", "socialized", "residual", "recovered")
        if hasattr(entry, name)
    )
    said = "; ".join(part for part in (ledgers, amounts) if part)
    return f" {entry.asset}" + (f": {said}" if said else "")


def _leaves(count: int) -> str:
    return "1 leaf" if count == 1 else f"{count} leaves"
