"""venue.json: where keys are kept, in both its forms, and nothing that was not put there."""

import json
from pathlib import Path

import pytest
from exchange import ORIGIN, refused
from rotating import Rotating

from auditkit.errors import DamagedError, InputError
from auditkit.publish.keys import Signer
from auditkit.publish.settings import Place, Settings
from auditkit.publish.venue import Venue
from auditkit.verify.note import VerifierKey

HELD = {"BTC": {"margin": {"anna": 500, "bert": 300}}}


@pytest.fixture
def keys() -> tuple[VerifierKey, VerifierKey]:
    return Signer.generate(ORIGIN).verifier, Signer.generate(ORIGIN).verifier


@pytest.fixture
def exchange(tmp_path: Path) -> Rotating:
    found = Rotating(tmp_path)
    found.snapshot(HELD)
    return found


def written(root: Path, settings: Settings) -> object:
    settings.write(root)
    return json.loads((root / "venue.json").read_text())


def test_one_key_file_is_written_in_the_old_form(
    tmp_path: Path, keys: tuple[VerifierKey, VerifierKey]
) -> None:
    settings = Settings(keys[0], {keys[0]: Place("file", "/k.pem")}, {})
    said = written(tmp_path, settings)
    assert said == {"format": "auditkit/venue/1", "key": "/k.pem"}
    assert Settings.read(tmp_path, keys[0]) == settings


@pytest.mark.parametrize(
    "places",
    [
        [("command", "sign 'with a' pen")],
        [("pkcs11", "pkcs11:token=a;object=b?module-path=/c.so")],
        [("file", "/old.pem"), ("file", "/new.pem")],
        [("file", "/old.pem"), ("command", "sign")],
    ],
)
def test_anything_else_is_written_by_its_verifier_key(
    tmp_path: Path, keys: tuple[VerifierKey, VerifierKey], places: list[tuple[str, str]]
) -> None:
    told = {key: Place(*place) for key, place in zip(keys, places, strict=False)}
    settings = Settings(keys[0], told, {})
    assert written(tmp_path, settings) == {
        "format": "auditkit/venue/2",
        "signers": {str(key): {place.kind: place.where} for key, place in told.items()},
    }
    assert Settings.read(tmp_path, keys[0]) == settings


def test_a_second_key_alone_is_not_taken_for_the_first(
    tmp_path: Path, keys: tuple[VerifierKey, VerifierKey]
) -> None:
    settings = Settings(keys[0], {keys[1]: Place("file", "/new.pem")}, {})
    settings.write(tmp_path)
    assert Settings.read(tmp_path, keys[0]).places == {keys[1]: Place("file", "/new.pem")}


def test_what_else_stands_in_the_file_stays(exchange: Rotating) -> None:
    path = exchange.root / "venue.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"note": [1, {"by": "hand"}]}))
    exchange.rotate(exchange.new_key())
    assert json.loads(path.read_text())["note"] == [1, {"by": "hand"}]


def test_looking_at_a_venue_does_not_rewrite_its_settings(exchange: Rotating) -> None:
    path = exchange.root / "venue.json"
    path.write_text(path.read_text().replace("\n", "\r\n  "))
    before = path.read_bytes()
    with Venue(exchange.root):
        pass
    exchange.snapshot(HELD)
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    "said",
    [
        "",
        "[]",
        "{}",
        '{"format": "auditkit/venue/1"}',
        '{"format": "auditkit/venue/1", "key": 7}',
        '{"format": "auditkit/venue/2"}',
        '{"format": "auditkit/venue/2", "signers": []}',
        '{"format": "auditkit/venue/2", "signers": {"x": {"file": "/k.pem"}}}',
        '{"format": "auditkit/venue/2", "signers": {"VKEY": "/k.pem"}}',
        '{"format": "auditkit/venue/2", "signers": {"VKEY": {}}}',
        '{"format": "auditkit/venue/2", "signers": {"VKEY": {"file": 7}}}',
        '{"format": "auditkit/venue/2", "signers": {"VKEY": {"shell": "x"}}}',
        '{"format": "auditkit/venue/2", "signers": {"VKEY": {"file": "a", "command": "b"}}}',
    ],
)
def test_settings_that_cannot_be_read_are_said(exchange: Rotating, said: str) -> None:
    (exchange.root / "venue.json").write_text(said.replace("VKEY", exchange.vkey))
    with refused(exchange, "the venue's settings cannot be read", error=DamagedError):
        exchange.snapshot(HELD)


def test_settings_of_a_newer_auditkit_are_said(exchange: Rotating) -> None:
    (exchange.root / "venue.json").write_text('{"format": "auditkit/venue/3"}')
    with refused(exchange, "made by another version of auditkit"):
        exchange.snapshot(HELD)


# A key that is moved.


def test_a_key_that_moved_is_found_where_it_is_now(exchange: Rotating, tmp_path: Path) -> None:
    moved = exchange.key.rename(tmp_path / "moved.pem")
    with Venue(exchange.root) as venue:
        venue.move(exchange.signer, Place.of(moved))
        assert venue.settings.places == {exchange.signer.verifier: Place("file", str(moved))}
    said = json.loads((exchange.root / "venue.json").read_text())
    assert said == {"format": "auditkit/venue/1", "key": str(moved)}


def test_only_a_key_that_signs_now_can_be_moved(exchange: Rotating, tmp_path: Path) -> None:
    exchange.rotate(exchange.new_key())
    exchange.snapshot(HELD)
    for signer in (exchange.signer, Signer.generate(ORIGIN)):
        with refused(exchange, "is no key that signs for"), Venue(exchange.root) as venue:
            venue.move(signer, Place.of(tmp_path))


def test_a_key_that_cannot_sign_where_it_is_said_to_be_is_not_moved(exchange: Rotating) -> None:
    class Elsewhere:
        verifier = exchange.signer.verifier

        def sign(self, message: bytes) -> bytes:
            raise InputError("nobody is there")

    with refused(exchange, "nobody is there"), Venue(exchange.root) as venue:
        venue.move(Elsewhere(), Place("command", "sign"))
