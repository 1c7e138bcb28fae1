"""An exchange whose publishing asks witnesses: honest ones, and servers that only pose as one.

exchange = Witnessed(tmp_path)
with serving(tmp_path / "w", exchange.signer.verifier) as honest, posing(silence) as odd:
    exchange.name({"W": honest.url, "L": odd.url(vkey)}, "group Q 1 W L", "Q")
"""

import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field

from exchange import Exchange
from reference import Witness
from watched import Serving

from auditkit.publish import fund
from auditkit.publish.draft import Draft
from auditkit.publish.venue import Venue
from auditkit.publish.witnesses import name_witnesses
from auditkit.verify.note import Checkpoint
from auditkit.verify.quorum import Quorum

Pose = Callable[[bytes], bytes | Iterator[bytes] | None]
"""What comes back for a request's body: an answer's bytes, or in parts; None: never any."""


@dataclass
class Posing:
    """A server on this machine that says what it likes."""

    port: int
    key: Witness
    bodies: list[bytes] = field(default_factory=list)
    left: threading.Event = field(default_factory=threading.Event)
    """Set once somebody has gone without the whole answer."""

    @property
    def vkey(self) -> str:
        return self.key.vkey

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


def http(status: int, body: bytes, *headers: str) -> bytes:
    """An answer of HTTP."""
    head = [f"HTTP/1.1 {status} Whatever", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join([*head, "", ""]).encode() + body


@contextmanager
def posing(pose: Pose, name: str = "odd.example") -> Iterator[Posing]:
    """A server that poses as a witness; nothing listens any more after the block."""
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        found = Posing(server.getsockname()[1], Witness(name, f"key of {name}"))
        open_ones: list[socket.socket] = []

        def more(connection: socket.socket) -> bytes:
            data = connection.recv(1 << 16)
            if not data:
                raise ConnectionResetError
            return data

        def answer(connection: socket.socket) -> None:
            data = b""
            try:
                while b"\r\n\r\n" not in data:
                    data += more(connection)
                head, _, body = data.partition(b"\r\n\r\n")
                length = int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0])
                while len(body) < length:
                    body += more(connection)
                found.bodies.append(body)
                said = pose(body)
                if said is None:
                    said = more(connection)
                for part in [said] if isinstance(said, bytes) else said:
                    connection.sendall(part)
                connection.close()
            except OSError:
                found.left.set()

        def accept() -> None:
            with suppress(OSError):
                while True:
                    connection, _ = server.accept()
                    open_ones.append(connection)
                    threading.Thread(target=answer, args=(connection,), daemon=True).start()

        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        try:
            yield found
        finally:
            with suppress(OSError):
                server.shutdown(socket.SHUT_RDWR)
            for connection in open_ones:
                with suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)
                connection.close()
            thread.join()


class Witnessed(Exchange):
    """An exchange that names witnesses in its policy."""

    def name(
        self, witnesses: Mapping[str, "Serving | Posing"], *groups: str, quorum: str = "none"
    ) -> None:
        """Publish the policy of these witnesses."""
        lines = [f"witness {name} {each.vkey} {each.url}" for name, each in witnesses.items()]
        text = "\n".join([*lines, *groups, f"quorum {quorum}"]) + "\n"
        with Venue(self.root) as venue:
            name_witnesses(venue, text.encode())

    def quorum(self) -> Quorum:
        """The policy of witnesses that is public."""
        with Venue(self.root) as venue:
            return Quorum.parse(venue.public.policy().encode())

    def head(self, name: str = "checkpoint") -> Checkpoint:
        """A public checkpoint."""
        return Checkpoint.parse((self.root / "public" / name).read_text("utf-8"))

    def noted(self) -> list[str]:
        """Publish a fund entry; what the publisher is told of its witnesses."""
        drafts: list[Draft] = []
        path = self.pools_file({})

        def work(draft: Draft) -> None:
            drafts.append(draft)
            fund.publish(draft, fund.read(path, draft.policy))

        self.publish(work)
        return [note for note in drafts[0].notes if "witness" in note]
