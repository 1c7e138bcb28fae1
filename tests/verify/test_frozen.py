"""The project's own vectors: the kernel judges them as it did, the simulator writes them again."""

import json
from typing import Any

import cases
import pytest
from reference import log_root
from refusals import encode

from auditkit.verify import check, sharing, sumtree
from auditkit.verify.errors import NotVerified
from auditkit.verify.history import check_inclusion, leaf_hash
from auditkit.verify.sumtree import Node

FILES = sorted(cases.VECTORS.glob("*.json"))


def load(name: str) -> Any:
    return json.loads((cases.VECTORS / name).read_text(encoding="utf-8"))


def proofs() -> list[str]:
    return [file.name for file in FILES if "proof" in load(file.name)]


@pytest.mark.parametrize("name", proofs())
def test_a_proof_has_the_verdict_it_had(name: str) -> None:
    told = load(name)

    def verify() -> check.Verified:
        data = encode(told["proof"])
        return check.verify(data, told["key"], told["account"], since=told.get("since"))

    if told["verdict"] == "ok":
        assert verify().account == told["account"]
        return
    with pytest.raises(NotVerified) as caught:
        verify()
    assert caught.value.verdict == told["verdict"]
    assert told["fragment"] in str(caught.value)


def test_trees_are_as_they_were() -> None:
    for tree in load("trees.json"):
        size, prefix = len(tree["leaves"]), 0
        root = Node.decode(bytes.fromhex(tree["root"]))
        assert size or root == sumtree.EMPTY
        for i, leaf in enumerate(tree["leaves"]):
            start = sumtree.leaf(bytes.fromhex(leaf["salt"]), int(leaf["amount"]), leaf["account"])
            path = [Node.decode(bytes.fromhex(node)) for node in tree["paths"][i]]
            assert sumtree.climb(start, i, size, path) == (root, prefix)
            prefix += int(leaf["amount"])


def test_the_logs_of_the_trees_are_as_they_were() -> None:
    for tree in load("trees.json"):
        entries = [leaf["account"].encode() for leaf in tree["leaves"]]
        for i, path in enumerate(tree["log_paths"]):
            nodes = [bytes.fromhex(node) for node in path]
            check_inclusion(leaf_hash(entries[i]), i, len(entries), log_root(entries), nodes)


def test_shares_are_as_they_were() -> None:
    for case in load("shares.json"):
        amounts, loss = list(map(int, case["amounts"])), int(case["loss"])
        recovered = list(map(int, case["recovered"]))
        for i, amount in enumerate(amounts):
            place = (sum(amounts[:i]), amount, sum(amounts), loss)
            assert str(sharing.deduction(*place)) == case["deductions"][i]
            paid = list(map(str, sharing.payouts(*place, recovered)))
            assert paid == [row[i] for row in case["paid"]]


def test_the_simulator_writes_every_file_byte_for_byte() -> None:
    written = cases.written()
    assert written.keys() == {file.name for file in FILES}
    for name, text in written.items():
        assert (cases.VECTORS / name).read_bytes() == text.encode(), name
