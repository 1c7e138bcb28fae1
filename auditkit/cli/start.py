"""The console script: nothing here may fail before an interruption can be said plainly."""

import sys


def run() -> None:
    """Run the command line; importing it takes a moment, in which people may press Ctrl-C."""
    try:
        from auditkit.cli.main import run as command
    except KeyboardInterrupt:
        sys.stderr.write("ERROR: interrupted\n")
        sys.exit(130)
    command()
