"""Tracks in memory, as an awkward array."""

from __future__ import annotations

import awkward as ak
import numpy as np
from numpy.typing import NDArray

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
        block = TrackBlock.joined(self._blocks)
        own = block.candidates
        by_candidate = ak.unflatten(own.space_points, own.sizes)
        array = ak.zip(
            {
                "event": block.event_ids,
                "sp_label": ak.unflatten(own.labels, np.diff(own.point_splits)),
                "candidates": ak.unflatten(by_candidate, np.diff(own.candidate_splits)),
            },
            depth_limit=1,
        )
        is_missing = np.concatenate(self._masks)
        return ak.mask(array, ~is_missing) if is_missing.any() else array
