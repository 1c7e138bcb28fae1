"""Amounts as people write them: natural units of an asset to base units and back, exactly."""

import re

from auditkit.errors import InputError
from auditkit.verify.elements import AMOUNT_LIMIT

_NATURAL = re.compile(r"(0|[1-9][0-9]*)(?:\.([0-9]+))?", re.ASCII)


def parse_amount(text: object, decimals: int, where: str) -> int:
    """Base units from text such as `1.25` of an asset with `decimals` digits.

    Raises InputError on anything else: more digits, signs, exponents, numbers
    that are no text (a float cannot hold an amount).
    """
    match = _NATURAL.fullmatch(text) if isinstance(text, str) else None
    if match is None:
        raise InputError(
            f'{where}: {text!r:.60} is not an amount; write it as text, such as "1.25"'
        )
    whole, fraction = match[1], match[2] or ""
    if len(fraction) > decimals:
        raise InputError(
            f"{where}: {text!r:.60} has more than {decimals} decimals; "
            "amounts are refused, never rounded"
        )
    if len(whole) > 39 or (units := int(whole + fraction.ljust(decimals, "0"))) >= AMOUNT_LIMIT:
        raise InputError(f"{where}: {text!r:.60} reaches 2^128 base units")
    return units


def format_amount(units: int, decimals: int) -> str:
    """Natural units with all their decimals, grouped by thousands: `1,234.50000000`."""
    whole, fraction = divmod(units, 10**decimals)
    return f"{whole:,}" + (f".{fraction:0{decimals}d}" if decimals else "")
