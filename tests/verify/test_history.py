"""SPEC.md §4: inclusion and consistency of RFC 9162, held against the naive log."""

import pytest
import reference
from reference import Signer, log_extension, log_path, log_root
from refusals import refused

from auditkit.verify.errors import Malformed, Refuted
from auditkit.verify.history import (
    EMPTY_ROOT,
    MAX_PATH,
    TlogProof,
    check_consistency,
    check_inclusion,
    leaf_hash,
    node_hash,
)
from auditkit.verify.note import Checkpoint

LOG = [bytes([i]) * i for i in range(33)]
SIGNER = Signer("exchange.example/audit", "history")


@pytest.mark.parametrize("size", range(1, 34))
def test_every_entry_is_shown_in_the_log(size: int) -> None:
    for i in range(size):
        path = log_path(i, LOG[:size])
        check_inclusion(leaf_hash(LOG[i]), i, size, log_root(LOG[:size]), path)


@pytest.mark.parametrize("size", range(2, 34))
def test_every_earlier_log_is_extended_by_every_later(size: int) -> None:
    for earlier in range(1, size):
        path = log_extension(earlier, LOG[:size])
        check_consistency(earlier, log_root(LOG[:earlier]), size, log_root(LOG[:size]), path)


def test_the_empty_log_has_the_hash_of_nothing() -> None:
    assert log_root([]) == EMPTY_ROOT


def test_an_entry_and_a_node_are_hashed_apart() -> None:
    assert leaf_hash(b"\x01" * 64) != node_hash(b"\x01" * 32, b"\x01" * 32)
    assert leaf_hash(b"") != EMPTY_ROOT


def test_an_entry_that_is_not_in_the_log_is_false() -> None:
    path = log_path(3, LOG[:7])
    root = log_root(LOG[:7])
    for leaf, index, changed in (
        (leaf_hash(b"other"), 3, path),
        (leaf_hash(LOG[3]), 2, path),
        (leaf_hash(LOG[3]), 3, [path[1], path[0], path[2]]),
        (leaf_hash(LOG[3]), 3, [*path[:2], bytes(32)]),
    ):
        with refused(Refuted, "the entry is not in the log; expected root"):
            check_inclusion(leaf, index, 7, root, changed)


def test_a_log_path_of_another_length_is_false() -> None:
    path, leaf, root = log_path(3, LOG[:7]), leaf_hash(LOG[3]), log_root(LOG[:7])
    with refused(Refuted, "the log path is too short; expected 3 hashes; found 2 hashes"):
        check_inclusion(leaf, 3, 7, root, path[:2])
    with refused(Refuted, "the log path is too long; expected 3 hashes; found 4 hashes"):
        check_inclusion(leaf, 3, 7, root, [*path, bytes(32)])


def test_an_entry_outside_the_log_is_false() -> None:
    for index, size in ((1, 1), (7, 7), (0, 0)):
        with refused(Refuted, "the entry is outside the log"):
            check_inclusion(leaf_hash(LOG[0]), index, size, leaf_hash(LOG[0]), [])


def test_log_hashes_have_32_bytes() -> None:
    leaf = leaf_hash(LOG[0])
    for given, root in ((leaf[:31], leaf[:31]), (leaf, leaf[:31]), (b"", leaf), (b"", b"")):
        with refused(Refuted, "a log hash has 32 bytes"):
            check_inclusion(given, 0, 1, root, [])


def consistency(earlier: int = 3, later: int = 7, path: list[bytes] | None = None) -> None:
    honest = log_extension(3, LOG[:7])
    check_consistency(
        earlier, log_root(LOG[:3]), later, log_root(LOG[:7]), honest if path is None else path
    )


def test_nothing_is_consistent_with_an_empty_log() -> None:
    with refused(Refuted, "consistency needs 0 < earlier size"):
        check_consistency(0, EMPTY_ROOT, 7, log_root(LOG[:7]), [])


def test_an_earlier_log_is_not_larger() -> None:
    with refused(Refuted, "earlier size <= later size"):
        consistency(8)


def test_a_consistency_path_of_another_length_is_false() -> None:
    honest = log_extension(3, LOG[:7])
    with refused(Refuted, "the consistency path is too short"):
        consistency(path=[])
    with refused(Refuted, "the consistency path is too short"):
        consistency(path=honest[:-1])
    with refused(Refuted, "the consistency path is too long"):
        consistency(path=[*honest, bytes(32)])
    with refused(Refuted, "the consistency path is too short"):
        check_consistency(4, log_root(LOG[:4]), 7, log_root(LOG[:7]), [])


def test_a_log_that_does_not_extend_an_earlier_one_is_false() -> None:
    honest = log_extension(3, LOG[:7])
    with refused(Refuted, "the earlier root differs"):
        check_consistency(3, bytes(32), 7, log_root(LOG[:7]), honest)
    with refused(Refuted, "the later root differs"):
        check_consistency(3, log_root(LOG[:3]), 7, bytes(32), honest)
    with refused(Refuted, "the earlier root differs"):
        consistency(path=[bytes(32), *honest[1:]])


def test_a_tlog_proof_is_written_as_it_was_read() -> None:
    for size in (1, 7):
        note = Checkpoint.parse(reference.checkpoint(SIGNER.name, LOG[:size], SIGNER))
        proof = TlogProof(0, tuple(log_path(0, LOG[:size])), note)
        assert TlogProof.parse(str(proof)) == proof
        assert str(proof).startswith("c2sp.org/tlog-proof@v1\nindex 0\n")


def tlog_text(old: str = "", new: str = "", extra: int = 0) -> str:
    note = reference.checkpoint(SIGNER.name, LOG[:7], SIGNER)
    head = ["c2sp.org/tlog-proof@v1", "index 3", *map(reference.b64, log_path(3, LOG[:7]))]
    head += [reference.b64(bytes(32))] * extra
    text = "\n".join(head) + f"\n\n{note}"
    return text.replace(old, new, 1) if old else text


def test_a_tlog_proof_has_at_most_63_hashes() -> None:
    assert len(TlogProof.parse(tlog_text(extra=60)).path) == MAX_PATH
    with refused(Malformed, "not a tlog-proof@v1 text"):
        TlogProof.parse(tlog_text(extra=61))


@pytest.mark.parametrize(
    ("old", "new", "fragment"),
    [
        ("proof@v1", "proof@v2", "not a tlog-proof@v1 text"),
        ("index 3\n", "", "not a tlog-proof@v1 text"),
        ("index 3", "extra YQ==\nindex 3", "not a tlog-proof@v1 text"),
        ("index 3", "index 03", "not an index"),
        ("index 3", "index -3", "not an index"),
        ("index 3", "index ", "not an index"),
        ("index 3", "index ٣", "not an index"),
        ("index 3", "index ³", "not an index"),
        ("index 3", "index " + "3" * 20, "not an index"),
        ("index 3", "index " + "3" * 5000, "not an index"),
        ("index 3", "index 3\nQQ==", "not canonical base64 of 32 bytes"),
        ("\n\n", "\n", "not canonical base64"),
        ("\n7\n", "\n7\n\n", "a checkpoint has three lines"),
    ],
)
def test_every_other_text_is_no_tlog_proof(old: str, new: str, fragment: str) -> None:
    assert TlogProof.parse(tlog_text()).index == 3
    with refused(Malformed, fragment):
        TlogProof.parse(tlog_text(old, new))
