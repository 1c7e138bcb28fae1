"""The static files: what they say is what the log holds, and no byte of them is ever rewritten."""

import errno
import itertools
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import tiled
from exchange import Exchange, refused

from auditkit.errors import DamagedError
from auditkit.files import write_file
from auditkit.log.bundles import bundle_path
from auditkit.log.bundles import pack as bundle
from auditkit.log.published import Log
from auditkit.log.tiles import Tree, folder
from auditkit.publish import fund
from auditkit.publish import public as public_files
from auditkit.publish.history import History
from auditkit.publish.venue import Venue
from auditkit.verify.history import leaf_hash
from auditkit.verify.note import Checkpoint, VerifierKey

BOOKS = {"BTC": {"margin": {"anna": 500, "bert": 300}}}


def parse_bundle(data: bytes) -> list[bytes]:
    """The entries of a bundle, as C2SP tlog-tiles words it: each behind its uint16 length."""
    entries = []
    while data:
        length = int.from_bytes(data[:2], "big")
        assert len(data) >= 2 + length
        entries.append(data[2 : 2 + length])
        data = data[2 + length :]
    return entries


def entries_of(public: Path, size: int) -> list[bytes]:
    """The first `size` entries, read by nothing but the published files."""
    entries: list[bytes] = []
    full, rest = divmod(size, 256)
    for number in range(full):
        entries += parse_bundle((public / f"tile/entries/{number:03d}").read_bytes())
    if rest:
        entries += parse_bundle((public / f"tile/entries/{full:03d}.p/{rest}").read_bytes())
    return entries


def assert_public(exchange: Exchange) -> None:
    """Every head and every entry of the log is public, with the same bytes, and nothing else."""
    public = exchange.root / "public"
    with Venue(exchange.root) as venue:
        history = venue.history
        sizes, log = history.sizes(), history.entries(0, len(history))
        notes = {size: str(history.head(size).note).encode() for size in sizes}
    policy = f"log {exchange.vkey}\nquorum none\n".encode()
    expected = {"venue.vkey": f"{exchange.vkey}\n".encode(), "policy": policy}
    expected |= {"checkpoint": notes[sizes[-1]]} | tiled.tiles(log, sizes)
    expected |= {f"checkpoints/{size}": note for size, note in notes.items()}
    found = {str(p.relative_to(public)): p.read_bytes() for p in public.rglob("*") if p.is_file()}
    assert found == expected
    assert entries_of(public, sizes[-1]) == log


def test_bundles_parse_back_to_the_exact_entries() -> None:
    entries = [b"", b"a", b"x" * 255, b"y" * 256, b"z" * 65_535]
    data = bundle(entries)
    assert data[:5] == b"\0\0\0\1a"
    assert parse_bundle(data) == entries
    assert bundle([]) == b""


@pytest.mark.parametrize(
    ("number", "width", "path"),
    [
        (0, 256, "tile/entries/000"),
        (5, 256, "tile/entries/005"),
        (999, 256, "tile/entries/999"),
        (1000, 256, "tile/entries/x001/000"),
        (1234067, 256, "tile/entries/x001/x234/067"),
        (0, 1, "tile/entries/000.p/1"),
        (999, 255, "tile/entries/999.p/255"),
        (1000, 17, "tile/entries/x001/000.p/17"),
        (123456, 8, "tile/entries/x123/456.p/8"),
    ],
)
def test_paths_of_bundles_are_those_of_the_standard(number: int, width: int, path: str) -> None:
    assert bundle_path(number, width) == path


def test_everything_is_public_and_a_stranger_can_follow_it(tmp_path: Path) -> None:
    exchange = Exchange(tmp_path)
    assert_public(exchange)
    exchange.snapshot(BOOKS)
    exchange.fund(BTC=[("liquidation_fee", 40)])
    assert_public(exchange)
    public = exchange.root / "public"
    key = VerifierKey.parse((public / "venue.vkey").read_text().strip())
    head = Checkpoint.parse((public / "checkpoint").read_text())
    head.open(key)
    entries = entries_of(public, head.size)
    assert len(entries) == head.size == 6
    with Venue(exchange.root) as venue:
        paths = [venue.history.tree(head.size).inclusion(seq) for seq in range(head.size)]
    from auditkit.verify.history import check_inclusion

    for seq, entry in enumerate(entries):
        check_inclusion(leaf_hash(entry), seq, head.size, head.root, paths[seq])


def test_full_bundles_follow_partial_ones(tmp_path: Path) -> None:
    """Three hundred entries and more: 127 publishes of two entries, and a few larger ones."""
    exchange = Exchange(tmp_path)
    path = exchange.pools_file({})

    def many(count: int) -> None:
        exchange.publish(
            lambda draft: [fund.publish(draft, fund.read(path, draft.policy)) for _ in range(count)]
        )

    for count in (100, 100, 47, 1, 1, 1, 1, 1, 200, 60):
        many(count)
        assert_public(exchange)
    assert len(exchange.log()) > 512
    names = {str(p.relative_to(exchange.root)) for p in exchange.root.rglob("tile/entries/*")}
    assert {"public/tile/entries/000", "public/tile/entries/001"} <= names
    assert "public/tile/entries/002" not in names
    found = Tree(len(exchange.log()), folder(exchange.root / "public"))
    assert found.root() == Checkpoint.parse((exchange.root / "public/checkpoint").read_text()).root


def test_a_lost_public_folder_is_made_again_with_the_same_bytes(tmp_path: Path) -> None:
    exchange = Exchange(tmp_path)
    exchange.snapshot(BOOKS)
    exchange.fund()
    before = exchange.tree()
    public = exchange.root / "public"
    (public / "checkpoint").unlink()
    shutil.rmtree(public / "checkpoints")
    shutil.rmtree(public / "tile")
    with Venue(exchange.root):
        pass
    assert exchange.tree() == before
    assert_public(exchange)


@pytest.mark.parametrize("name", ["checkpoints/6", "tile/entries/000.p/6", "tile/0/000.p/6"])
def test_a_file_that_would_be_rewritten_with_other_bytes_is_refused(
    tmp_path: Path, name: str
) -> None:
    """Somebody put a file where the next publish will write one."""
    exchange = Exchange(tmp_path)
    exchange.snapshot(BOOKS)
    path = exchange.root / "public" / name
    path.write_text("altered")
    checkpoint = (exchange.root / "public/checkpoint").read_bytes()
    with pytest.raises(DamagedError, match=f"{path}: differs from what was published; restore it"):
        exchange.fund()
    # The log has the entry; the world is not told until the file is what it must be.
    assert (exchange.root / "public/checkpoint").read_bytes() == checkpoint
    with refused(exchange, "differs from what was published", error=DamagedError):
        exchange.fund()
    path.unlink()
    with Venue(exchange.root):
        pass
    assert_public(exchange)


@pytest.mark.parametrize("name", ["checkpoints/2", "tile/entries/000.p/2", "tile/0/000.p/2"])
def test_an_altered_file_is_found_when_all_are_written_again(tmp_path: Path, name: str) -> None:
    exchange = Exchange(tmp_path)
    exchange.snapshot(BOOKS)
    path = exchange.root / "public" / name
    path.write_bytes(path.read_bytes() + b" ")
    (exchange.root / "public/checkpoint").unlink()
    with pytest.raises(DamagedError, match=f"{path}: differs"):
        Venue(exchange.root)


def test_a_venue_that_was_made_before_there_were_hash_tiles_gets_them(tmp_path: Path) -> None:
    exchange = Exchange(tmp_path)
    exchange.snapshot(BOOKS)
    exchange.fund()
    before = exchange.tree()
    (exchange.root / "public/policy").unlink()
    shutil.rmtree(exchange.root / "public/tile/0")
    with Venue(exchange.root):
        pass
    assert exchange.tree() == before
    assert_public(exchange)


def large(tmp_path: Path, entries: int) -> Exchange:
    """A log of that many fund entries and three more, under two heads."""
    exchange = Exchange(tmp_path)
    path = exchange.pools_file({})
    exchange.publish(
        lambda draft: [fund.publish(draft, fund.read(path, draft.policy)) for _ in range(entries)]
    )
    return exchange


def test_it_gets_all_of_them_though_it_is_interrupted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The head is public already, so what is missing is known by nothing but its tiles."""
    exchange = large(tmp_path, 600)
    tiles = [path for path in (exchange.root / "public/tile").iterdir() if path.name != "entries"]
    assert len(tiles) == 2
    for stop in itertools.count():
        for path in tiles:
            shutil.rmtree(path)
        left = iter(range(stop))

        def write(*given: Any, left: Iterator[int] = left) -> None:
            if next(left, None) is None:
                raise OSError(errno.ENOSPC, "No space left on device")
            write_file(*given)

        monkeypatch.setattr(public_files, "write_file", write)
        try:
            with Venue(exchange.root):
                pass
        except OSError:
            monkeypatch.undo()
            with Venue(exchange.root):
                pass
            assert_public(exchange)
        else:
            break
    assert stop > 4


def test_one_entry_more_reads_and_writes_a_few_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    exchange = large(tmp_path, 1100)
    path = exchange.pools_file({})
    touched: list[str] = []
    public = str(exchange.root / "public")
    real = os.open

    def opened(name: str, *rest: Any, **named: Any) -> int:
        if str(name).startswith(public):
            touched.append(str(name))
        return real(name, *rest, **named)

    rows: list[int] = []
    hashes, entries = History.hashes, History.entries
    for name, reads in (("hashes", hashes), ("entries", entries)):

        def counted(self: History, start: int, end: int, *, reads: Any = reads) -> Any:
            rows.append(end - start)
            return reads(self, start, end)

        monkeypatch.setattr(History, name, counted)
    monkeypatch.setattr(History, "_hashed", lambda _: pytest.fail("hashed every entry"))
    monkeypatch.setattr(os, "open", opened)
    exchange.publish(lambda draft: fund.publish(draft, fund.read(path, draft.policy)))
    monkeypatch.undo()
    # A bundle, a tile of level 0, two heads; and the folder of each, to make its name durable.
    assert len(touched) <= 12
    assert sum(rows) < 256
    assert_public(exchange)


def told_to_tidy(root: Path) -> str:
    """The commands of docs/publishing.md that delete partial tiles."""
    text = (Path(__file__).resolve().parents[2] / "docs/publishing.md").read_text("utf-8")
    (block,) = re.findall(r"```sh\n(find DIR/public.*?)```", text, re.S)
    return str(block).replace("DIR", str(root))


def test_partial_tiles_may_be_deleted_once_the_whole_one_is_there(tmp_path: Path) -> None:
    """What is published and proven afterwards is the same."""
    exchange = large(tmp_path, 250)
    for _ in range(4):
        exchange.fund()
    exchange.snapshot(BOOKS)
    public = exchange.root / "public"
    before = set(public.rglob("*.p"))
    subprocess.run(["sh", "-c", told_to_tidy(exchange.root)], check=True)
    gone = before - set(public.rglob("*.p"))
    assert gone == {public / "tile/0/000.p", public / "tile/entries/000.p"}
    exchange.fund()
    assert exchange.check("anna").balances[0].amount == 500
    assert not any(path.exists() for path in gone)
    size = len(exchange.log())
    head = Checkpoint.parse((public / "checkpoint").read_text())
    assert Tree(size, folder(public)).root() == head.root
    assert Log.read(public, VerifierKey.parse(exchange.vkey)).checkpoint == head


@pytest.mark.parametrize("name", ["tile/1/000.p/4", "tile/0/004.p/80"])
@pytest.mark.parametrize("damage", [None, b"", b"\0" * 128, b"\0" * 2560])
def test_a_tile_that_was_lost_or_altered_is_not_built_upon(
    tmp_path: Path, name: str, damage: bytes | None
) -> None:
    exchange = large(tmp_path, 1101)
    path = exchange.root / "public" / name
    sound = path.read_bytes()
    path.unlink() if damage is None else path.write_bytes(damage)
    moves = exchange.pools_file({})
    exchange.publish(
        lambda draft: [fund.publish(draft, fund.read(moves, draft.policy)) for _ in range(300)]
    )
    path.write_bytes(sound)
    assert_public(exchange)


def test_hashes_that_are_not_the_signed_ones_are_not_published(tmp_path: Path) -> None:
    exchange = Exchange(tmp_path)
    exchange.snapshot(BOOKS)
    with pytest.MonkeyPatch.context() as patch:
        real = History.hashes
        patch.setattr(History, "hashes", lambda *given: bytes(len(real(*given))))
        with pytest.raises(DamagedError, match=r"its hashes are not those of the head of 6"):
            exchange.fund()
    assert not (exchange.root / "public/tile/0/000.p/6").exists()
    with Venue(exchange.root):
        pass
    assert_public(exchange)


def test_a_reader_sees_the_old_file_or_the_new_one(tmp_path: Path) -> None:
    path = tmp_path / "a/b/file"
    write_file(path, b"old", 0o600)
    assert (path.read_bytes(), path.stat().st_mode & 0o777) == (b"old", 0o600)
    before = path.stat().st_ino
    write_file(path, b"new")
    assert (path.read_bytes(), path.stat().st_mode & 0o777) == (b"new", 0o644)
    assert path.stat().st_ino != before
    assert [p.name for p in path.parent.iterdir()] == ["file"]


def test_a_link_where_the_draft_would_lie_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "victim").write_text("untouched")
    (tmp_path / ".file.draft").symlink_to(tmp_path / "victim")
    write_file(tmp_path / "file", b"new", 0o600)
    assert (tmp_path / "victim").read_text() == "untouched"
    assert (tmp_path / "file").read_bytes() == b"new"
