"""Saved answers of exchanges about their insurance funds -> one normal form, exact.

    bitmex    /api/v1/insurance               currency, timestamp, walletBalance
    binance   /fapi/v1/insuranceBalance       symbols, assets: asset, marginBalance, updateTime
    bybit     /v5/market/insurance            result: updatedTime, list: coin, symbols, balance
    okx       /api/v5/public/insurance-fund   data: instFamily, details: ccy, ts, balance, type
    htx       contract_insurance_fund         data: symbol, tick: ts, insurance_fund
    gate      /futures/{settle}/insurance     t, b

A single object may stand where a list of them is expected, and a number where
text is. Numbers are kept as the text they were written in; what is no plain
decimal number, such as 1e3, NaN or -0, is refused, and nothing is rounded.
"""

import hashlib
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import NoReturn

from auditkit.errors import InputError, shown
from auditkit.money import parse_amount
from auditkit.verify.elements import TIME, time_text
from auditkit.verify.errors import Malformed

MAX_BYTES = 1 << 24
_LAST = TIME.read("2999-12-31T23:59:59.999Z")
_PLAIN = re.compile(r"(?!-0(?:\.0*)?\Z)-?(?:0|[1-9][0-9]{0,39})(?:\.[0-9]{1,40})?")
# BitMEX counts in the smallest unit of a currency: digits after the point of a whole one.
_BITMEX = {"XBt": 8, "USDt": 6, "Gwei": 9}


@dataclass(frozen=True, slots=True)
class Reading:
    """What one fund held at one time, as its venue said it."""

    coin: str
    """As the venue spells it; "" where the answer does not name it."""
    time: int
    """Milliseconds since 1970."""
    balance: Decimal
    """In whole coins, exact; may be negative."""
    sha256: str
    """Of the raw bytes of the answer, in hex."""
    where: str = ""
    """What the fund covers, where one coin has several: symbols, joined by commas, or a family."""
    kind: str = ""
    """The venue's own word for why it wrote this down, such as `regular_update`."""

    def covers(self, where: str) -> bool:
        """Whether `where` is all that the fund covers, or one symbol of it."""
        return where == self.where or where in self.where.split(",")


def read(feed: str, data: bytes, where: str) -> list[Reading]:
    """The readings of one saved answer, ascending by time; `where` names it in error lines.

    Raises InputError if the bytes are not such an answer, or are the venue's
    answer that something went wrong.
    """
    if feed not in _READERS:
        raise InputError(f"{where}: {shown(feed)} is no feed; the feeds are {', '.join(FEEDS)}")
    answer = _Part(where, feed, _parse(data, where))
    reader, code, message = _READERS[feed]
    _refuse_error(answer, code, message)
    found: dict[tuple[str, str, int], Reading] = {}
    for new in reader(answer, hashlib.sha256(data).hexdigest()):
        known = found.setdefault((new.coin, new.where, new.time), new)
        if known.balance != new.balance:
            both = f"{shown(known.balance)} and {shown(new.balance)}"
            raise answer.refuse(
                f"has two balances of {shown(new.coin)} at {time_text(new.time)}, {both}; "
                "leave out the one that does not hold"
            )
    if not found:
        raise answer.refuse("holds no balance; ask and save it again")
    return sorted(found.values(), key=lambda reading: reading.time)


def units(reading: Reading, decimals: int, where: str) -> int:
    """The balance in base units of an asset with `decimals` digits.

    Raises InputError if it is negative, or has digits that do not fit.
    """
    if reading.balance < 0:
        raise InputError(
            f"{where}: the balance {shown(reading.balance)} is negative; a pool never holds less "
            "than 0, and what it owes belongs in an event"
        )
    # Zeros at the end are no digits of the value: some venues write a fixed number of them.
    text = f"{reading.balance:f}"
    return parse_amount(text.rstrip("0").rstrip(".") if "." in text else text, decimals, where)


class _Number(str):
    """A JSON number, as the text it was written in."""

    __slots__ = ()


def _parse(data: bytes, where: str) -> object:
    if len(data) > MAX_BYTES:
        raise InputError(f"{where}: more than {MAX_BYTES >> 20} MiB, so not such an answer")
    try:
        return json.loads(
            data.decode("utf-8"),
            object_pairs_hook=_object,
            parse_int=_Number,
            parse_float=_Number,
            parse_constant=_no_number,
        )
    except UnicodeDecodeError as error:
        raise InputError(f"{where}: byte {error.start} is not UTF-8; save it again") from None
    except (ValueError, RecursionError) as error:
        reason = "nested too deeply" if isinstance(error, RecursionError) else error
        raise InputError(f"{where}: not JSON: {reason}; save it again") from None


def _object(pairs: list[tuple[str, object]]) -> dict[str, object]:
    value: dict[str, object] = {}
    for name, item in pairs:
        if name in value:
            raise ValueError(f"key {shown(name)} occurs twice in one object")
        value[name] = item
    return value


def _no_number(text: str) -> NoReturn:
    raise ValueError(f"{text} is no number")


@dataclass(frozen=True, slots=True)
class _Part:
    """A value inside an answer, and its place for error lines."""

    where: str
    place: str
    value: object

    def refuse(self, problem: str) -> InputError:
        """`problem` continues a sentence that began with the place."""
        return InputError(f"{self.where}: {self.place} {problem}")

    def get(self, key: str, default: str | None = None) -> "_Part":
        """What is under a key of an object."""
        if not isinstance(self.value, dict):
            raise self.refuse("must be an object; is it another answer?")
        if key not in self.value and default is None:
            names = ", ".join(shown(name) for name in list(self.value)[:8]) or "nothing"
            raise self.refuse(f"has no {key}, but {names}; is it another answer?")
        return _Part(self.where, f"{self.place}.{key}", self.value.get(key, default))

    def each(self) -> "Iterator[_Part]":
        """The values of a list, or the one value that stands there by itself."""
        if not isinstance(self.value, list):
            yield self
            return
        for number, value in enumerate(self.value):
            yield _Part(self.where, f"{self.place}[{number}]", value)

    def text(self) -> str:
        """Text that can be shown, such as a coin's name."""
        if not isinstance(self.value, str) or not self.value.isprintable():
            raise self.refuse(f"must be printable text, not {shown(self.value)}")
        return str(self.value)

    def number(self) -> Decimal:
        """A plain decimal number, or text that is one."""
        if not isinstance(self.value, str) or not _PLAIN.fullmatch(self.value):
            raise self.refuse(
                f"is no plain decimal number: {shown(self.value)}; save it as it was answered"
            )
        return Decimal(self.value)

    def whole(self) -> int:
        """A whole number."""
        if (number := self.number()) != int(number):
            raise self.refuse(f"is no whole number: {shown(number)}; is it another answer?")
        return int(number)

    def time(self, unit: int = 1) -> int:
        """A time that is written in units of so many milliseconds."""
        if not 0 <= (time := self.whole() * unit) <= _LAST:
            raise self.refuse(f"is no time of 1970 to 2999: {shown(self.value)}")
        return time


Readings = Iterator[Reading]


def _bitmex(answer: _Part, sha256: str) -> Readings:
    for part in answer.each():
        coin, stamp, held = map(part.get, ("currency", "timestamp", "walletBalance"))
        if (name := coin.text()) not in _BITMEX:
            raise coin.refuse(f"is {shown(name)}; the known units are {', '.join(_BITMEX)}")
        try:
            time = TIME.read(stamp.value)
        except Malformed as error:
            raise stamp.refuse(f"is {error.what}: {shown(stamp.value)}") from None
        # No arithmetic: Decimal's own would round to 28 digits.
        yield Reading(name, time, Decimal(f"{held.whole()}e-{_BITMEX[name]}"), sha256)


def _binance(answer: _Part, sha256: str) -> Readings:
    for part in answer.each():
        where = ",".join(symbol.text() for symbol in part.get("symbols").each())
        for asset in part.get("assets").each():
            coin, time = asset.get("asset").text(), asset.get("updateTime").time()
            yield Reading(coin, time, asset.get("marginBalance").number(), sha256, where)


def _bybit(answer: _Part, sha256: str) -> Readings:
    result = answer.get("result")
    time = result.get("updatedTime").time()
    for part in result.get("list").each():
        coin, where = part.get("coin").text(), part.get("symbols", "").text()
        yield Reading(coin, time, part.get("balance").number(), sha256, where)


def _okx(answer: _Part, sha256: str) -> Readings:
    for part in answer.get("data").each():
        where = part.get("instFamily", "").text()
        for detail in part.get("details").each():
            coin, kind = detail.get("ccy").text(), detail.get("type", "").text()
            time, balance = detail.get("ts").time(), detail.get("balance").number()
            yield Reading(coin, time, balance, sha256, where, kind)


def _htx(answer: _Part, sha256: str) -> Readings:
    for part in answer.get("data").each():
        coin = part.get("symbol").text()
        for tick in part.get("tick").each():
            time, balance = tick.get("ts").time(), tick.get("insurance_fund").number()
            yield Reading(coin, time, balance, sha256)


def _gate(answer: _Part, sha256: str) -> Readings:
    for part in answer.each():
        yield Reading("", part.get("t").time(1000), part.get("b").number(), sha256)


def _refuse_error(answer: _Part, code: str, message: str) -> None:
    """Raises InputError if the venue says, in its own way, that something went wrong."""
    if not isinstance(answer.value, dict) or answer.value.get(code, "0") == "0":
        return
    inner = answer.value[code]
    words = inner.values() if isinstance(inner, dict) else (inner, answer.value.get(message, ""))
    said = ": ".join(str(word) for word in words if isinstance(word, str))
    raise answer.refuse(f"says that it failed, {shown(said)}; ask and save it again")


# How each venue's answer is read, and where it puts the code and the words of an error.
_READERS: dict[str, tuple[Callable[[_Part, str], Readings], str, str]] = {
    "bitmex": (_bitmex, "error", "message"),
    "binance": (_binance, "code", "msg"),
    "bybit": (_bybit, "retCode", "retMsg"),
    "okx": (_okx, "code", "msg"),
    "htx": (_htx, "err_code", "err_msg"),
    "gate": (_gate, "label", "message"),
}
FEEDS = tuple(_READERS)
