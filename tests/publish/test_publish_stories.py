"""Whatever an honest exchange publishes, in any order: it verifies, and no unit is lost or made."""

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from exchange import Exchange
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from auditkit.errors import InputError
from auditkit.verify.check import Verified
from auditkit.verify.elements import RESERVED_BOOKS
from auditkit.verify.statements import (
    Adl,
    Applied,
    AssetStatement,
    Deficit,
    Draw,
    Fund,
    Index,
    Loss,
    Recovery,
    Snapshot,
)

NAMES = ("anna", "bert", "carl", "dora", "emil")
AMOUNTS = st.one_of(st.just(0), st.integers(1, 9), st.integers(0, 10**12), st.integers(0, 2**120))
SHARES = st.integers(0, 100)
"""Percent of what there is."""

BALANCES = st.dictionaries(
    st.sampled_from(NAMES), AMOUNTS | st.lists(AMOUNTS, min_size=2, max_size=4), max_size=5
)
ACTIONS = st.one_of(
    st.tuples(st.just("snapshot"), st.sampled_from(["BTC", "USDT"]), BALANCES, BALANCES),
    st.tuples(st.just("fund"), AMOUNTS, AMOUNTS),
    st.tuples(st.just("loss"), st.sampled_from(["BTC", "USDT"]), AMOUNTS, SHARES, BALANCES),
    st.tuples(st.just("recovery"), SHARES, BALANCES),
    st.tuples(st.just("policy"), st.permutations(["adl", "draw"]), AMOUNTS),
)
Balances = Mapping[str, int | list[int]]


@dataclass
class Story:
    """An exchange, and what it did: what its proofs are held against."""

    exchange: Exchange
    events: int = 0
    outstanding: dict[str, tuple[str, int]] = field(default_factory=dict)
    indexes: list[int] = field(default_factory=lambda: [1])

    def snapshot(self, asset: str, margin: Balances, spot: Balances) -> None:
        held = {"margin": margin, "spot": spot}
        if any(map(bool, held.values())):
            books = self.exchange.long({asset: held})
            # A long table covers every asset; the other one goes on as it is.
            other = {a: b for a, b in self.held().items() if a != asset and any(b.values())}
            if other:
                books = self.exchange.long({asset: held, **other})
            self.exchange.snapshot(books)

    def held(self) -> dict[str, dict[str, dict[str, int]]]:
        """What every account has in the last ledger of every asset and book."""
        found: dict[str, dict[str, dict[str, int]]] = {}
        for (asset, book), statement in self.last().items():
            found.setdefault(asset, {})[book] = self.exchange.balances(statement, book)
        return found

    def last(self) -> dict[tuple[str, str], AssetStatement]:
        """The last statement with a ledger of each asset and customer book."""
        return {
            (statement.asset, book): statement
            for statement in self.exchange.log()
            if isinstance(statement, AssetStatement)
            for book in statement.ledgers_shown()
            if book not in RESERVED_BOOKS
        }

    def fund(self, btc: int, usdt: int) -> None:
        self.exchange.fund(BTC=[("liquidation_fee", btc)], USDT=[("correction", usdt)])

    def loss(self, asset: str, deficit: int, closed: int, margin: Balances) -> None:
        if not self.under_the_last_policy(asset):
            self.snapshot(asset, {"anna": 1}, {})
        self.events += 1
        event, adl = f"event-{self.events}", deficit * closed // 100
        if self.exchange.rules.get("waterfall", ["adl"])[0] == "draw":
            adl = 0  # Only what the fund has left may be absorbed, and the log knows that.
        lost = self.exchange.loss(
            event,
            asset,
            {"zoe": deficit} if deficit else {},
            {},
            adl={"yves": adl} if adl else {},
            books=self.exchange.long({asset: {"margin": margin}}),
        )
        self.outstanding[event] = asset, lost.socialized

    def under_the_last_policy(self, asset: str) -> bool:
        """Whether the asset has a snapshot since the policy changed."""
        log = self.exchange.log()
        last = max(statement.seq for statement in log if statement.kind == "policy")
        return any(isinstance(s, Snapshot) and (s.asset, s.policy) == (asset, last) for s in log)

    def recovery(self, percent: int, margin: Balances) -> None:
        for event, (asset, left) in self.outstanding.items():
            if left:
                amount = max(1, left * percent // 100)
                self.exchange.recovery(event, amount, {asset: {"margin": margin}}, asset)
                self.outstanding[event] = asset, left - amount
                return

    def policy(self, waterfall: list[str], floor: int) -> None:
        pools = {"BTC": {"asset": "BTC", "floor": str(floor)}, "USDT": {"asset": "USDT"}}
        self.exchange.policy(waterfall=waterfall, pools=pools)

    # What must be true after every act.

    def check(self) -> None:
        self.check_money()
        held, last = self.held(), self.last()
        since = self.indexes[len(self.indexes) // 2]
        for number, account in enumerate((*NAMES, "zoe")):
            proven = self.proven(account, since if number % 2 else None)
            if isinstance(proven, str):
                assert "has no leaf" in proven or "no leaf of a customer book" in proven
                assert not any(x.get(account) for books in held.values() for x in books.values())
                continue
            for balance in proven.balances:
                amount = held[balance.asset][balance.book].get(account, 0)
                # A ledger that does not show the account any more says the same as one of 0.
                assert balance.amount == amount
                assert balance.statement == last[balance.asset, balance.book] or amount == 0
        self.indexes.append(self.exchange.log()[-1].seq)

    def proven(self, account: str, since: int | None) -> Verified | str:
        """What the customer is proven, or why there is nothing to prove."""
        try:
            return self.exchange.check(account, since=since)
        except InputError as error:
            return str(error)

    def check_money(self) -> None:
        log = self.exchange.log()
        assert isinstance(log[-1], Index)
        closing = {"BTC": 0, "USDT": 0}
        drawn = {"BTC": 0, "USDT": 0}
        rest = change = total = 0
        for statement in log:
            if isinstance(statement, Deficit):
                rest = statement.ledger.total
            elif isinstance(statement, Adl):
                rest -= statement.ledger.total
            elif isinstance(statement, Draw):
                assert statement.before == closing[statement.pool]
                rest -= statement.drawn
                drawn[statement.pool] += statement.drawn
            elif isinstance(statement, Loss):
                assert rest == statement.socialized + statement.residual
                assert not statement.residual or statement.socialized == statement.before.total
                total, change = statement.before.total, -statement.socialized
            elif isinstance(statement, Recovery):
                total, change = statement.before.total, statement.recovered
            elif isinstance(statement, Applied):
                assert statement.after.total == total + change
            elif isinstance(statement, Fund):
                for row in statement.pools:
                    assert row.opening == closing[row.pool]
                    booked = sum(d.amount for d in row.debits if d.kind == "draw")
                    assert booked == drawn[row.pool]
                    gained = sum(credit.amount for credit in row.credits)
                    assert row.closing == row.opening + gained - booked
                    closing[row.pool], drawn[row.pool] = row.closing, 0


def play(actions: list[tuple[Any, ...]]) -> None:
    with tempfile.TemporaryDirectory() as name:
        story = Story(Exchange(Path(name)))
        for act, *details in actions:
            getattr(story, act)(*details)
            story.check()


@given(st.lists(ACTIONS, min_size=1, max_size=6))
@settings(
    max_examples=max(8, settings().max_examples // 6),
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
def test_every_story_verifies_and_adds_up(actions: list[tuple[Any, ...]]) -> None:
    play(actions)


BUSY: list[tuple[Any, ...]] = [
    ("snapshot", "BTC", {"anna": 10**9, "bert": [5, 5, 7], "carl": 1}, {"dora": 3}),
    ("snapshot", "USDT", {"anna": 77}, {}),
    ("fund", 100, 50),
    ("loss", "BTC", 10**6, 10, {"anna": 10**8, "bert": [1, 2], "emil": 9}),
    ("recovery", 33, {"anna": 5}),
    ("loss", "USDT", 60, 0, {"anna": 70, "dora": 7}),
    ("policy", ["draw", "adl"], 3),
    ("recovery", 50, {}),
    ("snapshot", "BTC", {"emil": 4}, {}),
    ("fund", 9, 0),
    ("loss", "BTC", 8, 100, {"emil": 4}),
    ("loss", "BTC", 30, 0, {"emil": 4}),
    ("recovery", 100, {"bert": 2}),
    ("recovery", 100, {"bert": 2}),
    ("snapshot", "USDT", {}, {"anna": 1}),
]


def test_a_busy_story() -> None:
    play(BUSY)
