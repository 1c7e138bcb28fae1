"""Lists of closings: what was written reads back, and what cannot be read is refused."""

from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from tempfile import TemporaryDirectory

import pyarrow as pa
import pyarrow.parquet
import pytest
from hypothesis import given
from hypothesis import strategies as st

from auditkit.errors import InputError
from auditkit.margin.book import SCALE
from auditkit.margin.closings import Closing, read, write
from auditkit.margin.contracts import price_text

HEAD = "bankrupt,contract,side,account,size,price,absorbed\n"
EXAMPLE = [
    Closing("mallory", "BTC-PERP", 1, "alice", SCALE // 4, "200000/27", 135_000),
    Closing("mallory", "BTC-PERP", 1, "bob,jr", 1, "489", 0),
    Closing("ned", "X:1", -1, "007", 30 * SCALE, "0.5", 3 * 10**8),
]
EXAMPLE_CSV = (
    HEAD
    + "mallory,BTC-PERP,long,alice,0.25,200000/27,0.00135\n"
    + 'mallory,BTC-PERP,long,"bob,jr",0.000000000000000001,489,0\n'
    + "ned,X:1,short,007,30,0.5,3\n"
)

characters = st.sampled_from([chr(c) for c in range(33, 127) if chr(c) not in '"\\'])
accounts = st.text(characters, min_size=1, max_size=128).filter(lambda name: name != "-")
closings = st.builds(
    Closing,
    bankrupt=accounts,
    contract=st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,63}", fullmatch=True),
    side=st.sampled_from([1, -1]),
    account=accounts,
    size=st.integers(1, 10**24) | st.just((1 << 128) - 1),
    price=st.fractions(min_value=Fraction(1, 10**9), max_value=10**9).map(price_text),
    absorbed=st.integers(0, 10**12) | st.just((1 << 128) - 1),
)


def refusal(call: Callable[[], object]) -> str:
    with pytest.raises(InputError) as caught:
        call()
    text = str(caught.value)
    assert text.isprintable()
    return text


@given(st.lists(closings, max_size=5), st.integers(0, 30))
def test_what_was_written_reads_back(given: list[Closing], decimals: int) -> None:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "closings.csv"
        path.write_bytes(write(given, decimals))
        assert read(path, decimals) == given


def test_the_bytes(tmp_path: Path) -> None:
    assert write(EXAMPLE, 8) == EXAMPLE_CSV.encode()
    assert write([], 8) == HEAD.encode()
    path = tmp_path / "closings.csv"
    path.write_bytes(write(EXAMPLE, 8))
    assert read(path, 8) == EXAMPLE


def test_lists_of_another_engine(tmp_path: Path) -> None:
    """Columns in any order, numbers of any exact type, rounded prices."""
    path = tmp_path / "closings.parquet"
    table = {
        "price": [Decimal("7407.40"), Decimal("489.00")],
        "account": [7, 8],
        "bankrupt": [9, 9],
        "contract": ["X", "X"],
        "side": pa.array(["short", "short"]).dictionary_encode(),
        "size": pa.array([Decimal("1.5"), Decimal(2)], pa.decimal128(38, 18)),
        "absorbed": ["0.5", "1"],
    }
    pa.parquet.write_table(pa.table(table), path)
    assert read(path, 1) == [
        Closing("9", "X", -1, "7", 3 * SCALE // 2, "7407.40", 5),
        Closing("9", "X", -1, "8", 2 * SCALE, "489.00", 10),
    ]
    pa.parquet.write_table(pa.table(table | {"price": [1.5, 2.5]}), path)
    assert "column 'price' is double; store prices as text or decimal" in refusal(
        lambda: read(path, 1)
    )
    pa.parquet.write_table(pa.table(table | {"price": pa.array([1, None])}), path)
    assert "row 2, column 'price': the value is missing" in refusal(lambda: read(path, 1))


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ("m n,X,long,a,1,1,1", "row 4, column 'bankrupt': 'm n' is no account name"),
        ("m,X,long,-,1,1,1", "row 4, column 'account': '-' is no account name"),
        ("m,X Y,long,a,1,1,1", "row 4, column 'contract': 'X Y' is not a name; allowed are up to"),
        ("m,X,buy,a,1,1,1", "row 4, column 'side': 'buy' is no side; write \"long\" or \"short\""),
        ("m,X,long,a,0,1,1", "row 4, column 'size': '0' is nothing; leave out what was not"),
        ("m,X,long,a,-1,1,1", "row 4, column 'size': '-1' is negative"),
        ("m,X,long,a,1,0,1", "row 4, column 'price': '0' is no price; write a number above 0"),
        ("m,X,long,a,1,1/0,1", "row 4, column 'price': '1/0' is no price"),
        ("m,X,long,a,1,1e3,1", "row 4, column 'price': '1e3' is no price"),
        ("m,X,long,a,1,,1", "row 4, column 'price': '' is no price"),
        ("m,X,long,a,1,1,-1", "row 4, column 'absorbed': '-1' is negative"),
        ("m,X,long,a,1,1,0.000000001", "row 4, column 'absorbed': '0.000000001' has 9 digits"),
        ("m,X,long,a,1,1", "row 4 has 6 cells where the header has 7"),
    ],
)
def test_rows_that_are_refused(tmp_path: Path, row: str, expected: str) -> None:
    path = tmp_path / "closings.csv"
    path.write_text(EXAMPLE_CSV + row + "\n")
    assert refusal(lambda: read(path, 8)).startswith(f"{path}: {expected}")


def test_other_columns_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "closings.csv"
    path.write_text(EXAMPLE_CSV.replace("\n", ",x\n"))
    assert "the columns must be 'bankrupt' and 'contract'" in refusal(lambda: read(path, 8))
    path.write_text(HEAD.replace(",price", ""))
    assert "there is no column 'price'" in refusal(lambda: read(path, 8))
