"""The terminal: tables, warnings, and one line for each error."""

from __future__ import annotations

import logging
import os
import re
import shlex
import signal
import sys
import threading
import traceback
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from types import FrameType

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from sonic_base import ConfigError, SonicError, printable

__all__ = [
    "FAILED",
    "one_line_errors",
    "print_line",
    "print_rows",
    "print_table",
    "this_command",
]

FAILED, BAD_USAGE, INTERRUPTED, TERMINATED = 1, 2, 130, 143
"""Exit statuses; the last two are what shells give after SIGINT and SIGTERM."""


ARGUMENT_IN_PYTHON = re.compile(r" \(\w+=True\)")
"""The name of an option as an argument in Python, which messages of jobs add to it."""


def this_command() -> str:
    """Return ``sonic`` with its arguments, quoted for a shell, for the provenance."""
    return shlex.join(["sonic", *sys.argv[1:]])


def print_line(text: str) -> None:
    """Print one line on stdout, not wrapped and without markup."""
    Console(soft_wrap=True, highlight=False, markup=False).print(printable(text))


def print_rows(title: str, rows: Iterable[tuple[str, str]]) -> None:
    """Print names and values on stdout, one pair a line."""
    print_table(title, (), rows)


def print_table(
    title: str, header: Iterable[str], rows: Iterable[tuple[str, ...]]
) -> None:
    """Print a table on stdout; the first column names the rows.

    If stdout is not a terminal, values are neither wrapped nor cut, because a program
    may read them.
    """
    columns = list(header)
    cells = list(rows)
    table = Table(
        title=printable(title),
        title_justify="left",
        title_style="bold",
        show_header=bool(columns),
        box=None,
        pad_edge=False,
        padding=(0, 3, 0, 0),
    )
    for index in range(len(columns) or max(map(len, cells), default=0)):
        table.add_column(columns[index] if columns else "", overflow="fold")
    for row in cells:
        table.add_row(*(Text(printable(cell)) for cell in row))
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = max(console.width, 200)
    console.print(table)
    console.print()


@contextmanager
def one_line_errors() -> Iterator[None]:
    """Turn every error that a user can cause into one line on stderr and a status.

    1: the job failed; 2: the settings are wrong; 130: Ctrl-C; 143: SIGTERM. A second
    signal ends the process at once, without cleaning up. Any other exception is a
    defect of this program and passes through. With ``SONIC_DEBUG`` set in the
    environment, the traceback is printed before the line. Warnings that the package
    logs are printed on stderr as well.

    Raises
    ------
    typer.Exit
        With the status.
    """
    try:
        with _warnings_on_stderr(), _signals_interrupt():
            yield
    except SonicError as error:
        _say(error, error)
        is_usage = isinstance(error, ConfigError)
        raise typer.Exit(BAD_USAGE if is_usage else FAILED) from error
    except _Terminated as terminated:
        _say("terminated", terminated)
        raise typer.Exit(TERMINATED) from terminated
    except KeyboardInterrupt as interrupt:
        _say("interrupted", interrupt)
        raise typer.Exit(INTERRUPTED) from interrupt


class _Terminated(KeyboardInterrupt):
    """SIGTERM, as batch systems send it; cleaned up after like Ctrl-C."""


@contextmanager
def _signals_interrupt() -> Iterator[None]:
    """Let the first SIGINT or SIGTERM end the block, and the next one the process.

    The clean-up after the first one may take seconds, or hang with a server. A second
    exception in the middle of it would leave threads behind that Python cannot join.
    """
    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread may handle signals
        return
    numbers = [
        number
        for number in (signal.SIGINT, signal.SIGTERM)
        if signal.getsignal(number) is not signal.SIG_IGN
    ]

    def interrupt(number: int, _frame: FrameType | None) -> None:
        for each in numbers:
            signal.signal(each, end_at_once)
        raise _Terminated if number == signal.SIGTERM else KeyboardInterrupt

    def end_at_once(number: int, _frame: FrameType | None) -> None:
        os.write(2, b"sonic: ended at once, without cleaning up\n")
        os._exit(128 + number)

    before = {number: signal.signal(number, interrupt) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def _warnings_on_stderr() -> Iterator[None]:
    handler = logging.StreamHandler(sys.stderr)
    handler.setLevel(logging.WARNING)
    handler.setFormatter(_Printable("sonic: warning: %(message)s"))
    logger = logging.getLogger("sonic_tracking")
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)


class _Printable(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        return printable(super().format(record))


def _say(message: object, error: BaseException) -> None:
    """Print the error's message after its notes, such as where to go on from.

    A note of several lines is a file that the user may save: it follows as it is.
    """
    if os.environ.get("SONIC_DEBUG"):
        traceback.print_exc()
    notes: tuple[str, ...] = tuple(getattr(error, "__notes__", ()))
    files = [note for note in notes if "\n" in note]
    for each in (*(note for note in notes if note not in files), message):
        line = ARGUMENT_IN_PYTHON.sub("", printable(" ".join(str(each).split())))
        print(f"sonic: {line}", file=sys.stderr)  # noqa: T201 - a command's voice
    for text in files:
        lines = map(printable, text.split("\n"))
        print("", *lines, sep="\n", file=sys.stderr)  # noqa: T201
