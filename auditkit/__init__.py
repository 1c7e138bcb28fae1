"""auditkit: prove, check and audit balances and socialized losses.

Nothing is imported here: what a customer must trust is the import closure of
`auditkit.verify.check`, and it should stay as small as it looks.
"""

__version__ = "0.1.0"
