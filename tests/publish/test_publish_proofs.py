"""Customers' files: the chains that matter, under the smallest head, checked before they leave."""

import json
import string
import subprocess
import sys
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from exchange import Exchange, refused
from hypothesis import given
from hypothesis import strategies as st

from auditkit.errors import InputError
from auditkit.ledger.books import Books
from auditkit.ledger.stored import Stored
from auditkit.publish import snapshot
from auditkit.publish.proofs import RECENT, Prover, file_name
from auditkit.publish.venue import Venue
from auditkit.verify import check
from auditkit.verify.elements import TIME
from auditkit.verify.errors import Incomplete
from auditkit.verify.note import Checkpoint
from auditkit.verify.records import Ledger

HELD = {
    "BTC": {"margin": {"anna": 500, "bert": 300}, "spot": {"anna": 7}},
    "USDT": {"margin": {"bert": 9}},
}
LEFT = {"anna": 450, "bert": 200}


@pytest.fixture
def exchange(tmp_path: Path) -> Exchange:
    found = Exchange(tmp_path)
    found.snapshot(HELD)
    return found


def size_of(proof: bytes) -> int:
    return Checkpoint.parse(json.loads(proof)["checkpoint"]).size


def test_the_assets_are_those_that_the_account_holds(exchange: Exchange) -> None:
    assert list(exchange.check("anna").chains) == ["BTC"]
    assert list(exchange.check("bert").chains) == ["BTC", "USDT"]
    assert list(exchange.check("bert", "USDT").chains) == ["USDT"]
    assert list(exchange.check("bert", "USDT", "BTC", "USDT").chains) == ["BTC", "USDT"]


def test_an_asset_that_the_account_does_not_hold_is_shown_on_request(exchange: Exchange) -> None:
    proven = exchange.check("anna", "BTC", "USDT")
    assert list(proven.chains) == ["BTC", "USDT"]
    assert {b.asset for b in proven.balances} == {"BTC"}
    with refused(exchange, "account anna: no file that verifies", "no leaf of a customer book"):
        exchange.prove("anna", "USDT")


@pytest.mark.parametrize("account", ["carl", "Anna", "ann", "anna2"])
def test_an_account_that_is_not_there_is_said(exchange: Exchange, account: str) -> None:
    with refused(exchange, f"account '{account}' has no leaf in what would be shown"):
        exchange.prove(account)


@pytest.mark.parametrize("account", ["", "-", "an na", "é", "a" * 129, 'a"', "a\\", "a\n", "\x1b"])
def test_what_is_no_account_is_said(exchange: Exchange, account: str) -> None:
    with refused(exchange, "--account: not an account name"):
        exchange.prove(account)


def test_an_asset_without_statements_is_said(exchange: Exchange) -> None:
    with refused(exchange, "--asset: the log has no statement of ETH"):
        exchange.prove("anna", "BTC", "ETH")


def test_a_venue_without_snapshots_has_nothing_to_prove(tmp_path: Path) -> None:
    with refused(empty := Exchange(tmp_path), "has no leaf in what would be shown"):
        empty.prove("anna")


def test_the_smallest_head_that_covers_what_is_shown(exchange: Exchange) -> None:
    before = exchange.prove("anna")
    for _ in range(3):
        exchange.fund()
    exchange.snapshot(HELD)
    now = size_of(exchange.prove("anna"))
    exchange.fund()
    assert size_of(before) == 5
    assert now == size_of(exchange.prove("anna")) == 14
    exchange.snapshot(exchange.wide({"USDT": {"margin": {"bert": 9}}}))
    assert size_of(exchange.prove("anna")) == 14
    assert size_of(exchange.prove("bert")) == 18


def test_a_file_is_the_same_until_something_is_said_of_its_assets(exchange: Exchange) -> None:
    before = exchange.prove("anna")
    exchange.fund()
    exchange.policy(deadline_ms=1)
    assert exchange.prove("anna") == before


def test_a_key_file_that_is_gone_does_not_matter_to_proofs(exchange: Exchange) -> None:
    exchange.key.unlink()
    assert exchange.check("anna").balances


# How far down a chain is shown.


def publish_often(exchange: Exchange, times: int) -> None:
    books = exchange.long(HELD)
    for _ in range(times):
        exchange.snapshot(books)


def test_without_an_event_the_last_snapshot_is_enough(exchange: Exchange) -> None:
    publish_often(exchange, 3)
    assert [len(c) for c in exchange.check("anna").chains.values()] == [1]


def test_a_recent_event_is_shown_unasked_with_its_reference(exchange: Exchange) -> None:
    publish_often(exchange, 2)
    exchange.loss("crash", "BTC", {"carl": 90}, LEFT)
    publish_often(exchange, 2)
    (chain,) = exchange.check("anna").chains.values()
    kinds = [link.kind for link in chain]
    assert kinds == ["snapshot", "deficit", "adl", "draw", "loss", "applied"] + ["snapshot"] * 2


def test_an_event_that_was_long_ago_is_shown_only_on_request(exchange: Exchange) -> None:
    exchange.loss("crash", "BTC", {"carl": 90}, LEFT)
    # All in one publish; only how many there are matters.
    books = Books.read(exchange.long(HELD))
    exchange.publish(lambda draft: [snapshot.publish(draft, books) for _ in range(RECENT)])
    assert len(exchange.check("anna").events) == 1
    publish_often(exchange, 1)
    assert exchange.check("anna").events == ()
    (event,) = exchange.check("anna", since=4).events
    assert event.loss.event == "crash"


def test_a_reference_below_another_event_is_shown_too(exchange: Exchange) -> None:
    """Confirmed before the newest snapshot: the chain goes down to an older one."""
    confirmed = TIME.write(exchange.now)
    publish_often(exchange, 2)
    exchange.loss("crash", "BTC", {"carl": 90}, LEFT, says={"confirmed": confirmed})
    (event,) = exchange.check("anna").events
    assert event.reference is not None
    assert event.reference.seq == 2


def test_since_shows_all_that_followed(exchange: Exchange) -> None:
    indexes = [4]
    for _ in range(3):
        publish_often(exchange, 1)
        indexes.append(len(exchange.log()) - 1)
    for index in indexes:
        proven = exchange.check("anna", since=index)
        (chain,) = proven.chains.values()
        assert chain[0].seq < index
        assert chain[-1].seq == exchange.log()[-1].latest["BTC"]  # type: ignore[attr-defined]
    # A file that does not go back so far is not enough for who asks for it.
    with pytest.raises(Incomplete, match="the index verified last is missing"):
        check.verify(exchange.prove("anna"), exchange.vkey, "anna", since=4)


def test_since_before_the_first_statement_shows_the_whole_chain(exchange: Exchange) -> None:
    publish_often(exchange, 2)
    (chain,) = exchange.check("anna", since=1).chains.values()
    assert [link.seq for link in chain] == [2, 5, 8]


def test_files_that_follow_one_another_leave_no_gap(exchange: Exchange) -> None:
    """Each file's head and index are what the next one is verified against."""
    exchange.fund(BTC=[("liquidation_fee", 40)])
    files = [exchange.check("anna")]
    for number in range(3):
        exchange.loss(f"crash-{number}", "BTC", {"carl": 60 + number}, LEFT)
        publish_often(exchange, 1)
        files.append(exchange.check("anna", since=files[-1].checkpoint.size - 1))
    for earlier, later in pairwise(files):
        assert earlier.checkpoint.size < later.checkpoint.size
        assert later.chains["BTC"][0].seq <= earlier.chains["BTC"][-1].seq
    assert [event.loss.event for file in files for event in file.events] == [
        "crash-0",
        "crash-1",
        "crash-2",
    ]


@pytest.mark.parametrize(
    ("since", "said"),
    [
        (0, "--since: entry 0 is a policy, not an index"),
        (2, "--since: entry 2 is a snapshot, not an index"),
        (5, "--since: the log has no entry 5; it has 5"),
        (-1, "--since: the log has no entry -1; it has 5"),
    ],
)
def test_since_is_an_index_of_the_log(exchange: Exchange, since: int, said: str) -> None:
    with refused(exchange, said):
        exchange.prove("anna", since=since)


def test_since_the_last_index_shows_that_nothing_followed(exchange: Exchange) -> None:
    proven = exchange.check("anna", since=4)
    assert [len(c) for c in proven.chains.values()] == [1]
    exchange.fund()
    assert size_of(exchange.prove("anna", since=4)) == 5


# Size.


def test_a_file_that_would_be_too_large_is_refused(tmp_path: Path) -> None:
    assets = {f"A{n:02d}": 8 for n in range(34)}
    exchange = Exchange(tmp_path, assets=assets, pools={"A": {"asset": "A00"}})
    many = {f"user-{n}": 1 for n in range(200)} | {"anna": [1] * 16}
    exchange.snapshot({asset: {"margin": many, "spot": many} for asset in assets})
    with refused(exchange, "account anna: the file would exceed 1 MiB; prove fewer assets"):
        exchange.prove("anna")
    half = sorted(assets)[:17]
    assert len(exchange.check("anna", *half).balances) == 34
    assert len(exchange.check("user-7").balances) == 68


# Many at once.


def test_one_prover_makes_many_files(exchange: Exchange) -> None:
    names = [f"user/{n}" for n in range(30)]
    exchange.snapshot({"BTC": {"margin": {name: n for n, name in enumerate(names)}}})
    with Venue(exchange.root) as venue:
        prover = Prover(venue)
        files = {name: prover.prove(name) for name in names}
    for number, name in enumerate(names):
        proven = check.verify(files[name], exchange.vkey, name)
        assert [b.amount for b in proven.balances] == [number]


def test_a_file_that_does_not_verify_is_not_handed_out(
    exchange: Exchange, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever goes wrong with a stored ledger: the kernel has the last word."""
    leaves = Stored.leaves
    monkeypatch.setattr(
        Stored, "leaves", lambda *given: [replace(x, amount=x.amount + 1) for x in leaves(*given)]
    )
    with pytest.raises(InputError, match="account anna: no file that verifies: step 6"):
        exchange.prove("anna")


# Names of files.

ACCOUNTS = st.text(
    st.sampled_from(sorted(set(string.printable) - set(string.whitespace) - set('"\\'))),
    min_size=1,
    max_size=128,
)


@given(ACCOUNTS)
def test_a_file_name_stays_in_its_folder(account: str) -> None:
    name = file_name(account)
    assert Path(name).name == name
    assert name not in (".", "..")
    assert len(name) <= 205
    assert name.endswith(".json")
    assert name.isascii()
    assert name.isprintable()


@given(ACCOUNTS, ACCOUNTS)
def test_two_accounts_never_share_a_file(one: str, other: str) -> None:
    assert (file_name(one) == file_name(other)) == (one == other)


HARD = [
    "/",
    "..",
    ".",
    "../../etc/passwd",
    "a/b",
    "a%2Fb",
    "%",
    "~",
    "a" * 128,
    "/" * 128,
    "%" * 128,
]


def test_hard_names_are_different_files(tmp_path: Path) -> None:
    names: dict[str, Any] = {account: file_name(account) for account in HARD}
    assert len(set(names.values())) == len(HARD)
    for name in names.values():
        (tmp_path / name).write_text("")
    assert len(list(tmp_path.iterdir())) == len(HARD)


def test_a_long_name_cannot_be_taken_by_who_is_called_like_its_hash() -> None:
    long = "/" * 128
    digest = file_name(long).removesuffix(".json")
    assert file_name(digest) != file_name(long)
    assert file_name(digest.removeprefix("sha256=")) != file_name(long)


def test_accounts_with_hard_names_are_proven(tmp_path: Path) -> None:
    exchange = Exchange(tmp_path)
    exchange.snapshot({"BTC": {"margin": {name: n for n, name in enumerate(HARD)}}})
    for number, name in enumerate(HARD):
        assert [b.amount for b in exchange.check(name).balances] == [number]


def test_an_account_is_looked_up_once_for_its_file(
    exchange: Exchange, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked: list[tuple[str, str]] = []

    class Seen(Stored):
        def leaves(self, account: str) -> list[Any]:
            looked.append((account, self.directory.name))
            return super().leaves(account)

    monkeypatch.setattr("auditkit.publish.ledgers.Stored", Seen)
    with Venue(exchange.root) as venue:
        prover = Prover(venue)
        files = [prover.prove(account) for account in ("anna", "bert", "anna")]
    assert files[0] == files[2] != files[1]
    for account, times in (("anna", 2), ("bert", 1)):
        ledgers = [ledger for name, ledger in looked if name == account]
        assert len(ledgers) == times * len(set(ledgers)) > 0


def test_what_many_share_is_read_once(exchange: Exchange, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[tuple[int, str]] = []
    with Venue(exchange.root) as venue:
        real = venue.ledgers.proving

        def counted(seq: int, signed: Ledger) -> Stored:
            opened.append((seq, signed.book))
            return real(seq, signed)

        monkeypatch.setattr(venue.ledgers, "proving", counted)
        prover = Prover(venue)
        for account in ("anna", "bert", "anna"):
            prover.prove(account)
    assert len(opened) == len(set(opened)) == 3


PROVE = """
import sys
from pathlib import Path
from auditkit.publish.proofs import Prover
from auditkit.publish.venue import Venue
with Venue(Path(sys.argv[1])) as venue:
    Prover(venue, None, [2]).prove("anna")
print(sorted({"numpy", "pyarrow", "datafusion", "http.client", "ssl"} & sys.modules.keys()))
"""


def test_whoever_waits_for_a_proof_waits_for_no_columns_and_no_network(exchange: Exchange) -> None:
    """Importing what builds ledgers alone takes as long as all the rest of a proof."""
    command = [sys.executable, "-c", PROVE, str(exchange.root)]
    done = subprocess.run(command, capture_output=True, check=True, text=True)
    assert done.stdout == "[]\n"
