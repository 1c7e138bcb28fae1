"""Reading a TOML file key by key: every key is known and of the right form, or one clear line."""

import json
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

from auditkit.errors import InputError, place, shown
from auditkit.money import parse_amount
from auditkit.verify.elements import Element
from auditkit.verify.errors import Malformed

T = TypeVar("T")
_KINDS = {str: "text in quotes", bool: "true or false", list: "a list", dict: "a section"}
_MISSING: Any = object()
_LIMIT = 1 << 20


class Table:
    """A TOML table whose keys are taken one by one; `close` refuses what is left over.

    `name` is what an error line puts before the key, such as `[source] `.
    """

    def __init__(self, path: Path, name: str, values: Mapping[str, Any]) -> None:
        self.path = path
        self.name = name
        self._values = values
        self._known: list[str] = []

    @classmethod
    def read(cls, path: Path) -> "Table":
        """The top of a TOML file. Raises InputError if it cannot be read or is no TOML."""
        try:
            with path.open("rb") as file:
                data = file.read(_LIMIT + 1)
            if len(data) > _LIMIT:
                raise InputError(f"{place(path)}: more than 1 MiB, so not such a TOML file")
            return cls(path, "", tomllib.loads(data.decode("utf-8")))
        except (FileNotFoundError, IsADirectoryError, PermissionError) as error:
            raise InputError(f"{place(path)}: cannot be read ({error.strerror})") from None
        except UnicodeDecodeError as error:
            raise InputError(f"{place(path)}: byte {error.start} is not UTF-8") from None
        except ValueError as error:  # Syntax, or a number of thousands of digits.
            reason = " ".join(str(error).split())
            raise InputError(f"{place(path)}: not TOML: {reason}") from None
        except RecursionError:
            raise InputError(f"{place(path)}: not TOML: nested too deeply") from None

    def __contains__(self, key: str) -> bool:
        return key in self._values

    def refuse(self, key: str, problem: str) -> InputError:
        """What to raise for one key; `problem` continues a sentence that began with it."""
        return InputError(f"{place(self.path)}: {self.name}{key} {problem}")

    def take(self, key: str, kind: type[T], default: T = _MISSING) -> T:
        """The value of `key`, of exactly this type and not empty."""
        self._known.append(key)
        value: T = self._values.get(key, default)
        if value is _MISSING:
            raise self.refuse(key, f"is missing; it must be {_KINDS[kind]}")
        if key in self._values and (type(value) is not kind or value in ("", [], {})):
            raise self.refuse(key, f"must be {_KINDS[kind]}, and not be empty")
        return value

    def perhaps(self, key: str, kind: type[T]) -> T | None:
        """The value of `key`, as `take` has it; None if it was left out."""
        if key in self:
            return self.take(key, kind)
        self._known.append(key)
        return None

    def element(self, key: str, spelling: Element[T], default: T = _MISSING) -> T:
        """The value of `key` in a spelling of SPEC.md §1."""
        self._known.append(key)
        if key not in self._values:
            if default is _MISSING:
                raise self.refuse(key, "is missing")
            return default
        try:
            return spelling.read(self._values[key])
        except Malformed as error:
            inner = f".{error.where}" if error.where else ""
            raw = self._values[key]
            found = shown(error.found or raw)
            quotes = _quotes(raw, error)
            raise self.refuse(key + inner, f"is {error.what}: {found}{quotes}") from None

    def amount(self, key: str, decimals: int) -> int:
        """The amount under `key`, text in natural units, as base units."""
        self._known.append(key)
        if key not in self._values:
            raise self.refuse(key, "is missing")
        return parse_amount(self._values[key], decimals, f"{place(self.path)}: {self.name}{key}")

    def table(self, key: str) -> "Table":
        """The table under `key`."""
        return Table(self.path, f"[{self._inner(key)}] ", self.take(key, dict))

    def tables(self, key: str, *, required: bool = False) -> list["Table"]:
        """The tables of the array `key`; none if it is left out, or empty, and not required."""
        self._known.append(key)
        if not required and self._values.get(key, []) == []:
            return []
        result = []
        for number, row in enumerate(self.take(key, list), 1):
            if not isinstance(row, dict):
                raise self.refuse(key, f"must be blocks that begin with [[{self._inner(key)}]]")
            result.append(Table(self.path, f"[[{self._inner(key)}]] {number}: ", row))
        return result

    def named(self, spelling: Element[str]) -> Iterator[tuple[str, "Table"]]:
        """All keys, which are names of that spelling, with the tables under them."""
        for key, values in self._values.items():
            self._known.append(key)
            try:
                spelling.read(key)
            except Malformed as error:
                raise self.refuse(shown(key), f"is {error.what}") from None
            if not isinstance(values, dict):
                raise self.refuse(key, "must be a section")
            yield key, Table(self.path, f"[{self._inner(key)}] ", values)

    def close(self) -> None:
        """Raises InputError if a key was not taken: a misspelt key must not be ignored."""
        known = list(dict.fromkeys(self._known))
        for key in self._values:
            if key not in known:
                raise self.refuse(shown(key), f"is unknown; the keys are {', '.join(known)}")

    def _inner(self, key: str) -> str:
        outer = self.name.strip("[] :0123456789")
        return f"{outer}.{key}" if outer else key


def _quotes(raw: object, error: Malformed) -> str:
    """What to say where only the type is wrong, so that the value alone would look right."""
    text = json.dumps(raw, default=str)
    in_quotes = f'"{error.found}"' in text
    if "integer" in error.what:
        return "; write it without quotes" if in_quotes else ""
    return "" if in_quotes or str(error.found) not in text else "; write it in quotes"
