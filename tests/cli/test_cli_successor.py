"""Which change of key a pin follows, of all that a file shows."""

from pathlib import Path

import pytest
from reference import Signer

from auditkit.cli.successor import _change
from auditkit.cli.trust import TrustStore
from auditkit.errors import InputError
from auditkit.verify.errors import Refuted
from auditkit.verify.note import VerifierKey
from auditkit.verify.statements import Key

VENUE = "exchange.example/audit"
A, B, C = (VerifierKey.parse(Signer(VENUE, name).vkey) for name in ("first", "second", "third"))


def change(seq: int, old: VerifierKey, new: VerifierKey) -> Key:
    return Key(VENUE, seq, seq, new, old, seq + 4)


def test_one_step_at_a_time() -> None:
    """A file under the first key proves nothing of who replaces the second."""
    first, second = change(4, A, B), change(20, B, C)
    for shown in ((first, second), (second, first)):
        assert _change(shown, A) == first
        assert _change(shown, B) == second
        assert _change(shown, C) == second


def test_a_change_between_other_keys_is_not_followed() -> None:
    assert _change((change(4, A, B),), C) is None
    assert _change((), A) is None


def test_two_successors_of_one_key_are_no_successor() -> None:
    with pytest.raises(Refuted, match="the venue replaces the pinned key more than once") as caught:
        _change((change(4, A, B), change(6, A, C)), A)
    assert caught.value.step == "trust"
    assert caught.value.found == "entries 4, 6"
    assert _change((change(4, A, B), change(6, A, B)), A) == change(4, A, B)


def test_a_pin_that_somebody_else_has_changed_meanwhile_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AUDITKIT_CONFIG_DIR", str(tmp_path))
    store = TrustStore()
    with pytest.raises(InputError, match="is another one by now"):
        store.follow(A, B)
    assert store.keys() == {}
    store.add(C)
    with pytest.raises(InputError, match="is another one by now"):
        store.follow(A, B)
    assert store.keys() == {VENUE: C}
    store.follow(C, B)
    assert store.keys() == {VENUE: B}
