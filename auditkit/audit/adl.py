"""B1 and B2: who was deleveraged, for how much, and whether anybody else could have been."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from auditkit.audit.case import Case
from auditkit.audit.findings import Finding, Missing, decided, finding
from auditkit.audit.positions import marked_equity, placing
from auditkit.audit.replay import Replay, replay
from auditkit.margin import closings as lists
from auditkit.margin.closings import Closing
from auditkit.verify.statements import Adl

Row = dict[str, str]


@decided("B1")
def b1(case: Case) -> Finding:
    """Every row of the list is the closing that was next, and the signed ledger adds them up."""
    if "adl" not in case.policy.waterfall:
        return _no_stage("B1", case)
    adl, rest = case.needed_adl(), _rest(case)
    closings = _closings(case, adl, needless=not rest and not adl.ledger.accounts)
    replayed = _replayed(case, closings, rest)
    absorbed = sum(closing.absorbed for closing in closings)
    rows, missing = list(replayed.problems), []
    compared = [
        ("ranked by", case.policy.adl_rank),
        ("bankrupt positions", str(len(replayed.turns))),
        ("to cover", case.money(rest)),
        ("closings", f"{len(closings)}, which absorb {case.money(absorbed)}"),
        ("ledger of adl", f"{case.money(adl.ledger.total)}, {adl.ledger.accounts} leaves"),
    ]
    try:
        unlike = _unlike(case, adl, closings)
    except Missing as error:
        missing.append(str(error))
        unlike = []
        if absorbed != adl.ledger.total:
            sides = {"expected": case.money(absorbed), "found": case.money(adl.ledger.total)}
            unlike.append({"what": "ledger of adl, total", **sides})
    return finding(
        "B1",
        case.subject,
        compared=compared,
        rows=rows + unlike,
        failing=replayed.failing + len(unlike),
        missing=missing,
    )


@decided("B2")
def b2(case: Case) -> Finding:
    """If the signed ledger leaves a rest, then because nobody could be closed any more."""
    if "adl" not in case.policy.waterfall:
        return _no_stage("B2", case)
    rest = _rest(case)
    if case.adl is None and case.loss is not None and rest:
        row = {"what": "deleveraging", "expected": f"an adl statement before loss {case.loss.seq}"}
        compared = [("to cover", case.money(rest))]
        return finding("B2", case.subject, compared=compared, rows=[{**row, "found": "none"}])
    adl = case.needed_adl()
    left = rest - adl.ledger.total
    closings = _closings(case, adl, needless=left <= 0)
    replayed = _replayed(case, closings, rest)
    rows: list[Row] = []
    if adl.candidates != replayed.candidates:
        sides = {"expected": str(replayed.candidates), "found": str(adl.candidates)}
        rows.append({"what": "candidates", **sides})
    exhausted = left > 0 or not replayed.anyone_left()
    # Of a list that is not the right one, nobody can say whom the right one would have left.
    sound = not replayed.failing and not replayed.rest
    if adl.exhausted is not exhausted and (left > 0 or sound):
        sides = {"expected": str(exhausted).lower(), "found": str(adl.exhausted).lower()}
        rows.append({"what": "exhausted", **sides})
    if left > 0:
        rows += replayed.left_open()
    compared = [
        ("to cover", case.money(rest)),
        ("absorbed", case.money(adl.ledger.total)),
        ("left", case.money(left)),
        ("candidates", f"{replayed.candidates}, signed {adl.candidates}"),
        ("exhausted", str(adl.exhausted).lower()),
    ]
    return finding("B2", case.subject, compared=compared, rows=rows)


def _no_stage(procedure: str, case: Case) -> Finding:
    """Of a policy without deleveraging, under which nobody may be."""
    compared = [("waterfall", ", ".join(case.policy.waterfall) or "no stages")]
    found = [] if case.adl is None else [f"adl {case.adl.seq}"]
    rows = [{"what": "deleveraging", "expected": "no such stage", "found": it} for it in found]
    return finding(procedure, case.subject, compared=compared, rows=rows)


def _rest(case: Case) -> int:
    """What was left of the deficit before deleveraging, in base units. Raises Missing."""
    stages, rest = case.policy.waterfall, case.deficit.ledger.total
    if "draw" not in stages[: stages.index("adl")]:
        return rest
    if case.draw is None:
        raise Missing(f"the draw statement of {case.subject}")
    return max(0, rest - case.draw.drawn)


def _closings(case: Case, adl: Adl, *, needless: bool) -> Sequence[Closing]:
    """The list, of the event's file or handed over; `needless` if there need not be one.

    Raises Missing or InputError.
    """
    path = None if case.inputs is None else case.inputs.closings
    path = path or _handed(case, adl)
    if path is None and not needless:
        raise Missing(f"closings (lists/{adl.seq}-adl.csv, or closings = ... in the event's file)")
    return () if path is None else lists.read(path, case.decimals)


def _handed(case: Case, adl: Adl) -> Path | None:
    return case.handover.closings(adl.seq)


def _replayed(case: Case, closings: Sequence[Closing], rest: int) -> Replay:
    """The list on the margin book at the logged marks. Raises Missing or InputError."""
    equity = marked_equity(case)
    if "replay" not in case.kept:
        with placing(case):
            found = replay(equity, closings, case.deficit.pool, case.policy.adl_rank, rest)
        case.kept["replay"] = found
    replayed: Replay = case.kept["replay"]
    return replayed


def _unlike(case: Case, adl: Adl, closings: Sequence[Closing]) -> list[Row]:
    """The accounts of which the list says something else than the signed ledger. Raises Missing."""
    signed: Counter[str] = Counter()
    for account, amount in case.handover.opened(adl, "adl").rows():
        signed[account] += amount
    listed: Counter[str] = Counter()
    for closing in closings:
        listed[closing.account] += closing.absorbed
    return [
        {
            "account": account,
            "what": "ledger of adl",
            "expected": case.money(listed[account]),
            "found": case.money(signed[account]),
        }
        for account in sorted(signed.keys() | listed.keys())
        if signed[account] != listed[account]
    ]
