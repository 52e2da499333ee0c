"""Files that are written whole or not at all, and errors of those that are read."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from sonic_base.errors import SonicError

__all__ = ["check_inflated_size", "decoding", "is_there", "whole_file"]

PLAIN_BYTES = 256 * 1024**2
"""What an archive may always become."""

MAX_RATIO = 100
"""Larger ones at most become this many times their size. Arrays of physics come to ten
times; a billion zeros, to a thousand."""

if TYPE_CHECKING:
    from zipfile import ZipFile

LONGEST_SUFFIX = 16


@contextmanager
def whole_file(
    path: Path, *, renaming: AbstractContextManager[object] | None = None
) -> Iterator[Path]:
    """Give a temporary name, which is renamed to `path` when the block succeeds.

    The temporary file lies in the folder of the output, so that renaming is atomic.
    It keeps the suffix, by which libraries choose a format. If the block fails, the
    file is removed, an old file stays as it was, and the error is that of the block.

    Parameters
    ----------
    path : Path
    renaming : context manager, optional
        Entered to rename the file: it may translate an error.

    Raises
    ------
    OSError
        If renaming fails.
    """
    # Random, because hosts that share a folder have processes of equal numbers; short,
    # because the name of the output may be as long as a name can be.
    from secrets import token_hex  # noqa: PLC0415 - slow to import

    suffix = path.suffix if len(path.suffix) <= LONGEST_SUFFIX else ""
    unfinished = path.with_name(f".{token_hex(8)}.part{suffix}")
    try:
        yield unfinished
        with renaming or nullcontext():
            unfinished.replace(path)
    finally:
        with suppress(OSError):
            unfinished.unlink(missing_ok=True)


def check_inflated_size(archive: ZipFile) -> None:
    """Refuse an archive that would take far more memory than its file has bytes.

    Nothing is read but its directory. Libraries read no more of a member than the
    directory says.

    Parameters
    ----------
    archive : ZipFile
        ``arrays.zip`` of what `numpy.load` returns for a ``.npz``.

    Raises
    ------
    ValueError
        If it becomes more than `PLAIN_BYTES` and more than `MAX_RATIO` times its size.
    """
    inflated = sum(member.file_size for member in archive.infolist())
    if inflated <= PLAIN_BYTES or archive.fp is None:
        return
    # Not the sum of the members' compressed sizes: members may overlap.
    n_bytes = archive.fp.seek(0, os.SEEK_END)
    if inflated > MAX_RATIO * n_bytes:
        raise ValueError(
            f"{n_bytes} bytes would become {inflated}, expected at most "
            f"{MAX_RATIO} times as many"
        )


def is_there(path: Path) -> bool:
    """Whether a path exists; False also if none can have its name."""
    try:
        return path.exists()
    except OSError:  # such as a name that is too long
        return False


@contextmanager
def decoding(damaged: Callable[[str], SonicError]) -> Iterator[None]:
    """Translate whatever a decoder raises on bytes that it cannot read.

    The block calls the decoder of a library and nothing else: an error of our own code
    in it would look like a damaged file.

    Parameters
    ----------
    damaged : callable
        Returns the error to raise, from a reason of one line: the decoder's error and
        the first line of its message.

    Raises
    ------
    SonicError
        The one that `damaged` returns, with the decoder's error as its cause. Errors of
        this toolkit, and ImportError, pass unchanged.
    """
    try:
        yield
    except (SonicError, ImportError):
        raise
    # What decoders raise on damaged bytes is open-ended: OSError, ValueError,
    # IndexError, AssertionError, struct.error, zlib.error, MemoryError, RecursionError.
    except Exception as error:
        lines = str(error).strip().splitlines() or ["no details"]
        raise damaged(f"{type(error).__name__}: {lines[0]}") from error
