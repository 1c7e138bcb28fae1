"""A small exchange on disk: it writes its books and TOML files, and publishes them for real.

    exchange = Exchange(tmp_path)
    exchange.snapshot({"BTC": {"margin": {"anna": 500, "bert": 300}}})
    exchange.fund(BTC=[("liquidation_fee", 40)])
    exchange.loss("crash-1", "BTC", {"carl": 90}, {"anna": 450, "bert": 200}, adl={"dora": 10})
    exchange.check("anna")

Amounts are base units. Every publish is told its time, one second after the
last statement, so that a test says when things happen, not how fast they are.
"""

import csv
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from auditkit.errors import InputError
from auditkit.ledger.books import Books
from auditkit.margin.eventfile import EventFile
from auditkit.publish import fund, loss, policy, recovery, snapshot
from auditkit.publish.draft import Draft
from auditkit.publish.keys import KeyFile, Signer
from auditkit.publish.proofs import Prover
from auditkit.publish.venue import Venue
from auditkit.verify import check
from auditkit.verify.elements import TIME
from auditkit.verify.statements import AssetStatement, Loss, Policy, Recovery, Snapshot, Statement
from auditkit.verify.statements import Fund as FundEntry

ORIGIN = "exchange.example/audit"
START = TIME.read("2025-10-10T21:00:00.000Z")
ASSETS = {"BTC": 8, "USDT": 6}
MARKS = {"BTC-PERP": {"a": "104782", "b": "104783"}}

Balances = Mapping[str, int | Sequence[int]]
"""Base units by account; several for an account whose balance is split."""
Assets = Mapping[str, Mapping[str, Balances]]
"""Balances by asset and book."""
Moves = Sequence[tuple[str, int]]
"""(kind, base units) of a pool's credits or debits."""


def toml(values: Mapping[str, Any]) -> str:
    """A TOML file; keys whose value is None are left out."""
    return "".join(f"{json.dumps(k)} = {_toml(v)}\n" for k, v in values.items() if v is not None)


def _toml(value: object) -> str:
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{json.dumps(k)} = {_toml(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_toml, value)) + "]"
    return json.dumps(value)


def write_list(path: Path, amounts: Mapping[str, object]) -> str:
    """A CSV of the columns account and amount; its name."""
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([("account", "amount"), *amounts.items()])
    return path.name


def natural(units: int, decimals: int) -> str:
    """Base units as the text of a whole and a fraction."""
    whole, fraction = divmod(units, 10**decimals)
    return f"{whole}.{fraction:0{decimals}d}" if decimals else str(whole)


class Exchange:
    """An exchange that has made its venue. Files that it publishes from lie in `books`."""

    def __init__(
        self,
        folder: Path,
        assets: Mapping[str, int] = ASSETS,
        pools: Mapping[str, Mapping[str, str]] | None = None,
        start: int = START,
        **rules: object,
    ) -> None:
        """By default a pool an asset, of the asset's name; `rules` are other keys of a policy."""
        self.root, self.books, self.key = folder / "venue", folder / "books", folder / "key.pem"
        self.books.mkdir(parents=True)
        self.now, self.files = start, 0
        self.rules: dict[str, Any] = {
            "assets": assets,
            "pools": pools or {asset: {"asset": asset} for asset in assets},
            **rules,
        }
        self.signer = Signer.generate(ORIGIN)
        self.signer.write(self.key, None)
        Venue.init(self.root, self.signer, self.key, policy.read(self.policy_file()), self.now)

    @classmethod
    def at(cls, folder: Path) -> "Exchange":
        """The exchange that made its venue in `folder` before."""
        found = cls.__new__(cls)
        found.root, found.books, found.key = folder / "venue", folder / "books", folder / "key.pem"
        found.files = sum(1 for _ in found.books.iterdir())
        found.signer = KeyFile(found.key).open(None)
        with Venue(found.root) as venue:
            found.now = venue.last_index().time
            rules = venue.log.policy(venue.last_index().policy).write()
        found.rules = {k: v for k, v in rules.items() if k not in ("venue", "seq", "time")}
        return found

    # Files.

    def _path(self, name: str) -> Path:
        self.files += 1
        return self.books / f"{self.files}-{name}"

    def write(self, name: str, values: Mapping[str, Any]) -> Path:
        """A new TOML file."""
        path = self._path(f"{name}.toml")
        path.write_text(toml(values))
        return path

    def policy_file(self, **changes: object) -> Path:
        """A policy.toml: the rules, changed."""
        self.rules |= changes
        return self.write("policy", self.rules)

    def long(self, assets: Assets, **keys: object) -> Path:
        """A books.toml over one Parquet table with a row for every amount."""
        rows = [
            (account, asset, book, str(amount))
            for asset, books in assets.items()
            for book, balances in books.items()
            for account, amounts in balances.items()
            for amount in ([amounts] if isinstance(amounts, int) else amounts)
        ]
        names = ["account", "asset", "book", "amount"]
        columns = [pa.array([row[i] for row in rows], pa.string()) for i in range(4)]
        split = any(
            not isinstance(amounts, int)
            for books in assets.values()
            for balances in books.values()
            for amounts in balances.values()
        )
        mapping = {"asset": "asset", "book": "book", "amount": "amount"}
        return self._mapped(pa.table(columns, names), split, {"long": mapping, **keys})

    def wide(self, assets: Assets, **keys: object) -> Path:
        """A books.toml over one Parquet table with a column for every ledger."""
        ledgers = {(asset, book): b for asset, books in assets.items() for book, b in books.items()}
        accounts = sorted({account for balances in ledgers.values() for account in balances})
        table = {"account": pa.array(accounts, pa.string())}
        mapping = []
        for (asset, book), balances in ledgers.items():
            column = f"{asset}_{book}".lower()
            table[column] = pa.array([str(balances.get(a, 0)) for a in accounts], pa.string())
            mapping.append({"asset": asset, "book": book, "column": column})
        return self._mapped(pa.table(table), False, {"ledger": mapping, **keys})

    def _mapped(self, table: pa.Table, split: bool, keys: Mapping[str, object]) -> Path:
        path = self._path("balances.parquet")
        pq.write_table(table, path)
        source = {"files": [path.name], "account": "account", "split": split}
        return self.write("books", {"units": "base", "source": source, **keys})

    def pools_file(self, moves: Mapping[str, Moves]) -> Path:
        """A pools.toml: amounts below 0 are debits, which have to be corrections."""
        rows = []
        for pool, about in self.rules["pools"].items():
            places = self.rules["assets"][about["asset"]]
            pairs = moves.get(pool, ())
            credits, debits = (
                [
                    {"kind": kind, "amount": natural(abs(units), places)}
                    for kind, units in pairs
                    if (units >= 0) == positive
                ]
                for positive in (True, False)
            )
            rows.append({"pool": pool, "open_interest": "5", "credits": credits, "debits": debits})
        return self.write("pools", {"pool": rows})

    def event_file(
        self,
        event: str,
        pool: str,
        deficits: Mapping[str, int],
        equities: Balances,
        *,
        adl: Mapping[str, int] | None = None,
        books: Path | None = None,
        moves: Mapping[str, Moves] | None = None,
        says: Mapping[str, object] | None = None,
    ) -> Path:
        """An event.toml and all it names; by default confirmed a half second before it is logged.

        `says` replaces what it says key by key; None leaves a key out.
        """
        asset, book = self.rules["pools"][pool]["asset"], self.rules.get("book", "margin")
        places = self.rules["assets"][asset]
        stages = self.rules.get("waterfall", ["adl", "draw"])
        lists = [
            write_list(self._path("list.csv"), {a: natural(u, places) for a, u in amounts.items()})
            for amounts in (deficits, adl or {})
        ]
        stage = {"adl": lists[1], "adl_candidates": len(adl or {}), "adl_exhausted": True}
        return self.write(
            "event",
            {
                "event": event,
                "pool": pool,
                "confirmed": TIME.write(self.now + 500),
                "books": (books or self.long({asset: {book: equities}})).name,
                "deficits": lists[0],
                **(stage if "adl" in stages else {}),
                "pools": self.pools_file(moves).name if moves is not None else None,
                "mark": [{"contract": name, "sources": s} for name, s in MARKS.items()],
                **(says or {}),
            },
        )

    # Publishing.

    def publish(self, work: Callable[[Draft], Any], told: int | None = None) -> Any:
        """Run one publish, a second after the last statement unless told when."""
        told = self.now + 1000 if told is None else told
        with Venue(self.root) as venue, venue.publishing(self.signer, told) as draft:
            done = work(draft)
        self.now = self.last_time()
        return done

    def last_time(self) -> int:
        """The time of the log's last statement."""
        with Venue(self.root) as venue:
            return venue.last_index().time

    def snapshot(self, books: Assets | Path, told: int | None = None) -> list[Snapshot]:
        """Publish a snapshot, by default from a long table."""
        mapped = Books.read(books if isinstance(books, Path) else self.long(books))
        found: list[Snapshot] = self.publish(lambda draft: snapshot.publish(draft, mapped), told)
        return found

    def fund(self, told: int | None = None, **moves: Moves) -> FundEntry:
        """Publish a fund entry with what moved the pools."""
        path = self.pools_file(moves)
        found: FundEntry = self.publish(
            lambda draft: fund.publish(draft, fund.read(path, draft.policy)), told
        )
        return found

    def loss(self, *event: Any, told: int | None = None, **details: Any) -> Loss:
        """Publish the run of a loss; what is given are the event's file or what is in it."""
        path = event[0] if isinstance(event[0], Path) else self.event_file(*event, **details)
        given = EventFile.read(path)
        found: Loss = self.publish(lambda draft: loss.publish(draft, given), told)
        return found

    def recovery(
        self, event: str, units: int, books: Assets | Path, asset: str = "BTC"
    ) -> Recovery:
        """Publish what came back of an event's loss."""
        mapped = Books.read(books if isinstance(books, Path) else self.long(books))
        amount = natural(units, self.rules["assets"][asset])
        found: Recovery = self.publish(lambda draft: recovery.publish(draft, event, amount, mapped))
        return found

    def policy(self, **changes: object) -> Policy:
        """Publish a policy: the rules, changed."""
        fields = policy.read(self.policy_file(**changes))
        found: Policy = self.publish(lambda draft: policy.publish(draft, fields))
        return found

    # Reading back.

    @property
    def vkey(self) -> str:
        return str(self.signer.verifier)

    def log(self) -> list[Statement]:
        """Every statement of the log."""
        with Venue(self.root) as venue:
            return [venue.log[seq] for seq in range(len(venue.history))]

    def kinds(self) -> list[str]:
        """The kinds of all statements of the log."""
        return [statement.kind for statement in self.log()]

    def balances(self, statement: AssetStatement, book: str) -> dict[str, int]:
        """What every account has in the stored ledger of a statement."""
        found: dict[str, int] = {}
        signed = statement.ledgers_shown()[book]
        with Venue(self.root) as venue:
            for account, amount in venue.ledgers.open(statement.seq, signed).balances().rows():
                found[account] = found.get(account, 0) + amount
        return found

    def prove(self, account: str, *assets: str, since: int | None = None) -> bytes:
        """The proof file of one account."""
        with Venue(self.root) as venue:
            return Prover(venue, since).prove(account, assets)

    def check(self, account: str, *assets: str, since: int | None = None) -> check.Verified:
        """What the account's customer is proven, by the venue's published key and nothing else."""
        return check.verify(
            self.prove(account, *assets, since=since), self.vkey, account, since=since
        )

    def tree(self) -> dict[str, str]:
        """Every file and folder of the venue by name, with its mode and SHA-256."""
        return tree(self.root)


def tree(root: Path) -> dict[str, str]:
    """Every file and folder below `root` by name, with its mode and SHA-256."""
    return {
        str(path.relative_to(root)): f"{path.stat().st_mode:o} "
        + (sha256(path.read_bytes()).hexdigest() if path.is_file() else "")
        for path in sorted(root.rglob("*"))
    }


@contextmanager
def refused(
    exchange: Exchange, *fragments: str, error: type[Exception] = InputError
) -> Iterator[None]:
    """The block is refused for this reason, and the venue is byte for byte what it was."""
    before = exchange.tree()
    with pytest.raises(error) as caught:
        yield
    for fragment in fragments:
        assert fragment in str(caught.value)
    assert "\n" not in str(caught.value)
    assert exchange.tree() == before
