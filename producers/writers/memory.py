"""Tracks in memory, as an awkward array."""

from __future__ import annotations

from typing import Any

import awkward as ak
import numpy as np

from producers.candidates import CandidateChunk
from producers.chunk_result import ChunkResult

__all__ = ["TracksInMemory"]


class TracksInMemory:
    """A sink that keeps the tracks; for samples that fit into memory.

    Attributes
    ----------
    failures : list of EventFailedError
        Of the events until now.
    """

    def __init__(self) -> None:
        self._parts: list[Any] = []
        self.failures: list[Any] = []

    def write_result(self, result: ChunkResult) -> None:
        """Keep the candidates of a chunk.

        Raises
        ------
        ValueError
            If no producer of the loop finds candidates.
        """
        products = result.products.values()
        chunks = [each for each in products if isinstance(each, CandidateChunk)]
        if not chunks:
            listed = ", ".join(result.products)
            raise ValueError(f"no candidates among the products of {listed}")
        own = chunks[0]
        by_candidate = ak.unflatten(own.space_points, own.sizes)
        part = ak.zip(
            {
                "event": result.chunk.event_ids,
                "sp_label": ak.unflatten(own.labels, np.diff(own.point_splits)),
                "candidates": ak.unflatten(by_candidate, np.diff(own.candidate_splits)),
            },
            depth_limit=1,
        )
        if result.on_failure == "skip":
            part = ak.mask(part, ~result.is_failed)
        self._parts.append(part)
        self.failures += result.failures

    # Any: awkward has no type information.
    def array(self) -> Any:
        """Return one record per event, in input order.

        Returns
        -------
        ak.Array
            ``event``; ``sp_label``, one label per space point; ``candidates``, the
            space points of each candidate, outward. With the loop's policy ``skip`` a
            failed event is missing (None).
        """
        return ak.concatenate(self._parts) if self._parts else ak.Array([])
