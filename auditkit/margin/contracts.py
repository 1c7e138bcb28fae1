"""Contracts, linear and inverse: profit, value and bankruptcy price, as exact fractions.

Prices are quoted in any currency; profit and value are in base units of the
asset that the contract is settled in. Sides are +1 for long and -1 for short.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import numpy.typing as npt

from auditkit.errors import InputError, place, shown
from auditkit.ledger.cells import Column
from auditkit.margin.signed import integers
from auditkit.verify.elements import NAME
from auditkit.verify.errors import Malformed

COLUMNS = ("contract", "kind", "multiplier", "settlement", "maintenance_margin")
SIDES = {"long": 1, "short": -1}
NO_SIDE = 'is no side; write "long" or "short"'
PLACES = 18
"""The digits after the point that a size, an entry or a multiplier may have."""

Numbers = npt.NDArray[np.int64]
_KINDS = {"linear": 0, "inverse": 1}
_PRICE_DIGITS = 40  # Those of a price in a statement (SPEC.md §1).
_RATIO_DIGITS = 1000  # Python itself refuses to read or write integers of 4300.
_RATIO_LIMIT = 10**_RATIO_DIGITS
_RATIO = re.compile(r"([1-9][0-9]*)/([1-9][0-9]*)", re.ASCII)
_NAME_RULE = "up to 64 letters, digits and . _ : - of which the first is a letter or digit"
_DECIMAL = re.compile(r"(?:0|[1-9][0-9]*)(?:\.[0-9]+)?", re.ASCII)


@dataclass(frozen=True, slots=True)
class Contract:
    """One contract.

    `unit` is what a contract of size 1 moves by, in base units of `asset` (the
    multiplier times 10^decimals); `maintenance` is the share of a position's
    value that is its margin. Without a `pool` it belongs to every pool's event.
    """

    name: str
    inverse: bool
    asset: str
    unit: Fraction
    maintenance: Fraction
    pool: str | None

    def profit(self, side: int, size: Fraction, entry: Fraction, price: Fraction) -> Fraction:
        """What a position has won at `price`, in base units; negative for a loss."""
        gain = 1 / entry - 1 / price if self.inverse else price - entry
        return self.unit * side * size * gain

    def value(self, size: Fraction, price: Fraction) -> Fraction:
        """What a position is worth at `price`, in base units."""
        return self.unit * size / price if self.inverse else self.unit * size * price

    def bankruptcy_price(
        self, side: int, size: Fraction, mark: Fraction, equity: Fraction
    ) -> Fraction | None:
        """The price at which a position loses exactly the `equity` that it has at the mark.

        `equity` is in base units, and negative for a bankrupt position. None
        if no price above 0 does that.
        """
        change = side * equity / (self.unit * size)
        found = 1 / mark + change if self.inverse else mark - change
        if found <= 0:
            return None
        return 1 / found if self.inverse else found


def price_text(price: Fraction) -> str:
    """A price above 0 as exact text: a decimal of at most 40 digits, or else "n/d".

    Only where n or d has over 1,000 digits, as the bankruptcy price of an
    account with hundreds of inverse positions may have, it is the decimal cut
    off after 40 digits.
    """
    over, under = price.numerator, price.denominator
    if max(over, under) >= _RATIO_LIMIT:
        places = max(0, _PRICE_DIGITS - len(str(over // under)))
        return decimal_text(over * 10**places // under, places)
    # One digit at least is before the point.
    scaled = price * 10 ** (_PRICE_DIGITS - 1)
    text = decimal_text(int(scaled), _PRICE_DIGITS - 1)
    exact = scaled.denominator == 1 and len(text.replace(".", "")) <= _PRICE_DIGITS
    return text if exact else f"{over}/{under}"


def decimal_text(units: int, places: int) -> str:
    """So many units of 10^-places, without zeros at the end."""
    whole, fraction = divmod(units, 10**places)
    return f"{whole}.{fraction:0{places}d}".rstrip("0").rstrip(".")


def parse_price(text: str, where: str) -> Fraction:
    """The price above 0 that a decimal or "n/d" says; zeros may end a decimal.

    Raises InputError, which begins with `where`, for anything else.
    """
    ratio = _RATIO.fullmatch(text)
    if max(map(len, text.split("/"))) <= _RATIO_DIGITS:
        if ratio:
            return Fraction(int(ratio[1]), int(ratio[2]))
        if _DECIMAL.fullmatch(text) and (price := Fraction(text)) > 0:
            return price
    raise InputError(
        f"{where}: {shown(text)} is no price; write a number above 0 such as 7407.41, "
        "or the exact fraction such as 200000/27"
    )


def load_contracts(
    tables: Iterable[Mapping[str, Column]], decimals: Mapping[str, int]
) -> tuple[Contract, ...]:
    """The contracts of some tables, by name; columns are by our names, `pool` may be left out.

    `decimals` has every asset of the policy. Raises InputError.
    """
    found: dict[str, tuple[Contract, str]] = {}
    for table in tables:
        column = table["contract"]
        for row, contract in enumerate(_contracts(table, decimals)):
            if contract.name in found:
                where = found[contract.name][1]
                raise column.refuse(row, f"is already in {where}; one row a contract")
            found[contract.name] = contract, f"row {column.row(row)} of {place(column.path)}"
    return tuple(found[name][0] for name in sorted(found))


def _contracts(table: Mapping[str, Column], decimals: Mapping[str, int]) -> Iterator[Contract]:
    titles = names(table["contract"])
    kinds = codes(table["kind"], _KINDS, 'is no kind; write "linear" or "inverse"')
    assets = list(decimals)
    settled = codes(table["settlement"], *policy_assets(decimals))
    multipliers = _above_0(table["multiplier"])
    margins = _above_0(table["maintenance_margin"], most=1)
    pools = names(table["pool"], empty=True) if "pool" in table else [""] * len(titles)
    for row, asset in enumerate(assets[code] for code in settled):
        unit = multipliers[row] * 10 ** decimals[asset]
        inverse, pool = bool(kinds[row]), pools[row] or None
        yield Contract(titles[row], inverse, asset, unit, margins[row], pool)


def policy_assets(decimals: Mapping[str, int]) -> tuple[dict[str, int], str]:
    """The number of each asset of the policy, and why another one is refused."""
    problem = f"is not in the policy, whose assets are {', '.join(sorted(decimals))}"
    return {asset: number for number, asset in enumerate(decimals)}, problem


def codes(column: Column, known: Mapping[str, int], problem: str) -> Numbers:
    """The number that each word of a column stands for, shape (n,). InputError for others."""
    if not len(column):
        return np.empty(0, np.int64)
    column.require_values("every row needs one")
    if not column.is_text:
        raise column.refuse_type("store names as text")
    encoded = column.data.dictionary_encode()
    numbers = {name.encode(): number for name, number in known.items()}
    found = [numbers.get(word) for word in encoded.dictionary.cast("large_binary").to_pylist()]
    indices: Numbers = encoded.indices.to_numpy()
    if None in found:
        unknown = np.array([number is None for number in found])[indices]
        raise column.refuse(int(np.argmax(unknown)), problem)
    return np.array(found, np.int64)[indices]


def words(column: Column, empty: bool = False) -> list[str]:
    """The values of a column of text; with `empty` a value may be missing, and is "" then."""
    if not column.is_text and column.data.null_count < len(column):
        raise column.refuse_type("store names as text")
    if not empty:
        column.require_values("every row needs one")
    raw = column.data.cast("large_binary").to_pylist()
    return [(word or b"").decode("utf-8", "backslashreplace") for word in raw]


def names(column: Column, empty: bool = False) -> list[str]:
    """The values of a column of names; with `empty`, "" is one too."""
    found = words(column, empty)
    for index, word in enumerate(found):
        try:
            if word or not empty:
                NAME.read(word)
        except Malformed as error:
            raise column.refuse(index, f"is {error.what}; allowed are {_NAME_RULE}") from None
    return found


def _above_0(column: Column, most: int | None = None) -> list[Fraction]:
    found = [Fraction(units, 10**PLACES) for units in integers(column, PLACES)]
    for index, value in enumerate(found):
        if not value or (most is not None and value > most):
            bounds = "above 0" if most is None else f"above 0 and at most {most}"
            raise column.refuse(index, f"is out of bounds; it must be {bounds}")
    return found
