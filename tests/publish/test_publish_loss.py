"""One loss in one publish: down the waterfall, over everybody, to the last unit, or refused."""

import json
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from exchange import Exchange, refused
from hypothesis import given
from hypothesis import strategies as st

from auditkit.errors import InputError
from auditkit.margin.eventfile import EventFile, median
from auditkit.verify.elements import PRICE, TIME, price_units
from auditkit.verify.statements import Adl, Applied, Draw, Loss

PUBLISHED = Path(__file__).resolve().parents[2].parent / "shared/vectors/loss/published.json"
BEFORE = {
    "BTC": {"margin": {"anna": 500, "bert": 300, "carl": 90, "erin": 17}, "spot": {"anna": 7}}
}
LEFT = {"anna": 450, "bert": 200, "erin": 17}


def at_work(tmp_path: Path, fund: int = 40, **rules: object) -> Exchange:
    """An exchange with a snapshot of BTC and something in its fund."""
    exchange = Exchange(tmp_path, **rules)  # type: ignore[arg-type]
    exchange.snapshot(BEFORE)
    if fund:
        exchange.fund(BTC=[("liquidation_fee", fund)])
    return exchange


@pytest.fixture
def exchange(tmp_path: Path) -> Exchange:
    return at_work(tmp_path)


def assert_shared(exchange: Exchange, lost: Loss) -> dict[str, int]:
    """Every account is proven its own deduction, and they add up; what each one lost."""
    before = exchange.balances(lost, lost.before.book)
    deducted = {}
    for account, amount in before.items():
        (event,) = [e for e in exchange.check(account, lost.asset).events if e.loss == lost]
        assert event.balance == amount
        assert event.deducted is not None
        deducted[account] = event.deducted
        stages = event.absorbed + (event.draw.drawn if event.draw else 0)
        assert event.deficit.ledger.total == stages + lost.socialized + lost.residual
    assert sum(deducted.values()) == lost.socialized
    if lost.socialized:
        after = exchange.log()[lost.seq + 1]
        assert isinstance(after, Applied)
        assert exchange.balances(after, lost.before.book) == {
            account: amount - deducted[account] for account, amount in before.items()
        }
    return deducted


def stages(exchange: Exchange) -> tuple[int | None, int | None]:
    """What the last event's ADL absorbed, and what was drawn; None for a stage that was not."""
    absorbed = drawn = None
    for statement in exchange.log():
        if isinstance(statement, Adl):
            absorbed = statement.ledger.total
        if isinstance(statement, Draw):
            drawn = statement.drawn
    return absorbed, drawn


# The waterfall.


def test_deleveraging_then_the_fund_then_everybody(exchange: Exchange) -> None:
    lost = exchange.loss("crash", "BTC", {"carl": 80, "dirk": 10}, LEFT, adl={"dora": 6, "emil": 4})
    assert exchange.kinds()[6:] == ["deficit", "adl", "fund", "draw", "loss", "applied", "index"]
    assert stages(exchange) == (10, 40)
    assert (lost.socialized, lost.residual, lost.before.total) == (40, 0, 667)
    assert assert_shared(exchange, lost)["carl"] == 0


def test_the_fund_may_come_first(tmp_path: Path) -> None:
    exchange = at_work(tmp_path, waterfall=["draw", "adl"])
    lost = exchange.loss("crash", "BTC", {"carl": 90}, LEFT, adl={"dora": 10})
    assert exchange.kinds()[6:] == ["deficit", "fund", "draw", "adl", "loss", "applied", "index"]
    assert (*stages(exchange), lost.socialized) == (10, 40, 40)
    assert_shared(exchange, lost)


def test_a_waterfall_of_the_fund_alone(tmp_path: Path) -> None:
    exchange = at_work(tmp_path, waterfall=["draw"])
    lost = exchange.loss("crash", "BTC", {"carl": 90}, LEFT)
    assert (*stages(exchange), lost.socialized) == (None, 40, 50)
    assert_shared(exchange, lost)


def test_a_waterfall_of_deleveraging_alone(tmp_path: Path) -> None:
    exchange = at_work(tmp_path, waterfall=["adl"])
    lost = exchange.loss("crash", "BTC", {"carl": 90}, LEFT, adl={"dora": 10})
    assert (*stages(exchange), lost.socialized) == (10, None, 80)
    assert "draw" not in exchange.kinds()
    assert_shared(exchange, lost)


def test_an_empty_waterfall(tmp_path: Path) -> None:
    exchange = at_work(tmp_path, waterfall=[])
    lost = exchange.loss("crash", "BTC", {"carl": 90}, LEFT)
    assert exchange.kinds()[6:] == ["deficit", "loss", "applied", "index"]
    assert lost.socialized == 90
    assert_shared(exchange, lost)


@pytest.mark.parametrize(
    ("key", "value"),
    [("adl_candidates", 1), ("adl_exhausted", True), ("adl", "list.csv"), ("pools", "pools.toml")],
)
def test_what_is_told_to_a_stage_that_there_is_not_is_refused(
    tmp_path: Path, key: str, value: object
) -> None:
    """A list of who was deleveraged that changes nothing would be lost without a word."""
    exchange = at_work(tmp_path, waterfall=[])
    with refused(exchange, f"{key}: the policy's waterfall has no stage"):
        exchange.loss("crash", "BTC", {"carl": 90}, LEFT, says={key: value})


@pytest.mark.parametrize("key", ["adl_candidates", "adl_exhausted"])
def test_what_a_stage_needs_and_is_not_told_is_refused(exchange: Exchange, key: str) -> None:
    with refused(exchange, "add adl_candidates and adl_exhausted"):
        exchange.loss("crash", "BTC", {"carl": 90}, LEFT, says={key: None})


def test_nobody_was_deleveraged(exchange: Exchange) -> None:
    lost = exchange.loss("crash", "BTC", {"carl": 90}, LEFT, says={"adl": None})
    assert (*stages(exchange), lost.socialized) == (0, 40, 50)
    assert_shared(exchange, lost)


@pytest.mark.parametrize(("floor", "drawn"), [("0", 40), ("15", 25), ("40", 0), ("41", 0)])
def test_the_fund_is_drawn_to_its_floor(tmp_path: Path, floor: str, drawn: int) -> None:
    exchange = at_work(tmp_path, pools={"BTC": {"asset": "BTC", "floor": floor}}, assets={"BTC": 8})
    lost = exchange.loss("crash", "BTC", {"carl": 90}, LEFT)
    assert (*stages(exchange), lost.socialized) == (0, drawn, 90 - drawn)
    assert_shared(exchange, lost)


def test_only_the_events_own_pool_is_drawn(tmp_path: Path) -> None:
    pools = {"a": {"asset": "BTC"}, "b": {"asset": "BTC"}}
    exchange = at_work(tmp_path, fund=0, pools=pools)
    exchange.fund(a=[("liquidation_fee", 40)], b=[("liquidation_fee", 90)])
    exchange.loss("crash", "a", {"carl": 90}, LEFT)
    assert [(r.pool, r.closing) for r in exchange.fund().pools] == [("a", 0), ("b", 90)]


def test_nothing_is_left_for_a_later_stage(exchange: Exchange) -> None:
    lost = exchange.loss("crash", "BTC", {"carl": 90}, LEFT, adl={"dora": 90})
    assert exchange.kinds()[6:] == ["deficit", "adl", "fund", "draw", "loss", "index"]
    assert (*stages(exchange), lost.socialized, lost.residual) == (90, 0, 0, 0)
    assert set(assert_shared(exchange, lost).values()) == {0}


def test_the_fund_covers_all(exchange: Exchange) -> None:
    lost = exchange.loss("crash", "BTC", {"carl": 30}, LEFT, says={"adl_exhausted": True})
    assert (*stages(exchange), lost.socialized) == (0, 30, 0)
    exchange.snapshot({"BTC": {"margin": LEFT, "spot": {"anna": 7}}})
    assert_shared(exchange, lost)


def test_no_fund_entry_yet_is_a_fund_of_nothing(tmp_path: Path) -> None:
    exchange = at_work(tmp_path, fund=0)
    lost = exchange.loss("crash", "BTC", {"carl": 90}, LEFT)
    assert (*stages(exchange), lost.socialized) == (0, 0, 90)


def test_a_loss_above_all_equity_takes_all_and_says_what_is_left(exchange: Exchange) -> None:
    lost = exchange.loss("crash", "BTC", {"carl": 1000}, LEFT)
    assert (lost.socialized, lost.residual) == (667, 293)
    assert assert_shared(exchange, lost) == {**LEFT, "carl": 0}


def test_a_loss_of_all_equity_exactly(exchange: Exchange) -> None:
    lost = exchange.loss("crash", "BTC", {"carl": 40 + 667}, LEFT)
    assert (lost.socialized, lost.residual) == (667, 0)
    assert_shared(exchange, lost)


@pytest.mark.parametrize("left", [{}, {"anna": 0, "bert": 0}])
def test_nobody_has_equity(exchange: Exchange, left: dict[str, int]) -> None:
    lost = exchange.loss("crash", "BTC", {"carl": 90}, left)
    assert (lost.before.total, lost.socialized, lost.residual) == (0, 0, 50)
    assert set(assert_shared(exchange, lost).values()) == {0}


def test_a_loss_of_one_unit_is_borne_by_one(exchange: Exchange) -> None:
    lost = exchange.loss("crash", "BTC", {"carl": 41}, LEFT)
    assert sorted(assert_shared(exchange, lost).values()) == [0, 0, 0, 1]


# Who shares.


def test_whoever_left_since_the_snapshot_is_carried_and_bears_nothing(exchange: Exchange) -> None:
    lost = exchange.loss("crash", "BTC", {"carl": 90}, {"anna": 450})
    assert exchange.balances(lost, "margin") == {"anna": 450, "bert": 0, "carl": 0, "erin": 0}
    assert assert_shared(exchange, lost) == {"anna": 50, "bert": 0, "carl": 0, "erin": 0}
    # The deficit's own ledger names who was short, and that is no customer's balance.
    proven = exchange.check("carl")
    assert [(r.book, r.amount) for r in proven.roles] == [("deficit", 90)]


def test_other_books_do_not_share(exchange: Exchange) -> None:
    exchange.loss("crash", "BTC", {"carl": 90}, LEFT)
    assert {b.book: b.amount for b in exchange.check("anna").balances}["spot"] == 7
    with refused(exchange, "the ledger BTC/spot; only BTC/margin"):
        exchange.loss(
            "crash-2",
            "BTC",
            {"carl": 90},
            {},
            books=exchange.long({"BTC": {"margin": LEFT, "spot": {"anna": 7}}}),
        )


@pytest.mark.parametrize("wide", [False, True])
def test_books_with_another_ledger_are_refused(exchange: Exchange, wide: bool) -> None:
    other = {"BTC": {"margin": LEFT}, "USDT": {"margin": {"anna": 1}}}
    books = exchange.wide(other) if wide else exchange.long(other)
    with refused(exchange, "the ledger USDT/margin; only BTC/margin has a part in this"):
        exchange.loss("crash", "BTC", {"carl": 90}, {}, books=books)


def test_another_sharing_book(tmp_path: Path) -> None:
    exchange = at_work(tmp_path, book="spot")
    lost = exchange.loss("crash", "BTC", {"carl": 43}, {"anna": 7, "bert": 5})
    assert lost.before.book == "spot"
    assert sum(assert_shared(exchange, lost).values()) == 3


def test_split_balances_share_like_any_other(exchange: Exchange) -> None:
    books = exchange.long({"BTC": {"margin": {"anna": [100, 150, 200], "bert": [1] * 16}}})
    lost = exchange.loss("crash", "BTC", {"carl": 90}, {}, books=books)
    deducted = assert_shared(exchange, lost)
    assert abs(deducted["anna"] - Fraction(450 * 50, 466)) <= 3
    assert abs(deducted["bert"] - Fraction(16 * 50, 466)) <= 16


def test_a_large_book_adds_up(tmp_path: Path) -> None:
    exchange = at_work(tmp_path)
    many = {f"user-{n}": 1 + n * n * 7919 % 10_007 for n in range(300)}
    lost = exchange.loss("crash", "BTC", {"carl": 123_456}, many)
    in_order = exchange.balances(lost, "margin")
    after = exchange.balances(exchange.log()[lost.seq + 1], "margin")  # type: ignore[arg-type]
    share = Fraction(lost.socialized, lost.before.total)
    assert sum(in_order.values()) - sum(after.values()) == lost.socialized
    for account, amount in in_order.items():
        assert abs(amount - after[account] - amount * share) < 1
    for account in list(many)[::50]:
        (event,) = exchange.check(account).events
        assert event.deducted == in_order[account] - after[account]


# What the exchange cannot say.


def test_candidates_that_are_left_are_refused_while_money_is_missing(exchange: Exchange) -> None:
    said = ("nothing was published", "ADL left a deficit while candidates remained")
    with refused(exchange, *said):
        exchange.loss(
            "crash", "BTC", {"carl": 90}, LEFT, adl={"dora": 10}, says={"adl_exhausted": False}
        )
    exchange.loss(
        "crash", "BTC", {"carl": 90}, LEFT, adl={"dora": 90}, says={"adl_exhausted": False}
    )


def test_deleveraging_more_than_is_missing_is_refused(exchange: Exchange) -> None:
    with refused(exchange, "ADL absorbed more than was left", "at most 90", "found 91"):
        exchange.loss("crash", "BTC", {"carl": 90}, LEFT, adl={"dora": 91})


def test_fewer_candidates_than_were_closed_are_refused(exchange: Exchange) -> None:
    with refused(exchange, "the adl statement: fewer candidates than accounts closed"):
        exchange.loss(
            "crash", "BTC", {"carl": 90}, LEFT, adl={"dora": 10}, says={"adl_candidates": 0}
        )


@pytest.mark.parametrize(("deadline", "fits"), [(505, True), (504, False)])
def test_the_deadline_is_counted_to_the_last_statement(
    tmp_path: Path, deadline: int, fits: bool
) -> None:
    """Confirmed half a second before the deficit, applied five milliseconds after it."""
    exchange = at_work(tmp_path, deadline_ms=deadline)
    if fits:
        exchange.loss("crash", "BTC", {"carl": 90}, LEFT)
        return
    with refused(exchange, "the applied was logged after the deadline", "found 505 ms"):
        exchange.loss("crash", "BTC", {"carl": 90}, LEFT)


def test_a_deficit_confirmed_in_the_future_is_refused(exchange: Exchange) -> None:
    at = exchange.now + 1000
    with refused(exchange, "the deficit was confirmed after it was logged"):
        exchange.loss(
            "crash", "BTC", {"carl": 90}, LEFT, says={"confirmed": TIME.write(at + 1)}, told=at
        )
    exchange.loss("crash", "BTC", {"carl": 90}, LEFT, says={"confirmed": TIME.write(at)}, told=at)


def test_a_loss_without_a_snapshot_before_it_is_refused(tmp_path: Path) -> None:
    exchange = Exchange(tmp_path)
    with refused(exchange, "nothing was published", "no snapshot of BTC from before the deficit"):
        exchange.loss("crash", "BTC", {"carl": 90}, LEFT)


def test_a_deficit_confirmed_before_the_first_snapshot_is_refused(tmp_path: Path) -> None:
    exchange = Exchange(tmp_path)
    early = TIME.write(exchange.now)
    exchange.snapshot(BEFORE)
    with refused(exchange, "no snapshot of BTC from before the deficit"):
        exchange.loss("crash", "BTC", {"carl": 90}, LEFT, says={"confirmed": early})


def test_the_reference_is_the_snapshot_before_it_was_confirmed(exchange: Exchange) -> None:
    confirmed = TIME.write(exchange.now)
    exchange.snapshot({"BTC": {"margin": LEFT, "spot": {"anna": 7}}})
    exchange.loss("crash", "BTC", {"carl": 90}, LEFT, says={"confirmed": confirmed})
    (event,) = exchange.check("anna").events
    assert event.reference is not None
    assert (event.reference.seq, event.reference.ledgers[0].total) == (2, 907)


def test_an_unknown_pool_is_refused(exchange: Exchange) -> None:
    with refused(exchange, "the policy has no pool ETH; it has BTC, USDT"):
        exchange.loss("crash", "BTC", {"carl": 90}, LEFT, says={"pool": "ETH"})


def test_a_name_is_used_once(exchange: Exchange) -> None:
    exchange.snapshot({"USDT": {"margin": {"anna": 1}}, **BEFORE})
    exchange.loss("crash", "BTC", {"carl": 90}, LEFT)
    for pool, left in (("BTC", LEFT), ("USDT", {"anna": 1})):
        with refused(exchange, "event crash is in the log already; a name is used once"):
            exchange.loss("crash", pool, {"carl": 90}, left)
    exchange.loss("crash-2", "BTC", {"carl": 90}, LEFT)


@pytest.mark.parametrize(
    ("said", "change"),
    [
        ("event is missing", {"event": None}),
        ("event", {"event": "a b"}),
        ("pool is missing", {"pool": None}),
        ("confirmed is missing", {"confirmed": None}),
        ("confirmed", {"confirmed": "2025-10-10"}),
        ("books is missing", {"books": None}),
        ("deficits is missing", {"deficits": None}),
        ("adl_candidates", {"adl_candidates": "2"}),
        ("adl_candidates", {"adl_candidates": -1}),
        ("adl_exhausted", {"adl_exhausted": 1}),
        ("mark", {"mark": None}),
        ("mark", {"mark": []}),
        ("contract is missing", {"mark": [{"sources": {"a": "1"}}]}),
        ("sources is missing", {"mark": [{"contract": "BTC-PERP"}]}),
        ("sources", {"mark": [{"contract": "BTC-PERP", "sources": {}}]}),
        ("sources", {"mark": [{"contract": "BTC-PERP", "sources": {"a": "1.0"}}]}),
        ("sources", {"mark": [{"contract": "BTC-PERP", "sources": {"a": 104782.5}}]}),
        ("price", {"mark": [{"contract": "BTC-PERP", "sources": {"a": "1"}, "price": "1"}]}),
        ("amount", {"amount": "1"}),
    ],
)
def test_a_bad_event_file_is_refused(
    exchange: Exchange, said: str, change: dict[str, object]
) -> None:
    path = exchange.event_file("crash", "BTC", {"carl": 90}, LEFT, says=change)
    with refused(exchange, str(path), said):
        exchange.loss(path)


@pytest.mark.parametrize("key", ["books", "deficits", "adl", "pools"])
def test_a_file_that_is_not_there_is_refused(exchange: Exchange, key: str) -> None:
    with refused(exchange, str(exchange.books / "no-such.toml")):
        exchange.loss("crash", "BTC", {"carl": 90}, LEFT, says={key: "no-such.toml"})


def test_a_contract_is_marked_once(exchange: Exchange) -> None:
    mark = {"contract": "BTC-PERP", "sources": {"a": "1"}}
    with refused(exchange, "the deficit statement", "ascending"):
        exchange.loss("crash", "BTC", {"carl": 90}, LEFT, says={"mark": [mark, mark]})


def test_bad_lists_are_refused(exchange: Exchange) -> None:
    for text, said in (
        ("account,amount\ncarl,-1\n", "negative"),
        ("account,amount\ncarl,0\n", "leave out accounts whose amount is 0"),
        ("account,amount\ncarl,1\ncarl,2\n", "already in row 1"),
        ("account,amount\ncarl,0.123456789\n", "digits after the point"),
        ("account,size\ncarl,1\n", "no column 'amount'"),
    ):
        (exchange.books / "list.csv").write_text(text)
        for key in ("deficits", "adl"):
            with refused(exchange, "list.csv", said):
                exchange.loss("crash", "BTC", {"carl": 90}, LEFT, says={key: "list.csv"})


def test_lists_that_are_empty_are_lists(exchange: Exchange) -> None:
    (exchange.books / "none.csv").write_text("account,amount\n")
    lost = exchange.loss(
        "crash", "BTC", {"carl": 90}, LEFT, says={"adl": "none.csv", "adl_candidates": 3}
    )
    assert (*stages(exchange), lost.socialized) == (0, 40, 50)


# Marks.


@given(
    st.lists(st.from_regex(r"(0|[1-9][0-9]{0,9})(\.[0-9]{0,9}[1-9])?", fullmatch=True), min_size=1)
)
def test_the_mark_is_the_exact_median(prices: list[str]) -> None:
    units = sorted(map(price_units, prices))
    middle = median(prices)
    assert PRICE.read(middle) == middle
    assert 2 * price_units(middle) == units[(len(units) - 1) // 2] + units[len(units) // 2]


def test_a_median_that_no_price_can_spell_is_refused(tmp_path: Path) -> None:
    exchange = at_work(tmp_path)
    long = {"a": "0." + "0" * 38 + "1", "b": "0." + "0" * 38 + "2"}
    mark = [{"contract": "BTC-PERP", "sources": long}]
    path = exchange.event_file("crash", "BTC", {"carl": 90}, LEFT, says={"mark": mark})
    with pytest.raises(InputError, match="sources the median: a price of more than 40 digits"):
        EventFile.read(path)


# A published example.

CRYPTOCOM: dict[str, Any] = {
    "loss": "10000",
    "bases": ["50000", "45000", "30000", "30000", "15000", "1000"],
    "published": ["2923.98", "2631.58", "1754.39", "1754.39", "877.19", "58.48"],
}


def cents(text: str) -> int:
    whole, _, fraction = text.partition(".")
    return int(whole + fraction.ljust(2, "0"))


def test_the_published_example_is_the_one_that_is_inlined_here() -> None:
    if PUBLISHED.exists():
        found = json.loads(PUBLISHED.read_text())["cryptocom"]
        assert {key: found[key] for key in CRYPTOCOM} == CRYPTOCOM


def test_the_published_example_to_the_cent(tmp_path: Path) -> None:
    """The venue's own rows are rounded one by one, and add up to a cent too much."""
    exchange = Exchange(tmp_path, assets={"USD": 2}, waterfall=[])
    bases = {f"user-{n}": cents(base) for n, base in enumerate(CRYPTOCOM["bases"])}
    published = [cents(row) for row in CRYPTOCOM["published"]]
    assert sum(published) == 1_000_001
    exchange.snapshot({"USD": {"margin": bases}})
    lost = exchange.loss("crypto-com", "USD", {"bankrupt": cents(CRYPTOCOM["loss"])}, bases)
    deducted = assert_shared(exchange, lost)
    assert sum(deducted.values()) == 1_000_000
    for (account, found), row in zip(sorted(deducted.items()), published, strict=True):
        assert abs(found - row) <= 1, account
