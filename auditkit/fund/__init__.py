"""What the insurance fund's signed entries say over time. Needs nothing but the kernel.

feeds.py       venues' saved answers about their own funds -> balances, exact
series.py      the entries of a verified log, pool by pool
threshold.py   the fund against its mean open interest, for every interval
"""
