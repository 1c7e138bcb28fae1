"""`auditkit verify --policy FILE`: enough witnesses, who they are, how long ago they signed."""

import json
import time
from pathlib import Path
from typing import Any

import pytest
from console import Answer, Console
from reference import Signer, Witness
from refusals import market
from venue import Venue

from auditkit.cli.cosigned import Witnesses
from auditkit.cli.proven import DOES_NOT_PROVE, SPLIT_VIEW, TIMES
from auditkit.verify.note import Checkpoint
from auditkit.verify.quorum import Cosigned, Quorum

ANN, BEN, CEM = (Witness(f"{name}.example/w", f"cosigned {name}") for name in ("a", "b", "c"))
TWO_OF_THREE = (
    f"witness Ann {ANN.vkey}\nwitness Ben {BEN.vkey}\nwitness Cem {CEM.vkey}\n"
    "group all-of-them 2 Ann Ben Cem\nquorum all-of-them\n"
)
HOUR, DAY = 3_600, 86_400


class Customer:
    """Somebody with a policy of their own, and a venue whose checkpoints others cosign."""

    def __init__(self, folder: Path, console: Console) -> None:
        self.folder, self.console = folder, console
        self.venue: Venue = market()
        self.venue.publish()

    @property
    def vkey(self) -> str:
        return str(self.venue.keys[0][0].vkey)

    def file(self, *lines: str) -> Path:
        """A proof file with these lines below its checkpoint."""
        proof = self.venue.prove("alice")
        proof["checkpoint"] = str(proof["checkpoint"]) + "".join(lines)
        path = self.folder / "proof.json"
        path.write_text(json.dumps(proof))
        return path

    def text(self) -> str:
        """The text that witnesses sign."""
        return str(self.venue.prove("alice")["checkpoint"]).partition("\n\n")[0] + "\n"

    def cosigned(self, *witnesses: Witness, at: int | None = None) -> Path:
        when = int(time.time()) if at is None else at
        return self.file(*(witness.cosign(self.text(), when) for witness in witnesses))

    def policy(self, text: str = TWO_OF_THREE) -> Path:
        path = self.folder / "policy"
        path.write_bytes(text.encode("utf-8", "surrogateescape"))
        return path

    def __call__(self, proof: Path, *more: object) -> Answer:
        given = ["--key", self.vkey, "--account", "alice"]
        return self.console("verify", proof, *given, *more)


@pytest.fixture
def customer(tmp_path: Path, console: Console) -> Customer:
    return Customer(tmp_path, console)


class TestWithoutAPolicy:
    def test_it_is_said_aloud_that_no_witness_was_checked(self, customer: Customer) -> None:
        for proof in (customer.file(), customer.cosigned(ANN, BEN, CEM)):
            answer = customer(proof)
            assert (answer.code, answer.verdict) == (0, "VERIFIED")
            assert answer.flat().count("No witness was checked, so a split view cannot be") == 1
            assert SPLIT_VIEW in answer.flat()
            found = customer(proof, "--format", "json").json()
            assert found["witnesses"] == {"checked": False}
            assert found["does_not_prove"] == list(DOES_NOT_PROVE)


class TestWithAPolicy:
    def test_a_quorum_is_verified_and_its_times_are_told(self, customer: Customer) -> None:
        answer = customer(customer.cosigned(ANN, CEM), "--policy", customer.policy())
        assert (answer.code, answer.verdict) == (0, "VERIFIED")
        page = answer.flat()
        for part in (
            "Your policy wants 2 of Ann, Ben, Cem; Ann, Cem cosigned.",
            f"Ann, {ANN.name}: ",
            f"Cem, {CEM.name}: ",
            "The newest cosignature is of ",
            " old by this computer's clock.",
            "should enough witnesses of your policy deceive you together with the venue.",
            "Its witnesses say that all of it was logged before ",
        ):
            assert part in page
        assert page.count(" old by this computer's clock.") == 3
        assert "No witness was checked" not in page
        assert "no witness was checked" not in page

    def test_for_programs(self, customer: Customer) -> None:
        when = int(time.time()) - 5 * DAY
        proof = customer.cosigned(ANN, BEN, at=when)
        found = customer(proof, "--policy", customer.policy(), "--format", "json").json()
        said = found["witnesses"]
        assert (said["checked"], said["wanted"]) == (True, "2 of Ann, Ben, Cem")
        assert [(each["name"], each["vkey"], each["time"]) for each in said["cosigned"]] == [
            ("Ann", ANN.vkey, when),
            ("Ben", BEN.vkey, when),
        ]
        assert 5 * DAY <= said["newest_age"] < 6 * DAY
        assert SPLIT_VIEW not in found["does_not_prove"]
        assert TIMES not in found["does_not_prove"]
        assert len(found["does_not_prove"]) == len(DOES_NOT_PROVE)

    @pytest.mark.parametrize("witnesses", [(), (ANN,), (ANN, Witness("d.example", "another"))])
    def test_too_few_are_not_checked(
        self, customer: Customer, witnesses: tuple[Witness, ...]
    ) -> None:
        proof = customer.cosigned(*witnesses)
        answer = customer(proof, "--policy", customer.policy())
        assert (answer.code, answer.verdict) == (3, "NOT CHECKED")
        assert "too few witnesses of the policy cosigned the checkpoint" in answer.flat()
        assert "witnesses, enough witnesses of your policy cosigned the checkpoint" in answer.flat()
        assert "2 of Ann, Ben, Cem" in answer.flat()
        assert "Everything else in the file holds." in answer.flat()
        found = customer(proof, "--policy", customer.policy(), "--format", "json").json()
        assert (found["verdict"], found["step"]) == ("not checked", "witnesses")

    def test_a_failing_line_of_a_witness_is_false(self, customer: Customer) -> None:
        broken = CEM.cosign(customer.text() + "x\n", 5)
        good = [each.cosign(customer.text(), 5) for each in (ANN, BEN)]
        for lines in ([broken], [*good, broken], [broken, *good]):
            answer = customer(customer.file(*lines), "--policy", customer.policy())
            assert (answer.code, answer.verdict) == (1, "FAILED")
            assert "the signature is not this key's" in answer.flat()
            assert f"by {CEM.name}" in answer.flat()

    def test_a_failing_line_of_a_stranger_is_nothing(self, customer: Customer) -> None:
        stranger = Witness("d.example", "another")
        good = [each.cosign(customer.text(), 5) for each in (ANN, BEN)]
        broken = stranger.cosign(customer.text() + "x\n", 5)
        assert customer(customer.file(*good, broken), "--policy", customer.policy()).code == 0

    def test_what_fails_in_the_file_goes_before(self, customer: Customer) -> None:
        proof = customer.cosigned(ANN)
        data = json.loads(proof.read_text())
        data["statements"] = data["statements"][1:]
        proof.write_text(json.dumps(data))
        found = customer(proof, "--policy", customer.policy(), "--format", "json").json()
        assert found["step"] != "witnesses"

    def test_a_policy_without_a_quorum(self, customer: Customer) -> None:
        policy = customer.policy(TWO_OF_THREE.replace("quorum all-of-them", "quorum none"))
        answer = customer(customer.file(), "--policy", policy)
        assert answer.code == 0
        assert "Your policy wants no witness, and none of it cosigned" in answer.flat()
        assert SPLIT_VIEW in answer.flat()
        found = customer(customer.file(), "--policy", policy, "--format", "json").json()
        assert found["witnesses"]["newest_age"] is None
        answer = customer(customer.cosigned(BEN), "--policy", policy)
        assert "Your policy wants none; Ben cosigned." in answer.flat()

    def test_a_policy_of_the_log(self, customer: Customer) -> None:
        own = f"log {customer.vkey}\n{TWO_OF_THREE}"
        assert customer(customer.cosigned(ANN, BEN), "--policy", customer.policy(own)).code == 0
        other = Signer(customer.venue.keys[0][0].name, "another key").vkey
        answer = customer(
            customer.cosigned(ANN, BEN), "--policy", customer.policy(f"log {other}\n{TWO_OF_THREE}")
        )
        assert answer.code == 2
        assert "--policy: lists other logs than" in answer.refusal()

    @pytest.mark.parametrize(
        ("text", "fragment"),
        [
            ("", "a policy has a quorum line"),
            ("quorum W\n", "line 1: no witness or group of that name"),
            ("\x1b[1mquorum none\n", "no control characters"),
            ("\x00\n" * 9, "no control characters"),
            ("# \udcff\nwitness \udcff\n", "line 2: not a line of a policy"),
        ],
    )
    def test_a_policy_that_cannot_be_read(
        self, customer: Customer, text: str, fragment: str
    ) -> None:
        answer = customer(customer.cosigned(ANN), "--policy", customer.policy(text))
        assert answer.code == 2
        assert fragment in answer.refusal()

    def test_a_policy_that_is_not_there_or_endless(self, customer: Customer) -> None:
        nowhere = customer.folder / "nowhere"
        assert "no such file" in customer(customer.file(), "--policy", nowhere).refusal()
        said = customer(customer.file(), "--policy", "/dev/zero").refusal()
        assert "at most 1048576 bytes" in said

    def test_names_are_filtered(self, customer: Customer) -> None:
        text = f"witness \udcff\u202e {ANN.vkey}\nquorum \udcff\u202e\n"
        answer = customer(customer.cosigned(ANN), "--policy", customer.policy(text))
        assert answer.code == 0
        assert "\\u{dcff}\\u{202e} cosigned" in answer.flat()
        form = ["--format", "json"]
        assert customer(customer.cosigned(ANN), "--policy", customer.policy(text), *form).json()

    def test_what_is_not_verified_is_not_remembered(self, customer: Customer) -> None:
        state = customer.folder / "state"
        more = ["--policy", customer.policy(), "--state", state]
        assert customer(customer.cosigned(ANN), *more).code == 3
        assert list(state.glob("*.json")) == []
        assert customer(customer.cosigned(ANN, BEN), *more).code == 0
        assert len(list(state.glob("*.json"))) == 1


class TestAges:
    """The reader's clock is told, so no test depends on how fast it runs."""

    def said(self, when: int, now: int) -> str:
        witnesses = self.witnesses(when, now)
        return witnesses.sentences()[-1]

    def witnesses(self, when: int, now: int) -> Witnesses:
        policy = Quorum.parse(f"witness Ann {ANN.vkey}\nquorum Ann\n".encode())
        checkpoint: Any = None
        found = Cosigned(checkpoint if checkpoint is not None else _head(), {"Ann": when})
        return Witnesses(policy, found, now)

    @pytest.mark.parametrize(
        ("age", "words"),
        [
            (-60, "less than a minute old"),
            (0, "less than a minute old"),
            (59, "less than a minute old"),
            (60, "1 minute old"),
            (119, "1 minute old"),
            (120, "2 minutes old"),
            (HOUR, "1 hour old"),
            (DAY - 1, "23 hours old"),
            (DAY, "1 day old"),
            (400 * DAY, "400 days old"),
            (-61, "1 minute ahead of this computer's clock, so one of the two is wrong"),
            (-2 * DAY, "2 days ahead of this computer's clock"),
        ],
    )
    def test_how_old_the_newest_is(self, age: int, words: str) -> None:
        now = 1_760_097_600
        assert f": {words}" in self.said(now - age, now)

    @pytest.mark.parametrize("when", [0, 253_402_300_799, 253_402_300_800, 2**63 - 1])
    def test_every_time_that_can_be_signed_can_be_told(self, when: int) -> None:
        said = self.said(when, 1_760_097_600)
        assert ("after the year 9999" in said) == (when > 253_402_300_799)
        assert self.witnesses(when, 1_760_097_600).does_not_prove()


def _head() -> Checkpoint:
    venue = market()
    venue.publish()
    return Checkpoint.parse(str(venue.prove("alice")["checkpoint"]))
