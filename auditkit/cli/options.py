"""Options that several commands for exchanges share."""

from pathlib import Path
from typing import Annotated

import typer

from auditkit.errors import InputError
from auditkit.verify.elements import TIME
from auditkit.verify.errors import Malformed

PANEL = "Publisher"
PASSPHRASE = Annotated[
    list[str] | None,
    typer.Option(
        "--passphrase-file",
        metavar="FILE|-",
        help="Where the passphrase is. May be repeated, where two keys sign.",
    ),
]
VENUE = Annotated[Path, typer.Option("--venue", metavar="DIR", help="The venue's folder.")]
DIR = Annotated[
    Path | None, typer.Argument(metavar="DIR", help="The venue's folder, or give --venue.")
]
VENUE_TOO = Annotated[
    Path | None, typer.Option("--venue", metavar="DIR", help="The venue's folder, instead of DIR.")
]
KEY = Annotated[
    list[Path] | None,
    typer.Option(
        "--key",
        metavar="FILE",
        help="The key file. Left out: the one told to venue init or key rotate. May be repeated, "
        "where two keys sign.",
    ),
]
SIGNER = Annotated[
    str | None,
    typer.Option(
        "--signer-command",
        metavar="CMD",
        help="A command that signs: it reads the text and prints the signature. The key is then "
        "its verifier key.",
    ),
]
TOKEN = Annotated[
    str | None,
    typer.Option(
        "--pkcs11",
        metavar="URI",
        help="The URI of a key in a PKCS#11 token that signs. The key is then its verifier key.",
    ),
]
POLICY = Annotated[
    Path,
    typer.Option("--policy", metavar="FILE", help="policy.toml: assets, pools and what differs."),
]
BOOKS = Annotated[
    Path, typer.Option("--books", metavar="FILE", help="books.toml: where the balances are.")
]
TIMED = Annotated[
    str | None,
    typer.Option(
        "--time",
        metavar="TIME",
        help="The time of the first statement, such as 2025-10-10T21:16:14.831Z; "
        "each further one is a millisecond later. Left out: the clock.",
    ),
]


def told(text: str | None) -> int | None:
    """The time given with --time, in milliseconds. Raises InputError."""
    try:
        return None if text is None else TIME.read(text)
    except Malformed as error:
        raise InputError(f"--time: {error}") from None


def venue_folder(folder: Path | None, venue: Path | None) -> Path:
    """The venue's folder, given as an argument or with --venue. Raises InputError."""
    if folder is not None and venue is not None:
        raise InputError("give the venue's folder once: as DIR or with --venue")
    if (found := folder or venue) is None:
        raise InputError("--venue is missing: the venue's folder")
    return found
