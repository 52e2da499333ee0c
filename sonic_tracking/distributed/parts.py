"""Parts of a job: how its events are divided, and the file that each part leaves."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from producers import LoopTimes, TrackBlock, UnreadableFileError
from producers.io import output_errors, read_npz
from sonic_base import whole_file
from sonic_client import JobSummary
from sonic_tracking.outputs import Json

__all__ = ["Part", "PartReport", "plan_parts", "read_part", "read_report", "write_part"]

PARTS_PER_WORKER = 8
"""Enough for the workers to finish together although some events take longer."""

MAX_EVENTS = 1000
"""Most events of a part: a worker keeps them in memory, and loses them if it dies."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """Neighbouring events of one file, which one task does.

    Attributes
    ----------
    file : int
        Position of the file among those of the job.
    start, stop : int
        Entries of the file, without `stop`.
    """

    file: int
    start: int
    stop: int

    def __len__(self) -> int:
        return self.stop - self.start

    @property
    def name(self) -> str:
        """A name that sorts as the input does."""
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
        Number of processes that share the work.

    Notes
    -----
    The borders of parts do not depend on `start`: a resumed job with as many workers
    finds the parts again that were finished.
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


@dataclass(frozen=True, slots=True, kw_only=True)
class PartReport:
    """The work of the task of a part.

    Attributes
    ----------
    path : Path
        The file with its tracks.
    client : str
        Identity of the client that asked: one per worker process.
    summary : JobSummary
        The client's, from its opening until the end of the part.
    times : LoopTimes
        Times of the part alone.
    peak_memory_bytes : int
        Of the worker until then.
    """

    path: Path
    client: str
    summary: JobSummary
    times: LoopTimes
    peak_memory_bytes: int

    def to_dict(self) -> Json:
        """Return plain values for JSON, without the path."""
        return {
            "client": self.client,
            "summary": self.summary.to_dict(),
            "times": self.times.to_dict(),
            "peak_memory_bytes": self.peak_memory_bytes,
        }

    @classmethod
    def from_dict(cls, path: Path, values: Mapping[str, Any]) -> PartReport:
        """Return the report from the values of `to_dict`.

        Raises
        ------
        KeyError, TypeError
            If they are something else.
        """
        return cls(
            path=path,
            client=values["client"],
            summary=JobSummary.from_dict(values["summary"]),
            times=LoopTimes(**values["times"]),
            peak_memory_bytes=values["peak_memory_bytes"],
        )


def write_part(block: TrackBlock, report: PartReport) -> None:
    """Write the file of a part completely or not at all.

    The temporary name is unique: a task that was given up may still be running when
    another worker repeats it.

    Raises
    ------
    OutputError
        If it cannot be written.
    """
    with (
        output_errors(report.path),
        whole_file(report.path) as unfinished,
        unfinished.open("wb") as file,
    ):
        text = np.array(json.dumps(report.to_dict()))
        # numpy's stubs take keyword arguments for options.
        np.savez(file, report=text, **block.to_arrays())  # type: ignore[arg-type]


def read_report(path: Path) -> PartReport:
    """Return the report of a finished part.

    Raises
    ------
    UnreadableFileError
        If the file is damaged.
    """
    text = str(read_npz(path, ["report"])["report"])
    try:
        return PartReport.from_dict(path, json.loads(text))
    except (KeyError, TypeError, ValueError) as error:
        raise UnreadableFileError(path, f"damaged part: {error}") from error


def read_part(path: Path) -> TrackBlock:
    """Return the tracks of a finished part.

    Raises
    ------
    UnreadableFileError
        If the file is damaged.
    """
    arrays = read_npz(path)
    try:
        return TrackBlock.from_arrays(arrays)
    except (KeyError, TypeError, ValueError) as error:
        raise UnreadableFileError(path, f"damaged part: {error}") from error
