"""The list of positions that deleveraging closed against bankrupt ones, in order.

    bankrupt,contract,side,account,size,price,absorbed
    mallory,BTC-PERP,long,alice,0.25,200000/27,0.00135

`side` is the bankrupt position's; `account` held the other one. Size and what
was absorbed are in natural units; the price is the bankruptcy price, exact.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

import pyarrow as pa

from auditkit.errors import place, shown
from auditkit.ledger.cells import Column
from auditkit.ledger.tables import read_columns
from auditkit.margin.columns import named
from auditkit.margin.contracts import (
    NO_SIDE,
    PLACES,
    SIDES,
    codes,
    decimal_text,
    names,
    parse_price,
    words,
)
from auditkit.margin.signed import integers

COLUMNS = ("bankrupt", "contract", "side", "account", "size", "price", "absorbed")

_WORDS = {side: word for word, side in SIDES.items()}


@dataclass(frozen=True, slots=True)
class Closing:
    """One closing: `size` of a position of `account` against the bankrupt one.

    `side` is the bankrupt position's, +1 for long; `size` is in units of
    1 / SCALE, `absorbed` in base units, `price` is text as `price_text` has it.
    """

    bankrupt: str
    contract: str
    side: int
    account: str
    size: int
    price: str
    absorbed: int


def write(closings: Iterable[Closing], decimals: int) -> bytes:
    """The list as CSV, in their order; `decimals` are the asset's."""
    lines = [",".join(COLUMNS), *(_line(closing, decimals) for closing in closings)]
    return "".join(f"{line}\n" for line in lines).encode("ascii")


def _line(closing: Closing, decimals: int) -> str:
    return ",".join(
        (
            _cell(closing.bankrupt),
            closing.contract,
            _WORDS[closing.side],
            _cell(closing.account),
            decimal_text(closing.size, PLACES),
            closing.price,
            decimal_text(closing.absorbed, decimals),
        )
    )


def _cell(account: str) -> str:
    """Of what a name may hold, only a comma means something in CSV."""
    return f'"{account}"' if "," in account else account


def read(path: Path, decimals: int) -> list[Closing]:
    """The closings of a table with these columns alone, in its order. Raises InputError.

    Prices may be rounded decimals, where the exchange's own engine wrote them.
    """
    table = read_columns(path, COLUMNS, alone=True)
    size = table["size"]
    sizes = integers(size, PLACES).tolist()
    if not all(sizes):
        raise size.refuse(sizes.index(0), "is nothing; leave out what was not closed")
    columns = (
        _accounts(table["bankrupt"]),
        names(table["contract"]),
        codes(table["side"], SIDES, NO_SIDE).tolist(),
        _accounts(table["account"]),
        sizes,
        _prices(table["price"]),
        integers(table["absorbed"], decimals).tolist(),
    )
    return [Closing(*row) for row in zip(*columns, strict=True)]


def _accounts(column: Column) -> list[str]:
    known, codes = named(column)
    found = [name.decode("ascii") for name in known.to_pylist()]
    return [found[code] for code in codes.tolist()]


def _prices(column: Column) -> list[str]:
    if column.is_text or not len(column):
        found = words(column)
    elif pa.types.is_decimal(column.data.type) or pa.types.is_integer(column.data.type):
        column.require_values("every row needs one")
        found = [format(Decimal(value), "f") for value in column.data.to_pylist()]
    else:
        raise column.refuse_type("store prices as text or decimal")
    read: set[str] = set()
    for index, text in enumerate(found):
        if text not in read:
            where = f"{place(column.path)}: row {column.row(index)}, column {shown(column.name)}"
            parse_price(text, where)
            read.add(text)
    return found
