"""What is drawn: on a terminal and off it, in colour and without, wide and narrow."""

import json
from pathlib import Path

import pytest
from console import CTRL_C, Console, Shop
from venue import Venue

ASKED = "Your account name at the venue: "


class TestPrompt:
    def test_the_account_is_asked_for_on_a_terminal(self, console: Console, shop: Shop) -> None:
        command = ["verify", shop.proof, "--key", shop.vkey]
        answer = console.terminal(*command, keys=[(ASKED, f"{shop.account}\n")])
        assert answer.code == 0
        assert f"{ASKED}{shop.account}\n" in answer.out
        assert "VERIFIED" in answer.out

    def test_a_wrong_account_fails(self, console: Console, shop: Shop) -> None:
        command = ["verify", shop.proof, "--key", shop.vkey]
        answer = console.terminal(*command, keys=[(ASKED, "10042\n")])
        assert answer.code == 1
        assert "FAILED: the file is about another account" in answer.out

    @pytest.mark.parametrize("typed", ["\n", "a b\n", "M\u00fcller\n", "\x04"])
    def test_an_account_that_none_can_have(self, console: Console, shop: Shop, typed: str) -> None:
        command = ["verify", shop.proof, "--key", shop.vkey]
        answer = console.terminal(*command, keys=[(ASKED, typed)])
        assert answer.code == 2
        assert "ERROR: --account: not an account name" in answer.out

    def test_interrupted_at_the_prompt(self, console: Console, shop: Shop) -> None:
        command = ["verify", shop.proof, "--key", shop.vkey]
        answer = console.terminal(*command, keys=[(ASKED, CTRL_C)])
        assert answer.code == 130
        assert "\n\x1b[1;31mERROR: interrupted\x1b[0m\n" in answer.out
        assert "Traceback" not in answer.out


class TestColour:
    def test_a_verdict_on_a_terminal_is_coloured(self, console: Console, shop: Shop) -> None:
        answer = console.terminal(*shop.verify)
        assert answer.code == 0
        assert answer.out.startswith("\x1b[1;32mVERIFIED\x1b[0m\n")
        refused = console.terminal("verify", shop.proof, "--key", shop.vkey, "--account", "1")
        assert refused.out.startswith("\x1b[1;31mFAILED: ")

    @pytest.mark.parametrize("variable", [{"NO_COLOR": "1"}, {"TERM": "dumb"}])
    def test_none_where_none_is_wanted(
        self, console: Console, shop: Shop, variable: dict[str, str]
    ) -> None:
        console.variables |= variable
        for command in (shop.verify, ["verify", "--no-such-option"]):
            assert "\x1b" not in console.terminal(*command).out
        assert "\x1b[3" not in console.terminal("--help").out

    def test_none_in_a_pipe(self, console: Console, shop: Shop) -> None:
        for command in (shop.verify, ["verify", "--no-such-option"], ["--help"]):
            answer = console.process(*command)
            assert "\x1b" not in answer.out + answer.err

    def test_an_object_is_never_coloured(self, console: Console, shop: Shop) -> None:
        answer = console.terminal(*shop.verify, "--format", "json")
        assert answer.out.startswith('{\n "verdict": "verified",\n "exit_code": 0,\n')
        assert "\x1b" not in answer.out


class TestWidth:
    @pytest.mark.parametrize("columns", [40, 80])
    def test_no_line_is_wider_than_the_terminal(
        self, console: Console, shop: Shop, columns: int, tmp_path: Path
    ) -> None:
        console.columns = columns
        (tmp_path / "accounts").write_text("10007\nnobody\n")
        (tmp_path / "out").mkdir()
        commands: list[list[object]] = [
            list(shop.verify),
            ["verify", shop.proof, "--key", shop.vkey, "--account", "1"],
            ["verify", shop.vkey, "--key", shop.vkey, "--account", "1"],
            [*shop.verify, "--expect", "BTC/margin=1"],
            ["inspect", shop.proof],
            ["inspect", shop.venue / "public/checkpoint"],
            ["trust", "list"],
            ["prove", "--venue", shop.venue, "--account", shop.account, "-o", tmp_path / "p"],
            [
                *("prove", "--venue", shop.venue, "--accounts", tmp_path / "accounts"),
                *("-o", tmp_path / "out"),
            ],
        ]
        for command in commands:
            lines = console(*command).page().splitlines()
            assert max(map(len, lines)) <= columns
            assert not any(line.endswith(" ") for line in lines)

    def test_errors_wrap_on_a_terminal_and_are_one_line_in_a_pipe(self, console: Console) -> None:
        console.columns = 40
        command = ["verify", "an absent file with a rather long name", "--account", "1"]
        assert console.process(*command).refusal()
        screen = console.terminal(*command).out
        assert len(screen.splitlines()) > 1
        assert all(len(line) <= 40 + len("\x1b[1;31m\x1b[0m") for line in screen.splitlines())

    def test_a_name_cannot_pose_as_a_verdict_at_the_beginning_of_a_line(
        self, console: Console, tmp_path: Path
    ) -> None:
        # Wherever a long word is broken, what follows is indented or behind a mark.
        account = "VERIFIED" * 16
        venue = Venue()
        venue.snapshot("BTC", {"margin": {account: 5, "bob": 7}})
        venue.publish()
        path = tmp_path / "proof.json"
        path.write_text(json.dumps(venue.prove(account)))
        for columns in range(40, 48):
            console.columns = columns
            lines = console("inspect", path).page().splitlines()
            assert all(line.startswith("UNVERIFIED") for line in lines)
            answer = console("verify", path, "--key", venue.vkey, "--account", "bob")
            assert answer.code == 1
            assert not any(line.startswith("VERIFIED") for line in answer.page().splitlines())

    def test_markup_in_a_name_is_text(self, console: Console, tmp_path: Path) -> None:
        account = "[red]x[/red]:+1:<b>"
        venue = Venue()
        venue.snapshot("BTC", {"margin": {account: 5, "bob": 7}})
        venue.publish()
        path = tmp_path / "proof.json"
        path.write_text(json.dumps(venue.prove(account)))
        answer = console("verify", path, "--key", venue.vkey, "--account", account)
        assert answer.code == 0
        assert f"Account {account} at" in answer.flat()
