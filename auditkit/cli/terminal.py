"""What reaches the terminal: filtered, wrapped, coloured only where colour may be."""

import os
import shutil
import sys
import textwrap
from dataclasses import dataclass, field

_STYLES = {"good": "1;32", "bad": "1;31", "warn": "1;33", "head": "1", "dim": "2"}


class PipeClosed(Exception):
    """Whoever read our output has gone."""


def clean(text: object) -> str:
    """Untrusted text with everything but printable ASCII made visible: no control or bidi marks."""
    return "".join(c if " " <= c <= "~" else f"\\u{{{ord(c):x}}}" for c in str(text))


def write(text: str, *, error: bool = False) -> None:
    """Write text to standard output (or error) and flush. Raises PipeClosed."""
    stream = sys.stderr if error else sys.stdout
    try:
        stream.write(text)
        stream.flush()
    except BrokenPipeError:
        raise PipeClosed from None


def write_bytes(data: bytes) -> None:
    """Write bytes to standard output. Raises PipeClosed."""
    try:
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()
    except BrokenPipeError:
        raise PipeClosed from None


def width() -> int:
    """Columns to write for: the terminal's, or 80 where there is none; between 30 and 100."""
    return max(30, min(100, shutil.get_terminal_size((80, 24)).columns))


def coloured(*, error: bool = False) -> bool:
    """Whether to colour: only a terminal, and only if nobody asked not to."""
    stream = sys.stderr if error else sys.stdout
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


@dataclass
class Page:
    """Lines for people. Everything added is filtered by `clean`, so callers need not."""

    prefix: str = ""
    _lines: list[tuple[str, str, str]] = field(default_factory=list)

    def line(self, text: object = "", style: str = "", indent: str = "") -> None:
        """One paragraph; it wraps with a hanging indent."""
        self._lines.append((clean(text), style, indent))

    def head(self, text: str) -> None:
        """A heading, after a blank line."""
        if self._lines:
            self.line()
        self.line(text, "head")

    def item(self, text: object, mark: str = "-", style: str = "") -> None:
        """A list item."""
        shown = f"{mark} {clean(text)}" if mark else clean(text)
        self._lines.append((shown, style, "  "))

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

    def render(self, *, colour: bool) -> str:
        """The page as text that fits the terminal."""
        columns = width() - len(self.prefix)
        out = []
        for text, style, indent in self._lines:
            first = indent if not indent.strip() and len(indent) <= 2 else "  "
            hang = indent + "  " if indent else ""
            wrapped = textwrap.wrap(
                text,
                columns,
                initial_indent=first if indent else "",
                subsequent_indent=hang,
                break_on_hyphens=False,
            )
            for row in wrapped or [""]:
                shown = f"\x1b[{_STYLES[style]}m{row}\x1b[0m" if colour and style else row
                out.append((self.prefix + shown).rstrip())
        return "\n".join(out) + "\n"
