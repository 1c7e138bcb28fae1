"""What goes wrong around a venue, and what must come of it: nothing foreign lost, nothing twice."""

import shutil
from pathlib import Path

import pytest
from exchange import Exchange, refused

from auditkit.errors import DamagedError
from auditkit.publish.venue import Venue

BOOKS = {"BTC": {"margin": {"anna": 500, "bert": 300, "carl": 9}}}


@pytest.fixture
def exchange(tmp_path: Path) -> Exchange:
    found = Exchange(tmp_path)
    found.snapshot(BOOKS)
    return found


def test_what_is_not_ours_among_the_secrets_stays(exchange: Exchange, tmp_path: Path) -> None:
    """The secrets may lie on another disk, behind a link, beside other things."""
    vault = tmp_path / "vault"
    shutil.move(exchange.root / "secrets", vault)
    (exchange.root / "secrets").symlink_to(vault)
    (vault / "backup").mkdir()
    (vault / "backup/precious").write_text("kept")
    (vault / "README").write_text("kept")
    (exchange.root / "ledgers/99-margin").symlink_to(tmp_path)
    exchange.fund()
    assert exchange.check("anna").balances[0].amount == 500
    assert (vault / "backup/precious").read_text() == (vault / "README").read_text() == "kept"
    assert (exchange.root / "ledgers/99-margin").is_symlink()


def test_what_an_interrupted_publish_left_is_forgotten(exchange: Exchange) -> None:
    left = [exchange.root / "secrets/99-margin", exchange.root / "secrets/.7-spot.draft"]
    for path in left:
        path.write_text("00" * 32)
    folders = [exchange.root / "ledgers/99-margin", exchange.root / "ledgers/.2-margin.draft"]
    for folder in folders:
        folder.mkdir()
    with Venue(exchange.root):
        assert not any(path.exists() for path in [*left, *folders])
    assert exchange.check("anna").balances[0].amount == 500


def test_what_is_committed_but_not_public_is_said_and_finished(exchange: Exchange) -> None:
    """Whoever is told of a failure alone would publish the same once more."""
    blocked = exchange.root / f"public/checkpoints/{len(exchange.log()) + 2}"
    blocked.write_text("another head")
    with pytest.raises(DamagedError) as caught:
        exchange.fund(BTC=[("operator_injection", 5)])
    assert "signed and committed, but" in str(caught.value)
    assert "Do not publish the same again" in str(caught.value)
    blocked.unlink()
    with Venue(exchange.root) as venue:
        size = len(venue.history)
    exchange.now = exchange.last_time()
    exchange.snapshot(BOOKS)
    funds = [s for s in exchange.kinds() if s == "fund"]
    assert (len(funds), len(exchange.log())) == (1, size + 2)


def test_accounts_that_are_missing_from_the_books_are_said(exchange: Exchange) -> None:
    notes: list[str] = []
    few = exchange.long({"BTC": {"margin": {"anna": 500}}})
    exchange.publish(lambda draft: notes.extend(_snapshot(draft, few)))
    assert notes == [
        "2 accounts of earlier ledgers BTC/margin are not in these books; they are carried with 0"
    ]


def _snapshot(draft: object, path: Path) -> list[str]:
    from auditkit.ledger.books import Books
    from auditkit.publish import snapshot
    from auditkit.publish.draft import Draft

    assert isinstance(draft, Draft)
    snapshot.publish(draft, Books.read(path))
    return draft.notes


@pytest.mark.parametrize(
    ("key", "value", "says"),
    [
        ("floor", "0", "[pools.BTC] floor is not an amount in base units (decimal digits): '0'; "),
        ("floor", "1.5", "; write it in quotes"),
        ("assets", '"8"', "assets.BTC is not an integer from 0 to 30: '8'; write it without quot"),
        ("deadline_ms", '"9"', "deadline_ms is not an integer from 0 to"),
        ("deadline_ms", "9" * 5000, "not TOML: "),
    ],
)
def test_a_value_of_the_wrong_type_is_shown_as_such(
    exchange: Exchange, key: str, value: str, says: str
) -> None:
    text = {"assets": "[assets]\nBTC = 8\n", "pools": '[pools.BTC]\nasset = "BTC"\n', "top": ""}
    if key == "assets":
        text["assets"] = f"[assets]\nBTC = {value}\n"
    elif key == "floor":
        text["pools"] += f"floor = {value}\n"
    else:
        text["top"] = f"{key} = {value}\n"
    path = exchange.root.parent / "odd.toml"
    path.write_text(text["top"] + text["assets"] + text["pools"])
    from auditkit.publish import policy

    with refused(exchange, says):
        policy.read(path)


def test_a_toml_file_without_end_is_refused(exchange: Exchange) -> None:
    path = exchange.root.parent / "long.toml"
    path.write_text("#" * (1 << 20) + "\n")
    from auditkit.publish import policy

    with refused(exchange, "more than 1 MiB"):
        policy.read(path)
