"""Writing a new key file: never over another one, encrypted unless that is not wanted."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Protocol

import typer

from auditkit.cli.passphrase import asked_twice
from auditkit.cli.result import Code, Format, Result
from auditkit.cli.terminal import Page
from auditkit.errors import InputError

if TYPE_CHECKING:
    from auditkit.keyfile import Passphrase

OUTPUT = Annotated[
    Path, typer.Option("-o", "--output", metavar="FILE", help="The key file to write.")
]
PLAIN = Annotated[bool, typer.Option("--no-passphrase", help="Leave the key file unencrypted.")]


class NewKey(Protocol):
    """A key that was just made, whoever's it is."""

    verifier: Any

    def write(self, path: Path, passphrase: "Passphrase | None") -> None:
        """Write the key file."""
        ...


def write_key(
    make: Callable[[], NewKey],
    output: Path,
    passphrases: Sequence[str] | None,
    plain: bool,
    whom: str,
    form: Format,
) -> int:
    """Make a key and write its file. `whom` says who is to have the verifier key."""
    if plain and passphrases is not None:
        raise InputError("--no-passphrase and --passphrase-file exclude each other")
    key = make()
    if output.exists():
        raise InputError(f"{output}: exists; a key file is never overwritten")
    key.write(output, None if plain else asked_twice(passphrases))
    page = Page()
    page.line(f"Wrote {output}. Keep it secret and keep a copy. {whom}:")
    page.exact(key.verifier)
    data = {"file": str(output), "vkey": str(key.verifier)}
    return Result(Code.OK, "written", page, data).show(form)
