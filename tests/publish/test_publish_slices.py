"""From named heads, and in several files: nothing between two of them is left out."""

import json
from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from exchange import Exchange, refused

from auditkit.errors import InputError
from auditkit.publish import fund
from auditkit.publish.history import History
from auditkit.publish.proofs import Prover, TooLarge
from auditkit.publish.slices import Slice, Slicer
from auditkit.publish.venue import Venue
from auditkit.verify import check
from auditkit.verify.errors import Incomplete, Refuted
from auditkit.verify.note import Checkpoint

HELD = {"BTC": {"margin": {"anna": 500, "bert": 300}}, "USDT": {"margin": {"anna": 9}}}
LEFT = {"anna": 450, "bert": 200}


@pytest.fixture
def exchange(tmp_path: Path) -> Exchange:
    """A snapshot, three losses with a snapshot and a fund entry after each."""
    found = Exchange(tmp_path)
    found.snapshot(HELD)
    for number in range(3):
        found.loss(f"crash-{number}", "BTC", {"carl": 60 + number}, LEFT)
        found.snapshot(HELD)
        found.fund()
    return found


def prove(exchange: Exchange, since: int | None = None, heads: Iterable[int] = ()) -> Any:
    with Venue(exchange.root) as venue:
        return json.loads(Prover(venue, since, heads).prove("anna"))


def head(exchange: Exchange, size: int) -> Checkpoint:
    return Checkpoint.parse((exchange.root / f"public/checkpoints/{size}").read_text())


def sizes(exchange: Exchange) -> list[int]:
    return sorted(int(path.name) for path in (exchange.root / "public/checkpoints").iterdir())


# From named heads.


def test_every_named_head_is_extended(exchange: Exchange) -> None:
    *known, last = sizes(exchange)[:-1]
    found = prove(exchange, heads=[*reversed(known), known[0]])
    assert Checkpoint.parse(found["checkpoint"]).size == last
    assert [extension["size"] for extension in found["consistency"]] == known
    data = json.dumps(found).encode()
    for size in known:
        check.verify(data, exchange.vkey, "anna", head=head(exchange, size))
    other = exchange.signer.checkpoint(last, bytes(32))
    with pytest.raises(Refuted, match="two histories"):
        check.verify(data, exchange.vkey, "anna", head=other)


def test_a_file_is_never_older_than_a_named_head(exchange: Exchange) -> None:
    """Without one its head is the last but one: the fund entry after it changes no chain."""
    before, last = sizes(exchange)[-2:]
    assert Checkpoint.parse(prove(exchange)["checkpoint"]).size == before
    found = prove(exchange, heads=[last])
    assert Checkpoint.parse(found["checkpoint"]).size == last
    assert "consistency" not in found
    data = json.dumps(found).encode()
    check.verify(data, exchange.vkey, "anna", head=head(exchange, last))


def test_since_brings_the_head_that_it_ended(exchange: Exchange) -> None:
    found = prove(exchange, since=4)
    assert [extension["size"] for extension in found["consistency"]] == [5]
    data = json.dumps(found).encode()
    check.verify(data, exchange.vkey, "anna", since=4, head=head(exchange, 5))


@pytest.mark.parametrize("size", [0, -1, 3, 1 << 62])
def test_a_size_that_was_never_signed_is_refused(exchange: Exchange, size: int) -> None:
    said = f"--head: no checkpoint of {size} entries was ever signed"
    with refused(exchange, said), Venue(exchange.root) as venue:
        Prover(venue, None, [size])


# From hash tiles.


def test_no_more_than_a_few_tiles_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    exchange = Exchange(tmp_path)
    path = exchange.pools_file({})
    exchange.publish(
        lambda draft: [fund.publish(draft, fund.read(path, draft.policy)) for _ in range(700)]
    )
    exchange.snapshot(HELD)
    exchange.fund()
    monkeypatch.setattr(History, "hashes", lambda *_: pytest.fail("read the log's hashes"))
    monkeypatch.setattr(History, "containing", lambda *_: pytest.fail("searched every entry"))
    assert len(prove(exchange, heads=[2, 703])["consistency"]) == 2


@pytest.mark.parametrize("damage", [None, b"", bytes(32), bytes(32 * 256)])
def test_tiles_that_are_lost_or_odd_cost_time_and_no_more(
    exchange: Exchange, damage: bytes | None
) -> None:
    sound = prove(exchange, heads=[5])
    for path in (exchange.root / "public/tile/0/000.p").iterdir():
        if damage is None:
            path.unlink()
        else:
            path.write_bytes(damage[: 32 * int(path.name)])
    real = Venue.__init__

    def unsettled(self: Venue, root: Path) -> None:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Venue, "_settle", lambda *_: None)
            real(self, root)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Venue, "__init__", unsettled)
        assert prove(exchange, heads=[5]) == sound


# Slices.


def cut(exchange: Exchange, since: int, count: int = 0, most: int = 0) -> list[Slice]:
    with Venue(exchange.root) as venue:
        slicer = Slicer(venue, Prover(venue, since), "anna", [])
        return slicer.of(most) if most else slicer.into(count)


def assert_whole(exchange: Exchange, since: int, files: list[Slice]) -> None:
    """Verified in order, each after the one before, they show what one file shows."""
    whole = exchange.check("anna", since=since)
    known, events, chained = head(exchange, since + 1), [], set()
    for file in files:
        assert file.since == since == known.size - 1
        found = check.verify(file.data, exchange.vkey, "anna", since=since, head=known)
        assert found.checkpoint.size == file.size > known.size
        events += [event.loss.event for event in found.events if event.loss.seq > since]
        chained |= {link.seq for chain in found.chains.values() for link in chain}
        known, since = found.checkpoint, file.size - 1
    assert events == [event.loss.event for event in whole.events]
    assert chained >= {link.seq for chain in whole.chains.values() for link in chain}
    assert known == whole.checkpoint
    assert found.balances == whole.balances


@pytest.mark.parametrize("count", [1, 2, 3, 6, 50])
def test_so_many_files_show_what_one_shows(exchange: Exchange, count: int) -> None:
    files = cut(exchange, 4, count)
    # Three losses and three snapshots: there are six heads at which to cut.
    assert len(files) == min(count, 6)
    assert_whole(exchange, 4, files)


def test_a_file_that_is_left_out_is_missed(exchange: Exchange) -> None:
    files = cut(exchange, 4, 6)
    for first, _, third in zip(files, files[1:], files[2:], strict=False):
        with pytest.raises(Incomplete):
            check.verify(third.data, exchange.vkey, "anna", since=first.size - 1)
        with pytest.raises(Incomplete):
            check.verify(third.data, exchange.vkey, "anna", head=head(exchange, first.size))


def test_as_few_files_as_may_be_of_so_many_bytes(exchange: Exchange) -> None:
    whole = len(exchange.prove("anna", since=4))
    counts = []
    for most in (whole, whole - 1, whole * 2 // 3, whole // 2):
        files = cut(exchange, 4, most=most)
        assert max(len(file.data) for file in files) <= most
        assert_whole(exchange, 4, files)
        counts.append(len(files))
        with Venue(exchange.root) as venue:
            slicer = Slicer(venue, Prover(venue, 4), "anna", [])
            for before, after in pairwise(files):
                # With the next head it would have been too large.
                more = slicer._ends[slicer._ends.index(before.size) + 1]
                assert more <= after.size
                done = files[: files.index(before)]
                assert not slicer._fits(done, more, most)
    assert counts[0] == 1
    assert counts == sorted(counts)
    assert counts[-1] > 2


def test_what_one_head_adds_is_not_cut(exchange: Exchange) -> None:
    with pytest.raises(
        TooLarge, match=r"what one checkpoint of 12 entries adds takes \d+ bytes, more than 3000"
    ):
        cut(exchange, 4, most=3000)


def test_an_account_that_came_late_and_left_early_is_shown_in_every_file(tmp_path: Path) -> None:
    exchange = Exchange(tmp_path)
    here, gone = {"anna": 5, "bert": 6}, {"bert": 6}
    for held in (gone, gone, here, here, here, gone, gone, gone):
        exchange.snapshot({"BTC": {"margin": held}})
    for count in range(1, 9):
        files = cut(exchange, 1, count)
        assert_whole(exchange, 1, files)
        assert all(json.loads(file.data)["leaves"] for file in files)
    # There, there, there, gone with 0; and then nothing about it to the end.
    assert len(files) == 5


def test_since_what_is_cut_has_to_be_said(exchange: Exchange) -> None:
    with (
        refused(exchange, "say after what with --since"),
        Venue(exchange.root) as venue,
    ):
        Slicer(venue, Prover(venue), "anna", [])


def test_nothing_followed_and_there_is_one_file_that_says_so(exchange: Exchange) -> None:
    last = sizes(exchange)[-1]
    (file,) = cut(exchange, last - 1, 3)
    assert file.size == last
    found = check.verify(file.data, exchange.vkey, "anna", since=last - 1)
    assert found.checkpoint == head(exchange, last)


def test_a_stretch_too_long_for_one_file_is_cut(tmp_path: Path) -> None:
    exchange = Exchange(tmp_path)
    many: dict[str, Any] = {f"user-{n}": 1 for n in range(200)} | {"anna": [1] * 16}
    books = exchange.long({"BTC": {"margin": many, "spot": many}})
    for _ in range(36):
        exchange.snapshot(books)
    said = "the file would exceed 1 MiB; prove fewer assets, or cut the stretch"
    with refused(exchange, said):
        exchange.prove("anna", since=1)
    with refused(exchange, said):
        cut(exchange, 1, 1)
    for files in (cut(exchange, 1, 3), cut(exchange, 1, most=1 << 20)):
        since = 1
        for file in files:
            known = head(exchange, since + 1)
            check.verify(file.data, exchange.vkey, "anna", since=since, head=known)
            since = file.size - 1
        assert since + 1 == sizes(exchange)[-1]
    with pytest.raises(InputError, match="more than 20000; allow more, or prove fewer assets"):
        cut(exchange, 1, most=20_000)
