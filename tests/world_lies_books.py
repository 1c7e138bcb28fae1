"""The same venue, in its margin book, its deleveraging and its fund (see `world_lies.py`)."""

from dataclasses import replace

from world import World
from world_numbers import EVENING, Entry

# The books: A2 to A4, D1.


def another_ledger_handed_over(world: World) -> None:
    """The auditor is given a ledger of the loss in which carl had less and erin more."""

    def hand() -> None:
        seq = world.run.loss_seq
        held = world.run.lost.balances()
        held["carl"], held["erin"] = held["carl"] - 500, held["erin"] + 500
        world.handed[seq, "margin"] = list(held.items())

    world.after("loss", hand)


def deficit_invented(world: World) -> None:
    """gone is said to be short ten dollars more than the positions give."""
    world.numbers.deficits["gone"] += 1000


def equity_shaved(world: World) -> None:
    """carl shares with a dollar less than the positions give, and an entry to go with it."""
    world.shift("loss", "loss", carl=-100)
    world.journal.append(Entry("carl", -100, "trading", EVENING))
    world.unexplained.add("carl")


def mark_that_suits(world: World) -> None:
    """Oil is marked at one source's price."""
    world.medians["OIL"] = "89"


def mark_left_out(world: World) -> None:
    """Nobody is told at which mark of zinc equities were counted."""
    world.venue.lie("deficit", marks=lambda marks: marks[:2])


def surplus_kept(world: World) -> None:
    """Of ten dollars that a liquidation left over, the fund sees four."""
    world.surplus = 400


def surplus_to_another_pool(world: World) -> None:
    """The surplus of oil goes to the pool that does not cover oil."""
    world.story["surplus"] = lambda: world.venue.fund(ALT=[("liquidation_surplus", 1000)])


def surplus_after_the_draw(world: World) -> None:
    """The surplus reaches the fund when it need not pay any more."""
    late = world.story.pop("surplus")
    world.story["booking"] = late


def shortfall_overstated(world: World) -> None:
    """nick is said to be short 20; his fill says 12."""
    world.wallet(nick="-20")


def phantom_wallet(world: World) -> None:
    """A bankrupt account that never was, in all tables; only what the book holds is true."""
    world.custody = world.reckon().custody
    world.wallet(ghost="-30")


def phantom_bankrupt(world: World) -> None:
    """The same, and the money was really taken out: nothing says how the account came to it."""
    world.wallet(ghost="-30")


def phantom_customer(world: World) -> None:
    """Somebody who never was shares the loss, and will be paid what comes back."""
    world.custody = world.reckon().custody
    world.wallet(ghost="500")


def phantom_position(world: World) -> None:
    """A bankrupt account whose position has no other side."""
    world.custody = world.reckon().custody
    world.wallet(ghost="10")
    world.tables.positions = [*world.tables.positions, ("ghost", "OIL", "long", "2", "110")]


# Deleveraging: row 29, B1 and B2.


def friend_skipped(world: World) -> None:
    """fred has the best rank, and is passed over."""
    first, second, last = world.numbers.closings
    world.numbers.closings = [
        replace(second, size=first.size * 6 // 5, absorbed=3000),
        replace(first, account="bert", size=first.size * 4 // 5, absorbed=2000),
        last,
    ]


def ranked_otherwise(world: World) -> None:
    """The highest profit goes first, which is not the policy's rank."""
    first, second, last = world.numbers.closings
    world.numbers.closings = [
        replace(second, size=first.size * 6 // 5, absorbed=3000),
        replace(first, size=first.size * 4 // 5, absorbed=2000),
        last,
    ]


def another_rank_signed(world: World) -> None:
    """The statement names another rank than the policy."""
    world.venue.lie("adl", rank="profit-desc-leverage-asc")


def closed_at_a_worse_price(world: World) -> None:
    """ida's position is closed at another price than hugo's bankruptcy price."""
    *_, last = world.numbers.closings
    world.numbers.closings[-1] = replace(last, price="46.5")


def more_taken_than_listed(world: World) -> None:
    """The signed ledger takes a dollar more of ida than the list."""
    world.shift("adl", "adl", ida=100)
    world.shift("loss", "loss", ida=-100)


def stopped_early(world: World) -> None:
    """ida is spared, and it is signed that nobody was left."""
    world.numbers.closings.pop()


def candidates_understated(world: World) -> None:
    """One candidate fewer is signed than there were."""
    world.numbers.candidates -= 1


def not_exhausted(world: World) -> None:
    """It is signed that candidates were left, and yet there is a loss."""
    world.numbers.exhausted = False


# The fund: rows 28 and 38, C1 to C3.


def fund_kept(world: World) -> None:
    """The fund pays 10 and keeps 12 above its floor."""
    world.venue.lie("draw", drawn="1000", after="1700")


def fund_emptied_first(world: World) -> None:
    """The entry right before the draw takes out all that could be drawn."""

    def empty() -> None:
        debit = {"amount": "2200", "kind": "correction"}
        world.venue.lie(
            "fund", pools=lambda rows: [*rows[:2], rows[2] | {"debits": [debit], "closing": "500"}]
        )
        world.venue.lie("draw", before="500", drawn="0", after="500")

    world.before("draw", empty)
    world.after("draw", lambda: world.venue.closing.update(USD=500))


def fund_invented(world: World) -> None:
    """The draw begins at less than the fund's own entry says."""
    world.venue.lie("draw", before="1500", drawn="1000", after="500")


def fund_opened_lower(world: World) -> None:
    """Five dollars are gone between two of the fund's entries."""
    world.before("surplus", lambda: world.venue.closing.update(USD=500))


def draw_not_booked(world: World) -> None:
    """The fund's next entry knows of no draw."""
    world.before("booking", world.venue.unbooked.clear)


def draw_booked_twice(world: World) -> None:
    """The pool pays five dollars more than the draw, to nobody knows whom."""
    world.before("booking", lambda: world.venue.unbooked["USD"].append(500))


def another_pool_drawn(world: World) -> None:
    """The asset's other pool pays for the event."""
    world.before("draw", lambda: setattr(world.run, "pool", "ALT"))


def pool_of_another_asset_drawn(world: World) -> None:
    """The fund of BTC books a draw, though nothing happened there."""
    fees = [("liquidation_fee", 50)]
    world.before("surplus", lambda: world.venue.fund(BTC=fees))
    world.before("booking", lambda: world.venue.unbooked.update(BTC=[50]))


def second_pool_drawn(world: World) -> None:
    """The asset's other pool books a draw too, which no statement explains."""
    world.before("booking", lambda: world.venue.unbooked.update(ALT=[4000]))


def pool_reborn(world: World) -> None:
    """A pool leaves with money in it, and another one opens empty."""
    pools = dict(world.venue.rules["pools"])
    pools["NEW"] = pools.pop("ALT")
    world.before("reference", lambda: world.venue.policy(pools=pools))


def injected_after_the_draw(world: World) -> None:
    """A dollar comes into the pool when the draw was made, so that it does not have to pay."""
    world.after("draw", lambda: world.venue.fund(USD=[("operator_injection", 100)]))


def injected_among_surpluses(world: World) -> None:
    """The injection hides in the entry of the surpluses."""
    both = [("liquidation_surplus", 1000), ("operator_injection", 700)]
    world.story["surplus"] = lambda: world.venue.fund(USD=both)
    del world.story["injection"]


def injected_as_surplus(world: World) -> None:
    """The injection is called what liquidations left over."""
    world.surplus = 1700
    del world.story["injection"]
