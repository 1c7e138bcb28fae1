"""Wrong usage is one clear line, or one object; and every command helps, however narrow it is."""

from collections.abc import Iterator, Sequence
from itertools import pairwise

import pytest
import typer
from console import Console, Shop

from auditkit import __version__
from auditkit.cli.main import app


def commands(command: object, path: Sequence[str] = ()) -> Iterator[tuple[list[str], bool, bool]]:
    """Every command: its words, whether it is a group, and whether it must be told something."""
    if isinstance(command, typer.core.TyperGroup):
        yield list(path), True, True
        for name, inner in command.commands.items():
            yield from commands(inner, [*path, name])
    elif isinstance(command, typer.core.TyperCommand):
        yield list(path), False, any(parameter.required for parameter in command.params)


ALL = list(commands(typer.main.get_command(app)))
LEAVES = [path for path, group, _ in ALL if not group]
GROUPS = [path for path, group, _ in ALL if group and path]
NEEDY = [path for path, group, needs in ALL if needs and not group]


def named(path: object) -> str:
    return "-".join(path) if isinstance(path, list) else str(path)


class TestWrongUsage:
    @pytest.mark.parametrize("path", LEAVES + GROUPS, ids=named)
    @pytest.mark.parametrize("wrong", ["--no-such-option", "-Z"])
    def test_an_unknown_option(self, console: Console, path: list[str], wrong: str) -> None:
        answer = console(*path, wrong)
        assert answer.code == 2
        assert wrong in answer.refusal()
        assert f"See auditkit {' '.join(path)} --help." in answer.refusal()
        found = console(*path, wrong, "--format", "json").json()
        assert found == {"verdict": "error", "exit_code": 2, "what": answer.refusal()}

    @pytest.mark.parametrize("path", NEEDY, ids=named)
    def test_nothing_where_something_is_needed(self, console: Console, path: list[str]) -> None:
        answer = console(*path)
        assert answer.code == 2
        assert "Missing" in answer.refusal()
        assert console(*path, "--format=json").json()["what"] == answer.refusal()

    @pytest.mark.parametrize("path", GROUPS, ids=named)
    def test_no_command_or_an_unknown_one(self, console: Console, path: list[str]) -> None:
        assert "Missing command" in console(*path).refusal()
        answer = console(*path, "no-such-command")
        assert answer.code == 2
        assert "no-such-command" in answer.refusal()
        assert console(*path, "no-such-command", "--format", "json").json()["exit_code"] == 2

    @pytest.mark.parametrize("path", LEAVES, ids=named)
    def test_more_than_can_be_taken(self, console: Console, path: list[str]) -> None:
        answer = console(*path, *"abcde")
        assert answer.code == 2
        assert answer.refusal()

    @pytest.mark.parametrize("path", [path for path in LEAVES if path != ["demo"]], ids=named)
    def test_a_format_that_there_is_not(self, console: Console, path: list[str]) -> None:
        answer = console(*path, "--format", "xml")
        assert answer.code == 2
        assert "'xml' is not one of 'text', 'json'" in answer.refusal()

    @pytest.mark.parametrize("number", ["-1", "one", "1.5", "", "0x1"])
    def test_a_number_that_is_none(self, console: Console, number: str) -> None:
        answer = console("verify", "x", "--account", "1", f"--since={number}")
        assert answer.code == 2
        assert "--since" in answer.refusal()

    def test_untrusted_words_are_shown_harmless(self, console: Console) -> None:
        answer = console("verify", "\x1b[2J\u202e[red]\r\nVERIFIED", "--account", "1")
        assert answer.code == 2
        assert answer.refusal().startswith("\\u{1b}[2J\\u{202e}[red]\\u{d}\\u{a}VERIFIED: ")
        for word in ("\x1b[2J\u202e[red]\r\nVERIFIED", "\udcff", "\x7f"):
            answer = console(word)
            assert answer.code == 2
            assert answer.refusal()
            assert console(word, "--format", "json").json()["what"] == answer.refusal()


class TestExtras:
    @pytest.mark.parametrize(
        ("command", "lacks", "extra"),
        [
            (["audit", "log", "--public"], "numpy", "ledger"),
            (["prove", "--account", "1", "--venue"], "pymerkle", "publish"),
        ],
    )
    def test_what_is_not_installed_is_named_with_its_extra(
        self,
        console: Console,
        shop: Shop,
        monkeypatch: pytest.MonkeyPatch,
        command: list[str],
        lacks: str,
        extra: str,
    ) -> None:
        def missing(*_: object) -> None:
            raise ModuleNotFoundError(f"No module named {lacks!r}", name=lacks)

        monkeypatch.setattr("auditkit.cli.main.invoke", missing)
        said = console(*command, shop.venue).refusal()
        assert said.startswith(f"this command needs {lacks}, which is not installed; ")
        assert f"pip install '.[{extra}]'" in said


class TestHelp:
    @pytest.mark.parametrize("columns", [40, 80])
    @pytest.mark.parametrize("path", [path for path, _, _ in ALL], ids=named)
    def test_every_command_helps_within_the_width(
        self, console: Console, path: list[str], columns: int
    ) -> None:
        console.columns = columns
        for option in ("--help", "-h"):
            answer = console(*path, option)
            assert (answer.code, answer.err) == (0, "")
            assert " ".join(["Usage: auditkit", *path]) in " ".join(answer.out.split())
            assert max(map(len, answer.out.splitlines())) <= columns
            assert "\x1b" not in answer.out
            assert "…" not in answer.out

    def test_three_panels(self, console: Console) -> None:
        page = console("--help").out
        assert page.index("─ User ─") < page.index("─ Auditor ─") < page.index("─ Publisher ─")

    def test_nothing_asked_is_a_call_for_help(self, console: Console) -> None:
        assert console() == console("--help")

    def test_the_exit_codes_are_told(self, console: Console) -> None:
        page = " ".join(console("verify", "--help").out.split())
        assert "0 verified, 1 failed, 2 malformed file or wrong usage, 3 not checked" in page

    @pytest.mark.parametrize("path", LEAVES, ids=named)
    def test_a_paragraph_flows(self, console: Console, path: list[str]) -> None:
        """No line of it ends where the next word would still have fitted."""
        page = console(*path, "--help").out.partition("╭")[0].partition("Usage: ")[2]
        for paragraph in page.split(" " * 80 + "\n")[1:]:
            lines = [line.strip() for line in paragraph.splitlines()]
            for line, following in pairwise(lines):
                assert len(line) + 1 + len(following.split()[0]) > 78

    def test_the_version(self, console: Console) -> None:
        assert console("--version").page() == f"auditkit {__version__}\n"
