"""A small exchange and its worst evening, told with the real commands on real files.

Three assets, two books, a crash in BTC: three accounts end below bankruptcy,
deleveraging and the fund cover a part, and everybody with BTC in the margin
book bears the rest. Needs the extra `publish`.
"""

import json
import random
import shlex
from collections.abc import Callable, Sequence
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from auditkit.errors import InputError
from auditkit.verify.elements import time_text

Run = Callable[[Sequence[str]], int]
Say = Callable[[str], None]

VENUE = "demo.example/audit"
EVENT = "crash-btc-1"
CUSTOMERS = ("10007", "10042")
_QUIETLY: dict[str, list[str]] = {CUSTOMERS[0]: [], CUSTOMERS[1]: ["--quiet"]}
_ASSETS = {"BTC": 8, "ETH": 8, "USDT": 6}
_BANKRUPT = {"10003": "1.75", "10019": "0.62500001", "10088": "3.1"}
_DELEVERAGED = {"10011": "0.5", "10054": "0.31415926"}
_MINUTE = 60_000


def write_inputs(folder: Path, start: int) -> None:
    """Write the exchange's own files: tables as Parquet and CSV, and the TOML that maps them.

    `start` is the time of the evening in milliseconds since 1970.
    """
    chance = random.Random("auditkit demo")  # noqa: S311 - Invented balances, no secret.
    accounts = [str(10_000 + n) for n in range(120)]
    columns: dict[str, list[Decimal]] = {}
    for asset, places in _ASSETS.items():
        for book in ("margin", "spot"):
            columns[f"{asset}_{book}".lower()] = [
                _amount(chance, places, 40) if chance.random() < 0.8 else Decimal(0)
                for _ in accounts
            ]
    _write_table(folder / "accounts.parquet", accounts, columns)
    # The crash moves everybody's BTC margin; who is bankrupt has none left.
    crashed = [
        Decimal(0) if account in _BANKRUPT else _amount(chance, 8, 30) for account in accounts
    ]
    later = [_amount(chance, 8, 30) for _ in accounts]
    _write_table(folder / "after-crash.parquet", accounts, {"btc_margin": crashed})
    _write_table(folder / "an-hour-later.parquet", accounts, {"btc_margin": later})
    _write_list(folder / "deficits.csv", _BANKRUPT)
    _write_list(folder / "adl.csv", _DELEVERAGED)
    mapping = [
        f'[[ledger]]\nasset = "{asset}"\nbook = "{book}"\ncolumn = "{asset.lower()}_{book}"\n'
        for asset in _ASSETS
        for book in ("margin", "spot")
    ]
    source = '[source]\nfiles = ["{}"]\naccount = "account"\n\n{}'
    (folder / "books.toml").write_text(source.format("accounts.parquet", "\n".join(mapping)))
    (folder / "equity.toml").write_text(source.format("after-crash.parquet", mapping[0]))
    (folder / "later.toml").write_text(source.format("an-hour-later.parquet", mapping[0]))
    (folder / "policy.toml").write_text(_POLICY)
    (folder / "pools.toml").write_text(_POOLS)
    (folder / "event.toml").write_text(_EVENT.format(time_text(start + 20 * _MINUTE)))


def run(folder: Path, start: int, command: Run, say: Say) -> bool:
    """Play the evening in an empty `folder`; True if everything ended as it must.

    `command` runs one command line and returns its exit code, `say` prints a line.
    """
    if any(folder.iterdir()):
        raise InputError(f"{folder}: is not empty; name a new or empty folder")
    inputs, venue, proofs = folder / "books", folder / "venue", folder / "proofs"
    for new in (inputs, proofs):
        new.mkdir()
    write_inputs(inputs, start)

    def at(minute: int) -> list[str]:
        return ["--venue", str(venue), "--time", time_text(start + minute * _MINUTE)]

    key = str(folder / "demo-key.pem")
    story: list[tuple[str, list[str], int]] = [
        (
            "The exchange makes a key, for this demo without a passphrase.",
            ["key", "new", VENUE, "-o", key, "--no-passphrase"],
            0,
        ),
        (
            "It signs its policy as the first entry of its log.",
            [
                "venue",
                "init",
                str(venue),
                "--key",
                key,
                "--policy",
                str(inputs / "policy.toml"),
                "--time",
                time_text(start),
            ],
            0,
        ),
        (
            "It publishes every customer's balance: one root and total a ledger, no names.",
            ["publish", "snapshot", *at(1), "--books", str(inputs / "books.toml")],
            0,
        ),
        (
            "The insurance fund gets what liquidations left over.",
            ["publish", "fund", *at(2), "--pools", str(inputs / "pools.toml")],
            0,
        ),
        (
            "Three accounts end below bankruptcy. First deleveraging, then the fund, then all.",
            ["publish", "loss", *at(20), "--event", str(inputs / "event.toml")],
            0,
        ),
        (
            "Some of it comes back, and is returned along the same shares.",
            [
                "publish",
                "recovery",
                *at(60),
                "--event",
                EVENT,
                "--amount",
                "0.8",
                "--books",
                str(inputs / "later.toml"),
            ],
            0,
        ),
    ]
    vkey = str(venue / "public/venue.vkey")
    for account, quiet in _QUIETLY.items():
        file = str(proofs / f"{account}.json")
        story += [
            (
                f"Customer {account} is given one file ...",
                [
                    "prove",
                    "--venue",
                    str(venue),
                    "--account",
                    account,
                    "--asset",
                    "BTC",
                    "-o",
                    file,
                ],
                0,
            ),
            (
                "... and checks it, offline, with a key from elsewhere and the account's own name.",
                ["verify", file, "--key", vkey, "--account", account, *quiet],
                0,
            ),
        ]
    forged = str(proofs / "forged.json")
    story.append(
        (
            "Somebody adds one base unit to a balance in such a file.",
            ["verify", forged, "--key", vkey, "--account", CUSTOMERS[0]],
            1,
        )
    )
    for sentence, arguments, expected in story:
        if arguments[1] == forged:
            _forge(proofs / f"{CUSTOMERS[0]}.json", proofs / "forged.json")
        say(f"\n# {sentence}\n$ auditkit {shlex.join(arguments)}")
        code = command(arguments)
        if "--quiet" in arguments:
            say(f"(exit code {code})")
        if code != expected:
            say(f"\nThe demo stops: that ended in {code}, where {expected} is right.")
            return False
    say("\nThe forged file was refused.")
    return True


def _forge(source: Path, target: Path) -> None:
    proof = json.loads(source.read_text("utf-8"))
    leaf = proof["leaves"][0]
    leaf["amount"] = str(int(leaf["amount"]) + 1)
    target.write_text(json.dumps(proof, ensure_ascii=False), "utf-8")


def _amount(chance: random.Random, places: int, whole: int) -> Decimal:
    return Decimal(chance.randrange(whole * 10**places)).scaleb(-places)


def _write_table(path: Path, accounts: list[str], columns: dict[str, list[Decimal]]) -> None:
    arrays = {name: pa.array(values, pa.decimal128(38, 8)) for name, values in columns.items()}
    pq.write_table(pa.table({"account": accounts, **arrays}), path)


def _write_list(path: Path, rows: dict[str, str]) -> None:
    path.write_text("account,amount\n" + "".join(f"{a},{x}\n" for a, x in rows.items()))


_POLICY = """\
[assets]
BTC = 8
ETH = 8
USDT = 6

[pools.BTC]
asset = "BTC"

[pools.USDT]
asset = "USDT"
"""
_POOLS = """\
[[pool]]
pool = "BTC"
open_interest = "1250.5"
credits = [{ kind = "liquidation_surplus", amount = "0.85" }]

[[pool]]
pool = "USDT"
open_interest = "40000000"
credits = [{ kind = "liquidation_fee", amount = "120000.5" }]
"""
_EVENT = f"""\
event = "{EVENT}"
pool = "BTC"
confirmed = "{{}}"
books = "equity.toml"
deficits = "deficits.csv"
adl = "adl.csv"
adl_candidates = 2
adl_exhausted = true

[[mark]]
contract = "BTC-PERP"
sources = {{{{ a = "104782", b = "104783", c = "104790.5" }}}}
"""
