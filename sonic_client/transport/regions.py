"""POSIX shared memory of this process, reused from call to call."""

from __future__ import annotations

import itertools
import os
from multiprocessing.shared_memory import SharedMemory
from pathlib import Path
from typing import Literal, TypeAlias

__all__ = ["Direction", "Region", "RegionPool", "grown_size"]

Direction: TypeAlias = Literal["input", "output"]

_SMALLEST_BYTES = 2**16
_FOLDER = Path("/dev/shm")
_numbers = itertools.count(1)


class Region:
    """One object of shared memory, created for the purpose, unlinked by `discard`.

    If this process is killed, Python's resource tracker unlinks it.

    Parameters
    ----------
    direction : str
    n_bytes : int

    Attributes
    ----------
    name : str
        ``sonic_<pid>_<direction>_<number>``: what the server knows it by.
    key : str
        What the operating system knows it by.
    n_bytes : int

    Raises
    ------
    OSError
        If there is no room.
    """

    def __init__(self, direction: Direction, n_bytes: int) -> None:
        self.direction, self.n_bytes = direction, n_bytes
        self.name = f"sonic_{os.getpid()}_{direction}_{next(_numbers)}"
        self.key = f"/{self.name}"
        # Exclusively: two processes must never share one by accident.
        self._memory = SharedMemory(self.name, create=True, size=n_bytes)
        try:
            self._reserve()
        except OSError:
            self.discard()
            raise

    @property
    def buffer(self) -> memoryview:
        """The memory; views of it must be gone when it is discarded."""
        buffer = self._memory.buf
        assert buffer is not None  # until it is discarded
        return buffer

    def discard(self) -> None:
        """Unmap and unlink it here; a server that has it mapped keeps its memory."""
        self._memory.close()
        self._memory.unlink()

    def _reserve(self) -> None:
        # Memory is given when first written, by a bus error if there is none left.
        if (_FOLDER / self.name).exists():
            with (_FOLDER / self.name).open("r+b") as file:
                os.posix_fallocate(file.fileno(), 0, self.n_bytes)


class RegionPool:
    """Regions that no call uses, by direction; there are as many as calls at once."""

    def __init__(self) -> None:
        self._free: dict[Direction, list[Region]] = {"input": [], "output": []}

    def take(self, direction: Direction, n_bytes: int) -> Region | None:
        """Return a free region that is large enough, if there is one."""
        free = self._free[direction]
        for index in range(len(free) - 1, -1, -1):
            if free[index].n_bytes >= n_bytes:
                return free.pop(index)
        return None

    def take_too_small(self, direction: Direction) -> Region | None:
        """Return any free region, to be replaced by a larger one."""
        free = self._free[direction]
        return free.pop() if free else None

    def give_back(self, region: Region) -> None:
        """Take a region that its call is done with."""
        self._free[region.direction].append(region)

    def clear(self) -> list[Region]:
        """Return all free regions, which are no longer in the pool."""
        regions = [*self._free["input"], *self._free["output"]]
        self._free = {"input": [], "output": []}
        return regions


def grown_size(n_bytes: int) -> int:
    """Return the size of a new region: with room, so that few are made."""
    size = _SMALLEST_BYTES
    while size < n_bytes:
        size *= 2
    return size
