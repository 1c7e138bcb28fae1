"""SPEC.md §4, Witnesses: `cosignature/v1`, held against another hand's and against OpenSSL."""

import subprocess
from hashlib import sha256
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from reference import Signer, Witness, b64, signed
from refusals import refused

from auditkit.verify.cosignature import TIME_LIMIT, WitnessKey, cosigned, cosigned_message
from auditkit.verify.errors import Malformed, NotVerified, Refuted
from auditkit.verify.note import Ed25519Key, Note, Signature, VerifierKey, decode_base64

VENUE = "exchange.example/audit"
LOG = Signer(VENUE, "cosignature 0")
ANN, BEN = Witness("ann.example/witness", "cosignature 1"), Witness("ben.example", "cosignature 2")
KEY = WitnessKey.parse(ANN.vkey)
TEXT = f"{VENUE}\n7\n{b64(sha256(b'root').digest())}\n"
NOON = 1_760_097_600
# A witness that others run, over the checkpoint of a log of Certificate Transparency.
PUBLIC_KEY = (
    "witness.navigli.sunlight.geomys.org+a3e00fe2+BNy/co4C1Hn1p+INwJrfUlgz7W55dSZReusH/GhUhJ/G"
)
PUBLIC = """coachandhorses2026h1.staging.certificate.transparency.goog
185550722
YXAM0VmnrfvLaBCOOYSJhCaE5F10oGBOo+hkbDa1kng=

— coachandhorses2026h1.staging.certificate.transparency.goog \
MpXgsHy8ZwxXnO+WjtVrPxAzL49Rs1gWTkNVNeEa//5peAzaocRCB3qt3EaibjzY5GILLtGgBP7dBhgcSHy+JQh0OAc=
— witness.navigli.sunlight.geomys.org \
o+AP4gAAAABqb7DzNrGFRJnQ9vrJ8xpnwZytnr/ZYczDIsvwvouiSjwOjn7a72ccxBk+lKnZ7dKqkYKER1s/KxLTaVwQD7lJZTC/CQ==
"""


def note(*lines: str, text: str = TEXT) -> Note:
    return Note.parse(signed(text, LOG) + "".join(lines))


def line(witness: Witness, time: int, text: str = TEXT) -> Signature:
    return Signature.parse(witness.cosign(text, time).rstrip("\n"))


# Keys.


def test_a_witness_key_is_written_as_it_was_read() -> None:
    assert str(KEY) == ANN.vkey
    assert (KEY.name, KEY.id, KEY.kind) == (ANN.name, ANN.id, b"\x04")


@pytest.mark.parametrize("name", ["w", "Example.COM", "oid/1.2.3", "zürich.example", "a_b~c!"])
def test_the_name_of_a_witness_is_no_venue(name: str) -> None:
    witness = Witness(name, "cosignature 3")
    assert str(WitnessKey.parse(witness.vkey)) == witness.vkey
    assert cosigned(note(witness.cosign(TEXT, 1)), WitnessKey.parse(witness.vkey)) == 1


def test_a_key_of_a_log_is_no_key_of_a_witness_nor_the_other_way_round() -> None:
    with refused(Malformed, "not an Ed25519 verifier key; expected type 0x04; found b'\\x01'"):
        WitnessKey.parse(LOG.vkey)
    with refused(Malformed, "not an Ed25519 verifier key; expected type 0x01; found b'\\x04'"):
        VerifierKey.parse(ANN.vkey)
    keys: list[Ed25519Key] = [WitnessKey(ANN.name, KEY.public), VerifierKey(ANN.name, KEY.public)]
    assert keys[0] != keys[1]
    assert keys[0].id != keys[1].id


# Cosignatures.


@pytest.mark.parametrize("time", [0, 1, NOON, TIME_LIMIT - 1])
def test_a_cosignature_tells_its_time(time: int) -> None:
    assert cosigned(note(ANN.cosign(TEXT, time)), KEY) == time


def test_the_cosignature_of_a_witness_that_others_run_holds() -> None:
    public = Note.parse(PUBLIC)
    assert cosigned(public, WitnessKey.parse(PUBLIC_KEY)) == 1_785_704_691
    with refused(Refuted, "the signature is not this key's"):
        cosigned(
            Note(public.text.replace("2", "3", 1), public.signatures), WitnessKey.parse(PUBLIC_KEY)
        )


def test_what_is_signed_is_two_lines_and_the_text_as_the_log_wrote_it() -> None:
    assert cosigned_message("a\nb\n", 17) == b"cosignature/v1\ntime 17\na\nb\n"
    extended = TEXT + "an extension line\n"
    assert cosigned(note(ANN.cosign(extended, NOON), text=extended), KEY) == NOON


@pytest.mark.tool("openssl")
def test_openssl_makes_a_cosignature_that_holds(tmp_path: Path) -> None:
    def openssl(*arguments: object) -> bytes:
        return subprocess.run(
            ["openssl", *map(str, arguments)], check=True, capture_output=True
        ).stdout

    pem, message = tmp_path / "key.pem", tmp_path / "message"
    openssl("genpkey", "-algorithm", "ed25519", "-out", pem)
    public = openssl("pkey", "-in", pem, "-pubout", "-outform", "DER")[-32:]
    message.write_text(f"cosignature/v1\ntime {NOON}\n{TEXT}")
    value = openssl("pkeyutl", "-sign", "-inkey", pem, "-rawin", "-in", message)
    key = WitnessKey("elsewhere.example", public)
    assert key.check(TEXT, key.line(NOON, value)) == NOON


def test_no_line_is_no_time() -> None:
    assert cosigned(note(), KEY) is None
    assert cosigned(note(BEN.cosign(TEXT, NOON)), KEY) is None


def test_a_line_that_shares_only_the_name_or_only_the_id_is_ignored() -> None:
    honest = line(ANN, NOON)
    for name, key_id in ((ANN.name, BEN.id), (BEN.name, ANN.id)):
        other = Signature(name, key_id, bytes(72))
        assert cosigned(note(f"{other}\n"), KEY) is None
        assert cosigned(note(f"{other}\n", f"{honest}\n"), KEY) == NOON


@pytest.mark.parametrize("length", [1, 8, 64, 71, 73, 144])
def test_a_cosignature_of_another_length_is_false(length: int) -> None:
    value = (line(ANN, NOON).value * 2)[:length]
    with refused(Refuted, f"has another length; expected 72 bytes; found {length} bytes"):
        cosigned(note(f"{Signature(ANN.name, ANN.id, value)}\n"), KEY)


def test_a_time_of_2_63_is_false() -> None:
    for time in (TIME_LIMIT, 2**64 - 1):
        with refused(Refuted, f"reaches 2^63; found {time}"):
            cosigned(note(ANN.cosign(TEXT, time)), KEY)


def test_another_time_another_text_and_another_key_are_false() -> None:
    honest = line(ANN, NOON)
    later = Signature(ANN.name, ANN.id, (NOON + 1).to_bytes(8, "big") + honest.value[8:])
    elsewhere = line(ANN, NOON, TEXT.replace("7", "8", 1))
    foreign = Signature(ANN.name, ANN.id, line(BEN, NOON).value)
    for odd in (later, elsewhere, foreign):
        with refused(Refuted, f"the signature is not this key's; expected by {ANN.name}"):
            cosigned(note(f"{odd}\n"), KEY)


def test_a_log_signature_is_no_cosignature_even_of_the_same_key() -> None:
    """The first line of what a witness signs keeps the two apart."""
    plain = Signer(ANN.name, "cosignature 1")
    value = NOON.to_bytes(8, "big") + decode_base64(plain.line(TEXT).split(" ")[2].strip())[4:]
    with refused(Refuted, "the signature is not this key's"):
        KEY.check(TEXT, Signature(ANN.name, ANN.id, value))


def test_the_same_strictness_as_for_a_log() -> None:
    """SPEC.md §4: libraries disagree about these, so they are false."""
    honest, small = line(ANN, NOON), (1).to_bytes(32, "little")
    unreduced = int.from_bytes(honest.value[40:], "little") + (
        2**252 + 27742317777372353535851937790883648493
    )
    for value, fragment in (
        (honest.value[:8] + small + honest.value[40:], "the signature's R"),
        (honest.value[:40] + unreduced.to_bytes(32, "little"), "the signature's S"),
    ):
        with refused(Refuted, fragment):
            KEY.check(TEXT, Signature(ANN.name, ANN.id, value))
    with refused(Refuted, "the public key is not canonical"):
        WitnessKey(ANN.name, small).check(TEXT, honest)


@given(st.integers(0, TIME_LIMIT - 1), st.integers(0, 71), st.integers(0, 7))
def test_every_bit_of_a_cosignature_counts(time: int, byte: int, bit: int) -> None:
    honest = line(ANN, time)
    assert KEY.check(TEXT, honest) == time
    value = bytearray(honest.value)
    value[byte] ^= 1 << bit
    with pytest.raises(NotVerified) as caught:
        KEY.check(TEXT, Signature(ANN.name, ANN.id, bytes(value)))
    assert type(caught.value) is Refuted


@given(st.integers(0, TIME_LIMIT - 1))
def test_a_line_is_written_as_the_other_hand_writes_it(time: int) -> None:
    honest = line(ANN, time)
    assert KEY.line(time, honest.value[8:]) == honest
    assert str(KEY.line(time, honest.value[8:])) + "\n" == ANN.cosign(TEXT, time)
