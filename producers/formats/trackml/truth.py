"""Truth of the TrackML challenge: csv files beside those of the hits."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from producers.formats.base import TruthFormat
from producers.formats.particles import PARTICLE_COLUMNS, particles_from
from producers.formats.trackml.events import HITS
from producers.io.content import FileContent
from producers.io.csv_table import event_number, file_beside, read_csv
from producers.io.location import Location
from producers.model.errors import UnequalEventsError
from producers.model.truth import TruthEvent

COLUMNS = {"hit_id", "particle_id", "tx", "ty", "tz", "tpx", "tpy", "tpz", "weight"}
"""Columns of the truth: trackml-library, ``trackml/dataset.py``."""


@dataclass(frozen=True, slots=True)
class TrackMLTruthFile:
    """The truth, hits and particles of one event.

    Attributes
    ----------
    event_id : int
    hits, truth, particles : Path or str
    """

    event_id: int
    hits: Location
    truth: Location
    particles: Location
    n_events: int = 1

    def blocks(self) -> Iterator[list[TruthEvent]]:
        """Read the event, with the hits in their order; see `TruthFile.blocks`."""
        truth = read_csv(
            self.truth,
            {"hit_id": np.int64, "particle_id": np.uint64, "weight": np.float64},
            optional=("weight",),
        )
        hits = read_csv(self.hits, {"hit_id": np.int64})["hit_id"]
        order = np.argsort(truth["hit_id"])
        places = np.searchsorted(truth["hit_id"], hits, sorter=order)
        rows = order[np.minimum(places, len(order) - 1)] if len(order) else places
        if len(hits) and not (len(order) and (truth["hit_id"][rows] == hits).all()):
            raise UnequalEventsError(f"{self.truth}: not the hits of {self.hits}")
        columns = {"particle_id": np.uint64}
        table = read_csv(
            self.particles, columns | dict.fromkeys(PARTICLE_COLUMNS, np.float32)
        )
        yield [
            TruthEvent(
                event_id=self.event_id,
                particle_id=truth["particle_id"][rows],
                particles=particles_from(
                    table["particle_id"], [table[name] for name in PARTICLE_COLUMNS]
                ),
                weight=truth["weight"][rows] if "weight" in truth else None,
            )
        ]


def _open(content: FileContent) -> TrackMLTruthFile:
    path = content.location
    return TrackMLTruthFile(
        event_id=event_number(path) or 0,
        hits=file_beside(path, "hits"),
        truth=file_beside(path, "truth"),
        particles=file_beside(path, "particles"),
    )


TRUTH = TruthFormat(
    name="trackml",
    summary="TrackML event*-truth.csv or -hits.csv, with -particles.csv beside it",
    recognises=lambda content: (
        content.csv_columns >= COLUMNS or content.csv_columns >= HITS
    ),
    open=_open,
)
