"""Take the kernel's checks away one at a time, and see that some test misses each.

    python tools/mutate.py                         every mutant of auditkit/verify
    python tools/mutate.py chains.py head.py       of these files
    python tools/mutate.py --only check-removal    only checks taken away whole
    python tools/mutate.py --list                  name them, run nothing

The working tree is not touched: each worker has its own copy of the package
and the tests. A mutant is killed by a failing test, or by one that does not
end. Survivors are printed with their place and what became of it, and the exit
code is 1 if any of them is not in `mutants-equivalent.txt`, which says of each
why no test can tell it from the original.
"""

import argparse
import ast
import copy
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue

ROOT = Path(__file__).resolve().parents[1]
KERNEL = Path("auditkit", "verify")
TESTS = Path("tests", "verify")
EQUIVALENT = Path(__file__).with_name("mutants-equivalent.txt")
WORKERS = 2
TIMEOUT_SECONDS = 120

# Calls that are made for what they refuse, and not for what they return.
CHECKS = {"require", "_require", "missing", "within", "open", "check"}
SWAPPED: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
}

# The tests that are most likely to miss a check of a file run before all others.
OWN_TESTS = {
    "check": ("check", "frozen"),
    "cursor": ("events", "recoveries", "waterfall"),
    "errors": ("check", "head"),
    "records": ("statements",),
    "shape": ("shape", "sumtree", "history"),
    "walk": ("events",),
    "head": ("head",),
}
SLOW_TESTS = ("properties", "hostile")


@dataclass(frozen=True)
class Mutant:
    """One change to one file of the kernel."""

    file: str
    line: int
    kind: str
    place: str
    before: str
    after: str
    source: str

    @property
    def name(self) -> str:
        """What the allow-list calls it: no line numbers, which move."""
        return f"{self.file} {self.place}: {self.before} -> {self.after}"


def _text(node: ast.AST) -> str:
    return " ".join(ast.unparse(node).split())[:120]


def _is_check(node: ast.stmt) -> bool:
    if isinstance(node, ast.Raise):
        return True
    if not (isinstance(node, ast.Expr) and isinstance(node.value, ast.Call)):
        return False
    function = node.value.func
    name = function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")
    return name in CHECKS or name.lstrip("_").startswith("check_")


def _changes(node: ast.AST) -> Iterator[tuple[str, ast.AST]]:
    """The kinds of change a node can suffer, and what it becomes."""
    if isinstance(node, ast.stmt) and _is_check(node):
        yield "check-removal", ast.Pass()
    if isinstance(node, ast.Compare):
        for i, operator in enumerate(node.ops):
            changed = copy.deepcopy(node)
            changed.ops[i] = SWAPPED[type(operator)]()
            yield "conditions", changed
    if isinstance(node, ast.BoolOp):
        changed_bool = copy.deepcopy(node)
        changed_bool.op = ast.Or() if isinstance(node.op, ast.And) else ast.And()
        yield "conditions", changed_bool
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        yield "conditions", node.operand
    if isinstance(node, ast.Constant) and type(node.value) is int and node.value >= 0:
        yield "constants", ast.Constant(node.value + 1)
    if isinstance(node, ast.Return) and isinstance(node.value, ast.Constant | ast.Tuple):
        value = node.value
        if isinstance(value, ast.Constant) and isinstance(value.value, bool):
            yield "constants", ast.Return(ast.Constant(not value.value))
    if isinstance(node, ast.Call):
        for i, keyword in enumerate(node.keywords):
            if keyword.arg == "by":  # A list that must be sorted no longer must.
                without = copy.deepcopy(node)
                del without.keywords[i]
                yield "check-removal", without


class _Swap(ast.NodeTransformer):
    """Replaces the node whose place in `ast.walk` order is `target`."""

    def __init__(self, old: ast.AST, new: ast.AST) -> None:
        self.old, self.new = old, new

    def visit(self, node: ast.AST) -> ast.AST:
        return self.new if node is self.old else self.generic_visit(node)


def _walk(node: ast.AST, place: str) -> Iterator[tuple[str, ast.AST]]:
    """Every node below the module's top, with the name of what it stands in."""
    for child in ast.iter_child_nodes(node):
        inner = place
        if isinstance(child, ast.FunctionDef | ast.ClassDef):
            inner = f"{place}.{child.name}" if place else child.name
        if isinstance(child, ast.Import | ast.ImportFrom) or child is getattr(
            node, "annotation", None
        ):
            continue
        yield inner or "module", child
        yield from _walk(child, inner)


def mutants(file: Path) -> list[Mutant]:
    """Every mutant of one file, in the order of its lines."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    found: list[Mutant] = []
    seen: dict[str, int] = {}
    for place, node in list(_walk(tree, "")):
        for kind, new in _changes(node):
            # The tree is shared: the node is looked for by identity, so the copy keeps it apart.
            memo = {id(node): node}
            mutated = ast.fix_missing_locations(_Swap(node, new).visit(copy.deepcopy(tree, memo)))
            line = getattr(node, "lineno", 0)
            mutant = Mutant(
                file.name, line, kind, place, _text(node), _text(new), ast.unparse(mutated)
            )
            count = seen[mutant.name] = seen.get(mutant.name, 0) + 1
            if count > 1:
                after = f"{mutant.after} ({count})"
                mutant = Mutant(file.name, line, kind, place, mutant.before, after, mutant.source)
            found.append(mutant)
    return sorted(found, key=lambda mutant: mutant.line)


def equivalents() -> dict[str, str]:
    """The allow-list: a mutant's name on one line, its sentence on indented lines below."""
    reasons: dict[str, str] = {}
    name = ""
    for line in EQUIVALENT.read_text(encoding="utf-8").splitlines():
        if line.startswith("#") or not line.strip():
            continue
        if line[0].isspace():
            reasons[name] += f" {line.strip()}"
        else:
            name = line
            reasons[name] = ""
    if silent := [name for name, reason in reasons.items() if not reason]:
        raise SystemExit(f"{EQUIVALENT.name} does not say why: {silent}")
    return reasons


def stages(root: Path, file: str) -> list[list[str]]:
    """The test files to run, likely ones first; each stage only if the one before passed."""
    module = file.removesuffix(".py")
    every = sorted(path.stem.removeprefix("test_") for path in (root / TESTS).glob("test_*.py"))
    own = [name for name in OWN_TESTS.get(module, (module,)) if name in every]
    fast = [name for name in ("vectors", *every) if name not in (*own, *SLOW_TESTS)]
    slow = [name for name in SLOW_TESTS if name not in own]
    chosen = [own, list(dict.fromkeys(fast)), slow]
    return [[str(TESTS / f"test_{name}.py") for name in stage] for stage in chosen if stage]


class Worker:
    """A copy of the project in which one mutant at a time is tried."""

    def __init__(self, folder: Path, origin: Path, deselect: list[str]) -> None:
        self.root = folder / ROOT.name
        self.deselect = [word for name in deselect for word in ("--deselect", name)]
        for name in ("auditkit", "tests"):
            shutil.copytree(origin / name, self.root / name)
        shutil.copy(origin / "pyproject.toml", self.root)
        if (shared := ROOT.parent / "shared").is_dir():
            (folder / "shared").symlink_to(shared)

    def run(self, files: list[str], write_bytecode: bool = False) -> str:
        """'passed', 'failed' or 'timeout'."""
        environment = {**os.environ, "AUDITKIT_HYPOTHESIS": "fast"}
        environment.pop("PYTHONPATH", None)
        if not write_bytecode:
            environment["PYTHONDONTWRITEBYTECODE"] = "1"
        command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider"]
        try:
            done = subprocess.run(
                [*command, *self.deselect, *files],
                cwd=self.root,
                env=environment,
                capture_output=True,
                text=True,
                errors="replace",
                timeout=TIMEOUT_SECONDS,
            )
        except subprocess.TimeoutExpired:
            return "timeout"
        if done.returncode not in (0, 1, 2):
            raise SystemExit(f"pytest did not run:\n{done.stdout}{done.stderr}")
        self.output = done.stdout
        return "failed" if done.returncode else "passed"

    def survives(self, mutant: Mutant) -> bool:
        """Whether every test passes with the mutant in place."""
        file = self.root / KERNEL / mutant.file
        original = file.read_text(encoding="utf-8")
        # Bytecode of the original may not stand in for the mutant.
        for cached in (file.parent / "__pycache__").glob(f"{file.stem}.*.pyc"):
            cached.unlink()
        file.write_text(mutant.source, encoding="utf-8")
        try:
            return all(self.run(stage) == "passed" for stage in stages(self.root, mutant.file))
        finally:
            file.write_text(original, encoding="utf-8")


def hunt(files: list[str], kind: str | None, deselect: list[str]) -> tuple[int, list[Mutant]]:
    """How many mutants there are, and those that no test misses."""
    with tempfile.TemporaryDirectory() as temporary, ThreadPoolExecutor(WORKERS) as pool:
        # Others may be at work in the tree: everything is taken from one copy of it.
        first = Worker(Path(temporary, "0"), ROOT, deselect)
        found = chosen(first.root, files, kind)
        if first.run([str(TESTS)], write_bytecode=True) != "passed":
            raise SystemExit(f"the tests fail without any mutant:\n{first.output}")
        idle: SimpleQueue[Worker] = SimpleQueue()
        idle.put(first)
        for number in range(1, WORKERS):
            idle.put(Worker(Path(temporary, str(number)), first.root, deselect))

        def tried(mutant: Mutant) -> bool:
            worker = idle.get()
            try:
                return worker.survives(mutant)
            finally:
                idle.put(worker)

        survivors = []
        for mutant, survived in zip(found, pool.map(tried, found), strict=True):
            if survived:
                survivors.append(mutant)
                print(f"survived  {KERNEL / mutant.file}:{mutant.line}  {mutant.name}", flush=True)
        return len(found), survivors


def chosen(root: Path, files: list[str], kind: str | None) -> list[Mutant]:
    """The mutants of some files, or of all, of one kind, or of every kind."""
    names = files or sorted(path.name for path in (root / KERNEL).glob("*.py"))
    every = [mutant for name in names for mutant in mutants(root / KERNEL / name)]
    return [mutant for mutant in every if kind in (None, mutant.kind)]


def main() -> int:
    """Hunt the mutants that the arguments ask for."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("files", nargs="*", help="files of auditkit/verify; all by default")
    parser.add_argument("--only", choices=["check-removal", "conditions", "constants"])
    parser.add_argument("--list", action="store_true", help="name the mutants and run nothing")
    parser.add_argument("--deselect", action="append", default=[], help="a test to leave out")
    options = parser.parse_args()
    if absent := [name for name in options.files if not (ROOT / KERNEL / name).is_file()]:
        raise SystemExit(f"{KERNEL} has no file {absent[0]}; name it as it is called there")
    if options.list:
        found = chosen(ROOT, options.files, options.only)
        for mutant in found:
            print(f"{mutant.line:4} {mutant.kind:13} {mutant.name}")
        print(f"{len(found)} mutants")
        return 0
    allowed = equivalents()
    if stale := sorted(allowed.keys() - {mutant.name for mutant in chosen(ROOT, [], None)}):
        raise SystemExit(f"{EQUIVALENT.name} names what is no mutant: {stale}")
    total, survivors = hunt(options.files, options.only, options.deselect)
    wild = [mutant for mutant in survivors if mutant.name not in allowed]
    kept = len(survivors) - len(wild)
    print(f"{total - len(survivors)}/{total} killed, {kept} equivalent, {len(wild)} survived")
    return 1 if wild else 0


if __name__ == "__main__":
    sys.exit(main())
