"""The one entry of the command line. Nothing else decides an exit code."""

import os
import signal
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import typer

from auditkit import __version__
from auditkit.cli import auditor, customer, exchange, follow, fork, witness
from auditkit.cli.evidence import kept
from auditkit.cli.result import Code, Format, Result, error
from auditkit.cli.terminal import OutputLost, PipeClosed, coloured, is_terminal, width, write
from auditkit.errors import DamagedError, ForkError, InputError, StoppedError

_BOXED = 60
"""The columns from which a command's options are drawn in a box; with fewer they are cut off."""

app = typer.Typer(
    name="auditkit",
    help="Prove, check and audit exchange balances and socialized losses.",
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)
customer.register(app)
fork.register(app)
auditor.register(app)
follow.register(app)
witness.register(app)
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
    try:
        return _invoke(arguments)
    except (PipeClosed, SystemExit):
        # SystemExit is what the help's renderer makes of a closed pipe.
        return Code.PIPE
    except (KeyboardInterrupt, typer.Abort):
        what = error(Code.INTERRUPTED, "interrupted")
    except StoppedError as problem:
        what = error(Code.INTERRUPTED, str(problem))
    except typer.exceptions.TyperException as problem:
        what = error(Code.USAGE, _usage(problem))
    except InputError as problem:
        what = error(Code.USAGE, str(problem))
    except DamagedError as problem:
        what = error(Code.IO, str(problem))
    except OutputLost as problem:
        what, arguments = _failed(problem), ()  # Standard error is all that is left.
    except OSError as problem:
        what = _failed(problem)
    except ModuleNotFoundError as problem:
        what = error(Code.USAGE, _missing(problem, arguments))
    except Exception as bug:  # noqa: BLE001 - The rim: a bug is reported as one, without its locals.
        what = error(Code.BUG, f"a bug in auditkit: {_where(bug)}")
    return _say(what, arguments)


def _invoke(arguments: Sequence[str]) -> int:
    """Run one command; a fork that it meets is written down, whoever still listens."""
    try:
        return invoke(arguments)
    except ForkError as problem:
        answer = kept(problem)
    form = Format.JSON if _wants_json(arguments) else Format.TEXT
    with suppress(PipeClosed, OSError):
        # Evidence that is in no file is shown even to those who want to hear nothing.
        answer.show(form, quiet=_wants_quiet(arguments) and answer.data["file"] is not None)
    return int(answer.code)


def invoke(arguments: Sequence[str]) -> int:
    """Run one command and return its exit code; whatever it raises goes through."""
    command = typer.main.get_command(app)
    _shape(command, boxed=width() >= _BOXED)
    code = command.main(
        args=list(arguments) or ["--help"],
        prog_name="auditkit",
        standalone_mode=False,
        terminal_width=width(),
    )
    if code == Code.INTERRUPTED:
        raise KeyboardInterrupt  # Of which typer makes an exit code and not a word.
    if sys.stdout is not None:
        write("")  # Help is written by others: whether it arrived is known when it is flushed.
    return int(code or 0)


def _shape(command: object, *, boxed: bool) -> None:
    """Make the help fit: a paragraph flows, and a narrow page has no boxes."""
    if isinstance(command, typer.core.TyperGroup):
        for inner in command.commands.values():
            _shape(inner, boxed=boxed)
    elif isinstance(command, typer.core.TyperCommand):
        # Of all paragraphs but the first, typer would keep a docstring's own line breaks.
        paragraphs = (command.help or "").split("\n\n")
        command.help = "\n\n".join(" ".join(text.split()) for text in paragraphs)
        if not boxed:
            command.rich_markup_mode = None


def run() -> None:
    """The console script.

    Whoever ends it by a signal finds the same order as after Ctrl-C: drafts, which
    may hold salts, are gone. Then it dies by that signal after all.
    """
    met: list[int] = []

    def stop(number: int, _: object) -> None:
        met.append(number)
        raise KeyboardInterrupt

    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is signal.SIG_DFL:
            signal.signal(number, stop)
    code = main(sys.argv[1:])
    with suppress(PipeClosed, OSError):
        write("")  # Standard output that is lost must not be lost once more at exit.
    if met:
        signal.signal(met[0], signal.SIG_DFL)
        os.kill(os.getpid(), met[0])
    sys.exit(code)


def _say(result: Result, arguments: Sequence[str]) -> int:
    """Report what stopped a command, as far as anyone still listens."""
    if _wants_quiet(arguments):
        return int(result.code)
    if _wants_json(arguments):
        try:
            return result.show(Format.JSON)
        except PipeClosed:
            return Code.PIPE
        except OSError as problem:
            result = _failed(problem)
    with suppress(PipeClosed, OSError):
        # Wrapped for people; one line for logs and scripts.
        columns = width() if is_terminal(error=True) else None
        if columns and result.code is Code.INTERRUPTED:
            write("\n", error=True)  # Away from the prompt, or from the terminal's ^C.
        write(result.page.render(colour=coloured(error=True), columns=columns), error=True)
    return int(result.code)


# The arguments may be what is wrong, so they are only looked at, not parsed.


def _wants_quiet(arguments: Sequence[str]) -> bool:
    return "--quiet" in arguments or "-q" in arguments


def _wants_json(arguments: Sequence[str]) -> bool:
    text = " ".join(arguments)
    return "--format json" in text or "--format=json" in text


def _failed(problem: OSError) -> Result:
    place = f"{problem.filename}: " if problem.filename else ""
    return error(Code.IO, f"{place}{problem.strerror or problem}")


def _usage(problem: typer.exceptions.TyperException) -> str:
    """One line, and where the help is."""
    what = " ".join(problem.format_message().split())
    context = getattr(problem, "ctx", None)
    if context is None:
        return what
    return f"{what}{'' if what.endswith(('.', '?')) else '.'} See {context.command_path} --help."


def _missing(problem: ModuleNotFoundError, arguments: Sequence[str]) -> str:
    extra = "publish,pkcs11" if problem.name == "pkcs11" else "publish"
    if arguments[:1] == ["audit"]:
        extra = "ledger"  # Auditors need nothing of what publishes.
    return (
        f"this command needs {problem.name}, which is not installed; install auditkit with its "
        f"extra: pip install '.[{extra}]' in its source folder"
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
