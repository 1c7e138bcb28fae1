"""Every lie that a venue might tell of a loss, and everybody who finds it: nobody else does."""

import inspect
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import world_lies as told
import world_lies_books as cooked
from world import World
from world_catchers import audit, catchers, refusal
from world_files import EVENT as EVENT_NAME

from auditkit.audit.findings import Verdict
from auditkit.audit.programme import EVENT
from auditkit.verify.check import verify
from auditkit.verify.errors import Malformed, NotVerified
from auditkit.verify.note import Checkpoint

Lie = Callable[[World], None]
ROOT = Path(__file__).resolve().parents[2]
BROKEN = ROOT / "proofs/broken"

# What it is about: a row of ATTACKS (21 to 43) or a procedure of DOMAIN; the
# lie; who catches it. "verify" is every customer's own file, "verify carl" only
# carl's; "books" is A2 against the venue's own tables, "head" a customer who
# remembers an earlier checkpoint, LOG anybody who reads the log.
LIES: tuple[tuple[str, Lie, str], ...] = (
    ("21 A2 S1", told.customer_left_out, "books, S1, verify erin"),
    ("21 A2 S1", told.balance_understated, "books, S1"),
    ("23", told.secret_used_twice, "A2"),
    ("23", told.secret_of_two_books, "A2, books"),
    ("24", told.salts_that_anyone_knows, "A2"),
    ("25 E1", told.favoured_left_out, "E1"),
    ("25 E1", told.favoured_shrunk, "E1"),
    ("25 E1", told.favoured_moved_in_time, "E1"),
    ("25 E1", told.favoured_moved_the_day_before, "E1"),
    ("25 E1", told.favoured_among_the_bankrupt, "A4, E1"),
    ("25 E1", told.favoured_among_the_liquidated, "E1"),
    ("26", told.another_loss_told, "head"),
    ("27 E2", told.unit_moved, "E2, verify carl, verify erin"),
    ("27", told.loss_rounded_up, "verify, LOG"),
    ("28 C2", cooked.fund_kept, "verify, LOG, C2"),
    ("28 C2", cooked.fund_emptied_first, "verify, LOG, C2"),
    ("29 B1", cooked.friend_skipped, "B1"),
    ("29 B1", cooked.ranked_otherwise, "B1"),
    ("29 B1", cooked.closed_at_a_worse_price, "B1"),
    ("29 B1", cooked.more_taken_than_listed, "B1"),
    ("29 B1", cooked.another_rank_signed, "verify, LOG"),
    ("29 B2", cooked.stopped_early, "B2"),
    ("29 B2", cooked.candidates_understated, "B2"),
    ("29 B2", cooked.not_exhausted, "verify, LOG, B2"),
    ("30 H1", told.applied_late, "verify, LOG, H1"),
    ("30 H1", told.never_applied, "verify, LOG, H1"),
    ("35", told.loss_hidden, "LOG"),
    ("35", told.chain_jumps, "verify, LOG"),
    ("35", told.book_vanished, "verify, LOG"),
    ("35 A2", told.book_never_published, "books, S1"),
    ("35 A1", told.policy_changed_and_back, "LOG, A1"),
    ("36", told.charged_twice, "verify, LOG"),
    ("36 E1", told.charged_again, "E1"),
    ("36", told.name_used_twice, "verify, LOG"),
    ("36 C2", cooked.draw_booked_twice, "LOG, C2"),
    ("37 A1", told.decimals_changed, "verify, LOG, A1"),
    ("37 A3", told.another_book_shares, "verify, LOG, A3"),
    ("38 C2", cooked.fund_invented, "verify, LOG, C2"),
    ("38 C2", cooked.another_pool_drawn, "verify, LOG, C2"),
    ("38 C2", cooked.second_pool_drawn, "LOG, C2"),
    ("38", cooked.pool_of_another_asset_drawn, "LOG"),
    ("38", cooked.pool_reborn, "LOG"),
    ("40 E1", told.emptied_and_not_shown, "E1, verify erin"),
    ("41", told.crumbs_to_a_friend, "verify carl, verify fred"),
    ("43 A2", told.seventeen_leaves, "A2, verify carl"),
    ("43 A2", told.leaves_in_an_order_that_suits, "A2"),
    ("A1", told.policy_for_the_occasion, "verify, LOG, A1"),
    ("A2", cooked.another_ledger_handed_over, "A2"),
    ("A3", cooked.deficit_invented, "A3"),
    ("A3", cooked.equity_shaved, "A3"),
    ("A3", cooked.mark_left_out, "A3"),
    ("A3", cooked.mark_that_suits, "verify, LOG, A3"),
    ("A4", cooked.surplus_kept, "A4"),
    ("A4", cooked.surplus_to_another_pool, "A4"),
    ("A4", cooked.surplus_after_the_draw, "A4"),
    ("A4", cooked.shortfall_overstated, "A4"),
    ("C1", cooked.fund_opened_lower, "LOG"),
    ("C2", cooked.draw_not_booked, "LOG, C2"),
    ("C3", cooked.injected_after_the_draw, "C3"),
    ("C3", cooked.injected_among_surpluses, "C3"),
    ("C3", cooked.injected_as_surplus, "A4"),
    ("A4", cooked.phantom_bankrupt, "A4, E1"),
    ("A4 D1", cooked.phantom_wallet, "A4, D1, E1"),
    ("D1", cooked.phantom_customer, "D1"),
    ("D1", cooked.phantom_position, "D1, E1"),
    ("G1", told.renamed, "G1, verify erin"),
    ("G1", told.refunded, "E2, G1, verify carl, verify fred"),
    ("G1", told.cut_otherwise, "G1"),
    ("G1", told.moved_in_between, "verify, LOG, G1"),
)

# Lies that are told in a customer's file alone, by their names in proofs/broken.
FILES = (
    ("24", "salt-short"),
    ("31", "signature-that-some-accept"),
    ("32", "amount-spelt-otherwise"),
    ("32", "key-given-twice"),
    ("32", "number-that-is-none"),
    ("33", "painted-terminal"),
    ("35", "loss-left-out"),
    ("35", "policy-left-out"),
    ("35", "end-left-out"),
    ("39", "leaf-counted-twice"),
    ("40", "balance-not-shown-any-more"),
    ("42", "account-that-looks-alike"),
)

# What no lie here can show.
OTHERS = {
    "22": "a neighbour's balance on the path is only lessened, by splitting: SPEC.md section 10",
    "33": "all that is shown is filtered: tests/cli/test_cli_terminal.py",
    "34": "keys and salts in error texts: tests/publish/test_publish_secrets.py",
    "43": "a unit a leaf is only lessened, by the cap of 16 leaves: SPEC.md section 3",
}


def by_name(lie: Lie) -> str:
    return lie.__name__.replace("_", "-")


def test_an_honest_evening_passes_everywhere(tmp_path: Path) -> None:
    world = World(tmp_path).tell()
    assert catchers(world) == set()
    found = dict(audit(world))
    assert found.keys() == {"LOG", *EVENT, "books", "S1"}
    assert {name for name, it in found.items() if it.verdict is not Verdict.PASS} == set()
    assert refusal(world, "carl", Checkpoint.parse(world.morning)) is None


def test_an_honest_evening_after_another_loss_passes_everywhere(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.lose_first(zack=4000)
    assert catchers(world.tell()) == set()
    assert {name for name, it in audit(world) if it.verdict is not Verdict.PASS} == set()
    file = verify(world.file("carl"), world.venue.vkey, "carl")
    assert [event.loss.event for event in file.events] == ["crash-0", EVENT_NAME]
    assert all(event.deducted for event in file.events)


def test_the_honest_evening_has_something_of_everything(tmp_path: Path) -> None:
    """Else a lie about it could not be told."""
    world = World(tmp_path).tell()
    file = verify(world.file("carl"), world.venue.vkey, "carl")
    [event], [payout] = file.events, file.payouts
    assert event.draw is not None
    assert (event.deficit.ledger.total, event.absorbed, event.draw.drawn) == (11200, 6875, 2200)
    assert (event.loss.socialized, event.loss.residual, payout.recovery.recovered) == (
        2125,
        0,
        1000,
    )
    assert set(file.chains) == {"BTC", "USD"}
    assert {b.book: b.leaves for b in file.balances if b.asset == "USD"} == {"margin": 3, "spot": 3}
    roles = {
        name: [role.book for role in verify(world.file(name), world.venue.vkey, name).roles]
        for name in ("gone", "nick", "fred", "ida", "bert")
    }
    assert roles == {
        "gone": ["deficit"],
        "nick": ["deficit"],
        "fred": ["adl"],
        "ida": ["adl"],
        "bert": [],
    }


@pytest.mark.parametrize(
    ("lie", "who"), [row[1:] for row in LIES], ids=[by_name(x) for _, x, _ in LIES]
)
def test_a_lie_is_caught_by_these_and_nobody_else(tmp_path: Path, lie: Lie, who: str) -> None:
    world = World(tmp_path)
    lie(world)
    assert catchers(world.tell()) == set(who.split(", "))


@pytest.mark.parametrize("name", [name for _, name in FILES])
def test_a_file_that_lies_is_refused(name: str) -> None:
    expect = json.loads((BROKEN / name / "expect.json").read_text("utf-8"))
    data = (BROKEN / name / "proof.json").read_bytes()
    key = (ROOT / "proofs/venue.vkey").read_text("ascii").strip()
    with pytest.raises(NotVerified) as refused:
        verify(data, key, expect["account"])
    assert refused.value.verdict == expect["expect"]


def test_a_statement_listed_twice_is_refused(tmp_path: Path) -> None:
    """The other half of row 39."""
    world = World(tmp_path).tell()
    file = json.loads(world.file("carl"))
    file["statements"].insert(1, file["statements"][1])
    with pytest.raises(Malformed, match="ascending"):
        verify(json.dumps(file).encode(), world.venue.vkey, "carl")


# The table itself.


def lies() -> Iterator[Lie]:
    """Every lie that was written."""
    for module in (told, cooked):
        for name, function in inspect.getmembers(module, inspect.isfunction):
            if function.__module__ == module.__name__ and not name.startswith("_"):
                yield function


def test_every_lie_is_in_the_table_once_and_says_what_it_is() -> None:
    assert sorted(map(by_name, lies())) == sorted(by_name(lie) for _, lie, _ in LIES)
    assert all(lie.__doc__ for lie in lies())


def test_every_row_and_every_procedure_is_in_the_table() -> None:
    tags = {tag for tags, *_ in LIES for tag in tags.split()}
    tags |= {row for row, _ in FILES} | OTHERS.keys()
    assert tags >= {str(row) for row in range(21, 44)}
    assert tags >= EVENT.keys() | {"C1", "S1"}


def test_everybody_catches_something() -> None:
    names = {name.split(" ")[0] for *_, who in LIES for name in who.split(", ")}
    assert names == {"verify", "head", "LOG", "books", "S1", *EVENT}


def test_what_is_held_elsewhere_is_there() -> None:
    for text in OTHERS.values():
        assert (ROOT / text.rpartition(": ")[2].split(" ")[0]).is_file()
