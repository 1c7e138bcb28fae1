"""`auditkit fund show` and `auditkit audit fund`: what a published fund looks like to anyone."""

import csv
import json
import subprocess
import sys
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from console import PATIENCE, Answer, Console
from exchange import Exchange
from fund.cases_fund import FEE, MINUTE, FundVenue
from reference import Signer, clock
from venue import START

from auditkit.cli.chart import chart

BLOCKS = "▁▂▃▄▅▆▇█"
POOLS = {"BTC": ("BTC", 0), "BTC-2": ("BTC", 0), "USDT": ("USDT", 0)}


def at(minute: float) -> str:
    return clock(START + round(minute * MINUTE))


def story() -> FundVenue:
    """Two hours of a fund, with a gap of ten minutes, a draw, an injection and a correction."""
    venue = FundVenue(pools=POOLS, assets={"BTC": 8, "USDT": 6})
    venue.snapshot("BTC", {"margin": {"anna": 500}})
    venue.minute(1, 100, BTC=[("operator_injection", 1000)], USDT=[("liquidation_fee", 10**9)])
    venue.minutes(2, 49, 100, BTC=FEE)
    venue.event("BTC", {"gone": 90}, {"anna": 10}, pool="BTC")
    venue.minutes(50, 60, 100, BTC=FEE)
    venue.minute(71, 100, BTC=[("correction", -1000), ("liquidation_surplus", 3)])
    venue.minutes(72, 120, 100, BTC=FEE)
    return venue


def publish(venue: FundVenue, folder: Path) -> Path:
    """The venue's log as a published folder; it fits one bundle that is not whole."""
    venue.publish()
    public = folder / "public"
    bundle = public / f"tile/entries/000.p/{len(venue.entries)}"
    assert len(venue.entries) < 256
    bundle.parent.mkdir(parents=True)
    bundle.write_bytes(b"".join(len(e).to_bytes(2, "big") + e for e in venue.entries))
    (public / "checkpoint").write_text(venue.checkpoint(len(venue.entries)), "utf-8")
    return public


class Published:
    """The story in a folder, and the command line that shows it."""

    def __init__(self, folder: Path, venue: FundVenue | None = None) -> None:
        self.venue = venue or story()
        self.public = publish(self.venue, folder)
        self.given = ["--public", self.public, "--key", self.venue.vkey]

    def show(self, *more: object) -> list[object]:
        return ["fund", "show", *self.given, *more]

    def audit(self, *more: object) -> list[object]:
        return ["audit", "fund", *self.given, *more]


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Published:
    return Published(tmp_path_factory.mktemp("fund"))


def pool(found: Any, name: str = "BTC") -> Any:
    [one] = [one for one in found["pools"] if one["pool"] == name]
    return one


class TestPage:
    def test_says_how_much_was_verified_first(self, console: Console, published: Published) -> None:
        answer = console(*published.show())
        assert answer.code == 0
        size, funds = len(published.venue.entries), 111
        assert " ".join(answer.page().split()).startswith(
            f"VERIFIED: the signature and every hash of {size} entries; {funds} fund entries "
            "parsed What the entries say is the venue's word"
        )

    def test_shows_each_pool_and_each_asset(self, console: Console, published: Published) -> None:
        page = console(*published.show()).flat()
        for words in (
            f"Pool BTC balance 0.00000463 BTC at {at(120)}",
            f"opened with 0.00000000 BTC at {at(1)}",
            "liquidation_surplus 0.00000003 BTC, in 1 entry",
            "liquidation_fee 0.00000540 BTC, in 108 entries",
            "operator_injection 0.00001000 BTC, in 1 entry",
            "correction in none",
            "draw 0.00000080 BTC, in 1 entry",
            "correction out 0.00001000 BTC, in 1 entry",
            f"intervals missing: 10, {at(60)} to {at(71)}",
            "0.00001240 BTC is the top",
            "2025-10-10 21:01",
            "Pool BTC-2 balance 0.00000000 BTC",
            f"Pool USDT balance 1,000.000000 USDT at {at(120)}",
            "The fund of BTC against its mean open interest threshold 20/100",
            "last coverage 0.25 %: 110 of 43200 samples",
        ):
            assert words in page, words

    def test_only_the_pools_asked_for(self, console: Console, published: Published) -> None:
        page = console(*published.show("--pool", "USDT", "--pool", "BTC-2")).flat()
        assert "Pool USDT" in page
        assert "Pool BTC-2" in page
        assert "Pool BTC balance" not in page
        whole = console(*published.show("--format", "json")).json()
        part = console(*published.show("--pool", "BTC-2", "--format", "json")).json()
        assert part["pools"] == [pool(whole, "BTC-2")]
        # The threshold is the asset's: of all its pools, whichever are shown.
        assert part["thresholds"] == whole["thresholds"][:1]

    def test_what_does_not_follow_is_pointed_at(self, console: Console, tmp_path: Path) -> None:
        venue = story()
        venue.change(5, "BTC", closing="9")
        broken = Published(tmp_path, venue)
        page = console(*broken.show()).flat()
        assert "NOTE: 2 of its entries do not follow from the one before." in page
        found = console(*broken.show("--format", "json")).json()
        assert [one["not_following"] for one in found["pools"]] == [2, 0, 0]

    def test_many_gaps_are_cut_and_counted(self, console: Console, tmp_path: Path) -> None:
        venue = FundVenue()
        for minute in range(1, 40, 2):
            venue.minute(minute, BTC=FEE)
        page = console(*Published(tmp_path, venue).show()).flat()
        assert page.count("intervals missing: 1,") == 10
        assert "and 9 more; --format json has all" in page

    @pytest.mark.parametrize("columns", [40, 80, 100])
    def test_fits_the_terminal(self, console: Console, published: Published, columns: int) -> None:
        console.columns = columns
        for command in (published.show(), published.audit()):
            lines = console(*command).page().splitlines()
            # A command is there to be copied, so it is never wrapped.
            lines = [line for line in lines if "auditkit audit fund --public" not in line]
            assert max(map(len, lines)) <= columns
            assert not any(line.endswith(" ") for line in lines)
        screen = console.terminal(*published.show()).out
        assert any(block in screen for block in BLOCKS)
        shown = [line.replace("\x1b[1m", "").replace("\x1b[0m", "") for line in screen.splitlines()]
        assert max(len(line) for line in shown if any(b in line for b in BLOCKS)) <= columns

    def test_blocks_and_colour_only_where_they_can_be_shown(
        self, console: Console, published: Published
    ) -> None:
        screen = console.terminal(*published.show()).out
        assert screen.startswith("\x1b[1;32mVERIFIED: ")
        piped = console.process(*published.show()).out
        assert "\x1b" not in piped
        assert piped.isascii()
        assert "####" in piped
        console.variables["NO_COLOR"] = "1"
        plain = console.terminal(*published.show()).out
        assert "\x1b" not in plain
        assert "█" in plain
        console.variables |= {"PYTHONIOENCODING": "ascii"}
        assert "####" in console.terminal(*published.show()).out


class TestData:
    def test_one_object(self, console: Console, published: Published) -> None:
        found = console(*published.show("--format", "json")).json()
        assert found["verdict"] == "verified"
        assert found["log_size"] == len(published.venue.entries)
        assert (found["fund_entries"], found["older_entries"]) == (111, 0)
        assert (found["since"], found["until"]) == (
            clock(START + 1000),
            published.venue.said[-1]["time"],
        )
        bitcoin = pool(found)
        assert bitcoin["balance"] == {"units": "463", "natural": "0.00000463"}
        assert bitcoin["gaps"] == [{"from": at(60), "to": at(71), "missing": 10}]
        assert {m["kind"]: (m["amount"]["units"], m["entries"]) for m in bitcoin["moves"]} == {
            "liquidation_surplus": ("3", 1),
            "liquidation_fee": ("540", 108),
            "operator_injection": ("1000", 1),
            "correction in": ("0", 0),
            "draw": ("80", 1),
            "correction out": ("1000", 1),
        }
        assert pool(found, "USDT")["balance"]["natural"] == "1000.000000"

    def test_the_threshold_in_exact_fractions(self, console: Console, tmp_path: Path) -> None:
        venue = FundVenue()
        venue.minute(1, 100, BTC=[("liquidation_fee", 20)])
        venue.minute(2, 101, BTC=[("correction", 0)])
        venue.minute(3, 101, BTC=[("correction", -1)])
        [found] = console(*Published(tmp_path, venue).show("--format", "json")).json()["thresholds"]
        assert (found["intervals"], found["below"], found["without_open_interest"]) == (3, 2, 0)
        assert found["last"] == {
            "time": at(3),
            "threshold": "20/100",
            "ratio": "57/302",
            "coverage": "1/14400",
        }
        [stretch] = found["stretches"]
        assert (stretch["from"], stretch["to"], stretch["intervals"]) == (at(2), at(3), 2)

    def test_a_table_of_every_entry(self, console: Console, published: Published) -> None:
        answer = console(*published.show("--format", "csv"))
        assert (answer.code, answer.err) == (0, "")
        rows = list(csv.DictReader(StringIO(answer.out)))
        assert len(rows) == 3 * 111
        assert [row["pool"] for row in rows[:4]] == ["BTC", "BTC-2", "USDT", "BTC"]
        assert [int(row["seq"]) for row in rows] == sorted(int(row["seq"]) for row in rows)
        assert rows[0] == {
            "time": at(1),
            "seq": "2",
            "pool": "BTC",
            "asset": "BTC",
            "opening": "0.00000000",
            "liquidation_surplus": "0.00000000",
            "liquidation_fee": "0.00000000",
            "operator_injection": "0.00001000",
            "correction_in": "0.00000000",
            "draw": "0.00000000",
            "correction_out": "0.00000000",
            "closing": "0.00001000",
            "open_interest": "0.00000100",
        }
        assert rows[2]["closing"] == "1000.000000"
        cut = console(*published.show("--format", "csv", "--pool", "USDT")).out.splitlines()
        assert cut[1:] == [line for line in answer.out.splitlines() if ",USDT,USDT," in line]

    def test_only_so_many_days(self, console: Console, tmp_path: Path) -> None:
        venue = FundVenue(fund_interval_ms=24 * 60 * MINUTE, oi_window_days=2)
        for day in range(1, 11):
            venue.minute(day * 24 * 60, 100, BTC=FEE)
        command = Published(tmp_path, venue).show("--days", 3, "--format", "json")
        found = console(*command).json()
        # Three days are shown; two more are read, for the mean of the first of them.
        assert (found["fund_entries"], found["older_entries"]) == (5, 5)
        assert (pool(found)["entries"], pool(found)["opening"]["units"]) == (3, "35")
        assert found["thresholds"][0]["lowest_coverage"]["coverage"] == "1"
        assert "5 older ones" in found["verified"]


class TestRefusal:
    def test_a_log_that_is_not_the_signed_one(self, console: Console, tmp_path: Path) -> None:
        altered = Published(tmp_path)
        [bundle] = altered.public.glob("tile/entries/000.p/*")
        bundle.write_bytes(bundle.read_bytes().replace(b'"closing":"1000"', b'"closing":"1001"'))
        answer = console(*altered.show())
        assert answer.code == 1
        assert "FAILED: " in answer.flat()
        assert "Pool" not in answer.out
        found = console(*altered.show("--format", "json")).json()
        assert (found["verdict"], found["kind"]) == ("failed", "false")
        table = console(*altered.show("--format", "csv"))
        assert (table.code, table.out) == (1, "")
        assert table.err.startswith("FAILED: ")

    def test_another_key(self, console: Console, published: Published) -> None:
        other = Signer(published.venue.name, "other").vkey
        answer = console("fund", "show", "--public", published.public, "--key", other)
        assert answer.code == 1
        assert "no signature line by the pinned key" in answer.flat()

    def test_a_checkpoint_that_is_none(self, console: Console, tmp_path: Path) -> None:
        broken = Published(tmp_path)
        (broken.public / "checkpoint").write_text("nothing")
        assert console(*broken.show()).code == 2

    @pytest.mark.parametrize(
        ("entry", "code", "kind"),
        [(b"nothing", 1, "malformed"), (b'{"format":"auditkit/fund/2"}', 3, "unsupported")],
    )
    def test_a_signed_entry_that_cannot_be_read(
        self, console: Console, tmp_path: Path, entry: bytes, code: int, kind: str
    ) -> None:
        venue = story()
        venue.entries[9] = entry
        answer = console(*Published(tmp_path, venue).show("--format", "json"))
        assert answer.code == code
        assert answer.json()["kind"] == kind
        assert "entry 9" in answer.json()["what"]

    def test_wrong_usage(self, console: Console, published: Published, tmp_path: Path) -> None:
        (tmp_path / "empty").mkdir()
        key = ["--key", published.venue.vkey]
        for given, words in (
            ([], "give --venue or --public, and not both"),
            (["--public", tmp_path, "--venue", tmp_path], "give --venue or --public, and not both"),
            (["--public", tmp_path / "none", *key], "no such folder"),
            (["--public", tmp_path / "empty"], "is no published log: it has no checkpoint"),
            (["--public", published.public.parent], "is a venue's own folder; give its public/"),
            (["--public", tmp_path / "empty", *key], "checkpoint: no such file"),
            (["--public", published.public], "--key is missing"),
            (["--public", published.public, *key, "--pool", "DOGE"], "its pools: BTC, BTC-2, USDT"),
            (["--public", published.public, *key, "--days", "0"], "--days"),
        ):
            answer = console("fund", "show", *given)
            assert answer.code == 2
            assert words in answer.refusal()

    def test_a_log_without_a_fund(self, console: Console, tmp_path: Path) -> None:
        answer = console(*Published(tmp_path, FundVenue()).show())
        assert answer.code == 2
        assert "the log has no fund entry" in answer.refusal()


class TestSource:
    def test_the_key_may_be_pinned(self, console: Console, published: Published) -> None:
        assert console("trust", "add", published.venue.vkey).code == 0
        assert console("fund", "show", "--public", published.public).code == 0

    def test_a_venue_shows_its_own(self, console: Console, tmp_path: Path) -> None:
        exchange = Exchange(tmp_path)
        exchange.fund(BTC=[("liquidation_fee", 10**9)])
        answer = console("fund", "show", "--venue", exchange.root)
        assert answer.code == 0
        assert "Pool BTC" in answer.page()

    def test_the_extras_are_not_needed(self, console: Console, published: Published) -> None:
        code = (
            "import sys, json; from auditkit.cli.main import main; code = main(sys.argv[1:]);"
            "print(json.dumps([code, sorted(sys.modules)]), file=sys.stderr)"
        )
        done = subprocess.run(
            [sys.executable, "-c", code, *map(str, published.show())],
            env=console.environment(),
            capture_output=True,
            timeout=PATIENCE,
            check=True,
        )
        code_found, modules = json.loads(done.stderr)
        assert code_found == 0
        packages = {name.partition(".")[0] for name in modules}
        assert not packages & {"numpy", "pyarrow", "datafusion", "pymerkle", "rich"}


class TestAudit:
    def found(self, answer: Answer) -> list[tuple[str, str, int]]:
        findings = json.loads(answer.out)["findings"]
        return [(f["procedure"], f["verdict"], f["failing"]) for f in findings]

    def test_finds_what_is_wrong_with_its_time(
        self, console: Console, published: Published
    ) -> None:
        answer = console(*published.audit())
        assert answer.code == 1
        assert "intervals without a fund entry: 10" in answer.flat()
        assert f"none until {at(71)}" in answer.flat()
        answer = console(*published.audit("--format", "json"))
        assert self.found(answer) == [("C1", "fail", 1), ("H2", "pass", 0)]

    def test_an_honest_fund_passes(self, console: Console, tmp_path: Path) -> None:
        venue = FundVenue()
        venue.minutes(1, 20, 10, BTC=FEE)
        honest = Published(tmp_path, venue)
        answer = console(*honest.audit("-o", tmp_path / "findings"))
        assert answer.code == 0
        assert answer.page().startswith("PASSED: 2 findings: 2 pass")
        assert (tmp_path / "findings/findings.json").is_file()

    def test_the_command_of_a_finding_makes_it_again(
        self, console: Console, published: Published
    ) -> None:
        answer = console(*published.audit("--format", "json"))
        [command] = {f["command"] for f in json.loads(answer.out)["findings"]}
        words = command.split()
        assert words[:3] == ["auditkit", "audit", "fund"]
        assert console(*words[1:], "--format", "json") == answer

    def test_is_a_part_of_all(self, console: Console, tmp_path: Path) -> None:
        exchange = Exchange(tmp_path)
        exchange.snapshot({"BTC": {"margin": {"anna": 500}}})
        exchange.fund(BTC=[("liquidation_fee", 10**9)])
        handed = tmp_path / "handed"
        assert console("venue", "handover", "--venue", exchange.root, "-o", handed).code == 0
        given = ["--public", exchange.root / "public", "--key", exchange.vkey]
        answer = console("audit", "all", *given, "--handover", handed, "--format", "json")
        findings = json.loads(answer.out)["findings"]
        assert [f["procedure"] for f in findings][:3] == ["LOG", "C1", "H2"]
        # Unlike the other commands of this audit, the fund's takes no handover.
        again = console(*findings[1]["command"].split()[1:], "--format", "json")
        assert json.loads(again.out)["findings"] == findings[1:3]


class TestChart:
    def drawn(self, values: list[int], columns: int, **more: Any) -> list[str]:
        return chart(range(0, 10 * len(values), 10), values, more.get("gaps", ()), columns, " .:#")

    def test_the_top_is_full_and_zero_is_empty(self) -> None:
        assert self.drawn([0, 9, 18], 3) == [*3 * ["  #"], *3 * [" ##"]]

    def test_the_lowest_of_a_column_is_drawn(self) -> None:
        assert self.drawn([18, 0, 18, 18], 2) == 6 * [" #"]

    def test_what_is_not_zero_never_looks_like_it(self) -> None:
        assert self.drawn([10**30, 1], 2) == [*5 * ["# "], "#."]

    def test_a_balance_stays_until_the_next_and_a_gap_is_blank(self) -> None:
        assert self.drawn([9, 9], 5) == 6 * ["#####"]
        assert self.drawn([9, 9], 5, gaps=[(0, 10)]) == 6 * ["#   #"]

    def test_nothing_to_draw(self) -> None:
        assert self.drawn([], 5) == self.drawn([7], 5) == self.drawn([0, 0], 5) == []
