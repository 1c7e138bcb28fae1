"""Files made to hurt: every command ends in one clear line, and nothing of them reaches a terminal.

A proof that is no proof ends in 2 (in 3 where it says that it is newer), what
cannot be read in 74, and a publisher's file that is not what it should be in 2
with nothing written.
"""

import json
import os
import random
import shutil
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from console import Answer, Console, Shop

PAINT = {
    "escape": "\x1b[2J\x1b[H\x1b[32mVERIFIED\x1b[0m",
    "title": "\x1b]0;VERIFIED\x07\x9b2J",
    "bidi": "\u202eDEIFIREV\u202c\u2066\u200b\ufeff",
    "markup": "[red]VERIFIED[/red] [link=https://evil.example]x[/link] :+1:",
    "carriage": "\rVERIFIED\r\n\b\b\x00\x7f\x85\u2028",
    "look-alike": "１0007 ΒTC",
}
JUNK = random.Random("junk").randbytes(4096)
DOCUMENTS: dict[str, bytes] = {
    "empty": b"",
    "blank": b" \n\t\n",
    "nul": b"\0" * 100,
    "junk": JUNK,
    "word": b"VERIFIED\n",
    "utf-16": "é{}".encode("utf-16"),
    "latin-1": b'{"\xe9": 1}',
    "surrogate": b'{"a": "\xed\xa0\x80"}',
    "gzip": b"\x1f\x8b\x08\0" + JUNK[:100],
    "nested": b"[" * 100_000,
    "nested-objects": b'{"a":' * 100_000,
    "nested-strings": b'["' * 50_000,
    "10 MB of text": b"a" * 10_000_000,
    "10 MB of lines": (b"a = 1 #" + b"x" * 992 + b"\n") * 10_000,
    "number": b"1" * 5000,
    "not-json": b"{'account': 1}",
    "nan": b'{"format": NaN}',
    "infinity": b"-Infinity",
    "float": b'{"format": 1e400}',
    "null": b"null",
    "list": b"[]",
    "empty-object": b"{}",
    "two": b"{}{}",
    "note": "a\n\n— b AAAAAAAAAAA=\n".encode(),
    **{name: text.encode("utf-8") for name, text in PAINT.items()},
}


def no_proof(answer: Answer, code: int = 2) -> None:
    """One clear line first, at most a page, and not a word of success or of a programmer's."""
    first = answer.page().partition("\n")[0]
    assert answer.code == code
    assert first.startswith("ERROR: malformed file: " if code == 2 else "NOT CHECKED: ")
    assert len(answer.out) < 3000
    assert not any(line.strip().startswith("VERIFIED") for line in answer.out.splitlines())
    assert "Traceback" not in answer.out


class TestProofs:
    @pytest.mark.parametrize("name", DOCUMENTS)
    def test_a_document_that_is_no_proof(
        self, console: Console, shop: Shop, name: str, tmp_path: Path
    ) -> None:
        path = tmp_path / "hostile.json"
        path.write_bytes(DOCUMENTS[name])
        command = ["verify", path, *list(shop.verify)[2:]]
        no_proof(console(*command))
        assert console(*command, "--format", "json").json()["kind"] == "malformed"
        no_proof(console("inspect", path))
        no_proof(console("compare", path, path, "--key", shop.vkey))
        no_proof(console("verify-fork", path, "--key", shop.vkey))
        assert console("verify", path, "--account", shop.account).code == 2

    @pytest.mark.parametrize(
        ("name", "change"),
        {
            "truncated": lambda text: text[: len(text) // 2],
            "bom": lambda text: "\ufeff" + text,
            "a byte too many": lambda text: text + "}",
            "two proofs": lambda text: text + text,
            "1 MiB and 1": lambda text: text + " " * ((1 << 20) + 1 - len(text)),
            "a key twice": lambda text: text.replace("{", '{"account": "10007",', 1),
            "a float": lambda text: text.replace('"index": ', '"index": 1.0e', 1),
            "not a number": lambda text: text.replace('"index": ', '"index": NaN, "x": ', 1),
            "negative": lambda text: text.replace('"index": ', '"index": -', 1),
            "a huge number": lambda text: text.replace('"seq": ', '"seq": ' + "9" * 4000, 1),
            "true for a number": lambda text: text.replace('"seq": 0', '"seq": true', 1),
            "a lone surrogate": lambda text: text.replace('"10007"', '"\\ud800"', 1),
            "a comment": lambda text: "// a proof\n" + text,
            "a trailing comma": lambda text: text.replace("}\n", ",}\n"),
            "an unknown field": lambda text: text.replace("{", '{"note": "x",', 1),
        }.items(),
        ids=lambda value: value if isinstance(value, str) else "",
    )
    def test_an_honest_proof_that_was_spoilt(
        self, console: Console, shop: Shop, name: str, change: Callable[[str], str]
    ) -> None:
        text = shop.proof.read_text()
        assert change(text) != text
        no_proof(console("verify", "-", *list(shop.verify)[2:], stdin=change(text).encode()))

    def test_exactly_one_mebibyte_is_not_too_much(self, console: Console, shop: Shop) -> None:
        data = shop.proof.read_bytes().ljust(1 << 20)
        assert console("verify", "-", *list(shop.verify)[2:], stdin=data).code == 0

    @pytest.mark.parametrize("encoding", ["utf-16", "utf-32", "utf-7", "cp500"])
    def test_another_encoding_is_no_proof(
        self, console: Console, shop: Shop, encoding: str
    ) -> None:
        data = shop.proof.read_text().replace("+", "x").encode(encoding, "replace")
        no_proof(console("verify", "-", *list(shop.verify)[2:], stdin=data))

    @pytest.mark.parametrize("paint", PAINT)
    def test_paint_in_any_string_stays_in_the_file(
        self, console: Console, shop: Shop, paint: str
    ) -> None:
        places = 0
        for place, painted in repainted(json.loads(shop.proof.read_text()), PAINT[paint]):
            data = json.dumps(painted, ensure_ascii=False).encode("utf-8")
            code = 3 if place == "$.format" else 2
            no_proof(console("verify", "-", *list(shop.verify)[2:], stdin=data), code)
            if place.count(".") < 3:
                no_proof(console("inspect", "-", stdin=data), code)
                answer = console("inspect", "-", "--format", "json", stdin=data)
                assert answer.json()["exit_code"] == code
            places += 1
        assert places > 60

    def test_paint_inside_a_statement_stays_in_the_file(self, console: Console, shop: Shop) -> None:
        paint = "".join(PAINT.values())
        proof = json.loads(shop.proof.read_text())
        for entry in proof["statements"]:
            text = entry["text"]
            for _, said in repainted(json.loads(text), paint):
                entry["text"] = json.dumps(said, sort_keys=True, separators=(",", ":"))
                data = json.dumps(proof).encode()
                answer = console("verify", "-", *list(shop.verify)[2:], stdin=data)
                no_proof(answer, 3 if answer.verdict == "NOT CHECKED" else 2)
            entry["text"] = text


def repainted(value: Any, paint: str, place: str = "$") -> Iterator[tuple[str, Any]]:
    """The value with one string, or one key, after the other replaced; and where that was."""
    if isinstance(value, str):
        yield place, paint
    elif isinstance(value, list):
        for number, item in enumerate(value[:3]):
            for where, changed in repainted(item, paint, f"{place}.{number}"):
                yield where, [*value[:number], changed, *value[number + 1 :]]
    elif isinstance(value, dict):
        for key, item in value.items():
            for where, changed in repainted(item, paint, f"{place}.{key}"):
                yield where, value | {key: changed}
            yield f"{place}.{key}?", {paint if k == key else k: v for k, v in value.items()}


class TestPlaces:
    """What is named is there but cannot be read as a file."""

    def test_a_folder(self, console: Console, shop: Shop, tmp_path: Path) -> None:
        for command in (["verify", tmp_path, *list(shop.verify)[2:]], ["inspect", tmp_path]):
            answer = console(*command)
            assert answer.code == 2
            assert "is a folder" in answer.refusal()

    @pytest.mark.parametrize("name", ["absent.json", "absent/proof.json", "file/below", "n" * 300])
    def test_nothing(self, console: Console, shop: Shop, tmp_path: Path, name: str) -> None:
        (tmp_path / "file").touch()
        answer = console("verify", tmp_path / name, *list(shop.verify)[2:])
        assert answer.code == 2
        assert "no such file" in answer.refusal() or "so long a name" in answer.refusal()

    def test_a_socket(self, console: Console, shop: Shop) -> None:
        # The name of a socket has to be short.
        where = Path(os.path.relpath(console.home / "socket"))
        with socket.socket(socket.AF_UNIX) as listening:
            listening.bind(str(where))
            answer = console("verify", where, *list(shop.verify)[2:])
        assert answer.code == 74
        assert answer.refusal().startswith(str(where))

    def test_a_pipe_is_read_to_its_end(self, console: Console, shop: Shop, tmp_path: Path) -> None:
        pipe = tmp_path / "pipe"
        for data, code in [(shop.proof.read_bytes(), 0), (b"", 2)]:
            pipe.unlink(missing_ok=True)
            os.mkfifo(pipe)
            writer = threading.Thread(target=pipe.write_bytes, args=(data,), daemon=True)
            writer.start()
            assert console("verify", pipe, *list(shop.verify)[2:]).code == code
            writer.join(10)

    @pytest.mark.skipif(not Path("/dev/zero").exists(), reason="there is no /dev/zero")
    def test_what_never_ends(self, console: Console, shop: Shop) -> None:
        no_proof(console("verify", "/dev/zero", *list(shop.verify)[2:]))
        answer = console("verify", shop.proof, "--key", "/dev/zero", "--account", shop.account)
        assert answer.code == 2
        assert "does not hold a verifier key" in answer.refusal()

    @pytest.mark.skipif(not Path("/proc/self/mem").exists(), reason="there is no /proc")
    def test_what_fails_while_it_is_read(self, console: Console, shop: Shop) -> None:
        command = ["verify", "/proc/self/mem", *list(shop.verify)[2:]]
        answer = console(*command)
        assert answer.code == 74
        assert answer.refusal().startswith("/proc/self/mem: ")
        assert console(*command, "--format", "json").json()["verdict"] == "error"

    @pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
    def test_what_may_not_be_read(self, console: Console, shop: Shop, tmp_path: Path) -> None:
        path = tmp_path / "proof.json"
        path.touch(0)
        answer = console("verify", path, *list(shop.verify)[2:])
        assert answer.code == 74
        assert answer.refusal().startswith(str(path))


SLOTS: dict[str, Callable[[Shop, Path, Path], list[object]]] = {
    "policy of init": lambda shop, new, file: [
        *("venue", "init", new, "--key", shop.key, "--policy", file)
    ],
    "key of init": lambda shop, new, file: [
        *("venue", "init", new, "--key", file, "--policy", shop.books / "policy.toml")
    ],
    "policy": lambda shop, new, file: published(shop, "policy", "--policy", file),
    "books": lambda shop, new, file: published(shop, "snapshot", "--books", file),
    "pools": lambda shop, new, file: published(shop, "fund", "--pools", file),
    "event": lambda shop, new, file: published(shop, "loss", "--event", file),
    "books of recovery": lambda shop, new, file: published(
        shop, "recovery", "--event", "crash-btc-1", "--amount", "0.1", "--books", file
    ),
    "key": lambda shop, new, file: published(
        shop, "fund", "--pools", shop.books / "pools.toml", "--key", file
    ),
    "key to show": lambda shop, new, file: ["key", "show", file],
    "key to pin": lambda shop, new, file: ["trust", "add", file],
    "key to verify by": lambda shop, new, file: [
        *("verify", shop.proof, "--key", file, "--account", shop.account)
    ],
    "accounts": lambda shop, new, file: [
        *("prove", "--venue", shop.venue, "--accounts", file, "-o", new.parent)
    ],
    "venue": lambda shop, new, file: ["prove", "--venue", file, "--account", shop.account],
}


def published(shop: Shop, *words: object) -> list[object]:
    return ["publish", *words, "--venue", shop.venue]


def tree(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def refused(console: Console, command: list[object]) -> None:
    """Two, in one clear line or in one object; a list of refused accounts says it first."""
    answer = console(*command)
    assert answer.code == 2
    if answer.out:
        assert answer.page().startswith("ERROR: ")
    else:
        assert answer.refusal()
    assert console(*command, "--format", "json").json()["verdict"] == "error"


class TestPublishersFiles:
    @pytest.mark.parametrize("name", DOCUMENTS)
    @pytest.mark.parametrize("slot", SLOTS)
    def test_a_document_that_is_none_of_theirs(
        self, console: Console, shop: Shop, slot: str, name: str, tmp_path: Path
    ) -> None:
        file, new = tmp_path / "hostile.toml", tmp_path / "out/venue"
        new.parent.mkdir()
        file.write_bytes(DOCUMENTS[name])
        before = tree(shop.root)
        refused(console, SLOTS[slot](shop, new, file))
        assert tree(shop.root) == before
        assert list(new.parent.iterdir()) == []

    @pytest.mark.parametrize("slot", SLOTS)
    def test_a_folder_nothing_and_what_is_below_a_file(
        self, console: Console, shop: Shop, slot: str, tmp_path: Path
    ) -> None:
        new = tmp_path / "out/venue"
        new.parent.mkdir()
        for file in (tmp_path, tmp_path / "absent"):
            refused(console, SLOTS[slot](shop, new, file))
        below = console(*SLOTS[slot](shop, new, shop.proof / "below"))
        assert below.code in (2, 74)
        assert f"{shop.proof / 'below'}" in below.refusal()
        assert list(new.parent.iterdir()) == []

    @pytest.mark.parametrize("paint", PAINT)
    @pytest.mark.parametrize("name", ["policy", "books", "pools", "event"])
    def test_paint_in_any_string_is_never_shown(
        self, console: Console, shop: Shop, name: str, paint: str, tmp_path: Path
    ) -> None:
        shutil.copytree(shop.books, tmp_path / "books")
        path = tmp_path / f"books/{name}.toml"
        lines = path.read_text().splitlines()
        painted = json.dumps(PAINT[paint]).replace("\\u007f", "\\u007F")
        for number, line in enumerate(lines):
            if '"' not in line:
                continue
            first, _, rest = line.partition('"')
            path.write_text(
                "\n".join(
                    [
                        *lines[:number],
                        first + painted + rest.partition('"')[2],
                        *lines[number + 1 :],
                    ]
                ),
                "utf-8",
            )
            refused(console, SLOTS[name](shop, tmp_path / "new", path))

    @pytest.mark.parametrize("ending", ["csv", "parquet", "arrow"])
    @pytest.mark.parametrize("name", [name for name in DOCUMENTS if name != "junk"])
    def test_a_table_that_is_none(
        self, console: Console, shop: Shop, ending: str, name: str, tmp_path: Path
    ) -> None:
        (tmp_path / f"hostile.{ending}").write_bytes(DOCUMENTS[name])
        books = (shop.books / "books.toml").read_text()
        path = tmp_path / "books.toml"
        path.write_text(books.replace("accounts.parquet", f"hostile.{ending}"))
        refused(console, published(shop, "snapshot", "--books", path))

    def test_a_table_of_junk(self, console: Console, shop: Shop, tmp_path: Path) -> None:
        # In a process of its own: pyarrow drops exceptions in its callbacks over such rows.
        (tmp_path / "hostile.csv").write_bytes(JUNK)
        path = tmp_path / "books.toml"
        books = (shop.books / "books.toml").read_text()
        path.write_text(books.replace("accounts.parquet", "hostile.csv"))
        answer = console.process(*published(shop, "snapshot", "--books", path))
        assert answer.code == 2
        assert "hostile.csv" in answer.refusal()

    @pytest.mark.parametrize(
        ("cell", "problem"),
        [
            ("1.5,x", "row 2"),
            ("-1", "row 2"),
            ("1e3", "row 2"),
            ("", "row 2"),
            ("0.000000001", "row 2"),
            ("\x1b[2J", "row 2"),
            ("340282366920938463463374607431768211456", "row 2"),
        ],
    )
    def test_an_amount_that_is_none_is_named_by_row_column_and_value(
        self, console: Console, shop: Shop, cell: str, problem: str, tmp_path: Path
    ) -> None:
        (tmp_path / "table.csv").write_text(f"account,btc_margin\na,1\nb,{cell}\n")
        path = tmp_path / "books.toml"
        books = (shop.books / "later.toml").read_text()
        path.write_text(books.replace("an-hour-later.parquet", "table.csv"))
        answer = console(*published(shop, "snapshot", "--books", path))
        assert answer.code == 2
        assert "table.csv" in answer.refusal()
        assert problem in answer.refusal()
