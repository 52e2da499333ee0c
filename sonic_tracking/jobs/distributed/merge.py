"""The parts of a job, put together again: their tracks in input order, their work."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from producers import EventSource, InvalidEventError, LoopTimes
from producers.model.track_block import TrackBlock
from sonic_client import JobSummary
from sonic_tracking.jobs.distributed.part_file import PartReport, read_part
from sonic_tracking.jobs.distributed.parts import Part

__all__ = ["ClusterWork", "PartMerge"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterWork:
    """What the workers did together.

    Attributes
    ----------
    summary : JobSummary or None
        Of all their clients; None if no part is done.
    times : LoopTimes
        Summed over the parts: seconds of several workers at once.
    peak_memory_bytes : int
        Of the largest worker.
    """

    summary: JobSummary | None = None
    times: LoopTimes = field(default_factory=LoopTimes)
    peak_memory_bytes: int = 0


class PartMerge:
    """Counts the parts as they end, and checks their tracks in input order.

    Parameters
    ----------
    source : EventSource
        All events of the job.
    """

    def __init__(self, source: EventSource) -> None:
        self._source = source
        self._clients: dict[str, JobSummary] = {}
        self._work = ClusterWork()
        self._file = -1
        self._seen: NDArray[np.int64] = np.empty(0, dtype=np.int64)

    def count(self, report: PartReport) -> None:
        """Add what a part took; parts may end in any order."""
        known = self._clients.get(report.client)
        # Clients count up.
        if known is None or known.client.events <= report.summary.client.events:
            self._clients[report.client] = report.summary
        work = self._work
        self._work = replace(
            work,
            times=LoopTimes._make(
                a + b for a, b in zip(work.times, report.times, strict=True)
            ),
            peak_memory_bytes=max(work.peak_memory_bytes, report.peak_memory_bytes),
        )

    def work(self) -> ClusterWork:
        """Return what all parts took that were counted until now."""
        summaries = list(self._clients.values())
        if not summaries:
            return self._work
        return replace(self._work, summary=sum(summaries[1:], start=summaries[0]))

    def block(self, part: Part, report: PartReport) -> TrackBlock:
        """Return the tracks of the next part in input order.

        Raises
        ------
        InvalidEventError
            If its file has an event of a number that was there before.
        UnreadableFileError
            If what the task left is damaged.
        """
        block = read_part(report.path)
        self._require_new(part, block)
        return block

    def _require_new(self, part: Part, block: TrackBlock) -> None:
        """Refuse a number that the file has twice: a task sees its own part only."""
        if part.file != self._file:
            self._file, self._seen = part.file, self._seen[:0]
        ids = block.event_ids
        again = _is_again(ids, self._seen)
        self._seen = np.concatenate((self._seen, ids))
        if again.any():
            index = int(np.flatnonzero(again)[0])
            raise InvalidEventError(
                Path(self._source.names[part.file]),
                event_id=int(ids[index]),
                entry=part.start + index,
                reason="there is another event of this number before it",
            )


def _is_again(ids: NDArray[np.int64], seen: NDArray[np.int64]) -> NDArray[np.bool_]:
    # Almost always the numbers rise, and there is nothing to look for.
    if not ids.size or not seen.size or ids.min() > seen.max():
        return np.zeros(len(ids), dtype=np.bool_)
    return np.isin(ids, seen)
