"""SPEC.md says what the kernel does: its code runs, its numbers and tables are recomputed."""

import ast
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import fields
from fractions import Fraction
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import reference

from auditkit.verify import (
    check,
    elements,
    errors,
    fork,
    history,
    note,
    proof,
    records,
    sharing,
    statements,
    strictjson,
    sumtree,
)
from auditkit.verify.elements import Element
from auditkit.verify.statements import AssetStatement, Run, Statement

ROOT = Path(__file__).resolve().parents[1]
KERNEL = ROOT / "auditkit" / "verify"
TEXT = (ROOT / "SPEC.md").read_text(encoding="utf-8")
FLAT = " ".join(TEXT.split())
VENUE = "exchange.example/audit"


def blocks(language: str) -> list[str]:
    """The fenced blocks of a language, in the order of the page."""
    return re.findall(rf"^```{language}\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)


def section(title: str) -> str:
    """What stands under the heading that begins with `title`, down to the next of its rank."""
    found = re.search(rf"^(#+) {re.escape(title)}.*?\n(.*)", TEXT, re.MULTILINE | re.DOTALL)
    assert found, f"no section {title}"
    return re.split(rf"^#{{1,{len(found[1])}}} ", found[2], flags=re.MULTILINE)[0]


def rows(title: str) -> list[list[str]]:
    """The cells of the table under a heading, its header left out; backticks are kept."""
    lines = [line for line in section(title).splitlines() if line.startswith("|")]
    cells = [re.split(r"(?<!\\)\|", line.strip("|")) for line in lines]
    return [[cell.strip().replace(r"\|", "|") for cell in row] for row in cells[2:]]


def points(title: str) -> dict[str, str]:
    """The numbered list under a heading: each point's first words by its number."""
    return dict(re.findall(r"^(\d+)\. \*\*(.*?)\.?\*\*", section(title), re.MULTILINE))


def code(cell: str) -> list[str]:
    """What stands in backticks."""
    return re.findall(r"`([^`]+)`", cell)


@cache
def example() -> dict[str, Any]:
    """The names that the example leaves behind, after its blocks ran as a reader pastes them."""
    names: dict[str, Any] = {}
    for block in blocks("python"):
        exec(compile(block, "SPEC.md", "exec"), names)
    return names


def cents(text: str) -> int:
    """An amount with two decimals, in hundredths."""
    whole, _, fraction = text.partition(".")
    assert len(fraction) == 2, text
    return int(whole) * 100 + int(fraction)


def shared(amounts: Sequence[int], loss: int) -> list[int]:
    """The deductions of a list of leaves, by the kernel."""
    total = sum(amounts)
    return [
        sharing.deduction(sum(amounts[:i]), amount, total, loss) for i, amount in enumerate(amounts)
    ]


# The example.


def test_the_examples_need_the_kernel_and_the_standard_library_only() -> None:
    for block in blocks("python"):
        for found in ast.walk(ast.parse(block)):
            if isinstance(found, ast.ImportFrom):
                module = found.module or ""
                standard = module in ("fractions", "hashlib")
                assert standard or module.startswith("auditkit.verify."), module
            assert not isinstance(found, ast.Import)


def test_the_example_runs() -> None:
    assert example()["verified"].account == "10003"


def test_the_examples_log_is_signed_with_the_key_that_it_names() -> None:
    assert "SHA-256 of the ASCII text `test key SPEC.md`" in FLAT
    signer = reference.Signer(VENUE, "SPEC.md")
    entries = [entry.encode() for entry in example()["log"]]
    assert example()["vkey"] == signer.vkey
    assert example()["checkpoint"] == reference.checkpoint(VENUE, entries, signer)
    assert f"as {len(entries[5])} bytes:" in FLAT


def test_the_examples_fork_is_signed_with_the_same_key() -> None:
    signer = reference.Signer(VENUE, "SPEC.md")
    retold = [entry.encode() for entry in example()["retold"]]
    log = [entry.encode() for entry in example()["log"]]
    assert [n for n in range(8) if retold[n] != log[n]] == [5]
    assert example()["second"] == reference.checkpoint(VENUE, retold, signer)
    assert example()["prefix"] == reference.log_root(retold[:8])
    assert [example()["ninth"]] == reference.log_extension(8, retold)


def test_the_forks_evidence_has_the_keys_that_are_shown() -> None:
    shown = section("Forks").split("```text\n")[1].split("```")[0]
    assert set(re.findall(r'"([a-z]+)":', shown)) == {"format"} | names_of(fork.Fork)


def test_the_examples_ledger_is_the_naive_one() -> None:
    names = example()
    leaves = [
        reference.Leaf(salt, names["equity"][account], account)
        for salt, account in names["ledger"](5, names["equity"])[0]
    ]
    shown = reference.Ledger("margin", tuple(leaves)).shown()
    assert json.loads(names["log"][5])["before"] == shown


def test_the_examples_table_is_the_rules() -> None:
    table = rows("Example")[:3]
    amounts = [int(row[1]) for row in table]
    borne = shared(amounts, 6001)
    assert borne == reference.deductions(amounts, 6001)
    after = json.loads(example()["log"][6])["after"]
    assert sum(borne) == 6001
    assert sum(int(row[5]) for row in table) == int(after["total"])
    for i, (account, amount, prefix, exact, deducted, left) in enumerate(table):
        assert example()["equity"][account] == int(amount)
        assert int(prefix) == sum(amounts[:i])
        assert cents(exact) == round(Fraction(int(amount) * 6001 * 100, 100_000))
        assert (int(deducted), int(left)) == (borne[i], int(amount) - borne[i])


def test_the_examples_statements_are_those_of_its_table() -> None:
    listed = [(int(row[0]), code(row[1])[0]) for row in rows("Example") if row[0] in "01234567"]
    log = [statements.parse(text) for text in example()["log"]]
    assert listed == [(said.seq, said.kind) for said in log]


def test_every_json_block_is_a_piece_of_the_example() -> None:
    for block in blocks("json"):
        value = strictjson.loads(block)
        if "format" in value:
            text = strictjson.dumps(value)
            assert statements.parse(text).encode() == text
            assert text == example()["log"][value["seq"]]
        else:
            assert proof.Leaf.read(value).write() == value
            assert value in example()["held"]
    assert len(blocks("json")) == 2


# The rule's worked numbers.


def test_the_published_loss_is_recomputed() -> None:
    *table, last = [[*row] for row in rows("A published example")]
    bases = [cents(row[0]) for row in table]
    assert bases == [5_000_000, 4_500_000, 3_000_000, 3_000_000, 1_500_000, 100_000]
    assert [cents(row[3]) for row in table] == shared(bases, 1_000_000)
    assert shared(bases, 1_000_000) == reference.deductions(bases, 1_000_000)
    for base, exact, published, _ in table:
        share = Fraction(cents(base) * 10_000, sum(bases))
        assert Fraction(exact) == round(share, 4)
        assert cents(published) == round(share * 100)
    assert Fraction(last[1]) == sum(Fraction(row[1]) for row in table) == 10_000
    for column, total in ((0, 17_100_000), (2, 1_000_001), (3, 1_000_000)):
        assert cents(last[column]) == sum(cents(row[column]) for row in table) == total


def test_the_recovery_is_recomputed() -> None:
    *table, last = rows("Recovery")
    bases, loss, recovered = [cents(row[0]) for row in table], 1_000_000, [400_000, 1, 599_999]
    heads = re.findall(r"([0-9.]+) returned \|", section("Recovery"))
    assert [cents(head) for head in heads] == recovered
    naive = reference.returned(bases, loss, recovered)
    for i, (base, borne, *paid) in enumerate(table):
        due = sharing.payouts(sum(bases[:i]), bases[i], sum(bases), loss, recovered)
        assert cents(base) == bases[i]
        assert [cents(cell) for cell in paid] == due == [row[i] for row in naive[1:]]
        assert cents(borne) == shared(bases, loss)[i] == sum(due)
    assert [cents(cell) for cell in last] == [sum(bases), loss, *recovered]


def test_the_sharp_corner_is_as_sharp_as_told() -> None:
    table = [[int(cell) for cell in row] for row in rows("The sharp corner")]
    losses = [int(n) for n in re.findall(r"loss of (\d+) \|", section("The sharp corner"))]
    balances = [row[0] for row in table]
    for column, loss in enumerate(losses, 1):
        assert [row[column] for row in table] == shared(balances, loss)
    assert table[4] == [1] * 5, "an account of one unit loses it all"
    assert sum(balances) == losses[-1], "the last column is the loss of everything"


# Numbers that the page and the kernel share.


def test_every_step_of_the_check_is_listed_by_its_number() -> None:
    listed = points("To verify")
    assert list(listed) == [str(n) for n in range(1, len(check.STEPS) + 2)]
    for number, title in check.STEPS.items():
        assert listed[number].lower() == title


def test_every_point_that_the_kernel_cites_is_listed() -> None:
    listed = points("The run of one loss")
    assert list(listed) == [str(n) for n in range(1, 8)]
    cited: set[str] = set()
    for name in ("events", "waterfall", "cursor"):
        text = (KERNEL / f"{name}.py").read_text(encoding="utf-8")
        for span in re.findall(r"[Pp]oints? (\d(?:(?:, | and )\d)*)", text):
            cited.update(re.findall(r"\d", span))
    assert cited == set(listed)


def test_every_section_that_the_sources_cite_is_there() -> None:
    there = re.findall(r"^## (\d+)[. ]", TEXT, re.MULTILINE)
    assert there == [str(n) for n in range(len(there))]
    for source in sorted((ROOT / "auditkit").rglob("*.py")):
        for cited in re.findall(r"SPEC\.md §(\d+)", source.read_text(encoding="utf-8")):
            assert cited in there, source.name


def test_the_verdicts_are_the_kernels() -> None:
    refusals = [errors.Unsupported, errors.Malformed, errors.Refuted, errors.Incomplete]
    assert [row[0] for row in rows("0. Five")] == [*(kind.verdict for kind in refusals), "ok"]


BOUNDS = [
    f"0 or more and below 2^{elements.AMOUNT_LIMIT.bit_length() - 1}",
    f"a JSON integer of 0 or more, below 2^{elements.INTEGER_LIMIT.bit_length() - 1}",
    f"reaches 2^{elements.AMOUNT_LIMIT.bit_length() - 1} on a path is false",
    f"at most {strictjson.MAX_DEPTH} levels deep",
    f"A node is {sumtree.NODE_BYTES} bytes",
    f"at most {sumtree.MAX_LEAVES_OF_ONE_ACCOUNT} leaves of a ledger",
    f"a {sumtree.MAX_LEAVES_OF_ONE_ACCOUNT + 1}th leaf of a ledger, is false",
    f"at most {history.MAX_ENTRY_BYTES:,} of them",
    f"at most {history.MAX_PATH} hashes",
    f"more than {history.MAX_PATH} hashes is malformed",
    f"at most {note.MAX_SIGNATURES} lines",
    f"at most {proof.MAX_BYTES >> 20} MiB",
    f'{{"format": "{proof.FORMAT}"',
    f'{{"format": "{fork.FORMAT}"',
    f"at most {fork.MAX_BYTES >> 10} KiB",
    f"The rule `{sharing.RULE}`",
    history.EMPTY_ROOT.hex(),
    "The size of a checkpoint is below 2^63",
]


@pytest.mark.parametrize("words", BOUNDS)
def test_bounds_are_told_as_the_kernel_has_them(words: str) -> None:
    assert words in FLAT


def accepts(spelling: Element[Any], value: object) -> bool:
    """Whether the kernel reads the value as this element."""
    try:
        spelling.read(value)
    except errors.Malformed:
        return False
    return True


def spellings() -> Iterator[str]:
    """Short texts of every printable character, and long ones around each bound."""
    yield ""
    for character in map(chr, range(32, 127)):
        yield from (character, f"a{character}", f"A{character}", f"abc{character}", f"0{character}")
        yield f"1.{character}"
    for length in range(1, 131):
        yield from ("a" * length, "A" * length, "7" * length)
    yield from ("0.10", "1.0", "1.", ".1", "1e3", "adl", "deficit", "1.25", "00", "ä", "a\n")


@pytest.mark.parametrize(
    ("name", "spelling"),
    [
        ("asset", elements.ASSET),
        ("book", elements.BOOK),
        ("name", elements.NAME),
        ("venue", elements.VENUE),
        ("amount", elements.AMOUNT),
        ("price", elements.PRICE),
    ],
)
def test_elements_are_spelled_as_the_table_says(name: str, spelling: Element[Any]) -> None:
    form = {row[0]: row[1] for row in rows("1. Elements")}[name]
    pattern = next(c for c in code(form) if "[" in c)
    limit = {"amount": 38, "price": 40}.get(name, 1000)  # 2^128 has 39 digits.
    for text in spellings():
        if len(text) <= limit or name not in ("amount", "price"):
            assert accepts(spelling, text) == bool(re.fullmatch(pattern, text)), text


def test_elements_end_where_the_table_says() -> None:
    form = {row[0]: row[1] for row in rows("1. Elements")}
    assert accepts(elements.AMOUNT, str(2**128 - 1))
    assert not accepts(elements.AMOUNT, str(2**128))
    assert "at most 40 digits" in form["price"]
    assert accepts(elements.PRICE, "1" * 39 + ".1")
    assert not accepts(elements.PRICE, "1" * 40 + ".1")
    assert "1 to 128 bytes" in form["account"]
    assert accepts(elements.ACCOUNT, "~" * 128)
    assert not any(accepts(elements.ACCOUNT, text) for text in ("", "-", "a b", 'a"', "a\\"))
    assert not accepts(elements.ACCOUNT, "~" * 129)
    assert "at most 30" in form["decimals"]
    assert [accepts(elements.DECIMALS, n) for n in (30, 31)] == [True, False]
    assert [accepts(elements.COUNT, n) for n in (2**53 - 1, 2**53)] == [True, False]
    assert "from 1970 to 2999" in form["time"]
    for year, holds in ((1969, False), (1970, True), (2999, True), (3000, False)):
        assert accepts(elements.TIME, f"{year}-12-31T23:59:59.999Z") == holds
    assert not accepts(elements.TIME, "2016-12-31T23:59:60.000Z")
    reserved = code(form["book"])[1:]
    assert sorted(reserved) == sorted(elements.RESERVED_BOOKS)
    assert not any(accepts(elements.CUSTOMER_BOOK, book) for book in reserved)


def test_every_field_of_every_statement_is_in_the_table() -> None:
    expected = {("every kind", "format")}
    owners = {Statement: "every kind", AssetStatement: "of an asset", Run: "of an event"}
    for kind in statements.KINDS.values():
        for field in fields(kind):
            holders = [c for c in (Statement, AssetStatement, Run) if issubclass(kind, c)]
            holder = next((c for c in holders if field.name in names_of(c)), None)
            expected.add((owners[holder] if holder else f"`{kind.kind}`", field.name))
    listed = [(row[0], code(row[1])[0]) for row in rows("Kinds")]
    assert len(listed) == len(set(listed))
    assert set(listed) == expected


def names_of(kind: type[Any]) -> set[str]:
    return {field.name for field in fields(kind)}


def test_every_field_of_every_record_is_in_the_table() -> None:
    kinds = {
        "ledger": records.Ledger,
        "pool": records.Pool,
        "row": records.PoolRow,
        "credit": records.Credit,
        "debit": records.Debit,
        "mark": records.Mark,
        "source": records.Source,
    }
    expected = [(name, field.name) for name, kind in kinds.items() for field in fields(kind)]
    assert [(row[0], code(row[1])[0]) for row in rows("Records")] == expected


def test_closed_words_are_the_kernels() -> None:
    of_record = {(row[0], code(row[1])[0]): code(row[2]) for row in rows("Records")}
    of_kind = {(row[0], code(row[1])[0]): code(row[2]) for row in rows("Kinds")}
    asset_kinds = [k.kind for k in statements.KINDS.values() if issubclass(k, AssetStatement)]
    for words, record in (
        (of_record["credit", "kind"], records.Credit),
        (of_record["debit", "kind"], records.Debit),
    ):
        for word in words:
            assert record.read({"amount": "1", "kind": word}).kind == word
    assert tuple(of_kind["`policy`", "waterfall"]) == ("adl", "draw")
    assert (of_kind["`policy`", "rule"][0],) == statements.KNOWN_RULES["rule"]
    assert (of_kind["`policy`", "mark_rule"][0],) == statements.KNOWN_RULES["mark_rule"]
    assert tuple(code(row[0])[0] for row in rows("Ranking")) == statements.ADL_RANKS
    named = re.search(r"The statements (.*?) are about one asset", FLAT)
    assert named
    assert sorted(code(named[1])) == sorted(asset_kinds)


def test_the_proof_file_has_the_keys_that_are_shown() -> None:
    shown = section("7. The customer's proof file").split("```text\n")[1].split("```")[0]
    kinds = (proof.Proof, proof.Entry, proof.Leaf, proof.Extension)
    expected = {"format"}.union(*(names_of(kind) for kind in kinds))
    assert set(re.findall(r'"([a-z]+)":', shown)) == expected


def test_the_tlog_proof_is_written_as_shown() -> None:
    shown = section("7. The customer's proof file").split("```text\n")[2].split("```")[0]
    entry = example()["proof"]["statements"][0]
    text = shown.replace("<seq>", str(entry["seq"]))
    text = text.replace("<base64 of a hash of the path, one a line>", "\n".join(entry["path"]))
    text = text.replace("<checkpoint>\n", example()["checkpoint"])
    assert str(history.TlogProof.parse(text)) == text


def test_the_threats_are_complete_and_each_has_its_place() -> None:
    table = rows("9. Threats")
    assert [row[0] for row in table] == [str(n) for n in range(1, 44)]
    outside = ("auditor", "monitor", "tool", "section")
    verdicts = {"unsupported", "malformed", "false", "incomplete", "or"}
    for number, _, stops, where in table:
        assert stops, number
        for part in where.split("; "):
            place, _, verdict = part.partition(": ")
            if place.startswith(outside):
                continue
            assert verdicts.issuperset(verdict.split()), where
            for step in place.split(", "):
                first, _, point = step.partition(".")
                assert first in points("To verify"), where
                assert not point or (first == "8" and point in points("The run of one loss"))


def test_links_within_the_page_lead_somewhere() -> None:
    heads = re.findall(r"^#+ (.*)$", re.sub(r"```.*?```", "", TEXT, flags=re.DOTALL), re.MULTILINE)
    anchors = {re.sub(r"[^a-z0-9 -]", "", head.lower()).replace(" ", "-") for head in heads}
    assert anchors.issuperset(re.findall(r"\]\(#([^)]*)\)", TEXT))


def test_nobody_is_called_solvent() -> None:
    assert "solvent" not in TEXT.lower()
