"""Commands for exchanges that have witnesses: venue witnesses, venue witness-again."""

from typing import Annotated, Any

import typer

from auditkit.cli.customer import FORMAT
from auditkit.cli.files import read_bytes
from auditkit.cli.options import DIR, VENUE_TOO, venue_folder
from auditkit.cli.result import Code, Format, Result
from auditkit.cli.terminal import Page


def venue_witnesses(
    given: DIR = None,
    venue: VENUE_TOO = None,
    policy: Annotated[
        str | None,
        typer.Option(
            metavar="FILE",
            help="A tlog-policy file: the witnesses with their URLs, and how many are wanted. "
            "Left out: show the one there is.",
        ),
    ] = None,
    form: FORMAT = Format.TEXT,
) -> int:
    """Name the witnesses that every later publish asks, and publish the policy."""
    from auditkit.publish.venue import Venue
    from auditkit.publish.witnesses import name_witnesses
    from auditkit.verify.quorum import MAX_BYTES, Quorum

    folder = venue_folder(given, venue)
    data = None if policy is None else read_bytes(policy, MAX_BYTES + 1)
    with Venue(folder) as opened:
        name = opened.public.policy_name()
        if data is not None:
            name = name_witnesses(opened, data)
        text = opened.public.policy()
    read = Quorum.parse(text.encode())
    page = Page()
    page.line(f"The policy of {folder} is public/{name}:")
    for line in text.splitlines():
        page.exact(f"  {line}")
    if data is not None:
        page.line("The next publish asks them.")
    found: dict[str, Any] = {
        "policy": name,
        "text": text,
        "quorum": read.quorum,
        "witnesses": [
            {"name": each.name, "vkey": str(each.key), "url": each.url} for each in read.witnesses
        ],
    }
    return Result(Code.OK, "written" if data is not None else "shown", page, found).show(form)


def venue_witness_again(
    given: DIR = None, venue: VENUE_TOO = None, form: FORMAT = Format.TEXT
) -> int:
    """Ask the witnesses once more for a head that waits for them, and publish it."""
    from auditkit.publish.venue import Venue

    with Venue(venue_folder(given, venue)) as opened:
        before, size = opened.public.checkpoint(), len(opened.history)
        notes = opened.finish()
        waited = before is None or before.size < size
    page = Page()
    if waited:
        page.line(f"PUBLISHED the checkpoint of {size} entries, cosigned.", "good")
    else:
        page.line(f"Nothing waits: the checkpoint of {size} entries is public.")
    for note in notes:
        page.line(f"NOTE: {note}.", "warn")
    found: dict[str, Any] = {"size": size, "waited": waited, "notes": notes}
    return Result(Code.OK, "published", page, found).show(form)
