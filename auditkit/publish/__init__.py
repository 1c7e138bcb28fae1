"""The exchange: keys, the history log, the venue's folder, publishing. Needs the extra `publish`.

secret.py     bytes that do not show themselves
keys.py       key files, passphrases, signers
history.py    the append-only log and its signed heads, in one SQLite file
public.py     the static files that anyone may read
venue.py      the venue's folder: lock, roll forward, publish
policy.py     policy.toml, and what may change in a policy
snapshot.py   the balances of every customer
fund.py       the insurance fund's entries
loss.py       the run of one loss
recovery.py   money that comes back
proofs.py     customers' proof files
"""
