"""What a witness answers, status by status (C2SP tlog-witness, add-checkpoint).

    400  not a request, or an old size above the checkpoint's
    404  a log that this witness does not watch
    403  not signed by the log
    409  the old size is not that of the head cosigned last: its size is the answer
    409  a second root at that very size
    422  the path does not show that the log only grew
    200  the cosignature, after the new head was committed to the disk

What a log signed and the witness refuses at 409 or 422 is kept; where it shows
that the log has two histories, with the evidence.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from auditkit.log.addition import Request
from auditkit.verify import history
from auditkit.verify.errors import Malformed, NotVerified, Refuted
from auditkit.verify.fork import Fork, fork_of, signers
from auditkit.verify.note import Checkpoint, Note, VerifierKey
from auditkit.witness.keys import Cosigner
from auditkit.witness.state import Head, State

TEXT = "text/plain; charset=utf-8"
SIZE = "text/x.tlog.size"


@dataclass(frozen=True, slots=True)
class Answer:
    """What is sent back.

    The rest is for whoever runs the witness: which log asked for what size,
    which fork it shows, and what is in trouble here.
    """

    status: int
    body: str
    kind: str = TEXT
    origin: str = ""
    size: int | None = None
    fork: Fork | None = None
    trouble: str = ""


class Witness:
    """One witness: its key, its state, and the keys of the logs it watches."""

    def __init__(
        self,
        cosigner: Cosigner,
        state: State,
        logs: Sequence[VerifierKey],
        now: Callable[[], int] = lambda: int(time.time()),
    ) -> None:
        """`now` is the clock, in seconds since 1970."""
        self.verifier = cosigner.verifier
        self._cosigner, self._state, self._now = cosigner, state, now
        self._logs: dict[str, tuple[VerifierKey, ...]] = {}
        for key in logs:
            self._logs[key.name] = (*self._logs.get(key.name, ()), key)

    def add_checkpoint(self, body: bytes) -> Answer:
        """Answer one request. Raises OSError or DamagedError where the state fails."""
        try:
            request = Request.parse(body)
        except Malformed as error:
            return Answer(400, f"{error}\n")
        keys = self._logs.get(request.origin)
        if keys is None:
            return Answer(404, "this witness does not watch that log\n")
        try:
            checkpoint = request.checkpoint()
            known = signers(checkpoint, keys)
        except NotVerified as error:
            status = 403 if isinstance(error, Refuted) else 400
            return Answer(status, f"{error}\n", origin=request.origin)
        if request.old > checkpoint.size:
            text = "the old size is above the checkpoint's\n"
            return Answer(400, text, origin=checkpoint.origin, size=checkpoint.size)
        own = _signed_by(checkpoint, known)
        with self._state.changing():
            found = self._decide(request, own, body)
        if found.status == 200:
            # Not before the new head is committed: what is signed is never forgotten.
            line = self._cosigner.cosign(checkpoint.note.text, self._now())
            found = replace(found, body=f"{line}\n")
        return replace(found, origin=checkpoint.origin, size=checkpoint.size)

    def _decide(self, request: Request, checkpoint: Checkpoint, body: bytes) -> Answer:
        """Compare and swap: the status, with the new head put or the refused request kept."""
        last = self._state.newest(checkpoint.origin)
        answer = _compare(request, checkpoint, last)
        if answer.status == 200:
            if last is None or last.checkpoint.size < checkpoint.size:
                self._state.put(checkpoint, self._now())
            return answer
        fork = self._fork(request, checkpoint)
        if fork is not None or answer.kind != SIZE:
            self._state.refuse(checkpoint, fork, self._now(), body)
        return replace(answer, fork=fork)

    def _fork(self, request: Request, checkpoint: Checkpoint) -> Fork | None:
        """The fork between what is offered and any head that was cosigned, if one is shown.

        Either a second root at the size of such a head, or a path that holds
        from another root at its size.
        """
        size, origin = checkpoint.size, checkpoint.origin
        same = self._state.at(origin, size)
        if size and same is not None and same.checkpoint.root != checkpoint.root:
            return fork_of(same.checkpoint, checkpoint)
        earlier = self._state.at(origin, request.old)
        if earlier is None or not 0 < request.old < size:
            return None
        root = earlier.checkpoint.root
        try:
            prefix, later = history.implied_roots(request.old, root, size, request.path)
        except Refuted:
            return None
        if later != checkpoint.root or prefix == root:
            return None
        return fork_of(earlier.checkpoint, checkpoint, prefix, request.path)


def _compare(request: Request, checkpoint: Checkpoint, last: Head | None) -> Answer:
    """What the request comes to against the head that was cosigned last."""
    size = last.checkpoint.size if last is not None else 0
    if request.old != size:
        return Answer(409, f"{size}\n", SIZE)
    if last is not None and checkpoint.size == size and checkpoint.root != last.checkpoint.root:
        return Answer(409, "another root was cosigned at that size\n")
    try:
        if request.old:
            root = last.checkpoint.root if last is not None else b""
            history.check_consistency(size, root, checkpoint.size, checkpoint.root, request.path)
        elif request.path:
            raise Refuted("from size 0 there is no path")
        elif checkpoint.size == 0 and checkpoint.root != history.EMPTY_ROOT:
            raise Refuted("an empty log has another root", found=checkpoint.root.hex())
    except Refuted as error:
        return Answer(422, f"{error}\n")
    return Answer(200, "")


def _signed_by(checkpoint: Checkpoint, keys: Sequence[VerifierKey]) -> Checkpoint:
    """The checkpoint with those keys' lines alone: nobody else's are kept."""
    ours = {(key.name, key.id) for key in keys}
    note = checkpoint.note
    lines = tuple(line for line in note.signatures if (line.name, line.key_id) in ours)
    return replace(checkpoint, note=Note(note.text, lines))
