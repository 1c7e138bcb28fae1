"""What goes wrong in an executor reaches the user as one clear line.

An executor's exception arrives as a page of Python and Java; what was refused
travels in it between two marks, and is the only thing that is said.
"""

import re
from base64 import b64decode, b64encode
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import ParamSpec, TypeVar

from py4j.protocol import Py4JError
from pyspark.errors import PySparkException

from auditkit.errors import InputError

P = ParamSpec("P")
T = TypeVar("T")

_CLIP = 300
_MARKED = re.compile(r"auditkit-refusal<([A-Za-z0-9+/=]*)>")
_MODULE = re.compile(r"^ModuleNotFoundError: No module named '([\w.]+)'", re.MULTILINE)
_RAISED = re.compile(r"^([A-Za-z_][\w.]*(?:Error|Exception|Interrupt))\b", re.MULTILINE)
_CONDITION = re.compile(r"\[([A-Z][A-Z0-9_]+)(?:\.[A-Z0-9_]+)*\] ")
_CALLING = re.compile(r"An error occurred while calling \S+\.\s*:\s*(?:[\w.$]+: )*")
_PACKAGE = re.compile(r"\b(?:[a-z]\w*\.){2,}(?=[A-Z])")
# What Spark says of an input: the names of its conditions, and what there is to do.
_INPUT = {
    "CANNOT_MERGE_SCHEMAS": "write each column with the same type in all files",
    "COLUMN_ALREADY_EXISTS": "give each column its own name",
    "DECIMAL_PRECISION_EXCEEDS_MAX_PRECISION": "store amounts of more digits as text",
    "FAILED_READ_FILE": "export it again",
    "PATH_NOT_FOUND": "see that it is there",
}


class _Refused(Exception):
    """An InputError on its way out of an executor."""

    def __init__(self, error: InputError) -> None:
        text = b64encode(str(error).encode()).decode("ascii")
        super().__init__(f"auditkit-refusal<{text}>")


def told(work: Callable[P, Iterator[T]]) -> Callable[P, Iterator[T]]:
    """What runs in an executor, and may raise InputError there."""

    @wraps(work)
    def run(*given: P.args, **named: P.kwargs) -> Iterator[T]:
        try:
            yield from work(*given, **named)
        except InputError as error:
            raise _Refused(error) from None

    return run


@contextmanager
def plainly(otherwise: type[Exception] = OSError) -> Iterator[None]:
    """Raises InputError for what an executor, or Spark itself, refuses in the block.

    RuntimeError for a bug, and `otherwise` for whatever else Spark could not do.
    """
    try:
        yield
    except (PySparkException, Py4JError) as error:
        raise _plain(error, otherwise) from None


def _plain(error: Exception, otherwise: type[Exception]) -> Exception:
    text = str(error)
    if refused := _MARKED.search(text):
        return InputError(b64decode(refused[1]).decode())
    if missing := _MODULE.search(text):
        return InputError(
            f"an executor's Python has no {missing[1]}; install auditkit with its extra spark there"
        )
    condition = _CONDITION.search(text)
    if condition and condition[1] in _INPUT:
        return InputError(f"Spark: {_line(text[condition.start() :])}; {_INPUT[condition[1]]}")
    if "Traceback (most recent call last)" in text:
        # The message of a bug might hold what is private, so it stays out.
        kind = [*_RAISED.findall(text), "an unknown exception"][0]
        return RuntimeError(f"an executor raised {kind}")
    return otherwise(f"Spark: {_line(_CALLING.sub('', text))}")


def _line(text: str) -> str:
    """The start of what Spark said, in a line that a terminal can show."""
    said = " ".join(re.split(r"\n\tat |\nJVM stacktrace", text)[0].split())
    said = re.sub(r" SQLSTATE: \w+$", "", said).rstrip(".")
    said = _PACKAGE.sub("", said)
    said = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in said)
    return said[:_CLIP] + ("..." if len(said) > _CLIP else "")
