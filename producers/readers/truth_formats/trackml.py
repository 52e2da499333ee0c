"""Truth of the TrackML challenge: csv files beside those of the hits."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from producers.model.errors import SchemaError, UnequalEventsError
from producers.model.truth import Particles, TruthEvent
from producers.readers.content import FileContent
from producers.readers.csv_table import event_number, read_csv, sibling
from producers.readers.location import Location

__all__ = ["TRUTH_FORMAT", "TrackMLTruthFile"]

# trackml-library, trackml/dataset.py.
TRUTH = ("hit_id", "particle_id", "tx", "ty", "tz", "tpx", "tpy", "tpz", "weight")
HITS = ("hit_id", "x", "y", "z", "volume_id", "layer_id", "module_id")
NUMBERS = ("vx", "vy", "vz", "px", "py", "pz", "q")


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

    @property
    def n_events(self) -> int:
        """Always one."""
        return 1

    def blocks(self) -> Iterator[list[TruthEvent]]:
        """Read the event, its truth in the order of the hits.

        Raises
        ------
        UnequalEventsError
            If the truth lacks a hit.
        UnreadableFileError
            If a file is damaged.
        """
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
        columns = {"particle_id": np.uint64} | dict.fromkeys(NUMBERS, np.float32)
        table = read_csv(self.particles, columns)
        yield [
            TruthEvent(
                event_id=self.event_id,
                particle_id=truth["particle_id"][rows],
                particles=Particles(
                    particle_id=table["particle_id"],
                    vertex_mm=np.column_stack([table[name] for name in NUMBERS[:3]]),
                    momentum_gev=np.column_stack(
                        [table[name] for name in NUMBERS[3:6]]
                    ),
                    charge=table["q"],
                ),
                weight=truth["weight"][rows] if "weight" in truth else None,
            )
        ]


class _TrackML:
    name = "trackml"
    summary = "TrackML event*-truth.csv or -hits.csv, with -particles.csv beside it"

    def recognises(self, content: FileContent) -> bool:
        """Whether the first line names the columns of truth, or of hits."""
        has = set(content.csv_columns)
        return set(TRUTH) <= has or set(HITS) <= has

    def open(self, content: FileContent) -> TrackMLTruthFile:
        """Find the files of the event.

        Raises
        ------
        SchemaError
            If one of them is not there.
        """
        found = {}
        for kind in ("hits", "truth", "particles"):
            path = sibling(content.location, kind)
            if path is None:
                raise SchemaError(content.location, f"no file of its {kind} beside it")
            found[kind] = path
        return TrackMLTruthFile(event_id=event_number(content.location) or 0, **found)


TRUTH_FORMAT = _TrackML()
