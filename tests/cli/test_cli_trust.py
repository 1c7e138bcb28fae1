"""`auditkit trust`: keys that a customer has pinned, and what leaving --key out then means."""

import json
from pathlib import Path

import pytest
from console import Console, Shop
from reference import Signer


def store(console: Console) -> Path:
    return console.home / "settings/trusted-keys"


def other_key(shop: Shop) -> str:
    """Another key under the venue's name."""
    return Signer(shop.origin, "somebody else").vkey


def key_id(vkey: str) -> str:
    return vkey.split("+")[1]


def unkeyed(shop: Shop) -> list[object]:
    """The command line that verifies by the pinned key."""
    return ["verify", shop.proof, "--account", shop.account]


class TestPinning:
    def test_a_key_that_is_pinned_need_not_be_given(self, console: Console, shop: Shop) -> None:
        assert console("trust", "add", shop.vkey).code == 0
        answer = console(*unkeyed(shop))
        assert (answer.code, answer.out) == (0, console(*shop.verify).out)

    def test_a_key_is_pinned_from_its_text_or_its_file(self, console: Console, shop: Shop) -> None:
        key = shop.vkey.read_text().strip()
        pinned = console("trust", "add", key)
        assert f"Pinned {shop.origin} with key {key_id(key)}" in pinned.page()
        assert pinned.says(f"The pinned keys are in {store(console)}.")
        again = console("trust", "add", shop.vkey, "--format", "json").json()
        assert (again["venue"], again["key_id"]) == (shop.origin, key_id(key))
        assert store(console).read_text() == f"{key}\n"

    def test_the_pinned_keys_are_listed_whole(self, console: Console, shop: Shop) -> None:
        keys = [Signer(f"venue-{n}.example/{'long' * 20}", "key").vkey for n in range(3)]
        for key in reversed(keys):
            assert console("trust", "add", key).code == 0
        assert console("trust", "list").page() == "".join(f"{key}\n" for key in keys)
        found = console("trust", "list", "--format", "json").json()
        assert list(found["keys"].values()) == keys

    def test_a_key_is_forgotten(self, console: Console, shop: Shop) -> None:
        console("trust", "add", shop.vkey)
        assert console("trust", "remove", shop.origin).code == 0
        assert "No key is pinned" in console("trust", "list").page()
        assert console(*unkeyed(shop)).code == 2

    def test_what_is_not_pinned_cannot_be_forgotten(self, console: Console) -> None:
        answer = console("trust", "remove", "nowhere.example")
        assert answer.code == 2
        assert answer.refusal() == "no key of nowhere.example is pinned"

    def test_another_key_of_a_pinned_venue_is_refused_and_both_are_named(
        self, console: Console, shop: Shop
    ) -> None:
        console("trust", "add", shop.vkey)
        before = store(console).read_bytes()
        answer = console("trust", "add", other_key(shop))
        assert answer.code == 2
        assert key_id(other_key(shop)) in answer.refusal()
        assert key_id(shop.vkey.read_text()) in answer.refusal()
        assert store(console).read_bytes() == before

    @pytest.mark.parametrize("given", ["", "a", "a+b+c", "/", "/dev/null", "x" * 5000, "[red]"])
    def test_what_is_no_key_is_refused(self, console: Console, given: str) -> None:
        answer = console("trust", "add", given)
        assert answer.code == 2
        assert "verifier key" in answer.refusal()
        assert not store(console).exists()

    def test_a_key_whose_id_is_anothers_is_refused(self, console: Console, shop: Shop) -> None:
        name, _, rest = shop.vkey.read_text().strip().split("+", 2)
        answer = console("trust", "add", f"{name}+00000000+{rest}")
        assert answer.code == 2
        assert "the key id is another key's" in answer.refusal()


class TestWithoutKey:
    def test_no_pinned_key_is_wrong_usage_and_says_what_to_do(
        self, console: Console, shop: Shop
    ) -> None:
        answer = console(*unkeyed(shop))
        assert answer.code == 2
        assert "auditkit trust add" in answer.refusal()
        assert shop.origin in answer.refusal()

    def test_a_file_by_another_key_than_the_pinned_one_fails_and_shows_both(
        self, console: Console, shop: Shop
    ) -> None:
        pinned, signed = key_id(other_key(shop)), key_id(shop.vkey.read_text())
        console("trust", "add", other_key(shop))
        answer = console(*unkeyed(shop))
        assert (answer.code, answer.verdict) == (1, "FAILED")
        assert f"expected {shop.origin} {pinned} found {shop.origin} {signed}" in answer.flat()
        found = console(*unkeyed(shop), "--format", "json").json()
        assert (pinned in found["expected"], signed in found["found"]) == (True, True)

    def test_a_file_that_only_names_a_pinned_venue_gains_nothing(
        self, console: Console, shop: Shop, tmp_path: Path
    ) -> None:
        trusted = Signer("trusted.example/audit", "key").vkey
        console("trust", "add", trusted)
        proof = json.loads(shop.proof.read_text())
        proof["checkpoint"] = proof["checkpoint"].replace(shop.origin, "trusted.example/audit")
        path = tmp_path / "posing.json"
        path.write_text(json.dumps(proof))
        answer = console("verify", path, "--account", shop.account)
        assert (answer.code, answer.verdict) == (1, "FAILED")

    def test_a_malformed_file_is_said_to_be_one(self, console: Console, shop: Shop) -> None:
        answer = console("verify", shop.vkey, "--account", shop.account)
        assert (answer.code, answer.verdict) == (2, "ERROR")
        assert "step 1, the file is well-formed" in answer.flat()


class TestStore:
    def test_it_is_where_the_environment_says(
        self, console: Console, shop: Shop, tmp_path: Path
    ) -> None:
        elsewhere = tmp_path / "else/where"
        console.variables["AUDITKIT_CONFIG_DIR"] = str(elsewhere)
        console("trust", "add", shop.vkey)
        names = sorted(path.name for path in elsewhere.iterdir())
        assert names == ["trusted-keys", "trusted-keys.lock"]

    def test_without_that_it_is_in_the_users_home(
        self, console: Console, shop: Shop, tmp_path: Path
    ) -> None:
        console.variables["AUDITKIT_CONFIG_DIR"] = ""
        console("trust", "add", shop.vkey)
        assert [path.name for path in tmp_path.rglob("trusted-keys")] == ["trusted-keys"]

    def test_verifying_with_a_key_writes_none(self, console: Console, shop: Shop) -> None:
        assert console(*shop.verify).code == 0
        assert not store(console).parent.exists()

    @pytest.mark.parametrize(
        "damage",
        [b"\n", b"nonsense\n", b"\xff\xfe", b"KEY", b"KEY\nKEY\n", b"\x1b[2JKEY\n", b"KEY\n\n"],
    )
    def test_a_damaged_store_is_refused_by_every_command(
        self, console: Console, shop: Shop, damage: bytes
    ) -> None:
        key = shop.vkey.read_bytes().strip()
        store(console).parent.mkdir()
        store(console).write_bytes(damage.replace(b"KEY", key[:-1] if damage == b"KEY" else key))
        before = store(console).read_bytes()
        commands: list[list[object]] = [
            ["trust", "list"],
            ["trust", "add", shop.vkey],
            ["trust", "remove", shop.origin],
            unkeyed(shop),
        ]
        for command in commands:
            answer = console(*command)
            assert answer.code == 2
            assert "trusted-keys: damaged" in answer.refusal()
        assert store(console).read_bytes() == before

    def test_a_store_that_cannot_be_written_is_an_io_failure(
        self, console: Console, shop: Shop
    ) -> None:
        (console.home / "settings").write_text("a file where a folder should be")
        answer = console("trust", "add", shop.vkey)
        assert answer.code == 74
        assert "settings" in answer.refusal()


class TestAKeyThatIsNotThePinnedOne:
    def test_is_used_but_said_aloud(self, console: Console, shop: Shop) -> None:
        pinned = other_key(shop)
        assert console("trust", "add", pinned).code == 0
        answer = console(*shop.verify)
        assert answer.code == 0
        given = shop.vkey.read_text().strip()
        assert f"NOTE: this was checked with the key {key_id(given)} that you gave" in answer.page()
        [warning] = console(*shop.verify, "--format", "json").json()["warnings"]
        assert key_id(pinned) in warning

    def test_is_said_of_no_other_venue(self, console: Console, shop: Shop) -> None:
        assert console("trust", "add", Signer("other.example/audit", "key").vkey).code == 0
        assert "NOTE" not in console(*shop.verify).page()

    def test_whoever_gives_a_key_needs_no_store(self, console: Console, shop: Shop) -> None:
        store(console).parent.mkdir(parents=True)
        store(console).write_text("damaged")
        assert console(*shop.verify).code == 0


def test_many_who_pin_at_once_lose_nothing(console: Console) -> None:
    keys = [Signer(f"venue-{n}.example/audit", "key").vkey for n in range(6)]
    started = [console.start("trust", "add", key) for key in keys]
    assert [process.wait(60) for process in started] == [0] * len(keys)
    found = console("trust", "list", "--format", "json").json()
    assert sorted(found["keys"].values()) == sorted(keys)
