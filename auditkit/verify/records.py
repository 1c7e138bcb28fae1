"""The records inside statements (SPEC.md §5): ledgers, pools, marks."""

from dataclasses import dataclass
from typing import Any

from auditkit.verify import elements as e
from auditkit.verify.elements import Record, element, list_of, one_of, record
from auditkit.verify.errors import Malformed
from auditkit.verify.sumtree import EMPTY


@dataclass(frozen=True, slots=True)
class Ledger(Record):
    """A committed ledger: its book, leaf count, root sum in base units, root hash."""

    book: str = element(e.BOOK)
    accounts: int = element(e.COUNT)
    total: int = element(e.AMOUNT)
    root: bytes = element(e.HASH)

    def __post_init__(self) -> None:
        empty = (self.total, self.root) == (EMPTY.sum, EMPTY.hash)
        if self.accounts == 0 and not empty:
            raise Malformed("a ledger of 0 accounts has total 0 and the empty root")


def ledger_of(book: e.Element[str]) -> e.Element[Any]:
    """A ledger whose book is of one spelling only."""

    def read(value: object) -> Ledger:
        ledger = Ledger.read(value)
        e.within("book", book, ledger.book)
        return ledger

    return e.Element(read, lambda ledger: ledger.write())


CUSTOMER_LEDGER = ledger_of(e.CUSTOMER_BOOK)


@dataclass(frozen=True, slots=True)
class Pool(Record):
    """An insurance fund's pool: its asset, and the floor in base units it is never drawn below."""

    asset: str = element(e.ASSET)
    floor: int = element(e.AMOUNT)


@dataclass(frozen=True, slots=True)
class Credit(Record):
    """One credit to a pool."""

    amount: int = element(e.AMOUNT)
    kind: str = element(
        one_of("liquidation_surplus", "liquidation_fee", "operator_injection", "correction")
    )


@dataclass(frozen=True, slots=True)
class Debit(Record):
    """One debit of a pool."""

    amount: int = element(e.AMOUNT)
    kind: str = element(one_of("draw", "correction"))


@dataclass(frozen=True, slots=True)
class PoolRow(Record):
    """One pool's interval in a fund entry, in base units."""

    pool: str = element(e.NAME)
    opening: int = element(e.AMOUNT)
    credits: tuple[Credit, ...] = element(list_of(record(Credit)))
    debits: tuple[Debit, ...] = element(list_of(record(Debit)))
    closing: int = element(e.AMOUNT)
    open_interest: int = element(e.AMOUNT)


@dataclass(frozen=True, slots=True)
class Source(Record):
    """One source's price of a contract."""

    name: str = element(e.NAME)
    price: str = element(e.PRICE)


@dataclass(frozen=True, slots=True)
class Mark(Record):
    """A contract's mark price, and the sources whose median it is."""

    contract: str = element(e.NAME)
    mark: str = element(e.PRICE)
    sources: tuple[Source, ...] = element(list_of(record(Source), 1, lambda s: s.name))
