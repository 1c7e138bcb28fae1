"""The one entry of the command line. Nothing else decides an exit code."""

import os
import sys
from collections.abc import Sequence
from pathlib import Path

import typer

from auditkit import __version__
from auditkit.cli import auditor, customer, exchange
from auditkit.cli.result import Code, Format, Result, error
from auditkit.cli.terminal import PipeClosed, coloured, write
from auditkit.errors import DamagedError, InputError

app = typer.Typer(
    name="auditkit",
    help="Prove, check and audit exchange balances and socialized losses.",
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)
customer.register(app)
auditor.register(app)
exchange.register(app)


def _version(wanted: bool) -> None:
    if wanted:
        write(f"auditkit {__version__}\n")
        raise typer.Exit


@app.callback()
def _root(
    version: bool = typer.Option(
        False, "--version", callback=_version, is_eager=True, help="Print the version."
    ),
) -> None:
    """Prove, check and audit exchange balances and socialized losses."""


def main(arguments: Sequence[str]) -> int:
    """Run one command and return its exit code. No exception leaves, no traceback is printed."""
    form = _wanted_format(arguments)
    try:
        code = app(args=list(arguments) or ["--help"], prog_name="auditkit", standalone_mode=False)
        sys.stdout.flush()
    except (PipeClosed, BrokenPipeError):
        # Keep the interpreter from failing once more when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return Code.PIPE
    except (KeyboardInterrupt, typer.Abort):
        return _say(error(Code.INTERRUPTED, "interrupted"), form)
    except typer.exceptions.TyperException as problem:
        return _say(error(Code.USAGE, _usage(problem)), form)
    except InputError as problem:
        return _say(error(Code.USAGE, str(problem)), form)
    except DamagedError as problem:
        return _say(error(Code.IO, str(problem)), form)
    except OSError as problem:
        place = f"{problem.filename}: " if problem.filename else ""
        return _say(error(Code.IO, f"{place}{problem.strerror or problem}"), form)
    except ModuleNotFoundError as problem:
        return _say(error(Code.USAGE, _missing(problem)), form)
    except Exception as bug:  # noqa: BLE001 - The rim: a bug is reported as one, without its locals.
        return _say(error(Code.BUG, f"a bug in auditkit: {_where(bug)}"), form)
    return int(code or 0)


def run() -> None:
    """The console script."""
    sys.exit(main(sys.argv[1:]))


def _say(result: Result, form: Format) -> int:
    try:
        if form is Format.JSON:
            return result.show(form)
        write(result.page.render(colour=coloured(error=True)), error=True)
    except PipeClosed:
        return Code.PIPE
    return int(result.code)


def _wanted_format(arguments: Sequence[str]) -> Format:
    """The format asked for, also where the arguments do not parse."""
    text = " ".join(arguments)
    return Format.JSON if "--format json" in text or "--format=json" in text else Format.TEXT


def _usage(problem: typer.exceptions.TyperException) -> str:
    """One line, and where the help is."""
    context = getattr(problem, "ctx", None)
    hint = f" See {context.command_path} --help." if context is not None else ""
    return " ".join(problem.format_message().split()) + hint


def _missing(problem: ModuleNotFoundError) -> str:
    extra = "publish" if problem.name == "pymerkle" else "ledger"
    return (
        f"this command needs {problem.name}, which is not installed; install auditkit with its "
        f"extra: pip install 'auditkit[{extra}]'"
    )


def _where(bug: BaseException) -> str:
    """The kind of a bug and where it happened; its message might hold secrets, so it stays out."""
    trace = bug.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    place = ""
    if trace is not None:
        place = f" in {Path(trace.tb_frame.f_code.co_filename).name}, line {trace.tb_lineno}"
    return f"{type(bug).__name__}{place}; please report it"
