"""What a publish appended, for people and for programs."""

from typing import Any

from auditkit.cli.result import Code, Result
from auditkit.cli.terminal import Page
from auditkit.money import format_amount
from auditkit.publish.venue import Venue
from auditkit.verify.elements import time_text
from auditkit.verify.statements import AssetStatement, Statement


def published(opened: Venue, start: int) -> Result:
    """What was appended, from entry `start` on."""
    size = len(opened.history)
    entries = [opened.log[seq] for seq in range(start, size)]
    page = Page()
    page.line(
        f"PUBLISHED {len(entries)} entries; the log has {size}, signed by "
        f"{opened.key.name} {opened.key.id.hex()}",
        "good",
    )
    rows: list[dict[str, Any]] = []
    for entry in entries:
        page.item(f"{entry.kind}{_totals(opened, entry)}", str(entry.seq))
        rows.append({"seq": entry.seq, "kind": entry.kind, "time": time_text(entry.time)})
    page.line(f"Public files: {opened.public.root}")
    data = {"size": size, "entries": rows, "public": str(opened.public.root)}
    return Result(Code.OK, "published", page, data)


def _totals(opened: Venue, entry: Statement) -> str:
    """The asset and the ledgers of a statement, if it has them."""
    if not isinstance(entry, AssetStatement):
        return ""
    decimals = opened.log.policy(entry.policy).assets[entry.asset]
    ledgers = ", ".join(
        f"{book} {format_amount(ledger.total, decimals)} in {ledger.accounts} leaves"
        for book, ledger in entry.ledgers_shown().items()
    )
    return f" {entry.asset}" + (f": {ledgers}" if ledgers else "")
