"""A1 and H1: which policy held for an event and since when, and how long the event took."""

from auditkit.audit.case import Case
from auditkit.audit.findings import Finding, decided, finding
from auditkit.verify.elements import time_text
from auditkit.verify.statements import Policy


@decided("A1")
def a1(case: Case) -> Finding:
    """The run's policy is older than the reference, and no other came before the run ended."""
    policy, reference, end = case.policy, case.needed_reference(), case.run()[-1]
    rows = [
        {
            "what": f"the policy that {link.kind} {link.seq} names",
            "expected": f"policy {policy.seq}",
            "found": f"policy {link.policy}",
        }
        for link in (reference, *case.run())
        if link.policy != policy.seq
    ]
    if policy.seq > reference.seq:
        rows.append(
            {
                "what": "the policy was logged after the reference",
                "expected": f"before {time_text(reference.time)} (entry {reference.seq})",
                "found": f"{time_text(policy.time)} (entry {policy.seq})",
            }
        )
    rows += [
        {
            "what": "the policy changed before the run ended",
            "expected": f"none before {time_text(end.time)} (entry {end.seq})",
            "found": f"{time_text(other.time)} (entry {other.seq})",
        }
        for other in case.log.of(Policy)
        if policy.seq < other.seq < end.seq
    ]
    compared = [
        (f"policy {policy.seq}", time_text(policy.time)),
        (f"reference {reference.seq}", time_text(reference.time)),
        (f"last of the run, {end.kind} {end.seq}", time_text(end.time)),
    ]
    return finding("A1", case.subject, compared=compared, rows=rows, missing=_unfinished(case))


@decided("H1")
def h1(case: Case) -> Finding:
    """What is not logged yet is late as soon as the log goes on beyond the deadline."""
    confirmed, deadline = case.deficit.confirmed, case.policy.deadline_ms
    compared = [("confirmed", time_text(confirmed)), ("deadline", f"{deadline} ms after that")]
    rows: list[dict[str, str]] = []

    def hold(what: str, time: int) -> None:
        late = time - confirmed
        compared.append((what, f"{time_text(time)}, {late} ms after it was confirmed"))
        if late > deadline:
            row = {"what": what, "expected": f"at most {deadline} ms", "found": f"{late} ms"}
            rows.append(row)

    if confirmed > case.deficit.time:
        logged = f"by {time_text(case.deficit.time)}, when the deficit was logged"
        rows.append({"what": "confirmed", "expected": logged, "found": time_text(confirmed)})
    for statement in (case.loss, case.applied):
        if statement is not None:
            hold(f"{statement.kind} {statement.seq} was logged", statement.time)
    missing = _unfinished(case)
    if missing and len(case.log):
        last = case.log[len(case.log) - 1].time
        hold(f"the log went on without {' and '.join(missing)}", last)
    return finding("H1", case.subject, compared=compared, rows=rows, missing=missing)


def _unfinished(case: Case) -> list[str]:
    """What the log does not have yet of the end of the run."""
    if case.loss is None:
        return [f"the loss statement of {case.subject}"]
    if case.loss.socialized and case.applied is None:
        return [f"the applied statement of {case.subject}"]
    return []
