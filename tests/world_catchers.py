"""Everybody who might catch a lie, and who did.

verify          every customer's own proof file
verify carl     only the files of the customers named
head            a customer who remembers the head of the morning
LOG A1 ... H1   the audit's procedures
books           A2 of the reference against the venue's own tables
S1              accounts drawn from these
"""

from collections.abc import Iterator

from world import World
from world_files import EVENT

from auditkit.audit import programme
from auditkit.audit.case import Case
from auditkit.audit.findings import Finding, Verdict
from auditkit.audit.handover import Handover
from auditkit.audit.ledgers import Stated
from auditkit.log.published import Log
from auditkit.margin.eventfile import EventFile
from auditkit.verify.check import verify
from auditkit.verify.errors import NotVerified
from auditkit.verify.note import Checkpoint, VerifierKey


def catchers(world: World) -> set[str]:
    """Those who fail: a customer whose file is refused, a procedure that finds failing rows."""
    failed = {name for name, finding in audit(world) if finding.verdict is Verdict.FAIL}
    refused = [name for name in world.customers if refusal(world, name)]
    if len(refused) == len(world.customers):
        return failed | {"verify"}
    witness = next(name for name in world.customers if name not in refused)
    if refusal(world, witness, Checkpoint.parse(world.morning)):
        failed.add("head")
    return failed | {f"verify {name}" for name in refused}


def refusal(world: World, account: str, head: Checkpoint | None = None) -> NotVerified | None:
    """Why the customer's file is not verified."""
    try:
        verify(world.file(account), world.venue.vkey, account, head=head)
    except NotVerified as error:
        return error
    return None


def audit(world: World) -> Iterator[tuple[str, Finding]]:
    """Every finding, by the name of who makes it."""
    try:
        log = Log.read(world.public, VerifierKey.parse(world.venue.vkey))
    except NotVerified as error:
        yield "LOG", programme.unreadable(error)
        return
    yield "LOG", programme.of_log(log)
    handover = Handover.of_folder(world.handover)
    case = Case.find(log, EVENT, handover, EventFile.read(world.event))
    for finding in programme.of_event(case):
        yield finding.procedure, finding
    stated = Stated.find(log, world.seqs["reference"], handover, world.books)
    yield "books", programme.of_books(stated)
    yield "S1", programme.of_sample(stated, 200, "thrown after the books were handed over")
