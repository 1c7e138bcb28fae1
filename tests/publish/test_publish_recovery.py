"""Money that comes back: to those who bore the loss, along their shares, to the last unit."""

import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TypeVar

import pytest
from exchange import Exchange, refused

from auditkit.errors import DamagedError
from auditkit.ledger.books import Books
from auditkit.publish import handover, recovery, shards
from auditkit.publish.proofs import Prover
from auditkit.publish.venue import Venue
from auditkit.verify.statements import Applied, Loss, Recovery, Snapshot, Statement

BEFORE = {"BTC": {"margin": {"anna": 5000, "bert": 3000, "carl": 90, "erin": 17}}}
LEFT = {"anna": 4500, "bert": 2000, "erin": 17}
NOW = {"BTC": {"margin": {"anna": 4300, "bert": 2100, "fred": 99}}}


@pytest.fixture
def exchange(tmp_path: Path) -> Exchange:
    """A loss of 1000 was shared by anna, bert and erin."""
    found = Exchange(tmp_path)
    found.snapshot(BEFORE)
    found.loss("crash", "BTC", {"carl": 1000}, LEFT)
    return found


S = TypeVar("S", bound=Statement)


def find(exchange: Exchange, kind: type[S]) -> list[S]:
    return [statement for statement in exchange.log() if isinstance(statement, kind)]


def deducted(exchange: Exchange) -> dict[str, int]:
    """What every account bore of the loss, from the stored ledgers."""
    lost, after = exchange.log()[-3:-1]
    assert isinstance(lost, Loss)
    assert isinstance(after, Applied)
    left = exchange.balances(after, "margin")
    return {a: x - left[a] for a, x in exchange.balances(lost, "margin").items() if x - left[a]}


def returned(exchange: Exchange, recovery: Recovery) -> dict[str, int]:
    """What every account was paid, from the stored ledgers, and that nobody else was touched."""
    after = exchange.log()[recovery.seq + 1]
    assert isinstance(after, Applied)
    before = exchange.balances(recovery, "margin")
    paid = {a: x - before[a] for a, x in exchange.balances(after, "margin").items()}
    assert sum(paid.values()) == recovery.recovered
    return {account: units for account, units in paid.items() if units}


def test_all_that_was_borne_comes_back_in_the_end(exchange: Exchange) -> None:
    borne = deducted(exchange)
    assert sum(borne.values()) == 1000
    total: dict[str, int] = {}
    for amount in (1, 333, 7, 600, 58, 1):
        recovery = exchange.recovery("crash", amount, NOW)
        for account, units in returned(exchange, recovery).items():
            total[account] = total.get(account, 0) + units
            assert total[account] <= borne[account]
    assert total == borne
    said = [recovery.earlier for recovery in find(exchange, Recovery)]
    assert said[-1] == (1, 333, 7, 600, 58)
    with refused(exchange, "--amount: 1 base units do not fit; 0 are outstanding"):
        exchange.recovery("crash", 1, NOW)


def test_every_account_is_proven_what_it_is_paid(exchange: Exchange) -> None:
    borne = deducted(exchange)
    paid = dict.fromkeys((*borne, "fred"), 0)
    for amount in (100, 650):
        exchange.recovery("crash", amount, NOW)
    for account in paid:
        payouts = exchange.check(account).payouts
        if account == "fred":
            assert [p.paid for p in payouts] == [0, 0]
        paid[account] = sum(p.paid for p in payouts)
    assert sum(paid.values()) == 750
    assert all(0 <= paid[account] <= borne[account] for account in borne)


@pytest.mark.parametrize(("amount", "said"), [(0, "0 base"), (1001, "1001 base")])
def test_nothing_and_too_much_is_refused(exchange: Exchange, amount: int, said: str) -> None:
    with refused(exchange, f"--amount: {said} units do not fit; 1000 are outstanding"):
        exchange.recovery("crash", amount, NOW)


def test_more_than_is_still_outstanding_is_refused(exchange: Exchange) -> None:
    exchange.recovery("crash", 999, NOW)
    with refused(exchange, "2 base units do not fit; 1 are outstanding"):
        exchange.recovery("crash", 2, NOW)
    exchange.recovery("crash", 1, NOW)


@pytest.mark.parametrize("event", ["crash-2", "Crash", "cras", ""])
def test_an_event_that_is_not_there_is_refused(exchange: Exchange, event: str) -> None:
    with refused(exchange, "--event: "):
        exchange.recovery(event, 1, NOW)


@pytest.mark.parametrize("event", ['crash","x":"', "crash ", "é", "a" * 65, "%"])
def test_what_is_no_name_is_no_event(exchange: Exchange, event: str) -> None:
    with refused(exchange, "--event: not a name"):
        exchange.recovery(event, 1, NOW)


def test_an_event_without_a_shared_loss_gives_nothing_back(exchange: Exchange) -> None:
    exchange.fund(BTC=[("liquidation_fee", 500)])
    exchange.loss("small", "BTC", {"carl": 10}, LEFT)
    with refused(exchange, "1 base units do not fit; 0 are outstanding"):
        exchange.recovery("small", 1, NOW)


def test_whoever_left_meanwhile_is_carried_and_paid(exchange: Exchange) -> None:
    borne = deducted(exchange)
    exchange.snapshot({"BTC": {"margin": {"anna": 4300}}})
    exchange.snapshot({"BTC": {"margin": {"anna": 4300}}})
    recovery = exchange.recovery("crash", 500, {"BTC": {"margin": {"anna": 4300}}})
    before = exchange.balances(recovery, "margin")
    assert before == {"anna": 4300, "bert": 0, "carl": 0, "erin": 0}
    paid = returned(exchange, recovery)
    assert abs(paid["bert"] - borne["bert"] / 2) <= 1
    proven = exchange.check("bert")
    assert [p.paid for p in proven.payouts] == [paid["bert"]]
    assert [b.amount for b in proven.balances] == [paid["bert"]]


def test_split_balances_are_paid_like_any_other(tmp_path: Path) -> None:
    exchange = Exchange(tmp_path)
    exchange.snapshot(BEFORE)
    books = exchange.long({"BTC": {"margin": {"anna": [500, 1500, 2500], "bert": 2000}}})
    exchange.loss("crash", "BTC", {"carl": 1000}, {}, books=books)
    borne = deducted(exchange)
    paid = {"anna": 0, "bert": 0}
    for amount in (3, 997):
        recovery = exchange.recovery(
            "crash", amount, {"BTC": {"margin": {"anna": [9, 9], "bert": 5}}}
        )
        for account, units in returned(exchange, recovery).items():
            paid[account] += units
            assert exchange.check(account).payouts[-1].paid == units
    assert paid == borne


def test_each_loss_is_recovered_for_itself(exchange: Exchange) -> None:
    exchange.loss("crash-2", "BTC", {"carl": 50}, NOW["BTC"]["margin"])
    first = exchange.recovery("crash", 100, NOW)
    second = exchange.recovery("crash-2", 50, NOW)
    third = exchange.recovery("crash", 100, NOW)
    assert (first.earlier, second.earlier, third.earlier) == ((), (), (100,))
    assert first.loss == third.loss != second.loss
    assert {"anna", "bert"} <= returned(exchange, first).keys() <= {"anna", "bert", "erin"}
    for account in ("anna", "bert", "fred"):
        payouts = exchange.check(account).payouts
        assert [p.recovery for p in payouts] == [first, second, third]


def test_a_loss_below_what_is_shown_is_shown_for_its_numbers(exchange: Exchange) -> None:
    """Where the last event is a recovery, its loss is far below the chain that is shown."""
    (lost,) = find(exchange, Loss)
    for _ in range(3):
        exchange.snapshot(NOW)
    since = exchange.log()[-1].seq
    exchange.recovery("crash", 400, NOW)
    exchange.snapshot(NOW)
    for shown in (exchange.check("anna"), exchange.check("anna", since=since)):
        assert shown.chains["BTC"][0].seq > lost.seq
        assert lost.seq in shown.shown
        (payout,) = shown.payouts
        assert (payout.loss, payout.known) == (lost, True)
        assert payout.paid > 0


def test_since_the_loss_both_are_shown(exchange: Exchange) -> None:
    exchange.recovery("crash", 400, NOW)
    proven = exchange.check("anna", since=3)
    assert (len(proven.events), len(proven.payouts)) == (1, 1)
    assert proven.events[0].deducted is not None
    assert 0 < proven.payouts[0].paid < proven.events[0].deducted


def test_a_policy_that_changed_meanwhile_does_not_matter(exchange: Exchange) -> None:
    changed = exchange.policy(deadline_ms=1, books=["cross", "margin"], book="cross")
    recovery = exchange.recovery("crash", 400, NOW)
    assert (recovery.before.book, recovery.policy) == ("margin", changed.seq)
    assert exchange.check("anna").payouts[0].paid > 0


def test_books_with_another_ledger_are_refused(exchange: Exchange) -> None:
    with refused(exchange, "the ledger BTC/spot; only BTC/margin has a part in this"):
        exchange.recovery("crash", 1, {"BTC": {"margin": {"anna": 1}, "spot": {"anna": 1}}})


def test_more_decimals_than_the_asset_has_are_refused(exchange: Exchange) -> None:
    books = Books.read(exchange.long(NOW))
    for amount in ("0.000000001", "1e-8", "-1", "", "all"):
        work = partial(recovery.publish, event="crash", amount=amount, books=books)
        with refused(exchange, "--amount: "):
            exchange.publish(work)


def test_a_total_that_reaches_the_limit_is_refused(tmp_path: Path) -> None:
    exchange = Exchange(tmp_path, assets={"BTC": 0})
    most = {"BTC": {"margin": {"anna": 2**128 - 1}}}
    exchange.snapshot(most)
    exchange.loss("crash", "BTC", {"carl": 7}, most["BTC"]["margin"])
    with refused(exchange, "reaches 2^128"):
        exchange.recovery("crash", 1, most)
    exchange.recovery("crash", 7, {"BTC": {"margin": {"anna": 2**128 - 8}}})
    assert exchange.check("anna").balances[0].amount == 2**128 - 1


def readers(exchange: Exchange, output: Path) -> dict[str, Callable[[Venue], object]]:
    """What reads stored ledgers, by name."""
    return {
        "recovery": lambda _: exchange.recovery("crash", 5, NOW),
        "snapshot": lambda _: exchange.snapshot(NOW),
        "shards": lambda venue: shards.write(venue, ["BTC"], output),
        "handover": lambda venue: handover.write(venue, handover.of_event(venue, "crash"), output),
        "prove": lambda venue: Prover(venue).prove("anna"),
    }


@pytest.mark.parametrize("work", ["recovery", "snapshot", "shards", "handover", "prove"])
def test_a_stored_ledger_that_is_not_the_signed_one_is_refused(
    exchange: Exchange, tmp_path: Path, work: str
) -> None:
    """As after a wrong backup: sound in itself, with its own secret, but of another statement."""
    exchange.snapshot({"BTC": {"margin": {**LEFT, "carl": 0, "gina": 0}}})
    [loss] = find(exchange, Loss)
    snapshot, newest = find(exchange, Snapshot)
    seq = newest.seq if work == "snapshot" else loss.seq
    for place in ("ledgers", "secrets"):
        there, other = (exchange.root / place / f"{n}-margin" for n in (seq, snapshot.seq))
        if there.is_dir():
            shutil.rmtree(there)
            shutil.copytree(other, there)
        else:
            shutil.copyfile(other, there)
    before = exchange.kinds()
    does = readers(exchange, tmp_path / "written")[work]
    said = f"{seq}-margin: is not the ledger that entry {seq} "
    with Venue(exchange.root) as venue, pytest.raises(DamagedError, match=said):
        does(venue)
    assert exchange.kinds() == before
    assert not (tmp_path / "written").exists()
