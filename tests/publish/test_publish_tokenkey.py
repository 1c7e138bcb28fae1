"""A key in a PKCS#11 token: its URI, its PIN, and that it signs for a venue (SoftHSM)."""

import re
import sys
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from console import Console
from exchange import ORIGIN, refused
from rotating import Rotating
from softhsm import KEY, LABEL, PIN, Token

from auditkit.errors import InputError
from auditkit.keyfile import Passphrase
from auditkit.publish import publickey, tokenkey
from auditkit.publish.keys import Signer
from auditkit.publish.settings import Place
from auditkit.publish.tokenkey import KeyURI, TokenSigner
from auditkit.verify import check
from auditkit.verify.note import VerifierKey

HELD = {"BTC": {"margin": {"anna": 500, "bert": 300}}}
MODULE = "?module-path=/lib/m.so"


def never(token: str) -> Passphrase:
    raise AssertionError(f"the PIN of {token} was asked for")


# The URI. No token is needed.


def test_a_uri_names_module_token_key_and_pin() -> None:
    uri = KeyURI.parse(
        "pkcs11:token=My%20token;serial=0a1b;object=a%3Bb;id=%01%ff;type=private"
        "?module-path=/lib/m%20n.so&pin-source=file:/etc/pin"
    )
    assert uri == KeyURI(
        "/lib/m n.so",
        {"token_label": "My token", "token_serial": "0a1b"},
        {"LABEL": "a;b", "ID": b"\x01\xff"},
        "/etc/pin",
    )
    assert uri.token_name == "My token"
    assert KeyURI.parse(f"pkcs11:serial=1;id=%02{MODULE}").key == {"ID": b"\x02"}


@pytest.mark.parametrize(
    ("text", "fragment"),
    [
        ("", "not a URI that begins with pkcs11:"),
        ("token=a;object=b", "not a URI that begins with pkcs11:"),
        ("PKCS11:token=a;object=b", "not a URI that begins with pkcs11:"),
        ("pkcs11:", "the URI lacks module-path="),
        ("pkcs11:token=a;object=b", "the URI lacks module-path="),
        (f"pkcs11:object=b{MODULE}", "the URI lacks token="),
        (f"pkcs11:token=a{MODULE}", "the URI lacks object="),
        (f"pkcs11:token=a;object=b;slot-id=1{MODULE}", "slot-id is unknown here"),
        (f"pkcs11:token=a;object=b{MODULE}&x-vendor=1", "x-vendor is unknown here"),
        (f"pkcs11:token=a;object=b;type=public{MODULE}", "the key that signs is private"),
        (f"pkcs11:token=a;;object=b{MODULE}", "not the URI of a key"),
        (f"pkcs11:token=a b;object=b{MODULE}", "not the URI of a key"),
        (f"pkcs11:token=a;object=b\n{MODULE}", "not the URI of a key"),
        ("pkcs11:token=a;object=b?module-path=m.so", "module-path: 'm.so' is not an absolute"),
        (f"pkcs11:token=a;object=b{MODULE}&pin-source=pin", "pin-source: 'pin' is not an absol"),
    ],
)
def test_what_is_no_uri_of_a_key_is_said(text: str, fragment: str) -> None:
    with pytest.raises(InputError) as caught:
        KeyURI.parse(text)
    assert str(caught.value).startswith("--pkcs11: ")
    assert fragment in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_pin_in_the_uri_is_refused_and_not_shown() -> None:
    for pin, words in ((PIN.replace(" ", "%20"), "a PIN does not belong"), (PIN, "not the URI")):
        with pytest.raises(InputError, match=words) as caught:
            KeyURI.parse(f"pkcs11:token=a;object=b{MODULE}&pin-value={pin}")
        assert PIN.split()[0] not in str(caught.value)


@pytest.mark.parametrize("held", [PIN, f"{PIN}\n", f"{PIN}\r\n"])
def test_the_pin_comes_from_its_file(tmp_path: Path, held: str) -> None:
    (tmp_path / "pin").write_bytes(held.encode())
    uri = KeyURI.parse(f"pkcs11:token=a;object=b{MODULE}&pin-source={tmp_path}/pin")
    assert uri.pin(never) == Passphrase(PIN)


@pytest.mark.parametrize("held", [None, b"", b"\n", b"\xff"])
def test_a_file_without_a_pin_is_said(tmp_path: Path, held: bytes | None) -> None:
    if held is not None:
        (tmp_path / "pin").write_bytes(held)
    uri = KeyURI.parse(f"pkcs11:token=a;object=b{MODULE}&pin-source={tmp_path}/pin")
    with pytest.raises(InputError, match="/pin holds no PIN"):
        uri.pin(never)


def test_without_a_file_the_pin_is_asked_for() -> None:
    asked: list[str] = []

    def ask(token: str) -> Passphrase:
        asked.append(token)
        return Passphrase(PIN)

    uri = KeyURI.parse(f"pkcs11:token=a;object=b{MODULE}")
    assert uri.pin(ask) == Passphrase(PIN)
    assert asked == ["a"]


def test_the_extra_is_asked_for_only_by_what_needs_it(
    console: Console, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pkcs11", None)
    uri = f"pkcs11:token=a;object=b{MODULE}"
    answer = console("key", "vkey", ORIGIN, "--pkcs11", uri)
    assert answer.code == 2
    assert "needs pkcs11, which is not installed" in answer.refusal()
    assert "'.[publish,pkcs11]'" in answer.refusal()


# A token of SoftHSM's.


@pytest.fixture(scope="module")
def token(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Token]:
    made = Token(tmp_path_factory.mktemp("softhsm"))
    with made.environment():
        yield made
    made.close()


@pytest.fixture
def verifier(token: Token) -> VerifierKey:
    return publickey.named(ORIGIN, tokenkey.public_key(KeyURI.parse(token.uri())))


def signer_of(token: Token, verifier: VerifierKey, **named: str) -> TokenSigner:
    """What signs with the key of that object or id; left out, with the token's first."""
    uri = KeyURI.parse(token.uri({"token": LABEL, **named} if named else None))
    return TokenSigner(verifier, uri, uri.pin(never))


@pytest.fixture
def console(tmp_path: Path) -> Console:
    return Console(tmp_path)


def told_by(error: BaseException) -> str:
    """The traceback with the locals of every frame but this file's."""
    trace = traceback.TracebackException.from_exception(error, capture_locals=True)
    link: traceback.TracebackException | None = trace
    while link is not None:
        frames = [frame for frame in link.stack if frame.filename != __file__]
        link.stack = traceback.StackSummary.from_list(frames)
        link = link.__cause__ or link.__context__
    return "".join(trace.format())


@pytest.mark.tool("softhsm2-util")
def test_a_token_signs(token: Token, verifier: VerifierKey) -> None:
    for named in ({}, {"id": "\x01"}, {"object": KEY, "id": "\x01"}):
        signer = signer_of(token, verifier, **named)
        verifier.check(b"text\n", signer.sign(b"text\n"))
        verifier.check(b"", signer.sign(b""))


@pytest.mark.tool("softhsm2-util")
@pytest.mark.parametrize(
    ("part", "other", "fragment"),
    [
        ("venue", "other", "has no Ed25519 key"),
        ("auditkit", "other", "has no such token"),
        ("libsofthsm2", "libsofthsm9", "the module named with module-path cannot be loaded"),
    ],
)
def test_what_a_uri_names_and_is_not_there_is_said(
    token: Token, verifier: VerifierKey, part: str, other: str, fragment: str
) -> None:
    changed = token.uri().replace(part, other)
    assert changed != token.uri()
    uri = KeyURI.parse(changed)
    with pytest.raises(InputError, match=fragment):
        TokenSigner(verifier, uri, Passphrase(PIN))


@pytest.mark.tool("softhsm2-util")
def test_a_wrong_pin_is_tried_once_and_not_shown(token: Token, verifier: VerifierKey) -> None:
    uri = KeyURI.parse(token.uri())
    with pytest.raises(InputError) as caught:
        TokenSigner(verifier, uri, Passphrase(PIN.upper()))
    assert "the PIN is wrong; it was not tried again" in str(caught.value)
    assert PIN.upper() not in told_by(caught.value)
    signer_of(token, verifier).sign(b"text")


@pytest.mark.tool("softhsm2-util")
def test_nothing_shows_the_pin(token: Token, verifier: VerifierKey) -> None:
    signer = signer_of(token, verifier)
    assert repr(signer) == f"TokenSigner({verifier})"
    assert PIN not in repr([signer, signer._uri, signer._pin])

    def fail(call: Callable[[], object]) -> str:
        with pytest.raises(InputError) as caught:
            call()
        return told_by(caught.value)

    missing = KeyURI.parse(token.uri({"token": LABEL, "object": "other"}))
    said = fail(lambda: TokenSigner(verifier, missing, Passphrase(PIN)))
    said += fail(lambda: tokenkey.public_key(missing))
    assert PIN not in said


@pytest.mark.tool("softhsm2-util")
def test_two_keys_of_one_label_are_told_apart_by_their_ids(
    token: Token, verifier: VerifierKey
) -> None:
    for number in (b"\x02", b"\x03"):
        token.make_key("twins", number)
    with pytest.raises(InputError, match="several such keys; name both object and id"):
        signer_of(token, verifier, object="twins")
    signer_of(token, verifier, object="twins", id="\x03").sign(b"text")


@pytest.mark.tool("softhsm2-util")
def test_a_venue_publishes_through_a_token_and_changes_to_a_file_and_back(
    token: Token, verifier: VerifierKey, tmp_path: Path
) -> None:
    place = Place("pkcs11", token.uri())
    exchange = Rotating.kept(tmp_path, signer_of(token, verifier), place)
    exchange.snapshot(HELD)
    check.verify(exchange.prove("anna"), verifier, "anna")
    middle = exchange.new_key()
    exchange.rotate(middle)
    exchange.snapshot(HELD)
    token.make_key("the last", b"\x09")
    uri = token.uri({"token": LABEL, "object": "the last"})
    last = publickey.named(ORIGIN, tokenkey.public_key(KeyURI.parse(uri)))
    exchange.rotate(signer_of(token, last, object="the last"))
    exchange.snapshot(HELD)
    ids = [key.id for key in (verifier, middle.verifier, last)]
    whose = {4: ids[:1], 6: ids[:2], 8: ids[1:2], 10: ids[1:], 12: ids[2:]}
    assert {size: exchange.signers_of(size) for size in whose} == whose


@pytest.mark.tool("softhsm2-util")
def test_another_key_of_the_token_signs_nothing_for_the_venue(
    token: Token, verifier: VerifierKey, tmp_path: Path
) -> None:
    exchange = Rotating(tmp_path)
    exchange.snapshot(HELD)
    other = Signer.generate(ORIGIN).verifier
    with refused(exchange, f"what signs for {other} gave no signature of it"):
        exchange.rotate(signer_of(token, other))


@pytest.mark.tool("softhsm2-util")
def test_the_whole_of_it_by_commands(token: Token, tmp_path: Path, console: Console) -> None:
    """In processes of their own: this one has the module loaded."""
    console.variables["SOFTHSM2_CONF"] = str(token.settings)
    vkey = console.process("key", "vkey", ORIGIN, "--pkcs11", token.uri(pin=False)).page().strip()
    (tmp_path / "policy.toml").write_text('[assets]\nBTC = 8\n[pools.BTC]\nasset = "BTC"\n')
    venue, about = tmp_path / "venue", ("--policy", tmp_path / "policy.toml")
    init = ("venue", "init", venue, "--key", vkey, *about, "--pkcs11")
    without = console.process(*init, token.uri(pin=False))
    assert without.code == 2
    assert "name that with pin-source= in the URI" in without.refusal()
    keys = [(f"PIN of the token {LABEL}: ", f"{PIN}\n")]
    typed = console.terminal(*init, token.uri(pin=False), keys=keys)
    assert typed.code == 0, typed.out
    assert PIN not in typed.out
    moved = console.process(
        "venue", "signer", "--venue", venue, "--key", vkey, "--pkcs11", token.uri()
    )
    assert moved.code == 0, moved.err
    done = console.process("publish", "policy", "--venue", venue, *about)
    assert done.code == 0, done.err
    assert re.search(rf"signed by {ORIGIN} {vkey.split('+')[1]}", done.flat())
    for path in venue.rglob("*"):
        assert not path.is_file() or PIN.encode() not in path.read_bytes()
