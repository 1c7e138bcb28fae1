"""Where a value stands - file, row, column - and how it is refused."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from auditkit.errors import InputError, RowError, place, shown


@dataclass(frozen=True, slots=True)
class Column:
    """One column of one file, as one Arrow array.

    Dictionaries are decoded and text of any width is `large_string`, which
    may hold bytes that are not UTF-8: nothing has looked at them yet. `rows`
    are the 0-based rows of the file, or None for all of them in order, the first of which is
    `start`.
    """

    path: Path
    name: str
    data: pa.Array
    rows: npt.NDArray[np.int64] | None = None
    start: int = 0

    def __len__(self) -> int:
        return len(self.data)

    @property
    def is_text(self) -> bool:
        """Whether the values are text."""
        return bool(pa.types.is_large_string(self.data.type))

    def take(self, rows: npt.NDArray[np.int64]) -> "Column":
        """Some values, by their 0-based places in a column that was not taken from another."""
        data = self.data.take(pa.array(rows, pa.int64()))
        return Column(self.path, self.name, data, rows + self.start)

    def row(self, index: int) -> int:
        """The 1-based data row of the file that `index` is."""
        return 1 + (self.start + index if self.rows is None else int(self.rows[index]))

    def value(self, index: int) -> Any:
        """One value as a Python object; bytes that are not UTF-8 are escaped."""
        if not self.is_text:
            return self.data[index].as_py()
        raw = self.data.slice(index, 1).cast(pa.large_binary())[0].as_py()
        return None if raw is None else raw.decode("utf-8", "backslashreplace")

    def refuse(self, index: int, problem: str) -> InputError:
        """What to raise for one value: `problem` continues a sentence that began with it."""
        value = self.value(index)
        subject = "the value" if value is None else shown(value)
        where = f"{place(self.path)}: row {self.row(index)}, column {shown(self.name)}"
        return InputError(f"{where}: {subject} {problem}")

    def accuse(self, index: int, problem: str) -> RowError:
        """The same, for what no honest book holds: to an auditor it is evidence."""
        return RowError(str(self.refuse(index, problem)))

    def refuse_type(self, advice: str) -> InputError:
        """What to raise for a column whose type cannot hold such values."""
        kind = shown(str(self.data.type))[1:-1]
        return InputError(f"{place(self.path)}: column {shown(self.name)} is {kind}; {advice}")

    def require_values(self, advice: str) -> None:
        """Raises InputError at the first null, if there is one."""
        if self.data.null_count:
            first = int(np.argmax(self.data.is_null().to_numpy(zero_copy_only=False)))
            raise self.refuse(first, f"is missing; {advice}")
