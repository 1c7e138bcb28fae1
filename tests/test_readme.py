"""README and the pages in docs say what is true: their commands, code and TOML are tried."""

import re
import shlex
from pathlib import Path

import pytest

from auditkit.cli.main import main
from auditkit.errors import InputError
from auditkit.ledger.mapping import Mapping
from auditkit.margin.eventfile import EventFile
from auditkit.margin.positionsfile import PositionsFile
from auditkit.publish import fund, policy
from auditkit.verify.statements import Policy

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text("utf-8")
PUBLISHING = (ROOT / "docs/publishing.md").read_text("utf-8")
AUDITING = (ROOT / "docs/auditing.md").read_text("utf-8")
FORKS = (ROOT / "docs/forks.md").read_text("utf-8")
KEYS = (ROOT / "docs/keys.md").read_text("utf-8")
FOLLOWING = (ROOT / "docs/following.md").read_text("utf-8")
WITNESSING = (ROOT / "docs/witnessing.md").read_text("utf-8")
GROUPS = ("audit", "fund", "key", "venue", "publish", "trust", "witness")


def blocks(text: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.DOTALL | re.MULTILINE)


def commands() -> list[list[str]]:
    """Every auditkit command line of the README and these pages, split as a shell does."""
    text = "\n".join(blocks(README + AUDITING + FOLLOWING + FORKS + KEYS + WITNESSING, "sh"))
    lines = text.replace("\\\n", " ").splitlines()
    return [shlex.split(line, comments=True) for line in lines if line.startswith("auditkit ")]


def path_of(words: list[str]) -> list[str]:
    if words[1:3] == ["witness", "key"]:
        return words[1:4]
    return words[1:3] if words[1] in GROUPS else words[1:2]


@pytest.mark.parametrize("words", commands(), ids=lambda words: " ".join(words[1:4]))
def test_every_command_of_the_readme_has_the_options_it_shows(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*path_of(words), "--help"]) == 0
    said = capsys.readouterr().out
    for option in (word for word in words if word.startswith("-") and word != "-"):
        assert re.search(rf"(?<![\w-]){re.escape(option)}(?![\w-])", said), option


def test_every_command_is_in_the_readme(capsys: pytest.CaptureFixture[str]) -> None:
    shown = {tuple(path_of(words)) for words in commands()}
    for group in ((), *((name,) for name in GROUPS)):
        main([*group, "--help"])
        listed = re.findall(r"^│ ([a-z]+) {2,}", capsys.readouterr().out, re.MULTILINE)
        for name in set(listed) - set(GROUPS) - {"demo", "list", "remove", "show"}:
            assert (*group, name) in shown


def test_the_python_of_the_readme_runs(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(ROOT)
    (block,) = blocks(README, "python")
    exec(compile(block, "README.md", "exec"), {})
    assert re.fullmatch(r"crash-btc-1 \d+ \d+ \d+\n", capsys.readouterr().out)


@pytest.mark.parametrize(
    ("file", "account", "code"),
    [("10007.json", "10007", 0), ("broken/deduction-one-unit-more/proof.json", "10007", 1)],
)
def test_the_files_the_readme_offers_are_as_it_says(file: str, account: str, code: int) -> None:
    assert f"proofs/{file}" in README
    key = ROOT / "proofs/venue.vkey"
    given = [str(ROOT / "proofs" / file), "--key", str(key), "--account", account, "--quiet"]
    assert main(["verify", *given]) == code


def written(folder: Path, text: str) -> Path:
    path = folder / "given.toml"
    path.write_text(text)
    return path


def test_the_toml_of_the_readme_and_of_the_publishing_page_is_read(tmp_path: Path) -> None:
    given, books = blocks(README, "toml")
    fields = policy.read(written(tmp_path, given))
    assert fields["assets"] == {"BTC": 8}
    wide, long, pools, balances, computed, positions, event = blocks(PUBLISHING, "toml")
    for text in (books, wide, long):
        assert Mapping.read(written(tmp_path, text)).account == "account"
    rules = Policy(venue="exchange.example/audit", seq=0, time=0, **fields)
    moved = fund.read(written(tmp_path, pools), rules)
    assert moved["BTC"].open_interest == 125_050_000_000
    assert 'feed = { venue = "binance"' in balances
    for text in (computed, event):
        found = EventFile.read(written(tmp_path, text))
        assert [mark.mark for mark in found.marks] == ["104782.5"]
        assert (found.lists is None) is (text is computed)
    with pytest.raises(InputError, match=r"'contracts\.csv' matches no file"):
        PositionsFile.read(written(tmp_path, positions))


def test_every_policy_default_is_on_the_publishing_page(tmp_path: Path) -> None:
    text = '[assets]\nBTC = 8\n[pools.BTC]\nasset = "BTC"\n'
    for name, value in policy.read(written(tmp_path, text)).items():
        assert f"`{name}`" in PUBLISHING
        if isinstance(value, int):
            assert re.search(rf"\b{value}\b", PUBLISHING)
