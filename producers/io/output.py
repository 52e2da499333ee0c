"""Outputs that are checked before the work, and are complete or not there at all."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from hashlib import sha256
from io import BytesIO
from pathlib import Path
from typing import IO

import sonic_base
from producers.model.errors import OutputError, OutputExistsError
from producers.model.types import Untyped
from sonic_base import ConfigError, SonicError

LONGEST_NAME = 255
"""Bytes of a file's name: the limit of ext4, XFS, NFS and others."""

REMEDIES = {
    errno.ENOSPC: "free some space, or write to another disk",
    errno.EDQUOT: "free some space, or write to another disk",
    errno.EFBIG: "raise the limit of the size of files (ulimit -f)",
    errno.ENAMETOOLONG: "choose a shorter name",
    **dict.fromkeys(
        (errno.EACCES, errno.EPERM, errno.EROFS),
        "choose a folder that you may write to",
    ),
}
"""What to do about an error of the operating system."""


def check_output(path: Path | str, *, force: bool = False) -> None:
    """Refuse an output path before hours of work are spent on it.

    Raises
    ------
    OutputExistsError
        If the file exists and `force` is not set.
    OutputError
        If the folder does not exist or cannot be written to, the path is a folder, or
        its name is too long.
    """
    path = Path(path)
    with output_errors(path):
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
        With the path of the output, not of a temporary file, and what to do.
    """
    try:
        yield
    except SonicError:  # some are an OSError, too
        raise
    except OSError as error:
        remedy = REMEDIES.get(error.errno or 0)
        advice = f"; {remedy}" if remedy else ""
        reason = f"cannot write: {error.strerror or error}{advice}"
        raise OutputError(path, reason) from error


def close_quietly(file: IO[bytes] | IO[str]) -> None:
    """Close a file that is given up, which may fail once more as writing did."""
    with suppress(OSError):
        file.close()


def beside(output: Path, suffix: str) -> Path:
    """Return the path of a file that belongs to an output: its name and a suffix.

    A name that would be too long is shortened, and a digest tells it from others.
    """
    name = output.name + suffix
    if len(os.fsencode(name)) > LONGEST_NAME:
        digest = sha256(os.fsencode(output.name)).hexdigest()[:16]
        name = f"{output.name[:32]}-{digest}{suffix}"
    return output.with_name(name)


@contextmanager
def whole_file(path: Path, *, force: bool = False) -> Iterator[Path]:
    """Give a temporary name, which is renamed to `path` when the block succeeds.

    As `sonic_base.whole_file`, for an output of a job.

    Parameters
    ----------
    path : Path
    force : bool
        Whether an existing file may be replaced.

    Raises
    ------
    OutputExistsError, OutputError
        As `check_output`; and OutputError if renaming fails. Errors of the block pass
        unchanged: see `output_errors`.
    """
    check_output(path, force=force)
    with sonic_base.whole_file(path, renaming=output_errors(path)) as unfinished:
        yield unfinished


def write_whole(path: Path, content: bytes) -> None:
    """Write a file completely or not at all, in place of one that exists.

    Raises
    ------
    OutputError
        If it cannot be written.
    """
    with output_errors(path), whole_file(path, force=True) as unfinished:
        unfinished.write_bytes(content)


def write_picture(path: Path, figure: Untyped, *, dpi: int) -> None:
    """Write a figure of matplotlib in the format that the suffix names.

    Raises
    ------
    ConfigError
        As `picture_format`.
    OutputError
        If it cannot be written.
    """
    # Drawn in memory, because matplotlib leaves a file open that it cannot write.
    picture = BytesIO()
    figure.savefig(picture, format=picture_format(path), dpi=dpi)
    write_whole(path, picture.getvalue())


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
