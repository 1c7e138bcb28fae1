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
from auditkit.verify.statements import Snapshot
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
        snapshot = venue.log[2]
        assert isinstance(snapshot, Snapshot)
        ledger = venue.ledgers.proving(2, snapshot.ledgers[0])
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


def test_a_shard_that_lost_a_row_is_refused(exchange: Exchange, tmp_path: Path) -> None:
    """Else a balance would be left out of the file, and nobody would miss it."""
    written(exchange, tmp_path / "shards")
    path = sorted((tmp_path / "shards").glob("*-margin/00000.parquet"))[0]
    table = pq.read_table(path)
    pq.write_table(table.slice(1), path)
    with pytest.raises(DamagedError, match=r"00000\.parquet: .*rows instead of"):
        shards.prove(tmp_path / "shards", table["account"][0].as_py())


ODD: dict[str, Callable[[pa.Table], pa.Table]] = {
    "no index": lambda table: table.drop(["index"]),
    "no path": lambda table: table.drop(["path"]),
    "no account": lambda table: table.drop(["account"]),
    "an amount as text": lambda table: table.set_column(2, "amount", table["account"]),
    "amounts that are missing": lambda table: table.set_column(
        2, "amount", pa.nulls(len(table), pa.binary(16))
    ),
    "an index as text": lambda table: table.set_column(1, "index", table["account"]),
    "an index beyond all": lambda table: table.set_column(
        1, "index", pa.array([2**40] * len(table))
    ),
    "a salt of one byte": lambda table: table.set_column(3, "salt", pa.array([b"x"] * len(table))),
    "a path of one byte": lambda table: table.set_column(4, "path", pa.array([b"x"] * len(table))),
}


@pytest.mark.parametrize("what", ODD)
def test_shards_of_another_shape_are_refused(exchange: Exchange, tmp_path: Path, what: str) -> None:
    written(exchange, tmp_path / "shards")
    for path in (tmp_path / "shards").glob("*-margin/00000.parquet"):
        table = pq.read_table(path)
        account = table["account"][0].as_py()
        pq.write_table(ODD[what](table), path)
    with pytest.raises((DamagedError, InputError), match=r"00000\.parquet|no file that verifies"):
        shards.prove(tmp_path / "shards", account)


def test_what_is_shared_names_the_assets_of_its_ledgers(exchange: Exchange, tmp_path: Path) -> None:
    written(exchange, tmp_path / "shards")
    path = tmp_path / "shards/shared.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "assets": {}}))
    with pytest.raises(DamagedError, match=r"shared\.json: an asset of the ledgers"):
        shards.prove(tmp_path / "shards", "anna")


def test_nodes_that_are_not_as_stored_are_never_written(
    exchange: Exchange, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those of a large ledger are not read when it is opened."""
    monkeypatch.setattr(stored, "_OPENING_BYTES", 0)
    for room in (blocks, stored, shards):
        monkeypatch.setattr(room, "BLOCK", 64)
    monkeypatch.setattr("auditkit.ledger.store.BLOCK", 64)
    large = Exchange(tmp_path / "large")
    large.snapshot({"BTC": {"margin": {f"u{n}": n for n in range(200)}}})
    path = large.root / "ledgers/2-margin/nodes"
    nodes = bytearray(path.read_bytes())
    nodes[20] ^= 1
    path.write_bytes(nodes)
    with pytest.raises(DamagedError, match="2-margin/nodes does not hold"):
        written(large, tmp_path / "shards")
    assert not (tmp_path / "shards").exists()


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
