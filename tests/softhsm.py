"""A PKCS#11 token of SoftHSM in a folder of its own, with an Ed25519 key made inside of it.

pytestmark = pytest.mark.tool("softhsm2-util")

token = Token(folder)
with token.environment(): ...    what a process needs to see it
token.uri()                      the URI of its key, with its PIN in a file
"""

import os
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from unittest import mock
from urllib.parse import quote

import pytest

PIN = "sentinel PIN of the test"
LABEL = "auditkit test"
KEY = "venue key"
# Where distributions put it.
MODULES = (
    "/usr/lib/softhsm/libsofthsm2.so",
    "/usr/lib64/softhsm/libsofthsm2.so",
    "/usr/lib/pkcs11/libsofthsm2.so",
    "/usr/lib64/pkcs11/libsofthsm2.so",
    "/usr/local/lib/softhsm/libsofthsm2.so",
    "/opt/homebrew/lib/softhsm/libsofthsm2.so",
)
_ED25519 = bytes.fromhex("06032b6570")
"""The object identifier 1.3.101.112."""


def module() -> str:
    """The path of the module; skips, or in a thorough run fails, where a part is missing."""
    say = pytest.fail if os.environ.get("AUDITKIT_THOROUGH") else pytest.skip
    try:
        import pkcs11  # noqa: F401
    except ModuleNotFoundError:
        say("python-pkcs11 is not installed")
    for path in MODULES:
        if Path(path).exists():
            return path
    say("SoftHSM's module is nowhere")
    raise AssertionError


class Token:
    """One token; its key pair stands under the label KEY and the id 01."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.module = folder, module()
        (folder / "tokens").mkdir()
        self.settings = folder / "softhsm2.conf"
        self.settings.write_text(f"directories.tokendir = {folder / 'tokens'}\nlog.level = ERROR\n")
        self.pin_file = folder / "pin"
        self.pin_file.write_text(f"{PIN}\n")
        about = ["--free", "--label", LABEL, "--pin", PIN, "--so-pin", "another PIN"]
        with self.environment():
            command = ["softhsm2-util", "--init-token", *about]
            subprocess.run(command, check=True, capture_output=True)
            self.make_key(KEY, b"\x01")

    @contextmanager
    def environment(self) -> Iterator[None]:
        """SoftHSM finds this token and no other."""
        with mock.patch.dict(os.environ, {"SOFTHSM2_CONF": str(self.settings)}):
            yield

    def make_key(self, label: str, number: bytes) -> None:
        """A new key pair inside of the token."""
        import pkcs11

        token = pkcs11.lib(self.module).get_token(token_label=LABEL)
        with token.open(user_pin=PIN, rw=True) as session:
            curve = {pkcs11.Attribute.EC_PARAMS: _ED25519}
            parameters = session.create_domain_parameters(
                pkcs11.KeyType.EC_EDWARDS, curve, local=True
            )
            parameters.generate_keypair(
                mechanism=pkcs11.Mechanism.EC_EDWARDS_KEY_PAIR_GEN,
                store=True,
                label=label,
                id=number,
            )

    def uri(self, named: Mapping[str, str] | None = None, *, pin: bool = True) -> str:
        """The URI of a key, by default the first; without its PIN if that is to be asked for."""
        told = named or {"token": LABEL, "object": KEY}
        where = ";".join(f"{name}={quote(value)}" for name, value in told.items())
        source = f"&pin-source={quote(str(self.pin_file))}" if pin else ""
        return f"pkcs11:{where}?module-path={self.module}{source}"

    def close(self) -> None:
        """Let go of the module, so that another token can be looked at."""
        import pkcs11

        pkcs11.unload(self.module)
