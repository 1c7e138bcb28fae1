"""Two publishers at once: one waits or is refused, and the log has one history."""

import errno
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from exchange import Exchange, refused

from auditkit.ledger.columns import Balances
from auditkit.publish import fund
from auditkit.publish import lock as locks
from auditkit.publish.clock import now
from auditkit.publish.draft import Draft
from auditkit.publish.lock import lock, try_lock
from auditkit.publish.venue import Venue
from auditkit.verify.statements import Fund, Index, Snapshot

TESTS = Path(__file__).parents[1]
EACH = 8

FUNDS = """
import sys
from pathlib import Path
from exchange import Exchange
from auditkit.publish import fund
from auditkit.publish.venue import Venue

exchange = Exchange.at(Path(sys.argv[1]))
path = Path(sys.argv[2])
for _ in range(int(sys.argv[3])):
    with Venue(exchange.root) as venue, venue.publishing(exchange.signer, None) as draft:
        fund.publish(draft, fund.read(path, draft.policy))
"""

HOLD = """
import sys, time
from pathlib import Path
from auditkit.publish.draft import Draft
from auditkit.publish.lock import lock
with lock(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(float(sys.argv[2]))
"""


def start(script: str, *given: object) -> subprocess.Popen[str]:
    path = os.pathsep.join(map(str, (TESTS, TESTS.parent)))
    return subprocess.Popen(
        [sys.executable, "-c", script, *map(str, given)],
        env={**os.environ, "PYTHONPATH": path},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.fixture
def exchange(tmp_path: Path) -> Exchange:
    """Its last statement is of a minute ago, so that others may publish by the clock."""
    return Exchange(tmp_path, start=now() - 60_000)


def test_two_publishers_make_one_history(exchange: Exchange, tmp_path: Path) -> None:
    pools = exchange.pools_file({"BTC": [("liquidation_fee", 3)]})
    both = [start(FUNDS, tmp_path, pools, EACH) for _ in range(2)]
    for process in both:
        _, errors = process.communicate(timeout=100)
        assert process.returncode == 0, errors
    log = exchange.log()
    funds = [statement for statement in log if isinstance(statement, Fund)]
    assert [statement.seq for statement in log] == list(range(2 + 2 * 2 * EACH))
    assert len({statement.time for statement in log}) == len(log)
    assert [f.pools[0].closing for f in funds] == [3 * n for n in range(1, 2 * EACH + 1)]
    assert [f.pools[0].opening for f in funds] == [3 * n for n in range(2 * EACH)]
    with Venue(exchange.root) as venue:
        sizes = venue.history.sizes()
        venue.history.frontier()
    # Never two heads of one size, and every head ends in an index.
    assert sizes == list(range(2, len(log) + 1, 2))
    assert all(isinstance(log[size - 1], Index) for size in sizes)
    names = {int(path.name) for path in (exchange.root / "public/checkpoints").iterdir()}
    assert names == set(sizes)


def test_a_publisher_waits_for_the_lock(exchange: Exchange) -> None:
    with start(HOLD, exchange.root / "lock", 0.4) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        begun = time.monotonic()
        exchange.fund()
        assert time.monotonic() - begun > 0.2
    assert exchange.kinds() == ["policy", "index", "fund", "index"]


def test_whoever_waits_too_long_is_refused(
    exchange: Exchange, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(locks, "LOCK_SECONDS", 0.2)
    with lock(exchange.root / "lock"), refused(exchange, "another publisher holds the venue"):
        exchange.fund()
    exchange.fund()


def test_the_lock_of_a_killed_publisher_is_free(exchange: Exchange) -> None:
    with start(HOLD, exchange.root / "lock", 60) as other:
        assert other.stdout is not None
        other.stdout.readline()
        with try_lock(exchange.root / "lock") as held:
            assert not held
        other.send_signal(signal.SIGKILL)
        other.wait()
        exchange.fund()
    with try_lock(exchange.root / "lock") as held:
        assert held


def test_a_publish_that_fails_lets_go_of_the_lock(exchange: Exchange) -> None:
    with refused(exchange, "debits exceed what it holds"):
        exchange.fund(BTC=[("correction", -1)])
    exchange.fund()


def test_readers_need_no_lock_and_settle_nothing_meanwhile(exchange: Exchange) -> None:
    """What a publisher at work has written so far is not taken for what one left behind."""
    with (
        Venue(exchange.root) as venue,
        venue.publishing(exchange.signer, exchange.now + 1000) as draft,
    ):
        ledger = draft.ledger("margin", Balances.of([("anna", 5)]))
        with Venue(exchange.root) as reader:
            assert len(reader.history) == 2
        assert (exchange.root / "secrets/2-margin").exists()
        draft.add(Snapshot, asset="BTC", as_of=None, ledgers=(ledger,))
    assert exchange.check("anna").balances[0].amount == 5


def test_a_venue_opened_before_another_publish_goes_on_from_it(exchange: Exchange) -> None:
    pools = exchange.pools_file({"BTC": [("liquidation_fee", 3)]})
    with Venue(exchange.root) as venue:
        exchange.fund(BTC=[("liquidation_fee", 4)])
        with venue.publishing(exchange.signer, exchange.now + 1000) as draft:
            fund.publish(draft, fund.read(pools, draft.policy))
        assert len(venue.history) == 6
    assert [f.pools[0].closing for f in exchange.log() if isinstance(f, Fund)] == [4, 7]


def test_the_clock_gives_every_statement_a_time_of_its_own(exchange: Exchange) -> None:
    path = exchange.pools_file({})
    before = now()
    with Venue(exchange.root) as venue, venue.publishing(exchange.signer, None) as draft:
        for _ in range(20):
            fund.publish(draft, fund.read(path, draft.policy))
    times = [statement.time for statement in exchange.log()]
    assert times == sorted(set(times))
    assert before <= times[2] <= times[-1] <= now()


def test_told_times_are_a_millisecond_apart(exchange: Exchange) -> None:
    books = {"BTC": {"margin": {"anna": 5}}, "USDT": {"margin": {"anna": 5}}}
    told = exchange.now + 12_345
    exchange.snapshot(books, told=told)
    assert [statement.time for statement in exchange.log()[2:]] == [told, told + 1, told + 2]


@pytest.mark.parametrize("late", [0, 1, 1000])
def test_times_never_run_backwards(exchange: Exchange, late: int) -> None:
    exchange.fund()
    with refused(exchange, "is not after the log's last", "times never run backwards"):
        exchange.fund(told=exchange.now - late)
    exchange.fund(told=exchange.now + 1)


def test_a_time_ahead_of_the_clock_is_refused(exchange: Exchange) -> None:
    """A log that has spoken of the future could not go on before that time has come."""
    exchange.fund(told=now() + 30_000)
    with refused(exchange, "is ahead of the clock", "could not be continued"):
        exchange.fund(told=now() + 3_600_000)


def test_a_clock_that_is_behind_the_log_is_refused(exchange: Exchange) -> None:
    exchange.fund(told=now() + 30_000)
    with (
        refused(exchange, "the clock says", "set the clock, or give --time"),
        Venue(exchange.root) as venue,
        venue.publishing(exchange.signer, None),
    ):
        pass


def test_a_clock_that_is_a_moment_behind_waits(exchange: Exchange) -> None:
    exchange.fund(told=now() + 300)
    last = exchange.last_time()
    with Venue(exchange.root) as venue, venue.publishing(exchange.signer, None) as draft:
        draft.add(Index, latest={}, policy=0)
    assert exchange.log()[-2].time > last


def test_nothing_to_say_is_nothing_published(exchange: Exchange) -> None:
    before = exchange.tree()
    with Venue(exchange.root) as venue, venue.publishing(exchange.signer, None):
        pass
    assert exchange.tree() == before


def test_an_interrupt_leaves_nothing_behind(exchange: Exchange) -> None:
    def interrupted(draft: Draft) -> None:
        draft.ledger("margin", Balances.of([("anna", 5)]))
        raise KeyboardInterrupt

    before = exchange.tree()
    with pytest.raises(KeyboardInterrupt):
        exchange.publish(interrupted)
    assert exchange.tree() == before


@pytest.mark.parametrize("number", [errno.EACCES, errno.EROFS])
def test_a_venue_that_cannot_be_written_is_read_and_no_more(
    exchange: Exchange, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    """Whoever may only read proves what is there, and settles nothing."""
    exchange.snapshot({"BTC": {"margin": {"anna": 5}}})
    real = os.open

    def no_lock(path: str, flags: int, *rest: Any, **named: Any) -> int:
        if str(path).endswith("/lock"):
            raise OSError(number, os.strerror(number), str(path))
        return real(path, flags, *rest, **named)

    monkeypatch.setattr(os, "open", no_lock)
    assert exchange.check("anna").balances[0].amount == 5
    with refused(exchange, os.strerror(number), error=OSError):
        exchange.fund()
