"""Rows keep their order whoever hashes them, and the crew takes no more in hand than it may."""

import hashlib
import threading
import time
from collections.abc import Iterator
from unittest import mock

import numpy as np
import pyarrow as pa
import pytest
from ledger.in_small import in_pieces

from auditkit.ledger import engine

both_lanes = pytest.mark.parametrize("lane", [engine._Loop, engine._Engine])


def digests(data: engine.Bytes) -> list[bytes]:
    return [hashlib.sha256(row.tobytes()).digest() for row in data]


def noise(count: int, width: int) -> engine.Bytes:
    return np.random.default_rng(count).integers(0, 256, (count, width), np.uint8)


@both_lanes
@pytest.mark.parametrize("width", [1, 97, 200])
def test_a_lane_hashes_rows_in_their_order(lane: type[engine.Lane], width: int) -> None:
    one = lane()
    for count in (1, 2, 5000, 3):
        rows = one.rows(count, width)
        assert rows.shape == (count, width)
        rows[:] = noise(count, width)
        found = one.digest(rows)
        assert found.shape == (count, 32)
        assert [row.tobytes() for row in found] == digests(noise(count, width))


def hashed(data: engine.Bytes) -> engine.Bytes:
    """The digests of some rows, by whoever is called for so many."""
    found = np.zeros((len(data), 32), np.uint8)

    def work(lane: engine.Lane, part: slice) -> None:
        rows = lane.rows(part.stop - part.start, data.shape[1])
        rows[:] = data[part]
        found[part] = lane.digest(rows)

    engine.in_chunks(len(data), work)
    return found


@pytest.mark.parametrize("count", [0, 1, 2, engine.SMALL - 1, engine.SMALL, 20_001])
@pytest.mark.parametrize("width", [1, 97])
def test_rows_keep_their_order(count: int, width: int) -> None:
    data = noise(count, width)
    assert [row.tobytes() for row in hashed(data)] == digests(data)


@pytest.mark.parametrize("count", [1, 6, 7, 8, 13, 14, 15, 50])
def test_rows_keep_their_order_in_chunks(count: int) -> None:
    data = noise(count, 9)
    with in_pieces(chunk=7):
        assert [row.tobytes() for row in hashed(data)] == digests(data)
        [by_one] = engine.ahead(hashed, [data])
    assert [row.tobytes() for row in by_one] == digests(data)


@pytest.mark.parametrize("count", [0, 1, 6, 7, 8, 20, 21, 22, 700])
def test_chunks_are_all_rows_once_and_none_is_too_long(count: int) -> None:
    seen: list[slice] = []
    with in_pieces(chunk=7):
        engine.in_chunks(count, lambda _, part: seen.append(part))
    if count:
        assert max(part.stop - part.start for part in seen) <= 7
    rows = sorted(row for part in seen for row in range(part.start, part.stop))
    assert rows == list(range(count))


def test_one_of_the_crew_hashes_by_itself() -> None:
    """It would wait for itself if it handed chunks on."""

    def names(_: int) -> list[str]:
        found: list[str] = []
        engine.in_chunks(70, lambda *_: found.append(threading.current_thread().name))
        return found

    with in_pieces(chunk=7):
        for found in engine.ahead(names, range(6)):
            assert len(found) == 10
            assert len(set(found)) == 1
        assert {name.rsplit("_", 1)[0] for name in names(0)} == {"ledger"}


def test_an_engine_that_shuffles_rows_is_noticed() -> None:
    in_order = engine._hashes

    def shuffled(found: pa.Array) -> engine.Bytes:
        return in_order(found)[::-1]

    reversing = mock.patch.object(engine, "_hashes", shuffled)
    with in_pieces(), reversing, pytest.raises(RuntimeError, match="order"):
        hashed(noise(64, 2))


def test_an_engine_that_loses_rows_is_noticed() -> None:
    whole = engine._hashes

    def fewer(found: pa.Array) -> engine.Bytes:
        return np.delete(whole(found), 1, axis=0)

    with in_pieces(), mock.patch.object(engine, "_hashes", fewer):  # noqa: SIM117
        with pytest.raises(RuntimeError, match="order"):
            hashed(noise(64, 2))


@pytest.mark.parametrize("kind", [pa.string(), pa.large_binary()])
def test_an_engine_of_another_type_is_noticed(kind: pa.DataType) -> None:
    with pytest.raises(RuntimeError, match="another type"):
        engine._hashes(pa.array([b"a" * 32], pa.binary()).cast(kind))
    with pytest.raises(RuntimeError, match="nulls"):
        engine._hashes(pa.array([b"a" * 32, None], pa.binary()))


def test_hashes_of_a_slice_are_those_of_the_slice() -> None:
    rows = [bytes([place]) * 32 for place in range(4)]
    found = engine._hashes(pa.array(rows, pa.binary()).slice(1, 2))
    assert [row.tobytes() for row in found] == rows[1:3]


def test_what_is_done_ahead_comes_in_the_order_of_the_items() -> None:
    def work(item: int) -> int:
        time.sleep(0.002 * (item % 3))
        return item * item

    assert list(engine.ahead(work, range(20))) == [item * item for item in range(20)]
    assert list(engine.ahead(work, [])) == []


def test_only_a_few_items_are_in_hand() -> None:
    taken: list[int] = []

    def items() -> Iterator[int]:
        for item in range(30):
            taken.append(item)
            yield item

    for place, item in enumerate(engine.ahead(lambda item: item, items())):
        assert item == place
        assert len(taken) <= place + engine.THREADS + 2
    assert len(taken) == 30


def test_what_goes_wrong_is_raised_in_its_turn() -> None:
    taken: list[int] = []

    def work(item: int) -> int:
        taken.append(item)
        if item >= 3:
            raise ValueError(f"item {item}")
        return item

    found = engine.ahead(work, range(1000))
    assert [next(found) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(ValueError, match="item 3"):
        next(found)
    assert len(taken) <= 3 + engine.THREADS + 2


def test_what_was_not_begun_when_another_went_wrong_is_not_done() -> None:
    taken: list[int] = []
    go = threading.Event()

    def work(item: int) -> None:
        taken.append(item)
        if item == 0:
            raise ValueError("item 0")
        assert go.wait(9)

    waking = threading.Timer(0.2, go.set)
    waking.start()
    with pytest.raises(ValueError, match="item 0"):
        list(engine.ahead(work, range(10)))
    waking.join()
    barrier = threading.Barrier(engine.THREADS + 1)
    for _ in range(engine.THREADS):
        engine.crew().submit(barrier.wait, 9)
    barrier.wait(9)
    assert max(taken) <= engine.THREADS
