"""Following a published log, and checking a published folder. Needs nothing of what publishes.

source.py      where a log is read from: a folder
  web.py       or one URL, by HTTP; auditkit/connection.py holds it to limits of size and time
state.py       the follower's own folder: the log so far, and the head it holds others against
  mirror.py    the log's files in it; disk.py: one process, safe moves
follower.py    one round: fetch, compare, download, check, remember
  extend.py    whether a head extends the one remembered, and the evidence where it does not
evidence.py    evidence of forks that lies in a folder
fsck.py        a folder offline: every file, every hash, every rule
  inventory.py what lies in a folder
  survey.py    every entry and tile once; judge.py: which file is wrong where one is
  heads.py     every signed head
"""
