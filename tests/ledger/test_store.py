"""A stored ledger proves every account, appears whole or not at all, and refuses damage."""

import errno
import json
import os
import resource
import signal
import stat
import subprocess
import sys
import tempfile
from hashlib import sha256
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from auditkit.errors import DamagedError, InputError
from auditkit.ledger import engine, hashing, store, tree
from auditkit.ledger.columns import Balances
from auditkit.ledger.store import FILES, Ledger, build
from auditkit.verify import sumtree

SECRET = bytes(range(100, 132))
VECTORS = Path(__file__).resolve().parents[2].parent / "shared" / "vectors" / "format"
LIMIT = 1 << 128
ROWS = [("anna", 7), ("bert", 0), ("carl", 5), ("anna", 3), ("dora", 1 << 90), ("anna", 3)]


def by_hand(rows: list[tuple[str, int]]) -> list[tuple[bytes, int, str]]:
    """The leaves of a ledger as SPEC.md §2 words it: chunks by amount, leaves by salt."""
    chunks: dict[str, int] = {}
    leaves = []
    for account, amount in sorted(rows, key=lambda row: row[1]):
        chunk = chunks[account] = chunks.get(account, -1) + 1
        leaves.append((hashing.salt(SECRET, account.encode(), chunk), amount, account))
    return sorted(leaves)


def root_by_hand(leaves: list[tuple[bytes, int, str]]) -> sumtree.Node:
    level = [sumtree.leaf(*leaf) for leaf in leaves] or [sumtree.EMPTY]
    while len(level) > 1:
        pairs = zip(level[::2], level[1::2], strict=False)
        level = [sumtree.parent(*pair) for pair in pairs] + level[len(level) // 2 * 2 :]
    return level[0]


def assert_holds(ledger: Ledger, rows: list[tuple[str, int]]) -> None:
    """Everything that can be asked of `ledger` is what `rows` say."""
    wanted = by_hand(rows)
    root = sumtree.Node(ledger.total, ledger.root)
    assert root == root_by_hand(wanted)
    assert len(ledger) == len(rows)
    assert list(ledger.balances().rows()) == [(account, amount) for _, amount, account in wanted]
    for account in {account for account, _ in rows}:
        leaves = ledger.leaves(account)
        own = sorted(amount for name, amount in rows if name == account)
        assert [leaf.amount for leaf in leaves] == own
        assert ledger.balance(account) == sum(own)
        for leaf in leaves:
            assert wanted[leaf.index] == (leaf.salt, leaf.amount, account)
            path = [sumtree.Node.decode(node) for node in leaf.path]
            start = sumtree.leaf(leaf.salt, leaf.amount, account)
            top, prefix = sumtree.climb(start, leaf.index, len(rows), path)
            assert top == root
            assert prefix == sum(amount for _, amount, _ in wanted[: leaf.index])


@pytest.fixture
def stored(tmp_path: Path) -> Path:
    build(tmp_path / "ledger", Balances.of(ROWS), SECRET)
    return tmp_path / "ledger"


def names_in(directory: Path) -> list[str]:
    return [path.name for path in directory.iterdir()]


names = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=128)
amounts = st.one_of(st.integers(0, 2), st.integers(0, LIMIT // 512))
split = st.lists(amounts, min_size=1, max_size=16)


@settings(deadline=None)
@given(st.dictionaries(names, split, max_size=20), st.randoms(use_true_random=False))
def test_a_ledger_proves_every_account(books: dict[str, list[int]], random: Any) -> None:
    rows = [(account, amount) for account, held in books.items() for amount in held]
    with tempfile.TemporaryDirectory() as folder:
        built = build(Path(folder) / "ledger", Balances.of(rows), SECRET)
        assert_holds(built, rows)
        assert_holds(Ledger.open(Path(folder) / "ledger", SECRET), rows)
        random.shuffle(rows)
        again = build(Path(folder) / "again", Balances.of(rows), SECRET)
        assert (again.root, again.total) == (built.root, built.total)


@pytest.mark.skipif(not VECTORS.is_dir(), reason="the shared vectors are not here")
def test_trees_are_those_of_the_vectors() -> None:
    for case in json.loads((VECTORS / "trees.json").read_text()):
        rows = [(bytes.fromhex(leaf["salt"]), leaf) for leaf in case["leaves"]]
        salts = np.frombuffer(b"".join(salt for salt, _ in rows), np.uint8).reshape(-1, 32)
        held = Balances.of((leaf["account"], int(leaf["amount"])) for _, leaf in rows)
        levels = list(tree.levels(hashing.leaf_nodes(salts, held.amounts, held.accounts)))
        assert (levels[-1].tobytes() or sumtree.EMPTY.encode()).hex() == case["root"]
        for index, path in enumerate(case["paths"]):
            assert [node.hex() for node in tree.path(levels, index)] == path


def test_a_large_ledger_goes_through_the_engine(tmp_path: Path) -> None:
    rows = [(f"u{row % 9000:05}", row * 10**30) for row in range(10_000)]
    ledger = build(tmp_path / "ledger", Balances.of(rows), SECRET)
    wanted = by_hand(rows)
    assert sumtree.Node(ledger.total, ledger.root) == root_by_hand(wanted)
    assert [leaf.amount for leaf in ledger.leaves("u00999")] == [999 * 10**30, 9999 * 10**30]


def test_an_empty_ledger(tmp_path: Path) -> None:
    ledger = build(tmp_path / "ledger", Balances.of([]), SECRET)
    assert_holds(ledger, [])
    assert (ledger.total, ledger.root) == (0, sumtree.EMPTY.hash)
    assert ledger.leaves("anna") == []
    assert ledger.balance("anna") == 0
    assert len(ledger.departed(pa.array([], pa.binary()))) == 0


def test_who_is_not_there_has_no_leaves(stored: Path) -> None:
    ledger = Ledger.open(stored, SECRET)
    assert ledger.leaves("ann") == ledger.leaves("anna\0") == ledger.leaves("änna") == []
    assert ledger.balance("nobody") == 0


def test_salts_that_begin_alike_are_still_in_order() -> None:
    salts = np.random.default_rng(1).integers(0, 2, (500, 32), np.uint8)
    salts[:, :7] = 0
    order, alike = tree.by_salt(salts)
    found = [salts[row].tobytes() for row in order]
    assert found == sorted(found)
    assert len(alike) == 500


def test_the_departed_are_carried_once(stored: Path) -> None:
    ledger = Ledger.open(stored, SECRET)
    gone = ledger.departed(pa.array([b"carl", b"new"], pa.binary()))
    assert sorted(gone.to_pylist()) == [b"anna", b"dora"]
    assert len(ledger.departed(pa.array([b"anna", b"carl", b"dora"], pa.binary()))) == 0


def test_a_ledger_takes_16_leaves_of_an_account_and_no_more(tmp_path: Path) -> None:
    rows = [("anna", amount) for amount in range(16)]
    assert_holds(
        build(tmp_path / "ledger", Balances.of([("bert", 1), *rows]), SECRET), [("bert", 1), *rows]
    )
    with pytest.raises(InputError, match="account anna has 17 rows"):
        build(tmp_path / "more", Balances.of([*rows, ("bert", 1), ("anna", 2)]), SECRET)
    assert names_in(tmp_path) == ["ledger"]


def test_padding_may_have_any_number_of_leaves(tmp_path: Path) -> None:
    rows = [("anna", 4), *[("-", 0)] * 120]
    ledger = build(tmp_path / "ledger", Balances.of(rows), SECRET)
    assert (ledger.count, ledger.balance("anna")) == (121, 4)
    assert {salt for salt, _, _ in by_hand(rows)} == {s.tobytes() for s in stored_salts(ledger)}


def stored_salts(ledger: Ledger) -> engine.Bytes:
    return np.fromfile(ledger.directory / "salts", np.uint8).reshape(-1, 32)


def test_a_total_of_2_to_the_128_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="reaches 2\\^128"):
        build(tmp_path / "ledger", Balances.of([("anna", LIMIT - 1), ("bert", 1)]), SECRET)
    assert names_in(tmp_path) == []
    ledger = build(tmp_path / "ledger", Balances.of([("anna", LIMIT - 2), ("bert", 1)]), SECRET)
    assert ledger.total == LIMIT - 1


def test_a_slice_of_longer_columns_is_only_that_slice(tmp_path: Path) -> None:
    whole = Balances.of(ROWS)
    middle = Balances(whole.accounts.slice(1, 3), whole.amounts[1:4])
    assert_holds(build(tmp_path / "ledger", middle, SECRET), ROWS[1:4])


def test_nothing_is_built_over_what_is_there(stored: Path) -> None:
    with pytest.raises(InputError, match="exists already"):
        build(stored, Balances.of([("eve", 1)]), SECRET)
    assert_holds(Ledger.open(stored, SECRET), ROWS)


def test_only_the_owner_can_read_it(stored: Path) -> None:
    assert stat.S_IMODE(stored.stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in stored.iterdir()} == {0o600}
    assert {path.name for path in stored.iterdir()} == {"header", *FILES}


def test_the_secret_is_neither_shown_nor_stored(stored: Path) -> None:
    ledger = Ledger.open(stored, SECRET)
    shown = repr(ledger) + str(ledger) + repr(ledger.leaves("anna"))
    for path in stored.iterdir():
        shown += path.read_bytes().hex() + repr(path.read_bytes())
    assert SECRET.hex() not in shown
    assert repr(SECRET)[2:-1] not in shown


def test_the_secret_of_another_ledger_is_refused(stored: Path) -> None:
    with pytest.raises(InputError, match="not the one") as refused:
        Ledger.open(stored, bytes(32))
    assert bytes(32).hex() not in str(refused.value)


def test_a_newer_format_is_refused(stored: Path) -> None:
    header = stored / "header"
    line = header.read_bytes().splitlines()[0].replace(b"stored-ledger/1", b"stored-ledger/2")
    header.write_bytes(line + b"\n" + sha256(line).hexdigest().encode() + b"\n")
    with pytest.raises(InputError, match="newer auditkit"):
        Ledger.open(stored, SECRET)


@pytest.mark.parametrize("name", ["header", *FILES])
def test_one_flipped_byte_is_refused_by_name(stored: Path, name: str) -> None:
    sound = (stored / name).read_bytes()
    for place in {0, len(sound) // 2, len(sound) - 1}:
        damaged = bytearray(sound)
        damaged[place] ^= 1
        (stored / name).write_bytes(damaged)
        with pytest.raises(DamagedError, match=f"{stored}/{name} .*: restore"):
            Ledger.open(stored, SECRET)
    (stored / name).write_bytes(sound)
    assert_holds(Ledger.open(stored, SECRET), ROWS)


@pytest.mark.parametrize("name", ["header", *FILES])
@pytest.mark.parametrize("how", ["missing", "short", "long"])
def test_a_file_of_another_size_is_refused_by_name(stored: Path, name: str, how: str) -> None:
    path = stored / name
    data = path.read_bytes()
    path.unlink()
    if how != "missing":
        path.write_bytes(data[:-1] if how == "short" else data + b"\0")
    with pytest.raises(DamagedError, match=f"{path} .*: restore"):
        Ledger.open(stored, SECRET)


def test_a_ledger_that_is_not_there_is_damage(tmp_path: Path) -> None:
    with pytest.raises(DamagedError, match="header is missing"):
        Ledger.open(tmp_path / "ledger", SECRET)


@pytest.mark.parametrize("name", FILES)
def test_a_ledger_too_large_to_read_on_opening_is_checked_when_used(
    stored: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "_OPENING_BYTES", -1)
    assert_holds(Ledger.open(stored, SECRET), ROWS)
    data = bytearray((stored / name).read_bytes())
    data[0] ^= 1
    (stored / name).write_bytes(data)
    with pytest.raises(DamagedError, match=f"{stored}/{name} "):
        Ledger.open(stored, SECRET).verify()
    with pytest.raises(DamagedError, match=f"{stored}/{name} "):
        prove_all(Ledger.open(stored, SECRET))


def prove_all(ledger: Ledger) -> None:
    for account, _ in ROWS:
        ledger.leaves(account)
    ledger.balances()


SYNCS = len(FILES) + 3
"""How often a build waits for the disk: its files, the header, the directory and its parent."""


@pytest.mark.parametrize("call", range(SYNCS + 1))
def test_a_disk_that_fills_up_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: int
) -> None:
    real, calls = os.fsync, count()

    def fsync(descriptor: int) -> None:
        if next(calls) == call:
            raise OSError(errno.ENOSPC, "No space left on device")
        real(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    if call < SYNCS:
        with pytest.raises(OSError, match="No space left"):
            build(tmp_path / "ledger", Balances.of(ROWS), SECRET)
        assert names_in(tmp_path) == []
    else:
        build(tmp_path / "ledger", Balances.of(ROWS), SECRET)
    assert next(calls) == SYNCS or call < SYNCS


BUILD = """
import sys
from pathlib import Path
from auditkit.ledger.columns import Balances
from auditkit.ledger.store import build
build(Path(sys.argv[1]), Balances.of((f"u{i}", i) for i in range(1000)), bytes(32))
"""


def run(script: str, *arguments: object, **options: Any) -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-c", script, *map(str, arguments)]
    home = Path(__file__).resolve().parents[2]
    return subprocess.run(command, cwd=home, capture_output=True, check=False, **options)


def test_a_write_that_fails_leaves_nothing_behind(tmp_path: Path) -> None:
    limit = lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (40_000, 40_000))  # noqa: E731
    done = run(BUILD, tmp_path / "ledger", preexec_fn=limit)
    assert b"File too large" in done.stderr
    assert names_in(tmp_path) == []


KILLED = """
import itertools, os, signal, sys
calls, real = itertools.count(), os.fsync
def fsync(descriptor):
    if next(calls) == int(sys.argv[2]):
        os.kill(os.getpid(), signal.SIGKILL)
    real(descriptor)
os.fsync = fsync
"""


@pytest.mark.parametrize("call", range(SYNCS))
def test_a_killed_build_leaves_all_or_nothing(tmp_path: Path, call: int) -> None:
    done = run(KILLED + BUILD, tmp_path / "ledger", call)
    assert done.returncode == -signal.SIGKILL
    if call < SYNCS - 1:
        assert not (tmp_path / "ledger").exists()
        assert run(BUILD, tmp_path / "ledger").returncode == 0
    assert names_in(tmp_path) == ["ledger"]
    ledger = Ledger.open(tmp_path / "ledger", bytes(32))
    assert (ledger.count, ledger.total) == (1000, 499_500)
