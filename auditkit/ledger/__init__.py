"""Whoever holds the books: columns, trees, disk. Needs the extra `ledger`.

    books.py     Parquet, CSV, Arrow -> (account, amount) columns, exact
    columns.py   the columns themselves: account names and 128-bit amounts
    hashing.py   many fixed-width rows -> SHA-256, in one place
    store.py     build, store and reopen a ledger's tree; prove one account
"""
