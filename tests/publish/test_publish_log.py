"""The history log on disk: RFC 9162 in its roots and paths, and refused when it is not whole."""

import shutil
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import reference
from exchange import ORIGIN, Exchange, refused, tree

from auditkit.errors import DamagedError, InputError
from auditkit.log.frontier import Frontier
from auditkit.publish.history import History
from auditkit.publish.keys import Signer
from auditkit.publish.venue import Venue
from auditkit.verify.errors import Refuted
from auditkit.verify.history import check_consistency, check_inclusion, leaf_hash

ENTRIES = [b"entry %d" % n for n in range(70)]
BOOKS = {"BTC": {"margin": {"anna": 500, "bert": 300}}}


@pytest.fixture(scope="module")
def signer() -> Signer:
    return Signer.generate(ORIGIN)


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory, signer: Signer) -> Iterator[History]:
    """Seventy entries, appended by ones, twos and threes, each time with a signed head."""
    with History.create(tmp_path_factory.mktemp("log") / "history.sqlite") as history:
        while len(history) < len(ENTRIES):
            size = len(history)
            step = ENTRIES[size : size + 1 + size % 3]
            append(history, signer, step)
        yield history


def append(history: History, signer: Signer, entries: list[bytes]) -> None:
    frontier = history.frontier()
    for entry in entries:
        frontier.append(leaf_hash(entry))
    history.append(
        entries, signer.checkpoint(frontier.size, frontier.root()), frontier, history.last()
    )


def test_the_frontier_has_the_root_of_the_recursive_definition() -> None:
    for size in range(71):
        frontier = Frontier(map(leaf_hash, ENTRIES[:size]))
        assert (frontier.size, frontier.root()) == (size, reference.log_root(ENTRIES[:size]))


def test_every_head_is_kept_and_is_of_the_entries_it_covers(log: History, signer: Signer) -> None:
    sizes = log.sizes()
    assert sizes == sorted(sizes)
    assert sizes[-1] == len(log) == len(ENTRIES)
    for size in sizes:
        head = log.head(size)
        head.open(signer.verifier)
        assert (head.size, head.root) == (size, reference.log_root(ENTRIES[:size]))


def test_entries_come_back_as_they_went_in(log: History) -> None:
    assert [log.entry(seq) for seq in range(70)] == ENTRIES
    assert log.entries(10, 13) == ENTRIES[10:13]
    assert log.containing("entry 6") == [6, *range(60, 70)]
    assert (log.newest_containing("entry 1"), log.newest_containing("no such")) == (19, None)


def test_inclusion_of_every_entry_in_every_size_is_what_the_kernel_checks(log: History) -> None:
    for size in range(1, 71):
        root = reference.log_root(ENTRIES[:size])
        for seq in range(size):
            path = log.tree(size).inclusion(seq)
            check_inclusion(leaf_hash(ENTRIES[seq]), seq, size, root, path)
            with pytest.raises(Refuted):
                check_inclusion(leaf_hash(b"another"), seq, size, root, path)


def test_consistency_of_every_pair_of_sizes_is_what_the_kernel_checks(log: History) -> None:
    roots = [reference.log_root(ENTRIES[:size]) for size in range(71)]
    for later in range(2, 71):
        for size in range(1, later):
            path = log.tree(later).consistency(size)
            check_consistency(size, roots[size], later, roots[later], path)
            with pytest.raises(Refuted):
                check_consistency(size, roots[size - 1], later, roots[later], path)


@pytest.mark.parametrize("size", [1, 2, 3, 37, 64, 70])
def test_paths_are_those_of_the_recursive_definition(log: History, size: int) -> None:
    for seq in range(size):
        assert list(log.tree(size).inclusion(seq)) == reference.log_path(seq, ENTRIES[:size])
    for earlier in range(1, size):
        path = reference.log_extension(earlier, ENTRIES[:size])
        assert list(log.tree(size).consistency(earlier)) == path


def test_reopened_it_is_the_same_log(log: History) -> None:
    with History(log.path) as again:
        assert again.sizes() == log.sizes()
        assert again.frontier().root() == log.frontier().root()


def test_entries_and_head_are_appended_together_or_not_at_all(
    tmp_path: Path, signer: Signer
) -> None:
    with History.create(tmp_path / "history.sqlite") as history:
        append(history, signer, ENTRIES[:3])
        for entries, size in ((ENTRIES[3:5], 6), (ENTRIES[3:4], 3), ([], 4)):
            with pytest.raises(DamagedError, match="another program has written"):
                history.append(
                    entries, signer.checkpoint(size, bytes(32)), Frontier(), history.last()
                )
        with pytest.raises(DamagedError):
            # The first of the two rows cannot stay without the second.
            history.append(
                [b"good", b"bad"], signer.checkpoint(3, bytes(32)), Frontier(), history.last()
            )
        assert (len(history), history.sizes()) == (3, [3])
        append(history, signer, ENTRIES[3:5])
        assert (len(history), history.sizes()) == (5, [3, 5])


def test_a_head_is_replaced_only_by_one_that_was_made_to_follow_it(
    tmp_path: Path, signer: Signer
) -> None:
    """Two publishers that got past every lock, with entries for the same place."""
    path = tmp_path / "history.sqlite"
    with History.create(path) as first, History(path) as second:
        append(first, signer, ENTRIES[:3])
        last, before = second.last(), second.frontier()
        before.append(leaf_hash(b"mine"))
        head = signer.checkpoint(4, before.root())
        append(first, signer, [b"theirs"])
        said = "another program has written"
        with pytest.raises(DamagedError, match=said):
            second.append([b"mine"], head, before, last)
        assert (first.sizes(), first.entry(3)) == ([3, 4], b"theirs")
    # As many entries as there were, and still another head than the one that was looked at.
    with History.create(tmp_path / "again.sqlite") as history:
        append(history, signer, ENTRIES[:3])
        frontier = history.frontier()
        frontier.append(leaf_hash(b"mine"))
        head = signer.checkpoint(4, frontier.root())
        for last in (None, signer.checkpoint(3, bytes(32)), signer.checkpoint(2, bytes(32))):
            with pytest.raises(DamagedError, match=said):
                history.append([b"mine"], head, frontier, last)
        history.append([b"mine"], head, frontier, history.last())
        assert history.sizes() == [3, 4]


def test_a_log_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    with pytest.raises(DamagedError, match="the history log is missing; restore it"):
        History(tmp_path / "history.sqlite")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("data", [b"", b"no database", b"SQLite format 3\0" + bytes(2000)])
def test_a_file_that_is_no_log_is_refused(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "history.sqlite").write_bytes(data)
    with pytest.raises(DamagedError, match=r"history\.sqlite: the history log cannot be read"):
        History(tmp_path / "history.sqlite")


def test_another_program_that_holds_the_log_is_said(tmp_path: Path, signer: Signer) -> None:
    with History.create(tmp_path / "history.sqlite") as history:
        other = sqlite3.connect(tmp_path / "history.sqlite")
        other.execute("BEGIN EXCLUSIVE")
        history._tree.con.execute("PRAGMA busy_timeout = 10")
        with pytest.raises(
            InputError, match="another program holds the history log; try again later"
        ):
            history.append([b"entry"], signer.checkpoint(1, bytes(32)), Frontier(), history.last())
        other.rollback()
        other.close()
        append(history, signer, [b"entry"])


# A venue whose log was damaged, lost or replaced.


@pytest.fixture
def exchange(tmp_path: Path) -> Exchange:
    found = Exchange(tmp_path)
    found.snapshot(BOOKS)
    found.fund(BTC=[("liquidation_fee", 40)])
    return found


def database(exchange: Exchange) -> Path:
    return exchange.root / "history.sqlite"


def edit(exchange: Exchange, *statements: str) -> None:
    """Change the database behind the back of its triggers."""
    connection = sqlite3.connect(database(exchange))
    triggers = "SELECT name, sql FROM sqlite_master WHERE type = 'trigger'"
    with connection:
        found = list(connection.execute(triggers))
        for name, _ in found:
            connection.execute(f"DROP TRIGGER {name}")
        for statement in statements:
            connection.execute(statement)
        for _, trigger in found:
            connection.execute(trigger)
    connection.close()


def refuse_to_publish(exchange: Exchange, *fragments: str) -> None:
    """Nothing is published, nothing is changed, and no ledger or secret is thrown away."""
    with refused(exchange, *fragments, error=DamagedError):
        exchange.snapshot(BOOKS)
    with refused(exchange, *fragments, error=DamagedError):
        exchange.fund()


RAISED = "CAST(replace(CAST(entry AS TEXT), '\"800\"', '\"801\"') AS BLOB)"
EDITS = {
    "an entry": f"UPDATE leaf SET entry = {RAISED} WHERE id = 3",
    "an entry as text": "UPDATE leaf SET entry = CAST(entry AS TEXT) || ' ' WHERE id = 3",
    "an entry taken out": "UPDATE leaf SET entry = NULL WHERE id = 3",
    "a hash": "UPDATE leaf SET hash = zeroblob(32) WHERE id = 3",
    "the first entry": "UPDATE leaf SET entry = x'00' WHERE id = 1",
    "the last entry": "UPDATE leaf SET entry = x'00' WHERE id = (SELECT MAX(id) FROM leaf)",
    "two entries in each other's place": (
        "UPDATE leaf SET entry = (SELECT b.entry FROM leaf b WHERE b.id = 4 - leaf.id),"
        " hash = (SELECT b.hash FROM leaf b WHERE b.id = 4 - leaf.id) WHERE id IN (1, 3)"
    ),
    "the last row": "DELETE FROM leaf WHERE id = (SELECT MAX(id) FROM leaf)",
    "a row in the middle": "DELETE FROM leaf WHERE id = 3",
    "a row more": "INSERT INTO leaf(entry, hash) VALUES (x'00', zeroblob(32))",
    "the last head": "DELETE FROM head WHERE size = (SELECT MAX(size) FROM head)",
    "all heads": "DELETE FROM head",
    "a head that is none": "UPDATE head SET note = 7",
    "the root in the last head": (
        "UPDATE head SET note = (SELECT note FROM head b WHERE b.size < head.size LIMIT 1)"
        " WHERE size = (SELECT MAX(size) FROM head)"
    ),
}


def test_entries_are_hashed_again_only_where_the_file_was_changed(exchange: Exchange) -> None:
    with (
        History(exchange.root / "history.sqlite") as history,
        pytest.MonkeyPatch.context() as patch,
    ):
        whole = history._hashed().root()
        patch.setattr(History, "_hashed", lambda _: pytest.fail("hashed every entry"))
        assert history.frontier().root() == whole
    edit(exchange, "UPDATE head SET note = note")
    with History(exchange.root / "history.sqlite") as history:
        assert history._kept() is None
        assert history.frontier().root() == whole


def test_a_frontier_that_is_not_the_logs_is_not_believed(exchange: Exchange) -> None:
    path = exchange.root / "history.sqlite"
    with History(path) as history:
        change = history._changes() + 1
        whole = history.frontier().root()
    connection = sqlite3.connect(path)
    with connection:
        update = "UPDATE frontier SET peaks = zeroblob(length(peaks)), change = ?"
        connection.execute(update, (change,))
    connection.close()
    with History(path) as history:
        assert history._changes() == change
        assert history._kept() is None
        assert history.frontier().root() == whole


@pytest.mark.parametrize("what", EDITS)
def test_a_log_that_was_edited_is_not_continued(exchange: Exchange, what: str) -> None:
    edit(exchange, EDITS[what])
    refuse_to_publish(exchange, str(exchange.root), "restore")


def test_an_entry_that_was_edited_is_not_proven(exchange: Exchange) -> None:
    edit(exchange, f"UPDATE leaf SET entry = {RAISED} WHERE id = 3")
    with refused(exchange, "entry 2 is not what was logged", error=DamagedError):
        exchange.prove("anna")


def test_a_log_that_was_deleted_is_not_begun_again(exchange: Exchange) -> None:
    database(exchange).unlink()
    refuse_to_publish(exchange, "the history log is missing; restore it")


def test_an_empty_log_in_its_place_is_refused(exchange: Exchange) -> None:
    database(exchange).unlink()
    with History.create(database(exchange)):
        pass
    refuse_to_publish(exchange, "holds 0 entries, but 6 were published")


def test_a_log_from_a_backup_is_not_continued(exchange: Exchange, tmp_path: Path) -> None:
    """An older log never heard of the newest ledgers; their secrets must outlive the refusal."""
    shutil.copyfile(database(exchange), tmp_path / "backup.sqlite")
    newest = database(exchange).read_bytes
    exchange.snapshot(BOOKS)
    kept, ledgers = newest(), sorted((exchange.root / "ledgers").iterdir())
    shutil.copyfile(tmp_path / "backup.sqlite", database(exchange))
    refuse_to_publish(exchange, "holds 6 entries, but 8 were published", "must not be continued")
    assert sorted((exchange.root / "ledgers").iterdir()) == ledgers
    database(exchange).write_bytes(kept)
    exchange.snapshot(BOOKS)
    assert exchange.check("anna").balances[0].amount == 500


def test_a_lost_public_checkpoint_does_not_hide_that_the_log_is_older(
    exchange: Exchange, tmp_path: Path
) -> None:
    shutil.copyfile(database(exchange), tmp_path / "backup.sqlite")
    exchange.snapshot(BOOKS)
    ledgers = sorted((exchange.root / "ledgers").iterdir())
    shutil.copyfile(tmp_path / "backup.sqlite", database(exchange))
    (exchange.root / "public/checkpoint").unlink()
    refuse_to_publish(exchange, "holds 6 entries, but 8 were published", "must not be continued")
    assert sorted((exchange.root / "ledgers").iterdir()) == ledgers


def test_a_log_of_the_same_size_but_of_another_history_is_refused(
    exchange: Exchange, tmp_path: Path
) -> None:
    shutil.copytree(exchange.root, tmp_path / "fork")
    exchange.fund(BTC=[("liquidation_fee", 1)])
    fork = Exchange.at(tmp_path)
    fork.root, fork.now = tmp_path / "fork", exchange.now
    fork.fund(BTC=[("liquidation_fee", 2)])
    shutil.copyfile(database(fork), database(exchange))
    refuse_to_publish(exchange, "public/checkpoint: is not a head of", "restore the right one")


def test_a_public_checkpoint_that_is_none_is_refused(exchange: Exchange) -> None:
    path = exchange.root / "public/checkpoint"
    sound = path.read_bytes()
    for damage in (b"", b"\xff", sound[:-1], sound.replace(b"\n6\n", b"\n06\n")):
        path.write_bytes(damage)
        refuse_to_publish(exchange, "public/checkpoint", "restore")
    path.write_bytes(sound.replace(b"\n6\n", b"\n7\n"))
    refuse_to_publish(exchange, "holds 6 entries, but 7 were published")
    path.write_bytes(sound.replace(b"\n6\n", b"\n4\n"))
    refuse_to_publish(exchange, "is not a head of")


def lose_settings(root: Path) -> None:
    (root / "venue.json").write_text("{}")


def lose_key(root: Path) -> None:
    (root / "public/venue.vkey").unlink()


def damage_key(root: Path) -> None:
    (root / "public/venue.vkey").write_text("exchange.example/audit+00000000+AAAA\n")


@pytest.mark.parametrize("lose", [lose_settings, lose_key, damage_key])
def test_settings_that_cannot_be_read_are_refused(
    exchange: Exchange, lose: Callable[[Path], None]
) -> None:
    lose(exchange.root)
    refuse_to_publish(exchange, "the venue's settings cannot be read")


def test_what_is_no_venue_and_what_is_too_new_is_said(exchange: Exchange, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="not a venue; make one with auditkit venue init"):
        Venue(tmp_path)
    path = exchange.root / "venue.json"
    path.write_text(path.read_text().replace("venue/1", "venue/9"))
    with refused(exchange, "made by another version of auditkit"):
        exchange.fund()


def test_another_key_does_not_publish(exchange: Exchange) -> None:
    exchange.signer = Signer.generate(ORIGIN)
    with refused(exchange, "the key file holds", "but the venue's key is"):
        exchange.fund()


def test_a_venue_is_not_made_over_anything(exchange: Exchange, tmp_path: Path) -> None:
    from auditkit.publish import policy

    fields = policy.read(exchange.policy_file())
    before = tree(tmp_path)
    for root, said in (
        (exchange.root, "exists and is not empty; name a new folder"),
        (exchange.key, "exists and is not empty; name a new folder"),
        (tmp_path / "no" / "venue", "no such folder"),
    ):
        with pytest.raises(InputError, match=said):
            Venue.init(root, exchange.signer, exchange.key, fields, None)
    with pytest.raises(InputError, match="the policy statement"):
        Venue.init(tmp_path / "new", exchange.signer, exchange.key, {**fields, "book": "x"}, None)
    assert tree(tmp_path) == before
    (tmp_path / "empty").mkdir()
    Venue.init(tmp_path / "empty", exchange.signer, exchange.key, fields, None)
    with Venue(tmp_path / "empty") as venue:
        assert len(venue.history) == 2


def test_what_is_private_is_private(exchange: Exchange) -> None:
    modes = {name: what.split()[0] for name, what in exchange.tree().items()}
    assert {modes["ledgers"], modes["secrets"], modes["ledgers/2-margin"]} == {"40700"}
    assert modes["secrets/2-margin"] == modes["ledgers/2-margin/salts"] == "100600"
    public = {mode for name, mode in modes.items() if name.startswith("public/")}
    assert {mode[-3:] for mode in public} <= {"644", "755"}
