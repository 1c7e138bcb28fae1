"""SPEC.md §5: what a statement says by itself, kind by kind."""

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from reference import EMPTY, Signer, canonical
from refusals import crash, market, refused

from auditkit.verify import statements
from auditkit.verify.errors import Malformed, NotVerified, Unsupported
from auditkit.verify.statements import KINDS, AssetStatement, parse


def honest_statements() -> dict[str, dict[str, Any]]:
    """One honest statement of every kind."""
    venue = market()
    run = crash(venue)
    venue.recovery(run, 5)
    venue.rotate_key()
    venue.publish()
    return {said["format"].split("/")[1]: said for said in venue.said}


HONEST = honest_statements()


def changed(kind: str, place: str, value: object) -> str:
    """The text of an honest statement with one thing changed, added, or (...) removed."""
    said = copy.deepcopy(HONEST[kind])
    inner: Any = said
    *way, last = [int(part) if part.isdecimal() else part for part in place.split(".")]
    for part in way:
        inner = inner[part]
    if value is ...:
        del inner[last]
    else:
        inner[last] = value
    return canonical(said)


def test_there_is_an_honest_statement_of_every_kind() -> None:
    assert {f"auditkit/{kind}/1" for kind in HONEST} == KINDS.keys()


@pytest.mark.parametrize("kind", HONEST)
def test_a_statement_is_written_as_it_was_read(kind: str) -> None:
    text = canonical(HONEST[kind])
    statement = parse(text)
    assert statement.encode() == text
    assert type(statement) is KINDS[f"auditkit/{kind}/1"]
    assert (statement.seq, statement.venue) == (HONEST[kind]["seq"], HONEST[kind]["venue"])


@pytest.mark.parametrize(
    ("kind", "field"), [(kind, name) for kind, said in HONEST.items() for name in said]
)
def test_a_statement_needs_every_field(kind: str, field: str) -> None:
    expected = "not a statement" if field == "format" else f"missing fields; found {field}"
    with refused(Malformed, expected):
        parse(changed(kind, field, ...))


@pytest.mark.parametrize("kind", HONEST)
def test_a_statement_has_no_other_field(kind: str) -> None:
    with refused(Malformed, "unknown or missing fields; found note"):
        parse(changed(kind, "note", "x"))


@pytest.mark.parametrize(
    ("kind", "field"), [(kind, name) for kind, said in HONEST.items() for name in said]
)
@pytest.mark.parametrize("value", [None, 1.5, -1, [[]], {"": ""}], ids=repr)
def test_a_field_of_another_type_is_malformed(kind: str, field: str, value: object) -> None:
    with pytest.raises(Malformed):
        parse(changed(kind, field, value))


RULES: list[tuple[str, str, object, str]] = [
    ("policy", "venue", "Exchange", "venue: not a venue"),
    ("policy", "seq", "0", "seq: not an integer"),
    ("policy", "time", "2025-02-30T00:00:00.000Z", "time: no such time"),
    ("policy", "assets", {"btc": 8}, "assets.key: not an asset name"),
    ("policy", "assets", {"BTC": 31, "USDT": 6}, "assets.BTC: not an integer from 0 to 30"),
    ("policy", "books", ["spot", "margin"], "books: not strictly ascending"),
    ("policy", "books", ["margin", "margin", "spot"], "books: not strictly ascending"),
    ("policy", "books", ["adl", "margin"], "books[0]: not a customer book"),
    ("policy", "books", ["deficit", "margin"], "books[0]: not a customer book"),
    ("policy", "books", [], "the sharing book is not one of the books"),
    ("policy", "book", "futures", "the sharing book is not one of the books"),
    ("policy", "book", "adl", "book: not a customer book"),
    ("policy", "pools.BTC.asset", "ETH", "pool BTC is of an asset that is not listed"),
    ("policy", "pools.BTC.floor", "-1", "pools.BTC.floor: not an amount"),
    ("policy", "pools.BTC.name", "x", "pools.BTC: unknown or missing fields"),
    ("policy", "pools", {"-": {"asset": "BTC", "floor": "0"}}, "pools.key: not a name"),
    ("policy", "waterfall", ["adl", "adl"], "a stage stands twice"),
    ("policy", "waterfall", ["loss"], "waterfall[0]: not adl or draw"),
    ("policy", "adl_rank", 1, "adl_rank: not pnl-times-leverage or profit-desc-leverage-asc"),
    ("policy", "rule", [], "rule: not cumulative/1"),
    ("policy", "mark_rule", {}, "mark_rule: not median"),
    ("policy", "deadline_ms", 2**53, "not an integer"),
    ("policy", "oi_threshold", [0, 100], "oi_threshold is not a ratio up to 1"),
    ("policy", "oi_threshold", [101, 100], "oi_threshold is not a ratio up to 1"),
    ("policy", "oi_threshold", [1], "oi_threshold is not a ratio up to 1"),
    ("policy", "oi_threshold", [], "oi_threshold is not a ratio up to 1"),
    ("policy", "oi_threshold", [1, 2, 3], "oi_threshold is not a ratio up to 1"),
    ("index", "latest.btc", 1, "latest.key: not an asset name"),
    ("index", "latest.BTC", "1", "latest.BTC: not an integer"),
    ("index", "policy", True, "policy: not an integer"),
    ("snapshot", "as_of", "2025-10-10T21:00:02.001Z", "as_of is later than the statement"),
    ("snapshot", "asset", "btc", "asset: not an asset name"),
    ("snapshot", "previous", -1, "not an integer"),
    ("snapshot", "ledgers.0.book", "tmp", "ledgers: not strictly ascending"),
    ("snapshot", "ledgers.1.book", "margin", "ledgers: not strictly ascending"),
    ("snapshot", "ledgers.0.book", "adl", "ledgers[0].book: not a customer book"),
    ("snapshot", "ledgers.0.book", "deficit", "ledgers[0].book: not a customer book"),
    ("snapshot", "ledgers.0.total", "01", "ledgers[0].total: not an amount"),
    ("snapshot", "ledgers.0.root", "00", "ledgers[0].root: not 32 bytes"),
    ("snapshot", "ledgers.0.accounts", 0, "a ledger of 0 accounts has total 0 and the empty root"),
    ("snapshot", "ledgers.0.asset", "BTC", "unknown or missing fields"),
    ("fund", "pools.0.pool", "ZZZ", "pools: not strictly ascending"),
    ("fund", "pools.1.pool", "BTC", "pools: not strictly ascending"),
    ("fund", "pools.0.credits", {}, "credits: not a list"),
    ("fund", "pools.0.credits", [{"amount": "1", "kind": "draw"}], "credits[0].kind: not"),
    ("fund", "pools.0.credits", [{"amount": "-1", "kind": "correction"}], "amount: not an"),
    ("fund", "pools.0.debits", [{"amount": "1", "kind": "fee"}], "debits[0].kind: not draw or"),
    ("fund", "pools.0.debits", [{"amount": "1", "kind": "operator_injection"}], "kind: not draw"),
    ("deficit", "event", "", "event: not a name"),
    ("deficit", "marks", [], "marks: not a list of at least 1"),
    ("deficit", "marks.0.sources", [], "sources: not a list of at least 1"),
    ("deficit", "marks.0.sources.1.name", "a", "sources: not strictly ascending"),
    ("deficit", "marks.0.sources.0.name", "c", "sources: not strictly ascending"),
    ("deficit", "marks.0.mark", "104782.50", "mark: not a price"),
    ("deficit", "marks.0.sources.0.price", "1e5", "price: not a price"),
    ("deficit", "ledger.book", "margin", "ledger.book: not deficit"),
    ("deficit", "ledger.book", "adl", "ledger.book: not deficit"),
    ("deficit", "confirmed", 0, "confirmed: not a time"),
    ("adl", "ledger.book", "deficit", "ledger.book: not adl"),
    ("adl", "exhausted", 1, "exhausted: not true or false"),
    ("adl", "exhausted", "true", "exhausted: not true or false"),
    ("adl", "candidates", 0, "fewer candidates than accounts closed"),
    ("adl", "rank", 1, "rank: not pnl-times-leverage or"),
    ("draw", "pool", "-", "pool: not a name"),
    ("draw", "drawn", "-1", "drawn: not an amount"),
    ("draw", "after", "-1", "after: not an amount"),
    ("loss", "before.book", "adl", "before.book: not a customer book"),
    ("loss", "before.book", "deficit", "before.book: not a customer book"),
    ("loss", "socialized", 5, "socialized: not an amount"),
    ("loss", "residual", "-5", "residual: not an amount"),
    ("loss", "rule", 1, "rule: not cumulative/1"),
    ("applied", "after.book", "adl", "after.book: not a customer book"),
    ("applied", "after.accounts", 0, "a ledger of 0 accounts"),
    ("recovery", "before.book", "deficit", "before.book: not a customer book"),
    ("recovery", "earlier", ["-1"], "earlier[0]: not an amount"),
    (
        "recovery",
        "loss",
        HONEST["recovery"]["seq"],
        "a recovery of a loss that is not lower in the log",
    ),
    (
        "recovery",
        "loss",
        HONEST["recovery"]["seq"] + 1,
        "a recovery of a loss that is not lower in the log",
    ),
    ("key", "new", "x", "new: not canonical base64"),
    ("key", "old", 1, "old: not a verifier key"),
    ("key", "new", Signer("other.example", "x").vkey, "a key of another venue"),
    ("key", "old", Signer("other.example", "x").vkey, "a key of another venue"),
    ("key", "new", HONEST["key"]["old"], "the new key is the old one"),
    ("key", "retire", HONEST["key"]["seq"] + 1, "the old key retires before"),
    ("key", "venue", "other.example/audit", "a key of another venue"),
]


@pytest.mark.parametrize(
    ("kind", "place", "value", "fragment"),
    RULES,
    ids=[f"{r[0]}-{r[1]}-{r[2]!r}"[:60] for r in RULES],
)
def test_what_a_statement_breaks_by_itself_is_malformed(
    kind: str, place: str, value: object, fragment: str
) -> None:
    with refused(Malformed, fragment):
        parse(changed(kind, place, value))


def test_what_is_just_allowed_is_read() -> None:
    empty = {"accounts": 0, "book": "margin", "root": EMPTY[16:].hex(), "total": "0"}
    for kind, place, value in (
        ("policy", "oi_threshold", [100, 100]),
        ("policy", "oi_threshold", [1, 1]),
        ("policy", "waterfall", []),
        ("policy", "waterfall", ["draw", "adl"]),
        ("policy", "pools", {}),
        ("policy", "adl_rank", "profit-desc-leverage-asc"),
        ("snapshot", "as_of", HONEST["snapshot"]["time"]),
        ("snapshot", "ledgers", []),
        ("snapshot", "ledgers", [empty]),
        ("snapshot", "previous", 2**53 - 1),
        ("fund", "pools", []),
        ("adl", "candidates", HONEST["adl"]["ledger"]["accounts"]),
        ("recovery", "loss", HONEST["recovery"]["seq"] - 1),
        ("key", "retire", HONEST["key"]["seq"] + 2),
    ):
        text = changed(kind, place, value)
        assert parse(text).encode() == text


@pytest.mark.parametrize("total", ["1", "0"])
def test_a_ledger_of_no_accounts_is_empty(total: str) -> None:
    ledger = {"accounts": 0, "book": "margin", "root": "00" * 32, "total": total}
    if total == "1":
        ledger["root"] = EMPTY[16:].hex()
    with refused(Malformed, "a ledger of 0 accounts has total 0 and the empty root"):
        parse(changed("applied", "after", ledger))


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("", id="nothing"),
        pytest.param("[]", id="a list"),
        pytest.param('"auditkit/policy/1"', id="a string"),
        pytest.param("{}", id="an empty object"),
        pytest.param('{"format":1}', id="a number for a format"),
        pytest.param('{"format":[]}', id="a list for a format"),
        pytest.param("\ud800", id="a surrogate"),
    ],
)
def test_what_is_no_statement_is_malformed(text: str) -> None:
    with pytest.raises(Malformed):
        parse(text)


def test_text_that_is_not_canonical_is_malformed() -> None:
    text = canonical(HONEST["index"])
    for other in (f" {text}", text.replace(":", ": "), text + "\n", text.replace("a", "\\u0061")):
        with refused(Malformed, "not canonical"):
            parse(other)
    with refused(Malformed, "duplicate key"):
        parse(text.replace("{", '{"format":"auditkit/index/1",', 1))


def test_an_entry_has_at_most_65535_bytes() -> None:
    space = 65_535 - len(changed("index", "latest", {}))
    names = [f"A{i:07}" for i in range(space // 14)]
    rest = space + 1 - 14 * len(names)  # No comma after the last name.
    latest = dict.fromkeys(names[:-1], 10) | {names[-1] + "A" * rest: 10}
    text = changed("index", "latest", latest)
    assert len(text) == 65_535
    assert parse(text).encode() == text
    with refused(Malformed, "an entry of more than 65535 bytes"):
        parse(changed("index", "latest", {**latest, names[0]: 100}))


@pytest.mark.parametrize(
    "name", ["auditkit/policy/2", "auditkit/policy/1 ", "auditkit/news/1", "", "other"]
)
def test_another_format_is_unsupported(name: str) -> None:
    with refused(Unsupported, "a statement of a format this version does not know"):
        parse(changed("policy", "format", name))


@pytest.mark.parametrize(
    ("kind", "field"),
    [
        *(("policy", "rule"), ("policy", "mark_rule"), ("policy", "adl_rank")),
        *(("adl", "rank"), ("loss", "rule")),
    ],
)
def test_an_unknown_rule_is_unsupported(kind: str, field: str) -> None:
    with refused(Unsupported, f"an unknown {field}; expected"):
        parse(changed(kind, field, "newer/2"))


def test_unsupported_goes_before_malformed() -> None:
    said = dict(HONEST["loss"], rule="newer/2", socialized="x", more=1)
    with refused(Unsupported, "an unknown rule"):
        parse(canonical(said))
    with refused(Unsupported, "a format this version does not know"):
        parse(canonical(dict(said, format="auditkit/loss/2")))
    with refused(Unsupported, "an unknown rule"):
        parse(" " + canonical(said))


def test_a_rule_that_a_kind_does_not_have_is_malformed_there() -> None:
    with refused(Malformed, "unknown or missing fields; found rule"):
        parse(changed("applied", "rule", "newer/2"))


def test_the_ledgers_of_a_statement() -> None:
    shown = {}
    for kind, said in HONEST.items():
        statement = parse(canonical(said))
        if isinstance(statement, AssetStatement):
            shown[kind] = list(statement.ledgers_shown())
            assert all(statement.ledgers_shown()[b].book == b for b in shown[kind])
    assert shown == {
        "snapshot": ["margin", "spot"],
        "deficit": ["deficit"],
        "adl": ["adl"],
        "draw": [],
        "loss": ["margin"],
        "applied": ["margin"],
        "recovery": ["margin"],
    }


# Whatever a statement says, reading it and writing it are the identity.

amounts = st.integers(0, 2**128 - 1).map(str)
counts = st.integers(0, 2**53 - 1)
names = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,63}", fullmatch=True)
assets = st.from_regex(r"[A-Z0-9][A-Z0-9._-]{0,31}", fullmatch=True)
books = st.from_regex(r"[a-z][a-z0-9-]{0,31}", fullmatch=True).filter(
    lambda book: book not in ("adl", "deficit")
)
hexes = st.binary(min_size=32, max_size=32).map(bytes.hex)
prices = st.from_regex(r"(0|[1-9][0-9]{0,19})(\.[0-9]{0,18}[1-9])?", fullmatch=True)
# The clock's text is built from its parts, so that the kernel's own writer is not asked.
times = st.builds(
    "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z".format,
    st.integers(1970, 2999),
    st.integers(1, 12),
    st.integers(1, 28),
    st.integers(0, 23),
    st.integers(0, 59),
    st.integers(0, 59),
    st.integers(0, 999),
)
ranks = st.sampled_from(statements.ADL_RANKS)
signers = st.integers(0, 9).map(lambda n: Signer("a.example", f"strategy {n}").vkey)


def ascending(items: st.SearchStrategy[Any], by: str, least: int = 0) -> st.SearchStrategy[Any]:
    return st.lists(items, min_size=least, max_size=4, unique_by=lambda item: item[by]).map(
        lambda given: sorted(given, key=lambda item: item[by])
    )


def ledgers(book: st.SearchStrategy[str]) -> st.SearchStrategy[Any]:
    full = st.fixed_dictionaries(
        {
            "accounts": st.integers(1, 2**53 - 1),
            "book": book,
            "root": hexes,
            "total": amounts,
        }
    )
    return full | book.map(
        lambda name: {"accounts": 0, "book": name, "root": EMPTY[16:].hex(), "total": "0"}
    )


def entries(*kinds: str) -> st.SearchStrategy[Any]:
    return st.lists(
        st.fixed_dictionaries({"amount": amounts, "kind": st.sampled_from(kinds)}), max_size=3
    )


marks = st.fixed_dictionaries(
    {
        "contract": names,
        "mark": prices,
        "sources": ascending(st.fixed_dictionaries({"name": names, "price": prices}), "name", 1),
    }
)
rows = st.fixed_dictionaries(
    {
        "pool": names,
        "opening": amounts,
        "credits": entries(
            "liquidation_surplus", "liquidation_fee", "operator_injection", "correction"
        ),
        "debits": entries("draw", "correction"),
        "closing": amounts,
        "open_interest": amounts,
    }
)
common = {"venue": st.just("a.example"), "seq": counts, "time": times}
of_asset = common | {"asset": assets, "policy": counts, "previous": counts}
of_event = of_asset | {"event": names}

FIELDS: dict[str, dict[str, st.SearchStrategy[Any]]] = {
    "index": common | {"latest": st.dictionaries(assets, counts, max_size=4), "policy": counts},
    "fund": common | {"pools": ascending(rows, "pool")},
    "snapshot": of_asset | {"as_of": times, "ledgers": ascending(ledgers(books), "book")},
    "deficit": of_event
    | {
        "pool": names,
        "confirmed": times,
        "marks": ascending(marks, "contract", 1),
        "ledger": ledgers(st.just("deficit")),
    },
    "adl": of_event
    | {
        "rank": ranks,
        "candidates": counts,
        "exhausted": st.booleans(),
        "ledger": ledgers(st.just("adl")),
    },
    "draw": of_event | {"pool": names, "before": amounts, "drawn": amounts, "after": amounts},
    "loss": of_event
    | {
        "rule": st.just("cumulative/1"),
        "before": ledgers(books),
        "socialized": amounts,
        "residual": amounts,
    },
    "applied": of_event | {"after": ledgers(books)},
    "recovery": of_event
    | {
        "loss": counts,
        "earlier": st.lists(amounts, max_size=3),
        "recovered": amounts,
        "before": ledgers(books),
    },
    "key": common | {"new": signers, "old": signers, "retire": counts},
    "policy": common
    | {
        "assets": st.dictionaries(assets, st.integers(0, 30), min_size=1, max_size=3),
        "books": st.lists(books, min_size=1, max_size=3, unique=True).map(sorted),
        "book": books,
        "pools": st.dictionaries(
            names, st.fixed_dictionaries({"asset": assets, "floor": amounts}), max_size=2
        ),
        "waterfall": st.permutations(["adl", "draw"]) | st.just([]) | st.just(["draw"]),
        "adl_rank": ranks,
        "rule": st.just("cumulative/1"),
        "mark_rule": st.just("median"),
        **dict.fromkeys(
            ("deadline_ms", "snapshot_interval_ms", "fund_interval_ms", "fund_history_days"), counts
        ),
        "oi_window_days": counts,
        "oi_threshold": st.lists(st.integers(1, 2**53 - 1), min_size=2, max_size=2).map(sorted),
    },
}


def obeying(said: dict[str, Any]) -> dict[str, Any]:
    """`said` with the rules that hold between its fields made to hold."""
    kind = said["format"].split("/")[1]
    if kind == "policy":
        said["book"] = said["books"][0]
        for pool in said["pools"].values():
            pool["asset"] = min(said["assets"])
    elif kind == "snapshot":
        said["as_of"] = min(said["as_of"], said["time"])
    elif kind == "adl":
        said["candidates"] = max(said["candidates"], said["ledger"]["accounts"])
    elif kind == "recovery":
        said["seq"] = max(said["seq"], 1)
        said["loss"] = min(said["loss"], said["seq"] - 1)
    elif kind == "key":
        said["seq"] = min(said["seq"], 2**53 - 3)
        said["retire"] = max(said["retire"], said["seq"] + 2)
        if said["new"] == said["old"]:
            said["new"] = Signer("a.example", "strategy 10").vkey
    return said


def test_there_is_a_strategy_for_every_kind() -> None:
    assert {f"auditkit/{kind}/1" for kind in FIELDS} == KINDS.keys()


@pytest.mark.parametrize("kind", FIELDS)
@given(data=st.data())
def test_reading_and_writing_are_inverse(kind: str, data: st.DataObject) -> None:
    said = data.draw(st.fixed_dictionaries(FIELDS[kind]))
    text = canonical(obeying({"format": f"auditkit/{kind}/1", **said}))
    statement = parse(text)
    assert statement.encode() == text
    assert parse(statement.encode()) == statement


@given(st.text() | st.text(alphabet='{}[]",:0123456789aeflnrstu\\'))
def test_any_other_text_is_refused_in_one_of_two_ways(text: str) -> None:
    with pytest.raises(NotVerified) as caught:
        parse(text)
    assert type(caught.value) in (Malformed, Unsupported)
