"""Amounts as people write them: exact, canonical, and refused rather than rounded."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auditkit.errors import InputError
from auditkit.money import format_amount, parse_amount

UNITS = st.integers(0, 2**128 - 1)
DECIMALS = st.integers(0, 30)


@pytest.mark.parametrize(
    ("text", "decimals", "units"),
    [
        ("0", 8, 0),
        ("0.0", 8, 0),
        ("1.25", 8, 125_000_000),
        ("1.25", 2, 125),
        ("1.250", 3, 1250),
        ("7", 0, 7),
        ("340282366920938463463374607431768211455", 0, 2**128 - 1),
        ("0.340282366920938463463374607431", 30, 340282366920938463463374607431),
    ],
)
def test_natural_units_become_base_units(text: str, decimals: int, units: int) -> None:
    assert parse_amount(text, decimals, "here") == units


NO_TEXT: list[object] = [1, 1.5, True, None, ["1"]]
NO_NUMBER = ["", ".5", "5.", "1,5", "-1", "+1", "01", "1e3", "1 ", " 1", "1\n", "0x1", "١", "1_0"]


@pytest.mark.parametrize("text", NO_TEXT + NO_NUMBER)
def test_what_is_no_amount_is_refused(text: object) -> None:
    with pytest.raises(InputError, match=r"here: .* is not an amount; write it as text"):
        parse_amount(text, 8, "here")


def test_too_many_decimals_and_too_much_are_refused() -> None:
    with pytest.raises(InputError, match="more than 2 decimals; amounts are refused, never"):
        parse_amount("1.250", 2, "here")
    for text in ("340282366920938463463374607431768211456", "9" * 39, "9" * 4000):
        with pytest.raises(InputError, match=r"reaches 2\^128"):
            parse_amount(text, 0, "here")
    with pytest.raises(InputError, match=r"reaches 2\^128"):
        parse_amount("340282366920938463464", 18, "here")


@given(UNITS, DECIMALS)
def test_what_is_written_reads_back(units: int, decimals: int) -> None:
    text = format_amount(units, decimals)
    assert parse_amount(text.replace(",", ""), decimals, "here") == units


@pytest.mark.parametrize(
    ("units", "decimals", "text"),
    [(0, 0, "0"), (0, 2, "0.00"), (123_456_789, 2, "1,234,567.89"), (5, 8, "0.00000005")],
)
def test_all_decimals_are_shown(units: int, decimals: int, text: str) -> None:
    assert format_amount(units, decimals) == text
