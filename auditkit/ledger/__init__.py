"""Whoever holds the books: columns, trees, disk. Needs the extra `ledger`.

books.py       Parquet, CSV, Arrow -> (account, amount) columns, exact, a few rows at a time
  mapping.py   what a books.toml may say
  tables.py    opening tables without a guess at their types
  accounts.py  account columns; amounts.py: amount columns; cells.py: how a cell is refused
  names.py     which account names are the same
columns.py     the columns themselves: account names and 128-bit amounts
deductions.py  the loss rule over a whole ledger

rows in any order -> a stored ledger:
builder.py     takes the rows, stores the ledger
  sorting.py   rows by their salts, accounts brought together; runs.py: rows on disk
  blocks.py    65,536 leaves at a time: hashed, summed, and what is kept of their nodes
  hashing.py   salts, leaves and parents in bulk; engine.py: rows -> SHA-256, on two threads
stored.py      a stored ledger: its files, and the proof of one account, without numpy
  store.py     the same by columns
  sealed.py    a folder that appears whole or not at all
"""
