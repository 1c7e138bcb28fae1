"""`python -m auditkit` is the command line."""

from auditkit.cli.main import run

run()
