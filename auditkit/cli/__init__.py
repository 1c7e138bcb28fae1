"""The command line: one module an audience. Parse, call one function, render, choose the exit code.

start.py       the console script
main.py        the one entry; alone decides the exit code
terminal.py    what reaches the terminal: filtered, wrapped, coloured only where it may be
files.py       what is read: a file, or standard input for -
result.py      what a command says: a page for people, an object for programs, a code
customer.py    verify, trust, demo
  verdict.py   the faces of a verification
  proven.py    what was proven, in sentences and as an object
  trust.py     the keys a customer has pinned; successor.py: following a changed one
  cosigned.py  --policy: whether enough witnesses cosigned
  expected.py  --expect; remembered.py and statefolder.py: --state
fork.py        compare, verify-fork
  evidence.py  the one place that writes the evidence of a fork
auditor.py     inspect; audit.py: audit, positions.py: one account
  source.py    what an audit reads; findings.py: what it says
  fund.py      fund show; series.py and chart.py: its pages
follow.py      follow, and following.py: what it says; fsck.py: fsck
witness.py     witness: cosign the heads of logs; witnessed.py: what was cosigned and refused
exchange.py    key, venue; keys.py: changing keys, and those that auditkit does not hold
  publish.py   publish, ticking.py: the fund over time
  prove.py     prove; prooffiles.py: the files that it writes
  published.py what a publish appended
  witnessing.py venue witnesses, venue witness-again
  options.py   options that these share; passphrase.py: where a passphrase comes from; newkey.py
  signing.py   what signs: key files, commands, tokens
"""
