"""The exchange: keys, the history log, the venue's folder, publishing. Needs the extra `publish`.

keys.py       key files and what signs with them
  commandkey.py, tokenkey.py  keys behind a command, in a PKCS#11 token; publickey.py: their vkeys
  signers.py   the keys at hand, and the head that they sign; settings.py: where each is kept
rotation.py   changing the key
command.py    running what the exchange names
history.py    the append-only log and its signed heads, in one SQLite file
  paths.py     its paths, from the public tiles
public.py     the static files that anyone may read; growth.py: the tiles that are new
  policyfile.py  the file `policy`, an offer of witnesses
venue.py      the venue's folder: lock, roll forward, publish
  lock.py      one publisher at a time; ledgers.py: what stays private
  draft.py     a publish in the making; clock.py: its times
policy.py     policy.toml, and what may change in a policy
snapshot.py   the balances of every customer; rows.py: from rows to their ledgers
fund.py       the insurance fund's entries
  ticker.py   one each interval; backfill.py: their history in bulk
  past.py     what that history is made from; pasttable.py: from a table
loss.py       the run of one loss
event.py      the same, computed from positions; adl.py: the reference engine
recovery.py   money that comes back; restated.py: the ledger after it, or after a loss
handover.py   what an auditor is given
witnesses.py  asking witnesses for their lines; submission.py: one request to one of them
proofs.py     customers' proof files
  stretch.py   what part of the log they are about, for which key
  slices.py    a long stretch in several files; shards.py: everybody's in Parquet
"""
