"""Reading a TOML file key by key: every key is known and of the right form, or one clear line."""

import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

from auditkit.errors import InputError
from auditkit.verify.elements import Element
from auditkit.verify.errors import Malformed

T = TypeVar("T")
_MISSING: Any = object()


class Table:
    """A TOML table whose keys are taken one by one; `close` refuses what is left over."""

    def __init__(self, path: Path, name: str, values: Mapping[str, Any]) -> None:
        self.path = path
        self.name = name
        self._left = dict(values)

    @classmethod
    def read(cls, path: Path) -> "Table":
        """The top of a TOML file. Raises InputError if it cannot be read or is no TOML."""
        try:
            return cls(path, "", tomllib.loads(path.read_bytes().decode("utf-8")))
        except FileNotFoundError:
            raise InputError(f"{path}: no such file") from None
        except IsADirectoryError:
            raise InputError(f"{path}: is a folder, not a TOML file") from None
        except UnicodeDecodeError:
            raise InputError(f"{path}: not UTF-8 text, so not a TOML file") from None
        except tomllib.TOMLDecodeError as error:
            raise InputError(f"{path}: not TOML: {error}") from None

    def __contains__(self, key: str) -> bool:
        return key in self._left

    def error(self, key: str, what: str) -> InputError:
        """An InputError that says where in the file it is."""
        place = ".".join(part for part in (self.name, key) if part)
        return InputError(f"{self.path}: {place}: {what}")

    def take(self, key: str, kind: type[T], default: T = _MISSING) -> T:
        """The value of `key`, of exactly this type."""
        value = self._left.pop(key, default)
        if value is _MISSING:
            raise self.error(key, f"is missing; add {key} = ...")
        if value is not default and type(value) is not kind:
            raise self.error(key, f"should be a {kind.__name__}, is {value!r:.60}")
        return value

    def element(self, key: str, spelling: Element[T], default: T = _MISSING) -> T:
        """The value of `key`, read by one of the format's spellings."""
        if key not in self._left and default is not _MISSING:
            return default
        value = self._left.pop(key, None)
        if value is None:
            raise self.error(key, f"is missing; add {key} = ...")
        try:
            return spelling.read(value)
        except Malformed as error:
            raise self.error(key, str(error)) from None

    def table(self, key: str) -> "Table":
        """The table under `key`."""
        return Table(self.path, self._inner(key), self.take(key, dict))

    def tables(self, key: str, *, required: bool = False) -> list["Table"]:
        """The tables of the array `key`; none if it is left out and not required."""
        rows = self.take(key, list) if required or key in self else []
        result = []
        for number, row in enumerate(rows, 1):
            if not isinstance(row, dict):
                raise self.error(key, f"should be a list of tables, has {row!r:.60}")
            result.append(Table(self.path, f"{self._inner(key)}[{number}]", row))
        return result

    def named(self, spelling: Element[str]) -> Iterator[tuple[str, "Table"]]:
        """All that is left: tables under names of that spelling."""
        left, self._left = self._left, {}
        for name, values in left.items():
            try:
                spelling.read(name)
            except Malformed as error:
                raise self.error(name, str(error)) from None
            if not isinstance(values, dict):
                raise self.error(name, f"should be a table, is {values!r:.60}")
            yield name, Table(self.path, self._inner(name), values)

    def close(self) -> None:
        """Raises InputError if a key was not taken: a misspelt key must not be ignored."""
        if self._left:
            raise self.error(next(iter(self._left)), "is not a key that belongs here")

    def _inner(self, key: str) -> str:
        return f"{self.name}.{key}" if self.name else key
