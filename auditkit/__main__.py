"""`python -m auditkit` is the command line."""

from auditkit.cli.start import run

run()
