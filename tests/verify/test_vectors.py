"""The vectors kept beside the checkout; a file per lie, and each is refused for its own reason."""

import base64
import json
from pathlib import Path
from typing import Any

import pytest
from refusals import refused

from auditkit.verify import check, history, sharing, sumtree
from auditkit.verify.errors import Incomplete, Malformed, NotVerified, Refuted, Unsupported
from auditkit.verify.note import Checkpoint, Note, VerifierKey
from auditkit.verify.sumtree import Node

VECTORS = Path(__file__).resolve().parents[2].parent / "shared" / "vectors"
PROOFS = VECTORS / "format" / "proofs"

pytestmark = pytest.mark.skipif(not VECTORS.is_dir(), reason="the vectors are not here")


def load(*path: str) -> Any:
    return json.loads(VECTORS.joinpath(*path).read_text(encoding="utf-8"))


def cases(*path: str) -> list[Path]:
    """The JSON files below a folder of vectors, if it is here at all."""
    return sorted(VECTORS.joinpath(*path).rglob("*.json"))


# Every lie: its family, the step that refuses it, and a fragment of the message.
REFUSALS: dict[str, tuple[type[NotVerified], str, str]] = {
    "proof-newer-format": (Unsupported, "1", "a proof of a format this version does not know"),
    "statement-unknown-kind": (Unsupported, "1", "a statement of a format this version"),
    "checkpoint-extension-line": (Malformed, "1", "checkpoint: a checkpoint has three lines"),
    "checkpoint-no-final-newline": (Malformed, "1", "each ended by LF"),
    "proof-statement-twice": (Malformed, "1", "statements: not strictly ascending"),
    "proof-unknown-field": (Malformed, "1", "unknown or missing fields; found hash"),
    "statement-amount-negative": (Malformed, "1", "text.after: not an amount"),
    "statement-duplicate-key": (Malformed, "1", "duplicate key; found seq"),
    "statement-ledgers-out-of-order": (Malformed, "1", "text.ledgers: not strictly ascending"),
    "statement-not-canonical": (Malformed, "1", "it does not re-encode to itself"),
    "statement-source-listed-twice": (Malformed, "1", "sources: not strictly ascending"),
    "statement-time-no-such-day": (Malformed, "1", "text.time: no such time"),
    "statement-unknown-field": (Malformed, "1", "unknown or missing fields; found note"),
    "account-other": (Refuted, "2", "the file is about another account"),
    "checkpoint-by-other-key": (Refuted, "3", "no signature line by the pinned key"),
    "checkpoint-signature-broken": (Refuted, "3", "the signature is not this key's"),
    "rotation-line-missing": (Refuted, "3", "no signature line by the pinned key"),
    "log-path-one-short": (Refuted, "4", "the log path is too short"),
    "statement-edited-after-logging": (Refuted, "4", "the entry is not in the log"),
    "statement-wrong-seq": (Refuted, "4", "another seq or venue than its place"),
    "times-run-backwards": (Refuted, "4", "is not after the one before it"),
    "checkpoint-ends-without-index": (Incomplete, "5", "does not end in an index that is shown"),
    "extra-statement": (Malformed, "5", "statements that do not belong here; found 2"),
    "index-hides-a-shown-statement": (Refuted, "5", "the index 10 jumps an entry of BTC"),
    "left-out-last-entry": (Incomplete, "5", "does not end in an index that is shown"),
    "left-out-loss-and-applied": (Incomplete, "5", "statement 8 of BTC is missing"),
    "previous-jumps-a-shown-entry": (Refuted, "5", "the applied 8 jumps an entry of BTC"),
    "since-chain-leaves-what-was-seen": (Refuted, "5", "the snapshot 10 jumps an entry of BTC"),
    "since-file-starts-later": (Incomplete, "5", "starts BTC after what was verified last"),
    "since-index-not-shown": (Incomplete, "5", "the index verified last is missing"),
    "leaf-amount-raised": (Refuted, "6", "does not reach the signed root of 1:margin"),
    "leaf-counted-twice": (Refuted, "6", "leaf 4 of 1:margin is shown twice"),
    "leaf-salt-other": (Refuted, "6", "does not reach the signed root of 1:margin"),
    "path-one-long": (Refuted, "6", "the ledger path is too long"),
    "path-one-short": (Refuted, "6", "the ledger path is too short"),
    "path-sums-hidden": (Refuted, "6", "does not reach the signed root of 1:margin"),
    "account-left-in-silence": (Incomplete, "7", "no leaf in statement 7 for BTC/margin"),
    "left-out-leaf-after": (Incomplete, "7", "no leaf in statement 8 for BTC/margin"),
    "proof-no-leaves": (Incomplete, "7", "no leaf of a customer book"),
    "adl-not-exhausted": (Refuted, "8", "ADL left a deficit while candidates remained"),
    "applied-late": (Refuted, "8", "the applied was logged after the deadline"),
    "applied-never": (Refuted, "8", "is not one unbroken run; expected its applied"),
    "applied-pending": (Incomplete, "8", "is not finished: no applied yet"),
    "confirmed-after-deficit": (Refuted, "8", "the deficit was confirmed after it was logged"),
    "deduction-one-unit-more": (Refuted, "8", "the deduction is not the rule's"),
    "draw-invents-its-start": (Refuted, "8", "does not start at the fund's closing balance"),
    "draw-leaves-money": (Refuted, "8", "the fund was not drawn as the rule says"),
    "fund-emptied-by-correction": (Refuted, "8", "the fund entry right before the draw books a"),
    "ledger-vanished": (Refuted, "8", "the ledger spot vanished from snapshot 9"),
    "loss-does-not-add-up": (Refuted, "8", "the waterfall does not add up"),
    "loss-of-other-book": (Refuted, "8", "shared by another book than the policy's"),
    "loss-residual-while-equity-left": (Refuted, "8", "a residual is stated while equity is left"),
    "mark-not-median": (Refuted, "8", "the mark of BTC-PERP is not the median"),
    "policy-changed-before-the-event": (Refuted, "8", "the policy changed between snapshot 1"),
    "policy-changed-inside": (Refuted, "8", "the policy changed inside event"),
    "recovery-one-unit-off": (Refuted, "8", "what the recovery pays is not the rule's"),
    "run-cut-short": (Incomplete, "8", "is not finished: no draw yet"),
    "run-cut-short-overdue": (Refuted, "8", "was not finished in time"),
    "stages-in-other-order": (Refuted, "8", "is not one unbroken run; expected its draw"),
}


def folders() -> list[str]:
    return sorted(case.name for case in PROOFS.iterdir()) if PROOFS.is_dir() else []


@pytest.mark.parametrize("name", folders())
def test_a_proof_has_its_verdict_for_its_own_reason(name: str) -> None:
    told = load("format", "proofs", name, "expect.json")
    proof = (PROOFS / name / "proof.json").read_bytes()
    key = (PROOFS / name / "venue.vkey").read_text(encoding="utf-8").strip()

    def verify() -> check.Verified:
        return check.verify(proof, key, told["account"], since=told.get("since"))

    if told["expect"] == "ok":
        assert verify().account == told["account"]
        return
    family, step, fragment = REFUSALS[name]
    assert family.verdict == told["expect"]
    with refused(family, fragment, step):
        verify()


def test_every_refusal_in_the_table_is_a_case() -> None:
    assert {name for name in folders() if not name.startswith("honest")} - {
        "checkpoint-grease-line"
    } == REFUSALS.keys()


def test_trees() -> None:
    for tree in load("format", "trees.json"):
        leaves, paths = tree["leaves"], tree["paths"]
        root = Node.decode(bytes.fromhex(tree["root"]))
        prefix = 0
        for i, (leaf, path) in enumerate(zip(leaves, paths, strict=True)):
            start = sumtree.leaf(
                bytes.fromhex(leaf["salt"]), int(leaf["amount"]), str(leaf["account"])
            )
            nodes = [Node.decode(bytes.fromhex(node)) for node in path]
            assert sumtree.climb(start, i, len(leaves), nodes) == (root, prefix)
            prefix += int(leaf["amount"])
        assert leaves or root == sumtree.EMPTY


def test_shares() -> None:
    for case in load("format", "shares.json"):
        amounts, loss = list(map(int, case["amounts"])), int(case["loss"])
        assert list(map(str, deductions(amounts, loss))) == case["deductions"]


def deductions(amounts: list[int], loss: int) -> list[int]:
    total = sum(amounts)
    return [
        sharing.deduction(sum(amounts[:i]), amount, total, loss) for i, amount in enumerate(amounts)
    ]


def test_recoveries() -> None:
    for case in load("format", "recoveries.json"):
        amounts, recovered = list(map(int, case["amounts"])), list(map(int, case["recoveries"]))
        by_leaf = [
            sharing.payouts(sum(amounts[:i]), amount, sum(amounts), int(case["loss"]), recovered)
            for i, amount in enumerate(amounts)
        ]
        assert [list(map(str, row)) for row in zip(*by_leaf, strict=True)] == case["paid"]


def test_published_losses_shared_by_largest_remainder_elsewhere() -> None:
    case = load("loss", "published.json")["largest_remainder_vs_cumulative"]
    for row in case["rows"]:
        shares = deductions(list(map(int, case["bases"])), int(row["loss"]))
        assert list(map(str, shares)) == row["cumulative"]


def test_a_published_table_is_met_within_a_cent_and_adds_up_where_it_does_not() -> None:
    case = load("loss", "published.json")["cryptocom"]
    cents = [100 * int(base) for base in case["bases"]]
    published = [int(text.replace(".", "")) for text in case["published"]]
    shares = deductions(cents, 100 * int(case["loss"]))
    assert sum(shares) == 1_000_000 != sum(published)
    assert all(abs(a - b) <= 1 for a, b in zip(shares, published, strict=True))


def accepts(public: str, message: bytes, signature: str) -> bool:
    try:
        VerifierKey("vectors", bytes.fromhex(public)).check(message, bytes.fromhex(signature))
    except Refuted:
        return False
    return True


def test_of_914_edge_cases_of_ed25519_exactly_one_is_accepted() -> None:
    edge = load("ed25519", "cctv_ed25519vectors.json")
    accepted = [c["number"] for c in edge if accepts(c["key"], c["msg"].encode(), c["sig"])]
    assert (len(edge), accepted) == (914, [305])
    assert edge[305]["flags"] is None


def test_wycheproof_signatures() -> None:
    groups = load("ed25519", "wycheproof_ed25519_test.json")["testGroups"]
    for group in groups:
        for case in group["tests"]:
            valid = accepts(group["publicKey"]["pk"], bytes.fromhex(case["msg"]), case["sig"])
            assert valid == (case["result"] == "valid"), case
    assert sum(len(group["tests"]) for group in groups) == 151


def hashes(values: list[str] | None) -> list[bytes]:
    return [base64.b64decode(value) for value in values or []]


def name_of(case: Path) -> str:
    return f"{case.parent.name}-{case.stem}"


@pytest.mark.parametrize("case", cases("rfc6962", "inclusion"), ids=name_of)
def test_rfc6962_inclusion(case: Path) -> None:
    told = json.loads(case.read_text(encoding="utf-8"))
    leaf, root = hashes([told["leafHash"], told["root"]])

    def check_it() -> None:
        history.check_inclusion(
            leaf, told["leafIdx"], told["treeSize"], root, hashes(told["proof"])
        )

    if told["wantErr"]:
        with pytest.raises(Refuted):
            check_it()
    else:
        check_it()


@pytest.mark.parametrize("case", cases("rfc6962", "consistency"), ids=name_of)
def test_rfc6962_consistency(case: Path) -> None:
    told = json.loads(case.read_text(encoding="utf-8"))
    earlier, later = hashes([told["root1"], told["root2"]])

    def check_it() -> None:
        history.check_consistency(
            told["size1"], earlier, told["size2"], later, hashes(told["proof"])
        )

    if told["wantErr"] or told["size1"] == 0:
        with pytest.raises(Refuted):
            check_it()
    else:
        check_it()


def test_all_of_the_rfc6962_cases_are_here() -> None:
    assert len(cases("rfc6962")) == 196


def notes() -> list[tuple[str, str]]:
    """Every note of other projects, with each key that signed it, and each signature alone."""
    if not VECTORS.is_dir():
        return []
    told = load("note", "signed_note_vectors.json")
    go, others = told["go"], [told["spec_example"], told["sumdb"]]
    found = [(other["note"], other["vkey"]) for other in others]
    both = go["peter_sig"] + go["enoch_sig"]
    for who in ("peter", "enoch"):
        for lines in (go[f"{who}_sig"], both):
            found.append((f"{go['text']}\n{lines}", go[f"{who}_vkey"]))
    return found


def opened(note: str, key: str) -> Note:
    parsed = Note.parse(note)
    parsed.check(VerifierKey.parse(key))
    return parsed


@pytest.mark.parametrize(("note", "key"), notes())
def test_a_note_of_another_project_opens(note: str, key: str) -> None:
    assert str(opened(note, key)) == note
    assert str(VerifierKey.parse(key)) == key


@pytest.mark.parametrize(("note", "key"), notes())
def test_a_note_of_another_project_opens_under_its_own_keys_only(note: str, key: str) -> None:
    others = {other for given, other in notes() if other != key and given != note}
    signers = {other for given, other in notes() if given == note}
    for other in others - signers:
        with refused(Refuted, "no signature line by the pinned key"):
            opened(note, other)


@pytest.mark.parametrize(
    ("note", "key"), [given for given in notes() if given[0].count("\u2014") == 1]
)
def test_no_byte_of_such_a_note_can_be_another(note: str, key: str) -> None:
    data = note.encode()
    for place in range(len(data)):
        for bit in (1, 32):
            bent = data[:place] + bytes([data[place] ^ bit]) + data[place + 1 :]
            with pytest.raises((NotVerified, UnicodeDecodeError)):
                opened(bent.decode(), key)


def test_a_signature_beside_it_may_be_anybodys() -> None:
    """A line of an unknown key is ignored, also where it is wrong."""
    go = load("note", "signed_note_vectors.json")["go"]
    enoch = go["enoch_sig"].replace("ox33WWd1", "ox33WWd2")
    assert enoch != go["enoch_sig"]
    note = f"{go['text']}\n{go['peter_sig']}{enoch}"
    opened(note, go["peter_vkey"])
    with refused(Refuted, "the signature is not this key's"):
        opened(note, go["enoch_vkey"])


def test_malformed_vkeys_of_other_projects() -> None:
    for text in load("note", "signed_note_vectors.json")["go"]["bad_vkeys"]:
        with pytest.raises(Malformed):
            VerifierKey.parse(text)


def test_empty_tree_and_empty_leaf() -> None:
    told = load("note", "signed_note_vectors.json")["rfc6962"]
    assert history.EMPTY_ROOT.hex() == told["empty_root"]
    assert history.leaf_hash(b"").hex() == told["empty_leaf"]


def test_every_checkpoint_of_a_tessera_log_opens_under_its_key() -> None:
    log = VECTORS / "note" / "tessera-log"
    key = VerifierKey.parse((log / "log.vkey").read_text(encoding="utf-8").strip())
    sizes = []
    for file in log.glob("checkpoint.*"):
        checkpoint = Checkpoint.parse(file.read_text(encoding="utf-8"))
        checkpoint.open(key)
        sizes.append(checkpoint.size)
        assert file.name == f"checkpoint.{checkpoint.size}"
    assert sorted(sizes) == list(range(16))
    assert (log / "checkpoint").read_bytes() == (log / "checkpoint.15").read_bytes()
