"""A finding is earned: what fails, what is open, and how a report is written."""

import json
from dataclasses import dataclass, replace

import pytest
from crash import Crash

from auditkit.audit.findings import (
    MAX_ROWS,
    TITLES,
    Finding,
    Missing,
    Report,
    Verdict,
    decided,
    escaped,
    finding,
)

COMPARED = (("total", "5.00 BTC"),)
ROW = {"account": "anna", "found": "4.00 BTC"}


def passed(subject: str = "event crash-1") -> Finding:
    return finding("A2", subject, compared=COMPARED)


def test_something_compared_and_nothing_wrong_passes() -> None:
    found = passed()
    assert (found.verdict, found.failing, found.missing) == (Verdict.PASS, 0, ())


def test_a_row_fails_whatever_is_missing() -> None:
    found = finding("A2", "x", compared=COMPARED, rows=[ROW], missing=["secrets/3-margin"])
    assert (found.verdict, found.failing) == (Verdict.FAIL, 1)
    assert found.missing == ("secrets/3-margin",)


def test_what_is_missing_leaves_it_open_and_is_named_once() -> None:
    found = finding("A2", "x", compared=COMPARED, missing=["ledger 3", "ledger 4", "ledger 3"])
    assert (found.verdict, found.missing) == (Verdict.OPEN, ("ledger 3", "ledger 4"))


def test_nothing_compared_is_open() -> None:
    found = finding("A2", "x", compared=())
    assert (found.verdict, found.missing) == (Verdict.OPEN, ("anything to compare",))


def test_rows_that_are_only_counted_fail_too() -> None:
    assert finding("A2", "x", compared=COMPARED, failing=3).verdict is Verdict.FAIL


def test_only_the_first_rows_are_kept_and_all_are_counted() -> None:
    rows = [{"account": str(i)} for i in range(MAX_ROWS + 7)]
    found = finding("A2", "x", compared=COMPARED, rows=rows)
    assert (len(found.rows), found.failing) == (MAX_ROWS, MAX_ROWS + 7)
    assert finding("A2", "x", compared=COMPARED, rows=rows, failing=9000).failing == 9000
    text = Report((found,)).to_markdown()
    assert f"Failing rows: {MAX_ROWS + 7}; the first {MAX_ROWS}." in text


@dataclass(frozen=True)
class About:
    subject: str = "event crash-1"


@decided("E1")
def procedure(about: About, wants: str) -> Finding:
    """What it is for."""
    if wants:
        raise Missing(wants)
    return finding("E1", about.subject, compared=COMPARED)


def test_a_missing_input_ends_a_procedure_open() -> None:
    found = procedure(About(), "entries (a table)")
    assert (found.procedure, found.subject) == ("E1", "event crash-1")
    assert (found.verdict, found.missing) == (Verdict.OPEN, ("entries (a table)",))
    assert procedure(About(), wants="").verdict is Verdict.PASS
    assert procedure.__doc__ == "What it is for."


def test_a_bug_is_no_finding() -> None:
    @decided("E1")
    def broken(about: About) -> Finding:
        raise ValueError

    with pytest.raises(ValueError, match=r"\A\Z"):
        broken(About())


def test_the_worst_finding_is_the_report_s() -> None:
    opened, failed = finding("E1", "x", compared=()), finding("E2", "x", compared=(), rows=[ROW])
    assert Report((passed(), opened, failed)).verdict is Verdict.FAIL
    assert Report((passed(), opened)).verdict is Verdict.OPEN
    assert Report((passed(), passed())).verdict is Verdict.PASS
    assert Report((passed(), opened, failed)).counts() == {
        Verdict.PASS: 1,
        Verdict.FAIL: 1,
        Verdict.OPEN: 1,
    }


def test_a_report_without_findings_decided_nothing() -> None:
    assert Report(()).verdict is Verdict.OPEN


def test_the_json_says_it_all_in_text() -> None:
    found = replace(finding("G1", "event x", compared=COMPARED, rows=[ROW]), command="auditkit a b")
    text = Report((passed(), found), {"venue": "exchange.example/audit"}).to_json()
    assert text.isascii()
    assert text.endswith("}\n")
    report = json.loads(text)
    assert report["format"] == "auditkit/audit/1"
    assert report["about"] == {"venue": "exchange.example/audit"}
    assert report["verdict"] == "fail"
    assert report["findings"][1] == {
        "procedure": "G1",
        "title": TITLES["G1"],
        "subject": "event x",
        "verdict": "fail",
        "compared": [{"name": "total", "value": "5.00 BTC"}],
        "failing": 1,
        "rows": [ROW],
        "missing": [],
        "command": "auditkit a b",
    }


def test_the_same_findings_are_the_same_bytes() -> None:
    report, again = (Report((passed(), finding("E1", "y", compared=()))) for _ in range(2))
    assert report.to_json() == again.to_json()
    assert report.to_markdown() == again.to_markdown()


def test_a_report_is_about_the_log(crash: Crash) -> None:
    log = crash.log
    about = Report.of(log, [passed()]).about
    assert about["venue"] == "exchange.example/audit"
    assert about["log size"] == str(len(log))
    assert about["key id"] == log.key.id.hex()


def test_every_procedure_has_a_title() -> None:
    ids = "LOG A1 A2 A3 A4 B1 B2 C1 C2 C3 D1 E1 E2 G1 H1 H2 S1"
    assert list(TITLES) == ids.split()
    assert all(title and "\n" not in title for title in TITLES.values())


HOSTILE = [
    ("a|b", r"a\|b"),
    ("`x`", r"\`x\`"),
    ("*a* _b_ ~~c~~", r"\*a\* \_b\_ \~\~c\~\~"),
    ("<script>", r"\<script\>"),
    ("[a](b)", r"\[a\](b)"),
    ("&amp;", r"\&amp;"),
    ("a\nb", r"a\\u{a}b"),
    ("\x1b[31m", r"\\u{1b}\[31m"),
    ("\u202eabc", r"\\u{202e}abc"),
    ("back\\slash", r"back\\slash"),
    ("https://evil.example", r"https:\//evil.example"),
    ("www.evil.example", r"www\.evil.example"),
    ("a@b.example", r"a\@b.example"),
]


@pytest.mark.parametrize(("given", "shown"), HOSTILE)
def test_markdown_is_inert(given: str, shown: str) -> None:
    assert escaped(given) == shown
    found = finding(
        "A2",
        f"event {given}",
        compared=[(given, given)],
        rows=[{given: given}],
        missing=[given],
    )
    text = Report((replace(found, command=given),), {given: given}).to_markdown()
    assert text.count(shown) >= 9
    assert given not in text.replace(shown, "")


def test_a_table_has_one_line_a_row_and_a_cell_a_column() -> None:
    rows = [{"account": "a|b\n", "found": "1"}, {"account": "c", "expected": "2"}]
    text = Report((finding("A2", "x", compared=(), rows=rows),)).to_markdown()
    assert "| account | found | expected |\n| --- | --- | --- |\n" in text
    assert "| a\\|b\\\\u{a} | 1 |  |\n| c |  | 2 |\n" in text


def test_markdown_is_no_opinion() -> None:
    text = Report((passed(), finding("E1", "x", compared=()))).to_markdown()
    assert text.startswith("# Procedures and findings\n")
    assert "It is not an opinion." in text
    assert "1 pass, 0 fail, 1 not decidable." in text
    assert "Missing:\n\n- anything to compare" in text
    assert "solven" not in text + " ".join(TITLES.values())
