"""Strict JSON (SPEC.md §1): bounded, without duplicate keys or floats, and one canonical text."""

import json
import re
from typing import Any

from auditkit.verify.elements import INTEGER_LIMIT
from auditkit.verify.errors import Malformed, show

MAX_DEPTH = 8

# Never backtracks, and takes an open string to the end of the text: a linear scan of any input.
_STRINGS = re.compile(r'"(?:[^"\\]|\\.)*+"?', re.DOTALL)
_BRACKETS = re.compile(r"[\[\]{}]")
_SURROGATE = re.compile("[\ud800-\udfff]")
_CANONICAL = re.compile(r"[ -\[\]-~]*")


def loads(text: str) -> Any:
    """Parse strict JSON: no duplicate keys, floats, negative or huge numbers, no lone surrogates.

    Nesting is bounded before the parser sees the text. Raises Malformed.
    """
    depth = 0
    for bracket in _BRACKETS.findall(_STRINGS.sub("", text)):
        depth += 1 if bracket in "[{" else -1
        if depth > MAX_DEPTH:
            raise Malformed(f"nested deeper than {MAX_DEPTH}")
    try:
        value = json.loads(
            text,
            object_pairs_hook=_object,
            parse_int=_integer,
            parse_float=_no_number,
            parse_constant=_no_number,
        )
    except json.JSONDecodeError as error:
        raise Malformed(f"not JSON: {error.msg}", where=f"character {error.pos}") from None
    except RecursionError:
        # Text that the scan above misreads is no JSON, but may still nest in the parser's eyes.
        raise Malformed(f"nested deeper than {MAX_DEPTH}") from None
    if "\\u" in text and _SURROGATE.search(json.dumps(value, ensure_ascii=False)):
        raise Malformed("a lone surrogate in a string")
    return value


def _object(pairs: list[tuple[str, object]]) -> dict[str, object]:
    value: dict[str, object] = {}
    for name, item in pairs:
        if name in value:
            raise Malformed("duplicate key", found=show(name))
        value[name] = item
    return value


def _integer(text: str) -> int:
    if len(text) > 16 or not text.isdecimal() or int(text) >= INTEGER_LIMIT:
        raise Malformed("not an integer from 0 to 2^53 - 1", found=show(text))
    return int(text)


def _no_number(text: str) -> object:
    raise Malformed("only integers are numbers here", found=show(text))


def dumps(value: object) -> str:
    """The canonical text of a JSON value: sorted keys, no white space, ASCII."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"))


def check_canonical(text: str, value: object) -> None:
    """Raises Malformed unless `text`, from which `value` was parsed, is its canonical text."""
    if not _CANONICAL.fullmatch(text):
        raise Malformed("not canonical: only printable ASCII without backslash")
    if dumps(value) != text:
        raise Malformed("not canonical: it does not re-encode to itself")
