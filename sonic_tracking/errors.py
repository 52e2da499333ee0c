"""Errors of the application, beside those of the packages below."""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator
from contextlib import contextmanager

from sonic_base import ConfigError, SonicError

__all__ = ["MAIN_GUARD", "MissingExtraError", "needs_extra", "require_main_guard"]

MAIN_GUARD = (
    "a script that starts processes must have the call below "
    'if __name__ == "__main__": because each of them imports the script'
)


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
        If a package is not installed.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        package = (error.name or str(error)).partition(".")[0]
        raise MissingExtraError(package=package, extra=extra) from error


def require_main_guard() -> None:
    """Refuse to start processes from a script that each of them would run again.

    A first process, which does nothing, shows it; there the script comes here again,
    and ends without a traceback.

    Raises
    ------
    ConfigError
        If the script of this process cannot be imported by another one.
    """
    if getattr(multiprocessing.current_process(), "_inheriting", False):
        raise SystemExit(1)
    probe = multiprocessing.get_context("spawn").Process(target=int)
    probe.start()
    probe.join()
    if probe.exitcode:
        raise ConfigError(MAIN_GUARD)
