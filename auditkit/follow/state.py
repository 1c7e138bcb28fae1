"""The follower's own folder, by which it holds today's log against yesterday's.

    follower.json    what it remembers; this one file decides, and is replaced last
    checkpoint       the newest head it saw; checkpoints/ has every one
    tile/            every entry up to that head, and the hashes over them
    venue.vkey       the key it was told
    new/             what an interrupted round has fetched; nobody believes it
    follower.lock    held while a follower is at work, and the sign that the folder is one's

It holds two marks. `head` is the newest head that is signed, extends all heads
before it, and whose every hash was recomputed: no other history is accepted
after it. `checked` is how many of its entries were found without a breach of
any rule; it stays below the first breach. What was checked once is not
checked again, since nobody else writes here: who can change the folder can
change the program too. Damage by accident is noticed by the hashes.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Self

from auditkit.errors import DamagedError, InputError, place
from auditkit.files import write_file
from auditkit.follow.disk import locked
from auditkit.follow.mirror import Mirror, Stage
from auditkit.verify.elements import (
    COUNT,
    Element,
    Record,
    element,
    list_of,
    one_of,
    record,
    text_matching,
)
from auditkit.verify.errors import Malformed
from auditkit.verify.note import Checkpoint, VerifierKey
from auditkit.verify.proof import CHECKPOINT
from auditkit.verify.strictjson import dumps, loads

FILE = "follower.json"
LOCK = "follower.lock"
FORMAT = "auditkit/follower/1"
SUM = "sha256"


def _vkey(value: object) -> VerifierKey:
    return VerifierKey.parse(value if isinstance(value, str) else "")


@dataclass(frozen=True, slots=True)
class Known(Record):
    """A breach that was reported: its rule and the seq of its entry."""

    rule: str = element(text_matching("[a-z-]{1,32}", "a rule"))
    seq: int = element(COUNT)


@dataclass(frozen=True, slots=True)
class Memory(Record):
    """What a follower remembers of a log.

    `kept` are the seqs, below `checked`, of the entries that later ones may be
    held to. `reported` are the breaches that stand beyond `checked`, and
    `accepted` those that its owner told it to pass. `version` is the auditkit
    that checked: another one may know more rules, and checks all again.
    """

    format: str = element(one_of(FORMAT))
    key: VerifierKey = element(Element(_vkey, str))
    head: Checkpoint = element(CHECKPOINT)
    checked: int = element(COUNT)
    kept: tuple[int, ...] = element(list_of(COUNT, by=lambda seq: seq))
    reported: tuple[Known, ...] = element(list_of(record(Known)))
    accepted: tuple[Known, ...] = element(list_of(record(Known)))
    version: str = element(text_matching("[!-~]{1,64}", "a version"))

    def __post_init__(self) -> None:
        if self.checked > self.head.size or (self.kept and self.kept[-1] >= self.checked):
            raise Malformed("it remembers more than its head has")


class State:
    """An opened and locked state folder; `memory` is None before the first round."""

    def __init__(self, root: Path, memory: Memory | None) -> None:
        self.root = root
        self.memory = memory
        self.mirror = Mirror(root, memory.head if memory else None)

    @classmethod
    @contextmanager
    def opened(cls, root: Path) -> Iterator[Self]:
        """Open the folder, made if it is not there, while no other follower uses it.

        Raises InputError if it is something else, DamagedError if it cannot be read.
        """
        try:
            root.mkdir(exist_ok=True)
        except FileExistsError:
            raise InputError(f"--state: {place(root)}: is a file, not a folder") from None
        except FileNotFoundError:
            raise InputError(f"--state: {place(root.parent)}: no such folder") from None
        if not (root / LOCK).is_file() and any(root.iterdir()):
            raise InputError(
                f"--state: {place(root)}: is no state of a follower; name a new or empty folder"
            )
        with locked(root / LOCK, "another follower is at work with it; try again later"):
            yield cls(root, remembered(root))

    def stage(self) -> Stage:
        """Where a round puts what it fetches."""
        return Stage(self.mirror)

    def advance(self, memory: Memory, stage: Stage) -> None:
        """Remember a new head, whose files are in `stage`.

        A crash at any moment leaves the old memory or the new, each with its files.
        """
        head, before = memory.head, self.mirror.size
        stage.accept()
        note = str(head.note).encode()
        named = {f"checkpoints/{head.size}": note} if self._is_new(head) else {}
        named |= {"venue.vkey": f"{memory.key}\n".encode(), "checkpoint": note}
        for name, data in named.items():
            path = self.root / name
            if not path.is_file() or path.read_bytes() != data:
                write_file(path, data)
        write_file(self.root / FILE, _encoded(memory))
        self.memory = memory
        self.mirror = Mirror(self.root, head)
        self.mirror.tidy(before)

    def _is_new(self, head: Checkpoint) -> bool:
        """Whether no head of that size was seen before; its file stays as it was then."""
        return not (self.root / "checkpoints" / str(head.size)).is_file()


def _encoded(memory: Memory) -> bytes:
    """The file: one JSON object with a checksum, by which damage by accident is noticed."""
    value = memory.write()
    return dumps({**value, SUM: _sum(value)}).encode("ascii") + b"\n"


def _sum(value: dict[str, object]) -> str:
    return sha256(dumps(value).encode("ascii")).hexdigest()


def read_memory(path: Path) -> Memory:
    """What the file remembers. Raises Malformed."""
    try:
        text = path.read_bytes().decode("ascii")
    except UnicodeDecodeError:
        raise Malformed("not ASCII") from None
    value = loads(text)
    if not isinstance(value, dict) or value.pop(SUM, None) != _sum(value):
        raise Malformed("it does not fit its checksum")
    memory = Memory.read(value)
    if _encoded(memory).decode("ascii") != text:
        raise Malformed("it is not as a follower writes it")
    return memory


def remembered(root: Path) -> Memory | None:
    """What the follower of that folder remembers. Raises DamagedError."""
    path = root / FILE
    if not path.is_file():
        return None
    try:
        return read_memory(path)
    except Malformed as error:
        raise DamagedError(
            f"{place(path)}: cannot be read: {error}; follow from nothing into a new folder"
        ) from None
