"""Spark for one command: started quietly, and stopped for good."""

import logging
import os
import re
import signal
import socket
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from subprocess import Popen, TimeoutExpired
from typing import IO, TYPE_CHECKING, Any

from auditkit.errors import InputError, shown

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

LOCAL = "local[*]"
_EXIT_SECONDS = 30
_ANSWER_SECONDS = 10
_CAUSE = re.compile(r"(Caused by: |: )?[\w.$]+(Exception|Error)\b")

_ALWAYS = {
    "spark.app.name": "auditkit",
    "spark.ui.enabled": "false",
    "spark.ui.showConsoleProgress": "false",
    "spark.log.level": "OFF",
    # Shuffled and kept rows hold salts and balances; the key is drawn anew each time.
    "spark.io.encryption.enabled": "true",
}
_LOCALLY = {"spark.driver.bindAddress": "127.0.0.1", "spark.driver.host": "127.0.0.1"}
_SQL = {
    "spark.sql.caseSensitive": "true",
    # Customers must not be left out because a file is damaged or gone.
    "spark.sql.files.ignoreCorruptFiles": "false",
    "spark.sql.files.ignoreMissingFiles": "false",
    "spark.sql.execution.arrow.maxRecordsPerBatch": str(1 << 16),
}


@contextmanager
def session(
    master: str = LOCAL, settings: Mapping[str, str] | None = None
) -> "Iterator[SparkSession]":
    """A Spark session of its own, at a master URL; `settings` are further ones of Spark.

    Its JVM is gone afterwards. What it says goes nowhere; raises InputError if
    it cannot start.
    """
    _refuse_without_extra()
    _refuse_silent(master)
    from pyspark.sql import SparkSession

    from auditkit.spark.refusals import plainly

    local = master.startswith("local")
    chosen = {"spark.master": master} | _ALWAYS | (_LOCALLY if local else {}) | dict(settings or {})
    with _python_of(local), _unlogged(), tempfile.TemporaryFile() as said:
        gateway, context = _start(chosen, said)
        try:
            with plainly():
                yield prepared(SparkSession(context))
        except OSError:
            if _running(gateway.proc, 1):
                raise
            raise OSError("Spark: its JVM has ended; see that it gets enough memory") from None
        finally:
            _end(gateway, context)


def prepared(spark: "SparkSession") -> "SparkSession":
    """A session on the same Spark that reads files as auditkit must."""
    fresh = spark.newSession()
    for name, value in _SQL.items():
        fresh.conf.set(name, value)
    return fresh


def _refuse_without_extra() -> None:
    try:
        import pandas  # noqa: F401 - PySpark's mapInArrow needs it.
        import pyspark  # noqa: F401
    except ModuleNotFoundError as missing:
        raise InputError(
            f"--engine spark needs {missing.name}, which is not installed; install auditkit with "
            "its extra: pip install '.[spark]' in its source folder"
        ) from None


def _refuse_silent(master: str) -> None:
    """Raises InputError if nothing listens at a spark:// URL; Spark would try for minutes."""
    if not master.startswith("spark://"):
        return
    for each in master.removeprefix("spark://").split(","):
        host, _, port = each.rpartition(":")
        with suppress(OSError, ValueError, OverflowError):
            socket.create_connection((host.strip("[]"), int(port)), _ANSWER_SECONDS).close()
            return
    raise InputError(
        f"--master: {shown(master)} does not answer; see that Spark's master runs there, and that "
        "this machine reaches it"
    )


def _start(settings: Mapping[str, str], said: IO[bytes]) -> tuple[Any, Any]:
    """Start a JVM, and Spark in it; what the JVM prints goes to `said`."""
    from py4j.protocol import Py4JError
    from pyspark import SparkConf, SparkContext
    from pyspark.errors import PySparkException
    from pyspark.java_gateway import launch_gateway

    if SparkContext._active_spark_context is not None:
        raise InputError("Spark runs in this process already; give its session to SparkBooks")
    conf = SparkConf(loadDefaults=False).setAll(list(settings.items()))
    gateway = None
    try:
        launch: Any = launch_gateway
        gateway = launch(conf, {"stdout": said, "stderr": said})
        with _interruptible():
            return gateway, SparkContext(conf=conf, gateway=gateway)
    except (PySparkException, Py4JError, OSError) as error:
        said.seek(0)
        text = f"{said.read().decode(errors='replace')}\n{error}"
        raise InputError(f"Spark does not start: {_reason(text)}") from None
    finally:
        if SparkContext._active_spark_context is None and gateway is not None:
            _end(gateway)


def _reason(text: str) -> str:
    """The line that says most of why Spark did not start."""
    if re.search(r"JAVA_HOME is not set|java: (?:command )?not found|java: No such file", text):
        return "it needs Java 17 or newer; install it, or set JAVA_HOME"
    if "UnsupportedClassVersionError" in text:
        return "this Java is too old; Spark needs 17 or newer"
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    causes = [line for line in lines if _CAUSE.match(line)]
    line = (causes or lines or ["it said nothing"])[0]
    return "".join(c if c.isprintable() else " " for c in line.removeprefix(": "))[:200]


def _end(gateway: Any, context: Any = None) -> None:
    """End the JVM, and make PySpark forget it, so that another one can be started.

    The JVM stops Spark and removes its files once its input is closed. It is not
    asked to: after Ctrl-C it would take that for part of an earlier question.
    """
    from pyspark import SparkContext

    if context is not None:
        context._jsc = None
        context.stop()
    process = gateway.proc
    process.stdin.close()
    if _running(process, _EXIT_SECONDS):
        process.kill()
        process.wait()
    gateway.close()
    SparkContext._gateway = SparkContext._jvm = None


def _running(process: "Popen[bytes]", seconds: float) -> bool:
    """Whether a process still runs after so many seconds."""
    try:
        process.wait(seconds)
    except TimeoutExpired:
        return True
    return False


@contextmanager
def _python_of(local: bool) -> Iterator[None]:
    """Executors run this Python; on a cluster, another one if PYSPARK_PYTHON says so."""
    before = os.environ.get("PYSPARK_PYTHON")
    os.environ["PYSPARK_PYTHON"] = (None if local else before) or sys.executable
    try:
        yield
    finally:
        del os.environ["PYSPARK_PYTHON"]
        if before is not None:
            os.environ["PYSPARK_PYTHON"] = before


@contextmanager
def _unlogged() -> Iterator[None]:
    """What goes wrong is raised; py4j would also print tracebacks of it."""
    before = logging.root.manager.disable
    logging.disable()
    try:
        yield
    finally:
        logging.disable(before)


@contextmanager
def _interruptible() -> Iterator[None]:
    """What happens in the block does not change what Ctrl-C does; PySpark would."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.getsignal(signal.SIGINT)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
