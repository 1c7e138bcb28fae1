"""Entries in bulk are read exactly as the kernel reads them, only faster."""

from typing import Any

from fund.cases_fund import BTC, FEE, FundVenue
from hypothesis import given
from hypothesis import strategies as st
from reference import canonical, clock
from venue import START

from auditkit.log.entries import CREDITS, DEBITS, read_entry, read_statement
from auditkit.verify.errors import NotVerified
from auditkit.verify.statements import Fund, Statement

_NAMES = st.sampled_from(["A", "BTC", "b-2", "_", "a b", "\u00e9", "x" * 64, "x" * 65])
_UNITS = st.one_of(
    st.integers(-1, 10**9), st.sampled_from([2**128 - 1, 2**128, 10**37, 10**38 - 1, 10**38])
)


@st.composite
def moves(draw: st.DrawFn, kinds: tuple[str, ...]) -> list[dict[str, str]]:
    found = draw(st.lists(st.tuples(_UNITS, st.sampled_from([*kinds, "gift"])), max_size=2))
    return [{"amount": str(amount), "kind": kind} for amount, kind in found]


@st.composite
def entries(draw: st.DrawFn) -> bytes:
    """Entries of a fund, nearly all of which the kernel reads, and what becomes of them."""
    said = {
        "format": "auditkit/fund/1",
        "venue": draw(st.sampled_from(["exchange.example/audit", "X", "a"])),
        "seq": draw(st.sampled_from([0, 7, 10**14, 2**53 - 1, 2**53])),
        "time": draw(st.sampled_from([clock(START), "2025-02-29T00:00:00.000Z", "now"])),
        "pools": [
            {
                "pool": draw(_NAMES),
                "opening": str(draw(_UNITS)),
                "credits": draw(moves(CREDITS)),
                "debits": draw(moves(DEBITS)),
                "closing": str(draw(_UNITS)),
                "open_interest": str(draw(_UNITS)),
            }
            for _ in range(draw(st.integers(0, 3)))
        ],
    }
    entry = canonical(said).encode()
    if draw(st.booleans()):
        place, size = draw(st.integers(0, len(entry))), draw(st.integers(0, 2))
        put = draw(st.sampled_from([b"", b"0", b",", b"{", b'"', b"\\", b" ", b"\xc3", b"[]"]))
        entry = entry[:place] + put + entry[place + size :]
    return entry


def told(entry: bytes, read: Any) -> Statement | tuple[type[NotVerified], str]:
    try:
        found: Statement = read(entry)
    except NotVerified as error:
        return type(error), str(error)
    return found


@given(entries())
def test_entries_in_bulk_are_read_as_the_kernel_does(entry: bytes) -> None:
    assert told(entry, read_entry) == told(entry, read_statement)


def test_every_edit_of_an_entry_is_read_as_the_kernel_does() -> None:
    venue = FundVenue(pools=BTC | {"side": ("BTC", 0)})
    venue.minute(1, 70, BTC=[("liquidation_fee", 5), ("correction", -4)], side=FEE)
    entry = venue.entries[1]
    assert isinstance(read_entry(entry), Fund)
    for place in range(len(entry)):
        for put in (b"", b"0", b"}", b"]", b","):
            for edited in (entry[:place] + put + entry[place + size :] for size in (0, 1)):
                assert told(edited, read_entry) == told(edited, read_statement)
