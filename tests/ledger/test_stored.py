"""A stored ledger proves its accounts, and refuses by name what is not as it was stored."""

import stat
import subprocess
import sys
from hashlib import sha256
from pathlib import Path

import pytest
from ledger import by_hand
from ledger.by_hand import SECRET, assert_holds
from ledger.in_small import MANY, ROWS, files_of, seal

from auditkit.errors import DamagedError, InputError
from auditkit.ledger.builder import build
from auditkit.ledger.columns import Balances
from auditkit.ledger.store import Ledger
from auditkit.ledger.stored import FILES, Stored
from auditkit.verify.sumtree import EMPTY


def test_an_empty_ledger(tmp_path: Path) -> None:
    ledger = build(tmp_path / "ledger", Balances.of([]), SECRET)
    assert_holds(ledger, [])
    assert_holds(Ledger.open(tmp_path / "ledger", SECRET), [])
    assert (ledger.total, ledger.root, ledger.root_node) == (0, EMPTY.hash, EMPTY)
    assert ledger.leaves("anna") == []
    assert ledger.balance("anna") == 0
    ledger.verify()


def test_who_is_not_there_has_no_leaves(large: Path) -> None:
    ledger = Ledger.open(large, SECRET)
    for name in ("ann", "anna\0", "anna\x000", "änna", "", "nobody", *[f"x{n}" for n in range(40)]):
        assert ledger.leaves(name) == []
        assert ledger.balance(name) == 0


def test_proving_needs_no_columns(large: Path) -> None:
    ledger, other = Stored.open(large, SECRET), Ledger.open(large, SECRET)
    for account, _ in MANY:
        assert ledger.leaves(account) == other.leaves(account)
    assert type(ledger) is Stored


def test_an_account_is_proven_by_its_own_block_alone(tmp_path: Path, large: Path) -> None:
    """Unless another account has several leaves, nobody is looked up for a second one."""
    rows = list(dict(MANY).items())
    build(tmp_path / "single", Balances.of(rows), SECRET)
    for account, amount in rows:
        ledger = Stored.open(tmp_path / "single", SECRET)
        [leaf] = ledger.leaves(account)
        assert leaf.amount == amount
        assert {number for _, number in ledger._sound} == {leaf.index // 8}
    assert len(ledger.blocks) == 3
    assert [leaf.amount for leaf in Stored.open(large, SECRET).leaves("anna")] == [3, 3, 7]


def test_proving_does_not_wait_for_numpy(one: Path) -> None:
    script = """
import sys
from pathlib import Path
from auditkit.ledger.stored import Stored
ledger = Stored.open(Path(sys.argv[1]), bytes.fromhex(sys.argv[2]))
print([leaf.amount for leaf in ledger.leaves("anna")], len(ledger))
print([name for name in ("numpy", "pyarrow", "datafusion") if name in sys.modules])
"""
    home = Path(__file__).resolve().parents[2]
    command = [sys.executable, "-c", script, str(one), SECRET.hex()]
    done = subprocess.run(command, cwd=home, capture_output=True, check=True, text=True)
    assert done.stdout.splitlines() == ["[3, 3, 7] 6", "[]"]


def test_only_the_owner_can_read_it(one: Path) -> None:
    assert stat.S_IMODE(one.stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in one.iterdir()} == {0o600}
    assert {path.name for path in one.iterdir()} == {"header", *FILES}


def test_the_secret_and_salts_are_neither_shown_nor_stored(one: Path) -> None:
    ledger = Ledger.open(one, SECRET)
    shown = repr(ledger) + str(ledger) + repr(ledger.leaves("anna")) + repr(ledger.blocks)
    for salt in [salt for salt, _, _ in by_hand.leaves(ROWS)]:
        assert repr(salt)[2:-1] not in shown
        assert salt.hex() not in shown
    for data in files_of(one).values():
        shown += data.hex() + repr(data)
    assert SECRET.hex() not in shown
    assert repr(SECRET)[2:-1] not in shown


def test_the_secret_of_another_ledger_is_refused(one: Path) -> None:
    with pytest.raises(InputError, match="not the one") as refused:
        Ledger.open(one, bytes(32))
    assert bytes(32).hex() not in str(refused.value)


@pytest.mark.parametrize("text", ["[]", "{}", "null", "NaN", '"x"', "{", '{"format": 2}'])
def test_a_header_of_another_shape_is_damage(one: Path, text: str) -> None:
    line = text.encode()
    (one / "header").write_bytes(b"%s\n%s\n" % (line, sha256(line).hexdigest().encode()))
    with pytest.raises(DamagedError, match="header says no format"):
        Ledger.open(one, SECRET)


@pytest.mark.parametrize("version", ["1", "3"])
def test_another_format_is_refused_in_one_line(one: Path, version: str) -> None:
    name = f"auditkit/stored-ledger/{version}"
    seal(one, {"format": name, "leaves": 0})
    with pytest.raises(InputError, match=f"{one} is in the format {name}, and") as refused:
        Ledger.open(one, SECRET)
    assert str(refused.value).isprintable()  # One line.
    assert "this auditkit reads auditkit/stored-ledger/2" in str(refused.value)
