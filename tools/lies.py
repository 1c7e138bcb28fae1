"""The lies of proofs/broken/: what a dishonest venue would sign, and what would be done to a file.

Each lie is a function that returns a proof file; its docstring is the reason it
must be refused. The venue is the simulator of the tests, under the key of the
demo venue, so that one verifier key serves all of proofs/.
"""

import base64
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from reference import Signer, log_extension
from venue import Venue
from venue_runs import Run

Json = dict[str, Any]
ACCOUNT = "10007"
MARGIN = {ACCOUNT: 1_250_000_001, "10011": 700_000_000, "10023": 42, "10042": 9_999_999_999}
SPOT = {ACCOUNT: 30_000_000, "10042": 77}
NAME, SEED = "demo.example/audit", "published demo"


@dataclass(frozen=True)
class Lie:
    """A proof file, the verdict it must get, at which step, and why."""

    name: str
    expect: str
    step: str
    make: Callable[[], Json | str]
    since: int | None = None

    @property
    def why(self) -> str:
        return " ".join((self.make.__doc__ or "").split())


LIES: list[Lie] = []


def lie(expect: str, step: str, since: int | None = None) -> Callable[..., Any]:
    """Register a function as a lie."""

    def register(make: Callable[[], Json | str]) -> Callable[[], Json | str]:
        LIES.append(Lie(make.__name__.replace("_", "-"), expect, step, make, since))
        return make

    return register


def market(**options: Any) -> Venue:
    """A snapshot of BTC, and half a coin in its fund."""
    venue = Venue(name=NAME, seed=SEED, splits={ACCOUNT: 2}, **options)
    venue.snapshot("BTC", {"margin": MARGIN, "spot": SPOT})
    venue.fund(BTC=[("liquidation_surplus", 50_000_000)])
    return venue


def crash(venue: Venue, **details: Any) -> Run:
    """A deficit that ADL, the fund and the customers share."""
    return venue.event("BTC", {"10003": 400_000_000}, adl={"10011": 81_415_926}, **details)


def shown(venue: Venue, **details: Any) -> Json:
    """The customer's file of everything."""
    venue.publish()
    return venue.prove(ACCOUNT, **details)


def honest() -> Json:
    """An honest file with a loss, to be damaged."""
    venue = market()
    crash(venue)
    return shown(venue)


def without(proof: Json, *kinds: str) -> Json:
    """The file without its statements of these kinds, and without their leaves."""
    gone = {
        s["seq"]
        for s in proof["statements"]
        if json.loads(s["text"])["format"].split("/")[1] in kinds
    }
    return {
        **proof,
        "statements": [s for s in proof["statements"] if s["seq"] not in gone],
        "leaves": [leaf for leaf in proof["leaves"] if leaf["seq"] not in gone],
    }


def told(kind: str, **edits: Any) -> Json:
    """The usual crash, in which one statement lies."""
    venue = market()
    venue.lie(kind, **edits)
    crash(venue)
    return shown(venue)


def less(amount: int) -> Callable[[str], str]:
    """A number in a statement, lowered."""
    return lambda text: str(int(text) - amount)


# Ledgers and leaves.


@lie("false", "6")
def total_understated() -> Json:
    """The signed total is one unit less than the ledger's, to hide a liability."""
    venue = market()
    venue.lie("snapshot", ledgers=lambda given: [_total(given[0], -1), *given[1:]])
    venue.snapshot("BTC")
    return shown(venue)


def _total(ledger: Json, change: int) -> Json:
    return {**ledger, "total": str(int(ledger["total"]) + change)}


@lie("false", "6")
def sums_hidden_on_the_path() -> Json:
    """The sums of the siblings are set to 0: a total that ignores everybody else."""
    proof = honest()
    for leaf in proof["leaves"]:
        leaf["path"] = ["0" * 32 + node[32:] for node in leaf["path"]]
    return proof


@lie("false", "6")
def sum_beyond_128_bits() -> Json:
    """A sibling's sum makes the total overflow, so that it could wrap around."""
    proof = honest()
    path = proof["leaves"][0]["path"]
    path[0] = "f" * 32 + path[0][32:]
    return proof


@lie("malformed", "1")
def leaf_negative() -> Json:
    """A negative amount would lower the total."""
    proof = honest()
    proof["leaves"][0]["amount"] = "-1"
    return proof


@lie("malformed", "1")
def hash_truncated() -> Json:
    """A node of 64 bits of hash: cheap to forge."""
    proof = honest()
    proof["leaves"][0]["path"][0] = proof["leaves"][0]["path"][0][:48]
    return proof


@lie("malformed", "1")
def salt_short() -> Json:
    """A shorter salt, which some constructions pad into another one."""
    proof = honest()
    proof["leaves"][0]["salt"] = proof["leaves"][0]["salt"][:-2]
    return proof


@lie("malformed", "1")
def amount_spelt_otherwise() -> Json:
    """An amount with a leading zero: another spelling of the same number."""
    proof = honest()
    proof["leaves"][0]["amount"] = "0" + proof["leaves"][0]["amount"]
    return proof


@lie("false", "6")
def path_too_long() -> Json:
    """A path longer than index and count allow."""
    proof = honest()
    proof["leaves"][0]["path"].append("0" * 96)
    return proof


@lie("false", "6")
def inner_node_as_leaf() -> Json:
    """A path that ends one level below the root: a part of the tree shown as the whole."""
    proof = honest()
    proof["leaves"][0]["path"].pop()
    return proof


@lie("false", "6")
def leaf_counted_twice() -> Json:
    """One leaf shown twice, to make a balance seem larger."""
    proof = honest()
    proof["leaves"].append(proof["leaves"][0])
    return proof


@lie("false", "6")
def leaf_of_another_customer() -> Json:
    """Another customer's leaf of a fitting amount: a leaf binds its account."""
    venue = market()
    venue.publish()
    return venue.prove("10042") | {"account": ACCOUNT}


@lie("false", "2")
def file_of_another_customer() -> Json:
    """Somebody else's whole file."""
    venue = market()
    venue.publish()
    return venue.prove("10042")


@lie("malformed", "1")
def account_that_looks_alike() -> Json:
    """A zero-width space in the account's name: two names that look the same."""
    return honest() | {"account": "100\u200b07"}


@lie("false", "6")
def seventeen_leaves() -> Json:
    """More leaves of one account than a ledger may have: rounding in dust."""
    venue = Venue(name=NAME, seed=SEED, splits={ACCOUNT: 17})
    venue.snapshot("BTC", {"margin": MARGIN})
    return shown(venue)


# The log, its head and its keys.


@lie("false", "3")
def signed_by_another_key() -> Json:
    """The file brings its own key: a head that the pinned key did not sign."""
    venue = market()
    venue.keys = [(Signer(NAME, "somebody else"), None)]
    return shown(venue)


@lie("false", "3")
def signature_that_some_accept() -> Json:
    """S raised by the group's order: the same signature to a careless verifier."""
    proof = honest()
    text, _, line = proof["checkpoint"].rpartition(" ")
    data = base64.b64decode(line)
    order = 2**252 + 27742317777372353535851937790883648493
    s = (int.from_bytes(data[36:], "little") + order).to_bytes(32, "little")
    proof["checkpoint"] = f"{text} {base64.b64encode(data[:36] + s).decode()}\n"
    return proof


@lie("malformed", "1")
def checkpoint_with_a_fourth_line() -> Json:
    """An extension line that a reader may not know."""
    proof = honest()
    proof["checkpoint"] = proof["checkpoint"].replace("\n\n", "\nextra\n\n", 1)
    return proof


@lie("false", "3")
def rotation_line_missing() -> Json:
    """The file shows a change of key, but the head lacks the new key's line."""
    venue = market()
    pinned = venue.keys[0][0]
    venue.rotate_key(retire=100)
    venue.keys = [(pinned, None)]
    return shown(venue)


@lie("false", "3")
def retired_key_signs_on() -> Json:
    """The file shows that the pinned key was retired at a smaller size."""
    venue = market()
    pinned = venue.keys[0][0]
    venue.rotate_key(retire=len(venue.said) + 2)
    venue.keys = [(pinned, None)]
    crash(venue)
    return shown(venue)


@lie("false", "4")
def statement_edited_after_logging() -> Json:
    """A day quietly restated: the text is not the one in the log."""
    proof = honest()
    entry = proof["statements"][1]
    entry["text"] = entry["text"].replace('"total":"', '"total":"1', 1)
    return proof


@lie("false", "4")
def statement_from_another_place() -> Json:
    """A statement that says another seq than its place in the log."""
    venue = market()
    venue.lie("snapshot", seq=1)
    venue.snapshot("BTC")
    return shown(venue)


@lie("false", "4")
def times_run_backwards() -> Json:
    """A statement older than the one before it: history put in after the fact."""
    return told("applied", time="2025-10-10T20:00:00.000Z")


@lie("incomplete", "3", since=99)
def older_than_what_was_verified() -> Json:
    """Yesterday's file, to hide what happened today."""
    return honest()


# What the file leaves out.


@lie("incomplete", "5")
def loss_left_out() -> Json:
    """The loss and its effect do not suit, so the file leaves them out."""
    return without(honest(), "loss", "applied")


@lie("incomplete", "5")
def policy_left_out() -> Json:
    """The rules that were signed are not shown."""
    return without(honest(), "policy")


@lie("incomplete", "5")
def end_left_out() -> Json:
    """The last entry is missing, so nobody knows what came last."""
    return without(honest(), "index")


@lie("false", "5")
def index_hides_a_statement() -> Json:
    """The index names an older statement than one that the file shows."""
    venue = market()
    crash(venue)
    venue.lie("index", latest={"BTC": venue.chains["BTC"][0]})
    return shown(venue)


@lie("false", "5")
def chain_jumps_the_loss() -> Json:
    """The applied step names the deficit as the statement before it."""
    return told("applied", previous=lambda seq: seq - 4)


@lie("incomplete", "7")
def balance_not_shown_any_more() -> Json:
    """A balance that was shown once is not shown after the loss."""
    proof = honest()
    last = max(leaf["seq"] for leaf in proof["leaves"])
    proof["leaves"] = [leaf for leaf in proof["leaves"] if leaf["seq"] != last]
    return proof


@lie("incomplete", "7")
def nothing_to_check() -> Json:
    """A file without a single leaf: nothing checked is no success."""
    return honest() | {"leaves": []}


@lie("false", "8")
def book_vanished() -> Json:
    """The spot ledger, which held money, is gone from the next snapshot."""
    venue = market()
    venue.lie("snapshot", ledgers=lambda given: given[:1])
    venue.snapshot("BTC")
    proof = shown(venue)
    last = max(leaf["seq"] for leaf in proof["leaves"])
    proof["leaves"] = [x for x in proof["leaves"] if (x["seq"], x["book"]) != (last, "spot")]
    return proof


# The loss.


@lie("false", "8")
def deduction_one_unit_more() -> Json:
    """This customer pays one unit more than the rule says, somebody else one less."""

    def favour(balances: dict[str, int]) -> dict[str, int]:
        return balances | {ACCOUNT: balances[ACCOUNT] - 1, "10042": balances["10042"] + 1}

    venue = market()
    venue.lie("applied", balances=favour)
    crash(venue)
    return shown(venue)


@lie("false", "8")
def loss_rounded_up() -> Json:
    """More is socialized than the waterfall left."""
    return told("loss", socialized=lambda text: str(int(text) + 1))


@lie("false", "8")
def fund_kept() -> Json:
    """The fund still holds money, yet the loss is socialized."""
    return told("draw", drawn=less(10_000_000), after="10000000")


@lie("false", "8")
def fund_invented() -> Json:
    """The draw starts at another balance than the fund's own entry right before it."""
    return told("draw", before="20000000", drawn="20000000", after="0")


@lie("false", "8")
def fund_emptied_just_before() -> Json:
    """The fund's entry right before the draw books a debit."""

    def emptied(rows: list[Json]) -> list[Json]:
        debit = {"amount": rows[0]["closing"], "kind": "correction"}
        return [rows[0] | {"debits": [debit], "closing": "0"}, *rows[1:]]

    venue = market()
    venue.lie("fund", pools=emptied)
    venue.lie("draw", before="0", drawn="0", after="0")
    crash(venue)
    return shown(venue)


@lie("false", "8")
def pool_dropped() -> Json:
    """The fund's entry does not list every pool of the policy."""
    venue = market()
    venue.lie("fund", pools=lambda rows: rows[:1])
    crash(venue)
    return shown(venue)


@lie("false", "8")
def deleveraging_skipped() -> Json:
    """Candidates remained, yet the loss is socialized."""
    return told("adl", exhausted=False)


@lie("false", "8")
def shared_by_another_book() -> Json:
    """The loss is charged to the spot book, which the policy says does not share."""
    venue = market()
    run = crash(venue, until="draw")
    run.loss("spot")
    run.applied()
    return shown(venue)


@lie("false", "8")
def residual_while_equity_is_left() -> Json:
    """A part of the loss is called unpayable while there is equity to bear it."""
    return told("loss", socialized=less(9), residual="9")


@lie("false", "8")
def mark_that_is_no_median() -> Json:
    """The mark is the price that suits the venue, not the median of its sources."""
    return told("deficit", marks=lambda marks: [marks[0] | {"mark": "104783"}])


@lie("false", "8")
def confirmed_after_it_was_logged() -> Json:
    """A confirmation in the future buys time for the deadline."""
    return told("deficit", confirmed="2025-10-10T23:00:00.000Z")


@lie("false", "8")
def applied_late() -> Json:
    """The deduction is made after the policy's deadline."""
    venue = market()
    run = crash(venue, until="loss")
    venue.wait(90_000)
    run.applied()
    return shown(venue)


@lie("incomplete", "8")
def not_applied_yet() -> Json:
    """The loss is stated, its effect is not, and the deadline has not passed."""
    venue = market()
    crash(venue, until="loss")
    return shown(venue)


@lie("false", "8")
def charged_twice() -> Json:
    """A second loss follows the same deficit: one unbroken run serves one loss."""
    venue = market()
    run = crash(venue)
    run.rest = 1_000
    run.loss()
    run.applied()
    return shown(venue)


@lie("false", "8")
def policy_for_the_occasion() -> Json:
    """The policy is changed between the reference snapshot and the event."""
    venue = market()
    venue.policy(waterfall=["adl"])
    crash(venue)
    return shown(venue)


@lie("false", "8")
def recovery_one_unit_less() -> Json:
    """Of what came back, this customer gets one unit less than the rule says."""

    def favour(balances: dict[str, int]) -> dict[str, int]:
        return balances | {ACCOUNT: balances[ACCOUNT] - 1, "10042": balances["10042"] + 1}

    venue = market()
    run = crash(venue)
    venue.lie("applied", balances=favour)
    venue.recovery(run, 100_000_000)
    return shown(venue)


@lie("false", "8")
def recovery_beyond_the_loss() -> Json:
    """More comes back than the loss left outstanding."""
    venue = market()
    run = crash(venue)
    venue.recovery(run, run.socialized + 1)
    return shown(venue)


# The file itself.


@lie("unsupported", "1")
def newer_format() -> Json:
    """A file of a version that this reader does not know: the reader is too old."""
    return honest() | {"format": "auditkit/proof/2"}


@lie("unsupported", "1")
def rule_unknown() -> Json:
    """A rule for sharing losses that this reader does not know."""
    return told("loss", rule="period-profit/1")


@lie("malformed", "5")
def statement_that_nobody_needs() -> Json:
    """A statement that no check needs, to mislead whoever reads the file by eye."""
    venue = market()
    crash(venue)
    proof = shown(venue)
    seqs = {s["seq"] for s in proof["statements"]}
    extra = next(s["seq"] for s in venue.said if s["seq"] not in seqs)
    proof["statements"].append(venue.entry(extra, venue.heads[-1]))
    proof["statements"].sort(key=lambda s: int(s["seq"]))
    return proof


@lie("malformed", "1")
def key_given_twice() -> str:
    """A duplicate key: two readers, two files."""
    return json.dumps(honest()).replace('{"format"', '{"account": "10042", "format"', 1)


@lie("malformed", "1")
def number_that_is_none() -> str:
    """NaN where a number belongs."""
    return json.dumps(honest()).replace('"index": ', '"index": NaN, "was": ', 1)


@lie("malformed", "1")
def painted_terminal() -> Json:
    """Escape sequences and markup that would paint VERIFIED over the verdict."""
    return honest() | {"\x1b[2K\r[bold green]VERIFIED\u202e": "1"}


@lie("malformed", "1")
def consistency_from_nothing() -> Json:
    """Consistency from an empty log proves nothing."""
    venue = market()
    proof = shown(venue)
    size = venue.heads[-1]
    path = [base64.b64encode(h).decode() for h in log_extension(1, venue.entries[:size])]
    return proof | {"consistency": [{"size": 0, "path": path}]}
