"""A folder of files appears whole or not at all, whatever the disk or the machine does."""

import errno
import json
import os
import resource
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from hashlib import sha256
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ledger.by_hand import SECRET
from ledger.in_small import MANY, ROWS, blocks_of, files_of, header_of, in_pieces, names_in

from auditkit.errors import DamagedError, InputError
from auditkit.ledger import builder, sealed
from auditkit.ledger.builder import build
from auditkit.ledger.columns import Balances
from auditkit.ledger.sealed import Draft, read_header
from auditkit.ledger.store import Ledger
from auditkit.ledger.stored import FILES
from auditkit.publish.ledgers import Ledgers

SYNCS = len(FILES) + 3
"""How often a build waits for the disk: its files, the header, the directory and its parent."""


@contextmanager
def ways(large: bool) -> Iterator[None]:
    """Few rows by one thread, or many pieces by the crew."""
    with blocks_of(8, 2), in_pieces() if large else nullcontext():
        yield


def failing(real: Callable[..., Any], at: int) -> tuple[Callable[..., Any], list[int]]:
    """`real`, but for a full disk at one call that needs space and all after it; those calls."""
    calls: list[int] = []
    opening = real is os.open

    def call(*given: Any, **named: Any) -> Any:
        if not opening or given[1] & os.O_CREAT:
            calls.append(1)
            if len(calls) > at:
                raise OSError(errno.ENOSPC, "No space left on device")
        return real(*given, **named)

    return call, calls


def descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def refuse_full(folder: Path) -> None:
    """A build that finds no space ends with nothing left, on the disk or open."""
    before = descriptors()
    with pytest.raises(OSError, match="No space left"):
        build(folder / "ledger", Balances.of(MANY), SECRET)
    assert names_in(folder) == []
    assert descriptors() <= before


@pytest.mark.parametrize("only", [True, False], ids=["once", "from-then-on"])
@pytest.mark.parametrize("call", range(SYNCS + 1))
def test_a_disk_that_is_full_when_it_is_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: int, only: bool
) -> None:
    real, calls = os.fsync, count()

    def fsync(descriptor: int) -> None:
        now = next(calls)
        if now == call or (now > call and not only):
            raise OSError(errno.ENOSPC, "No space left on device")
        real(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    if call < SYNCS:
        refuse_full(tmp_path)
    else:
        build(tmp_path / "ledger", Balances.of(MANY), SECRET)
        assert next(calls) == SYNCS


@pytest.mark.parametrize("large", [False, True])
@pytest.mark.parametrize("name", ["pwrite", "write", "open", "mkdir", "rename"])
def test_a_disk_that_is_full_when_it_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, large: bool
) -> None:
    with ways(large):
        call, calls = failing(getattr(os, name), 1000)
        with monkeypatch.context() as patch:
            patch.setattr(os, name, call)
            build(tmp_path / "whole", Balances.of(MANY), SECRET)
        files = len(FILES) + 1
        least = {"pwrite": 4, "write": files, "open": files + 1, "mkdir": 1, "rename": 1}
        assert len(calls) >= least[name]
        (tmp_path / "full").mkdir()
        for at in range(len(calls)):
            with monkeypatch.context() as patch:
                patch.setattr(os, name, failing(getattr(os, name), at)[0])
                refuse_full(tmp_path / "full")


@pytest.mark.parametrize("bytes_left", [0, 1, 100, 1000])
def test_a_disk_that_is_full_at_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bytes_left: int
) -> None:
    """The runs had room, but what is left does not take the ledger's files."""
    rows = [(f"u{place}", place) for place in range(100)]
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    publish = builder.Writer.publish

    def limited(*given: Any, **named: Any) -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (bytes_left, hard))
        publish(*given, **named)

    monkeypatch.setattr(builder.Writer, "publish", limited)
    try:
        with pytest.raises(OSError, match="File too large") as caught:
            build(tmp_path / "ledger", Balances.of(rows), SECRET)
        assert str(caught.value.filename).startswith(str(tmp_path))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert names_in(tmp_path) == []


BUILD = """
import resource, sys
from pathlib import Path
from auditkit.ledger.columns import Balances
from auditkit.ledger.builder import build
limit = int(sys.argv[2])
resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
build(Path(sys.argv[1]), Balances.of((f"u{i}", i) for i in range(1000)), bytes(32))
"""


def run(*arguments: object) -> subprocess.CompletedProcess[bytes]:
    home = Path(__file__).resolve().parents[2]
    command = [sys.executable, *map(str, arguments)]
    environment = os.environ | {"PYTHONPATH": str(home)}
    return subprocess.run(command, cwd=home, env=environment, capture_output=True, check=False)


def test_a_file_that_may_not_grow_leaves_nothing_behind(tmp_path: Path) -> None:
    done = run("-c", BUILD, tmp_path / "ledger", 40_000)
    assert b"File too large" in done.stderr
    assert names_in(tmp_path) == []
    assert run("-c", BUILD, tmp_path / "ledger", 100_000).returncode == 0


@pytest.mark.parametrize("large", [0, 1])
def test_a_killed_build_leaves_all_or_nothing(tmp_path: Path, large: int) -> None:
    done = run(Path(__file__).with_name("killed.py"), tmp_path / "points", large)
    assert done.returncode == 0, done.stderr
    steps = json.loads((tmp_path / "points/steps.json").read_text())
    assert steps[-2:] == ["rename", "fsync"]
    assert {"unlink", "pwrite", "write"} <= set(steps)
    wanted = None
    with blocks_of(256, 64) if large else nullcontext():
        # The last ones, whose folder was in place already, come first.
        for point in range(len(steps), -1, -1):
            folder = tmp_path / "points" / str(point)
            if point >= len(steps) - 1:
                assert names_in(folder) == ["ledger"]
                wanted = wanted or files_of(folder / "ledger")
                assert files_of(folder / "ledger") == wanted
                ledger = Ledger.open(folder / "ledger", bytes(32))
                assert (ledger.count, ledger.total) == (1001, 499_508)
                continue
            # Some salts stay, but where the next build clears them away.
            assert names_in(folder) == [".ledger.draft"]
            left = files_of(folder / ".ledger.draft")
            assert left.keys() <= {"header", "runs", *FILES}
            assert left.get("runs", b"") == b""
            if point % 5 == 0:
                rows = Balances.of(ledger.balances().rows())
                build(folder / "ledger", rows, bytes(32))
                assert names_in(folder) == ["ledger"]
                assert files_of(folder / "ledger") == wanted


def test_what_a_killed_build_left_is_forgotten_with_the_rest(tmp_path: Path) -> None:
    ledgers = Ledgers(tmp_path)
    for name in ("ledgers", "secrets"):
        (tmp_path / name).mkdir()
    with ledgers.building(5, 2, 1) as building:
        building.add(Balances.of(ROWS[:3]))
        [draft] = (tmp_path / "ledgers").iterdir()
        left = [path.name for path in draft.iterdir()]
    assert names_in(tmp_path / "ledgers") == []
    draft.mkdir()
    for name in left:
        (draft / name).write_bytes(b"salts")
    (tmp_path / "ledgers/notes").write_text("not ours")
    ledgers.forget(99)
    assert names_in(tmp_path / "ledgers") == ["notes"]


@pytest.mark.parametrize("large", [False, True])
def test_nothing_but_the_ledger_s_files_has_a_name_while_it_is_built(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, large: bool
) -> None:
    """What has a name would stay when the process is killed."""
    seen: set[tuple[str, ...]] = set()

    def watched(real: Any) -> Any:
        def call(*given: Any, **named: Any) -> Any:
            seen.add(tuple(str(p.relative_to(tmp_path)) for p in sorted(tmp_path.rglob("*"))))
            return real(*given, **named)

        return call

    for name in ("pwrite", "preadv", "fsync"):
        monkeypatch.setattr(os, name, watched(getattr(os, name)))
    with ways(large):
        build(tmp_path / "ledger", Balances.of(MANY), SECRET)
    inside = {
        (folder, *[f"{folder}/{name}" for name in sorted(names)])
        for folder in (".ledger.draft", "ledger")
        for names in (FILES, ("header", *FILES))
    }
    assert seen <= inside
    assert len(seen) == 3


# The folder itself.


def test_a_folder_holds_what_was_written_and_a_header_that_says_so(tmp_path: Path) -> None:
    (tmp_path / "draft").mkdir()
    (tmp_path / "draft/old").write_text("left by one that was killed")
    with Draft(tmp_path / "draft", ["a", "b"], ["b"]) as draft:
        draft.write("a", b"one")
        draft.write("b", np.arange(3, dtype=">u4"))
        draft.write("a", b"")
        draft.write("a", np.array([[50, 51], [52, 53]], np.uint8))
        draft.publish({"format": "some/1"}, tmp_path / "final")
    assert names_in(tmp_path) == ["final"]
    words = np.arange(3, dtype=">u4").tobytes()
    assert files_of(tmp_path / "final").items() >= {"a": b"one2345", "b": words}.items()
    header = read_header(tmp_path / "final", "some/1")
    assert header == header_of(tmp_path / "final")
    summed = {"bytes": 7, "sha256": sha256(b"one2345").hexdigest()}
    assert header == {"format": "some/1", "files": {"a": summed, "b": {"bytes": 12}}}
    with pytest.raises(InputError, match=r"format some/1, and this auditkit reads some/2"):
        read_header(tmp_path / "final", "some/2")
    with pytest.raises(DamagedError, match="header is missing"):
        read_header(tmp_path, "some/1")


def test_many_pieces_come_in_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also when the disk takes but a few bytes at a time, and is waited for in between."""
    real, sync, syncs = os.write, os.fsync, count()
    monkeypatch.setattr(os, "write", lambda file, data: real(file, data[:31]))
    monkeypatch.setattr(os, "fsync", lambda file: (next(syncs), sync(file)))
    monkeypatch.setattr(sealed, "_FLUSH", 1000)
    pieces = [bytes([place % 256]) * (place % 97) for place in range(500)]
    with Draft(tmp_path / "draft", ["a"]) as draft:
        for piece in pieces:
            draft.write("a", piece)
        draft.publish({"format": "some/1"}, tmp_path / "final")
    assert (tmp_path / "final/a").read_bytes() == b"".join(pieces)
    read_header(tmp_path / "final", "some/1")
    assert next(syncs) > 4 + sum(map(len, pieces)) // 2000


@pytest.mark.parametrize("more", [0, 1, 50])
def test_a_write_that_failed_is_raised_before_the_folder_is_in_place(
    tmp_path: Path, more: int
) -> None:
    """However many pieces come after it: it would be missing."""

    def write_all(draft: Draft) -> None:
        draft.write("a", 3)
        for _ in range(more):
            draft.write("a", b"more")
        draft.publish({"format": "some/1"}, tmp_path / "final")

    with Draft(tmp_path / "draft", ["a"]) as draft, pytest.raises(TypeError):
        write_all(draft)
    assert names_in(tmp_path) == []
