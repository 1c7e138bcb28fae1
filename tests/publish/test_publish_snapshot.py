"""Snapshots: everybody's balances, whoever left once more with 0, and nothing half published."""

from pathlib import Path

import pytest
from exchange import START, Exchange, refused

from auditkit.verify.elements import TIME
from auditkit.verify.statements import Snapshot

HELD = {"BTC": {"margin": {"anna": 500, "bert": 300}, "spot": {"anna": 7}}}


@pytest.fixture
def exchange(tmp_path: Path) -> Exchange:
    return Exchange(tmp_path)


def test_what_is_published_is_what_is_in_the_books(exchange: Exchange) -> None:
    (taken,) = exchange.snapshot(HELD)
    assert (taken.asset, taken.seq, taken.previous, taken.policy) == ("BTC", 2, 2, 0)
    shown = taken.ledgers_shown()
    assert {book: (x.accounts, x.total) for book, x in shown.items()} == {
        "margin": (2, 800),
        "spot": (1, 7),
    }
    assert exchange.balances(taken, "margin") == HELD["BTC"]["margin"]
    assert {(b.book, b.amount) for b in exchange.check("anna").balances} == {
        ("margin", 500),
        ("spot", 7),
    }
    assert {(b.book, b.amount) for b in exchange.check("bert").balances} == {("margin", 300)}


def test_wide_and_long_tables_say_the_same(exchange: Exchange) -> None:
    (long,) = exchange.snapshot(exchange.long(HELD))
    (wide,) = exchange.snapshot(exchange.wide(HELD))
    for book in ("margin", "spot"):
        old, new = exchange.balances(long, book), exchange.balances(wide, book)
        assert new == {"anna": 0, "bert": 0} | old


def test_several_assets_in_one_publish_are_chains_of_their_own(exchange: Exchange) -> None:
    both = {"BTC": {"margin": {"anna": 5}}, "USDT": {"margin": {"bert": 9}}}
    btc, usdt = exchange.snapshot(both)
    again, other = exchange.snapshot(both)
    assert (btc.previous, usdt.previous) == (btc.seq, usdt.seq)
    assert (again.previous, other.previous) == (btc.seq, usdt.seq)
    assert exchange.kinds()[2:] == ["snapshot", "snapshot", "index"] * 2
    assert list(exchange.check("anna").chains) == ["BTC"]
    assert list(exchange.check("bert").chains) == ["USDT"]
    assert list(exchange.check("anna", "BTC", "USDT").chains) == ["BTC", "USDT"]


def test_fresh_secrets_every_time(exchange: Exchange) -> None:
    first, second = exchange.snapshot(HELD)[0], exchange.snapshot(HELD)[0]
    assert first.ledgers[0].root != second.ledgers[0].root
    secrets = [path.read_text() for path in (exchange.root / "secrets").iterdir()]
    assert len(set(secrets)) == len(secrets) == 4


# Who left.


def test_whoever_left_is_carried_once_with_nothing(exchange: Exchange) -> None:
    exchange.snapshot(HELD)
    taken = [exchange.snapshot({"BTC": {"margin": {"bert": 300}, "spot": {}}})[0]]
    assert exchange.balances(taken[0], "margin") == {"anna": 0, "bert": 300}
    assert exchange.balances(taken[0], "spot") == {"anna": 0}
    assert {(b.book, b.amount) for b in exchange.check("anna").balances} == {
        ("margin", 0),
        ("spot", 0),
    }
    taken += exchange.snapshot({"BTC": {"margin": {"bert": 300}}})
    assert exchange.balances(taken[1], "margin") == {"bert": 300}
    with refused(exchange, "account 'anna' has no leaf in what would be shown"):
        exchange.prove("anna")


def test_whoever_had_nothing_and_is_gone_is_not_carried(exchange: Exchange) -> None:
    exchange.snapshot({"BTC": {"margin": {"anna": 0, "bert": 3}}})
    (taken,) = exchange.snapshot({"BTC": {"margin": {"bert": 3}}})
    assert exchange.balances(taken, "margin") == {"bert": 3}


def test_whoever_comes_back_is_shown_again(exchange: Exchange) -> None:
    exchange.snapshot(HELD)
    exchange.snapshot({"BTC": {"margin": {"bert": 300}, "spot": {}}})
    exchange.snapshot(HELD)
    assert {(b.book, b.amount) for b in exchange.check("anna").balances} == {
        ("margin", 500),
        ("spot", 7),
    }


def test_a_split_account_that_left_is_carried_with_one_leaf(exchange: Exchange) -> None:
    exchange.snapshot({"BTC": {"margin": {"anna": [1, 2, 2, 0], "bert": 3}}})
    assert [(b.amount, b.leaves) for b in exchange.check("anna").balances] == [(5, 4)]
    (taken,) = exchange.snapshot({"BTC": {"margin": {"bert": 3}}})
    assert taken.ledgers[0].accounts == 2
    assert [(b.amount, b.leaves) for b in exchange.check("anna").balances] == [(0, 1)]


def test_everybody_may_leave(exchange: Exchange) -> None:
    exchange.snapshot(HELD)
    (taken,) = exchange.snapshot({"BTC": {"margin": {}, "spot": {}}})
    assert [(x.accounts, x.total) for x in taken.ledgers] == [(2, 0), (1, 0)]
    assert exchange.check("anna").balances[0].amount == 0


def test_a_long_table_that_does_not_mention_a_book_says_that_it_is_empty(
    exchange: Exchange,
) -> None:
    both = {**HELD, "USDT": {"margin": {"anna": 9}}}
    exchange.snapshot(both)
    btc, usdt = exchange.snapshot({"BTC": {"margin": {"anna": 500}}})
    assert exchange.balances(btc, "spot") == {"anna": 0}
    assert exchange.balances(usdt, "margin") == {"anna": 0}
    # And once it is empty, it is not mentioned any more.
    (again,) = exchange.snapshot({"BTC": {"margin": {"anna": 500}}})
    assert [ledger.book for ledger in again.ledgers] == ["margin"]


def test_an_empty_ledger_is_published_as_one(exchange: Exchange) -> None:
    (taken,) = exchange.snapshot(exchange.wide({"BTC": {"margin": {}}}))
    assert (taken.ledgers[0].accounts, taken.ledgers[0].total) == (0, 0)


def test_a_ledger_that_held_money_and_is_not_mapped_is_refused(exchange: Exchange) -> None:
    exchange.snapshot(HELD)
    said = "the ledger BTC/spot held 7 base units and is not in these books; map it"
    with refused(exchange, said):
        exchange.snapshot(exchange.wide({"BTC": {"margin": {"anna": 5}}}))
    exchange.snapshot(exchange.wide({"BTC": {"margin": {"anna": 5}, "spot": {"anna": 0}}}))
    exchange.snapshot(exchange.wide({"BTC": {"margin": {"anna": 5}}}))


def test_another_asset_of_a_wide_table_waits_for_nobody(exchange: Exchange) -> None:
    exchange.snapshot(exchange.wide({**HELD, "USDT": {"margin": {"anna": 9}}}))
    (taken,) = exchange.snapshot(exchange.wide({"USDT": {"margin": {"anna": 8}}}))
    assert taken.asset == "USDT"
    assert {b.asset: b.amount for b in exchange.check("anna").balances} == {"BTC": 7, "USDT": 8}


def test_books_without_any_row_are_nothing_to_publish(exchange: Exchange) -> None:
    with refused(exchange, "nothing to publish"):
        exchange.snapshot({"BTC": {"margin": {}}})


# The time of the balances.


def test_as_of_is_the_statements_own_time_unless_told(exchange: Exchange) -> None:
    (taken,) = exchange.snapshot(HELD)
    assert taken.as_of == taken.time
    told = exchange.now - 60_000
    (taken,) = exchange.snapshot(exchange.long(HELD, as_of=TIME.write(told)))
    assert taken.as_of == told


def test_as_of_is_not_after_the_statement(exchange: Exchange) -> None:
    at = exchange.now + 1000
    with refused(exchange, "the snapshot statement", "as_of is later than the statement"):
        exchange.snapshot(exchange.long(HELD, as_of=TIME.write(at + 1)), told=at)
    exchange.snapshot(exchange.long(HELD, as_of=TIME.write(at)), told=at)


def test_as_of_is_not_before_the_last_deduction(exchange: Exchange) -> None:
    exchange.snapshot(HELD)
    exchange.loss("crash", "BTC", {"carl": 90}, {"anna": 450, "bert": 200})
    applied = exchange.log()[-2].time
    with refused(exchange, "is before the last deduction or recovery of BTC", "take the balances"):
        exchange.snapshot(exchange.long(HELD, as_of=TIME.write(applied - 1)))
    exchange.snapshot(exchange.long(HELD, as_of=TIME.write(applied)))
    usdt = {"USDT": {"margin": {"anna": 1}}}
    exchange.snapshot(exchange.wide(usdt, as_of=TIME.write(START)))


# Refusals. What the tables themselves may hold is tested with the ledgers.


def test_every_refusal_leaves_the_venue_as_it_was(exchange: Exchange) -> None:
    exchange.snapshot(HELD)
    over = {"BTC": {"margin": {"anna": 2**127, "bert": 2**127}, "spot": {"anna": 7}}}
    with refused(exchange, "row 3", "'ETH'", "is not in the policy"):
        exchange.snapshot({"BTC": {"margin": {"anna": 1, "bert": 2}}, "ETH": {"margin": {"x": 1}}})
    with refused(exchange, "row 1", "'cross'", "is not in the policy"):
        exchange.snapshot({"BTC": {"cross": {"anna": 1}}})
    with refused(exchange, "reaches 2^128"):
        exchange.snapshot(over)
    with refused(exchange, "row 1", "no account name"):
        exchange.snapshot({"BTC": {"margin": {"-": 1}}})
    with refused(exchange, "more than 16 rows"):
        exchange.snapshot({"BTC": {"margin": {"anna": [1] * 17}}})
    with refused(exchange, "times never run backwards"):
        exchange.snapshot(HELD, told=exchange.now)


def test_a_second_asset_that_is_refused_takes_the_first_with_it(exchange: Exchange) -> None:
    """The first ledgers are built and stored already when the second asset is refused."""
    exchange.snapshot(exchange.wide({**HELD, "USDT": {"margin": {"anna": 9}, "spot": {"anna": 9}}}))
    later = exchange.wide({**HELD, "USDT": {"margin": {"anna": 9}}})
    with refused(exchange, "the ledger USDT/spot held 9 base units"):
        exchange.snapshot(later)


def test_a_ledger_of_the_largest_total_is_published(exchange: Exchange) -> None:
    exchange.snapshot({"BTC": {"margin": {"anna": 2**127, "bert": 2**127 - 1}}})
    (balance,) = exchange.check("anna").balances
    assert isinstance(balance.statement, Snapshot)
    assert (balance.amount, balance.statement.ledgers[0].total) == (2**127, 2**128 - 1)
