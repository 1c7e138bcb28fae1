"""The statements of the history log (SPEC.md §5): one frozen dataclass a kind.

Parsing is the constructor: `parse` reads the exact bytes of an entry, and what
one statement breaks by itself is Malformed. What must hold between statements
is in `chains.py` and `events.py`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import ClassVar

from auditkit.verify import elements as e
from auditkit.verify.elements import Record, element, list_of, map_of, one_of, record
from auditkit.verify.errors import Malformed, Unsupported, show
from auditkit.verify.history import MAX_ENTRY_BYTES
from auditkit.verify.note import VerifierKey
from auditkit.verify.records import CUSTOMER_LEDGER, Ledger, Mark, Pool, PoolRow, ledger_of
from auditkit.verify.sharing import RULE
from auditkit.verify.strictjson import check_canonical, dumps, loads

ADL_RANKS = ("pnl-times-leverage", "profit-desc-leverage-asc")
# Rules that a reader must know to judge a statement, by the field that names them.
KNOWN_RULES = {
    "rule": (RULE,),
    "mark_rule": ("median",),
    "adl_rank": ADL_RANKS,
    "rank": ADL_RANKS,
}
_RANK = one_of(*ADL_RANKS)
_RULE = one_of(RULE)


def _require(holds: bool, what: str) -> None:
    if not holds:
        raise Malformed(what)


@dataclass(frozen=True, slots=True)
class Statement(Record):
    """What every statement says: its venue, its index in the log, its time in milliseconds."""

    kind: ClassVar[str] = ""

    venue: str = element(e.VENUE)
    seq: int = element(e.COUNT)
    time: int = element(e.TIME)

    def encode(self) -> str:
        """The canonical text: the log entry's bytes, in ASCII."""
        # No zero-argument super() in a slotted dataclass: the class is built twice.
        return dumps({"format": self.name(), **Record.write(self)})

    @classmethod
    def name(cls) -> str:
        """The name of the format, as the statement spells it."""
        return f"auditkit/{cls.kind}/1"


@dataclass(frozen=True, slots=True)
class Policy(Statement):
    """The venue's signed rules, from its seq until the next policy."""

    kind: ClassVar[str] = "policy"
    assets: Mapping[str, int] = element(map_of(e.ASSET, e.DECIMALS))
    books: tuple[str, ...] = element(list_of(e.CUSTOMER_BOOK, by=lambda book: book))
    book: str = element(e.CUSTOMER_BOOK)
    pools: Mapping[str, Pool] = element(map_of(e.NAME, record(Pool)))
    waterfall: tuple[str, ...] = element(list_of(one_of("adl", "draw")))
    adl_rank: str = element(_RANK)
    rule: str = element(_RULE)
    mark_rule: str = element(one_of("median"))
    deadline_ms: int = element(e.COUNT)
    snapshot_interval_ms: int = element(e.COUNT)
    fund_interval_ms: int = element(e.COUNT)
    fund_history_days: int = element(e.COUNT)
    oi_window_days: int = element(e.COUNT)
    oi_threshold: tuple[int, int] = element(list_of(e.COUNT))

    def __post_init__(self) -> None:
        _require(self.book in self.books, "the sharing book is not one of the books")
        for name, pool in self.pools.items():
            _require(pool.asset in self.assets, f"pool {name} is of an asset that is not listed")
        _require(len(set(self.waterfall)) == len(self.waterfall), "a stage stands twice")
        ratio = self.oi_threshold
        _require(
            len(ratio) == 2 and 0 < ratio[0] <= ratio[1], "oi_threshold is not a ratio up to 1"
        )


@dataclass(frozen=True, slots=True)
class Index(Statement):
    """The last entry of every checkpoint: the last statement of every asset's chain."""

    kind: ClassVar[str] = "index"
    latest: Mapping[str, int] = element(map_of(e.ASSET, e.COUNT))
    policy: int = element(e.COUNT)


@dataclass(frozen=True, slots=True)
class Fund(Statement):
    """Every pool's balance and what moved it since the last fund entry."""

    kind: ClassVar[str] = "fund"
    pools: tuple[PoolRow, ...] = element(list_of(record(PoolRow), by=lambda row: row.pool))


@dataclass(frozen=True, slots=True)
class Key(Statement):
    """A change of the venue's key: both sign up to size `retire`, then only the new one."""

    kind: ClassVar[str] = "key"
    new: VerifierKey = element(e.Element(lambda v: _vkey(v), str))
    old: VerifierKey = element(e.Element(lambda v: _vkey(v), str))
    retire: int = element(e.COUNT)

    def __post_init__(self) -> None:
        _require(self.new.name == self.old.name == self.venue, "a key of another venue")
        _require(self.new != self.old, "the new key is the old one")
        _require(self.retire >= self.seq + 2, "the old key retires before this entry is covered")


def _vkey(value: object) -> VerifierKey:
    _require(isinstance(value, str), "not a verifier key")
    return VerifierKey.parse(str(value))


@dataclass(frozen=True, slots=True)
class AssetStatement(Statement):
    """A link of one asset's chain. `previous` is its own seq if it is the first."""

    asset: str = element(e.ASSET)
    policy: int = element(e.COUNT)
    previous: int = element(e.COUNT)

    def ledgers_shown(self) -> Mapping[str, Ledger]:
        """The ledgers this statement commits to, by book."""
        values = [getattr(self, f.name) for f in fields(self)]
        lists = [value if isinstance(value, tuple) else (value,) for value in values]
        return {x.book: x for items in lists for x in items if isinstance(x, Ledger)}


@dataclass(frozen=True, slots=True)
class Snapshot(AssetStatement):
    """The balances of one asset, by book, as of a time."""

    kind: ClassVar[str] = "snapshot"
    as_of: int = element(e.TIME)
    ledgers: tuple[Ledger, ...] = element(list_of(CUSTOMER_LEDGER, by=lambda ledger: ledger.book))

    def __post_init__(self) -> None:
        _require(self.as_of <= self.time, "as_of is later than the statement")


@dataclass(frozen=True, slots=True)
class Run(AssetStatement):
    """A statement of one event's run."""

    event: str = element(e.NAME)


@dataclass(frozen=True, slots=True)
class Deficit(Run):
    """What bankrupt accounts are short, and the marks it was found at."""

    kind: ClassVar[str] = "deficit"
    pool: str = element(e.NAME)
    confirmed: int = element(e.TIME)
    marks: tuple[Mark, ...] = element(list_of(record(Mark), 1, lambda mark: mark.contract))
    ledger: Ledger = element(ledger_of(one_of("deficit")))


@dataclass(frozen=True, slots=True)
class Adl(Run):
    """The stage that closes profitable positions, and what each account absorbed."""

    kind: ClassVar[str] = "adl"
    rank: str = element(_RANK)
    candidates: int = element(e.COUNT)
    exhausted: bool = element(e.BOOL)
    ledger: Ledger = element(ledger_of(one_of("adl")))

    def __post_init__(self) -> None:
        _require(self.candidates >= self.ledger.accounts, "fewer candidates than accounts closed")


@dataclass(frozen=True, slots=True)
class Draw(Run):
    """The stage that draws on the insurance fund's pool."""

    kind: ClassVar[str] = "draw"
    pool: str = element(e.NAME)
    before: int = element(e.AMOUNT)
    drawn: int = element(e.AMOUNT)
    after: int = element(e.AMOUNT)


@dataclass(frozen=True, slots=True)
class Loss(Run):
    """What is left to share, and the ledger that shares it."""

    kind: ClassVar[str] = "loss"
    rule: str = element(_RULE)
    before: Ledger = element(CUSTOMER_LEDGER)
    socialized: int = element(e.AMOUNT)
    residual: int = element(e.AMOUNT)


@dataclass(frozen=True, slots=True)
class Applied(Run):
    """The sharing ledger restated with nothing but the loss's or recovery's effect."""

    kind: ClassVar[str] = "applied"
    after: Ledger = element(CUSTOMER_LEDGER)


@dataclass(frozen=True, slots=True)
class Recovery(Run):
    """Money that came back, returned along a loss's shares."""

    kind: ClassVar[str] = "recovery"
    loss: int = element(e.COUNT)
    earlier: tuple[int, ...] = element(list_of(e.AMOUNT))
    recovered: int = element(e.AMOUNT)
    before: Ledger = element(CUSTOMER_LEDGER)

    def __post_init__(self) -> None:
        _require(self.loss < self.seq, "a recovery of a loss that is not lower in the log")


KINDS: Mapping[str, type[Statement]] = {
    kind.name(): kind
    for kind in (Policy, Index, Snapshot, Fund, Deficit, Adl, Draw, Loss, Applied, Recovery, Key)
}


def check_supported(text: str) -> None:
    """Raises Unsupported if the statement's format or one of its rules is unknown.

    Text that is no JSON object at all passes: it is for `parse` to refuse.
    """
    try:
        value = loads(text)
    except Malformed:
        return
    _check_known(value)


def _check_known(value: object) -> None:
    if not isinstance(value, dict) or not isinstance(name := value.get("format"), str):
        return
    if name not in KINDS:
        raise Unsupported("a statement of a format this version does not know", found=name)
    for rule in KNOWN_RULES.keys() & {f.name for f in fields(KINDS[name])}:
        known = KNOWN_RULES[rule]
        if isinstance(given := value.get(rule), str) and given not in known:
            raise Unsupported(f"an unknown {rule}", expected=" or ".join(known), found=given)


def parse(text: str) -> Statement:
    """The statement whose canonical text this is. Raises Malformed or Unsupported."""
    _require(len(text) <= MAX_ENTRY_BYTES, f"an entry of more than {MAX_ENTRY_BYTES} bytes")
    value = loads(text)
    _check_known(value)
    check_canonical(text, value)
    name = value.pop("format", None) if isinstance(value, dict) else None
    if not isinstance(name, str) or name not in KINDS:
        raise Malformed("not a statement", found=show(name))
    return KINDS[name].read(value)
