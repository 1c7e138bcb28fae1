"""What reports say beyond the verdict: numbers, the rules as they were signed, what is next."""

import json
from pathlib import Path

import pytest
from console import Console, Shop

from auditkit.verify.statements import KINDS, parse

ROOT = Path(__file__).resolve().parents[2]
BUNDLE = max((ROOT / "proofs/public/tile/entries/000.p").iterdir(), key=lambda p: int(p.name))


class TestVerified:
    def test_says_which_seq_to_use_next(self, console: Console, shop: Shop) -> None:
        last = console(*shop.verify, "--format", "json").json()["last_index"]
        said = console(*shop.verify).flat()
        assert f"ask for a file made since {last}, and verify it with --since {last}" in said

    def test_shows_every_value_of_the_policy(self, console: Console, shop: Shop) -> None:
        said = console(*shop.verify).flat()
        for part in ("decimals BTC 8", "pools and their floors BTC 0.00000000 BTC", "marks median"):
            assert part in said
        [policy] = console(*shop.verify, "--format", "json").json()["policies"]
        assert parse(json.dumps(policy, sort_keys=True, separators=(",", ":"))).kind == "policy"

    def test_says_what_a_split_balance_needs_even_where_none_is_shown(
        self, console: Console, shop: Shop
    ) -> None:
        said = console(*shop.verify).flat()
        assert "complete only if it matches your own records" in said
        assert "That these were your balances at those moments" in said


class TestFailed:
    def test_names_the_asset_and_the_event(self, console: Console) -> None:
        folder = ROOT / "proofs/broken/deduction-one-unit-more"
        answer = console(
            *("verify", folder / "proof.json", "--key", ROOT / "proofs/venue.vkey"),
            *("--account", "10007", "--format", "json"),
        )
        assert answer.code == 1
        assert answer.json()["where"].startswith("BTC, event ")


class TestInspect:
    def test_reads_an_entry_bundle_of_a_published_log(self, console: Console) -> None:
        answer = console("inspect", BUNDLE)
        assert answer.code == 0
        assert all(line.startswith("UNVERIFIED") for line in answer.page().splitlines())
        found = console("inspect", BUNDLE, "--format", "json").json()["statements"]
        assert [statement["seq"] for statement in found] == list(range(int(BUNDLE.name)))
        assert {statement["format"] for statement in found} <= KINDS.keys()

    @pytest.mark.parametrize("damage", [b"\xff", b"\0", b"\0\5abc", b"\0\3a\xffb"])
    def test_refuses_a_damaged_bundle(
        self, console: Console, tmp_path: Path, damage: bytes
    ) -> None:
        path = tmp_path / "bundle"
        path.write_bytes(BUNDLE.read_bytes() + damage)
        answer = console("inspect", path)
        assert answer.code == 2
        assert "ERROR" in answer.page()

    def test_leaves_nothing_behind_where_one_of_two_files_fails(
        self, console: Console, tmp_path: Path
    ) -> None:
        folder = tmp_path / "out"
        folder.mkdir()
        (folder / "2.json").symlink_to(tmp_path / "no/such/folder")
        answer = console("inspect", ROOT / "proofs/10007.json", "--tlog-proof", 2, "-o", folder)
        assert answer.code == 74
        assert not (folder / "2.tlog-proof").exists()


class TestPublished:
    def test_says_what_a_loss_came_to(self, console: Console, tmp_path: Path) -> None:
        page = console("demo", tmp_path / "demo").flat()
        assert "draw BTC: drawn 1.21304347" in page
        assert "socialized 3.54453650, residual 0.00000000" in page
        assert "recovery BTC: margin" in page
        assert "recovered 0.80000000" in page
