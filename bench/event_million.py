"""One loss from positions to `applied`, and its audit, at the size of an exchange.

    python bench/event_million.py                                  1,000,000 accounts, one asset
    python bench/event_million.py --accounts 100000 --assets 5     one crash in five assets
    python bench/event_million.py --most-event 60 --most-audit 120 fails above these seconds

Every account has two positions, one in an inverse and one in a linear
contract. About one in two thousand ends below bankruptcy, and too few on the
other side have a profit, so every stage has work to do and a loss is shared.
What is timed are commands as whole processes, on Parquet files.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from auditkit.margin.equity import Equity
from auditkit.margin.positionsfile import PositionsFile

DECIMALS = 8
ASSETS = ("BTC", "ETH", "SOL", "XRP", "DOGE")
Numbers = np.ndarray[Any, np.dtype[Any]]


def decimals(units: Numbers, places: int) -> pa.Array:
    """Signed 64-bit units as decimals with so many digits after the point."""
    units = units.astype(np.int64)
    words = np.ascontiguousarray(np.column_stack((units, units >> np.int64(63))))
    kind = pa.decimal128(38, places)
    return pa.Array.from_buffers(kind, len(units), [None, pa.py_buffer(words)])


def generate(folder: Path, asset: str, accounts: int) -> Numbers:
    """The margin book of one asset; returns the wallets, in base units, shape (accounts,)."""
    chance = np.random.default_rng(list(asset.encode()))
    half = accounts // 2
    wallets = chance.lognormal(17, 2, 2 * half).clip(10_000_000, 1e15).astype(np.int64)
    # The first half is long and the second short of the same sizes, so that longs are shorts.
    size = chance.integers(1, 20_000, half)
    bankrupt = chance.random(half) < 0.001
    size[bankrupt] = wallets[:half][bankrupt] // 100
    wallets[half:][bankrupt] += 30 * size[bankrupt]
    longs = np.where(bankrupt, 1_210_000, chance.integers(1_040_000, 1_050_000, half))
    few = chance.random(half) < 0.02
    shorts = np.where(few, 1_100_000, chance.integers(1_020_000, 1_047_000, half))
    names = pa.array([f"{n:09d}" for n in range(2 * half)])
    sides = pa.array(["long"] * half + ["short"] * half)
    contracts = {
        f"{asset}USD": (np.concatenate((size, size)), np.concatenate((longs, shorts))),
        f"{asset}LIN": (np.ones(2 * half), np.full(2 * half, 365)),
    }
    parts = [
        pa.table(
            {
                "account": names,
                "contract": pa.array([contract] * (2 * half)),
                "side": sides,
                "size": decimals(sizes, 0),
                "entry": decimals(entries, 1),
            }
        )
        for contract, (sizes, entries) in contracts.items()
    ]
    pq.write_table(pa.concat_tables(parts), folder / f"{asset}-positions.parquet")
    held = {
        "account": names,
        "asset": pa.array([asset] * (2 * half)),
        "balance": decimals(wallets, DECIMALS),
        "pledged": decimals(np.zeros(2 * half), DECIMALS),
    }
    pq.write_table(pa.table(held), folder / f"{asset}-wallets.parquet")
    return wallets


def describe(folder: Path, asset: str, when: str) -> int:
    """The TOML and the journal of one asset's event; returns what the book holds, in base units."""
    (folder / f"{asset}-contracts.csv").write_text(
        "contract,kind,multiplier,settlement,maintenance_margin\n"
        f"{asset}USD,inverse,1,{asset},0.005\n{asset}LIN,linear,0.0001,{asset},0.01\n"
    )
    (folder / f"{asset}-positions.toml").write_text(
        "".join(
            f'[{part}]\nfiles = ["{asset}-{part}.{ending}"]\n'
            for part, ending in (
                ("contracts", "csv"),
                ("positions", "parquet"),
                ("wallets", "parquet"),
            )
        )
    )
    book = PositionsFile.read(folder / f"{asset}-positions.toml").load(asset, {asset: DECIMALS})
    marks = {f"{asset}USD": Fraction("104782.5"), f"{asset}LIN": Fraction("36.6")}
    equity = Equity.at(book, marks)
    change = (equity.units - book.wallet).astype(np.int64)
    rows = len(change)
    journal = {
        "account": book.accounts.cast(pa.string()),
        "book": pa.array(["margin"] * rows),
        "amount": decimals(change, DECIMALS),
        "kind": pa.array(["trading"] * rows),
        "time": pa.array([when] * rows),
    }
    pq.write_table(pa.table(journal), folder / f"{asset}-entries.parquet")
    header = "account,contract,side,size,entry,margin,price\n"
    (folder / f"{asset}-fills.csv").write_text(header)
    return int(equity.units.sum()) + rows // 2


def event(folder: Path, asset: str, held: int, confirmed: str) -> Path:
    """Write the event.toml of a book that holds so many base units."""
    path = folder / f"{asset}-event.toml"
    path.write_text(
        f'event = "crash-{asset}"\npool = "{asset}"\nconfirmed = "{confirmed}"\n'
        f'positions = "{asset}-positions.toml"\nentries = "{asset}-entries.parquet"\n'
        f'fills = "{asset}-fills.csv"\nassets = "{Decimal(held).scaleb(-DECIMALS):f}"\n'
        f'[[mark]]\ncontract = "{asset}USD"\nsources = {{ a = "104782.5" }}\n'
        f'[[mark]]\ncontract = "{asset}LIN"\nsources = {{ a = "36.6" }}\n'
    )
    return path


def policy(folder: Path, assets: tuple[str, ...]) -> None:
    """The policy, the fund's first entry, and the mapping of all balances."""
    head = "fund_interval_ms = 3600000\n[assets]\n" + "".join(
        f"{asset} = {DECIMALS}\n" for asset in assets
    )
    pools = "".join(f'[pools.{asset}]\nasset = "{asset}"\n' for asset in assets)
    (folder / "policy.toml").write_text(head + pools)
    (folder / "pools.toml").write_text(
        "".join(
            f'[[pool]]\npool = "{asset}"\nopen_interest = "1000"\n'
            'credits = [{ kind = "liquidation_fee", amount = "20" }]\n'
            for asset in assets
        )
    )
    (folder / "quiet.toml").write_text(
        "".join(f'[[pool]]\npool = "{asset}"\nopen_interest = "1000"\n' for asset in assets)
    )
    ledgers = "".join(f'[[ledger]]\nasset = "{asset}"\ncolumn = "{asset}"\n' for asset in assets)
    source = '[source]\nfiles = ["accounts.parquet"]\naccount = "account"\n'
    (folder / "books.toml").write_text(source + ledgers)


def run(*arguments: object, codes: tuple[int, ...] = (0,)) -> float:
    """Run one command as a whole process; returns its seconds."""
    command = [sys.executable, "-m", "auditkit", *map(str, arguments)]
    start = time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    took = time.perf_counter() - start
    if done.returncode not in codes:
        sys.exit(f"{' '.join(command)}\n{done.stdout[-2000:]}{done.stderr}")
    return took


def clock() -> str:
    """Now, as a statement writes it."""
    moment = datetime.now(UTC)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03d}Z"


def measure(folder: Path, accounts: int, assets: tuple[str, ...]) -> dict[str, float]:
    """Publish and audit in `folder`; returns the seconds of each command."""
    wallets = {asset: generate(folder, asset, accounts) for asset in assets}
    names = pa.array([f"{n:09d}" for n in range(accounts // 2 * 2)])
    columns = {asset: decimals(held, DECIMALS) for asset, held in wallets.items()}
    pq.write_table(pa.table({"account": names, **columns}), folder / "accounts.parquet")
    policy(folder, assets)
    venue, key = folder / "venue", folder / "bench.pem"
    run("key", "new", "bench.example/event", "-o", key, "--no-passphrase")
    run("venue", "init", venue, "--key", key, "--policy", folder / "policy.toml")
    books = folder / "books.toml"
    took = {"snapshot": run("publish", "snapshot", "--venue", venue, "--books", books)}
    run("publish", "fund", "--venue", venue, "--pools", folder / "pools.toml")
    when = clock()
    held = {asset: describe(folder, asset, when) for asset in assets}
    confirmed = clock()
    files = [event(folder, asset, held[asset], confirmed) for asset in assets]
    given = [part for path in files for part in ("--event", path)]
    took["event"] = run("publish", "event", "--venue", venue, *given)
    run("publish", "fund", "--venue", venue, "--pools", folder / "quiet.toml")
    audit = ("audit", "all", "--venue", venue, "--books", books, *given, "--seed", "bench")
    # The fund is empty afterwards, so that H2 fails, and rightly so.
    took["audit all"] = run(*audit, codes=(1,))
    return took


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--accounts", type=int, default=1_000_000)
    parser.add_argument("--assets", type=int, default=1, choices=range(1, len(ASSETS) + 1))
    parser.add_argument("--most-event", type=float, default=float("inf"))
    parser.add_argument("--most-audit", type=float, default=float("inf"))
    options = parser.parse_args()
    assets = ASSETS[: options.assets]
    with tempfile.TemporaryDirectory() as name:
        took = measure(Path(name), options.accounts, assets)
    rows = options.accounts * len(assets)
    print(f"{options.accounts} accounts, {2 * options.accounts} positions, {len(assets)} assets")
    for what, seconds in took.items():
        print(f"{what:10} {seconds:7.2f} s  {rows / seconds:12,.0f} accounts a second")
    if took["event"] > options.most_event or took["audit all"] > options.most_audit:
        sys.exit("slower than the bound")


if __name__ == "__main__":
    main()
