"""What somebody gave to a command that takes files of another kind, and where that belongs."""

import json

from auditkit.errors import InputError
from auditkit.verify import fork, proof
from auditkit.verify.errors import Malformed, NotVerified, Unsupported
from auditkit.verify.note import Checkpoint, VerifierKey

KEY, CHECKPOINT = "a verifier key", "a checkpoint"
PROOF, EVIDENCE = "a proof file", "the evidence of a fork"
BUNDLE = "an entry bundle"
_FORMATS = {proof.FORMAT: PROOF, fork.FORMAT: EVIDENCE}
_BELONGS = {
    KEY: "give it with --key, or pin it with auditkit trust add",
    CHECKPOINT: "look at it with auditkit inspect, or at two with auditkit compare",
    PROOF: "check it with auditkit verify",
    EVIDENCE: "check it with auditkit verify-fork",
}


def seen(error: NotVerified, data: bytes, *wanted: str) -> tuple[NotVerified, str]:
    """The refusal of a file that is plainly of no kind wanted, and what to do; else `error`, ""."""
    names = " or ".join(wanted)
    if isinstance(error, Malformed | Unsupported):
        kind = _kind(data)
        if kind is not None and kind not in wanted:
            what = f"this is {kind}, not {names}"
            return Malformed(what, step=error.step), _BELONGS[kind]
        if kind is None and not _perhaps_proof(data):
            return error, f"give {names}; if this should be one, fetch it again"
    return error, ""


def refuse_other(name: str, error: NotVerified, data: bytes, *wanted: str) -> None:
    """Raises InputError if a file that could not be read is plainly of no kind wanted."""
    found, advice = seen(error, data, *wanted)
    if found is not error:
        raise InputError(f"{name}: {found.what}; {advice}") from None


def _perhaps_proof(data: bytes) -> bool:
    """Whether a file may be a proof or evidence, if only a piece of one."""
    return data.lstrip(b" \t\r\n")[:1] == b"{"


def _kind(data: bytes) -> str | None:
    """What a file is, by all that can be seen without believing it."""
    try:
        if _perhaps_proof(data):
            found = json.loads(data).get("format")
            return _FORMATS.get(found) if isinstance(found, str) else None
        text = data.decode("utf-8")
    except (ValueError, RecursionError):
        return None
    for kind, parse in ((KEY, VerifierKey.parse), (CHECKPOINT, Checkpoint.parse)):
        try:
            parse(text.strip() if kind == KEY else text)
        except NotVerified:
            continue
        return kind
    return None
