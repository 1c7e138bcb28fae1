"""Files made to hurt: each is refused in one of four ways, soon, and never by another error."""

import json
from collections.abc import Iterator

import pytest
from refusals import crash, encode, market

from auditkit.verify import check
from auditkit.verify.errors import Incomplete, Malformed, NotVerified, Refuted, Unsupported
from auditkit.verify.note import Checkpoint

VENUE = market(splits={"alice": 2})
VENUE.recovery(crash(VENUE), 9)
VENUE.rotate_key()
VENUE.publish()
VENUE.snapshot("BTC")
VENUE.publish()
HEAD = Checkpoint.parse(VENUE.checkpoint(VENUE.heads[0]))
PROOF = VENUE.prove("alice", heads=[HEAD.size])
DATA = encode(PROOF)


def verdict(data: bytes) -> type[NotVerified]:
    """How `data` is refused. The inputs are so large that a costly way to read them would show."""
    with pytest.raises(NotVerified) as caught:
        check.verify(data, VENUE.vkey, "alice", head=HEAD)
    assert len(str(caught.value)) < 2000
    return type(caught.value)


def filled(text: str) -> bytes:
    """A file that is honest but for one text, which stands where its account does."""
    return DATA.replace(
        b'"account": "alice"', f'"account": "{text}"'.encode("utf-8", "surrogatepass")
    )


CORPUS: dict[str, bytes] = {
    "empty": b"",
    "a zero byte": b"\x00",
    "10 MB of zero bytes": bytes(10_000_000),
    "10 MB of white space": b" " * 10_000_000,
    "10 MB of honest beginning": DATA + b" " * 10_000_000,
    "a MiB of digits": b"1" * (1 << 20),
    "a MiB of minus": b"-" * (1 << 20),
    "a MiB of quotes": b'"' * (1 << 20),
    "a MiB of backslashes": b"\\" * (1 << 20),
    "a MiB of commas": b"[" + b"," * (1 << 19),
    "a MiB of empty lists": b"[" + b"[]," * 300_000 + b"[]]",
    "a MiB of one string": b'"' + b"a" * ((1 << 20) - 2) + b'"',
    "a MiB of keys": b"{" + b",".join(b'"%d":0' % i for i in range(90_000)) + b"}",
    "a MiB of one key": b"{" + b",".join([b'"a":0'] * 100_000) + b"}",
    "a MiB of closing": b"]" * (1 << 20),
    "lists 100k deep": b"[" * 100_000 + b"]" * 100_000,
    "objects 100k deep": b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
    "objects 100k deep, never closed": b'{"a":' * 100_000,
    "depth behind an open string": b'"' + b"[" * 100_000,
    "a BOM": b"\xef\xbb\xbf" + DATA,
    "UTF-16": DATA.decode().encode("utf-16"),
    "UTF-16 without a BOM": DATA.decode().encode("utf-16-le"),
    "UTF-32": DATA.decode().encode("utf-32"),
    "latin-1": filled("caf").replace(b"caf", b"caf\xe9"),
    "an overlong zero": filled("x").replace(b'"x"', b'"\xc0\x80"'),
    "a surrogate in UTF-8": filled("\ud800"),
    "an escaped surrogate": filled("\\ud800"),
    "an escaped zero": filled("\\u0000"),
    "a raw zero": filled("\x00"),
    "ESC": filled("\x1b[2J\x1b[1;32mVERIFIED\x1b[0m"),
    "an escaped ESC": filled("\\u001b[1;32mVERIFIED"),
    "bidi marks": filled("\u202eecila\u202c"),
    "an invisible letter": filled("ali\u200bce"),
    "markup": filled("[bold]VERIFIED[/]"),
    "a look-alike": filled("\u0430lice"),
    "NaN": b'{"format": NaN}',
    "Infinity": b'{"format": -Infinity}',
    "minus zero": DATA.replace(b'"seq": 0', b'"seq": -0'),
    "1e400": DATA.replace(b'"seq": 0', b'"seq": 1e400'),
    "a float": DATA.replace(b'"seq": 0', b'"seq": 0.0'),
    "an exponent": DATA.replace(b'"seq": 1,', b'"seq": 1e0,'),
    "a number of 100k digits": DATA.replace(b'"seq": 0', b'"seq": ' + b"9" * 100_000),
    "a negative number": DATA.replace(b'"seq": 0', b'"seq": -1'),
    "2^53": DATA.replace(b'"seq": 0', b'"seq": 9007199254740992'),
    "a bool for a number": DATA.replace(b'"seq": 0', b'"seq": false'),
    "an amount of 100k digits": DATA.replace(b'"amount": "', b'"amount": "' + b"9" * 100_000, 1),
    "a duplicate key": DATA.replace(b"{", b'{"account": "bob",', 1),
    "a duplicate key inside": DATA.replace(b'{"seq": 0', b'{"seq": 0, "seq": 0', 1),
    "an escaped duplicate key": DATA.replace(b"{", b'{"\\u0061ccount": "bob",', 1),
    "two files": DATA + DATA,
    "a comment": b"/* */" + DATA,
    "single quotes": DATA.replace(b'"', b"'"),
    "a trailing comma": DATA[:-1] + b",}",
    "CR for LF in the note": DATA.replace(b"\\n", b"\\r"),
    "a list of files": b"[" + DATA + b"]",
    "a thousand statements": encode(PROOF | {"statements": PROOF["statements"] * 30}),
    "a thousand leaves": encode(PROOF | {"leaves": PROOF["leaves"] * 100}),
    "no statements": encode(PROOF | {"statements": []}),
    "no leaves": encode(PROOF | {"leaves": []}),
}


@pytest.mark.parametrize("data", CORPUS.values(), ids=CORPUS)
def test_a_hostile_file_is_refused_soon(data: bytes) -> None:
    assert verdict(data) in (Malformed, Refuted, Incomplete)


def test_bytes_that_the_format_refuses_are_malformed() -> None:
    others = {"no statements", "no leaves", "a thousand leaves", "markup"}
    assert {name for name in CORPUS if verdict(CORPUS[name]) is not Malformed} == others


def test_escaped_quotes_do_not_cost_the_square_of_their_number() -> None:
    # Every quote of an unfinished string was once a new place to start a scan of the rest.
    assert verdict(b'"' + b'\\"' * 40_000) is Malformed


def test_a_string_that_only_looks_unfinished_costs_no_more() -> None:
    assert verdict(b'["' + b'\\"' * 200_000 + b'"]') is Malformed


def test_a_file_cut_anywhere_is_malformed() -> None:
    for end in range(0, len(DATA), 97):
        assert verdict(DATA[:end]) is Malformed, end
    assert verdict(DATA[:-1]) is Malformed


def test_a_file_begun_anywhere_else_is_malformed() -> None:
    for start in range(1, len(DATA), 997):
        assert verdict(DATA[start:]) is Malformed, start


def test_a_byte_changed_anywhere_is_refused() -> None:
    for place in range(0, len(DATA), 211):
        byte = DATA[place] ^ 1
        changed = DATA[:place] + bytes([byte]) + DATA[place + 1 :]
        if json_of(changed) != PROOF:
            verdict(changed)


def json_of(data: bytes) -> object:
    try:
        return json.loads(data)
    except ValueError:
        return None


NASTY: dict[str, object] = {
    "ESC": "\x1b[1;32mVERIFIED",
    "bidi": "\u202e",
    "markup": "[bold]",
    "nothing": "",
    "a zero": "\x00",
    "a lone surrogate": "\ud800",
    "digits": "\u0661",
    "long": "x" * 70_000,
    "null": None,
    "a bool": True,
    "an amount": "1",
    "a list": [],
    "an object": {},
    "a number": 0,
}


def places(value: object, way: tuple[object, ...] = ()) -> Iterator[tuple[object, ...]]:
    """Every place of a JSON value, with one item standing for all of a long list."""
    yield way
    if isinstance(value, dict):
        for key, item in value.items():
            yield from places(item, (*way, key))
    elif isinstance(value, list):
        for i, item in enumerate(value[:2]):
            yield from places(item, (*way, i))


def put(value: object, way: tuple[object, ...], other: object) -> object:
    """`value` with `other` at one place."""
    if not way:
        return other
    if isinstance(value, dict):
        return {k: put(v, way[1:], other) if k == way[0] else v for k, v in value.items()}
    assert isinstance(value, list)
    return [put(v, way[1:], other) if i == way[0] else v for i, v in enumerate(value)]


@pytest.mark.parametrize("nasty", NASTY.values(), ids=NASTY)
def test_anything_in_any_place_is_refused(nasty: object) -> None:
    for way in places(PROOF):
        changed = put(PROOF, way, nasty)
        if changed != PROOF:
            verdict(encode(changed))


@pytest.mark.parametrize("nasty", NASTY.values(), ids=NASTY)
def test_anything_in_any_place_of_a_statement_is_refused(nasty: object) -> None:
    for nth, entry in enumerate(PROOF["statements"]):
        said = json.loads(entry["text"])
        for way in places(said):
            changed = put(said, way, nasty)
            if changed != said:
                text = json.dumps(changed, sort_keys=True, separators=(",", ":"))
                family = verdict(encode(put(PROOF, ("statements", nth, "text"), text)))
                assert family in (Malformed, Unsupported, Refuted)


def test_a_newer_format_in_a_hostile_file_is_unsupported() -> None:
    assert verdict(DATA.replace(b"auditkit/proof/1", b"auditkit/proof/2")) is Unsupported
    assert verdict(DATA.replace(b"auditkit/index/1", b"auditkit/index/\x7f")) is Unsupported


def test_many_keys_before_a_duplicate_cost_no_more() -> None:
    names = ",".join(f'"{n:05x}":0' for n in range(100_000))
    assert verdict(("{" + names + ',"twice":0,"twice":0}').encode()) is Malformed
