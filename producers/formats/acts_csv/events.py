"""Space points of ACTS' csv writer: one file per event."""

from __future__ import annotations

from producers.formats.base import EventFormat
from producers.formats.event_files import open_csv_of_positions
from producers.io.content import FileContent


def is_acts_csv(content: FileContent) -> bool:
    """Whether the first line names the columns of ACTS' space points.

    From ``Examples/Io/Csv/src/CsvOutputData.hpp``: measurement_id_1,
    measurement_id_2, geometry_id_1, geometry_id_2, x, y, z, t, var_r, var_z; earlier,
    with one measurement: measurement_id, x, y, z, var_r, var_z.
    """
    has = content.csv_columns
    position = {"x", "y", "z", "var_r", "var_z"} <= has
    return position and bool({"measurement_id", "measurement_id_1"} & has)


EVENTS = EventFormat(
    name="acts-csv",
    recognises=lambda content, _options: is_acts_csv(content),
    open=open_csv_of_positions,
)
