"""Log file of a run: every line with its time, those that the terminal does not show as well."""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TextIO

import typer
from rich.logging import RichHandler

from bench._version import __version__
from bench.cli.console import err
from bench.stop import STOPS, describe_stop

rows_log = logging.getLogger("bench.rows")
"""Takes what the display of rows is told; its lines go to the log file alone."""
rows_log.propagate = False
rows_log.addHandler(logging.NullHandler())

FORMAT = "%(asctime)s %(levelname)-7s %(message)s"
DATES = "%Y-%m-%dT%H:%M:%S%z"


@contextmanager
def quiet_console(is_quiet: bool) -> Iterator[None]:
    """Show only warnings and errors of the log on the terminal."""
    handlers = [each for each in logging.getLogger().handlers if isinstance(each, RichHandler)]
    before = [handler.level for handler in handlers]
    for handler in handlers if is_quiet else ():
        handler.setLevel(logging.WARNING)
    try:
        yield
    finally:
        for handler, level in zip(handlers, before, strict=True):
            handler.setLevel(level)


@contextmanager
def logged_to(path: Path | None) -> Iterator[None]:
    """Append every line of the log, Python's warnings and the error that ends the command to a file.

    Raises:
        OSError: when the file cannot be opened.
    """
    if path is None:
        yield
        return
    with ExitStack() as stack:
        handler = _LogFile(path)
        stack.callback(handler.close)
        for logger in (logging.getLogger(), rows_log):
            logger.addHandler(handler)
            stack.callback(logger.removeHandler, handler)
        stack.enter_context(_warnings_in_log())
        stack.callback(rows_log.setLevel, rows_log.level)
        rows_log.setLevel(logging.INFO)
        rows_log.info("dfinet-bench %s, process %d", __version__, os.getpid())
        try:
            yield
        except typer.Exit:
            raise
        except STOPS as stop:
            rows_log.error(describe_stop(stop))
            raise
        except Exception as error:
            rows_log.error("error: %s", str(error) or type(error).__name__)
            raise


@contextmanager
def _warnings_in_log() -> Iterator[None]:
    """Log Python's warnings, beside showing them as before."""
    show = warnings.showwarning

    def show_and_log(
        message: Warning | str,
        category: type[Warning],
        filename: str,
        lineno: int,
        file: TextIO | None = None,
        line: str | None = None,
    ) -> None:
        rows_log.warning("%s:%d: %s: %s", filename, lineno, category.__name__, message)
        show(message, category, filename, lineno, file, line)

    warnings.showwarning = show_and_log
    try:
        yield
    finally:
        warnings.showwarning = show


class _LogFile(logging.FileHandler):
    """A log file that costs a run nothing but its lines: one that takes no more is told of once."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        super().__init__(path, mode="a", encoding="utf-8", errors="backslashreplace")
        self.setFormatter(logging.Formatter(FORMAT, DATES))
        self._path, self._is_lost = path, False

    def emit(self, record: logging.LogRecord) -> None:
        if not self._is_lost:
            super().emit(record)

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802
        self._is_lost = True
        err.print(f"{self._path}: takes no more lines; the run goes on without", markup=False, soft_wrap=True)

    def close(self) -> None:
        try:
            super().close()
        except OSError:  # of a disk that is full, which has been told
            self.stream = None
