"""A log that asks to be witnessed, and a witness on a real socket: for every test of either.

    log = Watched()
    log.grow(5)
    with serving(tmp_path / "w") as witness:
        status, kind, text = witness.post(log.request(0))

The log is built with tests/reference.py, which shares no code with what it is shown to.
"""

import base64
import http.client
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from reference import Signer, checkpoint, log_extension

from auditkit.verify.note import VerifierKey
from auditkit.witness.keys import Cosigner, CosignerFile
from auditkit.witness.server import MAX_CONNECTIONS, Server
from auditkit.witness.state import State
from auditkit.witness.witness import Answer, Witness

ORIGIN = "exchange.example/audit"
NOON = 1_760_097_600
PATIENCE = 60.0


@dataclass
class Watched:
    """A log of made-up entries and its key."""

    origin: str = ORIGIN
    phrase: str = "watched log"
    entries: list[bytes] = field(default_factory=list)

    @property
    def signer(self) -> Signer:
        return Signer(self.origin, self.phrase)

    @property
    def key(self) -> VerifierKey:
        return VerifierKey.parse(self.signer.vkey)

    def grow(self, to: int, word: str = "entry") -> "Watched":
        """The same log, with so many entries."""
        self.entries += [f"{word} {i}".encode() for i in range(len(self.entries), to)]
        return self

    def forked(self, at: int, to: int) -> "Watched":
        """Another log with the first `at` entries of this one, signed by the same key."""
        return Watched(self.origin, self.phrase, self.entries[:at]).grow(to, "another")

    def head(self, size: int | None = None, *more: Signer) -> str:
        """The signed checkpoint of the first `size` entries."""
        return checkpoint(self.origin, self.entries[:size], self.signer, *more)

    def path(self, old: int, size: int | None = None) -> list[bytes]:
        """The consistency path between two sizes; none from 0."""
        return log_extension(old, self.entries[:size]) if old else []

    def request(self, old: int, size: int | None = None) -> bytes:
        """An honest request."""
        return body(old, self.path(old, size), self.head(size))


def body(old: object, path: Sequence[bytes], head: str) -> bytes:
    """A request of these parts, whether they fit or not."""
    lines = [f"old {old}", *(base64.b64encode(node).decode() for node in path)]
    return ("\n".join(lines) + f"\n\n{head}").encode()


@dataclass
class Serving:
    """A witness that listens on this machine."""

    server: Server
    witness: Witness
    folder: Path
    answers: list[Answer]

    @property
    def address(self) -> tuple[str, int]:
        return "127.0.0.1", int(self.server.server_address[1])

    @property
    def vkey(self) -> str:
        return str(self.witness.verifier)

    @property
    def url(self) -> str:
        return self.server.url

    def heard(self, count: int) -> list[Answer]:
        """What the server said, once it has said so much; that comes after the answers."""
        until = time.monotonic() + PATIENCE
        while len(self.answers) < count:
            assert time.monotonic() < until, self.answers
            time.sleep(0.001)
        return self.answers

    def gone(self) -> None:
        """Wait until every connection has ended, each thread in its own time."""
        until = time.monotonic() + PATIENCE
        while self.server._until or self.server._slots._value < MAX_CONNECTIONS:
            assert time.monotonic() < until
            time.sleep(0.001)

    def post(self, data: bytes, path: str = "/add-checkpoint") -> tuple[int, str, str]:
        """The status, the content type and the text of the answer."""
        with closing(http.client.HTTPConnection(*self.address, timeout=PATIENCE)) as connection:
            connection.request("POST", path, data)
            answer = connection.getresponse()
            text = answer.read().decode()
            return answer.status, answer.getheader("Content-Type", ""), text


def make(folder: Path, name: str = "auditor.example/witness") -> Path:
    """A new witness's key file and empty state; the folder of both."""
    folder.mkdir(parents=True, exist_ok=True)
    cosigner = Cosigner.generate(name)
    cosigner.write(folder / "key.pem", None)
    State.init(folder / "state", cosigner.verifier)
    return folder


@contextmanager
def opened(folder: Path, *logs: VerifierKey, now: int = NOON) -> Iterator[Witness]:
    """The witness of a folder; it is made where there is none yet."""
    if not folder.exists():
        make(folder)
    cosigner = CosignerFile(folder / "key.pem").open(None)
    with State(folder / "state", cosigner.verifier) as state:
        yield Witness(cosigner, state, logs or (Watched().key,), lambda: now)


@contextmanager
def serving(folder: Path, *logs: VerifierKey, now: int = NOON) -> Iterator[Serving]:
    """The same, listening; nothing listens any more after the block."""
    answers: list[Answer] = []
    with opened(folder, *logs, now=now) as witness:
        server = Server(witness, "127.0.0.1", 0, answers.append)
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield Serving(server, witness, folder, answers)
        finally:
            server.shutdown()
            server.server_close()
            thread.join()
