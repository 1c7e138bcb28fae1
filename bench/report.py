"""What the scale bench found, as a table with its bounds, and as a plot."""

from collections.abc import Callable
from operator import ge, le, lt
from pathlib import Path
from typing import Any

Found = dict[int, dict[str, float]]
Value = Callable[[dict[str, float], dict[str, Any]], float]

M = 1_000_000
_GIB = 1024
_SIGNS: dict[str, Callable[[float, float], bool]] = {"<": lt, "<=": le, ">=": ge}

BOUNDS: list[tuple[int, str, Value, str, float]] = [
    (M, "publish snapshot, s", lambda f, _: f["snapshot"], "<", 2),
    (M, "loop alone / snapshot", lambda f, _: f["loop alone"] / f["snapshot"], ">=", 3.5),
    (10 * M, "publish snapshot, s", lambda f, _: f["snapshot"], "<", 15),
    (10 * M, "loop alone / snapshot", lambda f, _: f["loop alone"] / f["snapshot"], ">=", 6),
    (10 * M, "snapshot / limit", lambda f, x: f["snapshot"] / _limit(10 * M, x), "<=", 8),
    (10 * M, "snapshot's memory, MiB", lambda f, _: f["snapshot memory"], "<", 1.5 * _GIB),
    (40 * M, "snapshot's memory, MiB", lambda f, _: f["snapshot memory"], "<", 2.5 * _GIB),
    (10 * M, "event, s", lambda f, _: f["event"], "<", 30),
    (10 * M, "event's memory, MiB", lambda f, _: f["event memory"], "<", 1.5 * _GIB),
    (10 * M, "prove one, cold, s", lambda f, _: f["prove cold"], "<", 0.6),
    (10 * M, "prove one, warm, ms", lambda f, _: 1000 * f["prove warm"], "<", 1),
    (M, "prove --all, s", lambda f, _: f["prove all"], "<", 12),
    (10 * M, "verify, cold, s", lambda f, _: f["verify cold"], "<", 0.4),
    (10 * M, "verify, warm, ms", lambda f, _: 1000 * f["verify warm"], "<", 5),
    (10 * M, "proof file, bytes", lambda f, _: f["proof bytes"], "<", 6000),
    (10 * M, "audit books, s", lambda f, _: f["audit books"], "<", 20),
    (10 * M, "audit books' memory, MiB", lambda f, _: f["audit books memory"], "<", 1.5 * _GIB),
    (40 * M, "event's memory, MiB", lambda f, _: f["event memory"], "<", 2.5 * _GIB),
]
"""Accounts, what is measured, how it is found, and what it has to be."""


def _limit(accounts: int, limit: dict[str, Any]) -> float:
    return float(accounts * limit["seconds_an_account"])


def _judged(found: Found, limit: dict[str, Any]) -> list[tuple[int, str, float, str, bool]]:
    judged = []
    for accounts, what, value, sign, bound in BOUNDS:
        try:
            measured = value(found[accounts], limit)
        except KeyError:
            continue
        met = measured < bound if sign == "<" else measured <= bound
        judged.append(
            (
                accounts,
                what,
                measured,
                f"{sign} {bound:g}",
                met if sign != ">=" else measured >= bound,
            )
        )
    if {10 * M, 40 * M} <= found.keys():
        growth = found[40 * M]["snapshot"] / (4 * found[10 * M]["snapshot"])
        judged.append((40 * M, "snapshot / 4 of 10 million", growth, "<= 1.15", growth <= 1.15))
    return judged


def missed(found: Found, limit: dict[str, Any]) -> list[str]:
    """The bounds that were not met."""
    return [
        f"{what} at {accounts:,}: {measured:.3g}, not {bound}"
        for accounts, what, measured, bound, met in _judged(found, limit)
        if not met
    ]


def table(found: Found, limit: dict[str, Any]) -> str:
    """All figures, then those that have a bound, as Markdown."""
    names = list(dict.fromkeys(name for figures in found.values() for name in figures))
    lines = [
        "| figure | " + " | ".join(f"{n:,}" for n in found) + " |",
        "|---" * (len(found) + 1) + "|",
    ]
    for name in names:
        cells = [f"{figures[name]:,.4g}" if name in figures else "" for figures in found.values()]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    limits = [f"{_limit(n, limit):.3g}" for n in found]
    lines.append("| limit, s | " + " | ".join(limits) + " |")
    ninety = [f"{90 * n / f['event']:,.0f}" if "event" in f else "" for n, f in found.items()]
    lines += ["| accounts per 90 seconds | " + " | ".join(ninety) + " |", ""]
    lines += ["| accounts | bounded | measured | bound | |", "|---|---|---|---|---|"]
    for accounts, what, measured, bound, met in _judged(found, limit):
        verdict = "met" if met else "MISSED"
        lines.append(f"| {accounts:,} | {what} | {measured:,.3g} | {bound} | {verdict} |")
    return "\n".join(lines)


def plot(found: Found, limit: dict[str, Any], path: Path) -> None:
    """Time and peak memory against accounts, log-log, with the limit drawn in."""
    import matplotlib as mpl

    mpl.use("svg")
    from matplotlib import pyplot as plt

    # The same figures give the same file.
    mpl.rcParams.update({"svg.hashsalt": "auditkit", "font.size": 9})
    figure, (times, memory) = plt.subplots(1, 2, figsize=(9.5, 4.5), layout="constrained")
    series = {
        "publish snapshot": "snapshot",
        "whole loss event": "event",
        "audit books": "audit books",
    }
    series |= {"hashlib loop": "loop", "pymerkle, no sums": "pymerkle alone"}
    for label, name in series.items():
        for axes, key in ((times, name), (memory, f"{name.removesuffix(' alone')} memory")):
            points = [(n, f[key]) for n, f in sorted(found.items()) if key in f]
            if points:
                axes.plot(*zip(*points, strict=True), marker="o", label=label)
    span = sorted(found)
    times.plot(span, [_limit(n, limit) for n in span], "k--", label="SHA-256 limit, both cores")
    for axes, title, unit in ((times, "time", "seconds"), (memory, "peak memory", "MiB")):
        axes.set(xscale="log", yscale="log", xlabel="accounts", ylabel=unit, title=title)
        axes.grid(visible=True, which="both", alpha=0.25)
    named = times.get_legend_handles_labels()
    figure.legend(*named, loc="outside lower center", ncols=3, frameon=False)
    figure.savefig(path, metadata={"Date": None, "Creator": None})
    plt.close(figure)
