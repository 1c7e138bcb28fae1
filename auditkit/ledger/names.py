"""Which account names are the same, in columns of millions.

Names are told apart by 64 bits that are mixed from their bytes, which is many
times faster than a table of names; where two of the same bits are not of the
same bytes, a table of names decides after all. So the answer is exact, whatever
the names are.
"""

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from auditkit.ledger.engine import Numbers

_FACTOR = np.uint64(0x9E3779B97F4A7C15)  # 2^64 over the golden ratio: odd, and without a pattern.
_HALF = np.uint64(32)
_WORD = 8


def have_repeats(names: pa.Array) -> bool:
    """Whether a name occurs twice in an Arrow `binary` array. May say so where none does."""
    bits = np.sort(mixed(names))
    return bool((bits[1:] == bits[:-1]).any())


def numbered(names: pa.Array) -> tuple[Numbers, Numbers]:
    """A number for each name, shape (n,), the same for the same names; a row of each, (count,).

    `names` is an Arrow `large_binary` array without nulls; numbers go from 0 to count - 1.
    """
    bits = mixed(names)
    order = np.argsort(bits)
    bits = bits[order]
    like = bits[1:] == bits[:-1]
    in_order = names.take(pa.array(order))
    same = pc.equal(in_order[1:], in_order[:-1]).to_numpy(zero_copy_only=False)
    if (like != same).any():
        encoded = names.dictionary_encode()
        numbers = encoded.indices.to_numpy().astype(np.int64)
        return numbers, np.unique(numbers, return_index=True)[1]
    begins = np.ones(len(names), np.bool_)
    begins[1:] = ~like
    numbers = np.empty(len(names), np.int64)
    numbers[order] = np.cumsum(begins) - 1
    return numbers, order[begins]


def mixed(names: pa.Array) -> npt.NDArray[np.uint64]:
    """64 bits of each name; the same for the same bytes."""
    _, offsets, data = names.buffers()
    width = np.int64 if pa.types.is_large_binary(names.type) else np.int32
    if not len(names):
        return np.empty(0, np.uint64)
    ends = np.frombuffer(offsets, width)[names.offset :][: len(names) + 1].astype(np.int64)
    # Zeros behind the last name, so that every word that begins in it can be read.
    text = np.zeros(int(ends[-1] - ends[0]) + _WORD, np.uint8)
    text[:-_WORD] = np.frombuffer(data, np.uint8)[ends[0] : ends[-1]]
    words = np.ndarray((len(text) - _WORD + 1,), "<u8", text, strides=(1,))
    starts, lengths = ends[:-1] - ends[0], np.diff(ends)
    bits = lengths.astype(np.uint64) * _FACTOR
    for at in range(0, int(lengths.max()), _WORD):
        left = lengths - at
        rows: slice | Numbers = slice(None)
        if int(left.min()) <= 0:
            rows = np.flatnonzero(left > 0)
        word = words[starts[rows] + at]
        cut = np.uint64(_WORD) * (_WORD - np.minimum(left[rows], _WORD)).astype(np.uint64)
        word = (word << cut) >> cut
        product = (bits[rows] ^ word) * _FACTOR
        bits[rows] = product ^ (product >> _HALF)
    return bits
