"""From errors to one line on stderr and an exit status."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager

import typer

from exatrkx_pipeline.errors import PipelineConfigError, WeightsError
from sonic_client.errors import ConfigError, SonicError

__all__ = ["MissingExtraError", "needs_extra", "one_line_errors"]

FAILED, BAD_USAGE, INTERRUPTED = 1, 2, 130
"""Exit statuses; 130 is what shells give a command that Ctrl-C ended."""


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

    1: the job failed; 2: the settings are wrong; 130: Ctrl-C. Everything else is a
    defect of this program and passes through. With ``SONIC_DEBUG`` set in the
    environment, the traceback comes before the line.

    Raises
    ------
    typer.Exit
        With the status.
    """
    try:
        yield
    except (ConfigError, PipelineConfigError) as error:
        _say(error)
        raise typer.Exit(BAD_USAGE) from error
    except (SonicError, WeightsError) as error:
        _say(error)
        raise typer.Exit(FAILED) from error
    except KeyboardInterrupt as interrupt:
        _say("interrupted")
        raise typer.Exit(INTERRUPTED) from interrupt


def _say(message: object) -> None:
    if os.environ.get("SONIC_DEBUG"):
        traceback.print_exc()
    line = " ".join(str(message).split())
    print(f"sonic: {line}", file=sys.stderr)  # noqa: T201 - a command's voice
