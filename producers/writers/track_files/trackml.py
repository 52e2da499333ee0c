"""Tracks as a submission to the TrackML challenge: a row per hit."""

from __future__ import annotations

import gzip
from collections.abc import Mapping, Sequence
from io import BufferedWriter
from pathlib import Path
from typing import Any

import numpy as np

from producers.model.errors import DuplicateEventError
from producers.model.track_block import FailureRow, TrackBlock

__all__ = ["TRACK_FORMATS"]


class TrackMLSubmission:
    """The rows ``event_id,hit_id,track_id``.

    Hits are counted from one, as in TrackML's own files; tracks too, and 0 is a hit on
    no track. There is no place for provenance, and for failures only beside the file.

    Parameters
    ----------
    path : Path
        Packed with gzip if it ends in ``.gz``.
    """

    def __init__(self, path: Path, *, is_packed: bool) -> None:
        # Closed by `close`, whatever happens.
        self._file: gzip.GzipFile | BufferedWriter = (
            gzip.open(path, "wb", compresslevel=1)  # noqa: SIM115
            if is_packed
            else path.open("wb")
        )
        self._file.write(b"event_id,hit_id,track_id\n")
        self._seen: set[int] = set()

    def append(self, block: TrackBlock) -> None:
        """Add events.

        Raises
        ------
        DuplicateEventError
            If an event of that number is there already.
        """
        own = block.candidates
        for event_id in block.event_ids.tolist():
            if event_id in self._seen:
                raise DuplicateEventError(event_id)
            self._seen.add(event_id)
        n_points = np.diff(own.point_splits)
        first = np.repeat(own.point_splits[:-1], n_points)
        columns = (
            np.repeat(block.event_ids, n_points),
            np.arange(len(own.labels)) - first + 1,
            own.labels + 1,
        )
        # Ten times as fast as numpy's savetxt.
        rows = zip(*(column.tolist() for column in columns), strict=True)
        self._file.write("".join(map("%d,%d,%d\n".__mod__, rows)).encode())

    def finish(
        self, failures: Sequence[FailureRow], provenance: Mapping[str, Any]
    ) -> None:
        """Do nothing: the format has no place for them."""

    def close(self) -> None:
        """Close the file."""
        self._file.close()


class _TrackMLFormat:
    name = "trackml"
    summary = "TrackML submission csv: event_id, hit_id, track_id (0: none)"
    suffixes = (".csv", ".csv.gz")
    holds_failures = False

    def create(self, path: Path) -> TrackMLSubmission:
        """Begin a file."""
        return TrackMLSubmission(path, is_packed=path.name.endswith(".gz"))


TRACK_FORMATS = (_TrackMLFormat(),)
