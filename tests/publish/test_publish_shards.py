"""Every account's file can be made of the shards alone, and is the file that a venue makes."""

import json
import os
import stat
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from exchange import Exchange

from auditkit.errors import DamagedError, InputError
from auditkit.ledger import blocks, stored
from auditkit.publish import shards
from auditkit.publish.proofs import Prover
from auditkit.publish.venue import Venue
from auditkit.verify import check
from auditkit.verify.sumtree import NODE_BYTES

MANY = {f"u{number:03}": number for number in range(150)}


@pytest.fixture
def exchange(tmp_path: Path) -> Exchange:
    """Two assets, a loss in one of them, and accounts that are in one, the other or both."""
    made = Exchange(tmp_path)
    made.snapshot({"BTC": {"margin": MANY, "spot": {"anna": 5}}, "USDT": {"margin": {"anna": 7}}})
    made.fund(BTC=[("liquidation_fee", 40)])
    held = {name: amount for name, amount in MANY.items() if name != "u007"}
    made.loss(made.event_file("crash", "BTC", {"carl": 90}, held, adl={"u149": 10}))
    return made


def written(exchange: Exchange, folder: Path, *assets: str) -> tuple[int, int]:
    with Venue(exchange.root) as venue:
        return shards.write(venue, assets, folder)


def test_a_file_from_shards_shows_what_the_venue_s_own_shows(
    exchange: Exchange, tmp_path: Path
) -> None:
    leaves, files = written(exchange, tmp_path / "shards")
    assert (leaves, files) == (1 + 1 + 150 + 1 + 1 + 150 + 150, 7)
    with Venue(exchange.root) as venue:
        prover = Prover(venue)
        for account in ("anna", "carl", "u000", "u007", "u149"):
            own = _said(prover.prove, account)
            again = _said(partial(shards.prove, tmp_path / "shards"), account)
            if isinstance(own, str) or isinstance(again, str):
                assert isinstance(own, str)
                assert isinstance(again, str)
                continue
            proven = check.verify(again, venue.key, account)
            assert json.loads(again)["leaves"] == json.loads(own)["leaves"]
            assert {b.asset for b in proven.balances} == set(prover.assets_of(account))


def _said(prove: Callable[[str], bytes], account: str) -> bytes | str:
    """The file, or why there is none."""
    try:
        return prove(account)
    except InputError as error:
        return str(error)


@pytest.mark.parametrize("count", [1, 2, 3, 63, 64, 65, 128, 129, 150])
@pytest.mark.parametrize("block", [1 << 6, 1 << 7, 1 << 16])
def test_every_leaf_of_every_size_has_its_own_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, count: int, block: int
) -> None:
    for room in (blocks, stored, shards):
        monkeypatch.setattr(room, "BLOCK", block)
    monkeypatch.setattr("auditkit.ledger.store.BLOCK", block)
    exchange = Exchange(tmp_path)
    exchange.snapshot({"BTC": {"margin": dict(list(MANY.items())[-count:])}})
    written(exchange, tmp_path / "shards")
    with Venue(exchange.root) as venue:
        ledger = venue.ledgers.proving(2, "margin")
        found = {}
        for path in sorted((tmp_path / "shards/2-margin").iterdir()):
            for row in pq.read_table(path).to_pylist():
                found[row["account"]] = row
        assert len(found) == count
        assert [row["index"] for row in found.values()] == list(range(count))
        for account, row in found.items():
            (leaf,) = ledger.leaves(account)
            path_bytes = b"".join(leaf.path)
            assert row["path"][: len(path_bytes)] == path_bytes
            assert not any(row["path"][len(path_bytes) :])
            assert row["amount"] == leaf.amount.to_bytes(16, "big")
            assert row["salt"] == leaf.salt
            assert len(row["path"]) == NODE_BYTES * max((count - 1).bit_length(), 1)


def test_a_split_account_has_a_row_a_leaf(tmp_path: Path) -> None:
    exchange = Exchange(tmp_path)
    exchange.snapshot({"BTC": {"margin": {"anna": [1, 2, 3], "bert": 4}}})
    assert written(exchange, tmp_path / "shards") == (4, 1)
    proven = check.verify(
        shards.prove(tmp_path / "shards", "anna"), exchange.signer.verifier, "anna"
    )
    assert [(b.amount, b.leaves) for b in proven.balances] == [(6, 3)]


def test_only_the_owner_can_read_shards(exchange: Exchange, tmp_path: Path) -> None:
    written(exchange, tmp_path / "shards")
    for folder, _, names in os.walk(tmp_path / "shards"):
        assert stat.S_IMODE(Path(folder).stat().st_mode) == 0o700
        for name in names:
            assert stat.S_IMODE((Path(folder) / name).stat().st_mode) == 0o600


def test_one_asset_alone(exchange: Exchange, tmp_path: Path) -> None:
    written(exchange, tmp_path / "shards", "USDT")
    file = json.loads(shards.prove(tmp_path / "shards", "anna"))
    assert {leaf["book"] for leaf in file["leaves"]} == {"margin"}
    with pytest.raises(InputError, match="u001' has no leaf in the shards"):
        shards.prove(tmp_path / "shards", "u001")
    with pytest.raises(InputError, match="no statement of ETH"):
        written(exchange, tmp_path / "more", "ETH")


def test_nothing_is_written_over_what_is_there_or_left_where_a_disk_fails(
    exchange: Exchange, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written(exchange, tmp_path / "shards")
    with pytest.raises(InputError, match="exists; name a new folder"):
        written(exchange, tmp_path / "shards")

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(pq, "write_table", full)
    with pytest.raises(OSError, match="No space left"):
        written(exchange, tmp_path / "more")
    assert not [path for path in tmp_path.iterdir() if "more" in path.name]


def test_a_lie_in_the_shards_is_not_handed_on(exchange: Exchange, tmp_path: Path) -> None:
    written(exchange, tmp_path / "shards")
    path = sorted((tmp_path / "shards").glob("*-margin/00000.parquet"))[0]
    table = pq.read_table(path)
    account = table["account"][0].as_py()
    amounts = pa.array([bytes(15) + b"\x63", *table["amount"].to_pylist()[1:]], pa.binary(16))
    changed = table.set_column(2, table.schema.field("amount"), amounts)
    pq.write_table(changed, path)
    with pytest.raises(InputError, match="no file that verifies"):
        shards.prove(tmp_path / "shards", account)


@pytest.mark.parametrize("name", ["shared.json", "2-margin/00000.parquet"])
def test_shards_that_are_not_there_or_damaged_are_said(
    exchange: Exchange, tmp_path: Path, name: str
) -> None:
    folder = tmp_path / "shards"
    with pytest.raises(InputError, match="no folder of shards"):
        shards.prove(folder, "anna")
    with Venue(exchange.root) as venue:
        shards.write(venue, ["BTC"], folder)
    first = sorted(p.name for p in folder.iterdir() if p.is_dir())[0]
    path = folder / name.replace("2-margin", first)
    path.write_bytes(b"{" + path.read_bytes()[1:40])
    with pytest.raises((DamagedError, InputError), match=path.name):
        shards.prove(folder, "u001")
    path.unlink()
    with pytest.raises(
        (DamagedError, InputError), match=path.name.replace("shared.json", "shards")
    ):
        shards.prove(folder, "u001")
