"""Key files: private, never overwritten, opened by OpenSSL, and refused when anything is wrong."""

import errno
import os
import stat
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from Crypto.PublicKey import ECC, RSA
from Crypto.Signature import eddsa
from exchange import ORIGIN

from auditkit.errors import InputError
from auditkit.keyfile import Passphrase
from auditkit.publish.keys import KeyFile, Signer
from auditkit.verify.note import VerifierKey

WORDS = "correct horse battery staple"
OPEN = "cannot be opened: wrong passphrase or damaged file"
SOMEBODY = VerifierKey(ORIGIN, bytes(32))


@pytest.fixture
def signer() -> Signer:
    return Signer.generate(ORIGIN)


@pytest.fixture(params=[None, WORDS], ids=["plain", "encrypted"])
def passphrase(request: pytest.FixtureRequest) -> Passphrase | None:
    return None if request.param is None else Passphrase(request.param)


def refused(path: Path, fragment: str, passphrase: Passphrase | None = None) -> None:
    with pytest.raises(InputError) as caught:
        KeyFile(path).open(passphrase)
    assert str(caught.value).startswith(f"{path}: ")
    assert fragment in str(caught.value)


def test_a_key_file_gives_the_same_signer_back(
    tmp_path: Path, signer: Signer, passphrase: Passphrase | None
) -> None:
    path = tmp_path / "key.pem"
    signer.write(path, passphrase)
    file = KeyFile(path)
    assert file.verifier == signer.verifier
    assert file.encrypted == (passphrase is not None)
    again = file.open(passphrase)
    assert again.verifier == signer.verifier
    checkpoint = again.checkpoint(7, bytes(32))
    assert checkpoint == signer.checkpoint(7, bytes(32))
    checkpoint.open(signer.verifier)


def test_a_key_file_is_private_and_says_whose_it_is(
    tmp_path: Path, signer: Signer, passphrase: Passphrase | None
) -> None:
    path = tmp_path / "key.pem"
    old = os.umask(0)
    try:
        signer.write(path, passphrase)
    finally:
        os.umask(old)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    lines = path.read_text("ascii").splitlines()
    assert lines[0] == f"auditkit signing key of {signer.verifier}"
    kind = "ENCRYPTED PRIVATE KEY" if passphrase else "PRIVATE KEY"
    assert (lines[1], lines[-1]) == (f"-----BEGIN {kind}-----", f"-----END {kind}-----")


def test_a_key_file_is_never_overwritten(tmp_path: Path, signer: Signer) -> None:
    path = tmp_path / "key.pem"
    signer.write(path, None)
    before = path.read_bytes()
    with pytest.raises(InputError, match="exists; a key file is never overwritten"):
        Signer.generate(ORIGIN).write(path, None)
    assert path.read_bytes() == before


@pytest.mark.parametrize("place", ["no/key.pem", "file/key.pem"])
def test_a_folder_that_is_not_there_is_said(tmp_path: Path, signer: Signer, place: str) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="no such folder"):
        signer.write(tmp_path / place, None)


def test_a_disk_that_fills_up_leaves_no_key_file(
    tmp_path: Path, signer: Signer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        signer.write(tmp_path / "key.pem", None)
    assert list(tmp_path.iterdir()) == []


def test_two_keys_are_never_the_same() -> None:
    assert len({Signer.generate(ORIGIN).verifier for _ in range(5)}) == 5


@pytest.mark.parametrize(
    "venue", ["", "ab", "Exchange.example", "a b c", "a" * 129, "x\ny", "é.example"]
)
def test_a_venue_that_is_no_url_is_refused(venue: str) -> None:
    with pytest.raises(InputError, match="ORIGIN: not a venue"):
        Signer.generate(venue)


def test_an_empty_passphrase_is_refused() -> None:
    with pytest.raises(InputError, match="the passphrase is empty; use --no-passphrase"):
        Passphrase("")


@pytest.mark.parametrize("other", [None, Passphrase("wrong"), Passphrase(f"{WORDS} ")])
def test_without_the_passphrase_the_file_stays_closed(
    tmp_path: Path, signer: Signer, other: Passphrase | None
) -> None:
    signer.write(tmp_path / "key.pem", Passphrase(WORDS))
    refused(tmp_path / "key.pem", OPEN, other)


@pytest.mark.parametrize("words", ["ä ö ü 鍵", " leading and trailing ", "x" * 1000, "tab\there"])
def test_a_passphrase_is_any_text(tmp_path: Path, signer: Signer, words: str) -> None:
    signer.write(tmp_path / "key.pem", Passphrase(words))
    assert KeyFile(tmp_path / "key.pem").open(Passphrase(words)).verifier == signer.verifier


def test_passphrases_are_compared_by_what_they_say() -> None:
    assert Passphrase("a") == Passphrase("a")
    assert Passphrase("a") != Passphrase("b")
    assert Passphrase("a") != "a"


def test_line_ends_of_another_system_do_no_harm(
    tmp_path: Path, signer: Signer, passphrase: Passphrase | None
) -> None:
    path = tmp_path / "key.pem"
    signer.write(path, passphrase)
    path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    assert KeyFile(path).open(passphrase).verifier == signer.verifier


def test_a_damaged_file_is_refused(
    tmp_path: Path, signer: Signer, passphrase: Passphrase | None
) -> None:
    """Nothing seals a PKCS#8 key by itself: the verifier key on the first line does."""
    path = tmp_path / "key.pem"
    signer.write(path, passphrase)
    text = path.read_text("ascii")
    start = text.index("\n") + 1
    opened, refusals = 0, []
    # Opening an encrypted file takes its time, by design.
    for place in range(start, len(text), 5 if passphrase else 1):
        changed = "A" if text[place] != "A" else "B"
        path.write_text(text[:place] + changed + text[place + 1 :])
        try:
            opened += KeyFile(path).open(passphrase).verifier == signer.verifier
        except InputError as error:
            refusals.append(str(error))
    assert len(refusals) == len(range(start, len(text), 5 if passphrase else 1)) - opened
    assert all(refusal.startswith(f"{path}: ") for refusal in refusals)
    assert opened <= 2, "only where base64 has bits to spare"


@pytest.mark.parametrize("keep", [0, 10, 24, 60, 100])
def test_a_file_that_was_cut_short_is_refused(tmp_path: Path, signer: Signer, keep: int) -> None:
    path = tmp_path / "key.pem"
    signer.write(path, None)
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(InputError, match=str(path)):
        KeyFile(path).open(None)


def pem_of_rsa() -> bytes:
    return RSA.generate(1024).export_key(pkcs=8)


def pem_of(curve: str) -> bytes:
    return ECC.generate(curve=curve).export_key(format="PEM", use_pkcs8=True).encode()


def pem_of_the_public_half() -> bytes:
    return ECC.generate(curve="Ed25519").public_key().export_key(format="PEM").encode()


FOREIGN: dict[str, Callable[[], bytes]] = {
    "RSA": pem_of_rsa,
    "P-256": lambda: pem_of("P-256"),
    "Ed448": lambda: pem_of("Ed448"),
    "X25519": lambda: pem_of("Curve25519"),
    "a public key": pem_of_the_public_half,
    "a certificate": lambda: b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
}


@pytest.mark.parametrize("kind", FOREIGN)
def test_a_foreign_pem_is_refused_with_and_without_our_line(tmp_path: Path, kind: str) -> None:
    pem = FOREIGN[kind]()
    path = tmp_path / "key.pem"
    path.write_bytes(pem)
    refused(path, "not a key file of auditkit's")
    path.write_bytes(f"auditkit signing key of {SOMEBODY}\n".encode() + pem)
    refused(path, OPEN)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xff\xfe\x00",
        b"not a key\n",
        f"auditkit signing key of {SOMEBODY}".encode(),
        f"auditkit signing key of {SOMEBODY}\n".encode(),
        b"auditkit signing key of exchange.example/audit\n-----BEGIN PRIVATE KEY-----\n",
        b"auditkit signing key of \xc3\xa9.example\n-----BEGIN PRIVATE KEY-----\n",
        b"auditkit signing key of\n-----BEGIN PRIVATE KEY-----\n",
    ],
)
def test_what_is_no_key_file_is_refused(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "key.pem"
    path.write_bytes(data)
    refused(path, "not a key file of auditkit's")


def test_a_missing_file_and_a_folder_are_said(tmp_path: Path) -> None:
    refused(tmp_path / "no.pem", "no such file; restore it, or name it with --key")
    refused(tmp_path, "not a key file of auditkit's")


@pytest.mark.tool("openssl")
def test_openssl_opens_the_file_and_finds_the_same_key(
    tmp_path: Path, signer: Signer, passphrase: Passphrase | None
) -> None:
    path = tmp_path / "key.pem"
    signer.write(path, passphrase)
    command = ["openssl", "pkey", "-in", str(path), "-pubout", "-outform", "DER"]
    if passphrase:
        command += ["-passin", f"pass:{WORDS}"]
    done = subprocess.run(command, capture_output=True, check=True)
    assert done.stdout[-32:] == signer.verifier.public


@pytest.mark.tool("openssl")
def test_openssl_verifies_a_checkpoint(tmp_path: Path, signer: Signer) -> None:
    checkpoint = signer.checkpoint(3, bytes(32))
    key = eddsa.import_public_key(signer.verifier.public)
    (tmp_path / "public.pem").write_text(key.export_key(format="PEM"))
    (tmp_path / "text").write_text(checkpoint.note.text)
    (tmp_path / "signature").write_bytes(checkpoint.note.signatures[0].value)
    command = ["openssl", "pkeyutl", "-verify", "-rawin", "-pubin", "-inkey", "public.pem"]
    command += ["-in", "text", "-sigfile", "signature"]
    subprocess.run(command, cwd=tmp_path, capture_output=True, check=True)
