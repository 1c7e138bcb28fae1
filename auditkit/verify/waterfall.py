"""The waterfall's stages (SPEC.md §5, points 2 to 5): what each must take of a deficit."""

from auditkit.verify.cursor import Cursor, require
from auditkit.verify.elements import price_units
from auditkit.verify.errors import Refuted
from auditkit.verify.records import Mark
from auditkit.verify.statements import Adl, Deficit, Draw, Fund, Loss, Policy


def check_pool(policy: Policy, deficit: Deficit) -> None:
    """Point 2, of the deficit: its pool is one of the policy's, of this asset."""
    pool = policy.pools.get(deficit.pool)
    require(
        pool is not None and pool.asset == deficit.asset,
        f"the pool of event {deficit.event} is not one of {deficit.asset}",
        f"a pool of {deficit.asset}",
        deficit.pool,
    )


def check_mark(mark: Mark) -> None:
    """Point 3: twice the mark is the sum of the two middle prices (or of one, twice)."""
    prices = sorted(price_units(source.price) for source in mark.sources)
    middle = prices[(len(prices) - 1) // 2] + prices[len(prices) // 2]
    require(
        2 * price_units(mark.mark) == middle,
        f"the mark of {mark.contract} is not the median of its sources",
        "the median of " + ", ".join(source.price for source in mark.sources),
        mark.mark,
    )


def check_adl(stage: Adl, policy: Policy, rest: int) -> int:
    """Points 2 and 4: what ADL leaves of `rest`."""
    require(
        stage.rank == policy.adl_rank,
        "the ADL rank is not the policy's",
        policy.adl_rank,
        stage.rank,
    )
    require(
        stage.ledger.total <= rest,
        "ADL absorbed more than was left of the deficit",
        f"at most {rest}",
        stage.ledger.total,
    )
    left = rest - stage.ledger.total
    require(
        left == 0 or stage.exhausted,
        "ADL left a deficit while candidates remained",
        "exhausted",
        f"{left} left, not exhausted",
    )
    return left


def check_draw(stage: Draw, policy: Policy, deficit: Deficit, rest: int) -> int:
    """Points 2 and 4: what the fund leaves of `rest`."""
    require(
        stage.pool == deficit.pool, "the fund was drawn from another pool", deficit.pool, stage.pool
    )
    floor = policy.pools[stage.pool].floor
    due = min(rest, max(0, stage.before - floor))
    require(
        stage.drawn == due,
        "the fund was not drawn as the rule says",
        f"{due} drawn: {rest} to cover, {stage.before} above a floor of {floor}",
        stage.drawn,
    )
    require(
        stage.after == stage.before - stage.drawn,
        "the pool after the draw does not add up",
        stage.before - stage.drawn,
        stage.after,
    )
    return rest - stage.drawn


def check_fund(cursor: Cursor, stage: Draw, policy: Policy) -> Fund | None:
    """Point 4: the entry right before the draw is the fund's own and agrees with it."""
    fund = cursor.shown.get(stage.seq - 1)
    if fund is None:
        cursor.step.missing(f"the fund entry {stage.seq - 1} before the draw is missing")
        return None
    if not isinstance(fund, Fund):
        raise Refuted(
            "the entry right before the draw is not the fund's",
            expected="a fund entry",
            found=f"a {fund.kind}",
        )
    rows = {row.pool: row for row in fund.pools}
    require(
        rows.keys() == policy.pools.keys(),
        "the fund entry does not list the policy's pools",
        ", ".join(sorted(policy.pools)),
        ", ".join(rows),
    )
    for row in fund.pools:
        closing = (
            row.opening + sum(c.amount for c in row.credits) - sum(d.amount for d in row.debits)
        )
        require(
            row.closing == closing,
            f"pool {row.pool} does not add up in fund entry {fund.seq}",
            closing,
            row.closing,
        )
    row = rows[stage.pool]
    require(
        row.closing == stage.before,
        "the draw does not start at the fund's closing balance",
        row.closing,
        stage.before,
    )
    require(
        not row.debits,
        "the fund entry right before the draw books a debit",
        "no debits",
        ", ".join(f"{d.kind} {d.amount}" for d in row.debits),
    )
    _check_continues(cursor, fund)
    return fund


def _check_continues(cursor: Cursor, fund: Fund) -> None:
    """As far as the file shows every entry below it, the entry books draws and opens as it must.

    Across entries that are not shown this is for monitors.
    """
    rows = {row.pool: row for row in fund.pools}
    seq = fund.seq - 1
    while (entry := cursor.shown.get(seq)) is not None and not isinstance(entry, Fund):
        if isinstance(entry, Draw) and entry.drawn and entry.pool in rows:
            booked = [d.amount for d in rows[entry.pool].debits if d.kind == "draw"]
            require(
                entry.drawn in booked,
                f"the fund entry {fund.seq} does not book the draw {entry.seq} before it",
                f"a draw of {entry.drawn} from pool {entry.pool}",
                ", ".join(map(str, booked)) or "none",
            )
        seq -= 1
    for last in entry.pools if isinstance(entry, Fund) else ():
        if last.pool in rows:
            require(
                rows[last.pool].opening == last.closing,
                f"pool {last.pool} does not open in fund entry {fund.seq} as it closed",
                last.closing,
                rows[last.pool].opening,
            )


def check_loss(loss: Loss, policy: Policy, rest: int) -> None:
    """Points 2 and 5: what is left is shared, and residual only beyond all equity."""
    require(
        loss.before.book == policy.book,
        "the loss is shared by another book than the policy's",
        policy.book,
        loss.before.book,
    )
    require(
        loss.rule == policy.rule,
        "the loss is shared by another rule than the policy's",
        policy.rule,
        loss.rule,
    )
    require(
        loss.socialized + loss.residual == rest,
        "the waterfall does not add up",
        f"{rest} left to share",
        f"{loss.socialized} socialized + {loss.residual} residual",
    )
    require(
        loss.socialized <= loss.before.total,
        "more is socialized than all equity",
        f"at most {loss.before.total}",
        loss.socialized,
    )
    require(
        loss.residual == 0 or loss.socialized == loss.before.total,
        "a residual is stated while equity is left",
        0,
        loss.residual,
    )
