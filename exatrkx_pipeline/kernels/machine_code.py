"""Functions as machine code, kept on disk from one process to the next."""

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

SHARED_SOURCES = (
    "kernels/machine_code.py",
    "kernels/vectors.py",
    "kernels/tile_product.py",
    "kernels/row_kernels.py",
    "kernels/message_kernels.py",
    "kernels/edge_loops.py",
    "graph/near_lanes.py",
    "tracks/refinement/chains.py",
    "tracks/refinement/helix.py",
    "tracks/refinement/rings.py",
)
"""Files of the package whose code becomes part of functions in others."""


# Any: numba gives its functions no types.
def compiled(function: Callable[..., Any]) -> Any:
    """The function as machine code, kept on disk where numba finds a place for it.

    It releases the interpreter lock, and may add numbers up in any order.
    """
    return _kept(function, fastmath=REORDERED)


def compiled_as_written(function: Callable[..., Any]) -> Any:
    """As `compiled`, with every operation in its place: for loops of `vectors`."""
    return _kept(function, fastmath=False)


def _kept(function: Callable[..., Any], **options: Any) -> Any:
    # Numba renews what it has kept when the function's own file changes; the name that
    # it is kept by changes with the others.
    function.__qualname__ += f"-{_digest()}"
    options |= {"nogil": True, "error_model": "numpy"}
    try:
        dispatcher = njit(cache=True, **options)(function)
    except RuntimeError:  # neither the package's folder nor a home can be written to
        dispatcher = njit(**options)(function)
    # By itself numba lets go of its lock between the steps of a compilation, where
    # threads that make the same first call mix up each other's types.
    dispatcher.compile = global_compiler_lock(dispatcher.compile)
    return dispatcher


@cache
def _digest() -> str:
    folder = Path(__file__).parents[1]
    sources = [(folder / name).read_bytes() for name in SHARED_SOURCES]
    return hashlib.sha256(b"".join(sources)).hexdigest()[:8]
