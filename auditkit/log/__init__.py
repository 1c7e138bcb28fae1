"""Reading a whole log, as anyone may. Needs nothing but the kernel.

chain.py       one asset's chain, back from its last statement
bundles.py     entries in files
tiles.py       hashes in files: any root or path from a few of them
  frontier.py  enough of a tree to append; growth.py: the tiles too, as they fill
serve.py       a published folder over HTTP, for trials
addition.py    what a log asks of a witness
lineage.py     the keys of a venue over time, and which sign a head
forks.py       how two signed heads stand to each other
entries.py     the statement of an entry's bytes; the fund's fast
published.py   a published folder, with its signature and every hash recomputed
monitor.py     the rules that only a whole log shows, marked (M) in SPEC.md
  breach.py    one broken rule, and the list of them
  links.py     previous, policy, latest     funds.py   pools and draws
  promises.py  decimals, books, names, recoveries, keys
  runs.py      every asset's whole chain, by the kernel
"""
