"""SPEC.md §4: verifier keys, strict Ed25519, signed notes and checkpoints."""

import base64
from hashlib import sha256

import pytest
from reference import Signer, b64, checkpoint, signed
from refusals import refused

from auditkit.verify.errors import Malformed, Refuted
from auditkit.verify.note import Checkpoint, Note, Signature, VerifierKey, decode_base64

VENUE = "exchange.example/audit"
OURS, OTHER = Signer(VENUE, "note 0"), Signer(VENUE, "note 1")
WITNESS = Signer("witness.example", "note 2")
KEY = VerifierKey.parse(OURS.vkey)
TEXT = f"{VENUE}\n7\n{b64(sha256(b'root').digest())}\n"
L = 2**252 + 27742317777372353535851937790883648493
P = 2**255 - 19


def signature(signer: Signer, text: str) -> bytes:
    return decode_base64(signer.line(text).split(" ")[2].strip())[4:]


def vkey_of(public: bytes, name: str = VENUE, kind: bytes = b"\x01") -> str:
    key_id = sha256(name.encode() + b"\n" + kind + public).digest()[:4]
    return f"{name}+{key_id.hex()}+{b64(kind + public)}"


# Base64.


@pytest.mark.parametrize(
    "text",
    [
        *("", "QQ", "QR==", "QQ==\n", " QQ==", "QQ==QQ==", "Q_8=", "Q-8=", "QUI", "A" * 5),
        *("\u00e9", "\ud800", 1, None, b"QQ==", []),
    ],
)
def test_other_base64_is_malformed(text: object) -> None:
    with refused(Malformed, "not canonical base64"):
        decode_base64(text)


def test_base64_has_the_length_it_must() -> None:
    assert decode_base64("QUI=") == decode_base64("QUI=", 2) == b"AB"
    with refused(Malformed, "not canonical base64 of 3 bytes"):
        decode_base64("QUI=", 3)


# Verifier keys.


def test_a_vkey_is_written_as_it_was_read() -> None:
    assert str(KEY) == OURS.vkey
    assert (KEY.name, KEY.id) == (VENUE, OURS.id)


def test_a_private_key_is_told_and_not_shown() -> None:
    """Go's note package writes private keys in a text that looks much like a vkey."""
    secret = f"PRIVATE+KEY+{VENUE}+c74f20a3+{b64(bytes(33))}"
    with pytest.raises(Malformed, match="a private key, not a verifier key") as caught:
        VerifierKey.parse(secret)
    assert "AAAA" not in str(caught.value)


def test_a_vkey_is_split_at_the_first_two_plus_signs_only() -> None:
    with_plus = next(
        vkey for i in range(99) if "+" in (vkey := Signer("a.b", f"{i}").vkey).split("+", 2)[2]
    )
    assert str(VerifierKey.parse(with_plus)) == with_plus


def test_a_vkey_whose_id_is_another_keys_is_malformed() -> None:
    name, _, encoded = OURS.vkey.split("+", 2)
    for key_id in (OTHER.id.hex(), OURS.id.hex().upper(), OURS.id.hex()[:6], ""):
        with refused(Malformed, "the key id is another key's"):
            VerifierKey.parse(f"{name}+{key_id}+{encoded}")


def test_a_vkey_of_another_type_is_malformed() -> None:
    with refused(Malformed, "not an Ed25519 verifier key; expected type 0x01; found b'\\x04'"):
        VerifierKey.parse(vkey_of(OURS.public[1:], kind=b"\x04"))


@pytest.mark.parametrize("length", [0, 31, 33])
def test_a_vkey_of_another_length_is_malformed(length: int) -> None:
    with refused(Malformed, "not canonical base64 of 33 bytes"):
        VerifierKey.parse(vkey_of(bytes(length)))


@pytest.mark.parametrize("name", ["", "a b", "a\tb", "a\u00a0b", "a\u2028b"])
def test_a_vkey_without_a_proper_name_is_malformed(name: str) -> None:
    with refused(Malformed, "not a key name"):
        VerifierKey.parse(vkey_of(OURS.public[1:], name))


@pytest.mark.parametrize("text", ["", "+", "++", "a", "a+b", "a+b+", OURS.vkey + "\n"])
def test_what_is_no_vkey_at_all_is_malformed(text: str) -> None:
    with refused(Malformed, "not canonical base64"):
        VerifierKey.parse(text)


def test_a_vkey_with_a_lone_surrogate_in_its_name_is_malformed() -> None:
    encoded = b64(OURS.public)
    with pytest.raises(Malformed):
        VerifierKey.parse(f"\udcff+00000000+{encoded}")


# Strict Ed25519.


def test_an_honest_signature_is_accepted() -> None:
    KEY.check(TEXT.encode(), signature(OURS, TEXT))


def test_a_signature_of_something_else_is_false() -> None:
    with refused(Refuted, f"the signature is not this key's; expected by {VENUE}"):
        KEY.check(TEXT.encode() + b"x", signature(OURS, TEXT))
    with refused(Refuted, "the signature is not this key's"):
        KEY.check(TEXT.encode(), signature(OTHER, TEXT))


@pytest.mark.parametrize("length", [0, 1, 32, 63, 65, 128])
def test_a_signature_of_another_length_is_false(length: int) -> None:
    with refused(Refuted, "the signature's R is not canonical"):
        KEY.check(TEXT.encode(), (signature(OURS, TEXT) * 2)[:length])


def test_a_signature_whose_s_is_not_reduced_is_false() -> None:
    honest = signature(OURS, TEXT)
    s = int.from_bytes(honest[32:], "little")
    for other in (s + L, L):
        with refused(Refuted, "the signature's S is not below the group order"):
            KEY.check(TEXT.encode(), honest[:32] + other.to_bytes(32, "little"))


def encoded(y: int, sign: int = 0) -> bytes:
    return (y | sign << 255).to_bytes(32, "little")


ORDER_EIGHT = (
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
)
SMALL = [encoded(1), encoded(P - 1), encoded(0), encoded(0, 1)]
SMALL += [bytes.fromhex(text) for text in ORDER_EIGHT]


def with_torsion(point: bytes) -> bytes:
    """`point` plus the point of order 2, (0, -1): both coordinates are negated."""
    y, sign = int.from_bytes(point, "little") & (1 << 255) - 1, point[31] >> 7
    return encoded(P - y, 1 - sign)


ODD_POINTS = {
    "identity": SMALL[0],
    "order 2": SMALL[1],
    "order 4": SMALL[2],
    "order 4, other sign": SMALL[3],
    "order 8": SMALL[4],
    "order 8, other": SMALL[5],
    "identity with a sign": encoded(1, 1),
    "order 2 with a sign": encoded(P - 1, 1),
    "y of p": encoded(P),
    "y of p + 1": encoded(P + 1),
    "largest y": encoded(2**255 - 1),
    "no point": encoded(2),
    "with torsion": with_torsion(OURS.public[1:]),
}


@pytest.mark.parametrize("point", ODD_POINTS.values(), ids=ODD_POINTS)
def test_a_key_that_is_not_of_full_order_is_false(point: bytes) -> None:
    with refused(Refuted, "the public key is not canonical and of full order"):
        VerifierKey(VENUE, point).check(TEXT.encode(), signature(OURS, TEXT))


@pytest.mark.parametrize("point", ODD_POINTS.values(), ids=ODD_POINTS)
def test_an_r_that_is_not_of_full_order_is_false(point: bytes) -> None:
    with refused(Refuted, "the signature's R is not canonical and of full order"):
        KEY.check(TEXT.encode(), point + signature(OURS, TEXT)[32:])


def test_a_key_and_an_r_of_small_order_sign_nothing() -> None:
    with refused(Refuted, "the public key is not canonical"):
        VerifierKey(VENUE, encoded(1)).check(TEXT.encode(), encoded(1) + bytes(32))


def test_keys_of_either_sign_are_accepted() -> None:
    signers = [Signer(VENUE, f"sign {i}") for i in range(12)]
    assert {signer.public[-1] >> 7 for signer in signers} == {0, 1}
    for signer in signers:
        VerifierKey.parse(signer.vkey).check(TEXT.encode(), signature(signer, TEXT))


# Notes.


def test_a_note_is_written_as_it_was_read() -> None:
    note = signed("a\n\nb\n\n", OURS, WITNESS)
    assert str(Note.parse(note)) == note
    assert Note.parse(note).text == "a\n\nb\n\n"


def test_lines_by_others_are_ignored() -> None:
    Note.parse(signed(TEXT, WITNESS, OTHER, OURS)).check(KEY)


def test_a_broken_line_by_another_is_ignored() -> None:
    broken = f"— {WITNESS.name} {b64(WITNESS.id + bytes(9))}\n"
    same_id = f"— {WITNESS.name} {b64(OURS.id + bytes(64))}\n"
    Note.parse(f"{TEXT}\n{broken}{same_id}{OURS.line(TEXT)}").check(KEY)


def test_no_line_by_the_pinned_key_is_false() -> None:
    with refused(Refuted, "no signature line by the pinned key"):
        Note.parse(signed(TEXT, WITNESS, OTHER)).check(KEY)


def test_a_failing_line_by_the_pinned_key_is_false() -> None:
    note = Note.parse(f"{TEXT}\n{OURS.line(TEXT + 'x')}{WITNESS.line(TEXT)}")
    with refused(Refuted, "the signature is not this key's"):
        note.check(KEY)


def test_a_short_line_by_the_pinned_key_is_false() -> None:
    with refused(Refuted, "the signature's R is not canonical"):
        Note.parse(f"{TEXT}\n— {VENUE} {b64(OURS.id + b'x')}\n").check(KEY)


def test_two_lines_of_one_name_and_id_are_malformed() -> None:
    with refused(Malformed, "two signature lines of one name and key id"):
        Note.parse(f"{TEXT}\n{OURS.line(TEXT)}{OURS.line(TEXT)}")


def test_a_note_has_at_most_100_lines_of_signatures() -> None:
    line = "— w{} " + b64(bytes(9)) + "\n"
    lines = "".join(line.format(i) for i in range(99)) + OURS.line(TEXT)
    Note.parse(f"{TEXT}\n{lines}").check(KEY)
    with refused(Malformed, "1 to 100 signatures"):
        Note.parse(f"{TEXT}\n{lines}{WITNESS.line(TEXT)}")


@pytest.mark.parametrize(
    ("note", "fragment"),
    [
        ("", "each ended by LF"),
        (signed(TEXT, OURS)[:-1], "each ended by LF"),
        (signed(TEXT, OURS).replace("\n", "\r\n"), "without control characters"),
        (signed(TEXT, OURS).replace("7", "\x1b[1m7"), "without control characters"),
        (signed(TEXT, OURS).replace("7", "7\x00"), "without control characters"),
        (signed(TEXT, OURS).replace("7", "7\t"), "without control characters"),
        (TEXT, "ends in a blank line"),
        (TEXT + OURS.line(TEXT), "ends in a blank line"),
        (TEXT + "\n", "ends in a blank line"),
        (signed(TEXT, OURS) + "\n", "not canonical base64"),
        (signed(TEXT, OURS).replace("— ", "- "), "not a signature line"),
        (signed(TEXT, OURS).replace("— ", "—  "), "not canonical base64"),
        (f"{TEXT}\n— {VENUE} {b64(bytes(4))}\n", "not a signature line"),
        (f"{TEXT}\n— {VENUE} AAAAAAB=\n", "not canonical base64"),
        (f"{TEXT}\n— {VENUE}\n", "not canonical base64"),
        (f"{TEXT}\n— a+b {b64(bytes(9))}\n", "not a key name"),
        (f"{TEXT}\n— a\u3000b {b64(bytes(9))}\n", "not a key name"),
        (f"{TEXT}\n—  {b64(bytes(9))}\n", "not a key name"),
        (f"{TEXT}\n{OURS.line(TEXT)[:-1]} \n", "not canonical base64"),
    ],
)
def test_every_other_note_is_malformed(note: str, fragment: str) -> None:
    with refused(Malformed, fragment):
        Note.parse(note)


def test_a_signature_line_of_one_byte_is_read() -> None:
    line = f"— a {b64(b'12345')}"
    assert str(Signature.parse(line)) == line


# Checkpoints.


def test_a_checkpoint_opens_under_its_key() -> None:
    note = checkpoint(VENUE, [b"a", b"b"], OURS)
    opened = Checkpoint.parse(note)
    opened.open(KEY)
    assert (opened.origin, opened.size, str(opened.note)) == (VENUE, 2, note)
    assert opened.note.text == Checkpoint.body(VENUE, 2, opened.root)


def test_a_checkpoint_of_another_venue_is_false() -> None:
    other = Signer("other.example/audit", "note 0")
    with refused(Refuted, "the checkpoint is of another venue"):
        Checkpoint.parse(signed(TEXT, OURS, other)).open(VerifierKey.parse(other.vkey))


def test_a_checkpoint_that_the_key_did_not_sign_does_not_open() -> None:
    with refused(Refuted, "no signature line by the pinned key"):
        Checkpoint.parse(signed(TEXT, OTHER)).open(KEY)


def test_a_checkpoint_has_exactly_three_lines() -> None:
    for text in (TEXT + "extension\n", f"{VENUE}\n7\n", "\n" + TEXT, TEXT + "\n"):
        with refused(Malformed, "a checkpoint has three lines"):
            Checkpoint.parse(signed(text, OURS))


@pytest.mark.parametrize("size", ["0", "1", "9223372036854775807"])
def test_a_size_is_below_2_63(size: str) -> None:
    assert Checkpoint.parse(signed(TEXT.replace("7", size, 1), OURS)).size == int(size)


@pytest.mark.parametrize("size", ["", "00", "07", "-7", "+7", "7.0", " 7", "7 ", "٧", "1" * 20])
def test_a_size_of_another_spelling_is_malformed(size: str) -> None:
    with refused(Malformed, "not a tree size"):
        Checkpoint.parse(signed(f"{VENUE}\n{size}\n{b64(bytes(32))}\n", OURS))


def test_a_size_of_2_63_is_malformed() -> None:
    with refused(Malformed, "a tree size reaches 2^63"):
        Checkpoint.parse(signed(f"{VENUE}\n{2**63}\n{b64(bytes(32))}\n", OURS))


@pytest.mark.parametrize("root", [b"", bytes(31), bytes(33)])
def test_a_root_has_32_bytes(root: bytes) -> None:
    with refused(Malformed, "not canonical base64 of 32 bytes"):
        Checkpoint.parse(signed(f"{VENUE}\n7\n{base64.b64encode(root).decode()}\n", OURS))


@pytest.mark.parametrize("origin", ["", "\ufeff" + VENUE, VENUE.upper(), "https://a b", "ab"])
def test_an_origin_is_a_venue(origin: str) -> None:
    with refused(Malformed, "not a venue"):
        Checkpoint.parse(signed(f"{origin}\n7\n{b64(bytes(32))}\n", OURS))
