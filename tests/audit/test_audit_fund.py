"""C2 and C3: the fund pays before anybody shares, and nobody fills it up in between."""

from typing import Any

import pytest
from audit.cases_audit import EVENT, told
from venue import Venue

from auditkit.audit.findings import Finding, Verdict
from auditkit.audit.fund import c2, c3

POOLS = {"BTC": ("BTC", 0), "BTC-2": ("BTC", 0), "USDT": ("USDT", 0)}


def at_work(fund: int = 40, **rules: Any) -> Venue:
    """A venue with a snapshot, and with a fund of two pools of BTC."""
    venue = Venue(**{"pools": POOLS, **rules})
    venue.snapshot("BTC", {"margin": {"anna": 500, "bert": 300}})
    venue.fund(**{"BTC": [("liquidation_fee", fund)], "BTC-2": [("liquidation_fee", 7)]})
    return venue


def crashed(venue: Venue, **details: Any) -> Venue:
    """A deficit of 90, of which deleveraging takes 10."""
    venue.event("BTC", {"gone": 90}, {"anna": 10}, event=EVENT, pool="BTC", **details)
    return venue


def booked(venue: Venue) -> Venue:
    """With the fund's entry after the run."""
    venue.fund()
    return venue


def whats(found: Finding) -> list[str]:
    return [row["what"] for row in found.rows]


# C2


def test_an_honest_draw() -> None:
    found = c2(told(booked(crashed(at_work()))))
    assert (found.verdict, found.rows) == (Verdict.PASS, ())
    assert dict(found.compared) == {
        "waterfall": "adl, draw",
        "before": "0.00000040 BTC",
        "floor": "0.00000000 BTC",
        "drawn": "0.00000040 BTC",
        "after": "0.00000000 BTC",
        "socialized": "0.00000040 BTC",
    }


@pytest.mark.parametrize(
    ("fund", "floor", "drawn"), [(200, 0, 80), (60, 7, 53), (5, 7, 0), (0, 0, 0)]
)
def test_honest_draws_of_every_size(fund: int, floor: int, drawn: int) -> None:
    venue = at_work(fund, pools={**POOLS, "BTC": ("BTC", floor)})
    found = c2(told(booked(crashed(venue))))
    assert found.verdict is Verdict.PASS
    assert dict(found.compared)["drawn"].startswith(f"0.000000{drawn}")


def test_the_fund_is_drawn_before_deleveraging_where_the_policy_says_so() -> None:
    venue = at_work(waterfall=["draw", "adl"])
    assert c2(told(booked(crashed(venue)))).verdict is Verdict.PASS


def test_a_fund_that_is_kept() -> None:
    venue = at_work()
    venue.lie("draw", drawn="30", after="10")
    found = c2(told(booked(crashed(venue))))
    assert found.verdict is Verdict.FAIL
    assert whats(found) == ["drawn", "after the draw, with a loss to share"]
    assert found.rows[0]["expected"] == "0.00000040 BTC"
    assert found.rows[0]["found"] == "0.00000030 BTC"


def test_a_draw_that_does_not_add_up() -> None:
    venue = at_work()
    venue.lie("draw", after="3")
    found = c2(told(booked(crashed(venue))))
    assert whats(found) == ["after the draw", "after the draw, with a loss to share"]


def test_a_draw_that_starts_from_less_than_the_fund_has() -> None:
    venue = at_work()
    venue.lie("draw", before="30", drawn="30")
    found = c2(told(booked(crashed(venue))))
    assert whats(found) == ["before the draw, by fund 5"]
    assert (found.rows[0]["expected"], found.rows[0]["found"]) == (
        "0.00000040 BTC",
        "0.00000030 BTC",
    )


def test_a_draw_on_another_pool() -> None:
    venue = at_work()
    venue.lie("draw", pool="BTC-2", before="7", drawn="7", after="0")
    found = c2(told(crashed(venue)))
    assert found.verdict is Verdict.FAIL
    assert whats(found) == ["the pool drawn"]
    assert (found.rows[0]["expected"], found.rows[0]["found"]) == ("BTC", "BTC-2")


def test_a_draw_on_a_pool_that_is_none() -> None:
    venue = at_work()
    venue.lie("draw", pool="nowhere")
    assert whats(c2(told(booked(crashed(venue))))) == [
        "the pool drawn",
        "before the draw, by fund 5",
        "booked by fund 9",
        "draws on pool BTC booked by fund 9",
    ]


@pytest.mark.parametrize("pool", ["USDT", "nowhere"])
def test_an_event_whose_pool_is_not_of_its_asset(pool: str) -> None:
    venue = at_work()
    run = venue.deficit("BTC", {"gone": 90}, event=EVENT, pool="BTC")
    venue.restate(3, pool=pool)
    run.adl({})
    run.draw()
    run.loss()
    found = c2(told(booked(venue)))
    assert found.verdict is Verdict.FAIL
    assert found.rows[0] == {"what": "the pool", "expected": "one of BTC", "found": pool}


def test_a_draw_that_is_not_booked() -> None:
    venue = crashed(at_work())
    venue.unbooked.clear()
    found = c2(told(booked(venue)))
    assert whats(found) == ["booked by fund 9"]
    assert found.rows[0]["found"] == "no draw"


def test_a_draw_that_is_booked_with_another_amount() -> None:
    venue = crashed(at_work())
    venue.unbooked["BTC"] = [39]
    found = c2(told(booked(venue)))
    assert whats(found) == ["booked by fund 9", "draws on pool BTC booked by fund 9"]


@pytest.mark.parametrize("pool", ["BTC", "BTC-2"])
def test_a_draw_that_is_booked_and_that_nobody_logged(pool: str) -> None:
    venue = crashed(at_work(fund=60))
    venue.unbooked[pool] = [*venue.unbooked.get(pool, []), 5]
    venue.closing["BTC"] += 10
    found = c2(told(booked(venue)))
    assert whats(found) == [f"draws on pool {pool} booked by fund 9"]
    assert found.rows[0]["found"] == "0.00000005 BTC that nobody logged"


def test_draws_of_before_the_reference_and_of_other_assets_are_left_to_the_log() -> None:
    venue = Venue(pools=POOLS)
    venue.unbooked["BTC"] = [0]
    venue.fund()
    venue.snapshot("BTC", {"margin": {"anna": 500}})
    venue.fund(BTC=[("liquidation_fee", 40)], USDT=[("liquidation_fee", 9)])
    crashed(venue)
    venue.unbooked["USDT"] = [9]
    assert c2(told(booked(venue))).verdict is Verdict.PASS


def test_a_draw_is_open_until_it_is_booked() -> None:
    found = c2(told(crashed(at_work())))
    assert (found.verdict, found.missing) == (
        Verdict.OPEN,
        ("a fund entry after draw 6, which has to book it",),
    )


def test_nothing_drawn_is_nothing_to_book() -> None:
    assert c2(told(crashed(at_work(fund=0)))).verdict is Verdict.PASS


def test_a_run_without_the_draw_that_the_policy_names() -> None:
    venue = at_work()
    run = venue.deficit("BTC", {"gone": 90}, event=EVENT, pool="BTC")
    run.adl({})
    assert c2(told(venue)).missing == (
        "the draw statement of event crash-1",
        "the loss statement of event crash-1",
    )
    run.loss()
    run.applied()
    venue.heads.clear()
    found = c2(told(venue))
    assert (found.verdict, whats(found)) == (Verdict.FAIL, ["the draw"])
    assert found.rows[0]["expected"] == "one before loss 6"


def test_a_draw_without_the_deleveraging_that_comes_first() -> None:
    venue = at_work()
    run = venue.deficit("BTC", {"gone": 90}, event=EVENT, pool="BTC")
    run.draw()
    run.loss()
    run.applied()
    found = c2(told(booked(venue)))
    assert (found.verdict, found.missing) == (
        Verdict.OPEN,
        ("the adl statement of event crash-1",),
    )


def test_a_run_that_is_not_finished() -> None:
    found = c2(told(booked(crashed(at_work(), until="draw"))))
    assert (found.verdict, found.missing) == (
        Verdict.OPEN,
        ("the loss statement of event crash-1",),
    )


def test_a_fund_that_has_more_than_it_pays_is_not_emptied() -> None:
    found = c2(told(booked(crashed(at_work(fund=200), until="draw"))))
    assert (found.verdict, found.failing) == (Verdict.OPEN, 0)


def test_the_last_entry_before_the_draw_counts() -> None:
    venue = at_work()
    run = venue.deficit("BTC", {"gone": 90}, event=EVENT, pool="BTC")
    run.adl({"anna": 10})
    venue.fund(BTC=[("liquidation_surplus", 5)])
    run.link("draw", pool="BTC", before="45", drawn="45", after="0")
    run.rest -= 45
    venue.unbooked["BTC"] = [45]
    run.loss()
    run.applied()
    assert c2(told(booked(venue))).verdict is Verdict.PASS


def test_the_entry_after_the_run_is_the_last_one_that_is_looked_at() -> None:
    venue = at_work()
    run = venue.event("BTC", {"gone": 90}, event=EVENT, pool="BTC", until="loss")
    booked(venue)
    run.applied()
    venue.unbooked["BTC-2"] = [5]
    assert whats(c2(told(booked(venue)))) == ["draws on pool BTC-2 booked by fund 10"]
    venue = booked(crashed(at_work()))
    venue.unbooked["BTC-2"] = [5]
    assert c2(told(booked(venue))).verdict is Verdict.PASS


def test_a_policy_without_a_draw() -> None:
    venue = at_work(waterfall=["adl"])
    found = c2(told(booked(crashed(venue))))
    assert (found.verdict, dict(found.compared)) == (Verdict.PASS, {"waterfall": "adl"})


def test_a_draw_that_the_policy_does_not_name() -> None:
    venue = at_work(waterfall=[])
    run = venue.deficit("BTC", {"gone": 90}, event=EVENT, pool="BTC")
    run.draw()
    run.loss()
    run.applied()
    found = c2(told(booked(venue)))
    assert (found.verdict, whats(found)) == (Verdict.FAIL, ["a draw"])


def test_a_draw_before_any_entry_of_the_fund() -> None:
    venue = Venue()
    venue.snapshot("BTC", {"margin": {"anna": 500}})
    run = venue.deficit("BTC", {"gone": 90}, event=EVENT)
    run.adl({})
    run.link("draw", pool="BTC", before="0", drawn="0", after="0")
    run.loss()
    run.applied()
    found = c2(told(venue))
    assert (found.verdict, found.missing) == (Verdict.OPEN, ("a fund entry before the draw",))


def test_without_a_reference_nobody_knows_since_when_to_look() -> None:
    venue = at_work()
    found = c2(told(booked(crashed(venue, confirmed=0))))
    assert (found.verdict, found.missing) == (
        Verdict.OPEN,
        ("a snapshot of BTC before event crash-1",),
    )


# C3


def run_with(step: str, *credits: tuple[str, int], pool: str = "BTC", **rules: Any) -> Venue:
    """An event in which a fund entry with these credits stands before one step."""
    venue = at_work(**rules)
    run = None
    for kind in ("deficit", *venue.rules["waterfall"], "loss", "applied", "end"):
        if kind == step:
            venue.fund(**{pool: credits})
        if run is None:
            run = venue.deficit("BTC", {"gone": 90}, event=EVENT, pool="BTC")
        elif kind != "end":
            run.steps[kind](*([{"anna": 10}] if kind == "adl" else []))
    return venue


INJECTION = ("operator_injection", 5)


@pytest.mark.parametrize("step", ["deficit", "adl", "draw"])
def test_an_injection_of_its_own_before_the_draw(step: str) -> None:
    found = c3(told(run_with(step, INJECTION)))
    assert (found.verdict, found.rows) == (Verdict.PASS, ())
    assert found.compared == (
        ("fund entries from snapshot 1 to applied 9", "3"),
        ("injected into pool BTC", "0.00000005 BTC"),
    )


def test_no_injection_passes_with_what_was_looked_at() -> None:
    found = c3(told(crashed(at_work())))
    assert (found.verdict, found.compared[0][1]) == (Verdict.PASS, "2")


@pytest.mark.parametrize("other", ["liquidation_surplus", "liquidation_fee", "correction"])
def test_an_injection_among_other_credits(other: str) -> None:
    found = c3(told(run_with("deficit", INJECTION, (other, 3))))
    assert (found.verdict, found.failing) == (Verdict.FAIL, 1)
    assert found.rows[0] == {
        "what": "the injection of 0.00000005 BTC in fund 3",
        "expected": "an entry of its own",
        "found": f"with {other}",
    }


def test_an_injection_that_is_booked_with_a_draw() -> None:
    venue = at_work()
    venue.unbooked["BTC"] = [2]
    venue.fund(BTC=[INJECTION])
    found = c3(told(crashed(venue)))
    assert [row["found"] for row in found.rows] == ["with draw"]


@pytest.mark.parametrize("step", ["loss", "applied"])
def test_an_injection_after_the_draw(step: str) -> None:
    found = c3(told(run_with(step, INJECTION)))
    assert found.verdict is Verdict.FAIL
    # The entry books the draw, too.
    assert [(row["expected"], row["found"]) for row in found.rows] == [
        ("an entry of its own", "with draw"),
        ("before draw 6", "after it"),
    ]


def test_an_injection_after_the_run_is_not_part_of_it() -> None:
    assert c3(told(run_with("end", INJECTION))).verdict is Verdict.PASS


def test_without_a_draw_the_loss_fixes_it() -> None:
    assert c3(told(run_with("loss", INJECTION, waterfall=["adl"]))).verdict is Verdict.PASS
    found = c3(told(run_with("applied", INJECTION, waterfall=["adl"])))
    assert [row["expected"] for row in found.rows] == ["before loss 5"]


def test_other_pools_may_be_filled_at_any_time() -> None:
    venue = run_with("loss", INJECTION, ("liquidation_fee", 3), pool="BTC-2")
    assert c3(told(venue)).verdict is Verdict.PASS


def test_an_injection_before_the_reference_is_not_looked_at() -> None:
    venue = Venue()
    venue.fund(BTC=[INJECTION, ("liquidation_fee", 3)])
    venue.snapshot("BTC", {"margin": {"anna": 500}})
    venue.event("BTC", {"gone": 90}, event=EVENT)
    found = c3(told(venue))
    assert (found.verdict, found.compared[0][1]) == (Verdict.PASS, "1")


def test_injections_need_a_reference_and_the_run_s_end() -> None:
    assert c3(told(crashed(at_work(), confirmed=0))).missing == (
        "a snapshot of BTC before event crash-1",
    )
    assert c3(told(crashed(at_work(), until="adl"))).missing == (
        "the loss statement of event crash-1",
    )
    found = c3(told(crashed(at_work(), until="draw")))
    assert (found.verdict, found.missing) == (
        Verdict.OPEN,
        ("the loss statement of event crash-1",),
    )
