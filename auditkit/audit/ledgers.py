"""A2: every ledger rebuilds from its rows and its secret, and is the venue's own tables."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from auditkit.audit.case import Case
from auditkit.audit.compare import Tally, differences
from auditkit.audit.findings import MAX_ROWS, Finding, Missing, decided, finding
from auditkit.audit.handover import Faulty, Handover, Rebuilt, accusing
from auditkit.audit.tables import Table
from auditkit.errors import InputError
from auditkit.ledger.books import Books, load_amount_list
from auditkit.ledger.columns import Balances, total
from auditkit.log.published import Log
from auditkit.money import format_amount
from auditkit.verify.elements import time_text
from auditkit.verify.records import Ledger
from auditkit.verify.statements import AssetStatement, Policy, Snapshot
from auditkit.verify.sumtree import EMPTY


@dataclass(frozen=True, slots=True)
class Stated:
    """One statement whose ledgers are looked at, and the venue's own tables of that moment.

    `books` is a books.toml, or None.
    """

    log: Log
    handover: Handover
    statement: AssetStatement
    policy: Policy
    books: Path | None = None

    @classmethod
    def find(cls, log: Log, seq: int, handover: Handover, books: Path | None) -> "Stated":
        """The statement at `seq`. Raises InputError if none with a ledger stands there."""
        found = log[seq] if 0 <= seq < len(log) else None
        if not isinstance(found, AssetStatement) or not found.ledgers_shown():
            kind = "not in the log" if found is None else f"a {found.kind} without a ledger"
            raise InputError(f"entry {seq} is {kind}; name a snapshot")
        policy = log.reader.policy(found.policy)
        if found.asset not in policy.assets:
            raise InputError(f"the policy {policy.seq} of entry {seq} has no asset {found.asset}")
        return cls(log, handover, found, policy, books)

    @property
    def subject(self) -> str:
        """The statement's name in a report."""
        return f"{self.statement.kind} {self.statement.seq}"

    def tables(self) -> dict[str, Balances]:
        """The venue's own tables by book, those of the statement's asset.

        Raises Missing without them or where they are of another time, Faulty
        for rows that books must not have, InputError for what cannot be read.
        """
        found: dict[str, Balances] = {}
        books, policy = self._books(), self.policy
        for book in policy.books:
            key = self.statement.asset, book
            with accusing(books.path.parent):
                loaded = books.load(policy.assets, policy.books, policy.book, only=key)
            found |= {book: loaded[key]} if key in loaded else {}
        return found

    def streams(self) -> dict[str, Table]:
        """The same tables, of which nothing is read yet: one for every book there may be.

        Raises Missing without them or where they are of another time, InputError.
        """
        books, asset = self._books(), self.statement.asset
        names = (*self.policy.books, *self.statement.ledgers_shown())
        return {name: Table.of_books(books, self.policy, (asset, name)) for name in names}

    def _books(self) -> Books:
        if self.books is None:
            raise Missing("books (a books.toml over the venue's own tables)")
        books, stated = Books.read(self.books), self.statement
        if isinstance(stated, Snapshot) and books.as_of not in (None, stated.as_of):
            as_of = time_text(stated.as_of)
            raise Missing(f"books as of {as_of} (those given are of another time)")
        return books


@decided("A2")
def a2(case: Case) -> Finding:
    """Every ledger of the event's run and of the snapshots it is held against.

    Where the event's file has lists, they are held against the ledgers too.
    """
    work = _Work(case.handover, case.asset, case.decimals)
    tables = _listed(case, work)
    snapshots = () if case.reference is None else case.snapshots()
    if case.reference is None:
        work.missing.append(f"a snapshot of {case.asset} before {case.subject}")
    for statement in (*reversed(snapshots), *case.run()):
        for book, ledger in statement.ledgers_shown().items():
            # Of the snapshots before the reference nothing but the sharing book has a part.
            if statement not in snapshots[1:] or book == case.policy.book:
                work.look(statement, ledger, tables.get((statement.seq, book)))
    return work.found(case.subject)


@decided("A2")
def a2_of(stated: Stated) -> Finding:
    """Every ledger of one statement; with books, row by row against the venue's own tables."""
    statement, shown = stated.statement, stated.statement.ledgers_shown()
    work = _Work(stated.handover, statement.asset, stated.policy.assets[statement.asset])
    tables: Mapping[str, Table] = {}
    if stated.books is not None:
        with work.noting("the books"):
            tables = stated.streams()
    for book, ledger in shown.items():
        work.look(statement, ledger, tables.get(book))
    for book in sorted(tables.keys() - shown.keys()):
        with work.noting("the books"):
            held = sum(total(rows.amounts) for rows in tables[book].rows())
            if held and isinstance(statement, Snapshot):
                name = f"{stated.subject}, book {book}"
                sides = {"signed": "no such ledger", "the venue's table": work.money(held)}
                work.rows.append({"ledger": name, "what": "total", **sides})
    return work.found(stated.subject)


def _listed(case: Case, work: "_Work") -> dict[tuple[int, str], Table]:
    """The tables that the event's file lists, by the ledger that was made of each."""
    lists = None if case.inputs is None else case.inputs.lists
    if lists is None:
        return {}
    found: dict[tuple[int, str], Table] = {}
    with work.noting(name := "the list of deficits"), accusing(lists.deficits.parent):
        short = load_amount_list(lists.deficits, case.decimals)
        found[case.deficit.seq, "deficit"] = Table.of_list(name, lists.deficits, short)
    if case.adl is not None:
        empty = Balances.of(())
        with work.noting(name := "the list of adl"), accusing(lists.deficits.parent):
            absorbed = load_amount_list(lists.adl, case.decimals) if lists.adl else empty
            found[case.adl.seq, "adl"] = Table.of_list(name, lists.deficits, absorbed)
    if case.loss is not None:
        key = case.asset, case.loss.before.book
        books = Books.read(lists.books)
        found[case.loss.seq, key[1]] = Table.of_books(books, case.policy, key)
    return found


@dataclass(slots=True)
class _Work:
    """What was found so far. `more` failing rows are counted and not kept."""

    handover: Handover
    asset: str
    decimals: int
    compared: list[tuple[str, str]] = field(default_factory=list)
    rows: list[dict[str, str]] = field(default_factory=list)
    more: int = 0
    missing: list[str] = field(default_factory=list)
    salted: dict[bytes, str] = field(default_factory=dict, repr=False)
    """The ledger that each secret was seen for first."""

    def money(self, units: int) -> str:
        return f"{format_amount(units, self.decimals)} {self.asset}"

    def found(self, subject: str) -> Finding:
        return finding(
            "A2",
            subject,
            compared=self.compared,
            rows=self.rows,
            failing=len(self.rows) + self.more,
            missing=self.missing,
        )

    @contextmanager
    def noting(self, name: str) -> Iterator[None]:
        """Inside, what is missing is noted, and what no ledger can be is a failing row."""
        try:
            yield
        except Missing as missing:
            self.missing.append(str(missing))
        except Faulty as error:
            row = {"ledger": name, "what": "rows", "found": str(error)}
            # Several books may be columns of the one table that is at fault.
            self.rows += [] if row in self.rows else [row]

    def look(self, statement: AssetStatement, ledger: Ledger, table: Table | None) -> None:
        """One ledger: what its rows lead to, then the rows themselves against a table."""
        name = f"{statement.kind} {statement.seq}, book {ledger.book}"
        with self.noting(name):
            rebuilt = self._rebuilt(statement, ledger)
            self._against_signed(name, ledger, rebuilt)
            if rebuilt.leaves:
                self._check_secret(name, self.handover.secret(statement.seq, ledger.book))
            if table is not None:
                key = statement.seq, ledger.book
                with self.noting(table.name):
                    handed = self.handover.rows(*key) if rebuilt.leaves else ()
                    self._against_table(name, handed, table)

    def _rebuilt(self, statement: AssetStatement, ledger: Ledger) -> Rebuilt:
        try:
            return self.handover.rebuilt(statement.seq, ledger)
        except Missing:
            if ledger.accounts:
                raise
            # A ledger without leaves needs no rows: nothing else has its root.
            return Rebuilt(0, EMPTY)

    def _against_signed(self, name: str, ledger: Ledger, rebuilt: Rebuilt) -> None:
        root = rebuilt.root
        sides = {
            "leaves": (str(ledger.accounts), str(rebuilt.leaves)),
            "total": (self.money(ledger.total), self.money(root.sum)),
            "root": (ledger.root.hex(), root.hash.hex()),
        }
        signed = ", ".join(f"{what} {of_log}" for what, (of_log, _) in sides.items())
        self.compared.append((name, signed))
        for what, (of_log, found) in sides.items():
            if of_log != found:
                row = {"ledger": name, "what": what, "signed": of_log, "found": found}
                self.rows.append(row)

    def _check_secret(self, name: str, secret: bytes) -> None:
        """Under one secret an account has the same salts twice, which tie its leaves together."""
        first = self.salted.setdefault(secret, name)
        if first != name:
            sides = {"signed": "one of its own", "found": f"that of {first}"}
            self.rows.append({"ledger": name, "what": "secret", **sides})

    def _against_table(self, name: str, rows: Iterable[Balances], table: Table) -> None:
        tally = Tally(table.rows())
        found = differences(rows, tally, MAX_ROWS)
        table.refuse_repeats(found.repeats)
        held = self.money(tally.units)
        self.compared.append((f"{name}, the venue's table", f"{tally.rows} rows, total {held}"))
        for account, handed, given in found.rows:
            row = {"ledger": name, "what": "amount", "account": account}
            sides = {"found": self.money(handed), "the venue's table": self.money(given)}
            self.rows.append(row | sides)
        self.more += max(0, found.count - MAX_ROWS)
