"""policy.toml: every default, every refusal with its key, and what a policy may never change."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from exchange import Exchange, refused, toml

from auditkit.errors import InputError
from auditkit.publish import policy
from auditkit.verify.records import Pool

LEAST = {"assets": {"BTC": 8}, "pools": {"BTC": {"asset": "BTC"}}}
HELD = {"BTC": {"margin": {"anna": 500, "bert": 300}}}


def read(tmp_path: Path, values: Mapping[str, Any] | str) -> dict[str, Any]:
    path = tmp_path / "policy.toml"
    path.write_text(values if isinstance(values, str) else toml(values))
    return policy.read(path)


def test_a_policy_that_names_only_assets_and_pools_has_the_default_profile(tmp_path: Path) -> None:
    assert read(tmp_path, LEAST) == {
        "assets": {"BTC": 8},
        "pools": {"BTC": Pool("BTC", 0)},
        "books": ("margin", "spot"),
        "book": "margin",
        "waterfall": ("adl", "draw"),
        "adl_rank": "profit-desc-leverage-asc",
        "rule": "cumulative/1",
        "mark_rule": "median",
        "deadline_ms": 90_000,
        "snapshot_interval_ms": 86_400_000,
        "fund_interval_ms": 60_000,
        "fund_history_days": 90,
        "oi_window_days": 30,
        "oi_threshold": (20, 100),
    }


GIVEN: dict[str, tuple[object, object]] = {
    "books": (["spot", "cross", "margin"], ("cross", "margin", "spot")),
    "book": ("spot", "spot"),
    "waterfall": (["draw", "adl"], ("draw", "adl")),
    "adl_rank": ("pnl-times-leverage", "pnl-times-leverage"),
    "deadline_ms": (1, 1),
    "snapshot_interval_ms": (2, 2),
    "fund_interval_ms": (3, 3),
    "fund_history_days": (0, 0),
    "oi_window_days": (5, 5),
    "oi_threshold": ([1, 1], (1, 1)),
    "pools": (
        {"a": {"asset": "BTC", "floor": "7"}, "b": {"asset": "BTC"}},
        {"a": Pool("BTC", 7), "b": Pool("BTC", 0)},
    ),
}


@pytest.mark.parametrize("key", GIVEN)
def test_every_key_that_is_given_is_taken(tmp_path: Path, key: str) -> None:
    given, found = GIVEN[key]
    assert read(tmp_path, {**LEAST, key: given})[key] == found


@pytest.mark.parametrize("waterfall", [[], ["adl"], ["draw"]])
def test_a_waterfall_may_leave_stages_out(tmp_path: Path, waterfall: list[str]) -> None:
    assert read(tmp_path, {**LEAST, "waterfall": waterfall})["waterfall"] == tuple(waterfall)


BAD: list[tuple[str, dict[str, object]]] = [
    ("assets", {"assets": None}),
    ("assets", {"assets": {}}),
    ("assets", {"assets": {"btc": 8}}),
    ("assets", {"assets": {"BTC": 31}}),
    ("assets", {"assets": {"BTC": "8"}}),
    ("assets", {"assets": ["BTC"]}),
    ("pools", {"pools": None}),
    ("pools", {"pools": {}}),
    ("pools", {"pools": ["BTC"]}),
    ("pools.BTC", {"pools": {"BTC": {}}}),
    ("asset", {"pools": {"BTC": {"asset": "btc"}}}),
    ("pools.BTC.asset", {"pools": {"BTC": {"asset": "ETH"}}}),
    ("floor", {"pools": {"BTC": {"asset": "BTC", "floor": 7}}}),
    ("floor", {"pools": {"BTC": {"asset": "BTC", "floor": "1.5"}}}),
    ("flor", {"pools": {"BTC": {"asset": "BTC", "flor": "7"}}}),
    ("a b", {"pools": {"a b": {"asset": "BTC"}}}),
    ("books", {"books": []}),
    ("books", {"books": ["margin", "Spot"]}),
    ("books", {"books": ["margin", "deficit"]}),
    ("books", {"books": ["margin", "margin"]}),
    ("book", {"book": "cross"}),
    ("book", {"books": ["cross", "spot"]}),
    ("book", {"book": "adl"}),
    ("waterfall", {"waterfall": ["draw", "draw"]}),
    ("waterfall", {"waterfall": ["fund"]}),
    ("waterfall", {"waterfall": "adl"}),
    ("adl_rank", {"adl_rank": "by-name"}),
    ("rule", {"rule": "largest-remainder/1"}),
    ("mark_rule", {"mark_rule": "mean"}),
    ("deadline_ms", {"deadline_ms": -1}),
    ("deadline_ms", {"deadline_ms": "90000"}),
    ("snapshot_interval_ms", {"snapshot_interval_ms": 1.5}),
    ("fund_interval_ms", {"fund_interval_ms": True}),
    ("fund_history_days", {"fund_history_days": 1 << 53}),
    ("oi_window_days", {"oi_window_days": []}),
    ("oi_threshold", {"oi_threshold": [20]}),
    ("oi_threshold", {"oi_threshold": [20, 100, 3]}),
    ("oi_threshold", {"oi_threshold": [0, 100]}),
    ("oi_threshold", {"oi_threshold": [101, 100]}),
    ("deadline", {"deadline": 90_000}),
    ("venue", {"venue": "exchange.example/audit"}),
]


@pytest.mark.parametrize(("key", "change"), BAD)
def test_a_bad_value_is_refused_with_its_file_and_key(
    tmp_path: Path, key: str, change: dict[str, object]
) -> None:
    with pytest.raises(InputError) as caught:
        read(tmp_path, {**LEAST, **change})
    said = str(caught.value)
    assert said.startswith(f"{tmp_path / 'policy.toml'}: ")
    assert key in said
    assert "\n" not in said


@pytest.mark.parametrize("text", ["assets = ", "= 1", "[assets\n", "a = 1\na = 2"])
def test_what_is_no_toml_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(InputError, match=r"policy\.toml: not TOML: "):
        read(tmp_path, text)


# Changes.


@pytest.fixture
def exchange(tmp_path: Path) -> Exchange:
    return Exchange(tmp_path)


def test_decimals_never_change(exchange: Exchange) -> None:
    with refused(exchange, "the decimals of BTC are 8 and never change"):
        exchange.policy(assets={"BTC": 9, "USDT": 6})


def test_decimals_do_not_change_while_an_asset_is_away(exchange: Exchange) -> None:
    one = {"assets": {"BTC": 8}, "pools": {"BTC": {"asset": "BTC"}}}
    exchange.policy(**one)
    with refused(exchange, "the decimals of USDT are 6 and never change"):
        exchange.policy(assets={"BTC": 8, "USDT": 2})
    exchange.policy(assets={"BTC": 8, "USDT": 6})


def test_an_asset_with_statements_stays(exchange: Exchange) -> None:
    exchange.snapshot({"USDT": {"margin": {"anna": 0}}})
    with refused(exchange, "USDT has statements in the log and cannot leave the policy"):
        exchange.policy(assets={"BTC": 8}, pools={"BTC": {"asset": "BTC"}})


def test_an_asset_that_has_a_pool_cannot_leave_without_it(exchange: Exchange) -> None:
    with refused(exchange, "pools.USDT.asset is USDT, which is not in assets"):
        exchange.policy(assets={"BTC": 8})


def test_a_book_that_holds_anything_stays(exchange: Exchange) -> None:
    exchange.snapshot({"BTC": {"margin": {"anna": 5}, "spot": {"anna": 1}}})
    with refused(exchange, "book spot still holds BTC and cannot leave the policy"):
        exchange.policy(books=["margin"])
    exchange.snapshot({"BTC": {"margin": {"anna": 5}, "spot": {"anna": 0}}})
    exchange.policy(books=["margin"])
    exchange.snapshot({"BTC": {"margin": {"anna": 5}}})
    assert [b.book for b in exchange.check("anna").balances] == ["margin"]


def test_a_book_whose_loss_may_still_be_recovered_stays(exchange: Exchange) -> None:
    exchange.snapshot(HELD)
    exchange.loss("crash", "BTC", {"carl": 90}, {"anna": 450, "bert": 200})
    exchange.policy(books=["cross", "margin"], book="cross")
    exchange.snapshot({"BTC": {"cross": {"anna": 410, "bert": 150}}})
    with refused(exchange, "the loss of event crash may still be recovered"):
        exchange.policy(books=["cross"])
    exchange.recovery("crash", 89, {"BTC": {"margin": {}}})
    exchange.snapshot({"BTC": {"cross": {"anna": 500, "bert": 150}}})
    with refused(exchange, "the loss of event crash may still be recovered"):
        exchange.policy(books=["cross"])
    exchange.recovery("crash", 1, {"BTC": {"margin": {}}})
    exchange.snapshot({"BTC": {"cross": {"anna": 500, "bert": 150}}})
    exchange.policy(books=["cross"])
    exchange.snapshot({"BTC": {"cross": {"anna": 500, "bert": 150}}})
    assert exchange.check("anna").balances[-1].amount in (0, 500)


def test_a_pool_with_money_stays(exchange: Exchange) -> None:
    exchange.fund(BTC=[("liquidation_fee", 40)])
    with refused(exchange, "pool BTC still holds money and cannot leave the policy"):
        exchange.policy(pools={"USDT": {"asset": "USDT"}})
    with refused(exchange, "pool BTC still holds money and cannot leave the policy"):
        exchange.policy(pools={"BTC": {"asset": "USDT"}})
    exchange.rules["pools"] = {"BTC": {"asset": "BTC"}, "USDT": {"asset": "USDT"}}
    exchange.fund(BTC=[("correction", -40)])
    exchange.policy(pools={"USDT": {"asset": "USDT"}})
    assert [row.pool for row in exchange.fund().pools] == ["USDT"]


def test_a_pool_that_was_drawn_and_not_booked_stays(exchange: Exchange) -> None:
    exchange.snapshot(HELD)
    exchange.fund(BTC=[("liquidation_fee", 40)])
    exchange.loss("crash", "BTC", {"carl": 90}, {"anna": 450})
    with refused(exchange, "pool BTC still holds money"):
        exchange.policy(pools={"USDT": {"asset": "USDT"}})
    exchange.rules["pools"] = {"BTC": {"asset": "BTC"}, "USDT": {"asset": "USDT"}}
    exchange.fund()
    exchange.policy(pools={"USDT": {"asset": "USDT"}})


def test_a_new_policy_ends_in_an_index_and_holds_from_then_on(exchange: Exchange) -> None:
    exchange.snapshot(HELD)
    new = exchange.policy(deadline_ms=1, waterfall=["draw"])
    assert exchange.kinds()[-2:] == ["policy", "index"]
    assert (new.seq, new.deadline_ms, new.waterfall) == (4, 1, ("draw",))
    (taken,) = exchange.snapshot(HELD)
    assert taken.policy == new.seq
    proven = exchange.check("anna")
    assert proven.policies == (new,)
    assert [p.seq for p in exchange.check("anna", since=3).policies] == [0, 4]


LEGAL: dict[str, dict[str, object]] = {
    "another asset": {"assets": {"BTC": 8, "ETH": 18, "USDT": 6}},
    "another book": {"books": ["cross", "margin", "spot"]},
    "another sharing book": {"book": "spot"},
    "another pool": {"pools": {"BTC": {"asset": "BTC"}, "new": {"asset": "BTC", "floor": "9"}}},
    "another order": {"waterfall": ["draw", "adl"]},
    "another rank": {"adl_rank": "pnl-times-leverage"},
    "the same once more": {},
}


@pytest.mark.parametrize("what", LEGAL)
def test_a_legal_change_passes_and_what_follows_verifies(exchange: Exchange, what: str) -> None:
    exchange.snapshot(HELD)
    exchange.policy(**LEGAL[what])
    exchange.snapshot(HELD)
    exchange.fund(BTC=[("liquidation_fee", 40)])
    book = exchange.rules.get("book", "margin")
    held = {"BTC": {"margin": {"anna": 500, "bert": 300}, "spot": {"anna": 60}}}
    exchange.snapshot(held)
    exchange.loss("crash", "BTC", {"carl": 90}, held["BTC"][book])
    (event,) = exchange.check("anna").events
    assert (event.loss.socialized, event.loss.before.book) == (50, book)


def test_a_loss_needs_a_snapshot_under_the_new_policy(exchange: Exchange) -> None:
    exchange.snapshot(HELD)
    exchange.policy(deadline_ms=1000)
    with refused(exchange, "the policy changed (entry", "publish a snapshot first"):
        exchange.loss("crash", "BTC", {"carl": 90}, {"anna": 450})
