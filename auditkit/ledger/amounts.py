"""Amounts as exchanges write them -> exact integers of base units (SPEC.md §1).

Decimals, integers and text are read; a value that is not an exact, unsigned
number of base units below 2^128 is refused, never rounded, wrapped or guessed.
All arithmetic is on columns of 32-bit digits, whose products fit 64 bits.
"""

import re
from decimal import Decimal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from auditkit.errors import InputError
from auditkit.ledger.cells import Column
from auditkit.ledger.columns import Limbs

Mask = npt.NDArray[np.bool_]
Digits = list[npt.NDArray[np.uint64]]
"""Unsigned numbers in base 2^32: a list of columns of shape (n,), lowest first."""

_STEP = 9  # 10^9 is the largest power of ten below 2^32.
_LOW = np.uint64(0xFFFFFFFF)
_HALF = np.uint64(32)
NEGATIVE = "is negative; a ledger holds claims, what an account owes belongs in the deficits"
_TYPES = "store amounts as decimal, integer or text"
_PLAIN = re.compile(r"(-?)(?:0|[1-9][0-9]*)(?:\.([0-9]+))?", re.ASCII)


def base_units(column: Column, places: int) -> Limbs:
    """The amounts of a column in base units, shape (n, 2).

    `places` are the asset's decimals, 0 to 30, or 0 where the column holds
    base units already. Text must be canonical, with at most that many digits
    after the point; a decimal column may have more, as long as they are zero
    in every value, since its scale belongs to the column. Raises InputError
    for the first row that does not hold an exact amount.
    """
    kind = column.data.type
    if column.is_text:
        return _from_text(column, places)
    if pa.types.is_decimal(kind):
        return _from_decimal(column, column.data, kind.scale, places)
    if pa.types.is_integer(kind):
        return _from_decimal(column, column.data.cast(pa.decimal128(20, 0)), 0, places)
    if pa.types.is_floating(kind):
        raise column.refuse_type(f"floats are not exact: {_TYPES}")
    if pa.types.is_null(kind):
        column.require_values("write 0 for an account that holds nothing")
        return np.empty((0, 2), np.uint64)
    raise column.refuse_type(_TYPES)


def _from_text(column: Column, places: int) -> Limbs:
    """Casts accept `1e3`, `+1`, `-0`, `.5` and `007`, so the form is checked first."""
    fraction = rf"(?:\.[0-9]{{1,{places}}})?" if places else ""
    # 2^128 has 39 digits: with 39 before the point and 30 after, every text fits decimal256.
    form = rf"\A(?:0|[1-9][0-9]{{0,38}}){fraction}\z"
    fits = pc.match_substring_regex(column.data, form).fill_null(False)
    good = fits.to_numpy(zero_copy_only=False)
    first = len(good) if good.all() else int(np.argmin(good))
    numbers = column.data.slice(0, first).cast(pa.decimal256(76, places))
    amounts = _from_decimal(column, numbers, places, places)
    if first < len(good):
        raise _refused(column, first, places)
    return amounts


def _from_decimal(column: Column, numbers: pa.Array, scale: int, places: int) -> Limbs:
    """`numbers` are the first rows of `column`, or all, as decimals of `scale`."""
    quads = _quads(numbers)
    bad = quads[:, -1] >> np.uint64(63) == 1
    if numbers.null_count:
        bad |= numbers.is_null().to_numpy(zero_copy_only=False)
    if scale == places:
        for word in range(2, quads.shape[1]):
            bad |= quads[:, word] != 0
        result = np.ascontiguousarray(quads[:, 1::-1])
    else:
        digits, inexact = _scaled(_split(quads), places - scale)
        bad |= inexact
        for digit in digits[4:]:
            bad |= digit != 0
        digits += [np.zeros(len(quads), np.uint64)] * (4 - len(digits))
        low, high = digits[0] | digits[1] << _HALF, digits[2] | digits[3] << _HALF
        result = np.column_stack((high, low))
    if bad.any():
        first = int(np.argmax(bad))
        raise _refused(column, first, places)
    return result


def _quads(numbers: pa.Array) -> npt.NDArray[np.uint64]:
    """The 64-bit words of decimals, lowest first, shape (n, 2) or (n, 4): two's complement."""
    if numbers.type.bit_width < 128:
        numbers = numbers.cast(pa.decimal128(numbers.type.precision, numbers.type.scale))
    words = numbers.type.bit_width // 64
    if not len(numbers):
        return np.empty((0, words), np.uint64)
    end = numbers.offset + len(numbers)
    flat = np.frombuffer(numbers.buffers()[1], "<u8", count=end * words)
    return flat.reshape(-1, words)[numbers.offset :]


def _split(quads: npt.NDArray[np.uint64]) -> Digits:
    """Words as digits, without the highest ones that are zero in all rows."""
    used = max((i + 1 for i in range(quads.shape[1]) if quads[:, i].any()), default=1)
    return [half for i in range(used) for half in (quads[:, i] & _LOW, quads[:, i] >> _HALF)]


def _scaled(digits: Digits, power: int) -> tuple[Digits, Mask]:
    """digits * 10^power, and the rows where that is no integer."""
    inexact = np.zeros(len(digits[0]), np.bool_)
    for step in _steps(power):
        digits = _times(digits, step)
    for step in _steps(-power):
        digits, rest = _divided(digits, step)
        inexact |= rest != 0
    return digits, inexact


def _steps(power: int) -> list[int]:
    """Factors below 2^32 whose product is 10^power; none for a power below 1."""
    return [10 ** min(_STEP, power - done) for done in range(0, power, _STEP)]


def _times(digits: Digits, factor: int) -> Digits:
    """Grows by one digit, so nothing can overflow; a highest digit of zeros is dropped again."""
    result: Digits = []
    carry = np.zeros(len(digits[0]), np.uint64)
    for digit in digits:
        carry = digit * np.uint64(factor) + carry
        result.append(carry & _LOW)
        carry = carry >> _HALF
    return [*result, carry] if carry.any() else result


def _divided(digits: Digits, divisor: int) -> tuple[Digits, npt.NDArray[np.uint64]]:
    """The quotient and the rest."""
    result: Digits = []
    rest = np.zeros(len(digits[0]), np.uint64)
    for digit in reversed(digits):
        part = rest << _HALF | digit
        quotient = part // np.uint64(divisor)
        rest = part - quotient * np.uint64(divisor)
        result.append(quotient)
    return result[::-1], rest


def _refused(column: Column, index: int, places: int) -> InputError:
    problem = _problem(column.value(index), places)
    say = column.accuse if problem is NEGATIVE else column.refuse
    return say(index, problem)


def _problem(value: str | int | Decimal | None, places: int) -> str:
    """Why one value that was refused is no amount, and what to do: slow, exact, one row only."""
    if value is None:
        return "is missing; write 0 for an account that holds nothing"
    text = value if isinstance(value, str) else format(Decimal(value), "f")
    plain = _PLAIN.fullmatch(text)
    if not text:
        return "is an empty cell; write 0 for an account that holds nothing"
    if plain is None or (plain[1] and not text.strip("-0.")):
        return "is no plain number; write it like 1250 or 0.5, without sign, exponent or spaces"
    if plain[1]:
        return NEGATIVE
    fraction = (plain[2] or "") if isinstance(value, str) else (plain[2] or "").rstrip("0")
    if len(fraction) > places:
        return (
            f"has {len(fraction)} digits after the point where {places} are allowed, and is "
            "never rounded; store the exact amount, or check units and the policy's decimals"
        )
    return "reaches 2^128 base units; check units and the policy's decimals"
