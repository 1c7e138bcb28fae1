"""What stands between a head that is kept and one that is public: whose signatures count."""

import errno
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from exchange import Exchange

from auditkit.errors import DamagedError
from auditkit.publish.draft import Draft
from auditkit.publish.keys import Signer
from auditkit.publish.policyfile import policy_text
from auditkit.publish.public import Public
from auditkit.publish.venue import Venue
from auditkit.verify.note import Checkpoint, Note, Signature

BOOKS = {"BTC": {"margin": {"anna": 500, "bert": 300}}}
WITNESSES = [("one.example+12345678+AAAA", "https://one.example"), ("two.example+23456789+AA", "")]


def test_a_policy_is_a_tlog_policy() -> None:
    key = Signer.generate("exchange.example/audit").verifier
    assert policy_text([key]) == f"log {key}\nquorum none\n"
    assert policy_text([key, key], WITNESSES, 1) == (
        f"log {key}\nlog {key}\n"
        "witness w1 one.example+12345678+AAAA https://one.example\n"
        "witness w2 two.example+23456789+AA\n"
        "group witnesses 1 w1 w2\nquorum witnesses\n"
    )
    assert policy_text([key], WITNESSES[1:]).endswith(
        "witness w1 two.example+23456789+AA\nquorum none\n"
    )
    for quorum in (-1, 3):
        with pytest.raises(ValueError, match="a quorum of"):
            policy_text([key], WITNESSES, quorum)


def test_a_policy_that_is_out_is_never_changed(tmp_path: Path) -> None:
    public = Public(tmp_path)
    assert (public.policy_name(), public.policy()) == ("policy", "")
    said = [("a\n", "policy"), ("a\n", "policy"), ("b\n", "policies/2"), ("b\n", "policies/2")]
    said += [("a\n", "policies/3"), ("c\n", "policies/4")]
    for text, name in said:
        assert public.write_policy(text) == name
        assert (public.policy_name(), public.policy()) == (name, text)
    found = {
        str(p.relative_to(tmp_path)): p.read_text() for p in tmp_path.rglob("*") if p.is_file()
    }
    assert found == {"policy": "a\n", "policies/2": "b\n", "policies/3": "a\n", "policies/4": "c\n"}


# Witnesses: what stands between a head that is kept and one that is public.


def with_line(head: Checkpoint, name: str, value: bytes = b"time and signature") -> Checkpoint:
    """The same head with a line by that witness."""
    line = Signature(name, b"\1\2\3\4", value)
    return replace(head, note=Note(head.note.text, (*head.note.signatures, line)))


def silent(head: Checkpoint) -> Checkpoint:
    raise TimeoutError(errno.ETIMEDOUT, "no quorum: 0 of 1 witnesses signed")


class Witnessed(Exchange):
    """An exchange that has named a witness, and asks it in a way of the test's."""

    asked: list[int]
    answer: Callable[[Checkpoint], Checkpoint]

    def name_witness(self) -> None:
        self.asked = []
        self.answer = lambda head: with_line(head, "one.example")
        Public(self.root / "public").write_policy(policy_text([self.signer.verifier], WITNESSES, 1))

    def ask(self, head: Checkpoint) -> Checkpoint:
        self.asked.append(head.size)
        return self.answer(head)

    def publish(self, work: Callable[[Draft], Any], told: int | None = None) -> Any:
        told = self.now + 1000 if told is None else told
        with (
            Venue(self.root, self.ask) as venue,
            venue.publishing(self.signer, told) as draft,
        ):
            done = work(draft)
        self.now = self.last_time()
        return done

    def note(self, name: str = "checkpoint") -> str:
        return (self.root / "public" / name).read_text()


@pytest.fixture
def witnessed(tmp_path: Path) -> Witnessed:
    exchange = Witnessed(tmp_path)
    exchange.name_witness()
    return exchange


def test_a_witnesses_line_is_in_the_head_that_is_published(witnessed: Witnessed) -> None:
    witnessed.snapshot(BOOKS)
    assert witnessed.asked == [4]
    assert "— one.example " in witnessed.note()
    assert witnessed.note() == witnessed.note("checkpoints/4")
    assert "one.example" not in witnessed.note("checkpoints/2")
    witnessed.fund()
    assert witnessed.asked == [4, 6]
    # The log of 6 entries is opened as fast as any: its entries are not hashed again.
    with Venue(witnessed.root) as venue:
        assert venue.history._kept() is not None


def test_a_head_without_its_quorum_waits_and_the_log_goes_on(witnessed: Witnessed) -> None:
    before = witnessed.note()
    witnessed.answer = silent
    with pytest.raises(OSError, match=r"signed and committed, but .* no quorum: 0 of 1"):
        witnessed.snapshot(BOOKS)
    # Readers neither ask nor publish it.
    with Venue(witnessed.root) as venue:
        assert len(venue.history) == 4
    assert (witnessed.note(), witnessed.asked) == (before, [4])
    assert not (witnessed.root / "public/checkpoints/4").exists()
    witnessed.now = witnessed.last_time()
    witnessed.answer = lambda head: with_line(head, "one.example")
    witnessed.fund()
    # The newest is asked for; the one that it overtook is public as it was signed.
    assert witnessed.asked == [4, 6]
    assert "one.example" in witnessed.note()
    assert "one.example" not in witnessed.note("checkpoints/4")


def test_a_waiting_head_is_finished_by_whoever_can_ask(witnessed: Witnessed) -> None:
    real, witnessed.answer = witnessed.answer, silent
    with pytest.raises(OSError, match="no quorum"):
        witnessed.snapshot(BOOKS)
    witnessed.answer = real
    with Venue(witnessed.root, witnessed.ask) as venue:
        assert "\n2\n" in witnessed.note()
        venue.finish()
    assert "— one.example " in witnessed.note()
    assert witnessed.asked == [4, 4]


def test_what_a_witness_signed_stays_as_it_is(
    witnessed: Witnessed, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed after it was kept: the next run shows the same lines, though it would get others."""
    monkeypatch.setattr(Public, "_write_once", _dies_at_checkpoints(Public._write_once))
    with pytest.raises(OSError, match="killed"):
        witnessed.snapshot(BOOKS)
    monkeypatch.undo()
    witnessed.answer = lambda head: with_line(head, "one.example", b"another time, other bytes")
    with Venue(witnessed.root, witnessed.ask) as venue:
        venue.finish()
    assert witnessed.asked == [4]
    lines = Checkpoint.parse(witnessed.note()).note.signatures
    assert b"time and signature" in {line.value for line in lines}
    # And once more where public/ was lost.
    note = witnessed.note()
    (witnessed.root / "public/checkpoint").unlink()
    shutil.rmtree(witnessed.root / "public/checkpoints")
    with Venue(witnessed.root):
        pass
    assert witnessed.note() == witnessed.note("checkpoints/4") == note


def _dies_at_checkpoints(real: Callable[..., None]) -> Callable[..., None]:
    def write(self: Public, name: str, data: bytes) -> None:
        if name.startswith("checkpoints/"):
            raise OSError(errno.EIO, "killed")
        real(self, name, data)

    return write


def test_a_witness_cannot_put_another_head_in_its_place(witnessed: Witnessed) -> None:
    other = witnessed.signer.checkpoint(4, bytes(32))
    before = witnessed.note()
    for answer in (
        lambda head: other,
        lambda head: replace(head, note=replace(head.note, signatures=())),
    ):
        witnessed.answer = answer
        with pytest.raises(DamagedError, match="the witnesses answered for another checkpoint"):
            witnessed.snapshot(BOOKS)
        witnessed.now = witnessed.last_time()
    assert witnessed.note() == before


def test_a_head_that_is_out_already_gets_no_other_lines(tmp_path: Path) -> None:
    """Killed between checkpoints/<size> and `checkpoint`, and a witness named since."""
    exchange = Witnessed(tmp_path)
    exchange.asked, exchange.answer = [], lambda head: head
    before = exchange.note()
    exchange.snapshot(BOOKS)
    note = exchange.note()
    (exchange.root / "public/checkpoint").write_text(before)
    exchange.name_witness()
    with Venue(exchange.root, exchange.ask) as venue:
        venue.finish()
    assert (exchange.note(), exchange.asked) == (note, [])
