"""Checkpoints that a witness of ours signed, as tools that others wrote see them."""

from foreign import bent
from foreign.toolbox import PROOFS, Question, Tool, assert_told_apart, cosignature, each, vkey
from reference import Signer, b64

from auditkit.verify.cosignature import WitnessKey, cosigned
from auditkit.verify.errors import NotVerified
from auditkit.verify.note import Checkpoint, VerifierKey
from auditkit.witness.keys import Cosigner

NAME = "auditor.example/witness"
NOTE = (PROOFS / "public/checkpoint").read_text("utf-8")
TIME = 1_760_130_000


def lies(line: str, key: str, stranger: str) -> dict[str, Question]:
    """Lies about what the witness signed, and when."""
    text, size, root, _ = bent.parts(NOTE)
    signature = line.split()[2]
    lines = {
        "the time": line.replace(signature, bent.bent(signature, 11)),
        "a much later time": line.replace(signature, bent.bent(signature, 4)),
        "the signature's R": line.replace(signature, bent.bent(signature, 13)),
        "the signature's S": line.replace(signature, bent.bent(signature, 50)),
        "the key's id": line.replace(signature, bent.bent(signature, 1)),
        "another name": line.replace(NAME, "other.example/witness"),
        "no line": "",
        "the log's own line once more": Signer(NAME, "published demo 0").line(text),
    }
    asked = {name: cosignature(NOTE + bad, vkey(), key) for name, bad in lines.items()}
    other = NOTE.replace(b64(root), b64(bent.flipped(root, 1)))
    mine = bent.parts(NOTE)[3]
    unsigned = NOTE.replace(mine, bent.bent(mine, 40))
    asked["another witness"] = cosignature(NOTE + line, vkey(), stranger)
    asked["another root"] = cosignature(other + line, vkey(), key)
    larger = NOTE.replace(f"\n{size}\n", f"\n{size + 1}\n")
    asked["another size"] = cosignature(larger + line, vkey(), key)
    asked["the log's signature is bent"] = cosignature(unsigned + line, vkey(), key)
    return asked


@each("cosignature")
def test_a_witnesss_line_is_read_and_no_bent_one(tool: Tool) -> None:
    ours, stranger = Cosigner.generate(NAME), Cosigner.generate(NAME)
    text = bent.parts(NOTE)[0]
    honest = []
    for time in (1, TIME, 2**40):
        line = f"{ours.cosign(text, time)}\n"
        honest.append(cosignature(NOTE + line, vkey(), str(ours.verifier)))
        # Beside another witness's line, and beside one of a kind that nobody knows.
        others = f"{stranger.cosign(text, time)}\n— grease.example/key AAAAAAAA\n"
        honest.append(cosignature(NOTE + others + line, vkey(), str(ours.verifier)))
    line = f"{ours.cosign(text, TIME)}\n"
    assert_told_apart(tool, honest, lies(line, str(ours.verifier), str(stranger.verifier)))


def test_the_kernel_tells_the_same_lies_apart() -> None:
    ours, stranger = Cosigner.generate(NAME), Cosigner.generate(NAME)
    line = f"{ours.cosign(bent.parts(NOTE)[0], TIME)}\n"

    def seen(asked: Question) -> int | None:
        try:
            checkpoint = Checkpoint.parse(asked["note"])
            checkpoint.open(VerifierKey.parse(asked["key"]))
            return cosigned(checkpoint.note, WitnessKey.parse(asked["witness"]))
        except NotVerified:
            return None

    assert seen(cosignature(NOTE + line, vkey(), str(ours.verifier))) == TIME
    asked = lies(line, str(ours.verifier), str(stranger.verifier))
    assert [name for name, lie in asked.items() if seen(lie) is not None] == []
