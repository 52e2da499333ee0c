"""Functions compiled to machine code, which is cached on disk between processes."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

from numba import njit
from numba.core.compiler_lock import global_compiler_lock

REORDERED = {"reassoc", "contract", "nsz", "arcp"}
"""Sums may be split into vector lanes; NaN and infinity keep their meaning."""

COMPILED_FOLDERS = ("kernels", "graph", "tracks")
"""Folders of the package with compiled functions: a change in one makes all cached
machine code stale, since functions of one file become part of those of another."""


# Any: numba gives its functions no types.
def compiled(function: Callable[..., Any]) -> Any:
    """The function as machine code, cached on disk where numba finds a place for it.

    It releases the interpreter lock, and may add numbers up in any order.
    """
    return _cached(function, fastmath=REORDERED)


def compiled_as_written(function: Callable[..., Any]) -> Any:
    """As `compiled`, but every operation as written: for loops that use `vectors`."""
    return _cached(function, fastmath=False)


def _cached(function: Callable[..., Any], **options: Any) -> Any:
    # Numba compiles anew when the function's own file changes; a new name makes it do
    # so when another file changes.
    function.__qualname__ += f"-{_digest()}"
    options |= {"nogil": True, "error_model": "numpy"}
    try:
        dispatcher = njit(cache=True, **options)(function)
    except RuntimeError:  # neither the package's folder nor a home is writable
        dispatcher = njit(**options)(function)
    # Numba releases its lock between the steps of a compilation; threads that make the
    # same first call then mix up each other's types.
    dispatcher.compile = global_compiler_lock(dispatcher.compile)
    return dispatcher


@cache
def _digest() -> str:
    package = Path(__file__).parents[1]
    files = [
        file
        for folder in COMPILED_FOLDERS
        for file in sorted((package / folder).rglob("*.py"))
    ]
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()[:8]
