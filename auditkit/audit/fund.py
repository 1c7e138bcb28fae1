"""C2 and C3: what the insurance fund paid before anything was shared, and how it was filled."""

from collections import Counter
from collections.abc import Iterable, Iterator

from auditkit.audit.case import Case
from auditkit.audit.findings import Finding, Missing, decided, finding
from auditkit.verify.records import PoolRow
from auditkit.verify.statements import Draw, Fund, Statement

Row = dict[str, str]


@decided("C2")
def c2(case: Case) -> Finding:
    """The event's pool was drawn for all that was left, or to its floor; no other one was."""
    compared = [("waterfall", ", ".join(case.policy.waterfall) or "no stages")]
    rows: list[Row] = []
    missing: list[str] = []
    pool = case.policy.pools.get(case.deficit.pool)
    if pool is None or pool.asset != case.asset:
        rows.append(_row("the pool", f"one of {case.asset}", case.deficit.pool))
    elif "draw" not in case.policy.waterfall:
        if case.draw is not None:
            rows.append(_row("a draw", "none: the policy has no such stage", _at(case.draw)))
    elif case.draw is not None:
        compared += _numbers(case, case.draw, pool.floor)
        for part in (_drawn, _emptied):
            _collect(part(case, case.draw, pool.floor), rows, missing)
        for check in (_booked, _taken_out):
            _collect(check(case, case.draw), rows, missing)
    elif case.loss is not None:
        rows.append(_row("the draw", f"one before {_at(case.loss)}", "none"))
    else:
        missing.append(f"the draw statement of {case.subject}")
    if case.loss is None:
        missing.append(f"the loss statement of {case.subject}")
    _collect(_unexplained(case), rows, missing)
    return finding("C2", case.subject, compared=compared, rows=rows, missing=missing)


@decided("C3")
def c3(case: Case) -> Finding:
    """An injection stands alone in its entry, and nobody injects once the draw was logged."""
    start, fixed, end = case.needed_reference(), case.draw or case.needed_loss(), case.run()[-1]
    entries = [fund for fund in case.log.of(Fund) if start.seq < fund.seq < end.seq]
    rows: list[Row] = []
    injected = 0
    for fund in entries:
        pool = _pool(fund, case.deficit.pool)
        amounts = [(c.kind, c.amount) for c in pool.credits] if pool else []
        others = [kind for kind, _ in amounts if kind != "operator_injection"]
        if len(others) == len(amounts):
            continue
        amount = sum(units for kind, units in amounts if kind == "operator_injection")
        injected += amount
        others += [debit.kind for debit in pool.debits] if pool else []
        name = f"the injection of {case.money(amount)} in {_at(fund)}"
        if others:
            rows.append(_row(name, "an entry of its own", f"with {', '.join(others)}"))
        if fund.seq > fixed.seq:
            rows.append(_row(name, f"before {_at(fixed)}", "after it"))
    missing = [] if case.loss else [f"the loss statement of {case.subject}"]
    compared = [
        (f"fund entries from {_at(start)} to {_at(end)}", str(len(entries))),
        (f"injected into pool {case.deficit.pool}", case.money(injected)),
    ]
    return finding("C3", case.subject, compared=compared, rows=rows, missing=missing)


def _row(what: str, expected: str, found: str) -> Row:
    return {"what": what, "expected": expected, "found": found}


def _at(statement: Statement) -> str:
    return f"{statement.kind} {statement.seq}"


def _pool(fund: Fund | None, name: str) -> PoolRow | None:
    return next((row for row in fund.pools if row.pool == name), None) if fund else None


def _draws(row: PoolRow | None) -> list[int]:
    """The draws that a pool's row books."""
    return [debit.amount for debit in row.debits if debit.kind == "draw"] if row else []


def _collect(part: Iterable[Row], rows: list[Row], missing: list[str]) -> None:
    """The rows of a part, up to where something is missing."""
    try:
        for row in part:
            rows.append(row)
    except Missing as error:
        missing.append(str(error))


def _numbers(case: Case, draw: Draw, floor: int) -> list[tuple[str, str]]:
    sides = {"before": draw.before, "floor": floor, "drawn": draw.drawn, "after": draw.after}
    sides |= {"socialized": case.loss.socialized} if case.loss else {}
    return [(name, case.money(units)) for name, units in sides.items()]


def _drawn(case: Case, draw: Draw, floor: int) -> Iterator[Row]:
    """The draw is as large as what was left of the deficit, or as what the pool could pay."""
    if draw.pool != case.deficit.pool:
        yield _row("the pool drawn", case.deficit.pool, draw.pool)
    waterfall, rest = case.policy.waterfall, case.deficit.ledger.total
    if "adl" in waterfall[: waterfall.index("draw")]:
        rest -= case.needed_adl().ledger.total
    due = max(0, min(rest, draw.before - floor))
    if draw.drawn != due:
        yield _row("drawn", case.money(due), case.money(draw.drawn))


def _emptied(case: Case, draw: Draw, floor: int) -> Iterator[Row]:
    """What the pool had is what the fund said, and at its floor if anything was left to share."""
    left = draw.before - draw.drawn
    if draw.after != left:
        yield _row("after the draw", case.money(left), case.money(draw.after))
    shared = case.loss.socialized + case.loss.residual if case.loss else 0
    if shared and draw.after > floor:
        expected = f"at most the floor, {case.money(floor)}"
        yield _row("after the draw, with a loss to share", expected, case.money(draw.after))
    earlier = [fund for fund in case.log.of(Fund) if fund.seq < draw.seq]
    if not earlier:
        raise Missing("a fund entry before the draw")
    pool = _pool(earlier[-1], draw.pool)
    closing = "no such pool" if pool is None else case.money(pool.closing)
    if closing != case.money(draw.before):
        yield _row(f"before the draw, by {_at(earlier[-1])}", closing, case.money(draw.before))


def _booked(case: Case, draw: Draw) -> Iterator[Row]:
    """The next fund entry books the draw."""
    later = next((fund for fund in case.log.of(Fund) if fund.seq > draw.seq), None)
    if not draw.drawn:
        return
    if later is None:
        raise Missing(f"a fund entry after {_at(draw)}, which has to book it")
    booked = _draws(_pool(later, draw.pool))
    if draw.drawn not in booked:
        found = ", ".join(map(case.money, booked)) or "no draw"
        yield _row(f"booked by {_at(later)}", case.money(draw.drawn), found)


def _taken_out(case: Case, draw: Draw) -> Iterator[Row]:
    """Whatever left the pool since the reference but by a draw was not there to be drawn."""
    start = case.needed_reference()
    for fund in case.log.of(Fund):
        row = _pool(fund, draw.pool) if start.seq < fund.seq < draw.seq else None
        for debit in row.debits if row else ():
            if debit.kind != "draw":
                found = f"{debit.kind} of {case.money(debit.amount)}"
                yield _row(f"taken out of pool {draw.pool} in {_at(fund)}", "draws alone", found)


def _unexplained(case: Case) -> Iterator[Row]:
    """Draws that the fund books, of this asset's pools, and nobody logged.

    From the reference up to the entry after the run.
    """
    start, end = case.needed_reference(), case.run()[-1]
    pools = {name for name, pool in case.policy.pools.items() if pool.asset == case.asset}
    drawn: list[Draw] = []
    entries: list[Draw | Fund] = [*case.log.of(Draw), *case.log.of(Fund)]
    for entry in sorted(entries, key=lambda entry: entry.seq):
        if isinstance(entry, Draw):
            drawn.append(entry)
            continue
        for row in entry.pools if entry.seq > start.seq else ():
            logged = Counter(draw.drawn for draw in drawn if draw.pool == row.pool)
            extra = Counter(_draws(row)) - logged
            if extra and row.pool in pools:
                found = ", ".join(map(case.money, sorted(extra.elements())))
                what = f"draws on pool {row.pool} booked by {_at(entry)}"
                yield _row(what, "draws that were logged", f"{found} that nobody logged")
        drawn.clear()
        if entry.seq > end.seq:
            return
