"""Space points of ACTS' csv writer: one file an event."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from producers.readers.content import FileContent
from producers.readers.csv_table import event_number, read_csv
from producers.readers.event_chunks import stacked
from producers.readers.formats import ReadOptions
from producers.readers.location import Location
from producers.readers.single_event import SingleEventFile

__all__ = ["FORMAT", "is_acts_csv"]


def is_acts_csv(columns: tuple[str, ...]) -> bool:
    """Whether columns are those of ACTS' space points.

    Of ``Examples/Io/Csv/src/CsvOutputData.hpp``: measurement_id_1, measurement_id_2,
    geometry_id_1, geometry_id_2, x, y, z, t, var_r, var_z; before it had two
    measurements: measurement_id, x, y, z, var_r, var_z.
    """
    has = set(columns)
    position = {"x", "y", "z", "var_r", "var_z"} <= has
    return position and bool({"measurement_id", "measurement_id_1"} & has)


def _positions(path: Location) -> NDArray[np.float32]:
    table = read_csv(path, dict.fromkeys("xyz", np.float64))
    return stacked([table[axis] for axis in "xyz"])


class _ActsCsv:
    name = "acts-csv"
    summary = "ACTS event*-spacepoint.csv"

    def recognises(self, content: FileContent, _options: ReadOptions) -> bool:
        """Whether the first line names the columns of space points."""
        return is_acts_csv(content.csv_columns)

    def open(self, content: FileContent, options: ReadOptions) -> SingleEventFile:
        """Return the event, numbered as its file is named."""
        number = event_number(content.location)
        event_id = options.position if number is None else number
        return SingleEventFile(content.location, event_id, _positions)


FORMAT = _ActsCsv()
