"""`auditkit key rotate`, and what customers do about it: `prove --for-key`, `trust update`."""

import base64
import json
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from console import Answer, Console
from Crypto.PublicKey import ECC
from reference import Signer as Stranger

from auditkit.publish.keys import Signer

ORIGIN = "exchange.example/audit"
WORDS = ("sentinel of the first key", "sentinel of the second key")


class Shop:
    """A venue that was made by commands, with a key file and its passphrase."""

    def __init__(self, console: Console, folder: Path) -> None:
        self.console, self.folder = console, folder
        self.venue = folder / "venue"
        self.keys = [folder / "first.pem", folder / "second.pem", folder / "third.pem"]
        self.words = [folder / "first.txt", folder / "second.txt"]
        for path, words in zip(self.words, WORDS, strict=True):
            path.write_text(f"{words}\n")
        self.vkeys = [self.new_key(path, min(at, 1)) for at, path in enumerate(self.keys)]
        (folder / "policy.toml").write_text('[assets]\nBTC = 8\n[pools.BTC]\nasset = "BTC"\n')
        (folder / "balances.csv").write_text("account,btc\nanna,5\nbert,3\n")
        (folder / "books.toml").write_text(
            '[source]\nfiles = ["balances.csv"]\naccount = "account"\n'
            '[[ledger]]\nasset = "BTC"\ncolumn = "btc"\n'
        )

    def new_key(self, path: Path, words: int) -> str:
        about = ("-o", path, "--passphrase-file", self.words[words])
        made = self.console("key", "new", ORIGIN, *about, "--format", "json")
        return str(made.json()["vkey"])

    def init(self) -> "Shop":
        about = ("--policy", self.folder / "policy.toml", "--passphrase-file", self.words[0])
        done(self.console("venue", "init", self.venue, "--key", self.keys[0], *about))
        done(self.snapshot(0))
        return self

    def secrets(self, *which: int) -> list[object]:
        return [part for n in which for part in ("--passphrase-file", self.words[n])]

    def snapshot(self, *words: int, about: tuple[object, ...] = ()) -> Answer:
        """Publish two entries, with these passphrases given."""
        books = ("--books", self.folder / "books.toml")
        where = ("publish", "snapshot", "--venue", self.venue, *books)
        return self.console(*where, *self.secrets(*words), *about)

    def rotate(self, *about: object, words: tuple[int, ...] = (0, 1), new: int = 1) -> Answer:
        where = ("key", "rotate", "--venue", self.venue, "--new-key", self.keys[new])
        return self.console(*where, *about, *self.secrets(*words))

    def prove(self, *about: object) -> Path:
        path = self.folder / f"proof-{len(list(self.folder.iterdir()))}.json"
        where = ("prove", "--venue", self.venue, "--account", "anna", "-o", path)
        done(self.console(*where, *about))
        return path

    def verify(self, proof: Path, *about: object) -> Answer:
        return self.console("verify", proof, "--account", "anna", *about)

    def checkpoint(self) -> str:
        return (self.venue / "public/checkpoint").read_text()


def done(answer: Answer) -> Answer:
    assert answer.code == 0, answer
    assert not any(words in answer.out + answer.err for words in WORDS)
    return answer


def refused(answer: Answer, *fragments: str) -> None:
    assert answer.code == 2, answer
    for fragment in fragments:
        assert fragment in answer.refusal()
    assert not any(words in answer.err for words in WORDS)


def key_id(vkey: str) -> str:
    return vkey.split("+")[1]


@pytest.fixture
def shop(console: Console, tmp_path: Path) -> Shop:
    return Shop(console, tmp_path).init()


class TestRotating:
    def test_it_says_who_signs_how_long_and_what_the_new_key_is(self, shop: Shop) -> None:
        said = done(shop.rotate("--retire-after", 2)).flat()
        old, new = shop.vkeys[:2]
        assert f"signed by {ORIGIN} {key_id(old)} and {key_id(new)}" in said
        assert "up to 8 entries both keys sign" in said
        assert f" {new}," in said
        assert shop.checkpoint().count("\n— ") == 2

    def test_as_json(self, shop: Shop) -> None:
        found = done(shop.rotate("--retire", 9, "--format", "json")).json()
        [change, index] = found["entries"]
        assert (change["kind"], index["kind"]) == ("key", "index")
        assert (change["old"], change["new"], change["retire"]) == (*shop.vkeys[:2], 9)

    def test_how_long_both_sign_has_to_be_said_in_one_way(self, shop: Shop) -> None:
        refused(shop.rotate(), "give either --retire or --retire-after")
        refused(shop.rotate("--retire", 9, "--retire-after", 2), "give either --retire or")
        for number in (-1, "x", 1.5):
            refused(shop.rotate("--retire", number), "Invalid value for '--retire'")
            refused(shop.rotate("--retire-after", number), "Invalid value for '--retire-after'")
        refused(shop.rotate("--retire", 5), "--retire: 5 is too small", "of 6 entries")

    def test_what_is_no_new_key_is_refused(self, shop: Shop, tmp_path: Path) -> None:
        last = ("--retire-after", 2)
        refused(shop.rotate(*last, new=0), "--new-key: is the venue's key already")
        shop.console("key", "new", "other.example", "-o", tmp_path / "o.pem", *shop.secrets(1))
        shop.keys.append(tmp_path / "o.pem")
        refused(shop.rotate(*last, new=-1), "is a key of other.example, not of")
        shop.keys.append(tmp_path / "absent.pem")
        refused(shop.rotate(*last, new=-1), "absent.pem: no such file")
        shop.keys.append(tmp_path / "books.toml")
        refused(shop.rotate(*last, new=-1), "not a key file of auditkit's")
        assert not (shop.venue / "public/keys").exists()

    def test_a_second_change_has_to_wait(self, shop: Shop) -> None:
        done(shop.rotate("--retire-after", 2))
        refused(shop.rotate("--retire-after", 2, new=2), "lasts up to 8 entries")
        done(shop.snapshot(0, 1))
        done(shop.rotate("--retire-after", 2, new=2, words=(1,)))

    def test_nothing_is_at_hand_for_the_old_key(self, shop: Shop) -> None:
        before = shop.checkpoint()
        refused(shop.rotate("--retire-after", 2, words=(1,)), "first.pem: cannot be opened")
        refused(shop.rotate("--retire-after", 2, words=(0,)), "second.pem: cannot be opened")
        refused(shop.rotate("--retire-after", 2, words=()), "a passphrase is needed")
        shop.keys[0].rename(shop.folder / "moved.pem")
        refused(shop.rotate("--retire-after", 2), "first.pem: no such file")
        assert shop.checkpoint() == before
        done(shop.rotate("--retire-after", 2, "--key", shop.folder / "moved.pem"))


class TestPublishingMeanwhile:
    def test_both_passphrases_are_given_in_any_order(self, shop: Shop) -> None:
        done(shop.rotate("--retire-after", 4, words=(1, 0)))
        done(shop.snapshot(0, 1))
        refused(shop.snapshot(0), "second.pem: cannot be opened")
        done(shop.snapshot(1, 0))
        assert shop.checkpoint().count("\n— ") == 2

    def test_the_old_key_is_not_asked_for_once_it_has_retired(self, shop: Shop) -> None:
        done(shop.rotate("--retire-after", 1))
        shop.keys[0].unlink()
        assert f"signed by {ORIGIN} {key_id(shop.vkeys[1])} " in done(shop.snapshot(1)).flat()
        assert shop.checkpoint().count("\n— ") == 1

    def test_one_passphrase_may_fit_both(self, shop: Shop) -> None:
        """And then the environment is enough, as cron has it."""
        shop.keys[1].unlink()
        shop.vkeys[1] = shop.new_key(shop.keys[1], 0)
        shop.console.variables["AUDITKIT_PASSPHRASE"] = WORDS[0]
        done(shop.rotate("--retire-after", 2, words=()))
        done(shop.snapshot())

    def test_both_come_on_standard_input(self, shop: Shop) -> None:
        done(shop.rotate("--retire-after", 2))
        books = ("--books", shop.folder / "books.toml")
        twice = ("--passphrase-file", "-") * 2
        stdin = "".join(f"{words}\n" for words in WORDS).encode()
        where = ("publish", "snapshot", "--venue", shop.venue, *books)
        done(shop.console(*where, *twice, stdin=stdin))

    def test_both_are_asked_for_on_a_terminal(self, shop: Shop) -> None:
        done(shop.rotate("--retire-after", 2))
        where = ("--venue", shop.venue, "--books", shop.folder / "books.toml")
        keys = [
            (f"Passphrase for {path}: ", f"{words}\n")
            for path, words in zip(shop.keys, WORDS, strict=False)
        ]
        answer = shop.console.terminal("publish", "snapshot", *where, keys=keys)
        assert answer.code == 0, answer
        assert not any(words in answer.out for words in WORDS)

    def test_key_files_that_moved_are_named_one_by_one(self, shop: Shop) -> None:
        done(shop.rotate("--retire-after", 4))
        moved = [path.rename(path.with_suffix(".moved")) for path in shop.keys[:2]]
        about = ("--key", moved[1], "--key", moved[0])
        done(shop.snapshot(0, 1, about=about))
        refused(shop.snapshot(0, 1, about=about[:2]), "first.pem: no such file")
        refused(shop.snapshot(0, 1, about=("--key", shop.keys[2])), "but the venue's key is")

    def test_a_new_key_has_one_passphrase(self, shop: Shop, tmp_path: Path) -> None:
        answer = shop.console("key", "new", ORIGIN, "-o", tmp_path / "k", *shop.secrets(0, 1))
        refused(answer, "--passphrase-file: is given twice")


class TestCustomers:
    def test_whoever_pinned_the_old_key_follows_the_venue_to_the_new_one(self, shop: Shop) -> None:
        console, (old, new) = shop.console, shop.vkeys[:2]
        done(console("trust", "add", old))
        before = shop.prove()
        done(shop.rotate("--retire-after", 2))
        for _ in range(2):
            done(shop.snapshot(0, 1))
        after = shop.prove()
        failed = shop.verify(after)
        assert (failed.code, failed.verdict) == (1, "FAILED")
        assert "auditkit trust update" in failed.flat()
        for proof, code in ((before, 3), (after, 1)):
            answer = console("trust", "update", proof, "--account", "anna")
            assert answer.code == code, answer
            assert pinned(console) == old
        for_old = shop.prove("--for-key", old)
        said = shop.verify(for_old).flat()
        assert f"beyond 8 entries only {new} signs." in said
        assert "auditkit trust update FILE --account anna" in said
        updated = console("trust", "update", for_old, "--account", "anna")
        assert updated.page().startswith("VERIFIED, and pinned")
        assert f"\n{new}\n" in updated.page()
        assert pinned(console) == new
        done(shop.verify(after))
        done(shop.verify(before, "--key", old))
        again = console("trust", "update", for_old, "--account", "anna")
        assert (again.code, "already" in again.page()) == (0, True)
        assert pinned(console) == new

    def test_as_json(self, shop: Shop) -> None:
        done(shop.console("trust", "add", shop.vkeys[0]))
        about = ("--account", "anna", "--format", "json")
        found = shop.console("trust", "update", shop.prove(), *about).json()
        assert (found["verdict"], found["exit_code"]) == ("not checked", 3)
        done(shop.rotate("--retire-after", 2))
        found = shop.console("trust", "update", shop.prove(), *about).json()
        assert (found["verdict"], found["venue"]) == ("pinned", ORIGIN)
        assert (found["old"], found["new"]) == tuple(shop.vkeys[:2])
        assert (found["seq"], found["retire"]) == (4, 8)

    def test_nothing_but_a_verified_file_moves_a_pin(self, shop: Shop, tmp_path: Path) -> None:
        """Not another account's, not one whose entry was swapped, not one under another key."""
        console = shop.console
        done(console("trust", "add", shop.vkeys[0]))
        done(shop.rotate("--retire-after", 2))
        proof = shop.prove("--for-key", shop.vkeys[0])
        given = json.loads(proof.read_text())
        stranger = Stranger(ORIGIN, "somebody else")
        forged = json.loads(json.dumps(given).replace(shop.vkeys[1], stranger.vkey))
        unsigned = json.loads(json.dumps(given))
        first, _, rest = given["checkpoint"].rpartition("— ")
        unsigned["checkpoint"] = first
        assert rest
        for name, content in {"forged": forged, "unsigned": unsigned}.items():
            path = tmp_path / f"{name}.json"
            path.write_text(json.dumps(content))
            answer = console("trust", "update", path, "--account", "anna")
            assert answer.code == 1, answer
            assert pinned(console) == shop.vkeys[0]
        for account, code in (("bert", 1), ("-", 2), ("", 2)):
            assert console("trust", "update", proof, "--account", account).code == code
            assert pinned(console) == shop.vkeys[0]

    def test_without_a_pin_there_is_nothing_to_update(self, shop: Shop) -> None:
        answer = shop.console("trust", "update", shop.prove(), "--account", "anna")
        refused(answer, f"no key of {ORIGIN} is pinned; pin it with auditkit trust add")

    def test_a_file_for_no_key_of_the_venue_is_not_made(self, shop: Shop) -> None:
        where = ("prove", "--venue", shop.venue, "--account", "anna", "--for-key")
        refused(shop.console(*where, shop.vkeys[2]), "was never a key of this venue's")
        refused(shop.console(*where, "nonsense"), "--for-key: not a verifier key")

    def test_a_newcomer_finds_the_key_that_the_checkpoint_names(self, shop: Shop) -> None:
        done(shop.rotate("--retire-after", 0))
        done(shop.snapshot(1))
        public = shop.venue / "public"
        line = shop.checkpoint().splitlines()[-1].split(" ")[2]
        named = base64.b64decode(line)[:4].hex()
        done(shop.verify(shop.prove(), "--key", public / f"keys/{named}.vkey"))
        assert (public / "venue.vkey").read_text().strip() == shop.vkeys[0]


def pinned(console: Console) -> str:
    return console("trust", "list").page().strip()


class TestCommands:
    """Keys that auditkit does not hold."""

    @pytest.fixture
    def pem(self, tmp_path: Path) -> Path:
        Signer.generate(ORIGIN).write(tmp_path / "held.pem", None)
        path = tmp_path / "held"
        path.write_text((tmp_path / "held.pem").read_text().partition("\n")[2])
        return path

    @pytest.fixture
    def command(self, pem: Path) -> str:
        program = (
            "import sys; from Crypto.PublicKey import ECC; from Crypto.Signature import eddsa; "
            f"key = ECC.import_key(open({str(pem)!r}).read()); "
            "sys.stdout.buffer.write(eddsa.new(key, 'rfc8032').sign(sys.stdin.buffer.read()))"
        )
        return shlex.join([sys.executable, "-c", program])

    @pytest.fixture
    def vkey(self, console: Console, pem: Path, tmp_path: Path) -> str:
        public = tmp_path / "public.pem"
        public.write_text(ECC.import_key(pem.read_text()).public_key().export_key(format="PEM"))
        return done(console("key", "vkey", ORIGIN, "--public-key", public)).out.strip()

    def test_the_verifier_key_of_a_public_key(
        self, console: Console, vkey: str, pem: Path, tmp_path: Path
    ) -> None:
        assert console("key", "show", tmp_path / "held.pem").page().strip() == vkey
        data = subprocess.run([sys.executable, "-c", DER, pem], capture_output=True, check=True)
        about = ("key", "vkey", ORIGIN, "--public-key", "-", "--format", "json")
        assert console(*about, stdin=data.stdout).json()["vkey"] == vkey

    def test_what_is_no_public_key_is_refused(
        self, console: Console, pem: Path, tmp_path: Path
    ) -> None:
        where = ("key", "vkey", ORIGIN)
        other = tmp_path / "other.pem"
        other.write_text(ECC.generate(curve="P-256").public_key().export_key(format="PEM"))
        refused(console(*where), "give either --public-key or --pkcs11")
        refused(console(*where, "--public-key", pem), "holds a private key; give the public one")
        refused(console(*where, "--public-key", other), "not of Ed25519")
        refused(console(*where, "--public-key", tmp_path / "policy"), "no such file")
        other.write_text("nonsense")
        refused(console(*where, "--public-key", other), "not a public key in PEM or DER")

    def test_a_venue_is_made_and_published_by_a_command(
        self, shop: Shop, vkey: str, command: str, pem: Path
    ) -> None:
        shop.venue = shop.folder / "another"
        about = ("--policy", shop.folder / "policy.toml", "--signer-command", command)
        done(shop.console("venue", "init", shop.venue, "--key", vkey, *about))
        said = json.loads((shop.venue / "venue.json").read_text())
        assert said["signers"] == {vkey: {"command": command}}
        done(shop.snapshot())
        done(shop.verify(shop.prove(), "--key", vkey))
        before = shop.checkpoint()
        pem.unlink()
        failed = shop.console.process(
            "publish", "snapshot", "--venue", shop.venue, "--books", shop.folder / "books.toml"
        )
        assert failed.code == 2
        assert failed.out == ""
        assert failed.err.endswith("ERROR: --signer-command: ended in 1\n")
        assert shop.checkpoint() == before

    def test_a_venue_changes_to_a_command(self, shop: Shop, vkey: str, command: str) -> None:
        shop.keys[1] = vkey  # type: ignore[call-overload]
        last = ("--retire-after", 0, "--signer-command", command)
        done(shop.rotate(*last, words=(0,)))
        done(shop.snapshot())
        assert key_id(vkey) in done(shop.snapshot()).flat()

    def test_a_key_moves_behind_a_command_and_back(
        self, shop: Shop, vkey: str, command: str, tmp_path: Path
    ) -> None:
        shop.keys[1] = tmp_path / "held.pem"
        done(shop.rotate("--retire-after", 0, words=(0,)))
        where = ("venue", "signer", "--venue", shop.venue, "--key")
        found = shop.console(*where, vkey, "--signer-command", command, "--format", "json").json()
        assert (found["vkey"], found["kind"], found["where"]) == (vkey, "command", command)
        shop.keys[1].rename(tmp_path / "back.pem")
        done(shop.snapshot())
        done(shop.console(*where, tmp_path / "back.pem"))
        done(shop.snapshot())
        refused(shop.console(*where, vkey, "--signer-command", "true"), "printed 0 bytes")
        refused(shop.console(*where, shop.keys[2], *shop.secrets(1)), "is no key that signs for")
        done(shop.snapshot())

    def test_options_that_exclude_each_other(self, shop: Shop, vkey: str, command: str) -> None:
        where = ("venue", "init", shop.folder / "v", "--policy", shop.folder / "policy.toml")
        both = ("--signer-command", command, "--pkcs11", "pkcs11:")
        refused(shop.console(*where, "--key", vkey, *both), "exclude each other")
        alone = ("--signer-command", command, "--key", shop.keys[0])
        refused(shop.console(*where, *alone), "--key: ", "does not hold a verifier key")
        assert not (shop.folder / "v").exists()


DER = (
    "import sys; from Crypto.PublicKey import ECC; "
    "key = ECC.import_key(open(sys.argv[1]).read()).public_key(); "
    "sys.stdout.buffer.write(key.export_key(format='DER'))"
)
