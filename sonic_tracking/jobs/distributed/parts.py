"""How the events of a job are cut into parts: a file's own, a range of entries each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["Part", "plan_parts"]

PARTS_PER_WORKER = 8
"""Enough for the workers to end together, though some events take longer."""

MAX_EVENTS = 1000
"""Of a part: it is what a worker holds in memory, and what is lost if it dies."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """Neighbouring events of one file, which one task does.

    Attributes
    ----------
    file : int
        Position of the file among those of the job.
    start, stop : int
        Entries in it, the last one excluded.
    """

    file: int
    start: int
    stop: int

    def __len__(self) -> int:
        return self.stop - self.start

    @property
    def name(self) -> str:
        """What it is called, in the order of the input."""
        return f"part-{self.file:06d}-{self.start:012d}-{self.stop:012d}"


def plan_parts(
    n_events: Sequence[int], *, start: int, stop: int, n_workers: int
) -> tuple[Part, ...]:
    """Return the parts that cover the events of a job, once each, in order.

    Parameters
    ----------
    n_events : sequence of int
        Number of events in each file.
    start, stop : int
        Events of the job, counted over all files; those before `start` are done.
    n_workers : int
        Processes that will share the work.

    Notes
    -----
    A file is cut where it would be without `start`: a job that is resumed finds the
    parts again that were finished, if it has as many workers.
    """
    size = -(-stop // (PARTS_PER_WORKER * max(1, n_workers)))
    size = min(max(1, size), MAX_EVENTS)
    parts, before = [], 0
    for file, length in enumerate(n_events):
        low, high = max(start - before, 0), min(stop - before, length)
        before += length
        while low < high:
            end = min(high, low - low % size + size)
            parts.append(Part(file=file, start=low, stop=end))
            low = end
    return tuple(parts)
