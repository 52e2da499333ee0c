"""The peak memory of this process."""

from __future__ import annotations

import resource
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

__all__ = ["peak_memory_bytes", "with_peak_memory"]

T = TypeVar("T")

# proc(5): writing 5 to clear_refs sets the peak (VmHWM) to the current size.
CLEAR_REFS, STATUS = Path("/proc/self/clear_refs"), Path("/proc/self/status")


def peak_memory_bytes() -> int:
    """Return the largest resident set that this process has had so far.

    Notes
    -----
    psutil reports the peak on Windows only.
    """
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024  # getrusage(2): kB


def with_peak_memory(call: Callable[[], T]) -> tuple[T, int]:
    """Return the result of the call, and the peak of the resident set in bytes.

    Without ``/proc``, which can reset the peak, it is the peak of the process so far.
    """
    try:
        CLEAR_REFS.write_text("5")
    except OSError:
        return call(), peak_memory_bytes()
    result = call()
    (line,) = (x for x in STATUS.read_text().splitlines() if x.startswith("VmHWM:"))
    return result, int(line.split()[1]) * 1024  # kB
