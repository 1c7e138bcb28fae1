"""The margin book of one asset: who holds which positions, with what in the wallet."""

from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import pyarrow as pa

from auditkit.margin.contracts import PLACES, Contract, Numbers
from auditkit.margin.signed import Integers

SCALE = 10**PLACES
"""Sizes and entries are integers of units of 1 / SCALE."""


@dataclass(frozen=True, slots=True)
class MarginBook:
    """All that is margined in one asset, by A accounts with P positions.

    `accounts` is an Arrow `binary` array of shape (A,), ascending bytewise:
    whoever has a wallet in the asset or a position in one of its `contracts`,
    which are sorted by name. `wallet`, shape (A,), is balance and pledged
    collateral in base units, signed, 0 without a wallet; `leaves`, shape
    (A,), over how many leaves an account's equity is split. The columns of
    positions have shape (P,): `owner` and `contract` are rows of the above,
    `side` is +1 for long and -1 for short, `size` and `entry` are above 0 in
    units of 1 / SCALE. They are sorted by owner, contract, long before short,
    and no two are alike in these.
    """

    asset: str
    decimals: int
    contracts: tuple[Contract, ...]
    accounts: pa.Array
    wallet: Integers
    leaves: Numbers
    owner: Numbers
    contract: Numbers
    side: Numbers
    size: Integers
    entry: Integers

    def account(self, row: int) -> str:
        """The name of the account at `row`."""
        return str(self.accounts[row].as_py().decode("ascii"))

    def contract_of(self, position: int) -> Contract:
        """The contract of the position at that row."""
        return self.contracts[int(self.contract[position])]

    def size_of(self, position: int) -> Fraction:
        """The size of the position at that row."""
        return Fraction(self.size[position], SCALE)

    def held(self, account: int) -> range:
        """The rows of an account's positions."""
        first, last = np.searchsorted(self.owner, [account, account + 1])
        return range(int(first), int(last))
