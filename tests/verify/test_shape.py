"""SPEC.md §2 and §4: who sits beside whom in a tree of RFC 9162's shape."""

import pytest

from auditkit.verify.shape import siblings, split


@pytest.mark.parametrize(
    ("index", "size", "on_left"),
    [
        (0, 1, []),
        (0, 2, [False]),
        (1, 2, [True]),
        (0, 3, [False, False]),
        (2, 3, [True]),
        (4, 5, [True]),
        (3, 5, [True, True, False]),
        (6, 7, [True, True]),
        (5, 7, [True, False, True]),
    ],
)
def test_the_siblings_of_a_leaf(index: int, size: int, on_left: list[bool]) -> None:
    assert list(siblings(index, size)) == on_left


def test_a_root_is_split_at_the_largest_power_of_two_below_its_size() -> None:
    assert [split(size) for size in range(2, 10)] == [1, 2, 2, 4, 4, 4, 4, 8]
    assert split(2**40) == 2**39
    assert split(2**40 + 1) == 2**40
