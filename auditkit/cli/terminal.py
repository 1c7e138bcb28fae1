"""What reaches the terminal: filtered, wrapped, coloured only where colour may be."""

import errno
import os
import shutil
import sys
import textwrap
from contextlib import suppress
from dataclasses import dataclass, field
from typing import NoReturn, TextIO

_STYLES = {"good": "1;32", "bad": "1;31", "warn": "1;33", "head": "1", "dim": "2"}
_EXACT = "exact"


class PipeClosed(Exception):
    """Whoever read our output has gone."""


class OutputLost(OSError):
    """Standard output or standard error cannot be written."""


def clean(text: object) -> str:
    """Untrusted text with everything but printable ASCII made visible: no control or bidi marks."""
    return "".join(c if " " <= c <= "~" else f"\\u{{{ord(c):x}}}" for c in str(text))


def write(text: str, *, error: bool = False) -> None:
    """Write text to standard output (or error) and flush. Raises PipeClosed or OutputLost."""
    stream = _open(error)
    try:
        stream.write(text)
        stream.flush()
    except OSError as problem:
        _fail(stream, problem)


def write_bytes(data: bytes) -> None:
    """Write bytes to standard output and flush. Raises PipeClosed or OutputLost."""
    stream = _open(error=False)
    try:
        stream.buffer.write(data)
        stream.buffer.flush()
    except OSError as problem:
        _fail(stream, problem)


def _open(error: bool) -> TextIO:
    """The stream; whoever started us may have closed it, and then Python has None for it."""
    stream: TextIO | None = sys.stderr if error else sys.stdout
    if stream is None:
        raise OutputLost(errno.EBADF, "is closed", _name(error))
    return stream


def _name(error: bool) -> str:
    return "standard error" if error else "standard output"


def _fail(stream: TextIO, problem: OSError) -> NoReturn:
    # What is still in the buffer must not fail once more when the interpreter flushes at exit.
    with suppress(OSError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
    if isinstance(problem, BrokenPipeError):
        raise PipeClosed from None
    raise OutputLost(problem.errno, problem.strerror, _name(stream is sys.stderr)) from None


def width() -> int:
    """Columns to write for: the terminal's, or 80 where there is none; between 30 and 100."""
    return max(30, min(100, shutil.get_terminal_size((80, 24)).columns))


def coloured(*, error: bool = False) -> bool:
    """Whether to colour: only a terminal, and only if nobody asked not to."""
    wanted = not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
    return wanted and is_terminal(error=error)


def is_terminal(*, error: bool = False) -> bool:
    """Whether standard output (or error) is a terminal."""
    stream: TextIO | None = sys.stderr if error else sys.stdout
    return stream is not None and stream.isatty()


@dataclass
class Page:
    """Lines for people. Everything added is filtered by `clean`, so callers need not."""

    prefix: str = ""
    _lines: list[tuple[str, str, str]] = field(default_factory=list)

    def line(self, text: object = "", style: str = "", indent: str = "") -> None:
        """One paragraph; it wraps with a hanging indent."""
        self._lines.append((clean(text), style, indent))

    def exact(self, text: object) -> None:
        """One line that is there to be copied: filtered, but never wrapped."""
        self._lines.append((clean(text), _EXACT, ""))

    def head(self, text: str) -> None:
        """A heading, after a blank line."""
        if self._lines:
            self.line()
        self.line(text, "head")

    def item(self, text: object, mark: str = "-", style: str = "") -> None:
        """A list item."""
        shown = f"{mark} {clean(text)}" if mark else clean(text)
        self._lines.append((shown, style, "  "))

    def deep(self, text: object) -> None:
        """A paragraph that belongs to the list item above it."""
        self._lines.append((f"    {clean(text)}", "", "      "))

    def pairs(self, rows: list[tuple[str, str]]) -> None:
        """Labels and values in two columns; the value goes below its label where it is narrow."""
        wide = max((len(label) for label, _ in rows), default=0)
        for label, value in rows:
            if width() - len(self.prefix) < wide + 40:
                self.item(f"{label}: {value}", "")
            else:
                self._lines.append(
                    (f"{clean(label):{wide}}  {clean(value)}", "", "  " + " " * wide)
                )

    def render(self, *, colour: bool, columns: int | None) -> str:
        """The page as text of at most so many columns; None: a paragraph a line.

        Words that are too long are broken, so that no untrusted name can
        reach over to the beginning of a line and pose there as a verdict.
        """
        room = sys.maxsize if columns is None else columns - len(self.prefix)
        out = []
        for text, style, indent in self._lines:
            if style == _EXACT:
                out.append(self.prefix + text)
                continue
            hangs = indent or style in ("bad", "warn")
            wrapped = textwrap.wrap(
                text,
                room,
                initial_indent="  " if indent else "",
                subsequent_indent=indent + "  " if hangs else "",
                break_on_hyphens=False,
            )
            for row in wrapped or [""]:
                shown = f"\x1b[{_STYLES[style]}m{row}\x1b[0m" if colour and style else row
                out.append((self.prefix + shown).rstrip())
        return "\n".join(out) + "\n"
