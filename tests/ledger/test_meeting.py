"""Rows of one part of all salts: their order, and what an account's rows come to together."""

from collections.abc import Sequence
from itertools import product
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from ledger import by_hand
from ledger.by_hand import LIMIT, Leaf
from ledger.in_small import amounts

from auditkit.errors import InputError
from auditkit.ledger.columns import Balances
from auditkit.ledger.runs import Role, Rows
from auditkit.ledger.sorting import Repeated, in_order, meet

OWN, PAID, CARRIED = Role
SALTS = [
    bytes(32),
    bytes(7) + b"\1" + bytes(24),  # 63 bits of the one before
    bytes(7) + b"\3" + bytes(24),  # 62 bits
    bytes(8) + b"\1" + bytes(23),  # all of the first 64 bits
    bytes(31) + b"\1",
    bytes(7) + b"\4" + bytes(24),  # 61 bits
    b"\xff" * 32,
]
"""They begin alike, and one is the account's that is named for its place."""

Met = tuple[bytes, int, Role, str]
mets = st.lists(
    st.builds(
        lambda place, amount, role: (SALTS[place], amount, role, f"a{place}"),
        st.integers(0, len(SALTS) - 1),
        amounts,
        st.sampled_from(Role),
    ),
    max_size=30,
)


def made(of: Sequence[Met]) -> tuple[Rows, Any]:
    salts = np.frombuffer(b"".join(row[0] for row in of), np.uint8).reshape(-1, 32)
    balances = Balances.of((account, amount) for _, amount, _, account in of)
    return Rows(salts, balances), np.array([row[2] for row in of], np.uint8)


def leaves_of(rows: Rows) -> list[Leaf]:
    found = zip(rows.salts, rows.balances.rows(), strict=True)
    return [(salt.tobytes(), amount, account) for salt, (account, amount) in found]


@given(mets)
def test_rows_are_ordered_by_salt_then_role_then_amount(of: list[Met]) -> None:
    order = in_order(*made(of))
    assert sorted(order.tolist()) == list(range(len(of)))
    wanted = sorted((salt, role, amount) for salt, amount, role, _ in of)
    assert [(of[row][0], of[row][2], of[row][1]) for row in order] == wanted


def test_few_rows_of_each_kind_are_ordered() -> None:
    """Each three of them: the shortcut by 62 bits and the role must not be seen anywhere."""
    kinds = [
        (salt, amount, role, "a")
        for salt in SALTS[:4]
        for amount, role in ((5, OWN), (1 << 64, OWN), (0, PAID), (0, CARRIED))
    ]
    for of in product(kinds, repeat=3):
        rows = [of[row] for row in in_order(*made(of)).tolist()]
        assert rows == sorted(of, key=lambda row: (row[0], row[2], row[1]))


def test_many_salts_that_begin_alike_are_ordered() -> None:
    salts = np.random.default_rng(1).integers(0, 2, (2000, 32), np.uint8)
    salts[:, :7] = 0
    salts[1000:, :8] = 5
    roles = np.zeros(2000, np.uint8)
    order = in_order(Rows(salts, Balances.of([("a", 1)] * 2000)), roles)
    found = [salts[row].tobytes() for row in order]
    assert found == sorted(found)
    assert len(set(order.tolist())) == 2000


@given(mets)
def test_an_account_s_rows_meet(of: list[Met]) -> None:
    said = {role: [(account, amount) for _, amount, r, account in of if r == role] for role in Role}
    absent = {account for account, _ in said[PAID]} - {account for account, _ in said[OWN]}
    if absent:
        with pytest.raises(InputError, match=r"account a\d is paid \d+ .* carry it with amount 0"):
            meet(*made(of), 16)
        return
    most = max([[a for a, _ in said[OWN]].count(account) for account, _ in said[OWN]], default=1)
    if most > 1:
        with pytest.raises(Repeated, match=rf"at most {most - 1} of one account"):
            meet(*made(of), most - 1)
    met = meet(*made(of), most)
    chunks: dict[str, int] = {}
    first, later = [], []
    for account, amount in sorted(
        by_hand.joined(said[OWN], said[PAID], said[CARRIED]), key=lambda row: row[1]
    ):
        number = chunks[account] = chunks.get(account, -1) + 1
        if number == 0:
            first.append((SALTS[int(account[1:])], amount, account))
        else:
            later.append((account, amount, number))
    assert leaves_of(met.first) == sorted(first)
    moved = zip(met.later.rows(), met.numbers.tolist(), strict=True)
    assert sorted((*row, number) for row, number in moved) == sorted(later)
    assert met.carried == len({a for a, _ in said[CARRIED]} - {a for a, _ in said[OWN]})


@pytest.mark.parametrize(
    ("held", "paid"),
    [(LIMIT - 1, [1]), (5, [LIMIT - 5]), (1, [2, LIMIT - 3]), (0, [LIMIT // 2, LIMIT // 2])],
)
def test_a_payment_does_not_reach_2_to_the_128(held: int, paid: list[int]) -> None:
    of = [(SALTS[0], held, OWN, "a0"), *[(SALTS[0], amount, PAID, "a0") for amount in paid]]
    with pytest.raises(InputError, match="with the recovery, the ledger's total reaches 2\\^128"):
        meet(*made(of), 1)
    of[-1] = (SALTS[0], paid[-1] - 1, PAID, "a0")
    assert list(meet(*made(of), 1).first.balances.rows()) == [("a0", LIMIT - 1)]
