"""Following a venue that changes its key: only by what the pinned key itself has signed.

A file that verifies under the pinned key and shows its change carries lines of
both keys (SPEC.md §7, step 3). Nothing else that a venue says of its keys is
followed.
"""

from typing import Annotated

import typer

from auditkit.cli import verdict
from auditkit.cli.customer import FORMAT, own_account, read_proof
from auditkit.cli.result import Code, Format, Result
from auditkit.cli.terminal import Page
from auditkit.cli.trust import TrustStore
from auditkit.errors import InputError
from auditkit.verify import check
from auditkit.verify.errors import NotVerified, Refuted, Step
from auditkit.verify.note import VerifierKey
from auditkit.verify.proof import Proof
from auditkit.verify.statements import Key

STEP = "trust"
"""The step after SPEC.md's: what the file shows of the pinned key."""


def trust_update(
    proof: Annotated[
        str, typer.Argument(metavar="PROOF", help="The proof file, or - for standard input.")
    ],
    account: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Your own account name. Never taken from the file."),
    ] = None,
    form: FORMAT = Format.TEXT,
) -> int:
    """Pin a venue's new key, if your proof file verifies under the pinned one and shows the change.

    Exit codes: those of verify, of which 3 also says that the file shows no change.
    """
    name = own_account(account, proof)
    data = read_proof(proof)
    store = TrustStore()
    try:
        with Step("1", []):
            origin = Proof.parse(data).checkpoint.origin
        pinned = store.keys().get(origin)
        if pinned is None:
            raise InputError(f"no key of {origin} is pinned; pin it with auditkit trust add")
        proven = check.verify(data, pinned, name)
        change = _change(proven.keys, pinned)
    except NotVerified as error:
        return verdict.refused(error).show(form)
    if change is None:
        return _unchanged(pinned).show(form)
    store.follow(pinned, change.new)
    page = Page()
    if change.new == pinned:
        page.line(f"{origin} is pinned with its new key {pinned.id.hex()} already.")
    else:
        page.line(f"VERIFIED, and pinned {origin} with its new key:", "good")
        page.exact(change.new)
        page.line(
            f"Entry {change.seq}, signed by both keys, says that it takes the place of "
            f"{change.old.id.hex()}, which signs no more than {change.retire} entries."
        )
    found = {"venue": origin, "old": str(change.old), "new": str(change.new), "seq": change.seq}
    return Result(Code.OK, "pinned", page, found | {"retire": change.retire}).show(form)


def _change(shown: tuple[Key, ...], pinned: VerifierKey) -> Key | None:
    """The change that replaces the pinned key, or that brought it. Raises Refuted."""
    changes = [change for change in shown if change.old == pinned]
    if len({change.new for change in changes}) > 1:
        raise Refuted(
            "the venue replaces the pinned key more than once",
            expected="one change of it",
            found=f"entries {', '.join(str(change.seq) for change in changes)}",
            step=STEP,
        )
    changes += [change for change in shown if change.new == pinned]
    return changes[0] if changes else None


def _unchanged(pinned: VerifierKey) -> Result:
    """The file verified, and says nothing of the pinned key."""
    what = f"the file shows no change of the pinned key {pinned.id.hex()}, which stays pinned"
    following = (
        "If the venue says that it has changed its key, ask it for a file made for the key that "
        "you pinned (auditkit prove --for-key)."
    )
    page = Page()
    page.line(f"NOT CHECKED: {what}", "warn")
    page.head("Next")
    page.item(following)
    return Result(Code.NOT_CHECKED, "not checked", page, {"what": what, "next": following})
