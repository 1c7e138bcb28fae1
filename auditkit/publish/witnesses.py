"""Asking a venue's witnesses to cosign its head (SPEC.md §4, Witnesses).

All are asked at once. One that saw another head last is asked again from
there. Nobody waits long for the slow ones once there are enough: what the
policy wants is a quorum. A line counts only after it was verified.
"""

import errno
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from queue import Empty, SimpleQueue
from threading import Thread
from typing import TYPE_CHECKING

from auditkit.errors import DamagedError, InputError
from auditkit.log.addition import Request
from auditkit.log.tiles import Tree, folder
from auditkit.publish.lock import lock
from auditkit.publish.public import Public
from auditkit.publish.submission import Conflict, Failed, Submission, now, read_answer
from auditkit.verify.errors import NotVerified, Refuted
from auditkit.verify.note import Checkpoint, Note, Signature, VerifierKey
from auditkit.verify.quorum import Quorum, Witness

if TYPE_CHECKING:
    from auditkit.publish.venue import Venue

PATIENCE_S = 10.0
"""How long a witness may take to answer."""
GRACE_S = 1.0
"""How much longer the others are waited for, once there is a quorum."""
MOST = 64
"""Witnesses of one venue: each is a line below every checkpoint, which has at most 100."""
_ASKED = 4
"""How often one witness is asked: its head may move while it is."""

Outcome = Signature | Conflict | Failed | BaseException


class Unwitnessed(OSError):
    """Too few witnesses cosigned."""

    def __init__(self, text: str) -> None:
        super().__init__(errno.ETIMEDOUT, text)


class Asker:
    """Asks the witnesses of a policy for their lines; once, for one head."""

    def __init__(
        self,
        policy: Quorum,
        path: Callable[[int, int], Sequence[bytes]],
        last: Checkpoint | None,
    ) -> None:
        """`path` gives the consistency path between two sizes.

        `last` is the head that is public now: who cosigned that one is asked
        from there.
        """
        self.notes: list[str] = []
        """Who did not cosign, and why, where there were enough without them."""
        self._policy, self._path, self._last = policy, path, last
        self._answers: SimpleQueue[tuple[Witness, Outcome]] = SimpleQueue()
        self._waiting: dict[str, Submission] = {}
        self._times: dict[str, int] = {}
        self._asked: dict[str, int] = {}
        self._failed: dict[str, str] = {}
        self._bugs: list[BaseException] = []

    def __call__(self, head: Checkpoint) -> Checkpoint:
        """The head with their lines. Raises Unwitnessed, a kind of OSError, if they are too few.

        What failed in another way than a witness can, such as a damaged tile, is raised only
        then: whatever happens about one witness, a quorum of the others stands.
        """
        self._until = now() + PATIENCE_S
        for witness in self._policy.witnesses:
            self._ask(witness, head, self._first_guess(witness))
        lines = self._gather(head)
        failed = "; ".join(f"{name}: {why}" for name, why in self._failed.items())
        if not self._policy.reached(lines):
            for bug in self._bugs:
                raise bug
            raise Unwitnessed(
                f"too few witnesses cosigned: wanted {self._policy.wanted()}, had "
                f"{', '.join(lines) or 'none'}; {failed or 'nobody else can be asked'}"
            )
        self.notes = [f"witness {name} did not cosign: {w}" for name, w in self._failed.items()]
        own = [lines[w.name] for w in self._policy.witnesses if w.name in lines]
        return replace(head, note=Note(head.note.text, (*head.note.signatures, *own)))

    def _first_guess(self, witness: Witness) -> int:
        """The size that the witness saw last, as far as the public head tells."""
        key = witness.key
        lines = self._last.note.signatures if self._last is not None else ()
        known = any((line.name, line.key_id) == (key.name, key.id) for line in lines)
        return self._last.size if known and self._last is not None else 0

    def _ask(self, witness: Witness, head: Checkpoint, old: int) -> None:
        """Send a request, in a thread of its own."""
        name = witness.name
        times = self._times[name] = self._times.get(name, 0) + 1
        if not witness.url:
            self._failed[name] = "the policy has no URL for it"
        elif old > head.size:
            self._failed[name] = (
                f"has cosigned a log of {old} entries, more than these {head.size}: either this "
                "log is an older copy, or another one is published under its key"
            )
        elif times > _ASKED:
            self._failed[name] = f"answers 409 again and again, at last with the size {old}"
        elif times > 1 and self._asked[name] == old:
            self._failed[name] = f"answers 409 with the size {old} that it was asked from"
        else:
            self._asked[name] = old
            self._send(witness, head, old)

    def _send(self, witness: Witness, head: Checkpoint, old: int) -> None:
        try:
            submission = Submission(witness.url, PATIENCE_S)
        except InputError as error:
            self._failed[witness.name] = str(error)
            return
        self._waiting[witness.name] = submission
        work = (witness, head, submission, old)
        Thread(target=self._work, args=work, daemon=True).start()

    def _work(self, witness: Witness, head: Checkpoint, submission: Submission, old: int) -> None:
        outcome: Outcome
        try:
            path = tuple(self._path(old, head.size)) if 0 < old < head.size else ()
            request = Request(old, path, head.note).encode()
            outcome = read_answer(witness.key, head, *submission.send(request))
        except BaseException as error:  # noqa: BLE001 - It is told where it is waited for.
            outcome = error
        self._answers.put((witness, outcome))

    def _gather(self, head: Checkpoint) -> Mapping[str, Signature]:
        """The lines that came in time, by the policy's names."""
        lines: dict[str, Signature] = {}
        until = self._until
        while self._waiting:
            try:
                witness, outcome = self._answers.get(timeout=max(0.0, until - now()))
            except Empty:
                break
            del self._waiting[witness.name]
            if isinstance(outcome, Conflict):
                self._ask(witness, head, outcome.size)
            elif isinstance(outcome, Failed):
                self._failed[witness.name] = str(outcome)
            elif isinstance(outcome, Signature):
                lines[witness.name] = outcome
            else:
                self._failed[witness.name] = f"cannot be asked: {type(outcome).__name__}"
                self._bugs.append(outcome)
            if self._policy.reached(lines):
                until = min(until, now() + GRACE_S)
        for name, submission in self._waiting.items():
            submission.give_up()
            self._failed[name] = "did not answer in time"
        return lines


def asker(public: Public) -> Asker | None:
    """Whoever asks the witnesses of a venue's policy; None if it names none.

    Raises DamagedError if the policy cannot be read.
    """
    try:
        policy = Quorum.parse(public.policy().encode() or b"quorum none\n")
    except NotVerified as error:
        where = public.root / public.policy_name()
        raise DamagedError(f"{where}: cannot be read: {error}; restore it") from None
    if not policy.witnesses:
        return None

    def path(old: int, size: int) -> Sequence[bytes]:
        try:
            return Tree(size, folder(public.root)).consistency(old)
        except (InputError, Refuted) as error:
            raise DamagedError(f"{public.root}: {error}") from None

    return Asker(policy, path, public.checkpoint())


def name_witnesses(venue: "Venue", data: bytes) -> str:
    """Publish a policy, and ask by it from now on; the name of the public file.

    `data` is a tlog-policy file of the venue's. Raises InputError.
    """
    with lock(venue.root / "lock"):
        return venue.public.write_policy(venue_policy(data, venue.key))


def venue_policy(data: bytes, key: VerifierKey) -> str:
    """The policy that a venue with this key publishes and asks by, from a file of its own.

    Raises InputError if it cannot be read, is another log's, or wants
    witnesses that cannot be asked.
    """
    try:
        policy = Quorum.parse(data)
        data.decode("utf-8")
    except UnicodeDecodeError:
        raise InputError("--policy: is not UTF-8") from None
    except NotVerified as error:
        raise InputError(f"--policy: {error}") from None
    if len(policy.witnesses) > MOST:
        raise InputError(f"--policy: names more than {MOST} witnesses")
    if policy.logs and policy.logs != (key,):
        raise InputError(f"--policy: lists another log than the venue's own, {key}")
    asked = []
    for witness in policy.witnesses:
        if witness.url:
            Submission(witness.url, PATIENCE_S)
            asked.append(witness.name)
    if not policy.reached(asked):
        raise InputError(
            f"--policy: wants {policy.wanted()}, but of these only {', '.join(asked) or 'none'} "
            "can be asked; add the URLs"
        )
    lines = [f"log {key}"]
    lines += [f"witness {w.name} {w.key} {w.url}".rstrip() for w in policy.witnesses]
    lines += [f"group {g.name} {g.least} {' '.join(g.members)}" for g in policy.groups]
    return "\n".join([*lines, f"quorum {policy.quorum}"]) + "\n"
