"""A venue that publishes hundreds of entries, as tools that others wrote see its log."""

import csv
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from exchange import START, Exchange
from foreign import bent
from foreign.toolbox import (
    Question,
    Tool,
    assert_told_apart,
    checkpoint,
    consistency,
    each,
    inclusion,
    log,
    questions,
    tlog_proof,
)
from reference import b64, log_extension, log_path

from auditkit.log.bundles import unpack
from auditkit.log.tiles import Tree
from auditkit.publish import backfill
from auditkit.publish.venue import Venue
from auditkit.verify.elements import time_text

MINUTES = 600
HELD = {"anna": 500, "bert": 300, "carl": 7}


class Published:
    """What a venue has published, read without what published it."""

    def __init__(self, exchange: Exchange, proof: Path) -> None:
        self.folder, self.key, self.proof = exchange.root / "public", exchange.vkey, proof
        self.signer = exchange.signer
        notes = sorted(self.folder.glob("checkpoints/*"), key=lambda path: int(path.name))
        self.notes = [path.read_text("utf-8") for path in notes]
        self.sizes = [int(path.name) for path in notes]
        self.entries: list[bytes] = []
        for start in range(0, self.sizes[-1], 256):
            wide = min(256, self.sizes[-1] - start)
            name = f"{start // 256:03d}" + ("" if wide == 256 else f".p/{wide}")
            self.entries += unpack((self.folder / "tile/entries" / name).read_bytes())

    def sign(self, size: int, root: bytes) -> str:
        """The venue's own signature, for whatever it is told to sign."""
        return str(self.signer.checkpoint(size, root).note)


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Published:
    """A snapshot, ten hours of a fund in slices, then a loss: some sizes, two levels of tiles."""
    exchange = Exchange(tmp_path_factory.mktemp("foreign") / "made", assets={"BTC": 8})
    exchange.snapshot({"BTC": {"margin": HELD}})
    history = exchange.books / "history.csv"
    with history.open("w", newline="") as file:
        rows = (
            ("BTC", time_text(START + 60_000 * n), "5", "0.00000001") for n in range(1, MINUTES)
        )
        csv.writer(file).writerows([("pool", "time", "open_interest", "liquidation_fee"), *rows])
    with pytest.MonkeyPatch.context() as patch, Venue(exchange.root) as venue:
        patch.setattr(backfill, "SLICE", 150)
        backfill.publish(venue, exchange.signer, history)
    exchange.now = exchange.last_time()
    exchange.snapshot({"BTC": {"margin": HELD}})
    exchange.loss("crash-1", "BTC", {"dora": 900}, HELD, adl={"bert": 10}, moves={})
    proof = exchange.root.parent / "anna.json"
    proof.write_bytes(exchange.prove("anna"))
    return Published(exchange, proof)


def test_the_log_is_large_enough_for_tiles_of_two_levels(published: Published) -> None:
    assert published.sizes[-1] > 512
    assert any(size < 256 for size in published.sizes)
    assert len(published.entries) == published.sizes[-1]


@each("checkpoint")
def test_every_checkpoint_opens_and_no_bent_one(tool: Tool, published: Published) -> None:
    honest = [checkpoint(note, published.key) for note in published.notes]
    lies = {
        f"{size}: {name}": lie
        for size, note in zip(published.sizes, published.notes, strict=True)
        for name, lie in bent.of_checkpoint(note, published.key).items()
    }
    assert_told_apart(tool, honest, lies)


@each("inclusion")
def test_a_proof_file_shows_statements_of_the_log(tool: Tool, published: Published) -> None:
    honest = questions(published.proof, published.key)
    proof = json.loads(published.proof.read_text("utf-8"))
    assert len(honest) == len(proof["statements"]) + 1 > 6
    lies: dict[str, Question] = {}
    for shown in proof["statements"]:
        given = (tlog_proof(shown, proof["checkpoint"]), shown["text"].encode(), published.key)
        for name, lie in bent.of_inclusion(*given, published.sign).items():
            lies[f"{shown['seq']}: {name}"] = lie
    assert_told_apart(tool, honest, lies)


@each("inclusion")
def test_every_entry_is_where_the_naive_log_has_it(tool: Tool, published: Published) -> None:
    honest = []
    for size, note in zip(published.sizes, published.notes, strict=True):
        for seq in {0, 1, size // 3, size // 2, size - 2, size - 1}:
            shown = {"seq": seq, "path": map(b64, log_path(seq, published.entries[:size]))}
            text = tlog_proof(shown, note)
            honest.append(inclusion(text, published.entries[seq], published.key))
    assert tool.ask(*honest) == [None] * len(honest)


def naive(published: Published, size: int, later: int) -> list[bytes]:
    """The consistency path by the definition."""
    return log_extension(size, published.entries[:later])


def tiled(published: Published, size: int, later: int) -> list[bytes]:
    """The consistency path as auditkit reads it from the hash tiles."""
    tree = Tree(later, lambda name: (published.folder / name).read_bytes())
    return list(tree.consistency(size))


@each("consistency")
@pytest.mark.parametrize("path", [naive, tiled])
def test_every_checkpoint_extends_those_before_it(
    tool: Tool, published: Published, path: Callable[[Published, int, int], list[bytes]]
) -> None:
    honest: list[Question] = []
    lies: dict[str, Question] = {}
    heads = list(zip(published.sizes, published.notes, strict=True))
    for place, (size, older) in enumerate(heads):
        for later, newer in heads[place + 1 :]:
            nodes = [b64(node) for node in path(published, size, later)]
            honest.append(consistency(older, newer, nodes, published.key))
            bad = bent.of_consistency(older, newer, nodes, published.key, published.sign)
            lies |= {f"{size} to {later}: {name}": lie for name, lie in bad.items()}
    assert_told_apart(tool, honest, lies)


@each("log")
def test_the_published_folder_is_one_log_and_no_bent_one(
    tool: Tool, published: Published, tmp_path: Path
) -> None:
    folders = bent.of_log(published.folder, tmp_path, published.sign)
    lies = {name: log(folder, published.key) for name, folder in folders.items()}
    assert len(lies) >= 3 * 5 + 3
    assert_told_apart(tool, [log(published.folder, published.key)], lies)
