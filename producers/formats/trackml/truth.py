"""Truth of the TrackML challenge: csv files beside those of the hits."""

from __future__ import annotations

from functools import partial

import numpy as np

from producers.formats.base import TruthFile, TruthFormat
from producers.formats.particles import PARTICLE_COLUMNS, particles_from
from producers.formats.trackml.events import HITS
from producers.io.content import FileContent
from producers.io.csv_table import event_number, file_beside, read_csv
from producers.io.location import Location
from producers.model.errors import UnequalEventsError
from producers.model.truth import TruthEvent

COLUMNS = {"hit_id", "particle_id", "tx", "ty", "tz", "tpx", "tpy", "tpz", "weight"}
"""Columns of the truth: trackml-library, ``trackml/dataset.py``."""


def _read(
    event_id: int, of_hits: Location, of_truth: Location, of_particles: Location
) -> TruthEvent:
    """Read the truth, in the order of the hits, and the particles of an event."""
    truth = read_csv(
        of_truth,
        {"hit_id": np.int64, "particle_id": np.uint64, "weight": np.float64},
        optional=("weight",),
    )
    hits = read_csv(of_hits, {"hit_id": np.int64})["hit_id"]
    order = np.argsort(truth["hit_id"])
    places = np.searchsorted(truth["hit_id"], hits, sorter=order)
    rows = order[np.minimum(places, len(order) - 1)] if len(order) else places
    if len(hits) and not (len(order) and (truth["hit_id"][rows] == hits).all()):
        raise UnequalEventsError(f"{of_truth}: not the hits of {of_hits}")
    numbers = dict.fromkeys(PARTICLE_COLUMNS, np.float32)
    table = read_csv(of_particles, {"particle_id": np.uint64, **numbers})
    return TruthEvent(
        event_id=event_id,
        particle_id=truth["particle_id"][rows],
        particles=particles_from(
            of_particles,
            table["particle_id"],
            [table[name] for name in PARTICLE_COLUMNS],
        ),
        weight=truth["weight"][rows] if "weight" in truth else None,
    )


def _open(content: FileContent) -> TruthFile:
    path = content.location
    files = [file_beside(path, kind) for kind in ("hits", "truth", "particles")]
    return TruthFile.of_one_event(partial(_read, event_number(path) or 0, *files))


TRUTH = TruthFormat(
    name="trackml",
    recognises=lambda content: (
        content.csv_columns >= COLUMNS or content.csv_columns >= HITS
    ),
    open=_open,
)
