"""A stored ledger refuses by name what is not as it was stored, and still proves the rest."""

from hashlib import sha256
from itertools import accumulate
from pathlib import Path

import pytest
from ledger import by_hand
from ledger.by_hand import SECRET, Row, assert_holds
from ledger.in_small import MANY, ROWS, header_of, seal

from auditkit.errors import DamagedError
from auditkit.ledger.builder import build
from auditkit.ledger.columns import Balances
from auditkit.ledger.store import Ledger
from auditkit.ledger.stored import FILES, PARTS
from auditkit.publish.shards import table as table_of

every_file = pytest.mark.parametrize("name", ["header", *FILES])


def flip(path: Path, place: int) -> None:
    data = bytearray(path.read_bytes())
    data[place] ^= 1
    path.write_bytes(data)


def refusal(directory: Path) -> str:
    with pytest.raises(DamagedError) as refused:
        Ledger.open(directory, SECRET)
    text = str(refused.value)
    assert text.isprintable()  # One line.
    return text


@every_file
def test_one_flipped_byte_is_refused_on_opening(one: Path, name: str) -> None:
    for place in range(0, (one / name).stat().st_size, 1 if name == "header" else 7):
        flip(one / name, place)
        assert refusal(one).startswith(f"{one}/{name} ")
        flip(one / name, place)
    flip(one / name, -1)
    assert "restore the directory from a backup" in refusal(one)
    flip(one / name, -1)
    assert_holds(Ledger.open(one, SECRET), ROWS)


@every_file
@pytest.mark.parametrize("how", ["missing", "empty", "short", "long"])
@pytest.mark.parametrize("opened", ["one", "large"])
def test_a_file_of_another_size_is_refused(
    name: str, how: str, opened: str, request: pytest.FixtureRequest
) -> None:
    path = request.getfixturevalue(opened) / name
    data = path.read_bytes()
    path.unlink()
    if how != "missing":
        path.write_bytes({"empty": b"", "short": data[:-1], "long": data + b"\0"}[how])
    assert refusal(path.parent).startswith(f"{path} ")


def test_a_ledger_that_is_not_there_is_damage(tmp_path: Path) -> None:
    assert "header is missing" in refusal(tmp_path / "ledger")


def proven(directory: Path) -> dict[str, str]:
    """Of every account, what refuses to prove it; nothing else is said of it but the truth."""
    found: dict[str, str] = {}
    for account, _ in MANY:
        ledger = Ledger.open(directory, SECRET)
        try:
            assert_proves(ledger, account)
        except DamagedError as error:
            found[account] = str(error)
    return found


def assert_proves(ledger: Ledger, account: str) -> None:
    leaves = ledger.leaves(account)
    assert [leaf.amount for leaf in leaves] == sorted(a for name, a in MANY if name == account)
    for leaf in leaves:
        assert leaf.root(account, len(MANY)) == by_hand.root(by_hand.leaves(MANY))


def block_of(account: str) -> set[int]:
    return {place // 8 for place, leaf in enumerate(by_hand.leaves(MANY)) if leaf[2] == account}


@pytest.mark.parametrize("name", PARTS)
@pytest.mark.parametrize("number", range(3))
def test_a_flipped_byte_of_a_block_is_refused_at_its_accounts(
    large: Path, name: str, number: int
) -> None:
    """And every other account is still proven: only its own blocks are read."""
    own = Ledger.open(large, SECRET)._bounds(name, number)
    end = (large / name).stat().st_size if own.stop is None else own.stop
    concerned = {account for account, _ in MANY if number in block_of(account)}
    for place in (own.start, (own.start + end) // 2, min(end, (large / name).stat().st_size) - 1):
        flip(large / name, place)
        refused = proven(large)
        if name == "salts":
            # Whether an account is absent is looked up where its next salt would be.
            assert concerned <= refused.keys()
        else:
            assert refused.keys() == concerned
        assert all(text.startswith(f"{large}/{name} ") for text in refused.values())
        with pytest.raises(DamagedError, match=f"{large}/{name} "):
            Ledger.open(large, SECRET).balances()
        with pytest.raises(DamagedError, match=f"{large}/{name} "):
            list(Ledger.open(large, SECRET).held())
        with pytest.raises(DamagedError, match=f"{large}/{name} "):
            Ledger.open(large, SECRET).verify()
        flip(large / name, place)
    assert not proven(large)


def test_a_flipped_byte_of_the_nodes_is_refused_where_a_path_leads_over_it(large: Path) -> None:
    seen: set[str] = set()
    ends = list(accumulate([11, 6, 3, 2, 1]))
    assert (large / "nodes").stat().st_size == 48 * ends[-1]
    promoted = {ends[0] - 1, ends[2] - 1, ends[4] - 1}
    for node in range(ends[-1]):
        flip(large / "nodes", 48 * node + 17)
        refused = proven(large)
        assert all(text.startswith(f"{large}/nodes ") for text in refused.values())
        # Whoever is promoted is on no path, nor the root, which the header has too.
        assert bool(refused) == (node not in promoted)
        seen |= refused.keys()
        with pytest.raises(DamagedError, match=f"{large}/nodes "):
            Ledger.open(large, SECRET).verify()
        flip(large / "nodes", 48 * node + 17)
    assert seen == {account for account, _ in MANY}


@pytest.mark.parametrize("name", ["header", "blocks"])
def test_a_flipped_byte_that_concerns_all_is_refused_on_opening(large: Path, name: str) -> None:
    for place in range(0, (large / name).stat().st_size, 11):
        flip(large / name, place)
        assert refusal(large).startswith(f"{large}/{name} ")
        flip(large / name, place)
    assert not proven(large)


def test_what_was_sound_when_it_was_opened_is_read_again_by_verify(one: Path) -> None:
    ledger = Ledger.open(one, SECRET)
    ledger.verify()
    with (one / "amounts").open("r+b") as file:
        file.write(b"\1")
    with pytest.raises(DamagedError, match=f"{one}/amounts "):
        ledger.verify()


def forge(directory: Path, rows: list[Row], other: list[Row]) -> None:
    """The leaves of one ledger under the nodes and the root of another, and every sum in order."""
    build(directory, Balances.of(rows), SECRET)
    build(directory.with_name("other"), Balances.of(other), SECRET)
    header = header_of(directory)
    false = header_of(directory.with_name("other"))
    header["files"] |= {name: false["files"][name] for name in (*PARTS, "blocks")}
    for name in (*PARTS, "blocks"):
        (directory.with_name("other") / name).replace(directory / name)
    seal(directory, header)


def test_a_leaf_that_does_not_lead_to_the_root_is_not_shown(tmp_path: Path) -> None:
    forge(tmp_path / "ledger", ROWS, [(account, amount + 1) for account, amount in ROWS])
    ledger = Ledger.open(tmp_path / "ledger", SECRET)
    with pytest.raises(DamagedError, match=r"holds a leaf \d that does not lead to its root"):
        ledger.leaves("anna")
    with pytest.raises(DamagedError, match="does not lead to its root"):
        ledger.balance("bert")


def test_accounts_that_are_no_text_are_refused(tmp_path: Path) -> None:
    build(tmp_path / "ledger", Balances.of(MANY), SECRET)
    path = tmp_path / "ledger"
    header, names = header_of(path), bytearray((path / "names").read_bytes())
    names[-1] = 0xFF
    (path / "names").write_bytes(names)
    table = bytearray((path / "blocks").read_bytes())
    table[-32:] = sha256(names).digest()
    (path / "blocks").write_bytes(table)
    header["files"]["blocks"]["sha256"] = sha256(table).hexdigest()
    if "sha256" in header["files"]["names"]:
        header["files"]["names"]["sha256"] = sha256(names).hexdigest()
    seal(path, header)
    ledger = Ledger.open(path, SECRET)
    with pytest.raises(DamagedError, match=f"{path}/names does not hold"):
        ledger.leaves("anna")
    [(_, rows)] = ledger.rows()
    with pytest.raises(DamagedError, match=f"{path}/names does not hold"):
        table_of(ledger, 0, rows)


def test_parts_of_different_rows_are_refused(tmp_path: Path) -> None:
    """Also where every sum is in order: then whoever wrote it made a mistake, or a lie."""
    build(tmp_path / "ledger", Balances.of(ROWS), SECRET)
    path = tmp_path / "ledger"
    header = header_of(path)
    names = (path / "names").read_bytes()
    header["files"]["names"]["bytes"] += 1
    (path / "names").write_bytes(names + b"x")
    table = bytearray((path / "blocks").read_bytes())
    table[-32:] = sha256(names + b"x").digest()
    (path / "blocks").write_bytes(table)
    header["files"]["blocks"]["sha256"] = sha256(table).hexdigest()
    seal(path, header)
    with pytest.raises(DamagedError, match="does not hold a ledger's columns"):
        Ledger.open(path, SECRET).balances()


def test_a_sealed_header_of_something_else_is_damage(one: Path) -> None:
    sound = (one / "header").read_bytes()
    header = header_of(one)
    seal(one, header)
    assert (one / "header").read_bytes() == sound
    changes: tuple[dict[str, object], ...] = (
        {"files": {}},
        {"files": 3},
        {"root": "xx"},
        {"root": None},
        {"files": header["files"] | {"blocks": header["files"]["nodes"]}},
    )
    for change in changes:
        seal(one, {**header, **change})
        assert str(one) in refusal(one)
    for key in ("files", "root", "leaves", "split"):
        seal(one, {k: header[k] for k in header.keys() - {key}})
        assert f"{one}/header " in refusal(one)
