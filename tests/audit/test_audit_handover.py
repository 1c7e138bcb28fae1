"""What is handed over counts as far as it leads to what was signed; the case that it is for."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from crash import EVENT, Crash, Rows

from auditkit.audit import handover
from auditkit.audit.case import Case
from auditkit.audit.findings import Missing
from auditkit.audit.handover import Faulty, Handover
from auditkit.errors import DamagedError, InputError
from auditkit.ledger import builder
from auditkit.ledger.columns import Balances
from auditkit.verify.elements import TIME
from auditkit.verify.records import Ledger
from auditkit.verify.statements import Snapshot


@pytest.fixture
def snapshot(crash: Crash) -> Snapshot:
    [found] = crash.log.of(Snapshot)
    return found


def handed(path: Path, rows: Rows, secret: bytes = bytes(32)) -> Handover:
    """A folder with the one ledger 1-margin."""
    for place in ("ledgers", "secrets"):
        (path / place).mkdir(parents=True)
    lines = [f"{account},{amount}\n" for account, amount in [("account", "amount"), *rows]]
    (path / "ledgers/1-margin.csv").write_text("".join(lines))
    (path / "secrets/1-margin").write_text(secret.hex())
    return Handover.of_folder(path)


def signed(path: Path, rows: Rows, secret: bytes = bytes(32)) -> Ledger:
    """The ledger that these rows are signed as."""
    built = builder.build(path, Balances.of(rows), secret)  # type: ignore[arg-type]
    return Ledger("margin", built.count, built.total, built.root)


# Rows and secrets.


def test_a_venue_and_a_folder_open_the_same_rows_in_leaf_order(
    crash: Crash, snapshot: Snapshot
) -> None:
    stored = crash.handover.opened(snapshot, "margin")
    folder = Handover.of_folder(crash.hand()).opened(snapshot, "margin")
    assert list(stored.rows()) == list(folder.rows())
    assert list(stored.rows()) == list(crash.rows(snapshot.seq, "margin"))
    assert sorted(stored.rows())[0] == ("anna", 500)


def test_rows_may_come_in_any_order(crash: Crash, snapshot: Snapshot) -> None:
    name = f"{snapshot.seq}-margin"
    rows = sorted(crash.rows(snapshot.seq, "margin"), reverse=True)
    opened = Handover.of_folder(crash.hand({name: rows})).opened(snapshot, "margin")
    assert list(opened.rows()) == list(crash.handover.opened(snapshot, "margin").rows())


def test_a_parquet_table_of_decimals_is_read(crash: Crash, snapshot: Snapshot) -> None:
    folder = crash.hand()
    name = f"ledgers/{snapshot.seq}-margin"
    rows = list(crash.rows(snapshot.seq, "margin"))
    (folder / f"{name}.csv").unlink()
    columns = [
        pa.array([account for account, _ in rows]),
        pa.array([amount for _, amount in rows], pa.decimal128(38, 0)),
    ]
    pq.write_table(pa.table(columns, ["account", "amount"]), folder / f"{name}.parquet")
    assert len(Handover.of_folder(folder).opened(snapshot, "margin")) == len(rows)


def test_a_ledger_is_rebuilt_once(crash: Crash, snapshot: Snapshot) -> None:
    given = crash.handover
    assert given.opened(snapshot, "margin") is given.opened(snapshot, "margin")


@pytest.mark.parametrize("folder", [True, False])
def test_what_was_not_handed_over_is_missing(
    crash: Crash, snapshot: Snapshot, folder: bool
) -> None:
    given = Handover.of_folder(crash.hand({f"{snapshot.seq}-margin": None})) if folder else None
    with pytest.raises(Missing, match=f"ledgers/{snapshot.seq}-margin"):
        (given or Handover.none()).opened(snapshot, "margin")
    with pytest.raises(Missing, match=r"ledgers/99-margin"):
        crash.handover.rows(99, "margin")
    with pytest.raises(Missing, match=r"secrets/99-margin"):
        (given or Handover.none()).secret(99, "margin")


def test_a_missing_secret_is_missing(crash: Crash, snapshot: Snapshot) -> None:
    folder = crash.hand()
    (folder / f"secrets/{snapshot.seq}-margin").unlink()
    with pytest.raises(Missing, match=f"secrets/{snapshot.seq}-margin"):
        Handover.of_folder(folder).opened(snapshot, "margin")
    (crash.exchange.root / f"secrets/{snapshot.seq}-margin").unlink()
    with pytest.raises(Missing, match=f"secrets/{snapshot.seq}-margin"):
        crash.handover.opened(snapshot, "margin")


def test_no_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no such folder; name the one that was handed over"):
        Handover.of_folder(tmp_path / "nothing")


@pytest.mark.parametrize("text", ["", "00" * 31, "0" * 63 + "g", "AB" * 32, "\xff" * 64])
def test_a_file_that_holds_no_secret_is_refused(tmp_path: Path, text: str) -> None:
    given = handed(tmp_path / "handed", [("anna", 5)])
    (tmp_path / "handed/secrets/1-margin").write_text(text, "latin-1")
    with pytest.raises(Missing, match=r"secrets/1-margin that holds a secret"):
        given.secret(1, "margin")


def test_a_secret_does_not_show_itself(tmp_path: Path) -> None:
    secret = handed(tmp_path / "handed", [("anna", 5)], b"sentinel" * 4).secret(1, "margin")
    assert secret == b"sentinel" * 4
    assert "sentinel" not in repr(secret)
    assert (b"sentinel" * 4).hex() not in repr(secret)


def test_a_split_account_and_padding_rebuild(tmp_path: Path) -> None:
    rows = [("anna", 5), *(("bert", amount) for amount in range(16)), ("-", 0), ("-", 0)]
    ledger = signed(tmp_path / "signed", rows)
    kept: list[Balances] = []
    rebuilt = handed(tmp_path / "handed", rows[::-1]).rebuilt(1, ledger, kept)
    assert rebuilt.is_of(ledger)
    assert (rebuilt.leaves, len(Balances.joined(kept))) == (19, 19)


STATED = Ledger("margin", 2, 5, bytes(32))
"""What might be signed of a ledger."""

FAULTY: list[tuple[Rows, str]] = [
    ([("anna", 1)] * 17, "account anna has 17 rows; a ledger holds at most 16 of one account"),
    ([("anna", 1), ("bert", -4)], "row 2, column 'amount': '-4' is negative"),
    ([("anna", 1), ("-", 1)], "row 2, column 'account': '-' pads a ledger and holds nothing"),
    ([("anna", 2**128 - 1), ("bert", 1)], "the ledger's total reaches 2^128"),
    ([("anna", 1), ("an na", 1)], "row 2, column 'account': 'an na' is no account name"),
    ([("anna", 1), *[("-", 0)] * 9], "has 10 rows and more where 2 are signed"),
]


@pytest.mark.parametrize(("rows", "says"), FAULTY, ids=[says for _, says in FAULTY])
def test_rows_that_no_ledger_can_have_are_evidence(
    tmp_path: Path, rows: Rows, says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = handed(tmp_path / "handed", rows)
    if "-" in dict(rows) and len(rows) > 2:
        monkeypatch.setattr(handover, "_TOO_MANY", 7)
    with pytest.raises(Faulty) as caught:
        given.rebuilt(1, STATED)
    assert says in str(caught.value)
    assert str(tmp_path) not in str(caught.value)


ODD = [
    ("account,units\nanna,1\n", "there is no column 'amount'"),
    ("account,amount,note\nanna,1,x\n", "the columns must be 'account' and 'amount' alone"),
    ("account,amount\nanna,1.5\n", "'1.5' has 1 digits after the point"),
    ("account,amount\nanna,\n", "is an empty cell"),
    ("account,amount\nanna\n", "row 1 has 1 cells"),
]


@pytest.mark.parametrize(("table", "says"), ODD, ids=[says for _, says in ODD])
def test_a_table_that_cannot_be_read_is_no_evidence(tmp_path: Path, table: str, says: str) -> None:
    given = handed(tmp_path / "handed", [("anna", 1)])
    (tmp_path / "handed/ledgers/1-margin.csv").write_text(table)
    with pytest.raises(Missing) as caught:
        given.rebuilt(1, STATED)
    assert says in str(caught.value)
    assert str(tmp_path) not in str(caught.value)


def lies(crash: Crash, snapshot: Snapshot) -> dict[str, Rows]:
    rows = list(crash.rows(snapshot.seq, "margin"))
    others = [row for row in rows if row[0] not in ("anna", "bert")]
    return {
        "phantom": [*rows, ("phantom", 0)],
        "omitted": [row for row in rows if row[0] != "anna"],
        "same total": [*others, ("anna", 499), ("bert", 301)],
        "renamed": [*others, ("anne", 500), ("bert", 300)],
        "joined": [row for row in rows if row[0] != "carl"] + [("carl", 300)],
        "17 leaves": [*others, *[("anna", 500)] + [("anna", 0)] * 16, ("bert", 300)],
        "none": [],
    }


LIES = ["phantom", "omitted", "same total", "renamed", "joined", "17 leaves", "none"]


@pytest.mark.parametrize("lie", LIES)
def test_other_rows_than_were_signed_open_nothing(
    crash: Crash, snapshot: Snapshot, lie: str
) -> None:
    changed = {f"{snapshot.seq}-margin": lies(crash, snapshot)[lie]}
    with pytest.raises(Missing, match=r"is not what was signed: see A2"):
        Handover.of_folder(crash.hand(changed)).opened(snapshot, "margin")


def test_another_secret_opens_nothing(crash: Crash, snapshot: Snapshot) -> None:
    folder = crash.hand()
    name = f"secrets/{snapshot.seq}-margin"
    (folder / name).write_text("00" * 32)
    with pytest.raises(Missing, match=r"see A2"):
        Handover.of_folder(folder).opened(snapshot, "margin")
    (crash.exchange.root / name).write_text("00" * 32)
    with pytest.raises(Missing, match=r"see A2"):
        crash.handover.opened(snapshot, "margin")
    with pytest.raises(Faulty, match=r"the secret given is not the one"):
        crash.handover.rebuilt(snapshot.seq, snapshot.ledgers_shown()["margin"])


def test_a_stored_ledger_s_own_root_counts_for_nothing(crash: Crash, snapshot: Snapshot) -> None:
    """Another ledger, sealed by a header of its own, is not what was signed."""
    path = crash.exchange.root / f"ledgers/{snapshot.seq}-margin"
    secret = crash.handover.secret(snapshot.seq, "margin")
    for file in path.iterdir():
        file.unlink()
    path.rmdir()
    builder.build(path, Balances.of([("anna", 1550)]), secret)
    with pytest.raises(Missing, match=r"see A2"):
        crash.handover.opened(snapshot, "margin")


def test_a_damaged_stored_ledger_is_no_finding(crash: Crash, snapshot: Snapshot) -> None:
    path = crash.exchange.root / f"ledgers/{snapshot.seq}-margin/amounts"
    data = bytearray(path.read_bytes())
    data[5] ^= 1
    path.write_bytes(data)
    with pytest.raises(DamagedError, match=r"amounts does not hold the bytes that were stored"):
        crash.handover.opened(snapshot, "margin")


def test_a_ledger_that_the_statement_does_not_have_is_missing(
    crash: Crash, snapshot: Snapshot
) -> None:
    with pytest.raises(Missing, match=r"has no book adl"):
        crash.handover.opened(snapshot, "adl")


def test_a_ledger_without_leaves_needs_no_rows(start: Crash) -> None:
    start.snapshot()
    start.loss(adl={})
    case = start.case()
    assert len(Handover.none().opened(case.needed_adl(), "adl")) == 0


# The case.


def test_a_case_is_the_event_s_whole_run(crash: Crash) -> None:
    case = crash.case()
    kinds = [statement.kind for statement in case.run()]
    assert kinds == ["deficit", "adl", "draw", "loss", "applied"]
    assert case.reference == case.needed_reference() == crash.log.of(Snapshot)[0]
    assert (case.asset, case.decimals, case.subject) == ("BTC", 8, "event crash-1")


def test_money_is_text_with_its_asset(crash: Crash) -> None:
    case = crash.case()
    assert case.money(125_000_000) == "1.25000000 BTC"
    assert case.money(-1) == "-0.00000001 BTC"
    assert case.money(123456 * 10**8) == "123,456.00000000 BTC"


def test_an_unknown_event_is_refused(crash: Crash) -> None:
    with pytest.raises(InputError, match=r"no event 'other'; its events are 'crash-1'"):
        Case.find(crash.log, "other", Handover.none(), None)


def test_the_reference_is_the_last_snapshot_before_the_confirmation(start: Crash) -> None:
    first, second = start.snapshot(), start.snapshot()
    confirmed = start.exchange.now + 500
    third = start.snapshot()
    start.loss(says={"confirmed": TIME.write(confirmed)})
    case = start.case()
    assert case.needed_reference().seq == second
    assert [snapshot.seq for snapshot in case.snapshots()] == [second, first]
    assert third < case.deficit.seq


def test_snapshots_of_more_than_a_day_before_are_no_part_of_it(start: Crash) -> None:
    start.snapshot()
    start.exchange.now += 86_400_000
    second = start.snapshot()
    start.loss()
    assert [snapshot.seq for snapshot in start.case().snapshots()] == [second]


def test_a_recovery_s_effect_is_not_the_loss_s(crash: Crash) -> None:
    books = {"BTC": {"margin": {"anna": 1, "bert": 1, "carl": 1, "dora": 1}}}
    applied = crash.case().needed_applied()
    crash.exchange.recovery(EVENT, 40, books)
    assert crash.case().needed_applied() == applied


def test_what_a_case_lacks_is_missing(start: Crash) -> None:
    start.snapshot()
    start.loss(deficits={"gone": 10})
    case = start.case(inputs=False)
    with pytest.raises(Missing, match=r"the applied statement of event crash-1"):
        case.needed_applied()
    for look in (case.book, case.equity):
        with pytest.raises(Missing, match=r"positions \(a positions\.toml; positions = \.\.\."):
            look()
    with pytest.raises(Missing, match=r"fills \(a table; fills = \.\.\. in the event's file\)"):
        case.table("fills", "a table")
