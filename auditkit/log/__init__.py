"""Reading a whole log, as anyone may. Needs nothing but the kernel.

chain.py       one asset's chain, back from its last statement
published.py   a published folder, with its signature and every hash recomputed
monitor.py     the rules that only a whole log shows, marked (M) in SPEC.md
"""
