"""A small exchange and its worst evening, told with the real commands on real files.

Three assets, two books, a crash in BTC: three accounts end below bankruptcy,
deleveraging and the fund cover a part, and everybody with BTC in the margin
book bears the rest. Needs the extra `publish`.
"""

import json
import shlex
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from auditkit.demo.books import EVENT, MINUTE, write
from auditkit.errors import InputError
from auditkit.verify.elements import time_text

Run = Callable[[Sequence[str]], int]
Say = Callable[[str], None]

VENUE = "demo.example/audit"
CUSTOMERS = ("10007", "10042")
OTHERS = ("10011", "10003")
"""One that was deleveraged, and one that was bankrupt."""
_SHOWN = (CUSTOMERS[0], *OTHERS)
_SNAPSHOTS = ("3", "4")
"""The seqs of the snapshots of ETH and USDT; the event brings that of BTC."""


@dataclass(frozen=True, slots=True)
class Act:
    """One command of the story, what it is for, and the exit code that is right."""

    sentence: str
    arguments: list[str]
    code: int = 0


def run(folder: Path, start: int, command: Run, say: Say) -> bool:
    """Play the evening in an empty `folder`; True if everything ended as it must.

    `command` runs one command line and returns its exit code, `say` prints a line.
    """
    if any(folder.iterdir()):
        raise InputError(f"{folder}: is not empty; name a new or empty folder")
    for name in ("books", "proofs"):
        (folder / name).mkdir()
    write(folder / "books", start)
    for act in _story(folder, start):
        say(f"\n# {act.sentence}\n$ auditkit {shlex.join(act.arguments)}")
        code = command(act.arguments)
        if "--quiet" in act.arguments:
            say(f"(exit code {code})")
        if code != act.code:
            say(f"\nThe demo stops: that ended in {code}, where {act.code} is right.")
            return False
    say("\nThe forged file was refused.")
    return True


def _story(folder: Path, start: int) -> Iterator[Act]:
    yield from _exchange(folder, start)
    for account in (*CUSTOMERS, *OTHERS):
        yield from _customer(folder, account)
    yield from _auditor(folder)
    forged = folder / "proofs/forged.json"
    _forge(folder / f"proofs/{CUSTOMERS[0]}.json", forged)
    yield Act(
        "Somebody adds one base unit to a balance in such a file.",
        ["verify", str(forged), "--key", _vkey(folder), "--account", CUSTOMERS[0]],
        code=1,
    )


def _vkey(folder: Path) -> str:
    return str(folder / "venue/public/venue.vkey")


def _exchange(folder: Path, start: int) -> Iterator[Act]:
    key, venue, books = str(folder / "demo-key.pem"), str(folder / "venue"), folder / "books"

    def at(minute: int) -> list[str]:
        return ["--time", time_text(start + minute * MINUTE)]

    later = str(books / "later.toml")

    def publish(kind: str, minute: int, *given: str) -> list[str]:
        return ["publish", kind, "--venue", venue, *at(minute), *given]

    yield Act(
        "The exchange makes a key, for this demo without a passphrase.",
        ["key", "new", VENUE, "-o", key, "--no-passphrase"],
    )
    yield Act(
        "It signs its policy as the first entry of its log.",
        ["venue", "init", venue, "--key", key, "--policy", str(books / "policy.toml"), *at(0)],
    )
    yield Act(
        "It publishes every customer's balance: one root and total a ledger, no names.",
        publish("snapshot", 1, "--books", str(books / "books.toml")),
    )
    yield Act(
        "The insurance fund gets what liquidations left over.",
        publish("fund", 2, "--pools", str(books / "pools.toml")),
    )
    yield Act(
        "Bitcoin falls, and three accounts end below bankruptcy. From positions and marks to "
        "equities: first deleveraging, then the fund, then all.",
        publish("event", 20, "--event", str(books / "event.toml")),
    )
    yield Act(
        "A minute later the fund's next entry books what was drawn.",
        publish("fund", 21, "--pools", str(books / "pools-after.toml")),
    )
    yield Act(
        "Some of it comes back, and is returned along the same shares.",
        publish(
            "recovery",
            60,
            "--event",
            EVENT,
            "--amount",
            "0.8",
            "--books",
            later,
        ),
    )


def _customer(folder: Path, account: str) -> Iterator[Act]:
    file = str(folder / f"proofs/{account}.json")
    prove = ["prove", "--venue", str(folder / "venue"), "--account", account, "--asset", "BTC"]
    quiet = [] if account in _SHOWN else ["--quiet"]
    yield Act(f"Customer {account} is given one file ...", [*prove, "-o", file])
    yield Act(
        "... and checks it, offline, with a key from elsewhere and the account's own name.",
        ["verify", file, "--key", _vkey(folder), "--account", account, *quiet],
    )


def _auditor(folder: Path) -> Iterator[Act]:
    handover, books = str(folder / "handover"), folder / "books"
    yield Act(
        "An auditor is handed the ledgers of that evening, of every asset, and their secrets ...",
        [
            "venue",
            "handover",
            "--venue",
            str(folder / "venue"),
            "--event",
            EVENT,
            *(part for seq in _SNAPSHOTS for part in ("--seq", seq)),
            "-o",
            handover,
        ],
    )
    yield Act(
        "... and recomputes everything from the books: positions, marks, fills, journal. One "
        "finding fails, and rightly so: the fund is empty now, below the threshold of the policy.",
        [
            "audit",
            "all",
            "--public",
            str(folder / "venue/public"),
            "--key",
            _vkey(folder),
            "--handover",
            handover,
            "--books",
            str(books / "books.toml"),
            "--event",
            str(books / "event.toml"),
            "--seed",
            "five dice: 4 2 6 1 3",
        ],
        code=1,
    )


def _forge(source: Path, target: Path) -> None:
    proof = json.loads(source.read_text("utf-8"))
    leaf = proof["leaves"][0]
    leaf["amount"] = str(int(leaf["amount"]) + 1)
    target.write_text(json.dumps(proof, ensure_ascii=False), "utf-8")
