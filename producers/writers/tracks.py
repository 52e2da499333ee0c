"""Track candidates into a ROOT file."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from producers.base import Event
from producers.candidates import TrackCandidates
from producers.writers.table import RootWriter, TableSpec

__all__ = ["TrackWriter"]

LABELS = TableSpec(name="labels", columns={"sp_label": np.int64})

CANDIDATES = TableSpec(
    name="candidates", columns={"n_space_points": np.int64, "sp_index": np.int64}
)


class TrackWriter(RootWriter):
    """Writes the tracks of a job; complete, or not at all.

    The TTree ``labels`` has one entry per event, in input order: ``event`` (int64)
    and ``sp_label`` (int64[]), one label per space point in the order of the input,
    -1 where it is on no candidate. The TTree ``candidates`` has the same entries:
    ``event``, ``n_space_points`` (int64[]) of each candidate, and ``sp_index``
    (int64[]), the space points of all candidates one after another, each
    candidate's ordered outward. ``provenance`` is a text (TObjString) of JSON.

    Parameters
    ----------
    path : path
    provenance : mapping
        Where the tracks come from, as plain values for JSON: input files, model,
        version, server, weights, cuts, command, versions.
    force : bool
        Whether an existing file may be replaced.

    Attributes
    ----------
    provenance : dict
        Written at the end: a job may add what it knows only then.

    Raises
    ------
    OutputExistsError, OutputError
        On entering, if the file must not or cannot be written.
    """

    specs: ClassVar = (LABELS, CANDIDATES)

    def __init__(
        self,
        path: Path | str,
        # Any: JSON values of several kinds.
        provenance: Mapping[str, Any],
        *,
        force: bool = False,
    ) -> None:
        super().__init__(path, force=force)
        self.provenance = dict(provenance)

    def write(self, event: Event, candidates: TrackCandidates | None) -> None:
        """Add one event; None, for an event that failed, is written as no candidate.

        The arrays are not copied: leave them unchanged.

        Raises
        ------
        ValueError
            If there is not one label per space point of the event.
        OutputError
            If the file cannot be written.
        """
        if candidates is None:
            candidates = TrackCandidates.none_among(len(event))
        if len(candidates.labels) != len(event):
            raise ValueError(
                f"event {event.event_id}: {len(candidates.labels)} labels "
                f"for {len(event)} space points"
            )
        self._tables["labels"].append(event.event_id, {"sp_label": candidates.labels})
        self._tables["candidates"].append(
            event.event_id,
            {
                "n_space_points": candidates.sizes,
                "sp_index": candidates.space_points,
            },
        )

    def finish(self) -> None:
        """Write what is held back, and the provenance.

        Raises
        ------
        TypeError
            If the provenance holds what JSON cannot.
        """
        super().finish()
        with self._output.errors():
            self._output.file["provenance"] = json.dumps(self.provenance, indent=1)
