"""Hits of the TrackML challenge: one csv file an event."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from producers.readers.content import FileContent
from producers.readers.csv_table import event_number, read_csv
from producers.readers.event_chunks import stacked
from producers.readers.formats import ReadOptions
from producers.readers.location import Location
from producers.readers.single_event import SingleEventFile

__all__ = ["FORMAT"]

COLUMNS = ("hit_id", "x", "y", "z", "volume_id", "layer_id", "module_id")
"""trackml-library, ``trackml/dataset.py``."""


def _positions(path: Location) -> NDArray[np.float32]:
    table = read_csv(path, dict.fromkeys("xyz", np.float64))
    return stacked([table[axis] for axis in "xyz"])


class _TrackML:
    name = "trackml"
    summary = "TrackML event*-hits.csv, plain or .gz"

    def recognises(self, content: FileContent, _options: ReadOptions) -> bool:
        """Whether the first line names the columns of hits."""
        return set(COLUMNS) <= set(content.csv_columns)

    def open(self, content: FileContent, options: ReadOptions) -> SingleEventFile:
        """Return the event, numbered as its file is named."""
        number = event_number(content.location)
        event_id = options.position if number is None else number
        return SingleEventFile(content.location, event_id, _positions)


FORMAT = _TrackML()
