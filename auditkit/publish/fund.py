"""The insurance fund's entries (SPEC.md §5): openings from the log, draws booked once.

Where a pool's balance is told, by the exchange or by a venue's saved answer,
what its movements do not explain is booked as a correction, and said to be.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from auditkit.errors import InputError, place, shown
from auditkit.fund import feeds
from auditkit.fund.feeds import Reading
from auditkit.money import format_amount
from auditkit.publish.draft import Draft
from auditkit.tomlfile import Table
from auditkit.verify import elements as e
from auditkit.verify.elements import Element, one_of, text_matching, time_text
from auditkit.verify.records import Credit, Debit, PoolRow
from auditkit.verify.statements import Draw, Fund, Policy

_CREDITS = one_of("liquidation_surplus", "liquidation_fee", "operator_injection", "correction")
_DEBITS = one_of("correction")
_MINUTE: Element[Any] = e.TIME
_FEED = one_of(*feeds.FEEDS)
_TEXT = text_matching(r"[^\x00-\x1f\x7f]*", "text")
_SHOWN = 5


@dataclass(frozen=True, slots=True)
class Movements:
    """What moved one pool, and the open interest it covers, in base units."""

    credits: tuple[Credit, ...]
    debits: tuple[Debit, ...]
    open_interest: int
    balance: int | None = None
    """What the pool holds after all of it, where that is told."""
    source: str = ""
    """Where the balance was read, if not in pools.toml itself."""


def read(path: Path, policy: Policy, folder: Path | None = None) -> dict[str, Movements]:
    """Read pools.toml. Raises InputError on unknown pools, kinds and amounts.

    Files of feeds are relative to `folder`, by default the one of pools.toml.
    """
    moved: dict[str, Movements] = {}
    for name, row in rows_of(path, policy):
        decimals = policy.assets[policy.pools[name].asset]
        balance, source = _balance(row, decimals, folder or path.parent)
        moved[name] = Movements(
            tuple(Credit(*pair) for pair in _movements(row, "credits", _CREDITS, decimals)),
            tuple(Debit(*pair) for pair in _movements(row, "debits", _DEBITS, decimals)),
            row.amount("open_interest", decimals),
            balance,
            source,
        )
        row.close()
    return moved


def refuse_booked(path: Path, last: Fund | None) -> None:
    """Raises InputError if pools.toml says that it is of a minute that has an entry already."""
    top = Table.read(path)
    stated = top.element("minute", _MINUTE, None)
    if stated is not None and last is not None and last.time >= stated:
        raise top.refuse("minute", f"has an entry already: {last.seq}, of {time_text(last.time)}")


def read_for(path: Path, policy: Policy, folder: Path | None, start: int) -> dict[str, Movements]:
    """Read pools.toml for the interval that begins at `start`, in milliseconds.

    Raises InputError also if it lists movements and does not say, by when this
    interval begins, that they are its own: else they would be booked again.
    """
    moved = read(path, policy, folder)
    if not any(now.credits or now.debits for now in moved.values()):
        return moved
    top = Table.read(path)
    stated = top.element("minute", _MINUTE, None)
    if stated != start:
        said = "is missing" if stated is None else f"is {time_text(stated)}"
        raise top.refuse(
            "minute",
            f"{said}; with --every, a file of credits or debits says when their interval begins, "
            f"here {time_text(start)}",
        )
    return moved


def rows_of(path: Path, policy: Policy) -> Iterator[tuple[str, Table]]:
    """The blocks of a pools.toml, by pool: each of the policy once. Raises InputError."""
    top = Table.read(path)
    top.element("minute", _MINUTE, None)
    seen: set[str] = set()
    for row in top.tables("pool", required=True):
        name = row.element("pool", e.NAME)
        if name not in policy.pools:
            listed = ", ".join(sorted(policy.pools))
            raise row.refuse("pool", f"{name} is not in the policy; its pools are {listed}")
        if name in seen:
            raise row.refuse("pool", f"{name} is listed twice")
        seen.add(name)
        yield name, row
    top.close()
    if missing := sorted(policy.pools.keys() - seen):
        raise InputError(
            f"{place(path)}: pool {missing[0]} is missing; every fund entry lists every pool"
        )


def _movements(row: Table, key: str, kinds: Element[str], decimals: int) -> list[tuple[int, str]]:
    pairs = []
    for item in row.tables(key):
        kind = item.element("kind", kinds)
        pairs.append((item.amount("amount", decimals), kind))
        item.close()
    return pairs


def _balance(row: Table, decimals: int, folder: Path) -> tuple[int | None, str]:
    """The balance that a row tells, or its feed's newest reading; and where that was read."""
    told, feed = row.perhaps("balance", str), row.perhaps("feed", dict)
    if feed is None:
        return (None if told is None else row.amount("balance", decimals)), ""
    if told is not None:
        raise row.refuse("balance", "stands beside a feed, which tells the balance; leave one out")
    return told_by(row, readings(row, folder)[-1], decimals)


def told_by(row: Table, reading: Reading, decimals: int) -> tuple[int, str]:
    """The balance in base units that a reading of a row's feed tells, and where that was read."""
    file = shown(row.take("feed", dict)["file"])
    source = f"{file} of {time_text(reading.time)}, sha256 {reading.sha256}"
    return feeds.units(reading, decimals, f"{place(row.path)}: {row.name}feed: {file}"), source


def readings(row: Table, folder: Path) -> list[Reading]:
    """The readings of the one fund that a row's feed names, ascending. Raises InputError."""
    feed = row.table("feed")
    venue, file = feed.element("venue", _FEED), feed.take("file", str)
    coin, where = feed.element("coin", _TEXT, ""), feed.element("where", _TEXT, "")
    feed.close()
    path = folder / file
    try:
        if path.exists() and not (path.is_file() or path.is_dir()):
            raise feed.refuse("file", f"{shown(file)} is no ordinary file")
        with path.open("rb") as opened:
            data = opened.read(feeds.MAX_BYTES + 1)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise feed.refuse("file", f"{shown(file)} cannot be read ({reason})") from None
    known = feeds.read(venue, data, place(path))
    found = [
        reading
        for reading in known
        if ("coin" not in feed or reading.coin == coin)
        and ("where" not in feed or reading.covers(where))
    ]
    funds = {(reading.coin, reading.where) for reading in found}
    if len(funds) != 1:
        listed = sorted(funds or {(reading.coin, reading.where) for reading in known})
        names = "; ".join(f"coin {shown(c)}, where {shown(w)}" for c, w in listed[:_SHOWN])
        more = "; ..." if len(listed) > _SHOWN else ""
        what = "several such funds; name one of them" if funds else "no such fund; it has"
        raise feed.refuse("file", f"{shown(file)} holds {what}: {names}{more}")
    return found


def publish(draft: Draft, moved: Mapping[str, Movements] | None, *, before_draw: str = "") -> Fund:
    """Log a fund entry: what moved, and the draws that are not booked yet.

    With `before_draw`, the name of the pool about to be drawn: earlier draws
    are booked in an entry of their own, since that pool's row may book no
    debit. `moved` None: nothing moved. Raises InputError.
    """
    unbooked = unbooked_draws(draft)
    if before_draw and unbooked.get(before_draw):
        _entry(draft, None, unbooked)
        unbooked = {}
    return _entry(draft, moved, unbooked, before_draw)


def unbooked_draws(draft: Draft) -> dict[str, list[int]]:
    """The amounts drawn since the last fund entry, by pool."""
    drawn: dict[str, list[int]] = {}
    last = draft.last_fund()
    for top in draft.latest.values():
        for link in draft.log.back(top):
            if last is None or link.seq < last.seq:
                break
            if isinstance(link, Draw) and link.drawn:
                drawn.setdefault(link.pool, []).insert(0, link.drawn)
    return drawn


def booked(pool: str, opening: int, drawn: Sequence[int], now: Movements) -> tuple[PoolRow, int]:
    """A pool's row, and the correction in it that has no stated cause: below 0 it went out.

    Raises InputError if the pool would hold less than 0, or 2^128 and more.
    """
    gains, debits = now.credits, (*(Debit(amount, "draw") for amount in drawn), *now.debits)
    closing = opening + sum(c.amount for c in gains) - sum(d.amount for d in debits)
    unexplained = 0 if now.balance is None else now.balance - closing
    if unexplained > 0:
        gains = (*gains, Credit(unexplained, "correction"))
    elif unexplained < 0:
        debits = (*debits, Debit(-unexplained, "correction"))
    closing += unexplained
    if closing < 0:
        raise InputError(f"pool {pool}: debits exceed what it holds, {opening} base units")
    if closing >= e.AMOUNT_LIMIT:
        raise InputError(f"pool {pool}: its balance reaches 2^128")
    return PoolRow(pool, opening, gains, debits, closing, now.open_interest), unexplained


def _entry(
    draft: Draft,
    moved: Mapping[str, Movements] | None,
    drawn: Mapping[str, list[int]],
    before_draw: str = "",
) -> Fund:
    before = {row.pool: row for row in draft.last_fund_rows()}
    rows = []
    for name in sorted(draft.policy.pools):
        last = before.get(name)
        still = Movements((), (), last.open_interest if last else 0)
        now = moved[name] if moved else still
        new, unexplained = booked(name, last.closing if last else 0, drawn.get(name, ()), now)
        if name == before_draw and new.debits:
            raise InputError(
                f"pool {name} is about to be drawn, so its row may book no debit; "
                "book it in a fund entry of its own first"
            )
        if unexplained:
            draft.notes.append(note(draft.policy, name, [unexplained], now.source))
        rows.append(new)
    return draft.add(Fund, pools=tuple(rows))


def note(policy: Policy, pool: str, parts: Sequence[int], source: str) -> str:
    """That so much came in, or went out if below 0, without a stated cause, in so many entries."""
    asset = policy.pools[pool].asset
    amount = f"{format_amount(abs(sum(parts)), policy.assets[asset])} {asset}"
    way = "came in" if sum(parts) > 0 else "went out"
    often, form = (f" in {len(parts)} entries", "") if len(parts) > 1 else ("", "a ")
    read = f", from {source}" if source else ""
    return (
        f"pool {pool}: {amount} {way} without a stated cause{often}; "
        f"booked as {form}correction{'' if form else 's'}{read}"
    )
