"""Account names as exchanges store them -> the names of a ledger (SPEC.md §1 and §2)."""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from auditkit.errors import InputError, place
from auditkit.ledger.cells import Column
from auditkit.ledger.names import have_repeats
from auditkit.verify.elements import PADDING_ACCOUNT

MOST_LEAVES = 16
"""An account owns at most this many leaves of a ledger (SPEC.md §2)."""

_LIMIT = 2**31 - 1
_FORM = r"\A[!#-\[\]-~]{1,128}\z"
_RULE = '1 to 128 printable ASCII characters, without space, " and \\, and not "-" alone'


def account_names(columns: Sequence[Column], split: bool) -> pa.Array:
    """The names of one ledger's rows, from one column a file, as one `binary` array.

    Raises InputError for a name that the format does not allow, and for an
    account of several rows: of more than one, or of more than 16 if `split`.
    """
    parts = [pa.array([], pa.binary()), *map(names_of, columns)]
    # `Balances` has 32-bit offsets; a copy that overflowed them would be cut short.
    if sum(pc.sum(pc.binary_length(part), skip_nulls=True).as_py() or 0 for part in parts) > _LIMIT:
        raise InputError(
            f"{place(columns[0].path)}: the account names are over 2 GiB in all; "
            "use shorter ones, such as customer numbers"
        )
    names = pa.concat_arrays(parts)
    _refuse_repeats(columns, names, MOST_LEAVES if split else 1)
    return names


def names_of(column: Column) -> pa.Array:
    """The names of some rows, as a `binary` array; integers become their decimal digits.

    Raises InputError for a name that the format does not allow. Whether one
    occurs twice is not looked at.
    """
    kind = column.data.type
    if not (column.is_text or pa.types.is_integer(kind) or pa.types.is_null(kind)):
        raise column.refuse_type("store account names as text or integers")
    column.require_values("every row needs its account")
    names = column.data.cast(pa.large_string())
    good = pc.match_substring_regex(names, _FORM)
    good = pc.and_(good, pc.not_equal(names, PADDING_ACCOUNT)).to_numpy(zero_copy_only=False)
    if not good.all():
        raise column.refuse(int(np.argmin(good)), f"is no account name; allowed are {_RULE}")
    return names.cast(pa.binary())


def _refuse_repeats(columns: Sequence[Column], names: pa.Array, most: int) -> None:
    """Refuses the first row of an account that has `most` rows before it."""
    if not have_repeats(names):
        return
    codes = names.dictionary_encode().indices.to_numpy()
    if np.bincount(codes).max() <= most:
        return
    order = np.argsort(codes, kind="stable")
    same = codes[order[most:]] == codes[order[:-most]]
    surplus = int(order[most:][same].min())
    earlier = int(np.flatnonzero(codes == codes[surplus])[0])
    column, index = origin(columns, surplus)
    other, first = origin(columns, earlier)
    where = f"row {other.row(first)}"
    if other.path != column.path:
        where += f" of {place(other.path)}"
    if most == 1:
        raise column.accuse(
            index, f"is already in {where}; one row an account, or say split = true"
        )
    raise column.accuse(
        index, f"has more than {most} rows (the first is {where}); join some of them"
    )


def origin(columns: Sequence[Column], index: int) -> tuple[Column, int]:
    """Where a row of the joined columns came from."""
    for column in columns:
        if index < len(column):
            return column, index
        index -= len(column)
    raise IndexError(index)
