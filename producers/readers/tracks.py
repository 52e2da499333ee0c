"""The file of a tracking job, read back."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from producers.candidates import TrackCandidates
from producers.errors import InvalidEventError, UnequalEventsError, UnreadableFileError
from producers.iteration import iterating
from producers.readers.location import PathLike, locations
from producers.readers.prefetch import prefetched
from producers.readers.root_file import RootFile, RootTable, open_root, step_of

__all__ = ["TrackEvent", "TrackEvents"]

CHUNK_BYTES = 8 * 2**20


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class TrackEvent:
    """The candidates of one event.

    Attributes
    ----------
    event_id : int
    candidates : TrackCandidates
    """

    event_id: int
    candidates: TrackCandidates


class TrackEvents:
    """Iterable over the events of a file that `TrackWriter` wrote.

    Parameters
    ----------
    path : path

    Attributes
    ----------
    provenance : dict
        Where the tracks come from.

    Raises
    ------
    InputNotFoundError, UnreadableFileError, SchemaError
        If the file is not there, or is no file of tracks.
    UnequalEventsError
        If its two trees have different numbers of entries.
    """

    def __init__(self, path: PathLike) -> None:
        (self.path,) = locations(path)
        with open_root(self.path) as file:
            labels, candidates = _tables(file)
            labels.require(["sp_label"], scalars=("event",))
            candidates.require(["n_space_points", "sp_index"], scalars=("event",))
            if len(labels) != len(candidates):
                raise UnequalEventsError(
                    f"{self.path}: {len(labels)} events in 'labels', "
                    f"{len(candidates)} in 'candidates'"
                )
            self._n_events = len(labels)
            self.provenance = _provenance(file)

    def __len__(self) -> int:
        return self._n_events

    def __iter__(self) -> Iterator[TrackEvent]:
        with iterating(prefetched(self._blocks())) as blocks:
            for block in blocks:
                yield from block

    def _blocks(self) -> Iterator[list[TrackEvent]]:
        with open_root(self.path) as file:
            labels, candidates = _tables(file)
            step = step_of(labels, ["sp_label"], CHUNK_BYTES)
            for start in range(0, len(self), step):
                yield _read_block(
                    labels, candidates, start, min(start + step, len(self))
                )


def _tables(file: RootFile) -> tuple[RootTable, RootTable]:
    return file.table("labels"), file.table("candidates")


# Any: JSON values of several kinds.
def _provenance(file: RootFile) -> dict[str, Any]:
    text = file.text("provenance")
    try:
        content = json.loads(text or "{}")
    except ValueError as error:
        raise UnreadableFileError(file.path, f"provenance: {error}") from error
    if not isinstance(content, dict):
        raise UnreadableFileError(file.path, "provenance: expected a JSON object")
    return content


def _read_block(
    labels: RootTable, candidates: RootTable, start: int, stop: int
) -> list[TrackEvent]:
    event_ids = labels.scalars("event", start, stop)
    (label_lists,) = labels.lists(["sp_label"], start, stop)
    sizes, points = candidates.lists(["n_space_points", "sp_index"], start, stop)
    events = []
    per_event = zip(
        event_ids,
        np.split(label_lists.values, np.cumsum(label_lists.counts)[:-1]),
        np.split(sizes.values, np.cumsum(sizes.counts)[:-1]),
        np.split(points.values, np.cumsum(points.counts)[:-1]),
        strict=True,
    )
    for index, (event_id, label, size, point) in enumerate(per_event):
        if int(size.sum()) != len(point) or (point >= len(label)).any():
            raise InvalidEventError(
                labels.path,
                event_id=int(event_id),
                entry=start + index,
                reason="its candidates do not fit its space points",
            )
        found = TrackCandidates(
            labels=label,
            row_splits=np.concatenate(([0], np.cumsum(size))).astype(np.int64),
            space_points=point,
        )
        events.append(TrackEvent(event_id=int(event_id), candidates=found))
    return events
