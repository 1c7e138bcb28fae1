"""The worked examples that venues publish, through the commands that anyone can run."""

import json
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from console import Console
from exchange import Exchange
from margin_files import MarginFiles, Position

from auditkit.verify.elements import TIME

PUBLISHED = Path(__file__).resolve().parents[2].parent / "shared/vectors/loss/published.json"
pytestmark = pytest.mark.skipif(
    not PUBLISHED.exists(), reason="needs the folder shared beside the checkout"
)


@pytest.fixture
def examples() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(PUBLISHED.read_text())
    return found


def prices(console: Console, exchange: Exchange, event: Path, account: str) -> list[str]:
    """The bankruptcy prices of an account's positions, as `audit positions` shows them."""
    answer = console(
        *("audit", "positions", "--venue", exchange.root, "--event", event),
        *("--account", account, "--format", "json"),
    )
    assert answer.code == 0
    return [row["bankruptcy price"] for row in json.loads(answer.out)["positions"]]


def test_krakens_inverse_bankruptcy_price(
    console: Console, tmp_path: Path, examples: dict[str, Any]
) -> None:
    case = examples["kraken_bankruptcy_price"]
    exchange = Exchange(tmp_path / "kraken", {"BTC": 8})
    position = ("anna", "XBTUSD", case["side"], case["contracts"], case["entry"])
    for mark in ("8000", "7500", "6000"):
        tables = MarginFiles(
            {"anna": case["margin_btc"]},
            [position],
            (f"XBTUSD,inverse,1,BTC,{case['maintenance']}",),
            {"XBTUSD": {"a": mark}},
        )
        event = tables.event(exchange, f"at-{mark}")
        (shown,) = prices(console, exchange, event, "anna")
        assert shown == f"{case['bankruptcy']} (exactly 200000/27)"


def test_bybits_linear_bankruptcy_price(
    console: Console, tmp_path: Path, examples: dict[str, Any]
) -> None:
    case = examples["bybit_bankruptcy_price"]
    exchange = Exchange(tmp_path / "bybit", {"USDT": 6})
    whole = str(int(case["margin"]) + int(case["wallet"]))
    position = ("anna", "XUSDT", case["side"], case["size"], case["entry"])
    for mark in ("500", "495", "480"):
        tables = MarginFiles(
            {"anna": whole},
            [position],
            ("XUSDT,linear,1,USDT,0.01",),
            {"XUSDT": {"a": mark}},
            asset="USDT",
        )
        event = tables.event(exchange, f"at-{mark}", pool="USDT")
        assert prices(console, exchange, event, "anna") == [case["bankruptcy"]]


def test_bitmex_closes_its_longs_by_rank(
    console: Console, tmp_path: Path, examples: dict[str, Any]
) -> None:
    """A short of 20 is bankrupt at 650; the mark is 700, and ranks follow the longs' profits."""
    case = examples["bitmex_adl"]
    exchange = Exchange(tmp_path / "bitmex", {"USD": 0})
    exchange.snapshot({"USD": {"margin": {"bear": 9000}}})
    profit = {1: 600, 2: 1000, 3: 1200, 4: 1500, 5: 1800, 6: 2000}
    positions: list[Position] = [
        ("zoe", "XBT", case["liquidated"]["side"], str(case["liquidated"]["qty"]), "600"),
        ("bear", "XBT", "short", "80", "690"),
    ]
    for long in case["longs"]:
        entry = 700 - Fraction(profit[long["rank"]], long["qty"])
        positions.append((f"long-{long['id']}", "XBT", "long", str(long["qty"]), str(entry)))
    tables = MarginFiles(
        {"zoe": "1000", "bear": "9000"},
        positions,
        ("XBT,linear,1,USD,0.01",),
        {"XBT": {"a": "700"}},
        asset="USD",
    )
    event = tables.event(exchange, pool="USD")
    when = TIME.write(exchange.now + 1000)
    told = ("--venue", exchange.root, "--event", event, "--time", when)
    assert console("publish", "event", *told).code == 0
    folder = tmp_path / "handed"
    asked = ("--venue", exchange.root, "--event", "crash-1", "-o", folder)
    assert console("venue", "handover", *asked).code == 0
    (path,) = (folder / "lists").iterdir()
    rows = [line.split(",") for line in path.read_text().splitlines()[1:]]
    closed = [(row[3], row[4], row[5]) for row in rows]
    price = case["liquidated"]["bankruptcy"]
    assert closed == [(f"long-{e['id']}", str(e["closed"]), price) for e in case["expected"]]
