"""Files that are written whole or not at all, and errors of those that are read."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from pathlib import Path

from sonic_base.errors import SonicError

__all__ = ["decoding", "is_there", "whole_file"]

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
