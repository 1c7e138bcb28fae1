"""`policy`: who has to sign for a checkpoint to count, as a C2SP tlog-policy file (SPEC.md §4)."""

from collections.abc import Sequence

from auditkit.verify.note import VerifierKey

NO_WITNESS = "quorum none\n"


def policy_text(
    logs: Sequence[VerifierKey], witnesses: Sequence[tuple[str, str]] = (), quorum: int = 0
) -> str:
    """The text of the file: the log's keys, (vkey, url) of each witness, and how many must sign.

    An empty url is left out. With a quorum of 0 no witness has to. Witnesses
    are called `w1`, `w2`, ...: a name there has no meaning outside of the file.
    """
    lines = [f"log {key}" for key in logs]
    names = [f"w{number}" for number in range(1, len(witnesses) + 1)]
    for name, (vkey, url) in zip(names, witnesses, strict=True):
        lines.append(f"witness {name} {vkey} {url}".rstrip())
    if not 0 <= quorum <= len(witnesses):
        raise ValueError(f"a quorum of {quorum} among {len(witnesses)} witnesses")
    if not quorum:
        return "\n".join([*lines, NO_WITNESS])
    lines += [f"group witnesses {quorum} {' '.join(names)}", "quorum witnesses"]
    return "\n".join(lines) + "\n"


def with_key(text: str, old: VerifierKey, new: VerifierKey) -> str:
    """The same policy for a log whose key `old` is now `new`."""
    lines = [line.split(" ") for line in text.split("\n")]
    return "\n".join(
        " ".join(["log", str(new), *words[2:]] if words[:2] == ["log", str(old)] else words)
        for words in lines
    )
