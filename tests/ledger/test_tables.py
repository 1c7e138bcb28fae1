"""Tables are read a few rows at a time, and every piece knows its rows."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from ledger.saved import ENDINGS, few_at_a_time, save

from auditkit.errors import InputError
from auditkit.ledger.tables import batches, read_columns

COUNT = 40


@pytest.fixture(autouse=True)
def pieces() -> Iterator[None]:
    with few_at_a_time():
        yield


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize("group", [1, 2, 3, 7, 100])
@pytest.mark.parametrize("count", [0, 1, 3, COUNT])
def test_a_table_comes_in_pieces_that_know_their_rows(
    tmp_path: Path, ending: str, group: int, count: int
) -> None:
    columns = {"a": [f"name-{row}" for row in range(count)], "b": list(map(str, range(count)))}
    typed = {name: pa.array(column, pa.string()) for name, column in columns.items()}
    path = save(tmp_path / f"t{ending}", typed, group)
    first, *pieces = batches(path, ["b", "a"])
    assert list(first) == ["b", "a"]
    assert len(first["a"]) == len(first["b"]) == 0
    row = 0
    for piece in pieces:
        assert len(piece["a"]) == len(piece["b"])
        assert ending == ".csv" or 1 <= len(piece["a"]) <= 3
        for place in range(len(piece["a"])):
            assert piece["a"].row(place) == piece["b"].row(place) == row + 1
            assert piece["a"].value(place) == f"name-{row}"
            assert piece["b"].value(place) == f"{row}"
            row += 1
    assert row == count
    assert len(pieces) > 1 or count <= 3
    whole = read_columns(path, ["a"])["a"]
    assert whole.data.to_pylist() == columns["a"]
    assert [whole.row(place) for place in range(count)] == list(range(1, count + 1))


def test_dictionaries_may_differ_from_piece_to_piece(tmp_path: Path) -> None:
    chunks = [pa.array(words).dictionary_encode() for words in (["x", "y"], ["z"], ["y", None])]
    save(tmp_path / "t.arrow", {"a": pa.chunked_array(chunks).unify_dictionaries()})
    assert read_columns(tmp_path / "t.arrow", ["a"])["a"].data.to_pylist() == [
        *("x", "y", "z", "y", None)
    ]


def test_a_small_file_of_huge_cells_is_not_unpacked(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    cells = pa.array(["a" * (4 << 20), "b"])
    options: dict[str, Any] = {"compression": "zstd", "use_dictionary": False}
    pq.write_table(pa.table({"a": cells, "b": [1, 2]}), path, **options)
    assert path.stat().st_size < 1 << 14
    with pytest.raises(InputError, match=r"t.parquet: column 'a' has 4194\d+ bytes for 2 rows"):
        list(batches(path, ["a", "b"]))
    assert len([*batches(path, ["b"])][1]["b"]) == 2
