"""Spark stores, byte for byte, what one machine stores, and refuses what it refuses."""

import gc
import os
import shutil
import signal
import subprocess
import time
import uuid
from collections.abc import Iterable, Iterator
from decimal import Decimal
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from console import Answer, Console
from exchange import Assets, Exchange, refused
from hypothesis import given
from ledger.by_hand import SECRET, Row
from ledger.in_small import books, files_of, rows_of

if "AUDITKIT_THOROUGH" not in os.environ:
    pytest.importorskip("pyspark")

from ledger.in_spark import LONG, WIDE, Both, Stored, many, tables, write_books

from auditkit.errors import InputError
from auditkit.ledger.blocks import Block
from auditkit.ledger.builder import build
from auditkit.ledger.columns import Balances
from auditkit.ledger.hashing import hmac_salts
from auditkit.ledger.runs import Rows
from auditkit.ledger.stored import BLOCK
from auditkit.publish import snapshot
from auditkit.publish.draft import Draft
from auditkit.publish.venue import Venue
from auditkit.spark.books import SparkBooks
from auditkit.spark.builder import whole
from auditkit.spark.lines import Lines
from auditkit.spark.packed import Kind, Piece
from auditkit.spark.session import session
from auditkit.verify.statements import Snapshot

# PySpark leaves sockets to its own JVM for the garbage collector to close.
pytestmark = [pytest.mark.tool("java"), pytest.mark.filterwarnings("ignore:unclosed <socket")]

PATIENCE = 300
# A JVM that runs for seconds is done before it would be worth optimizing.
BRISK = "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC"
MILLION = 1_000_000


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("spark")


@pytest.fixture(autouse=True)
def no_socket_is_left() -> Iterator[None]:
    """Else they would be found, and complained of, in another file's tests."""
    yield
    gc.collect()


@pytest.fixture(scope="module")
def both(folder: Path) -> Iterator[Both]:
    (folder / "events").mkdir()
    settings = {
        "spark.driver.extraJavaOptions": BRISK,
        "spark.local.dir": str(folder / "local"),
        "spark.eventLog.enabled": "true",
        "spark.eventLog.dir": (folder / "events").as_uri(),
        "spark.eventLog.compress": "false",
    }
    with session("local[2]", settings) as spark:
        yield Both(spark, folder)
    gc.collect()


# The same bytes.


@pytest.fixture(scope="module")
def split(folder: Path) -> tuple[Path, list[Row]]:
    """Books of some 185,000 rows, which are three blocks, and who has left since."""
    rows, gone = many(150_000)
    mapping = 'units = "base"\n' + WIDE.format("parquet").replace("[[", "split = true\n[[")
    files = {f"{number}.parquet": table for number, table in enumerate(tables(rows, 3))}
    return write_books(folder / "split", mapping, files), gone


@pytest.fixture(scope="module")
def split_here(both: Both, split: tuple[Path, list[Row]]) -> Stored:
    return both.here(*split)


@pytest.mark.parametrize("parts", [1, 3, 8])
def test_split_and_carried_accounts_in_any_number_of_parts(
    both: Both, split: tuple[Path, list[Row]], split_here: Stored, parts: int
) -> None:
    path, gone = split
    assert both.there(path, parts, gone) == split_here
    assert len(split_here["BTC-margin"]["salts"]) // 32 > 2 * BLOCK


@pytest.mark.thorough
def test_a_million_accounts_in_any_number_of_parts(both: Both, folder: Path) -> None:
    held = np.zeros((MILLION, 2), np.int64)
    held[:, 0] = np.random.default_rng(1).integers(0, 10**15, MILLION)
    kind = pa.decimal128(38, 8)
    amounts = pa.Array.from_buffers(kind, MILLION, [None, pa.py_buffer(held)])
    table = pa.table({"account": pa.array(np.arange(MILLION) + 10**7), "btc": amounts})
    path = write_books(folder / "million", WIDE.format("parquet"), {"a.parquet": table})
    wanted = both.here(path)
    for parts in (1, 3, 8):
        assert both.there(path, parts) == wanted


GONE = [("anna", 3), ("zoe", 1)]


@pytest.mark.parametrize("parts", [3, None])
@pytest.mark.parametrize("gone", [[], GONE], ids=["", "gone"])
def test_few_rows_and_none(both: Both, tmp_path: Path, gone: list[Row], parts: int | None) -> None:
    for name, lines in (("some", "anna,1\nbert,2\ncarl,0.5"), ("none", "")):
        file = {"a.csv": f"account,btc\n{lines}"}
        path = write_books(tmp_path / name, WIDE.format("csv"), dict(file))
        assert both.there(path, parts, gone) == both.here(path, gone)


def decimals(values: list[str], *kind: int) -> pa.Array:
    return pa.array(map(Decimal, values), pa.decimal128(*kind))


TWO = '[[ledger]]\nasset = "USDT"\nbook = "spot"\ncolumn = "usdt"\n'
QUOTED = '[source]\nfiles = ["o d%20[1]{x}.parquet"]\naccount = "a b"\n[[ledger]]\nasset = "BTC"\n'
READ: dict[str, tuple[str, dict[str, str | bytes | pa.Table]]] = {
    "quotes, empty lines, \\r\\n and a mark": (
        WIDE.format("csv"),
        {"a.csv": b'\xef\xbb\xbfaccount,n,btc\r\n"anna",x,1.5\r\n\r\nbert,"y, ""z""","2"\r\n'},
    ),
    "several files": (
        WIDE.format("csv") + TWO,
        {"a.csv": "account,btc,usdt\n7,1,2.5\n", "b.csv": "account,btc,usdt\n8,3,0\n9,0,0.01\n"},
    ),
    "both formats": (
        WIDE.format("csv").replace("*.csv", "."),
        {"a.csv": "account,btc\nanna,1\n", "b.parquet": pa.table({"account": ["b"], "btc": ["2"]})},
    ),
    "long": (
        LONG.format("csv"),
        {"a.csv": "account,asset,book,amount\na,BTC,margin,1\na,USDT,spot,2.5\nb,BTC,margin,7\n"},
    ),
    "long in one book": (
        LONG.format("parquet").replace('book = "book"\n', ""),
        {"a.parquet": pa.table({"account": [1, 2], "asset": ["USDT", "BTC"], "amount": [5, 6]})},
    ),
    "decimals of several precisions": (
        WIDE.format("parquet"),
        {
            "a.parquet": pa.table({"account": ["a"], "btc": decimals(["1.5"], 20, 10)}),
            "b.parquet": pa.table({"btc": decimals(["9" * 25], 38, 10), "account": ["b"]}),
        },
    ),
    "integers of 64 bits": (
        'units = "base"\n' + WIDE.format("parquet"),
        {"a.parquet": pa.table({"account": ["a"], "btc": pa.array([2**64 - 1], pa.uint64())})},
    ),
    "names that are nearly globs": (
        QUOTED + 'column = "b.t`c"\n',
        {"o d%20[1]{x}.parquet": pa.table({"a b": ["a"], "b.t`c": ["2"], "B.T`C": ["3"]})},
    ),
}


@pytest.mark.parametrize("name", READ)
def test_what_is_read(both: Both, tmp_path: Path, name: str) -> None:
    path = write_books(tmp_path, *READ[name])
    assert both.there(path) == both.here(path)


def test_files_in_many_splits(both: Both, tmp_path: Path) -> None:
    """Of a file only the split that starts it has its header."""
    files: dict[str, str | bytes | pa.Table] = {
        f"{letter}.csv": "account,btc\n" + "".join(f"{letter}{n},{n}\n" for n in range(900))
        for letter in "abc"
    }
    path = write_books(tmp_path, WIDE.format("csv"), files)
    wanted = both.here(path)
    for size in ("1000", "11000"):
        both.spark.conf.set("spark.sql.files.maxPartitionBytes", size)
        try:
            assert both.there(path) == wanted
        finally:
            both.spark.conf.unset("spark.sql.files.maxPartitionBytes")


def test_a_path_of_sparks_own(both: Both, tmp_path: Path) -> None:
    """With a scheme it is Spark's to find, a folder with all that is below it."""
    files: dict[str, str | bytes | pa.Table] = {"a.csv": "account,btc\nanna,1\n", "b.txt": "?"}
    path = write_books(tmp_path / "x", WIDE.format("csv"), files)
    wanted = both.here(path)
    path.write_text(WIDE.format("csv").replace("*.csv", tmp_path.as_uri()))
    assert both.there(path) == wanted


# Refusals: what is refused here is refused there, in one line.

REFUSED: dict[str, tuple[str, str | bytes | pa.Table, str]] = {
    "exponent": (
        "csv",
        "account,btc\nanna,1e3\n",
        "/a.csv: column 'btc': '1e3' is no plain",
    ),
    "no account": ("csv", b"account,btc\nan\xffa,1\n", "column 'account': 'an\\\\xffa' is no acc"),
    "twice": ("csv", "account,btc\nanna,1\nbert,1\nanna,2\n", "account anna has 2 rows"),
    "too much": ("csv", f"account,btc\na,{2**128 // 10**8}\nb,1\n", "reaches 2^128 base units"),
    "open quote": ("csv", 'account,btc\nanna,1\nbert,"2\n', "the row 'bert,\"2' has a quote that"),
    "long row": ("csv", "account,btc\nanna,1,2\n", "/a.csv: the row 'anna,1,2' does not have 2"),
    "column twice": ("csv", "account,btc,btc\nanna,1,2\n", "column 'btc' occurs twice"),
    "no column": ("csv", "account,eth\nanna,1\n", "there is no column 'btc'; there are 'account'"),
    "empty": ("csv", "", "/a.csv: is empty; a table begins with the names of columns"),
    "no line": ("csv", "\n\n", "/a.csv: has no line; a table begins with names of columns"),
    "null": (
        "parquet",
        pa.table({"account": ["a", None], "btc": [1, 2]}),
        "/a.parquet: column 'account': the value is missing; every row needs its account",
    ),
    "inexact": (
        "parquet",
        pa.table({"account": ["a", "b"], "btc": decimals(["1", "0.0000000010"], 12, 10)}),
        "/a.parquet: column 'btc': 0.0000000010 has 9 digits after the point where 8",
    ),
    "float": (
        "parquet",
        pa.table({"account": pa.array([], pa.string()), "btc": pa.array([], pa.float64())}),
        "books.toml: column 'btc' is double; floats are not exact",
    ),
    "no parquet": ("parquet", b"no such table, but many bytes", "Encountered error while reading"),
    "arrow": ("arrow", b"ARROW1", "/a.arrow: Spark does not read such files; write .parquet, .csv"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused(both: Both, tmp_path: Path, name: str) -> None:
    ending, held, said = REFUSED[name]
    path = write_books(tmp_path, WIDE.format(ending), {f"a.{ending}": held})
    with pytest.raises(InputError):
        both.here(path)
    refuse(both, path, said)


def refuse(both: Both, path: Path, *said: str) -> None:
    with pytest.raises(InputError) as caught:
        both.there(path)
    line = str(caught.value)
    for fragment in said:
        assert fragment in line
    assert line.isprintable()
    assert len(line) < 500
    assert "Traceback" not in line
    assert "org.apache" not in line


def test_names_that_the_policy_does_not_have(both: Both, tmp_path: Path) -> None:
    rows = {"account": ["a"] * 3, "book": ["margin"] * 3, "amount": [1] * 3}
    for number, (assets, said) in enumerate(
        (
            (["BTC", "DOGE", "SHIB"], "a.parquet: column 'asset': 'DOGE' is not in the policy"),
            (["BTC", None, "BTC"], "a.parquet: column 'asset': the value is missing"),
            ([1, 2, 3], "column 'asset' is int64; store names as text"),
        )
    ):
        table = pa.table({**rows, "asset": assets})
        refuse(
            both,
            write_books(tmp_path / f"{number}", LONG.format("parquet"), {"a.parquet": table}),
            said,
        )
    path = write_books(tmp_path, WIDE.format("csv").replace("BTC", "ETH"), {"a.csv": "account,btc"})
    refuse(both, path, "[[ledger]] 1: asset ETH is not in the policy")


def test_a_17th_row(both: Both, tmp_path: Path) -> None:
    mapping = WIDE.format("csv").replace("[[", "split = true\n[[")
    lines = "account,btc\n" + "anna,1\n" * 16
    path = write_books(tmp_path, mapping, {"a.csv": lines})
    assert both.there(path) == both.here(path)
    (tmp_path / "b.csv").write_text("account,btc\nanna,1\n")
    refuse(both, path, "account anna has 17 rows; a ledger holds at most 16")


def test_tables_that_do_not_go_together(both: Both, tmp_path: Path) -> None:
    files: dict[str, str | bytes | pa.Table]
    files = {"a.csv": "account,btc\nanna,1\n", "b.csv": "btc,account\n1,bert\n"}
    path = write_books(tmp_path / "order", WIDE.format("csv"), files)
    refuse(both, path, "b.csv: does not begin with the line 'account,btc', as", "a.csv does")
    files = {"a.csv": "account,btc\nanna,1\n", "b.csv": "bert,1\n"}
    refuse(both, write_books(tmp_path / "none", WIDE.format("csv"), files), "does not begin with")
    files = {
        "a.parquet": pa.table({"account": ["a"], "btc": ["1"]}),
        "b.parquet": pa.table({"account": ["b"], "btc": decimals(["1"], 10, 2)}),
    }
    path = write_books(tmp_path / "types", WIDE.format("parquet"), files)
    refuse(both, path, "CANNOT_MERGE_SCHEMAS", "write each column with the same type in all files")


def test_a_flipped_byte(both: Both, tmp_path: Path) -> None:
    names = pa.array([f"user{number}" for number in range(1000)])
    path = write_books(
        tmp_path, WIDE.format("parquet"), {"a.parquet": pa.table({"account": names, "btc": names})}
    )
    # The page's checksum fails before anybody sees that the amounts are none.
    data = bytearray((tmp_path / "a.parquet").read_bytes())
    data[len(data) // 4] ^= 1
    (tmp_path / "a.parquet").write_bytes(data)
    refuse(both, path, "Encountered error while reading file", "a.parquet", "export it again")


def test_files_that_are_not_there(both: Both, tmp_path: Path) -> None:
    refuse(both, write_books(tmp_path, WIDE.format("csv"), {}), "'*.csv' matches no file")
    for pattern, said in (
        (f"{tmp_path.as_uri()}/*.csv", "Path does not exist"),
        (tmp_path.as_uri(), "no table is there; tables end in .parquet, .csv"),
        ("s3a://bucket/a.csv", "S3AFileSystem not found"),
    ):
        path = write_books(tmp_path, WIDE.format("csv").replace("*.csv", pattern), {})
        refuse(both, path, "books.toml: [source] files", said)


# What stays secret.


def test_neither_plans_nor_logs_nor_scratch_files_tell(
    both: Both, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = [f"customer-{number}-of-many" for number in range(9000)]
    table = pa.table({"account": names, "btc": [1] * 9000})
    path = write_books(folder / "told", WIDE.format("parquet"), {"a.parquet": table})
    scratch: list[bytes] = []

    def looked(found: Iterable[Block | bytes], leaves: int) -> Iterator[Block]:
        """As long as the rows are kept; afterwards Spark removes its files when it likes."""
        scratch.extend(_read(file) for file in (folder / "local").rglob("*") if file.is_file())
        return whole(found, leaves)

    monkeypatch.setattr("auditkit.spark.builder.whole", looked)
    both.there(path, 2, [("gone-customer-of-many", 1)])
    events = b"".join(f.read_bytes() for f in (folder / "events").rglob("*") if f.is_file())
    assert b"mapInArrow" in events or b"MapInArrow" in events
    # Salts do not become smaller, whatever is done to them.
    assert sum(map(len, scratch)) > 9000 * 32
    for data in (events, *scratch):
        assert SECRET[:12] not in data
        assert SECRET.hex().encode() not in data
        assert b"customer-" not in data


# Rows on their way.


@given(books)
def test_packed_rows_are_the_same_rows(held: dict[str, list[int]]) -> None:
    balances = Balances.of(rows_of(held))
    salts = hmac_salts(SECRET, balances.accounts, np.arange(len(balances)))
    for kind in Kind:
        found = Piece.unpack(Piece(kind, Rows(salts, balances)).pack())
        assert found.kind is kind
        assert (found.rows.salts == salts).all()
        assert list(found.rows.balances.rows()) == rows_of(held)


def leaves(count: int) -> list[Rows]:
    names = pa.array(np.arange(count)).cast(pa.string()).cast(pa.binary())
    balances = Balances(names, np.ones((count, 2), np.uint64))
    salts = hmac_salts(SECRET, names, np.zeros(count, np.int32))
    rows = Rows(salts, balances).take(np.lexsort(salts.T[::-1]))
    return [rows.slice(start, start + BLOCK) for start in range(0, count, BLOCK)]


def test_rows_that_spark_brings_in_disorder_are_never_signed() -> None:
    first, second = leaves(BLOCK + 5)
    cut = [first.slice(0, 9), first.slice(9, BLOCK)]
    edges: list[Block | bytes] = [Piece(Kind.OWN, rows).pack() for rows in (*cut, second)]
    assert [block.count for block in whole(edges, BLOCK + 5)] == [BLOCK, 5]
    hashed: list[Block | bytes] = [Block.of(first), edges[2]]
    assert [block.count for block in whole(hashed, BLOCK + 5)] == [BLOCK, 5]
    for found in (
        [edges[2], hashed[0]],
        [*edges[1:], edges[0]],
        [hashed[0], hashed[0]],
        [edges[2], edges[2]],
        [edges[1], hashed[0]],
        edges[:2],
        [hashed[0]],
        [],
    ):
        with pytest.raises(RuntimeError, match="Spark did not"):
            list(whole(found, BLOCK + 5))


def test_where_files_begin_among_lines() -> None:
    """Splits and batches may end anywhere; the header is the first line of each file."""
    lines = [
        *(("account,btc", "a", 0), ("a1,1", "a", 0)),
        *(("a2,2", "a", 64), ("", "b", 0), ("account,btc", "b", 0), ("b1,1", "b", 0)),
        *(("a3,3", "a", 128), ("account,btc", "c", 0), ("c1,5", "c", 0), ("d9,9", "d", 64)),
    ]
    names = ["value", "file", "start"]
    reading = Lines("a", "account,btc", ("btc", "account"))
    for size in range(1, len(lines) + 1):
        batches = [
            pa.record_batch(list(map(pa.array, zip(*lines[at : at + size], strict=True))), names)
            for at in range(0, len(lines), size)
        ]
        found = [row for batch in reading.parse(batches) for row in batch.to_pylist()]
        assert [tuple(row.values()) for row in found] == [
            *(("1", "a1", "a"), ("2", "a2", "a"), ("1", "b1", "b"), ("3", "a3", "a")),
            *(("5", "c1", "c"), ("9", "d9", "d")),
        ]


# A venue.


def by_spark(exchange: Exchange, both: Both, path: Path) -> Snapshot:
    """Publish a snapshot of one asset by Spark."""

    def work(draft: Draft) -> Snapshot:
        found = SparkBooks.read(both.spark, path, 2)
        (taken,) = snapshot.publish(draft, found.books, found)
        return taken

    taken: Snapshot = exchange.publish(work)
    return taken


def test_a_venue_may_change_engines(both: Both, tmp_path: Path) -> None:
    exchange = Exchange(tmp_path)
    held: Assets = {"BTC": {"margin": {"anna": [5, 7], "bert": 3}, "spot": {"anna": 7}}}
    exchange.snapshot(held)
    taken = by_spark(exchange, both, exchange.long({"BTC": {"margin": {"bert": 2}}}))
    assert exchange.balances(taken, "margin") == {"anna": 0, "bert": 2}
    assert exchange.balances(taken, "spot") == {"anna": 0}
    assert [(b.book, b.amount) for b in exchange.check("anna").balances] == [
        ("margin", 0),
        ("spot", 0),
    ]
    taken = by_spark(exchange, both, exchange.long(held))
    assert exchange.balances(taken, "margin") == {"anna": 12, "bert": 3}
    exchange.loss("crash", "BTC", {"carl": 90}, {"anna": [5, 7], "bert": 3})
    with refused(exchange, "the ledger BTC/spot held 7 base units"):
        by_spark(exchange, both, exchange.wide({"BTC": {"margin": {"anna": 5}}}))
    with refused(exchange, "no account name"):
        by_spark(exchange, both, exchange.long({"BTC": {"margin": {"-": 1}}}))


class Command:
    """`publish snapshot --engine spark` as a process of its own."""

    def __init__(self, exchange: Exchange, folder: Path) -> None:
        self._root, self._home, self.scratch = exchange.root, folder, folder / "scratch"
        self._mark = f"mark-{uuid.uuid4()}"
        self._console = Console(
            folder,
            variables={
                "SPARK_LOCAL_DIRS": str(self.scratch),
                "JAVA_TOOL_OPTIONS": BRISK,
                "MARK": self._mark,
            },
        )

    def start(self, path: Path, *more: str, **variables: str) -> "subprocess.Popen[bytes]":
        self._console.variables |= variables
        command = ("publish", "snapshot", "--venue", self._root, "--books", path)
        return self._console.start(
            *(*command, "--engine", "spark", *more),
            cwd=self._home,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )

    def run(self, path: Path, *more: str, **variables: str) -> Answer:
        return self.end(self.start(path, *more, **variables))

    def end(self, process: "subprocess.Popen[bytes]") -> Answer:
        """What it came to. Of it nothing is left but what it printed and published."""
        out, err = process.communicate(timeout=PATIENCE)
        assert self.processes() == []
        assert [file for file in self._home.iterdir() if "spark" in file.name] == []
        assert list(self.scratch.glob("*")) == []
        return Answer(process.returncode, out.decode(), err.decode())

    def processes(self) -> list[int]:
        """Every process that is left of it."""
        return [
            int(file.parent.name)
            for file in Path("/proc").glob("[0-9]*/environ")
            if self._mark.encode() in _read(file)
        ]


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError:
        return b""


def test_the_command(tmp_path: Path) -> None:
    exchange = Exchange(tmp_path)
    books = exchange.long({"BTC": {"margin": {"anna": [5, 7], "bert": 3}}})
    answer = Command(exchange, tmp_path).run(books, "--master", "local[2]")
    assert (answer.code, answer.err) == (0, ""), answer.err
    assert "Spark" not in answer.out
    taken = exchange.log()[2]
    assert isinstance(taken, Snapshot)
    assert exchange.balances(taken, "margin") == {"anna": 12, "bert": 3}
    assert [balance.amount for balance in exchange.check("anna").balances] == [12]
    with Venue(exchange.root) as venue:
        rows = venue.ledgers.open(taken.seq, taken.ledgers[0]).balances()
        build(tmp_path / "again", rows, venue.ledgers.secret(taken.seq, "margin"))
    assert files_of(tmp_path / "again") == files_of(exchange.root / f"ledgers/{taken.seq}-margin")


@pytest.mark.parametrize(
    ("file", "master", "java", "said"),
    [
        ("a.csv", "no such thing", "", "Spark does not start: "),
        ("a.csv", "local[2]", "/nowhere", "needs Java 17 or newer; install it, or set JAVA_HOME"),
        ("b.csv", "local[2]", "", "/books.toml: [source] files 'b.csv' matches no file"),
    ],
    ids=["master", "java", "file"],
)
def test_a_command_that_cannot_work(
    tmp_path: Path, file: str, master: str, java: str, said: str
) -> None:
    exchange = Exchange(tmp_path)
    mapping = WIDE.format("csv").replace("*.csv", file)
    path = write_books(tmp_path / "x", mapping, {"a.csv": "account,btc\nanna,1\n"})
    before = exchange.tree()
    variables = {"JAVA_HOME": java} if java else {}
    answer = Command(exchange, tmp_path).run(path, "--master", master, **variables)
    assert answer.code == 2
    assert said in answer.refusal()
    assert exchange.tree() == before


@pytest.mark.parametrize("lost", [False, pytest.param(True, marks=pytest.mark.thorough)])
def test_cut_off_in_the_middle_it_publishes_nothing(tmp_path: Path, lost: bool) -> None:
    exchange = Exchange(tmp_path)
    command = Command(exchange, tmp_path)
    path = exchange.long({"BTC": {"margin": {f"u{number}": number for number in range(20_000)}}})
    before = exchange.tree()
    process = command.start(path)
    deadline = time.monotonic() + PATIENCE
    while not list((exchange.root / "ledgers").glob(".*")) and process.poll() is None:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    if lost:
        (java,) = (pid for pid in command.processes() if _name(pid) == "java")
        os.kill(java, signal.SIGKILL)
        # A JVM that is killed leaves its files.
        process.wait(PATIENCE)
        shutil.rmtree(command.scratch)
    else:
        # As the terminal does it: everybody in the foreground is told.
        os.killpg(process.pid, signal.SIGINT)
    answer = command.end(process)
    assert answer.code == (74 if lost else 130)
    assert answer.refusal().startswith("Spark: its JVM has ended" if lost else "interrupted")
    assert exchange.tree() == before


def _name(pid: int) -> str:
    return Path(f"/proc/{pid}/comm").read_text().strip()


def test_one_spark_in_a_process(both: Both) -> None:
    handler = signal.getsignal(signal.SIGINT)
    with pytest.raises(InputError, match="Spark runs in this process already"), session():
        pass
    assert signal.getsignal(signal.SIGINT) is handler
    assert "PYSPARK_PYTHON" in os.environ
