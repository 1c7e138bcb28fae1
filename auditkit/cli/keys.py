"""Commands for exchanges whose keys change, or stay where nobody can copy them."""

from typing import Annotated

import typer

from auditkit.cli.customer import FORMAT
from auditkit.cli.files import read_bytes
from auditkit.cli.options import KEY, PASSPHRASE, SIGNER, TIMED, TOKEN, VENUE, told
from auditkit.cli.passphrase import Passphrases
from auditkit.cli.result import Code, Format, Result
from auditkit.cli.signing import new_signer, open_signers
from auditkit.cli.terminal import Page
from auditkit.errors import InputError

_LIMIT = 1 << 14
ORIGIN = Annotated[
    str, typer.Argument(metavar="ORIGIN", help="The venue, such as exchange.example/audit.")
]


def key_vkey(
    origin: ORIGIN,
    public_key: Annotated[
        str | None,
        typer.Option(metavar="FILE|-", help="The public key, in PEM or DER, as OpenSSL writes it."),
    ] = None,
    pkcs11: TOKEN = None,
    form: FORMAT = Format.TEXT,
) -> int:
    """Print the verifier key of a key that auditkit does not hold: of an HSM, a KMS, a token."""
    from auditkit.publish import publickey, tokenkey

    if (public_key is None) == (pkcs11 is None):
        raise InputError("give either --public-key or --pkcs11")
    if pkcs11 is not None:
        public = tokenkey.public_key(tokenkey.KeyURI.parse(pkcs11))
    else:
        public = publickey.read(read_bytes(str(public_key), _LIMIT), str(public_key))
    verifier = publickey.named(origin, public)
    page = Page()
    page.exact(verifier)
    return Result(Code.OK, "shown", page, {"vkey": str(verifier)}).show(form)


def key_rotate(
    folder: VENUE,
    new_key: Annotated[
        str, typer.Option(metavar="FILE|VKEY", help="The new key's file, made with key new.")
    ],
    retire: Annotated[
        int | None,
        typer.Option(metavar="SIZE", min=0, help="The last size of the log the old key signs."),
    ] = None,
    retire_after: Annotated[
        int | None,
        typer.Option(metavar="N", min=0, help="The same, in entries after the change."),
    ] = None,
    key: KEY = None,
    signer_command: SIGNER = None,
    pkcs11: TOKEN = None,
    passphrase_file: PASSPHRASE = None,
    time: TIMED = None,
    form: FORMAT = Format.TEXT,
) -> int:
    """Change the venue's key: both keys sign for a while, then only the new one."""
    from auditkit.cli.published import show_published
    from auditkit.publish import rotation
    from auditkit.publish.venue import Venue

    if (retire is None) == (retire_after is None):
        raise InputError("give either --retire or --retire-after: how long both keys sign")
    start, last = told(time), rotation.Retire(retire, retire_after or 0)
    passphrases = Passphrases(passphrase_file)
    with Venue(folder) as opened:
        signers = open_signers(opened, key, passphrases)
        new, place = new_signer(new_key, signer_command, pkcs11, "--new-key", passphrases)
        with opened.publishing(signers.beside(new), start) as draft:
            change = rotation.publish(draft, new.verifier, last)
            opened.learn(new.verifier, place)
    note = (
        f"up to {change.retire} entries both keys sign, so keep both at hand; then only the new "
        f"one, {change.new}, which everybody should hear of now"
    )
    return show_published(folder, change.seq, [note], form)


def venue_signer(
    folder: VENUE,
    key: Annotated[str, typer.Option(metavar="FILE|VKEY", help="The key file where it is now.")],
    signer_command: SIGNER = None,
    pkcs11: TOKEN = None,
    passphrase_file: PASSPHRASE = None,
    form: FORMAT = Format.TEXT,
) -> int:
    """Tell a venue where a key of it is kept now. The log stays as it is."""
    from auditkit.publish.venue import Venue

    passphrases = Passphrases(passphrase_file)
    signer, place = new_signer(key, signer_command, pkcs11, "--key", passphrases)
    with Venue(folder) as opened:
        opened.move(signer, place)
    page = Page()
    page.line(
        f"Key {signer.verifier.id.hex()} of {signer.verifier.name} is kept there from now on."
    )
    data = {"vkey": str(signer.verifier), "kind": place.kind, "where": place.where}
    return Result(Code.OK, "written", page, data).show(form)
