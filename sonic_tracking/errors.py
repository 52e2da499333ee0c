"""From errors to one line on stderr and an exit status."""

from __future__ import annotations

import os
import signal
import sys
import threading
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

import typer

from exatrkx_pipeline.errors import PipelineConfigError, WeightsError
from sonic_base.errors import ConfigError, SonicError

__all__ = ["MissingExtraError", "needs_extra", "one_line_errors"]

FAILED, BAD_USAGE, INTERRUPTED, TERMINATED = 1, 2, 130, 143
"""Exit statuses; the last two are what shells give after SIGINT and SIGTERM."""


class _Terminated(KeyboardInterrupt):
    """SIGTERM, as batch systems send it; cleaned up after like Ctrl-C."""


class MissingExtraError(SonicError):
    """A package of an optional extra is not installed.

    Attributes
    ----------
    package, extra : str
    """

    def __init__(self, *, package: str, extra: str) -> None:
        self.package, self.extra = package, extra
        super().__init__(
            f"this needs the package {package}: pip install 'sonic-tracking[{extra}]'"
        )


@contextmanager
def needs_extra(extra: str) -> Iterator[None]:
    """Import in this block what only an extra installs.

    Raises
    ------
    MissingExtraError
        If a package is not there.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        package = (error.name or str(error)).partition(".")[0]
        raise MissingExtraError(package=package, extra=extra) from error


@contextmanager
def one_line_errors() -> Iterator[None]:
    """Turn what a user can cause into one line on stderr and an exit status.

    1: the job failed; 2: the settings are wrong; 130: Ctrl-C; 143: SIGTERM. Everything
    else is a defect of this program and passes through. With ``SONIC_DEBUG`` set in the
    environment, the traceback comes before the line.

    Raises
    ------
    typer.Exit
        With the status.
    """
    try:
        with _sigterm_interrupts():
            yield
    except (ConfigError, PipelineConfigError) as error:
        _say(error)
        raise typer.Exit(BAD_USAGE) from error
    except (SonicError, WeightsError) as error:
        _say(error)
        raise typer.Exit(FAILED) from error
    except _Terminated as terminated:
        _say("terminated")
        raise typer.Exit(TERMINATED) from terminated
    except KeyboardInterrupt as interrupt:
        _say("interrupted")
        raise typer.Exit(INTERRUPTED) from interrupt


@contextmanager
def _sigterm_interrupts() -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread may handle signals
        return

    def terminate(_signal: int, _frame: FrameType | None) -> None:
        raise _Terminated

    before = signal.signal(signal.SIGTERM, terminate)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _say(message: object) -> None:
    if os.environ.get("SONIC_DEBUG"):
        traceback.print_exc()
    line = " ".join(str(message).split())
    print(f"sonic: {line}", file=sys.stderr)  # noqa: T201 - a command's voice
