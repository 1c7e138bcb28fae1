"""An exchange in memory, which keeps the rules unless it is told to lie.

    venue = Venue()
    venue.snapshot("BTC", {"margin": {"alice": 500, "bob": 300}, "spot": {"alice": 7}})
    venue.fund(BTC=[("liquidation_fee", 40)])
    venue.lie("draw", drawn=lambda honest: str(int(honest) - 1))     # the next draw only
    venue.event("BTC", {"carol": 90}, adl={"dave": 10})
    venue.publish()
    proof = venue.prove("alice")

It is a simulator, not a mock: books, pools, chains, trees and keys are real,
built by `reference.py` without the kernel, and what follows a lie follows
what was said. A seed fixes every salt and key.
"""

import random
from collections.abc import Iterable, Mapping, Sequence
from hashlib import sha256
from typing import Any

from reference import (
    PADDING,
    Balances,
    Json,
    Leaf,
    Ledger,
    Signer,
    b64,
    canonical,
    checkpoint,
    clock,
    log_extension,
    log_path,
    milliseconds,
    returned,
    salt,
    sum_path,
)
from venue_runs import Run

START = milliseconds("2025-10-10T21:00:00.000Z")


def _shown(value: object) -> object:
    if isinstance(value, Ledger):
        return value.shown()
    return [_shown(item) for item in value] if isinstance(value, list) else value


class Venue:
    """Every method but `lie`, `restate` and `wait` does one thing that an honest venue does."""

    def __init__(
        self,
        assets: Mapping[str, int] | None = None,
        *,
        name: str = "exchange.example/audit",
        seed: str = "venue",
        pools: Mapping[str, tuple[str, int]] | None = None,
        splits: Mapping[str, int] | None = None,
        padding: int = 0,
        **rules: object,
    ) -> None:
        """`pools` are (asset, floor) by name; `splits` the number of leaves of an account."""
        self.name, self.seed = name, seed
        self.splits, self.padding = dict(splits or {}), padding
        self.now, self.tick = START, 1000
        self.said: list[dict[str, Any]] = []
        self.entries: list[bytes] = []
        self.ledgers: dict[tuple[int, str], Ledger] = {}
        self.chains: dict[str, list[int]] = {}
        self.heads: list[int] = []
        self.keys: list[tuple[Signer, int | None]] = [(Signer(name, f"{seed} 0"), None)]
        self.books: dict[str, dict[str, dict[str, int]]] = {}
        self.stated: dict[tuple[str, str], dict[str, int]] = {}
        self.closing: dict[str, int] = {}
        self.unbooked: dict[str, list[int]] = {}
        self._lies: dict[str, dict[str, Any]] = {}
        assets = dict(assets or {"BTC": 8, "USDT": 6})
        self.rules: dict[str, Any] = {
            "assets": assets,
            "books": ["margin", "spot"],
            "book": "margin",
            "pools": {
                pool: {"asset": asset, "floor": str(floor)}
                for pool, (asset, floor) in (pools or {a: (a, 0) for a in assets}).items()
            },
            "waterfall": ["adl", "draw"],
            "adl_rank": "pnl-times-leverage",
            "rule": "cumulative/1",
            "mark_rule": "median",
            "deadline_ms": 90_000,
            "snapshot_interval_ms": 86_400_000,
            "fund_interval_ms": 60_000,
            "fund_history_days": 90,
            "oi_window_days": 30,
            "oi_threshold": [20, 100],
        }
        self.policy(**rules)

    # Lies.

    def lie(self, kind: str, /, **edits: object) -> None:
        """Alter the next statement of `kind`: each field to a value, or by a function of it.

        `balances` is no field, but alters the accounts of its ledger before it is built.
        """
        self._lies.setdefault(kind, {}).update(edits)

    def restate(self, seq: int, /, **edits: object) -> None:
        """Alter a statement that is logged already; checkpoints signed before still deny it."""
        for name, edit in edits.items():
            said = self.said[seq]
            said[name] = edit(said[name]) if callable(edit) else edit
        self.entries[seq] = canonical(self.said[seq]).encode()

    def wait(self, milliseconds: int) -> None:
        self.now += milliseconds

    # The log.

    def log(self, kind: str, /, **fields: object) -> dict[str, Any]:
        """Log one statement. Ledgers among the fields are committed."""
        self.now += self.tick
        seq = len(self.said)
        said: dict[str, Any] = {"format": f"auditkit/{kind}/1", "venue": self.name, "seq": seq}
        said |= {"time": clock(self.now)} | {name: _shown(value) for name, value in fields.items()}
        for value in fields.values():
            for ledger in value if isinstance(value, list) else [value]:
                if isinstance(ledger, Ledger):
                    self.ledgers[seq, ledger.book] = ledger
        self.said.append(said)
        self.entries.append(b"")
        self.restate(seq, **self._lies.pop(kind, {}))
        return said

    def link(self, kind: str, asset: str, /, **fields: object) -> dict[str, Any]:
        """Log one statement of an asset's chain."""
        chain, seq = self.chains.setdefault(asset, []), len(self.said)
        chain.append(seq)
        previous = chain[-2] if len(chain) > 1 else seq
        return self.log(kind, asset=asset, policy=self.policy_seq, previous=previous, **fields)

    def policy(self, **changes: object) -> None:
        """State the rules, changed."""
        self.rules |= changes
        self.policy_seq = len(self.said)
        self.log("policy", **self.rules)

    def publish(self, index: bool = True) -> str:
        """Log an index and sign a checkpoint."""
        if index:
            latest = {asset: chain[-1] for asset, chain in self.chains.items()}
            self.log("index", latest=latest, policy=self.policy_seq)
        self.heads.append(len(self.said))
        return self.checkpoint(self.heads[-1])

    def checkpoint(self, size: int) -> str:
        """The signed head of the first `size` entries."""
        signers = [s for s, retire in self.keys if retire is None or size <= retire]
        return checkpoint(self.name, self.entries[:size], *signers)

    @property
    def vkey(self) -> str:
        return self.keys[-1][0].vkey

    def rotate_key(self, retire: int | None = None) -> None:
        """Change to a new key; the old one signs checkpoints up to size `retire`."""
        old, new = self.keys[-1][0], Signer(self.name, f"{self.seed} {len(self.keys)}")
        retire = len(self.said) + 10 if retire is None else retire
        self.keys[-1:] = [(old, retire), (new, None)]
        self.log("key", new=new.vkey, old=old.vkey, retire=retire)

    # The books.

    def _pieces(self, account: str, amount: int) -> list[int]:
        """A balance split as its account asks for, ascending."""
        dice = random.Random(f"{self.seed} {account} {amount}")
        cuts = sorted(dice.randint(0, amount) for _ in range(self.splits.get(account, 1) - 1))
        return sorted(b - a for a, b in zip([0, *cuts], [*cuts, amount], strict=True))

    def ledger(self, kind: str, book: str, balances: Balances) -> Ledger:
        """Build a ledger for the next statement of `kind`, as told by a lie about `balances`."""
        if edit := self._lies.get(kind, {}).pop("balances", None):
            balances = edit(dict(balances))
        secret = sha256(f"test secret {self.seed} {len(self.said)} {book}".encode()).digest()
        held = {account: self._pieces(account, amount) for account, amount in balances.items()}
        held[PADDING] = [0] * self.padding
        leaves = [
            Leaf(salt(secret, account, chunk), amount, account)
            for account, pieces in held.items()
            for chunk, amount in enumerate(pieces)
        ]
        return Ledger(book, tuple(sorted(leaves, key=lambda leaf: leaf.salt)))

    def state(self, kind: str, asset: str, book: str, balances: Balances | None = None) -> Ledger:
        """A ledger of claims; by default as the books are, with those who left carried once."""
        if balances is None:
            now, before = self.books[asset][book], self.stated.get((asset, book), {})
            left = {name: 0 for name, amount in before.items() if amount and name not in now}
            balances = left | now
        ledger = self.ledger(kind, book, balances)
        self.stated[asset, book] = ledger.balances()
        return ledger

    def snapshot(self, asset: str, books: Mapping[str, Balances] | None = None) -> None:
        """State the balances of an asset; the given books are what they are from now on."""
        held = self.books.setdefault(asset, {})
        held.update({book: dict(balances) for book, balances in (books or {}).items()})
        as_of = clock(self.now)
        ledgers = [self.state("snapshot", asset, book) for book in sorted(held)]
        self.link("snapshot", asset, as_of=as_of, ledgers=ledgers)

    def fund(self, **credits: Sequence[tuple[str, int]]) -> None:
        """State every pool; `credits` are (kind, amount) by pool. Books the draws since."""
        rows = []
        for pool in sorted(self.rules["pools"]):
            opening, draws = self.closing.get(pool, 0), self.unbooked.pop(pool, [])
            given = credits.get(pool, [])
            self.closing[pool] = opening + sum(amount for _, amount in given) - sum(draws)
            rows.append(
                {
                    "pool": pool,
                    "opening": str(opening),
                    "credits": [{"amount": str(amount), "kind": kind} for kind, amount in given],
                    "debits": [{"amount": str(amount), "kind": "draw"} for amount in draws],
                    "closing": str(self.closing[pool]),
                    "open_interest": str(10 * opening),
                }
            )
        self.log("fund", pools=rows)

    # Events.

    def deficit(
        self,
        asset: str,
        deficits: Balances,
        *,
        event: str | None = None,
        pool: str | None = None,
        marks: Sequence[Json] | None = None,
        confirmed: int | None = None,
    ) -> Run:
        """Begin a run, whose other statements are methods of what is returned."""
        confirmed = self.now + self.tick // 2 if confirmed is None else confirmed
        if pool is None:
            pool = next(p for p, v in self.rules["pools"].items() if v["asset"] == asset)
        sources = [{"name": "a", "price": "104782"}, {"name": "b", "price": "104783"}]
        mark = {"contract": f"{asset}-PERP", "mark": "104782.5", "sources": sources}
        run = Run(self, asset, event or f"{asset.lower()}-{len(self.said)}", pool)
        said = run.link(
            "deficit",
            pool=pool,
            confirmed=clock(confirmed),
            marks=list(marks) if marks is not None else [mark],
            ledger=self.ledger("deficit", "deficit", deficits),
        )
        run.rest = int(said["ledger"]["total"])
        return run

    def event(
        self,
        asset: str,
        deficits: Balances,
        adl: Balances | None = None,
        *,
        until: str = "applied",
        **details: Any,
    ) -> Run:
        """A whole run in the policy's order, or the run up to and with the kind `until`."""
        run = self.deficit(asset, deficits, **details)
        for kind in ("deficit", *self.rules["waterfall"], "loss", "applied"):
            if kind != "deficit":
                run.steps[kind](adl or {}) if kind == "adl" else run.steps[kind]()
            if kind == until:
                break
        return run

    def recovery(self, run: Run, amount: int, *, until: str = "applied") -> None:
        """Return a part of a loss, to the accounts that bore it."""
        lost, book = run.lost, run.lost.book
        now = dict.fromkeys(lost.balances(), 0) | self.books[run.asset].get(book, {})
        before = self.state("recovery", run.asset, book, now)
        earlier = [str(x) for x in run.recovered]
        said = run.link(
            "recovery", loss=run.loss_seq, earlier=earlier, recovered=str(amount), before=before
        )
        if until == "recovery":
            return
        run.recovered.append(int(said["recovered"]))
        after = before.balances()
        if sum(run.recovered) <= run.socialized:
            paid = returned(lost.amounts, run.socialized, run.recovered)[-1]
            for name, balance in lost.changed(paid).items():
                after[name] += balance - lost.balances()[name]
        run.apply(book, after)

    # The customer's file.

    def prove(
        self,
        account: str,
        assets: Iterable[str] | None = None,
        *,
        size: int | None = None,
        since: int | None = None,
        heads: Sequence[int] = (),
        start: Mapping[str, int] | None = None,
    ) -> dict[str, Any]:
        """The proof file under the checkpoint of `size`, by default the last one.

        `start` is the lowest snapshot shown by asset, by default the first, or
        with `since` the last that its index covers.
        """
        size = size or self.heads[-1]
        wanted = {size - 1, self.said[size - 1].get("policy", 0)}
        wanted |= {s["seq"] for s in self.said[:size] if s["format"] == "auditkit/key/1"}
        wanted |= {since} if since is not None else set()
        for asset in self.chains if assets is None else assets:
            chain = [seq for seq in self.chains[asset] if seq < size]
            snapshots = [seq for seq in chain if self._kind(seq) == "snapshot"]
            seen = [seq for seq in snapshots if since is not None and seq < since]
            lowest = (start or {}).get(asset, (seen or snapshots[:1] or [0])[-1])
            for seq in (seq for seq in chain if seq >= lowest):
                wanted |= {seq, self.said[seq]["policy"]}
                if self._kind(seq) == "draw":
                    wanted.add(seq - 1)
                elif self._kind(seq) == "recovery":
                    loss = self.said[seq]["loss"]
                    wanted |= {loss, self.said[loss].get("policy", loss)}
        places = sorted(place for place in self.ledgers if place[0] in wanted)
        proof = {
            "format": "auditkit/proof/1",
            "account": account,
            "checkpoint": self.checkpoint(size),
            "statements": [self.entry(seq, size) for seq in sorted(wanted)],
            "leaves": [leaf for place in places for leaf in self.leaves(account, *place)],
        }
        extensions = [
            {"size": head, "path": [b64(h) for h in log_extension(head, self.entries[:size])]}
            for head in heads
        ]
        return proof | ({"consistency": extensions} if extensions else {})

    def _kind(self, seq: int) -> str:
        return str(self.said[seq]["format"]).split("/")[1]

    def entry(self, seq: int, size: int) -> Json:
        """One statement as a proof file shows it, under the checkpoint of `size`."""
        path = log_path(seq, self.entries[:size]) if seq < size else []
        return {"seq": seq, "text": self.entries[seq].decode(), "path": [b64(h) for h in path]}

    def leaves(self, account: str, seq: int, book: str) -> list[Json]:
        """The account's leaves of one ledger as a proof file shows them."""
        ledger = self.ledgers[seq, book]
        return [
            {
                "seq": seq,
                "book": book,
                "index": i,
                "amount": str(leaf.amount),
                "salt": leaf.salt.hex(),
                "path": [node.hex() for node in sum_path(i, ledger.nodes)],
            }
            for i, leaf in enumerate(ledger.leaves)
            if leaf.account == account
        ]
