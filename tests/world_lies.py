"""What a dishonest venue would do on that evening: each lie is told before the story is.

Whatever else the lie touches agrees with it, down to what the margin book is
said to hold: the venue is careful, and would be found out by nothing else.
"""

from world import World
from world_files import EVENT
from world_numbers import LATE, Entry

# Who is in a ledger at all, and under which salts: rows 21 to 25, 40 and 43.


def customer_left_out(world: World) -> None:
    """No ledger and no table of the event has erin; only the venue's own books do."""
    world.own_books["margin"] = dict(world.then)
    del world.then["erin"]
    world.wallet(erin=None)
    world.journal = [entry for entry in world.journal if entry.account != "erin"]


def balance_understated(world: World) -> None:
    """carl's liability is signed a dollar lower than the books have it, and carl never looks."""
    world.own_books["margin"] = dict(world.then)
    world.then["carl"] -= 100


def book_never_published(world: World) -> None:
    """Customers have money in the spot book, of which the log says nothing."""
    world.own_books["spot"] = world.spot
    world.spot = {}


def secret_used_twice(world: World) -> None:
    """The ledger of the loss has the reference's salts, which link every account's two leaves."""
    world.before("loss", lambda: _salt(world, "margin", world.seqs["reference"]))


def secret_of_two_books(world: World) -> None:
    """The reference's two ledgers have one secret."""
    world.before("reference", lambda: _salt(world, "spot", len(world.venue.said)))


def _salt(world: World, book: str, other: int) -> None:
    """Salt the next ledger of a book with the secret of the margin book's at the other seq."""
    world.venue.salting[len(world.venue.said), book] = world.venue.drawn(other, "margin")


def salts_that_anyone_knows(world: World) -> None:
    """The salts of the loss follow from the account's name, so that balances can be guessed."""

    def derive() -> None:
        world.venue.salting[len(world.venue.said), "margin"] = None

    world.before("loss", derive)


def favoured_left_out(world: World) -> None:
    """carl's money has left the margin book, its custody and its tables before it is shared."""
    world.wallet(carl=None)


def favoured_shrunk(world: World) -> None:
    """Two thirds of carl's money have."""
    world.wallet(carl="100")
    world.unexplained.add("carl")


def favoured_moved_in_time(world: World) -> None:
    """carl's money goes to the spot book, with an entry, when the deficit is known already."""
    world.wallet(carl=None)
    world.journal.append(Entry("carl", -30000, "transfer", LATE))
    world.journal.append(Entry("carl", 30000, "transfer", LATE, "spot"))
    world.before("loss", lambda: world.venue.books["USD"]["spot"].update(carl=37000))


def favoured_moved_the_day_before(world: World) -> None:
    """carl's money is in the spot book at the reference already; no entry says how it got there."""
    world.wallet(carl=None)
    world.yesterday["carl"] = world.then.pop("carl")
    world.before("reference", lambda: world.spot.update(carl=37000))


def favoured_among_the_bankrupt(world: World) -> None:
    """carl's money is gone, and carl is said to be short a cent, which would explain it."""
    world.wallet(carl="-0.01")
    world.unexplained.add("carl")


def favoured_among_the_liquidated(world: World) -> None:
    """The same, with the fill of a small position that explains the cent, but not the money."""
    favoured_among_the_bankrupt(world)
    world.fills.append(("carl", "OIL", "long", "1", "100", "9.99", "90"))


def emptied_and_not_shown(world: World) -> None:
    """erin's balance is gone, and the next ledger has no leaf to say so."""
    world.wallet(erin=None)
    world.venue.lie("loss", balances=lambda held: {k: v for k, v in held.items() if k != "erin"})


def seventeen_leaves(world: World) -> None:
    """carl's balance is cut into dust, for the rounding."""
    world.before("loss", lambda: world.venue.splits.update(carl=17))


def leaves_in_an_order_that_suits(world: World) -> None:
    """The leaves of the loss are not in the order of their salts, but in one that rounds well."""
    world.before("loss", lambda: world.venue.unsorted.add((len(world.venue.said), "margin")))


# One loss for all, and by the rule: rows 26, 27, 36, 37 and 41.


def another_loss_told(world: World) -> None:
    """In the morning another audience was shown a log with a smaller loss."""
    world.remembered = World(world.folder / "other").tell().morning
    world.wallet(nick="-20")
    world.fills[1] = ("nick", "OIL", "long", "4", "100", "12", "92")


def unit_moved(world: World) -> None:
    """carl pays a cent more than the rule says, erin one less."""
    world.shift("applied", "applied", carl=-1, erin=1)


def loss_rounded_up(world: World) -> None:
    """A cent more is shared than was left."""
    world.venue.lie("loss", socialized=lambda units: str(int(units) + 1))


def charged_twice(world: World) -> None:
    """A second loss follows the same deficit."""

    def again() -> None:
        world.run.rest = 1000
        world.run.loss()
        world.run.applied()

    world.after("applied", again)


def charged_again(world: World) -> None:
    """gone's deficit was shared in an earlier loss of the day, and is in this one again."""
    world.lose_first(gone=world.numbers.deficits["gone"])


def name_used_twice(world: World) -> None:
    """The same event is charged to another asset too."""
    world.after("booking", lambda: world.venue.event("BTC", {"gone": 5}, event=EVENT))


def decimals_changed(world: World) -> None:
    """What was counted in cents is shared in tenths of them."""
    world.before("loss", lambda: world.venue.policy(assets={"BTC": 8, "USD": 3}))


def another_book_shares(world: World) -> None:
    """The loss is charged to the spot book."""
    world.story["loss"] = lambda: world.run.loss("spot")


def crumbs_to_a_friend(world: World) -> None:
    """Money comes back in cents, and every one goes to fred."""

    def favour(_: dict[str, int]) -> dict[str, int]:
        before = world.venue.stated["USD", "margin"]
        return before | {"fred": before["fred"] + 1}

    def crumbs() -> None:
        for _ in range(3):
            world.venue.lie("applied", balances=favour)
            world.venue.recovery(world.run, 1)

    world.story["recovery"] = crumbs


def renamed(world: World) -> None:
    """erin's balance after the loss is somebody else's."""

    def rename(held: dict[str, int]) -> dict[str, int]:
        return {"erik" if name == "erin" else name: units for name, units in held.items()}

    world.before("applied", lambda: world.venue.lie("applied", balances=rename))


def refunded(world: World) -> None:
    """fred gets his share back and more, at carl's cost, under the same total."""
    world.shift("applied", "applied", fred=1000, carl=-1000)


def cut_otherwise(world: World) -> None:
    """After the loss carl has a leaf less than before, and erin one more."""
    world.before("applied", lambda: world.venue.splits.update(carl=2, erin=2))


def moved_in_between(world: World) -> None:
    """A snapshot between the loss and its effect, so that balances may move."""
    world.before("applied", lambda: world.venue.snapshot("USD"))


# When, and under which policy: rows 30 and 35.


def applied_late(world: World) -> None:
    """The deduction comes after the deadline."""
    world.before("applied", lambda: world.venue.wait(90_000))


def never_applied(world: World) -> None:
    """The log goes on for minutes without the effect of the loss."""
    del world.story["applied"], world.story["recovery"]
    world.before("booking", lambda: world.venue.wait(90_000))


def policy_for_the_occasion(world: World) -> None:
    """The rules are changed when the loss is known."""
    world.before("deficit", lambda: world.venue.policy(deadline_ms=86_400_000))


def policy_changed_and_back(world: World) -> None:
    """They are changed and changed back, and nothing says that they were."""

    def change() -> None:
        for deadline in (86_400_000, 90_000):
            world.venue.policy(deadline_ms=deadline)
        world.venue.policy_seq = 0

    world.before("deficit", change)


def loss_hidden(world: World) -> None:
    """The last index and the customers' files end at the reference, as if no loss had been."""

    def hide() -> None:
        world.shown["USD"] = world.seqs["reference"]
        world.venue.lie("index", latest=lambda latest: latest | world.shown)

    world.before("evening", hide)


def chain_jumps(world: World) -> None:
    """The effect names the draw as the statement before it, not the loss."""
    world.before(
        "applied", lambda: world.venue.lie("applied", previous=world.venue.chains["USD"][-2])
    )


def book_vanished(world: World) -> None:
    """The spot book, which holds money, is not in the snapshot after."""
    world.before("snapshot", lambda: world.venue.lie("snapshot", ledgers=lambda given: given[:1]))
