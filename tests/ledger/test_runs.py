"""What was written to a file of runs is read back part by part, and the file has no name."""

import os
import stat
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from unittest import mock

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ledger.by_hand import Leaf
from ledger.in_small import amounts, names, names_in

from auditkit.ledger import engine, hashing
from auditkit.ledger.columns import Balances, limbs
from auditkit.ledger.runs import PARTS, Role, Rows, Run, Runs, accounts_of, leading

salts = st.one_of(
    st.binary(min_size=32, max_size=32),
    st.sampled_from([bytes(32), b"\0\x0f" * 16, b"\0\x10" * 16, b"\xff\xef" * 16, b"\xff" * 32]),
)
leaves = st.lists(st.tuples(salts, amounts, names), max_size=12)
runs_of = st.lists(st.tuples(leaves, st.sampled_from(Role)), max_size=5)


def made(of: list[Leaf]) -> Rows:
    salts = np.frombuffer(b"".join(salt for salt, _, _ in of), np.uint8).reshape(-1, 32)
    return Rows(salts, Balances.of((account, amount) for _, amount, account in of))


def leaves_of(rows: Rows) -> list[Leaf]:
    found = zip(rows.salts, rows.balances.rows(), strict=True)
    return [(salt.tobytes(), amount, account) for salt, (account, amount) in found]


def part(leaf: Leaf) -> int:
    return int.from_bytes(leaf[0][:2], "big") >> 4


def read(runs: Runs, first: int, last: int, some: list[Run] | None = None) -> list[Any]:
    rows, roles = runs.read(first, last, runs.all if some is None else some)
    return list(zip(leaves_of(rows), roles.tolist(), strict=True))


@pytest.fixture
def runs(tmp_path: Path) -> Iterator[Runs]:
    found = Runs(tmp_path)
    yield found
    found.close()


@settings(deadline=None)
@given(runs_of, st.lists(st.integers(0, PARTS), max_size=4))
def test_parts_are_read_from_all_runs(given: list[Any], cuts: list[int]) -> None:
    """Within a part of all salts: run after run, and each as it was added."""
    with TemporaryDirectory() as folder:
        runs = Runs(Path(folder))
        for of, role in given:
            assert runs.add(made(of), role).count == len(of)
        edges = sorted({0, 1, PARTS - 1, PARTS, *cuts})
        for first, last in pairwise(edges):
            wanted = [
                (leaf, role)
                for of, role in given
                for leaf in sorted(of, key=part)
                if first <= part(leaf) < last
            ]
            assert read(runs, first, last) == wanted
        for run, (of, role) in zip(runs.all, given, strict=True):
            assert read(runs, 0, PARTS, [run]) == [(leaf, role) for leaf in sorted(of, key=part)]
        runs.close()


@settings(deadline=None)
@given(leaves, st.data())
def test_a_run_whose_order_was_kept_takes_other_amounts(of: list[Leaf], data: Any) -> None:
    other = data.draw(st.lists(amounts, min_size=len(of), max_size=len(of)))
    with TemporaryDirectory() as folder:
        runs = Runs(Path(folder))
        runs.add(made([(bytes(32), 1, "before")]), Role.CARRIED)
        run = runs.add(made(of), Role.OWN, keep_order=True)
        runs.add(made([(bytes(32), 2, "behind")]), Role.PAID)
        runs.fill(run, limbs(other))
        wanted = [(salt, n, name) for (salt, _, name), n in zip(of, other, strict=True)]
        assert read(runs, 0, PARTS, [run]) == [(leaf, 0) for leaf in sorted(wanted, key=part)]
        around = read(runs, 0, PARTS, [runs.all[0], runs.all[2]])
        assert around == [((bytes(32), 1, "before"), 2), ((bytes(32), 2, "behind"), 1)]
        runs.close()


def test_threads_add_at_once(runs: Runs) -> None:
    def of(number: int) -> list[Leaf]:
        return [(bytes([row]) * 32, number, f"u{number}-{row}") for row in range(100)]

    found = list(engine.ahead(lambda n: (n, runs.add(made(of(n)), Role.OWN)), range(20)))
    assert len(runs.all) == 20
    for number, run in found:
        assert [leaf for leaf, _ in read(runs, 0, PARTS, [run])] == of(number)


def test_the_file_has_no_name_and_nobody_else_can_read_it(tmp_path: Path) -> None:
    runs = Runs(tmp_path)
    about = os.fstat(runs._file)
    assert (about.st_nlink, stat.S_IMODE(about.st_mode)) == (0, 0o600)
    runs.add(made([(bytes(32), 1, "anna")]), Role.OWN)
    assert names_in(tmp_path) == []
    runs.close()


def test_a_file_that_cannot_be_made_nameless_is_not_used(tmp_path: Path) -> None:
    closed: list[int] = []
    real = os.close

    def close(file: int) -> None:
        closed.append(file)
        real(file)

    failing = mock.patch.object(Path, "unlink", side_effect=OSError("read-only"))
    with failing, mock.patch.object(os, "close", close), pytest.raises(OSError, match="read-only"):
        Runs(tmp_path)
    assert len(closed) == 1


def test_it_is_closed_once(tmp_path: Path) -> None:
    """A second time it would close what was opened since under the same number."""
    runs = Runs(tmp_path)
    number = runs._file
    runs.close()
    other = os.open(tmp_path / "other", os.O_RDWR | os.O_CREAT)
    os.dup2(other, number)
    runs.close()
    assert os.fstat(number).st_ino == os.fstat(other).st_ino
    with pytest.raises(OSError, match="descriptor"):
        runs.add(made([(bytes(32), 1, "anna")]), Role.OWN)
    assert os.fstat(other).st_size == 0
    for file in {other, number}:
        os.close(file)


def test_a_disk_may_take_and_give_a_little_at_a_time(
    runs: Runs, monkeypatch: pytest.MonkeyPatch
) -> None:
    write, take = os.pwrite, os.preadv
    monkeypatch.setattr(os, "pwrite", lambda file, data, at: write(file, data[:7], at))
    monkeypatch.setattr(os, "preadv", lambda file, into, at: take(file, [into[0][:5]], at))
    of = [(bytes([row]) * 32, row << 100, "a" * (1 + row)) for row in range(50)]
    runs.add(made(of), Role.OWN)
    assert [leaf for leaf, _ in read(runs, 0, PARTS)] == of


def test_a_file_cut_short_is_noticed(runs: Runs) -> None:
    run = runs.add(made([(bytes(32), 1, "anna")]), Role.OWN)
    os.ftruncate(runs._file, 32 + 16 + 1 + 3)
    with pytest.raises(OSError, match="cut short"):
        runs.read(0, PARTS, [run])


def test_the_part_of_a_salt_is_its_first_12_bits() -> None:
    begin = [0x0000, 0x000F, 0x0010, 0x7FFF, 0x8000, 0xFFEF, 0xFFF0, 0xFFFF]
    salts = np.array([list(word.to_bytes(2, "big") + b"\xaa" * 30) for word in begin], np.uint8)
    assert leading(salts).tolist() == [word >> 4 for word in begin]
    assert leading(np.asfortranarray(salts)).tolist() == [word >> 4 for word in begin]


@given(st.lists(names))
def test_names_come_back_from_their_lengths_and_bytes(of: list[str]) -> None:
    ends, data = hashing.parts(Balances.of((name, 0) for name in of).accounts)
    found = accounts_of(np.diff(ends).astype(np.uint8), data)
    assert found.type == "binary"
    assert found.to_pylist() == [name.encode() for name in of]


@given(leaves, leaves, st.integers(0, 12), st.integers(0, 12))
def test_rows_taken_sliced_and_joined(
    of: list[Leaf], others: list[Leaf], start: int, stop: int
) -> None:
    start, stop = sorted((min(start, len(of)), min(stop, len(of))))
    order = np.arange(len(of))[::-1]
    assert leaves_of(made(of).take(order)) == of[::-1]
    assert leaves_of(made(of).slice(start, stop)) == of[start:stop]
    pieces = [made(of).slice(start, stop), made(others)]
    assert leaves_of(Rows.joined(pieces)) == of[start:stop] + others
    assert leaves_of(Rows.joined(pieces[:1])) == of[start:stop]


def test_salts_are_not_shown() -> None:
    shown = repr(made([(b"\x17" * 32, 1, "anna")]))
    assert "balances" in shown
    assert "salts" not in shown
    assert "23, 23" not in shown
