"""Make proofs/ anew: the demo venue as it is published, honest files, and one file per lie.

    python tools/make_proofs.py

The signing key is made from a phrase in this repository, so anybody can sign
with it: it is for these files and for nothing else.
"""

import json
import shutil
import sys
import tempfile
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path

from Crypto.PublicKey import ECC

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "tools")]

from lies import ACCOUNT, LIES, NAME, SEED, Lie  # noqa: E402

from auditkit import demo  # noqa: E402
from auditkit.cli.main import main  # noqa: E402
from auditkit.keyfile import SigningKey  # noqa: E402
from auditkit.publish.keys import Signer  # noqa: E402
from auditkit.verify import check  # noqa: E402
from auditkit.verify.elements import TIME  # noqa: E402
from auditkit.verify.errors import NotVerified  # noqa: E402

START = TIME.read("2025-10-10T20:00:00.000Z")


def demo_signer() -> Signer:
    """The key of proofs/: the simulator's first key under the same name and seed."""
    seed = sha256(f"test key {SEED} 0".encode()).digest()
    return Signer(NAME, SigningKey(ECC.construct(curve="Ed25519", seed=seed)))


def play(folder: Path) -> None:
    """Play the demo with that key, and without its verifications."""

    def command(arguments: Sequence[str]) -> int:
        if list(arguments[:2]) == ["key", "new"]:
            demo_signer().write(Path(arguments[arguments.index("-o") + 1]), None)
            return 0
        if arguments[0] == "verify":
            return 1 if "forged" in arguments[1] else 0
        return main([*arguments, "--format", "json"])

    if not demo.run(folder, START, command, lambda line: None):
        raise SystemExit("the demo did not end well")


def write_lie(folder: Path, lie: Lie, key: str) -> None:
    """Write one broken file and what must be said of it, after having it said."""
    made = lie.make()
    data = (made if isinstance(made, str) else json.dumps(made, indent=1)).encode()
    try:
        check.verify(data, key, ACCOUNT, since=lie.since)
        found, step = "ok", ""
    except NotVerified as error:
        found, step = error.verdict, error.step
    if (found, step) != (lie.expect, lie.step):
        raise SystemExit(f"{lie.name}: is {found} at step {step}, not {lie.expect} at {lie.step}")
    target = folder / lie.name
    target.mkdir(parents=True)
    (target / "proof.json").write_bytes(data)
    expect: dict[str, object] = {
        "account": ACCOUNT,
        "expect": lie.expect,
        "step": lie.step,
        "why": lie.why,
    }
    if lie.since is not None:
        expect["since"] = lie.since
    (target / "expect.json").write_text(json.dumps(expect, indent=1) + "\n")


def build(target: Path) -> None:
    """Build everything in a new folder."""
    with tempfile.TemporaryDirectory() as name:
        play(Path(name))
        shutil.copytree(Path(name) / "venue/public", target / "public")
        for account in (*demo.CUSTOMERS, *demo.OTHERS):
            shutil.copy(Path(name) / f"proofs/{account}.json", target / f"{account}.json")
            (target / f"{account}.json").chmod(0o644)
    shutil.copy(target / "public/venue.vkey", target / "venue.vkey")
    key = (target / "venue.vkey").read_text().strip()
    for lie in LIES:
        write_lie(target / "broken", lie, key)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory(dir=ROOT) as draft:
        build(Path(draft))
        published = ROOT / "proofs"
        for path in published.iterdir() if published.exists() else ():
            if path.name != "README.md":
                shutil.rmtree(path) if path.is_dir() else path.unlink()
        for path in Path(draft).iterdir():
            shutil.move(path, published / path.name)
    print(f"{len(LIES)} lies in {published / 'broken'}")
