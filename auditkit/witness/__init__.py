"""Being a witness: whoever watches logs and cosigns what only grows (SPEC.md §4, Witnesses).

state.py     the heads that were cosigned, and what was refused, in one SQLite file
forks.py     the evidence of a fork, from what was cosigned and what is offered
witness.py   what a witness answers: C2SP tlog-witness, status by status
server.py    the same over HTTP, with limits
keys.py      the witness's key file

Needs the kernel, and nothing of what publishes.
"""
