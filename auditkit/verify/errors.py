"""The four ways a check can refuse (SPEC.md §0), and the tree they form.

    NotVerified                 nothing was proven
    ├── Unsupported             the reader is too old; nobody is accused
    ├── Malformed               bytes that the format refuses
    ├── Refuted                 well-formed, but false: evidence against the claim
    └── Incomplete              something the check needs is not there

Success is none of them: it is the returned `check.Verified`. A bug is none of
them either, so nothing here catches `Exception`.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import ClassVar, Self

_CLIP = 160


def show(value: object) -> str:
    """`value` as short text for an error: untrusted input is clipped, not trusted to be small."""
    text = value if isinstance(value, str) else repr(value)
    return text if len(text) <= _CLIP else f"{text[:_CLIP]}... ({len(text)} characters)"


class NotVerified(Exception):
    """Base of the four refusals.

    `what` says in one sentence what does not hold; `expected` and `found` are
    the two things compared, as text, or None; `where` is the path inside the
    file; `step` is the number of the step of SPEC.md "To verify".
    """

    verdict: ClassVar[str] = "not verified"

    def __init__(
        self,
        what: str,
        *,
        expected: object = None,
        found: object = None,
        where: str = "",
        step: str = "",
    ) -> None:
        super().__init__(what)
        self.what = what
        self.expected = None if expected is None else show(expected)
        self.found = None if found is None else show(found)
        self.where = where
        self.step = step

    def inside(self, name: str) -> Self:
        """The same refusal, seen from one level further out: prefixes `where` with `name`."""
        joint = "" if not self.where or self.where.startswith("[") else "."
        self.where = f"{name}{joint}{self.where}"
        return self

    def __str__(self) -> str:
        text = f"{self.where}: {self.what}" if self.where else self.what
        if self.step:
            text = f"step {self.step}: {text}"
        if self.expected is not None:
            text += f"; expected {self.expected}"
        if self.found is not None:
            text += f"; found {self.found}"
        return text


class Unsupported(NotVerified):
    """A newer format or an unknown rule: this reader is too old."""

    verdict = "unsupported"


class Malformed(NotVerified):
    """Bytes that the format refuses."""

    verdict = "malformed"


class Refuted(NotVerified):
    """Well-formed, but a number, path, order or signature does not hold."""

    verdict = "false"


class Incomplete(NotVerified):
    """Something that the check needs is not there."""

    verdict = "incomplete"


class Step:
    """One numbered step: inside it, false goes before incomplete (SPEC.md §0).

    `missing` only remembers; the first gap is raised when the step ends
    without anything false. Refusals that pass through get the step's number.
    `note` records what was compared, for the report.
    """

    def __init__(self, number: str, report: "list[Note]") -> None:
        self.number = number
        self._report = report
        self._gap: Incomplete | None = None

    def note(self, text: str, point: str = "") -> None:
        """Record one thing that held. `point` names the rule within the step, as in 8.4."""
        self._report.append(Note(self.number + point, text))

    def missing(self, what: str, **details: object) -> None:
        """Remember a gap; only the first one is reported."""
        if self._gap is None:
            self._gap = Incomplete(what, **details)  # type: ignore[arg-type]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if isinstance(error, NotVerified):
            error.step = error.step or self.number
        elif error is None and self._gap is not None:
            self._gap.step = self._gap.step or self.number
            raise self._gap


@contextmanager
def inside(name: str) -> Iterator[None]:
    """Refusals that leave the block say that it happened inside `name`."""
    try:
        yield
    except NotVerified as error:
        error.inside(name)
        raise


class Note:
    """One line of the report: the number of a step, and what held there."""

    __slots__ = ("step", "text")

    def __init__(self, step: str, text: str) -> None:
        self.step = step
        self.text = text

    def __repr__(self) -> str:
        return f"Note({self.step!r}, {self.text!r})"
