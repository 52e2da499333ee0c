"""A ROOT file that is either complete or not there."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import uproot

from producers.model.errors import OutputError, OutputExistsError

__all__ = ["OpenOutput", "check_output", "output_errors", "whole_file"]


def check_output(path: Path | str, *, force: bool = False) -> None:
    """Refuse an output path now, rather than when hours of work are to be written.

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


@dataclass(frozen=True, slots=True, eq=False)
class OpenOutput:
    """A file that is being written under a temporary name.

    Attributes
    ----------
    path : Path
        The name that it will have.
    file : uproot.WritableDirectory
    """

    path: Path
    file: Any  # uproot has no type information

    @contextmanager
    def errors(self) -> Iterator[None]:
        """Translate the operating system's errors: disk full, quota, no permission.

        Raises
        ------
        OutputError
            With the path of the output, not of the temporary file.
        """
        with output_errors(self.path):
            yield


@contextmanager
def whole_file(path: Path | str, *, force: bool = False) -> Iterator[OpenOutput]:
    """Open a ROOT file under a temporary name; renamed when the block has succeeded.

    The temporary file lies in the folder of the output, so that renaming is
    atomic. It is removed if the block fails, and the old file, if there was one,
    stays as it was.

    Parameters
    ----------
    path : path
    force : bool
        Whether an existing file may be replaced.

    Raises
    ------
    OutputExistsError, OutputError
        As `check_output`, and OutputError if writing fails.
    """
    path = Path(path)
    check_output(path, force=force)
    partial = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with output_errors(path):
            file = uproot.recreate(partial)
        try:
            yield OpenOutput(path, file)
        finally:
            with output_errors(path):
                file.close()
        with output_errors(path):
            partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


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
