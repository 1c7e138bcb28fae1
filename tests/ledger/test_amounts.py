"""Amount columns: every representation reads back exactly, and every inexact one is refused."""

from collections.abc import Callable, Sequence
from decimal import Decimal, localcontext
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from auditkit.errors import InputError
from auditkit.ledger.amounts import base_units
from auditkit.ledger.cells import Column
from auditkit.ledger.columns import integers

LIMIT = 1 << 128
TOP = str(LIMIT - 1)
FILE = Path("accounts.parquet")


def column(data: pa.Array) -> Column:
    if pa.types.is_string(data.type):
        data = data.cast(pa.large_string())
    return Column(FILE, "btc", data)


def read(data: pa.Array, places: int) -> list[int]:
    limbs = base_units(column(data), places)
    assert limbs.shape == (len(data), 2)
    assert limbs.dtype == np.uint64
    assert limbs.flags.c_contiguous
    return list(integers(limbs))


def refusal(data: pa.Array, places: int) -> str:
    with pytest.raises(InputError) as caught:
        base_units(column(data), places)
    text = str(caught.value)
    assert "\n" not in text
    assert text.isprintable()
    return text


def text(*values: str | None) -> pa.Array:
    return pa.array(values, pa.string())


def decimals(values: Sequence[int], kind: pa.DataType) -> pa.Array:
    """Unscaled integers as a decimal column, made without any decimal arithmetic."""
    size = kind.bit_width // 8
    data = b"".join(value.to_bytes(size, "little", signed=True) for value in values)
    return pa.Array.from_buffers(kind, len(values), [None, pa.py_buffer(data)])


def written(units: int, places: int) -> str:
    digits = str(units).rjust(places + 1, "0")
    return f"{digits[:-places]}.{digits[-places:]}" if places else digits


@pytest.mark.parametrize(
    ("value", "places", "units"),
    [
        ("0", 0, 0),
        ("0", 8, 0),
        ("0.0", 8, 0),
        ("1.5", 8, 150_000_000),
        ("1.50", 8, 150_000_000),
        ("0.00000001", 8, 1),
        ("12", 0, 12),
        (TOP, 0, LIMIT - 1),
        (written(LIMIT - 1, 1), 1, LIMIT - 1),
        (written(LIMIT - 1, 18), 18, LIMIT - 1),
        (written(LIMIT - 1, 30), 30, LIMIT - 1),
        ("0." + "0" * 29 + "1", 30, 1),
    ],
)
def test_text_is_read_exactly(value: str, places: int, units: int) -> None:
    assert read(text(value), places) == [units]


@pytest.mark.parametrize(
    "value",
    [
        "1e3",
        "1E3",
        "+1",
        "-0",
        "-0.0",
        ".5",
        "5.",
        "007",
        "00",
        "1_0",
        "1,000",
        " 1",
        "1 ",
        "1\n",
        "\t1",
        "1.2.3",
        "0x10",
        "NaN",
        "inf",
        "null",
        "NA",
        "١٢",
        "１",
        "1\0",
        "--1",
        "−1",
    ],
)
@pytest.mark.parametrize("places", [0, 8])
def test_text_of_another_form_is_refused(value: str, places: int) -> None:
    message = refusal(text("1", "2", value, "3"), places)
    assert message.startswith(f"accounts.parquet: row 3, column 'btc': {value!a} is no plain")


def test_empty_text_is_refused() -> None:
    message = refusal(text("1", ""), 8)
    assert message.startswith("accounts.parquet: row 2, column 'btc': '' is an empty cell")
    assert "write 0" in message


def test_bytes_that_are_not_utf8_are_refused() -> None:
    data = pa.array([b"1", b"1\xff"], pa.large_binary()).view(pa.large_string())
    assert "row 2, column 'btc': '1\\\\xff' is no plain number" in refusal(data, 8)


def test_text_with_more_digits_is_refused_even_if_they_are_zeros() -> None:
    assert "'1.500000000' has 9 digits after the point where 8 are" in refusal(
        text("1.500000000"), 8
    )
    assert "'1.0' has 1 digits after the point where 0 are" in refusal(text("1.0"), 0)


def test_long_values_are_clipped() -> None:
    message = refusal(text("9" * 5000), 0)
    assert "'" + "9" * 60 + "'..." in message
    assert len(message) < 250


@pytest.mark.parametrize(
    ("value", "places"),
    [
        (str(LIMIT), 0),
        (written(LIMIT, 8), 8),
        (written(LIMIT, 30), 30),
        (TOP, 1),
        ("9" * 39, 30),
        ("9" * 40, 0),
        ("1" + "0" * 80, 8),
    ],
)
def test_text_that_reaches_the_limit_is_refused(value: str, places: int) -> None:
    message = refusal(text("7", value), places)
    assert "row 2, column 'btc'" in message
    assert "reaches 2^128" in message


def test_the_first_bad_row_is_named() -> None:
    assert "row 1, " in refusal(text(str(LIMIT), "1e3", None), 0)
    assert "row 2, " in refusal(text("1", "1e3", str(LIMIT), None), 0)
    assert "row 2, column 'btc': the value is missing" in refusal(text("1", None, "1e3"), 0)
    sloppy = pa.array([Decimal("1.00"), Decimal("-1"), None, Decimal("0.01")], pa.decimal128(9, 2))
    assert "row 2, column 'btc': -1.00 is negative" in refusal(sloppy, 0)


@pytest.mark.parametrize("kind", [pa.decimal128(38, 18), pa.decimal256(76, 18)])
def test_surplus_scale_of_a_decimal_column_is_fine_where_it_is_zero(kind: pa.DataType) -> None:
    exact = [0, 10**10, 15 * 10**17, (10**19 - 1) * 10**10]
    assert read(decimals(exact, kind), 8) == [value // 10**10 for value in exact]
    message = refusal(decimals([*exact, 10**10 + 1, 1], kind), 8)
    assert "row 5, column 'btc': 0.000000010000000001 has 18 digits after the point" in message
    assert "where 8 are allowed" in message


@pytest.mark.parametrize(
    ("kind", "unscaled", "places", "units"),
    [
        (pa.decimal128(38, 0), 10**38 - 1, 0, 10**38 - 1),
        (pa.decimal128(38, 8), 10**38 - 1, 8, 10**38 - 1),
        (pa.decimal128(38, 10), 34 * 10**36, 11, 34 * 10**37),
        (pa.decimal128(5, -3), 7, 2, 700_000),
        (pa.decimal256(76, 0), LIMIT - 1, 0, LIMIT - 1),
        (pa.decimal256(76, 37), (LIMIT - 1) * 10**37, 0, LIMIT - 1),
        (pa.decimal256(76, 76), 10**75, 30, 10**29),
        (pa.decimal256(76, 1), (LIMIT - 6) // 10, 2, LIMIT - 6),
    ],
)
def test_decimals_are_scaled_exactly(
    kind: pa.DataType, unscaled: int, places: int, units: int
) -> None:
    assert read(decimals([0, unscaled], kind), places) == [0, units]


@pytest.mark.parametrize(
    ("kind", "unscaled", "places"),
    [
        (pa.decimal256(76, 0), LIMIT, 0),
        (pa.decimal256(76, 0), 10**76 - 1, 0),
        (pa.decimal256(76, 0), 10**76 - 1, 30),
        # 10^30 times these is small again modulo 2^256 or 2^128: it must not wrap around.
        (pa.decimal256(76, 0), 1 << 226, 30),
        (pa.decimal128(38, 0), 1 << 98, 30),
        (pa.decimal256(76, 37), LIMIT * 10**37, 0),
        (pa.decimal128(38, 0), 10**38 - 1, 1),
        (pa.decimal128(38, -38), 4, 0),
    ],
)
def test_decimals_that_reach_the_limit_are_refused(
    kind: pa.DataType, unscaled: int, places: int
) -> None:
    message = refusal(decimals([0, unscaled], kind), places)
    assert "row 2, column 'btc'" in message
    assert "reaches 2^128" in message


@pytest.mark.parametrize("kind", [pa.decimal128(38, 8), pa.decimal256(76, 8)])
@pytest.mark.parametrize("places", [0, 8, 18])
def test_negative_decimals_are_refused(kind: pa.DataType, places: int) -> None:
    message = refusal(decimals([0, 10**8, -(10**8)], kind), places)
    assert "row 3, column 'btc': -1.00000000 is negative" in message


def test_negative_integers_and_text_are_refused() -> None:
    assert "row 2, column 'btc': -5 is negative" in refusal(pa.array([1, -5]), 8)
    assert "row 1, column 'btc': '-1.5' is negative" in refusal(text("-1.5"), 8)


@pytest.mark.parametrize("bits", [8, 16, 32, 64])
@pytest.mark.parametrize("places", [0, 6, 18])
def test_integers_of_every_width(bits: int, places: int) -> None:
    signed = [0, 1, 2 ** (bits - 1) - 1]
    unsigned = [0, 1, 2**bits - 1]
    scale: int = 10**places
    assert read(pa.array(signed, f"int{bits}"), places) == [v * scale for v in signed]
    assert read(pa.array(unsigned, f"uint{bits}"), places) == [v * scale for v in unsigned]


def test_an_integer_that_scaling_takes_to_the_limit_is_refused() -> None:
    last = (LIMIT - 1) // 10**30
    assert read(pa.array([last]), 30) == [last * 10**30]
    assert f"row 1, column 'btc': {last + 1} reaches 2^128" in refusal(pa.array([last + 1]), 30)


@pytest.mark.parametrize("kind", [pa.float16(), pa.float32(), pa.float64()])
@pytest.mark.parametrize("rows", [0, 2])
def test_floats_are_refused_by_column(kind: pa.DataType, rows: int) -> None:
    data = pa.array(np.ones(rows), pa.float64()).cast(kind)
    message = refusal(data, 8)
    assert message.startswith(f"accounts.parquet: column 'btc' is {kind}; floats are not exact")
    assert "decimal, integer or text" in message


@pytest.mark.parametrize("kind", [pa.bool_(), pa.date32(), pa.binary(), pa.list_(pa.int8())])
def test_other_types_are_refused_by_column(kind: pa.DataType) -> None:
    assert f"column 'btc' is {kind}; store amounts as" in refusal(pa.array([], kind), 8)


@pytest.mark.parametrize("kind", [pa.null(), pa.int64(), pa.decimal128(9, 2), pa.decimal256(50, 2)])
def test_nulls_are_refused(kind: pa.DataType) -> None:
    assert "row 1, column 'btc': the value is missing; write 0" in refusal(pa.nulls(3, kind), 8)


@pytest.mark.parametrize(
    "kind",
    [pa.null(), pa.large_string(), pa.int8(), pa.decimal128(9, 2), pa.decimal256(50, 2)],
)
def test_no_rows(kind: pa.DataType) -> None:
    assert read(pa.array([], kind), 8) == []


def test_a_slice_of_a_longer_array() -> None:
    data = decimals(list(range(10)), pa.decimal128(20, 2))
    assert read(data.slice(3, 4), 2) == [3, 4, 5, 6]
    assert read(data.slice(3, 4), 4) == [300, 400, 500, 600]
    assert read(text(*"0123456789").slice(3, 4), 1) == [30, 40, 50, 60]


def test_rows_of_a_selection_are_those_of_the_file() -> None:
    part = column(text("1", "x", "2", "y")).take(np.array([2, 3]))
    with pytest.raises(InputError, match=r"row 4, column 'btc': 'y' is no plain number"):
        base_units(part, 8)


amounts = st.one_of(
    st.integers(0, LIMIT - 1),
    st.integers(0, 10**9),
    st.sampled_from([0, 1, 2**32, 2**64 - 1, 2**64, 2**127, 2**127 - 1, LIMIT - 1]),
)


@given(st.lists(amounts, max_size=20), st.integers(0, 30))
def test_text_reads_back(units: list[int], places: int) -> None:
    assert read(text(*(written(u, places) for u in units)), places) == units


@given(st.lists(amounts, max_size=20), st.integers(0, 30), st.integers(0, 37))
def test_decimal256_of_any_scale_reads_back(units: list[int], places: int, more: int) -> None:
    """Scales from the asset's decimals up, as far as 76 digits reach."""
    unscaled = [u * 10**more for u in units]
    assert read(decimals(unscaled, pa.decimal256(76, places + more)), places) == units


@given(
    st.lists(st.integers(0, 10**38 - 1), max_size=20),
    st.integers(-38, 38),
    st.integers(0, 30),
)
def test_decimal128_of_any_scale_is_exact_or_refused(
    unscaled: list[int], scale: int, places: int
) -> None:
    data = decimals(unscaled, pa.decimal128(38, scale))
    scaled = [u * 10 ** (places + 38) for u in unscaled]
    unit: int = 10 ** (scale + 38)
    if all(s % unit == 0 and s // unit < LIMIT for s in scaled):
        assert read(data, places) == [s // unit for s in scaled]
        return
    first = next(i for i, s in enumerate(scaled) if s % unit or s // unit >= LIMIT)
    assert f"row {first + 1}, " in refusal(data, places)


@given(st.lists(st.integers(-(2**63), 2**63 - 1), max_size=20), st.integers(0, 30))
def test_integers_are_exact_or_refused(values: list[int], places: int) -> None:
    scaled = [value * 10**places for value in values]
    data = pa.array(values, pa.int64())
    if all(0 <= s < LIMIT for s in scaled):
        assert read(data, places) == scaled
    else:
        refusal(data, places)


@given(st.lists(st.text("0123456789.-+e_ ", max_size=12), max_size=5), st.integers(0, 30))
def test_any_text_is_exact_or_refused(values: list[str], places: int) -> None:
    """Whatever is read is what Python's own decimals say, and is spelled the one right way."""
    try:
        units = read(text(*values), places)
    except InputError:
        return
    with localcontext() as context:
        context.prec = 100
        assert [Decimal(value).scaleb(places) for value in values] == units
    assert not any(set(value) & set("-+e_ ") for value in values)


def test_a_million_rows_make_no_python_object_each(monkeypatch: pytest.MonkeyPatch) -> None:
    """The slow path is for the one value that is refused."""
    calls: list[object] = []

    def value(self: Column, index: int) -> object:
        calls.append(index)
        return original(self, index)

    original: Callable[[Column, int], object] = Column.value
    monkeypatch.setattr(Column, "value", value)
    data = pa.array(np.arange(1_000_000)).cast(pa.string())
    assert len(base_units(column(data), 8)) == 1_000_000
    assert calls == []
