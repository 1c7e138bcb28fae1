"""What is built depends on the rows and the secret alone, and is what SPEC.md §2 says of them."""

import subprocess
import sys
import tempfile
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ledger import by_hand
from ledger.by_hand import LIMIT, SECRET, assert_holds
from ledger.in_small import (
    blocks_of,
    books,
    files_of,
    in_pieces,
    names,
    names_in,
    pieces_of,
    rows_of,
)

from auditkit.errors import InputError
from auditkit.ledger.builder import Builder, build, rebuilt
from auditkit.ledger.columns import Balances
from auditkit.ledger.runs import Role
from auditkit.ledger.sorting import Repeated
from auditkit.ledger.store import Ledger
from auditkit.ledger.stored import BLOCK
from auditkit.verify.sumtree import EMPTY

some = st.lists(st.integers(1, 9), max_size=4)
shapes = st.sampled_from([(8, 2), (4, 4), (2, 2), (16, 4), (1 << 16, 64)])


def publish(folder: Path, said: list[tuple[Balances, Role]], most: int = 16) -> Ledger:
    with Builder(folder.with_name(".draft"), SECRET, most) as builder:
        for balances, role in said:
            builder.add(balances, role)
        return builder.publish(folder)


@settings(deadline=None)
@given(books, shapes, st.randoms(use_true_random=False))
def test_a_ledger_proves_every_account(
    held: dict[str, list[int]], shape: tuple[int, int], random: Any
) -> None:
    rows = rows_of(held)
    random.shuffle(rows)
    with tempfile.TemporaryDirectory() as folder, blocks_of(*shape):
        assert_holds(build(Path(folder) / "ledger", Balances.of(rows), SECRET), rows)
        assert_holds(Ledger.open(Path(folder) / "ledger", SECRET), rows)


@pytest.mark.parametrize("shape", [(8, 2), (8, 4), (4, 4)], ids=str)
def test_ledgers_that_end_anywhere_in_a_block(tmp_path: Path, shape: tuple[int, int]) -> None:
    """Every count up to two blocks and a stem, so that each level has an odd tail somewhere."""
    letters = [chr(letter) for letter in range(48, 91)]
    with blocks_of(*shape):
        for count in range(2 * shape[0] + shape[1] + 2):
            rows = [(letters[place] * (1 + 127 * (place % 2)), place) for place in range(count)]
            built = build(tmp_path / f"{count}", Balances.of(rows), SECRET)
            assert len(built.blocks) == -(-count // shape[0])
            assert_holds(built, rows)


@pytest.mark.parametrize("count", [63, 64, 65, 127, 128, 129])
def test_ledgers_that_end_at_a_true_stem(tmp_path: Path, count: int) -> None:
    rows = [(f"u{place}", place * 10**30) for place in range(count)]
    assert_holds(build(tmp_path / "ledger", Balances.of(rows), SECRET), rows)


@pytest.mark.parametrize("count", [BLOCK - 1, BLOCK, BLOCK + 1])
def test_ledgers_that_end_at_a_true_block(tmp_path: Path, count: int) -> None:
    rows = [(f"u{place}" if place % 5 else f"u{place:0127}", place) for place in range(count)]
    rows[9] = rows[7][0], 3
    ledger = build(tmp_path / "ledger", Balances.of(rows), SECRET)
    wanted = by_hand.leaves(rows)
    # The first and the last leaf of the first block, and what comes after it.
    places = [0, 63, 64, BLOCK - 2, BLOCK - 1, BLOCK]
    accounts = {wanted[place][2] for place in places if place < count} | {rows[7][0]}
    assert_holds(ledger, rows, accounts)


@settings(deadline=None, max_examples=10)
@given(books, st.lists(names, max_size=5), some, st.data())
def test_the_same_bytes_whatever_the_order(
    held: dict[str, list[int]], gone: list[str], sizes: list[int], data: Any
) -> None:
    """Nor do batches, runs, parts, threads or the time of telling amounts leave a trace."""
    rows, carried = rows_of(held), [(account, 1) for account in gone]
    paid = [(account, 5) for account in sorted(held)[:3]]
    with tempfile.TemporaryDirectory() as folder, blocks_of(8, 2):
        once = [
            (Balances.of(rows), Role.OWN),
            (Balances.of(paid), Role.PAID),
            (Balances.of(carried), Role.CARRIED),
        ]
        built = publish(Path(folder) / "once", once)
        assert_holds(built, by_hand.joined(rows, paid, carried))
        wanted = files_of(Path(folder) / "once")
        others = [
            (piece, role)
            for of, role in ((rows, Role.OWN), (paid, Role.PAID), (carried, Role.CARRIED))
            for piece in pieces_of(data.draw(st.permutations(of)), sizes)
        ]
        others = data.draw(st.permutations(others))
        for place, (few, chunk) in enumerate(((5, 7), (1, 3), (1000, 2), (3, 1000))):
            with in_pieces(few, chunk):
                publish(Path(folder) / f"{place}", others)
            assert files_of(Path(folder) / f"{place}") == wanted
        told = prepared(Path(folder) / "told", [p for p, role in others if role is Role.OWN])
        for balances, role in others:
            if role is not Role.OWN:
                told.add(balances, role)
        with told:
            told.publish(Path(folder) / "told")
        assert files_of(Path(folder) / "told") == wanted


def prepared(folder: Path, pieces: list[Balances]) -> Builder:
    """A builder of pieces whose amounts were told after it had them."""
    builder = Builder(folder.with_name(".draft"), SECRET)
    blank = [Balances(p.accounts, np.full_like(p.amounts, 1 << 60)) for p in pieces]
    for run, piece in zip(builder.prepare(blank), pieces, strict=True):
        builder.fill(run, piece.amounts)
    return builder


def test_a_ledger_takes_16_leaves_of_an_account_and_no_more(tmp_path: Path) -> None:
    rows = [("bert", 1), *[("anna", amount) for amount in range(16)]]
    assert_holds(build(tmp_path / "ledger", Balances.of(rows), SECRET), rows)
    with pytest.raises(Repeated, match="account anna has 17 rows"):
        build(tmp_path / "more", Balances.of([*rows, ("anna", 2)]), SECRET)
    with pytest.raises(Repeated, match=r"account anna has 2 rows; .* at most 1 of one"):
        build(tmp_path / "more", Balances.of(rows[:3]), SECRET, 1)
    assert names_in(tmp_path) == ["ledger"]


def test_padding_may_have_any_number_of_leaves(tmp_path: Path) -> None:
    rows = [("anna", 4), *[("-", 0)] * 120]
    assert_holds(build(tmp_path / "ledger", Balances.of(rows), SECRET), rows, ["anna"])


def test_a_total_of_2_to_the_128_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="reaches 2\\^128"):
        build(tmp_path / "ledger", Balances.of([("anna", LIMIT - 1), ("bert", 1)]), SECRET)
    assert names_in(tmp_path) == []
    rows = [("anna", LIMIT - 2), ("bert", 1)]
    assert_holds(build(tmp_path / "ledger", Balances.of(rows), SECRET), rows)


@pytest.mark.parametrize("size", [2, 4, 8])
def test_a_total_of_2_to_the_128_above_blocks_is_refused(tmp_path: Path, size: int) -> None:
    rows = [(f"u{place}", LIMIT // (2 * size)) for place in range(2 * size)]
    with blocks_of(size, 2):
        with pytest.raises(InputError, match="reaches 2\\^128"):
            build(tmp_path / "ledger", Balances.of(rows), SECRET)
        assert names_in(tmp_path) == []
        build(tmp_path / "ledger", Balances.of(rows[1:]), SECRET)


def test_a_total_reached_long_before_the_last_block_is_refused(tmp_path: Path) -> None:
    rows = [(f"u{place}", LIMIT // 4) for place in range(9)]
    with blocks_of(2, 2), pytest.raises(InputError, match="reaches 2\\^128"):
        build(tmp_path / "ledger", Balances.of(rows), SECRET)
    assert names_in(tmp_path) == []


def test_a_slice_of_longer_columns_is_only_that_slice(tmp_path: Path) -> None:
    rows = [("anna", 7), ("bert", 0), ("carl", 5), ("anna", 3), ("dora", 1 << 90)]
    built = build(tmp_path / "ledger", Balances.of(rows).slice(1, 4), SECRET)
    assert_holds(built, rows[1:4])


def test_nothing_is_built_over_what_is_there(tmp_path: Path) -> None:
    build(tmp_path / "ledger", Balances.of([("anna", 1)]), SECRET)
    (tmp_path / "link").symlink_to("nowhere")
    for name in ("ledger", "link"):
        with pytest.raises(InputError, match="exists already"):
            build(tmp_path / name, Balances.of([("eve", 1)]), SECRET)
    assert_holds(Ledger.open(tmp_path / "ledger", SECRET), [("anna", 1)])
    assert names_in(tmp_path) == ["ledger", "link"]


def test_what_is_not_published_is_gone(tmp_path: Path) -> None:
    with Builder(tmp_path / ".draft", SECRET) as builder:
        builder.add(Balances.of([("anna", 1)]))
        builder.prepare([Balances.of([("bert", 2)])])
        assert names_in(tmp_path) == [".draft"]
    assert names_in(tmp_path) == []


@pytest.mark.parametrize("large", [False, True])
@settings(deadline=None, max_examples=20)
@given(held=books)
def test_what_is_rebuilt_is_what_was_built(large: bool, held: dict[str, list[int]]) -> None:
    rows = rows_of(held)
    folder, way = tempfile.TemporaryDirectory(), in_pieces() if large else nullcontext()
    with folder as name, blocks_of(8, 2), way, pytest.MonkeyPatch.context() as patch:
        patch.setattr(tempfile, "tempdir", name)
        kept: list[Balances] = []
        count, root = rebuilt(lambda: [Balances.of(rows)], SECRET, kept)
        assert rebuilt(lambda: map(Balances.of, ([row] for row in rows)), SECRET) == (count, root)
        assert names_in(Path(name)) == []
    wanted = by_hand.leaves(rows)
    found = Balances.joined(kept)
    assert count == len(found)
    assert list(found.rows()) == [(account, amount) for _, amount, account in wanted]
    assert root == by_hand.root(wanted)


def test_what_cannot_be_rebuilt() -> None:
    assert rebuilt(list, SECRET)[1] == EMPTY
    with pytest.raises(Repeated, match="anna has 17 rows"):
        rebuilt(lambda: [Balances.of([("anna", 1)] * 17)], SECRET)
    with pytest.raises(InputError, match="reaches 2\\^128"):
        rebuilt(lambda: [Balances.of([("anna", LIMIT - 1), ("bert", 1)])], SECRET)


def test_padding_is_rebuilt() -> None:
    rows = [("anna", 4), ("-", 0), ("-", 0)]
    assert rebuilt(lambda: [Balances.of(rows)], SECRET)[1] == by_hand.root(by_hand.leaves(rows))


MILLION = """
import resource, sys
from pathlib import Path
import numpy as np
import pyarrow as pa
from auditkit.ledger.builder import Builder
from auditkit.ledger.columns import Balances
with Builder(Path(sys.argv[1], ".draft"), bytes(32), 1) as builder:
    for start in range(0, 1_000_000, 100_000):
        numbers = np.arange(start, start + 100_000, dtype=np.uint64)
        names = pa.array(numbers).cast(pa.string()).cast(pa.binary())
        builder.add(Balances(names, np.column_stack((numbers % 7, numbers))))
    ledger = builder.publish(Path(sys.argv[1], "ledger"))
print(ledger.count, ledger.total, ledger.balance("999999"))
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def test_a_million_accounts_need_little_memory(tmp_path: Path) -> None:
    home = Path(__file__).resolve().parents[2]
    command = [sys.executable, "-c", MILLION, str(tmp_path)]
    done = subprocess.run(command, cwd=home, capture_output=True, check=True, text=True)
    said, kilobytes = done.stdout.splitlines()
    numbers = range(1_000_000)
    whole = sum(numbers) + (sum(number % 7 for number in numbers) << 64)
    assert said == f"1000000 {whole} {999_999 + ((999_999 % 7) << 64)}"
    assert int(kilobytes) < 700_000
    assert names_in(tmp_path) == ["ledger"]
