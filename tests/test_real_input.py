"""The main job on real input, through the command line: a published book, and a published loss."""

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from auditkit.cli.main import main

SHARED = Path(__file__).resolve().parents[1].parent / "shared"
SAMPLE = SHARED / "data/binance/sample_users0.csv"
PUBLISHED = SHARED / "vectors/loss/published.json"
ACCOUNT = "0000000000000000000000000000000000000000000000000000000000000001"


def run(*arguments: object) -> int:
    return main([str(argument) for argument in arguments])


def make_venue(folder: Path, policy: str, time: str) -> Path:
    """A new venue under a throwaway key."""
    (folder / "policy.toml").write_text(policy)
    key, venue = folder / "venue.pem", folder / "venue"
    assert run("key", "new", "exchange.example/audit", "-o", key, "--no-passphrase") == 0
    policy_file = folder / "policy.toml"
    assert run("venue", "init", venue, "--key", key, "--policy", policy_file, "--time", time) == 0
    return venue


def verified(venue: Path, account: str, capsys: pytest.CaptureFixture[str], *more: str) -> Any:
    """What `verify` says, as an object, of the file that `prove` wrote."""
    file = venue.parent / "proof.json"
    assert run("prove", "--venue", venue, "--account", account, "-o", file) == 0
    capsys.readouterr()
    key = venue / "public/venue.vkey"
    code = run("verify", file, "--key", key, "--account", account, "--format", "json", *more)
    assert code == 0
    return json.loads(capsys.readouterr().out)


def books(folder: Path, columns: dict[str, str]) -> Path:
    """A books.toml that maps the sample's columns."""
    blocks = "".join(
        f'[[ledger]]\nasset = "{asset}"\ncolumn = "{column}"\n' for asset, column in columns.items()
    )
    path = folder / "books.toml"
    path.write_text(f'[source]\nfiles = ["{SAMPLE}"]\naccount = "id"\n{blocks}')
    return path


POLICY = """
[assets]
BTC = 8
ETH = 8
BNB = 8
SHIB = 8
[pools.BTC]
asset = "BTC"
"""


@pytest.mark.skipif(not SAMPLE.exists(), reason="the shared data are not beside the checkout")
def test_a_real_book_is_published_proved_and_verified(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    venue = make_venue(tmp_path, POLICY, "2025-10-10T20:00:00.000Z")
    columns = {"BTC": "e_btc", "ETH": "e_eth", "BNB": "e_bnb", "SHIB": "e_shib"}
    assert run("publish", "snapshot", "--venue", venue, "--books", books(tmp_path, columns)) == 0
    said = verified(venue, ACCOUNT, capsys, "--expect", "BTC/margin=0.56338969")
    held = {balance["asset"]: balance["amount"]["natural"] for balance in said["balances"]}
    assert held == {
        "BTC": "0.56338969",
        "ETH": "11.23291925",
        "BNB": "135.66543445",
        "SHIB": "94.73000000",
    }


@pytest.mark.skipif(not SAMPLE.exists(), reason="the shared data are not beside the checkout")
@pytest.mark.parametrize(
    ("asset", "column", "row", "value"),
    [
        ("BTC", "btc", 2, "0.07843069000000008"),
        ("ETH", "eth", 2, "1.6081334300000005"),
        ("BNB", "bnb", 2, "23.544810619999993"),
    ],
)
def test_its_net_columns_of_floating_point_noise_are_refused_by_row_and_column(
    asset: str,
    column: str,
    row: int,
    value: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    venue = make_venue(tmp_path, POLICY, "2025-10-10T20:00:00.000Z")
    before = sorted(path for path in venue.rglob("*"))
    capsys.readouterr()
    mapped = books(tmp_path, {asset: column})
    assert run("publish", "snapshot", "--venue", venue, "--books", mapped) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert f"row {row}, column '{column}': '{value}'" in " ".join(said.err.split())
    assert sorted(path for path in venue.rglob("*")) == before


# help.crypto.com 4894442: a loss of 10,000 shared by six traders; its own rows add up to 10,000.01.
LOSS, BASES = "10000.00", ["50000", "45000", "30000", "30000", "15000", "1000"]
PRINTED = ["2923.98", "2631.58", "1754.39", "1754.39", "877.19", "58.48"]


def test_the_published_example_adds_up_to_the_cent(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    policy = 'waterfall = ["draw"]\n[assets]\nUSD = 2\n[pools.USD]\nasset = "USD"\n'
    venue = make_venue(tmp_path, policy, "2025-10-10T20:00:00.000Z")
    accounts = [f"trader-{number}" for number in range(1, 7)]
    rows = "".join(f"{a},{x}\n" for a, x in zip(accounts, BASES, strict=True))
    (tmp_path / "profits.csv").write_text("account,usd\n" + rows)
    (tmp_path / "books.toml").write_text(
        '[source]\nfiles = ["profits.csv"]\naccount = "account"\n'
        '[[ledger]]\nasset = "USD"\ncolumn = "usd"\n'
    )
    (tmp_path / "deficits.csv").write_text(f"account,amount\nbankrupt,{LOSS}\n")
    (tmp_path / "event.toml").write_text(
        'event = "example"\npool = "USD"\nconfirmed = "2025-10-10T21:00:00.000Z"\n'
        'books = "books.toml"\ndeficits = "deficits.csv"\n'
        '[[mark]]\ncontract = "BTC-PERP"\nsources = { a = "100" }\n'
    )
    at = ["--venue", venue, "--time"]
    mapped = tmp_path / "books.toml"
    assert run("publish", "snapshot", *at, "2025-10-10T20:30:00.000Z", "--books", mapped) == 0
    event = tmp_path / "event.toml"
    assert run("publish", "loss", *at, "2025-10-10T21:00:01.000Z", "--event", event) == 0
    deducted = [
        Decimal(verified(venue, account, capsys)["deductions"][0]["deducted"]["natural"])
        for account in accounts
    ]
    assert sum(deducted) == Decimal(LOSS)
    for mine, printed in zip(deducted, PRINTED, strict=True):
        assert abs(mine - Decimal(printed)) <= Decimal("0.01")


@pytest.mark.skipif(not PUBLISHED.exists(), reason="the shared vectors are not beside the checkout")
def test_the_example_is_the_published_one() -> None:
    given = json.loads(PUBLISHED.read_text())["cryptocom"]
    assert (Decimal(given["loss"]), given["bases"], given["published"]) == (
        Decimal(LOSS),
        BASES,
        PRINTED,
    )
