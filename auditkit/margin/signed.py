"""Columns of exact Python integers, whatever their size; balances may be negative."""

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from auditkit.errors import InputError
from auditkit.ledger.amounts import base_units
from auditkit.ledger.cells import Column
from auditkit.ledger.columns import Limbs

Integers = npt.NDArray[np.object_]
"""Python integers, shape (n,): numpy's operators on them are exact, and never wrap."""

_SIGNED = r"\A-([0-9])"


def integers(column: Column, places: int) -> Integers:
    """The values of a column in units of 10^-places, shape (n,), none of them negative.

    Read as `ledger.amounts.base_units` reads amounts. Raises InputError for a
    row that does not hold one below 2^128.
    """
    values = signed_integers(column, places)
    negative = (values < 0).astype(np.bool_)
    if negative.any():
        raise column.refuse(int(np.argmax(negative)), "is negative; only 0 and more is allowed")
    return values


def signed_integers(column: Column, places: int) -> Integers:
    """The same where a "-" may stand before text, and decimals and integers may be negative."""
    if not pa.types.is_floating(column.data.type):
        column.require_values("every row needs one")
    magnitudes, negative = _magnitudes(column)
    values = objects(base_units(magnitudes, places))
    rows = np.flatnonzero(negative)
    values[rows] = -values[rows]
    if column.is_text and not values[rows].all():
        zero = int(rows[np.argmin(values[rows].astype(np.bool_))])
        raise column.refuse(zero, "is no plain number; write 0 without a sign")
    return values


def objects(amounts: Limbs) -> Integers:
    """Limbs of shape (n, 2) as Python integers."""
    values: Integers = amounts[:, 1].astype(np.object_)
    rows = np.flatnonzero(amounts[:, 0])
    values[rows] |= amounts[rows, 0].astype(np.object_) << 64
    return values


@dataclass(frozen=True, slots=True)
class _Magnitudes(Column):
    """A column without its signs, which refuses its values as they were given."""

    given: Column = field(kw_only=True)

    def refuse(self, index: int, problem: str) -> InputError:
        return self.given.refuse(index, problem)


def _magnitudes(column: Column) -> tuple[Column, npt.NDArray[np.bool_]]:
    """The column without signs, and where there were some."""
    data = column.data
    if column.is_text:
        empty = pc.equal(data, "").to_numpy(zero_copy_only=False)
        if empty.any():
            raise column.refuse(int(np.argmax(empty)), "is an empty cell; every row needs one")
        signs = pc.match_substring_regex(data, _SIGNED)
    elif pa.types.is_integer(data.type) or pa.types.is_decimal(data.type):
        data = _wide(data)
        signs = pc.less(data, pa.scalar(0, data.type))
    else:
        return column, np.zeros(len(column), np.bool_)
    negative: npt.NDArray[np.bool_] = signs.to_numpy(zero_copy_only=False)
    if not negative.any():
        return column, negative
    data = pc.replace_substring_regex(data, _SIGNED, r"\1") if column.is_text else pc.abs(data)
    return _Magnitudes(column.path, column.name, data, column.rows, given=column), negative


def _wide(data: pa.Array) -> pa.Array:
    """As decimals of 128 bits or more: the lowest integer has no positive of its own type."""
    if pa.types.is_integer(data.type):
        return data.cast(pa.decimal128(20, 0))
    if data.type.bit_width < 128:
        return data.cast(pa.decimal128(data.type.precision, data.type.scale))
    return data
