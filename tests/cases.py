"""The stories behind tests/vectors, a file each; `python tests/cases.py` writes them anew.

The suite holds the kernel to these files where no other vectors are at hand,
and holds the simulator to writing the same bytes again.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from reference import Leaf, deductions, log_path, returned, sum_path, sum_root
from venue import Venue

VECTORS = Path(__file__).parent / "vectors"
MARGIN = {"alice": 500_000, "bob": 300_000, "erin": 17}


def _market(**options: Any) -> Venue:
    venue = Venue(seed="vectors", **options)
    venue.snapshot("BTC", {"margin": MARGIN, "spot": {"alice": 7}})
    venue.fund(BTC=[("liquidation_fee", 40)])
    return venue


def _crash(lies: dict[str, dict[str, object]] | None = None, **options: Any) -> Venue:
    """A loss of 90 = 10 by ADL, 40 from the fund, 40 socialized; with lies by kind."""
    venue = _market(**options)
    for kind, edits in (lies or {}).items():
        venue.lie(kind, **edits)
    venue.event("BTC", {"carol": 90}, adl={"dave": 10})
    venue.publish()
    return venue


def _case(venue: Venue, verdict: str, fragment: str, proof: Any = None, **more: Any) -> Any:
    proof = venue.prove("alice") if proof is None else proof
    told = {"account": "alice", "key": venue.vkey, "verdict": verdict, "fragment": fragment}
    return told | more | {"proof": proof}


def honest() -> Any:
    return _case(_crash(), "ok", "")


def honest_split_and_padded() -> Any:
    return _case(_crash(splits={"alice": 3}, padding=1), "ok", "")


def honest_recoveries_after_a_change_of_key() -> Any:
    venue = _market()
    run = venue.event("BTC", {"carol": 90}, adl={"dave": 10})
    venue.publish()
    venue.recovery(run, 13)
    venue.rotate_key()
    venue.recovery(run, 27)
    venue.publish()
    since = venue.heads[0] - 1
    return _case(venue, "ok", "", venue.prove("alice", since=since), since=since)


def malformed_statement() -> Any:
    proof = _crash().prove("alice")
    proof["statements"][1]["text"] = proof["statements"][1]["text"].replace('"7"', '"07"')
    return _case(_crash(), "malformed", "an amount in base units", proof)


def unsupported_rule() -> Any:
    proof = _crash().prove("alice")
    policy = proof["statements"][0]
    policy["text"] = policy["text"].replace("cumulative/1", "cumulative/2")
    return _case(_crash(), "unsupported", "an unknown rule", proof)


def false_deduction() -> Any:
    venue = _crash(
        {
            "applied": {
                "balances": lambda held: held | {"alice": held["alice"] - 1, "bob": held["bob"] + 1}
            }
        }
    )
    return _case(venue, "false", "the deduction is not the rule's")


def false_draw() -> Any:
    venue = _crash({"draw": {"drawn": "39", "after": "1"}})
    return _case(venue, "false", "the fund was not drawn as the rule says")


def false_index() -> Any:
    return _case(_crash({"index": {"latest": {"BTC": 7}}}), "false", "jumps an entry of BTC")


def incomplete_chain() -> Any:
    venue = _crash()
    proof = venue.prove("alice")
    proof["statements"] = [entry for entry in proof["statements"] if entry["seq"] != 7]
    return _case(venue, "incomplete", "statement 7 of BTC is missing", proof)


def incomplete_run() -> Any:
    venue = _market()
    venue.event("BTC", {"carol": 90}, adl={"dave": 10}, until="loss")
    venue.publish()
    return _case(venue, "incomplete", "is not finished: no applied yet")


def trees() -> Any:
    """Sum trees and logs of a few sizes, with every path."""
    rows = []
    for size in (0, 1, 2, 3, 5, 7):
        leaves = [Leaf(bytes([i]) * 32, (i * 10**9) ** 2, f"account-{i}") for i in range(size)]
        nodes = [leaf.node for leaf in leaves]
        entries = [leaf.account.encode() for leaf in leaves]
        rows.append(
            {
                "leaves": [
                    {"salt": x.salt.hex(), "amount": str(x.amount), "account": x.account}
                    for x in leaves
                ],
                "root": sum_root(nodes).hex(),
                "paths": [[n.hex() for n in sum_path(i, nodes)] for i in range(size)],
                "log_paths": [[n.hex() for n in log_path(i, entries)] for i in range(size)],
            }
        )
    return rows


def shares() -> Any:
    """Losses and recoveries, leaf by leaf."""
    rows = []
    for amounts, loss, recovered in (
        ([1000, 700, 700, 333, 1, 0], 501, [100, 1, 400]),
        ([1, 1, 1], 2, [1, 1]),
        ([0, 5, 0], 5, [5]),
        ([2**127, 2**127 - 1], 2**127 + 1, [2**126, 1]),
        ([3, 4], 0, []),
    ):
        table = returned(amounts, loss, recovered)
        assert table[0] == deductions(amounts, loss)
        rows.append(
            {
                "amounts": [str(x) for x in amounts],
                "loss": str(loss),
                "recovered": [str(x) for x in recovered],
                "deductions": [str(x) for x in table[0]],
                "paid": [[str(x) for x in row] for row in table[1:]],
            }
        )
    return rows


PROOFS: tuple[Callable[[], Any], ...] = (
    *(honest, honest_split_and_padded, honest_recoveries_after_a_change_of_key),
    *(malformed_statement, unsupported_rule, false_deduction, false_draw, false_index),
    *(incomplete_chain, incomplete_run),
)


def written() -> dict[str, str]:
    """Every vector's text, by file name."""
    cases = {case.__name__: case() for case in (*PROOFS, trees, shares)}
    texts = {name: json.dumps(value, indent=1) + "\n" for name, value in cases.items()}
    return {f"{name.replace('_', '-')}.json": text for name, text in texts.items()}


if __name__ == "__main__":
    VECTORS.mkdir(exist_ok=True)
    for name, text in written().items():
        (VECTORS / name).write_text(text, encoding="utf-8")
