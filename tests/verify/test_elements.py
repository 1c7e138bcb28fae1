"""SPEC.md §1: every element has one spelling, and everything else is malformed."""

from dataclasses import dataclass
from typing import Any

import pytest
from refusals import refused

from auditkit.verify import elements as e
from auditkit.verify.elements import Element, Record, element, list_of, map_of, one_of, record
from auditkit.verify.errors import Malformed

ARABIC_ONE, FULL_WIDTH_ONE, SUPERSCRIPT_ONE, ZERO_WIDTH = "\u0661", "\uff11", "\u00b9", "a\u200bb"
NO_TEXT: list[object] = [None, 1, 1.0, True, [], {}, b"1"]

GOOD: list[tuple[str, Element[Any], list[object]]] = [
    ("amount", e.AMOUNT, ["0", "1", "10", str(2**128 - 1)]),
    ("price", e.PRICE, ["0", "7", "0.5", "104782.5", "1.01", "9" * 40, "0." + "0" * 38 + "1"]),
    (
        "time",
        e.TIME,
        [
            "1970-01-01T00:00:00.000Z",
            "2024-02-29T23:59:59.999Z",
            "2999-12-31T23:59:59.999Z",
        ],
    ),
    ("hash", e.HASH, ["00" * 32, "0123456789abcdef" * 4]),
    ("account", e.ACCOUNT, ["!", "~", "a", "--", "-a", "a-", "10000", "a[]{}+/", "x" * 128]),
    ("asset", e.ASSET, ["B", "0", "BTC", "1INCH", "USD-T.E_1", "A" * 32]),
    ("book", e.BOOK, ["a", "margin", "spot-2", "adl", "deficit", "a" * 32]),
    ("customer book", e.CUSTOMER_BOOK, ["a", "margin", "adl-2", "deficits", "a" * 32]),
    ("name", e.NAME, ["a", "Z", "0", "2025-10-10:btc.1_x", "a" * 64]),
    ("venue", e.VENUE, ["a.b", "0ab", "exchange.example/audit", "x:1/_-", "a" * 128]),
    ("count", e.COUNT, [0, 1, 2**53 - 1]),
    ("decimals", e.DECIMALS, [0, 30]),
    ("bool", e.BOOL, [True, False]),
    ("word", one_of("adl", "draw"), ["adl", "draw"]),
]

BAD: list[tuple[str, Element[Any], list[object]]] = [
    (
        "amount",
        e.AMOUNT,
        [
            *("", "00", "01", "-1", "-0", "+1", "1.0", "1e0", "1_0", " 1", "1 ", "1\n", "0x1"),
            *(ARABIC_ONE, FULL_WIDTH_ONE, SUPERSCRIPT_ONE, str(2**128), "9" * 39, "9" * 5000),
            *NO_TEXT,
        ],
    ),
    (
        "price",
        e.PRICE,
        [
            *("", ".5", "1.", "01", "00", "1.0", "1.50", "-1", "+1", "1e3", "1,5", " 1", "1\n"),
            *("9" * 41, "0." + "0" * 39 + "1", "1" * 5000, ARABIC_ONE, "1." + ARABIC_ONE, "NaN"),
            *NO_TEXT,
        ],
    ),
    (
        "time",
        e.TIME,
        [
            "1969-12-31T23:59:59.999Z",
            "3000-01-01T00:00:00.000Z",
            "2025-02-29T00:00:00.000Z",
            "2025-02-30T00:00:00.000Z",
            "2025-13-01T00:00:00.000Z",
            "2025-00-01T00:00:00.000Z",
            "2025-01-00T00:00:00.000Z",
            "2025-01-01T24:00:00.000Z",
            "2025-01-01T00:60:00.000Z",
            "2016-12-31T23:59:60.000Z",
            "2025-01-01T00:00:00Z",
            "2025-01-01T00:00:00.0Z",
            "2025-01-01T00:00:00.000000Z",
            "2025-01-01T00:00:00.000",
            "2025-01-01T00:00:00.000z",
            "2025-01-01t00:00:00.000Z",
            "2025-01-01 00:00:00.000Z",
            "2025-01-01T00:00:00,000Z",
            "2025-01-01T00:00:00.000+00:00",
            "20250101T000000.000Z",
            "2025-01-01T00:00:00.000Z\n",
            f"202{ARABIC_ONE}-01-01T00:00:00.000Z",
            *NO_TEXT,
        ],
    ),
    (
        "hash",
        e.HASH,
        [
            *("", "0" * 63, "0" * 65, "0" * 62, "A" * 64, "g" * 64, " " + "0" * 63),
            *("0" * 64 + "\n", "0x" + "0" * 62, ARABIC_ONE * 64, *NO_TEXT),
        ],
    ),
    (
        "account",
        e.ACCOUNT,
        [
            *("", "-", "-\n", "a\n", " ", "a b", 'a"b', "a\\b", "a\tb", "\x1b[1m", "a\x7f"),
            *("x" * 129, "caf\u00e9", ZERO_WIDTH, "\u0430lice", "\ud800", *NO_TEXT),
        ],
    ),
    ("asset", e.ASSET, ["", "btc", "-B", ".B", "_B", "A" * 33, "B C", "B/C", "BTC\n", *NO_TEXT]),
    ("book", e.BOOK, ["", "0a", "-a", "A", "a_b", "a.b", "a" * 33, "a\n", *NO_TEXT]),
    ("customer book", e.CUSTOMER_BOOK, ["", "adl", "deficit", "A", "a" * 33, "a\n", *NO_TEXT]),
    ("name", e.NAME, ["", "-a", ".a", "_a", ":a", "a b", "a/b", "a" * 65, "a\n", *NO_TEXT]),
    ("venue", e.VENUE, ["", "ab", "A.b", "/ab", ".ab", "a b", "a+b", "a" * 129, "a.b\n", *NO_TEXT]),
    ("count", e.COUNT, [-1, 2**53, 2**64, 1.0, True, False, "1", None, [], {}]),
    ("decimals", e.DECIMALS, [-1, 31, True, "8", None]),
    ("bool", e.BOOL, [0, 1, "true", None, [], {}]),
    ("word", one_of("adl", "draw"), ["", "ad", "adl ", "adldraw", "ADL", *NO_TEXT]),
]


@pytest.mark.parametrize(
    ("spelling", "value"),
    [pytest.param(s, v, id=f"{name}-{i}") for name, s, vs in GOOD for i, v in enumerate(vs)],
)
def test_a_value_is_written_as_it_was_read(spelling: Element[Any], value: object) -> None:
    assert spelling.write(spelling.read(value)) == value


@pytest.mark.parametrize(
    ("spelling", "value"),
    [pytest.param(s, v, id=f"{name}-{i}") for name, s, vs in BAD for i, v in enumerate(vs)],
)
def test_every_other_spelling_is_malformed(spelling: Element[Any], value: object) -> None:
    with refused(Malformed, "found"):
        spelling.read(value)


def test_amounts_say_that_they_are_too_large() -> None:
    for text in (str(2**128), "9" * 5000):
        with refused(Malformed, "an amount reaches 2^128"):
            e.AMOUNT.read(text)


def test_times_are_milliseconds_since_1970() -> None:
    assert e.TIME.read("1970-01-01T00:00:01.001Z") == 1001
    assert e.TIME.read("2025-10-10T21:16:14.831Z") == 1760130974831


def test_prices_compare_exactly() -> None:
    assert e.price_units("0.5") * 2 == e.price_units("1")
    assert e.price_units("0." + "0" * 38 + "1") == 10
    assert e.price_units("9" * 40) == int("9" * 40) * 10**40


def test_hashes_are_bytes() -> None:
    assert e.HASH.read("ff" * 32) == b"\xff" * 32


@dataclass(frozen=True, slots=True)
class Inner(Record):
    amount: int = element(e.AMOUNT)


@dataclass(frozen=True, slots=True)
class Outer(Record):
    name: str = element(e.NAME)
    inner: tuple[Inner, ...] = element(list_of(record(Inner)))


def test_a_record_is_written_as_it_was_read() -> None:
    value = {"name": "a", "inner": [{"amount": "1"}, {"amount": "2"}]}
    assert Outer.read(value) == Outer("a", (Inner(1), Inner(2)))
    assert Outer.read(value).write() == value


def test_a_record_has_exactly_its_fields() -> None:
    with refused(Malformed, "unknown or missing fields; found more"):
        Inner.read({"amount": "1", "more": 1})
    with refused(Malformed, "unknown or missing fields; found amount"):
        Inner.read({})
    others: list[object] = [[], "x", None, 1]
    for value in others:
        with refused(Malformed, "not an object"):
            Inner.read(value)


def test_a_refusal_says_where() -> None:
    with refused(Malformed, "inner[1].amount: not an amount"):
        Outer.read({"name": "a", "inner": [{"amount": "1"}, {"amount": "x"}]})


def test_a_list_has_at_least_what_it_must() -> None:
    assert list_of(e.COUNT, 1).read([7]) == (7,)
    others: list[object] = [[], (), "a", {}, None]
    for value in others:
        with refused(Malformed, "not a list of at least 1"):
            list_of(e.COUNT, 1).read(value)


def test_a_sorted_list_is_strictly_ascending() -> None:
    ascending = list_of(e.COUNT, by=lambda n: n)
    assert ascending.read([1, 2, 5]) == (1, 2, 5)
    assert ascending.read([]) == ()
    for value in ([1, 1], [2, 1], [1, 3, 2]):
        with refused(Malformed, "not strictly ascending"):
            ascending.read(value)


def test_a_map_has_keys_and_values_of_one_spelling() -> None:
    assets = map_of(e.ASSET, e.DECIMALS)
    assert assets.read({"BTC": 8}) == {"BTC": 8}
    assert assets.write({"BTC": 8}) == {"BTC": 8}
    with refused(Malformed, "key: not an asset name"):
        assets.read({"btc": 8})
    with refused(Malformed, "BTC: not an integer"):
        assets.read({"BTC": 31})
    others: list[object] = [[], "x", None]
    for value in others:
        with refused(Malformed, "not an object"):
            assets.read(value)
