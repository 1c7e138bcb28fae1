"""Names are the same where their bytes are, whatever is mixed from them."""

from unittest import mock

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from auditkit.ledger import names as naming
from auditkit.ledger.names import have_repeats, numbered

LETTERS = st.sampled_from([b"a", b"b", b"-"])
NAMES = st.lists(
    st.one_of(
        st.lists(LETTERS, min_size=1, max_size=20).map(b"".join),
        st.sampled_from([b"a" * length for length in (7, 8, 9, 15, 16, 17, 127, 128)]),
    ),
    max_size=20,
)


def column(names: list[bytes], kind: pa.DataType) -> pa.Array:
    """The names as a slice of a longer column."""
    return pa.array([b"before", *names, b"after"], kind).slice(1, len(names))


@given(NAMES)
def test_the_same_names_have_the_same_number_and_others_another(names: list[bytes]) -> None:
    numbers, firsts = numbered(column(names, pa.large_binary()))
    assert len(firsts) == len(set(names))
    assert [names[firsts[number]] for number in numbers] == names


@given(NAMES)
def test_names_that_aremixed_to_the_same_are_told_apart_by_their_bytes(
    names: list[bytes],
) -> None:
    with mock.patch.object(naming, "_FACTOR", np.uint64(0)):
        numbers, firsts = numbered(column(names, pa.large_binary()))
    assert len(firsts) == len(set(names))
    assert [names[firsts[number]] for number in numbers] == names


@given(NAMES)
def test_repeats_are_noticed(names: list[bytes]) -> None:
    assert have_repeats(column(names, pa.binary())) == (len(set(names)) < len(names))


@pytest.mark.parametrize("kind", [pa.binary(), pa.large_binary()])
def test_no_name_at_all(kind: pa.DataType) -> None:
    assert not have_repeats(pa.array([], kind))
    numbers, firsts = numbered(pa.array([], pa.large_binary()))
    assert len(numbers) == len(firsts) == 0


def test_few_of_many_names_aremixed_to_the_same_bits() -> None:
    names = pa.array(np.arange(200_000).astype(str)).cast(pa.binary())
    assert len(np.unique(naming.mixed(names))) == len(names)
