"""What lies in a published folder, by the names that C2SP tlog-tiles and SPEC.md §4 give."""

import os
import re
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePath
from typing import Self

from auditkit.follow.mirror import NEW
from auditkit.follow.state import FILE, LOCK
from auditkit.log.bundles import BUNDLE, bundle_path
from auditkit.log.tiles import tile_path

HEAD = "checkpoint"
_HEADS = re.compile(r"checkpoint(?:s/|\.)(0|[1-9][0-9]{0,18})", re.ASCII)
_TILE = re.compile(
    r"tile/(entries|[0-9]|[1-5][0-9]|6[0-3])/((?:x[0-9]{3}/)*[0-9]{3})(?:\.p/([1-9][0-9]{0,2}))?",
    re.ASCII,
)
_POLICY = re.compile(r"policy|policies/[1-9][0-9]*", re.ASCII)
EVIDENCE = re.compile(r"fork-[^/]+\.json")
_VKEY = re.compile(r"(?:keys/)?[^/]+\.vkey")

Widths = dict[int, str]
"""The files of one bundle or tile: the path by the width."""


@dataclass(slots=True)
class Inventory:
    """The files of a folder, by what they should be; paths are below it.

    `heads` has the size that a name says, None for `checkpoint` itself. `own`
    are a follower's other files, but for what may be `evidence` of forks. `policies`
    are what a venue offers and nothing signs. Nobody knows what `others` should be.
    """

    heads: dict[str, int | None] = field(default_factory=dict)
    bundles: dict[int, Widths] = field(default_factory=dict)
    tiles: dict[tuple[int, int], Widths] = field(default_factory=dict)
    keys: list[str] = field(default_factory=list)
    own: list[str] = field(default_factory=list)
    evidence: list[str] = field(default_factory=list)
    policies: list[str] = field(default_factory=list)
    others: list[str] = field(default_factory=list)

    @classmethod
    def of(cls, root: Path) -> Self:
        """Look through the folder."""
        found = cls()
        for path in sorted(_files(root)):
            found._add(path, (root / path).is_file())
        return found

    def __len__(self) -> int:
        """How many of the files can be checked."""
        tiles = sum(map(len, (*self.bundles.values(), *self.tiles.values())))
        return len(self.heads) + tiles + len(self.keys) + len(self.own)

    def _add(self, path: str, ordinary: bool) -> None:
        if not ordinary:
            self.others.append(path)
        elif path == HEAD:
            self.heads[path] = None
        elif match := _HEADS.fullmatch(path):
            self.heads[path] = int(match[1])
        elif (match := _TILE.fullmatch(path)) and self._tile(path, *match.groups()):
            pass
        elif _VKEY.fullmatch(path):
            self.keys.append(path)
        elif _POLICY.fullmatch(path):
            self.policies.append(path)
        elif EVIDENCE.fullmatch(path):
            self.evidence.append(path)
        elif path == FILE:
            self.own.append(path)
        elif path != LOCK and not path.startswith(f"{NEW}/"):
            self.others.append(path)

    def _tile(self, path: str, level: str, name: str, width: str | None) -> bool:
        """Whether the name of a tile or bundle is the one it has by the standard."""
        number, wide = int(re.sub("[x/]", "", name)), int(width or BUNDLE)
        if width is not None and wide >= BUNDLE:
            return False
        if level == "entries":
            proper, place = bundle_path(number, wide), self.bundles.setdefault
            widths = place(number, {}) if path == proper else {}
        else:
            proper = tile_path(int(level), number, wide)
            widths = self.tiles.setdefault((int(level), number), {}) if path == proper else {}
        if path != proper:
            return False
        widths[wide] = path
        return True


def _files(root: Path) -> Iterator[str]:
    """The path of every file below a folder; folders are entered once, also by links.

    The nearest first, and without recursion: whoever filled the folder chose its depth.
    """
    seen, folders = set(), deque([PurePath()])
    while folders:
        below = folders.popleft()
        here = (root / below).stat()
        if (here.st_dev, here.st_ino) in seen:
            continue
        seen.add((here.st_dev, here.st_ino))
        with os.scandir(root / below) as entries:
            for entry in entries:
                if _is_folder(entry):
                    folders.append(below / entry.name)
                else:
                    yield (below / entry.name).as_posix()


def _is_folder(entry: os.DirEntry[str]) -> bool:
    """What cannot be looked at, such as a link to itself, is none."""
    try:
        return entry.is_dir()
    except OSError:
        return False
