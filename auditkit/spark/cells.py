"""A value that Spark has read, and how it is refused: its row is not known, but its file."""

import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

import pyarrow as pa

from auditkit.errors import InputError, shown
from auditkit.ledger.accounts import names_of
from auditkit.ledger.amounts import base_units
from auditkit.ledger.cells import Column
from auditkit.ledger.columns import Balances

_LOCAL = re.compile(r"file:/+")


def called(uri: str) -> str:
    """What an error line calls a file: the path of a local one, the URI of any other."""
    text = unquote(_LOCAL.sub("/", uri)) if _LOCAL.match(uri) else uri
    return text if text.isprintable() else ascii(text)


@dataclass(frozen=True, slots=True)
class Cells(Column):
    """One column of some rows; `files` are the URIs of the files they are from, a row each."""

    files: pa.Array | None = None

    @classmethod
    def of(cls, name: str, data: pa.Array, files: pa.Array | None = None) -> "Cells":
        """The column `name`, whose text has 64-bit offsets as in every other column."""
        if pa.types.is_string(data.type):
            data = data.cast(pa.large_string())
        return cls(Path(), name, data, files=files)

    def refuse(self, index: int, problem: str) -> InputError:
        """What to raise for one value: `problem` continues a sentence that began with it."""
        value = self.value(index)
        subject = "the value" if value is None else shown(value)
        where = "" if self.files is None else f"{called(self.files[index].as_py())}: "
        return InputError(f"{where}column {shown(self.name)}: {subject} {problem}")

    def refuse_type(self, advice: str) -> InputError:
        """What to raise for a column whose type cannot hold such values."""
        kind = shown(str(self.data.type))[1:-1]
        return InputError(f"column {shown(self.name)} is {kind}; {advice}")


@dataclass(frozen=True, slots=True)
class Mapped:
    """The columns that a ledger is read from, and an amount's places (0: base units already)."""

    account: str
    amount: str
    places: int

    def balances(self, batch: pa.RecordBatch | pa.Table) -> Balances:
        """The rows of a batch with the columns account, amount and file. Raises InputError."""
        account, amount, files = batch.columns
        units = base_units(Cells.of(self.amount, amount, files), self.places)
        return Balances(names_of(Cells.of(self.account, account, files)), units)
