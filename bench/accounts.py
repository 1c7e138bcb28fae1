"""A table of made-up accounts, as an exchange would export it.

python bench/accounts.py FILE COUNT     prints one of the accounts
"""

import sys
from pathlib import Path

DECIMALS = 8


def generate(path: Path, accounts: int) -> str:
    """Distinct numeric accounts of nine digits, and balances with eight decimals, in no order.

    Returns one of the accounts.
    """
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq

    chance = np.random.default_rng(20251010)
    kind = pa.decimal128(38, DECIMALS)
    schema = pa.schema({"account": pa.string(), "balance": kind})
    name = ""
    with pq.ParquetWriter(path, schema) as writer:
        for start in range(0, accounts, 1 << 20):
            rows = np.arange(start, min(start + (1 << 20), accounts), dtype=np.int64)
            # An odd factor permutes the numbers below a power of two, so no account comes twice.
            names = (100_000_000 + rows * 805_306_457 % (1 << 29)).astype(str)
            words = np.zeros((len(rows), 2), np.int64)
            words[:, 0] = chance.lognormal(22, 4, len(rows)).clip(0, 1e18)
            held = pa.Array.from_buffers(kind, len(rows), [None, pa.py_buffer(words)])
            writer.write_table(pa.table({"account": pa.array(names), "balance": held}))
            name = str(names[-1])
    return name


if __name__ == "__main__":
    print(generate(Path(sys.argv[1]), int(sys.argv[2])))
