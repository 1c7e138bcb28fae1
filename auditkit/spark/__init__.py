"""An exchange that has outgrown one machine: the same ledger, by Spark. Needs the extra `spark`.

session.py    Spark for one command: started quietly, stopped for good
books.py      a books.toml whose files Spark reads -> the rows of each ledger
  files.py    names, globs and folders -> Spark's tables, without a guess at their types
  lines.py    lines of CSV files -> columns of text
builder.py    rows -> a stored ledger, byte for byte what `ledger.builder` stores
  tasks.py    what executors do; packed.py: how rows travel between machines
refusals.py   what goes wrong in an executor, in one line

What is hashed, compared and refused is the code of `auditkit.ledger`, in every
executor; Spark brings rows to where they belong, and the driver writes them.
"""
