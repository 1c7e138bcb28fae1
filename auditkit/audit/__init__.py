"""The auditor: procedures over a published log and the books that a venue hands over.

programme.py      which procedures an audit runs
findings.py       what a procedure found, and the report
handover.py       ledgers and secrets that were handed over, built anew
case.py           one event as the log tells it
  entries.py      the accounts' own journal
  compare.py      two ledgers, account by account
  tables.py       the venue's own tables, a few rows at a time
  stations.py     a book's ledgers along the asset's chain
ledgers.py        A2     positions.py     A3, D1     liquidations.py  A4
adl.py            B1, B2; replay.py: a list of closings, independent of the engine in publish/
series.py         C1, H2; outflows.py: corrections right before an event
leaving.py       E1     sharing.py       E2, G1     fund.py          C2, C3
timing.py         A1, H1   sample.py      S1
"""
