"""The margin book on disk: what positions.toml may say, every table that is read or refused."""

from collections.abc import Callable, Mapping
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv
import pyarrow.feather
import pyarrow.parquet
import pytest

from auditkit.errors import InputError
from auditkit.margin.book import SCALE, MarginBook
from auditkit.margin.positionsfile import PositionsFile

DECIMALS = {"BTC": 8, "USDT": 6}
LIMIT = f"{(1 << 127) // 10**8}.{(1 << 127) % 10**8:08d}"
TOML = """
[contracts]
files = ["contracts.csv"]
[positions]
files = ["positions.csv"]
[wallets]
files = ["wallets.csv"]
"""
TABLES = {
    "contracts.csv": """contract,kind,multiplier,settlement,maintenance_margin
XBT-USD,inverse,1,BTC,0.01
ETH-USDT,linear,0.1,USDT,1
ALT-BTC,linear,10,BTC,0.005
""",
    "positions.csv": """account,contract,side,size,entry
bob,XBT-USD,short,100,65000.5
al,XBT-USD,long,1.5,64000
bob,XBT-USD,long,7,60000
al,ALT-BTC,short,0.000000000000000001,0.5
zoe,ETH-USDT,long,1,3000
""",
    "wallets.csv": """account,asset,balance,pledged
carl,BTC,0.5,0
al,BTC,-1.25,0.25
al,USDT,100,0
yves,USDT,-3,0
""",
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, text in TABLES.items():
        (tmp_path / name).write_text(text)
    (tmp_path / "positions.toml").write_text(TOML)
    return tmp_path


def load(folder: Path, asset: str = "BTC") -> MarginBook:
    return PositionsFile.read(folder / "positions.toml").load(asset, DECIMALS)


def wallets(book: MarginBook) -> dict[str, int]:
    return dict(zip(map(book.account, range(len(book.accounts))), book.wallet, strict=True))


def positions(book: MarginBook) -> list[tuple[str, str, int, int, int]]:
    """Account, contract, side, size and entry of every position, in order."""
    assert book.owner.tolist() == [
        a for a in range(len(book.accounts)) for row in book.held(a) if book.owner[row] == a
    ]
    return [
        (
            book.account(int(book.owner[row])),
            book.contract_of(row).name,
            int(book.side[row]),
            book.size[row],
            book.entry[row],
        )
        for row in range(len(book.owner))
    ]


def refusal(call: Callable[[], object]) -> str:
    with pytest.raises(InputError) as caught:
        call()
    text = str(caught.value)
    assert text.isprintable()  # One line, and nothing that moves a terminal's cursor.
    return text


# What is read


def test_the_book_of_one_asset(folder: Path) -> None:
    book = load(folder)
    assert (book.asset, book.decimals) == ("BTC", 8)
    assert [contract.name for contract in book.contracts] == ["ALT-BTC", "XBT-USD"]
    alt, xbt = book.contracts
    assert (alt.inverse, alt.unit, alt.maintenance) == (False, Fraction(10**9), Fraction(1, 200))
    assert (xbt.inverse, xbt.unit, xbt.maintenance) == (True, Fraction(10**8), Fraction(1, 100))
    assert alt.pool is xbt.pool is None
    assert book.accounts.type == pa.binary()
    assert wallets(book) == {"al": -(10**8), "bob": 0, "carl": 5 * 10**7}
    assert list(wallets(book)) == ["al", "bob", "carl"]
    assert book.leaves.tolist() == [1, 1, 1]
    assert positions(book) == [
        ("al", "ALT-BTC", -1, 1, SCALE // 2),
        ("al", "XBT-USD", 1, 3 * SCALE // 2, 64000 * SCALE),
        ("bob", "XBT-USD", 1, 7 * SCALE, 60000 * SCALE),
        ("bob", "XBT-USD", -1, 100 * SCALE, 130001 * SCALE // 2),
    ]
    assert book.size_of(1) == Fraction(3, 2)


def test_the_book_of_another_asset(folder: Path) -> None:
    book = load(folder, "USDT")
    assert wallets(book) == {"al": 10**8, "yves": -3 * 10**6, "zoe": 0}
    assert book.contracts[0].unit == 10**5
    assert positions(book) == [("zoe", "ETH-USDT", 1, SCALE, 3000 * SCALE)]


@pytest.mark.parametrize("empty", list(TABLES))
def test_tables_without_rows(folder: Path, empty: str) -> None:
    if empty == "contracts.csv":
        (folder / "positions.csv").write_text(TABLES["positions.csv"].split("\n")[0])
    (folder / empty).write_text(TABLES[empty].split("\n")[0])
    book = load(folder)
    assert len(book.owner) == (4 if empty == "wallets.csv" else 0)
    assert list(wallets(book)) == (["al", "bob"] if empty == "wallets.csv" else ["al", "carl"])


def test_nothing_at_all(folder: Path) -> None:
    for name, text in TABLES.items():
        (folder / name).write_text(text.split("\n")[0])
    book = load(folder)
    assert (len(book.accounts), len(book.owner), book.contracts) == (0, 0, ())


def test_accounts_ascend_bytewise(folder: Path) -> None:
    names = ["b", "a", "B", "a!", "aa", "~", "10", "9", "a,b"]
    rows = "".join(f'"{name}",BTC,1,0\n' for name in names)
    (folder / "wallets.csv").write_text("account,asset,balance,pledged\n" + rows)
    assert list(wallets(load(folder))) == sorted([*names, "al", "bob"])


def save(path: Path, columns: Mapping[str, Any]) -> None:
    table = pa.table(columns)
    if path.suffix == ".parquet":
        pa.parquet.write_table(table, path, row_group_size=2)
    elif path.suffix == ".csv":
        pa.csv.write_csv(table, path)
    else:
        pa.feather.write_feather(table, path, compression="uncompressed")


@pytest.mark.parametrize("ending", ["parquet", "csv", "arrow"])
def test_formats_types_and_renamed_columns(folder: Path, ending: str) -> None:
    save(
        folder / f"w.{ending}",
        {
            "uid": [10, 9],
            "coin": pa.array(["BTC", "BTC"]).dictionary_encode(),
            "balance": [Decimal("-1.5"), Decimal("2.25")],
            "pledged": [0, 1],
            "chunks": [16, 1],
        },
    )
    entry = pa.array([Decimal(60000), Decimal("0.001")], pa.decimal128(38, 18))
    save(
        folder / f"p.{ending}",
        {
            "uid": [9, 10],
            "contract": ["XBT-USD", "ALT-BTC"],
            "side": pa.array(["long", "short"]).dictionary_encode(),
            "size": ["1.5", "2"],
            "entry": entry,
        },
    )
    toml = TOML.replace("positions.csv", f"p.{ending}").replace("wallets.csv", f"w.{ending}")
    toml = toml.replace("[wallets]", 'columns = { account = "uid" }\n[wallets]')
    toml += '[wallets.columns]\naccount = "uid"\nasset = "coin"\nleaves = "chunks"\n'
    (folder / "positions.toml").write_text(toml)
    book = load(folder)
    assert wallets(book) == {"10": -150_000_000, "9": 325_000_000}
    assert book.leaves.tolist() == [16, 1]
    assert positions(book) == [
        ("10", "ALT-BTC", -1, 2 * SCALE, SCALE // 1000),
        ("9", "XBT-USD", 1, 3 * SCALE // 2, 60000 * SCALE),
    ]


def test_several_files_of_each_table(folder: Path) -> None:
    """Columns that may be left out are looked for in each file."""
    (folder / "contracts-2.csv").write_text(
        "pool,contract,kind,multiplier,settlement,maintenance_margin\n"
        "alts,Z,linear,1,BTC,1\n,Y,linear,1,BTC,1\n"
    )
    (folder / "positions-2.csv").write_text(
        "account,contract,side,size,entry\nal,Y,short,1,1\nal,XBT-USD,short,2,1\ndora,Z,long,1,1\n"
    )
    (folder / "wallets-2.csv").write_text(
        "leaves,account,asset,balance,pledged\n3,dora,BTC,1,0\n1,yves,BTC,0,1\n"
    )
    (folder / "positions.toml").write_text(TOML.replace('.csv"', '*.csv"'))
    book = load(folder)
    assert [(x.name, x.pool) for x in book.contracts] == [
        ("ALT-BTC", None),
        ("XBT-USD", None),
        ("Y", None),
        ("Z", "alts"),
    ]
    assert wallets(book)["dora"] == wallets(book)["yves"] == 10**8
    assert book.leaves.tolist() == [1, 1, 1, 3, 1]
    assert [(a, c, s) for a, c, s, _, _ in positions(book)] == [
        ("al", "ALT-BTC", -1),
        ("al", "XBT-USD", 1),
        ("al", "XBT-USD", -1),
        ("al", "Y", -1),
        ("bob", "XBT-USD", 1),
        ("bob", "XBT-USD", -1),
        ("dora", "Z", 1),
    ]


def test_a_pool_may_be_empty_or_missing(folder: Path) -> None:
    columns = {
        "contract": ["A", "B", "C"],
        "kind": ["linear"] * 3,
        "multiplier": [1, 1, 1],
        "settlement": ["BTC"] * 3,
        "maintenance_margin": ["0.5"] * 3,
        "pool": pa.array(["main", "", None]),
    }
    save(folder / "c.parquet", columns)
    (folder / "positions.toml").write_text(TOML.replace("contracts.csv", "c.parquet"))
    (folder / "positions.csv").write_text(TABLES["positions.csv"].split("\n")[0])
    assert [contract.pool for contract in load(folder).contracts] == ["main", None, None]
    save(folder / "c.parquet", columns | {"pool": pa.nulls(3)})
    assert [contract.pool for contract in load(folder).contracts] == [None] * 3


def test_a_file_named_twice_is_read_once(folder: Path) -> None:
    (folder / "link.csv").symlink_to(folder / "positions.csv")
    files = '["positions.csv", "link.csv", "pos*.csv"]'
    (folder / "positions.toml").write_text(TOML.replace('["positions.csv"]', files))
    assert len(load(folder).owner) == 4


def test_the_largest_wallet(folder: Path) -> None:
    most = (1 << 127) - 1
    text = f"{most // 10**8}.{most % 10**8:08d}"
    rows = f"al,BTC,-{text},0\nbob,BTC,{text},0\n"
    (folder / "wallets.csv").write_text("account,asset,balance,pledged\n" + rows)
    assert wallets(load(folder)) == {"al": -most, "bob": most}


# What is refused


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("[wallets]", "x = 1\n[wallets]", "[positions] 'x' is unknown"),
        ("[contracts]", "x = 1\n[contracts]", "'x' is unknown; the keys are contracts, positions"),
        ("[contracts]", "[contract]", "contracts is missing"),
        ("[wallets]", "[wallet]", "wallets is missing"),
        ('files = ["wallets.csv"]', "", "wallets must be a section, and not be empty"),
        ('["wallets.csv"]', "[1]", "[wallets] files must be a list of names, globs or folders"),
        ('["wallets.csv"]', '[""]', "[wallets] files must be a list of names, globs or folders"),
        ('["wallets.csv"]', '["no.csv"]', "[wallets] files 'no.csv' matches no file"),
        ('["wallets.csv"]', '["positions.toml"]', "unknown ending; tables end in .parquet"),
        ("[wallets]", "columns = 3\n[wallets]", "[positions] columns must be a section"),
        (
            "[wallets]",
            'columns = { leaves = "x" }\n[wallets]',
            "[positions.columns] 'leaves' is unknown; the keys are account, contract, side",
        ),
        (
            "[wallets]",
            'columns = { size = "entry" }\n[wallets]',
            "[positions] columns give two meanings to one column",
        ),
        ("[wallets]", "columns = { size = 1 }\n[wallets]", "size must be text in quotes"),
    ],
)
def test_what_positions_toml_may_not_say(folder: Path, old: str, new: str, expected: str) -> None:
    path = folder / "positions.toml"
    path.write_text(TOML.replace(old, new))
    text = refusal(lambda: load(folder))
    assert text.startswith(f"{path}: ")
    assert expected in text


def test_a_column_that_is_not_there(folder: Path) -> None:
    given = TOML + 'columns = { leaves = "chunks" }\n'
    (folder / "positions.toml").write_text(given)
    assert "wallets.csv: there is no column 'chunks'; there are 'account', 'asset'" in refusal(
        lambda: load(folder)
    )
    (folder / "positions.toml").write_text(TOML)
    (folder / "positions.csv").write_text("account,contract,side,entry\n")
    assert "positions.csv: there is no column 'size'" in refusal(lambda: load(folder))


def test_a_damaged_column_that_may_be_left_out_is_not_left_out(folder: Path) -> None:
    path = folder / "w.parquet"
    columns = {"account": ["al"], "asset": ["BTC"], "balance": [1], "pledged": [0], "leaves": [7]}
    pa.parquet.write_table(pa.table(columns), path, write_page_checksum=True, use_dictionary=False)
    with pa.parquet.ParquetFile(path) as file:
        leaves = file.metadata.row_group(0).column(4)
    data = bytearray(path.read_bytes())
    data[leaves.data_page_offset + leaves.total_compressed_size - 1] ^= 1
    path.write_bytes(data)
    (folder / "positions.toml").write_text(TOML.replace("wallets.csv", "w.parquet"))
    assert "w.parquet: cannot be read" in refusal(lambda: load(folder))


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ("XBT-USD,linear,1,BTC,1", "'contract': 'XBT-USD' is already in row 1 of "),
        ("a b,linear,1,BTC,1", "'contract': 'a b' is not a name; allowed are up to 64 letters"),
        (",linear,1,BTC,1", "'contract': '' is not a name; allowed are"),
        ("-X,linear,1,BTC,1", "'contract': '-X' is not a name; allowed are"),
        ("X" * 65 + ",linear,1,BTC,1", "X'... is not a name; allowed are"),
        ("X,future,1,BTC,1", "'kind': 'future' is no kind; write \"linear\" or \"inverse\""),
        ("X,linear,1,DOGE,1", "'settlement': 'DOGE' is not in the policy, whose assets are BTC, U"),
        ("X,linear,0,BTC,1", "'multiplier': '0' is out of bounds; it must be above 0"),
        ("X,linear,-1,BTC,1", "'multiplier': '-1' is negative; only 0 and more is allowed"),
        ("X,linear,1e3,BTC,1", "'multiplier': '1e3' is no plain number"),
        ("X,linear,1,BTC,0", "'maintenance_margin': '0' is out of bounds; it must be above 0 and"),
        ("X,linear,1,BTC,1.000000000000000001", "is out of bounds; it must be above 0 and at most"),
        ("X,linear,1,BTC,0.0000000000000000001", "has 19 digits after the point where 18 are"),
    ],
)
def test_contracts_that_are_refused(folder: Path, row: str, expected: str) -> None:
    path = folder / "contracts.csv"
    path.write_text(TABLES["contracts.csv"] + row + "\n")
    text = refusal(lambda: load(folder))
    assert text.startswith(f"{path}: row 4, column ")
    assert expected in text
    assert refusal(lambda: load(folder, "USDT")) == text


def test_a_pool_that_is_no_name(folder: Path) -> None:
    text = TABLES["contracts.csv"].replace("\n", ",\n").replace("margin,", "margin,pool", 1)
    (folder / "contracts.csv").write_text(text.replace("BTC,0.005,", "BTC,0.005,a pool"))
    assert "row 3, column 'pool': 'a pool' is not a name" in refusal(lambda: load(folder))


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ("al,XBT-USD,long,2,2", "'account': 'al' is already in row 2 of "),
        ("al,XBTUSD,long,2,2", "'contract': 'XBTUSD' is not in the table of contracts; add it"),
        ("al,,long,2,2", "'contract': '' is not in the table of contracts"),
        ("al,XBT-USD,buy,2,2", "'side': 'buy' is no side; write \"long\" or \"short\""),
        ("al,ETH-USDT,Long,2,2", "'side': 'Long' is no side"),
        ("al,XBT-USD,short,0,2", "'size': '0' is not above 0; leave out positions that are closed"),
        ("al,XBT-USD,short,-1,2", "'size': '-1' is negative"),
        ("al,XBT-USD,short,2,0.00", "'entry': '0.00' is not above 0; leave out"),
        ("al,XBT-USD,short,,2", "'size': '' is an empty cell"),
        ("al,XBT-USD,short,1e3,2", "'size': '1e3' is no plain number"),
        ("al,XBT-USD,short,1.0000000000000000000,2", "'size': '1.0000000000000000000' has 19 digi"),
        ("a l,XBT-USD,short,1,2", "'account': 'a l' is no account name; allowed are"),
        (",XBT-USD,short,1,2", "'account': '' is no account name"),
        ("-,XBT-USD,short,1,2", "'account': '-' is no account name"),
    ],
)
def test_positions_that_are_refused(folder: Path, row: str, expected: str) -> None:
    path = folder / "positions.csv"
    path.write_text(TABLES["positions.csv"] + row + "\n")
    text = refusal(lambda: load(folder))
    assert text.startswith(f"{path}: row 6, column ")
    assert expected in text


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ("al,BTC,2,2", "'account': 'al' is already in row 2 of "),
        ("bob,DOGE,2,2", "'asset': 'DOGE' is not in the policy, whose assets are BTC, USDT"),
        ("bob,BTC,2,-1", "'pledged': '-1' is negative; only 0 and more is allowed"),
        ("bob,BTC,0.000000001,0", "'balance': '0.000000001' has 9 digits after the point where 8"),
        ("bob,BTC,-0,0", "'balance': '-0' is no plain number; write 0 without a sign"),
        ("bob,BTC,,0", "'balance': '' is an empty cell; every row needs one"),
        (f"bob,BTC,{1 << 127},0", "reaches 2^128 base units"),
        (f"bob,BTC,-{LIMIT},0", "reaches 2^127 base units with what is pledged"),
        (f"bob,BTC,{LIMIT},0", "reaches 2^127 base units with what is pledged; check units and"),
        (f"bob,BTC,1,{LIMIT}", "'balance': '1' reaches 2^127 base units with what"),
    ],
)
def test_wallets_that_are_refused(folder: Path, row: str, expected: str) -> None:
    path = folder / "wallets.csv"
    path.write_text(TABLES["wallets.csv"] + row + "\n")
    text = refusal(lambda: load(folder))
    assert text.startswith(f"{path}: row 5, column ")
    assert expected in text


def test_wallets_of_other_assets_are_not_looked_at(folder: Path) -> None:
    with (folder / "wallets.csv").open("a") as file:
        file.write("al,USDT,x,-1\n")
    assert len(load(folder).accounts) == 3
    assert "row 5, column 'account': 'al' is already in row 3" in refusal(
        lambda: load(folder, "USDT")
    )


@pytest.mark.parametrize("leaves", ["0", "17", "1.5", "-1", ""])
def test_leaves_are_from_1_to_16(folder: Path, leaves: str) -> None:
    rows = f"al,BTC,1,0,16\nbob,BTC,1,0,{leaves}\n"
    (folder / "wallets.csv").write_text("account,asset,balance,pledged,leaves\n" + rows)
    assert f"wallets.csv: row 2, column 'leaves': '{leaves}' " in refusal(lambda: load(folder))


@pytest.mark.parametrize(
    ("table", "column"),
    [
        ("contracts", "multiplier"),
        ("contracts", "maintenance_margin"),
        ("positions", "size"),
        ("positions", "entry"),
        ("wallets", "balance"),
        ("wallets", "pledged"),
        ("wallets", "leaves"),
    ],
)
def test_floats_are_refused(folder: Path, table: str, column: str) -> None:
    header, *rows = (line.split(",") for line in TABLES[f"{table}.csv"].splitlines())
    columns: dict[str, Any] = dict(zip(header, zip(*rows, strict=True), strict=True))
    save(folder / f"{table}.parquet", columns | {column: [1.5] * len(rows)})
    toml = TOML.replace(f"{table}.csv", f"{table}.parquet")
    (folder / "positions.toml").write_text(toml)
    text = refusal(lambda: load(folder))
    assert f"{table}.parquet: column '{column}' is double; floats are not exact" in text


@pytest.mark.parametrize("column", ["account", "contract", "side"])
def test_names_must_be_there_and_text(folder: Path, column: str) -> None:
    row = {"account": ["al"], "contract": ["X"], "side": ["long"], "size": [1], "entry": [1]}
    row["contract"] = ["XBT-USD"]
    (folder / "positions.toml").write_text(TOML.replace("positions.csv", "p.parquet"))
    save(folder / "p.parquet", row | {column: pa.nulls(1, pa.string())})
    assert f"row 1, column '{column}': the value is missing; every row needs" in refusal(
        lambda: load(folder)
    )
    save(folder / "p.parquet", row | {column: [1.5]})
    assert f"column '{column}' is double; store " in refusal(lambda: load(folder))


def test_a_repeat_in_another_file_is_named(folder: Path) -> None:
    for table, row in (("positions", "al,XBT-USD,long,1,1"), ("wallets", "carl,BTC,1,0")):
        more = folder / f"more-{table}.csv"
        more.write_text(TABLES[f"{table}.csv"].split("\n")[0] + f"\n{row}\n")
        files = f'["more-{table}.csv", "{table}.csv"]'
        (folder / "positions.toml").write_text(TOML.replace(f'["{table}.csv"]', files))
        text = refusal(lambda: load(folder))
        assert text.startswith(f"{folder / f'{table}.csv'}: row ")
        assert f"is already in row 1 of {more}; an account has one wallet an asset" in text
