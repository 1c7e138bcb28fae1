"""The fund's history in bulk: as it was told, in slices, once; and nothing of a table that lies."""

import csv
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from hashlib import sha256
from pathlib import Path
from shutil import copytree
from tempfile import TemporaryDirectory
from typing import Any

import pyarrow as pa
import pyarrow.feather
import pyarrow.parquet
import pytest
from exchange import START, Exchange, natural, refused
from hypothesis import given
from hypothesis import strategies as st

from auditkit.errors import InputError
from auditkit.log.monitor import breaches
from auditkit.log.published import Log
from auditkit.publish import backfill, clock
from auditkit.publish.backfill import Backfilled
from auditkit.publish.venue import Venue
from auditkit.verify.elements import time_text
from auditkit.verify.records import Credit, Debit, PoolRow
from auditkit.verify.statements import Fund, Index

TESTS = Path(__file__).resolve().parents[1]
HEAD = ("pool", "time", "open_interest", "liquidation_fee", "correction")
Cells = Sequence[object]


def minute(number: int) -> int:
    """The first minute begins a minute after the venue."""
    return START + 60_000 * (number + 1)


def at(number: int) -> str:
    return time_text(minute(number))


# BTC: 5 units, then 7, then 4; USDT: nothing, then 2 and 9.
ROWS: list[Cells] = [
    ("BTC", at(0), "12.5", "0.00000005", "0"),
    ("USDT", at(0), "3", "0", "0"),
    ("USDT", at(1), "3", "0", "0.000002"),
    ("BTC", at(1), "12.5", "0.00000002", "0"),
    ("BTC", at(2), "13", "0", "-0.00000003"),
    ("USDT", at(2), "0", "0.000009", "-0.000002"),
]
FEE, CORRECTION = "liquidation_fee", "correction"
MEANT: list[tuple[PoolRow, ...]] = [
    (
        PoolRow("BTC", 0, (Credit(5, FEE),), (), 5, 12_5000_0000),
        PoolRow("USDT", 0, (), (), 0, 3_000_000),
    ),
    (
        PoolRow("BTC", 5, (Credit(2, FEE),), (), 7, 12_5000_0000),
        PoolRow("USDT", 0, (Credit(2, CORRECTION),), (), 2, 3_000_000),
    ),
    (
        PoolRow("BTC", 7, (), (Debit(3, CORRECTION),), 4, 13_0000_0000),
        PoolRow("USDT", 2, (Credit(9, FEE),), (Debit(2, CORRECTION),), 9, 0),
    ),
]


@pytest.fixture
def exchange(tmp_path: Path) -> Exchange:
    return Exchange(tmp_path / "made")


@pytest.fixture
def pairs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Slices of two entries."""
    monkeypatch.setattr(backfill, "SLICE", 2)


def write(exchange: Exchange, rows: Sequence[Cells], head: Cells = HEAD) -> Path:
    path = exchange.books / "history.csv"
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([head, *rows])
    return path


def fill(exchange: Exchange, path: Path, **options: Any) -> Backfilled:
    with Venue(exchange.root) as venue:
        done = backfill.publish(venue, exchange.signer, path, **options)
    exchange.now = exchange.last_time()
    return done


def funds(exchange: Exchange) -> list[Fund]:
    return [statement for statement in exchange.log() if isinstance(statement, Fund)]


def everything(exchange: Exchange) -> tuple[list[bytes], list[str]]:
    """Every entry and every signed head."""
    with Venue(exchange.root) as venue:
        sizes = venue.history.sizes()
        entries = venue.history.entries(0, len(venue.history))
        return entries, [str(venue.history.head(size).note) for size in sizes]


def copy_of(exchange: Exchange, folder: Path) -> Exchange:
    copytree(exchange.root.parent, folder)
    return Exchange.at(folder)


def changed(row: int, **cells: object) -> list[Cells]:
    """The rows with some cells of one of them changed."""
    rows = list(ROWS)
    rows[row] = tuple(cells.get(name, cell) for name, cell in zip(HEAD, rows[row], strict=True))
    return rows


def assert_sound(exchange: Exchange) -> None:
    """Whoever reads what was published finds nothing wrong."""
    assert breaches(Log.read(exchange.root / "public", exchange.signer.verifier)) == []


def test_every_row_becomes_what_it_says(exchange: Exchange) -> None:
    assert fill(exchange, write(exchange, ROWS)) == Backfilled(3, 0, ())
    assert exchange.kinds() == ["policy", "index", "fund", "fund", "fund", "index"]
    assert [entry.pools for entry in funds(exchange)] == MEANT
    assert [entry.time for entry in funds(exchange)] == [minute(0), minute(1), minute(2)]
    assert exchange.last_time() == minute(2) + 1
    assert_sound(exchange)


def exact(rows: Sequence[Cells]) -> pa.Table:
    """The rows in Arrow's own types."""
    columns = list(zip(*rows, strict=True))
    amounts = [pa.array(map(Decimal, c), pa.decimal128(38, 10)) for c in columns[2:]]
    times = pa.array([minute(int(str(time)[15]) - 1) for time in columns[1]], pa.uint64())
    return pa.table([pa.array(columns[0]).dictionary_encode(), times, *amounts], list(HEAD))


def as_text(rows: Sequence[Cells]) -> pa.Table:
    return pa.table([pa.array(column) for column in zip(*rows, strict=True)], list(HEAD))


@pytest.mark.parametrize("form", [exact, as_text])
@pytest.mark.parametrize("ending", ["parquet", "arrow", "csv"])
def test_every_kind_of_table_says_the_same(
    exchange: Exchange, tmp_path: Path, ending: str, form: Callable[[Sequence[Cells]], pa.Table]
) -> None:
    other = copy_of(exchange, tmp_path / "other")
    fill(exchange, write(exchange, ROWS))
    table, path = form(ROWS), other.books / f"history.{ending}"
    if ending == "parquet":
        pa.parquet.write_table(table, path)
    elif ending == "arrow":
        pa.feather.write_feather(table, path)
    else:
        cells = zip(*(column.to_pylist() for column in table.columns), strict=True)
        # What the scale of a decimal column adds belongs to the column, not to the value.
        short = [[f"{c.normalize():f}" if isinstance(c, Decimal) else c for c in r] for r in cells]
        write(other, short)
    fill(other, path)
    assert everything(other) == everything(exchange)


def test_amounts_of_every_size_come_through(tmp_path: Path) -> None:
    exchange = Exchange(tmp_path, assets={"ETH": 18, "JPY": 0})
    path = exchange.books / "history.parquet"
    most = 2**127 - 1
    columns = [
        pa.array(["ETH", "JPY"]),
        pa.array([minute(0)] * 2),
        pa.array([Decimal(f"{most}e-18"), Decimal(7)], pa.decimal256(60, 18)),
        pa.array([f"{most // 10**18}.{most % 10**18:018d}", "7"]),
    ]
    pa.parquet.write_table(pa.table(columns, ["pool", "time", "open_interest", "balance"]), path)
    fill(exchange, path)
    (entry,) = funds(exchange)
    assert [(row.closing, row.open_interest) for row in entry.pools] == [(most, most), (7, 7)]


@pytest.mark.usefixtures("pairs")
def test_a_slice_ends_in_an_index_under_a_checkpoint(exchange: Exchange) -> None:
    heard: list[tuple[int, int]] = []
    rows = [(pool, at(n), "1", "0", "0") for n in range(5) for pool in ("BTC", "USDT")]
    fill(exchange, write(exchange, rows), progress=lambda *said: heard.append(said))
    assert exchange.kinds()[2:] == ["fund", "fund", "index"] * 2 + ["fund", "index"]
    times = [entry.time for entry in exchange.log() if isinstance(entry, Index)]
    assert times[1:] == [minute(1) + 1, minute(3) + 1, minute(4) + 1]
    assert heard == [(2, 5), (4, 5), (5, 5)]
    with Venue(exchange.root) as venue:
        assert venue.history.sizes() == [2, 5, 8, 10]
    assert_sound(exchange)


def test_many_pools_make_short_slices(exchange: Exchange, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backfill, "SLICE_ROWS", 3)
    fill(exchange, write(exchange, ROWS))
    assert exchange.kinds()[2:] == ["fund", "index"] * 3


def test_what_is_logged_is_not_logged_again(exchange: Exchange) -> None:
    path = write(exchange, ROWS)
    fill(exchange, path)
    before = exchange.tree()
    assert fill(exchange, path) == Backfilled(0, 3, ())
    assert exchange.tree() == before


def test_a_longer_table_goes_on(exchange: Exchange) -> None:
    fill(exchange, write(exchange, ROWS[:4]))
    assert fill(exchange, write(exchange, ROWS)) == Backfilled(1, 2, ())
    assert [entry.pools for entry in funds(exchange)] == MEANT
    later = [("BTC", at(3), "1", "0.00000001", "0"), ("USDT", at(3), "1", "0", "0")]
    assert fill(exchange, write(exchange, later)) == Backfilled(1, 0, ())
    # Entries that the table does not have are none of its business.
    assert fill(exchange, write(exchange, [*ROWS[:2], *later])) == Backfilled(0, 2, ())
    assert funds(exchange)[-1].pools[0].closing == 5
    assert_sound(exchange)


@pytest.mark.usefixtures("pairs")
@pytest.mark.parametrize("stop", [2, 4])
def test_an_interrupted_run_goes_on_where_it_stopped(
    exchange: Exchange, tmp_path: Path, stop: int
) -> None:
    rows = [(pool, at(n), "1", "0.5", "0") for n in range(5) for pool in ("BTC", "USDT")]
    other = copy_of(exchange, tmp_path / "other")
    fill(exchange, write(exchange, rows))

    def interrupt(done: int, _: int) -> None:
        if done == stop:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fill(other, write(other, rows), progress=interrupt)
    assert fill(other, write(other, rows)) == Backfilled(5 - stop, stop, ())
    assert everything(other) == everything(exchange)


# Ends itself before or after the n-th slice is committed.
KILLED = """
import os, signal, sys
from pathlib import Path
from exchange import Exchange
from auditkit.publish import backfill
from auditkit.publish.history import History
from auditkit.publish.venue import Venue

folder, table, left, late = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
exchange, append = Exchange.at(folder), History.append

def dying(*given):
    global left
    left -= 1
    if not left and late == "after":
        append(*given)
    if not left:
        os.kill(os.getpid(), signal.SIGKILL)
    append(*given)

History.append, backfill.SLICE = dying, 2
with Venue(exchange.root) as venue:
    backfill.publish(venue, exchange.signer, table)
"""


@pytest.mark.usefixtures("pairs")
@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("slices", [1, 2, 3])
def test_a_killed_run_goes_on_where_it_stopped(
    exchange: Exchange, tmp_path: Path, slices: int, when: str
) -> None:
    rows = [(pool, at(n), "1", "0.5", "0") for n in range(5) for pool in ("BTC", "USDT")]
    other = copy_of(exchange, tmp_path / "other")
    fill(exchange, write(exchange, rows))
    path = write(other, rows)
    given = (sys.executable, "-c", KILLED, tmp_path / "other", path, str(slices), when)
    folders = {"PYTHONPATH": os.pathsep.join(map(str, (TESTS, TESTS.parent)))}
    done = subprocess.run(given, env={**os.environ, **folders}, check=False)
    assert done.returncode == -signal.SIGKILL
    logged = min(5, 2 * (slices if when == "after" else slices - 1))
    assert fill(other, path) == Backfilled(5 - logged, logged, ())
    assert everything(other) == everything(exchange)
    assert other.tree()["public/checkpoint"] == exchange.tree()["public/checkpoint"]


@pytest.mark.parametrize(
    ("row", "cells", "pool"),
    [
        (3, {"liquidation_fee": "0.00000003"}, "BTC"),
        (3, {"open_interest": "12"}, "BTC"),
        (2, {"correction": "-0.000001"}, "USDT"),
    ],
)
def test_another_history_than_the_logged_one_is_refused(
    exchange: Exchange, row: int, cells: Mapping[str, object], pool: str
) -> None:
    fill(exchange, write(exchange, ROWS))
    path = write(exchange, changed(row, **cells))
    said = f"row {row + 1}: pool {pool} at the time {at(1)} differs from entry 3 of the log"
    with refused(exchange, said):
        fill(exchange, path)


@pytest.mark.parametrize(
    ("pools", "row"),
    [({"A": "BTC", "BTC": "BTC", "USDT": "USDT"}, "pool A"), ({"USDT": "USDT"}, "pool BTC")],
)
def test_entries_of_other_pools_are_another_history(
    exchange: Exchange, pools: Mapping[str, str], row: str
) -> None:
    head = ("pool", "time", "open_interest")
    fill(exchange, write(exchange, [("BTC", at(0), "1"), ("USDT", at(0), "1")], head))
    exchange.policy(pools={pool: {"asset": asset} for pool, asset in pools.items()})
    path = write(exchange, [(pool, at(0), "1") for pool in pools], head)
    with refused(exchange, "row 1: ", f"{row} at the time {at(0)} differs from entry 2"):
        fill(exchange, path)


def test_history_is_not_put_between_entries(exchange: Exchange) -> None:
    exchange.fund(told=minute(1) + 5, BTC=[("liquidation_fee", 1)])
    said = "is not after the log's last, 2025-10-10T21:02:00.006Z, and the log has no such entry"
    with refused(exchange, f"history.csv: row 1: the time {at(0)} {said}"):
        fill(exchange, write(exchange, ROWS))
    later = [("BTC", at(2), "1", "0.00000001", "0"), ("USDT", at(2), "1", "0", "0")]
    fill(exchange, write(exchange, later))
    assert funds(exchange)[-1].pools[0].closing == 2
    with refused(exchange, f"row 1: the time {at(1)} {said[:29]}"):
        fill(exchange, write(exchange, [*ROWS[2:4], *later]))
    before = time_text(START - 60_000)
    with refused(
        exchange, f"row 1: the time {before} is not after", "make the venue with a --time"
    ):
        fill(exchange, write(exchange, [(pool, before, *rest) for pool, _, *rest in ROWS[:2]]))


@pytest.mark.usefixtures("pairs")
def test_somebody_else_may_publish_meanwhile(exchange: Exchange) -> None:
    path = write(exchange, ROWS)
    with pytest.raises(InputError, match="somebody else published meanwhile; run the same"):
        fill(exchange, path, progress=lambda *_: exchange.fund(told=minute(1) + 500))
    assert len(funds(exchange)) == 3
    # It booked nothing that the table moves, so the table still follows.
    assert fill(exchange, path) == Backfilled(1, 2, ())
    assert_sound(exchange)


def test_the_first_entry_books_what_was_drawn(exchange: Exchange) -> None:
    exchange.snapshot({"BTC": {"margin": {"anna": 5000, "bert": 3000}}})
    exchange.fund(BTC=[("liquidation_fee", 40)])
    exchange.loss("crash", "BTC", {"carl": 30}, {"anna": 4500, "bert": 2000})
    head = ("pool", "time", "open_interest", "balance")
    rows = [("BTC", at(0), "1", "0.0000001"), ("USDT", at(0), "1", "0")]
    assert fill(exchange, write(exchange, rows, head)) == Backfilled(1, 0, ())
    assert funds(exchange)[-1].pools[0] == PoolRow("BTC", 40, (), (Debit(30, "draw"),), 10, 10**8)
    assert fill(exchange, write(exchange, rows, head)) == Backfilled(0, 1, ())
    assert_sound(exchange)


def test_balances_that_nobody_explains_are_corrections_and_said_to_be(exchange: Exchange) -> None:
    head = ("pool", "time", "open_interest", "liquidation_surplus", "balance")
    btc = [("1", "1"), ("0.5", "1.75"), ("0", "1.25"), ("0", "1.5")]
    rows: list[Cells] = []
    for number, told in enumerate(btc):
        rows.append(("BTC", at(number), "1", *told))
        rows.append(("USDT", at(number), "1", "0", "0.000007"))
    done = fill(exchange, write(exchange, rows, head))
    assert done.notes == (
        "pool BTC: 0.50000000 BTC came in without a stated cause in 2 entries; "
        "booked as corrections, from history.csv",
        "pool BTC: 0.50000000 BTC went out without a stated cause; "
        "booked as a correction, from history.csv",
        "pool USDT: 0.000007 USDT came in without a stated cause; "
        "booked as a correction, from history.csv",
    )
    assert [entry.pools[0].closing for entry in funds(exchange)] == [
        10**8,
        175 * 10**6,
        125 * 10**6,
        15 * 10**7,
    ]
    surplus = Credit(5 * 10**7, "liquidation_surplus")
    assert funds(exchange)[1].pools[0].credits == (surplus, Credit(25 * 10**6, CORRECTION))
    assert funds(exchange)[2].pools[0].debits == (Debit(5 * 10**7, CORRECTION),)
    assert_sound(exchange)


def swapped(first: int, second: int) -> list[Cells]:
    rows = list(ROWS)
    rows[first], rows[second] = rows[second], rows[first]
    return rows


BAD: list[tuple[str, Sequence[Cells], Cells]] = [
    ("has no rows, so no history", [], HEAD),
    ("there is no column 'pool'", ROWS, ("Pool", *HEAD[1:])),
    ("there is no column 'open_interest'", [row[:2] for row in ROWS], HEAD[:2]),
    ("column 'liquidation_fees' is unknown; the columns are pool, time,", ROWS,
     (*HEAD[:3], "liquidation_fees", "correction")),
    ("column 'correction' occurs twice", ROWS, (*HEAD[:3], "correction", "correction")),
    ("row 3, column 'pool': 'ETH' is no pool of the policy; they are BTC, USDT",
     changed(2, pool="ETH"), HEAD),
    (r"row 3, column 'pool': 'B\tC' is no pool", changed(2, pool="B\tC"), HEAD),
    (f"row 4: pool USDT is listed twice at the time {at(1)}; leave out one",
     changed(3, pool="USDT"), HEAD),
    (f"row 7: pool USDT is listed twice at the time {at(2)}", [*ROWS, ROWS[5]], HEAD),
    (f"row 5: the time {at(2)} has no row of pool USDT; every fund entry", ROWS[:5], HEAD),
    (f"row 3: the time {at(1)} has no row of pool BTC", [*ROWS[:3], *ROWS[4:]], HEAD),
    (f"row 4: the time {at(0)} is before the row above; sort by time", swapped(1, 3)[:6], HEAD),
    ("row 2, column 'time': '2025-10-10 21:01:00' is no time; write it as text such as",
     changed(1, time="2025-10-10 21:01:00"), HEAD),
    ("row 2, column 'time': '2025-02-30T21:01:00.000Z' is no time",
     changed(1, time="2025-02-30T21:01:00.000Z"), HEAD),
    ("row 1, column 'time': '-1' is no time", changed(0, time=-1), HEAD),
    ("row 1, column 'time': '01' is no time", changed(0, time="01"), HEAD),
    ("row 1, column 'time': '99999999999999' is no time", changed(0, time="9" * 14), HEAD),
    ("row 1, column 'time': '' is no time", changed(0, time=""), HEAD),
    ("row 6, column 'liquidation_fee': '-1' is negative; only 0 and more is allowed",
     changed(5, liquidation_fee="-1"), HEAD),
    ("row 6, column 'liquidation_fee': '0.0000001' has 7 digits after the point where 6",
     changed(5, liquidation_fee="0.0000001"), HEAD),
    ("row 1, column 'liquidation_fee': '0.000000001' has 9 digits after the point where 8",
     changed(0, liquidation_fee="0.000000001"), HEAD),
    ("row 2, column 'open_interest': '1e3' is no plain number",
     changed(1, open_interest="1e3"), HEAD),
    ("row 2, column 'open_interest': '' is an empty cell", changed(1, open_interest=""), HEAD),
    ("row 2, column 'correction': '-0' is no plain number", changed(1, correction="-0"), HEAD),
    ("reaches 2^128 base units", changed(0, open_interest="9" * 39), HEAD),
    (f"row 5: pool BTC at the time {at(2)} cannot be booked: pool BTC: debits exceed what it "
     "holds, 7 base units", changed(4, correction="-0.00000008"), HEAD),
    (f"row 4: pool BTC at the time {at(1)} cannot be booked: pool BTC: its balance reaches 2^128",
     changed(3, liquidation_fee=natural(2**128 - 1, 8)), HEAD),
]  # fmt: skip


@pytest.mark.parametrize(("said", "rows", "head"), BAD, ids=range(len(BAD)))
@pytest.mark.usefixtures("pairs")
def test_a_bad_table_is_refused_before_anything_is_logged(
    exchange: Exchange, said: str, rows: Sequence[Cells], head: Cells
) -> None:
    path = write(exchange, rows, head)
    with refused(exchange, f"{path}: ", said):
        fill(exchange, path)


ODD: list[tuple[str, str, pa.Array]] = [
    ("column 'open_interest' is double; floats are not exact", "open_interest", pa.array([1.5, 2])),
    ("column 'pool' is int64; pools are named by text", "pool", pa.array([1, 2])),
    ("row 2, column 'pool': the value is missing", "pool", pa.array(["BTC", None])),
    ("column 'time' is timestamp[ms]; write it", "time", pa.array([0, 0], pa.timestamp("ms"))),
    ("row 2, column 'time': the value is missing", "time", pa.array([0, None], pa.int64())),
    ("row 1, column 'time': -1 is no time", "time", pa.array([-1, 0])),
    ("row 1, column 'time': 18446744073709551615", "time", pa.array([2**64 - 1, 0], pa.uint64())),
    ("row 2, column 'open_interest': the value is missing", "open_interest",
     pa.array([Decimal(1), None])),
    ("row 1, column 'open_interest': -1 is negative", "open_interest", pa.array([-1, 2])),
    (r"row 1, column 'pool': 'B\\xffC' is no pool", "pool",
     pa.array([b"B\xffC", b"USDT"]).view(pa.string())),
]  # fmt: skip


@pytest.mark.parametrize(("said", "name", "cells"), ODD, ids=range(len(ODD)))
def test_columns_of_odd_types_are_refused(
    exchange: Exchange, said: str, name: str, cells: pa.Array
) -> None:
    columns = {
        "pool": pa.array(["BTC", "USDT"]),
        "time": pa.array([minute(0)] * 2),
        "open_interest": pa.array([1, 2]),
    }
    path = exchange.books / "history.parquet"
    pa.parquet.write_table(pa.table(columns | {name: cells}), path)
    with refused(exchange, f"{path}: ", said):
        fill(exchange, path)


def test_what_is_to_come_is_refused(exchange: Exchange, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clock, "now", lambda: minute(1))
    with refused(exchange, f"row 5: the time {at(2)} is ahead of the clock, {at(1)}; leave out"):
        fill(exchange, write(exchange, ROWS))
    fill(exchange, write(exchange, ROWS[:4]))


def test_times_leave_room_for_an_index(exchange: Exchange) -> None:
    head = ("pool", "time", "open_interest")
    rows = [(pool, minute(0) + n, "1") for n in (0, 2, 3) for pool in ("BTC", "USDT")]
    said = "row 5: the time 2025-10-10T21:01:00.003Z is less than 2 ms after the one before"
    with refused(exchange, said):
        fill(exchange, write(exchange, rows, head))
    assert fill(exchange, write(exchange, rows[:4], head)).appended == 2


def test_an_entry_that_does_not_fit_is_refused_before_anything_is_logged(tmp_path: Path) -> None:
    pools = [f"pool-{n:04d}" for n in range(280)]
    exchange = Exchange(tmp_path, assets={"BTC": 8}, pools={p: {"asset": "BTC"} for p in pools})
    head = ("pool", "time", "open_interest", "liquidation_fee", "liquidation_surplus")
    rows = [(p, at(n), *[n * 123456789] * 3) for n in range(2) for p in pools]
    with refused(exchange, f"row 281: the time {at(1)} makes an entry of", "sum up its movements"):
        fill(exchange, write(exchange, rows, head))
    fill(exchange, write(exchange, rows[:280], head))


def answers(exchange: Exchange, **pools: Sequence[tuple[int, str]]) -> Path:
    """A pools.toml whose feeds are saved answers of Gate."""
    rows = []
    for pool, readings in pools.items():
        said = ",".join(f'{{"t":{minute(n) // 1000},"b":"{b}"}}' for n, b in readings)
        (exchange.books / f"{pool}.json").write_text(f"[{said}]")
        feed = {"venue": "gate", "file": f"{pool}.json"}
        rows.append({"pool": pool, "open_interest": "3", "feed": feed})
    return exchange.write("answers", {"pool": rows})


def test_saved_answers_are_a_history_too(exchange: Exchange) -> None:
    path = answers(exchange, USDT=[(0, "0"), (1, "7")], BTC=[(1, "0.5"), (0, "2")])
    done = fill(exchange, path)
    assert [entry.time for entry in funds(exchange)] == [minute(0), minute(1)]
    assert [[row.closing for row in entry.pools] for entry in funds(exchange)] == [
        [2 * 10**8, 0],
        [5 * 10**7, 7 * 10**6],
    ]
    digest = sha256((exchange.books / "BTC.json").read_bytes()).hexdigest()
    assert done.notes[1] == (
        "pool BTC: 1.50000000 BTC went out without a stated cause; "
        f"booked as a correction, from 'BTC.json' of {at(1)}, sha256 {digest}"
    )
    assert fill(exchange, path) == Backfilled(0, 2, ())
    assert_sound(exchange)


def test_answers_of_different_times_are_refused(exchange: Exchange) -> None:
    path = answers(exchange, BTC=[(0, "1"), (1, "1")], USDT=[(0, "1"), (2, "1")])
    said = f"feed and the one of BTC do not both have a balance of {at(1)}"
    with refused(exchange, f"{path}: [[pool]] 2: {said}"):
        fill(exchange, path)
    path = answers(exchange, BTC=[(-9, "1")], USDT=[(-9, "1")])
    with refused(exchange, f"{path}: the balance of {at(-9)}, is not after the log's last"):
        fill(exchange, path)


@pytest.mark.parametrize(
    ("said", "keys"),
    [
        ("'credits' is unknown", {"credits": []}),
        ("feed is missing; it must be a section", {"feed": None}),
    ],
)
def test_answers_say_nothing_but_balances(
    exchange: Exchange, said: str, keys: Mapping[str, object]
) -> None:
    (exchange.books / "a.json").write_text('[{"t":1,"b":"1"}]')
    feed = {"venue": "gate", "file": "a.json"}
    row: dict[str, object] = {"pool": "BTC", "open_interest": "3", "feed": feed, **keys}
    row = {key: value for key, value in row.items() if value is not None}
    path = exchange.write("answers", {"pool": [row]})
    with refused(exchange, f"{path}: [[pool]] 1: ", said):
        fill(exchange, path)


moves = st.tuples(
    st.integers(0, 2**70), st.integers(0, 5), st.integers(-6, 9), st.integers(0, 2**127)
)


@given(st.lists(st.tuples(moves, moves), min_size=1, max_size=7), st.integers(1, 4), st.data())
def test_closings_are_the_sums_of_what_moved(
    minutes: list[tuple[tuple[int, int, int, int], ...]], slices: int, data: st.DataObject
) -> None:
    head = ("pool", "time", "liquidation_fee", "operator_injection", "correction", "open_interest")
    rows, closing = [], {"A": 0, "B": 0}
    meant, broken = [], False
    for number, each in enumerate(minutes):
        for pool, moved in data.draw(st.permutations(list(zip("AB", each, strict=True)))):
            rows.append((pool, at(number), *moved))
            closing[pool] += sum(moved[:3])
            broken |= closing[pool] < 0
        meant.append([(closing["A"], each[0][3]), (closing["B"], each[1][3])])
    with TemporaryDirectory() as name, pytest.MonkeyPatch.context() as patch:
        patch.setattr(backfill, "SLICE", slices)
        pools = {"A": {"asset": "X"}, "B": {"asset": "X"}}
        exchange = Exchange(Path(name), assets={"X": 0}, pools=pools)
        path = write(exchange, rows, head)
        if broken:
            with refused(exchange, "debits exceed what it holds"):
                fill(exchange, path)
            return
        fill(exchange, path)
        told = [
            [(row.closing, row.open_interest) for row in entry.pools] for entry in funds(exchange)
        ]
        assert told == meant
        assert_sound(exchange)
