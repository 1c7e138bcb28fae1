"""The insurance fund: openings from the log, every draw booked once, every pool in every entry."""

from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from exchange import Exchange, refused, toml

from auditkit.publish import fund
from auditkit.publish.draft import Draft
from auditkit.verify.records import Credit, Debit, PoolRow
from auditkit.verify.statements import Fund, Policy

HELD = {"BTC": {"margin": {"anna": 5000, "bert": 3000}}, "USDT": {"margin": {"anna": 9000}}}
LEFT = {"anna": 4500, "bert": 2000}


@pytest.fixture
def exchange(tmp_path: Path) -> Exchange:
    return Exchange(tmp_path)


def rows(entry: Fund) -> dict[str, PoolRow]:
    return {row.pool: row for row in entry.pools}


def funds(exchange: Exchange) -> list[Fund]:
    return [statement for statement in exchange.log() if isinstance(statement, Fund)]


def assert_chained(exchange: Exchange) -> None:
    """Openings are the closings before; a new pool opens at 0; every row adds up."""
    closing: dict[str, int] = {}
    for entry in funds(exchange):
        for row in entry.pools:
            assert row.opening == closing.get(row.pool, 0)
            gained = sum(c.amount for c in row.credits) - sum(d.amount for d in row.debits)
            assert row.closing == row.opening + gained
        closing = {row.pool: row.closing for row in entry.pools}


def test_openings_come_from_the_log(exchange: Exchange) -> None:
    first = exchange.fund(BTC=[("liquidation_fee", 40), ("liquidation_surplus", 2)])
    second = exchange.fund(USDT=[("operator_injection", 7)])
    third = exchange.fund(BTC=[("correction", -5), ("correction", 1)])
    assert rows(first)["BTC"].closing == rows(second)["BTC"].opening == 42
    assert rows(third)["BTC"] == PoolRow(
        "BTC", 42, (Credit(1, "correction"),), (Debit(5, "correction"),), 38, 5 * 10**8
    )
    assert rows(third)["USDT"].closing == 7
    assert_chained(exchange)


@pytest.mark.parametrize(
    "kind", ["liquidation_surplus", "liquidation_fee", "operator_injection", "correction"]
)
def test_every_kind_of_credit(exchange: Exchange, kind: str) -> None:
    assert rows(exchange.fund(BTC=[(kind, 3)]))["BTC"].credits == (Credit(3, kind),)


def test_natural_units_are_those_of_the_pools_asset(exchange: Exchange) -> None:
    moved = [{"kind": "liquidation_fee", "amount": "0.5"}]
    pools = [
        {"pool": "BTC", "open_interest": "1250.5", "credits": moved, "debits": []},
        {"pool": "USDT", "open_interest": "0", "credits": moved},
    ]
    path = exchange.write("pools", {"pool": pools})
    entry = exchange.publish(lambda draft: fund.publish(draft, fund.read(path, draft.policy)))
    assert rows(entry)["BTC"].closing == 50_000_000
    assert rows(entry)["BTC"].open_interest == 125_050_000_000
    assert rows(entry)["USDT"].closing == 500_000


def test_an_amount_of_nothing_is_a_movement_too(exchange: Exchange) -> None:
    pools = [
        {"pool": p, "open_interest": "0", "credits": [{"kind": "correction", "amount": "0"}]}
        for p in ("BTC", "USDT")
    ]
    path = exchange.write("pools", {"pool": pools})
    entry = exchange.publish(lambda draft: fund.publish(draft, fund.read(path, draft.policy)))
    assert rows(entry)["BTC"].credits == (Credit(0, "correction"),)


GOOD: dict[str, object] = {"pool": "USDT", "open_interest": "5"}
BAD: list[tuple[str, list[dict[str, object]]]] = [
    ("pool BTC is missing; every fund entry lists every pool", [GOOD]),
    ("ETH is not in the policy", [GOOD, {"pool": "ETH", "open_interest": "5"}]),
    ("USDT is listed twice", [GOOD, GOOD]),
    ("open_interest is missing", [{"pool": "BTC"}]),
    ("open_interest", [{"pool": "BTC", "open_interest": 5}]),
    ("more than 8 decimals", [{"pool": "BTC", "open_interest": "0.123456789"}]),
    ("reaches 2^128", [{"pool": "BTC", "open_interest": "9" * 39}]),
    ("interest", [{"pool": "BTC", "interest": "5"}]),
    ("pool is missing", [{"open_interest": "5"}]),
    ("credits", [{"pool": "BTC", "open_interest": "5", "credits": ["0.5"]}]),
]
BAD_MOVES: list[tuple[str, dict[str, object]]] = [
    ("kind", {"kind": "draw", "amount": "1"}),
    ("kind", {"kind": "refund", "amount": "1"}),
    ("kind is missing", {"amount": "1"}),
    ("amount is missing", {"kind": "correction"}),
    ("amount", {"kind": "correction", "amount": 1.5}),
    ("amount", {"kind": "correction", "amount": "-1"}),
    ("amount", {"kind": "correction", "amount": "1e3"}),
    ("more than 8 decimals", {"kind": "correction", "amount": "0.000000001"}),
    ("note", {"kind": "correction", "amount": "1", "note": "x"}),
]


@pytest.mark.parametrize(("said", "pools"), BAD)
def test_a_bad_pools_file_is_refused(
    exchange: Exchange, said: str, pools: list[dict[str, object]]
) -> None:
    path = exchange.write("pools", {"pool": pools})
    with refused(exchange, str(path), said):
        exchange.publish(lambda draft: fund.read(path, draft.policy))


@pytest.mark.parametrize("side", ["credits", "debits"])
@pytest.mark.parametrize(("said", "move"), BAD_MOVES)
def test_a_bad_movement_is_refused(
    exchange: Exchange, side: str, said: str, move: dict[str, object]
) -> None:
    rows = [{"pool": "BTC", "open_interest": "5", side: [move]}, GOOD]
    path = exchange.write("pools", {"pool": rows})
    with refused(exchange, str(path), side, said):
        exchange.publish(lambda draft: fund.read(path, draft.policy))


@pytest.mark.parametrize("kind", ["liquidation_fee", "operator_injection", "draw"])
def test_only_corrections_are_debits_that_the_exchange_tells(exchange: Exchange, kind: str) -> None:
    exchange.fund(BTC=[("liquidation_fee", 40)])
    with refused(exchange, "debits", "kind"):
        exchange.fund(BTC=[(kind, -1)])


def test_more_than_a_pool_holds_is_not_debited(exchange: Exchange) -> None:
    exchange.fund(BTC=[("liquidation_fee", 40)])
    with refused(exchange, "pool BTC: debits exceed what it holds, 40 base units"):
        exchange.fund(BTC=[("correction", -41)])
    assert rows(exchange.fund(BTC=[("correction", -40)]))["BTC"].closing == 0


def test_a_balance_that_reaches_the_limit_is_refused(tmp_path: Path) -> None:
    exchange = Exchange(tmp_path, assets={"BTC": 0})
    exchange.fund(BTC=[("liquidation_fee", 2**128 - 1)])
    with refused(exchange, "pool BTC: its balance reaches 2^128"):
        exchange.fund(BTC=[("liquidation_fee", 1)])


def test_a_draw_is_booked_once(exchange: Exchange) -> None:
    exchange.snapshot(HELD)
    exchange.fund(BTC=[("liquidation_fee", 40)])
    exchange.loss("crash", "BTC", {"carl": 30}, LEFT)
    after = exchange.fund(BTC=[("liquidation_fee", 5)])
    assert rows(after)["BTC"].debits == (Debit(30, "draw"),)
    assert rows(after)["BTC"].closing == 15
    assert rows(exchange.fund())["BTC"].debits == ()
    assert_chained(exchange)


def test_draws_of_several_pools_are_booked_together(exchange: Exchange) -> None:
    exchange.snapshot(HELD)
    exchange.fund(BTC=[("liquidation_fee", 40)], USDT=[("liquidation_fee", 70)])
    exchange.loss("crash-1", "BTC", {"carl": 30}, LEFT)
    exchange.loss("crash-2", "USDT", {"carl": 60}, {"anna": 8000})
    # What the first drew was booked in the second's own entry: it was of another pool.
    booked = {row.pool: row.debits for entry in funds(exchange)[1:] for row in entry.pools}
    assert booked == {"BTC": (Debit(30, "draw"),), "USDT": ()}
    assert rows(exchange.fund())["USDT"].debits == (Debit(60, "draw"),)
    assert_chained(exchange)


def test_two_events_in_a_row_are_booked_each_for_itself(exchange: Exchange) -> None:
    exchange.snapshot(HELD)
    exchange.fund(BTC=[("liquidation_fee", 100)])
    exchange.loss("crash-1", "BTC", {"carl": 30}, LEFT)
    exchange.loss("crash-2", "BTC", {"carl": 50}, LEFT)
    # An entry of its own for the first draw, and the empty one that the second needs before it.
    debits = [rows(entry)["BTC"].debits for entry in funds(exchange)]
    assert debits == [(), (), (Debit(30, "draw"),), ()]
    assert rows(exchange.fund())["BTC"].debits == (Debit(50, "draw"),)
    assert rows(funds(exchange)[-1])["BTC"].closing == 20
    assert_chained(exchange)
    assert [e.draw.drawn for e in exchange.check("anna", since=6).events if e.draw] == [30, 50]


def test_a_draw_of_nothing_is_not_booked(exchange: Exchange) -> None:
    exchange.snapshot(HELD)
    exchange.loss("crash", "BTC", {"carl": 30}, LEFT)
    assert rows(exchange.fund())["BTC"].debits == ()


def test_what_moved_before_a_draw_is_told_with_the_event(exchange: Exchange) -> None:
    exchange.snapshot(HELD)
    moves = {"BTC": [("operator_injection", 25)], "USDT": [("liquidation_fee", 3)]}
    lost = exchange.loss("crash", "BTC", {"carl": 30}, LEFT, moves=moves)
    assert (lost.socialized, lost.residual) == (5, 0)
    (event,) = exchange.check("anna").events
    assert event.fund is not None
    assert rows(event.fund)["BTC"].credits == (Credit(25, "operator_injection"),)
    assert rows(event.fund)["USDT"].closing == 3


def test_a_debit_right_before_a_draw_is_refused(exchange: Exchange) -> None:
    exchange.snapshot(HELD)
    exchange.fund(BTC=[("liquidation_fee", 40)])
    said = "pool BTC is about to be drawn, so its row may book no debit"
    with refused(exchange, said):
        exchange.loss("crash", "BTC", {"carl": 30}, LEFT, moves={"BTC": [("correction", -1)]})
    exchange.fund(USDT=[("liquidation_fee", 40)])
    exchange.loss("crash", "BTC", {"carl": 30}, LEFT, moves={"USDT": [("correction", -1)]})


def test_a_new_pool_opens_at_nothing_and_every_pool_is_listed(exchange: Exchange) -> None:
    exchange.fund(BTC=[("liquidation_fee", 40)])
    pools = {"BTC": {"asset": "BTC"}, "new": {"asset": "BTC"}, "USDT": {"asset": "USDT"}}
    exchange.policy(pools=pools)
    entry = exchange.fund(new=[("operator_injection", 9)])
    assert [row.pool for row in entry.pools] == ["BTC", "USDT", "new"]
    assert (rows(entry)["new"].opening, rows(entry)["new"].closing) == (0, 9)
    assert_chained(exchange)


def test_a_pool_that_left_and_comes_back_opens_at_nothing(exchange: Exchange) -> None:
    exchange.fund(BTC=[("liquidation_fee", 40)])
    exchange.fund(BTC=[("correction", -40)])
    exchange.policy(pools={"USDT": {"asset": "USDT"}})
    exchange.fund()
    exchange.policy(pools={"BTC": {"asset": "BTC"}, "USDT": {"asset": "USDT"}})
    assert rows(exchange.fund(BTC=[("liquidation_fee", 1)]))["BTC"].opening == 0


def test_an_entry_holds_a_few_hundred_pools_and_no_more(tmp_path: Path) -> None:
    """One entry of the log has at most 65,535 bytes."""

    def pools(count: int) -> dict[str, dict[str, str]]:
        return {f"pool-{n:04d}": {"asset": "BTC"} for n in range(count)}

    exchange = Exchange(tmp_path, assets={"BTC": 8}, pools=pools(280))
    exchange.fund()
    with refused(exchange, "pools are more than 285, which one fund entry cannot hold"):
        exchange.policy(pools=pools(286))
    exchange.policy(pools=pools(285))
    exchange.fund()


HELD_AT = "2018-12-05T00:00:00.000Z"


def told(exchange: Exchange, btc: dict[str, object], usdt: str = "0") -> tuple[Fund, list[str]]:
    """Publish what a pools.toml tells of BTC; the entry, and the notes."""
    pools = [
        {"pool": "BTC", "open_interest": "5", **btc},
        {"pool": "USDT", "open_interest": "5", "balance": usdt},
    ]
    path = exchange.write("pools", {"pool": pools})
    notes: list[str] = []

    def work(draft: Draft) -> Fund:
        entry = fund.publish(draft, fund.read(path, draft.policy))
        notes.extend(draft.notes)
        return entry

    entry = exchange.publish(work)
    assert_chained(exchange)
    return entry, notes


def saved(exchange: Exchange, data: str, name: str = "gate.json", **keys: object) -> dict[str, Any]:
    """A row's feed: a venue's answer, saved beside pools.toml."""
    (exchange.books / name).write_text(data)
    return {"feed": {"venue": name.removesuffix(".json"), "file": name, **keys}}


def test_what_nobody_explains_is_a_correction_and_said_to_be(exchange: Exchange) -> None:
    entry, notes = told(exchange, {"balance": "1.5"})
    assert rows(entry)["BTC"].credits == (Credit(150_000_000, "correction"),)
    assert notes == [
        "pool BTC: 1.50000000 BTC came in without a stated cause; booked as a correction"
    ]
    entry, notes = told(exchange, {"balance": "0.25"}, usdt="7")
    assert rows(entry)["BTC"].debits == (Debit(125_000_000, "correction"),)
    assert [note.split(" without")[0] for note in notes] == [
        "pool BTC: 1.25000000 BTC went out",
        "pool USDT: 7.000000 USDT came in",
    ]
    entry, notes = told(exchange, {"balance": "0.25"}, usdt="7")
    assert (rows(entry)["BTC"].credits, rows(entry)["BTC"].debits, notes) == ((), (), [])


def test_what_is_explained_is_no_correction(exchange: Exchange) -> None:
    moved = {"credits": [{"kind": "liquidation_fee", "amount": "0.5"}]}
    entry, notes = told(exchange, {"balance": "0.5", **moved})
    assert rows(entry)["BTC"].credits == (Credit(50_000_000, "liquidation_fee"),)
    assert notes == []
    entry, notes = told(exchange, {"balance": "0.9", **moved})
    assert rows(entry)["BTC"].debits == (Debit(10_000_000, "correction"),)
    assert len(notes) == 1


def test_a_draw_explains_what_it_took(exchange: Exchange) -> None:
    exchange.snapshot(HELD)
    exchange.fund(BTC=[("liquidation_fee", 40)])
    exchange.loss("crash", "BTC", {"carl": 30}, LEFT)
    entry, notes = told(exchange, {"balance": "0.0000001"})
    assert rows(entry)["BTC"].debits == (Debit(30, "draw"),)
    assert (rows(entry)["BTC"].closing, notes) == (10, [])


def test_a_balance_that_makes_a_debit_right_before_a_draw_is_refused(exchange: Exchange) -> None:
    exchange.snapshot(HELD)
    exchange.fund(BTC=[("liquidation_fee", 40)])
    row: dict[str, object] = {"open_interest": "5"}
    pools = [{"pool": "BTC", "balance": "0.00000039", **row}, {"pool": "USDT", **row}]
    path = exchange.write("pools", {"pool": pools})
    event = exchange.event_file("crash", "BTC", {"carl": 30}, LEFT, says={"pools": path.name})
    with refused(exchange, "pool BTC is about to be drawn, so its row may book no debit"):
        exchange.loss(event)


def test_a_feed_tells_the_newest_balance(exchange: Exchange) -> None:
    data = '[{"t":1543968000,"b":"83.0031"},{"t":1543881600,"b":"90"}]'
    entry, notes = told(exchange, saved(exchange, data))
    assert rows(entry)["BTC"].closing == 83_0031_0000
    digest = sha256(data.encode()).hexdigest()
    assert notes == [
        "pool BTC: 83.00310000 BTC came in without a stated cause; booked as a correction, "
        f"from 'gate.json' of {HELD_AT}, sha256 {digest}"
    ]


BYBIT = (
    '{"retCode":0,"result":{"updatedTime":"1714003200000","list":['
    '{"coin":"BTC","symbols":"","balance":"1"},{"coin":"BTC","symbols":"X,Y","balance":"2"},'
    '{"coin":"USDT","symbols":"Z","balance":"3"}]}}'
)


@pytest.mark.parametrize(
    ("keys", "balance"),
    [
        ({"coin": "BTC", "where": "X,Y"}, 2),
        ({"where": "Y"}, 2),
        ({"coin": "BTC", "where": ""}, 1),
        ({"coin": "USDT"}, 3),
    ],
)
def test_a_feed_names_one_fund_of_several(
    exchange: Exchange, keys: dict[str, object], balance: int
) -> None:
    entry, _ = told(exchange, saved(exchange, BYBIT, "bybit.json", **keys))
    assert rows(entry)["BTC"].closing == balance * 10**8


USDT: dict[str, object] = {"coin": "USDT"}
FEEDS: list[tuple[str, str, dict[str, object]]] = [
    (
        "several such funds; name one of them: coin 'BTC', where ''; coin 'BTC', where 'X,Y'",
        BYBIT,
        {"coin": "BTC"},
    ),
    ("no such fund; it has: coin 'BTC', where ''; coin 'BTC'", BYBIT, {"coin": "ETH"}),
    (
        "feed: 'bybit.json': '0.123456789' has more than 8 decimals",
        BYBIT.replace('"3"', '"0.123456789"'),
        USDT,
    ),
    ("the balance -3 is negative", BYBIT.replace('"3"', '"-3"'), USDT),
    ("bybit.json: not JSON", "", {}),
    ("bybit says that it failed, '10001: busy'", '{"retCode":10001,"retMsg":"busy"}', {}),
    ("file 'none.json' cannot be read (No such file", BYBIT, {"file": "none.json"}),
    ("file '.' cannot be read (Is a directory", BYBIT, {"file": "."}),
    (r"file 'a\x00b' cannot be read (embedded null byte)", BYBIT, {"file": "a\0b"}),
    ("venue is not bitmex or", BYBIT, {"venue": "ftx"}),
    ("coin is not text", BYBIT, {"coin": 5}),
    ("since", BYBIT, {"since": "2020"}),
]


@pytest.mark.parametrize(("said", "data", "keys"), FEEDS)
def test_a_bad_feed_is_refused(
    exchange: Exchange, said: str, data: str, keys: dict[str, object]
) -> None:
    row = saved(exchange, data, "bybit.json", **keys)
    path = exchange.write("pools", {"pool": [{"pool": "BTC", "open_interest": "5", **row}, GOOD]})
    with refused(exchange, str(exchange.books), said):
        exchange.publish(lambda draft: fund.read(path, draft.policy))


@pytest.mark.parametrize(
    ("said", "row"),
    [
        ("balance stands beside a feed", {"balance": "1", "feed": {"venue": "gate"}}),
        ("feed must be a section", {"feed": "gate.json"}),
        ("venue is missing", {"feed": {"file": "gate.json"}}),
        ("file is missing", {"feed": {"venue": "gate"}}),
        ("balance must be text in quotes", {"balance": 1.5}),
        ("'-1' is not an amount", {"balance": "-1"}),
        ("more than 8 decimals", {"balance": "0.000000001"}),
    ],
)
def test_a_bad_balance_is_refused(exchange: Exchange, said: str, row: dict[str, object]) -> None:
    path = exchange.write("pools", {"pool": [{"pool": "BTC", "open_interest": "5", **row}, GOOD]})
    with refused(exchange, str(path), said):
        exchange.publish(lambda draft: fund.read(path, draft.policy))


def test_files_of_feeds_lie_beside_pools_toml_unless_told_where(
    exchange: Exchange, tmp_path: Path
) -> None:
    row = saved(exchange, '[{"t":1,"b":"1"}]')
    away = tmp_path / "pools.toml"
    away.write_text(toml({"pool": [{"pool": "BTC", "open_interest": "5", **row}, GOOD]}))
    policy = exchange.log()[0]
    assert isinstance(policy, Policy)
    assert fund.read(away, policy, exchange.books)["BTC"].balance == 10**8
    with refused(exchange, str(away), "file 'gate.json' cannot be read"):
        fund.read(away, policy)
