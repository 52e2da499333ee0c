"""Most memory that this process holds during a call."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from sonic_tracking.jobs.memory import peak_memory_bytes

__all__ = ["with_peak_memory"]

T = TypeVar("T")

# proc(5): writing 5 to clear_refs sets the peak (VmHWM) to what is held now.
CLEAR_REFS, STATUS = Path("/proc/self/clear_refs"), Path("/proc/self/status")


def with_peak_memory(call: Callable[[], T]) -> tuple[T, int]:
    """What the call returns, and the peak of the resident set in bytes.

    Where there is no ``/proc`` to reset it, the peak is that of the process so far.
    """
    is_reset = _reset_peak()
    result = call()
    return result, _peak_bytes() if is_reset else peak_memory_bytes()


def _reset_peak() -> bool:
    try:
        CLEAR_REFS.write_text("5")
    except OSError:
        return False
    return True


def _peak_bytes() -> int:
    (line,) = (x for x in STATUS.read_text().splitlines() if x.startswith("VmHWM:"))
    return int(line.split()[1]) * 1024  # kB
