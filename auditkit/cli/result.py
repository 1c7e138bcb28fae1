"""What a command says: a page for people, an object for programs, and an exit code."""

import json
from dataclasses import dataclass, field
from enum import IntEnum, StrEnum
from typing import Any

from auditkit.cli.terminal import Page, clean, coloured, width, write


class Code(IntEnum):
    """Exit codes. They are part of the contract."""

    OK = 0
    FAILED = 1
    USAGE = 2
    NOT_CHECKED = 3
    FORK = 4
    BUG = 70
    IO = 74
    INTERRUPTED = 130
    PIPE = 141


class Format(StrEnum):
    """How a command answers."""

    TEXT = "text"
    JSON = "json"


@dataclass
class Result:
    """A command's answer. `data` always has `verdict` and `exit_code`."""

    code: Code
    verdict: str
    page: Page
    data: dict[str, Any] = field(default_factory=dict)

    def show(self, form: Format, *, quiet: bool = False) -> int:
        """Print the answer and return the exit code."""
        if not quiet:
            if form is Format.JSON:
                head = {"verdict": self.verdict, "exit_code": int(self.code)}
                text = json.dumps({**head, **self.data}, indent=1)
                # The one control character that json.dumps leaves as it is.
                write(text.replace("\x7f", "\\u007f") + "\n")
            else:
                write(self.page.render(colour=coloured(), columns=width()))
        return int(self.code)


def error(code: Code, what: str) -> Result:
    """ERROR and one clear line."""
    page = Page()
    page.line(f"ERROR: {what}", "bad")
    return Result(code, "error", page, {"what": clean(what)})
