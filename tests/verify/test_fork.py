"""SPEC.md §4, "Forks": evidence that holds anywhere, and every way in which it may lie."""

import json
from typing import Any

import pytest
from reference import Signer, b64, checkpoint, log_extension, log_root, signed
from refusals import encode, refused

from auditkit.verify.errors import Malformed, Refuted, Unsupported
from auditkit.verify.fork import MAX_BYTES, Fork, fork_of
from auditkit.verify.history import implied_roots
from auditkit.verify.note import Checkpoint, VerifierKey

VENUE = "exchange.example/audit"
ONE, OTHER = Signer(VENUE, "fork"), Signer(VENUE, "fork, its next key")
KEY, NEXT = VerifierKey.parse(ONE.vkey), VerifierKey.parse(OTHER.vkey)
TOLD = [bytes([i]) * 3 for i in range(20)]
"""The entries as one audience was told them; another was told another entry 4."""
RETOLD = [*TOLD[:4], b"retold", *TOLD[5:]]


def head(entries: list[bytes], size: int, *keys: Signer, origin: str = VENUE) -> Checkpoint:
    return Checkpoint.parse(checkpoint(origin, entries[:size], *(keys or (ONE,))))


def same_size(size: int = 7) -> dict[str, Any]:
    """The evidence file of two logs of one size, as a foreign tool would write it."""
    notes = [checkpoint(VENUE, log[:size], ONE) for log in (TOLD, RETOLD)]
    return {"format": "auditkit/fork/1", "first": notes[0], "second": notes[1]}


def other_size(size: int = 7, later: int = 12) -> dict[str, Any]:
    """The evidence file of a log that does not begin with an earlier one."""
    return {
        "format": "auditkit/fork/1",
        "first": checkpoint(VENUE, TOLD[:size], ONE),
        "second": checkpoint(VENUE, RETOLD[:later], ONE),
        "prefix": b64(log_root(RETOLD[:size])),
        "path": [b64(node) for node in log_extension(size, RETOLD[:later])],
    }


def check(evidence: object, *keys: VerifierKey) -> tuple[VerifierKey, ...]:
    return Fork.parse(encode(evidence)).check(*(keys or (KEY,)))


def test_two_roots_of_one_size_are_a_fork() -> None:
    for size in range(5, 21):
        assert check(same_size(size)) == (KEY,)


def test_a_later_log_that_begins_otherwise_is_a_fork() -> None:
    for later in range(6, 21):
        for size in range(5, later):
            assert check(other_size(size, later)) == (KEY,)


def test_the_evidence_is_written_as_it_was_read() -> None:
    for evidence in (same_size(), other_size()):
        fork = Fork.parse(encode(evidence))
        assert json.loads(fork.encode()) == evidence
        assert Fork.parse(fork.encode().encode()) == fork


def test_what_is_written_is_printable_on_any_screen() -> None:
    odd = Signer("wit\x7fness\u202e", "odd")
    fork = fork_of(head(TOLD, 7, ONE, odd), head(RETOLD, 7, odd, ONE))
    text = fork.encode()
    assert text.isascii()
    assert text.startswith('{\n "format": "auditkit/fork/1",\n "first": "exchange.example/audit')
    assert text.endswith("}\n")
    assert text.replace("\n", "").isprintable()
    assert Fork.parse(text.encode()) == fork


# What the file breaks by itself.

BREAKS: list[tuple[dict[str, Any], dict[str, Any], str]] = [
    (same_size(), {"first": ...}, "unknown or missing fields; found first"),
    (same_size(), {"second": ...}, "unknown or missing fields; found second"),
    (same_size(), {"key": ONE.vkey}, "unknown or missing fields; found key"),
    (same_size(), {"root": b64(bytes(32))}, "unknown or missing fields; found root"),
    (same_size(), {"path": []}, "unknown or missing fields; found prefix"),
    (same_size(), {"prefix": b64(bytes(32))}, "unknown or missing fields; found path"),
    (same_size(), {"prefix": None, "path": []}, "prefix: not canonical base64"),
    (same_size(), {"prefix": b64(bytes(32)), "path": []}, "belong to a fork of different sizes"),
    (same_size(), {"format": ...}, "not a fork's evidence; expected auditkit/fork/1"),
    (same_size(), {"format": 1}, "not a fork's evidence; expected auditkit/fork/1"),
    (same_size(), {"format": "auditkit/proof/1"}, "not a fork's evidence; expected"),
    (same_size(), {"first": 1}, "first: not a checkpoint"),
    (same_size(), {"second": ""}, "second: a note is lines"),
    (other_size(), {"prefix": ..., "path": ...}, "belong to a fork of different sizes"),
    (other_size(), {"prefix": ...}, "unknown or missing fields; found prefix"),
    (other_size(), {"path": ...}, "unknown or missing fields; found path"),
    (other_size(), {"prefix": b64(bytes(31))}, "prefix: not canonical base64 of 32 bytes"),
    (other_size(), {"prefix": "00" * 32}, "prefix: not canonical base64 of 32 bytes"),
    (other_size(), {"prefix": None}, "prefix: not canonical base64 of 32 bytes"),
    (other_size(), {"path": "x"}, "path: not a list"),
    (other_size(), {"path": [b64(bytes(33))]}, "path[0]: not canonical base64 of 32 bytes"),
    (other_size(), {"path": [b64(bytes(32))] * 64}, "path: more than 63 path hashes"),
    (other_size(), {"first": other_size()["second"], "second": other_size()["first"]}, "0 < the"),
    (other_size(), {"first": checkpoint(VENUE, [], ONE)}, "0 < the first size <= the second"),
]


@pytest.mark.parametrize(("evidence", "edits", "fragment"), BREAKS)
def test_what_the_file_breaks_by_itself_is_malformed(
    evidence: dict[str, Any], edits: dict[str, Any], fragment: str
) -> None:
    changed = {k: v for k, v in (evidence | edits).items() if v is not ...}
    with refused(Malformed, fragment):
        check(changed)


@pytest.mark.parametrize(
    ("data", "fragment"),
    [
        (b"", "not JSON"),
        (b"\xef\xbb\xbf" + encode(same_size()), "not JSON"),
        (encode(same_size()).decode().encode("utf-16"), "is UTF-8"),
        (b'{"format": "\xff"}', "is UTF-8"),
        (b"[]", "not a JSON object"),
        (b'"auditkit/fork/1"', "not a JSON object"),
        (b"{}", "not a fork's evidence"),
        (encode(same_size())[:-1] + b', "first": ""}', "duplicate key"),
        (b"[" * 1000, "nested deeper"),
        (checkpoint(VENUE, TOLD, ONE).encode(), "not JSON"),
    ],
)
def test_bytes_that_are_no_evidence_are_malformed(data: bytes, fragment: str) -> None:
    with refused(Malformed, fragment):
        Fork.parse(data)


def test_evidence_has_at_most_64_kibibytes() -> None:
    data = encode(same_size())
    Fork.parse(data + b" " * (MAX_BYTES - len(data)))
    with refused(Malformed, "more than 64 KiB; found 65537 bytes"):
        Fork.parse(data + b" " * (MAX_BYTES - len(data) + 1))


def test_a_newer_format_is_unsupported() -> None:
    with refused(Unsupported, "a format this version does not know"):
        check(same_size() | {"format": "auditkit/fork/2"})


def test_checkpoints_of_two_venues_are_no_fork() -> None:
    other = Signer("other.example/audit", "fork")
    for second in (checkpoint(other.name, RETOLD[:7], other), checkpoint(other.name, TOLD, ONE)):
        with refused(Malformed, "checkpoints of two venues; expected exchange.example/audit"):
            check(same_size() | {"second": second})


# What is well-formed and false.


def test_one_checkpoint_twice_is_no_fork() -> None:
    for evidence in (same_size(), other_size()):
        with refused(Refuted, "no fork: the two are one log"):
            check(
                {"format": evidence["format"], "first": evidence["first"]}
                | {"second": evidence["first"]}
            )


def test_one_root_signed_twice_is_no_fork() -> None:
    text = Checkpoint.parse(same_size()["first"]).note.text
    with refused(Refuted, "no fork: the two are one log"):
        check(same_size() | {"second": signed(text, Signer("witness.example", "w"), ONE)})


def test_a_log_that_extends_the_other_is_no_fork() -> None:
    for size in range(1, 12):
        evidence = other_size(size) | {"second": checkpoint(VENUE, TOLD[:12], ONE)}
        evidence["prefix"] = b64(log_root(TOLD[:size]))
        evidence["path"] = [b64(node) for node in log_extension(size, TOLD[:12])]
        with refused(Refuted, "no fork: the prefix is the first's own root"):
            check(evidence)


@pytest.mark.parametrize("size", [5, 6, 7, 8, 11])
def test_a_path_that_does_not_hold_is_no_fork(size: int) -> None:
    honest = other_size(size)
    of_first = [b64(node) for node in log_extension(size, TOLD[:12])]
    odd = [b64(bytes(32))]
    for edits, fragment in (
        ({"path": of_first}, "root differs"),
        ({"path": honest["path"][:-1]}, "path is too short"),
        ({"path": honest["path"] + odd}, "path is too long"),
        ({"path": []}, "path is too short"),
        ({"path": odd + honest["path"][1:]}, "the later log does not extend the earlier one"),
        ({"path": honest["path"][:-1] + odd}, "root differs"),
        ({"prefix": odd[0]}, "root differs"),
        ({"second": checkpoint(VENUE, TOLD[:12], ONE)}, "the later root differs"),
    ):
        if edits.get("path") == honest["path"]:
            continue  # Of size 8 the path lies above the entry retold.
        with refused(Refuted, fragment):
            check(honest | edits)


def test_unsigned_checkpoints_accuse_nobody() -> None:
    stranger = Signer("stranger.example", "s")
    for evidence in (same_size(), other_size()):
        for place in ("first", "second"):
            text = Checkpoint.parse(evidence[place]).note.text
            for forger in (stranger, OTHER):
                with refused(Refuted, f"{place}: no signature line by the pinned key"):
                    check(evidence | {place: signed(text, forger)})


def test_a_signature_of_something_else_accuses_nobody() -> None:
    for evidence in (same_size(), other_size()):
        for place, other in (("first", "second"), ("second", "first")):
            line = evidence[other].partition("\n\n")[2]
            text = Checkpoint.parse(evidence[place]).note.text
            with refused(Refuted, f"{place}: the signature is not this key's"):
                check(evidence | {place: f"{text}\n{line}"})


def test_a_key_of_another_venue_proves_nothing() -> None:
    other = VerifierKey.parse(Signer("other.example/audit", "fork").vkey)
    with refused(Refuted, "first: the checkpoint is of another venue"):
        check(same_size(), other)


# Two keys of one venue.


def test_a_fork_across_a_change_of_key_needs_both_keys() -> None:
    evidence = other_size() | {"second": checkpoint(VENUE, RETOLD[:12], OTHER)}
    assert check(evidence, KEY, NEXT) == check(evidence, NEXT, KEY) == ()
    with refused(Refuted, "second: no signature line by the pinned key"):
        check(evidence, KEY)
    with refused(Refuted, "first: no signature line by the pinned key"):
        check(evidence, NEXT)


def test_the_key_that_signed_both_is_named_among_several() -> None:
    both = other_size() | {"second": checkpoint(VENUE, RETOLD[:12], ONE, OTHER)}
    assert check(both, NEXT, KEY) == (KEY,)
    assert check(both, KEY, KEY) == (KEY,)
    with refused(Refuted, "second: the signature is not this key's"):
        check(both | {"second": forged(both["second"])}, KEY, NEXT)
    with refused(Refuted, "first: no signature line by the pinned key"):
        check(both | {"first": checkpoint(VENUE, TOLD[:7], Signer(VENUE, "third"))}, KEY, NEXT)


def forged(note: str) -> str:
    """The note with the last line's signature changed."""
    line = Checkpoint.parse(note).note.signatures[-1]
    bad = b64(line.key_id + line.value[:-33] + bytes([line.value[-33] ^ 1]) + line.value[-32:])
    return note.replace(str(line), f"— {line.name} {bad}")


# Making evidence.


def test_evidence_is_the_same_whoever_writes_it() -> None:
    told, retold = head(TOLD, 7), head(RETOLD, 7)
    assert fork_of(told, retold) == fork_of(retold, told)
    path = tuple(log_extension(7, RETOLD[:12]))
    prefix = log_root(RETOLD[:7])
    for pair in ((told, head(RETOLD, 12)), (head(RETOLD, 12), told)):
        fork = fork_of(*pair, prefix, path)
        assert (fork.first.size, fork.second.size) == (7, 12)
        assert fork.check(KEY) == (KEY,)
        assert json.loads(fork.encode()) == other_size()


def test_no_evidence_is_made_of_what_is_no_fork() -> None:
    path, prefix = tuple(log_extension(7, TOLD[:12])), log_root(TOLD[:7])
    empty = Checkpoint.parse(checkpoint(VENUE, [], ONE))
    lies: list[tuple[Any, ...]] = [
        (head(TOLD, 7), head(TOLD, 7)),
        (head(TOLD, 7), head(RETOLD, 12)),
        (head(TOLD, 7), head(TOLD, 12), prefix, path),
        (head(TOLD, 7), head(RETOLD, 12), prefix, path),
        (head(TOLD, 7), head(RETOLD, 12), log_root(RETOLD[:7]), path),
        (head(TOLD, 7), head(RETOLD, 7), log_root(RETOLD[:7]), ()),
        (empty, empty),
        (empty, head(TOLD, 7), log_root([]), ()),
        (head(TOLD, 7), head(RETOLD, 7, origin="other.example/audit")),
    ]
    for lie in lies:
        with pytest.raises(Malformed):
            fork_of(*lie)


def test_lines_below_a_checkpoint_do_not_prevent_evidence() -> None:
    crowd = [Signer(f"w{i}.example/{'x' * 500}", str(i)) for i in range(98)]
    small = [Signer(f"w{i}.example", str(i)) for i in range(9)]
    whole = fork_of(head(TOLD, 7, ONE, *small), head(RETOLD, 7, ONE, *small))
    assert len(whole.first.note.signatures) == 10
    fork = fork_of(head(TOLD, 7, OTHER, *crowd, ONE), head(RETOLD, 7, ONE, *crowd))
    assert len(fork.encode()) < MAX_BYTES
    assert {len(each.note.signatures) for each in (fork.first, fork.second)} == {1, 2}
    assert Fork.parse(fork.encode().encode()).check(KEY) == (KEY,)


def test_evidence_that_just_fits_stays_whole() -> None:
    note = fork_of(head(TOLD, 7), head(RETOLD, 7))
    for extra, lines in ((0, 2), (1, 1)):
        room = MAX_BYTES + extra - len(note.encode())
        line = len(Signer("x", "w").line("")) + 1 + len("\\u2014") - len("—")
        odd = Signer("x" * (1 + room - line), "w")
        fork = fork_of(head(TOLD, 7, ONE, odd), head(RETOLD, 7))
        counts = {len(each.note.signatures) for each in (fork.first, fork.second)}
        assert max(counts) == lines
        assert len(fork.encode()) == (MAX_BYTES if lines == 2 else len(note.encode()))


# What a path implies.


def test_no_path_leads_from_nothing_or_from_all() -> None:
    for size in (0, 7, 8):
        with refused(Refuted, "consistency needs 0 < earlier size <= later size"):
            implied_roots(size, log_root(TOLD[:size]), 7, [])
    with refused(Refuted, "consistency needs 0 < earlier size <= later size"):
        implied_roots(8, log_root(TOLD[:8]), 8, [])


@pytest.mark.parametrize("later", range(2, 21))
def test_a_path_implies_both_roots(later: int) -> None:
    for size in range(1, later):
        path = log_extension(size, TOLD[:later])
        claimed = log_root(TOLD[:size]) if size & (size - 1) == 0 else bytes(32)
        roots = implied_roots(size, claimed, later, path)
        assert roots == (log_root(TOLD[:size]), log_root(TOLD[:later]))
