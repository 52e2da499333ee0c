"""Tracks in memory, as an awkward array."""

from __future__ import annotations

import awkward as ak
import numpy as np
from numpy.typing import NDArray

from producers.model.candidates import CandidateChunk
from producers.model.errors import EventFailedError
from producers.model.results import ChunkResult
from producers.model.track_block import TrackBlock
from producers.model.types import Untyped


class TracksInMemory:
    """A sink that keeps the tracks, for samples that fit into memory.

    Attributes
    ----------
    failures : list of EventFailedError
        The failures of all events until now.
    """

    def __init__(self) -> None:
        self._blocks: list[TrackBlock] = []
        self._masks: list[NDArray[np.bool_]] = []
        self.failures: list[EventFailedError] = []

    def write_result(self, result: ChunkResult) -> None:
        """Keep the candidates of a chunk.

        Raises
        ------
        ValueError
            If no producer of the loop finds candidates.
        """
        block = TrackBlock.of(result)
        self._blocks.append(block)
        is_skip = result.on_failure == "skip"
        self._masks.append(block.is_failed if is_skip else np.zeros(len(block), bool))
        self.failures += result.failures

    def array(self) -> Untyped:
        """Return one record per event, in input order.

        Returns
        -------
        ak.Array
            ``event``; ``sp_label``, one label per space point; ``candidates``, the
            space points of each candidate, ordered outward. With the loop's policy
            ``skip`` a failed event is missing (None).
        """
        if not self._blocks:
            return ak.Array([])
        # Made once, at the end: awkward takes a millisecond for the smallest array.
        is_missing = np.concatenate(self._masks)
        return tracks_array(TrackBlock.joined(self._blocks), is_missing)


def tracks_array(block: TrackBlock, is_missing: NDArray[np.bool_]) -> Untyped:
    """Return one record per event, as `TracksInMemory.array` does."""
    columns = candidate_arrays(block.candidates)
    array = ak.zip({"event": block.event_ids, **columns}, depth_limit=1)
    return ak.mask(array, ~is_missing) if is_missing.any() else array


def candidate_arrays(candidates: CandidateChunk) -> dict[str, Untyped]:
    """Return ``sp_label`` and ``candidates`` of some events as awkward arrays.

    One list per event: the candidate of each space point, -1 for none; and the space
    points of each candidate, ordered outward.
    """
    return {
        "sp_label": ak.unflatten(candidates.labels, np.diff(candidates.point_splits)),
        "candidates": candidates.to_awkward(),
    }
