"""The fund's past as a table: its columns, exact, and of every time a row of each pool.

The columns are pool, time and open_interest; at will one for each kind of
credit, `correction`, which is a debit where it is below 0, and `balance`, what
the pool held after all of it.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.csv
import pyarrow.ipc
import pyarrow.parquet

from auditkit.errors import InputError, place, shown
from auditkit.ledger.cells import Column
from auditkit.ledger.tables import read_columns
from auditkit.margin.signed import integers, signed_integers
from auditkit.publish.fund import Movements
from auditkit.verify.elements import TIME, time_text
from auditkit.verify.errors import Malformed
from auditkit.verify.records import Credit, Debit
from auditkit.verify.statements import Policy

_CREDITS = ("liquidation_surplus", "liquidation_fee", "operator_injection")
_AMOUNTS = ("open_interest", *_CREDITS, "correction", "balance")
_WRITE_TIMES = "write it as text such as 2025-10-10T21:16:00.000Z, or as milliseconds since 1970"
_LAST = TIME.read("2999-12-31T23:59:59.999Z")
# Rows whose amounts are Python objects at one time.
_BLOCK = 1 << 15

Numbers = npt.NDArray[np.int64]
Places = npt.NDArray[np.int32]


class Rows:
    """A table, whose amounts stay columns until they are asked for."""

    def __init__(self, path: Path, policy: Policy) -> None:
        self._path = path
        pools = sorted(policy.pools)
        self._places = {pool: policy.assets[policy.pools[pool].asset] for pool in pools}
        whose = _whose(_column(path, "pool"), pools)
        if not len(whose):
            raise InputError(f"{place(path)}: has no rows, so no history; export it again")
        header, known = _header(path), ("pool", "time", *_AMOUNTS)
        if unknown := [shown(name) for name in header if name not in known]:
            what = f"column {unknown[0]} is unknown; the columns are {', '.join(known)}"
            raise InputError(f"{place(path)}: {what}")
        self._order = self._ordered(_times(_column(path, "time")), whose)
        wanted = [name for name in _AMOUNTS if name in header or name == "open_interest"]
        self._columns = {name: _narrow(_column(path, name)) for name in wanted}

    def _ordered(self, times: Numbers, whose: Places) -> Places:
        """The row of each time and pool, shape (times, pools); every pool has one at each time."""
        steps, count = np.diff(times), len(self._places)
        if (steps < 0).any():
            row = int(np.argmax(steps < 0)) + 1
            raise self._refuse(row, f"{_said(times, row)} is before the row above; sort by time")
        starts = np.concatenate(([0], np.flatnonzero(steps) + 1, [len(times)]))
        self.times = times[starts[:-1]].tolist()
        uneven = np.flatnonzero(np.diff(starts) != count)
        even = int(uneven[0]) if len(uneven) else len(starts) - 1
        pools = whose[: starts[even]].reshape(even, count)
        order = np.argsort(pools, axis=1, kind="stable")
        twice = (np.take_along_axis(pools, order, axis=1) != np.arange(count)).any(axis=1)
        if twice.any() or len(uneven):
            group = int(np.argmax(twice)) if twice.any() else even
            raise self._uneven(int(starts[group]), whose[starts[group] : starts[group + 1]], times)
        return (order + starts[:-1, np.newaxis]).astype(np.int32)

    def _uneven(self, start: int, group: Places, times: Numbers) -> InputError:
        """What to raise for the rows of one time that do not hold every pool once."""
        names, listed = list(self._places), group.tolist()
        for row, pool in enumerate(listed):
            if pool in listed[:row]:
                what = f"pool {names[pool]} is listed twice at {_said(times, start)}"
                return self._refuse(start + row, f"{what}; leave out one")
        missing = min(set(range(len(names))) - set(listed))
        what = f"{_said(times, start)} has no row of pool {names[missing]}"
        return self._refuse(start, f"{what}; every fund entry lists every pool")

    def between(self, start: int, end: int) -> Iterator[Mapping[str, Movements]]:
        """See Past. Raises InputError for an amount that is none."""
        step = max(1, _BLOCK // len(self._places))
        for first in range(start, end, step):
            order = self._order[first : min(first + step, end)].astype(np.int64)
            each = [
                self._moved(order[:, number], places)
                for number, places in enumerate(self._places.values())
            ]
            for moved in zip(*each, strict=True):
                yield dict(zip(self._places, moved, strict=True))

    def _moved(self, rows: Numbers, places: int) -> list[Movements]:
        """What moved one pool in these rows."""
        amounts = {
            name: (signed_integers if name == "correction" else integers)(
                column.take(rows), places
            ).tolist()
            for name, column in self._columns.items()
        }
        kinds = [(kind, amounts[kind]) for kind in _CREDITS if kind in amounts]
        corrections = amounts.get("correction", [0] * len(rows))
        balances = amounts.get("balance", [None] * len(rows))
        moved = []
        for at, correction in enumerate(corrections):
            credits = [Credit(amount[at], kind) for kind, amount in kinds if amount[at]]
            if correction > 0:
                credits.append(Credit(correction, "correction"))
            debits = (Debit(-correction, "correction"),) if correction < 0 else ()
            open_interest, balance = amounts["open_interest"][at], balances[at]
            moved.append(Movements(tuple(credits), debits, open_interest, balance, self._path.name))
        return moved

    def refuse(self, at: int, problem: str, pool: str = "") -> InputError:
        """See Past."""
        rows, when = self._order[at], f"the time {time_text(self.times[at])}"
        if not pool:
            return self._refuse(int(rows.min()), f"{when} {problem}")
        listed = pool in self._places
        row = rows[list(self._places).index(pool)] if listed else rows.min()
        return self._refuse(int(row), f"pool {pool} at {when} {problem}")

    def _refuse(self, row: int, problem: str) -> InputError:
        return InputError(f"{place(self._path)}: row {row + 1}: {problem}")


def _said(times: Numbers, row: int) -> str:
    return f"the time {time_text(int(times[row]))}"


def _column(path: Path, name: str) -> Column:
    """One column by itself: all of them at once would take several times the memory."""
    column = read_columns(path, (name,))[name]
    pa.default_memory_pool().release_unused()
    return column


def _narrow(column: Column) -> Column:
    """Decimals in half the room, where they fit."""
    kind = column.data.type
    if not pa.types.is_decimal128(kind) or not 0 <= kind.scale <= 18:
        return column
    try:
        data = column.data.cast(pa.decimal64(18, kind.scale))
    except pa.ArrowInvalid:
        return column
    return Column(column.path, column.name, data)


def _header(path: Path) -> list[str]:
    """The names of all columns of a table that was read already."""
    ending = path.suffix.lower()
    if ending == ".parquet":
        return list(pa.parquet.read_schema(path).names)
    with (pa.csv.open_csv if ending == ".csv" else pa.ipc.open_file)(path) as reader:
        return list(reader.schema.names)


def _distinct(column: Column, advice: str) -> tuple[list[str], Places]:
    """The different texts of a column, and which of them each row holds."""
    if not column.is_text:
        raise column.refuse_type(advice)
    column.require_values(advice)
    encoded = column.data.dictionary_encode()
    texts = encoded.dictionary.cast(pa.large_binary()).to_pylist()
    rows: Places = encoded.indices.to_numpy()
    return [text.decode("utf-8", "backslashreplace") for text in texts], rows


def _whose(column: Column, pools: list[str]) -> Places:
    """The place of each row's pool among the pools."""
    names, rows = _distinct(column, "pools are named by text")
    for number, name in enumerate(names):
        if name not in pools:
            problem = f"is no pool of the policy; they are {', '.join(pools)}"
            raise column.refuse(int(np.argmax(rows == number)), problem)
    return np.array([pools.index(name) for name in names], np.int32)[rows]


def _times(column: Column) -> Numbers:
    """The time of each row in milliseconds."""
    if pa.types.is_integer(column.data.type):
        column.require_values(_WRITE_TIMES)
        # What does not fit wraps around to a number below 0.
        times: Numbers = column.data.cast(pa.int64(), safe=False).to_numpy()
        odd = (times < 0) | (times > _LAST)
        if odd.any():
            raise column.refuse(int(np.argmax(odd)), f"is no time; {_WRITE_TIMES}")
        return times
    texts, rows = _distinct(column, _WRITE_TIMES)
    found = np.array([_time(text) for text in texts], np.int64)
    if (found < 0).any():
        first = int(np.argmax(found[rows] < 0))
        raise column.refuse(first, f"is no time; {_WRITE_TIMES}")
    return found[rows]


def _time(text: str) -> int:
    """Milliseconds from text; -1 if it is no time."""
    if text.isascii() and text.isdigit() and len(text) < 15 and str(int(text)) == text:
        return int(text) if int(text) <= _LAST else -1
    try:
        return TIME.read(text)
    except Malformed:
        return -1
