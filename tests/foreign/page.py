"""docs/check-without-us.md: its blocks, its tables, and its script as a reader would run it."""

import re
import shutil
import subprocess
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from foreign.toolbox import PROOFS, ROOT

PAGE = ROOT / "docs/check-without-us.md"
TEXT = PAGE.read_text("utf-8")
KEY = PROOFS / "venue.vkey"


def blocks(language: str) -> list[str]:
    """The fenced blocks of a language, in the order of the page."""
    return re.findall(rf"^```{language}\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)


def section(title: str) -> str:
    """What stands under a heading of the second rank."""
    return TEXT.split(f"\n## {title}\n")[1].split("\n## ")[0]


def tables(title: str) -> list[list[list[str]]]:
    """The tables under a heading: their rows, the first of which is the header."""
    found = re.findall(r"^\|.*?(?=\n\n|\Z)", section(title), re.MULTILINE | re.DOTALL)
    split = [[line.strip("|").split("|") for line in table.splitlines()] for table in found]
    return [[[cell.strip() for cell in row] for row in rows if "---" not in row] for rows in split]


@dataclass(frozen=True)
class Said:
    """What the script came to."""

    code: int
    out: str
    err: str

    @property
    def verdict(self) -> str:
        return self.out.splitlines()[-1]


@cache
def script() -> str:
    """The blocks of the page as the sed line of the page puts them together."""
    extract = blocks("sh")[0].splitlines()[0].partition(" > ")[0]
    done = subprocess.run(extract, shell=True, cwd=ROOT, capture_output=True, check=True)
    text = done.stdout.decode()
    assert text == "".join(blocks("bash"))
    return text


def check(folder: Path, proof: Path, account: str, key: Path = KEY) -> Said:
    """Run the script in an empty folder, with nothing but the tools that it names."""
    tools = folder / "tools"
    if not tools.exists():
        tools.mkdir()
        for name in NEEDED:
            (tools / name).symlink_to(shutil.which(name) or "/nowhere")
    (folder / "check.sh").write_text(script(), "utf-8")
    work = folder / "work"
    work.mkdir(exist_ok=True)
    done = subprocess.run(
        [tools / "bash", folder / "check.sh", proof, key, account],
        cwd=work,
        env={"PATH": str(tools), "TMPDIR": str(work)},
        capture_output=True,
        timeout=600,
        check=False,
    )
    assert list(work.iterdir()) == [], "the script leaves nothing behind"
    return Said(done.returncode, done.stdout.decode(), done.stderr.decode())


NEEDED = ("bash", "base64", "bc", "cut", "grep", "mktemp", "od", "openssl", "rm", "sed", "tr")
"""Of these, bc and openssl are no essential parts of Debian."""
