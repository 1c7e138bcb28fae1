"""Books on disk: what books.toml may say, and every table that is read or refused."""

import errno
import struct
from collections.abc import Callable, Mapping
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pyarrow as pa
import pyarrow.csv
import pyarrow.feather
import pyarrow.parquet
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from auditkit.errors import InputError
from auditkit.ledger import tables
from auditkit.ledger.books import Books, load_amount_list
from auditkit.ledger.columns import Balances

LIMIT = 1 << 128
DECIMALS = {"BTC": 8, "ETH": 18, "USDT": 6}
BOOKS = ("margin", "spot")
SAMPLE = Path(__file__).resolve().parents[2].parent / "shared/data/binance/sample_users0.csv"

WIDE = """
[source]
files = ["accounts.csv"]
account = "account"
[[ledger]]
asset = "BTC"
column = "btc"
"""
LONG = """
[source]
files = ["accounts.csv"]
account = "account"
[long]
asset = "asset"
book = "book"
amount = "amount"
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path


def save(path: Path, columns: Mapping[str, Any] | pa.Table) -> Path:
    table = columns if isinstance(columns, pa.Table) else pa.table(columns)
    if path.suffix == ".parquet":
        try:
            pa.parquet.write_table(table, path, row_group_size=2)
        except pa.ArrowNotImplementedError as error:
            pytest.skip(f"this Arrow writes no such file: {error}")
    elif path.suffix == ".csv":
        pa.csv.write_csv(table, path)
    else:
        pa.feather.write_feather(table, path, compression="uncompressed")
    return path


def described(folder: Path, toml: str, csv: str | None = None) -> Books:
    if csv is not None:
        (folder / "accounts.csv").write_text(csv)
    path = folder / "books.toml"
    path.write_text(toml)
    return Books.read(path)


def load(books: Books, **more: Any) -> dict[tuple[str, str], list[tuple[str, int]]]:
    ledgers = books.load(DECIMALS, BOOKS, "margin", **more)
    return {key: list(balances.rows()) for key, balances in ledgers.items()}


def refusal(call: Callable[[], object]) -> str:
    with pytest.raises(InputError) as caught:
        call()
    text = str(caught.value)
    assert text.isprintable()  # One line, and nothing that moves a terminal's cursor.
    return text


def refused(folder: Path, csv: str, toml: str = WIDE) -> str:
    """The refusal of one CSV file, without the file's name."""
    books = described(folder, toml, csv)
    text = refusal(lambda: load(books))
    start = f"{folder / 'accounts.csv'}: "
    assert text.startswith(start)
    return text.removeprefix(start)


# books.toml


def test_the_defaults(folder: Path) -> None:
    books = described(folder, WIDE, "account,btc\n")
    assert books.path == folder / "books.toml"
    assert books.units == "natural"
    assert books.as_of is None
    assert books.files == (folder / "accounts.csv",)
    assert not books.split
    assert books.wide[0].book is None
    assert books.long is None


def test_everything_said(folder: Path) -> None:
    head = 'units = "base"\nas_of = "1970-01-01T00:00:01.500Z"\n'
    books = described(folder, head + LONG.replace("[long]", "split = true\n[long]"), "account\n")
    assert (books.units, books.as_of, books.split, books.wide) == ("base", 1500, True, ())
    assert books.long is not None
    assert (books.long.asset, books.long.book, books.long.amount) == ("asset", "book", "amount")


@pytest.mark.parametrize(
    ("toml", "expected"),
    [
        ("x = 1" + WIDE, "'x' is unknown"),
        (WIDE.replace("[source]", "[source]\nsplitt = true"), "[source] 'splitt' is unknown"),
        (WIDE + "x = 1", "[[ledger]] 1: 'x' is unknown"),
        (LONG + "x = 1", "[long] 'x' is unknown"),
        (WIDE.replace('account = "account"', ""), "[source] account is missing"),
        (WIDE.replace('files = ["accounts.csv"]', ""), "[source] files is missing"),
        (WIDE.replace('column = "btc"', ""), "[[ledger]] 1: column is missing"),
        (LONG.replace('amount = "amount"', ""), "[long] amount is missing"),
        ("units = 'base'", "source is missing"),
        ("source = 3", "source must be a section"),
        (WIDE.split("[[")[0], "exactly one of the two"),
        (WIDE + LONG[LONG.index("[long]") :], "exactly one of the two"),
        (WIDE.replace("[[ledger]]", "[ledger]"), "ledger must be a list"),
        ("ledger = [1]" + WIDE.split("[[")[0], "ledger must be blocks that begin with [[ledger]]"),
        ("units = 'satoshi'" + WIDE, 'units must be "natural" or "base", not \'satoshi\''),
        ("units = 8" + WIDE, "units must be text in quotes"),
        ("as_of = 2025-10-10T20:30:00.000Z" + WIDE, "as_of must be text in quotes"),
        ("as_of = '2025-10-10 20:30'" + WIDE, "as_of is not a time such as"),
        ("as_of = '2025-02-30T20:30:00.000Z'" + WIDE, "as_of is no such time"),
        (WIDE.replace('["accounts.csv"]', '"accounts.csv"'), "[source] files must be a list"),
        (WIDE.replace('["accounts.csv"]', "[]"), "[source] files must be a list, and not be empty"),
        (WIDE.replace('["accounts.csv"]', "[1]"), "[source] files must be a list of names"),
        (WIDE.replace("[source]", "[source]\nsplit = 'no'"), "[source] split must be true or"),
        (WIDE.replace('"account"', '""'), "[source] account must be text in quotes"),
        (WIDE.replace("BTC", "btc"), "[[ledger]] 1: asset is not an asset name: 'btc'"),
        (WIDE + 'book = "Margin"', "[[ledger]] 1: book is not a customer book"),
        (WIDE + 'book = "deficit"', "[[ledger]] 1: book is not a customer book"),
        (WIDE + WIDE[WIDE.index("[[") :], "[[ledger]] 2: asset BTC has a block of the same book"),
        (WIDE.replace('"btc"', '"account"'), "column is column 'account', as is account"),
        (
            WIDE + '[[ledger]]\nasset = "ETH"\ncolumn = "btc"',
            "[[ledger]] 2: column is column 'btc', as is [[ledger]] 1: column",
        ),
        (LONG.replace('"amount"', '"asset"'), "[long] amount is column 'asset', as is [long] ass"),
        (WIDE + "=", "not TOML: Invalid statement (at line 8, column 1)"),
        (WIDE.replace("accounts.csv", "other.csv"), "[source] files 'other.csv' matches no file"),
        (WIDE.replace("accounts.csv", "*.parquet"), "files '*.parquet' matches no file"),
        # From Python 3.13 on this is a glob like any other.
        (WIDE.replace("accounts.csv", "**x"), "files '**x' "),
        (WIDE.replace("accounts.csv", "note.txt"), "note.txt: unknown ending; tables end in .parq"),
        (WIDE.replace("accounts.csv", "empty"), "empty: no table in this folder"),
        (WIDE.replace("accounts.csv", "."), "empty: a folder inside a folder of tables"),
    ],
)
def test_what_books_toml_may_not_say(folder: Path, toml: str, expected: str) -> None:
    (folder / "note.txt").touch()
    (folder / "empty").mkdir()
    text = refusal(lambda: described(folder, toml, "account,btc\n"))
    assert text.startswith(f"{folder / 'books.toml'}: ")
    assert expected in text


def test_a_books_toml_that_is_not_there_or_not_text(folder: Path) -> None:
    path = folder / "books.toml"
    assert f"{path}: cannot be read (No such file" in refusal(lambda: Books.read(path))
    assert "Is a directory" in refusal(lambda: Books.read(folder))
    path.write_bytes(b"units = '\xff'")
    assert f"{path}: byte 9 is not UTF-8" in refusal(lambda: Books.read(path))


def test_files_by_name_glob_and_folder_once_each(folder: Path) -> None:
    inside = folder / "in side"
    inside.mkdir()
    names = ["b.csv", "a.csv", "[1].csv"]
    for number, name in enumerate(names):
        (inside / name).write_text(f"account,btc\nname{number},{number}\n")
    (inside / "readme.md").touch()
    (inside / "link.csv").symlink_to(inside / "a.csv")
    patterns = ["in side/b.csv", "in side/[1].csv", "*/*.csv", "in side", str(inside / "?.csv")]
    books = described(folder, WIDE.replace('["accounts.csv"]', str(patterns)))
    assert [path.name for path in books.files] == ["b.csv", "[1].csv", "a.csv"]
    rows = load(books)["BTC", "margin"]
    assert rows == [("name0", 0), ("name2", 2 * 10**8), ("name1", 10**8)]


# Wide books


def test_every_mapped_ledger_even_when_empty(folder: Path) -> None:
    more = '[[ledger]]\nasset = "BTC"\nbook = "spot"\ncolumn = "s"\n'
    more += '[[ledger]]\nasset = "ETH"\ncolumn = "eth"\n'
    books = described(folder, WIDE + more, "account,eth,s,btc\n")
    assert load(books) == {("BTC", "margin"): [], ("BTC", "spot"): [], ("ETH", "margin"): []}
    assert load(books, only=("BTC", "spot")) == {("BTC", "spot"): []}
    assert load(books, only=("ETH", "spot")) == {}


def test_only_one_ledger_leaves_the_others_unread(folder: Path) -> None:
    more = '[[ledger]]\nasset = "ETH"\ncolumn = "eth"\n'
    books = described(folder, WIDE + more, "account,eth,btc\na,x,1\n")
    assert load(books, only=("BTC", "margin")) == {("BTC", "margin"): [("a", 10**8)]}
    assert "column 'eth': 'x' is no plain number" in refusal(lambda: load(books))


def test_zeros_are_kept(folder: Path) -> None:
    books = described(folder, WIDE, "account,btc\na,0\nb,0.00\nc,1\n")
    assert load(books)["BTC", "margin"] == [("a", 0), ("b", 0), ("c", 10**8)]


def test_base_units(folder: Path) -> None:
    books = described(folder, "units = 'base'" + WIDE, "account,btc\na,150\n")
    assert load(books)["BTC", "margin"] == [("a", 150)]
    assert "row 1, column 'btc': '1.5' has 1 digits" in refused(
        folder, "account,btc\na,1.5\n", "units = 'base'" + WIDE
    )


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("BTC", "DOGE", "[[ledger]] 1: asset DOGE is not in the policy, whose assets are BTC, ETH"),
        ('column = "btc"', 'column = "btc"\nbook = "vip"', "book vip is not in the policy, whose"),
        (
            'column = "btc"',
            'column = "btc"\n[[ledger]]\nasset = "BTC"\nbook = "margin"\ncolumn = "x"',
            "[[ledger]] 2: BTC of book margin has a block before",
        ),
    ],
)
def test_what_the_policy_does_not_have(folder: Path, old: str, new: str, expected: str) -> None:
    books = described(folder, WIDE.replace(old, new), "account,btc,x\n")
    text = refusal(lambda: load(books))
    assert text.startswith(f"{folder / 'books.toml'}: [[ledger]]")
    assert expected in text


def test_a_sum_that_reaches_the_limit(folder: Path) -> None:
    half = f"{LIMIT // 2}"
    toml = "units = 'base'" + WIDE
    books = described(folder, toml, f"account,btc\na,{half}\nb,{LIMIT // 2 - 1}\n")
    assert sum(amount for _, amount in load(books)["BTC", "margin"]) == LIMIT - 1
    books = described(folder, toml, f"account,btc\na,{half}\nb,{half}\n")
    text = refusal(lambda: load(books))
    assert f"{folder / 'books.toml'}: the amounts of BTC in book margin add up to {LIMIT}" in text


# Long books


LONG_CSV = """asset,account,book,amount
USDT,bob,spot,1.5
BTC,bob,margin,2
USDT,al,spot,0
BTC,007,margin,0.00000001
"""


def test_long_books_give_the_ledgers_that_occur(folder: Path) -> None:
    books = described(folder, LONG, LONG_CSV)
    ledgers = load(books)
    assert ledgers == {
        ("BTC", "margin"): [("bob", 2 * 10**8), ("007", 1)],
        ("USDT", "spot"): [("bob", 1_500_000), ("al", 0)],
    }
    assert list(ledgers) == sorted(ledgers)
    assert load(books, only=("USDT", "spot")) == {("USDT", "spot"): ledgers["USDT", "spot"]}
    assert load(books, only=("ETH", "spot")) == {}


def test_long_books_keep_the_order_of_rows(folder: Path) -> None:
    rows = [(f"name{i}", ("BTC", "ETH")[i % 3 == 0]) for i in range(1000)]
    csv = "account,asset,book,amount\n" + "".join(f"{n},{a},spot,0\n" for n, a in rows)
    ledgers = load(described(folder, LONG, csv))
    for asset in ("BTC", "ETH"):
        assert ledgers[asset, "spot"] == [(name, 0) for name, a in rows if a == asset]


def test_long_books_without_a_book_column_are_of_the_sharing_book(folder: Path) -> None:
    books = described(folder, LONG.replace('book = "book"', ""), LONG_CSV)
    assert set(load(books)) == {("BTC", "margin"), ("USDT", "margin")}


def test_long_books_of_several_files_and_formats(folder: Path) -> None:
    asset = pa.array(["ETH", "BTC"]).dictionary_encode()
    columns = {"account": [1, 2], "asset": asset, "book": ["spot", "spot"], "amount": [3, 4]}
    save(folder / "x.parquet", columns)
    books = described(folder, LONG.replace('"acc', '"*.parquet", "acc', 1), LONG_CSV)
    assert load(books)["BTC", "margin"] == [("bob", 2 * 10**8), ("007", 1)]
    assert load(books)["ETH", "spot"] == [("1", 3 * 10**18)]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("DOGE,x,spot,1", "row 5, column 'asset': 'DOGE' is not in the policy, whose assets are"),
        ("btc,x,spot,1", "row 5, column 'asset': 'btc' is not in the policy"),
        (",x,spot,1", "row 5, column 'asset': '' is not in the policy"),
        ("BTC,x,vip,1", "row 5, column 'book': 'vip' is not in the policy, whose books are margin"),
        ("BTC,x,spot,1e3", "row 5, column 'amount': '1e3' is no plain number"),
        ("BTC,x,spot,0.000000001", "row 5, column 'amount': '0.000000001' has 9 digits"),
        ("BTC,a b,spot,1", "row 5, column 'account': 'a b' is no account name"),
        ("BTC,bob,margin,1", "row 5, column 'account': 'bob' is already in row 2;"),
    ],
)
def test_long_rows_that_are_refused(folder: Path, line: str, expected: str) -> None:
    assert refused(folder, LONG_CSV + line + "\n", LONG).startswith(expected)


def test_names_of_assets_must_be_there_and_text(folder: Path) -> None:
    row = {"account": ["a"], "asset": ["BTC"], "book": ["spot"], "amount": [1]}
    path = save(folder / "accounts.parquet", row | {"asset": pa.nulls(1, pa.string())})
    books = described(folder, LONG.replace("accounts.csv", path.name))
    text = refusal(lambda: load(books))
    assert "accounts.parquet: row 1, column 'asset': the value is missing" in text
    save(path, row | {"asset": [1]})
    assert "column 'asset' is int64; store names as text" in refusal(lambda: load(books))


# Accounts


@pytest.mark.parametrize("ending", [".parquet", ".arrow", ".feather"])
@pytest.mark.parametrize(
    "kind",
    [
        pa.string(),
        pa.large_string(),
        pa.string_view(),
        pa.dictionary(pa.int8(), pa.string()),
        pa.dictionary(pa.int32(), pa.large_string()),
        pa.int8(),
        pa.uint64(),
    ],
)
def test_account_types(folder: Path, ending: str, kind: pa.DataType) -> None:
    if pa.types.is_dictionary(kind):
        accounts = pa.array(["7", "42", "101"], kind.value_type).dictionary_encode()
    else:
        accounts = pa.array([7, 42, 101]).cast(kind if pa.types.is_integer(kind) else pa.string())
        accounts = accounts.cast(kind)
    save(folder / f"t{ending}", {"account": accounts, "btc": [1, 2, 3]})
    books = described(folder, "units = 'base'" + WIDE.replace("accounts.csv", f"t{ending}"))
    assert load(books)["BTC", "margin"] == [("7", 1), ("42", 2), ("101", 3)]
    balances = books.load(DECIMALS, BOOKS, "margin")["BTC", "margin"]
    assert balances.accounts.type == pa.binary()


def test_csv_accounts_stay_as_they_are_written(folder: Path) -> None:
    names = ["0001", "1e5", "null", "NA", "NaN", "true", "-1", "1.0", "2020-01-01", "!", "~", "--"]
    names += ["x" * 128]
    csv = "\ufeffaccount,btc\r\n" + "".join(f'{name},"1"\r\n' for name in names)
    assert load(described(folder, WIDE, csv))["BTC", "margin"] == [(n, 10**8) for n in names]


@pytest.mark.parametrize(
    "name", ["", "-", "a b", "a\\b", "é", "x" * 129, "\t", "a\x7f", "\x1b[2J", "١", "a\x00b"]
)
def test_account_names_that_are_refused(folder: Path, name: str) -> None:
    text = refused(folder, f"account,btc\nok,1\n{name},1\n")
    clipped = ascii(name[:60]) + ("..." if len(name) > 60 else "")
    assert text.startswith(f"row 2, column 'account': {clipped} is no account name; allowed are 1")


def test_an_account_with_a_quote_or_with_bytes_that_are_not_utf8(folder: Path) -> None:
    assert "row 1, column 'account': 'a\"b' is no account" in refused(
        folder, 'account,btc\n"a""b",1\n'
    )
    (folder / "accounts.csv").write_bytes(b"account,btc,note\na,1,\xff\n\xff,1,\n")
    text = refusal(lambda: load(described(folder, WIDE)))
    assert "row 2, column 'account': '\\\\xff' is no account name" in text


@pytest.mark.parametrize("kind", [pa.float64(), pa.bool_(), pa.binary(), pa.decimal128(9, 0)])
def test_account_types_that_are_refused(folder: Path, kind: pa.DataType) -> None:
    save(folder / "t.parquet", {"account": pa.nulls(1, kind), "btc": ["1"]})
    text = refusal(lambda: load(described(folder, WIDE.replace("accounts.csv", "t.parquet"))))
    assert "t.parquet: column 'account' is" in text
    assert "store account names as text or integers" in text


@pytest.mark.parametrize(
    "accounts",
    [
        pa.array(["a", None, "b"]),
        pa.array([1, None, 3]),
        pa.array(["a", None, "b"]).dictionary_encode(),
        pa.DictionaryArray.from_arrays(pa.array([0, 1, 2], pa.int8()), pa.array(["a", None, "b"])),
    ],
)
def test_null_accounts(folder: Path, accounts: pa.Array) -> None:
    save(folder / "t.arrow", {"account": accounts, "btc": ["1", "2", "3"]})
    text = refusal(lambda: load(described(folder, WIDE.replace("accounts.csv", "t.arrow"))))
    assert "t.arrow: row 2, column 'account': the value is missing; every row needs" in text


def test_an_account_twice(folder: Path) -> None:
    text = refused(folder, "account,btc\na,1\nb,2\nc,3\nb,4\na,5\n")
    assert text.startswith("row 4, column 'account': 'b' is already in row 2; one row an account")
    assert "split = true" in text


def test_an_account_twice_in_two_files(folder: Path) -> None:
    save(folder / "x.parquet", {"account": ["c", "d", "a"], "btc": ["1", "2", "3"]})
    toml = WIDE.replace('"]', '", "x.parquet"]')
    books = described(folder, toml, "account,btc\nx,1\na,1\n")
    expected = f"x.parquet: row 3, column 'account': 'a' is already in row 2 of {folder}/accounts."
    assert expected in refusal(lambda: load(books))


def test_split_accounts_have_up_to_sixteen_rows(folder: Path) -> None:
    toml = WIDE.replace("[[", "split = true\n[[")
    rows = [("a", 10**8), ("b", 10**8)] * 16
    csv = "account,btc\n" + "a,1\nb,1\n" * 16
    assert load(described(folder, toml, csv))["BTC", "margin"] == rows
    text = refused(folder, csv + "b,1\na,1\n", toml)
    assert text.startswith(
        "row 33, column 'account': 'b' has more than 16 rows (the first is row 2"
    )


# Amounts


@pytest.mark.parametrize("ending", [".parquet", ".arrow", ".feather"])
@pytest.mark.parametrize(
    "kind",
    [
        pa.string(),
        pa.large_string(),
        pa.string_view(),
        pa.dictionary(pa.int8(), pa.string()),
        pa.decimal128(38, 18),
        pa.decimal256(76, 30),
        pa.decimal128(4, 2),
        pa.int8(),
        pa.uint64(),
        pa.decimal32(4, 2),
        pa.decimal64(4, 2),
        pa.dictionary(pa.int8(), pa.string_view()),
    ],
)
def test_amount_types(folder: Path, ending: str, kind: pa.DataType) -> None:
    value = kind.value_type if pa.types.is_dictionary(kind) else kind
    text = pa.array(["7", "0", "42"])
    amounts = text.cast(pa.int64()).cast(value) if pa.types.is_integer(value) else text.cast(value)
    if value != kind:
        amounts = pa.DictionaryArray.from_arrays(pa.array([0, 1, 2], pa.int8()), amounts)
    save(folder / f"t{ending}", {"account": ["a", "b", "c"], "btc": amounts})
    books = described(folder, WIDE.replace("accounts.csv", f"t{ending}"))
    assert load(books)["BTC", "margin"] == [("a", 7 * 10**8), ("b", 0), ("c", 42 * 10**8)]


def test_csv_amounts_are_not_guessed(folder: Path) -> None:
    for cell in ("NA", "null", "007", "1e3", " 1", "-0"):
        text = refused(folder, f"account,btc\na,1\nb,{cell}\n")
        assert text.startswith(f"row 2, column 'btc': {cell!r} is no plain number")
    for cell in ("", '""'):
        text = refused(folder, f"account,btc\na,1\nb,{cell}\n")
        assert text.startswith("row 2, column 'btc': '' is an empty cell")


@pytest.mark.parametrize("ending", [".parquet", ".arrow"])
def test_floats(folder: Path, ending: str) -> None:
    save(folder / f"t{ending}", {"account": ["a"], "btc": [1.0]})
    text = refusal(lambda: load(described(folder, WIDE.replace("accounts.csv", f"t{ending}"))))
    assert f"t{ending}: column 'btc' is double; floats are not exact: store amounts as" in text


def test_rows_are_counted_in_each_file_across_row_groups(folder: Path) -> None:
    good = [Decimal(i) for i in range(7)]
    save(folder / "1.parquet", {"account": [f"a{i}" for i in range(7)], "btc": good})
    bad = [*good[:6], Decimal(-1)]
    save(folder / "2.parquet", {"account": [f"b{i}" for i in range(7)], "btc": bad})
    books = described(folder, WIDE.replace("accounts.csv", "*.parquet"))
    assert "2.parquet: row 7, column 'btc': -1 is negative" in refusal(lambda: load(books))


# Files


@pytest.mark.parametrize("ending", [".parquet", ".csv", ".arrow", ".feather", ".PARQUET"])
def test_columns_that_are_missing(folder: Path, ending: str) -> None:
    table = pa.table({"Account": ["a"], "btc": ["1"], "odd\n": ["2"]})
    save(folder / f"t{ending.lower()}", table).rename(folder / f"t{ending}")
    text = refusal(lambda: load(described(folder, WIDE.replace("accounts.csv", f"t{ending}"))))
    assert text.endswith(
        f"t{ending}: there is no column 'account'; there are 'Account', 'btc', 'odd\\n'"
    )


@pytest.mark.parametrize("ending", [".parquet", ".csv", ".arrow"])
def test_columns_that_occur_twice(folder: Path, ending: str) -> None:
    arrays = [pa.array(["a"]), pa.array(["1"]), pa.array(["2"])]
    save(folder / f"t{ending}", pa.Table.from_arrays(arrays, ["account", "btc", "btc"]))
    text = refusal(lambda: load(described(folder, WIDE.replace("accounts.csv", f"t{ending}"))))
    assert f"t{ending}: column 'btc' occurs twice" in text


@pytest.mark.parametrize("ending", [".parquet", ".csv", ".arrow", ".feather"])
def test_tables_without_rows(folder: Path, ending: str) -> None:
    save(folder / f"t{ending}", {"account": pa.array([], pa.string()), "btc": pa.nulls(0)})
    books = described(folder, WIDE.replace("accounts.csv", f"t{ending}"))
    assert load(books) == {("BTC", "margin"): []}


def test_a_column_named_with_a_dot(folder: Path) -> None:
    columns = {"account": ["a"], "b.c": [1], "b": pa.array([{"c": 2}])}
    save(folder / "t.parquet", columns)
    toml = WIDE.replace("accounts.csv", "t.parquet").replace('"btc"', '"b.c"')
    assert load(described(folder, toml)) == {("BTC", "margin"): [("a", 10**8)]}


@pytest.mark.parametrize("ending", [".parquet", ".arrow", ".feather"])
@pytest.mark.parametrize("data", [b"", b"PAR1", b"not a table\n" * 9, b"ARROW1\0\0"])
def test_files_that_are_no_tables(folder: Path, ending: str, data: bytes) -> None:
    (folder / f"t{ending}").write_bytes(data)
    text = refusal(lambda: load(described(folder, WIDE.replace("accounts.csv", f"t{ending}"))))
    assert f"{folder}/t{ending}: cannot be read (" in text
    assert text.endswith("; export it again")


@pytest.mark.parametrize("offsets", [(0, 5, 3, 6), (0, 1, 2, 2**30), (0, -1, 2, 6)])
def test_an_arrow_file_whose_offsets_lead_elsewhere(folder: Path, offsets: tuple[int, ...]) -> None:
    """Arrow follows such offsets into other memory unless the file is checked in full."""
    path = save(folder / "t.arrow", {"account": ["ab", "cd", "ef"], "btc": ["1", "2", "3"]})
    good = struct.pack("<4i", 0, 2, 4, 6)
    data = path.read_bytes()
    assert data.count(good) == 1
    path.write_bytes(data.replace(good, struct.pack("<4i", *offsets)))
    text = refusal(lambda: load(described(folder, WIDE.replace("accounts.csv", path.name))))
    assert f"{path}: cannot be read (" in text


@pytest.mark.parametrize("ending", [".parquet", ".arrow"])
@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    deadline=None,
)
@given(data=st.data())
def test_damaged_files_are_refused_or_read(folder: Path, ending: str, data: st.DataObject) -> None:
    """Never a traceback of Arrow's, whatever bytes are changed or cut off."""
    path = folder / f"t{ending}"
    columns = {"account": [f"a{i}" for i in range(9)], "btc": [Decimal(i) for i in range(9)]}
    good = save(path, columns).read_bytes()
    at = data.draw(st.integers(0, len(good) - 1))
    cut = data.draw(st.booleans())
    path.write_bytes(good[:at] + (b"" if cut else b"\xff" + good[at + 1 :]))
    books = described(folder, WIDE.replace("accounts.csv", path.name))
    try:
        load(books)
        text = ""
    except InputError as error:
        text = str(error)
    assert text.isprintable()


@pytest.mark.parametrize("ending", [".parquet", ".csv", ".arrow"])
def test_a_file_that_went_away_or_is_a_folder(folder: Path, ending: str) -> None:
    path = save(folder / f"t{ending}", {"account": ["a"], "btc": ["1"]})
    books = described(folder, WIDE.replace("accounts.csv", path.name))
    path.unlink()
    assert refusal(lambda: load(books)) == f"{path}: there is no such file"
    path.mkdir()
    assert f"{path}: cannot be read (" in refusal(lambda: load(books))


def test_a_disk_that_fails_is_not_the_fault_of_the_file(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise OSError(errno.EIO, "Input/output error")

    books = described(folder, WIDE, "account,btc\na,1\n")
    monkeypatch.setattr(pa.csv, "open_csv", fail)
    with pytest.raises(OSError, match="Input/output error"):
        load(books)


def test_a_file_name_with_a_line_break(folder: Path) -> None:
    (folder / "a\nb.csv").write_text("account,btc\na,x\n")
    books = described(folder, WIDE.replace("accounts.csv", "*.csv"))
    assert "a\\nb.csv': row 1, column 'btc'" in refusal(lambda: load(books))


@pytest.mark.parametrize(
    ("csv", "expected"),
    [
        ("", "cannot be read (Empty CSV file)"),
        ("\n", "cannot be read ("),
        ("account;btc\na;1\n", "there is no column 'account'; there are 'account;btc'"),
        ("account,btc\na,1\nb,2,3\n", "row 2 has 3 cells where the header has 2 ('b,2,3')"),
        ("account,btc\na,1\nb\n", "row 2 has 1 cells where the header has 2 ('b')"),
        ("account,btc\na,1\n,1\n", "row 2, column 'account': '' is no account name"),
        ('account,btc,n\na,1,\nb,2,"x\nc,3,\n', "row 2: a quoted cell does not end in its line"),
        ('account,btc,n\na,1,"x\ny"\nb,2,\n', "row 1: a quoted cell does not end in its line"),
    ],
)
def test_csv_files_that_are_refused(folder: Path, csv: str, expected: str) -> None:
    assert refused(folder, csv).startswith(expected)


@pytest.mark.parametrize("header", ["account,btc", "account,btc\n", "account,btc\r\n"])
def test_a_csv_header_alone_is_an_empty_table(folder: Path, header: str) -> None:
    assert load(described(folder, WIDE, header)) == {("BTC", "margin"): []}


@given(text=st.text("a\r\n", max_size=30), part=st.integers(1, 7))
def test_lines_are_counted_in_any_parts(text: str, part: int) -> None:
    with TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(tables, "_PART", part)
        path = Path(folder) / "x.csv"
        path.write_bytes(text.encode())
        assert tables._count_lines(path) == len(text.split())


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_empty_lines_of_a_csv_are_no_rows(folder: Path, end: str) -> None:
    csv = end.join(["account,btc", "", "a,1", "", "b,x", "", ""])
    (folder / "accounts.csv").write_bytes(csv.encode())
    text = refusal(lambda: load(described(folder, WIDE)))
    assert "row 2, column 'btc': 'x' is no plain number" in text


def test_a_wide_csv_of_many_rows_is_refused_by_row(folder: Path) -> None:
    rows = [f"name{i},{i}" for i in range(200_000)]
    text = refused(folder, "account,btc\n" + "\n".join([*rows, "x,1,2"]) + "\n")
    assert text.startswith("row 200001 has 3 cells")
    text = refused(folder, "account,btc\n" + "\n".join([*rows, "x,1e2"]) + "\n")
    assert text.startswith("row 200001, column 'btc': '1e2'")


# Lists of deficits and of deleveraged accounts


def amount_list(folder: Path, csv: str, decimals: int = 2) -> Balances:
    path = folder / "deficits.csv"
    path.write_text(csv)
    return load_amount_list(path, decimals)


def test_an_amount_list(folder: Path) -> None:
    assert list(amount_list(folder, "amount,account\n1.5,a\n2,b\n").rows()) == [
        ("a", 150),
        ("b", 2 * 100),
    ]
    assert len(amount_list(folder, "account,amount\n")) == 0
    path = save(folder / "adl.parquet", {"account": [1, 2], "amount": [3, 4]})
    assert list(load_amount_list(path, 8, "base").rows()) == [("1", 3), ("2", 4)]


@pytest.mark.parametrize(
    ("csv", "expected"),
    [
        ("account,amount\na,1\nb,0\n", "row 2, column 'amount': '0' is nothing; leave out"),
        ("account,amount\na,-1\n", "row 1, column 'amount': '-1' is negative"),
        ("account,amount\na,1\na,2\n", "row 2, column 'account': 'a' is already in row 1"),
        ("account,amount\na,1.234\n", "row 1, column 'amount': '1.234' has 3 digits"),
        ("account\na\n", "there is no column 'amount'; there are 'account'"),
        ("account,asset,amount\n", "the columns must be 'account' and 'amount' alone; there are"),
        (f"account,amount\na,{LIMIT // 200}\nb,{LIMIT // 200 + 1}\n", "the amounts add up to 3402"),
    ],
)
def test_amount_lists_that_are_refused(folder: Path, csv: str, expected: str) -> None:
    text = refusal(lambda: amount_list(folder, csv))
    assert text.startswith(f"{folder / 'deficits.csv'}: {expected}")


def test_an_amount_list_of_an_unknown_ending(folder: Path) -> None:
    text = refusal(lambda: load_amount_list(folder / "adl.xlsx", 8))
    assert text.endswith("adl.xlsx: unknown ending; tables end in .parquet, .csv, .arrow, .feather")


# A published table


@pytest.mark.skipif(not SAMPLE.exists(), reason="the sample is not in this checkout")
def test_a_published_table(folder: Path) -> None:
    (folder / "accounts.csv").write_bytes(SAMPLE.read_bytes())
    blocks = "".join(
        f'[[ledger]]\nasset = "{name.upper()}"\ncolumn = "e_{name}"\n'
        for name in ("btc", "eth", "bnb", "shib")
    )
    toml = WIDE.split("[[")[0].replace('"account"', '"id"') + blocks
    decimals = dict.fromkeys(("BTC", "ETH", "BNB", "SHIB"), 8)
    ledgers = described(folder, toml).load(decimals, BOOKS, "margin")
    lines = [line.split(",") for line in SAMPLE.read_text().splitlines()]
    for (asset, _), balances in ledgers.items():
        place = lines[0].index(f"e_{asset.lower()}")
        expected = [(line[1], int(Decimal(line[place]).scaleb(8))) for line in lines[1:]]
        assert list(balances.rows()) == expected
    net = described(folder, toml.replace('"e_btc"', '"btc"'))
    text = refusal(lambda: net.load(decimals, BOOKS, "margin"))
    assert "accounts.csv: row 2, column 'btc': '0.07843069000000008' has 17 digits" in text


# Any books


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    rows=st.dictionaries(
        st.from_regex(r"(?!-\Z)[!#-\[\]-~]{1,128}", fullmatch=True).filter(lambda n: n != "-"),
        st.integers(0, (LIMIT - 1) // 10),
        max_size=10,
    ),
    ending=st.sampled_from([".parquet", ".csv", ".arrow"]),
    kind=st.sampled_from([pa.string(), pa.large_string(), pa.decimal256(76, 8)]),
)
def test_books_read_back(
    folder: Path, rows: dict[str, int], ending: str, kind: pa.DataType
) -> None:
    amounts = [f"{units // 10**8}.{units % 10**8:08d}" for units in rows.values()]
    columns = {"account": pa.array(list(rows), pa.string()), "btc": pa.array(amounts, pa.string())}
    path = folder / f"accounts{ending}"
    lines = [f'"{name}",{amount}\n' for name, amount in zip(rows, amounts, strict=True)]
    if ending == ".csv":
        path.write_text("account,btc\n" + "".join(lines))
    else:
        save(path, columns | {"btc": columns["btc"].cast(kind)})
    books = described(folder, WIDE.replace("accounts.csv", path.name))
    assert load(books)["BTC", "margin"] == list(rows.items())
