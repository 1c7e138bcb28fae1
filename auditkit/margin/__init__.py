"""The margin book: what positions are worth at the marks, and who was closed for whom (SPEC.md §6).

eventfile.py   event.toml: where everything of one loss lies
contracts.py   linear and inverse contracts: profit, value, bankruptcy price
  signed.py    amounts that may be negative, and other exact integers, in columns
book.py        the positions and wallets of one asset
  positionsfile.py, columns.py   the same from the tables of a positions.toml
equity.py      the book at its marks
bankrupt.py    accounts below zero, and what each of their positions is short
ranking.py     the order in which deleveraging takes positions
holder.py      one account, for people who look into it
closings.py    the list of positions closed against bankrupt ones
"""
