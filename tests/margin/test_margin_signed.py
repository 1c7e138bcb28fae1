"""Integer columns that may be negative: every representation exact, or refused."""

from decimal import Decimal
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from auditkit.errors import InputError
from auditkit.ledger.cells import Column
from auditkit.ledger.columns import limbs
from auditkit.margin.signed import integers, objects, signed_integers

LIMIT = 1 << 128


def column(data: pa.Array) -> Column:
    if pa.types.is_string(data.type):
        data = data.cast(pa.large_string())
    return Column(Path("wallets.parquet"), "balance", data)


def written(units: int, places: int) -> str:
    digits = str(abs(units)).rjust(places + 1, "0")
    text = f"{digits[:-places]}.{digits[-places:]}" if places else digits
    return f"-{text}" if units < 0 else text


amounts = st.lists(
    st.one_of(
        st.integers(1 - LIMIT, LIMIT - 1),
        st.integers(-(10**9), 10**9),
        st.sampled_from([0, 2**64 - 1, 2**64, -(2**64), -(2**63), LIMIT - 1, 1 - LIMIT]),
    ),
    max_size=20,
)


@given(amounts, st.integers(0, 30))
def test_text_and_decimals_read_back(units: list[int], places: int) -> None:
    text = [written(u, places) for u in units]
    given = [
        pa.array(text, pa.string()),
        pa.array(list(map(Decimal, text)), pa.decimal256(76, places)),
    ]
    for data in given:
        values = signed_integers(column(data), places)
        assert values.dtype == object
        assert values.tolist() == units
        if min(units, default=0) >= 0:
            assert integers(column(data), places).tolist() == units


@given(st.lists(st.integers(-(2**63), 2**63 - 1), max_size=20))
def test_integers_read_back(units: list[int]) -> None:
    assert signed_integers(column(pa.array(units, pa.int64())), 2).tolist() == [
        100 * u for u in units
    ]


@given(st.lists(st.integers(0, LIMIT - 1), max_size=20))
def test_limbs_become_integers(units: list[int]) -> None:
    values = objects(limbs(units))
    assert values.tolist() == units
    assert all(type(value) is int for value in values)


@pytest.mark.parametrize(
    "kind", [pa.decimal32(5, 2), pa.decimal64(9, 2), pa.decimal128(9, 2), pa.decimal256(50, 2)]
)
def test_decimals_of_every_width(kind: pa.DataType) -> None:
    data = pa.array([Decimal("-1.25"), Decimal(0), Decimal("3.5")], kind)
    assert signed_integers(column(data), 2).tolist() == [-125, 0, 350]


@pytest.mark.parametrize("kind", [pa.null(), pa.string(), pa.int8(), pa.decimal128(9, 2)])
def test_no_rows(kind: pa.DataType) -> None:
    assert signed_integers(column(pa.array([], kind)), 8).tolist() == []


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ("-0", "'-0' is no plain number; write 0 without a sign"),
        ("-0.0", "'-0.0' is no plain number; write 0 without a sign"),
        ("", "'' is an empty cell; every row needs one"),
        (None, "the value is missing; every row needs one"),
        ("--1", "'--1' is no plain number"),
        ("+1", "'+1' is no plain number"),
        ("-.5", "'-.5' is no plain number"),
        ("-007", "'-007' is no plain number"),
        ("-1e3", "'-1e3' is no plain number"),
        ("- 1", "'- 1' is no plain number"),
        ("-", "'-' is no plain number"),
        ("−1", "'\\u22121' is no plain number"),
        ("-1.123456789", "'-1.123456789' has 9 digits after the point where 8 are allowed"),
        ("-" + "9" * 39, "'-" + "9" * 39 + "' reaches 2^128"),
    ],
)
def test_text_that_is_refused(value: str | None, problem: str) -> None:
    for read in (integers, signed_integers):
        with pytest.raises(InputError) as caught:
            read(column(pa.array(["2", "1", value], pa.string())), 8)
        assert str(caught.value).startswith(f"wallets.parquet: row 3, column 'balance': {problem}")


@pytest.mark.parametrize(
    "data", [pa.array(["1", "-1.5"]), pa.array([1, -5]), pa.array([Decimal(1), Decimal("-1.5")])]
)
def test_what_is_never_negative(data: pa.Array) -> None:
    with pytest.raises(InputError, match=r"row 2, column 'balance': .* is negative; only 0 and"):
        integers(column(data), 8)


@pytest.mark.parametrize("kind", [pa.float32(), pa.float64()])
def test_floats_are_refused(kind: pa.DataType) -> None:
    for data in (pa.array([1.0], kind), pa.nulls(1, kind)):
        with pytest.raises(InputError, match=r"column 'balance' is .*; floats are not exact"):
            signed_integers(column(data), 8)


def test_other_types_are_refused() -> None:
    with pytest.raises(InputError, match=r"column 'balance' is bool; store amounts as"):
        signed_integers(column(pa.array([True])), 8)
    with pytest.raises(InputError, match=r"row 1, column 'balance': the value is missing"):
        signed_integers(column(pa.nulls(1)), 8)


def test_rows_of_a_selection_are_those_of_the_file() -> None:
    data = column(pa.array(["1", "-x", "-2", "-y"])).take(np.array([2, 3]))
    with pytest.raises(InputError, match=r"row 4, column 'balance': '-y' is no plain number"):
        signed_integers(data, 8)
