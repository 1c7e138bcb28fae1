"""The files that prove writes: one, one an account, several in order, or shards for everybody."""

import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from auditkit.cli.result import Code, Format, Result
from auditkit.cli.terminal import Page, write_bytes
from auditkit.errors import InputError, place

if TYPE_CHECKING:
    from auditkit.publish.proofs import Prover
    from auditkit.publish.venue import Venue

_SHOWN = 20


def written(data: bytes, output: str | None, form: Format, entries: int | None = None) -> int:
    """Print a proof file, or write it where it is to be; of a log of `entries`, where known."""
    from auditkit.files import write_file
    from auditkit.verify.proof import Proof

    if output in (None, "-"):
        write_bytes(data)
        return Code.OK
    target = Path(str(output))
    if target.is_dir():
        raise InputError(f"{output}: is a folder; name a file")
    if not target.parent.is_dir():
        raise InputError(f"-o: {place(target.parent)}: no such folder; make it first")
    # A device, a pipe or a link would be replaced by the file, not written to.
    if os.path.lexists(target) and (target.is_symlink() or not target.is_file()):
        raise InputError(f"{output}: is there and is no ordinary file; name another, or use -")
    write_file(target, data, 0o600)
    page = Page()
    size = Proof.parse(data).checkpoint.size
    of = "" if entries is None else f" of the log's {entries}"
    page.line(
        f"Wrote {output}: {len(data)} bytes, verified, under the checkpoint of {size}{of} entries. "
        "It is private to that customer."
    )
    found = {"file": str(output), "bytes": len(data), "size": size, "log_size": entries}
    return Result(Code.OK, "written", page, found).show(form)


def write_shards(opened: "Venue", assets: list[str], output: str | None) -> Result:
    from auditkit.publish import shards

    if output in (None, "-"):
        raise InputError("-o: name a new folder for the shards")
    leaves, files = shards.write(opened, assets, Path(str(output)))
    page = Page()
    page.line(
        f"Wrote {output}: {leaves} leaves in {files} shards. They hold every balance, so keep them "
        "as you keep the books."
    )
    page.line(f"One customer's file: auditkit prove --from {output} --account NAME -o FILE")
    data = {"folder": str(output), "leaves": leaves, "shards": files}
    return Result(Code.OK, "written", page, data)


def from_shards(
    folder: Path | None,
    given: Path,
    account: str | None,
    assets: list[str],
    output: str | None,
    form: Format,
) -> int:
    from auditkit.publish import shards

    if folder is not None or account is None or assets:
        raise InputError("--from goes with --account, and with neither --venue nor --asset")
    return written(shards.prove(given, account), output, form)


def new_folder(output: str | None, account: str | None) -> Path:
    """The folder for the files of one account. Raises InputError if it holds anything."""
    folder = Path(output or "-")
    if account is None:
        raise InputError("--slices and --most cut the stretch of one account; name it: --account")
    if output in (None, "-") or (folder.exists() and not folder.is_dir()):
        raise InputError("-o: name a folder, for the files of the account in their order")
    if folder.is_dir() and any(folder.iterdir()):
        raise InputError(f"{output}: is not empty; name a new folder")
    return folder


def write_slices(
    opened: "Venue",
    prover: "Prover",
    account: str,
    assets: list[str],
    slices: int | None,
    most: int | None,
    folder: Path,
) -> Result:
    from auditkit.files import write_file
    from auditkit.publish.slices import Slicer

    slicer = Slicer(opened, prover, account, assets)
    found = slicer.of(most) if most else slicer.into(slices or 1)
    folder.mkdir(exist_ok=True)
    page = Page()
    page.line(
        f"{len(found)} files written to {folder}, each verified. They are private to that "
        "customer, who verifies them in this order:"
    )
    rows = []
    for number, part in enumerate(found, 1):
        path = folder / f"{number:04d}.json"
        write_file(path, part.data, 0o600)
        page.item(
            f"{path.name}: {len(part.data)} bytes, after index {part.since}, under the checkpoint "
            f"of {part.size} entries"
        )
        rows.append(
            {
                "file": str(path),
                "bytes": len(part.data),
                "since": part.since,
                "size": part.size,
            }
        )
    return Result(Code.OK, "written", page, {"folder": str(folder), "files": rows})


def write_many(
    prover: "Prover", accounts: Path, names: Path, output: str | None, assets: list[str]
) -> Result:
    from auditkit.files import write_file
    from auditkit.publish.proofs import file_name

    folder = Path(output or "")
    if output is None or (folder.exists() and not folder.is_dir()):
        raise InputError("-o: name a folder, for one file an account")
    # Looked through once before anything is written, and read again a line at a time.
    count = 0
    for line in _lines(names):
        count += 1
        if not line.isascii():
            raise InputError(f"{accounts}: line {count}: not ASCII, so no account name")
    if not count:
        raise InputError(f"{accounts}: names no account")
    folder.mkdir(exist_ok=True)
    refused = []
    for number, line in enumerate(_lines(names), 1):
        name = line.decode("ascii")
        try:
            data = prover.prove(name, assets)
        except InputError as error:
            refused.append(f"{accounts}: line {number}: {error}")
            continue
        write_file(folder / file_name(name), data, 0o600)
    page = Page()
    written = f"{count - len(refused)} files written to {folder}, each verified."
    if refused:
        page.line(f"ERROR: {len(refused)} of {count} accounts were refused. {written}", "bad")
    else:
        page.line(written)
    for problem in refused[:_SHOWN]:
        page.item(problem)
    if len(refused) > _SHOWN:
        page.item(f"and {len(refused) - _SHOWN} more; --format json lists them all")
    code = Code.USAGE if refused else Code.OK
    found = {"written": count - len(refused), "refused": refused}
    return Result(code, "error" if refused else "written", page, found)


def _lines(accounts: Path) -> Iterator[bytes]:
    """The lines of a file, without their ends."""
    try:
        with accounts.open("rb") as file:
            for line in file:
                yield line.rstrip(b"\r\n")
    except FileNotFoundError:
        raise InputError(f"{accounts}: there is no such file") from None
    except IsADirectoryError:
        raise InputError(f"{accounts}: is a folder; name a file of account names") from None


@contextmanager
def kept(accounts: Path) -> Iterator[Path]:
    """A file that can be read twice: what comes on standard input is kept in one meanwhile."""
    if str(accounts) != "-":
        yield accounts
        return
    with tempfile.NamedTemporaryFile() as file:
        shutil.copyfileobj(sys.stdin.buffer, file)
        file.flush()
        yield Path(file.name)
