"""Proof files of which a part cannot be read, as a venue would make them that hides a fork.

for spoil in SPOILS.values():
    data = spoil(proof)     # The file's bytes.
"""

import json
from collections.abc import Callable
from typing import Any

Value = dict[str, Any]
Spoil = Callable[[Value], bytes]


def _with(**changed: object) -> Spoil:
    return lambda value: json.dumps(value | changed).encode()


def _first_statement(change: Callable[[str], str]) -> Spoil:
    def spoil(value: Value) -> bytes:
        first, *rest = value["statements"]
        changed = first | {"text": change(first["text"])}
        return json.dumps(value | {"statements": [changed, *rest]}).encode()

    return spoil


def _with_path(value: Value, size: int) -> bytes:
    paths = [*value.get("consistency", []), {"size": size, "path": []}]
    return json.dumps(
        value | {"consistency": sorted(paths, key=lambda each: each["size"])}
    ).encode()


SPOILS: dict[str, Spoil] = {
    "a format": _with(format="auditkit/proof/2"),
    "no format": _with(format=None),
    "another key": _with(extra=1),
    "no leaves": _with(leaves=None),
    "a number that is none": _with(leaves=[{"amount": -1.5}]),
    "an account": _with(account=7),
    "an entry": lambda value: json.dumps(
        value | {"statements": [7, *value["statements"], {"seq": 1}]}
    ).encode(),
    "a path": lambda value: json.dumps(
        value | {"consistency": [{"size": 1, "path": ["!"]}, *value.get("consistency", [])]}
    ).encode(),
    "a size": lambda value: _with_path(value, 1 << 40),
    "a size of nothing": lambda value: _with_path(value, 0),
    "its own size": lambda value: _with_path(value, int(value["checkpoint"].split("\n")[1])),
    "a statement of tomorrow": _first_statement(lambda text: text.replace('/1"', '/2"', 1)),
    "a statement with a space": _first_statement(lambda text: text + " "),
    "a key twice": lambda value: json.dumps(value).encode()[:-1] + b', "leaves": []}',
    "nested too deep": _with(extra=[[[[[[[[[[]]]]]]]]]]),
}
