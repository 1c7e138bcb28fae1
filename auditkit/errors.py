"""What the publishing and auditing rooms raise when the world is not as they need it.

    InputError      what the user gave is wrong; nothing was written      (exit 2)
    DamagedError    a stored file is not what was stored; nothing goes on  (exit 74)

The verifier's own four refusals are in `auditkit.verify.errors`; failures of
the file system stay the OSError they are.
"""


class InputError(Exception):
    """One clear line: what is wrong, where, and what to do."""


class DamagedError(Exception):
    """A file of the venue is damaged, missing or older than what was published."""
