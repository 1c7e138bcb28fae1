"""Books are streamed as they are loaded, and nothing is refused by another row than its own."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from ledger.by_hand import LIMIT
from ledger.saved import ENDINGS, few_at_a_time, save

from auditkit.errors import InputError, RowError
from auditkit.ledger.books import Books
from auditkit.ledger.columns import Balances

DECIMALS = {"BTC": 0, "ETH": 0}
BOOKS = ("margin", "spot")
COUNT = 40

WIDE = """
[source]
files = [FILES]
account = "account"
[[ledger]]
asset = "BTC"
column = "btc"
[[ledger]]
asset = "ETH"
column = "eth"
"""
LONG = """
[source]
files = [FILES]
account = "account"
[long]
asset = "asset"
book = "book"
amount = "amount"
"""

every_ending = pytest.mark.parametrize("ending", ENDINGS)


@pytest.fixture(autouse=True)
def pieces() -> Iterator[None]:
    with few_at_a_time():
        yield


def described(folder: Path, toml: str, *names: str, split: bool = False) -> Books:
    files = ", ".join(f'"{name}"' for name in names)
    source = toml.replace("FILES", files)
    (folder / "books.toml").write_text(
        source.replace("[source]", "[source]\nsplit = true") if split else source
    )
    return Books.read(folder / "books.toml")


def load(books: Books) -> dict[Any, list[tuple[str, int]]]:
    return {
        key: list(balances.rows()) for key, balances in books.load(DECIMALS, BOOKS, "spot").items()
    }


def stream(books: Books, **more: Any) -> dict[Any, list[tuple[str, int]]]:
    found: dict[Any, list[Balances]] = {}
    for key, piece in books.stream(DECIMALS, BOOKS, "spot", **more):
        found.setdefault(key, []).append(piece)
    return {key: list(Balances.joined(pieces).rows()) for key, pieces in found.items()}


def refusal(call: Callable[[], object], kind: type[InputError] = InputError) -> str:
    with pytest.raises(kind) as caught:
        call()
    assert str(caught.value).isprintable()  # One line.
    return str(caught.value)


@every_ending
@pytest.mark.parametrize("bad", [0, 2, 3, 6, 7, 13, COUNT - 1])
def test_a_bad_amount_is_refused_by_its_row(tmp_path: Path, ending: str, bad: int) -> None:
    columns = wide(COUNT)
    columns["eth"][bad] = "1e2"
    save(tmp_path / f"t{ending}", columns)
    books = described(tmp_path, WIDE, f"t{ending}")
    wanted = f"{tmp_path}/t{ending}: row {bad + 1}, column 'eth': '1e2'"
    for call in (lambda: load(books), lambda: stream(books)):
        assert refusal(call).startswith(wanted)
    # Nobody reads what is not asked for.
    assert len(stream(books, only=("BTC", "spot"))["BTC", "spot"]) == COUNT


@every_ending
@pytest.mark.parametrize("bad", [0, 2, 3, 6, 7, 13, COUNT - 1])
@pytest.mark.parametrize("name", ["", "a b", "-", "x" * 129])
def test_a_bad_account_is_refused_by_its_row(
    tmp_path: Path, ending: str, bad: int, name: str
) -> None:
    columns = wide(COUNT)
    columns["account"][bad] = name
    save(tmp_path / f"t{ending}", columns)
    books = described(tmp_path, WIDE, f"t{ending}")
    wanted = f"{tmp_path}/t{ending}: row {bad + 1}, column 'account': '{name[:60]}"
    for call in (lambda: load(books), lambda: stream(books)):
        assert refusal(call).startswith(wanted)


@every_ending
@pytest.mark.parametrize("bad", [0, 2, 3, 6, 7, 13, COUNT - 1])
def test_a_bad_row_of_long_books_is_refused_by_its_row(
    tmp_path: Path, ending: str, bad: int
) -> None:
    """Rows are taken from their batch by ledger, and still know where they stood."""
    for name, value in (
        ("amount", "-1"),
        ("account", "a b"),
        ("asset", "DOGE"),
        ("book", "vault"),
    ):
        columns = long(COUNT)
        columns[name][bad] = value
        save(tmp_path / f"t{ending}", columns)
        books = described(tmp_path, LONG, f"t{ending}")
        wanted = f"{tmp_path}/t{ending}: row {bad + 1}, column '{name}': '{value}'"
        for call in (lambda books=books: load(books), lambda books=books: stream(books)):
            assert refusal(call).startswith(wanted)


def wide(count: int) -> dict[str, list[str]]:
    return {
        "account": [f"u{row}" for row in range(count)],
        "btc": [f"{row}" for row in range(count)],
        "eth": [f"{row * 7}" for row in range(count)],
    }


def long(count: int) -> dict[str, list[str]]:
    return {
        "account": [f"u{row // 3}" for row in range(count)],
        "asset": [("BTC", "ETH", "BTC")[row % 3] for row in range(count)],
        "book": [("spot", "spot", "margin")[row % 3] for row in range(count)],
        "amount": [f"{row}" for row in range(count)],
    }


@every_ending
def test_the_first_rows_are_there_before_a_later_one_is_refused(
    tmp_path: Path, ending: str
) -> None:
    columns = wide(COUNT)
    columns["btc"][-1] = "x"
    save(tmp_path / f"t{ending}", columns)
    pieces = described(tmp_path, WIDE, f"t{ending}").stream(DECIMALS, BOOKS, "spot")
    found = [next(pieces)[1] for _ in range(4)]
    assert list(map(len, found[:2])) == [0, 0]
    rows = list(found[2].rows())
    assert rows[0] == ("u0", 0)
    assert len(rows) < COUNT
    with pytest.raises(InputError, match=f"row {COUNT}, "):
        list(pieces)


@every_ending
@pytest.mark.parametrize("toml", [WIDE, LONG], ids=["wide", "long"])
@pytest.mark.parametrize(("first", "again"), [(0, 1), (1, 4), (2, 39), (13, 14)])
def test_both_rows_of_a_repeated_account_are_named(
    tmp_path: Path, ending: str, toml: str, first: int, again: int
) -> None:
    columns = {"account": [f"u{row}" for row in range(COUNT)], "asset": ["BTC"] * COUNT}
    columns |= {"book": ["spot"] * COUNT} | dict.fromkeys(("btc", "eth", "amount"), ["1"] * COUNT)
    columns["account"][again] = columns["account"][first]
    save(tmp_path / f"t{ending}", columns)
    books = described(tmp_path, toml, f"t{ending}")
    wanted = f"row {again + 1}, column 'account': 'u{first}' is already in row {first + 1}; one row"

    def look() -> None:
        books.refuse_repeats(DECIMALS, BOOKS, "spot", ("BTC", "spot"))

    assert f"{tmp_path}/t{ending}: {wanted}" in refusal(look, RowError)
    assert f"{tmp_path}/t{ending}: {wanted}" in refusal(lambda: load(books), RowError)
    # Who only streams finds out otherwise: all rows come.
    assert len(stream(books)["BTC", "spot"]) == COUNT
    described(tmp_path, toml, f"t{ending}", split=True).refuse_repeats(
        DECIMALS, BOOKS, "spot", ("BTC", "spot")
    )


def test_repeats_in_two_files_are_named_by_both(tmp_path: Path) -> None:
    """And an account that has a row in each of two ledgers is none."""
    save(tmp_path / "1.parquet", long(9))
    columns = long(9)
    columns["account"] = [f"x{row}" for row in range(9)]
    columns["account"][7] = "u2"
    save(tmp_path / "2.csv", columns)
    books = described(tmp_path, LONG, "1.parquet", "2.csv")
    books.refuse_repeats(DECIMALS, BOOKS, "spot", ("BTC", "margin"))
    books.refuse_repeats(DECIMALS, BOOKS, "spot", ("BTC", "spot"))
    text = refusal(lambda: books.refuse_repeats(DECIMALS, BOOKS, "spot", ("ETH", "spot")), RowError)
    where = f"is already in row 8 of {tmp_path}/1.parquet"
    assert text.startswith(f"{tmp_path}/2.csv: row 8, column 'account': 'u2' {where}; one row")


def test_more_than_16_rows_across_batches(tmp_path: Path) -> None:
    columns = wide(40)
    columns["account"] = [f"u{row // 2 * 2 + 1}" if row % 2 else "anna" for row in range(40)]
    save(tmp_path / "t.parquet", columns)
    books = described(tmp_path, WIDE, "t.parquet", split=True)
    text = refusal(lambda: books.refuse_repeats(DECIMALS, BOOKS, "spot", ("ETH", "spot")), RowError)
    assert "row 33, column 'account': 'anna' has more than 16 rows (the first is row 1)" in text


@pytest.mark.parametrize("toml", [WIDE, LONG], ids=["wide", "long"])
def test_a_total_that_only_all_batches_reach(tmp_path: Path, toml: str) -> None:
    half = [str(LIMIT // 2), *["0"] * (COUNT - 2), str(LIMIT // 2 - 1)]
    columns = wide(COUNT) | {"asset": ["ETH"] * COUNT, "book": ["spot"] * COUNT}
    save(tmp_path / "t.csv", columns | {"eth": half, "amount": half})
    books = described(tmp_path, toml, "t.csv")
    assert stream(books) == load(books)
    half[7] = "1"
    save(tmp_path / "t.csv", columns | {"eth": half, "amount": half})
    for call in (lambda: stream(books), lambda: load(books)):
        text = refusal(call)
        assert f"the amounts of ETH in book spot add up to {LIMIT} base units" in text


rows_of = st.lists(st.tuples(st.sampled_from(["BTC", "ETH"]), st.sampled_from(BOOKS)), max_size=20)


@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=25
)
@given(
    st.lists(
        st.tuples(rows_of, st.sampled_from(ENDINGS), st.integers(1, 9)), min_size=1, max_size=3
    ),
    st.booleans(),
)
def test_what_is_streamed_is_what_is_loaded(
    tmp_path: Path, files: list[tuple[Any, str, int]], in_columns: bool
) -> None:
    wanted: dict[Any, list[tuple[str, int]]] = {}
    if in_columns:
        wanted = {("BTC", "spot"): [], ("ETH", "spot"): []}
    names = []
    for number, (keys, ending, group) in enumerate(files):
        accounts = [f"u{number}-{row}" for row in range(len(keys))]
        amounts = [number * 1000 + row for row in range(len(keys))]
        columns: dict[str, Any] = {
            "account": accounts,
            "asset": [asset for asset, _ in keys],
            "book": [book for _, book in keys],
            "amount": list(map(str, amounts)),
            "btc": list(map(str, amounts)),
            "eth": [str(amount + 1) for amount in amounts],
        }
        typed = {name: pa.array(column, pa.string()) for name, column in columns.items()}
        names.append(save(tmp_path / f"{number}{ending}", typed, group).name)
        for key, account, amount in zip(keys, accounts, amounts, strict=True):
            if in_columns:
                wanted["BTC", "spot"].append((account, amount))
                wanted["ETH", "spot"].append((account, amount + 1))
            else:
                wanted.setdefault(key, []).append((account, amount))
    books = described(tmp_path, WIDE if in_columns else LONG, *names)
    assert load(books) == stream(books) == wanted
    for key in wanted:
        assert stream(books, only=key) == {key: wanted[key]}
        books.refuse_repeats(DECIMALS, BOOKS, "spot", key)
