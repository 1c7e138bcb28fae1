"""The files of the demo's exchange: balances, positions at the crash, fund, journal.

Everything is invented from a fixed seed. Bitcoin fell that evening; most who
were short had sold near the bottom, so few had a profit to be deleveraged.
"""

import random
from collections.abc import Iterable, Mapping
from decimal import Decimal
from fractions import Fraction
from math import ceil
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from auditkit.margin.equity import Equity
from auditkit.margin.eventfile import EventFile
from auditkit.margin.positionsfile import PositionsFile
from auditkit.verify.elements import time_text

EVENT = "crash-btc-1"
MINUTE = 60_000
ASSETS = {"BTC": 8, "ETH": 8, "USDT": 6}

_ACCOUNTS = [str(10_000 + n) for n in range(120)]
_SPLIT = {"10042": 3}
# Account, side, size in USD, entry: three who bought too much, and two who sold in time.
_DARING = [
    ("10003", "long", 1_680_000, "121000"),
    ("10019", "long", 700_000, "120400.5"),
    ("10088", "long", 2_800_000, "119950"),
    ("10011", "short", 400_000, "119500"),
    ("10054", "short", 250_000, "118000"),
]
_WALLETS = {"10003": "0.4", "10019": "0.25000001", "10088": "0.31"}

Row = Mapping[str, object]


def write(folder: Path, start: int) -> None:
    """Write them all; `start` is the time of the evening in milliseconds since 1970."""
    chance = random.Random("auditkit demo")  # noqa: S311 - Invented balances, no secret.
    margin = _write_balances(folder, chance)
    _write_positions(folder, chance, margin)
    for name, text in _FILES.items():
        (folder / name).write_text(text)
    event = folder / "event.toml"
    event.write_text(_EVENT.format(confirmed=time_text(start + 20 * MINUTE), assets="0"))
    equity = _equity(event)
    _write_journal(folder, equity, time_text(start + 19 * MINUTE))
    # What the margin book holds is what it owes, less what the bankrupt owe it.
    held = ceil(sum((equity.exact(row) for row in range(len(_ACCOUNTS))), Fraction(0)))
    assets = Decimal(held).scaleb(-ASSETS["BTC"])
    event.write_text(_EVENT.format(confirmed=time_text(start + 20 * MINUTE), assets=assets))


def _write_balances(folder: Path, chance: random.Random) -> dict[str, Decimal]:
    """All balances before the crash, and some of them an hour after; returns the BTC margin."""
    columns: dict[str, dict[str, Decimal]] = {}
    for asset, places in ASSETS.items():
        for book in ("margin", "spot"):
            columns[f"{asset}_{book}".lower()] = {
                account: _amount(chance, places, 40) if chance.random() < 0.8 else Decimal(0)
                for account in _ACCOUNTS
            }
    margin = columns["btc_margin"]
    margin |= {account: Decimal(amount) for account, amount in _WALLETS.items()}
    _write_table(folder / "accounts.parquet", columns)
    later = {account: _amount(chance, 8, 30) for account in _ACCOUNTS}
    _write_table(folder / "an-hour-later.parquet", {"btc_margin": later})
    blocks = "\n".join(_block(asset, book) for asset in ASSETS for book in ("margin", "spot"))
    (folder / "books.toml").write_text(_SOURCE.format("accounts.parquet") + blocks)
    later_books = _SOURCE.format("an-hour-later.parquet") + _block("BTC", "margin")
    (folder / "later.toml").write_text(later_books)
    return margin


def _write_positions(folder: Path, chance: random.Random, margin: Mapping[str, Decimal]) -> None:
    """Longs from all over the way up, and shorts from near the bottom, of the same size in all."""
    rich = [a for a in _ACCOUNTS if margin[a] > 5 and a not in {row[0] for row in _DARING}]
    rows: list[Row] = [_position(*row) for row in _DARING]
    owed = sum(size if side == "long" else -size for _, side, size, _ in _DARING)
    for account in rich[:20]:
        size = 10_000 * chance.randrange(1, 9)
        rows.append(_position(account, "long", size, str(chance.randrange(103_000, 112_000))))
        owed += size
    sellers = rich[20:44]
    for number, account in enumerate(sellers, 1):
        size = owed if number == len(sellers) else 10_000 * (owed // 10_000 // len(sellers))
        owed -= size if number == len(sellers) else 0
        rows.append(_position(account, "short", size, f"{chance.randrange(102_400, 104_700)}.5"))
        if number < len(sellers):
            owed -= size
    for account, other in zip(rich[:6], rich[30:36], strict=True):
        size, entry = chance.randrange(1, 40), f"0.0{chance.randrange(3500, 3900)}"
        rows.append(_position(account, "long", size, entry, "ETHBTC"))
        rows.append(_position(other, "short", size, entry, "ETHBTC"))
    pq.write_table(pa.Table.from_pylist([dict(row) for row in rows]), folder / "positions.parquet")
    lines = (
        f"{account},BTC,{amount - pledged},{pledged},{_SPLIT.get(account, 1)}"
        for account, amount in margin.items()
        for pledged in [amount // 4 if account.endswith("7") else Decimal(0)]
    )
    _write_csv(folder / "wallets.csv", "account,asset,balance,pledged,leaves", lines)


def _position(account: str, side: str, size: int, entry: str, contract: str = "BTCUSD") -> Row:
    return {
        "account": account,
        "contract": contract,
        "side": side,
        "size": str(size),
        "entry": entry,
    }


def _equity(event: Path) -> Equity:
    given = EventFile.read(event)
    book = PositionsFile.read(given.positions or event).load("BTC", ASSETS)
    return Equity.at(book, {mark.contract: Fraction(mark.mark) for mark in given.marks})


def _write_journal(folder: Path, equity: Equity, when: str) -> None:
    """The accounts' own entries since the snapshot: what trading won or lost."""
    lines = []
    names = equity.book.accounts.to_pylist()
    for name, wallet, units in zip(names, equity.book.wallet, equity.units, strict=True):
        if units != wallet:
            change = Decimal(int(units - wallet)).scaleb(-ASSETS["BTC"])
            lines.append(f"{name.decode('ascii')},margin,{change:f},trading,{when}")
    _write_csv(folder / "entries.csv", "account,book,amount,kind,time", lines)


def _amount(chance: random.Random, places: int, whole: int) -> Decimal:
    return Decimal(chance.randrange(whole * 10**places)).scaleb(-places)


def _write_table(path: Path, columns: Mapping[str, Mapping[str, Decimal]]) -> None:
    kind = pa.decimal128(38, 8)
    arrays = {name: pa.array(list(values.values()), kind) for name, values in columns.items()}
    pq.write_table(pa.table({"account": _ACCOUNTS, **arrays}), path)


def _write_csv(path: Path, header: str, lines: Iterable[str]) -> None:
    path.write_text("\n".join([header, *lines]) + "\n")


def _block(asset: str, book: str) -> str:
    column = f"{asset}_{book}".lower()
    return f'[[ledger]]\nasset = "{asset}"\nbook = "{book}"\ncolumn = "{column}"\n'


_SOURCE = '[source]\nfiles = ["{}"]\naccount = "account"\n\n'
_EVENT = f"""\
event = "{EVENT}"
pool = "BTC"
confirmed = "{{confirmed}}"
positions = "positions.toml"
# What follows is for the auditor.
fills = "fills.csv"
entries = "entries.csv"
assets = "{{assets}}"

[[mark]]
contract = "BTCUSD"
sources = {{{{ a = "104782", b = "104783", c = "104790.5" }}}}

[[mark]]
contract = "ETHBTC"
sources = {{{{ a = "0.0361", b = "0.03612" }}}}
"""
_FILES = {
    "policy.toml": """\
fund_interval_ms = 3600000  # The evening is told in a few steps; by default it is a minute.

[assets]
BTC = 8
ETH = 8
USDT = 6

[pools.BTC]
asset = "BTC"

[pools.USDT]
asset = "USDT"
""",
    "pools.toml": """\
[[pool]]
pool = "BTC"
open_interest = "5.5"
credits = [
    { kind = "liquidation_surplus", amount = "0.01304347" },
    { kind = "liquidation_fee", amount = "1.2" },
]

[[pool]]
pool = "USDT"
open_interest = "400000"
credits = [{ kind = "liquidation_fee", amount = "120000.5" }]
""",
    "pools-after.toml": """\
[[pool]]
pool = "BTC"
open_interest = "4.25"

[[pool]]
pool = "USDT"
open_interest = "395000"
""",
    "positions.toml": """\
[contracts]
files = ["contracts.csv"]

[positions]
files = ["positions.parquet"]

[wallets]
files = ["wallets.csv"]
""",
    "contracts.csv": """\
contract,kind,multiplier,settlement,maintenance_margin
BTCUSD,inverse,1,BTC,0.005
ETHBTC,linear,1,BTC,0.01
""",
    # Closed in the market above its bankruptcy price: what was left went to the fund.
    "fills.csv": """\
account,contract,side,size,entry,margin,price
10030,BTCUSD,long,100000,100000,0.1,92000
""",
}
