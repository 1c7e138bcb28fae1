"""The canonical spellings (SPEC.md §1).

An `Element` reads one JSON value into a Python value and writes it back;
reading what was written, and writing what was read, are the identity, and
everything else is Malformed. A `Record` is a closed set of named elements.
"""

import datetime
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from functools import cache
from itertools import pairwise
from typing import Any, Generic, Self, TypeVar

from auditkit.verify.errors import Malformed, show

AMOUNT_LIMIT = 1 << 128
INTEGER_LIMIT = 1 << 53
RESERVED_BOOKS = ("adl", "deficit")
PADDING_ACCOUNT = "-"

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Element(Generic[T]):
    """One spelling: `read` a JSON value (raises Malformed), `write` it back."""

    read: Callable[[object], T]
    write: Callable[[T], object]


def element(spelling: Element[Any]) -> Any:
    """A dataclass field that is read and written by `spelling`."""
    return field(metadata={"element": spelling})


class Record:
    """A dataclass whose fields are `element(...)`: a JSON object with exactly those keys."""

    __slots__ = ()

    @classmethod
    def read(cls, value: object) -> Self:
        """Read a JSON object. Raises Malformed on unknown or missing keys or bad values."""
        spellings = _spellings(cls)  # type: ignore[arg-type]
        if not isinstance(value, dict):
            raise Malformed("not an object", found=show(value))
        if value.keys() != spellings.keys():
            odd = sorted(value.keys() ^ spellings.keys())
            raise Malformed("unknown or missing fields", found=", ".join(odd))
        return cls(**{name: within(name, e, value[name]) for name, e in spellings.items()})

    def write(self) -> dict[str, object]:
        """The JSON object that `read` reads."""
        spellings = _spellings(type(self))  # type: ignore[arg-type]
        return {name: e.write(getattr(self, name)) for name, e in spellings.items()}


@cache
def _spellings(record: type[Record]) -> dict[str, Element[Any]]:
    """How each field of a record is spelled."""
    return {f.name: f.metadata["element"] for f in fields(record)}  # type: ignore[arg-type]


def within(name: str, spelling: Element[T], value: object) -> T:
    """Read `value` by `spelling`; a refusal says that it happened inside `name`."""
    try:
        return spelling.read(value)
    except Malformed as error:
        raise error.inside(name) from None


def _same(value: object) -> object:
    return value


def text_matching(pattern: str, kind: str) -> Element[str]:
    """Text that matches `pattern` in full; `kind` names it in errors."""
    regex = re.compile(pattern)

    def read(value: object) -> str:
        if not isinstance(value, str) or not regex.fullmatch(value):
            raise Malformed(f"not {kind}", found=show(value))
        return value

    return Element(read, _same)


def one_of(*names: str) -> Element[str]:
    """One of a few fixed words."""
    return text_matching("|".join(map(re.escape, names)), " or ".join(names))


def integer(low: int = 0, high: int = INTEGER_LIMIT - 1) -> Element[int]:
    """A JSON integer with low <= n <= high."""

    def read(value: object) -> int:
        if type(value) is not int or not low <= value <= high:
            raise Malformed(f"not an integer from {low} to {high}", found=show(value))
        return value

    return Element(read, _same)


def list_of(item: Element[T], least: int = 0, by: Callable[[T], Any] | None = None) -> Element[Any]:
    """A list of at least `least` items; with `by`, strictly ascending by that key."""

    def read(value: object) -> tuple[T, ...]:
        if not isinstance(value, list) or len(value) < least:
            raise Malformed(f"not a list of at least {least}", found=show(value))
        items = tuple(within(f"[{i}]", item, v) for i, v in enumerate(value))
        if by is not None:
            for earlier, later in pairwise(items):
                if not by(earlier) < by(later):
                    raise Malformed("not strictly ascending", found=show(by(later)))
        return items

    return Element(read, lambda items: [item.write(i) for i in items])


def map_of(key: Element[str], value: Element[T]) -> Element[Mapping[str, T]]:
    """An object whose keys are all of one spelling and whose values of another."""

    def read(given: object) -> dict[str, T]:
        if not isinstance(given, dict):
            raise Malformed("not an object", found=show(given))
        return {within("key", key, k): within(k, value, v) for k, v in given.items()}

    return Element(read, lambda items: {k: value.write(v) for k, v in items.items()})


def record(kind: type[Record]) -> Element[Any]:
    """A nested Record."""
    return Element(kind.read, lambda value: value.write())


def _read_amount(value: object) -> int:
    text = _DIGITS.read(value)
    if len(text) > 39 or int(text) >= AMOUNT_LIMIT:
        raise Malformed("an amount reaches 2^128", found=show(text))
    return int(text)


def _read_price(value: object) -> str:
    text = _DECIMAL.read(value)
    if len(text.replace(".", "")) > 40:
        raise Malformed("a price of more than 40 digits", found=show(text))
    return text


def price_units(price: str) -> int:
    """A price as an exact integer of units of 10^-40, for comparing and halving sums."""
    whole, _, fraction = price.partition(".")
    return int(whole + fraction.ljust(40, "0"))


_EPOCH = datetime.datetime(1970, 1, 1)


def _read_time(value: object) -> int:
    text = _TIME.read(value)
    try:
        moment = datetime.datetime.fromisoformat(text[:-1])
    except ValueError:
        raise Malformed("no such time", found=text) from None
    return (moment - _EPOCH) // datetime.timedelta(milliseconds=1)


def time_text(milliseconds: int) -> str:
    """A time in milliseconds since 1970, as it is spelled."""
    moment = _EPOCH + datetime.timedelta(milliseconds=milliseconds)
    return moment.isoformat(timespec="milliseconds") + "Z"


def _read_bool(value: object) -> bool:
    if not isinstance(value, bool):
        raise Malformed("not true or false", found=show(value))
    return value


_DIGITS = text_matching(r"0|[1-9][0-9]*", "an amount in base units (decimal digits)")
_DECIMAL = text_matching(r"(0|[1-9][0-9]*)(\.[0-9]*[1-9])?", "a price (canonical decimal text)")
_TIME = text_matching(
    r"(19[7-9][0-9]|2[0-9]{3})-[0-9]{2}-[0-9]{2}T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]\.[0-9]{3}Z",
    "a time such as 2025-10-10T21:16:14.831Z",
)
_HEX = text_matching(r"[0-9a-f]{64}", "32 bytes as 64 lower-case hex digits")

AMOUNT = Element(_read_amount, str)
PRICE = Element(_read_price, _same)
TIME = Element(_read_time, time_text)
HASH = Element(lambda value: bytes.fromhex(_HEX.read(value)), bytes.hex)
BOOL = Element(_read_bool, _same)
COUNT = integer()
DECIMALS = integer(0, 30)
ACCOUNT = text_matching(
    r"(?!-\Z)[!#-\[\]-~]{1,128}",
    'an account name (1 to 128 printable ASCII characters, no space, " or \\, and not "-" alone)',
)
ASSET = text_matching(r"[A-Z0-9][A-Z0-9._-]{0,31}", "an asset name")
BOOK = text_matching(r"[a-z][a-z0-9-]{0,31}", "a book name")
CUSTOMER_BOOK = text_matching(
    r"(?!(adl|deficit)\Z)[a-z][a-z0-9-]{0,31}", "a customer book (adl and deficit are reserved)"
)
NAME = text_matching(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,63}", "a name")
VENUE = text_matching(r"[a-z0-9][a-z0-9./:_-]{2,127}", "a venue (a schema-less URL)")
