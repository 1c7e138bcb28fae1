"""The script of docs/check-without-us.md: bash, OpenSSL and bc, and nothing of ours."""

import json
from pathlib import Path
from typing import Any

import pytest
from foreign.page import KEY, NEEDED, TEXT, check, script, section, tables
from foreign.toolbox import PROOFS
from venue import Venue

from auditkit.verify.check import verify

pytestmark = [pytest.mark.tool("openssl", "proof files"), pytest.mark.tool("bc", "proof files")]

ACCOUNT = "10007"
BROKEN = sorted(path.parent.name for path in PROOFS.glob("broken/*/proof.json"))
# Why each lie fails; those that are not here hold, and the page says so.
REASONS = {
    "account-that-looks-alike": "an escape that is not read here",
    "amount-spelt-otherwise": "not a number: 0117583581",
    "balance-not-shown-any-more": "1250000001 - 28094568 should be left, and is not shown",
    "chain-jumps-the-loss": "statement 4 of BTC is jumped",
    "checkpoint-with-a-fourth-line": "not a checkpoint of demo.example/audit",
    "deduction-one-unit-more": "1250000001 - 28094568 should be left, and is 1221905432",
    "end-left-out": "the log's last entry is not shown, or is no index",
    "file-of-another-customer": "leaf 0 is not in margin of statement 1",
    "hash-truncated": "not a path: leaf 0",
    "index-hides-a-statement": "statement 3 of BTC is jumped",
    "inner-node-as-leaf": "a path is too short",
    "key-given-twice": "given twice: file/account",
    "leaf-counted-twice": "leaf 1 of 1/margin is shown twice",
    "leaf-negative": "not a number: -1",
    "leaf-of-another-customer": "leaf 0 is not in margin of statement 1",
    "loss-left-out": "statement 8 of BTC is missing",
    "newer-format": "not a file of this format",
    "not-applied-yet": "what statement 7 says is not applied",
    "nothing-to-check": "no leaf is shown",
    "number-that-is-none": "not a number: NaN",
    "painted-terminal": "an escape that is not read here",
    "path-too-long": "a path is too long",
    "recovery-beyond-the-loss": "recovery 9 is more than is outstanding",
    "recovery-one-unit-less": "1221905433 + 10460251 should be left, and is 1232365683",
    "rule-unknown": "loss 7 is shared by another rule",
    "salt-short": "not a leaf: 0",
    "seventeen-leaves": "more than 16 leaves of 1/margin",
    "signature-that-some-accept": "the signature is not that key's",
    "signed-by-another-key": "no signature by that key",
    "statement-edited-after-logging": "statement 1 is not in the log that was signed",
    "statement-from-another-place": "statement 3 is of another place",
    "sum-beyond-128-bits": "a sum reaches 2^128",
    "sums-hidden-on-the-path": "leaf 0 is not in margin of statement 1",
    "times-run-backwards": "statement 8 is not later than the one before",
    "total-understated": "leaf 4 is not in margin of statement 3",
}
# One lie for each part of the script; the others take their time.
QUICK = (
    *("key-given-twice", "signature-that-some-accept", "statement-edited-after-logging"),
    *("loss-left-out", "sums-hidden-on-the-path", "deduction-one-unit-more"),
    "recovery-one-unit-less",
)


def lies() -> list[Any]:
    marks = pytest.mark.thorough
    return [pytest.param(lie, marks=() if lie in QUICK else marks) for lie in BROKEN]


def test_the_page_tells_which_lies_hold() -> None:
    listed = [
        word for row in tables("What the script does not see")[0][1:] for word in words(row[1])
    ]
    assert sorted([*listed, *REASONS]) == BROKEN
    counted = f"Of the {len(BROKEN)} lies in `proofs/broken/`, one file each, the script fails"
    assert f"{counted} {len(REASONS)}, each" in section("What the script does not see")


def words(cell: str) -> list[str]:
    return [word.strip("` ") for word in cell.split(",")]


# A plain balance and a split one; then, in their time, a deleveraged account and a bankrupt one.
HONEST = ("10007", "10042")
LATER = ("10003", "10011")


@pytest.mark.parametrize(
    "account", [*HONEST, *(pytest.param(name, marks=pytest.mark.thorough) for name in LATER)]
)
def test_an_honest_file_holds_and_says_what_the_kernel_says(tmp_path: Path, account: str) -> None:
    path = PROOFS / f"{account}.json"
    said = check(tmp_path, path, account)
    assert (said.code, said.verdict, said.err) == (0, "HOLDS", "")
    proven = verify(path.read_bytes(), KEY.read_text().strip(), account)
    signed = f"{proven.key.name} signed a log of {proven.checkpoint.size} entries"
    assert f"signature  {signed}\n" in said.out
    (event,), (payout,) = proven.events, proven.payouts
    held, loss = event.balance or 0, event.loss
    shared = f"statement {loss.seq} shares {loss.socialized} over {loss.before.total}"
    assert f"{shared}: you bear {event.deducted}\n" in said.out
    assert f"  {held} before, {held - (event.deducted or 0)} after\n" in said.out
    returned = f"statement {payout.recovery.seq} returns {payout.recovery.recovered}"
    assert f"{returned} of loss {loss.seq}: you get {payout.paid}\n" in said.out


def test_there_is_no_other_honest_file() -> None:
    assert {path.stem for path in PROOFS.glob("*.json")} == {*HONEST, *LATER}


@pytest.mark.parametrize("lie", lies())
def test_a_lie_fails_for_its_own_reason_or_holds_as_the_page_says(tmp_path: Path, lie: str) -> None:
    said = check(tmp_path, PROOFS / "broken" / lie / "proof.json", ACCOUNT)
    if reason := REASONS.get(lie):
        assert (said.code, said.verdict) == (1, "FAILED")
        assert reason in said.err
    else:
        assert (said.code, said.verdict, said.err) == (0, "HOLDS", "")


# The page.


def test_the_numbers_are_as_wide_as_the_formats(tmp_path: Path) -> None:
    """Products of 256 bits, and sums that end right below 2^128."""
    venue = Venue(name="demo.example/audit", seed="wide", splits={ACCOUNT: 3})
    most = 2**128 - 1
    amounts = {ACCOUNT: most // 3, "other": most // 2, "third": most - most // 2 - most // 3 - 7}
    venue.snapshot("BTC", {"margin": amounts})
    venue.fund()
    venue.event("BTC", {"carol": most // 5}, adl={})
    venue.publish()
    (tmp_path / "key").write_text(venue.vkey)
    proof = tmp_path / "proof.json"
    proof.write_text(json.dumps(venue.prove(ACCOUNT)))
    said = check(tmp_path, proof, ACCOUNT, tmp_path / "key")
    assert (said.code, said.verdict, said.err) == (0, "HOLDS", "")
    assert f"shares {most // 5} over {most - 7}: you bear " in said.out


def test_the_page_names_what_is_needed() -> None:
    told = section("What you need")
    assert "bash 4.4 or newer, coreutils, grep and sed" in told
    assert "`apt-get install openssl bc`" in told
    core = ("base64", "cut", "mktemp", "od", "rm", "tr")
    assert set(NEEDED) == {"bash", "grep", "sed", "openssl", "bc", *core}
    assert "python" not in script()
    assert "auditkit " not in script()
    assert "solvent" not in TEXT.lower()
