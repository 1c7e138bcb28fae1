"""Rows come back in the order of SPEC.md §2, however they came, and each account's together."""

import os
import threading
import time
from collections.abc import Iterator
from contextlib import closing, nullcontext
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from unittest import mock

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ledger import by_hand
from ledger.by_hand import SECRET, Leaf, Row
from ledger.in_small import amounts, books, in_pieces, names, names_in, pieces_of

from auditkit.errors import InputError
from auditkit.ledger import engine, hashing
from auditkit.ledger.columns import Balances
from auditkit.ledger.engine import Bytes, Numbers
from auditkit.ledger.runs import Role, Rows
from auditkit.ledger.sorting import Repeated, Sorter

OWN, PAID, CARRIED = Role


def leaves_of(rows: Rows) -> list[Leaf]:
    found = zip(rows.salts, rows.balances.rows(), strict=True)
    return [(salt.tobytes(), amount, account) for salt, (account, amount) in found]


def sort(sorter: Sorter) -> list[Leaf]:
    """What a sorter gives back, and that nothing is missing at the joints of its pieces."""
    with closing(sorter):
        return [leaf for rows in sorter.sorted() for leaf in leaves_of(rows)]


some = st.lists(st.integers(1, 9), max_size=4)


@settings(deadline=None)
@given(books, st.lists(names, max_size=8), some, st.booleans(), st.data())
def test_rows_come_back_whatever_their_order(
    held: dict[str, list[int]], gone: list[str], sizes: list[int], large: bool, data: Any
) -> None:
    own = [(account, amount) for account, rows in held.items() for amount in rows]
    whom = data.draw(st.lists(st.sampled_from(sorted(held)), max_size=8)) if held else []
    paid = [(account, data.draw(amounts)) for account in whom]
    carried = [(account, data.draw(amounts)) for account in [*gone, *list(held)[:3]]]
    said = [
        (piece, role)
        for role, rows in ((OWN, own), (PAID, paid), (CARRIED, carried))
        for piece in pieces_of(data.draw(st.permutations(rows)), sizes)
    ]
    with TemporaryDirectory() as folder, in_pieces() if large else nullcontext():
        sorter = Sorter(Path(folder), SECRET, 16)
        for piece, role in data.draw(st.permutations(said)):
            sorter.add(piece, role)
        assert sort(sorter) == by_hand.leaves(by_hand.joined(own, paid, carried))
        assert sorter.carried == len(set(gone) - set(held))
        assert sorter.split == any(len(rows) > 1 for rows in held.values())


@pytest.fixture
def large() -> Iterator[None]:
    with in_pieces():
        yield


pieces = pytest.mark.parametrize("sizes", [[1], [1000]])


@pieces
@pytest.mark.parametrize("most", [1, 2, 16])
@pytest.mark.usefixtures("large")
def test_no_account_has_more_rows_than_it_may(tmp_path: Path, most: int, sizes: list[int]) -> None:
    rows = [(f"u{place}", amount) for place in range(12) for amount in range(most)]
    sorter = Sorter(tmp_path, SECRET, most)
    for piece in pieces_of(rows, sizes):
        sorter.add(piece)
    assert sort(sorter) == by_hand.leaves(rows)
    assert sorter.split == (most > 1)
    sorter = Sorter(tmp_path, SECRET, most)
    for piece in pieces_of([*rows, ("u7", 0)], sizes):
        sorter.add(piece)
    with pytest.raises(Repeated, match=f"account u7 has {most + 1} rows; .* at most {most} of one"):
        sort(sorter)


@pieces
@pytest.mark.usefixtures("large")
def test_padding_may_have_any_number_of_rows(tmp_path: Path, sizes: list[int]) -> None:
    rows = [("-", 0)] * 130 + [("anna", 4), ("anna", 3)]
    sorter = Sorter(tmp_path, SECRET, 2)
    for piece in pieces_of(rows, sizes):
        sorter.add(piece)
    assert sort(sorter) == by_hand.leaves(rows)
    assert sorter.split


def test_padding_is_refused_where_accounts_have_one_row(tmp_path: Path) -> None:
    sorter = Sorter(tmp_path, SECRET, 1)
    sorter.add(Balances.of([("-", 0), ("anna", 4), ("-", 0)]))
    with pytest.raises(Repeated, match="account - has 2 rows"):
        sort(sorter)


@pieces
@pytest.mark.usefixtures("large")
def test_who_is_paid_without_a_row_is_named(tmp_path: Path, sizes: list[int]) -> None:
    sorter = Sorter(tmp_path, SECRET, 16)
    for piece in pieces_of([(f"u{place}", place) for place in range(40)], sizes):
        sorter.add(piece)
    # An account that is carried has no row either: it was not in the ledger before.
    sorter.add(Balances.of([("gone", 1)]), CARRIED)
    sorter.add(Balances.of([("u7", 1), ("gone", 23)]), PAID)
    with pytest.raises(InputError, match=r"account gone is paid 23 .* carry it with amount 0"):
        sort(sorter)


@pytest.mark.parametrize("alike", [7, 8, 31])
@pytest.mark.usefixtures("large")
def test_salts_that_begin_alike_are_ordered_across_runs(tmp_path: Path, alike: int) -> None:
    real = hashing.hmac_salts

    def salts(secret: bytes, accounts: pa.Array, chunks: Numbers) -> Bytes:
        found = real(secret, accounts, chunks)
        found[:, :alike] = 0
        if alike == 7:
            found[:, 7] &= 3
        return found

    def alike_by_hand(leaf: Leaf) -> bytes:
        start = bytes(7) + bytes([leaf[0][7] & 3]) if alike == 7 else bytes(alike)
        return start + leaf[0][len(start) :]

    rows = [(f"u{place}", place) for place in range(12 if alike == 31 else 150)]
    assert len({alike_by_hand(leaf) for leaf in by_hand.leaves(rows)}) == len(rows)
    sorter = Sorter(tmp_path, SECRET, 1)
    with mock.patch.object(hashing, "hmac_salts", salts):
        for piece in pieces_of(rows, [3]):
            sorter.add(piece)
        found = sort(sorter)
    wanted = [(alike_by_hand(leaf), *leaf[1:]) for leaf in by_hand.leaves(rows)]
    assert found == sorted(wanted)


def prepared(sorter: Sorter, pieces: list[Balances], later: list[Row]) -> list[Leaf]:
    """What comes of pieces whose amounts are told later: here in turn those of `later`."""
    runs = sorter.prepare(pieces)
    assert [run.count for run in runs] == [len(piece) for piece in pieces]
    amounts = Balances.of(later).amounts
    for run, start in zip(runs, np.cumsum([0, *map(len, pieces)])[:-1].tolist(), strict=True):
        sorter.fill(run, amounts[start : start + run.count])
    return sort(sorter)


@settings(deadline=None)
@given(books, some, st.booleans(), st.randoms(use_true_random=False))
def test_amounts_may_be_told_later(
    held: dict[str, list[int]], sizes: list[int], large: bool, random: Any
) -> None:
    """Chunks are numbered by the amounts that came last, not by those that were prepared."""
    rows = [(account, amount) for account, of in held.items() for amount in of]
    random.shuffle(rows)
    before = [(account, random.randrange(1 << 90)) for account, _ in rows]
    with TemporaryDirectory() as folder, in_pieces() if large else nullcontext():
        found = prepared(Sorter(Path(folder), SECRET, 16), pieces_of(before, sizes), rows)
    assert found == by_hand.leaves(rows)


@pytest.mark.usefixtures("large")
def test_what_goes_wrong_in_the_crew_is_raised(tmp_path: Path) -> None:
    sorter = Sorter(tmp_path, SECRET, 1)
    for piece in pieces_of([(f"u{place}", 0) for place in range(30)] + [("a" * 129, 0)], [4]):
        sorter.add(piece)
    with pytest.raises(InputError, match="1 to 128 bytes"):
        sort(sorter)
    # Whoever gives up early does not hear of it, and waits for what is under way.
    sorter = Sorter(tmp_path, SECRET, 1)
    sorter.add(Balances.of([("a" * 129, 0)] * 5))
    sorter.close()
    assert names_in(tmp_path) == []


@pytest.mark.usefixtures("large")
def test_closing_waits_for_what_is_under_way(tmp_path: Path) -> None:
    real = hashing.hmac_salts

    def slow(*given: Any) -> Bytes:
        time.sleep(0.05)
        return real(*given)

    sorter = Sorter(tmp_path, SECRET, 1)
    with mock.patch.object(hashing, "hmac_salts", slow):
        for piece in pieces_of([(f"u{place}", 0) for place in range(30)], [5]):
            sorter.add(piece)
        assert not all(future.done() for future in sorter._pending)
        sorter.close()
    assert all(future.done() for future in sorter._pending)


def test_what_is_under_way_when_it_is_closed_writes_to_no_other_file(tmp_path: Path) -> None:
    """What is opened next has the number that the file of runs had."""
    real, started, go = hashing.hmac_salts, threading.Event(), threading.Event()

    def slow(*given: Any) -> Bytes:
        started.set()
        assert go.wait(9)
        return real(*given)

    def pieces() -> Iterator[Balances]:
        yield Balances.of([("anna", 4)])
        assert started.wait(9)
        raise ValueError("no more")

    sorter = Sorter(tmp_path, SECRET, 1)
    number = sorter._runs._file
    waking = threading.Timer(0.2, go.set)
    with mock.patch.object(hashing, "hmac_salts", slow):
        waking.start()
        with pytest.raises(ValueError, match="no more"):
            sorter.prepare(pieces())
        sorter.close()
        other = os.open(tmp_path / "other", os.O_RDWR | os.O_CREAT)
        os.dup2(other, number)
        waking.join()
        # Whoever of the crew was busy with it is done when all of it has come by.
        barrier = threading.Barrier(engine.THREADS + 1)
        for _ in range(engine.THREADS):
            engine.crew().submit(barrier.wait, 9)
        barrier.wait(9)
    assert os.fstat(other).st_size == 0
    for file in {other, number}:
        os.close(file)


def test_nothing_is_under_way_for_a_small_ledger(tmp_path: Path) -> None:
    with mock.patch.object(engine, "crew", side_effect=AssertionError("the crew was called")):
        sorter = Sorter(tmp_path, SECRET, 16)
        sorter.add(Balances.of([("anna", 1), ("anna", 2), ("bert", 3)]))
        assert len(sort(sorter)) == 3
