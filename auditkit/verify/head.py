"""The checkpoint under the pinned key, and what was verified last (SPEC.md §7, step 3)."""

from auditkit.verify import history
from auditkit.verify.errors import Malformed, Refuted, Step
from auditkit.verify.note import Checkpoint, VerifierKey
from auditkit.verify.proof import Proof
from auditkit.verify.statements import Key


def check_checkpoint(
    step: Step, file: Proof, key: VerifierKey, head: Checkpoint | None, since: int | None
) -> None:
    """The file's checkpoint is signed by `key`, and extends and is newer than what came before."""
    checkpoint = file.checkpoint
    checkpoint.open(key)
    # Each key is checked once: a signature costs more than anything else a file can ask for.
    signers = {key}
    for change in (s for s in file.shown().values() if isinstance(s, Key)):
        for signer in _also_signed_by(checkpoint, key, change):
            if signer not in signers:
                checkpoint.note.check(signer)
                signers.add(signer)
    step.note(f"{checkpoint.origin}, {checkpoint.size} entries, key {key.id.hex()}")
    if since is not None and checkpoint.size <= since:
        step.missing(
            "the checkpoint is older than what was verified last",
            expected=f"above {since} entries",
            found=checkpoint.size,
        )
    if head is not None:
        _check_extends(step, file, head)


def _also_signed_by(
    checkpoint: Checkpoint, key: VerifierKey, change: Key
) -> tuple[VerifierKey, ...]:
    """Whose lines a change of key demands beside the pinned key's, where it touches that key."""
    if key not in (change.old, change.new) or checkpoint.size <= change.seq:
        return ()
    if checkpoint.size <= change.retire:
        return (change.old, change.new)
    if key == change.old:
        raise Refuted(
            "the pinned key is retired",
            # The new key is not named: nothing has shown yet that the entry is in the log.
            expected=f"at most {change.retire} entries",
            found=f"{checkpoint.size} entries",
        )
    return ()


def _check_extends(step: Step, file: Proof, head: Checkpoint) -> None:
    now = file.checkpoint
    if head.origin != now.origin:
        raise Malformed(
            "the earlier head is of another venue", expected=now.origin, found=head.origin
        )
    if now.size < head.size:
        step.missing(
            "the checkpoint is older than what was verified last",
            expected=f"at least {head.size} entries",
            found=now.size,
        )
        return
    if now.size == head.size:
        if now.root != head.root:
            raise Refuted(
                "two histories: another root at the size verified last",
                expected=head.root.hex(),
                found=now.root.hex(),
            )
        return
    paths = {extension.size: extension.path for extension in file.consistency}
    if head.size not in paths:
        step.missing(
            "no consistency from the head verified last",
            expected=f"consistency from size {head.size}",
            found=", ".join(map(str, paths)) or "none",
        )
        return
    history.check_consistency(head.size, head.root, now.size, now.root, paths[head.size])
    step.note(f"extends the head of {head.size} entries verified last")
