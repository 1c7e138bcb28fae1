"""Saved answers of venues: one normal form, exact, and everything else refused in one line."""

import json
from collections.abc import Callable
from decimal import Decimal
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auditkit.errors import InputError
from auditkit.fund import feeds
from auditkit.fund.feeds import FEEDS, Reading, read, units

VECTORS = Path(__file__).resolve().parents[2].parent / "shared/vectors/funds"
HASH = sha256(b"").hexdigest()

# What each venue's answer means: coin, time, balance, what it covers, the venue's own word.
Told = tuple[str, int, str, str, str]
PUBLISHED: dict[str, list[Told]] = {
    "bitmex": [("XBt", 1533297600000, "0", "", "")],
    "binance": [
        ("USDC", 1745366402000, "299999998.6497832", "BNBUSDT,BTCUSDT", ""),
        ("USDT", 1745366402000, "793930579.315848", "BNBUSDT,BTCUSDT", ""),
    ],
    "bybit": [
        ("USDT", 1714003200000, "902178.57602476", "MERLUSDT,10000000AIDOGEUSDT,ZEUSUSDT", "")
    ],
    "okx": [("ETH", 1704883083000, "1343.1308", "ETH-USD", "regular_update")],
    "htx": [
        ("BTC", 1604131200000, "1907.646552903264189201", "", ""),
        ("BTC", 1604217600000, "1909.852579486750035041", "", ""),
    ],
    "gate": [("", 1543968000000, "83.0031", "", "")],
}
# The same, as small as it gets: a time, a balance of 12.5, and whether both are text.
SMALL: dict[str, Callable[[Any, Any], Any]] = {
    "binance": lambda t, b: {
        "symbols": ["A", "B"],
        "assets": [{"asset": "X", "marginBalance": b, "updateTime": t}],
    },
    "bybit": lambda t, b: {
        "retCode": 0,
        "result": {"updatedTime": t, "list": [{"coin": "X", "symbols": "A,B", "balance": b}]},
    },
    "okx": lambda t, b: {
        "code": "0",
        "data": [{"instFamily": "A", "details": [{"ccy": "X", "ts": t, "balance": b}]}],
    },
    "htx": lambda t, b: {"data": [{"symbol": "X", "tick": [{"ts": t, "insurance_fund": b}]}]},
    "gate": lambda t, b: [{"t": t, "b": b}],
}
SECONDS = {"gate": 1000}


def encode(value: object) -> bytes:
    """JSON whose decimals are numbers of exactly these digits."""
    return (
        json.dumps(value, default=lambda d: f"<{d}>").replace('"<', "").replace('>"', "").encode()
    )


def told(readings: list[Reading]) -> list[Told]:
    return [(r.coin, r.time, f"{r.balance.normalize():f}", r.where, r.kind) for r in readings]


def refusal(call: Callable[[], object]) -> str:
    with pytest.raises(InputError) as caught:
        call()
    text = str(caught.value)
    assert text.isprintable()
    assert text.startswith("a.json: ")
    assert len(text) < 500
    return text


@pytest.mark.skipif(not VECTORS.is_dir(), reason="the vectors are not beside the checkout")
@pytest.mark.parametrize("feed", FEEDS)
def test_what_the_venues_document(feed: str) -> None:
    data = (VECTORS / f"{feed}.json").read_bytes()
    readings = read(feed, data, "a.json")
    assert told(readings) == PUBLISHED[feed]
    assert {reading.sha256 for reading in readings} == {sha256(data).hexdigest()}


@pytest.mark.skipif(not VECTORS.is_dir(), reason="the vectors are not beside the checkout")
def test_digits_that_an_asset_does_not_have_are_refused() -> None:
    reading = read("htx", (VECTORS / "htx.json").read_bytes(), "a.json")[-1]
    assert units(reading, 18, "a.json") == 1909_852579486750035041
    said = refusal(lambda: units(reading, 8, "a.json"))
    assert "'1909.852579486750035041' has more than 8 decimals" in said


@pytest.mark.parametrize("feed", SMALL)
@pytest.mark.parametrize("time", [1700000000, "1700000000"])
@pytest.mark.parametrize("balance", [Decimal("12.50"), "12.50"])
def test_numbers_may_be_text(feed: str, time: int | str, balance: Decimal | str) -> None:
    (reading,) = read(feed, encode(SMALL[feed](time, balance)), "a.json")
    assert reading.time == 1700000000 * SECONDS.get(feed, 1)
    assert reading.balance == Decimal("12.5")
    assert units(reading, 1, "a.json") == 125


def lists_as_objects(value: Any) -> Any:
    """The same answer with the one value of each list in its place."""
    if isinstance(value, dict):
        return {key: lists_as_objects(item) for key, item in value.items()}
    return lists_as_objects(value[0]) if isinstance(value, list) and len(value) == 1 else value


@pytest.mark.parametrize("feed", SMALL)
def test_one_object_may_stand_for_a_list_of_one(feed: str) -> None:
    listed = SMALL[feed](1700000000, "12.5")
    alone = lists_as_objects(listed)
    many = [listed] if isinstance(listed, dict) and feed == "binance" else listed
    assert [told(read(feed, encode(v), "a.json")) for v in (alone, many)] == [
        told(read(feed, encode(listed), "a.json"))
    ] * 2


@pytest.mark.parametrize(
    ("coin", "held", "balance"),
    [("XBt", 123, "0.00000123"), ("USDt", "1234567", "1.234567"), ("Gwei", 5, "0.000000005")],
)
def test_bitmex_counts_in_the_smallest_unit(coin: str, held: int | str, balance: str) -> None:
    day = {"currency": coin, "timestamp": "2018-08-03T12:00:00.000Z", "walletBalance": held}
    for answer in (day, [day]):
        assert told(read("bitmex", encode(answer), "a.json")) == [
            (coin, 1533297600000, balance, "", "")
        ]


def test_readings_ascend_and_what_is_said_twice_counts_once() -> None:
    ticks = [{"ts": ts, "insurance_fund": ts} for ts in (3, 1, 2, 3)]
    readings = read("htx", encode({"data": {"symbol": "X", "tick": ticks}}), "a.json")
    assert [(reading.time, reading.balance) for reading in readings] == [
        (number, Decimal(number)) for number in (1, 2, 3)
    ]


def test_two_balances_at_one_time_are_refused() -> None:
    said = refusal(lambda: read("gate", b'[{"t":1,"b":"2"},{"t":1,"b":"3.50"}]', "a.json"))
    assert "has two balances of '' at 1970-01-01T00:00:01.000Z, 2 and 3.50; leave out" in said


def test_what_a_fund_covers() -> None:
    reading = Reading("USDT", 0, Decimal(1), HASH, "AUSDT,BUSDT")
    assert [reading.covers(where) for where in ("AUSDT,BUSDT", "BUSDT", "", "USDT")] == [
        True,
        True,
        False,
        False,
    ]
    assert Reading("USDT", 0, Decimal(1), HASH).covers("")


ERRORS: dict[str, tuple[object, str]] = {
    "bitmex": ({"error": {"message": "Rate limit", "name": "HTTPError"}}, "Rate limit: HTTPError"),
    "binance": ({"code": -1121, "msg": "Invalid symbol."}, "-1121: Invalid symbol."),
    "bybit": ({"retCode": 10001, "retMsg": "x\x1b[31m", "result": {}}, r"10001: x\x1b[31m"),
    "okx": ({"code": "51000", "msg": "instType", "data": []}, "51000: instType"),
    "htx": ({"status": "error", "err_code": 1030, "err_msg": "busy"}, "1030: busy"),
    "gate": ({"label": "NOT_FOUND", "message": "y" * 99}, "NOT_FOUND: " + "y" * 49 + "'..."),
}


@pytest.mark.parametrize("feed", FEEDS)
def test_an_error_that_was_saved_is_refused_in_the_venues_words(feed: str) -> None:
    answer, words = ERRORS[feed]
    said = refusal(lambda: read(feed, encode(answer), "a.json"))
    assert f"{feed} says that it failed, '{words}" in said


HOSTILE: list[tuple[str, bytes, str]] = [
    ("gate", b"", "not JSON"),
    ("gate", b"\xff[]", "byte 0 is not UTF-8"),
    ("gate", b"\xef\xbb\xbf[]", "not JSON"),
    ("gate", b"[" * 100_000, "nested too deeply"),
    ("gate", b'{"t":' * 100_000, "nested too deeply"),
    ("gate", b" " * (feeds.MAX_BYTES + 1), "more than 16 MiB"),
    ("gate", b"[]", "gate holds no balance"),
    ("gate", b"null", "gate must be an object"),
    ("gate", b'["t"]', "gate[0] must be an object"),
    ("gate", b"[{}]", "gate[0] has no t, but nothing"),
    ("gate", b'[{"t":1,"balance":"1"}]', "gate[0] has no b, but 't', 'balance'"),
    ("gate", b'[{"t":1,"b":"1","b":"2"}]', "key 'b' occurs twice"),
    ("gate", b'[{"t":1,"b":NaN}]', "NaN is no number"),
    ("gate", b'[{"t":1,"b":-Infinity}]', "-Infinity is no number"),
    ("gate", b'[{"t":1,"b":1e3}]', "gate[0].b is no plain decimal number: '1e3'"),
    ("gate", b'[{"t":1,"b":"1E+3"}]', "no plain decimal number"),
    ("gate", b'[{"t":1,"b":1e999999999999}]', "no plain decimal number"),
    ("gate", b'[{"t":1,"b":"-0"}]', "no plain decimal number"),
    ("gate", b'[{"t":1,"b":-0.000}]', "no plain decimal number"),
    ("gate", b'[{"t":1,"b":"1,000"}]', "no plain decimal number"),
    ("gate", b'[{"t":1,"b":" 1"}]', "no plain decimal number"),
    ("gate", b'[{"t":1,"b":"007"}]', "no plain decimal number"),
    ("gate", b'[{"t":1,"b":""}]', "no plain decimal number: ''"),
    ("gate", '[{"t":1,"b":"１"}]'.encode(), "no plain decimal number"),
    ("gate", b'[{"t":1,"b":"' + b"9" * 41 + b'"}]', "no plain decimal number"),
    ("gate", b'[{"t":1,"b":' + b"9" * 100_000 + b"}]", "no plain decimal number"),
    ("gate", b'[{"t":1,"b":null}]', "gate[0].b is no plain decimal number: None"),
    ("gate", b'[{"t":1,"b":true}]', "gate[0].b is no plain decimal number: True"),
    ("gate", b'[{"t":1,"b":["1"]}]', "gate[0].b is no plain decimal number"),
    ("gate", b'[{"t":1.5,"b":"1"}]', "gate[0].t is no whole number: 1.5"),
    ("gate", b'[{"t":-1,"b":"1"}]', "gate[0].t is no time of 1970 to 2999: '-1'"),
    ("gate", b'[{"t":1700000000000,"b":"1"}]', "gate[0].t is no time of 1970 to 2999"),
    ("bitmex", b'[{"currency":"XBt","timestamp":1,"walletBalance":0}]', "timestamp is"),
    (
        "bitmex",
        b'[{"currency":"XBt","timestamp":"2018-02-30T12:00:00.000Z","walletBalance":0}]',
        "timestamp is no such time: '2018-02-30T12:00:00.000Z'",
    ),
    (
        "bitmex",
        b'[{"currency":"ETH","timestamp":"2018-08-03T12:00:00.000Z","walletBalance":0}]',
        "currency is 'ETH'; the known units are XBt, USDt, Gwei",
    ),
    (
        "bitmex",
        b'[{"currency":"XBt","timestamp":"2018-08-03T12:00:00.000Z","walletBalance":0.5}]',
        "walletBalance is no whole number: 0.5",
    ),
    ("okx", b'{"code":"0","data":[{"details":[{"ccy":"a\\u0000b"}]}]}', "printable text"),
    ("okx", b'{"code":"0","data":[{"details":[{"ccy":"\\ud800"}]}]}', "printable text"),
    ("okx", b'{"code":"0","data":[{"details":{"ccy":{}}}]}', "details.ccy must be printable"),
    ("okx", b'{"code":"0","data":[]}', "okx holds no balance"),
    ("bybit", b'{"retCode":0,"result":[]}', "bybit.result must be an object"),
    ("binance", b'[{"symbols":"A","assets":[{"asset":"X"}]}]', "assets[0] has no updateTime"),
    ("htx", b'{"status":"ok"}', "htx has no data, but 'status'"),
    ("ftx", b"[]", "'ftx' is no feed; the feeds are bitmex, binance, bybit, okx, htx, gate"),
]


@pytest.mark.parametrize(("feed", "data", "said"), HOSTILE, ids=range(len(HOSTILE)))
def test_what_is_no_such_answer_is_refused(feed: str, data: bytes, said: str) -> None:
    assert said in refusal(lambda: read(feed, data, "a.json"))


scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.just("1.5")
values = st.recursive(scalars, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner))


@given(st.binary() | values.map(lambda value: json.dumps(value).encode()), st.sampled_from(FEEDS))
def test_what_holds_no_answer_is_refused_in_one_line(data: bytes, feed: str) -> None:
    refusal(lambda: read(feed, data, "a.json"))


@given(st.sampled_from(list(SMALL)), values, values)
def test_anything_in_an_answer_is_a_number_or_refused(feed: str, time: Any, balance: Any) -> None:
    data = json.dumps(SMALL[feed](time, balance)).encode()
    try:
        (reading,) = read(feed, data, "a.json")
    except InputError:
        refusal(lambda: read(feed, data, "a.json"))
    else:
        # What was read is what was written, up to zeros at the end.
        assert Decimal(str(balance)) == reading.balance
        assert int(time) * SECONDS.get(feed, 1) == reading.time


@given(st.integers(0, 2**128 - 1), st.integers(0, 30), st.integers(0, 9))
def test_every_amount_comes_through_exactly(amount: int, decimals: int, zeros: int) -> None:
    whole, fraction = divmod(amount, 10**decimals)
    text = f"{whole}" + (f".{fraction:0{decimals}d}" + "0" * zeros if decimals else "")
    for written in (f'"{text}"', text):
        (reading,) = read("gate", f'[{{"t":1,"b":{written}}}]'.encode(), "a.json")
        assert units(reading, decimals, "a.json") == amount
        if fraction % 10:
            with pytest.raises(InputError, match="more than"):
                units(reading, decimals - 1, "a.json")


@pytest.mark.parametrize(
    ("balance", "said"),
    [("-0.01", "the balance -0.01 is negative"), (str(2**128), "reaches 2^128 base units")],
)
def test_a_balance_that_no_pool_can_hold_is_refused(balance: str, said: str) -> None:
    reading = Reading("X", 0, Decimal(balance), HASH)
    assert said in refusal(lambda: units(reading, 0, "a.json"))
