"""The rule `cumulative/1` over a whole ledger (SPEC.md §3): what a loss leaves, what returns.

`auditkit.verify.sharing` says what one leaf bears and gets; here the line of
the ledger's units is cut at every boundary between leaves, a stretch of it at
a time. Amounts are columns of 32-bit digits, lowest first, whose products fit
64 bits, so that every product of up to 256 bits is exact.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

import numpy as np
import numpy.typing as npt

from auditkit.errors import InputError
from auditkit.ledger import engine
from auditkit.ledger.columns import Balances, Limbs, total

_DIGIT = 32
_HALF, _LOW = np.uint64(_DIGIT), np.uint64((1 << _DIGIT) - 1)
_STRETCH = 1 << 15

Digits = list[npt.NDArray[np.uint64]]
"""Numbers in base 2^32: columns of shape (n,), lowest first."""


@dataclass(frozen=True, slots=True)
class Sharing:
    """A loss of a ledger with that total, and what came back of it, oldest first: base units.

    Raises InputError unless 0 <= loss <= total and every recovery is above 0
    and not more than is outstanding.
    """

    total: int
    loss: int
    recovered: Sequence[int] = ()

    def __post_init__(self) -> None:
        if not 0 <= self.loss <= self.total:
            raise InputError(
                f"a loss of {self.loss} cannot be shared by a ledger with a total of {self.total}"
            )
        outstanding = self.loss
        for amount in self.recovered:
            if not 0 < amount <= outstanding:
                raise InputError(f"a recovery of {amount} where {outstanding} is outstanding")
            outstanding -= amount

    def borne(self, prefix: int, amounts: Limbs) -> Limbs:
        """What each of some neighbouring leaves bears of the loss, shape (n, 2).

        `prefix` is the total of all before the first of them.
        """
        return _between(self._cuts(prefix, amounts))

    def paid(self, prefix: int, amounts: Limbs) -> Limbs:
        """What the last recovery pays each of some neighbouring leaves, shape (n, 2)."""
        cuts, outstanding = self._cuts(prefix, amounts), self.loss
        paid = [np.zeros_like(digit) for digit in cuts]
        for amount in self.recovered:
            paid = portion(cuts, amount, outstanding)
            cuts = _less(cuts, paid)
            outstanding -= amount
        return _between(paid)

    def _cuts(self, prefix: int, amounts: Limbs) -> Digits:
        """F(x) = floor(x * loss / total) at the n + 1 boundaries x of the leaves."""
        boundaries = _boundaries(prefix, amounts)
        if not self.loss:
            return [np.zeros_like(digit) for digit in boundaries]
        return portion(boundaries, self.loss, self.total)


def after_loss(ledger: Balances, loss: int) -> Balances:
    """The balances of `ledger`, rows in leaf order, less what each leaf bears of `loss`.

    The result's rows are in the same order and add up to exactly `loss` less.
    Raises InputError unless 0 <= loss <= the ledger's total.
    """
    sharing = Sharing(total(ledger.amounts), loss)
    starts = range(0, len(ledger), _STRETCH)
    stretches = [ledger.amounts[start : start + _STRETCH] for start in starts]
    prefixes = list(accumulate(map(total, stretches), initial=0))

    def work(place: int) -> Limbs:
        return left(stretches[place], sharing.borne(prefixes[place], stretches[place]))

    places = range(len(stretches))
    few = len(ledger) < engine.SMALL
    found = list(map(work, places) if few else engine.ahead(work, places))
    return Balances(ledger.accounts, np.concatenate([ledger.amounts[:0], *found]))


def left(amounts: Limbs, borne: Limbs) -> Limbs:
    """What is left of each amount, shape (n, 2). Nothing borne is above its amount."""
    found = amounts - borne
    found[:, 0] -= amounts[:, 1] < borne[:, 1]
    return found


def portion(numbers: Digits, part: int, whole: int) -> Digits:
    """floor(x * part / whole) of each x, exactly; 0 <= x <= whole and 0 < part <= whole.

    Instead of a division for each x there is one: with m = floor(part * 2^s / whole) + 1,
    x * m / 2^s is above x * part / whole by x / 2^s at most. With 2^s >= whole^2
    that is below 1 / whole, and a fraction of `whole` that is not a whole number lacks at
    least 1 / whole to the next, so the floor of both is the same.
    """
    width = -(-whole.bit_length() // _DIGIT)
    shift = 2 * width
    factor = (part << _DIGIT * shift) // whole + 1
    product = _times(numbers[:width], factor)[shift:]
    zero = np.zeros_like(numbers[0])
    return [*product, *[zero] * 4][:4]


def _times(numbers: Digits, factor: int) -> Digits:
    """Each number times the factor, in as many digits as both have together."""
    zero = np.zeros_like(numbers[0])
    digits = -(-factor.bit_length() // _DIGIT)
    found = [zero] * (len(numbers) + digits)
    for place in range(digits):
        times = np.uint64(factor >> _DIGIT * place & int(_LOW))
        carry = zero
        for step, digit in enumerate(numbers, place):
            # (2^32 - 1)^2 + 2 * (2^32 - 1) is 2^64 - 1, so nothing wraps.
            partial = digit * times
            partial += found[step]
            partial += carry
            found[step], carry = partial & _LOW, partial >> _HALF
        found[place + len(numbers)] = carry
    return found


def _boundaries(prefix: int, amounts: Limbs) -> Digits:
    """The totals before each leaf, and before what follows the last: n + 1 numbers."""
    found: Digits = []
    carry = np.zeros(len(amounts) + 1, np.uint64)
    for place, half in enumerate((1, 1, 0, 0)):
        digits = amounts[:, half] >> _HALF if place % 2 else amounts[:, half] & _LOW
        sums = np.empty(len(amounts) + 1, np.uint64)
        sums[0] = prefix >> _DIGIT * place & int(_LOW)
        # A stretch has fewer than 2^31 leaves, so sums of digits do not wrap.
        np.cumsum(digits, out=sums[1:])
        sums[1:] += sums[0]
        sums += carry
        found.append(sums & _LOW)
        carry = sums >> _HALF
    return found


def _limbs(numbers: Digits) -> Limbs:
    return np.column_stack((numbers[2] | numbers[3] << _HALF, numbers[0] | numbers[1] << _HALF))


def _between(cuts: Digits) -> Limbs:
    """What lies between one cut and the next: n amounts for n + 1 cuts."""
    at = _limbs(cuts)
    return left(at[1:], at[:-1])


def _less(numbers: Digits, others: Digits) -> Digits:
    """Each number less another that is not above it."""
    found = left(_limbs(numbers), _limbs(others))
    return [part for i in (1, 0) for part in (found[:, i] & _LOW, found[:, i] >> _HALF)]
