"""Errors of the application, beside those of the packages below."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from sonic_base import SonicError

__all__ = ["MissingExtraError", "needs_extra"]


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
