"""The log's commands for exchanges: serving what is public, proving from heads and in slices."""

import json
import signal
import subprocess
import urllib.request
from pathlib import Path

import pytest
from console import PATIENCE, Console, Shop

from auditkit.verify.note import Checkpoint


def sizes(shop: Shop) -> list[int]:
    return sorted(int(p.name) for p in (shop.venue / "public/checkpoints").iterdir())


def index_before_the_loss(shop: Shop) -> int:
    return sizes(shop)[1] - 1


class TestServe:
    @pytest.mark.parametrize("form", ["text", "json"])
    def test_it_serves_until_ctrl_c(self, console: Console, shop: Shop, form: str) -> None:
        process = console.start(
            *("venue", "serve", shop.venue, "--port", 0, "--format", form),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        assert process.stdout is not None
        try:
            said = process.stdout.readline().decode()
            while not said.endswith(("}\n", "/\n")):
                said += process.stdout.readline().decode()
            url = json.loads(said)["url"] if form == "json" else said.split()[-1]
            with urllib.request.urlopen(f"{url}checkpoint", timeout=PATIENCE) as answer:
                found = answer.read()
            process.send_signal(signal.SIGINT)
            out, err = process.communicate(timeout=PATIENCE)
        finally:
            process.kill()
        assert found == (shop.venue / "public/checkpoint").read_bytes()
        assert url.startswith("http://127.0.0.1:")
        assert (process.returncode, out, err) == (0, b"", b"")

    def test_what_is_no_venue_is_said(self, console: Console, tmp_path: Path) -> None:
        answer = console("venue", "serve", tmp_path, "--port", 0)
        assert answer.code == 2
        assert answer.refusal() == f"{tmp_path}/public: no such folder; name a venue, which has one"


class TestHeads:
    def test_a_named_head_is_extended(self, console: Console, shop: Shop, tmp_path: Path) -> None:
        first, second, *_ = sizes(shop)
        file = tmp_path / "proof.json"
        told = ("--head", first, "--head", second, "-o", file)
        answer = console("prove", "--venue", shop.venue, "--account", shop.account, *told)
        assert answer.code == 0
        found = json.loads(file.read_text("utf-8"))
        assert [extension["size"] for extension in found["consistency"]] == [first, second]

    def test_a_size_that_was_never_signed_is_refused(self, console: Console, shop: Shop) -> None:
        told = ("--account", shop.account, "--head", 1)
        answer = console("prove", "--venue", shop.venue, *told)
        assert answer.code == 2
        assert answer.refusal() == "--head: no checkpoint of 1 entries was ever signed"


class TestSlices:
    @pytest.mark.parametrize("how", [("--slices", 3), ("--most", 20_000)])
    def test_files_are_verified_in_order(
        self, console: Console, shop: Shop, tmp_path: Path, how: tuple[object, ...]
    ) -> None:
        since = index_before_the_loss(shop)
        told = ("prove", "--venue", shop.venue, "--account", shop.account, "--since", since)
        answer = console(*told, *how, "-o", tmp_path / "cut", "--format", "json")
        found = answer.json()
        names = [f"{n:04d}.json" for n in range(1, len(found["files"]) + 1)]
        assert sorted(p.name for p in (tmp_path / "cut").iterdir()) == names
        assert len(names) > 1 or "--most" in how
        assert all(part["bytes"] <= 20_000 for part in found["files"])
        for part in found["files"]:
            path = Path(part["file"])
            assert path.stat().st_mode & 0o777 == 0o600
            assert path.stat().st_size == part["bytes"]
            assert part["since"] == since
            verify = ("verify", path, "--key", shop.vkey, "--account", shop.account)
            assert console(*verify, "--since", since).code == 0
            since = part["size"] - 1
        answer = console(*told, *how, "-o", tmp_path / "again")
        assert answer.says(f"{len(names)} files written to {tmp_path}/again, each verified.")
        assert f"0001.json: {found['files'][0]['bytes']} bytes, after index" in answer.flat()
        last = Checkpoint.parse((shop.venue / "public/checkpoint").read_text("utf-8"))
        assert since < last.size

    @pytest.mark.parametrize(
        ("told", "said"),
        [
            (["--slices", 2, "-o", "new"], "say after what with --since"),
            (["--since", 1, "--slices", 2], "-o: name a folder"),
            (["--since", 1, "--slices", 2, "-o", "-"], "-o: name a folder"),
            (["--since", 1, "--slices", 2, "-o", "full"], "full: is not empty; name a new folder"),
            (["--since", 1, "--slices", 2, "-o", "full/file"], "-o: name a folder"),
            (["--since", 1, "--slices", 2, "--most", 9, "-o", "new"], "either --slices or --most"),
            (["--since", 1, "--most", 9, "-o", "new"], "more than 9; allow more, or prove fewer"),
            (["--since", 1, "--slices", 0, "-o", "new"], "--slices"),
            (["--since", 1, "--most", 1 << 21, "-o", "new"], "--most"),
        ],
    )
    def test_what_cannot_be_cut_is_refused(
        self, console: Console, shop: Shop, tmp_path: Path, told: list[object], said: str
    ) -> None:
        (tmp_path / "full").mkdir()
        (tmp_path / "full/file").write_text("kept")
        told = [
            tmp_path / str(each) if each in ("new", "full", "full/file") else each for each in told
        ]
        answer = console("prove", "--venue", shop.venue, "--account", shop.account, *told)
        assert answer.code == 2
        assert said in answer.refusal()
        assert not (tmp_path / "new").exists()
        assert (tmp_path / "full/file").read_text() == "kept"

    def test_many_accounts_are_not_cut(self, console: Console, shop: Shop, tmp_path: Path) -> None:
        (tmp_path / "names").write_text(f"{shop.account}\n")
        told = ("--accounts", tmp_path / "names", "--since", 1, "--slices", 2, "-o", tmp_path / "x")
        answer = console("prove", "--venue", shop.venue, *told)
        assert (answer.code, "name it: --account" in answer.refusal()) == (2, True)
