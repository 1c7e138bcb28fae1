"""Commands of the exchange's own: run without a shell, for so long, and read so far."""

import os
import select
import shlex
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager

from auditkit.errors import InputError, shown

_HIDDEN = ("AUDITKIT_PASSPHRASE",)
"""What is in our environment for us alone."""


def run(name: str, command: str, given: bytes, patience: int, most: int) -> bytes:
    """What a command prints that gets `given` as its standard input.

    It has `patience` milliseconds, and may print `most` bytes. What it says on
    standard error goes where ours does. Raises InputError, which begins with
    `name`, where it cannot be started, fails, takes longer or prints more.
    """
    if not command.strip():
        raise InputError(f"{name}: is empty; write a command")
    deadline = time.monotonic() + patience / 1000
    with _started(name, command, given) as process:
        try:
            data = _all_of(name, process, deadline, most)
            code = process.wait(max(0, deadline - time.monotonic()))
        except BaseException as error:
            # Its children too. Nobody has waited for it yet, so the number is still its own.
            os.killpg(process.pid, signal.SIGKILL)
            if isinstance(error, subprocess.TimeoutExpired):
                late = f"{name}: not done after {patience} ms; it was stopped"
                raise InputError(late) from None
            raise
    if code:
        raise InputError(f"{name}: ended in {code}")
    return data


@contextmanager
def _started(name: str, command: str, given: bytes) -> "Iterator[subprocess.Popen[bytes]]":
    # A file, and not a pipe: nobody has to read it, and a command may ask for its size.
    with tempfile.TemporaryFile() as file:
        file.write(given)
        file.seek(0)
        try:
            process = subprocess.Popen(  # noqa: S603 - The exchange's own command.
                shlex.split(command),
                stdin=file,
                stdout=subprocess.PIPE,
                env={k: v for k, v in os.environ.items() if k not in _HIDDEN},
                start_new_session=True,
            )
        except (OSError, ValueError, IndexError) as error:
            raise InputError(f"{name}: {shown(command)}: {error}") from None
    with process:
        yield process


def _all_of(name: str, process: "subprocess.Popen[bytes]", deadline: float, most: int) -> bytes:
    """What it prints until it closes its output."""
    data, output = b"", process.stdout
    while output is not None:
        ready, _, _ = select.select([output], [], [], max(0, deadline - time.monotonic()))
        if not ready:
            raise subprocess.TimeoutExpired(name, 0)
        part = os.read(output.fileno(), 1 << 16)
        data += part
        if len(data) > most:
            raise InputError(f"{name}: printed more than {_size(most)}")
        if not part:
            break
    return data


def _size(most: int) -> str:
    return f"{most >> 20} MiB" if most >> 20 else f"{most} bytes"
