"""SPEC.md §7: the customer's file, and what makes it malformed."""

import copy
import json
from typing import Any

import pytest
from reference import b64
from refusals import crash, encode, market, refused, told, verify

from auditkit.verify import check
from auditkit.verify.errors import Malformed, Unsupported
from auditkit.verify.proof import MAX_BYTES, Proof

VENUE = market()
crash(VENUE)
VENUE.publish()
crash(VENUE)
VENUE.publish()
PROOF = VENUE.prove("alice", heads=VENUE.heads[:1])


def changed(place: str, value: object) -> dict[str, Any]:
    """The honest file with one thing changed, added, or (...) removed."""
    proof = copy.deepcopy(PROOF)
    inner: Any = proof
    *way, last = [int(part) if part.isdecimal() else part for part in place.split(".")]
    for part in way:
        inner = inner[part]
    if value is ...:
        del inner[last]
    else:
        inner[last] = value
    return proof


def parse(proof: object) -> Proof:
    return Proof.parse(encode(proof))


def test_a_file_is_written_as_it_was_read() -> None:
    for proof in (PROOF, {k: v for k, v in PROOF.items() if k != "consistency"}):
        parsed = parse(proof)
        assert json.loads(parsed.encode()) == proof
        assert Proof.parse(parsed.encode()) == parsed
        assert verify(VENUE, json.loads(parsed.encode())).account == "alice"


def test_a_written_file_is_indented_and_ends_in_a_line() -> None:
    text = parse(PROOF).encode().decode()
    assert text.startswith('{\n "format": "auditkit/proof/1",\n "account": "alice",\n')
    assert text.endswith("\n}\n")


def test_the_statements_are_shown_by_their_seq() -> None:
    assert list(parse(PROOF).shown()) == [entry["seq"] for entry in PROOF["statements"]]


def test_white_space_is_free() -> None:
    text = json.dumps(PROOF, indent="\t").replace("\n", "\r\n")
    assert Proof.parse(f" \n\t\r{text}\n ".encode()) == parse(PROOF)


def test_a_file_has_at_most_one_mebibyte() -> None:
    data = encode(PROOF)
    assert Proof.parse(data + b" " * (MAX_BYTES - len(data))) == parse(PROOF)
    with refused(Malformed, "more than 1 MiB; found 1048577 bytes"):
        Proof.parse(data + b" " * (MAX_BYTES - len(data) + 1))


@pytest.mark.parametrize(
    ("data", "fragment"),
    [
        (b"", "not JSON"),
        (b"\xef\xbb\xbf" + encode(PROOF), "not JSON"),
        (encode(PROOF).decode().encode("utf-16"), "is UTF-8"),
        (b'{"format": "\xff"}', "is UTF-8"),
        (b'{"format": "\xed\xa0\x80"}', "is UTF-8"),
        (b"[]", "not a JSON object"),
        (b'"auditkit/proof/1"', "not a JSON object"),
        (b"{}", "no format"),
        (b'{"format": 1}', "no format"),
        (b'{"format": ["auditkit/proof/1"]}', "no format"),
        (b'{"format": "auditkit/proof/1", "format": "auditkit/proof/1"}', "duplicate key"),
        (b'{"format": "auditkit/proof/1"}', "unknown or missing fields"),
    ],
)
def test_bytes_that_are_no_proof_are_malformed(data: bytes, fragment: str) -> None:
    with refused(Malformed, fragment):
        Proof.parse(data)


LONG = [b64(bytes(32))] * 64

RULES: list[tuple[str, object, str]] = [
    ("account", "-", "account: not an account name"),
    ("account", "al ice", "account: not an account name"),
    ("account", 1, "account: not an account name"),
    ("hash", "sha256", "unknown or missing fields; found hash"),
    ("account", ..., "unknown or missing fields; found account"),
    ("checkpoint", ..., "unknown or missing fields; found checkpoint"),
    ("statements", ..., "unknown or missing fields; found statements"),
    ("leaves", ..., "unknown or missing fields; found leaves"),
    ("checkpoint", 1, "checkpoint: not a checkpoint"),
    ("checkpoint", "", "checkpoint: a note is lines"),
    ("statements", {}, "statements: not a list"),
    ("statements.0", "x", "statements[0]: not an object"),
    ("statements.0.note", "x", "statements[0]: unknown or missing fields; found note"),
    ("statements.0.path", ..., "statements[0]: unknown or missing fields; found path"),
    ("statements.0.seq", "0", "statements[0].seq: not an integer"),
    ("statements.0.text", {}, "statements[0].text: not a statement's text"),
    ("statements.0.text", "", "statements[0].text.character 0: not JSON"),
    ("statements.1.seq", 0, "statements: not strictly ascending"),
    ("statements.0.seq", 2, "statements: not strictly ascending"),
    ("statements.0.path", "x", "statements[0].path: not a list"),
    ("statements.0.path.0", "x", "statements[0].path[0]: not canonical base64"),
    ("statements.0.path.0", b64(bytes(31)), "path[0]: not canonical base64 of 32 bytes"),
    ("statements.0.path", LONG, "statements[0].path: more than 63 path hashes"),
    ("leaves", None, "leaves: not a list"),
    ("leaves.0.account", "alice", "leaves[0]: unknown or missing fields; found account"),
    ("leaves.0.salt", ..., "leaves[0]: unknown or missing fields; found salt"),
    ("leaves.0.seq", "0", "leaves[0].seq: not an integer"),
    ("leaves.0.seq", -1, "not an integer from 0 to"),
    ("leaves.0.book", "Margin", "leaves[0].book: not a book name"),
    ("leaves.0.index", 1.0, "only integers are numbers"),
    ("leaves.0.amount", 5, "leaves[0].amount: not an amount"),
    ("leaves.0.amount", str(2**128), "leaves[0].amount: an amount reaches 2^128"),
    ("leaves.0.salt", "00", "leaves[0].salt: not 32 bytes"),
    ("leaves.0.salt", "0" * 62, "leaves[0].salt: not 32 bytes"),
    ("leaves.0.path.0", "0" * 95, "leaves[0].path[0]: not 48 bytes"),
    ("leaves.0.path.0", "0" * 97, "leaves[0].path[0]: not 48 bytes"),
    ("leaves.0.path.0", "0" * 64, "leaves[0].path[0]: not 48 bytes"),
    ("leaves.0.path.0", "A" * 96, "leaves[0].path[0]: not 48 bytes"),
    ("consistency", {}, "consistency: not a list"),
    ("consistency.0.root", "x", "consistency[0]: unknown or missing fields; found root"),
    ("consistency.0.size", 0, f"not below the checkpoint's; expected 1 to {VENUE.heads[1] - 1}; "),
    ("consistency.0.size", VENUE.heads[1], "a size that is not below the checkpoint's"),
    ("consistency.0.path", LONG, "consistency[0].path: more than 63 path hashes"),
    ("consistency", PROOF["consistency"] * 2, "consistency: not strictly ascending"),
    ("account", "\ud800", "a lone surrogate in a string"),
]


@pytest.mark.parametrize(
    ("place", "value", "fragment"), RULES, ids=[f"{r[0]}-{r[1]!r}"[:50] for r in RULES]
)
def test_what_the_file_breaks_by_itself_is_malformed(
    place: str, value: object, fragment: str
) -> None:
    with refused(Malformed, fragment, "1"):
        verify(VENUE, changed(place, value))


def test_what_is_just_allowed_is_read() -> None:
    assert len(parse(changed("statements.0.path", LONG[1:])).statements[0].path) == 63
    assert len(parse(changed("consistency.0.path", LONG[1:])).consistency[0].path) == 63
    assert parse(changed("consistency.0.size", 1)).consistency[0].size == 1
    below = VENUE.heads[1] - 1
    assert parse(changed("consistency.0.size", below)).consistency[0].size == below
    assert parse(changed("consistency", [])) == parse(changed("consistency", ...))


def test_another_format_is_unsupported() -> None:
    for name in ("auditkit/proof/2", "", "auditkit/policy/1"):
        with refused(Unsupported, "a proof of a format this version does not know", "1"):
            verify(VENUE, changed("format", name))


def test_unsupported_goes_before_malformed_wherever_it_stands() -> None:
    last = PROOF["statements"][-1]["text"].replace("auditkit/index/1", "auditkit/index/2")
    proof = changed(f"statements.{len(PROOF['statements']) - 1}.text", last)
    proof |= {"account": "-", "hash": "sha256", "checkpoint": ""}
    with refused(Unsupported, "a statement of a format this version does not know", "1"):
        verify(VENUE, proof)
    proof = changed("statements.0.text", PROOF["statements"][0]["text"].replace("median", "mean"))
    with refused(Unsupported, "an unknown mark_rule", "1"):
        verify(VENUE, proof | {"account": "-"})


def test_a_file_whose_statements_cannot_be_looked_at_is_malformed() -> None:
    for statements in ("x", [1], [{"text": 1}], [{"text": ["x"]}], [None]):
        with refused(Malformed, "statements", "1"):
            verify(VENUE, changed("statements", statements))


def test_an_honest_file_verifies() -> None:
    assert told(VENUE).account == "alice"
    assert check.verify(encode(PROOF), VENUE.vkey, "alice").account == "alice"
