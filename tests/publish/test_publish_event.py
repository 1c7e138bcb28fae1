"""One loss from positions and marks: equities, deficits, deleveraging, shares; or refused."""

import json
from collections.abc import Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from exchange import Exchange, refused
from hypothesis import assume, given
from hypothesis import strategies as st
from margin_files import MarginFiles, Position

from auditkit.errors import InputError
from auditkit.margin import closings
from auditkit.margin.closings import Closing
from auditkit.margin.eventfile import EventFile
from auditkit.publish import event as events
from auditkit.publish.handover import of_event
from auditkit.publish.venue import Venue
from auditkit.verify.statements import Adl, Applied, Deficit, Draw, Fund, Loss, Run

PUBLISHED = Path(__file__).resolve().parents[2].parent / "shared/vectors/loss/published.json"
LINEAR = ("LIN,linear,1,X,0.01",)
MARKS = {"LIN": {"a": "700"}}


def at_work(folder: Path, fund: int = 0, **rules: object) -> Exchange:
    """An exchange of one asset without decimals, so that a unit is a unit."""
    pools = rules.pop("pools", None)
    made = Exchange(folder, {"X": 0}, pools, **rules)  # type: ignore[arg-type]
    made.snapshot({"X": {"margin": {"anna": 5000, "bert": 100}}})
    if fund:
        made.fund(None, X=[("liquidation_fee", fund)])
    return made


def publish(made: Exchange, *files: Path) -> None:
    """Publish the events of one crash."""
    given = [EventFile.read(path) for path in files]
    made.publish(lambda draft: events.publish(draft, given))


def run_of(made: Exchange, event: str = "crash-1") -> dict[str, Run]:
    """The statements of an event, by kind."""
    return {s.kind: s for s in made.log() if isinstance(s, Run) and s.event == event}


def ledgers(made: Exchange, event: str = "crash-1") -> dict[str, dict[str, int]]:
    """The accounts of every ledger of an event, by the kind of its statement."""
    return {
        kind: made.balances(run, book)
        for kind, run in run_of(made, event).items()
        for book in run.ledgers_shown()
    }


def closed(made: Exchange, event: str = "crash-1") -> list[Closing]:
    """The list that the venue keeps of what deleveraging closed."""
    with Venue(made.root) as venue:
        (adl,) = [s for s in of_event(venue, event) if isinstance(s, Adl)]
        return closings.read(venue.ledgers.closings(adl.seq), 0)


def crash(
    wallets: Mapping[str, str],
    positions: Sequence[Position],
    marks: Mapping[str, Mapping[str, str]] = MARKS,
    contracts: Sequence[str] = LINEAR,
    **more: object,
) -> MarginFiles:
    """A crash in the asset X."""
    return MarginFiles(wallets, positions, contracts, marks, asset="X", **more)  # type: ignore[arg-type]


# One who sold 20 at 600 with 1,000 behind it is bankrupt at 650; at 700 it is short 1,000.
SHORT = ("zoe", "LIN", "short", "20", "600")


def test_one_list_goes_all_the_way(tmp_path: Path) -> None:
    """zoe is short 1000; lena won 300 and takes a part of it at 650; the fund pays, all share."""
    made = at_work(tmp_path, fund=100)
    positions = [
        SHORT,
        ("lena", "LIN", "long", "6", "650"),
        ("otto", "LIN", "long", "14", "705"),
    ]
    wallets = {"zoe": "1000", "lena": "400", "otto": "2000", "anna": "5000"}
    publish(made, crash(wallets, positions).event(made, pool="X"))
    found = run_of(made)
    assert list(found) == ["deficit", "adl", "draw", "loss", "applied"]
    assert ledgers(made)["deficit"] == {"zoe": 1000}
    assert ledgers(made)["adl"] == {"lena": 300}
    (only,) = closed(made)
    assert (only.bankrupt, only.account, only.price, only.absorbed) == ("zoe", "lena", "650", 300)
    loss = found["loss"]
    assert isinstance(loss, Loss)
    assert (loss.socialized, loss.residual) == (600, 0)
    # lena: 400 + 6 * 50 - 300; otto: 2000 - 14 * 5; bert left, and is carried with 0.
    assert ledgers(made)["loss"] == {"anna": 5000, "lena": 400, "otto": 1930, "bert": 0}
    assert sum(ledgers(made)["applied"].values()) == 7330 - 600
    adl = found["adl"]
    assert isinstance(adl, Adl)
    assert (adl.candidates, adl.exhausted) == (1, True)


def test_each_customer_is_told_its_part(tmp_path: Path) -> None:
    """A bankrupt and a deleveraged account see what they were short, and what they absorbed."""
    made = Exchange(tmp_path, {"X": 0})
    made.snapshot({"X": {"margin": {"zoe": 1000, "lena": 400, "otto": 2000}}})
    positions = [SHORT, ("lena", "LIN", "long", "6", "650"), ("otto", "LIN", "long", "14", "705")]
    wallets = {"zoe": "1000", "lena": "400", "otto": "2000"}
    publish(made, crash(wallets, positions).event(made, pool="X"))
    roles = {name: [(r.book, r.amount) for r in made.check(name).roles] for name in wallets}
    assert roles == {"zoe": [("deficit", 1000)], "lena": [("adl", 300)], "otto": []}


@pytest.mark.skipif(not PUBLISHED.exists(), reason="needs the folder shared beside the checkout")
def test_bitmex_closes_the_published_longs(tmp_path: Path) -> None:
    """Six longs, ranked as in the example; 20 are bought back at 650 from the second and fifth."""
    example = json.loads(PUBLISHED.read_text())["bitmex_adl"]
    made = at_work(tmp_path, adl_rank="profit-desc-leverage-asc")
    # By rank: profits at 700 of 600 to 2000, as entries give them.
    profit = {1: 600, 2: 1000, 3: 1200, 4: 1500, 5: 1800, 6: 2000}
    positions = [SHORT, ("bear", "LIN", "short", "80", "690")]
    for long in example["longs"]:
        entry = 700 - Fraction(profit[long["rank"]], long["qty"])
        positions.append((f"long-{long['id']}", "LIN", "long", str(long["qty"]), str(entry)))
    wallets = {"zoe": "1000", "bear": "9000"}
    publish(made, crash(wallets, positions).event(made, pool="X"))
    scale = 10**18
    found = [(c.account, c.size // scale, c.price) for c in closed(made)]
    assert found == [(f"long-{e['id']}", e["closed"], "650") for e in example["expected"]]
    assert all(c.bankrupt == "zoe" and c.size % scale == 0 for c in closed(made))


# Corners.


def test_nothing_left_for_a_stage_is_still_logged(tmp_path: Path) -> None:
    made = at_work(tmp_path, fund=5000, waterfall=["draw", "adl"])
    positions = [SHORT, ("lena", "LIN", "long", "20", "650")]
    publish(made, crash({"zoe": "1000", "lena": "400"}, positions).event(made, pool="X"))
    found = run_of(made)
    assert list(found) == ["deficit", "draw", "adl", "loss"]
    draw, adl, loss = found["draw"], found["adl"], found["loss"]
    assert isinstance(draw, Draw)
    assert isinstance(adl, Adl)
    assert isinstance(loss, Loss)
    assert (draw.drawn, adl.ledger.total, adl.candidates, loss.socialized) == (1000, 0, 1, 0)
    assert closed(made) == []


def test_the_fund_first_and_deleveraging_for_the_rest(tmp_path: Path) -> None:
    """450 are left to absorb: 9 contracts of 50 each."""
    made = at_work(tmp_path, fund=550, waterfall=["draw", "adl"])
    positions = [SHORT, ("lena", "LIN", "long", "20", "650")]
    publish(made, crash({"zoe": "1000", "lena": "400"}, positions).event(made, pool="X"))
    (only,) = closed(made)
    assert (only.size, only.absorbed) == (9 * 10**18, 450)
    adl = run_of(made)["adl"]
    assert isinstance(adl, Adl)
    assert not adl.exhausted


def test_a_loss_above_all_equity_leaves_a_residual(tmp_path: Path) -> None:
    made = at_work(tmp_path)
    publish(made, crash({"zoe": "1000", "anna": "250"}, [SHORT]).event(made, pool="X"))
    loss = run_of(made)["loss"]
    assert isinstance(loss, Loss)
    assert (loss.socialized, loss.residual) == (250, 750)
    assert ledgers(made)["applied"] == {"anna": 0, "bert": 0}


def test_nobody_with_equity_leaves_all_of_it(tmp_path: Path) -> None:
    made = at_work(tmp_path)
    publish(made, crash({"zoe": "1000"}, [SHORT]).event(made, pool="X"))
    found = run_of(made)
    assert list(found) == ["deficit", "adl", "draw", "loss"]
    loss = found["loss"]
    assert isinstance(loss, Loss)
    assert (loss.before.total, loss.socialized, loss.residual) == (0, 0, 1000)


def test_a_floor_is_left_in_the_fund(tmp_path: Path) -> None:
    made = at_work(tmp_path, fund=100, pools={"X": {"asset": "X", "floor": "30"}})
    publish(made, crash({"zoe": "1000", "anna": "5000"}, [SHORT]).event(made, pool="X"))
    draw = run_of(made)["draw"]
    assert isinstance(draw, Draw)
    assert (draw.before, draw.drawn, draw.after) == (100, 70, 30)


def test_a_balance_is_split_over_its_leaves(tmp_path: Path) -> None:
    made = at_work(tmp_path)
    tables = crash(
        {"zoe": "1000", "anna": "5000", "bert": "2"}, [SHORT], leaves={"anna": 3, "bert": 4}
    )
    publish(made, tables.event(made, pool="X"))
    with Venue(made.root) as venue:
        loss = run_of(made)["loss"]
        assert isinstance(loss, Loss)
        stored = venue.ledgers.open(loss.seq, loss.before)
        leaves = {name: [x.amount for x in stored.leaves(name)] for name in ("anna", "bert")}
    assert leaves == {"anna": [1666, 1667, 1667], "bert": [0, 0, 1, 1]}
    (event,) = made.check("anna").events
    assert event.balance == 5000
    assert sum(ledgers(made)["applied"].values()) == 4002


def test_assets_never_net(tmp_path: Path) -> None:
    """Rich in Y, bankrupt in X: the deficit is X's, and nothing of Y is touched."""
    made = Exchange(tmp_path, {"X": 0, "Y": 0})
    made.snapshot({"X": {"margin": {"anna": 5000}}, "Y": {"margin": {"zoe": 10**9}}})
    tables = crash({"zoe": "1000", "anna": "5000"}, [SHORT], more=["zoe,Y,1000000000,0,1"])
    publish(made, tables.event(made, pool="X"))
    assert ledgers(made)["deficit"] == {"zoe": 1000}
    assert {run.asset for run in run_of(made).values()} == {"X"}


def test_only_the_named_pool_is_drawn(tmp_path: Path) -> None:
    pools = {"one": {"asset": "X"}, "two": {"asset": "X"}}
    made = at_work(tmp_path, pools=pools)
    made.fund(one=[("liquidation_fee", 70)], two=[("liquidation_fee", 400)])
    contracts = ("LIN,linear,1,X,0.01,two", "OLD,linear,1,X,0.01,one")
    marks = {"LIN": {"a": "700"}, "OLD": {"a": "10"}}
    # yuri is bankrupt too, but in a contract of the other pool.
    positions = [SHORT, ("yuri", "OLD", "long", "5", "90")]
    tables = crash({"zoe": "1000", "yuri": "100", "anna": "5000"}, positions, marks, contracts)
    publish(made, tables.event(made, pool="two"))
    assert ledgers(made)["deficit"] == {"zoe": 1000}
    draw = run_of(made)["draw"]
    assert isinstance(draw, Draw)
    assert (draw.pool, draw.drawn) == ("two", 400)
    made.fund()
    last = [s for s in made.log() if isinstance(s, Fund)][-1]
    assert {row.pool: row.closing for row in last.pools} == {"one": 70, "two": 0}


def test_several_assets_of_one_crash_are_logged_together(tmp_path: Path) -> None:
    made = Exchange(tmp_path, {"X": 0, "Y": 0})
    made.snapshot({asset: {"margin": {"anna": 5000}} for asset in ("X", "Y")})
    files = []
    for asset in ("X", "Y"):
        tables = MarginFiles(
            {"zoe": "1000", "anna": "5000"},
            [SHORT],
            (f"LIN,linear,1,{asset},0.01",),
            MARKS,
            asset=asset,
        )
        files.append(tables.event(made, f"crash-{asset}", asset))
    size = len(made.log())
    publish(made, *files)
    assert made.kinds()[size:].count("index") == 1
    for asset in ("X", "Y"):
        loss = run_of(made, f"crash-{asset}")["loss"]
        assert isinstance(loss, Loss)
        assert (loss.asset, loss.socialized) == (asset, 1000)
    assert len(made.check("anna").events) == 2


def test_times_are_those_of_the_logging(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Trees take a while; what is signed was timed after the last of them was built."""
    made = at_work(tmp_path)
    now = [made.now + 1000]

    def clock() -> int:
        now[0] += 1
        return now[0]

    monkeypatch.setattr("auditkit.publish.clock.now", clock)
    path = crash({"zoe": "1000", "anna": "5000"}, [SHORT]).event(made, pool="X")
    given = [EventFile.read(path)]
    with Venue(made.root) as venue, venue.publishing(made.signer, None) as draft:
        events.publish(draft, given)
        built = now[0] = now[0] + 60_000
    found = run_of(made)
    assert all(statement.time > built for statement in found.values())


# Refused.


@pytest.mark.parametrize(
    ("says", "pool", "fragment"),
    [
        ({}, "Y", "pool: the policy has no pool Y; it has X"),
        ({"positions": None}, "X", "positions is missing"),
        ({"deficits": "d.csv", "books": "b.toml"}, "X", "has lists"),
        ({"mark": [{"contract": "OTHER", "sources": {"a": "1"}}]}, "X", "LIN has positions but no"),
        ({"positions": "none.toml"}, "X", "none.toml"),
    ],
)
def test_what_does_not_fit_is_refused(
    tmp_path: Path, says: dict[str, object], pool: str, fragment: str
) -> None:
    made = at_work(tmp_path)
    path = crash({"zoe": "1000"}, [SHORT]).event(made, pool=pool, says=says)
    with refused(made, fragment):
        publish(made, path)


def test_a_pool_of_another_asset_covers_nothing_here(tmp_path: Path) -> None:
    """The pool tells the asset: nobody is bankrupt in Y, so the deficit is nothing."""
    made = Exchange(tmp_path, {"X": 0, "Y": 0})
    made.snapshot({asset: {"margin": {"anna": 5000}} for asset in ("X", "Y")})
    tables = crash({"zoe": "1000", "anna": "5000"}, [SHORT])
    path = tables.event(made, pool="Y")
    with refused(made, "nobody is bankrupt"):
        publish(made, path)


def test_two_events_of_one_asset_come_one_after_the_other(tmp_path: Path) -> None:
    made = at_work(tmp_path)
    files = [
        crash({"zoe": "1000", "anna": "5000"}, [SHORT]).event(made, name, "X")
        for name in ("crash-1", "crash-2")
    ]
    with refused(made, "asset X is in", "one after the other"):
        publish(made, *files)


def test_nothing_stays_of_a_list_that_was_not_logged(tmp_path: Path) -> None:
    made = at_work(tmp_path)
    path = crash({"zoe": "1000", "anna": "5000"}, [SHORT]).event(made, pool="X")
    late = {"confirmed": "2025-10-10T20:00:00.000Z"}
    with refused(made):
        publish(made, crash({"zoe": "1"}, [SHORT]).event(made, "late", "X", late))
    publish(made, path)
    assert [p.name for p in (made.root / "lists").iterdir()] == [
        f"{run_of(made)['adl'].seq}-adl.csv"
    ]


# Money is conserved.

ACCOUNTS = [f"acc{n}" for n in range(8)]
INVERSE = "INV,inverse,1000,X,0.02"
PRICES = st.integers(1, 4000).map(lambda n: format(Fraction(n, 4).__float__(), "g"))


@st.composite
def crashes(draw: st.DrawFn) -> MarginFiles:
    """A book of eight accounts in a linear and an inverse contract, and the marks of a crash."""
    wallets = {a: str(draw(st.integers(-300, 3000))) for a in ACCOUNTS}
    held = draw(
        st.sets(
            st.tuples(
                st.sampled_from(ACCOUNTS),
                st.sampled_from(["LIN", "INV"]),
                st.sampled_from(["long", "short"]),
            ),
            max_size=14,
        )
    )
    sizes = st.integers(1, 200).map(str)
    positions = [(*key, draw(sizes), draw(PRICES)) for key in sorted(held)]
    marks = {name: {"a": draw(PRICES)} for name in ("LIN", "INV")}
    leaves = {"acc1": draw(st.integers(1, 5))}
    return crash(wallets, positions, marks, (*LINEAR, INVERSE), leaves=leaves)


WATERFALLS = [["adl", "draw"], ["draw", "adl"], ["adl"], ["draw"], []]


@given(
    tables=crashes(),
    waterfall=st.sampled_from(WATERFALLS),
    rank=st.sampled_from(["profit-desc-leverage-asc", "pnl-times-leverage"]),
    fund=st.integers(0, 500),
    floor=st.integers(0, 200),
    back=st.fractions(0, 1),
)
def test_money_is_conserved_through_every_stage(
    tables: MarginFiles,
    waterfall: list[str],
    rank: str,
    fund: int,
    floor: int,
    back: Fraction,
) -> None:
    with TemporaryDirectory() as name:
        pools = {"X": {"asset": "X", "floor": str(floor)}}
        made = Exchange(Path(name), {"X": 0}, pools, waterfall=waterfall, adl_rank=rank)
        made.snapshot({"X": {"margin": {"anna": 5000, "acc1": 7}}})
        made.fund(X=[("liquidation_fee", fund)])
        path = tables.event(made, pool="X")
        try:
            publish(made, path)
        except InputError as error:
            assume("nobody is bankrupt" not in str(error))
            raise
        found = run_of(made)
        deficit, loss = found["deficit"], found["loss"]
        assert isinstance(deficit, Deficit)
        assert isinstance(loss, Loss)
        absorbed = found["adl"].ledgers_shown()["adl"].total if "adl" in found else 0
        drawn = getattr(found.get("draw"), "drawn", 0)
        covered = absorbed + drawn + loss.socialized + loss.residual
        assert deficit.ledger.total == covered
        assert sum(c.absorbed for c in closed(made)) == absorbed if "adl" in found else True
        if loss.socialized:
            applied = found["applied"]
            assert isinstance(applied, Applied)
            assert loss.before.total - loss.socialized == applied.after.total
            amount = int(back * loss.socialized)
            if amount:
                after = made.balances(applied, "margin")
                recovered = made.recovery("crash-1", amount, {"X": {"margin": after}}, "X")
                assert sum(recovered.earlier) + recovered.recovered <= loss.socialized
