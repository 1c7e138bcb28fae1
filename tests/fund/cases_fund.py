"""A venue whose fund is published to the minute, for the tests of its series."""

from collections.abc import Mapping
from typing import Any

from reference import Json, checkpoint
from venue import START, Venue

from auditkit.log.published import Log
from auditkit.verify.note import Checkpoint, VerifierKey

MINUTE = 60_000
HOUR = 60 * MINUTE
BTC = {"BTC": ("BTC", 0)}


class FundVenue(Venue):
    """Its policy is entry 0, a second after START; times are minutes since START."""

    def __init__(self, **rules: Any) -> None:
        self.interest: int | Mapping[str, int] = 0
        super().__init__(**{"pools": BTC, "assets": {"BTC": 8}, **rules})

    def minute(self, number: float, interest: int | Mapping[str, int] = 0, **moves: Any) -> Json:
        """Log the fund: `moves` are (kind, amount) by pool; a correction below 0 is a debit."""
        self.now = START + round(number * MINUTE) - self.tick
        self.interest, rows = interest, []
        for pool in sorted(self.rules["pools"]):
            given = moves.get(pool, ())
            credits = [(kind, amount) for kind, amount in given if amount >= 0]
            debits = [(kind, -amount) for kind, amount in given if amount < 0]
            debits += [("draw", amount) for amount in self.unbooked.pop(pool, [])]
            opening = self.closing.get(pool, 0)
            closing = opening + sum(a for _, a in credits) - sum(a for _, a in debits)
            self.closing[pool] = closing
            interests = interest.get(pool, 0) if isinstance(interest, Mapping) else interest
            rows.append(
                {
                    "pool": pool,
                    "opening": str(opening),
                    "credits": [{"amount": str(a), "kind": kind} for kind, a in credits],
                    "debits": [{"amount": str(a), "kind": kind} for kind, a in debits],
                    "closing": str(closing),
                    "open_interest": str(interests),
                }
            )
        return self.log("fund", pools=rows)

    def fund(self, **moves: Any) -> None:
        """Log the fund in passing, with the open interest of the entry before."""
        self.minute((self.now + self.tick - START) / MINUTE, self.interest, **moves)

    def minutes(self, first: int, last: int, interest: int = 0, **moves: Any) -> None:
        """An entry for each minute, the last one included."""
        for number in range(first, last + 1):
            self.minute(number, interest, **moves)

    def change(self, seq: int, pool: str, /, **edits: object) -> None:
        """Alter one pool's row of an entry that is logged already."""
        rows = [row | edits if row["pool"] == pool else row for row in self.said[seq]["pools"]]
        self.restate(seq, pools=rows)

    def read(self) -> Log:
        """The log as it is, with an index at its end, signed."""
        self.publish()
        note = checkpoint(self.name, self.entries, self.keys[-1][0])
        return Log(VerifierKey.parse(self.vkey), Checkpoint.parse(note), self.entries)


FEE = [("liquidation_fee", 5)]
