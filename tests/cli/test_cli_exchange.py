"""The exchange's commands from end to end: the demo, proofs for many, one ledger's secret."""

import json
import shutil
import stat
from pathlib import Path
from typing import Any

import pytest
from console import Answer, Console, Shop

from auditkit import demo
from auditkit.ledger.stored import salt


def refused(answer: Answer, *words: str) -> None:
    """Wrong usage, in one clear line with these words."""
    assert answer.code == 2
    for word in words:
        assert word in answer.refusal()


class TestDemo:
    def test_is_played_to_its_end_in_a_new_folder(self, console: Console, tmp_path: Path) -> None:
        answer = console("demo", tmp_path / "demo")
        page = answer.page()
        assert answer.code == 0
        commands = [line.split()[2:4] for line in page.splitlines() if line.startswith("$ ")]
        assert [words[1] for words in commands if words[0] == "publish"] == [
            *("snapshot", "fund", "event", "fund", "recovery")
        ]
        assert [words[0] for words in commands].count("prove") == 4
        assert ["audit", "all"] in commands
        assert page.index("\nVERIFIED\n") < page.index("\nFAILED: ")
        assert answer.says(f"Everything is in {tmp_path / 'demo'};")
        assert (tmp_path / "demo/venue/public/checkpoint").is_file()
        assert not (tmp_path / "settings").exists()

    def test_leaves_nothing_behind_where_no_folder_is_named(self, console: Console) -> None:
        answer = console("demo")
        assert answer.code == 0
        assert "thrown away" in answer.flat()
        folder = next(w for w in answer.flat().split() if w.endswith("demo-key.pem"))
        assert not Path(folder).parent.exists()

    def test_shows_commands_that_can_be_run(self, console: Console, tmp_path: Path) -> None:
        folder = tmp_path / "a folder's name"
        page = console("demo", folder).page()
        assert "$ auditkit verify '" in page

    def test_is_refused_where_something_is(self, console: Console, shop: Shop) -> None:
        before = sorted(shop.root.rglob("*"))
        refused(console("demo", shop.root), "is not empty")
        refused(console("demo", shop.proof), "is a file")
        refused(console("demo", shop.root / "a/b/c"), "no such folder")
        assert sorted(shop.root.rglob("*")) == before

    def test_fits_a_narrow_terminal(self, console: Console, tmp_path: Path) -> None:
        console.columns = 40
        lines = console("demo", tmp_path / "demo").page().splitlines()
        wide = [line for line in lines if len(line) > 40]
        copied = ("$ auditkit ", "      auditkit audit ", f"{Shop.origin}+")
        assert all(line.startswith(copied) for line in wide)

    def test_a_step_that_ends_otherwise_stops_it(
        self, console: Console, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        # Whoever forges nothing has a file that is VERIFIED where FAILED is right.
        monkeypatch.setattr(demo, "_forge", shutil.copyfile)
        answer = console("demo")
        assert answer.code == 70
        assert "The demo stops: that ended in 0, where 1 is right." in answer.page()


class TestProve:
    def test_a_file_is_private_and_verifies(
        self, console: Console, shop: Shop, tmp_path: Path
    ) -> None:
        path = tmp_path / "new/proof.json"
        path.parent.mkdir()
        answer = console("prove", "--venue", shop.venue, "--account", "10050", "-o", path)
        assert answer.code == 0
        assert "It is private to that customer." in answer.flat()
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert console("verify", path, "--key", shop.vkey, "--account", "10050").code == 0

    def test_without_a_name_it_goes_to_standard_output(self, console: Console, shop: Shop) -> None:
        command = ["prove", "--venue", shop.venue, "--account", shop.account, "--asset", "BTC"]
        for where in ([], ["-o", "-"]):
            answer = console(*command, *where)
            assert (answer.code, answer.err) == (0, "")
            assert answer.out.encode() == shop.proof.read_bytes()

    def test_an_object_says_what_was_written(
        self, console: Console, shop: Shop, tmp_path: Path
    ) -> None:
        command = ["prove", "--venue", shop.venue, "--account", "10050", "-o", tmp_path / "p"]
        found = console(*command, "--format", "json").json()
        assert found["bytes"] == (tmp_path / "p").stat().st_size

    def test_many_are_a_file_each(self, console: Console, shop: Shop, tmp_path: Path) -> None:
        names = ["10001", "10002", "10007"]
        answer = many(console, shop, tmp_path, "\n".join(names))
        assert answer.code == 0
        assert f"3 files written to {tmp_path / 'out'}, each verified." in answer.flat()
        for name in names:
            path = tmp_path / f"out/{name}.json"
            assert console("verify", path, "--key", shop.vkey, "--account", name).code == 0

    def test_those_that_cannot_be_proven_are_named_and_the_rest_is_written(
        self, console: Console, shop: Shop, tmp_path: Path
    ) -> None:
        answer = many(console, shop, tmp_path, "10001\nnobody\n\n10002\n")
        assert (answer.code, answer.verdict) == (2, "ERROR")
        assert "2 of 4 accounts were refused. 2 files written" in answer.flat()
        assert "line 2: account 'nobody' has no leaf" in answer.flat()
        assert "line 3:" in answer.flat()
        assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
            *("10001.json", "10002.json")
        ]
        found = many(console, shop, tmp_path, "10001\nnobody\n", "--format", "json").json()
        assert (found["verdict"], found["written"], len(found["refused"])) == ("error", 1, 1)

    def test_a_long_list_of_refused_accounts_is_cut(
        self, console: Console, shop: Shop, tmp_path: Path
    ) -> None:
        answer = many(console, shop, tmp_path, "nobody\n" * 100)
        assert answer.out.count("nobody") == 20
        assert "and 80 more" in answer.flat()
        found = many(console, shop, tmp_path, "nobody\n" * 100, "--format", "json").json()
        assert len(found["refused"]) == 100

    def test_accounts_are_read_from_standard_input_too(
        self, console: Console, shop: Shop, tmp_path: Path
    ) -> None:
        command = ["prove", "--venue", shop.venue, "--accounts", "-", "-o", tmp_path]
        assert console(*command, stdin=b"10001\r\n10002\r\n").code == 0
        assert (tmp_path / "10002.json").exists()

    def test_wrong_usage(self, console: Console, shop: Shop, tmp_path: Path) -> None:
        command = ["prove", "--venue", shop.venue]
        refused(console(*command), "one of --account, --accounts and --all")
        refused(console(*command, "--account", "1", "--accounts", "x"), "one of")
        refused(console(*command, "--account", "nobody"), "nobody")
        refused(console(*command, "--account", "a b"), "--account: not an account name")
        refused(console(*command, "--account", "10007", "--asset", "XRP"), "XRP")
        refused(console(*command, "--account", "10007", "--since", 0), "--since")
        refused(console(*command, "--account", "10007", "--since", 99), "--since")
        refused(console(*command, "--account", "10007", "-o", tmp_path), "is a folder")
        refused(console(*command, "--accounts", shop.vkey), "-o: name a folder")
        refused(console(*command, "--accounts", shop.vkey, "-o", shop.vkey), "-o: name")
        refused(
            console(*command, "--account", "10007", "-o", tmp_path / "a/b/p"),
            f"-o: {tmp_path}/a/b: no such folder; make it first",
        )
        assert not (tmp_path / "a").exists()
        link = tmp_path / "link.json"
        link.symlink_to(tmp_path / "elsewhere.json")
        answer = console(*command, "--account", "10007", "-o", link)
        refused(answer, "is there and is no ordinary file; name another, or use -")
        assert link.is_symlink()
        refused(console("prove", "--venue", tmp_path, "--account", "1"), "not a venue")


def many(console: Console, shop: Shop, folder: Path, accounts: str, *options: object) -> Answer:
    """Prove a list of accounts."""
    (folder / "accounts").write_text(accounts)
    (folder / "out").mkdir(exist_ok=True)
    command = ["prove", "--venue", shop.venue, "--accounts", folder / "accounts"]
    return console(*command, "-o", folder / "out", *options)


class TestSecret:
    def test_is_the_one_that_the_ledgers_salts_come_from(
        self, console: Console, shop: Shop
    ) -> None:
        leaves = json.loads(shop.proof.read_text())["leaves"]
        leaf = next(leaf for leaf in leaves if (leaf["seq"], leaf["book"]) == (2, "margin"))
        answer = secret(console, shop, 2, "BTC/margin")
        assert answer.page().count("\n") == 1
        assert salt(bytes.fromhex(answer.out), shop.account.encode(), 0).hex() == leaf["salt"]
        assert secret(console, shop, 2, "BTC/spot").out != answer.out
        found = secret(console, shop, 2, "BTC/margin", "--format", "json").json()
        assert f"{found['secret']}\n" == answer.out

    def test_of_what_is_no_ledger(self, console: Console, shop: Shop) -> None:
        refused(secret(console, shop, 2, "ETH/margin"), "it has BTC/margin, BTC/spot")
        refused(secret(console, shop, 2, "BTC"), "no ledger BTC")
        refused(secret(console, shop, 2, "BTC/../spot"), "no ledger")
        refused(secret(console, shop, 0, "BTC/margin"), "policy")
        refused(secret(console, shop, 99, "BTC/margin"), "the log has 20 entries")


def secret(console: Console, shop: Shop, seq: int, ledger: str, *options: object) -> Answer:
    """Ask for one ledger's secret."""
    command = ["venue", "secret", "--venue", shop.venue, "--seq", seq, "--ledger", ledger]
    return console(*command, *options)


class TestPublish:
    def test_says_what_was_appended_in_natural_units(
        self, console: Console, shop: Shop, tmp_path: Path
    ) -> None:
        venue = copied(shop, tmp_path)
        answer = console(
            "publish", "snapshot", "--venue", venue, "--books", shop.books / "books.toml"
        )
        assert answer.code == 0
        assert answer.page().startswith("PUBLISHED 4 entries; the log has 24, ")
        assert "20 snapshot BTC: margin 2,072.74344609 in 120 leaves, spot " in answer.flat()
        assert "23 index" in answer.flat()

    def test_is_one_object(self, console: Console, shop: Shop, tmp_path: Path) -> None:
        command = ["publish", "fund", "--venue", copied(shop, tmp_path)]
        command += ["--pools", shop.books / "pools.toml"]
        found: Any = console(*command, "--format", "json").json()
        assert (found["verdict"], found["size"]) == ("published", 22)
        assert [entry["kind"] for entry in found["entries"]] == ["fund", "index"]

    def test_a_new_policy(self, console: Console, shop: Shop, tmp_path: Path) -> None:
        command = ["publish", "policy", "--venue", copied(shop, tmp_path)]
        answer = console(*command, "--policy", shop.books / "policy.toml")
        assert answer.code == 0
        assert "20 policy" in answer.flat()
        assert "NOTE: this is policy 0 once more; nothing changes." in answer.flat()
        other = tmp_path / "policy.toml"
        text = (shop.books / "policy.toml").read_text()
        other.write_text(f"snapshot_interval_ms = 1000\n{text}")
        answer = console(*command, "--policy", other)
        assert (answer.code, "NOTE" in answer.page()) == (0, False)

    def test_a_recovery_of_no_loss_names_the_losses_there_are(
        self, console: Console, shop: Shop
    ) -> None:
        command = ["publish", "recovery", "--venue", shop.venue, "--event", "no-such"]
        command += ["--amount", "1", "--books", shop.books / "later.toml"]
        refused(console(*command), "has no loss of an event no-such; it has: crash-btc-1")

    def test_a_file_says_which_checkpoint_it_is_under(
        self, console: Console, shop: Shop, tmp_path: Path
    ) -> None:
        venue = copied(shop, tmp_path)
        fund = ["publish", "fund", "--venue", venue, "--pools", shop.books / "pools.toml"]
        assert console(*fund).code == 0
        command = ["prove", "--venue", venue, "--account", shop.account, "-o", tmp_path / "p.json"]
        assert "under the checkpoint of 20 of the log's 22 entries." in console(*command).flat()
        found = console(*command, "--format", "json").json()
        assert (found["size"], found["log_size"]) == (20, 22)

    @pytest.mark.parametrize(
        ("time", "problem"),
        [
            ("2020-01-01T00:00:00.000Z", "times never run backwards"),
            ("tomorrow", "--time: not a time such as 2025-10-10T21:16:14.831Z"),
            ("2025-02-30T00:00:00.000Z", "no such time"),
            ("2025-10-10T21:16:14Z", "--time: not a time"),
        ],
    )
    def test_a_time_that_cannot_be(
        self, console: Console, shop: Shop, time: str, problem: str
    ) -> None:
        command = ["publish", "fund", "--venue", shop.venue, "--pools", shop.books / "pools.toml"]
        refused(console(*command, "--time", time), problem)

    def test_by_another_key_than_the_venues(
        self, console: Console, shop: Shop, tmp_path: Path
    ) -> None:
        key = tmp_path / "other.pem"
        console("key", "new", shop.origin, "-o", key, "--no-passphrase")
        command = ["publish", "fund", "--venue", shop.venue, "--pools", shop.books / "pools.toml"]
        refused(console(*command, "--key", key), "the venue's key is")

    def test_asks_for_the_keys_passphrase_only_if_it_has_one(
        self, console: Console, shop: Shop, tmp_path: Path
    ) -> None:
        console.variables["AUDITKIT_PASSPHRASE"] = "secret"
        key = tmp_path / "key.pem"
        assert console("key", "new", shop.origin, "-o", key).code == 0
        command = ["venue", "init", tmp_path / "venue", "--key", key]
        command += ["--policy", shop.books / "policy.toml"]
        del console.variables["AUDITKIT_PASSPHRASE"]
        refused(console(*command), "--passphrase-file")
        assert not (tmp_path / "venue").exists()
        assert console(*command, "--passphrase-file", "-", stdin=b"secret\n").code == 0

    def test_a_venue_is_never_made_over_something(self, console: Console, shop: Shop) -> None:
        command = ["venue", "init", shop.venue, "--key", shop.key]
        refused(console(*command, "--policy", shop.books / "policy.toml"), "is not empty")


def copied(shop: Shop, folder: Path) -> Path:
    """The shop's venue, to publish to."""
    return Path(shutil.copytree(shop.venue, folder / "venue"))
