"""Honest questions bent into lies, each with a name: what a tool must say no to.

Each lie differs from what is honest in one place. Where it takes a signature to lie,
there is one: `sign` makes the venue's own checkpoint of a size and a root.
"""

import base64
import shutil
from collections.abc import Callable
from pathlib import Path

from foreign.toolbox import Question, checkpoint, consistency, inclusion
from reference import Signer, b64, signed

Sign = Callable[[int, bytes], str]


def flipped(data: bytes, place: int) -> bytes:
    """The bytes with one bit turned."""
    return data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :]


def bent(text: str, place: int) -> str:
    """Base64 of bytes with one bit turned."""
    return b64(flipped(base64.b64decode(text), place))


def parts(note: str) -> tuple[str, int, bytes, str]:
    """A checkpoint's text, size, root, and the base64 of its one signature line."""
    text, _, line = note.partition("\n\n")
    _, size, root = text.split("\n")
    return f"{text}\n", int(size), base64.b64decode(root), line.split()[2]


def of_checkpoint(note: str, key: str) -> dict[str, Question]:
    """Lies about who signed what."""
    text, size, root, line = parts(note)
    name = key.partition("+")[0]
    other = Signer(name, "somebody else")
    claimed = b64(base64.b64decode(line)[:4] + base64.b64decode(other.line(text).split()[2])[4:])
    notes = {
        "the signature's R": note.replace(line, bent(line, 4)),
        "the signature's S": note.replace(line, bent(line, 40)),
        "the key's id": note.replace(line, bent(line, 0)),
        "the size": note.replace(f"\n{size}\n", f"\n{size + 1}\n"),
        "the root": note.replace(b64(root), b64(flipped(root, 7))),
        "another key of that name": signed(text, other),
        "another key that claims the id": note.replace(line, claimed),
        "no signature": f"{text}\n",
        "a text without its end": note.replace("\n\n", "\n"),
    }
    lies = {lie: checkpoint(bad, key) for lie, bad in notes.items()}
    return lies | {"another key is pinned": checkpoint(note, other.vkey)}


def of_inclusion(proof: str, entry: bytes, key: str, sign: Sign) -> dict[str, Question]:
    """Lies about where an entry is, and in which log. The path has at least two hashes."""
    head, _, note = proof.partition("\n\n")
    magic, index, *path = head.split("\n")
    _, size, root, line = parts(note)
    seq = int(index.removeprefix("index "))

    def asked(seq: int, path: list[str], note: str = note, entry: bytes = entry) -> Question:
        text = "\n".join([magic, f"index {seq}", *path])
        return inclusion(f"{text}\n\n{note}", entry, key)

    lies = {
        "another entry": asked(seq, path, entry=flipped(entry, len(entry) // 2)),
        "an entry and a space": asked(seq, path, entry=entry + b" "),
        "the place beside": asked(seq ^ 1, path),
        "a place outside": asked(size, path),
        "a path without its end": asked(seq, path[:-1]),
        "a path and more": asked(seq, [*path, path[-1]]),
        "a path that is swapped": asked(seq, [path[1], path[0], *path[2:]]),
        "another root, signed": asked(seq, path, sign(size, flipped(root, 31))),
        "twice the size, signed": asked(seq, path, sign(4 * size, root)),
        "a signature that is bent": asked(seq, path, note.replace(line, bent(line, 50))),
    }
    for place, node in enumerate(path):
        bad = [*path[:place], bent(node, place), *path[place + 1 :]]
        lies[f"hash {place} of the path"] = asked(seq, bad)
    return lies


def of_consistency(
    older: str, newer: str, path: list[str], key: str, sign: Sign
) -> dict[str, Question]:
    """Lies about what a log was before. The path has at least two hashes."""
    (_, size, root, _), (_, later, after, line) = parts(older), parts(newer)
    lies = {
        "another root before, signed": (sign(size, flipped(root, 0)), newer, path),
        "another root after, signed": (older, sign(later, flipped(after, 0)), path),
        "another size before, signed": (sign(size + 1, root), newer, path),
        "twice the size after, signed": (older, sign(4 * later, after), path),
        "the wrong way round": (newer, older, path),
        "another root of the same size, signed": (sign(later, flipped(after, 9)), newer, []),
        "no path": (older, newer, []),
        "a path without its end": (older, newer, path[:-1]),
        "a path and more": (older, newer, [*path, path[-1]]),
        "a signature that is bent": (older, newer.replace(line, bent(line, 30)), path),
    }
    for place, node in enumerate(path):
        bad = [*path[:place], bent(node, place), *path[place + 1 :]]
        lies[f"hash {place} of the path"] = (older, newer, bad)
    return {lie: consistency(*given, key) for lie, given in lies.items()}


def of_log(public: Path, folder: Path, sign: Sign) -> dict[str, Path]:
    """Copies of a published folder below `folder`, each of which lies in one file.

    Every tile, bundle and checkpoint of the log's last size is bent once, and lost once.
    """
    _, size, root, _ = parts((public / "checkpoint").read_text("utf-8"))
    lies: dict[str, Path] = {}

    def lie(name: str, path: Path, data: bytes | None) -> None:
        copy = folder / str(len(lies))
        shutil.copytree(public, copy)
        target = copy / path.relative_to(public)
        target.unlink() if data is None else target.write_bytes(data)
        lies[f"{name} {path.relative_to(public)}"] = copy

    for path in of_size(public, size):
        data = path.read_bytes()
        lie("a bit of", path, flipped(data, len(data) // 2))
        lie("the end of", path, data[:-1])
        lie("no", path, None)
    head, older = public / "checkpoint", sorted(public.glob("checkpoints/*"), key=_size)
    lie("another root in", head, sign(size, flipped(root, 0)).encode())
    lie("a larger size in", head, sign(size + 1, root).encode())
    lie("an older root in", older[0], sign(_size(older[0]), flipped(root, 3)).encode())
    return lies


def _size(path: Path) -> int:
    return int(path.name)


def of_size(public: Path, size: int) -> list[Path]:
    """The hash tiles and entry bundles that a log of that size is read by."""
    found, width, level = [], size, 0
    while width:
        for number in range(-(-width // 256)):
            wide = min(256, width - 256 * number)
            name = f"{number:03d}" + ("" if wide == 256 else f".p/{wide}")
            kinds = ("entries", "0") if level == 0 else (str(level),)
            found += [public / f"tile/{kind}/{name}" for kind in kinds]
        width, level = width // 256, level + 1
    return found
