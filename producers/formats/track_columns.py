"""The columns in which tracks are kept in ROOT and parquet files."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from producers.io.json_text import json_object
from producers.io.location import Location
from producers.io.tables import Lists
from producers.model.candidates import CandidateChunk
from producers.model.chunk import splits_of
from producers.model.errors import InvalidEventError
from producers.model.track_block import TrackBlock
from producers.model.types import JsonObject

LABELS = ("sp_label",)
"""One label per space point, -1 where it is on no candidate."""

CANDIDATES = ("n_space_points", "sp_index")
"""The size of each candidate; the space points of all candidates, one candidate after
another."""


def block_of(
    path: Location,
    first: int,
    event_ids: NDArray[np.int64],
    is_failed: NDArray[np.bool_],
    columns: Sequence[Lists],
) -> TrackBlock:
    """Return the tracks of events that were read.

    Parameters
    ----------
    path : Path or str
    first : int
        Position of the first event in the file.
    event_ids : ndarray, shape (n_events,), int64
    is_failed : ndarray, shape (n_events,), bool
    columns : sequence of Lists
        `LABELS` and `CANDIDATES`.

    Raises
    ------
    InvalidEventError
        If the candidates of an event do not fit its space points.
    """
    labels, sizes, points = columns
    block = TrackBlock(
        event_ids=event_ids,
        is_failed=is_failed,
        candidates=CandidateChunk(
            labels=labels.values.astype(np.int64),
            point_splits=splits_of(labels.counts),
            sizes=sizes.values.astype(np.int64),
            candidate_splits=splits_of(sizes.counts),
            space_points=points.values.astype(np.int64),
        ),
    )
    is_wrong = np.diff(block.candidates.member_splits) != points.counts
    beyond = points.values >= np.repeat(labels.counts, points.counts)
    is_wrong[np.repeat(np.arange(len(block)), points.counts)[beyond]] = True
    if is_wrong.any():
        index = int(np.flatnonzero(is_wrong)[0])
        raise InvalidEventError(
            path,
            event_id=int(event_ids[index]),
            entry=first + index,
            reason="its candidates do not fit its space points",
        )
    return block


def parsed_provenance(path: Location, text: str | None) -> JsonObject:
    """Return the provenance that is stored as JSON; empty if there is none.

    Raises
    ------
    UnreadableFileError
        If it is not a JSON object.
    """
    return json_object(path, text or "{}", "provenance")
