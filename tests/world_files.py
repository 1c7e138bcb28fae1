"""The files of the evening: what is published, what is handed over, what customers get."""

import csv
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from exchange import toml
from reference import clock
from world_numbers import ASSETS, CONFIRMED, EVENING, MARKS, REFERENCE, Entry

from auditkit.log.bundles import BUNDLE, bundle_path
from auditkit.margin import closings

if TYPE_CHECKING:
    from world import World

EVENT = "crash-1"


def write(world: "World") -> None:
    """The published folder, the handover, and the tables that an auditor is given."""
    _write_public(world)
    for (seq, book), ledger in world.venue.ledgers.items():
        rows = world.handed.get((seq, book), [(x.account, x.amount) for x in ledger.leaves])
        _csv(world.handover / f"ledgers/{seq}-{book}.csv", ("account", "amount"), rows)
        _text(world.handover / f"secrets/{seq}-{book}", world.venue.secret(seq, book).hex())
    for seq in (seq for seq, book in world.venue.ledgers if book == "adl"):
        listed = closings.write(world.numbers.closings, ASSETS["USD"]).decode()
        _text(world.handover / f"lists/{seq}-adl.csv", listed)
    _write_event(world)
    _write_books(world)


def _write_public(world: "World") -> None:
    """As C2SP tlog-tiles; fewer entries than fill a bundle."""
    size, public = world.venue.heads[-1], world.public
    entries = world.venue.entries[:size]
    assert len(entries) < BUNDLE
    _text(public / "checkpoint", world.venue.checkpoint(size))
    path = public / bundle_path(0, size)
    path.parent.mkdir(parents=True)
    path.write_bytes(b"".join(len(entry).to_bytes(2, "big") + entry for entry in entries))


def _write_event(world: "World") -> None:
    fills = ("account", "contract", "side", "size", "entry", "margin", "price")
    _csv(world.folder / "fills.csv", fills, world.fills)
    journal = [*world.journal, *_trading(world)]
    rows = [(x.account, x.book, usd(x.units), x.kind, clock(x.time)) for x in journal]
    header = ("account", "book", "amount", "kind", "time")
    _csv(world.folder / "entries.csv", header, rows)
    said = {
        "event": EVENT,
        "pool": "USD",
        "confirmed": clock(CONFIRMED),
        "positions": str(world.numbers.positions.relative_to(world.folder)),
        "fills": "fills.csv",
        "entries": "entries.csv",
        "assets": usd(world.numbers.custody if world.custody is None else world.custody),
        "mark": [{"contract": name, "sources": sources} for name, sources in MARKS.items()],
    }
    _text(world.event, toml(said))


def _trading(world: "World") -> Iterable[Entry]:
    """What trading won or lost since the reference is in the journal too, also below nothing."""
    since = [x for x in world.journal if x.time > REFERENCE and x.book == "margin"]
    for account, then in world.then.items():
        moved = sum(entry.units for entry in since if entry.account == account)
        now = max(world.numbers.units.get(account, then + moved), 0)
        change = now - world.numbers.deficits.get(account, 0) - then - moved
        if change and account not in world.unexplained:
            yield Entry(account, change, "trading", EVENING)


def _write_books(world: "World") -> None:
    """The venue's own tables at the time of the reference."""
    books = {"margin": world.then, "spot": world.spot} | world.own_books
    accounts = dict.fromkeys(name for balances in books.values() for name in balances)
    rows = [(name, *(held.get(name, 0) for held in books.values())) for name in accounts]
    _csv(world.folder / "books.csv", ("account", *books), rows)
    said = {
        "as_of": world.venue.said[world.seqs["reference"]]["as_of"],
        "units": "base",
        "source": {"files": ["books.csv"], "account": "account"},
        "ledger": [{"asset": "USD", "book": book, "column": book} for book in books],
    }
    _text(world.books, toml(said))


def common(world: "World") -> dict[str, Any]:
    """What every customer's file shows under the last checkpoint, from the morning's head on."""
    venue = world.venue
    chains = venue.chains
    venue.chains = {
        asset: [seq for seq in chain if seq <= world.shown.get(asset, seq)]
        for asset, chain in chains.items()
    }
    found = venue.prove("nobody", heads=venue.heads[:-1])
    venue.chains = chains
    return found


def proof(world: "World", account: str) -> bytes:
    """One customer's file."""
    shown = {statement["seq"] for statement in world.common["statements"]}
    places = sorted(place for place in world.venue.ledgers if place[0] in shown)
    leaves = [leaf for place in places for leaf in world.venue.leaves(account, *place)]
    return json.dumps(world.common | {"account": account, "leaves": leaves}).encode()


def usd(units: int) -> str:
    """Cents as USD."""
    return f"{'-' if units < 0 else ''}{abs(units) // 100}.{abs(units) % 100:02d}"


def _text(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def _csv(path: Path, header: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file, lineterminator="\n").writerows([header, *rows])
