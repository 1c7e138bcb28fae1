"""Whoever reads the whole log sees each of its lies as one breach, and none in an honest one."""

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from exchange import Exchange
from reference import Json, Signer, canonical, checkpoint, clock, milliseconds
from refusals import MARGIN, SPOT, crash, market, seq_of
from venue import START, Venue

from auditkit.log import promises
from auditkit.log.breach import Breaches
from auditkit.log.monitor import Breach, Monitor, breaches
from auditkit.log.published import Log
from auditkit.verify.note import Checkpoint, VerifierKey
from auditkit.verify.statements import Recovery, parse

Write = Callable[[Sequence[bytes], str], Path]


def seen(venue: Venue, key: str | None = None, *signers: Signer) -> list[Breach]:
    """What a monitor sees in the log as it is now, in one go or going on from any entry."""
    size = len(venue.entries)
    note = checkpoint(venue.name, venue.entries, *signers) if signers else venue.checkpoint(size)
    vkey = VerifierKey.parse(key or venue.vkey)
    found = breaches(Log(vkey, Checkpoint.parse(note), venue.entries))
    for start in {*range(len(found) % 5, size, 5), size}:
        assert resumed(venue, start) == [
            breach
            for breach in found
            if breach.seq >= start or breach.rule in ("run", "head-no-index")
            if not ("line by the" in breach.what or "key is retired" in breach.what)
        ]
    return found


def resumed(venue: Venue, start: int) -> list[Breach]:
    """What is seen from entry `start` on by a monitor that knows what another one kept."""
    first = Monitor(venue.name, venue.entries.__getitem__)
    for entry in venue.entries[:start]:
        first.see(entry)
    found = Monitor(venue.name, venue.entries.__getitem__)
    found.resume([(seq, venue.entries[seq]) for seq in first.kept()], start)
    for entry in venue.entries[start:]:
        found.see(entry)
    assert found.kept() == first_kept(first, venue.entries[start:])
    return found.breaches()


def first_kept(first: Monitor, rest: Sequence[bytes]) -> list[int]:
    for entry in rest:
        first.see(entry)
    return first.kept()


def rules(found: Sequence[Breach]) -> list[tuple[str, int]]:
    return [(breach.rule, breach.seq) for breach in found]


def only(venue: Venue, rule: str, seq: int, fragment: str = "") -> None:
    """The log shows exactly one breach."""
    found = seen(venue)
    assert rules(found) == [(rule, seq)], found
    assert fragment in found[0].what, found[0].what
    assert found[0].what.isprintable()


def year() -> Venue:
    """A long honest story; every deadline passes between its parts.

    0 policy, 1 snapshot, 2 fund, 3 deficit, 4 adl, 5 fund, 6 draw, 7 loss, 8 applied, 9 fund,
    10 recovery, 11 applied, 12 index, 13 recovery, 14 applied, 15 snapshot of BTC, 16 of USDT,
    17 policy, 18 snapshot of BTC, 19 of USDT, 20 fund, 21 deficit of USDT, 22 adl, 23 fund,
    24 draw, 25 loss, 26 applied, 27 fund, 28 index.
    """
    venue = market()
    run = crash(venue)
    venue.wait(100_000)
    venue.fund()
    venue.recovery(run, 13)
    venue.publish()
    venue.recovery(run, 20)
    venue.snapshot("BTC")
    venue.snapshot("USDT", {"margin": {"alice": 900, "bob": 7}})
    venue.policy(deadline_ms=60_000)
    venue.snapshot("BTC")
    venue.snapshot("USDT")
    venue.fund(USDT=[("operator_injection", 30)])
    venue.event("USDT", {"carol": 100}, {"bob": 5})
    venue.wait(100_000)
    venue.fund()
    venue.publish()
    return venue


LAST_FUND, LAST = 27, 28


# What is true.


def test_an_honest_log_shows_no_breach() -> None:
    venue = year()
    assert [s["format"].split("/")[1] for s in venue.said][LAST_FUND:] == ["fund", "index"]
    assert seen(venue) == []


def test_an_honest_folder_shows_no_breach(published: Write) -> None:
    venue = year()
    for _ in range(300):
        venue.fund(BTC=[("liquidation_surplus", 3)])
    venue.publish()
    public = published(venue.entries, venue.checkpoint(len(venue.entries)))
    assert breaches(Log.read(public, VerifierKey.parse(venue.vkey))) == []


def test_a_log_of_every_length_that_ends_in_an_index_is_honest() -> None:
    """Whatever was not logged yet is no breach, as long as it is not late."""
    whole = year()
    for size in range(1, len(whole.said)):
        venue = year()
        del venue.said[size:], venue.entries[size:]
        venue.now = milliseconds(venue.said[-1]["time"])
        venue.chains = {a: [seq for seq in c if seq < size] for a, c in venue.chains.items()}
        venue.chains = {asset: chain for asset, chain in venue.chains.items() if chain}
        venue.policy_seq = seq_of(venue, "policy")
        venue.publish()
        assert seen(venue) == [], size


@pytest.mark.parametrize("waterfall", [["adl", "draw"], ["draw", "adl"], ["draw"], ["adl"], []])
def test_every_waterfall_of_split_and_padded_ledgers_is_honest(waterfall: list[str]) -> None:
    venue = market(waterfall=waterfall, splits={"alice": 3}, padding=2)
    for _ in range(3):
        run = crash(venue)
        venue.recovery(run, 7)
        venue.fund(BTC=[("liquidation_fee", 40)])
        venue.publish()
    crash(venue, {"carol": 10}, adl={})
    crash(venue, {"carol": 10**9})
    venue.publish()
    assert seen(venue) == []


def test_pools_and_books_that_leave_empty_and_come_back_are_honest() -> None:
    pools = {"main": ("BTC", 3), "side": ("BTC", 0)}
    venue = Venue(pools=pools)
    venue.snapshot("BTC", {"margin": MARGIN, "spot": SPOT})
    venue.fund(main=[("operator_injection", 20)], side=[("operator_injection", 40)])
    run = crash(venue, pool="side")
    venue.fund()
    venue.recovery(run, 40)
    venue.snapshot("BTC", {"margin": {}, "spot": SPOT})
    whole = dict(venue.rules)
    del venue.books["BTC"]["margin"]
    only_main = {"main": whole["pools"]["main"]}
    venue.policy(pools=only_main, books=["spot"], book="spot", assets={"BTC": 8})
    venue.fund()
    venue.snapshot("BTC")
    crash(venue, pool="main")
    venue.policy(**{k: whole[k] for k in ("pools", "books", "book", "assets")})
    venue.fund(side=[("operator_injection", 5)])
    venue.publish()
    assert seen(venue) == []


def test_an_exchange_that_publishes_for_real_shows_no_breach(tmp_path: Path) -> None:
    exchange = Exchange(tmp_path)
    exchange.snapshot({"BTC": {"margin": {"anna": 500, "bert": [100, 200]}, "spot": {"anna": 1}}})
    exchange.fund(BTC=[("liquidation_fee", 40)])
    now = {"anna": 450, "bert": 200}
    exchange.loss("crash-1", "BTC", {"carl": 90}, now, adl={"dora": 10})
    exchange.recovery("crash-1", 15, {"BTC": {"margin": {"anna": 400}}})
    exchange.recovery("crash-1", 25, {"BTC": {"margin": {"emil": 400}}})
    exchange.policy(deadline_ms=60_000)
    exchange.snapshot({"BTC": {"margin": {"anna": 500}}, "USDT": {"margin": {"bert": 10**9}}})
    exchange.fund(BTC=[("liquidation_surplus", 30)], USDT=[("operator_injection", 7)])
    exchange.loss("crash-2", "USDT", {"carl": 90}, {"bert": 10**9})
    exchange.loss("crash-3", "BTC", {"carl": 90}, {"anna": 600})
    exchange.fund()
    log = Log.read(exchange.root / "public", exchange.signer.verifier)
    assert [statement.kind for statement in log] == exchange.kinds()
    assert breaches(log) == []


# What a statement says of its own place.


@pytest.mark.parametrize("seq", [2, 9, 15, 17, LAST])
def test_a_statement_that_says_another_seq(seq: int) -> None:
    venue = year()
    venue.restate(seq, seq=seq + 1)
    only(venue, "seq", seq, f"expected {seq}; found {seq + 1}")


@pytest.mark.parametrize("seq", range(LAST + 1))
def test_a_statement_of_another_venue(seq: int) -> None:
    venue = year()
    venue.restate(seq, venue="elsewhere.example")
    only(venue, "venue", seq, "expected exchange.example/audit; found elsewhere.example")


@pytest.mark.parametrize("seq", [1, 2, 5, 7, 9, 17, LAST])
def test_a_time_that_does_not_pass(seq: int) -> None:
    venue = year()
    before = venue.said[seq - 1]["time"]
    venue.restate(seq, time=before, **({"as_of": before} if seq == 1 else {}))
    only(venue, "time", seq, f"expected after {before}; found {before}")


@pytest.mark.parametrize("seq", range(LAST + 1))
@pytest.mark.parametrize("entry", [b"", b"{}", "é".encode(), b"\xff", b'{"format":"\\u001b"}'])
def test_an_entry_that_does_not_parse_hides_and_accuses_nothing_else(
    seq: int, entry: bytes
) -> None:
    venue = year()
    venue.entries[seq] = entry
    rule = "unsupported" if b"format" in entry else "statement"
    only(venue, rule, seq, "the entry does not parse: ")


@pytest.mark.parametrize("seq", [3, 6, 8, 9, 11])
def test_lies_on_both_sides_of_an_entry_that_does_not_parse(seq: int) -> None:
    venue = year()
    venue.entries[seq] = b"nothing"
    venue.restate(1, venue="elsewhere.example")
    venue.restate(24, drawn="29", after="1")
    assert ("statement", seq) in rules(seen(venue))
    assert ("venue", 1) in rules(seen(venue))
    assert ("run", 24) in rules(seen(venue))


@pytest.mark.parametrize("seq", [2, 13, 16, 18, 20, 23])
def test_a_lie_after_an_entry_that_does_not_parse(seq: int) -> None:
    venue = year()
    venue.entries[seq] = b"nothing"
    venue.restate(25, residual="1")
    assert rules(seen(venue)) == [("statement", seq), ("run", 25)]


def test_a_chain_goes_on_behind_an_entry_that_does_not_parse() -> None:
    venue = year()
    venue.lie("loss", residual="1")
    crash(venue)
    venue.publish()
    venue.entries[13] = b"nothing"
    assert rules(seen(venue)) == [("statement", 13), ("run", seq_of(venue, "loss"))]


def test_a_lie_right_after_the_policy_that_does_not_parse_is_nobodys() -> None:
    """What rules held for the event is not known."""
    venue = year()
    venue.entries[17] = b"nothing"
    venue.restate(25, residual="1")
    only(venue, "statement", 17)


def test_the_first_breach_of_a_chain_is_the_last_even_behind_a_gap() -> None:
    venue = year()
    venue.lie("loss", residual="1")
    crash(venue)
    venue.publish()
    assert rules(seen(venue)) == [("run", 33)]
    venue.restate(6, drawn="39", after="1")
    venue.entries[15] = b"nothing"
    assert [breach.seq for breach in seen(venue) if breach.rule == "run"] == [6]


def test_the_first_entry_is_a_policy() -> None:
    venue = Venue()
    said = {"format": "auditkit/fund/1", "pools": [], "seq": 0, "venue": venue.name}
    venue.entries[0] = canonical(said | {"time": clock(START)}).encode()
    venue.snapshot("BTC", {"margin": MARGIN})
    venue.publish()
    only(venue, "policy", 0, "entry 0 is no policy; expected a policy; found fund")


@pytest.mark.parametrize(
    ("seq", "claim", "true"),
    [(1, 0, 1), (3, 3, 1), (7, 4, 6), (15, 1, 14), (15, 15, 14), (16, 15, 16), (26, 28, 25)],
)
def test_a_previous_that_is_not_true(seq: int, claim: int, true: int) -> None:
    venue = year()
    venue.restate(seq, previous=claim)
    only(venue, "previous", seq, f"expected {true}; found {claim}")


@pytest.mark.parametrize("seq", [1, 3, 8, 12])
@pytest.mark.parametrize("claim", [1, 2, 17, 100])
def test_a_policy_that_is_not_the_only_one(seq: int, claim: int) -> None:
    venue = year()
    venue.restate(seq, policy=claim)
    only(venue, "policy", seq, f"names a wrong policy; expected policy 0; found {claim}")


@pytest.mark.parametrize("seq", [18, 19, 21, 22, 24, 25, 26, LAST])
@pytest.mark.parametrize("claim", [0, 2, 19, 100])
def test_a_policy_that_is_not_the_latest(seq: int, claim: int) -> None:
    venue = year()
    venue.restate(seq, policy=claim)
    only(venue, "policy", seq, f"names a wrong policy; expected policy 17; found {claim}")


@pytest.mark.parametrize(
    ("latest", "fragment"),
    [
        ({"BTC": 18}, "of USDT; expected 26; found none"),
        ({"BTC": 18, "USDT": 25}, "of USDT; expected 26; found 25"),
        ({"BTC": 18, "USDT": 27}, "of USDT; expected 26; found 27"),
        ({"BTC": 18, "USDT": 26, "ETH": 26}, "of ETH; expected none; found 26"),
    ],
)
def test_a_latest_that_is_not_true(latest: Json, fragment: str) -> None:
    venue = year()
    venue.restate(LAST, latest=latest)
    only(venue, "latest", LAST, fragment)


def test_every_index_is_checked_and_every_asset_of_it() -> None:
    venue = year()
    venue.restate(12, latest={"BTC": 10})
    venue.restate(LAST, latest={})
    assert rules(seen(venue)) == [("latest", 12), ("latest", LAST), ("latest", LAST)]


def test_an_asset_that_the_policy_lacks() -> None:
    venue = market()
    venue.snapshot("DOGE", {"margin": {"alice": 5}})
    venue.publish()
    only(venue, "asset", 3, "expected BTC, USDT; found DOGE")


def test_a_checkpoint_that_does_not_end_in_an_index() -> None:
    venue = market()
    only(venue, "head-no-index", 2, "of 3 entries does not end in an index; expected an index; f")
    del venue.entries[:]
    only(venue, "head-no-index", 0, "found nothing")


# What was promised.


def test_decimals_never_change() -> None:
    venue = market()
    venue.policy(assets={"BTC": 8, "USDT": 5})
    venue.policy(deadline_ms=1)
    venue.publish()
    only(venue, "decimals", 3, "the decimals of USDT; expected 6; found 5")


def test_decimals_do_not_change_while_an_asset_is_away() -> None:
    venue = Venue(assets={"BTC": 8, "USDT": 6}, pools={"BTC": ("BTC", 0)})
    venue.policy(assets={"BTC": 8})
    venue.policy(assets={"BTC": 8, "USDT": 6})
    venue.policy(assets={"BTC": 8})
    venue.policy(assets={"BTC": 8, "USDT": 18})
    venue.publish()
    only(venue, "decimals", 4, "expected 6; found 18")


def test_a_book_that_leaves_with_money_in_it() -> None:
    venue = market()
    venue.snapshot("USDT", {"spot": {"alice": 0}})
    venue.policy(books=["margin"])
    venue.publish()
    only(
        venue, "book-left", 4, "book spot left the policy and holds BTC in statement 1; expected 0"
    )


def test_a_book_that_leaves_before_its_loss_is_returned() -> None:
    venue = market()
    run = crash(venue)
    venue.recovery(run, 39)
    venue.snapshot("BTC", {"margin": {}, "spot": SPOT})
    venue.policy(books=["spot"], book="spot")
    venue.publish()
    what = f"while the loss of event {run.event} may still be recovered; expected 0; found 1"
    only(venue, "book-left", 12, what)


def test_a_name_is_used_for_one_event_of_any_asset() -> None:
    venue = market()
    venue.snapshot("USDT", {"margin": MARGIN})
    for asset in ("BTC", "USDT", "BTC"):
        venue.event(asset, {"carol": 1}, event="crash")
    venue.publish()
    assert rules(seen(venue)) == [
        ("event-name", seq_of(venue, "deficit", 1)),
        ("event-name", seq_of(venue, "deficit", 2)),
    ]


@pytest.mark.parametrize("earlier", [[], ["12"], ["13", "1"], ["1", "13"]])
def test_a_recovery_that_tells_earlier_ones_wrong(earlier: list[str]) -> None:
    venue = year()
    venue.restate(13, earlier=earlier)
    only(venue, "recovery-earlier", 13, f"expected 13; found {', '.join(earlier) or 'none'}")


def test_a_first_recovery_that_tells_of_others() -> None:
    venue = year()
    venue.restate(10, earlier=["7"])
    only(venue, "recovery-earlier", 10, "expected none; found 7")


def test_more_than_was_lost_is_not_returned_by_forgetting_what_was() -> None:
    venue = market()
    run = crash(venue)
    venue.recovery(run, 30)
    run.recovered.clear()
    venue.recovery(run, 20)
    venue.publish()
    found = seen(venue)
    assert rules(found) == [("recovery-earlier", 11), ("run", 11)]
    assert "does not fit what its loss left outstanding" in found[1].what


def test_recoveries_that_tell_nothing_of_many_cost_no_more_than_they_say(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Each is told; but what went before is not copied for each."""
    monkeypatch.setattr(promises, "_REPLACED", 3)
    venue = market()
    run = crash(venue)
    for _ in range(22):
        venue.recovery(run, 1)
    early, late = (seq_of(venue, "recovery", number) for number in (2, 20))
    for seq in (early, late):
        venue.restate(seq, earlier=["7"])
    found = [breach for breach in seen(venue) if breach.rule == "recovery-earlier"]
    assert [breach.seq for breach in found] == [early, late]
    assert "expected 1, 1; found 7" in found[0].what
    assert f"expected {', '.join(['1'] * 16)} and 4 more; found 7" in found[1].what
    seeing = promises.Promises(Breaches())
    earlier = {}
    for entry in venue.entries:
        kept = seeing.see(parse(entry.decode()), -1)
        if isinstance(kept, Recovery):
            earlier[kept.seq] = kept.earlier
    assert (earlier.pop(early), earlier.pop(late)) == ((1, 1), (7,))
    assert [sum(told) for told in earlier.values()] == [n for n in range(22) if n not in (2, 20)]


def test_of_a_book_that_leaves_with_much_in_it_the_first_are_told() -> None:
    venue = market()
    names = [f"A{number}" for number in range(20)]
    venue.policy(assets={**venue.rules["assets"], **dict.fromkeys(names, 2)})
    for name in names:
        venue.snapshot(name, {"margin": {"alice": 1}, "spot": {"alice": 1}})
    venue.snapshot("BTC", {"margin": MARGIN, "spot": {"alice": 0}})
    venue.snapshot("A0", {"margin": {"alice": 1}, "spot": {"alice": 0}})
    venue.policy(books=["margin"])
    venue.publish()
    found = [breach for breach in seen(venue) if breach.rule == "book-left"]
    told = [breach.what.partition(" in statement")[0] for breach in found]
    assert told == [f"book spot left the policy and holds {name}" for name in names[1:17]]


# The fund.


def row(venue: Venue, seq: int, pool: str, **edits: object) -> None:
    """Alter one pool's row of a fund entry."""
    pools = [r | edits if r["pool"] == pool else r for r in venue.said[seq]["pools"]]
    venue.restate(seq, pools=pools)


def debits(*amounts: int, kind: str = "draw") -> list[Json]:
    return [{"amount": str(amount), "kind": kind} for amount in amounts]


def credits(*amounts: int) -> list[Json]:
    return debits(*amounts, kind="correction")


@pytest.mark.parametrize("closing", ["1", "41"])
def test_a_pool_that_does_not_open_as_it_closed(closing: str) -> None:
    venue = year()
    row(venue, LAST_FUND, "BTC", opening=closing, closing=closing)
    only(
        venue,
        "fund-opening",
        LAST_FUND,
        f"pool BTC does not open as it closed; expected 0; found {closing}",
    )


def test_a_pool_that_does_not_add_up() -> None:
    venue = year()
    row(venue, LAST_FUND, "BTC", credits=credits(5), closing="4")
    only(venue, "fund-sum", LAST_FUND, "pool BTC adds up wrong; expected 5; found 4")


def test_a_pool_that_books_more_than_it_has() -> None:
    venue = year()
    row(venue, LAST_FUND, "BTC", debits=debits(5, kind="correction"), closing="0")
    only(venue, "fund-sum", LAST_FUND, "expected -5; found 0")


def test_the_fund_entry_before_a_draw_is_judged_once() -> None:
    venue = year()
    row(venue, 23, "USDT", credits=credits(5))
    only(venue, "fund-sum", 23, "expected 35; found 30")
    venue = year()
    venue.restate(23, pools=[venue.said[23]["pools"][1]])
    only(venue, "fund-pools", 23, "of policy 17; expected BTC, USDT; found USDT")


def test_a_fund_entry_that_leaves_a_pool_out_or_has_one_more() -> None:
    venue = year()
    first, second = venue.said[LAST_FUND]["pools"]
    venue.restate(LAST_FUND, pools=[second])
    only(venue, "fund-pools", LAST_FUND, "expected BTC, USDT; found USDT")
    venue.restate(LAST_FUND, pools=[first, first | {"pool": "ETH"}, second])
    only(venue, "fund-pools", LAST_FUND, "found BTC, ETH, USDT")


def test_a_pool_that_was_left_out_opens_as_it_closed_before() -> None:
    venue = market()
    venue.fund()
    venue.restate(3, pools=[venue.said[3]["pools"][1]])
    venue.fund()
    row(venue, 4, "BTC", opening="0", closing="0")
    venue.publish()
    assert rules(seen(venue)) == [("fund-pools", 3), ("fund-opening", 4)]


def test_a_new_pool_that_opens_with_money_in_it() -> None:
    venue = market()
    pools = venue.rules["pools"] | {"side": {"asset": "BTC", "floor": "0"}}
    venue.policy(pools=pools)
    venue.closing["side"] = 7
    venue.fund()
    venue.publish()
    only(venue, "fund-new-pool", 4, "the new pool side opens with money in it; expected 0; found 7")


def test_the_very_first_fund_entry_opens_every_pool_at_0() -> None:
    venue = Venue()
    venue.closing["BTC"] = 7
    venue.fund()
    venue.publish()
    only(venue, "fund-new-pool", 1)


def test_a_pool_that_leaves_with_money_in_it() -> None:
    venue = market()
    pools = venue.rules["pools"]
    venue.policy(pools={"USDT": pools["USDT"]})
    venue.fund()
    venue.publish()
    only(venue, "pool-left", 3, "pool BTC left with money in it; expected 0; found 40")
    venue = market()
    venue.policy(pools={**pools, "BTC": {"asset": "USDT", "floor": "0"}})
    venue.publish()
    only(venue, "pool-left", 3, "found 40")


@pytest.mark.parametrize("drawn", [39, 40])
def test_what_was_drawn_and_not_booked_has_left_the_pool(drawn: int) -> None:
    venue = market(pools={"BTC": ("BTC", 0), "side": ("BTC", 0)})
    venue.fund(side=[("liquidation_fee", 40)])
    venue.event("BTC", {"carol": drawn}, pool="BTC")
    venue.event("BTC", {"carol": 40}, pool="side")
    venue.fund()
    venue.restate(seq_of(venue, "fund"), pools=[])
    del venue.entries[-1], venue.said[-1]
    venue.policy(pools={})
    venue.publish()
    left = [("pool-left", seq_of(venue, "policy"))] if drawn < 40 else []
    assert rules(seen(venue)) == left


def test_a_pool_reborn_with_its_money() -> None:
    venue = market()
    pools = venue.rules["pools"]
    venue.policy(pools={"USDT": pools["USDT"]})
    venue.policy(pools=pools)
    venue.fund()
    venue.publish()
    assert rules(seen(venue)) == [("pool-left", 3), ("fund-new-pool", 5)]


def test_a_draw_that_the_next_entry_does_not_book() -> None:
    venue = year()
    row(venue, LAST_FUND, "USDT", debits=[], closing="30")
    only(
        venue,
        "draw-unbooked",
        LAST_FUND,
        "draws on pool USDT are not booked in the next fund entry; expected 30; found none",
    )


@pytest.mark.parametrize("amount", [29, 31])
def test_a_draw_booked_with_another_amount(amount: int) -> None:
    venue = year()
    row(venue, LAST_FUND, "USDT", opening="30", debits=debits(amount), closing=str(30 - amount))
    if amount > 30:
        row(venue, LAST_FUND, "USDT", credits=credits(1), closing="0")
    only(venue, "draw-unbooked", LAST_FUND, f"expected 30; found {amount}")


def test_a_draw_booked_as_a_correction_or_on_another_pool() -> None:
    venue = year()
    row(venue, LAST_FUND, "USDT", debits=debits(30, kind="correction"))
    only(venue, "draw-unbooked", LAST_FUND)
    venue = year()
    row(venue, LAST_FUND, "USDT", debits=[], closing="30")
    row(venue, LAST_FUND, "BTC", credits=credits(30), debits=debits(30))
    assert rules(seen(venue)) == [("draw-twice", LAST_FUND), ("draw-unbooked", LAST_FUND)]


def test_a_draw_booked_twice() -> None:
    venue = year()
    row(venue, LAST_FUND, "USDT", credits=credits(30), debits=debits(30, 30))
    only(
        venue,
        "draw-twice",
        LAST_FUND,
        "pool USDT books a draw twice, or one that nobody logged; expected 30; found 30, 30",
    )


def test_a_draw_booked_again_in_a_later_entry() -> None:
    venue = year()
    row(venue, 20, "BTC", credits=credits(40), debits=debits(40))
    only(venue, "draw-twice", 20, "expected none; found 40")


def test_a_draw_booked_an_entry_too_late() -> None:
    venue = year()
    row(venue, 9, "BTC", debits=[], closing="40")
    row(venue, 20, "BTC", opening="40", debits=debits(40))
    assert rules(seen(venue)) == [("draw-unbooked", 9), ("draw-twice", 20)]


# Runs, snapshots and recoveries.


def lie(kind: str, **edits: object) -> Callable[[Venue], None]:
    return lambda venue: venue.lie(kind, **edits)


@pytest.mark.parametrize(
    ("told", "seq", "fragment"),
    [
        (lie("deficit", pool="USDT"), 3, "is not one of BTC"),
        (lie("deficit", confirmed=clock(START + 10**6)), 3, "confirmed after it was logged"),
        (lie("adl", exhausted=False), 4, "ADL left a deficit while candidates remained"),
        (lie("adl", rank="profit-desc-leverage-asc"), 4, "the ADL rank is not the policy's"),
        (lie("draw", drawn="39", after="1"), 6, "was not drawn as the rule says"),
        (lie("draw", pool="USDT"), 6, "drawn from another pool"),
        (lie("loss", socialized="39"), 7, "the waterfall does not add up"),
        (lie("loss", residual="1"), 7, "the waterfall does not add up"),
        (lie("applied", event="other"), 8, "is not one unbroken run"),
        (lie("applied", balances=lambda held: held | {"alice": 0}), 8, "is not the ledger before"),
    ],
)
def test_a_run_that_breaks_a_rule(told: Callable[[Venue], None], seq: int, fragment: str) -> None:
    venue = market()
    told(venue)
    run = crash(venue)
    venue.publish()
    only(venue, "run", seq, fragment)
    assert seen(venue)[0].what.startswith(f"BTC, event {run.event}: ")


def test_a_fund_entry_is_the_one_before_the_draw() -> None:
    venue = market()
    run = crash(venue, until="adl")
    venue.snapshot("USDT", {"margin": {"alice": 5}})
    run.venue.fund()
    venue.snapshot("USDT")
    run.link("draw", pool="BTC", before="40", drawn="40", after="0")
    venue.unbooked["BTC"] = [40]
    run.rest = 40
    run.loss()
    run.applied()
    venue.fund()
    venue.publish()
    only(venue, "run", 8, "the entry right before the draw is not the fund's; expected a fund")


def test_a_book_that_vanishes_from_a_snapshot() -> None:
    venue = market()
    del venue.books["BTC"]["spot"]
    venue.snapshot("BTC")
    venue.publish()
    only(venue, "run", 3, "the ledger spot vanished from snapshot 3")


def test_a_statement_outside_a_run_and_a_chain_that_begins_with_one() -> None:
    for first in (Venue(), market()):
        first.link("adl", "BTC", **_stray_adl())
        first.publish()
        only(first, "run", len(first.said) - 2, "stands outside an event's run")


def _stray_adl() -> Json:
    ledger = Venue().ledger("adl", "adl", {"dave": 1})
    return {
        "event": "stray",
        "rank": "pnl-times-leverage",
        "candidates": 1,
        "exhausted": True,
        "ledger": ledger,
    }


def test_a_deficit_without_a_reference() -> None:
    venue = Venue()
    venue.books["BTC"] = {"margin": dict(MARGIN)}
    venue.fund()
    run = crash(venue)
    venue.publish()
    only(venue, "run", 2, f"event {run.event} has no snapshot from before it was confirmed")
    venue = market()
    crash(venue, confirmed=START)
    venue.publish()
    only(venue, "run", 3, f"found the first at {venue.said[1]['time']}")


def test_the_reference_may_be_of_the_very_moment_of_the_deficit() -> None:
    venue = market()
    crash(venue, confirmed=START + 2 * venue.tick)
    venue.publish()
    assert venue.said[3]["confirmed"] == venue.said[1]["time"]
    assert seen(venue) == []


def test_a_policy_changed_inside_a_run_even_if_the_run_does_not_say_so() -> None:
    venue = market()
    run = crash(venue, until="draw")
    venue.policy(deadline_ms=10**6)
    run.loss()
    run.applied()
    venue.publish()
    only(venue, "run", 8, "the policy changed inside event")
    for seq in (8, 9):
        venue.restate(seq, policy=0)
    assert rules(seen(venue)) == [("policy", 8), ("run", 8), ("policy", 9)]


@pytest.mark.parametrize("until", ["deficit", "adl", "draw", "loss"])
def test_a_run_that_is_not_finished_is_a_breach_when_it_is_late(until: str) -> None:
    venue = market()
    crash(venue, until=until)
    venue.publish()
    assert seen(venue) == []
    venue.wait(90_000)
    venue.snapshot("USDT", {"margin": {"alice": 5}})
    venue.publish()
    only(venue, "run", seq_of(venue, until), "was not finished in time")


def test_a_run_that_the_chain_leaves_behind() -> None:
    venue = market()
    crash(venue, until="loss")
    venue.snapshot("BTC")
    venue.publish()
    only(venue, "run", 8, "is not one unbroken run; expected its applied; found a snapshot at 8")


def test_a_recovery_that_is_not_applied_yet_is_no_breach() -> None:
    venue = market()
    run = crash(venue)
    venue.recovery(run, 13, until="recovery")
    venue.wait(10**9)
    venue.publish()
    assert seen(venue) == []


@pytest.mark.parametrize(
    ("loss", "fragment"),
    [
        (0, "names a loss that is none; expected a loss at 0; found a policy"),
        (2, "names a loss that is none; expected a loss at 2; found a fund"),
        (8, "names a loss that is none; expected a loss at 8; found a applied"),
        (15, "is of another event, asset or book than its loss"),
    ],
)
def test_a_recovery_of_a_loss_that_is_not_its_own(loss: int, fragment: str) -> None:
    venue = market()
    run = crash(venue)
    venue.snapshot("USDT", {"margin": MARGIN})
    venue.event("USDT", {"carol": 90}, {"dave": 90})
    venue.lie("recovery", loss=loss)
    venue.recovery(run, 13)
    venue.publish()
    only(venue, "run", seq_of(venue, "recovery"), fragment)


@pytest.mark.parametrize(("loss", "kind"), [(0, "policy"), (1, "snapshot"), (2, "fund")])
def test_a_recovery_of_what_lies_below_its_chain_and_is_no_loss(loss: int, kind: str) -> None:
    venue = market()
    venue.snapshot("USDT", {"margin": MARGIN})
    run = venue.event("USDT", {"carol": 90}, {"dave": 10})
    venue.lie("recovery", loss=loss)
    venue.recovery(run, 13)
    venue.publish()
    what = f"names a loss that is none; expected a loss at {loss}; found a {kind}"
    only(venue, "run", seq_of(venue, "recovery"), what)


def test_a_breach_of_one_chain_hides_none_of_another() -> None:
    venue = year()
    venue.restate(6, drawn="39", after="1")
    venue.restate(24, drawn="29", after="1")
    found = [breach for breach in seen(venue) if breach.rule == "run"]
    assert rules(found) == [("run", 6), ("run", 24)]


# Keys.


def rotated(*retire: int) -> Venue:
    venue = market()
    for size in retire:
        venue.rotate_key(size)
    venue.publish()
    return venue


def test_honest_changes_of_key() -> None:
    venue = rotated(20, 30)
    assert [seen(venue, signer.vkey) for signer, _ in venue.keys] == [[], [], []]


def test_a_change_from_a_key_that_nobody_knows() -> None:
    venue = rotated(20, 30)
    stranger = Signer(venue.name, "unknown")
    venue.restate(4, old=stranger.vkey)
    found = seen(venue, None, stranger, *(signer for signer, _ in venue.keys))
    assert rules(found) == [("key", 4)]
    assert "starts from a key that is unknown or retired; expected" in found[0].what


def test_a_change_from_a_key_that_is_retired() -> None:
    venue = rotated(5)
    old, new = (signer for signer, _ in venue.keys)
    venue.log("key", new=Signer(venue.name, "third").vkey, old=old.vkey, retire=100)
    venue.publish()
    only(venue, "key", 5, f"expected {new.vkey}; found {old.vkey}")


@pytest.mark.parametrize(("retire", "found"), [(5, [("key", 4)]), (6, [])])
def test_a_key_changes_again_while_it_still_signs(
    retire: int, found: list[tuple[str, int]]
) -> None:
    venue = market()
    venue.rotate_key(retire)
    old, new = (signer for signer, _ in venue.keys)
    third = Signer(venue.name, "third")
    venue.log("key", new=third.vkey, old=old.vkey, retire=6)
    venue.publish()
    assert rules(seen(venue, new.vkey, old, new, third)) == found
    # What does not parse may have been the entry that knew the key.
    venue.entries[2] = b"nothing"
    assert rules(seen(venue, new.vkey, old, new, third)) == [("statement", 2)]


def test_a_checkpoint_without_the_line_of_both_keys() -> None:
    venue = rotated(20)
    old, new = (signer for signer, _ in venue.keys)
    for pinned in (old, new):
        found = seen(venue, pinned.vkey, pinned)
        assert rules(found) == [("key", 3)]
        assert "the checkpoint of 5 entries: no signature line by the pinned key" in found[0].what


def test_a_retired_key_that_signs_on() -> None:
    venue = rotated(5)
    venue.fund()
    venue.publish()
    old, new = (signer for signer, _ in venue.keys)
    assert seen(venue, new.vkey) == []
    assert rules(seen(venue, old.vkey, old, new)) == [("key", 3)]


def test_many_lies_are_all_seen() -> None:
    venue = year()
    venue.restate(1, venue="elsewhere.example")
    venue.restate(15, previous=1)
    row(venue, LAST_FUND, "BTC", opening="1", closing="1")
    venue.restate(LAST, latest={"BTC": 18, "USDT": 26, "ETH": 3}, policy=0)
    assert rules(seen(venue)) == [
        ("venue", 1),
        ("previous", 15),
        ("fund-opening", LAST_FUND),
        ("policy", LAST),
        ("latest", LAST),
    ]
