"""`auditkit verify`: what it says, what it asks for, and what it makes of what you expect."""

import json
from pathlib import Path
from typing import Any

import pytest
from console import Console, Shop


def edited(shop: Shop, folder: Path, **changes: Any) -> Path:
    """The shop's proof with some of its fields changed."""
    path = folder / f"edited-{len(list(folder.iterdir()))}.json"
    path.write_text(json.dumps(json.loads(shop.proof.read_text()) | changes))
    return path


def forged(shop: Shop, folder: Path) -> Path:
    """The shop's proof with one base unit more in its first leaf."""
    leaves = json.loads(shop.proof.read_text())["leaves"]
    leaves[0]["amount"] = str(int(leaves[0]["amount"]) + 1)
    return edited(shop, folder, leaves=leaves)


class TestVerified:
    def test_says_what_was_checked_what_it_proves_and_what_not(
        self, console: Console, shop: Shop
    ) -> None:
        answer = console(*shop.verify)
        page = answer.page()
        assert answer.code == 0
        assert page.startswith("VERIFIED\n")
        places = [page.index(f"\n{head}\n") for head in ("Balances", "Checks", "Proves")]
        assert places == sorted(places)
        assert page.index("\nProves\n") < page.index("\nDoes not prove\n")
        assert shop.balance(console) in page.replace(",", "")
        assert "Keep the file private" in answer.flat()

    def test_never_says_solvent(self, console: Console, shop: Shop) -> None:
        assert "solven" not in console(*shop.verify).page().lower()
        assert "solven" not in console(*shop.verify, "--format", "json").out.lower()

    def test_is_one_object_with_amounts_as_text(self, console: Console, shop: Shop) -> None:
        found = console(*shop.verify, "--format", "json").json()
        assert (found["verdict"], found["venue"]) == ("verified", shop.origin)
        assert {check["step"][0] for check in found["checks"]} == set("1234568")
        amounts = [balance["amount"] for balance in found["balances"]]
        amounts += [deduction["deducted"] for deduction in found["deductions"]]
        assert len(amounts) >= 3
        for amount in amounts:
            assert isinstance(amount["units"], str)
            assert int(amount["natural"].replace(".", "")) == int(amount["units"])

    def test_reads_standard_input(self, console: Console, shop: Shop) -> None:
        arguments = ["verify", "-", *list(shop.verify)[2:]]
        answer = console(*arguments, stdin=shop.proof.read_bytes())
        assert (answer.code, answer.out) == (0, console(*shop.verify).out)

    def test_takes_the_key_itself_as_well_as_its_file(self, console: Console, shop: Shop) -> None:
        key = shop.vkey.read_text().strip()
        answer = console("verify", shop.proof, "--key", key, "--account", shop.account)
        assert answer.code == 0

    def test_of_what_came_since_an_index_that_was_seen(self, console: Console, shop: Shop) -> None:
        proof = console("prove", "--venue", shop.venue, "--account", shop.account, "--since", 7)
        command = ["verify", "-", "--key", shop.vkey, "--account", shop.account]
        answer = console(*command, "--since", 7, stdin=proof.out.encode())
        assert (answer.code, answer.verdict) == (0, "VERIFIED")
        assert console(*command, "--since", 5, stdin=proof.out.encode()).code == 3


class TestNotVerified:
    def test_failure_says_step_expected_found_causes_and_what_next(
        self, console: Console, shop: Shop, tmp_path: Path
    ) -> None:
        answer = console("verify", forged(shop, tmp_path), *list(shop.verify)[2:])
        page = answer.page()
        assert (answer.code, answer.verdict) == (1, "FAILED")
        lines = [line.split()[0] for line in page.splitlines() if line.startswith("  ")]
        for earlier, later in [("step", "expected"), ("expected", "found"), ("found", "1.")]:
            assert lines.index(earlier) < lines.index(later)
        assert "step 6, every leaf leads to its signed ledger" in answer.flat()
        assert page.index("Likely causes\n") < page.index("Next\n")
        assert "Keep the file private" in answer.flat()

    def test_failure_is_one_object(self, console: Console, shop: Shop, tmp_path: Path) -> None:
        command = ["verify", forged(shop, tmp_path), *list(shop.verify)[2:], "--format", "json"]
        found = console(*command).json()
        assert (found["verdict"], found["exit_code"], found["kind"]) == ("failed", 1, "false")
        assert found["step"] == "6"
        assert found["expected"] != found["found"]
        assert found["causes"]
        assert found["next"]
        assert "private" in found["private"]

    def test_what_is_newer_is_not_checked_and_accuses_nobody(
        self, console: Console, shop: Shop, tmp_path: Path
    ) -> None:
        proof = edited(shop, tmp_path, format="auditkit/proof/2")
        answer = console("verify", proof, *list(shop.verify)[2:])
        assert (answer.code, answer.verdict) == (3, "NOT CHECKED")
        assert "nobody is accused" in answer.flat()
        assert "newer auditkit" in answer.flat()

    def test_what_is_missing_is_not_checked_and_accuses_nobody(
        self, console: Console, shop: Shop, tmp_path: Path
    ) -> None:
        statements = json.loads(shop.proof.read_text())["statements"]
        answer = console(
            "verify", edited(shop, tmp_path, statements=statements[:-1]), *list(shop.verify)[2:]
        )
        assert (answer.code, answer.verdict) == (3, "NOT CHECKED")
        assert "nobody is accused" in answer.flat()

    def test_another_customers_file_is_not_yours(self, console: Console, shop: Shop) -> None:
        answer = console("verify", shop.proof, "--key", shop.vkey, "--account", "10042")
        assert (answer.code, answer.verdict) == (1, "FAILED")
        assert "expected 10042 found 10007" in answer.flat()
        assert "Check how you spelt your account name" in answer.flat()

    def test_an_account_is_never_taken_from_the_file(self, console: Console, shop: Shop) -> None:
        answer = console("verify", shop.proof, "--key", shop.vkey)
        assert answer.code == 2
        assert "--account is missing" in answer.refusal()

    @pytest.mark.parametrize("name", ["", " ", "-", "a b", "Müller", 'a"b', "a\\b", "x" * 129])
    def test_an_account_that_none_can_have_is_wrong_usage(
        self, console: Console, shop: Shop, name: str
    ) -> None:
        answer = console("verify", shop.proof, "--key", shop.vkey, f"--account={name}")
        assert answer.code == 2
        assert "--account: not an account name" in answer.refusal()


class TestQuiet:
    def test_leaves_only_the_exit_code(self, console: Console, shop: Shop, tmp_path: Path) -> None:
        rest = list(shop.verify)[2:]
        newer = edited(shop, tmp_path, format="auditkit/proof/2")
        commands: list[tuple[int, list[object]]] = [
            (0, list(shop.verify)),
            (2, ["verify", tmp_path / "absent.json", *rest]),
            (2, ["verify", "--no-such-option"]),
            (2, ["verify", shop.vkey, *rest]),
            (3, ["verify", newer, *rest]),
            (1, ["verify", forged(shop, tmp_path), *rest]),
        ]
        for code, command in commands:
            for quiet in (["--quiet"], ["-q"], ["--quiet", "--format", "json"]):
                answer = console(*command, *quiet)
                assert (answer.code, answer.out, answer.err) == (code, "", "")


class TestExpect:
    def test_the_balance_you_expect(self, console: Console, shop: Shop) -> None:
        margin = shop.balance(console)
        spot = shop.balance(console, "BTC/spot")
        answer = console(
            *shop.verify, "--expect", f"BTC/margin={margin}", "--expect", f"BTC/spot={spot}"
        )
        assert (answer.code, answer.verdict) == (0, "VERIFIED")

    def test_fewer_decimals_are_the_same_amount(self, console: Console, shop: Shop) -> None:
        answer = console(*shop.verify, "--expect", "BTC/margin=0.0")
        assert answer.code == 1
        assert "expected 0.0 BTC" in answer.flat()

    def test_another_balance_fails_and_shows_both(self, console: Console, shop: Shop) -> None:
        answer = console(*shop.verify, "--expect", "BTC/margin=0.00000001")
        assert (answer.code, answer.verdict) == (1, "FAILED")
        assert f"expected 0.00000001 BTC found {shop.balance(console)} BTC" in answer.flat()
        assert "your own records" in answer.flat()

    def test_one_wrong_balance_among_right_ones_fails(self, console: Console, shop: Shop) -> None:
        right = f"BTC/margin={shop.balance(console)}"
        answer = console(*shop.verify, "--expect", right, "--expect", "BTC/spot=0")
        assert answer.code == 1

    @pytest.mark.parametrize("ledger", ["ETH/margin", "BTC/futures", "btc/margin"])
    def test_a_balance_that_is_not_shown_is_not_checked(
        self, console: Console, shop: Shop, ledger: str
    ) -> None:
        answer = console(*shop.verify, "--expect", f"{ledger}=1")
        assert (answer.code, answer.verdict) == (3, "NOT CHECKED")
        assert f"shows no balance of {ledger}" in answer.flat()

    @pytest.mark.parametrize(
        "text",
        [
            *("BTC", "BTC=1", "BTC/margin", "BTC/margin=", "/margin=1", "BTC/=1", "=1"),
            *("BTC/margin=1,000", "BTC/margin=1e3", "BTC/margin=-1", "BTC/margin=+1"),
            *("BTC/margin=01", "BTC/margin=1.", "BTC/margin=.5", "BTC/margin=1.2.3"),
            *("BTC/margin= 1", "BTC/margin=١", "BTC/margin=NaN", "BTC/margin=1_0"),
        ],
    )
    def test_what_is_no_balance_is_wrong_usage(
        self, console: Console, shop: Shop, text: str
    ) -> None:
        answer = console(*shop.verify, f"--expect={text}")
        assert answer.code == 2
        assert answer.refusal().startswith("--expect: ")

    def test_more_decimals_than_the_asset_has_are_refused_not_rounded(
        self, console: Console, shop: Shop
    ) -> None:
        answer = console(*shop.verify, "--expect", f"BTC/margin={shop.balance(console)}0")
        assert answer.code == 2
        assert "more than 8 decimals" in answer.refusal()

    def test_a_forged_file_fails_whatever_is_expected(
        self, console: Console, shop: Shop, tmp_path: Path
    ) -> None:
        command = ["verify", forged(shop, tmp_path), *list(shop.verify)[2:]]
        answer = console(*command, "--expect", "BTC/margin=1", "--format", "json")
        assert answer.json()["step"] == "6"


class TestOtherKinds:
    def test_what_belongs_elsewhere_is_said_to_be_what_it_is(
        self, console: Console, shop: Shop, tmp_path: Path
    ) -> None:
        fork = tmp_path / "fork.json"
        fork.write_text('{"format": "auditkit/fork/1"}')
        for file, what, advice in (
            (shop.vkey, "a verifier key", "Give it with --key"),
            (shop.venue / "public/checkpoint", "a checkpoint", "Look at it with auditkit inspect"),
            (fork, "the evidence of a fork", "Check it with auditkit verify-fork"),
        ):
            answer = console("verify", file, *list(shop.verify)[2:])
            assert (answer.code, answer.verdict) == (2, "ERROR")
            assert f"this is {what}, not a proof file" in answer.flat()
            assert advice in answer.flat()
            assert "private" not in answer.flat()
        for file in (shop.vkey, fork):
            answer = console("inspect", file)
            assert answer.code == 2
            assert "not a proof file or a checkpoint or an entry bundle" in answer.flat()

    def test_only_what_may_be_a_proof_is_private(
        self, console: Console, shop: Shop, tmp_path: Path
    ) -> None:
        piece, page = tmp_path / "piece", tmp_path / "page"
        piece.write_bytes(shop.proof.read_bytes()[:300])
        page.write_text("# About this")
        for file, private in ((piece, True), (page, False)):
            command = ["verify", file, *list(shop.verify)[2:]]
            answer = console(*command)
            assert answer.code == 2
            assert ("Keep the file private" in answer.flat()) is private
            assert (console(*command, "--format", "json").json()["private"] is None) is not private
        assert "Give a proof file; if this should be one, fetch it again." in answer.flat()


class TestInspect:
    def test_says_unverified_on_every_line(self, console: Console, shop: Shop) -> None:
        for file in (shop.proof, shop.venue / "public/checkpoint"):
            answer = console("inspect", file)
            assert answer.code == 0
            assert all(line.startswith("UNVERIFIED") for line in answer.page().splitlines())

    def test_is_one_object_that_says_unverified(self, console: Console, shop: Shop) -> None:
        found = console("inspect", shop.proof, "--format", "json").json()
        assert (found["verdict"], found["account"]) == ("unverified", shop.account)
        assert len(found["leaves"]) == 6

    def test_shows_a_forged_file_as_it_is(
        self, console: Console, shop: Shop, tmp_path: Path
    ) -> None:
        answer = console("inspect", forged(shop, tmp_path))
        assert (answer.code, answer.verdict[:10]) == (0, "UNVERIFIED")

    def test_reads_standard_input(self, console: Console, shop: Shop) -> None:
        answer = console("inspect", "-", stdin=shop.proof.read_bytes())
        assert answer == console("inspect", shop.proof)

    def test_writes_one_statement_for_other_tools(
        self, console: Console, shop: Shop, tmp_path: Path
    ) -> None:
        command = ["inspect", shop.proof, "--tlog-proof", 8, "-o", tmp_path]
        answer = console(*command)
        assert answer.code == 0
        assert all(line.startswith("UNVERIFIED") for line in answer.page().splitlines())
        text = (tmp_path / "8.tlog-proof").read_text()
        assert text.startswith("c2sp.org/tlog-proof@v1\nindex 8\n")
        assert (shop.venue / "public/checkpoint").read_text() in text
        statements = json.loads(shop.proof.read_text())["statements"]
        told = next(entry["text"] for entry in statements if entry["seq"] == 8)
        assert (tmp_path / "8.json").read_text() == told
        again = console(*command)
        assert again.code == 2
        assert "exists" in again.refusal()

    def test_refuses_a_statement_that_is_not_shown(
        self, console: Console, shop: Shop, tmp_path: Path
    ) -> None:
        answer = console("inspect", shop.proof, "--tlog-proof", 99, "-o", tmp_path)
        assert answer.code == 2
        assert "no statement 99" in answer.refusal()
        assert list(tmp_path.iterdir()) == []
