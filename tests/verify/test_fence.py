"""What a customer must trust is small: the kernel loads little and touches nothing outside."""

import ast
import socket
import subprocess
import sys
from pathlib import Path

import pytest

import auditkit.verify

KERNEL = Path(auditkit.verify.__file__).parent
FILES = sorted(KERNEL.glob("*.py"))

LOADED = """
import sys
before = set(sys.modules)
import auditkit.verify.{name}
print("\\n".join(sorted(set(sys.modules) - before)))
"""

OURS = ("auditkit", "auditkit.verify")
# pycryptodome, and what it uses to call its own C code.
OTHERS = {"Crypto", "cffi", "_cffi_backend", "pycparser"}

FORBIDDEN_MODULES = {
    *("asyncio", "ctypes", "importlib", "io", "logging", "multiprocessing", "os", "pathlib"),
    *("pickle", "random", "secrets", "shutil", "signal", "socket", "sqlite3", "ssl", "subprocess"),
    *("sys", "tempfile", "threading", "time", "urllib", "warnings"),
}
FORBIDDEN_CALLS = {
    *("open", "print", "input", "eval", "exec", "compile", "__import__", "breakpoint", "id"),
    *("globals", "locals", "vars", "setattr", "delattr", "float"),
}
FORBIDDEN_ATTRIBUTES = {"now", "today", "utcnow", "fromtimestamp", "environ"}


@pytest.mark.parametrize("name", ["check", "fork"])
def test_importing_a_check_loads_the_kernel_the_standard_library_and_pycryptodome(
    name: str,
) -> None:
    script = LOADED.format(name=name)
    loaded = subprocess.run(
        [sys.executable, "-c", script], check=True, capture_output=True, text=True
    ).stdout.split()
    assert f"auditkit.verify.{name}" in loaded
    for name in loaded:
        top = name.split(".")[0]
        if top == "auditkit":
            assert name in OURS or name.startswith("auditkit.verify."), name
        else:
            assert top in OTHERS | sys.stdlib_module_names, name


def test_the_kernel_is_the_whole_of_what_its_first_page_lists() -> None:
    listed = {word for word in str(auditkit.verify.__doc__).split() if word.endswith(".py")}
    assert {file.name for file in FILES} == {word for word in listed if "." in word} | {
        "__init__.py"
    }


def imported(node: ast.AST) -> list[str]:
    """The modules that a statement imports."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    return [str(node.module)] if isinstance(node, ast.ImportFrom) else []


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_a_file_of_the_kernel_touches_nothing_outside(file: Path) -> None:
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        for module in imported(node):
            assert module.split(".")[0] not in FORBIDDEN_MODULES, module
            if module.startswith("auditkit"):
                assert module.startswith("auditkit.verify"), module
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            assert node.func.id not in FORBIDDEN_CALLS, (node.lineno, node.func.id)
        if isinstance(node, ast.Attribute):
            assert node.attr not in FORBIDDEN_ATTRIBUTES, (node.lineno, node.attr)
        if isinstance(node, ast.ExceptHandler):
            caught = ast.unparse(node.type) if node.type else "everything"
            assert caught not in ("everything", "Exception", "BaseException"), node.lineno
        assert not isinstance(node, ast.Assert | ast.Global | ast.Nonlocal), ast.unparse(node)
        if isinstance(node, ast.Constant):
            assert not isinstance(node.value, float), node.lineno


def test_no_socket_opens_while_the_kernel_is_tested() -> None:
    with pytest.raises(AssertionError, match="the kernel opened a socket"):
        socket.socket()
    with pytest.raises(AssertionError, match="the kernel opened a socket"):
        socket.create_connection(("127.0.0.1", 9))
