"""The customer's proof file (SPEC.md §7)."""

import json
from dataclasses import dataclass
from typing import Any, Self

from auditkit.verify import elements as e
from auditkit.verify import statements
from auditkit.verify.elements import Element, Record, element, list_of, record, text_matching
from auditkit.verify.errors import Malformed, Unsupported
from auditkit.verify.history import MAX_PATH
from auditkit.verify.note import Checkpoint, decode_base64, encode_base64
from auditkit.verify.statements import Statement
from auditkit.verify.strictjson import loads
from auditkit.verify.sumtree import NODE_BYTES, Node

FORMAT = "auditkit/proof/1"
MAX_BYTES = 1 << 20

_NODE = text_matching(rf"[0-9a-f]{{{2 * NODE_BYTES}}}", "48 bytes as 96 lower-case hex digits")


def _read_log_path(value: object) -> tuple[bytes, ...]:
    path: tuple[bytes, ...] = _HASHES.read(value)
    if len(path) > MAX_PATH:
        raise Malformed(f"more than {MAX_PATH} path hashes", found=len(path))
    return path


def _read_checkpoint(value: object) -> Checkpoint:
    if not isinstance(value, str):
        raise Malformed("not a checkpoint")
    return Checkpoint.parse(value)


_HASHES = list_of(Element(lambda value: decode_base64(value, 32), encode_base64))
LOG_PATH = Element(_read_log_path, _HASHES.write)
_LEDGER_PATH = list_of(
    Element(lambda v: Node.decode(bytes.fromhex(_NODE.read(v))), lambda node: node.encode().hex())
)
CHECKPOINT = Element(_read_checkpoint, lambda checkpoint: str(checkpoint.note))
_STATEMENT = Element(lambda v: _read_statement(v), Statement.encode)


def _read_statement(value: object) -> Statement:
    if not isinstance(value, str):
        raise Malformed("not a statement's text")
    return statements.parse(value)


@dataclass(frozen=True, slots=True)
class Entry(Record):
    """A log entry: its index in the log, the statement, its RFC 9162 inclusion path."""

    seq: int = element(e.COUNT)
    text: Statement = element(_STATEMENT)
    path: tuple[bytes, ...] = element(LOG_PATH)


@dataclass(frozen=True, slots=True)
class Leaf(Record):
    """One of the account's leaves: where it stands, its amount in base units, salt and path."""

    seq: int = element(e.COUNT)
    book: str = element(e.BOOK)
    index: int = element(e.COUNT)
    amount: int = element(e.AMOUNT)
    salt: bytes = element(e.HASH)
    path: tuple[Node, ...] = element(_LEDGER_PATH)


@dataclass(frozen=True, slots=True)
class Extension(Record):
    """The consistency path from an earlier head of `size` entries to the file's checkpoint."""

    size: int = element(e.COUNT)
    path: tuple[bytes, ...] = element(LOG_PATH)


@dataclass(frozen=True, slots=True)
class Proof(Record):
    """Everything one customer is shown. Nothing in it is believed before `check.verify`."""

    account: str = element(e.ACCOUNT)
    checkpoint: Checkpoint = element(CHECKPOINT)
    statements: tuple[Entry, ...] = element(list_of(record(Entry), by=lambda entry: entry.seq))
    leaves: tuple[Leaf, ...] = element(list_of(record(Leaf)))
    consistency: tuple[Extension, ...] = element(list_of(record(Extension), by=lambda x: x.size))

    def __post_init__(self) -> None:
        for extension in self.consistency:
            if not 0 < extension.size < self.checkpoint.size:
                raise Malformed(
                    "consistency from a size that is not below the checkpoint's",
                    expected=f"1 to {self.checkpoint.size - 1}",
                    found=extension.size,
                )

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """Read a proof file. Raises Unsupported before Malformed, whatever stands first."""
        if len(data) > MAX_BYTES:
            raise Malformed("a proof file of more than 1 MiB", found=f"{len(data)} bytes")
        try:
            value = loads(data.decode("utf-8"))
        except UnicodeDecodeError:
            raise Malformed("a proof file is UTF-8") from None
        if not isinstance(value, dict):
            raise Malformed("not a proof file: not a JSON object")
        _check_supported(value)
        if value.pop("format", None) != FORMAT:
            raise Malformed("not a proof file: no format", expected=FORMAT)
        return cls.read({"consistency": [], **value})

    def encode(self) -> bytes:
        """The file: one JSON object, indented, UTF-8."""
        value = {"format": FORMAT, **Record.write(self)}
        if not self.consistency:
            del value["consistency"]
        return (json.dumps(value, ensure_ascii=False, indent=1) + "\n").encode()

    def shown(self) -> dict[int, Statement]:
        """The statements by the seq that the file gives them."""
        return {entry.seq: entry.text for entry in self.statements}


def _check_supported(value: dict[str, Any]) -> None:
    name = value.get("format")
    if isinstance(name, str) and name != FORMAT:
        raise Unsupported(
            "a proof of a format this version does not know", expected=FORMAT, found=name
        )
    entries = value.get("statements")
    for entry in entries if isinstance(entries, list) else []:
        if isinstance(entry, dict) and isinstance(text := entry.get("text"), str):
            statements.check_supported(text)
