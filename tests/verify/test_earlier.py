"""What a proof file shows of its log's earlier heads and keys, and what it does not."""

import json
from dataclasses import replace
from typing import Any

import pytest
from reference import Signer, b64, checkpoint, log_root
from refusals import crash, encode, market, refused
from spoiled import SPOILS, Spoil
from venue import Venue

from auditkit.verify.earlier import file_signers, fork_shown, key_changes, prefixes, readable
from auditkit.verify.errors import Malformed, Refuted, Unsupported
from auditkit.verify.fork import Fork
from auditkit.verify.history import check_consistency
from auditkit.verify.note import Checkpoint, VerifierKey
from auditkit.verify.proof import Proof

SIGNER = Signer("exchange.example/audit", "earlier")

# Heads.


def files(lie: bool, path: bool, index: bool, grown: int = 0) -> tuple[Proof, Checkpoint, Proof]:
    """A head, the honest file above it, and one of a log that was retold below the head (or not).

    `path` and `index`: whether the files show consistency, and the head's last entry.
    """
    venue = market()
    for _ in range(grown):
        venue.fund()
    first = Checkpoint.parse(venue.publish())
    crash(venue)
    venue.publish()
    shown: dict[str, Any] = {"heads": [first.size]} if path else {}
    shown |= {"since": first.size - 1} if index else {}
    honest = Proof.parse(encode(venue.prove("alice", **shown)))
    if lie:
        venue.restate(2, pools=[])
    return honest, first, Proof.parse(encode(venue.prove("alice", **shown)))


@pytest.mark.parametrize("grown", range(6))
def test_a_file_shows_that_it_extends_a_head(grown: int) -> None:
    for path, index in ((True, False), (False, True), (True, True)):
        file, first, _ = files(lie=False, path=path, index=index, grown=grown)
        shown = list(prefixes(file, first.size, first.root))
        assert len(shown) == path + index
        for prefix, way in shown:
            assert prefix == first.root
            now = file.checkpoint
            check_consistency(first.size, prefix, now.size, now.root, way)
        assert fork_shown(file, first) is None


@pytest.mark.parametrize("grown", range(6))
def test_a_file_shows_a_fork_from_a_head(grown: int) -> None:
    for path, index in ((True, False), (False, True), (True, True)):
        honest, first, file = files(lie=True, path=path, index=index, grown=grown)
        fork = fork_shown(file, first)
        if not index and first.size & (first.size - 1) == 0:
            assert fork is None, "RFC 9162 leaves a perfect tree's root out of its path"
            continue
        assert fork is not None
        key = VerifierKey.parse(market().vkey)
        assert Fork.parse(fork.encode().encode()).check(key) == (key,)
        assert (fork.first, fork.second) == (first, file.checkpoint)
        assert fork_shown(file, honest.checkpoint) is not None, "of one size"


def test_sizes_of_both_kinds_were_tried() -> None:
    sizes = [files(lie=False, path=True, index=True, grown=n)[1].size for n in range(6)]
    assert {size & (size - 1) == 0 for size in sizes} == {True, False}


def test_every_entry_shows_the_root_up_to_itself() -> None:
    venue = market()
    for _ in range(5):
        crash(venue)
    venue.publish()
    file = Proof.parse(encode(venue.prove("alice")))
    sizes = [entry.seq + 1 for entry in file.statements]
    assert {1, 2, 4, 5, 9, 14, 16}.issubset(sizes)
    for size in sizes[:-1]:
        ((prefix, path),) = prefixes(file, size, b"")
        assert prefix == log_root(venue.entries[:size])
        now = file.checkpoint
        check_consistency(size, prefix, now.size, now.root, path)


def test_logs_of_one_entry_fork_and_logs_of_none_do_not() -> None:
    file = files(lie=False, path=False, index=False)[0]
    for size in (0, 1):
        told = Checkpoint.parse(checkpoint(file.checkpoint.origin, [b"x"] * size, SIGNER))
        other = replace(told, root=bytes(32))
        shown = fork_shown(replace(file, checkpoint=other), told)
        assert (shown is not None) == (size == 1)


@pytest.mark.parametrize("grown", range(4))
def test_a_path_of_a_file_that_fails_shows_nothing(grown: int) -> None:
    for path, index in ((True, False), (False, True)):
        _, first, file = files(lie=True, path=path, index=index, grown=grown)
        value = json.loads(file.encode())
        for extension in value.get("consistency", []):
            extension["path"][-1] = b64(bytes(32))
        for entry in value["statements"]:
            entry["path"][-1] = b64(bytes(32))
        broken = Proof.parse(encode(value))
        assert list(prefixes(broken, first.size, first.root)) == []
        assert fork_shown(broken, first) is None
        for extension in value.get("consistency", []):
            extension["path"].pop()
        for entry in value["statements"]:
            entry["path"] = []
        assert fork_shown(Proof.parse(encode(value)), first) is None


@pytest.mark.parametrize("spoil", SPOILS.values(), ids=SPOILS)
def test_a_file_that_cannot_be_read_whole_shows_a_fork(spoil: Spoil) -> None:
    for path, index in ((True, False), (False, True)):
        honest, first, file = files(lie=True, path=path, index=index, grown=1)
        data = spoil(json.loads(file.encode()))
        with pytest.raises((Malformed, Unsupported)):
            Proof.parse(data)
        part = readable(data)
        fork = fork_shown(part, first)
        assert fork is not None
        fork.check_apart()
        assert fork == fork_shown(file, first)
        assert fork_shown(readable(spoil(json.loads(honest.encode()))), first) is None


@pytest.mark.parametrize(
    "data",
    [
        *(b"", b"x", b"[]", b"{}", b"\xff", b'{"checkpoint": 7}', b'{"checkpoint": "x"}'),
        *(b"[" * 100_000, b'{"checkpoint": ' + b"9" * 5000 + b"}"),
    ],
    ids=lambda data: repr(data[:20]),
)
def test_without_a_checkpoint_there_is_nothing_to_read(data: bytes) -> None:
    with pytest.raises(Malformed):
        readable(data)


def test_a_whole_file_reads_as_it_is() -> None:
    venue = market()
    crash(venue)
    size = Checkpoint.parse(venue.publish()).size
    file = Proof.parse(encode(venue.prove("alice", heads=[1, size - 1])))
    assert readable(file.encode()) == replace(file, account="", leaves=())
    assert [each.size for each in file.consistency] == [1, size - 1]


def test_a_file_shows_nothing_of_what_is_above_it_or_of_an_empty_log() -> None:
    file, first, _ = files(lie=False, path=True, index=True)
    key = Signer(first.origin, "venue 0")
    empty = Checkpoint.parse(checkpoint(first.origin, [], key))
    above = Checkpoint.parse(checkpoint(first.origin, [b"x"] * 100, key))
    for odd in (empty, above, file.checkpoint):
        assert list(prefixes(file, odd.size, odd.root)) == []
        assert fork_shown(file, odd) is None


# Keys.


def rotated(size: int | None = None) -> tuple[Venue, VerifierKey, VerifierKey]:
    """A venue that changed its key, and the old and new one; the old retires after two entries."""
    venue = market()
    venue.rotate_key(retire=len(venue.said) + 2)
    venue.publish()
    venue.fund()
    venue.publish()
    old, new = (VerifierKey.parse(signer.vkey) for signer, _ in venue.keys)
    return venue, old, new


def signed_by(venue: Venue, size: int, *signers: int) -> Proof:
    """The file under the checkpoint of `size`, signed by those of the venue's keys."""
    note = checkpoint(venue.name, venue.entries[:size], *(venue.keys[n][0] for n in signers))
    return Proof.parse(encode(venue.prove("alice", size=size) | {"checkpoint": note}))


def test_the_keys_in_use_sign_a_file() -> None:
    venue, old, new = rotated()
    overlap, beyond = venue.heads
    assert venue.said[overlap - 2]["retire"] == overlap
    assert file_signers(signed_by(venue, overlap, 0, 1), (old, new)) == (old, new)
    assert file_signers(signed_by(venue, overlap, 0), (old, new)) == (old,)
    assert file_signers(signed_by(venue, beyond, 0, 1), (old, new)) == (new,)
    assert file_signers(signed_by(venue, beyond, 1), (new,)) == (new,)


def test_a_retired_key_signs_nothing() -> None:
    venue, old, new = rotated()
    for signers in ((0,), (0, 1)):
        file = signed_by(venue, venue.heads[-1], *signers)
        with refused(Refuted, f"is retired; expected at most {venue.heads[0]} entries, or the new"):
            file_signers(file, (old,))
    with refused(Refuted, "no signature line by the pinned key"):
        file_signers(signed_by(venue, venue.heads[-1], 0), (new,))


def test_a_change_that_is_not_in_the_log_retires_nobody() -> None:
    venue, old, _ = rotated()
    value = json.loads(signed_by(venue, venue.heads[-1], 0).encode())
    assert len(list(key_changes(Proof.parse(encode(value))))) == 1
    for entry in value["statements"]:
        if "auditkit/key/1" in entry["text"]:
            entry["path"][0] = b64(bytes(32))
    file = Proof.parse(encode(value))
    assert list(key_changes(file)) == []
    assert file_signers(file, (old,)) == (old,)
