"""Whoever holds the books: columns, trees, disk. Needs the extra `ledger`.

books.py       Parquet, CSV, Arrow -> (account, amount) columns, exact
  mapping.py   what a books.toml may say
  tables.py    opening tables without a guess at their types
  accounts.py  account columns; amounts.py: amount columns; cells.py: how a cell is refused
columns.py     the columns themselves: account names and 128-bit amounts
deductions.py  the loss rule over a whole ledger
secret.py      bytes that do not show themselves
store.py       build, store and reopen a ledger's tree; prove one account
  tree.py      the same in memory: salts, order, levels, leaves
  sealed.py    a folder that appears whole or not at all
hashing.py     salts, leaves and parents in bulk
  engine.py    many fixed-width rows -> SHA-256, on two threads
"""
