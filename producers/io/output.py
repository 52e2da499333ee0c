"""Outputs that are checked before the work, and are complete or not there at all."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from producers.model.errors import OutputError, OutputExistsError
from sonic_base import ConfigError


def check_output(path: Path | str, *, force: bool = False) -> None:
    """Refuse an output path before hours of work are spent on it.

    Raises
    ------
    OutputExistsError
        If the file exists and `force` is not set.
    OutputError
        If the folder does not exist or cannot be written to, or the path is a
        folder.
    """
    path = Path(path)
    if path.is_dir():
        raise OutputError(path, "is a folder, expected a file name")
    if not path.parent.is_dir():
        raise OutputError(path, f"folder {str(path.parent)!r} does not exist")
    if not os.access(path.parent, os.W_OK):
        raise OutputError(path, f"folder {str(path.parent)!r} cannot be written to")
    if path.exists() and not force:
        raise OutputExistsError(path)


@contextmanager
def output_errors(path: Path) -> Iterator[None]:
    """Translate the operating system's errors: disk full, quota, no permission.

    Raises
    ------
    OutputError
        With the path of the output, not of a temporary file.
    """
    try:
        yield
    except OutputError:
        raise
    except OSError as error:
        raise OutputError(path, f"cannot write: {error.strerror or error}") from error


@contextmanager
def whole_file(path: Path, *, force: bool = False) -> Iterator[Path]:
    """Give a temporary name, which is renamed to `path` when the block succeeds.

    The temporary file lies in the folder of the output, so that renaming is
    atomic. It keeps the suffix, by which plotting libraries choose the format.
    It is removed if the block fails, and an old file stays as it was.

    Parameters
    ----------
    path : Path
    force : bool
        Whether an existing file may be replaced.

    Raises
    ------
    OutputExistsError, OutputError
        As `check_output`; and OutputError if renaming fails.
    """
    check_output(path, force=force)
    unfinished = path.with_name(f".{path.stem}.{os.getpid()}.part{path.suffix}")
    try:
        yield unfinished
        with output_errors(path):
            unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)


def picture_format(path: Path) -> str:
    """Return the format that the suffix of a picture names: png, pdf or svg.

    Raises
    ------
    ConfigError
        If it names another one, or there is none.
    """
    suffix = path.suffix.lower().removeprefix(".")
    if suffix not in ("png", "pdf", "svg"):
        raise ConfigError(f"plot {path}: expected the suffix .png, .pdf or .svg")
    return suffix
