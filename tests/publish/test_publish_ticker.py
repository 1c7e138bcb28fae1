"""An entry a minute: never twice, no draw lost, a gap stays a gap; sources that fail are said."""

import subprocess
import sys
import time
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import pytest
from exchange import Exchange

from auditkit.errors import InputError
from auditkit.log.monitor import breaches
from auditkit.log.published import Log
from auditkit.publish import clock
from auditkit.publish.fund import Movements
from auditkit.publish.keys import Signer
from auditkit.publish.ticker import CommandSource, FileSource, Tick, Ticker
from auditkit.verify.elements import TIME
from auditkit.verify.note import VerifierKey
from auditkit.verify.statements import Draw, Fund, Policy

MINUTE = 60_000
ROUNDS = 50


class Quiet:
    """Nothing moves."""

    def read(self, policy: Policy, start: int) -> Mapping[str, Movements]:
        return {name: Movements((), (), 5) for name in policy.pools}


class Hands:
    """A clock that stands still until it is set."""

    def __init__(self, moment: int) -> None:
        self.moment = moment

    def __call__(self) -> int:
        self.moment += 1
        return self.moment


@pytest.fixture
def exchange(tmp_path: Path) -> Exchange:
    made = Exchange(tmp_path)
    made.snapshot({"BTC": {"margin": {"anna": 500}}})
    return made


@pytest.fixture
def hands(exchange: Exchange, monkeypatch: pytest.MonkeyPatch) -> Hands:
    """The clock, five seconds into the minute after the last statement."""
    made = Hands((exchange.now // MINUTE + 1) * MINUTE + 5000)
    monkeypatch.setattr(clock, "now", made)
    return made


def ticker(exchange: Exchange, source: object = None, every: int = MINUTE) -> Ticker:
    return Ticker(exchange.root, exchange.signer, source or Quiet(), every)  # type: ignore[arg-type]


def done(tick: Tick | None) -> Tick:
    assert tick is not None
    return tick


def test_a_minute_gets_one_entry(exchange: Exchange, hands: Hands) -> None:
    first = done(ticker(exchange).tick())
    assert first.entry is not None
    assert (first.missed, first.entry.time // MINUTE) == (0, first.start // MINUTE)
    assert ticker(exchange).tick() is None
    hands.moment += MINUTE
    second = done(ticker(exchange).tick())
    assert (second.missed, second.start) == (0, first.start + MINUTE)


def test_what_was_missed_stays_a_gap(exchange: Exchange, hands: Hands) -> None:
    done(ticker(exchange).tick())
    hands.moment += 4 * MINUTE
    assert done(ticker(exchange).tick()).missed == 3
    assert [s.kind for s in exchange.log()].count("fund") == 2


def test_the_entry_that_an_event_made_is_that_minutes(exchange: Exchange, hands: Hands) -> None:
    exchange.now = hands.moment
    exchange.loss("crash", "BTC", {"carl": 3}, {"anna": 500}, told=hands.moment + 1000)
    hands.moment += 2000
    assert ticker(exchange).tick() is None
    hands.moment += MINUTE
    assert done(ticker(exchange).tick()).missed == 0


@pytest.mark.parametrize(
    ("command", "fragment"),
    [
        ("false", "--command: ended in 1"),
        ("no-such-program", "--command: 'no-such-program': "),
        ("'", "--command: "),
        ("", "--command: "),
        ("sleep 30", "--command: not done after 300 ms; it was stopped"),
        ("echo nonsense", "--command: what it printed: not TOML"),
        ("yes", "--command: printed more than 1 MiB"),
        ("echo '[[pool]]'", "--command: what it printed: [[pool]] 1: pool is missing"),
    ],
)
def test_a_source_that_fails_is_said_and_the_series_goes_on(
    exchange: Exchange, hands: Hands, command: str, fragment: str
) -> None:
    began = time.monotonic()
    failed = done(ticker(exchange, CommandSource(command, 300)).tick())
    assert time.monotonic() - began < 20
    assert failed.entry is None
    assert failed.problem.startswith(fragment)
    hands.moment += MINUTE
    assert done(ticker(exchange).tick()).entry is not None


def test_a_command_and_a_file_say_the_same(exchange: Exchange, hands: Hands) -> None:
    path = exchange.pools_file({})
    for source in (CommandSource(f"cat '{path}'", 20_000), FileSource(path)):
        entry = done(ticker(exchange, source).tick()).entry
        assert entry is not None
        assert [row.open_interest for row in entry.pools] == [500_000_000, 5_000_000]
        hands.moment += MINUTE


def test_movements_say_of_which_minute_they_are(exchange: Exchange, hands: Hands) -> None:
    """A file that nobody wrote anew would else be booked every minute."""
    path = exchange.pools_file({"BTC": [("liquidation_fee", 7)]})
    text, start = path.read_text(), hands.moment // MINUTE * MINUTE
    failed = done(ticker(exchange, FileSource(path)).tick())
    assert f"{path}: minute is missing; with --every" in failed.problem
    path.write_text(f'minute = "{TIME.write(start)}"\n{text}')
    entry = done(ticker(exchange, FileSource(path)).tick()).entry
    assert entry is not None
    assert entry.pools[0].credits[0].amount == 7
    hands.moment += MINUTE
    failed = done(ticker(exchange, FileSource(path)).tick())
    assert f"minute is {TIME.write(start)}; with --every" in failed.problem


def test_a_source_that_takes_until_the_next_minute_is_late(
    exchange: Exchange, hands: Hands
) -> None:
    class Slow(Quiet):
        def read(self, policy: Policy, start: int) -> Mapping[str, Movements]:
            hands.moment += MINUTE
            return super().read(policy, start)

    late = done(ticker(exchange, Slow()).tick())
    assert (late.entry, late.problem) == (
        None,
        "its source was not done before the next one began",
    )


def test_it_sleeps_until_the_next_minute_begins(
    exchange: Exchange, hands: Hands, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Enough(Exception):
        pass

    said: list[Tick] = []

    def sleep(seconds: float) -> None:
        hands.moment += int(seconds * 1000)

    def heard(tick: Tick) -> None:
        said.append(tick)
        if len(said) == 5:
            raise Enough

    monkeypatch.setattr("auditkit.publish.ticker.time.sleep", sleep)
    with pytest.raises(Enough):
        ticker(exchange).run(heard)
    starts = [tick.start for tick in said]
    assert starts == [starts[0] + n * MINUTE for n in range(5)]
    assert not any(tick.missed for tick in said)


def test_the_key_of_another_venue_is_refused_at_once(exchange: Exchange) -> None:
    with pytest.raises(InputError, match="but the venue's key is"):
        Ticker(exchange.root, Signer.generate("exchange.example/audit"), Quiet(), MINUTE)


def test_killed_and_restarted_again_and_again(tmp_path: Path) -> None:
    """No minute twice, no draw lost, and what was missed is a gap of the series."""
    script = Path(__file__).with_name("ticked.py")
    told = [sys.executable, str(script), str(tmp_path / "venue"), "17", str(ROUNDS)]
    done = subprocess.run(told, capture_output=True, text=True, timeout=300, check=True)
    log = Log.read(tmp_path / "venue/venue/public", VerifierKey.parse(done.stdout.strip()))
    assert breaches(log) == []
    funds, draws = log.of(Fund), [d for d in log.of(Draw) if d.drawn]
    # An event's own entry may share the minute of one that was ticked before it.
    ticked = [f for f in funds if f.seq + 1 == len(log) or not isinstance(log[f.seq + 1], Draw)]
    counts = Counter(entry.time // MINUTE for entry in ticked)
    assert len(counts) > ROUNDS // 5
    assert set(counts.values()) == {1}
    # On a busy machine no minute may pass between two events, and then nothing is left to draw.
    assert len(log.of(Draw)) == ROUNDS // 5 >= len(draws) > 0
    booked = [d.amount for f in funds for row in f.pools for d in row.debits]
    last_draw_is_booked = draws[-1].seq < funds[-1].seq
    assert booked == [draw.drawn for draw in draws[: None if last_draw_is_booked else -1]]
    minutes = sorted({entry.time // MINUTE for entry in funds})
    assert len(minutes) < minutes[-1] - minutes[0] + 1
