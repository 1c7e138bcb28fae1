"""S1: accounts drawn from the venue's own tables are in the signed ledgers, with their balances.

The sample is the `count` accounts with money whose SHA-256(seed || 0x00 ||
account) is smallest, the seed in UTF-8. Anybody who knows the seed can draw it
again; the venue must not know it before its ledgers are signed.
"""

import tempfile
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from hashlib import sha256
from heapq import nsmallest
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from auditkit.audit.findings import Finding, Missing, decided, finding
from auditkit.audit.handover import Faulty
from auditkit.audit.ledgers import Stated
from auditkit.errors import InputError
from auditkit.ledger.builder import build
from auditkit.ledger.columns import Balances, integers
from auditkit.ledger.store import Ledger as StoredLedger
from auditkit.money import format_amount
from auditkit.verify.errors import Refuted
from auditkit.verify.records import Ledger
from auditkit.verify.sumtree import Node

FRACTIONS = (100, 1000, 10000)
"""A report says how likely a sample of that size is to catch one in so many accounts left out."""

_Proven = Mapping[str, Mapping[bytes, int]]
"""Base units by book and account."""

_PLACES = 4
_PRECISION = 10**60


@decided("S1")
def s1(about: Stated, count: int, seed: str) -> Finding:
    """`count` accounts of the books, each proven by its leaves' paths to the signed roots.

    Raises InputError unless count is above 0 and the seed is not empty.
    """
    if count < 1 or not seed:
        raise InputError("a sample needs a number of accounts above 0 and a seed")
    try:
        tables = about.tables()
    except Faulty:
        raise Missing("books without rows that no book may have (see A2)") from None
    population = _with_money(tables.values())
    if not population:
        raise Missing("an account with money in the books")
    drawn = draw(population, count, seed)
    everybody = len(drawn) == len(population)
    told = f"{len(drawn)} by the seed {seed}"
    if len(drawn) < count:
        told = f"all {len(drawn)}, fewer than the {count} asked"
    proven, missing = _proven(about, drawn)
    return finding(
        "S1",
        about.subject,
        compared=[
            ("accounts with money in the books", str(len(population))),
            ("drawn", told),
            *(
                (f"chance to catch 1 in {n} left out", chance(n, len(drawn)))
                for n in FRACTIONS
                if not everybody
            ),
        ],
        rows=_differing(about, tables, proven, drawn),
        missing=missing,
    )


def draw(population: Iterable[bytes], count: int, seed: str) -> list[bytes]:
    """The sample of `count` accounts, or all if there are not so many, by their hashes."""
    start = sha256(seed.encode("utf-8", "surrogateescape") + b"\0")

    def rank(account: bytes) -> bytes:
        digest = start.copy()
        digest.update(account)
        return digest.digest()

    return nsmallest(count, population, key=rank)


def chance(one_in: int, count: int) -> str:
    """1 - (1 - 1/one_in)^count in percent: an exact decimal, rounded down.

    Of accounts drawn without replacement the chance is at least that.
    """
    # What is missed is rounded up at every step, so the rest is never above the truth.
    missed, base = _PRECISION, _PRECISION - _PRECISION // one_in
    while count:
        if count & 1:
            missed = -(-missed * base // _PRECISION)
        base = -(-base * base // _PRECISION)
        count >>= 1
    whole, fraction = divmod((_PRECISION - missed) * 10 ** (2 + _PLACES) // _PRECISION, 10**_PLACES)
    return f"{whole}.{fraction:0{_PLACES}d} %"


def _differing(
    about: Stated, tables: Mapping[str, Balances], proven: _Proven, drawn: Sequence[bytes]
) -> list[dict[str, str]]:
    """The drawn accounts with another balance in the books than is proven, book by book."""
    asset, shown = about.statement.asset, about.statement.ledgers_shown()
    decimals = about.policy.assets[asset]
    rows = []
    for book in sorted(tables.keys() | proven.keys()):
        if book in shown and book not in proven:
            continue  # Not handed over, so it is missing and not different.
        held = _of(tables.get(book, Balances.of(())), drawn)
        for account in sorted(drawn):
            sides = {"books": held.get(account, 0), "proven": proven.get(book, {}).get(account, 0)}
            if sides["books"] != sides["proven"]:
                texts = {k: f"{format_amount(v, decimals)} {asset}" for k, v in sides.items()}
                rows.append({"account": account.decode("ascii"), "book": book, **texts})
    return rows


def _with_money(tables: Iterable[Balances]) -> list[bytes]:
    """Every account that holds something in any of the books, once."""
    held = [t.accounts.filter(pa.array(t.amounts.any(axis=1), pa.bool_())) for t in tables]
    names = [accounts.cast(pa.large_binary()) for accounts in held]
    found: list[bytes] = pc.unique(pa.chunked_array(names, pa.large_binary())).to_pylist()
    return found


def _of(table: Balances, drawn: Sequence[bytes]) -> dict[bytes, int]:
    """What each drawn account has in a table."""
    here = pc.is_in(table.accounts, value_set=pa.array(drawn, pa.binary()))
    names = table.accounts.filter(here).to_pylist()
    amounts = integers(table.amounts[here.to_numpy(zero_copy_only=False)])
    found: dict[bytes, int] = {}
    for account, amount in zip(names, amounts, strict=True):
        found[account] = found.get(account, 0) + amount
    return found


def _proven(about: Stated, drawn: Sequence[bytes]) -> tuple[_Proven, list[str]]:
    """What is proven of each drawn account, by book, and what was not handed over for it."""
    found: dict[str, dict[bytes, int]] = {}
    missing = []
    for book, ledger in about.statement.ledgers_shown().items():
        try:
            rows = about.handover.opened(about.statement, book)
            found[book] = {}
            if len(rows):
                secret = about.handover.secret(about.statement.seq, book)
                found[book] = _balances(ledger, rows, secret, drawn)
        except Missing as error:
            missing.append(str(error))
    return found, missing


def _balances(
    ledger: Ledger, rows: Balances, secret: bytes, drawn: Sequence[bytes]
) -> dict[bytes, int]:
    """What the leaves of each account prove, climbed by the kernel to the signed root."""
    signed = Node(ledger.total, ledger.root)
    with tempfile.TemporaryDirectory(prefix="auditkit-") as folder:
        stored = build(Path(folder) / "ledger", rows, secret)
        return {account: _proves(stored, account.decode("ascii"), signed) for account in drawn}


def _proves(stored: StoredLedger, account: str, signed: Node) -> int:
    proven = 0
    for leaf in stored.leaves(account):
        with suppress(Refuted):
            proven += leaf.amount if leaf.root(account, stored.count) == signed else 0
    return proven
