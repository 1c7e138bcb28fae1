"""The kernel: everything a customer must trust, and nothing else.

Reading path: SPEC.md "To verify", then `check.py`, then the file each step names.

    check.py       the numbered steps; returns what was proven, or raises
    proof.py       the customer's file
    fork.py        evidence that one venue signed two histories
    earlier.py     what a file shows of earlier heads and keys
    head.py        step 3: the checkpoint, and what was verified last
    chains.py      step 5: what the asset chains and the index name, and what is missing
    holdings.py    steps 6 and 7: the account's own leaves
    walk.py        step 8: every snapshot, run and recovery on a chain
    events.py      the run of one loss, point by point
    waterfall.py   its stages: what each must take of the deficit
    recoveries.py  money that comes back
    cursor.py      a place on one chain
    records.py     the ledgers, pools and marks inside statements
    statements.py  one frozen dataclass a kind; parsing is the constructor
    history.py     RFC 9162 inclusion and consistency, tlog-proof text
    note.py        signed notes, verifier keys, strict Ed25519, checkpoints
    cosignature.py what a witness signs
    quorum.py      which witnesses are enough: the reader's own policy file
    sharing.py     the loss rule and recoveries
    sumtree.py     leaf, parent, the root a path implies, prefix
    shape.py       the shape of an RFC 9162 tree
    elements.py    the canonical spellings
    strictjson.py  strict, bounded JSON
    errors.py      the four refusals

Standard library and pycryptodome's Ed25519 only. No path, socket, clock or
logger anywhere below this folder.
"""
