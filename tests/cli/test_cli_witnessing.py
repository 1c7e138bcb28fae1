"""`auditkit venue witnesses`, `venue witness-again`, and publishing that has to ask."""

from pathlib import Path

import pytest
from console import Console
from reference import Witness
from watched import serving
from witnessed import Posing, Witnessed, http, posing

from auditkit.verify.quorum import Quorum

W = Witness("odd.example", "key of odd.example")


def cosigns(body: bytes) -> bytes:
    text = body.decode().split("\n\n")[1] + "\n"
    return http(200, W.cosign(text, 1_760_097_600).encode())


def hangs_up(body: bytes) -> bytes:
    return b""


class Desk:
    """An exchange at its command line."""

    def __init__(self, folder: Path, console: Console) -> None:
        self.exchange, self.console, self.folder = Witnessed(folder), console, folder
        self.pools = self.exchange.pools_file({})

    def policy(self, witness: "Posing", more: str = "") -> Path:
        path = self.folder / "witnesses"
        path.write_text(f"witness W {witness.vkey} {witness.url}\n{more}quorum W\n")
        return path

    @property
    def root(self) -> Path:
        return self.exchange.root

    @property
    def publish(self) -> list[object]:
        return ["publish", "fund", "--venue", self.root, "--pools", self.pools]


@pytest.fixture
def desk(tmp_path: Path, console: Console) -> Desk:
    return Desk(tmp_path, console)


def test_witnesses_are_named_and_shown(desk: Desk) -> None:
    shown = desk.console("venue", "witnesses", desk.root)
    assert "public/policy:" in shown.flat()
    assert "quorum none" in shown.flat()
    with posing(cosigns) as odd:
        named = desk.console("venue", "witnesses", desk.root, "--policy", desk.policy(odd))
        assert named.code == 0
        assert "public/policies/2:" in named.flat()
        assert "The next publish asks them." in named.flat()
        found = desk.console("venue", "witnesses", desk.root, "--format", "json").json()
        assert (found["verdict"], found["quorum"], found["policy"]) == ("shown", "W", "policies/2")
        assert found["witnesses"] == [{"name": "W", "vkey": W.vkey, "url": odd.url}]
        text = (desk.root / "public/policies/2").read_text()
        assert text == found["text"]
        assert text.startswith(f"log {desk.exchange.signer.verifier}\n")
        published = desk.console(*desk.publish)
        assert published.code == 0
        assert published.verdict.startswith("PUBLISHED 2 entries; the log has 4")
    assert Quorum.parse(text.encode()).check(desk.exchange.head()).times == {"W": 1_760_097_600}


def test_the_folder_is_given_as_everywhere_else_too(desk: Desk) -> None:
    for command in (["venue", "witnesses"], ["venue", "witness-again"]):
        assert desk.console(*command, "--venue", desk.root) == desk.console(*command, desk.root)
        assert "--venue is missing" in desk.console(*command).refusal()
        twice = desk.console(*command, desk.root, "--venue", desk.root)
        assert (twice.code, "give the venue's folder once" in twice.refusal()) == (2, True)


def test_a_policy_that_will_not_do(desk: Desk) -> None:
    path = desk.folder / "policy"
    before = desk.exchange.tree()
    for text, fragment in (
        (f"witness W {W.vkey}\nquorum W\n", "add the URLs"),
        (f"witness W {W.vkey} w.example\nquorum W\n", "is no URL of a witness"),
        ("nonsense\n", "line 1: not a line of a policy"),
    ):
        path.write_text(text)
        answer = desk.console("venue", "witnesses", desk.root, "--policy", path)
        assert (answer.code, fragment in answer.refusal()) == (2, True)
    missing = desk.console("venue", "witnesses", desk.root, "--policy", desk.folder / "no")
    assert "no such file" in missing.refusal()
    assert desk.exchange.tree() == before


def test_who_did_not_cosign_is_noted(desk: Desk, tmp_path: Path) -> None:
    key = desk.exchange.signer.verifier
    with serving(tmp_path / "w", key) as honest, posing(hangs_up) as odd:
        policy = desk.policy(odd, f"witness A {honest.vkey} {honest.url}\n")
        policy.write_text(policy.read_text().replace("quorum W", "group G any W A\nquorum G"))
        assert desk.console("venue", "witnesses", desk.root, "--policy", policy).code == 0
        answer = desk.console(*desk.publish)
        assert answer.code == 0
        assert "NOTE: witness W did not cosign: cannot be asked" in answer.flat()
        found = desk.console(*desk.publish, "--format", "json")
        assert any("witness W did not cosign" in note for note in found.json()["notes"])


def test_without_its_quorum_it_is_said_plainly_and_finished_later(desk: Desk) -> None:
    before = desk.exchange.head()
    with posing(hangs_up) as odd:
        desk.console("venue", "witnesses", desk.root, "--policy", desk.policy(odd))
        answer = desk.console(*desk.publish)
        assert answer.code == 74
        said = answer.refusal()
        for part in (
            "the log has 4 entries, signed and committed, but they are not published",
            "too few witnesses cosigned: wanted W, had none; W: cannot be asked",
            "The next publish asks again, and so does auditkit venue witness-again.",
            "Do not publish the same again",
        ):
            assert part in said
        again = desk.console("venue", "witness-again", desk.root)
        assert (again.code, "too few witnesses cosigned" in again.refusal()) == (74, True)
        found = desk.console("venue", "witness-again", desk.root, "--format", "json").json()
        assert (found["verdict"], found["exit_code"]) == ("error", 74)
        assert desk.exchange.head() == before
    with posing(cosigns) as odd:
        desk.console("venue", "witnesses", desk.root, "--policy", desk.policy(odd))
        again = desk.console("venue", "witness-again", desk.root)
        assert (again.code, again.out) == (0, "PUBLISHED the checkpoint of 4 entries, cosigned.\n")
        assert desk.exchange.head().size == 4
        once_more = desk.console("venue", "witness-again", desk.root)
        assert (once_more.code, "Nothing waits" in once_more.flat()) == (0, True)
        assert len(odd.bodies) == 1


def test_a_venue_without_witnesses_has_nothing_that_waits(desk: Desk) -> None:
    found = desk.console("venue", "witness-again", desk.root, "--format", "json").json()
    assert (found["verdict"], found["waited"], found["notes"]) == ("published", False, [])
