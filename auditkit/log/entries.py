"""The statement of an entry's exact bytes: the kernel's, and for the fund's a faster way to it.

There are hundred thousands of fund entries in a few months. What an expression
of the canonical text matches in full is read here; everything else is left to
`verify.statements.parse`, which alone refuses. A property test holds the two to
each other.
"""

import re
from functools import lru_cache

from auditkit.verify import elements as e
from auditkit.verify.errors import Malformed
from auditkit.verify.history import MAX_ENTRY_BYTES
from auditkit.verify.records import Credit, Debit, PoolRow
from auditkit.verify.statements import Fund, Statement, parse

CREDITS = ("liquidation_surplus", "liquidation_fee", "operator_injection", "correction")
DEBITS = ("draw", "correction")

# Up to 38 digits are below 2^128, whatever they are.
_AMOUNT = "(?:0|[1-9][0-9]{0,37})"


def _moves(kinds: tuple[str, ...]) -> str:
    move = rf'\{{"amount":"{_AMOUNT}","kind":"(?:{"|".join(kinds)})"\}}'
    return rf"\[((?:{move}(?:,{move})*)?)\]"


_ENTRY = re.compile(
    rb'\{"format":"auditkit/fund/1","pools":\[(.*)\],'
    rb'"seq":(0|[1-9][0-9]{0,14}),"time":"([^"]*)","venue":"([^"]*)"\}'
)
_ROW = re.compile(
    (
        rf'\{{"closing":"({_AMOUNT})","credits":{_moves(CREDITS)},"debits":{_moves(DEBITS)},'
        rf'"open_interest":"({_AMOUNT})","opening":"({_AMOUNT})","pool":"([^"]*)"\}}(,|\Z)'
    ).encode()
)
_MOVE = re.compile(rb'"amount":"([0-9]*)","kind":"([a-z_]*)"')
_name = lru_cache(1024)(lambda text: e.NAME.read(text.decode("ascii")))
_venue = lru_cache(8)(lambda text: e.VENUE.read(text.decode("ascii")))


def read_statement(entry: bytes) -> Statement:
    """The statement of an entry's exact bytes. Raises Malformed or Unsupported."""
    if not entry.isascii():
        raise Malformed("not canonical: only printable ASCII without backslash")
    return parse(entry.decode("ascii"))


def read_entry(entry: bytes) -> Statement:
    """The same, fast where the entry is the fund's."""
    match = _ENTRY.fullmatch(entry)
    if match and len(entry) <= MAX_ENTRY_BYTES:
        try:
            rows = _rows(match[1])
            if rows is not None:
                time = e.TIME.read(match[3].decode("ascii"))
                return Fund(_venue(match[4]), int(match[2]), time, rows)
        except (Malformed, UnicodeDecodeError):
            pass  # The kernel says what is wrong, in its own words.
    return read_statement(entry)


def _rows(text: bytes) -> tuple[PoolRow, ...] | None:
    """The rows; None where the text is not rows in order and nothing else."""
    rows: list[PoolRow] = []
    at = 0
    while at < len(text):
        match = _ROW.match(text, at)
        if match is None or (match[7] == b"") != (match.end() == len(text)):
            return None
        credits = tuple(Credit(int(a), k.decode()) for a, k in _MOVE.findall(match[2]))
        debits = tuple(Debit(int(a), k.decode()) for a, k in _MOVE.findall(match[3]))
        row = PoolRow(_name(match[6]), int(match[5]), credits, debits, int(match[1]), int(match[4]))
        if rows and rows[-1].pool >= row.pool:
            return None
        rows.append(row)
        at = match.end()
    return tuple(rows)
