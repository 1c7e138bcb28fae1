"""The face of an audit: its findings for people, as Markdown and as JSON."""

import re
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

from auditkit.cli.result import Code
from auditkit.cli.terminal import Page, coloured, width, write
from auditkit.errors import InputError

if TYPE_CHECKING:
    from auditkit.audit.findings import Finding, Report

_SHOWN = 10
_STYLES = {"pass": "good", "fail": "bad", "not decidable": "warn"}
_CODES = {"pass": Code.OK, "fail": Code.FAILED, "not decidable": Code.NOT_CHECKED}
_HEADS = {"pass": "PASSED", "fail": "FAILED", "not decidable": "NOT CHECKED"}


class Form(StrEnum):
    """How an audit answers."""

    TEXT = "text"
    JSON = "json"
    MARKDOWN = "markdown"


def answer(report: "Report", output: Path | None, form: Form) -> int:
    """Print the report, write it to the folder `output` if there is one, return the exit code."""
    if output is not None:
        _save(report, output)
    if form is Form.JSON:
        write(report.to_json())
    elif form is Form.MARKDOWN:
        write(report.to_markdown())
    else:
        write(_page(report, output).render(colour=coloured(), columns=width()))
    return _CODES[report.verdict.value]


def _save(report: "Report", folder: Path) -> None:
    files = {"findings.json": report.to_json(), "findings.md": report.to_markdown()}
    if folder.exists() and not folder.is_dir():
        raise InputError(f"-o: {folder} is no folder")
    for name in files:
        if (folder / name).exists():
            raise InputError(f"-o: {folder / name} exists; name a new folder")
    folder.mkdir(exist_ok=True)
    try:
        for name, text in files.items():
            (folder / name).write_text(text, "ascii")
    except BaseException:
        for name in files:
            (folder / name).unlink(missing_ok=True)
        raise


def _page(report: "Report", output: Path | None) -> Page:
    from auditkit.audit.findings import Verdict

    counts, verdict = report.counts(), report.verdict
    page = Page()
    said = ", ".join(f"{counts[v]} {v.value}" for v in Verdict)
    count = len(report.findings)
    findings = "1 finding" if count == 1 else f"{count} findings"
    page.line(f"{_HEADS[verdict.value]}: {findings}: {said}", _style(verdict))
    page.line("Procedures and what each found; not an opinion.")
    page.pairs(list(report.about.items()))
    page.line()
    for found in report.findings:
        _finding(page, found)
    if output is not None:
        page.line()
        page.line(f"Wrote {output / 'findings.json'} and {output / 'findings.md'}.")
    return page


def _style(verdict: str) -> str:
    return _STYLES[str(verdict)]


def _finding(page: Page, found: "Finding") -> None:
    """A line for what passes; everything about what does not."""
    from auditkit.audit.findings import TITLES, Verdict

    style = "" if found.verdict is Verdict.PASS else _style(found.verdict)
    title = f"{found.verdict.value}: {TITLES[found.procedure]} ({found.subject})"
    page.item(title, f"{found.procedure:3}", style)
    if found.verdict is Verdict.PASS:
        return
    for lack in found.missing:
        page.deep(f"missing: {lack}{_hint(lack)}")
    for row in found.rows[:_SHOWN]:
        page.deep(_row(row))
    if found.failing > _SHOWN:
        page.deep(f"and {found.failing - _SHOWN} more rows; -o or --format json has more")
    page.deep("find this again with")
    page.exact(f"      {found.command}")


def _hint(lack: str) -> str:
    """How to ask for a ledger or secret that was not handed over."""
    match = re.match(r"(?:ledgers|secrets)/([0-9]+)-", lack)
    return f" (ask the venue for: auditkit venue handover --seq {match[1]})" if match else ""


def _row(row: Mapping[str, str]) -> str:
    return "; ".join(f"{name}: {value}" for name, value in row.items() if value)
